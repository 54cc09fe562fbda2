//! What a listener is told, in the order in which it happened.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tidings_core::ids::{LinkId, SERVER};
use tidings_core::limits;
use tidings_core::shard::Event;
use tokio::sync::Notify;

use super::listener::{Ended, Notice, SessionInfo};
use super::{Told, notice};

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Notice>,
    /// Dropped since the listener was last told of it.
    missed: u64,
    missed_ever: u64,
    /// Everybody who is logged in: the end of a session is told with what its beginning was.
    sessions: HashMap<LinkId, Arc<SessionInfo>>,
}

/// The queue before the task that tells.
#[derive(Debug, Default)]
pub(super) struct Notices {
    queue: Mutex<Queue>,
    more: Notify,
    /// A notice is with the listener.
    busy: AtomicBool,
}

impl Notices {
    pub(super) fn push(&self, told: &[Told]) {
        let mut queue = self.queue.lock();
        for Told {
            event,
            closed,
            session,
        } in told
        {
            let notice = match event {
                Event::LoggedIn { user, link, .. } if **user != *SERVER => {
                    session.clone().map(|info| {
                        queue.sessions.insert(*link, info.clone());
                        Notice::LoggedIn(info)
                    })
                }
                Event::LoggedOut {
                    link, kick_code, ..
                } => queue.sessions.remove(link).map(|info| {
                    let (kick_code, reason) = (*kick_code, *closed);
                    Notice::LoggedOut(info, Ended { kick_code, reason })
                }),
                other => notice(other),
            };
            if let Some(notice) = notice {
                queue.waiting.push_back(notice);
            }
        }
        let before = queue.missed;
        while queue.waiting.len() > limits::NOTICES_MAX {
            queue.waiting.pop_front();
            queue.missed += 1;
            queue.missed_ever += 1;
        }
        let missed = queue.missed;
        drop(queue);
        if before == 0 && missed > 0 {
            tracing::warn!(
                limit = limits::NOTICES_MAX,
                "the listener is too slow: the oldest notices are dropped"
            );
        }
    }

    pub(super) fn wake(&self) {
        self.more.notify_one();
    }

    pub(super) async fn next(&self) -> Notice {
        loop {
            {
                let mut queue = self.queue.lock();
                let missed = std::mem::take(&mut queue.missed);
                let next = if missed > 0 {
                    Some(Notice::Missed(missed))
                } else {
                    queue.waiting.pop_front()
                };
                if let Some(next) = next {
                    self.busy.store(true, Ordering::Release);
                    return next;
                }
            }
            self.more.notified().await;
        }
    }

    pub(super) fn done(&self) {
        self.busy.store(false, Ordering::Release);
    }

    pub(super) fn missed_ever(&self) -> u64 {
        self.queue.lock().missed_ever
    }

    pub(super) fn is_idle(&self) -> bool {
        let queue = self.queue.lock();
        queue.waiting.is_empty() && queue.missed == 0 && !self.busy.load(Ordering::Acquire)
    }
}
