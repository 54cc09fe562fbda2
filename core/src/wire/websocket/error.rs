//! Why a peer's bytes break RFC 6455, and what to tell it.

/// Why a connection must be closed. [`Self::code`] and the text go into our close frame; the text
/// is never longer than the 123 bytes that fit there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A reserved bit is set; no extension was agreed on (RFC 6455 §5.2).
    #[error("reserved bits are set")]
    ReservedBits,
    /// An opcode without a meaning (RFC 6455 §5.2).
    #[error("opcode {0} is reserved")]
    ReservedOpcode(u8),
    /// A client's frame without a mask (RFC 6455 §5.1).
    #[error("a client's frame is not masked")]
    NotMasked,
    /// A server's frame with a mask (RFC 6455 §5.1).
    #[error("a server's frame is masked")]
    Masked,
    /// The length is not written in its shortest form, or above 2^63 (RFC 6455 §5.2).
    #[error("the length is not in its shortest form")]
    LengthForm,
    /// A control frame above 125 bytes (RFC 6455 §5.5).
    #[error("a control frame says more than 125 bytes")]
    ControlTooLong,
    /// A control frame in fragments (RFC 6455 §5.5).
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// A continuation of nothing (RFC 6455 §5.4).
    #[error("a continuation without a message")]
    NothingToContinue,
    /// A new message inside a fragmented one (RFC 6455 §5.4).
    #[error("a new message inside a fragmented one")]
    Unfinished,
    /// A close frame of one byte (RFC 6455 §5.5.1).
    #[error("a close frame of one byte")]
    CloseTooShort,
    /// A close code that must not be sent (RFC 6455 §7.4).
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// Text, or a close reason, that is not UTF-8 (RFC 6455 §8.1).
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A message above the limit.
    #[error("a message of {length} bytes; at most {max} are taken")]
    TooLong {
        /// What the headers so far say, in bytes.
        length: u64,
        /// The limit, in bytes.
        max: usize,
    },
}

impl ProtocolError {
    /// The close code to send: 1002, 1007 or 1009 (RFC 6455 §7.4.1).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            ProtocolError::NotUtf8 => 1007,
            ProtocolError::TooLong { .. } => 1009,
            _ => 1002,
        }
    }
}
