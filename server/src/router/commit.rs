//! The committer: one thread that gives the node's batches to the store and reports what came of
//! them. What is committed together, repeated or refused is the node's business.
//!
//! An idle server commits a single message at once; under load a batch is what came in while the
//! batch before was being synced. No timer waits for company.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Condvar;
use tidings_core::custody::Verdict;
use tidings_core::node::{Batch, Outcome};
use tidings_core::shard::Action;
use tidings_core::time::{Now, Time};

use super::{Guarded, Router, Todo, trail};
use crate::store::StoreError;

/// After so long without work the store writes its cursors and lets its indexes follow.
const IDLE: Duration = Duration::from_millis(500);

/// The committer's part of what the router's lock guards.
#[derive(Debug, Default)]
pub(super) struct Committing {
    /// When the oldest record that waits came.
    since: Option<Instant>,
    /// The committer sleeps until it is woken.
    sleeping: bool,
    stop: bool,
    stopped: bool,
}

/// What must be reached without the router's lock.
#[derive(Debug, Default)]
pub(crate) struct Committer {
    wake: Condvar,
    /// A copy of the bytes that wait, for everybody who reads: asked before each read.
    bytes: AtomicUsize,
}

/// What the committer's thread does next.
enum Step {
    Commit(Batch, Duration),
    Idle,
    End,
}

impl Committer {
    /// Something may have gathered. Returns true if the committer must be woken.
    pub(super) fn look(&self, guarded: &mut Guarded) -> bool {
        let bytes = guarded.node.gathered_bytes();
        self.bytes.store(bytes, Ordering::Relaxed);
        if bytes > 0 && guarded.committing.since.is_none() {
            guarded.committing.since = Some(Instant::now());
        }
        guarded.committing.sleeping && guarded.node.next_batch_at() == Some(Time(0))
    }

    pub(super) fn wake(&self) {
        self.wake.notify_all();
    }

    /// True if so much waits that nothing more should be read.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > tidings_core::limits::COMMIT_QUEUE_BYTES_MAX
    }
}

/// Starts the committer's thread; it ends when the router stops.
pub(super) fn start(router: &Arc<Router>) -> std::io::Result<()> {
    let router = router.clone();
    router.idle();
    std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || {
            loop {
                match router.next_step() {
                    Step::Commit(batch, waited) => {
                        router.metrics.gather.record(waited);
                        router.commit(batch);
                    }
                    Step::Idle => router.idle(),
                    Step::End => break,
                }
            }
            router.idle();
            router.guarded.lock().committing.stopped = true;
            router.committer.wake.notify_all();
        })?;
    Ok(())
}

impl Router {
    fn next_step(&self) -> Step {
        let mut guarded = self.guarded.lock();
        loop {
            let now = self.clock.now().mono;
            if let Some(batch) = guarded.node.next_batch(now) {
                trail::decided(batch.records());
                let since = guarded.committing.since.take();
                self.committer.look(&mut guarded); // what is left came later
                return Step::Commit(batch, since.map_or(Duration::ZERO, |at| at.elapsed()));
            }
            // What is still to be repeated was told to nobody: its senders send it again.
            if guarded.committing.stop {
                return Step::End;
            }
            let again = guarded.node.next_batch_at();
            let wait = again.map_or(IDLE, |at| Duration::from_millis(at.since_ms(now).max(1)));
            guarded.committing.sleeping = true;
            let timed_out = self.committer.wake.wait_for(&mut guarded, wait).timed_out();
            guarded.committing.sleeping = false;
            if timed_out && guarded.node.is_settled() {
                return Step::Idle;
            }
        }
    }

    /// Nothing is to be committed: the store writes what it has left, and says whether it could
    /// commit. So trouble is known, and known to be over, without a message.
    fn idle(&self) {
        match self.store.flush() {
            Ok(()) => self.trouble.over(),
            Err(error) => self.trouble.found(&error, 0),
        }
    }

    fn commit(&self, batch: Batch) {
        let mut verdicts = Vec::with_capacity(batch.records().len());
        let start = Instant::now();
        let outcome = self.store.commit(batch.records(), &mut verdicts);
        let committed = Instant::now();
        if outcome.is_ok() {
            self.metrics.commit.record(committed - start);
        }
        let now = self.clock.now();
        let mut guarded = self.guarded.lock();
        let mut todo = Todo::default();
        let mut actions = std::mem::take(&mut guarded.actions);
        self.committed(now, &mut guarded, batch, (outcome, verdicts), &mut actions);
        self.perform(now, &mut guarded, actions, &mut todo);
        drop(guarded);
        self.finish(todo);
        self.metrics.emit.record(committed.elapsed());
    }

    /// Reports what the store answered.
    pub(super) fn committed(
        &self,
        now: Now,
        guarded: &mut Guarded,
        batch: Batch,
        (answer, verdicts): (Result<(), StoreError>, Vec<Verdict>),
        actions: &mut Vec<Action>,
    ) {
        let error = answer.err();
        let outcome = match &error {
            None => Outcome::Stored(verdicts),
            Some(error) if error.is_outcome_unknown() => Outcome::Unknown,
            Some(error) => Outcome::Failed(error.to_senders()),
        };
        let mut refused = 0;
        let Guarded { node, trail, .. } = guarded;
        let observe = |records: &[_], verdicts: &[Verdict]| {
            if verdicts.is_empty() {
                refused = records.len();
            }
            self.metrics.decided(records, verdicts);
            trail::committed(records, verdicts);
            for verdict in verdicts {
                if let Verdict::New(message) = verdict {
                    trail.stored(message);
                }
            }
        };
        node.outcome(now, batch, outcome, observe, actions);
        match &error {
            None => self.trouble.over(),
            Some(error) => self.trouble.found(error, refused),
        }
    }

    /// True if nothing waits and nothing is being committed.
    pub(super) fn is_committed(&self) -> bool {
        self.guarded.lock().node.is_settled()
    }

    /// Ends the committer's thread once nothing waits, and waits for it.
    pub(super) fn stop_committing(&self) {
        let mut guarded = self.guarded.lock();
        guarded.committing.stop = true;
        self.committer.wake.notify_all();
        while !guarded.committing.stopped {
            self.committer.wake.wait(&mut guarded);
        }
    }
}
