//! Making the machine again from the log, and deciding about what came while nobody did.

use std::collections::HashMap;
use std::sync::Arc;

use tidings_core::desk::{AgentId, AgentStatus, Desk, Entry, EpisodeId, Event, Record};
use tidings_core::ids::{ConversationId, pair_key};
use tidings_core::message::MessageRef;

use super::Tenant;
use super::driver::{Batch, CHATS_MIN, Chat, Driver, REBUILD_AGAIN};
use super::former::Former;
use super::recall::Unredacted;
use super::row::{Row, log_key};
use super::snapshot::At;
use crate::router::Router;
use crate::store::{Conversation, Page, Store, StoreError};

/// Messages that are read at a time.
const PAGE: usize = 1000;

impl Driver {
    /// Makes the machine again: as it was kept last, and what the tenant's log has since.
    pub(super) async fn follow(&mut self) -> Result<(), StoreError> {
        let key = log_key(&self.tenant.name);
        self.forget_everything();
        self.take_up().await?;
        loop {
            let (router, key, after) = (self.router.clone(), key.clone(), self.at.row);
            let page = Page::After(after, PAGE);
            let store = move || router.store().history(&key, page);
            let rows = self.router.blocking(store).await?;
            let Some(last) = rows.last() else {
                break;
            };
            self.at = At {
                row: last.seq,
                id: last.id.to_string(),
            };
            let mut entries = Vec::new();
            for message in &rows {
                entries.extend(self.read_row(message)?);
            }
            self.desk = std::mem::take(&mut self.desk).go_on(&entries);
            self.forget_some();
        }
        // Whoever recalled something may have been cut off before its text was gone.
        self.redact().await;
        self.wind();
        let desk = &self.desk;
        self.read
            .retain(|(episode, _), _| desk.stage(*episode).is_some());
        self.forget_ended();
        self.tell_serving_all();
        Ok(())
    }

    /// What a row says beside its transitions is learned; those are returned.
    fn read_row(&mut self, message: &MessageRef) -> Result<Vec<Entry>, StoreError> {
        let row: Row = serde_json::from_str(&message.body).map_err(|error| {
            let reason = format!("row {} of {}: {error}", message.seq, message.from);
            let path = self.tenant.name.to_string();
            StoreError::Corrupt { path, reason }
        })?;
        self.upto = self.upto.max(row.upto);
        let who = row.who.into_iter().map(|known| {
            let chat = Chat {
                conversation: known.conversation,
                customer: (*known.customer).into(),
                address: (*known.team).into(),
            };
            (known.conversation, chat)
        });
        let who: HashMap<ConversationId, Chat> = who.collect();
        for entry in &row.entries {
            self.learn_again(&entry.record, &who);
        }
        for (agent, episode, seq) in row.read {
            self.read.insert((EpisodeId(episode), AgentId(agent)), seq);
        }
        Ok(row.entries)
    }

    /// [`Driver::learn`], with the names from the log.
    fn learn_again(&mut self, record: &Record, who: &HashMap<ConversationId, Chat>) {
        if let Record::Opened { conversation, .. } = record {
            let Some(chat) = who.get(conversation) else {
                return;
            };
            let known = self.customers.entry(chat.customer.clone()).or_default();
            known.push(*conversation);
            self.tenant.meet(&chat.customer);
            self.opening = Some(chat.clone());
        }
        self.learn(record);
        self.opening = None;
    }

    fn forget_everything(&mut self) {
        self.chats.clear();
        for customer in self.customers.keys() {
            self.tenant.part(customer);
        }
        self.customers.clear();
        self.former = Former::default();
        self.read.clear();
        self.unwritten.clear();
        self.unredacted = Unredacted::default();
        self.hours_change_ms = Some(0); // to be looked at
        self.desk = Desk::new();
        self.at = At::default();
        self.kept_row = 0;
        self.upto = 0;
    }

    /// Now and then, when there are many: see [`Driver::forget_ended`].
    pub(super) fn forget_some(&mut self) {
        if self.chats.len() > self.chats_max {
            self.forget_ended();
            self.chats_max = CHATS_MIN.max(2 * self.chats.len());
        }
    }

    /// Names of episodes that nobody can speak of any more.
    pub(super) fn forget_ended(&mut self) {
        let desk = &self.desk;
        let known = |id| desk.stage(id).is_some() || desk.ended(id).is_some();
        let forgotten = self.chats.extract_if(|id, _| !known(*id));
        let forgotten: Vec<_> = forgotten
            .map(|(id, chat)| (id, chat.conversation))
            .collect();
        self.forget_serving(&forgotten);
    }

    /// Decides about every message that is in custody and was not decided about. False if that
    /// could not be stored, or the store not read.
    pub(super) async fn catch_up(&mut self) -> bool {
        let messages = match self.undecided().await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::error!(%error, "a desk cannot read what its customers wrote");
                return false;
            }
        };
        for portion in messages.chunks(tidings_core::limits::DESK_BATCH_MAX) {
            let mut batch = Batch::default();
            for message in portion {
                self.message(message, &mut batch);
            }
            if !self.finish(batch).await {
                return false;
            }
        }
        let batch = self.agree();
        self.finish(batch).await
    }

    /// The machine learns which agents have a session, after it was made again.
    fn agree(&mut self) -> Batch {
        let mut batch = Batch::default();
        for agent in self.agents.present() {
            let known = self
                .desk
                .agent(agent)
                .map(|known| (known.live, known.status));
            if let Some((false, status)) = known {
                let status = match status {
                    AgentStatus::Offline => AgentStatus::Online,
                    status => status,
                };
                self.step(Event::Bind(agent, status), &mut batch);
            }
        }
        batch
    }

    /// What lies beyond `upto`, in order of custody.
    async fn undecided(&self) -> Result<Vec<MessageRef>, StoreError> {
        // What customers write, and what agents command.
        let teams = self.roster.teams.keys().map(|team| format!("@{team}"));
        let agents = self.roster.agents.keys().map(|agent| agent.to_string());
        let sides: Vec<String> = teams.chain(agents).collect();
        let (router, upto) = (self.router.clone(), self.upto);
        let read = move || {
            let store = &**router.store();
            let mut end = 0;
            for side in &sides {
                let newest = store.conversations(side, u64::MAX, 1)?;
                end = newest.iter().map(|c| c.last.position).fold(end, u64::max);
            }
            // What is in custody up to `end` is seen now; what comes later waits in the inbox.
            let mut found = Vec::new();
            for side in &sides {
                for conversation in behind(store, side, upto)? {
                    let peer = &conversation.peer;
                    if side.starts_with('@') || peer.starts_with('@') && peer.contains('/') {
                        newer(store, &pair_key(side, peer), upto, &mut found)?;
                    }
                }
            }
            found.retain(|message| message.position <= end);
            Ok(found)
        };
        let mut found = self.router.blocking(read).await?;
        found.sort_by_key(|message| message.position);
        Ok(found)
    }
}

/// A driver that stands where the one before it stopped. If what a start leads to cannot be stored now,
/// as on a full disk, it stands still until it can: the server serves everybody else.
pub(super) async fn started(
    tenant: Arc<Tenant>,
    router: Arc<Router>,
) -> Result<Driver, StoreError> {
    let roster = tenant.roster();
    let mut driver = Driver::new(tenant, router, roster);
    driver.follow().await?;
    driver.opened = driver.open().await;
    Ok(driver)
}

impl Driver {
    /// Decides and stores what a start leads to; false if it could not be stored.
    async fn open(&mut self) -> bool {
        if !self.catch_up().await {
            return false;
        }
        let wall_ms = self.router.wall_ms();
        let mut batch = Batch::default();
        if self.at.row > 0 {
            self.step(Event::Restarted, &mut batch);
        }
        let now = i64::try_from(self.now().0).unwrap_or(i64::MAX);
        if self.desk.wall_ahead_ms() != wall_ms - now {
            self.step(Event::WallClock(wall_ms - now), &mut batch);
        }
        self.set_up(&mut batch);
        self.finish(batch).await
    }

    /// The same again and again until it is stored.
    pub(super) async fn open_at_last(&mut self) {
        while !self.opened && !self.tenant.inbox.is_closed() {
            tokio::time::sleep(REBUILD_AGAIN).await;
            match self.follow().await {
                Ok(()) => self.opened = self.open().await,
                Err(error) => tracing::error!(%error, "a desk cannot read its log"),
            }
        }
    }
}

/// The conversations of a team with something beyond a position.
fn behind(store: &dyn Store, team: &str, upto: u64) -> Result<Vec<Conversation>, StoreError> {
    let mut found: Vec<Conversation> = Vec::new();
    loop {
        let before = found.last().map_or(u64::MAX, |last| last.last.position);
        let page = store.conversations(team, before, PAGE)?;
        let newer = page.into_iter().take_while(|c| c.last.position > upto);
        let known = found.len();
        found.extend(newer);
        if found.len() < known + PAGE {
            return Ok(found);
        }
    }
}

/// The messages of a conversation beyond a position.
fn newer(
    store: &dyn Store,
    key: &str,
    upto: u64,
    found: &mut Vec<MessageRef>,
) -> Result<(), StoreError> {
    let mut before = u64::MAX;
    loop {
        let page = store.history(key, Page::Before(before, PAGE))?;
        let Some(first) = page.first() else {
            return Ok(());
        };
        before = first.seq;
        let goes_on = first.position > upto;
        found.extend(page.into_iter().filter(|m| m.position > upto));
        if !goes_on {
            return Ok(());
        }
    }
}
