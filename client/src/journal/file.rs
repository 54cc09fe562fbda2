//! The bytes of the outbox file.
//!
//! A mark, then batches: length (4 bytes, little-endian), checksum (8 bytes, XXH3 of the rest),
//! records as lines of JSON. Each batch is on disk before the next is written, so a crash can tear
//! only the last one: that is cut off at the next start. A bad batch that others follow is damage.
//!
//! The file grows by every record and is written anew, smaller, when most of it is of no use.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::OutboxError;
use crate::machine::{Outgoing, Record, Restored, Seen};

const MARK: &[u8; 8] = b"tidings1";
const HEAD_BYTES: usize = 12;
/// A file below this is not written anew.
const COMPACT_BYTES_MIN: u64 = 1 << 20;

/// One record as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Owner {
        user: String,
    },
    Queued {
        order: u64,
        id: String,
        to: String,
        typeu: i32,
        text: String,
    },
    Done {
        order: u64,
    },
    Seen {
        from: String,
        to: String,
        id: String,
    },
}

impl From<&Record> for Line {
    fn from(record: &Record) -> Line {
        match record {
            Record::Queued { order, message } => Line::Queued {
                order: *order,
                id: message.id.to_string(),
                to: message.to.to_string(),
                typeu: message.typeu,
                text: message.text.clone(),
            },
            Record::Done { order } => Line::Done { order: *order },
            Record::Seen(seen) => Line::Seen {
                from: seen.from.to_string(),
                to: seen.to.to_string(),
                id: seen.id.to_string(),
            },
        }
    }
}

/// What a file says, read from its beginning.
#[derive(Default)]
struct Content {
    owner: Option<String>,
    queued: BTreeMap<u64, Outgoing>,
    seen: VecDeque<Seen>,
}

impl Content {
    fn take(&mut self, line: Line, seen_max: usize) {
        match line {
            Line::Owner { user } => self.owner = Some(user),
            Line::Queued {
                order,
                id,
                to,
                typeu,
                text,
            } => {
                let message = Outgoing {
                    id: id.into(),
                    to: to.into(),
                    typeu,
                    qos: true,
                    text,
                };
                self.queued.insert(order, message);
            }
            Line::Done { order } => drop(self.queued.remove(&order)),
            Line::Seen { from, to, id } => {
                self.seen.push_back(Seen {
                    from: from.into(),
                    to: to.into(),
                    id: id.into(),
                });
                if self.seen.len() > seen_max {
                    self.seen.pop_front();
                }
            }
        }
    }

    /// The records that say the same, and no more.
    fn records(&self) -> Vec<Record> {
        let seen = self.seen.iter().map(|seen| Record::Seen(seen.clone()));
        let queued = self.queued.iter().map(|(order, message)| Record::Queued {
            order: *order,
            message: message.clone(),
        });
        seen.chain(queued).collect()
    }
}

pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    /// Held as long as this lives; the journal itself changes its place when it is written anew.
    _lock: File,
    user: String,
    seen_max: usize,
    /// Length of what is known to be whole.
    length: u64,
    /// Length after it was last written anew.
    compact: u64,
    /// The end may be torn and could not be cut off.
    torn: bool,
}

impl JournalFile {
    pub(super) fn open(
        path: PathBuf,
        user: &str,
        seen_max: usize,
    ) -> Result<(JournalFile, Restored), OutboxError> {
        let _lock = lock(&path)?;
        let at = |source| OutboxError::Io {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(at)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(at)?;
        let (content, whole) = read(&path, &bytes, seen_max)?;
        if let Some(owner) = content.owner.clone()
            && owner != user
        {
            return Err(OutboxError::Foreign { path, owner });
        }
        let mut journal = JournalFile {
            path: path.clone(),
            file,
            _lock,
            user: user.to_owned(),
            seen_max,
            length: whole as u64,
            compact: whole as u64,
            torn: true,
        };
        journal.prepare(&content).map_err(at)?;
        let restored = Restored {
            queued: content.queued.into_iter().collect(),
            seen: content.seen.into(),
        };
        Ok((journal, restored))
    }

    /// Cuts off a torn end; begins a file that has no owner yet.
    fn prepare(&mut self, content: &Content) -> io::Result<()> {
        self.mend()?;
        if content.owner.is_none() || self.length > COMPACT_BYTES_MIN {
            self.rewrite(content)?;
        }
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.file.sync_all()?;
            self.torn = false;
        }
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(())
    }

    /// Appends records; they are on disk when it returns.
    ///
    /// # Errors
    /// None of them counts then, and the next call begins where the last good one ended.
    pub(super) fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Record>,
    ) -> io::Result<()> {
        self.mend()?;
        let batch = encode(records.map(Line::from))?;
        self.torn = true;
        self.file.write_all(&batch)?;
        self.file.sync_data()?;
        self.torn = false;
        self.length += batch.len() as u64;
        if self.length > COMPACT_BYTES_MIN + 2 * self.compact {
            self.compact();
        }
        Ok(())
    }

    /// Writes the file anew from what it says. If that fails, the old one goes on.
    fn compact(&mut self) {
        let outcome = self.reread().and_then(|content| self.rewrite(&content));
        if let Err(error) = outcome {
            tracing::warn!(path = %self.path.display(), %error, "outbox not compacted");
            // Not tried again before it has grown as much once more.
            self.compact = self.length;
        }
    }

    fn reread(&mut self) -> io::Result<Content> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        let (content, _) = read(&self.path, &bytes, self.seen_max).map_err(io::Error::other)?;
        Ok(content)
    }

    fn rewrite(&mut self, content: &Content) -> io::Result<()> {
        let beside = with_suffix(&self.path, ".new");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(&beside)?;
        let owner = Line::Owner {
            user: self.user.clone(),
        };
        let records = content.records();
        let lines = std::iter::once(owner).chain(records.iter().map(Line::from));
        let mut bytes = MARK.to_vec();
        bytes.extend_from_slice(&encode(lines)?);
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        sync_folder(&self.path)?;
        self.file = file;
        self.length = bytes.len() as u64;
        self.compact = self.length;
        Ok(())
    }
}

/// One batch.
fn encode(lines: impl Iterator<Item = Line>) -> io::Result<Vec<u8>> {
    let mut batch = vec![0; HEAD_BYTES];
    for line in lines {
        serde_json::to_writer(&mut batch, &line)?;
        batch.push(b'\n');
    }
    let (head, body) = batch.split_at_mut(HEAD_BYTES);
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let (length_place, sum_place) = head.split_at_mut(4);
    length_place.copy_from_slice(&length.to_le_bytes());
    sum_place.copy_from_slice(&xxh3_64(body).to_le_bytes());
    Ok(batch)
}

/// Reads a file; answers what it says and how much of it is whole.
fn read(path: &Path, bytes: &[u8], seen_max: usize) -> Result<(Content, usize), OutboxError> {
    let damaged = |offset: usize, problem| OutboxError::Damaged {
        path: path.to_owned(),
        offset: offset as u64,
        problem,
    };
    let mut content = Content::default();
    if bytes.is_empty() {
        return Ok((content, 0));
    }
    if !bytes.starts_with(MARK) {
        return Err(damaged(0, "this is no outbox"));
    }
    let mut offset = MARK.len();
    while let Some((head, rest)) = bytes.get(offset..).and_then(split_head) {
        let Some(body) = rest.get(..head.length) else {
            break;
        };
        if xxh3_64(body) != head.sum {
            if rest.len() == head.length {
                break;
            }
            if rest.iter().all(|byte| *byte == 0) && head.length == 0 {
                // Space that the crash left without its content.
                break;
            }
            return Err(damaged(offset, "the checksum is wrong"));
        }
        for line in body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let line = serde_json::from_slice(line)
                .map_err(|_| damaged(offset, "a record cannot be read"))?;
            content.take(line, seen_max);
        }
        offset += HEAD_BYTES + head.length;
    }
    Ok((content, offset))
}

struct Head {
    length: usize,
    sum: u64,
}

fn split_head(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let sum = u64::from_le_bytes(*sum);
    Some((Head { length, sum }, rest))
}

/// A file beside the journal is locked, because the journal itself is replaced by a new one.
fn lock(path: &Path) -> Result<File, OutboxError> {
    let beside = with_suffix(path, ".lock");
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(&beside);
    let at = |source| OutboxError::Io {
        path: beside.clone(),
        source,
    };
    let file = opened.map_err(at)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OutboxError::Locked(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(at(source)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Without this a crash may take back the rename.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
