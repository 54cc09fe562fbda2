//! Checksums of the rows beside the log: users, members of groups, cursors. Each over the whole row,
//! verified whenever the row is read.

use rusqlite::{Connection, Row, Transaction, ffi, params};
use xxhash_rust::xxh3::Xxh3;

/// What of a row that is not what was written is told with. SQLite uses it for tables that we have not.
pub(super) const DAMAGED: i32 = ffi::SQLITE_CORRUPT_SEQUENCE;

/// A row is not what was written.
pub(super) fn damaged(words: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(DAMAGED), Some(words))
}

/// True if a value is not of the kind that was written, or is no text.
pub(super) fn is_conversion(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..)
            | E::InvalidColumnType(..)
    )
}

fn sum(table: u8, numbers: &[i64], texts: &[Option<&str>]) -> u32 {
    let mut hash = Xxh3::new();
    hash.update(&[table]);
    for number in numbers {
        hash.update(&number.to_le_bytes());
    }
    for text in texts {
        // Nothing is not an empty text.
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        hash.update(&length.to_le_bytes());
        hash.update(text.unwrap_or_default().as_bytes());
    }
    hash.digest() as u32
}

/// Of a row of `users`.
pub(super) fn user(name: &str, record: &str) -> u32 {
    sum(b'u', &[], &[Some(name), Some(record)])
}

/// Of a row of `groups`.
pub(super) fn member(group: &str, member: &str, joined: i64) -> u32 {
    sum(b'g', &[joined], &[Some(group), Some(member)])
}

/// Of a row of `cursors`.
pub(super) fn cursor(
    device: i64,
    conversation: i64,
    acked: i64,
    sparse: Option<&str>,
    unanswered: Option<&str>,
) -> u32 {
    sum(b'c', &[device, conversation, acked], &[sparse, unanswered])
}

/// One of the tables: what is read of it, its checksum last, and how a row is called if it is damaged.
struct Table {
    name: &'static str,
    select: &'static str,
    update: &'static str,
    look: fn(&Row<'_>) -> rusqlite::Result<Seen>,
}

/// A row: the checksum that it should have, the one that it has, and its name.
struct Seen {
    right: u32,
    stored: i64,
    name: String,
}

impl Seen {
    fn is_right(&self) -> bool {
        i64::from(self.right) == self.stored
    }
}

const TABLES: [Table; 3] = [
    Table {
        name: "users",
        select: "SELECT name, record, checksum FROM users",
        update: "UPDATE users SET checksum = ?1 WHERE name = ?2",
        look: |row| {
            let name = row.get_ref(0)?.as_str()?;
            Ok(Seen {
                right: user(name, row.get_ref(1)?.as_str()?),
                stored: row.get(2)?,
                name: format!("user {name}"),
            })
        },
    },
    Table {
        name: "groups",
        select: "SELECT name, member, joined, checksum FROM groups",
        update: "UPDATE groups SET checksum = ?1 WHERE name = ?2 AND member = ?3",
        look: |row| {
            let (group, name) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            Ok(Seen {
                right: member(group, name, row.get(2)?),
                stored: row.get(3)?,
                name: format!("member {name} of {group}"),
            })
        },
    },
    Table {
        name: "cursors",
        select: "SELECT device, conversation, acked, sparse, unanswered, checksum FROM cursors",
        update: "UPDATE cursors SET checksum = ?1 WHERE device = ?2 AND conversation = ?3",
        look: |row| {
            let (device, conversation) = (row.get(0)?, row.get(1)?);
            let text = |at: usize| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str_or_null()?);
            let (sparse, unanswered) = (text(3)?, text(4)?);
            Ok(Seen {
                right: cursor(device, conversation, row.get(2)?, sparse, unanswered),
                stored: row.get(5)?,
                name: format!("cursor of device {device} in conversation {conversation}"),
            })
        },
    },
];

/// Reads rows and tells those that are not what was written: of all tables, or only of users and
/// groups, and of these only if there are no more than so many.
pub(super) fn look(
    connection: &Connection,
    few: Option<usize>,
    mut told: impl FnMut(String),
) -> rusqlite::Result<()> {
    for table in &TABLES[..if few.is_some() { 2 } else { 3 }] {
        if let Some(few) = few {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM {} LIMIT ?1)",
                table.name
            );
            let count: i64 = connection.query_row(&sql, [few as i64 + 1], |row| row.get(0))?;
            if count > few as i64 {
                continue;
            }
            let sql = format!("PRAGMA quick_check({})", table.name);
            let words: String = connection.query_row(&sql, [], |row| row.get(0))?;
            if words != "ok" {
                told(format!("table {}: {words}", table.name));
                continue;
            }
        }
        let mut statement = connection.prepare(table.select)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match (table.look)(row) {
                Ok(seen) if seen.is_right() => {}
                Ok(seen) => told(format!("the row of {} is not what was written", seen.name)),
                Err(error) if is_conversion(&error) => {
                    told(format!(
                        "a row of {} is not what was written: {error}",
                        table.name
                    ));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Gives every row of a version that knew none its checksum.
pub(super) fn fill(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in &TABLES {
        let mut statement = transaction.prepare(table.select)?;
        let mut update = transaction.prepare(table.update)?;
        let mut rows = statement.query([])?;
        let mut sums = Vec::new();
        while let Some(row) = rows.next()? {
            let right = (table.look)(row)?.right;
            let value = |at: usize| row.get::<_, rusqlite::types::Value>(at);
            sums.push((right, value(0)?, value(1)?));
        }
        for (right, first, second) in sums {
            match table.name {
                "users" => update.execute(params![right, first])?,
                _ => update.execute(params![right, first, second])?,
            };
        }
    }
    Ok(())
}
