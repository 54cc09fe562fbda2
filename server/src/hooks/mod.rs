//! The application's say: what it is asked, handed and told (`docs/embedding.md`).
//!
//! - `listener`: the trait that applications implement
//! - `notices`: the bounded queue of what they are told
//! - `inbox`: the session of user `0`, which hands messages over
//!
//! Not here: deciding anything. Called by `router`, never under its lock except to put something in
//! a queue; without a listener none of it exists.

mod inbox;
mod listener;
mod notices;

pub use listener::{Asks, Before, Ended, Listener, LoginRequest, NotNow, Proposed, SessionInfo};

pub(crate) use inbox::Inbox;

use std::sync::Arc;
use std::time::Duration;

use tidings_core::custody::Draft;
use tidings_core::ids::{LinkId, Name, SERVER};
use tidings_core::message::MessageRef;
use tidings_core::shard::{Answer, AskBefore, CloseReason, Event};
use tidings_core::wire::code;

use crate::desk::sink::DeskEvent;
use listener::{AnyListener, Notice};
use notices::Notices;

/// A listener and everything that waits for it.
pub(crate) struct Hooks {
    listener: Arc<dyn AnyListener>,
    asks: Asks,
    timeout: Duration,
    notices: Notices,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Something happened, together with what followed at once.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) event: Event,
    /// Why a link was closed, for [`Event::LoggedOut`].
    pub(crate) closed: Option<CloseReason>,
    /// Who logged in, for [`Event::LoggedIn`].
    pub(crate) session: Option<Arc<SessionInfo>>,
}

impl Hooks {
    pub(crate) fn new(listener: impl Listener, timeout: Duration) -> Arc<Hooks> {
        let asks = listener.asks();
        Arc::new(Hooks {
            listener: Arc::new(listener),
            asks,
            timeout,
            notices: Notices::default(),
        })
    }

    pub(crate) fn ask_before(&self) -> AskBefore {
        AskBefore {
            to_server: self.asks.client_to_server,
            to_clients: self.asks.client_to_client,
        }
    }

    /// Runs one call on a task of its own: it may hang or panic, and takes nobody along. `None`:
    /// it did.
    async fn call<T, F, Fut>(&self, what: &'static str, call: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn AnyListener>) -> Fut + Send,
        Fut: Future<Output = T> + Send + 'static,
    {
        let mut task = tokio::spawn(call(self.listener.clone()));
        match tokio::time::timeout(self.timeout, &mut task).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::error!(what, %error, "the listener failed");
                None
            }
            Err(_) => {
                task.abort();
                let timeout_ms = self.timeout.as_millis();
                tracing::warn!(what, timeout_ms, "the listener did not answer in time");
                None
            }
        }
    }

    /// 0, or the code that the client is told.
    pub(crate) async fn verify(&self, request: LoginRequest) -> i32 {
        self.call("verify_login", |listener| async move {
            listener.verify_login(&request).await
        })
        .await
        .unwrap_or(code::REFUSED_LISTENER)
    }

    /// What becomes of a message.
    pub(crate) async fn before(&self, link: LinkId, draft: Draft, qos: bool) -> Answer {
        let proposed = Proposed::new(link, draft, qos);
        let id = proposed.id.clone();
        let answer = self
            .call("before", |listener| async move {
                let before = listener.before(&proposed).await;
                (before, proposed)
            })
            .await;
        match answer {
            Some((Before::Take, proposed)) => Answer::Take {
                typeu: proposed.typeu,
                body: proposed.text,
            },
            Some((Before::Change { typeu, text }, _)) => Answer::Take {
                typeu,
                body: text.into_boxed_str(),
            },
            Some((Before::Refuse { code, text }, _)) => Answer::Refuse {
                code: code.max(code::APPLICATION_CODE_MIN),
                text,
            },
            Some((Before::Drop, _)) => Answer::Drop,
            None => Answer::Refuse {
                code: code::REFUSED_LISTENER,
                text: format!(
                    "message {id} was not taken: the application did not answer; try again later"
                ),
            },
        }
    }

    /// Hands a message over; true if it was taken.
    async fn take(&self, message: MessageRef) -> bool {
        self.call("message_to_server", |listener| async move {
            listener.message_to_server(&message).await
        })
        .await
            == Some(Ok(()))
    }

    /// Tells what became of a desk's conversation; true if it was taken.
    pub(crate) async fn desk_event(&self, tenant: Name, event: DeskEvent) -> bool {
        self.call("desk_event", |listener| async move {
            listener.desk_event(&tenant, &event).await
        })
        .await
            == Some(Ok(()))
    }

    /// Queues what happened. Never blocks and never waits: called under the router's lock, which
    /// makes the order that of the events. The caller wakes the task with [`Hooks::wake`].
    pub(crate) fn tell(&self, told: &[Told]) {
        self.notices.push(told);
    }

    pub(crate) fn wake(&self) {
        self.notices.wake();
    }

    /// Tells the listener what happened, until the future is dropped.
    pub(crate) async fn run_notices(self: Arc<Self>) {
        loop {
            let notice = self.notices.next().await;
            self.call("a notice", |listener| async move {
                listener.notice(&notice).await;
            })
            .await;
            self.notices.done();
        }
    }

    /// Notices that were dropped because the listener was too slow.
    pub(crate) fn missed(&self) -> u64 {
        self.notices.missed_ever()
    }

    /// True if the listener has been told everything.
    pub(crate) fn is_idle(&self) -> bool {
        self.notices.is_idle()
    }
}

/// What a listener is told of an event; `None` for what concerns the server's own session.
fn notice(event: &Event) -> Option<Notice> {
    match event {
        Event::Desk(_) => None,                                   // its own listener
        Event::LoggedIn { .. } | Event::LoggedOut { .. } => None, // need the session
        Event::NotDeliverableNow(message) if *message.to == *SERVER => None,
        Event::NotDeliverableNow(message) => Some(Notice::NotDeliverableNow(message.clone())),
        Event::Relayed(message) => Some(Notice::Relayed(message.clone())),
        Event::Received { message, user } => {
            Some(Notice::Acknowledged(message.clone(), user.clone()))
        }
        // Only what the server sent: of other messages nobody is told that they come later.
        Event::Lost { message, .. } if *message.from != *SERVER => None,
        Event::Lost { message, user } => Some(Notice::Lost(message.clone(), user.clone())),
        Event::SteppedAside {
            message,
            user,
            ends,
        } => Some(Notice::SteppedAside(message.clone(), user.clone(), *ends)),
        Event::SetAside { message, user } => Some(Notice::SetAside(message.clone(), user.clone())),
    }
}
