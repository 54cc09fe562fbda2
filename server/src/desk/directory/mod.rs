//! Tenants, teams, skills, agents and canned replies: `desk.db` in the data directory, and a copy in
//! memory that everybody looks at. Written by an operator, seldom; what customers and agents do lies
//! in the log.
//!
//! Methods block but for [`Directory::roster`].

mod items;

pub use items::{Agent, Member, Reply, Skill, Team, Tenant};

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidings_core::ids::Name;
use tidings_core::limits;

use crate::store::{self, seal};

/// Its name in the data directory.
pub(crate) const FILE: &str = "desk.db";
const SCHEMA: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("../sink/schema_1.sql"),
    include_str!("../snapshot.sql"),
];

/// Tables whose rows are watched over: not those of the storage listener, which grow.
const SEALED: &[&str] = &["item", "counter", "sink"];

/// What went wrong with the directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The name breaks a rule.
    #[error("{kind} `{name}`: a name has 1 to {max} of a-z A-Z 0-9 . _ -", max = limits::DESK_NAME_BYTES_MAX)]
    Name {
        /// Of what.
        kind: &'static str,
        /// As it was given.
        name: String,
    },
    /// Something is named that is not there.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// What it should be.
        kind: &'static str,
        /// As it was given.
        name: String,
    },
    /// The team belongs to another tenant.
    #[error("team `{0}` belongs to another tenant: names of teams are addresses, choose another")]
    Taken(String),
    /// There are as many as there may be.
    #[error("there are {max} of {kind} already, as many as there may be")]
    TooMany {
        /// Of what.
        kind: &'static str,
        /// How many.
        max: usize,
    },
    /// `desk.db` could not be read or written.
    #[error("desk.db: {0}")]
    Storage(#[from] rusqlite::Error),
    /// It is damaged, or the disk does not do what it is asked.
    #[error(transparent)]
    Disk(#[from] store::StoreError),
    /// What lies in it is not what was written.
    #[error("desk.db: {0}")]
    Json(#[from] serde_json::Error),
}

/// One kind of item.
#[derive(Debug, Clone)]
pub struct Numbered<T> {
    /// Within its tenant, never given twice.
    pub number: u32,
    /// What was set.
    pub item: T,
}

type Items<T> = HashMap<Name, Numbered<T>>;

/// All of one tenant.
#[derive(Debug, Clone, Default)]
pub struct TenantRoster {
    /// Its own settings.
    pub tenant: Tenant,
    /// By name, without `@`.
    pub teams: Items<Team>,
    /// By name.
    pub skills: Items<Skill>,
    /// By account.
    pub agents: Items<Agent>,
    /// By name.
    pub replies: Items<Reply>,
    /// The accounts of agents: each text names its author by number.
    by_number: HashMap<u32, Name>,
}

impl TenantRoster {
    /// The account and the settings of the agent with this number.
    #[must_use]
    pub fn agent(&self, number: u32) -> Option<(&Name, &Agent)> {
        let account = self.by_number.get(&number)?;
        let (account, agent) = self.agents.get_key_value(account)?;
        Some((account, &agent.item))
    }

    /// The name and the settings of the team with this number.
    #[must_use]
    pub fn team(&self, number: u32) -> Option<(&Name, &Team)> {
        let found = self.teams.iter().find(|(_, t)| t.number == number)?;
        Some((found.0, &found.1.item))
    }
}

/// Everything, as it is now.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    /// By name. Shared: whoever needs one for long keeps it.
    pub tenants: HashMap<Name, Arc<TenantRoster>>,
}

impl Roster {
    /// The tenant of an agent's account.
    #[must_use]
    pub fn tenant_of(&self, account: &str) -> Option<&Name> {
        let found = self.tenants.iter();
        let mut found = found.filter(|(_, tenant)| tenant.agents.contains_key(account));
        found.next().map(|(name, _)| name)
    }
}

/// Who has changed something, for the audit trail.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// An account, or a key.
    pub who: String,
}

/// The directory.
#[derive(Debug)]
pub struct Directory {
    db: Mutex<Connection>,
    /// For whoever only looks, so that a long look holds up nobody; none in memory.
    reading: Option<Mutex<Connection>>,
    roster: RwLock<Arc<Roster>>,
}

impl Directory {
    /// Opens `desk.db`, made or migrated if need be; in memory without a directory.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn open(dir: Option<&Path>) -> Result<Directory, DirectoryError> {
        Directory::open_with(dir, false)
    }

    /// The same; if what was written is damaged, with what is left of it if that is accepted.
    ///
    /// # Errors
    /// If it cannot be read or written, or is damaged and that is not accepted.
    pub fn open_with(dir: Option<&Path>, accept_loss: bool) -> Result<Directory, DirectoryError> {
        Directory::open_file(dir, accept_loss).map_err(|error| match (error, dir) {
            (DirectoryError::Storage(error), Some(dir)) => {
                DirectoryError::Disk(store::explain(&dir.join(FILE), &error))
            }
            (error, _) => error,
        })
    }

    fn open_file(dir: Option<&Path>, accept_loss: bool) -> Result<Directory, DirectoryError> {
        let mut db = match dir {
            Some(dir) => {
                store::ahead_is_whole(&dir.join(FILE), accept_loss)?;
                store::remove_shared_memory(&dir.join(FILE));
                store::open_database(&dir.join(FILE))?
            }
            None => Connection::open_in_memory()?,
        };
        if let Some(dir) = dir {
            crate::auth::restrict(&dir.join(FILE)).map_err(storage)?;
        }
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        if dir.is_some() {
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "FULL")?;
        }
        // What is recalled or erased is written over, not only given back.
        db.pragma_update(None, "secure_delete", true)?;
        seal::prepare(&db)?;
        let told = seal::look(&db, SEALED)?;
        if let (Some(reason), Some(dir)) = (told.first(), dir) {
            store::loss(accept_loss, &dir.join(FILE), reason.clone())?;
        }
        let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for (number, sql) in SCHEMA.iter().enumerate().skip(version) {
            let transaction = db.transaction()?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", number + 1)?;
            transaction.commit()?;
        }
        seal::renew(&mut db, SEALED, !told.is_empty())?;
        let roster = read(&db)?;
        let reading = match dir {
            Some(dir) => {
                let reading = store::open_database(&dir.join(FILE))?;
                reading.pragma_update(None, "query_only", true)?;
                Some(Mutex::new(reading))
            }
            None => None,
        };
        Ok(Directory {
            db: Mutex::new(db),
            reading,
            roster: RwLock::new(Arc::new(roster)),
        })
    }

    /// What of the file is not what was written.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn check(&self) -> Result<Vec<String>, DirectoryError> {
        Ok(seal::look(&self.db.lock(), SEALED)?)
    }

    /// Everything, as it is now. Does not block.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        self.roster.read().clone()
    }

    /// Makes or changes a tenant.
    ///
    /// # Errors
    /// If a name breaks a rule or it cannot be stored.
    pub fn put_tenant(&self, name: &str, item: &Tenant, by: &Entry) -> Result<(), DirectoryError> {
        self.put("tenant", "", name, item, by, limits::DESK_TENANTS_MAX)
    }

    /// Makes or changes a team.
    ///
    /// # Errors
    /// If a name breaks a rule, another tenant has it, or it cannot be stored.
    pub fn put_team(
        &self,
        tenant: &str,
        name: &str,
        item: &Team,
        by: &Entry,
    ) -> Result<(), DirectoryError> {
        let roster = self.roster();
        self.known_tenant(&roster, tenant)?;
        let taken = |(other, roster): (&Name, &Arc<TenantRoster>)| {
            **other != *tenant && roster.teams.contains_key(name)
        };
        if roster.tenants.iter().any(taken) {
            return Err(DirectoryError::Taken(name.to_owned()));
        }
        self.put("team", tenant, name, item, by, limits::DESK_ITEMS_MAX)
    }

    /// Makes or changes a skill.
    ///
    /// # Errors
    /// If a name breaks a rule, there are too many, or it cannot be stored.
    pub fn put_skill(
        &self,
        tenant: &str,
        name: &str,
        item: &Skill,
        by: &Entry,
    ) -> Result<(), DirectoryError> {
        self.known_tenant(&self.roster(), tenant)?;
        self.put("skill", tenant, name, item, by, limits::SKILLS_MAX)
    }

    /// Makes or changes an agent. That he has an account is somebody else's business.
    ///
    /// # Errors
    /// If something that he names is not there, or it cannot be stored.
    pub fn put_agent(
        &self,
        tenant: &str,
        name: &str,
        item: &Agent,
        by: &Entry,
    ) -> Result<(), DirectoryError> {
        let roster = self.roster();
        let known = self.known_tenant(&roster, tenant)?;
        let unknown = |kind, name: &str| {
            let name = name.to_owned();
            Err(DirectoryError::Unknown { kind, name })
        };
        for member in &item.teams {
            if !known.teams.contains_key(&*member.team) {
                return unknown("team", &member.team);
            }
        }
        for skill in &item.skills {
            if !known.skills.contains_key(&**skill) {
                return unknown("skill", skill);
            }
        }
        self.put("agent", tenant, name, item, by, limits::DESK_AGENTS_MAX)
    }

    /// Makes or changes a canned reply.
    ///
    /// # Errors
    /// If a name breaks a rule or it cannot be stored.
    pub fn put_reply(
        &self,
        tenant: &str,
        name: &str,
        item: &Reply,
        by: &Entry,
    ) -> Result<(), DirectoryError> {
        self.known_tenant(&self.roster(), tenant)?;
        self.put("reply", tenant, name, item, by, limits::DESK_ITEMS_MAX)
    }

    /// Removes an item. Whoever removes a `team` or a `tenant` has seen that nothing needs it; with
    /// a tenant go its skills and replies.
    ///
    /// # Errors
    /// If there is none, or it cannot be stored.
    pub fn remove(
        &self,
        kind: &'static str,
        tenant: &str,
        name: &str,
        by: &Entry,
    ) -> Result<(), DirectoryError> {
        let mut db = self.db.lock();
        let transaction = db.transaction()?;
        if kind == "tenant" {
            transaction.execute("DELETE FROM item WHERE tenant = ?1", [name])?;
        }
        let sql = "DELETE FROM item WHERE kind = ?1 AND tenant = ?2 AND name = ?3";
        if transaction.execute(sql, params![kind, tenant, name])? == 0 {
            let name = name.to_owned();
            return Err(DirectoryError::Unknown { kind, name });
        }
        audit(
            &transaction,
            tenant,
            by,
            &format!("delete {kind}"),
            name,
            "null",
        )?;
        transaction.commit()?;
        *self.roster.write() = Arc::new(read(&db)?);
        Ok(())
    }

    /// Remembers what somebody did that changes nothing here.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub fn remember(
        &self,
        tenant: &str,
        by: &Entry,
        what: &str,
        name: &str,
    ) -> Result<(), DirectoryError> {
        Ok(audit(&self.db.lock(), tenant, by, what, name, "null")?)
    }

    /// Runs one piece of SQL work of the storage listener on the same file.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        work(&mut self.db.lock())
    }

    /// Takes what was removed out of the write-ahead log, too; it is said if that could not be done.
    pub(crate) fn scrub(&self) -> rusqlite::Result<()> {
        self.with(|db| scrub(db))
    }

    /// Reads, without holding up whoever writes.
    pub(crate) fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        look(&self.reading.as_ref().unwrap_or(&self.db).lock())
    }

    fn known_tenant<'r>(
        &self,
        roster: &'r Roster,
        tenant: &str,
    ) -> Result<&'r TenantRoster, DirectoryError> {
        let known = roster.tenants.get(tenant).map(|known| &**known);
        known.ok_or(DirectoryError::Unknown {
            kind: "tenant",
            name: tenant.to_owned(),
        })
    }

    fn put<T: Serialize>(
        &self,
        kind: &'static str,
        tenant: &str,
        name: &str,
        item: &T,
        by: &Entry,
        max: usize,
    ) -> Result<(), DirectoryError> {
        check(kind, name)?;
        let body = serde_json::to_string(item)?;
        let mut db = self.db.lock();
        let transaction = db.transaction()?;
        let known = transaction
            .query_row(
                "SELECT number FROM item WHERE kind = ?1 AND tenant = ?2 AND name = ?3",
                params![kind, tenant, name],
                |row| row.get::<_, u32>(0),
            )
            .optional()?;
        let number = match known {
            Some(number) => number,
            None => {
                let sql = "SELECT count(*) FROM item WHERE kind = ?1 AND tenant = ?2";
                let count: usize =
                    transaction.query_row(sql, params![kind, tenant], |row| row.get(0))?;
                if count >= max {
                    return Err(DirectoryError::TooMany { kind, max });
                }
                let sql = "INSERT INTO counter (kind, tenant, last) VALUES (?1, ?2, 0)
                           ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last";
                transaction.query_row(sql, params![kind, tenant], |row| row.get(0))?
            }
        };
        transaction.execute(
            "INSERT OR REPLACE INTO item (kind, tenant, name, number, body)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![kind, tenant, name, number, body],
        )?;
        audit(
            &transaction,
            tenant,
            by,
            &format!("put {kind}"),
            name,
            &body,
        )?;
        transaction.commit()?;
        *self.roster.write() = Arc::new(read(&db)?);
        Ok(())
    }
}

/// A copy of `desk.db` for a backup, if there is one. The server may run.
pub(crate) fn backup(data: &Path, into: &Path) -> rusqlite::Result<()> {
    let path = data.join(FILE);
    if !path.exists() {
        return Ok(());
    }
    let db = store::open_database(&path)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    let into = into.join(FILE);
    db.execute("VACUUM INTO ?1", [into.to_string_lossy()])?;
    let synced = std::fs::File::open(&into).and_then(|file| file.sync_all());
    synced.map_err(storage)?;
    crate::auth::restrict(&into).map_err(storage)
}

/// See [`Directory::scrub`].
pub(crate) fn scrub(db: &Connection) -> rusqlite::Result<()> {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: bool = db.query_row(sql, [], |row| row.get(0))?;
    if is_busy {
        tracing::warn!("removed texts stay in desk.db-wal until the next are removed: it is read");
    }
    Ok(())
}

fn storage(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

fn audit(
    db: &Connection,
    tenant: &str,
    by: &Entry,
    what: &str,
    name: &str,
    body: &str,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO audit (time_ms, tenant, who, what, name, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![by.time_ms, tenant, by.who, what, name, body],
    )?;
    Ok(())
}

fn check(kind: &'static str, name: &str) -> Result<(), DirectoryError> {
    if kind == "agent" && tidings_core::ids::check_user(name).is_ok() {
        return Ok(()); // named as his account
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=limits::DESK_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(DirectoryError::Name { kind, name })
}

fn read(db: &Connection) -> Result<Roster, DirectoryError> {
    let mut tenants: HashMap<Name, TenantRoster> = HashMap::new();
    for (name, _, item) in items::<Tenant>(db, "tenant")? {
        let tenant = TenantRoster {
            tenant: item.item,
            ..TenantRoster::default()
        };
        tenants.insert(name, tenant);
    }
    for (name, tenant, item) in items(db, "team")? {
        tenants
            .get_mut(&*tenant)
            .map(|t| t.teams.insert(name, item));
    }
    for (name, tenant, item) in items(db, "skill")? {
        tenants
            .get_mut(&*tenant)
            .map(|t| t.skills.insert(name, item));
    }
    for (name, tenant, item) in items(db, "agent")? {
        if let Some(tenant) = tenants.get_mut(&*tenant) {
            tenant.by_number.insert(item.number, name.clone());
            tenant.agents.insert(name, item);
        }
    }
    for (name, tenant, item) in items(db, "reply")? {
        tenants
            .get_mut(&*tenant)
            .map(|t| t.replies.insert(name, item));
    }
    let shared = tenants.into_iter();
    let shared = shared.map(|(name, tenant)| (name, Arc::new(tenant)));
    Ok(Roster {
        tenants: shared.collect(),
    })
}

/// Name, tenant, item.
type Found<T> = Vec<(Name, String, Numbered<T>)>;

fn items<T: DeserializeOwned>(db: &Connection, kind: &str) -> Result<Found<T>, DirectoryError> {
    let sql = "SELECT name, tenant, number, body FROM item WHERE kind = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([kind])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(3)?;
        let item = serde_json::from_str(&body)?;
        let number = row.get(2)?;
        let name: String = row.get(0)?;
        found.push((name.into(), row.get(1)?, Numbered { number, item }));
    }
    Ok(found)
}
