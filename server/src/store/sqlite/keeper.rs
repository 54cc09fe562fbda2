//! The two threads of a store: one lets the indexes follow, one copies the database's log back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::super::StoreError;
use super::Inner;
use super::files;

/// How long a thread sleeps if nobody wakes it.
const SLEEP: Duration = Duration::from_secs(2);
/// How long it waits after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Flags {
    index: bool,
    checkpoint: bool,
    stop: bool,
}

/// How commits wake the threads.
#[derive(Debug, Default)]
pub(super) struct Signal {
    flags: Mutex<Flags>,
    changed: Condvar,
    /// About how many bytes the database's log grew since it was copied back.
    grown: AtomicU64,
}

impl Signal {
    /// A commit wrote about so much.
    pub(super) fn wrote(&self, bytes: u64, enough: u64) {
        let before = self.grown.fetch_add(bytes, Ordering::Relaxed);
        if before < enough && before + bytes >= enough {
            self.flags.lock().checkpoint = true;
            self.changed.notify_all();
        }
    }

    /// There is enough to index.
    pub(super) fn wake_indexer(&self) {
        let mut flags = self.flags.lock();
        if !flags.index {
            flags.index = true;
            self.changed.notify_all();
        }
    }

    /// Waits for a flag; `false` at the end.
    fn wait(&self, take: impl Fn(&mut Flags) -> bool) -> bool {
        let mut flags = self.flags.lock();
        loop {
            if flags.stop {
                return false;
            }
            if take(&mut flags) {
                return true;
            }
            if self.changed.wait_for(&mut flags, SLEEP).timed_out() {
                return !flags.stop;
            }
        }
    }

    fn stop(&self) {
        self.flags.lock().stop = true;
        self.changed.notify_all();
    }
}

/// What a thread does until the end.
type Work = fn(&Inner);

/// The threads.
#[derive(Debug)]
pub(super) struct Keeper {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(inner: &Arc<Inner>) -> Result<Keeper, StoreError> {
        let mut keeper = Keeper {
            inner: Arc::clone(inner),
            threads: Vec::new(),
        };
        let work: [(&str, Work); 2] = [("store-index", index), ("store-checkpoint", checkpoint)];
        for (name, work) in work {
            let inner = Arc::clone(inner);
            let thread = std::thread::Builder::new().name(name.into());
            match thread.spawn(move || work(&inner)) {
                Ok(thread) => keeper.threads.push(thread),
                Err(error) => {
                    keeper.stop();
                    return Err(StoreError::Unavailable(format!("no thread: {error}")));
                }
            }
        }
        Ok(keeper)
    }

    pub(super) fn stop(self) {
        self.inner.signal.stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

fn index(inner: &Inner) {
    while inner.signal.wait(|flags| std::mem::take(&mut flags.index)) {
        while inner.should_follow() {
            match inner.follow() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "the indexes cannot follow; it is tried again");
                    std::thread::sleep(AFTER_ERROR);
                    break;
                }
            }
        }
    }
}

fn checkpoint(inner: &Inner) {
    while inner
        .signal
        .wait(|flags| std::mem::take(&mut flags.checkpoint))
    {
        if inner.signal.grown.load(Ordering::Relaxed) < inner.options.checkpoint_bytes {
            continue;
        }
        if let Err(error) = inner.checkpoint() {
            tracing::warn!(%error, "the log cannot be copied back; it is tried again");
            std::thread::sleep(AFTER_ERROR);
        }
    }
}

/// Copies back what no reader needs; returns the length of the database's log in pages and how
/// many of them are copied.
fn copy_back(connection: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    connection.query_row(&sql, [], |row| Ok((row.get(1)?, row.get(2)?)))
}

impl Inner {
    /// Copies the database's log back while commits go on, and begins it anew, while they wait,
    /// only if it has become long: then little is left to copy.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        let connection = files::open_checkpointer(&self.paths, self.options.durability)?;
        let failed = |error| self.paths.log_error(error);
        self.signal.grown.store(0, Ordering::Relaxed);
        let (pages, _) = copy_back(&connection, "PASSIVE").map_err(failed)?;
        // Negative if another checkpoint is under way.
        let pages = u64::try_from(pages).unwrap_or(0);
        if pages * files::PAGE_BYTES <= self.options.wal_bytes_max {
            return Ok(());
        }
        let _commits_wait = self.writer.lock();
        copy_back(&connection, "RESTART").map_err(failed)?;
        Ok(())
    }
}
