//! Whether everything is what was written: each row by its checksum, the numbers of each
//! conversation, and what the indexes know of them.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Row};
use tidings_core::ids::conversation_members;
use xxhash_rust::xxh3::xxh3_64;

use super::super::tail::key_hash;
use super::super::{Checked, StoreError};
use super::Inner;
use super::keys::Runs;
use super::log::{LogRow, Reader};
use super::sums;
use std::sync::atomic::Ordering;

/// Rows that are read at once.
const STEP_ROWS: usize = 2_000;
/// Faults that SQLite tells of one file.
const SQLITE_FAULTS_MAX: usize = 20;

/// The last message seen of a conversation.
struct Head {
    seq: u64,
    position: u64,
    /// Of its key.
    hash: u64,
}

/// A check under way.
struct Check<'a> {
    reader: &'a Reader<'a>,
    keys: Runs,
    seed: u64,
    /// Up to here: what comes later is not looked at.
    last: u64,
    heads: HashMap<u64, Head>,
    checked: Checked,
}

impl Inner {
    /// See [`super::super::Store::check`].
    pub(super) fn check(&self) -> Result<Checked, StoreError> {
        // Retention would take rows from under it.
        let _no_retention = self.pass.lock();
        while self.follow()? {}
        let last = self.watermark.load(Ordering::Acquire);
        let reader = self.readers.get()?;
        let mut check = Check {
            reader: &reader,
            keys: self.keys.read().clone(),
            seed: self.index.lock().seed(),
            last,
            heads: HashMap::new(),
            checked: Checked::default(),
        };
        match check.everything(self) {
            Ok(()) => {}
            Err(StoreError::Corrupt { path, reason }) => {
                check.checked.fault(format!("{path}: {reason}"));
            }
            Err(error) => return Err(error),
        }
        Ok(check.checked)
    }

    /// The last number of a conversation, at this moment.
    fn head_now(&self, reader: &Reader<'_>, conversation: u64) -> Result<Option<u64>, StoreError> {
        if let Some(entry) = self.tail.read().entry(conversation) {
            return Ok(Some(entry.head.seq()));
        }
        Ok(reader.indexed_by_id(conversation)?.map(|head| head.seq))
    }
}

/// A conversation's key on one line.
fn shown(key: &str) -> String {
    match conversation_members(key) {
        (one, Some(other)) => format!("{one} and {other}"),
        (one, None) => one.to_owned(),
    }
}

impl Check<'_> {
    fn everything(&mut self, inner: &Inner) -> Result<(), StoreError> {
        self.files()?;
        self.rows()?;
        self.log(inner)?;
        self.index()?;
        self.cursors(inner)
    }

    /// What SQLite knows about its own pages, of both files.
    fn files(&mut self) -> Result<(), StoreError> {
        let told = self.reader.read(|connection| {
            let sql = format!("PRAGMA integrity_check({SQLITE_FAULTS_MAX})");
            let mut statement = connection.prepare(&sql)?;
            let told = statement.query_map([], |row| row.get::<_, String>(0))?;
            told.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        for words in told.into_iter().filter(|words| words != "ok") {
            self.checked
                .fault(format!("tidings.db or index.db: {words}"));
        }
        Ok(())
    }

    /// Users, members and cursors.
    fn rows(&mut self) -> Result<(), StoreError> {
        let checked = &mut self.checked;
        self.reader
            .read(|connection| sums::look(connection, None, |words| checked.fault(words)))
    }

    fn log(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let mut at = 0;
        while at < self.last {
            let mut rows = Vec::with_capacity(STEP_ROWS);
            self.reader
                .each_after(at, STEP_ROWS, |position, row| rows.push((position, row)))?;
            let Some((newest, _)) = rows.last() else {
                break;
            };
            at = *newest;
            for (position, row) in rows {
                match row {
                    _ if position > self.last => break,
                    Some(row) => {
                        self.number(&row);
                        self.key(inner, &row)?;
                    }
                    None => self.checked.fault(format!(
                        "the message at position {position} is not what was written"
                    )),
                }
            }
        }
        self.checked.conversations = self.heads.len() as u64;
        Ok(())
    }

    /// Each number follows the one before; of what retention took, only the beginning is missing.
    fn number(&mut self, row: &LogRow) {
        let message = &row.message;
        let (conversation, position, seq) = (message.conversation.0, message.position, message.seq);
        let key = row.conversation_key();
        let fault = match self.heads.get(&conversation) {
            Some(head) if seq != head.seq + 1 => {
                Some(format!("number {seq} stands behind number {}", head.seq))
            }
            Some(head) if row.prev != head.position => {
                Some(format!("number {seq} does not lead to the one before it"))
            }
            None if seq == 1 && (row.prev != 0 || conversation != position) => {
                Some("its first message is not its beginning".to_owned())
            }
            _ => None,
        };
        if let Some(fault) = fault {
            let words = format!("{}: {fault} (position {position})", shown(&key));
            self.checked.fault(words);
        }
        self.checked.messages += u64::from(!row.removed);
        let hash = xxh3_64(key.as_bytes());
        let head = Head {
            seq,
            position,
            hash,
        };
        self.heads.insert(conversation, head);
    }

    /// Its key is known, and nobody else has it.
    fn key(&mut self, inner: &Inner, row: &LogRow) -> Result<(), StoreError> {
        if row.removed {
            return Ok(());
        }
        let message = &row.message;
        let hash = key_hash(self.seed, &message.from, &message.to, &message.id);
        let found = self.keys.find(hash);
        let found = found.map_err(|error| inner.paths.io_error(&inner.paths.keys, &error))?;
        let place = |position: u64| format!("{} (position {position})", message.id);
        if !found.contains(&message.position) {
            let words = format!("keys: the id {} is not known", place(message.position));
            self.checked.fault(words);
        }
        for other in found.into_iter().filter(|at| *at < message.position) {
            let twice = self.reader.row(other)?.is_some_and(|other| {
                let other = &other.message;
                (&other.from, &other.to, &other.id) == (&message.from, &message.to, &message.id)
            });
            if twice {
                let words = format!("the id {} is stored twice", place(message.position));
                self.checked.fault(words);
            }
        }
        Ok(())
    }

    fn index(&mut self) -> Result<(), StoreError> {
        let (heads, last, checked) = (&mut self.heads, self.last, &mut self.checked);
        let mut each = |row: &Row<'_>| -> rusqlite::Result<()> {
            let number = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)? as u64);
            let (conversation, position, seq) = (number(0)?, number(1)?, number(2)?);
            let key = row.get_ref(3)?.as_str()?;
            if conversation > last {
                return Ok(());
            }
            let known = heads.remove(&conversation);
            let right = known.is_some_and(|head| {
                let moved_on = position > last && seq > head.seq;
                let same = (position, seq) == (head.position, head.seq);
                head.hash == xxh3_64(key.as_bytes()) && (same || moved_on)
            });
            if !right {
                let words = format!("index: {} does not stand where it says", shown(key));
                checked.fault(words);
            }
            Ok(())
        };
        let hidden = self.reader.read(|connection| {
            let sql = "SELECT conversation, head_position, head_seq, key
                       FROM follower.conversations";
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                each(row)?;
            }
            hidden(connection)
        })?;
        for conversation in self.heads.keys() {
            let words = format!("index: conversation {conversation} is missing");
            self.checked.fault(words);
        }
        for key in hidden {
            let words = format!("index: {} is not in the list of both", shown(&key));
            self.checked.fault(words);
        }
        Ok(())
    }

    /// No device has acknowledged what was never sent.
    fn cursors(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let ahead = self.reader.read(|connection| {
            let sql = "SELECT c.conversation, c.acked FROM cursors c
                       LEFT JOIN follower.conversations v USING (conversation)
                       WHERE c.acked > coalesce(v.head_seq, 0)";
            let mut statement = connection.prepare(sql)?;
            let pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)?));
            let found = statement.query_map([], pair)?;
            found.collect::<rusqlite::Result<HashSet<(u64, i64)>>>()
        })?;
        for (conversation, acked) in ahead {
            // The index may be behind a server that runs.
            let head = inner.head_now(self.reader, conversation)?.unwrap_or(0);
            if acked as u64 > head {
                self.checked.fault(format!(
                    "a device has acknowledged {acked} in conversation {conversation}, which ends \
                     at {head}"
                ));
            }
        }
        Ok(())
    }
}

/// Keys of conversations that one of the two users would not find.
fn hidden(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT key FROM (
                   SELECT conversation, key, instr(key, char(10)) AS cut FROM follower.conversations)
               AS c WHERE cut > 0 AND (
                   NOT EXISTS (SELECT 1 FROM follower.members m
                       WHERE m.user = substr(key, 1, cut - 1) AND m.conversation = c.conversation)
                   OR NOT EXISTS (SELECT 1 FROM follower.members m
                       WHERE m.user = substr(key, cut + 1) AND m.conversation = c.conversation))";
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map([], |row| row.get(0))?;
    found.collect()
}
