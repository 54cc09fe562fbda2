//! Where messages are kept. One trait in words of the domain; `memory` and `sqlite` behind it; one
//! contract suite (`contract`) that every implementation passes. `plan`, `tail`, `chain`, `people`,
//! `cursors` and `merge` are what both share. `seal` watches over the small files beside.
//!
//! Does not decide who gets what: that is `core`. Called by the committer (`commit`), the loader
//! (`backlog`, `load`) and the public handle (`history`, groups). Never calls anybody.

mod chain;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod cursors;
mod look;
mod memory;
mod merge;
#[cfg(test)]
mod model_tests;
mod people;
mod plan;
pub(crate) mod seal;
mod sqlite;
mod tail;

pub use look::{Checked, Device, Profile, Receipt, Search, Size};
pub use memory::{MemoryOptions, MemoryStore};
pub use sqlite::{SqliteOptions, SqliteStore, lock_directory};
pub(crate) use sqlite::{ahead_is_whole, explain, loss, open_database, remove_shared_memory};

use std::path::Path;

use serde::{Deserialize, Serialize};
use tidings_core::custody::{Backlog, Cursor, Loaded, Record, Verdict, Want};
use tidings_core::ids::{DeviceId, Name, conversation_members};
use tidings_core::message::{Message, MessageRef};

/// A store of messages, logins, devices and cursors.
///
/// Methods block, on the disk or a network; they are called on threads made for that, except those
/// that say that they do not block. All of them may be called from several threads at once.
pub trait Store: Send + Sync + 'static {
    /// Takes a batch into custody in one transaction, and pushes one verdict per record, in order.
    /// When this returns `Ok`, everything with [`Verdict::New`] is as durable as configured and
    /// visible to every later `backlog`, `load` and `history`.
    ///
    /// Records of one batch see each other: a duplicate within the batch is a `Duplicate`.
    ///
    /// # Errors
    /// Nothing in the batch was acknowledged, `verdicts` is as it was. Nothing of it is stored,
    /// unless [the outcome is unknown](StoreError::is_outcome_unknown): then the same batch may be
    /// given again, and what was stored the first time is a `Duplicate`.
    fn commit(&self, batch: &[Record], verdicts: &mut Vec<Verdict>) -> Result<(), StoreError>;

    /// Moves cursors. Visible at once to `backlog`, durable with a later commit or `flush`; a crash
    /// before loses the move, and the messages are delivered again. Does not block.
    fn acknowledge(&self, cursors: &mut Vec<Cursor>);

    /// Writes what `acknowledge` left in memory, and lets indexes follow the log. Called when the
    /// store has been idle for half a second, and once at the end.
    ///
    /// # Errors
    /// If a commit would fail now, as far as that can be known; or if that could not be written:
    /// nothing is lost in memory, it is tried again.
    fn flush(&self) -> Result<(), StoreError>;

    /// What lies behind the heads for a device of a user.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn backlog(&self, user: &str, device: DeviceId) -> Result<Backlog, StoreError>;

    /// The oldest messages of the wanted parts, at most `messages_max` and about `bytes_max` of
    /// bodies (one at least, if there is one).
    ///
    /// # Errors
    /// If the store cannot be read.
    fn load(
        &self,
        wants: &[Want],
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Loaded, StoreError>;

    /// The same from memory alone: `None` if something would have to be read. Does not block.
    fn load_recent(&self, wants: &[Want], messages_max: usize, bytes_max: usize) -> Option<Loaded>;

    /// A page of a conversation, by number: all of it that there is, however long the page. Whoever
    /// asks for somebody outside limits it; inside, a reader reads on until it is done.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn history(&self, conversation_key: &str, page: Page) -> Result<Vec<MessageRef>, StoreError>;

    /// The first `limit` conversations of a user whose last message lies before the position
    /// `before` (`u64::MAX`: from the newest), those with the newest message first. The next page
    /// begins before the position of the last one's message; a conversation that something is
    /// written in meanwhile moves to the front.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn conversations(
        &self,
        user: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Conversation>, StoreError>;

    /// Makes a group have exactly these members; without members it is removed. Its messages stay.
    ///
    /// # Errors
    /// If it cannot be stored.
    fn set_group(&self, group: &str, members: &[Name]) -> Result<(), StoreError>;

    /// The members of a group, `None` if there is no such group.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn group(&self, group: &str) -> Result<Option<Vec<Name>>, StoreError>;

    /// The groups, by name, above `after`, each with how many members it has.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn groups(&self, after: &str, limit: usize) -> Result<Vec<(Name, usize)>, StoreError>;

    /// Removes messages taken into custody before `before_ms`, but none that a device seen since
    /// `devices_since_ms` has not acknowledged. Works in bounded steps.
    ///
    /// # Errors
    /// If it cannot be stored; what was removed stays removed.
    fn retain(&self, before_ms: i64, devices_since_ms: i64) -> Result<Retained, StoreError>;

    /// Takes the text out of a message for good; number, id and names stay. Without something
    /// `instead` it is empty then and the message gets the `typeu`
    /// [`DESK_RECALLED`](tidings_core::wire::code::DESK_RECALLED). What is on its way to somebody is
    /// not called back. `false` if there is no such message; once more changes nothing.
    ///
    /// The old text is in no file of the store a moment later: how soon is said in
    /// `docs/operations.md`.
    ///
    /// # Errors
    /// If it cannot be stored.
    fn redact(
        &self,
        conversation_key: &str,
        seq: u64,
        instead: Option<&str>,
    ) -> Result<bool, StoreError>;

    /// The messages with an id, the newest first, at most
    /// [`SEARCH_FOUND_MAX`](tidings_core::limits::SEARCH_FOUND_MAX). Without sender and receiver
    /// only a part of the store is looked through: the newest
    /// [`SEARCH_MESSAGES_MAX`](tidings_core::limits::SEARCH_MESSAGES_MAX), and those around the time
    /// that a UUID of version 7 names.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn find(&self, search: &Search) -> Result<Vec<MessageRef>, StoreError>;

    /// The users who have ever logged in, by name, above `after`.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn users(&self, after: &str, limit: usize) -> Result<Vec<Name>, StoreError>;

    /// What is known of a user; `None` if he never logged in.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn profile(&self, user: &str) -> Result<Option<Profile>, StoreError>;

    /// How far each device of a user is in a message's conversation.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn receipts(&self, user: &str, message: &Message) -> Result<Vec<Receipt>, StoreError>;

    /// How much it holds.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn size(&self) -> Result<Size, StoreError>;

    /// Copies everything that was in custody when it was called into a directory that is there, as
    /// files from which [`crate::admin::restore`] makes a store again; commits go on meanwhile.
    /// What the copy is made of is synced when this returns.
    ///
    /// # Errors
    /// If this kind of store is not copied by us, or the copy cannot be written; what lies in the
    /// directory is of no use then.
    fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("backed up"))
    }

    /// Looks at everything that was in custody when it was called: whether it is what was written,
    /// numbers have no gaps, and the indexes know it. Takes as long as reading it all.
    ///
    /// # Errors
    /// If this kind of store is not checked by us, or it cannot be read at all. What is found to be
    /// wrong is no error.
    fn check(&self) -> Result<Checked, StoreError> {
        Err(StoreError::Unsupported("checked"))
    }

    /// True if `commit` returns without waiting for a disk, so that it can be called in line.
    fn is_immediate(&self) -> bool;
}

/// What one step of [`Store::retain`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Messages that went.
    pub removed: u64,
    /// There may be more to remove: call it again.
    pub more: bool,
}

/// Which part of a conversation `history` returns; always ascending by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The last `limit` messages below this number (`u64::MAX`: the newest).
    Before(u64, usize),
    /// The first `limit` messages above this number.
    After(u64, usize),
}

/// A conversation as a user sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The other user, the group, or `0`.
    pub peer: Name,
    /// The last number in it.
    pub head: u64,
    /// The user's furthest cursor in it, over his devices.
    pub acked: u64,
    /// Its last message.
    pub last: MessageRef,
}

/// What an acknowledgement means: `delivery.durability` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// On disk, synced: survives a power cut.
    #[default]
    Disk,
    /// Given to the operating system: survives a killed process, not a power cut.
    Os,
    /// In memory, bounded, lost at exit.
    Memory,
}

impl std::str::FromStr for Durability {
    type Err = String;
    fn from_str(name: &str) -> Result<Durability, String> {
        match name {
            "disk" => Ok(Durability::Disk),
            "os" => Ok(Durability::Os),
            "memory" => Ok(Durability::Memory),
            _ => Err(format!("{name:?} is not a durability: disk, os or memory")),
        }
    }
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Durability::Disk => "disk",
            Durability::Os => "os",
            Durability::Memory => "memory",
        })
    }
}

/// A message as [`Store::redact`] leaves it.
fn redacted(message: &Message, instead: Option<&str>) -> Message {
    let typeu = match instead {
        Some(_) => message.typeu,
        None => tidings_core::wire::code::DESK_RECALLED,
    };
    Message {
        typeu,
        body: instead.unwrap_or_default().into(),
        ..message.clone()
    }
}

/// A desk's own log: it is needed whole.
fn is_needed(message: &Message) -> bool {
    message.typeu == tidings_core::wire::code::DESK_RECORD && message.from == message.to
}

/// How a conversation is called in the list of `user`.
fn peer(key: &str, user: &str) -> Name {
    match conversation_members(key) {
        (low, Some(high)) if low == user => high.into(),
        (low, _) => low.into(),
    }
}

/// What can go wrong with a store. Each says what an operator has to do.
///
/// Of a commit, everything but [`StoreError::OutcomeUnknown`] is definite: nothing of the batch is
/// stored, now or after a restart.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; nothing that was acknowledged is affected.
    #[error("the disk that holds {path} is full: free some space; messages are refused until then")]
    DiskFull {
        /// The data directory.
        path: String,
    },
    /// The data directory or a file in it cannot be written.
    #[error("{path} cannot be written: {reason}; check its owner, its permissions and the mount")]
    NotWritable {
        /// What cannot be written.
        path: String,
        /// As the system says it.
        reason: String,
    },
    /// The files are not what was written.
    #[error("{path} is damaged: {reason}; restore a backup, or move the file away to keep it")]
    Corrupt {
        /// Which file.
        path: String,
        /// As the database says it.
        reason: String,
    },
    /// The disk, or what connects it, does not do what it is asked.
    #[error(
        "the disk that holds {path} fails: {reason}; the data may be whole: look into the system's \
         log (dmesg) for what the disk says, copy the directory to another disk, and start on that"
    )]
    DiskFails {
        /// The data directory.
        path: String,
        /// As the database or the system says it.
        reason: String,
    },
    /// The process has as many files open as it may.
    #[error(
        "{path} cannot be opened: {reason}; raise the limit of open files (LimitNOFILE= in a \
         systemd unit, ulimit -n in a shell) and restart"
    )]
    NoDescriptors {
        /// Which file.
        path: String,
        /// As the system says it.
        reason: String,
    },
    /// The data directory, or a file in it, was deleted or replaced while it is in use.
    #[error(
        "{path} was deleted, moved or replaced while the server uses it: put it back as it was, or \
         restart the server, which then begins with what is there; nothing is taken until then"
    )]
    Gone {
        /// Which file.
        path: String,
    },
    /// The log ends before what was acknowledged, or is not the one that it was.
    #[error(
        "{path} is damaged: {reason}. Keep a copy of the whole directory, then restore a backup, or \
         start once with `tidings serve --accept-loss` to go on without what is missing"
    )]
    Loss {
        /// Which file.
        path: String,
        /// What is missing, and how that is known.
        reason: String,
    },
    /// The disk did not say whether a commit reached it. The same batch may be committed again: what
    /// was stored is then a duplicate.
    #[error(
        "{path}: it is not known whether the last commit reached the disk: {reason}; it is repeated \
         until the disk answers, and nobody is told anything before. If this goes on, look into the \
         system's log (dmesg) for what the disk says; a restart is safe"
    )]
    OutcomeUnknown {
        /// The data directory.
        path: String,
        /// As the database says it.
        reason: String,
    },
    /// Another process uses the data directory.
    #[error("{path} is in use by another tidings process: stop it, or give each its own --data")]
    Locked {
        /// The data directory.
        path: String,
    },
    /// Something that this kind of store does not do.
    #[error("a store of this kind cannot be {0}: only one in a data directory can")]
    Unsupported(&'static str),
    /// Anything else, probably passing.
    #[error(
        "the store does not answer: {0}; try again, and look into the log if that does not help"
    )]
    Unavailable(String),
}

impl StoreError {
    /// What whoever sent a message that cannot be stored is told: where it lies, and what the system
    /// says, is the operator's business.
    #[must_use]
    pub fn to_senders(&self) -> &'static str {
        match self {
            StoreError::DiskFull { .. } => "the server's disk is full; try again later",
            _ => "the server cannot store messages now; try again later",
        }
    }

    /// True if what was to be committed may be stored or not: only a repetition can tell.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, StoreError::OutcomeUnknown { .. })
    }
}
