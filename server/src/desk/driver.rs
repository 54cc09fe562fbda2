//! Drives one tenant's machine: gather → decide → commit → emit, as a message goes.
//!
//! One task per tenant. It takes what waits, steps the machine for each, commits all transitions
//! of the batch in one row of the tenant's log together with what customers are told, and only
//! then tells agents. If that fails, the machine is rebuilt from the log: nobody was told anything.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidings_core::custody::{Draft, Verdict};
use tidings_core::desk::{Action, AgentId, Asker, Desk, EpisodeId, Event, Record, Refusal};
use tidings_core::ids::{ConversationId, Name, pair_key};
use tidings_core::limits;
use tidings_core::message::MessageRef;
use tidings_core::shard::{Input, Submission};
use tidings_core::time::Time;

use super::Tenant;
use super::act::DeskError;
use super::agents::{Agents, End, Kind};
use super::asking::{problem, said};
use super::directory::TenantRoster;
use super::former::Former;
use super::inbox::{Item, Reply};
use super::queues::Queues;
use super::recall::{Recalled, Unredacted};
use super::row::Row;
use super::serving::Serving;
use super::snapshot::At;
use crate::handle::new_id;
use crate::router::Router;

/// How long after a failed commit the log is asked again.
pub(super) const REBUILD_AGAIN: Duration = Duration::from_secs(1);
/// What agents have read is written at least so often.
const READ_WRITTEN: Duration = Duration::from_secs(1);

/// Names of so many episodes are kept without a look at who has ended.
pub(super) const CHATS_MIN: usize = 1024;

/// By episode and agent: the number of a message.
pub(super) type Read = BTreeMap<(EpisodeId, AgentId), u64>;

/// An episode's names, for as long as it can be spoken of.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    pub(super) conversation: ConversationId,
    pub(super) customer: Name,
    /// With its `@`.
    pub(super) address: Name,
}

/// What is decided and not yet committed.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) row: Row,
    /// What customers are told, and what agents write.
    pub(super) drafts: Vec<Draft>,
    /// Who waits for the fate of which draft.
    pub(super) said: Vec<(usize, Name, Reply)>,
    /// Who waits for the row.
    pub(super) asked: Vec<(Reply, Result<(), DeskError>)>,
    /// Recalled messages, which lose their text once it is on disk that they are, and who waits.
    pub(super) recalled: Vec<(Recalled, Reply)>,
    /// What is done once everything is on disk, in order.
    pub(super) after: Vec<After>,
    /// Messages that were decided about, for those who are to get them.
    pub(super) messages: HashMap<(ConversationId, u64), MessageRef>,
}

/// One thing to be done after the commit.
pub(super) enum After {
    /// What the machine wants.
    Do(Action),
    /// An agent's session begins: what it is told before everything else, and the episodes that he
    /// serves already, with their first and last message. What comes after is routed to him.
    Begin(AgentId, End, Vec<(EpisodeId, u64, u64)>),
    /// It ends.
    End(AgentId, Kind),
    /// What the desk itself wrote to a customer, for the agent who serves him.
    Show(EpisodeId, AgentId, MessageRef),
}

/// See the module.
pub(super) struct Driver {
    pub(super) tenant: Arc<Tenant>,
    pub(super) router: Arc<Router>,
    pub(super) desk: Desk,
    pub(super) agents: Agents,
    pub(super) chats: HashMap<EpisodeId, Chat>,
    /// Whose message is being decided about.
    pub(super) opening: Option<Chat>,
    /// Users with open episodes, and where.
    pub(super) customers: HashMap<Name, Vec<ConversationId>>,
    /// Who served a conversation last.
    pub(super) former: Former,
    /// Everything up to this position has been decided about.
    pub(super) upto: u64,
    /// Up to where agents have their episodes' messages.
    pub(super) read: Read,
    pub(super) unwritten: Read,
    pub(super) queues: Queues,
    /// To whom agents may write, as the shard was told.
    pub(super) serving: Serving,
    pub(super) unredacted: Unredacted,
    /// When a team opens or closes next, on the wall's clock.
    pub(super) hours_change_ms: Option<i64>,
    /// At so many names those of ended episodes are looked for.
    pub(super) chats_max: usize,
    pub(super) roster: Arc<TenantRoster>,
    /// The desk's time at `since`.
    start: Time,
    since: Instant,
    /// The row after this one is the tenant log's next.
    pub(super) at: At,
    /// The row behind which the desk was kept last.
    pub(super) kept_row: u64,
    /// What the start led to is stored.
    pub(super) opened: bool,
}

impl Driver {
    pub(super) fn new(
        tenant: Arc<Tenant>,
        router: Arc<Router>,
        roster: Arc<TenantRoster>,
    ) -> Driver {
        Driver {
            tenant,
            router,
            desk: Desk::new(),
            agents: Agents::default(),
            chats: HashMap::new(),
            opening: None,
            customers: HashMap::new(),
            former: Former::default(),
            upto: 0,
            read: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            queues: Queues::default(),
            serving: Serving::new(),
            unredacted: Unredacted::default(),
            hours_change_ms: None,
            chats_max: CHATS_MIN,
            roster,
            start: Time(0),
            since: Instant::now(),
            at: At::default(),
            kept_row: 0,
            opened: false,
        }
    }

    /// Sets the clock: it goes on from the wall's time, or from the last transition's if that lies
    /// ahead.
    pub(super) fn wind(&mut self) {
        let wall = u64::try_from(self.router.wall_ms()).unwrap_or(0);
        self.start = Time(wall).max(self.desk.time());
        self.since = Instant::now();
    }

    pub(super) fn now(&self) -> Time {
        self.start + u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock's time, on the desk's clock.
    pub(super) fn on_desk_clock(&self, wall_ms: i64) -> Time {
        let time = wall_ms.saturating_sub(self.desk.wall_ahead_ms());
        Time(u64::try_from(time).unwrap_or(0))
    }

    /// Runs until the server stops. The log has been followed.
    pub(super) async fn run(mut self) {
        self.open_at_last().await;
        let mut written = Instant::now();
        while !self.tenant.inbox.is_closed() {
            self.tell_queues();
            let now = Instant::now();
            if self.unredacted.due_at(now).is_some_and(|at| at <= now) {
                self.redact().await;
            }
            if self.hours_are_due() {
                let mut batch = Batch::default();
                self.mind_hours(&mut batch);
                if !self.finish(batch).await {
                    self.rebuild().await;
                }
            }
            let (mut items, missed) = self.tenant.inbox.take();
            let due = self.desk.next_deadline().is_some_and(|at| at <= self.now());
            let write = !self.unwritten.is_empty() && written.elapsed() >= READ_WRITTEN;
            if items.is_empty() && !missed && !due && !write {
                self.sleep(written).await;
                continue;
            }
            if write {
                written = Instant::now();
            }
            while !items.is_empty() || due || write {
                let batch = self.gather(&mut items).await;
                if !self.finish(batch).await {
                    self.rebuild().await;
                }
                if items.is_empty() {
                    break;
                }
            }
            if missed && !self.catch_up().await {
                self.rebuild().await;
            }
        }
        self.keep().await;
    }

    async fn sleep(&self, written: Instant) {
        let until_due = self.desk.next_deadline().map(|at| at.since_ms(self.now()));
        let mut wait = until_due.map_or(Duration::from_secs(60), Duration::from_millis);
        if !self.unwritten.is_empty() {
            wait = wait.min(READ_WRITTEN.saturating_sub(written.elapsed()));
        }
        let now = Instant::now();
        wait = wait.min(self.until_hours().unwrap_or(wait));
        for at in [self.queues.next(), self.unredacted.due_at(now)] {
            wait = at.map_or(wait, |at| wait.min(at.saturating_duration_since(now)));
        }
        let wait = wait.max(Duration::from_millis(1));
        let _ = tokio::time::timeout(wait, self.tenant.inbox.woken()).await;
    }

    /// Decides about what waits, up to one batch.
    async fn gather(&mut self, items: &mut VecDeque<Item>) -> Batch {
        let mut batch = Batch::default();
        if items.is_empty() {
            self.step(Event::Due, &mut batch);
        }
        while let Some(item) = items.pop_front() {
            match item {
                Item::Message(message) => self.message(&message, &mut batch),
                Item::Link(user) => self.link(&user, &mut batch),
                Item::Bind {
                    agent,
                    status,
                    session,
                    events,
                    reply,
                } => {
                    self.agents.arrives(agent, Kind::Link(session));
                    self.begins(agent, End::Link(session, events), &mut batch);
                    self.asked(Event::Bind(agent, status), agent, reply, &mut batch);
                }
                Item::Gone { agent, session } => {
                    self.ends(agent, Kind::Link(session), &mut batch);
                }
                Item::End(agent) => {
                    if self.agents.shut_out(agent) {
                        self.step(Event::AgentLost(agent), &mut batch);
                    }
                }
                Item::Delivered(agent, episode, seq) => self.delivered(agent, episode, seq),
                Item::Act(agent, act, reply) => self.act(agent, act, reply, &mut batch).await,
                Item::Customer {
                    customer,
                    team,
                    act,
                    reply,
                } => {
                    self.customer_act(&customer, &team, act, reply, &mut batch)
                        .await;
                }
                Item::Roster => self.set_up(&mut batch),
                Item::Look(look) => look(self),
            }
            let size = batch.row.entries.len() + batch.drafts.len() + batch.after.len();
            if size >= limits::DESK_BATCH_MAX {
                break;
            }
        }
        batch
    }

    /// A session of an agent begins, before anything is decided about it.
    pub(super) fn begins(&self, agent: AgentId, end: End, batch: &mut Batch) {
        let serves = self.desk.serves(agent).into_iter().filter_map(|episode| {
            let known = self.desk.episode(episode)?;
            Some((episode, known.first_seq, known.last_seq))
        });
        batch.after.push(After::Begin(agent, end, serves.collect()));
    }

    /// A session of an agent ends; false if it was not his present one.
    pub(super) fn ends(&mut self, agent: AgentId, kind: Kind, batch: &mut Batch) -> bool {
        let ended = self.agents.leaves(agent, kind);
        if ended {
            batch.after.push(After::End(agent, kind));
            self.step(Event::AgentLost(agent), batch);
        }
        ended
    }

    /// Tells the machine what an operator has changed.
    pub(super) fn set_up(&mut self, batch: &mut Batch) {
        let before = std::mem::replace(&mut self.roster, self.tenant.roster());
        for (account, agent) in &before.agents {
            if !self.roster.agents.contains_key(account) {
                self.agents.remove(AgentId(agent.number));
                if !self.customers.contains_key(account) {
                    self.tenant.part(account);
                }
                let known = false;
                self.router.feed(Input::Agent {
                    user: account,
                    known,
                });
            }
        }
        for account in self.roster.agents.keys() {
            let known = true;
            self.tenant.meet(account);
            self.router.feed(Input::Agent {
                user: account,
                known,
            });
        }
        for event in super::settings::changes(&self.desk, &self.roster) {
            self.step(event, batch);
        }
        self.mind_hours(batch);
    }

    pub(super) fn delivered(&mut self, agent: AgentId, episode: EpisodeId, seq: u64) {
        if self.desk.stage(episode).is_none() {
            return;
        }
        let known = self.read.entry((episode, agent)).or_default();
        if *known < seq {
            *known = seq;
            self.unwritten.insert((episode, agent), seq);
        }
    }

    pub(super) fn step(&mut self, event: Event, batch: &mut Batch) {
        let now = self.now();
        self.step_at(now, event, batch);
    }

    pub(super) fn step_at(&mut self, now: Time, event: Event, batch: &mut Batch) {
        let mut actions = Vec::new();
        self.desk.step(now, event, &mut actions);
        for action in actions {
            match action {
                Action::Store(entry) => {
                    self.learn(&entry.record);
                    batch.row.entries.push(entry);
                }
                action => {
                    self.tell_customer(&action, batch);
                    batch.after.push(After::Do(action));
                }
            }
        }
    }

    /// Steps for an agent who waits for the answer.
    pub(super) fn asked(&mut self, event: Event, agent: AgentId, reply: Reply, batch: &mut Batch) {
        let before = batch.after.len();
        self.step(event, batch);
        let refused = refusal(&batch.after[before..], |asker| asker == Asker::Agent(agent));
        batch
            .asked
            .push((reply, refused.map_or(Ok(()), |why| Err(why.into()))));
    }

    /// What the driver itself keeps of a transition.
    pub(super) fn learn(&mut self, record: &Record) {
        match record {
            Record::Opened { episode, .. } => {
                if let Some(names) = self.opening.clone() {
                    self.chats.insert(*episode, names);
                }
            }
            Record::Assigned { episode, agent, .. } => {
                if let Some(chat) = self.chats.get(episode) {
                    self.former.set(chat.conversation, *agent);
                }
            }
            Record::Recalled { episode, seq } => {
                if let Some(chat) = self.chats.get(episode) {
                    let key = pair_key(&chat.customer, &chat.address);
                    self.unredacted.add((key, *seq));
                }
            }
            Record::Closed { episode, .. } => {
                if let Some(chat) = self.chats.get(episode).cloned() {
                    self.forget(&chat.customer, chat.conversation);
                }
                let of = (*episode, AgentId(0))..=(*episode, AgentId(u32::MAX));
                for read in [&mut self.read, &mut self.unwritten] {
                    let gone: Vec<_> = read.range(of.clone()).map(|(key, _)| *key).collect();
                    for key in gone {
                        read.remove(&key);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn forget(&mut self, customer: &Name, conversation: ConversationId) {
        if let Some(conversations) = self.customers.get_mut(customer) {
            conversations.retain(|known| *known != conversation);
            if conversations.is_empty() {
                self.customers.remove(customer);
                self.tenant.part(customer);
            }
        }
    }

    /// Commits a batch and does what follows; false if it could not be stored.
    pub(super) async fn finish(&mut self, mut batch: Batch) -> bool {
        batch.row.upto = self.upto;
        let unwritten = std::mem::take(&mut self.unwritten);
        let read = unwritten.iter();
        batch.row.read = read.map(|((e, a), seq)| (a.0, e.0, *seq)).collect();
        let row = &batch.row;
        let has_row = !(row.entries.is_empty() && row.read.is_empty() && row.late.is_empty());
        let mut drafts = std::mem::take(&mut batch.drafts);
        if has_row {
            let id = new_id();
            match batch
                .row
                .draft(&self.tenant.name, id, self.router.wall_ms())
            {
                // Before what it leads to: a prefix of the batch is then no promise without reason.
                Ok(row) => drafts.insert(0, row),
                Err(error) => tracing::error!(%error, "a desk's row cannot be written"),
            }
        }
        let outcomes = match drafts.is_empty() {
            true => Vec::new(),
            false => self.router.submit_all(drafts).await,
        };
        let mut outcomes = outcomes.into_iter();
        if has_row {
            match outcomes.next() {
                Some(Submission::Decided(Verdict::New(row))) => {
                    self.at = At {
                        row: row.seq,
                        id: row.id.to_string(),
                    };
                }
                other => {
                    let problem = problem(other);
                    tracing::error!(tenant = %self.tenant.name, problem, "a desk's row was not stored");
                    for (reply, _) in batch.asked {
                        let _ = reply.send(Err(DeskError::Store(problem.clone())));
                    }
                    let said = batch.said.into_iter().map(|(_, _, reply)| reply);
                    let recalled = batch.recalled.into_iter().map(|(_, reply)| reply);
                    for reply in said.chain(recalled) {
                        let _ = reply.send(Err(DeskError::Store(problem.clone())));
                    }
                    return false;
                }
            }
        }
        self.tell_serving(batch.row.entries.iter().map(|entry| &entry.record));
        let outcomes: Vec<Submission> = outcomes.collect();
        for (at, id, reply) in std::mem::take(&mut batch.said) {
            let _ = reply.send(said(&id, outcomes.get(at)));
        }
        if !batch.recalled.is_empty() {
            self.redact().await;
            self.answer_recalled(std::mem::take(&mut batch.recalled));
        }
        // First the answer, then what follows from it.
        for (reply, answer) in std::mem::take(&mut batch.asked) {
            let _ = reply.send(answer);
        }
        self.emit(batch).await;
        self.send_typed().await;
        if has_row {
            self.tenant.committed(self.at.row);
            self.keep_now_and_then().await;
        }
        self.forget_some();
        true
    }

    /// After a commit of which nobody knows: the machine is made again from the log.
    async fn rebuild(&mut self) {
        self.agents.agree();
        while !self.tenant.inbox.is_closed() {
            match self.follow().await {
                Ok(()) => {
                    if self.catch_up().await {
                        return;
                    }
                }
                Err(error) => tracing::error!(%error, "a desk cannot read its log"),
            }
            tokio::time::sleep(REBUILD_AGAIN).await;
        }
    }
}

/// The first refusal for this asker.
pub(super) fn refusal(after: &[After], asker: impl Fn(Asker) -> bool) -> Option<Refusal> {
    after.iter().find_map(|after| match after {
        After::Do(Action::Refuse(who, why)) if asker(*who) => Some(*why),
        _ => None,
    })
}
