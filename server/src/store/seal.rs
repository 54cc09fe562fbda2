//! Sums over the rows of small tables that are written by hand, as those of accounts and of what an
//! operator set up: so that a row that was changed, lost or added by a failing disk is noticed.
//!
//! Triggers keep them, in the same transaction, whatever statement writes. They cover every column that
//! a table has when its file is opened.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, params};
use xxhash_rust::xxh3::Xxh3;

/// The function that triggers call.
const FUNCTION: &str = "row_sum";

/// Says how much of the hash of a row counts: sums of it fit into SQLite's integers.
fn row_sum(context: &Context<'_>) -> rusqlite::Result<i64> {
    let mut hash = Xxh3::new();
    for at in 0..context.len() {
        let mut part = |kind: u8, bytes: &[u8]| {
            hash.update(&[kind]);
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        match context.get_raw(at) {
            ValueRef::Null => part(0, &[]),
            ValueRef::Integer(number) => part(1, &number.to_le_bytes()),
            ValueRef::Real(number) => part(2, &number.to_le_bytes()),
            ValueRef::Text(text) => part(3, text),
            ValueRef::Blob(bytes) => part(4, bytes),
        }
    }
    Ok((hash.digest() >> 32) as i64)
}

/// The columns of a table, each behind a prefix, as arguments.
fn arguments(db: &Connection, table: &str, prefix: &str) -> rusqlite::Result<String> {
    let mut statement = db.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
    let names = statement.query_map([table], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = names
        .map(|name| Ok(format!("{prefix}{}", name?)))
        .collect::<rusqlite::Result<_>>()?;
    Ok(format!("'{table}', {}", names.join(", ")))
}

/// Names and texts of the triggers of a table.
fn triggers(db: &Connection, table: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let (new, old) = (arguments(db, table, "NEW.")?, arguments(db, table, "OLD.")?);
    let (more, less) = (format!("{FUNCTION}({new})"), format!("{FUNCTION}({old})"));
    let kinds = [
        ("INSERT", "+ 1", format!("+ {more}")),
        ("DELETE", "- 1", format!("- {less}")),
        ("UPDATE", "+ 0", format!("+ {more} - {less}")),
    ];
    let made = kinds.into_iter().map(|(kind, rows, sum)| {
        let name = format!("seal_{table}_{}", kind.to_ascii_lowercase());
        let text = format!(
            "CREATE TRIGGER {name} AFTER {kind} ON {table} BEGIN UPDATE seal SET rows = rows {rows}, \
             sum = sum {sum} WHERE name = '{table}'; END"
        );
        (name, text)
    });
    Ok(made.collect())
}

/// Rows of a table and their sum, as they are.
fn count(db: &Connection, table: &str) -> rusqlite::Result<(i64, i64)> {
    let arguments = arguments(db, table, "")?;
    let sql = format!("SELECT count(*), coalesce(sum({FUNCTION}({arguments})), 0) FROM {table}");
    db.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Prepares a connection that writes sealed tables. Must be called before anything is written.
pub(crate) fn prepare(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function(FUNCTION, -1, flags, row_sum)?;
    // INSERT OR REPLACE removes a row, which only then is told.
    db.pragma_update(None, "recursive_triggers", true)
}

/// What is wrong with the tables, in words; nothing with those that are not sealed yet.
pub(crate) fn look(db: &Connection, tables: &[&str]) -> rusqlite::Result<Vec<String>> {
    let mut told = Vec::new();
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'seal'";
    if db.query_row(sql, [], |_| Ok(())).optional()?.is_none() {
        return Ok(told);
    }
    for table in tables {
        let sql = "SELECT rows, sum FROM seal WHERE name = ?1";
        let pair = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let Some(sealed) = db.query_row(sql, [table], pair).optional()? else {
            continue;
        };
        let sql = format!("PRAGMA integrity_check({table})");
        let words: String = db.query_row(&sql, [], |row| row.get(0))?;
        let found = count(db, table)?;
        if words != "ok" {
            told.push(format!("table {table}: {words}"));
        } else if found.0 != sealed.0 {
            told.push(format!(
                "table {table} has {} rows where {} were written",
                found.0, sealed.0
            ));
        } else if found.1 != sealed.1 {
            told.push(format!("a row of table {table} is not what was written"));
        }
    }
    Ok(told)
}

/// Seals tables as they are now, if they are not. `anew` if what is there is to count, whatever it is.
pub(crate) fn renew(db: &mut Connection, tables: &[&str], anew: bool) -> rusqlite::Result<()> {
    let mut wanted = Vec::new();
    for table in tables {
        for (name, text) in triggers(db, table)? {
            let sql = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1";
            let known: Option<String> = db.query_row(sql, [&name], |row| row.get(0)).optional()?;
            if anew || known.as_ref() != Some(&text) {
                wanted.push((*table, name, text));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let transaction = db.transaction()?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS seal (
             name TEXT PRIMARY KEY,                -- of a table
             rows INTEGER NOT NULL,
             sum  INTEGER NOT NULL                 -- of row_sum over its rows
         ) STRICT, WITHOUT ROWID",
    )?;
    for (table, name, text) in wanted {
        transaction.execute_batch(&format!("DROP TRIGGER IF EXISTS {name}; {text}"))?;
        let (rows, sum) = count(&transaction, table)?;
        transaction.execute(
            "INSERT OR REPLACE INTO seal (name, rows, sum) VALUES (?1, ?2, ?3)",
            params![table, rows, sum],
        )?;
    }
    transaction.commit()
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
