//! What follows the log: conversations by key and by user in `index.db`, keys of messages in runs.
//!
//! A step takes the next part of the log, sorted, never holding up a commit. Whatever is wrong
//! with an index, it is made again from the log.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};
use tidings_core::ids::{Name, conversation_members};
use tidings_core::message::MessageRef;

use super::super::StoreError;
use super::super::tail::key_hash;
use super::Inner;
use super::files::{self, Paths};
use super::keys::{Entry, Runs};
use super::log::key_of;

/// Rows that are taken at once when an index is made again at start.
const REBUILD_BATCH: usize = 100_000;

/// Batches that the log may be ahead before commits help to index.
const LAG_BATCHES_MAX: u64 = 16;
/// How many times its size the tail may have before they do.
const LAG_BYTES_FACTOR_MAX: usize = 4;

/// The writing half of `index.db`.
#[derive(Debug)]
pub(super) struct Index {
    connection: Connection,
    seed: u64,
}

/// A row of the log to be indexed.
struct Followed {
    message: MessageRef,
    removed: bool,
}

/// Opens both indexes, made anew if they cannot be used.
pub(super) fn open(paths: &Paths) -> Result<(Index, Runs, u64), StoreError> {
    let connection = match files::open_index(paths).and_then(|c| sane(paths, c)) {
        Err(StoreError::Corrupt { path, reason }) => {
            tracing::warn!(
                path,
                reason,
                "the index is damaged and is made again from the log"
            );
            remove(paths)?;
            files::open_index(paths)?
        }
        other => other?,
    };
    let seed = seed(&connection).map_err(|error| paths.index_error(error))?;
    let keys = Runs::open(&paths.keys, seed).map_err(|e| paths.io_error(&paths.keys, &e))?;
    Ok((Index { connection, seed }, keys, seed))
}

/// A cheap look at all tables: what is badly damaged shows.
fn sane(paths: &Paths, connection: Connection) -> Result<Connection, StoreError> {
    let look = || {
        for table in ["conversations", "members", "meta"] {
            let sql = format!("SELECT * FROM {table} LIMIT 100");
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        connection.query_row(
            "SELECT max(key), max(conversation) FROM conversations",
            [],
            |_| Ok(()),
        )
    };
    look().map_err(|error| paths.index_error(error))?;
    Ok(connection)
}

fn remove(paths: &Paths) -> Result<(), StoreError> {
    let mut files = vec![paths.index.clone()];
    for suffix in ["-wal", "-shm"] {
        let mut name = paths.index.clone().into_os_string();
        name.push(suffix);
        files.push(name.into());
    }
    for file in files {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(paths.io_error(&file, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Random per store: nobody outside can find ids whose hashes meet.
fn seed(connection: &Connection) -> rusqlite::Result<u64> {
    let read = "SELECT value FROM meta WHERE name = 'seed'";
    let known: Option<i64> = connection
        .query_row(read, [], |row| row.get(0))
        .optional()?;
    if let Some(seed) = known {
        return Ok(seed as u64);
    }
    let seed = RandomState::new().build_hasher().finish();
    connection.execute("INSERT INTO meta VALUES ('seed', ?1)", [seed as i64])?;
    Ok(seed)
}

impl Index {
    /// From where the log has to be followed; everything is thrown away if the indexes know more
    /// than the log, which then is another one, or lost its end in a power cut.
    pub(super) fn begin(&self, inner: &Inner, last: u64) -> Result<u64, StoreError> {
        let read = "SELECT value FROM meta WHERE name = 'watermark'";
        let watermark = self
            .connection
            .query_row(read, [], |row| row.get::<_, i64>(0));
        let watermark = watermark.map_err(|error| inner.paths.index_error(error))? as u64;
        let keys = inner.keys.read().watermark();
        if watermark <= last && keys <= last {
            return Ok(watermark.min(keys));
        }
        tracing::warn!(
            watermark,
            keys,
            last,
            "the indexes are ahead of the log: made again"
        );
        self.connection
            .execute_batch(
                "BEGIN; DELETE FROM conversations; DELETE FROM members;
                 UPDATE meta SET value = 0 WHERE name = 'watermark'; COMMIT",
            )
            .map_err(|error| inner.paths.index_error(error))?;
        let dir = &inner.paths.keys;
        std::fs::remove_dir_all(dir).map_err(|error| inner.paths.io_error(dir, &error))?;
        let empty = Runs::open(dir, self.seed).map_err(|e| inner.paths.io_error(dir, &e))?;
        *inner.keys.write() = empty;
        Ok(0)
    }

    /// With which hashes of keys are made.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    fn step(&mut self, inner: &Inner, rows: &[Followed], upto: u64) -> Result<(), StoreError> {
        self.keys(inner, rows, upto)?;
        self.conversations(rows, upto)
            .map_err(|error| inner.paths.index_error(error))?;
        inner.watermark.store(upto, Ordering::Release);
        Ok(())
    }

    fn keys(&self, inner: &Inner, rows: &[Followed], upto: u64) -> Result<(), StoreError> {
        // Only this lock's holder changes them, so the copy is the newest.
        let mut runs = inner.keys.read().clone();
        let known = runs.watermark();
        if upto <= known {
            return Ok(());
        }
        let new = rows
            .iter()
            .filter(|row| !row.removed && row.message.position > known);
        let mut entries: Vec<Entry> = new
            .map(|Followed { message: m, .. }| {
                (key_hash(self.seed, &m.from, &m.to, &m.id), m.position)
            })
            .collect();
        let failed = |error| inner.paths.io_error(&inner.paths.keys, &error);
        runs.add(&mut entries, upto).map_err(failed)?;
        *inner.keys.write() = runs.clone();
        let first = inner.readers.get()?.first_position()?;
        if runs.merge(first).map_err(failed)? {
            *inner.keys.write() = runs;
        }
        Ok(())
    }

    fn conversations(&mut self, rows: &[Followed], upto: u64) -> rusqlite::Result<()> {
        let mut heads: BTreeMap<u64, (Name, u64, u64)> = BTreeMap::new();
        for Followed { message, .. } in rows {
            heads
                .entry(message.conversation.0)
                .and_modify(|head| (head.1, head.2) = (message.position, message.seq))
                .or_insert_with(|| (key_of(message), message.position, message.seq));
        }
        let transaction = self.connection.transaction()?;
        {
            let mut update = transaction.prepare_cached(
                "UPDATE conversations SET head_position = max(head_position, ?2),
                 head_seq = max(head_seq, ?3) WHERE conversation = ?1",
            )?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO conversations (conversation, head_position, head_seq, key)
                 VALUES (?1, ?2, ?3, ?4)",
            )?;
            let mut member = transaction.prepare_cached(
                "INSERT OR IGNORE INTO members (user, conversation) VALUES (?1, ?2)",
            )?;
            for (conversation, (key, position, seq)) in heads {
                let head = [conversation as i64, position as i64, seq as i64];
                if update.execute(head)? > 0 {
                    continue;
                }
                insert.execute(params![head[0], head[1], head[2], &*key])?;
                if let (low, Some(high)) = conversation_members(&key) {
                    for user in [low, high] {
                        member.execute(params![user, head[0]])?;
                    }
                }
            }
        }
        transaction.execute(
            "UPDATE meta SET value = ?1 WHERE name = 'watermark'",
            [upto as i64],
        )?;
        transaction.commit()
    }
}

impl Inner {
    /// How many positions the indexes lag.
    pub(super) fn lag(&self) -> u64 {
        let last = self.tail.read().last();
        last.saturating_sub(self.watermark.load(Ordering::Acquire))
    }

    /// True if the indexes should follow now: there is a batch, or memory waits for it.
    pub(super) fn should_follow(&self) -> bool {
        let (last, bytes) = {
            let tail = self.tail.read();
            (tail.last(), tail.bytes())
        };
        let lag = last.saturating_sub(self.watermark.load(Ordering::Acquire));
        let batch = self.options.index_batch as u64;
        lag >= batch || lag > batch / 8 && bytes > self.options.tail_bytes_max
    }

    /// True if memory can take what the indexes lack of a log that ends here.
    pub(super) fn may_lag(&self, last: u64) -> bool {
        let lag = last.saturating_sub(self.watermark.load(Ordering::Acquire));
        lag < self.options.index_batch as u64 * LAG_BATCHES_MAX
    }

    /// True if memory outgrows its bounds because the indexes lag: commits have to help.
    pub(super) fn must_follow(&self) -> bool {
        let bytes = self.tail.read().bytes();
        self.lag() >= self.options.index_batch as u64 * LAG_BATCHES_MAX
            || bytes
                > self
                    .options
                    .tail_bytes_max
                    .saturating_mul(LAG_BYTES_FACTOR_MAX)
    }

    /// One step from memory. `true` if there was something.
    pub(super) fn follow(&self) -> Result<bool, StoreError> {
        let mut index = self.index.lock();
        let from = self.watermark.load(Ordering::Acquire);
        let (rows, upto) = {
            let tail = self.tail.read();
            // Never dropped from the tail before they are indexed.
            let upto = tail
                .last()
                .min(from + self.options.index_batch.max(1) as u64 * 4);
            let new = (from + 1..=upto).filter_map(|position| tail.message(position));
            let rows: Vec<Followed> = new
                .map(|message| Followed {
                    message: MessageRef::clone(message),
                    removed: false,
                })
                .collect();
            (rows, upto)
        };
        if upto <= from {
            return Ok(false);
        }
        index.step(self, &rows, upto)?;
        Ok(true)
    }

    /// At start: steps from the log until what is left is a small part for the tail.
    pub(super) fn follow_log(&self, last: u64) -> Result<(), StoreError> {
        let mut index = self.index.lock();
        let begin = self.watermark.load(Ordering::Acquire);
        let reader = self.readers.get()?;
        let mut shown = begin;
        loop {
            let from = self.watermark.load(Ordering::Acquire);
            let few = last - from <= 2 * self.options.index_batch as u64;
            // The tail has no place for heads whose message was removed: only the index knows them.
            if few && !reader.has_removed_after(from)? {
                return Ok(());
            }
            let rows = reader.rows_after(from, REBUILD_BATCH)?;
            let Some(newest) = rows.last() else {
                return Ok(());
            };
            let upto = newest.message.position;
            let rows: Vec<Followed> = rows
                .into_iter()
                .map(|row| Followed {
                    message: row.message,
                    removed: row.removed,
                })
                .collect();
            index.step(self, &rows, upto)?;
            if upto - shown >= 10 * REBUILD_BATCH as u64 || shown == begin {
                shown = upto;
                tracing::info!(upto, last, "the indexes are being made from the log");
            }
        }
    }
}
