//! What an operator does to accounts, keys and blocks: the commands of `tidings admin`, of the
//! socket beside a running server, and of the API.

use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::ids::{self, Name};
use tidings_core::limits;

use super::network::Network;
use super::trail::{Act, Concerns};
use super::{KEY_PREFIX, Registry, Role, Scope, scram};
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
        /// Calls a second, 1 to [`API_CALLS_PER_S_MAX`](limits::API_CALLS_PER_S_MAX), twice as
        /// many in a row; [`API_CALLS_PER_S`](limits::API_CALLS_PER_S) otherwise.
        #[serde(default)]
        rate: Option<u32>,
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
    /// Makes an account something else; its password stays.
    AccountRole {
        /// Whose.
        user: String,
        /// What he is from now on.
        role: Role,
    },
    /// Removes an account; messages stay. Whoever was an agent by it is none any more.
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
    /// Who changed what of all this, and whose sessions ended by it: the newest first.
    AuditList {
        /// Below this number; `None`: from the newest.
        #[serde(default)]
        before: Option<i64>,
    },
}

/// Whose sessions end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A user's.
    User(Name),
    /// Everybody's who comes from there.
    Network(Network),
}

/// What of somebody's ends, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revoked {
    pub(crate) whose: Whose,
    /// For whoever is ended, and for the log.
    pub(crate) why: &'static str,
    /// He is an agent no more, whatever a desk says of him.
    pub(crate) no_agent: bool,
}

impl Revoked {
    /// Whose, if it is one user's.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.whose {
            Whose::User(user) => Some(user),
            Whose::Network(_) => None,
        }
    }
}

impl Command {
    /// What it ends, once it is done.
    pub(crate) fn ends(&self) -> Option<Revoked> {
        let (user, why, no_agent) = match self {
            Command::AccountAdd { user, .. } => {
                (user, "there is an account of this name now", false)
            }
            Command::AccountPassword { user, .. } => (user, "the password was changed", false),
            Command::AccountRole { user, role } => (
                user,
                "the role of the account was changed",
                *role == Role::User,
            ),
            Command::AccountRemove { user } => (user, "the account was removed", true),
            Command::BlockUser { user, .. } => (user, "blocked", false),
            Command::BlockAddress { address, .. } => {
                return Some(Revoked {
                    whose: Whose::Network(address.parse().ok()?),
                    why: "blocked",
                    no_agent: false,
                });
            }
            _ => return None,
        };
        Some(Revoked {
            whose: Whose::User(user.as_str().into()),
            why,
            no_agent,
        })
    }
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
    /// Does it, in the name of `by`; blocks, for as long as hashing a password takes.
    ///
    /// # Errors
    /// If it cannot be done; nothing has changed then.
    pub(crate) fn execute(&self, command: Command, now_ms: i64, by: &str) -> Result<Value, Fault> {
        let act = |what| Act { by, now_ms, what };
        match command {
            Command::KeyCreate { scope, name, rate } => {
                self.key_create(scope, &name, rate, act("key create"))
            }
            Command::KeyList => self.key_list(),
            Command::KeyRevoke { id } => {
                let sql = "DELETE FROM api_key WHERE id = ?1";
                self.change(act("key revoke"), Concerns::Key, |db| {
                    match db.execute(sql, [id])? {
                        0 => refuse(format!("there is no key {id}")),
                        _ => Ok(json!({ "id": id })),
                    }
                })
            }
            Command::AccountAdd {
                user,
                role,
                password,
            } => self.account_add(&user, role, &password, act("account add")),
            Command::AccountPassword { user, password } => {
                self.account_password(&user, &password, act("account password"))
            }
            Command::AccountRole { user, role } => {
                let sql = "UPDATE account SET role = ?2 WHERE user = ?1";
                let concerns = Concerns::User(&user);
                self.change(act("account role"), concerns, |db| {
                    match db.execute(sql, params![&user, role.to_string()])? {
                        0 => refuse(format!("there is no account {user}")),
                        _ => Ok(json!({ "user": user, "role": role })),
                    }
                })
            }
            Command::AccountRemove { user } => {
                let sql = "DELETE FROM account WHERE user = ?1";
                let concerns = Concerns::User(&user);
                self.change(act("account remove"), concerns, |db| {
                    match db.execute(sql, [&user])? {
                        0 => refuse(format!("there is no account {user}")),
                        _ => Ok(json!({ "user": user })),
                    }
                })
            }
            Command::AccountList => self.account_list(),
            Command::BlockUser { user, reason } => {
                check_user(user.strip_prefix('~').unwrap_or(&user))?;
                let concerns = Concerns::User(&user);
                self.block("user", &user, &reason, concerns, act("block user"))
            }
            Command::BlockAddress { address, reason } => {
                let network: Network = address.parse().map_err(Fault::Refused)?;
                let network = network.to_string();
                let concerns = Concerns::Address(&network);
                self.block("address", &network, &reason, concerns, act("block address"))
            }
            Command::UnblockUser { user } => {
                let concerns = Concerns::Keeps(&user);
                self.unblock("user", &user, concerns, act("unblock user"))
            }
            Command::UnblockAddress { address } => {
                let network: Network = address.parse().map_err(Fault::Refused)?;
                let network = network.to_string();
                let concerns = Concerns::Address(&network);
                self.unblock("address", &network, concerns, act("unblock address"))
            }
            Command::BlockList => self.block_list(),
            Command::AuditList { before } => self.audit(before),
        }
    }

    fn key_create(
        &self,
        scope: Scope,
        name: &str,
        rate: Option<u32>,
        act: Act<'_>,
    ) -> Result<Value, Fault> {
        check_text("the name", name)?;
        let max = limits::API_CALLS_PER_S_MAX;
        if let Some(rate) = rate.filter(|rate| !(1..=max).contains(rate)) {
            return refuse(format!(
                "a rate is 1 to API_CALLS_PER_S_MAX = {max} calls a second, not {rate}"
            ));
        }
        let key = format!("{KEY_PREFIX}{}", crypt::to_base64(&crypt::random::<32>()));
        let hash = crypt::sha256(key.as_bytes());
        self.change(act, Concerns::Key, |db| {
            let count: usize = db.query_row("SELECT count(*) FROM api_key", [], |r| r.get(0))?;
            if count >= limits::API_KEYS_MAX {
                let max = limits::API_KEYS_MAX;
                return refuse(format!(
                    "there are {count} keys and API_KEYS_MAX = {max}: revoke one first"
                ));
            }
            db.execute(
                "INSERT INTO api_key (hash, scope, name, created_ms, rate) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![&hash[..], scope.to_string(), name, act.now_ms, rate],
            )?;
            Ok(json!({
                "id": db.last_insert_rowid(), "scope": scope, "name": name,
                "rate": rate.unwrap_or(limits::API_CALLS_PER_S), "key": key,
            }))
        })
    }

    fn key_list(&self) -> Result<Value, Fault> {
        let sql = "SELECT id, scope, name, created_ms, rate FROM api_key ORDER BY id";
        self.list("keys", sql, |row| {
            Ok(json!({
                "id": row.get::<_, i64>(0)?,
                "scope": row.get::<_, String>(1)?,
                "name": row.get::<_, String>(2)?,
                "created_ms": row.get::<_, i64>(3)?,
                "rate": row.get::<_, Option<u32>>(4)?.unwrap_or(limits::API_CALLS_PER_S),
            }))
        })
    }

    fn account_add(
        &self,
        user: &str,
        role: Role,
        password: &str,
        act: Act<'_>,
    ) -> Result<Value, Fault> {
        check_user(user)?;
        check_password(password)?;
        self.account_insert(user, role, password, false, act)
    }

    /// Without a look at the password.
    pub(super) fn account_insert(
        &self,
        user: &str,
        role: Role,
        password: &str,
        demo: bool,
        act: Act<'_>,
    ) -> Result<Value, Fault> {
        let hash = crypt::hash_password(password).map_err(Fault::Storage)?;
        let scram = scram::derive(password);
        self.change(act, Concerns::User(user), |db| {
            let done = db.execute(
                "INSERT INTO account (user, role, hash, scram, created_ms, changed_ms, demo) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6) ON CONFLICT DO NOTHING",
                params![user, role.to_string(), hash, scram, act.now_ms, demo],
            )?;
            match done {
                0 => refuse(format!(
                    "there is an account {user} already: change its password, or remove it first"
                )),
                _ => Ok(json!({ "user": user, "role": role })),
            }
        })
    }

    fn account_password(&self, user: &str, password: &str, act: Act<'_>) -> Result<Value, Fault> {
        check_password(password)?;
        let hash = crypt::hash_password(password).map_err(Fault::Storage)?;
        let scram = scram::derive(password);
        let sql = "UPDATE account SET hash = ?2, scram = ?3, changed_ms = ?4, demo = 0 \
                   WHERE user = ?1";
        self.change(act, Concerns::User(user), |db| {
            match db.execute(sql, params![user, hash, scram, act.now_ms])? {
                0 => refuse(format!("there is no account {user}")),
                _ => Ok(json!({ "user": user })),
            }
        })
    }

    fn account_list(&self) -> Result<Value, Fault> {
        let sql = "SELECT user, role, created_ms, changed_ms, demo FROM account ORDER BY user";
        self.list("accounts", sql, |row| {
            Ok(json!({
                "user": row.get::<_, String>(0)?,
                "role": row.get::<_, String>(1)?,
                "created_ms": row.get::<_, i64>(2)?,
                "changed_ms": row.get::<_, i64>(3)?,
                "demo": row.get::<_, bool>(4)?,
            }))
        })
    }

    fn block(
        &self,
        kind: &str,
        what: &str,
        reason: &str,
        concerns: Concerns<'_>,
        act: Act<'_>,
    ) -> Result<Value, Fault> {
        check_text("the reason", reason)?;
        self.change(act, concerns, |db| {
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
                params![kind, what, reason, act.now_ms],
            )?;
            Ok(json!({ "kind": kind, "what": what }))
        })
    }

    fn unblock(
        &self,
        kind: &str,
        what: &str,
        concerns: Concerns<'_>,
        act: Act<'_>,
    ) -> Result<Value, Fault> {
        let sql = "DELETE FROM block WHERE kind = ?1 AND what = ?2";
        self.change(act, concerns, |db| match db.execute(sql, [kind, what])? {
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

    pub(super) fn list(
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
