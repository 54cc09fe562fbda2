//! What the machine is told once, and the values it takes and gives.

use tidings_core::ids::Name;
use tidings_core::wire::mobileimsdk::login::Declared;
use tidings_core::wire::mobileimsdk::{Extended, Frame};

use super::Seen;
use crate::error::SendError;
use crate::event::Event;

/// Everything that shapes a machine's behaviour.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who logs in.
    pub user: Name,
    /// His proof.
    pub token: Option<String>,
    /// For the application on the server.
    pub extra: Option<String>,
    /// What the login declares in the member `tidings`; none leaves the member out.
    pub declared: Option<Declared>,
    /// Time between two signs of life.
    pub heartbeat_ms: u64,
    /// A link from which nothing is heard for so long is given up.
    pub loss_ms: u64,
    /// Longest time for a link to come up.
    pub connect_ms: u64,
    /// Longest time for the answer to a login.
    pub login_ms: u64,
    /// The login is sent again after this, on transports that lose.
    pub login_resend_ms: Option<u64>,
    /// Longest wait between two attempts to log in.
    pub backoff_ms_max: u64,
    /// A message that is not acknowledged is sent again after this.
    pub resend_ms: u64,
    /// Times that a message is sent again before it is given up; none: never given up.
    pub retries: Option<u32>,
    /// Messages in flight.
    pub window: usize,
    /// Messages in flight to one receiver: 1 keeps the order on transports that lose.
    pub window_per_receiver: usize,
    /// Events that the application has not taken; nothing is read from the link beyond.
    pub events_max: usize,
    /// Ids of taken messages that are remembered.
    pub remembered_max: usize,
    /// Messages in the outbox; refused beyond.
    pub outbox_messages_max: usize,
    /// Bytes in the outbox; refused beyond.
    pub outbox_bytes_max: usize,
    /// Longest frame; a message that makes a longer one is refused.
    pub frame_bytes_max: usize,
    /// Whether a journal is kept: then messages are accepted, and others acknowledged, only once
    /// their record is on disk.
    pub durable: bool,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id, new in this client.
    pub id: Name,
    /// The address.
    pub to: Name,
    /// Application-defined type; −1 for none.
    pub typeu: i32,
    /// Whether it is to be acknowledged, and kept until then.
    pub qos: bool,
    /// The text.
    pub text: String,
}

impl Outgoing {
    /// Bytes that it counts for in the outbox.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + self.id.len() + self.to.len()
    }
}

/// What a journal keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A message was handed over. To be on disk before the sender is told.
    Queued {
        /// Its number in the outbox.
        order: u64,
        /// The message.
        message: Outgoing,
    },
    /// A message needs no more care. May reach the disk late: it would be sent once more.
    Done {
        /// Its number in the outbox.
        order: u64,
    },
    /// A message was taken by the application. To be on disk before it is acknowledged.
    Seen(Seen),
}

/// What a journal gave back at start.
#[derive(Debug, Default)]
pub struct Restored {
    /// Messages that need care, by their numbers, ascending.
    pub queued: Vec<(u64, Outgoing)>,
    /// Messages that were taken, oldest first.
    pub seen: Vec<Seen>,
}

/// What happens to a machine.
#[derive(Debug)]
pub enum Input {
    /// Begin, or begin again after the login ended, as a fresh login.
    LogIn {
        /// A new token, if it changed.
        token: Option<String>,
    },
    /// End the login.
    LogOut,
    /// The link that was asked for is up.
    Connected,
    /// A frame came in.
    Frame(Frame<'static>, Option<Extended>),
    /// The other side was heard without a frame, as by a WebSocket pong.
    Heard,
    /// The link that was asked for is gone or did not come up.
    Closed(String),
    /// The application hands over a message.
    Send {
        /// Comes back with the answer.
        ticket: u64,
        /// The message.
        message: Outgoing,
    },
    /// The application took all events up to this number.
    Taken(u64),
    /// The application takes no more events, ever.
    Deaf,
    /// All records up to this number are on disk.
    Journaled(u64),
    /// The records up to this number could not be written.
    JournalFailed(u64, String),
    /// Time has passed.
    Tick,
}

/// What a machine wants done, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a link; answer with [`Input::Connected`] or [`Input::Closed`].
    Connect,
    /// Drop the link after what was transmitted; nothing more is to be heard from it.
    Close,
    /// Send a frame.
    Transmit(Frame<'static>),
    /// Tell the application; it answers with [`Input::Taken`].
    Event(u64, Event),
    /// Write a record; answer with [`Input::Journaled`] or [`Input::JournalFailed`].
    Journal(u64, Record),
    /// The message with this ticket is in the outbox.
    Accepted(u64),
    /// The message with this ticket was not taken.
    Rejected(u64, SendError),
}
