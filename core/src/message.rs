//! A message as the store keeps it and as receivers get it.

use std::sync::Arc;

use crate::ids::{ConversationId, Name};

/// One stored message. Immutable: shared by the store's tail, every window it is in flight in, and
/// the encoded frame cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The log it belongs to.
    pub conversation: ConversationId,
    /// Its number in that log, from 1, without gaps, in order of custody.
    pub seq: u64,
    /// Its place in the order of custody over all conversations of this store.
    pub position: u64,
    /// Time of custody, milliseconds since 1970 UTC: `sm` on the wire.
    pub time_ms: i64,
    /// The user that the sending session is logged in as; `0` for the server.
    pub from: Name,
    /// The address that it was sent to.
    pub to: Name,
    /// The sender's id for it (`fp`).
    pub id: Name,
    /// Application-defined type (`typeu`), opaque.
    pub typeu: i32,
    /// The text (`dataContent`).
    pub body: Box<str>,
}

/// Shared by reference count.
pub type MessageRef = Arc<Message>;
