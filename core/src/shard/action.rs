//! What the shard wants done: its whole output.

use super::Submission;
use crate::custody::{Cursor, Draft, Want};
use crate::ids::{DeviceId, LinkId, Name};
use crate::message::MessageRef;
use crate::secret::Secret;
use crate::session::Transport;
use crate::wire::mobileimsdk::{Form, Frame};

/// What the driver must do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send a control frame.
    Send {
        /// To whom.
        link: LinkId,
        /// What. Its `sm` is filled by the driver.
        frame: Box<Frame<'static>>,
    },
    /// Acknowledge a message to its sender: in the receiver's name, as MobileIMSDK clients expect.
    Acknowledge {
        /// To whom.
        link: LinkId,
        /// The message's id.
        id: Name,
        /// The receiver, who seems to acknowledge.
        from: Name,
        /// The sender, who is told.
        to: Name,
        /// Its number and its time of custody.
        seq: u64,
        /// Milliseconds since 1970 UTC.
        time_ms: i64,
        /// The session declared the extension.
        extended: bool,
    },
    /// Send a message (`QoS` if it has a number).
    Deliver {
        /// To whom.
        link: LinkId,
        /// What.
        message: MessageRef,
        /// How it is written.
        form: Form,
        /// Sent before: pointless if the first copy still waits in the outbox.
        again: bool,
    },
    /// Close a link once everything before this is sent. It is unknown to the shard from now on.
    Close {
        /// Which.
        link: LinkId,
        /// For the log and WebSocket's close frame.
        reason: CloseReason,
    },
    /// Ask whether these credentials are right; answer with [`Input::Verified`].
    Verify {
        /// On whose behalf.
        link: LinkId,
        /// Who he says he is.
        user: Name,
        /// His proof.
        token: Secret,
        /// Whatever the application sends along.
        extra: Option<String>,
    },
    /// Remember a cursor, at leisure.
    Remember(Cursor),
    /// A session has acknowledged a message; for whoever follows it. What counts is the cursor.
    Acknowledged {
        /// By whom.
        link: LinkId,
        /// What.
        message: MessageRef,
    },
    /// Read what lies behind; answer with [`Input::Backlog`].
    ReadBacklog {
        /// For which link.
        link: LinkId,
        /// Whose.
        user: Name,
        /// Which of his devices.
        device: DeviceId,
    },
    /// Load messages; answer with [`Input::Loaded`].
    Load {
        /// For which link.
        link: LinkId,
        /// What.
        wants: Vec<Want>,
        /// How many at most.
        messages_max: usize,
    },
    /// Do not read this link until [`Action::Resume`]: it has enough messages without a verdict.
    Pause {
        /// Which.
        link: LinkId,
    },
    /// Read this link again.
    Resume {
        /// Which.
        link: LinkId,
    },
    /// Ask the application before this message is taken; answer with [`Input::Answered`]. Until
    /// then what the session sends after it waits. Only as [`Config::ask_before`] says.
    Ask {
        /// On whose behalf.
        link: LinkId,
        /// The message; without `QoS` its id may be empty.
        draft: Box<Draft>,
        /// Whether it would be kept.
        qos: bool,
    },
    /// What became of an [`Input::Submit`].
    Submitted {
        /// The caller's number for it.
        ticket: u64,
        /// Its fate.
        outcome: Submission,
    },
    /// Something that the application may want to know.
    Tell(Event),
}

/// Why a link was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client logged out.
    Logout,
    /// The other end closed it, or the network did.
    Gone,
    /// Silent for too long.
    Idle,
    /// Silent while something was in flight.
    Unresponsive,
    /// Did not log in in time.
    LoginTimeout,
    /// Its login was refused.
    LoginRefused,
    /// A frame that demands a login came before one.
    NotLoggedIn,
    /// Something that is no frame, before a login.
    BadFrame,
    /// Another session of this user took its place.
    Replaced,
    /// The same login came back on another link.
    Superseded,
    /// An operator or the application ended it.
    Kicked,
    /// What it was let in with has ended.
    Expired,
    /// The store could not be read or written for it.
    Store,
    /// Too many frames while its login was being decided.
    TooManyHeld,
}

/// What the application may want to know. None of these is needed for a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A login succeeded.
    LoggedIn {
        /// Who.
        user: Name,
        /// On which device.
        device: Name,
        /// On which link.
        link: LinkId,
        /// By which transport.
        transport: Transport,
    },
    /// A session ended. Told once for each `LoggedIn`.
    LoggedOut {
        /// Who.
        user: Name,
        /// On which link.
        link: LinkId,
        /// MobileIMSDK's kick code; −1 if it was not kicked.
        kick_code: i32,
    },
    /// A message is in custody, and no session of its receiver is online. Once per message.
    NotDeliverableNow(MessageRef),
    /// A message was put on its way to at least one session of its receiver. Once per message (if
    /// it is in custody: when it was taken); not for messages from or to `0`. Only with
    /// [`Config::tell_relayed`].
    Relayed(MessageRef),
    /// A message from or to an `@` address is in custody. Once per message, in order of custody.
    Desk(MessageRef),
    /// A device acknowledged a message from the server.
    Received {
        /// Which.
        message: MessageRef,
        /// Who.
        user: Name,
    },
    /// A message ran through all its sends of a login; it stays in custody.
    Lost {
        /// Which.
        message: MessageRef,
        /// Who did not answer.
        user: Name,
    },
    /// Links of a device ended right after this message was sent: it steps aside for those behind it,
    /// and is tried again later, alone.
    SteppedAside {
        /// Which.
        message: MessageRef,
        /// Whose device.
        user: Name,
        /// So many links.
        ends: u32,
    },
    /// A message is no longer sent to a device that never answers it; history keeps it.
    SetAside {
        /// Which.
        message: MessageRef,
        /// Who did not answer.
        user: Name,
    },
}
