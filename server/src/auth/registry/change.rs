//! What an operator does to accounts, keys and blocks: the commands of `tidings admin`, of the
//! socket beside a running server, and of the API.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::{ids, limits};

use super::network::Network;
use super::{KEY_PREFIX, Registry, Role, Scope, read_roll, scram};
use crate::auth::crypt;

/// Shortest password of an account. Longer ones are better; rules about characters are not.
const PASSWORD_BYTES_MIN: usize = 8;

/// Something to do. As JSON: `{"command": "key_create", "scope": "send"}`. Has no `Debug`: it may
/// hold a password.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Makes a key for the API. It is in the answer and nowhere else.
    KeyCreate {
        /// What it permits.
        scope: Scope,
        /// What it is for.
        #[serde(default)]
        name: String,
    },
    /// All keys, without the keys themselves.
    KeyList,
    /// Ends a key.
    KeyRevoke {
        /// Its number in the list.
        id: i64,
    },
    /// Makes an account.
    AccountAdd {
        /// Who.
        user: String,
        /// What he is.
        role: Role,
        /// His password.
        password: String,
    },
    /// Changes an account's password.
    AccountPassword {
        /// Whose.
        user: String,
        /// The new one.
        password: String,
    },
    /// Removes an account; messages stay.
    AccountRemove {
        /// Whose.
        user: String,
    },
    /// All accounts, without passwords.
    AccountList,
    /// Shuts a user out.
    BlockUser {
        /// Whom.
        user: String,
        /// Why, for whoever looks at the list.
        #[serde(default)]
        reason: String,
    },
    /// Shuts an address or a network out.
    BlockAddress {
        /// Which.
        address: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Lets a user in again.
    UnblockUser {
        /// Whom.
        user: String,
    },
    /// Lets an address or a network in again.
    UnblockAddress {
        /// Which.
        address: String,
    },
    /// Everybody who is shut out.
    BlockList,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be done, whoever asks.
    #[error("{0}")]
    Refused(String),
    /// The file does not answer.
    #[error("accounts cannot be read or written: {0}")]
    Storage(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Storage(error.to_string())
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Refused(reason.into()))
}

impl Registry {
    /// Does it; blocks, for as long as hashing a password takes.
    ///
    /// # Errors
    /// If it cannot be done; nothing has changed then.
    pub fn execute(&self, command: Command, now_ms: i64) -> Result<Value, Fault> {
        match command {
            Command::KeyCreate { scope, name } => self.key_create(scope, &name, now_ms),
            Command::KeyList => self.key_list(),
            Command::KeyRevoke { id } => {
                let sql = "DELETE FROM api_key WHERE id = ?1";
                self.change(|db| match db.execute(sql, [id])? {
                    0 => refuse(format!("there is no key {id}")),
                    _ => Ok(json!({ "id": id })),
                })
            }
            Command::AccountAdd {
                user,
                role,
                password,
            } => self.account_add(&user, role, &password, now_ms),
            Command::AccountPassword { user, password } => {
                self.account_password(&user, &password, now_ms)
            }
            Command::AccountRemove { user } => {
                let sql = "DELETE FROM account WHERE user = ?1";
                self.change(|db| match db.execute(sql, [&user])? {
                    0 => refuse(format!("there is no account {user}")),
                    _ => Ok(json!({ "user": user })),
                })
            }
            Command::AccountList => self.account_list(),
            Command::BlockUser { user, reason } => {
                check_user(user.strip_prefix('~').unwrap_or(&user))?;
                self.block("user", &user, &reason, now_ms)
            }
            Command::BlockAddress { address, reason } => {
                let network: Network = address.parse().map_err(Fault::Refused)?;
                self.block("address", &network.to_string(), &reason, now_ms)
            }
            Command::UnblockUser { user } => self.unblock("user", &user),
            Command::UnblockAddress { address } => {
                let network: Network = address.parse().map_err(Fault::Refused)?;
                self.unblock("address", &network.to_string())
            }
            Command::BlockList => self.block_list(),
        }
    }

    /// Changes the file, then what is in memory.
    fn change(
        &self,
        change: impl FnOnce(&Connection) -> Result<Value, Fault>,
    ) -> Result<Value, Fault> {
        let db = self.db.lock();
        let value = change(&db)?;
        let roll = read_roll(&db)?;
        *self.roll.write() = Arc::new(roll);
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(value)
    }

    fn key_create(&self, scope: Scope, name: &str, now_ms: i64) -> Result<Value, Fault> {
        check_text("the name", name)?;
        let key = format!("{KEY_PREFIX}{}", crypt::to_base64(&crypt::random::<32>()));
        let hash = crypt::sha256(key.as_bytes());
        self.change(|db| {
            let count: usize = db.query_row("SELECT count(*) FROM api_key", [], |r| r.get(0))?;
            if count >= limits::API_KEYS_MAX {
                let max = limits::API_KEYS_MAX;
                return refuse(format!(
                    "there are {count} keys and API_KEYS_MAX = {max}: revoke one first"
                ));
            }
            db.execute(
                "INSERT INTO api_key (hash, scope, name, created_ms) VALUES (?1, ?2, ?3, ?4)",
                params![&hash[..], scope.to_string(), name, now_ms],
            )?;
            Ok(json!({ "id": db.last_insert_rowid(), "scope": scope, "name": name, "key": key }))
        })
    }

    fn key_list(&self) -> Result<Value, Fault> {
        let sql = "SELECT id, scope, name, created_ms FROM api_key ORDER BY id";
        self.list("keys", sql, |row| {
            Ok(json!({
                "id": row.get::<_, i64>(0)?,
                "scope": row.get::<_, String>(1)?,
                "name": row.get::<_, String>(2)?,
                "created_ms": row.get::<_, i64>(3)?,
            }))
        })
    }

    fn account_add(
        &self,
        user: &str,
        role: Role,
        password: &str,
        now_ms: i64,
    ) -> Result<Value, Fault> {
        check_user(user)?;
        check_password(password)?;
        if !self.account_insert(user, role, password, now_ms)? {
            return refuse(format!(
                "there is an account {user} already: change its password, or remove it first"
            ));
        }
        Ok(json!({ "user": user, "role": role }))
    }

    /// Without a look at the password; false if there is such an account already.
    pub(crate) fn account_insert(
        &self,
        user: &str,
        role: Role,
        password: &str,
        now_ms: i64,
    ) -> Result<bool, Fault> {
        let hash = crypt::hash_password(password).map_err(Fault::Storage)?;
        let scram = scram::derive(password);
        let mut is_new = false;
        self.change(|db| {
            let done = db.execute(
                "INSERT INTO account (user, role, hash, scram, created_ms, changed_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT DO NOTHING",
                params![user, role.to_string(), hash, scram, now_ms],
            )?;
            is_new = done > 0;
            Ok(Value::Null)
        })?;
        Ok(is_new)
    }

    fn account_password(&self, user: &str, password: &str, now_ms: i64) -> Result<Value, Fault> {
        check_password(password)?;
        let hash = crypt::hash_password(password).map_err(Fault::Storage)?;
        let scram = scram::derive(password);
        let sql = "UPDATE account SET hash = ?2, scram = ?3, changed_ms = ?4 WHERE user = ?1";
        self.change(
            |db| match db.execute(sql, params![user, hash, scram, now_ms])? {
                0 => refuse(format!("there is no account {user}")),
                _ => Ok(json!({ "user": user })),
            },
        )
    }

    fn account_list(&self) -> Result<Value, Fault> {
        let sql = "SELECT user, role, created_ms, changed_ms FROM account ORDER BY user";
        self.list("accounts", sql, |row| {
            Ok(json!({
                "user": row.get::<_, String>(0)?,
                "role": row.get::<_, String>(1)?,
                "created_ms": row.get::<_, i64>(2)?,
                "changed_ms": row.get::<_, i64>(3)?,
            }))
        })
    }

    fn block(&self, kind: &str, what: &str, reason: &str, now_ms: i64) -> Result<Value, Fault> {
        check_text("the reason", reason)?;
        self.change(|db| {
            let count: usize = db.query_row("SELECT count(*) FROM block", [], |r| r.get(0))?;
            if count >= limits::BLOCKS_MAX {
                let max = limits::BLOCKS_MAX;
                return refuse(format!(
                    "there are {count} blocks and BLOCKS_MAX = {max}: lift some first"
                ));
            }
            db.execute(
                "INSERT INTO block (kind, what, reason, since_ms) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET reason = excluded.reason",
                params![kind, what, reason, now_ms],
            )?;
            Ok(json!({ "kind": kind, "what": what }))
        })
    }

    fn unblock(&self, kind: &str, what: &str) -> Result<Value, Fault> {
        let sql = "DELETE FROM block WHERE kind = ?1 AND what = ?2";
        self.change(|db| match db.execute(sql, [kind, what])? {
            0 => refuse(format!("the {kind} {what} is not blocked")),
            _ => Ok(json!({ "kind": kind, "what": what })),
        })
    }

    fn block_list(&self) -> Result<Value, Fault> {
        let sql = "SELECT kind, what, reason, since_ms FROM block ORDER BY kind, what";
        self.list("blocks", sql, |row| {
            Ok(json!({
                "kind": row.get::<_, String>(0)?,
                "what": row.get::<_, String>(1)?,
                "reason": row.get::<_, String>(2)?,
                "since_ms": row.get::<_, i64>(3)?,
            }))
        })
    }

    fn list(
        &self,
        name: &str,
        sql: &str,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<Value>,
    ) -> Result<Value, Fault> {
        let db = self.db.lock();
        let mut statement = db.prepare(sql)?;
        let rows = statement.query_map([], row)?;
        let rows: Vec<Value> = rows.collect::<rusqlite::Result<_>>()?;
        Ok(json!({ name: rows }))
    }
}

fn check_user(user: &str) -> Result<(), Fault> {
    ids::check_user(user).or_else(|error| refuse(format!("the user id {error}")))
}

fn check_text(what: &str, text: &str) -> Result<(), Fault> {
    let max = limits::NAME_BYTES_MAX * 4;
    if text.len() > max || text.chars().any(char::is_control) {
        return refuse(format!(
            "{what} has {max} bytes at most and no control characters"
        ));
    }
    Ok(())
}

fn check_password(password: &str) -> Result<(), Fault> {
    let (min, max) = (PASSWORD_BYTES_MIN, limits::PASSWORD_BYTES_MAX);
    match password.len() {
        length if (min..=max).contains(&length) => Ok(()),
        length => refuse(format!(
            "the password has {length} bytes; {min} to {max} are allowed"
        )),
    }
}
