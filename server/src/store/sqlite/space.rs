//! Room on the disk: how far the database's log may grow, and a reserve that is given up so that a full
//! disk can be started from, and cleaned up.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::StoreError;
use super::Inner;
use super::files::{self, Paths};

/// What is kept for the time when nothing else is left.
const RESERVE_BYTES: u64 = 4 << 20;
/// So many times as much must be free for the reserve to be made, at first…
const MADE_WITH: u64 = 8;
/// …and once it was given up.
const MADE_AGAIN_WITH: u64 = 2;
/// The database's log may take such a part of what is free before it is copied back.
const PART_OF_FREE: u64 = 8;
/// It is copied back no more often than this makes it, however little is free.
const CHECKPOINT_BYTES_MIN: u64 = 1 << 20;
/// How often it is looked whether there is room again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What became of the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is there.
    Kept,
    /// There was never room for it.
    NoRoom,
    /// It was given up at a time when the disk was full, looked at last then.
    Given(Instant),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Space {
    paths: Paths,
    reserve: PathBuf,
    state: Mutex<State>,
    /// After so many bytes the database's log is copied back.
    checkpoint_bytes: AtomicU64,
}

impl Space {
    /// Looks for the reserve of the process before, or makes one if there is plenty of room.
    pub(super) fn new(paths: &Paths, checkpoint_bytes: u64) -> Space {
        let space = Space {
            paths: paths.clone(),
            reserve: paths.dir.join("reserve"),
            state: Mutex::new(State::NoRoom),
            checkpoint_bytes: AtomicU64::new(0),
        };
        let is_there = fs::metadata(&space.reserve).is_ok_and(|file| file.len() == RESERVE_BYTES);
        if is_there || space.make(MADE_WITH) {
            *space.state.lock() = State::Kept;
        }
        space.measure(checkpoint_bytes);
        space
    }

    /// Makes the reserve if so many times as much is free.
    fn make(&self, times: u64) -> bool {
        if files::free_bytes(&self.paths) < times * RESERVE_BYTES {
            return false;
        }
        let write = || -> io::Result<()> {
            let mut file = File::create(&self.reserve)?;
            let zeros = vec![0; 1 << 20];
            for _ in 0..RESERVE_BYTES >> 20 {
                file.write_all(&zeros)?;
            }
            file.sync_all()
        };
        let made = write();
        if let Err(error) = &made {
            tracing::warn!(%error, "no reserve could be put aside for a full disk");
            let _ = fs::remove_file(&self.reserve); // half of one is none
        }
        made.is_ok()
    }

    /// Gives the reserve up; false if there is none.
    pub(super) fn give(&self) -> bool {
        let mut state = self.state.lock();
        if *state != State::Kept {
            return false;
        }
        if let Err(error) = fs::remove_file(&self.reserve) {
            tracing::warn!(%error, "the reserve for a full disk cannot be removed");
            return false;
        }
        tracing::warn!("the disk is full: the reserve is used to start and to clean up");
        *state = State::Given(Instant::now());
        true
    }

    /// An error as long as the reserve is given up: what little room there is, is for cleaning up.
    /// Looks now and then whether there is enough again.
    pub(super) fn look(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let State::Given(looked) = &mut *state else {
            return Ok(());
        };
        if looked.elapsed() >= LOOK_EVERY {
            *looked = Instant::now();
            if self.make(MADE_AGAIN_WITH) {
                *state = State::Kept;
                tracing::info!("there is room on the disk again");
                return Ok(());
            }
        }
        Err(self.paths.full())
    }

    /// True while the reserve is given up.
    pub(super) fn is_given(&self) -> bool {
        matches!(*self.state.lock(), State::Given(_))
    }

    /// Fits the length of the database's log to what is free.
    pub(super) fn measure(&self, wanted: u64) {
        let part = files::free_bytes(&self.paths) / PART_OF_FREE;
        let fitting = wanted.min(part.max(CHECKPOINT_BYTES_MIN));
        self.checkpoint_bytes.store(fitting, Ordering::Relaxed);
    }

    /// After how many bytes the database's log is copied back.
    pub(super) fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_bytes.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// Does what makes room, with the reserve if it cannot be done otherwise.
    pub(super) fn make_room<T>(
        &self,
        work: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match work() {
            Err(StoreError::DiskFull { .. }) if self.space.give() || self.space.is_given() => {
                // What is copied back no longer takes room twice.
                self.shorten();
                let done = work();
                self.shorten();
                done
            }
            done => done,
        }
    }

    /// Copies the database's log back and makes it as short as can be, while commits wait.
    fn shorten(&self) {
        let _commits_wait = self.writer.lock();
        let done = files::open_checkpointer(&self.paths, self.options.durability)
            .and_then(|connection| files::checkpoint(&connection, &self.paths));
        if let Err(error) = done {
            tracing::warn!(%error, "the log cannot be copied back");
        }
    }
}
