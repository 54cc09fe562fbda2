//! Storage listeners: who is told, once and in order, what became of conversations.
//!
//! Each follows the tenant's log by itself, from a cursor that is on disk, so that one that fails
//! or is slow holds up neither a conversation nor the other. The *database* writes tables of
//! `desk.db`, each row of the log in one transaction with its cursor: exactly once. The
//! application's listener ([`Listener::desk_event`](crate::Listener::desk_event)) is told until it
//! takes an event: at least once, and only after a crash twice.

mod database;
mod translate;

use std::sync::Arc;
use std::time::Duration;

use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::message::MessageRef;

use super::Tenant;
use super::directory::Directory;
use super::row::{Row, log_key};
use super::snapshot::{self, At};
use crate::hooks::Hooks;
use crate::router::Router;
use crate::store::{Page, StoreError};
use translate::Translator;

pub(super) use database::TYPE_NOTE;

/// Rows of the log that are read at a time.
const PAGE: usize = 500;
/// Before a listener that failed is asked again, and the longest that this wait becomes.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// How an agent's part of an episode ended: OCIM's closeType.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseType {
    /// "1": the customer closed it, or gave up waiting.
    Customer,
    /// "2": the agent.
    Agent,
    /// "3": nobody wrote for too long, or the agent was lost.
    System,
    /// "4": it was transferred.
    Transfer,
}

impl CloseType {
    /// OCIM's number.
    #[must_use]
    pub fn to_ocim(self) -> u8 {
        match self {
            CloseType::Customer => 1,
            CloseType::Agent => 2,
            CloseType::System => 3,
            CloseType::Transfer => 4,
        }
    }
}

/// Who wrote: OCIM's ownerType.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// "1".
    Customer,
    /// "2".
    Agent,
    /// "3": greetings.
    Automatic,
}

impl Owner {
    /// OCIM's number.
    #[must_use]
    pub fn to_ocim(self) -> u8 {
        match self {
            Owner::Customer => 1,
            Owner::Agent => 2,
            Owner::Automatic => 3,
        }
    }
}

/// One line of a conversation: OCIM's ChatRecord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRecord {
    /// The episode.
    pub episode: u64,
    /// Its number in the conversation's log.
    pub seq: u64,
    /// Its author's id for it: OCIM's messageId.
    pub id: String,
    /// Who wrote.
    pub owner: Owner,
    /// The customer, or the agent's account; the team for what is automatic.
    pub author: Name,
    /// Its `typeu`.
    pub typeu: i32,
    /// Whoever was to get it was away.
    pub offline: bool,
    /// The text.
    pub text: String,
    /// When it was taken into custody, milliseconds since 1970 UTC.
    pub time_ms: i64,
}

/// What a storage listener is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeskEvent {
    /// A customer waits: an episode began, or goes on with somebody else.
    Opened {
        /// The episode.
        episode: u64,
        /// Counts the agents of an episode, from 0.
        part: u32,
        /// Who.
        customer: Name,
        /// For which team, without its `@`.
        team: Name,
        /// When, milliseconds since 1970 UTC.
        time_ms: i64,
    },
    /// An agent serves him.
    Assigned {
        /// The episode.
        episode: u64,
        /// Its part.
        part: u32,
        /// The agent's account.
        agent: Name,
        /// How he got it: `automatic`, `former`, `accepted`, `pulled`, `transferred`, `taken_over`.
        how: &'static str,
        /// What the customer waited for it, milliseconds.
        waited_ms: u64,
        /// When.
        time_ms: i64,
    },
    /// Somebody wrote.
    Message(ChatRecord),
    /// A message was recalled.
    Recalled {
        /// The episode.
        episode: u64,
        /// The message.
        seq: u64,
    },
    /// The part ended.
    Ended {
        /// The episode.
        episode: u64,
        /// Its part.
        part: u32,
        /// How.
        close: CloseType,
        /// When.
        time_ms: i64,
    },
    /// The customer rated the episode.
    Rated {
        /// The episode.
        episode: u64,
        /// 1 to 5.
        stars: u8,
        /// What he wrote.
        text: String,
    },
    /// An agent came, went or changed his status: OCIM's WaiterLog.
    Agent {
        /// His account.
        agent: Name,
        /// 1 login, 2 change of status, 3 logout.
        kind: u8,
        /// OCIM's WaiterStatus.
        status: &'static str,
        /// When.
        time_ms: i64,
    },
}

/// Where events go.
#[derive(Clone)]
pub(super) enum Sink {
    /// Tables of `desk.db`.
    Database,
    /// The application.
    Listener(Arc<Hooks>),
}

impl Sink {
    fn name(&self) -> &'static str {
        match self {
            Sink::Database => "database",
            Sink::Listener(_) => "listener",
        }
    }
}

/// How far a listener has come.
struct Place {
    translator: Translator,
    /// Up to here the translator has read.
    at: At,
    /// Up to here the listener has been told.
    cursor: u64,
    /// The row behind which the translator was kept last.
    kept_row: u64,
}

/// Follows one tenant's log for one listener, until the server stops.
pub(super) struct Follower {
    pub(super) sink: Sink,
    pub(super) tenant: Arc<Tenant>,
    pub(super) router: Arc<Router>,
}

impl Follower {
    /// Runs until the tenant's driver ends.
    pub(super) async fn run(self) {
        let mut rows = self.tenant.rows.subscribe();
        let mut wait = AGAIN;
        let mut place = None;
        while !self.tenant.inbox.is_closed() {
            match self.advance(&mut place).await {
                Ok(true) => wait = AGAIN,
                Ok(false) => {
                    wait = AGAIN;
                    // Looked at now and then, so that the end is noticed.
                    let _ = tokio::time::timeout(Duration::from_millis(500), rows.changed()).await;
                }
                Err(problem) => {
                    let sink = self.sink.name();
                    tracing::error!(sink, tenant = %self.tenant.name, problem, "a storage listener failed; it is tried again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(AGAIN_MAX);
                    // What the translator had begun is begun anew.
                    place = None;
                }
            }
        }
        if let Some(mut place) = place {
            self.keep(&mut place).await;
        }
    }

    /// Where it stands: its cursor, and the translator as it was kept at or before that.
    async fn place(&self) -> Result<Place, String> {
        let cursor = self.with(database::cursor).await?;
        let (tenant, router) = (&self.tenant, &self.router);
        let kept = snapshot::load::<Translator>(tenant, router, self.sink.name()).await;
        let kept = kept.map_err(|e| e.to_string())?;
        let (at, translator) = kept.filter(|(at, _)| at.row <= cursor).unwrap_or_default();
        Ok(Place {
            kept_row: at.row,
            at,
            translator,
            cursor,
        })
    }

    async fn keep(&self, place: &mut Place) {
        if place.at.row == place.kept_row {
            return;
        }
        let (what, translator) = (self.sink.name(), place.translator.clone());
        snapshot::keep(&self.tenant, what, &place.at, translator).await;
        place.kept_row = place.at.row;
    }

    /// Some rows on; false if there are none.
    async fn advance(&self, place: &mut Option<Place>) -> Result<bool, String> {
        let place = match place {
            Some(place) => place,
            None => place.insert(self.place().await?),
        };
        let rows = self.rows(place.at.row).await.map_err(|e| e.to_string())?;
        let roster = self.tenant.roster();
        for message in &rows {
            let row: Row = serde_json::from_str(&message.body).map_err(|e| e.to_string())?;
            let is_new = message.seq > place.cursor;
            let router = is_new.then_some(&*self.router);
            let events = place
                .translator
                .row(&row, message.position, router, &roster)
                .await
                .map_err(|e| e.to_string())?;
            if is_new {
                self.hand_over(message.seq, events).await?;
                place.cursor = message.seq;
            }
            place.at = At {
                row: message.seq,
                id: message.id.to_string(),
            };
            if place.at.row >= place.kept_row + limits::DESK_SNAPSHOT_ROWS {
                self.keep(place).await;
            }
        }
        Ok(!rows.is_empty())
    }

    async fn rows(&self, after: u64) -> Result<Vec<MessageRef>, StoreError> {
        let (store, key) = (self.router.store().clone(), log_key(&self.tenant.name));
        let read = move || store.history(&key, Page::After(after, PAGE));
        self.router.blocking(read).await
    }

    async fn hand_over(&self, seq: u64, events: Vec<DeskEvent>) -> Result<(), String> {
        if let Sink::Listener(hooks) = &self.sink {
            for event in events {
                if !hooks.desk_event(self.tenant.name.clone(), event).await {
                    return Err("the application did not take an event".to_owned());
                }
            }
            return self
                .with(move |db, sink, tenant| database::write(db, (sink, tenant), seq, &[]))
                .await;
        }
        self.with(move |db, sink, tenant| database::write(db, (sink, tenant), seq, &events))
            .await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection, &str, &str) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let directory: Arc<Directory> = self.tenant.directory.clone();
        let (sink, tenant) = (self.sink.name(), self.tenant.name.clone());
        let done = move || directory.with(|db| work(db, sink, &tenant));
        let done = tokio::task::spawn_blocking(done).await;
        done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }
}
