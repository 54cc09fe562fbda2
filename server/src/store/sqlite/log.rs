//! Rows of the log: written by the committer, read and checked by everybody.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tidings_core::ids::{Address, ConversationId, Name, conversation_key};
use tidings_core::message::{Message, MessageRef};
use xxhash_rust::xxh3::Xxh3;

use super::super::StoreError;
use super::super::chain::{Head, Link};
use super::super::tail::NewRow;
use super::files::{self, Paths};
use super::sums;

const INSERT: &str = "INSERT INTO log (position, conversation, seq, prev, jump, time_ms, typeu,
    sender, recipient, id, body, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const ONE: &str = "SELECT position, conversation, seq, prev, jump, time_ms, typeu,
    sender, recipient, id, body, checksum FROM log WHERE position = ?1";
const AFTER: &str = "SELECT position, conversation, seq, prev, jump, time_ms, typeu,
    sender, recipient, id, body, checksum FROM log WHERE position > ?1 ORDER BY position LIMIT ?2";

/// Connections for reading that wait for the next read; more are opened and closed as needed.
const READERS_KEPT: usize = 4;

/// A row as it is stored.
#[derive(Debug, Clone)]
pub(super) struct LogRow {
    /// With an empty body if removed.
    pub(super) message: MessageRef,
    pub(super) prev: u64,
    pub(super) jump: u64,
    /// Retention took the message and left the row.
    pub(super) removed: bool,
}

impl LogRow {
    /// The key of its conversation.
    pub(super) fn conversation_key(&self) -> Name {
        key_of(&self.message)
    }
}

/// The key of a message's conversation.
pub(super) fn key_of(message: &Message) -> Name {
    let to = Address::parse(&message.to).unwrap_or(Address::User(&message.to));
    conversation_key(&message.from, to).into()
}

fn checksum(message: &Message, prev: u64, jump: u64, removed: bool) -> u32 {
    let mut hash = Xxh3::new();
    for number in [
        message.position,
        message.conversation.0,
        message.seq,
        prev,
        jump,
    ] {
        hash.update(&number.to_le_bytes());
    }
    hash.update(&message.time_ms.to_le_bytes());
    hash.update(&message.typeu.to_le_bytes());
    for text in [&*message.from, &*message.to, &*message.id, &*message.body] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(&[u8::from(removed)]);
    hash.digest() as u32
}

/// Writes new rows.
pub(super) fn insert(transaction: &Transaction<'_>, rows: &[NewRow]) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = transaction.prepare_cached(INSERT)?;
    for row in rows {
        let message = &*row.message;
        statement.execute(params![
            message.position as i64,
            message.conversation.0 as i64,
            message.seq as i64,
            row.prev as i64,
            row.jump as i64,
            message.time_ms,
            message.typeu,
            &*message.from,
            &*message.to,
            &*message.id,
            &*message.body,
            checksum(message, row.prev, row.jump, false),
        ])?;
    }
    Ok(())
}

/// Counts that something else than new messages is written.
pub(super) fn count_change(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let sql = "UPDATE meta SET value = value + 1 WHERE name = 'changes'";
    transaction.prepare_cached(sql)?.execute([]).map(drop)
}

/// Takes the message out of a row that has to stay.
pub(super) fn blank(transaction: &Transaction<'_>, row: &LogRow) -> rusqlite::Result<()> {
    let mut message = Message::clone(&row.message);
    message.id = "".into();
    message.body = "".into();
    let sum = checksum(&message, row.prev, row.jump, true);
    transaction
        .prepare_cached("UPDATE log SET id = '', body = NULL, checksum = ?2 WHERE position = ?1")?
        .execute(params![message.position as i64, sum])?;
    Ok(())
}

/// Gives a row another type and text.
pub(super) fn rewrite(
    transaction: &Transaction<'_>,
    row: &LogRow,
    message: &Message,
) -> rusqlite::Result<()> {
    let sum = checksum(message, row.prev, row.jump, false);
    let sql = "UPDATE log SET typeu = ?2, body = ?3, checksum = ?4 WHERE position = ?1";
    let position = message.position as i64;
    transaction.prepare_cached(sql)?.execute(params![
        position,
        message.typeu,
        &*message.body,
        sum
    ])?;
    Ok(())
}

fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<Name> {
    Ok(row.get_ref(at)?.as_str()?.into())
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)? as u64)
}

/// Decodes a row; `None` if it is not what was written.
fn decode(row: &Row<'_>) -> rusqlite::Result<Option<LogRow>> {
    match decode_values(row) {
        Err(error) if sums::is_conversion(&error) => Ok(None),
        decoded => decoded,
    }
}

fn decode_values(row: &Row<'_>) -> rusqlite::Result<Option<LogRow>> {
    let body = row.get_ref(10)?.as_str_or_null()?;
    let decoded = LogRow {
        message: Arc::new(Message {
            position: number(row, 0)?,
            conversation: ConversationId(number(row, 1)?),
            seq: number(row, 2)?,
            time_ms: row.get(5)?,
            typeu: row.get(6)?,
            from: text(row, 7)?,
            to: text(row, 8)?,
            id: text(row, 9)?,
            body: body.unwrap_or_default().into(),
        }),
        prev: number(row, 3)?,
        jump: number(row, 4)?,
        removed: body.is_none(),
    };
    let sum = checksum(
        &decoded.message,
        decoded.prev,
        decoded.jump,
        decoded.removed,
    );
    Ok((row.get::<_, u32>(11)? == sum).then_some(decoded))
}

/// The members of a group, by name, each with the number from which he takes part.
pub(super) fn members(connection: &Connection, group: &str) -> rusqlite::Result<Vec<(Name, u64)>> {
    let sql = "SELECT member, joined, checksum FROM groups WHERE name = ?1 ORDER BY member";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([group], |row| {
        let member = row.get_ref(0)?.as_str()?;
        let joined = row.get(1)?;
        match row.get::<_, u32>(2)? == sums::member(group, member, joined) {
            true => Ok((member.into(), joined as u64)),
            false => Err(sums::damaged(format!(
                "the row of member {member} of {group} is not what was written"
            ))),
        }
    })?;
    found.collect()
}

/// The groups of a user, likewise. One that is damaged is left out, and told.
pub(super) fn groups(connection: &Connection, user: &str) -> rusqlite::Result<Vec<(Name, u64)>> {
    let sql = "SELECT name, joined, checksum FROM groups WHERE member = ?1 ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([user])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let group = row.get_ref(0)?.as_str()?;
        let joined = row.get(1)?;
        match row.get::<_, u32>(2)? == sums::member(group, user, joined) {
            true => found.push((group.into(), joined as u64)),
            false => tracing::error!(
                group,
                user,
                "the row of a member is damaged: he gets nothing of this group; set it again"
            ),
        }
    }
    Ok(found)
}

/// Connections for reading, kept for the next one.
#[derive(Debug)]
pub(super) struct Readers {
    paths: Paths,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(paths: &Paths) -> Readers {
        Readers {
            paths: paths.clone(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Closes those that wait.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }

    /// A reader, given back when dropped.
    pub(super) fn get(&self) -> Result<Reader<'_>, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => files::open_reader(&self.paths)?,
        };
        Ok(Reader {
            readers: self,
            connection: Some(connection),
        })
    }
}

/// Reads log and index.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let mut idle = self.readers.idle.lock();
            if idle.len() < READERS_KEPT {
                idle.push(connection);
            }
        }
    }
}

impl Reader<'_> {
    /// Runs a read, and says what its error means.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let Some(connection) = &self.connection else {
            return Err(StoreError::Unavailable("the reader is closed".into()));
        };
        read(connection).map_err(|error| self.readers.paths.log_error(error))
    }

    /// The row at a position.
    pub(super) fn row(&self, position: u64) -> Result<Option<LogRow>, StoreError> {
        if position == 0 {
            return Ok(None);
        }
        let found = self.read(|connection| {
            connection
                .prepare_cached(ONE)?
                .query_row([position as i64], decode)
                .optional()
        })?;
        match found {
            None => Ok(None),
            Some(Some(row)) => Ok(Some(row)),
            Some(None) => Err(self.damaged(position)),
        }
    }

    /// Rows above a position, ascending.
    pub(super) fn rows_after(
        &self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<LogRow>, StoreError> {
        let mut found = Vec::new();
        let mut damaged = None;
        self.each_after(position, limit, |position, row| match row {
            Some(row) => found.push(row),
            None => damaged = damaged.or(Some(position)),
        })?;
        match damaged {
            Some(position) => Err(self.damaged(position)),
            None => Ok(found),
        }
    }

    /// The same one by one: `None` for a row that is not what was written.
    pub(super) fn each_after(
        &self,
        position: u64,
        limit: usize,
        mut each: impl FnMut(u64, Option<LogRow>),
    ) -> Result<(), StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(AFTER)?;
            let mut rows = statement.query(params![position as i64, limit as i64])?;
            while let Some(row) = rows.next()? {
                each(number(row, 0)?, decode(row)?);
            }
            Ok(())
        })
    }

    /// True if retention left a row without a message above this position.
    pub(super) fn has_removed_after(&self, position: u64) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM log WHERE position > ?1 AND body IS NULL)";
        self.read(|connection| connection.query_row(sql, [position as i64], |row| row.get(0)))
    }

    /// The last position in the log, 0 if it is empty.
    pub(super) fn last_position(&self) -> Result<u64, StoreError> {
        let last = "SELECT coalesce(max(position), 0) FROM log";
        self.read(|connection| connection.query_row(last, [], |row| number(row, 0)))
    }

    /// How many times something else than new messages was written.
    pub(super) fn changes(&self) -> Result<u64, StoreError> {
        let sql = "SELECT value FROM meta WHERE name = 'changes'";
        self.read(|connection| connection.query_row(sql, [], |row| number(row, 0)))
    }

    /// The first position in the log; 0 if it is empty.
    pub(super) fn first_position(&self) -> Result<u64, StoreError> {
        let first = "SELECT coalesce(min(position), 0) FROM log";
        self.read(|connection| connection.query_row(first, [], |row| number(row, 0)))
    }

    /// Number, position and last number of a conversation, as far as the index knows.
    pub(super) fn indexed(&self, key: &str) -> Result<Option<(u64, Link)>, StoreError> {
        let sql = "SELECT conversation, head_position, head_seq FROM follower.conversations
                   WHERE key = ?1";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row([key], indexed_head).optional()
        })
    }

    /// The same by number.
    pub(super) fn indexed_by_id(&self, conversation: u64) -> Result<Option<Link>, StoreError> {
        let sql = "SELECT conversation, head_position, head_seq FROM follower.conversations
                   WHERE conversation = ?1";
        let found = self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement
                .query_row([conversation as i64], indexed_head)
                .optional()
        })?;
        Ok(found.map(|(_, head)| head))
    }

    /// The same for all pair conversations of a user.
    pub(super) fn indexed_of(&self, user: &str) -> Result<Vec<(u64, Link)>, StoreError> {
        let sql = "SELECT c.conversation, c.head_position, c.head_seq
                   FROM follower.members m JOIN follower.conversations c USING (conversation)
                   WHERE m.user = ?1";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map([user], indexed_head)?.collect()
        })
    }

    /// The head of a conversation with the ancestors that an append needs, from one of its rows.
    pub(super) fn head_at(&self, row: &LogRow) -> Result<Head, StoreError> {
        let conversation = row.message.conversation.0;
        let mut ancestors = vec![Link {
            seq: row.message.seq,
            position: row.message.position,
        }];
        let mut jump = row.jump;
        while let Some(row) = self.row(jump)? {
            ancestors.push(Link {
                seq: row.message.seq,
                position: row.message.position,
            });
            jump = row.jump;
        }
        Ok(Head::from_ancestors(conversation, &ancestors))
    }

    fn damaged(&self, position: u64) -> StoreError {
        StoreError::Corrupt {
            path: self.readers.paths.log.display().to_string(),
            reason: format!("the message at position {position} is not what was written"),
        }
    }
}

fn indexed_head(row: &Row<'_>) -> rusqlite::Result<(u64, Link)> {
    let head = Link {
        position: number(row, 1)?,
        seq: number(row, 2)?,
    };
    Ok((number(row, 0)?, head))
}
