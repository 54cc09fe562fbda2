//! Every change of the registry: in one transaction with the versions of the credentials that it
//! ends and its line of the audit trail, and then in memory.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};
use tidings_core::ids::Name;
use tidings_core::limits;

use super::{ApiKey, Digest, Fault, Network, Registry, Roll, Standing};

/// Whom a change concerns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Concerns<'a> {
    /// A user: from now on nothing that was issued to him is valid.
    User(&'a str),
    /// The same; he is allowed more than before, and nothing of his ends.
    Keeps(&'a str),
    /// An address, which has nothing of its own.
    Address(&'a str),
    /// A key, by its number in the answer.
    Key,
}

/// Who does what, for the audit trail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act<'a> {
    /// An account, a key, `tidings admin`, `application`.
    pub(crate) by: &'a str,
    /// When, milliseconds since 1970 UTC.
    pub(crate) now_ms: i64,
    /// What.
    pub(crate) what: &'a str,
}

impl Registry {
    /// Changes the file, then what is in memory.
    pub(super) fn change(
        &self,
        act: Act<'_>,
        concerns: Concerns<'_>,
        change: impl FnOnce(&Connection) -> Result<Value, Fault>,
    ) -> Result<Value, Fault> {
        let mut db = self.db.lock();
        let transaction = db.transaction()?;
        let value = change(&transaction)?;
        let name = match concerns {
            Concerns::User(name) | Concerns::Keeps(name) | Concerns::Address(name) => {
                name.to_owned()
            }
            Concerns::Key => value["id"].to_string(),
        };
        if let Concerns::User(user) = concerns {
            transaction.execute("UPDATE door SET last = last + 1", [])?;
            transaction.execute(
                "INSERT INTO principal (user, version, changed_ms) SELECT ?1, last, ?2 FROM door \
                 WHERE true ON CONFLICT DO UPDATE SET version = excluded.version, \
                 changed_ms = excluded.changed_ms",
                params![user, act.now_ms],
            )?;
        }
        write(&transaction, act, &name)?;
        transaction.commit()?;
        self.remember(&db, concerns)?;
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(value)
    }

    /// Only what may have changed is read: there may be many accounts.
    fn remember(&self, db: &Connection, concerns: Concerns<'_>) -> Result<(), Fault> {
        match concerns {
            Concerns::User(user) | Concerns::Keeps(user) => {
                let account = "SELECT role, demo FROM account WHERE user = ?1";
                let account = db.query_row(account, [user], standing).optional()?;
                let version = "SELECT version FROM principal WHERE user = ?1";
                let version: Option<i64> =
                    db.query_row(version, [user], |row| row.get(0)).optional()?;
                let blocked = "SELECT 1 FROM block WHERE kind = 'user' AND what = ?1";
                let blocked = db.query_row(blocked, [user], |_| Ok(())).optional()?;
                let mut roll = self.roll.write();
                match account {
                    Some(account) => drop(roll.accounts.insert(user.into(), account)),
                    None => drop(roll.accounts.remove(user)),
                }
                if let Some(version) = version {
                    roll.versions.insert(user.into(), version);
                }
                match blocked {
                    Some(()) => drop(roll.blocked_users.insert(user.into())),
                    None => drop(roll.blocked_users.remove(user)),
                }
            }
            Concerns::Address(_) => {
                let mut fresh = Roll::default();
                read_blocks(db, &mut fresh)?;
                self.roll.write().blocked_addresses = fresh.blocked_addresses;
            }
            Concerns::Key => {
                let mut fresh = Roll::default();
                read_keys(db, &mut fresh)?;
                self.roll.write().keys = fresh.keys;
            }
        }
        Ok(())
    }

    /// What was issued to this user is void from now on, for a reason that lies elsewhere: his role at
    /// a desk.
    pub(crate) fn void(&self, user: &Name, act: Act<'_>) -> Result<(), Fault> {
        self.change(act, Concerns::User(user), |_| Ok(Value::Null))
            .map(drop)
    }

    /// The newest lines of the audit trail below `before`.
    pub(super) fn audit(&self, before: Option<i64>) -> Result<Value, Fault> {
        let sql = format!(
            "SELECT id, time_ms, who, what, name FROM audit WHERE id < {} ORDER BY id DESC LIMIT {}",
            before.unwrap_or(i64::MAX),
            limits::ADMIN_PAGE_MAX
        );
        self.list("entries", &sql, |row| {
            Ok(json!({
                "id": row.get::<_, i64>(0)?,
                "time_ms": row.get::<_, i64>(1)?,
                "who": row.get::<_, String>(2)?,
                "what": row.get::<_, String>(3)?,
                "name": row.get::<_, String>(4)?,
            }))
        })
    }
}

fn write(db: &Connection, act: Act<'_>, name: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO audit (time_ms, who, what, name) VALUES (?1, ?2, ?3, ?4)",
        params![act.now_ms, act.by, act.what, name],
    )?;
    let oldest = db.last_insert_rowid() - limits::AUDIT_ENTRIES_MAX;
    db.execute("DELETE FROM audit WHERE id <= ?1", [oldest])?;
    Ok(())
}

fn standing(row: &rusqlite::Row<'_>) -> rusqlite::Result<Standing> {
    let role: String = row.get(0)?;
    Ok(Standing {
        role: role.parse().unwrap_or(super::Role::User),
        demo: row.get(1)?,
    })
}

/// Everything that a login asks.
pub(super) fn read_roll(db: &Connection) -> rusqlite::Result<Roll> {
    let mut roll = Roll::default();
    read_blocks(db, &mut roll)?;
    read_keys(db, &mut roll)?;
    let mut accounts = db.prepare("SELECT role, demo, user FROM account")?;
    let mut rows = accounts.query([])?;
    while let Some(row) = rows.next()? {
        let user: String = row.get(2)?;
        roll.accounts.insert(user.into(), standing(row)?);
    }
    let mut versions = db.prepare("SELECT user, version FROM principal")?;
    let mut rows = versions.query([])?;
    while let Some(row) = rows.next()? {
        let user: String = row.get(0)?;
        roll.versions.insert(user.into(), row.get(1)?);
    }
    Ok(roll)
}

fn read_blocks(db: &Connection, roll: &mut Roll) -> rusqlite::Result<()> {
    let mut blocks = db.prepare("SELECT kind, what FROM block")?;
    let mut rows = blocks.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, what): (String, String) = (row.get(0)?, row.get(1)?);
        match (&*kind, what.parse::<Network>()) {
            ("address", Ok(network)) => roll.blocked_addresses.insert(network),
            ("user", _) => drop(roll.blocked_users.insert(what.into())),
            _ => {}
        }
    }
    Ok(())
}

fn read_keys(db: &Connection, roll: &mut Roll) -> rusqlite::Result<()> {
    let mut keys = db.prepare("SELECT hash, scope, id, rate FROM api_key")?;
    let mut rows = keys.query([])?;
    while let Some(row) = rows.next()? {
        let (hash, scope): (Vec<u8>, String) = (row.get(0)?, row.get(1)?);
        if let (Ok(hash), Ok(scope)) = (Digest::try_from(hash), scope.parse()) {
            let (id, rate) = (row.get(2)?, row.get(3)?);
            roll.keys.insert(hash, ApiKey { scope, id, rate });
        }
    }
    Ok(())
}
