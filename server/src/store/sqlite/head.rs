//! How far the log has come, kept beside it: so that one which ends too early, or is another one, is
//! noticed at the start.
//!
//! Written by a thread of its own, at most half a second late, never on the way of an acknowledgement.
//! That it lags behind the log is usual after a crash; the other way round something is missing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tidings_core::message::Message;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::super::{Durability, StoreError};
use super::Inner;
use super::files::Paths;
use super::log::{LogRow, Reader};

const MAGIC: u64 = u64::from_le_bytes(*b"TDHEAD01");
const WORDS: usize = 8;
/// Two places, written in turn: one that is cut off in the middle leaves the other.
const PLACE_BYTES: u64 = 4096;

/// What is known of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// Of the marks of one file, the one with the highest turn counts.
    turn: u64,
    /// The log's last position.
    position: u64,
    /// Of what never changes in the row there; 0 if the row is not known.
    row: u64,
    /// How many times something else than new messages was written.
    changes: u64,
    /// Which run of the operating system wrote it, if what it wrote need not survive a power cut.
    boot: u64,
}

impl Mark {
    fn encode(self) -> [u8; WORDS * 8] {
        let mut bytes = [0; WORDS * 8];
        let words = [
            MAGIC,
            self.turn,
            self.position,
            self.row,
            self.changes,
            self.boot,
        ];
        for (at, word) in words.iter().enumerate() {
            bytes[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        let end = (WORDS - 1) * 8;
        let sum = xxh3_64(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; WORDS * 8]) -> Option<Mark> {
        let mut words = [0; WORDS];
        for (at, word) in words.iter_mut().enumerate() {
            let mut raw = [0; 8];
            raw.copy_from_slice(&bytes[at * 8..][..8]);
            *word = u64::from_le_bytes(raw);
        }
        let [magic, turn, position, row, changes, boot, _, sum] = words;
        let is_right = magic == MAGIC && sum == xxh3_64(&bytes[..(WORDS - 1) * 8]);
        is_right.then_some(Mark {
            turn,
            position,
            row,
            changes,
            boot,
        })
    }

    /// The same but for its turn.
    fn same(self, other: Mark) -> bool {
        let turn = self.turn;
        self == Mark { turn, ..other }
    }
}

/// What neither retention nor a recall changes in a row.
fn unchanging(message: &Message) -> u64 {
    let mut hash = Xxh3::new();
    for number in [message.position, message.conversation.0, message.seq] {
        hash.update(&number.to_le_bytes());
    }
    for text in [&*message.from, &*message.to] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.digest().max(1)
}

/// The file.
#[derive(Debug)]
pub(super) struct HeadFile {
    path: PathBuf,
    file: File,
    written: Mutex<Mark>,
    boot: u64,
}

impl HeadFile {
    /// Opens it; says what the process before left in it.
    pub(super) fn open(
        paths: &Paths,
        durability: Durability,
    ) -> Result<(HeadFile, Option<Mark>), StoreError> {
        let path = paths.dir.join("head");
        let open = || -> io::Result<(HeadFile, Option<Mark>)> {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            let file = options.open(&path)?;
            let mut found: Option<Mark> = None;
            let mut is_damaged = false;
            for place in 0..2 {
                let mut bytes = [0; WORDS * 8];
                match file.read_exact_at(&mut bytes, place * PLACE_BYTES) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                    read => read?,
                }
                let mark = Mark::decode(&bytes);
                is_damaged |= mark.is_none() && bytes != [0; WORDS * 8];
                found = found.into_iter().chain(mark).max_by_key(|mark| mark.turn);
            }
            if is_damaged {
                tracing::warn!(file = %path.display(), "one of its two marks is damaged");
            }
            let boot = match durability {
                Durability::Disk => 0,
                Durability::Os | Durability::Memory => this_boot(),
            };
            let written = Mutex::new(found.unwrap_or_default());
            let head = HeadFile {
                path: path.clone(),
                file,
                written,
                boot,
            };
            Ok((head, found))
        };
        open().map_err(|error| paths.io_error(&path, &error))
    }

    fn write(&self, mark: Mark) -> io::Result<()> {
        let mut written = self.written.lock();
        if mark.same(*written) {
            return Ok(());
        }
        let turn = written.turn + 1;
        let mark = Mark { turn, ..mark };
        let place = turn % 2 * PLACE_BYTES;
        self.file.write_all_at(&mark.encode(), place)?;
        self.file.sync_data()?;
        *written = mark;
        Ok(())
    }
}

/// Which run of the operating system this is.
fn this_boot() -> u64 {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    xxh3_64(&id).max(1)
}

impl Inner {
    /// Writes how far the log has come, if that has changed.
    pub(super) fn write_head(&self) -> Result<(), StoreError> {
        let changes = self.changes.load(Ordering::Acquire);
        let (position, recent) = {
            let tail = self.tail.read();
            let position = tail.last();
            (position, tail.message(position).cloned())
        };
        let message = match recent {
            Some(message) => Some(message),
            None => match self.readers.get()?.row(position) {
                // Whoever reads it says so.
                Err(StoreError::Corrupt { .. }) => None,
                row => row?.map(|row| row.message),
            },
        };
        let written = self.head.write(Mark {
            turn: 0,
            position,
            row: message.map_or(0, |message| unchanging(&message)),
            changes,
            boot: self.head.boot,
        });
        written.map_err(|error| self.paths.io_error(&self.head.path, &error))
    }

    /// Compares the log with what was known of it.
    pub(super) fn compare_head(&self, mark: Option<Mark>) -> Result<(), StoreError> {
        let Some(mark) = mark else { return Ok(()) };
        let reader = self.readers.get()?;
        let (last, changes) = (reader.last_position()?, reader.changes()?);
        let missing = missing(&reader, mark, last, changes)?;
        let Some(reason) = missing else {
            return Ok(());
        };
        // Without a sync for each commit a power cut takes what it takes.
        if mark.boot != 0 && mark.boot != this_boot() {
            tracing::warn!(
                reason,
                "lost in a power cut, which delivery.durability permits"
            );
            return Ok(());
        }
        self.loss(&self.paths.log, reason)
    }

    /// Something is missing or damaged: an error, unless that was accepted.
    pub(super) fn loss(&self, path: &std::path::Path, reason: String) -> Result<(), StoreError> {
        loss(self.options.accept_loss, path, reason)
    }
}

/// Something in a file is missing or damaged: an error, unless that was accepted.
pub(crate) fn loss(
    accept_loss: bool,
    path: &std::path::Path,
    reason: String,
) -> Result<(), StoreError> {
    let path = path.display().to_string();
    match accept_loss {
        true => {
            tracing::warn!(path, reason, "damaged; it goes on without what is missing");
            Ok(())
        }
        false => Err(StoreError::Loss { path, reason }),
    }
}

fn missing(
    reader: &Reader<'_>,
    mark: Mark,
    last: u64,
    changes: u64,
) -> Result<Option<String>, StoreError> {
    if last < mark.position {
        return Ok(Some(format!(
            "it ends at position {last}, but {} was reached: {} messages that were acknowledged are \
             missing at its end",
            mark.position,
            mark.position - last
        )));
    }
    if changes < mark.changes {
        let count = mark.changes - changes;
        return Ok(Some(format!(
            "{count} changes of logins, groups or old messages that were acknowledged are missing"
        )));
    }
    // A row that is not what was written is told by whoever reads it, a row that went by nobody.
    let row: Option<LogRow> = match mark.row {
        0 => None,
        _ => match reader.row(mark.position) {
            Err(StoreError::Corrupt { .. }) => None,
            row => row?,
        },
    };
    let is_other = row.is_some_and(|row| unchanging(&row.message) != mark.row);
    Ok(is_other.then(|| {
        let position = mark.position;
        format!(
            "at position {position} stands another message than was acknowledged: it is another log"
        )
    }))
}
