//! What the machines ask of a store and what it answers: records in, verdicts out.
//!
//! The machine decides *that* something is to be kept; the store alone decides what becomes of it,
//! because only the store knows what is on disk. The trait that does the work is the server's
//! (`server/src/store`); these are its words.

use crate::ids::{ConversationId, DeviceId, Name};
use crate::message::MessageRef;

/// Something to be made durable. One batch is one transaction and one sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A message to take into custody.
    Message(Draft),
    /// A login to be arbitrated and remembered.
    Login(LoginRecord),
}

/// A message that the store has not numbered yet.
///
/// *The same message* is the same `(from, to, id)`; the same content is the same `typeu` and
/// `body`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The user that the sending session is logged in as; `0` for the server.
    pub from: Name,
    /// A user, `0`, `#group` or `@team`: already checked by [`crate::ids::Address::parse`].
    pub to: Name,
    /// The sender's id for it: already checked by [`crate::ids::check_message_id`].
    pub id: Name,
    /// Application-defined type.
    pub typeu: i32,
    /// The text.
    pub body: Box<str>,
    /// When the server decided to take it, milliseconds since 1970 UTC.
    pub time_ms: i64,
}

/// A login whose credentials were accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRecord {
    /// Who.
    pub user: Name,
    /// Which installation; `default` unless the client declared one.
    pub device: Name,
    /// Its class; `default` unless declared.
    pub class: Name,
    /// The `firstLoginTime` that the client presented; 0 or less for a fresh login.
    pub presented: i64,
    /// Wall clock, milliseconds since 1970 UTC.
    pub now_ms: i64,
}

/// The store's answer to one record, in the order of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored, numbered, on disk.
    New(MessageRef),
    /// It was stored before, with the same content: as this.
    Duplicate(MessageRef),
    /// Another message with this key, but other content, is stored.
    Conflict,
    /// Not stored, and repeating will not help until something changes.
    Refused(Refusal),
    /// The login is remembered.
    Login(Grant),
}

/// Why a record was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The group does not exist.
    #[error("there is no such group")]
    NoGroup,
    /// The sender is not a member of the group.
    #[error("only members can send to this group")]
    NotMember,
    /// The receiver's conversations, or the store as a whole, hold as much as they may.
    #[error("full: {limit} is {max}")]
    Full {
        /// The limit's name in the configuration.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// What is stored of its conversation, group or user is damaged; others are not affected.
    #[error("what is stored of this conversation is damaged: the operator's log says what")]
    Damaged,
}

/// What a login was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The device's number, new at its first login.
    pub device: DeviceId,
    /// The value to answer and to arbitrate with: the presented one if the store issued it to this
    /// user and class before, else a new one, greater than every one issued to this user.
    pub first_login_time: i64,
    /// The presented value was one that the store had issued.
    pub issued_before: bool,
}

/// How far a device has acknowledged a conversation. Absolute, so that the last one wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Whose.
    pub device: DeviceId,
    /// Of which log.
    pub conversation: ConversationId,
    /// Everything up to this number is acknowledged (or the device's own, or set aside).
    pub acked: u64,
    /// Numbers above `acked` that are acknowledged too, ascending, at most
    /// [`crate::limits::CURSOR_SPARSE_MAX`].
    pub sparse: Vec<u64>,
    /// What the device was sent and did not answer, by number ascending, at most
    /// [`crate::limits::CURSOR_SPARSE_MAX`].
    pub unanswered: Vec<Unanswered>,
}

/// A message that a device was sent in earlier logins and never acknowledged.
///
/// All of it is kept with the cursor, over logins and, like the cursor, over a restart: what a crash
/// loses of it is counted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unanswered {
    /// Its number.
    pub seq: u64,
    /// Logins in a row in which it ran through all its sends.
    pub logins: u32,
    /// Links that ended shortly after it was sent.
    pub ends: u32,
    /// When it is tried again, alone, once [`Unanswered::is_aside`]: milliseconds since 1970 UTC.
    pub again_ms: i64,
}

impl Unanswered {
    /// Whether it lets those behind it pass, and is tried alone.
    #[must_use]
    pub fn is_aside(&self) -> bool {
        self.ends >= crate::limits::LINK_ENDS_MAX
    }

    /// Whether links ended right after it, but not so many that it steps aside.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.ends > 0 && !self.is_aside()
    }
}

/// What lies behind the heads for one device, found at login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Conversations with something that the device has not acknowledged, by `next` ascending.
    pub behind: Vec<Behind>,
    /// The groups that the user is in.
    pub groups: Vec<Name>,
    /// The last position that was looked at. What lies up to it and is not in `behind` is
    /// acknowledged; of what lies above it nothing is said.
    pub upto: u64,
}

/// One conversation that a device has not acknowledged to its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The device's cursor in it.
    pub cursor: Cursor,
    /// The last number in it.
    pub head: u64,
    /// The position of the first message above `cursor.acked`.
    pub next: u64,
}

/// A part of a conversation to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Which log.
    pub conversation: ConversationId,
    /// Numbers above this…
    pub after: u64,
    /// …up to this one.
    pub upto: u64,
}

/// What a load found: messages of all wanted conversations, by position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// By position ascending, so that older comes before newer. Numbers may be missing where
    /// retention removed messages.
    pub messages: Vec<MessageRef>,
    /// For each want, in its order: the position of its first message that is not in `messages`,
    /// or `None` if nothing is left up to its end.
    pub next: Vec<Option<u64>>,
}
