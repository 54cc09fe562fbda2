//! One connection as the server sees it, before, during and after its login.
//!
//! What lives here: phases of a login, the rhythm of heartbeats, who the session speaks for. What
//! does not: which sessions a user has and who is kicked (`shard`), what it receives (`delivery`).

mod rhythm;
mod unproven;

pub use rhythm::{Rhythm, Sense, SenseError};
pub use unproven::Path;
pub(crate) use unproven::Unproven;

use std::collections::VecDeque;

use crate::delivery::{Flow, WindowRules};
use crate::ids::{self, ConversationId, DeviceId, Name};
use crate::limits;
use crate::time::Time;
use crate::wire::mobileimsdk::Frame;
use crate::wire::mobileimsdk::login::Login;

/// How a session is connected: what may be sent to it, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Length-prefixed frames over TCP.
    Tcp,
    /// One datagram a frame; the address proves nothing until it acknowledges.
    Udp,
    /// One text frame a frame.
    WebSocket,
    /// A link inside this process: the embedding application, tests.
    Local,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::WebSocket => "ws",
            Transport::Local => "local",
        })
    }
}

/// Who a session speaks for, once the store has granted its login.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) user: Name,
    pub(crate) device_name: Name,
    pub(crate) class: Name,
    pub(crate) device: DeviceId,
    pub(crate) first_login_time: i64,
    /// It declared the extension: frames to it carry `id`, `seq`, `time`.
    pub(crate) extended: bool,
    /// It wants to see what its user sends from other devices.
    pub(crate) own: bool,
    /// It wants to see what a desk tells beside its messages.
    pub(crate) desk: bool,
    /// The session ends then; `Time(u64::MAX)` is never.
    pub(crate) until: Time,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody yet.
    Anonymous,
    /// Somebody; what lies behind is being read.
    Loading,
    /// Somebody; everything committed from now on reaches it.
    Live,
}

/// A login under way, and the frames that wait for its outcome.
#[derive(Debug)]
pub(crate) struct Entering {
    pub(crate) login: Login,
    /// Each with its length on the wire.
    pub(crate) held: Vec<(Frame<'static>, usize)>,
    /// Their lengths, together.
    pub(crate) held_bytes: usize,
    /// Until when it is let in; `Time(u64::MAX)` is for ever, and until that is known.
    pub(crate) until: Time,
}

/// A message that the application is asked about, and the frames that wait for the answer.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) from: Name,
    pub(crate) to: Name,
    pub(crate) id: Name,
    pub(crate) qos: bool,
    pub(crate) held: VecDeque<(Frame<'static>, usize)>,
    /// The link was told not to read on.
    pub(crate) paused: bool,
}

/// One link and what is known of it. Small: there are a hundred thousand of them, mostly idle.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) transport: Transport,
    pub(crate) phase: Phase,
    /// Until an acknowledgement comes back over UDP, and the address is known to be real.
    pub(crate) unproven: Option<Box<Unproven>>,
    /// The one notice about messages too large for this transport was sent.
    pub(crate) noticed: bool,
    /// Its link was told not to read on.
    pub(crate) saturated: bool,
    /// It acknowledged something in this batch.
    pub(crate) acknowledged: bool,
    /// Its backlog is being read.
    pub(crate) reading: bool,
    /// What is being read is out of date already: it must be read once more.
    pub(crate) reread: bool,
    /// While its backlog is being read: the shard's count of messages to groups when that began.
    /// Afterwards: verdicts that the shard must have seen before a finished conversation is
    /// forgotten, because the backlog may have shown messages whose verdicts are still on their way.
    pub(crate) mark: u64,
    /// Messages without a verdict.
    pub(crate) undecided: u16,
    pub(crate) rhythm: Rhythm,
    /// The earliest entry for this session in the shard's deadlines.
    pub(crate) check_at: Time,
    pub(crate) identity: Option<Box<Identity>>,
    pub(crate) entering: Option<Box<Entering>>,
    /// A message that the application is asked about.
    pub(crate) asking: Option<Box<Asking>>,
    /// What it has to receive; `None` while it stands at every head.
    pub(crate) flow: Option<Box<Flow>>,
    /// Groups whose messages it gets.
    pub(crate) groups: Box<[Name]>,
    /// Its own messages that moved its cursor, not yet told to the store: one conversation, up to
    /// this number.
    pub(crate) own: Option<(ConversationId, u64)>,
}

impl Session {
    pub(crate) fn new(now: Time, transport: Transport, path: Path) -> Session {
        Session {
            transport,
            phase: Phase::Anonymous,
            unproven: (transport == Transport::Udp).then(|| Box::new(Unproven::new(path))),
            noticed: false,
            saturated: false,
            acknowledged: false,
            reading: false,
            reread: false,
            mark: 0,
            undecided: 0,
            rhythm: Rhythm::new(now),
            check_at: Time(u64::MAX),
            identity: None,
            entering: None,
            asking: None,
            flow: None,
            groups: Box::default(),
            own: None,
        }
    }

    /// Its link can be left unread: what follows waits in the network.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.transport, Transport::Tcp | Transport::WebSocket)
    }

    /// Nothing is against reading its link.
    pub(crate) fn may_be_read(&self) -> bool {
        let asking = self.asking.as_ref().is_some_and(|asking| asking.paused);
        let entering = self.entering.is_some() && self.is_stream();
        !self.saturated && !asking && !entering
    }

    /// The application's own session: it takes what is sent to `0`.
    pub(crate) fn is_listener(&self) -> bool {
        let user = self.identity.as_ref().map(|i| &*i.user);
        self.transport == Transport::Local && user == Some(ids::SERVER)
    }

    /// True while a conversation in which nothing is left to do must not be forgotten.
    pub(crate) fn keeps(&self, decided: u64) -> bool {
        self.reading || decided < self.mark
    }

    pub(crate) fn window(&self, udp_per_conversation: usize) -> WindowRules {
        let (messages_max, per_conversation_max) = match self.transport {
            Transport::Udp if self.unproven.is_some() => (1, 1),
            Transport::Udp => (limits::WINDOW_MESSAGES_MAX, udp_per_conversation),
            Transport::Local if self.is_listener() => (
                limits::WINDOW_MESSAGES_MAX,
                limits::LISTENER_PER_CONVERSATION_MAX,
            ),
            _ => (limits::WINDOW_MESSAGES_MAX, limits::WINDOW_MESSAGES_MAX),
        };
        WindowRules {
            messages_max,
            bytes_max: limits::WINDOW_BYTES_MAX,
            per_conversation_max,
        }
    }
}
