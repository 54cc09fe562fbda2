//! What is wrong with the store, if something is; and the log's lines about it, which are few however
//! many messages are refused.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::store::StoreError;

/// Of each of the two lines there is one in such a time.
const TOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Why commits fail now; `None` if they do not.
    reason: Option<String>,
    /// Records that were refused since the last line.
    refused: usize,
    /// It is over, and the log does not say so yet.
    is_end_owed: bool,
    began: Pace,
    ended: Pace,
}

/// When something was said last.
#[derive(Debug, Default)]
struct Pace(Option<Instant>);

impl Pace {
    fn is_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

impl Trouble {
    /// The store cannot write; so many records were refused because of it.
    pub(super) fn found(&self, error: &StoreError, refused: usize) {
        let mut state = self.0.lock();
        state.reason = Some(error.to_string());
        state.refused += refused;
        state.is_end_owed = false;
        if state.began.is_due() {
            let refused = std::mem::take(&mut state.refused);
            tracing::error!(%error, refused, "the store cannot write");
        }
    }

    /// The store can write.
    pub(super) fn over(&self) {
        let mut state = self.0.lock();
        state.is_end_owed |= state.reason.take().is_some();
        if state.is_end_owed && state.ended.is_due() {
            state.is_end_owed = false;
            let refused = std::mem::take(&mut state.refused);
            tracing::info!(refused, "the store can write again");
        }
    }

    /// True while commits fail.
    pub(super) fn is_there(&self) -> bool {
        self.0.lock().reason.is_some()
    }
}
