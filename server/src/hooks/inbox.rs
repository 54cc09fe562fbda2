//! The session of user `0`: hands what was sent to the server over to the listener.
//!
//! It is a session like any other: a device, a cursor, a window. What differs is that it takes its
//! time: a message that the listener cannot take now is handed over again until it can, and what
//! comes behind it in the same conversation waits, so that order holds.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::ids::{LinkId, Name, SERVER};
use tidings_core::message::MessageRef;
use tidings_core::shard::Input;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;
use tokio::sync::watch;

use super::Hooks;
use crate::link::{LocalEvent, LocalRef};
use crate::router::{Arrival, Router};

/// The device of `0` that the listener is; sinks will be others.
const DEVICE: &str = "listener";
/// Before a message is handed over again, and the longest that this wait becomes.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// Before a session that could not be had is asked for again.
const REENTER: Duration = Duration::from_secs(1);

/// Messages that wait for the one before them.
type Lines = Mutex<HashMap<Line, VecDeque<MessageRef>>>;

/// What keeps its order: a conversation, and from each sender what is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Line {
    Kept(u64),
    Fleeting(Name),
}

/// The driver of the session.
pub(crate) struct Inbox {
    hooks: Arc<Hooks>,
    router: Arc<Router>,
    lines: Lines,
    stop: watch::Receiver<bool>,
}

impl Inbox {
    /// `stop`: true ends it as soon as what is with the listener has come back.
    pub(crate) fn new(
        hooks: Arc<Hooks>,
        router: Arc<Router>,
        stop: watch::Receiver<bool>,
    ) -> Arc<Inbox> {
        Arc::new(Inbox {
            hooks,
            router,
            lines: Lines::default(),
            stop,
        })
    }

    /// Runs until told to stop.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut stop = self.stop.clone();
        while !*stop.borrow() {
            let Some((link, end)) = self.router.open_local() else {
                break;
            };
            self.router.feed(Input::Enter {
                link,
                user: SERVER,
                device: DEVICE,
                class: DEVICE,
                caps: &[],
            });
            tokio::select! {
                () = self.serve(link, &end) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            self.drain(link).await;
            if *stop.borrow() {
                break;
            }
            tracing::warn!("the session of the listener ended and is begun again");
            tokio::select! {
                () = tokio::time::sleep(REENTER) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    async fn serve(self: &Arc<Self>, link: LinkId, end: &LocalRef) {
        while let Some(event) = end.next().await {
            let LocalEvent::Message(message) = event else {
                continue;
            };
            let line = match message.seq {
                0 => Line::Fleeting(message.from.clone()),
                _ => Line::Kept(message.conversation.0),
            };
            let mut lines = self.lines.lock();
            if let Some(waiting) = lines.get_mut(&line) {
                // What is not kept is not worth unbounded memory.
                if message.seq > 0 || waiting.len() < tidings_core::limits::HELD_FRAMES_MAX {
                    waiting.push_back(message);
                }
                continue;
            }
            lines.insert(line.clone(), VecDeque::from([message]));
            drop(lines);
            tokio::spawn(self.clone().work(link, line));
        }
    }

    /// Works one line off, in order.
    async fn work(self: Arc<Self>, link: LinkId, line: Line) {
        loop {
            let message = {
                let mut lines = self.lines.lock();
                let next = lines.get_mut(&line).and_then(VecDeque::pop_front);
                let stopping = *self.stop.borrow();
                let Some(message) = next.filter(|_| !stopping) else {
                    lines.remove(&line);
                    return;
                };
                message
            };
            if message.seq == 0 {
                self.hooks.take(message).await;
            } else if self.hand_over(&message).await {
                self.acknowledge(link, &message);
            } else {
                self.lines.lock().remove(&line); // stopping: it comes again after the next start
                return;
            }
        }
    }

    /// Until it is taken (true) or the server stops.
    async fn hand_over(&self, message: &MessageRef) -> bool {
        let mut stop = self.stop.clone();
        let mut wait = AGAIN;
        loop {
            if self.hooks.take(message.clone()).await {
                return true;
            }
            tracing::info!(
                id = %message.id,
                from = %message.from,
                again_ms = wait.as_millis(),
                "the listener did not take a message"
            );
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return false,
            }
            wait = (wait * 2).min(AGAIN_MAX);
        }
    }

    fn acknowledge(&self, link: LinkId, message: &MessageRef) {
        let frame = Frame {
            kind: code::RECEIVED,
            data: Some((&*message.id).into()),
            from: Some(SERVER.into()),
            to: Some((&*message.from).into()),
            ..Frame::default()
        };
        self.router.arrived(link, vec![Arrival::Frame(frame, 0)]);
    }

    /// Waits for what is with the listener, so that nobody is handed a message by two sessions at
    /// once, and closes the link.
    async fn drain(&self, link: LinkId) {
        while !self.lines.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.router.closed(link);
    }
}
