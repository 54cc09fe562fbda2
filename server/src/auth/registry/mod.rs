//! What is kept about who may come in: accounts, API keys, blocks. In `accounts.db` in the data
//! directory, apart from the messages: it is small, written by hand, and worth a backup of its own.
//!
//! Everything that a login asks on its way is also in memory (`Roll`), but the hashes of passwords.
//! Methods block unless they say that they do not.

mod change;
pub(super) mod demo;
mod network;
pub(super) mod scram;
#[cfg(test)]
mod tests;
mod trail;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};
use tidings_core::limits;

use super::crypt::{self, Digest};
use crate::store::{self, seal};
pub use change::{Command, Fault};
pub(crate) use change::{Revoked, Whose};
pub use network::Network;
pub(crate) use network::Networks;
pub(crate) use trail::Act;
use trail::read_roll;

/// Its name in the data directory.
pub(crate) const FILE: &str = "accounts.db";
/// How the API's keys begin, so that one that leaks can be found and is known for what it is.
const KEY_PREFIX: &str = "tidings_";
const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];
/// The migration from which on accounts of the demo are marked.
const MARKS_DEMO: usize = 3;
/// Nothing that was issued lasts longer: a version older than this is needed for nothing.
const ISSUED_MS_MAX: i64 = 366 * 24 * 3_600_000;

/// Tables whose rows are watched over.
const SEALED: &[&str] = &["account", "api_key", "block"];

/// What an API key permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To look.
    Read,
    /// To look and to send.
    Send,
    /// Everything.
    Admin,
}

impl Scope {
    /// True if a key of this scope may do what asks for `needed`.
    #[must_use]
    pub fn permits(self, needed: Scope) -> bool {
        self >= needed
    }
}

/// What an account may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A user as any other.
    User,
    /// An agent of a desk: always needs his password, whatever `auth.mode` says.
    Agent,
    /// An administrator: the same.
    Admin,
}

macro_rules! words {
    ($kind:ty, $($word:literal => $value:expr),+) => {
        impl FromStr for $kind {
            type Err = ();
            fn from_str(text: &str) -> Result<$kind, ()> {
                match text { $($word => Ok($value),)+ _ => Err(()) }
            }
        }
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match *self { $(value if value == $value => $word,)+ _ => "" })
            }
        }
    };
}
words!(Scope, "read" => Scope::Read, "send" => Scope::Send, "admin" => Scope::Admin);
words!(Role, "user" => Role::User, "agent" => Role::Agent, "admin" => Role::Admin);

/// What an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    /// Its password is one that everybody knows.
    pub(crate) demo: bool,
}

/// What a login asks, in memory.
#[derive(Debug, Default)]
struct Roll {
    blocked_users: HashSet<Box<str>>,
    blocked_addresses: Networks,
    accounts: HashMap<Box<str>, Standing>,
    /// Of credentials, also of those that are gone.
    versions: HashMap<Box<str>, i64>,
    /// By digest.
    keys: HashMap<Digest, ApiKey>,
}

/// A key of the API, without the key itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// What it permits.
    pub(crate) scope: Scope,
    /// Its number in the list.
    pub(crate) id: i64,
    /// Calls a second, if it has a rate of its own.
    pub(crate) rate: Option<u32>,
}

/// The hash of an account's password, and what goes with it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) hash: String,
    pub(crate) role: Role,
    /// Of the credential.
    pub(crate) version: i64,
}

/// Accounts, keys and blocks.
#[derive(Debug)]
pub struct Registry {
    db: Mutex<Connection>,
    roll: RwLock<Roll>,
    /// Rises with each change, so that what was remembered of a password can be forgotten.
    version: AtomicU64,
    /// Rises with each other `auth.mode`.
    epoch: AtomicI64,
    /// Accounts of the demo are good for something.
    demo: AtomicBool,
}

impl Registry {
    /// Opens `accounts.db`, made or migrated if need be. The caller holds the directory's lock.
    pub(crate) fn open(dir: &Path) -> Result<Registry, Fault> {
        Registry::open_with(dir, false)
    }

    /// The same; if what was written is damaged, with what is left of it if that is accepted.
    pub(crate) fn open_with(dir: &Path, accept_loss: bool) -> Result<Registry, Fault> {
        let path = dir.join(FILE);
        let fault = |e: rusqlite::Error| Fault::Storage(store::explain(&path, &e).to_string());
        let fresh = !path.exists();
        let db = Connection::open(&path).map_err(fault)?;
        if fresh {
            restrict(&path).map_err(|e| Fault::Storage(format!("{}: {e}", path.display())))?;
        }
        seal::prepare(&db).map_err(fault)?;
        let told = seal::look(&db, SEALED).map_err(fault)?;
        if let Some(reason) = told.first() {
            store::loss(accept_loss, &path, reason.clone())
                .map_err(|error| Fault::Storage(error.to_string()))?;
        }
        let registry = Registry::prepare(db).map_err(fault)?;
        seal::renew(&mut registry.db.lock(), SEALED, !told.is_empty()).map_err(fault)?;
        Ok(registry)
    }

    /// What of the file is not what was written.
    pub(crate) fn check(&self) -> Result<Vec<String>, Fault> {
        Ok(seal::look(&self.db.lock(), SEALED)?)
    }

    /// Kept nowhere: for a server that writes nothing to disk.
    pub(crate) fn in_memory() -> Result<Registry, Fault> {
        let db = Connection::open_in_memory().and_then(Registry::prepare);
        db.map_err(|e| Fault::Storage(e.to_string()))
    }

    fn prepare(mut db: Connection) -> rusqlite::Result<Registry> {
        db.busy_timeout(Duration::from_secs(5))?;
        // One file, readable with the usual tools and safe to copy while nothing is written.
        db.pragma_update(None, "journal_mode", "DELETE")?;
        // EXTRA: the directory is synced when the journal is removed, which is what commits. With
        // FULL a power cut may bring the journal back, and with it what was before the change.
        db.pragma_update(None, "synchronous", "EXTRA")?;
        let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for (number, sql) in MIGRATIONS.iter().enumerate().skip(version) {
            let transaction = db.transaction()?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", number + 1)?;
            transaction.commit()?;
        }
        if (1..MARKS_DEMO).contains(&version) {
            demo::mark_those_from_before(&db)?;
        }
        let epoch = db.query_row("SELECT epoch FROM door", [], |row| row.get(0))?;
        let roll = read_roll(&db)?;
        Ok(Registry {
            db: Mutex::new(db),
            roll: RwLock::new(roll),
            version: AtomicU64::new(0),
            epoch: AtomicI64::new(epoch),
            demo: AtomicBool::new(false),
        })
    }

    /// From now on things are issued in this `auth.mode`; what was issued in another one is void.
    pub(crate) fn enter_mode(&self, mode: &str, now_ms: i64) -> Result<(), Fault> {
        let db = self.db.lock();
        db.execute(
            "UPDATE door SET mode = ?1, epoch = epoch + 1 WHERE mode <> ?1",
            [mode],
        )?;
        // Names without an account whose last change is older than anything that was issued.
        db.execute(
            "DELETE FROM principal WHERE changed_ms < ?1 \
             AND user NOT IN (SELECT user FROM account)",
            [now_ms - ISSUED_MS_MAX],
        )?;
        let epoch = db.query_row("SELECT epoch FROM door", [], |row| row.get(0))?;
        self.epoch.store(epoch, Ordering::Release);
        *self.roll.write() = read_roll(&db)?;
        Ok(())
    }

    /// What is issued now belongs to this epoch. Does not block.
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Copies the file while it is in use.
    pub(crate) fn backup(&self, to: &Path) -> Result<(), Fault> {
        let copied = self
            .db
            .lock()
            .execute("VACUUM INTO ?1", [to.to_string_lossy()]);
        copied?;
        let safe = restrict(to).and_then(|()| std::fs::File::open(to)?.sync_all());
        safe.map_err(|error| Fault::Storage(error.to_string()))
    }

    /// True if this user is shut out. Does not block.
    pub(crate) fn is_user_blocked(&self, user: &str) -> bool {
        self.roll.read().blocked_users.contains(user)
    }

    /// True if logins from there are shut out. Does not block.
    pub(crate) fn is_address_blocked(&self, address: IpAddr) -> bool {
        self.roll.read().blocked_addresses.contains(address)
    }

    /// What an account is; `None` if there is none. Does not block.
    pub(crate) fn standing(&self, user: &str) -> Option<Standing> {
        self.roll.read().accounts.get(user).copied()
    }

    /// The version of a user's credential; 0 for whom we never had one of. Does not block.
    pub(crate) fn version_of(&self, user: &str) -> i64 {
        self.roll.read().versions.get(user).copied().unwrap_or(0)
    }

    /// What is known of a key; `None` if there is no such key. Does not block.
    pub(crate) fn key_of(&self, key: &str) -> Option<ApiKey> {
        if key.len() > limits::API_KEY_BYTES_MAX {
            return None;
        }
        // Looked up by digest: how long that takes tells nothing about the keys there are.
        let digest = crypt::sha256(key.as_bytes());
        self.roll.read().keys.get(&digest).copied()
    }

    /// Rises with each change. Does not block.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The hash of an account's password. An account of the demo is none, unless this is one.
    pub(crate) fn password(&self, user: &str) -> Result<Option<Known>, Fault> {
        let sql = "SELECT hash, role, version, demo FROM account \
                   JOIN principal USING (user) WHERE user = ?1";
        let row = |row: &rusqlite::Row<'_>| {
            let role: String = row.get(1)?;
            let known = Known {
                hash: row.get(0)?,
                role: role.parse().unwrap_or(Role::User),
                version: row.get(2)?,
            };
            Ok((known, row.get::<_, bool>(3)?))
        };
        let db = self.db.lock();
        let found = db.query_row(sql, [user], row).optional()?;
        Ok(found.and_then(|(known, demo)| self.is_good(user, demo).then_some(known)))
    }

    /// False for an account whose password everybody knows, where that is not wanted.
    fn is_good(&self, user: &str, demo: bool) -> bool {
        let good = !demo || self.demo.load(Ordering::Acquire);
        if !good {
            tracing::warn!(
                user,
                "refused: an account of serve --demo, whose password everybody knows: \
                give it another one with `tidings admin account passwd`, or remove it"
            );
        }
        good
    }

    /// From now on accounts of the demo may log in. Does not block.
    pub(crate) fn allow_demo(&self) {
        self.demo.store(true, Ordering::Release);
    }
}

/// Only the server's own user reads it.
pub(crate) fn restrict(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
