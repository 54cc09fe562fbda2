//! The committer: one thread that takes whatever has gathered and makes it durable.
//!
//! An idle server commits a single message at once; under load a batch is what came in while the
//! batch before was being synced. No timer waits for company.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tidings_core::custody::{Record, Verdict};
use tidings_core::ids::{Address, conversation_key};
use tidings_core::shard::Input;

use super::{Router, trail, weight};
use crate::store::{Page, StoreError};

/// Records in one transaction at most: bounds the wait of those behind.
const BATCH_RECORDS_MAX: usize = 4096;
/// After so long without work the store writes its cursors and lets its indexes follow.
const IDLE: Duration = Duration::from_millis(500);
/// Waits before a batch is repeated: each twice the one before, up to the longest.
const REPEAT_FIRST: Duration = Duration::from_millis(10);
const REPEAT_WAIT_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Queue {
    records: Vec<Record>,
    bytes: usize,
    /// When the oldest of them came.
    since: Option<Instant>,
    /// The committer sleeps until it is woken.
    sleeping: bool,
    /// A batch is being committed.
    busy: bool,
    stop: bool,
    stopped: bool,
}

/// The queue before the committer.
#[derive(Debug, Default)]
pub(crate) struct Committer {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// A copy of the queue's bytes, for everybody who reads: asked before each read.
    bytes: AtomicUsize,
}

impl Committer {
    /// Queues a record. Returns true if the committer must be woken.
    pub(super) fn push(&self, record: Record) -> bool {
        let mut queue = self.queue.lock();
        queue.bytes += weight(&record);
        if queue.records.is_empty() {
            queue.since = Some(Instant::now());
        }
        self.bytes.store(queue.bytes, Ordering::Relaxed);
        queue.records.push(record);
        queue.sleeping
    }

    /// Records that wait, and their bytes.
    pub(super) fn depth(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.records.len(), queue.bytes)
    }

    pub(super) fn wake(&self) {
        self.wake.notify_all();
    }

    /// True if nothing waits and nothing is being committed.
    pub(super) fn is_idle(&self) -> bool {
        let queue = self.queue.lock();
        queue.records.is_empty() && !queue.busy
    }

    /// True if so much waits that nothing more should be read.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > tidings_core::limits::COMMIT_QUEUE_BYTES_MAX
    }

    /// Ends the thread once the queue is empty, and waits for it.
    pub(super) fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.stop = true;
        self.wake.notify_all();
        while !queue.stopped {
            self.wake.wait(&mut queue);
        }
    }

    /// The next batch; `None` at the end.
    fn next(&self, router: &Router) -> Option<(Vec<Record>, Duration)> {
        let mut queue = self.queue.lock();
        queue.busy = false;
        while queue.records.is_empty() {
            if queue.stop {
                return None;
            }
            queue.sleeping = true;
            let timed_out = self.wake.wait_for(&mut queue, IDLE).timed_out();
            queue.sleeping = false;
            if timed_out && queue.records.is_empty() {
                drop(queue);
                router.idle();
                queue = self.queue.lock();
            }
        }
        queue.busy = true;
        let count = queue.records.len().min(BATCH_RECORDS_MAX);
        let rest = queue.records.split_off(count);
        let batch = std::mem::replace(&mut queue.records, rest);
        queue.bytes = queue.records.iter().map(weight).sum();
        self.bytes.store(queue.bytes, Ordering::Relaxed);
        let now = Instant::now();
        let waited = queue.since.map_or(Duration::ZERO, |since| now - since);
        // What is left came later than the first; when exactly is not kept.
        queue.since = (!queue.records.is_empty()).then_some(now);
        Some((batch, waited))
    }
}

/// Starts the committer's thread; it ends when the router stops.
pub(super) fn start(router: &Arc<Router>) -> std::io::Result<()> {
    let router = router.clone();
    router.idle();
    std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || {
            while let Some((batch, waited)) = router.committer.next(&router) {
                router.metrics.gather.record(waited);
                router.commit(&batch);
            }
            if let Err(error) = router.store.flush() {
                tracing::error!(%error, "the store could not write its cursors");
            }
            router.committer.queue.lock().stopped = true;
            router.committer.wake.notify_all();
        })?;
    Ok(())
}

impl Router {
    /// Nothing is to be committed: the store writes what it has left, and says whether it could
    /// commit. So trouble is known, and known to be over, without a message.
    fn idle(&self) {
        match self.store.flush() {
            Ok(()) => self.trouble.over(),
            Err(error) => self.trouble.found(&error, 0),
        }
    }

    /// Commits a batch. While the outcome is unknown it is repeated: its records are idempotent,
    /// and only what was certainly not stored may be refused. Nobody is told anything meanwhile.
    fn commit(&self, batch: &[Record]) {
        let mut verdicts = Vec::with_capacity(batch.len());
        let mut wait = REPEAT_FIRST;
        let mut is_repeat = false;
        loop {
            verdicts.clear();
            let start = Instant::now();
            match self.store.commit(batch, &mut verdicts) {
                Ok(()) if is_repeat && !self.tell_apart(batch, &mut verdicts) => {}
                Ok(()) => {
                    self.trouble.over();
                    let committed = Instant::now();
                    self.metrics.commit.record(committed - start);
                    self.metrics.decided(batch, &verdicts);
                    trail::committed(batch, &verdicts);
                    self.verdicts(verdicts);
                    return self.metrics.emit.record(committed.elapsed());
                }
                // Whatever fails afterwards: what may be stored is not refused.
                Err(error) if is_repeat || error.is_outcome_unknown() => {
                    self.trouble.found(&error, 0);
                }
                Err(error) => {
                    self.metrics.decided(batch, &[]);
                    trail::committed(batch, &[]);
                    return self.refuse(batch.len(), &error);
                }
            }
            if self.is_stopping() {
                return; // nobody was told; the senders will send again to whoever comes next
            }
            is_repeat = true;
            std::thread::sleep(wait);
            wait = (wait * 2).min(REPEAT_WAIT_MAX);
        }
    }

    /// What an attempt with an unknown outcome stored comes back as a duplicate when the batch is
    /// repeated, but nobody was told of it: it is new. Its time of custody tells the two apart: it
    /// is the draft's own. Returns false if the store could not be read.
    fn tell_apart(&self, batch: &[Record], verdicts: &mut [Verdict]) -> bool {
        let mut told: Vec<u64> = Vec::new();
        for (record, verdict) in batch.iter().zip(verdicts) {
            let (Record::Message(draft), Verdict::Duplicate { seq, time_ms }) = (record, &*verdict)
            else {
                continue;
            };
            if *time_ms != draft.time_ms {
                continue;
            }
            let to = Address::parse(&draft.to).unwrap_or(Address::Server);
            let key = conversation_key(&draft.from, to);
            let page = Page::After(seq.saturating_sub(1), 1);
            let Ok(found) = self.store.history(&key, page) else {
                return false;
            };
            // The second copy within the batch stays a duplicate.
            let message = found.into_iter().find(|m| m.id == draft.id);
            if let Some(message) = message.filter(|m| !told.contains(&m.position)) {
                told.push(message.position);
                *verdict = Verdict::New(message);
            }
        }
        true
    }

    fn refuse(&self, count: usize, error: &StoreError) {
        self.trouble.found(error, count);
        self.feed(Input::CommitFailed {
            count,
            reason: error.to_senders(),
        });
    }
}
