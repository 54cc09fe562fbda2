//! The embedded store: one log in SQLite that is the truth, indexes that follow behind, and the
//! newest part of both in memory, which makes reads right meanwhile.
//!
//! `files` the directory · `space` room on the disk · `trouble` what errors mean · `ahead` and `head` whether
//! the log ends where it should · `sums` checksums of what lies beside it · `log` rows and readers · `writer` the commit · `index` and `keys` what
//! follows · `read` backlog, load, history · `retain` removal · `backup` and `check` what operators ask ·
//! `keeper` the two threads.
//! Not here: the decision about a batch (`plan`), the memory (`tail`) and the arithmetic of the
//! pointers (`chain`), which the stores share. Called through [`Store`] only.

mod ahead;
mod backup;
mod check;
mod dirty;
mod files;
mod head;
mod index;
mod keeper;
mod keys;
mod log;
mod look;
mod read;
mod retain;
mod space;
mod sums;
mod trouble;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tidings_core::custody::{Backlog, Cursor, Loaded, Record, Verdict, Want};
use tidings_core::ids::{DeviceId, Name};
use tidings_core::message::{Message, MessageRef};

use super::tail::Tail;
use super::{
    Checked, Conversation, Durability, Page, Profile, Receipt, Retained, Search, Size, Store,
    StoreError,
};
use dirty::Dirty;
use files::{Paths, Presence};
use head::{HeadFile, Mark};
use index::Index;
use keeper::{Keeper, Signal};
use keys::Runs;
use log::Readers;
use retain::Pass;
use space::Space;
use writer::Writer;

pub(crate) use files::{open_database, remove_shared_memory};
pub(crate) use head::loss;
pub(crate) use trouble::explain;

/// How a store on disk behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteOptions {
    /// What an acknowledgement means; `Memory` counts as `Os`.
    pub durability: Durability,
    /// About how much memory the newest messages may take; more while the indexes lag.
    pub tail_bytes_max: usize,
    /// Messages after which the indexes follow.
    pub index_batch: usize,
    /// The database's log is copied back when it has grown by so much…
    pub checkpoint_bytes: u64,
    /// …and begun anew, with commits waiting, when it is this long.
    pub wal_bytes_max: u64,
    /// A log that ends too early, and damaged rows, are no reason not to open.
    pub accept_loss: bool,
    /// Indexes follow and checkpoints happen on threads of the store; else only in `flush`.
    pub background: bool,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            durability: Durability::Disk,
            tail_bytes_max: 8 << 20,
            index_batch: 20_000,
            checkpoint_bytes: 16 << 20,
            wal_bytes_max: 128 << 20,
            accept_loss: false,
            background: true,
        }
    }
}

/// Users and members of groups are all read at the start if there are no more than this of each.
const ROWS_AT_START_MAX: usize = 100_000;

/// See the module.
#[derive(Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
    keeper: Option<Keeper>,
}

#[derive(Debug)]
struct Inner {
    paths: Paths,
    options: SqliteOptions,
    tail: RwLock<Tail>,
    dirty: Mutex<Dirty>,
    writer: Mutex<Writer>,
    readers: Readers,
    keys: RwLock<Runs>,
    index: Mutex<Index>,
    /// Everything up to this position is in both indexes.
    watermark: AtomicU64,
    pass: Mutex<Pass>,
    signal: Signal,
    space: Space,
    presence: Mutex<Presence>,
    head: HeadFile,
    /// How many times something else than new messages was written.
    changes: AtomicU64,
    /// The last commit failed.
    failing: AtomicBool,
    /// Held as long as the store is open.
    _lock: File,
}

/// Makes the data directory if need be and takes it for this process, until the file is dropped:
/// for tools that work on its files while no server does.
///
/// # Errors
/// If another process has it, or it cannot be made.
pub fn lock_directory(dir: &Path) -> Result<File, StoreError> {
    files::lock(&Paths::new(dir))
}

impl SqliteStore {
    /// Opens the store in a directory, made if need be, for this process alone.
    ///
    /// # Errors
    /// If it is in use, cannot be written, is damaged, or was written by a newer version.
    pub fn open(dir: &Path, options: SqliteOptions) -> Result<SqliteStore, StoreError> {
        let paths = Paths::new(dir);
        let lock = files::lock(&paths)?;
        let space = Space::new(&paths, options.checkpoint_bytes);
        let opened = match Opened::of(&paths, options) {
            Err(StoreError::DiskFull { .. }) if space.give() => Opened::of(&paths, options),
            opened => opened,
        }?;
        let is_full = opened.is_full;
        // The reserve is what it is copied back with, before anything else takes the room.
        if is_full && space.give() && files::checkpoint(&opened.log, &paths).is_err() {
            tracing::warn!("the reserve did not suffice to copy the log back");
        }
        let readers = Readers::new(&paths);
        let seed = opened.seed;
        let (head, mark) = HeadFile::open(&paths, options.durability)?;
        let inner = Inner {
            tail: RwLock::new(Tail::new(seed, 0)),
            dirty: Mutex::new(Dirty::default()),
            presence: Mutex::new(Presence::of(&paths)?),
            writer: Mutex::new(Writer::new(opened.log)),
            readers,
            keys: RwLock::new(opened.keys),
            index: Mutex::new(opened.index),
            watermark: AtomicU64::new(0),
            pass: Mutex::new(Pass::default()),
            signal: Signal::default(),
            space,
            failing: AtomicBool::new(is_full),
            head,
            changes: AtomicU64::new(0),
            _lock: lock,
            paths,
            options,
        };
        inner.start(seed, mark)?;
        let inner = Arc::new(inner);
        let keeper = options
            .background
            .then(|| Keeper::start(&inner))
            .transpose()?;
        Ok(SqliteStore { inner, keeper })
    }

    /// Lets the indexes follow to the end of the log now.
    #[cfg(test)]
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        while self.inner.follow()? {}
        self.inner.checkpoint()
    }
}

/// What is opened first.
struct Opened {
    log: rusqlite::Connection,
    index: Index,
    keys: Runs,
    seed: u64,
    /// The log could not be copied back for want of room; it can be read where it is.
    is_full: bool,
}

impl Opened {
    fn of(paths: &Paths, options: SqliteOptions) -> Result<Opened, StoreError> {
        if options.durability == Durability::Disk {
            ahead_is_whole(&paths.log, options.accept_loss)?;
        }
        let log = files::open_log(paths, options.durability)?;
        // What a killed process left behind is copied back now: counted from each start alone, a
        // server that is killed again and again would never get round to it.
        let is_full = match files::checkpoint(&log, paths) {
            Err(error @ StoreError::DiskFull { .. }) => {
                tracing::warn!(%error, "the log is not copied back now");
                true
            }
            done => done.map(|()| false)?,
        };
        let (index, keys, seed) = index::open(paths)?;
        Ok(Opened {
            log,
            index,
            keys,
            seed,
            is_full,
        })
    }
}

/// Looks through the write-ahead log of a database before SQLite does, takes what it can read, and
/// begins it anew. For databases that sync each commit: others may end anywhere after a power cut.
pub(crate) fn ahead_is_whole(database: &Path, accept_loss: bool) -> Result<(), StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let path = Path::new(&path);
    let found = ahead::look(path).map_err(|error| {
        let dir = database.parent().unwrap_or(Path::new("."));
        Paths::new(dir).io_error(path, &error)
    })?;
    let Some(ahead::Break { at, commits }) = found else {
        return Ok(());
    };
    let reason = match at {
        0 => "its header is not what was written, and nothing in it can be read".to_owned(),
        _ => format!(
            "at byte {at} it is not what was written, and the {commits} commits from there on cannot \
             be read"
        ),
    };
    loss(accept_loss, path, reason)
}

impl Inner {
    /// Brings memory in line with the disk: indexes first, as far as they lag too much, then the
    /// tail from where they end.
    fn start(&self, seed: u64, mark: Option<Mark>) -> Result<(), StoreError> {
        self.compare_head(mark)?;
        self.look_at_rows()?;
        let last = self.readers.get()?.last_position()?;
        let begin = self.index.lock().begin(self, last)?;
        self.watermark.store(begin, Ordering::Release);
        let followed = match self.follow_log(last) {
            Err(StoreError::DiskFull { .. }) if self.space.give() => self.follow_log(last),
            followed => followed,
        };
        match followed {
            // Memory takes what the indexes lack, as far as it reaches.
            Err(error @ StoreError::DiskFull { .. }) if self.may_lag(last) => {
                tracing::warn!(%error, "the indexes cannot follow");
            }
            followed => followed?,
        }
        let watermark = self.watermark.load(Ordering::Acquire);
        *self.tail.write() = Tail::new(seed, watermark);
        let mut writer = self.writer.lock();
        writer.recover(self)?;
        writer.copy_back_at_the_end(self)?;
        drop(writer);
        // It is tried again with the first commit.
        if let Err(error) = self.write_head() {
            tracing::warn!(%error, "how far the log has come cannot be noted");
        }
        Ok(())
    }

    /// Reads what is small: users and groups.
    fn look_at_rows(&self) -> Result<(), StoreError> {
        let mut told = Vec::new();
        let reader = self.readers.get()?;
        reader.read(|connection| {
            sums::look(connection, Some(ROWS_AT_START_MAX), |words| {
                told.push(words);
            })
        })?;
        match told.first() {
            None => Ok(()),
            Some(first) if told.len() == 1 => self.loss(&self.paths.log, first.clone()),
            Some(first) => {
                let reason = format!("{first}, and {} more", told.len() - 1);
                self.loss(&self.paths.log, reason)
            }
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
        // The writer closes the log last, and copies it back.
        self.inner.readers.close();
        if let Err(error) = self.inner.write_cursors() {
            tracing::warn!(%error, "cursors were not written at the end: some messages come again");
        }
        if let Err(error) = self.inner.write_head() {
            tracing::warn!(%error, "how far the log has come cannot be noted");
        }
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: &[Record], verdicts: &mut Vec<Verdict>) -> Result<(), StoreError> {
        self.inner.commit(batch, verdicts)
    }

    fn acknowledge(&self, cursors: &mut Vec<Cursor>) {
        self.inner.dirty.lock().put(cursors);
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.inner.can_write()?;
        self.inner.write_cursors()?;
        if !self.inner.options.background {
            self.inner.write_head()?;
        }
        // Small steps make small files; memory has what is missing, and a start reads it again.
        if self.inner.lag() >= (self.inner.options.index_batch as u64 / 4).max(1) {
            self.inner.follow()?;
        }
        Ok(())
    }

    fn backlog(&self, user: &str, device: DeviceId) -> Result<Backlog, StoreError> {
        self.inner.backlog(user, device)
    }

    fn load(
        &self,
        wants: &[Want],
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Loaded, StoreError> {
        match self.load_recent(wants, messages_max, bytes_max) {
            Some(loaded) => Ok(loaded),
            None => self.inner.load(wants, messages_max, bytes_max),
        }
    }

    fn load_recent(&self, wants: &[Want], messages_max: usize, bytes_max: usize) -> Option<Loaded> {
        let tail = self.inner.tail.read();
        tail.load(wants, messages_max, bytes_max, false)
    }

    fn history(&self, conversation_key: &str, page: Page) -> Result<Vec<MessageRef>, StoreError> {
        self.inner.history(conversation_key, page)
    }

    fn conversations(
        &self,
        user: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Conversation>, StoreError> {
        self.inner.conversations(user, before, limit)
    }

    fn redact(
        &self,
        conversation_key: &str,
        seq: u64,
        instead: Option<&str>,
    ) -> Result<bool, StoreError> {
        let inner = &self.inner;
        inner.make_room(|| inner.redact(conversation_key, seq, instead))
    }

    fn set_group(&self, group: &str, members: &[Name]) -> Result<(), StoreError> {
        self.inner.set_group(group, members)
    }

    fn group(&self, group: &str) -> Result<Option<Vec<Name>>, StoreError> {
        let reader = self.inner.readers.get()?;
        let members: Vec<Name> = reader
            .members(group)?
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        Ok((!members.is_empty()).then_some(members))
    }

    fn groups(&self, after: &str, limit: usize) -> Result<Vec<(Name, usize)>, StoreError> {
        self.inner.groups(after, limit)
    }

    fn retain(&self, before_ms: i64, devices_since_ms: i64) -> Result<Retained, StoreError> {
        let inner = &self.inner;
        inner.make_room(|| inner.retain(before_ms, devices_since_ms))
    }

    fn find(&self, search: &Search) -> Result<Vec<MessageRef>, StoreError> {
        self.inner.find(search)
    }

    fn users(&self, after: &str, limit: usize) -> Result<Vec<Name>, StoreError> {
        self.inner.users(after, limit)
    }

    fn profile(&self, user: &str) -> Result<Option<Profile>, StoreError> {
        self.inner.profile(user)
    }

    fn receipts(&self, user: &str, message: &Message) -> Result<Vec<Receipt>, StoreError> {
        self.inner.receipts(user, message)
    }

    fn size(&self) -> Result<Size, StoreError> {
        self.inner.size()
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.inner.backup(to)
    }

    fn check(&self) -> Result<Checked, StoreError> {
        self.inner.check()
    }

    fn is_immediate(&self) -> bool {
        false
    }
}

#[cfg(test)]
#[path = "../sqlite_damage_tests.rs"]
mod damage_tests;
#[cfg(test)]
#[path = "../sqlite_tests.rs"]
mod tests;
#[cfg(test)]
pub(super) use tests::copy_files;
