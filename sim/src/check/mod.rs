//! The promises of `docs/protocol.md`, kept apart from the machine that has to keep them: a second
//! opinion on every commit, every action, everything that reaches a client, and on the end.
//!
//! `ledger` is what is in custody, `links` what may be sent to whom, `question` what an input may
//! lead to. Nothing here looks into the machine: only at what goes in and what comes out.

mod ledger;
mod links;
mod question;

use std::collections::{BTreeMap, BTreeSet};

use tidings_core::custody::Cursor;
use tidings_core::ids::{LinkId, Name};
use tidings_core::session::Transport;
use tidings_core::shard::{Action, Event, SecondLogin};
use tidings_core::wire::mobileimsdk::{Extended, Form, Frame};

use crate::plan::{ClientPlan, Plan};
use crate::world::{Client, Disk, Outgoing};

use ledger::Ledger;
use links::LinkModel;
pub(crate) use links::paid;
pub(crate) use question::Question;

/// A message may kill a client so often in one run: three times before it steps aside, four trials in
/// the time that a run has, and some deaths for which others in flight were blamed.
const DEATHS_MAX: usize = 12;

/// See the module.
#[derive(Debug)]
pub(crate) struct Checker {
    failed: Option<String>,
    ledger: Ledger,
    links: BTreeMap<LinkId, LinkModel>,
    policy: SecondLogin,
    udp_window: usize,
    delivered: usize,
    /// Numbers that arrived on each connection, by conversation.
    arrived: BTreeMap<(usize, String), BTreeSet<u64>>,
    logins: usize,
    /// What was given up for good: user, conversation, number.
    set_aside: BTreeSet<(Name, u64, u64)>,
    /// What may come late and out of order: the same.
    stepped_aside: BTreeSet<(Name, u64, u64)>,
    /// How often a client died of a message, by client, sender and id, and how often the server had
    /// crashed before the first time.
    deaths: BTreeMap<(usize, String, String), (usize, usize)>,
}

impl Checker {
    pub(crate) fn new(plan: &Plan) -> Checker {
        Checker {
            failed: None,
            ledger: Ledger::default(),
            links: BTreeMap::new(),
            policy: plan.config.second_login,
            udp_window: plan.config.udp_window,
            delivered: 0,
            arrived: BTreeMap::new(),
            logins: 0,
            set_aside: BTreeSet::new(),
            stepped_aside: BTreeSet::new(),
            deaths: BTreeMap::new(),
        }
    }

    /// A promise is broken. The first one counts.
    pub(crate) fn fail(&mut self, violation: String) {
        self.failed.get_or_insert(violation);
    }

    fn hold(&mut self, result: Result<(), String>) {
        if let Err(violation) = result {
            self.fail(violation);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.failed.clone()
    }

    pub(crate) fn stored(&self) -> usize {
        self.ledger.stored()
    }

    pub(crate) fn delivered(&self) -> usize {
        self.delivered
    }

    pub(crate) fn logins(&self) -> usize {
        self.logins
    }

    pub(crate) fn group(&mut self, group: &Name, members: &[Name]) {
        self.ledger.set_group(group, members);
    }

    /// A client is about to send this with QoS.
    pub(crate) fn said(&mut self, client: usize, user: &Name, out: &Outgoing) {
        self.ledger.said(client, user, out);
    }

    /// The disk has stored a batch: the same must be the case here.
    pub(crate) fn committed(
        &mut self,
        batch: &[tidings_core::custody::Record],
        verdicts: &[tidings_core::custody::Verdict],
    ) {
        if batch.len() != verdicts.len() {
            return self.fail(format!("{} verdicts on {}", verdicts.len(), batch.len()));
        }
        for (record, verdict) in batch.iter().zip(verdicts) {
            let result = self.ledger.committed(record, verdict);
            self.hold(result);
        }
    }

    /// What a crash would leave is everything that was ever told to be stored, once, in order.
    pub(crate) fn store_matches(&mut self, disk: &Disk) {
        for (key, log) in &self.ledger.logs {
            let stored = disk.durable_log(key);
            let same = stored.len() == log.len()
                && stored
                    .iter()
                    .zip(log)
                    .all(|(s, e)| s.seq == e.message.seq && s == &e.message);
            if !same {
                let (has, owes) = (stored.len(), log.len());
                self.failed.get_or_insert(format!(
                    "stored once and kept: {key:?} has {has} messages instead of {owes}, or others"
                ));
            }
        }
    }

    pub(crate) fn process_died(&mut self) {
        self.links.clear();
        self.ledger.process_died();
    }

    pub(crate) fn link_opened(&mut self, link: LinkId, conn: usize, transport: Transport) {
        if self
            .links
            .insert(link, LinkModel::new(conn, transport))
            .is_some()
        {
            self.fail(format!("the name {link:?} is used twice"));
        }
    }

    pub(crate) fn link_closed(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// What the frame asks, for the judgement of what comes of it.
    pub(crate) fn question(&mut self, link: LinkId, frame: &Frame<'_>, bytes: usize) -> Question {
        if let Some(model) = self.links.get_mut(&link) {
            model.hears(frame, bytes);
        }
        Question::frame(frame)
    }

    /// The machine wants this done.
    pub(crate) fn action(&mut self, action: &Action) {
        let link = match action {
            Action::Send { link, .. }
            | Action::Acknowledge { link, .. }
            | Action::Acknowledged { link, .. }
            | Action::Deliver { link, .. }
            | Action::Close { link, .. }
            | Action::Verify { link, .. }
            | Action::Ask { link, .. }
            | Action::ReadBacklog { link, .. }
            | Action::Load { link, .. }
            | Action::Pause { link }
            | Action::Resume { link } => *link,
            Action::Remember(cursor) => return self.remembered(cursor),
            // Asking and submitting belong to embedding applications, which this world has none of.
            Action::Tell(_) | Action::Submitted { .. } => return,
        };
        if !self.links.contains_key(&link) {
            return self.fail(format!("{link:?} has ended, but: {action:?}"));
        }
        match action {
            Action::Acknowledge {
                id, from, to, seq, ..
            } => {
                let result = self.ledger.acknowledged(to, from, id, *seq);
                self.hold(result);
            }
            Action::Deliver {
                message,
                form,
                again,
                ..
            } => {
                let extended = *form == Form::Extended;
                let result = self.deliver(link, message, extended, *again);
                self.hold(result);
            }
            Action::Close { .. } => {
                self.links.remove(&link);
            }
            _ => {}
        }
    }

    fn deliver(
        &mut self,
        link: LinkId,
        message: &tidings_core::message::MessageRef,
        extended: bool,
        again: bool,
    ) -> Result<(), String> {
        if message.seq > 0 {
            self.ledger.is_durable(message)?;
        }
        let udp_window = self.udp_window;
        let late = |user: &Name| {
            let key = (user.clone(), message.conversation.0, message.seq);
            self.stepped_aside.contains(&key)
        };
        match self.links.get_mut(&link) {
            Some(model) => model.deliver(message, extended, again, (udp_window, late)),
            None => Ok(()),
        }
    }

    /// A cursor moves only over what its device has, or is not owed.
    fn remembered(&mut self, cursor: &Cursor) {
        let result = self.ledger.remembered(cursor, &self.set_aside);
        self.hold(result);
    }

    /// So many bytes leave.
    pub(crate) fn sent(&mut self, link: LinkId, bytes: usize) {
        if let Some(model) = self.links.get_mut(&link) {
            let result = model.sends(bytes);
            self.hold(result);
        }
    }

    /// A message leaves as so many bytes.
    pub(crate) fn frame_length(&mut self, link: LinkId, bytes: usize) {
        if let Some(model) = self.links.get(&link) {
            let result = model.frame_length(bytes);
            self.hold(result);
        }
    }

    pub(crate) fn logged_in(&mut self, link: LinkId, user: &Name, device: &str, plan: &ClientPlan) {
        self.logins += 1;
        if *user != plan.user {
            return self.fail(format!("{} is logged in as {user}", plan.user));
        }
        let class = plan.ours.as_ref().map_or("default", |ours| &ours.class);
        let replaces = self.policy != SecondLogin::Coexist;
        for (other, model) in &self.links {
            let Some((who, their_device, their_class)) = model.identity() else {
                continue;
            };
            let same = their_device == device || (replaces && their_class == class);
            if *other != link && *who == **user && same {
                let text = format!("{user} on {device}/{class} is on {other:?} and {link:?}");
                self.failed.get_or_insert(text);
            }
        }
        if let Some(model) = self.links.get_mut(&link) {
            let result = model.log_in(plan, device);
            self.hold(result);
        }
    }

    pub(crate) fn told(&mut self, event: &Event) {
        match event {
            Event::LoggedOut { link, .. } => {
                let result = match self.links.get_mut(link) {
                    Some(model) => model.log_out(),
                    None => Err(format!("{link:?} logs out after its end")),
                };
                self.hold(result);
            }
            Event::Lost { message, user } => self.given_up(message, user),
            Event::SteppedAside { message, user, .. } => {
                let key = (user.clone(), message.conversation.0, message.seq);
                self.stepped_aside.insert(key);
            }
            Event::SetAside { message, user } => {
                self.given_up(message, user);
                let key = (user.clone(), message.conversation.0, message.seq);
                self.set_aside.insert(key);
            }
            _ => {}
        }
    }

    fn given_up(&mut self, message: &tidings_core::message::MessageRef, user: &Name) {
        for model in self.links.values_mut() {
            model.give_up(message, user);
        }
    }

    /// A client learned that its message is in custody.
    pub(crate) fn sender_told(
        &mut self,
        user: &Name,
        out: &Outgoing,
        seq: Option<u64>,
        poisoned: &BTreeSet<(String, String)>,
    ) {
        if poisoned.contains(&(out.id.clone(), out.to.clone())) {
            return;
        }
        let result = self.ledger.sender_told(user, out, seq);
        self.hold(result);
    }

    /// A message without a number reached a client.
    pub(crate) fn unnumbered(&mut self, plan: &ClientPlan, conn: usize, frame: &Frame<'_>) {
        let from_server = frame.from.as_deref() == Some("0");
        if !from_server && frame.from.is_none() {
            self.fail(format!(
                "{} gets a message from nobody on {conn}",
                plan.user
            ));
        }
    }

    /// A stored message reached a client.
    pub(crate) fn received(
        &mut self,
        client: &Client,
        frame: &Frame<'_>,
        conversation: &str,
        extended: Option<Extended>,
    ) {
        self.delivered += 1;
        let result = self.ledger.received(client, frame, conversation, extended);
        match result {
            Ok(seq) => self.arrives_in_order(client, conversation, seq),
            Err(violation) => self.fail(violation),
        }
    }

    /// A message killed a client. It steps aside the third time and is tried again with pauses that
    /// double, so that not even a client that dies of it each time logs in for ever. What a crash of
    /// the server loses of the count is counted again, and now and then another message in flight is
    /// blamed first.
    pub(crate) fn died(&mut self, client: usize, from: &str, id: &str, crashes: usize) {
        let key = (client, from.to_owned(), id.to_owned());
        let (deaths, before) = self.deaths.entry(key).or_insert((0, crashes));
        *deaths += 1;
        let (deaths, crashes) = (*deaths, crashes - *before);
        if deaths > DEATHS_MAX + 3 * crashes {
            self.fail(format!(
                "logs in for ever: client {client} died {deaths} times of {id} from {from}, \
                 {crashes} crashes"
            ));
        }
    }

    /// On a stream a number that is new on it is above all that came before it.
    fn arrives_in_order(&mut self, client: &Client, conversation: &str, seq: u64) {
        let Some(conn) = client.conn else { return };
        let arrived = self
            .arrived
            .entry((conn, conversation.to_owned()))
            .or_default();
        let last = arrived.last().copied().unwrap_or(0);
        let late = self.stepped_aside.iter();
        let late = late.filter(|(user, _, at)| *user == client.plan.user && *at == seq);
        let may_be_late = late.count() > 0;
        if arrived.insert(seq)
            && seq < last
            && client.plan.transport != Transport::Udp
            && !may_be_late
        {
            let user = &client.plan.user;
            self.fail(format!(
                "in order: {user} receives {seq} after {last} in {conversation:?}"
            ));
        }
    }

    /// Everything has settled: each device that is online has everything that it is owed.
    pub(crate) fn settled(&mut self, clients: &[Client]) {
        for (at, client) in clients.iter().enumerate() {
            if client.enabled && !client.plan.mute {
                let result = self.ledger.complete(at, client, &self.set_aside);
                self.hold(result);
            }
        }
    }
}
