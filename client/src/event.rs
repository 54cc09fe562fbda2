//! What the application is told.

use tidings_core::ids::Name;

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Who sent it: a user, or `0` for the server.
    pub from: Name,
    /// The address that it was sent to: this user, or a group of his.
    pub to: Name,
    /// The sender's id for it; empty only for messages without QoS.
    pub id: Name,
    /// Its number in its conversation, if the server speaks the extensions.
    pub seq: Option<u64>,
    /// When the server took custody, milliseconds since 1970 UTC, if the server says so.
    pub time_ms: Option<i64>,
    /// Application-defined type, opaque; −1 if the sender set none.
    pub typeu: i32,
    /// The text.
    pub text: String,
}

/// Something that happened, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Logged in; at every re-login again.
    LoggedIn {
        /// Whether the server speaks the extensions: messages then carry `seq` and `time_ms`.
        extended: bool,
    },
    /// The server refused the login. There is no further attempt until
    /// [`Client::log_in`](crate::Client::log_in) is called.
    Refused {
        /// The server's code; an application's own ones are 1025 and above.
        code: i32,
    },
    /// A link ended or could not be made. The client tries again by itself.
    LinkLost {
        /// For people.
        reason: String,
    },
    /// A message for this user.
    Message(Incoming),
    /// The server took custody of a message (a MobileIMSDK server: handed it on).
    Acknowledged {
        /// Its id, as `send` returned it.
        id: Name,
        /// Its number in its conversation, if the server says so.
        seq: Option<u64>,
    },
    /// A message is given up: the server refused it for good, or, without an outbox file, did not
    /// acknowledge it after all retries. In the second case it may have arrived all the same.
    Lost {
        /// Its id, as `send` returned it.
        id: Name,
    },
    /// The server ended this login. There is no further attempt until
    /// [`Client::log_in`](crate::Client::log_in) is called.
    Kicked {
        /// 1: the same user logged in elsewhere; 2: by an administrator; above 100: the
        /// application's own.
        code: i32,
        /// For people.
        reason: Option<String>,
    },
    /// The server reported an error.
    Error {
        /// The server's code.
        code: i32,
        /// For people.
        text: String,
    },
}
