//! The server's end of a link inside this process: no bytes, no socket, the same rules.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::message::MessageRef;
use tidings_core::shard::CloseReason;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{Frame, login};
use tokio::sync::{Notify, oneshot};

/// What comes out of a link inside this process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalEvent {
    /// A message. With QoS (`seq` above 0) it must be acknowledged, or it comes again.
    Message(MessageRef),
    /// Something was refused.
    Refused {
        /// A number of `tidings_core::wire::code`, or the application's.
        code: i32,
        /// For people.
        text: String,
    },
    /// This login was ended from outside; nothing follows.
    Kicked {
        /// MobileIMSDK's kick code.
        code: i32,
        /// For people.
        reason: Option<String>,
    },
}

/// Custody of a message, as its sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Custody {
    pub(crate) seq: u64,
    pub(crate) time_ms: i64,
}

/// Why a message of a local sender was not taken.
#[derive(Debug)]
pub(crate) struct NotTaken {
    pub(crate) code: i32,
    pub(crate) text: String,
}

pub(crate) type Fate = Result<Custody, NotTaken>;

#[derive(Debug, Default)]
struct State {
    events: VecDeque<LocalEvent>,
    /// The shard asked not to read on.
    paused: bool,
    closed: bool,
    reason: Option<CloseReason>,
    login: Option<oneshot::Sender<i32>>,
    /// Messages whose fate somebody waits for.
    pending: HashMap<Name, oneshot::Sender<Fate>>,
    /// To be told once no lock is held.
    decided: Vec<(oneshot::Sender<Fate>, Fate)>,
    login_answer: Option<(oneshot::Sender<i32>, i32)>,
}

/// The end that the router writes to.
#[derive(Debug, Default)]
pub(crate) struct LocalEnd {
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

impl LocalEnd {
    /// Who logs in waits for this.
    pub(crate) fn expect_login(&self) -> oneshot::Receiver<i32> {
        let (sender, receiver) = oneshot::channel();
        self.state.lock().login = Some(sender);
        receiver
    }

    /// Who sends a message waits for this. An earlier wait for the same id ends unanswered.
    pub(crate) fn expect(&self, id: &Name) -> oneshot::Receiver<Fate> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        if !state.closed {
            state.pending.insert(id.clone(), sender);
        }
        receiver
    }

    /// Nobody waits any longer.
    pub(crate) fn forget(&self, id: &Name) {
        self.state.lock().pending.remove(id);
    }

    /// A control frame, under the router's lock.
    pub(crate) fn control(&self, frame: &Frame<'_>) {
        let data = frame.data.as_deref().unwrap_or_default();
        let mut state = self.state.lock();
        match frame.kind {
            code::LOGIN_ANSWER => {
                let answer = login::decode_login_answer(data).unwrap_or_default();
                let waiting = state.login.take();
                state.login_answer = waiting.map(|sender| (sender, answer.code));
            }
            code::KICKOUT => {
                let kick = login::decode_kickout(data).unwrap_or_default();
                state.events.push_back(LocalEvent::Kicked {
                    code: kick.code,
                    reason: kick.reason,
                });
            }
            code::ERROR => {
                let notice = login::decode_error(data).unwrap_or_default();
                let id = frame.fp.as_deref().unwrap_or_default();
                state.refused(id, notice.code, notice.message);
            }
            _ => {}
        }
    }

    /// A message, under the router's lock.
    pub(crate) fn message(&self, message: &MessageRef, again: bool) {
        let mut state = self.state.lock();
        let full = state.events.len() >= limits::LOCAL_EVENTS_MAX;
        // The window bounds what is stored; what is not stored is dropped for a slow reader.
        let pointless = (message.seq == 0 && full) || (again && !state.events.is_empty());
        if !state.closed && !pointless {
            state.events.push_back(LocalEvent::Message(message.clone()));
        }
    }

    /// A message is in custody, under the router's lock.
    pub(crate) fn taken(&self, id: &Name, custody: Custody) {
        let mut state = self.state.lock();
        if let Some(waiting) = state.pending.remove(id) {
            state.decided.push((waiting, Ok(custody)));
        }
    }

    /// Do not send, or send again; under the router's lock.
    pub(crate) fn pause(&self, paused: bool) {
        self.state.lock().paused = paused;
    }

    /// Nothing follows.
    pub(crate) fn close(&self, reason: Option<CloseReason>) {
        let mut state = self.state.lock();
        state.closed = true;
        state.reason = state.reason.or(reason);
        // Whoever waits learns it from the channel's end.
        state.login = None;
        state.pending.clear();
    }

    /// Wakes whoever waits for what happened; not under the router's lock.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock();
        let decided = std::mem::take(&mut state.decided);
        let login = state.login_answer.take();
        drop(state);
        for (waiting, fate) in decided {
            let _ = waiting.send(fate);
        }
        if let Some((waiting, code)) = login {
            let _ = waiting.send(code);
        }
        self.readable.notify_one();
        self.writable.notify_waiters();
    }

    /// The next event; `None` once the link is closed and everything is read. For one reader.
    pub(crate) async fn next(&self) -> Option<LocalEvent> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(event) = state.events.pop_front() {
                    return Some(event);
                }
                if state.closed {
                    return None;
                }
            }
            self.readable.notified().await;
        }
    }

    /// Waits until the shard takes messages; false once the link is closed.
    pub(crate) async fn room(&self) -> bool {
        loop {
            let changed = self.writable.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state.lock();
                if state.closed {
                    return false;
                }
                if !state.paused {
                    return true;
                }
            }
            changed.await;
        }
    }

    pub(crate) fn reason(&self) -> Option<CloseReason> {
        self.state.lock().reason
    }
}

impl State {
    fn refused(&mut self, id: &str, code: i32, text: String) {
        if let Some(waiting) = self.pending.remove(id) {
            let fate = Err(NotTaken { code, text });
            self.decided.push((waiting, fate));
        } else if self.events.len() < limits::LOCAL_EVENTS_MAX {
            self.events.push_back(LocalEvent::Refused { code, text });
        }
    }
}

/// Shared by the router and the reader.
pub(crate) type LocalRef = Arc<LocalEnd>;
