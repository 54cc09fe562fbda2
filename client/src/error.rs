//! What can go wrong, one type for each operation.

use std::io;
use std::path::PathBuf;

use tidings_core::ids::NameError;

/// Why a client could not be started. Servers that cannot be reached are not among the reasons:
/// they are tried again, and [`Event::LinkLost`](crate::Event::LinkLost) tells.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server's address is not `tcp://host:port`, `tls://host:port`, `udp://host:port`,
    /// `ws://host:port/path` or `wss://host:port/path`.
    #[error(
        "`{0}` is not a server address: tcp://H:P, tls://H:P, udp://H:P, ws://H:P/websocket or \
         wss://H:P/websocket"
    )]
    Url(String),
    /// The file with certificates of authorities cannot be used.
    #[error("{path}: {problem}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The user id, device or class breaks a rule.
    #[error("{what} {reason}")]
    Name {
        /// Which of them.
        what: &'static str,
        /// The rule.
        reason: NameError,
    },
    /// A number in the configuration is out of range.
    #[error("{0}")]
    Config(&'static str),
    /// The outbox file cannot be used.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// Why an outbox file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// Another client holds it.
    #[error("outbox {0} is in use by another client")]
    Locked(PathBuf),
    /// It belongs to another user.
    #[error("outbox {path} belongs to user `{owner}`")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// Not an outbox, or damaged in the middle. A torn end, as a crash leaves it, is no damage.
    #[error("outbox {path} is damaged at byte {offset}: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The operating system's error.
    #[error("outbox {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The receiver's address breaks a rule.
    #[error("receiver {0}")]
    Address(NameError),
    /// The message id breaks a rule.
    #[error("message id {0}")]
    Id(NameError),
    /// A message with this id is still on its way.
    #[error("a message with this id is still in the outbox")]
    DuplicateId,
    /// Too long for the transport.
    #[error("the message makes a frame of {bytes} bytes; the limit is {limit} (frame_bytes_max)")]
    TooLong {
        /// Length of the encoded frame.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The outbox has its full number of messages.
    #[error("the outbox is full: {limit} messages (outbox_messages_max)")]
    OutboxFullMessages {
        /// The limit.
        limit: usize,
    },
    /// The outbox has its full number of bytes.
    #[error("the outbox is full: {limit} bytes (outbox_bytes_max)")]
    OutboxFullBytes {
        /// The limit.
        limit: usize,
    },
    /// A message without QoS needs a login, and there is none now.
    #[error("not logged in: a message without QoS is not kept for later")]
    NotLoggedIn,
    /// The login was refused, kicked out or logged out.
    #[error("the login has ended: {0}")]
    Ended(&'static str),
    /// The outbox file could not be written; whether the message survives a restart is unknown.
    #[error("the outbox file cannot be written: {0}")]
    Disk(String),
    /// The client is gone.
    #[error("the client was closed")]
    Closed,
}
