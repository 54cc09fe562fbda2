//! What the shard says about one session and one message.

/// How much may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRules {
    /// Messages in all.
    pub messages_max: usize,
    /// Bytes of bodies in all; one message always fits.
    pub bytes_max: usize,
    /// Messages of one conversation.
    pub per_conversation_max: usize,
}

/// What is to become of a message that is next in its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// Send it.
    Send,
    /// It needs no sending: the device's own.
    Settle,
    /// It cannot be sent on this transport; it stays unacknowledged for another.
    Leave,
}
