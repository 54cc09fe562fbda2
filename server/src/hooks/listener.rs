//! What an application implements.

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tidings_core::custody::Draft;
use tidings_core::ids::{LinkId, Name};
use tidings_core::message::MessageRef;
use tidings_core::session::Transport;
use tidings_core::shard::CloseReason;

use crate::desk::sink::DeskEvent;

/// A LOGIN to be verified. Its `Debug` hides the token.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginRequest {
    /// Who he says he is. Already checked to be a possible user id.
    pub user: Name,
    /// His proof. Never log it.
    pub token: String,
    /// Whatever the client's application sent along.
    pub extra: Option<String>,
    /// By which transport he came.
    pub transport: Transport,
    /// From where; `None` for a link inside this process.
    pub address: Option<SocketAddr>,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest")
            .field("user", &self.user)
            .field("transport", &self.transport)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A login that succeeded, as long as it lasts and in the notice of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Tells two sessions apart; never used again while the server runs.
    pub link: LinkId,
    /// Who.
    pub user: Name,
    /// On which installation; `default` unless his client declared one.
    pub device: Name,
    /// Of which class; `default` unless his client declared one.
    pub class: Name,
    /// By which transport.
    pub transport: Transport,
    /// From where; `None` for a link inside this process.
    pub address: Option<SocketAddr>,
    /// When he logged in, milliseconds since 1970 UTC.
    pub since_ms: i64,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// MobileIMSDK's word for it: −1 not kicked, 1 logged in elsewhere, 2 by an administrator,
    /// above 100 the application's own.
    pub kick_code: i32,
    /// Ours; `None` if the connection went away by itself.
    pub reason: Option<CloseReason>,
}

/// A message that a client wants to send, before it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proposed {
    /// Whose session sent it: verified, unlike what the frame says.
    pub from: Name,
    /// A user, `#group`, or `0`.
    pub to: Name,
    /// The sender's id for it; empty if it has none (only without QoS).
    pub id: Name,
    /// Application-defined type.
    pub typeu: i32,
    /// The text.
    pub text: Box<str>,
    /// It is to be kept, acknowledged and delivered; otherwise it goes to whoever is live.
    pub qos: bool,
    /// The session's link.
    pub link: LinkId,
}

impl Proposed {
    pub(super) fn new(link: LinkId, draft: Draft, qos: bool) -> Proposed {
        Proposed {
            from: draft.from,
            to: draft.to,
            id: draft.id,
            typeu: draft.typeu,
            text: draft.body,
            qos,
            link,
        }
    }
}

/// The answer of a before-hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Take it as it is.
    Take,
    /// Take it with this content instead. It must still fit a frame, or its sender is refused.
    Change {
        /// Application-defined type.
        typeu: i32,
        /// The text.
        text: String,
    },
    /// Do not take it, and tell the sender so in a type-52 frame.
    Refuse {
        /// At least 1025; a smaller one is the framework's and becomes 1025.
        code: i32,
        /// For people.
        text: String,
    },
    /// Do not take it and say nothing: MobileIMSDK's way. A sender who wants it acknowledged sends
    /// it twice more and then reports it lost.
    Drop,
}

/// A message to `0` was not dealt with: it must be handed over again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not now: hand it over again")]
pub struct NotNow;

/// Which messages the before-hooks are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asks {
    /// [`Listener::before_client_to_server`].
    pub client_to_server: bool,
    /// [`Listener::before_client_to_client`].
    pub client_to_client: bool,
}

impl Asks {
    /// About everything that clients send.
    pub const ALL: Asks = Asks {
        client_to_server: true,
        client_to_client: true,
    };
    /// About nothing.
    pub const NONE: Asks = Asks {
        client_to_server: false,
        client_to_client: false,
    };
}

/// What an application wants to decide and to know: MobileIMSDK's `ServerEventListener` and
/// `MessageQoSEventListenerS2C` in one.
///
/// Every method has a default, so implement those that you need, as plain `async fn`. Three kinds:
///
/// - **Questions** ([`verify_login`](Listener::verify_login), `before_…`): one session waits for the
///   answer, all others go on. An answer that is not there after `hooks.timeout_ms`, or a panic,
///   refuses: with code 320, "try again later".
/// - **Messages to the server** ([`message_to_server`](Listener::message_to_server)): each is
///   handed over until it is taken, in order per sender, from a cursor that survives restarts.
/// - **Notices** (all others): one after the other in the order in which things happened, on a task
///   of their own. At most 4096 wait; a listener that is slower loses the oldest and is told how
///   many by [`missed`](Listener::missed). Nobody's message waits for a notice. A notice that takes
///   longer than `hooks.timeout_ms` is cut off.
///
/// Calls come from a Tokio runtime. Do not block in them.
#[allow(unused_variables)]
pub trait Listener: Send + Sync + 'static {
    /// Is he who he says he is? Answer 0, or a code of at least 1025 that the client is told.
    ///
    /// Once per LOGIN frame that `auth` in the configuration let pass; also for a later LOGIN on a
    /// session that has one. Not for [`Handle::connect`](crate::Handle::connect) without a token.
    /// The client gets its answer, and what it sent behind the LOGIN is looked at, only then.
    fn verify_login(&self, login: &LoginRequest) -> impl Future<Output = i32> + Send {
        ready(0)
    }

    /// May this message to `0` be taken, and as what?
    ///
    /// Once per copy that arrives, before it is stored and acknowledged: a sender who missed our
    /// acknowledgement sends again and you are asked again. Answer the same, because one id with
    /// two contents is refused with code 311.
    fn before_client_to_server(&self, message: &Proposed) -> impl Future<Output = Before> + Send {
        ready(Before::Take)
    }

    /// The same for messages to users and groups.
    fn before_client_to_client(&self, message: &Proposed) -> impl Future<Output = Before> + Send {
        ready(Before::Take)
    }

    /// Asked once, at start. A question that is not asked costs nothing; one that is asked costs
    /// every message a task and every session its pipelining. So a listener that implements neither
    /// before-hook should answer [`Asks::NONE`].
    fn asks(&self) -> Asks {
        Asks::ALL
    }

    /// A message to `0`.
    ///
    /// With QoS: it is stored, and its sender has been told so. It is handed over until the answer
    /// is `Ok`, at least once, also after a restart; meanwhile later messages *of this
    /// conversation* wait, others do not. `Err`, a panic, or no answer in time: again after 100 ms,
    /// doubling to 30 s. To get rid of a message that you will never be able to take, note it down
    /// and answer `Ok`. A message may come a second time after a crash: its `(from, id)` is the
    /// same.
    ///
    /// Without QoS (`message.seq` is 0): handed over once, whatever the answer.
    fn message_to_server(
        &self,
        message: &MessageRef,
    ) -> impl Future<Output = Result<(), NotNow>> + Send {
        ready(Ok(()))
    }

    /// Notice: a login succeeded. Once per login, also when a client comes back by itself.
    fn logged_in(&self, session: &Arc<SessionInfo>) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Notice: a session ended. Exactly once for each [`logged_in`](Listener::logged_in), also for
    /// a session that was kicked because its user logged in elsewhere.
    fn logged_out(
        &self,
        session: &Arc<SessionInfo>,
        ended: Ended,
    ) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Notice: a message between clients was put on its way to somebody. With QoS it is in custody,
    /// and of this and [`not_deliverable_now`](Listener::not_deliverable_now) exactly one comes,
    /// once, however often it is sent.
    fn message_relayed(&self, message: &MessageRef) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Notice: nobody is online who could get this message. Once per message. With QoS this means
    /// *not in real time*: it is in custody and comes at the receiver's next login (a good moment
    /// for a push notification). Without, it is gone. There is nothing to answer: the sender has
    /// his acknowledgement.
    fn not_deliverable_now(&self, message: &MessageRef) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Notice: a device of `user` acknowledged a message from `0`. Once per device.
    fn acknowledged(&self, message: &MessageRef, user: &Name) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Notice: a session of `user` did not acknowledge a message from `0` in spite of all its
    /// sends. Once per session. The message stays in custody and comes at the next login.
    fn lost(&self, message: &MessageRef, user: &Name) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Notice: a message, whoever sent it, seems to end the links of a device of `user`: `ends` of
    /// them ended right after it was sent. Those behind it go on; it is tried again later, alone.
    fn stepped_aside(
        &self,
        message: &MessageRef,
        user: &Name,
        ends: u32,
    ) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Notice: a message, whoever sent it, is no longer sent to a device of `user` that left it
    /// unanswered in three logins in a row, or whose links ended after it in spite of ten trials.
    /// History keeps it.
    fn set_aside(&self, message: &MessageRef, user: &Name) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// What became of a conversation of a desk, for whoever keeps records of his own. In order for
    /// each tenant, from a cursor on disk: an event that is not taken (an error, a time-out, a
    /// panic) is told again, and after a crash the last ones may come twice.
    fn desk_event(
        &self,
        tenant: &Name,
        event: &DeskEvent,
    ) -> impl Future<Output = Result<(), NotNow>> + Send {
        ready(Ok(()))
    }

    /// Notice: this listener was too slow, and so many notices before the next one were dropped.
    /// Who is online can be asked of [`Handle::online`](crate::Handle::online).
    fn missed(&self, notices: u64) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// An answer under way.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Listener`] behind a pointer, so that the server need not be generic.
pub(super) trait AnyListener: Send + Sync + 'static {
    fn verify_login<'a>(&'a self, login: &'a LoginRequest) -> Boxed<'a, i32>;
    fn before<'a>(&'a self, message: &'a Proposed) -> Boxed<'a, Before>;
    fn message_to_server<'a>(&'a self, message: &'a MessageRef) -> Boxed<'a, Result<(), NotNow>>;
    fn desk_event<'a>(
        &'a self,
        tenant: &'a Name,
        event: &'a DeskEvent,
    ) -> Boxed<'a, Result<(), NotNow>>;
    fn notice<'a>(&'a self, notice: &'a Notice) -> Boxed<'a, ()>;
}

/// Something that a listener is told.
#[derive(Debug, Clone)]
pub(super) enum Notice {
    LoggedIn(Arc<SessionInfo>),
    LoggedOut(Arc<SessionInfo>, Ended),
    Relayed(MessageRef),
    NotDeliverableNow(MessageRef),
    Acknowledged(MessageRef, Name),
    Lost(MessageRef, Name),
    SteppedAside(MessageRef, Name, u32),
    SetAside(MessageRef, Name),
    Missed(u64),
}

impl<L: Listener> AnyListener for L {
    fn verify_login<'a>(&'a self, login: &'a LoginRequest) -> Boxed<'a, i32> {
        Box::pin(Listener::verify_login(self, login))
    }

    fn before<'a>(&'a self, message: &'a Proposed) -> Boxed<'a, Before> {
        if *message.to == *tidings_core::ids::SERVER {
            Box::pin(self.before_client_to_server(message))
        } else {
            Box::pin(self.before_client_to_client(message))
        }
    }

    fn message_to_server<'a>(&'a self, message: &'a MessageRef) -> Boxed<'a, Result<(), NotNow>> {
        Box::pin(Listener::message_to_server(self, message))
    }

    fn desk_event<'a>(
        &'a self,
        tenant: &'a Name,
        event: &'a DeskEvent,
    ) -> Boxed<'a, Result<(), NotNow>> {
        Box::pin(Listener::desk_event(self, tenant, event))
    }

    fn notice<'a>(&'a self, notice: &'a Notice) -> Boxed<'a, ()> {
        match notice {
            Notice::LoggedIn(session) => Box::pin(self.logged_in(session)),
            Notice::LoggedOut(session, ended) => Box::pin(self.logged_out(session, *ended)),
            Notice::Relayed(message) => Box::pin(self.message_relayed(message)),
            Notice::NotDeliverableNow(message) => Box::pin(self.not_deliverable_now(message)),
            Notice::Acknowledged(message, user) => Box::pin(self.acknowledged(message, user)),
            Notice::Lost(message, user) => Box::pin(self.lost(message, user)),
            Notice::SteppedAside(message, user, ends) => {
                Box::pin(self.stepped_aside(message, user, *ends))
            }
            Notice::SetAside(message, user) => Box::pin(self.set_aside(message, user)),
            Notice::Missed(count) => Box::pin(self.missed(*count)),
        }
    }
}
