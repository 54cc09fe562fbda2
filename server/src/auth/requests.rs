//! Turns for what is not verified by a hash of ours: a request to the application, a proof by SCRAM.
//! The same queue as for passwords, and the same failures count. Whoever waits here moves the queue on
//! himself: there is no task behind it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::time::Time;
use tokio::sync::oneshot;

use super::turns::{Failures, Next, Source, Turns};
use crate::clock::Clock;

/// Whoever waits looks at the queue again after so long at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

struct State {
    turns: Turns<oneshot::Sender<Turn>>,
    under_way: usize,
}

struct Shared {
    state: Mutex<State>,
    failures: Arc<Mutex<Failures>>,
    clock: Clock,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Requests(Arc<Shared>);

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

/// Somebody's turn. When it is dropped it counts as a guess, unless it was forgiven.
pub(super) struct Turn {
    requests: Requests,
    source: Source,
    account: Name,
    forgiven: bool,
}

impl Turn {
    /// It was right, or nobody can say.
    pub(super) fn forgive(mut self) {
        self.forgiven = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let shared = &self.requests.0;
        if self.forgiven {
            let now = shared.clock.now().mono;
            let mut failures = shared.failures.lock();
            failures.forgive(now, &self.source, &self.account);
        }
        let mut state = shared.state.lock();
        state.under_way -= 1;
        if self.forgiven {
            state.turns.look_again(&self.source);
        }
        drop(state);
        self.requests.go_on();
    }
}

impl Requests {
    pub(super) fn new(failures: Arc<Mutex<Failures>>, clock: Clock) -> Requests {
        Requests(Arc::new(Shared {
            state: Mutex::new(State {
                turns: Turns::new(),
                under_way: 0,
            }),
            failures,
            clock,
        }))
    }

    /// Waits for a turn; `None` if there is no place to wait.
    pub(super) async fn turn(&self, source: Source, account: &Name) -> Option<Turn> {
        let (sender, mut receiver) = oneshot::channel();
        self.push(source, account, sender);
        loop {
            let pause = match self.go_on() {
                Some(at) => {
                    let ms = at.since_ms(self.0.clock.now().mono).max(1);
                    Duration::from_millis(ms).min(LOOK_AGAIN)
                }
                None => LOOK_AGAIN,
            };
            tokio::select! {
                turn = &mut receiver => return turn.ok(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Whoever loses his place by it hears that his turn does not come.
    fn push(&self, source: Source, account: &Name, waiting: oneshot::Sender<Turn>) {
        let now = self.0.clock.now().mono;
        let mut state = self.0.state.lock();
        let out = state.turns.push(now, source, account.clone(), waiting);
        drop(state);
        drop(out);
    }

    /// Gives turns to those who may have one; returns when the next one may, if somebody waits.
    fn go_on(&self) -> Option<Time> {
        loop {
            let mut state = self.0.state.lock();
            if state.under_way >= limits::WEBHOOK_CONCURRENCY_MAX {
                return None;
            }
            let now = self.0.clock.now().mono;
            let next = state.turns.next(now, &mut self.0.failures.lock());
            match next {
                Next::Job(source, account, waiting) => {
                    state.under_way += 1;
                    drop(state);
                    let turn = Turn {
                        requests: self.clone(),
                        source,
                        account,
                        forgiven: false,
                    };
                    if let Err(turn) = waiting.send(turn) {
                        turn.forgive(); // he has gone
                    }
                }
                Next::Late(waiting) => drop(waiting),
                Next::Wait(at) => return Some(at),
                Next::Empty => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn right_ones_go_on_and_wrong_ones_wait() {
        let requests = Requests::new(Arc::new(Mutex::new(Failures::new())), Clock::start());
        let source = || Source::Network("192.0.2.1".parse().unwrap());
        let account = Name::from("alice");
        for _ in 0..100 {
            requests.turn(source(), &account).await.unwrap().forgive();
        }
        for _ in 0..limits::GUESSES_PER_ACCOUNT {
            drop(requests.turn(source(), &account).await.unwrap());
        }
        assert!(requests.go_on().is_none());
        let waits = requests.turn(source(), &account);
        tokio::pin!(waits);
        assert!(futures_poll(waits.as_mut()).await.is_none());
        assert!(requests.go_on().is_some());
        // Elsewhere there is no need to wait.
        let elsewhere = Source::Network("192.0.2.2".parse().unwrap());
        requests.turn(elsewhere, &account).await.unwrap().forgive();
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            let polled = std::pin::Pin::new(&mut future).poll(cx);
            std::task::Poll::Ready(match polled {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
