//! The threads of a store: one lets the indexes follow, one copies the database's log back, one notes
//! how far the log has come.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::super::{Durability, StoreError};
use super::Inner;
use super::files;

/// The database's log is lengthened once it has such a part of what is copied back at once: a server
/// that hardly writes does without.
const LENGTHEN_AFTER: u64 = 64;
/// The database's log is begun anew, with commits waiting, when it is so many times as long as when
/// it is copied back: on a small disk that is less than what the options say.
const WAL_FACTOR_MAX: u64 = 8;
/// Written at once, with commits waiting.
const LENGTHEN_BYTES: usize = 1 << 20;
/// How long a thread sleeps if nobody wakes it.
const SLEEP: Duration = Duration::from_secs(2);
/// Texts that were removed leave the database's log at once, and then so often at most.
const SCRUB_EVERY: Duration = Duration::from_secs(5);
/// How long the head may have come further before that is noted.
const HEAD_EVERY: Duration = Duration::from_millis(300);
/// How long it waits after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Flags {
    index: bool,
    checkpoint: bool,
    lengthen: bool,
    scrub: bool,
    head: bool,
    stop: bool,
}

/// How commits wake the threads.
#[derive(Debug, Default)]
pub(super) struct Signal {
    flags: Mutex<Flags>,
    changed: Condvar,
    /// About how many bytes the database's log grew since it was copied back.
    grown: AtomicU64,
    /// The head has moved since it was noted.
    moved: AtomicBool,
}

impl Signal {
    /// A commit wrote about so much.
    pub(super) fn wrote(&self, bytes: u64, enough: u64) {
        let before = self.grown.fetch_add(bytes, Ordering::Relaxed);
        let passed = |mark: u64| before < mark && before + bytes >= mark;
        let (checkpoint, lengthen) = (passed(enough), passed(enough / LENGTHEN_AFTER));
        if checkpoint || lengthen {
            let mut flags = self.flags.lock();
            flags.checkpoint |= checkpoint;
            flags.lengthen |= lengthen;
            self.changed.notify_all();
        }
    }

    /// Text was removed: it still stands in the database's log.
    pub(super) fn scrub(&self) {
        self.flags.lock().scrub = true;
        self.changed.notify_all();
    }

    /// There is enough to index.
    pub(super) fn wake_indexer(&self) {
        let mut flags = self.flags.lock();
        if !flags.index {
            flags.index = true;
            self.changed.notify_all();
        }
    }

    /// A commit moved the head. Wakes once for many.
    pub(super) fn wake_head(&self) {
        if !self.moved.swap(true, Ordering::AcqRel) {
            self.flags.lock().head = true;
            self.changed.notify_all();
        }
    }

    /// Waits a while; `false` at the end.
    fn pause(&self, time: Duration) -> bool {
        let until = std::time::Instant::now() + time;
        let mut flags = self.flags.lock();
        while !flags.stop {
            if self.changed.wait_until(&mut flags, until).timed_out() {
                return true;
            }
        }
        false
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
        let work: [(&str, Work); 3] = [
            ("store-index", index),
            ("store-checkpoint", checkpoint),
            ("store-head", head),
        ];
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

fn head(inner: &Inner) {
    while inner.signal.wait(|flags| std::mem::take(&mut flags.head)) {
        if !inner.signal.pause(HEAD_EVERY) {
            return; // the end writes it
        }
        inner.signal.moved.store(false, Ordering::Release);
        if let Err(error) = inner.write_head() {
            tracing::warn!(%error, "how far the log has come cannot be noted");
        }
    }
}

fn checkpoint(inner: &Inner) {
    let mut scrubbed: Option<Instant> = None;
    let is_due = |scrubbed: Option<Instant>| scrubbed.is_none_or(|at| at.elapsed() >= SCRUB_EVERY);
    while inner.signal.wait(|flags| {
        std::mem::take(&mut flags.lengthen)
            | std::mem::take(&mut flags.checkpoint)
            | (flags.scrub && is_due(scrubbed))
    }) {
        if is_due(scrubbed) && std::mem::take(&mut inner.signal.flags.lock().scrub) {
            scrubbed = Some(Instant::now());
            if !inner.scrub() {
                inner.signal.flags.lock().scrub = true;
            }
        }
        let grown = inner.signal.grown.load(Ordering::Relaxed);
        if grown >= inner.space.checkpoint_bytes() / LENGTHEN_AFTER
            && let Err(error) = inner.lengthen()
        {
            tracing::warn!(%error, "the database's log cannot be lengthened");
        }
        if grown < inner.space.checkpoint_bytes() {
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
    /// Makes the database's log as long as it becomes anyway before it begins anew: to sync what
    /// was written over takes half as long as to sync what made a file longer. What is behind the
    /// last commit was never valid to SQLite, whatever it is.
    fn lengthen(&self) -> io::Result<()> {
        if self.options.durability != Durability::Disk {
            return Ok(());
        }
        let mut file = File::options().append(true).open(&self.paths.ahead)?;
        let zeros = vec![0; LENGTHEN_BYTES];
        while file.metadata()?.len() < self.space.checkpoint_bytes() {
            let commits_wait = self.writer.lock();
            file.write_all(&zeros)?;
            drop(commits_wait);
            file.sync_data()?;
        }
        Ok(())
    }

    /// Copies the database's log back and makes it empty, so that it holds no text that was removed
    /// from the database itself. `false` if somebody reads it or it failed: it is to be tried again.
    fn scrub(&self) -> bool {
        let truncate = || {
            let connection = files::open_checkpointer(&self.paths, self.options.durability)?;
            let failed = |error| self.paths.log_error(error);
            // Most of it while commits go on.
            copy_back(&connection, "PASSIVE").map_err(failed)?;
            let _commits_wait = self.writer.lock();
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy = connection.query_row(sql, [], |row| row.get::<_, bool>(0));
            busy.map_err(failed)
        };
        match truncate() {
            Ok(busy) => !busy,
            Err(error) => {
                tracing::warn!(%error, "removed texts are still in the log's file; it is tried again");
                false
            }
        }
    }

    /// Copies the database's log back while commits go on, and begins it anew, while they wait,
    /// only if it has become long: then little is left to copy.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        let connection = files::open_checkpointer(&self.paths, self.options.durability)?;
        let failed = |error| self.paths.log_error(error);
        self.signal.grown.store(0, Ordering::Relaxed);
        self.space.measure(self.options.checkpoint_bytes);
        let (pages, _) = copy_back(&connection, "PASSIVE").map_err(failed)?;
        // Negative if another checkpoint is under way.
        let pages = u64::try_from(pages).unwrap_or(0);
        let longest = self.space.checkpoint_bytes() * WAL_FACTOR_MAX;
        if pages * files::PAGE_BYTES <= self.options.wal_bytes_max.min(longest) {
            return Ok(());
        }
        let _commits_wait = self.writer.lock();
        copy_back(&connection, "RESTART").map_err(failed)?;
        Ok(())
    }
}
