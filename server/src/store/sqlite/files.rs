//! The data directory: its lock, its database files and their versions.
//!
//! Every connection is opened with SQLite's `unix-excl`: the index of a write-ahead log is then in the
//! memory of this process, which alone may have the files open. There is no `-shm` file that would need
//! room on a full disk, and no map of one that would turn an I/O error into a signal.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction};

use super::super::{Durability, StoreError};
use super::sums;

/// "TIDI": so that a file of something else is not taken for ours.
const APPLICATION_ID: i32 = 0x5449_4449;
const LOG_MIGRATIONS: &[&str] = &[
    include_str!("schema/log_1.sql"),
    include_str!("schema/log_2.sql"),
];
/// The first version of the log in which every row has a checksum.
const LOG_WITH_CHECKSUMS: usize = 2;
const INDEX_MIGRATIONS: &[&str] = &[include_str!("schema/index_1.sql")];
const BUSY: Duration = Duration::from_secs(5);
/// A checkpoint that has to wait longer for a reader is left for the next time.
const CHECKPOINT_BUSY: Duration = Duration::from_millis(20);
/// SQLite's page size.
pub(super) const PAGE_BYTES: u64 = 4096;
const STATEMENTS_CACHED: usize = 64;

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) dir: PathBuf,
    pub(super) log: PathBuf,
    /// The log's write-ahead log.
    pub(super) ahead: PathBuf,
    pub(super) index: PathBuf,
    pub(super) keys: PathBuf,
    /// The log, open as long as the store is: what reads it beside SQLite reads this.
    pub(super) held: Arc<OnceLock<File>>,
}

/// Which file a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> std::io::Result<Identity> {
        let found = std::fs::metadata(path)?;
        Ok(Identity {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// The files that are in use, so that it is noticed when they lie no longer where they did.
#[derive(Debug)]
pub(super) struct Presence {
    files: Vec<(PathBuf, Identity)>,
}

impl Presence {
    /// Those of the log, which is open.
    pub(super) fn of(paths: &Paths) -> Result<Presence, StoreError> {
        let mut files = Vec::new();
        for path in [&paths.log, &paths.ahead] {
            let found = Identity::of(path).map_err(|error| paths.io_error(path, &error))?;
            files.push((path.clone(), found));
        }
        Ok(Presence { files })
    }

    /// Whether everything is where it was.
    pub(super) fn look(&self) -> Result<(), StoreError> {
        for (path, known) in &self.files {
            // Only that it is not there, or another one, says so: that it cannot be looked at does not.
            let gone = match Identity::of(path) {
                Ok(found) => found != *known,
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            };
            if gone {
                let path = path.display().to_string();
                return Err(StoreError::Gone { path });
            }
        }
        Ok(())
    }
}

impl Paths {
    pub(super) fn new(dir: &Path) -> Paths {
        Paths {
            dir: dir.to_owned(),
            log: dir.join("tidings.db"),
            ahead: dir.join("tidings.db-wal"),
            index: dir.join("index.db"),
            keys: dir.join("keys"),
            held: Arc::default(),
        }
    }
}

/// Makes a directory that is not there, and those above it, each with a name that survives a power
/// cut.
pub(super) fn make_directory(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    // Of a relative path the last parent is empty: here.
    let parent = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    make_directory(parent)?;
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    sync_directory(parent)
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes the directory and takes it for this process, until the file is dropped.
pub(super) fn lock(paths: &Paths) -> Result<File, StoreError> {
    make_directory(&paths.dir).map_err(|error| paths.io_error(&paths.dir, &error))?;
    let path = paths.dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| paths.io_error(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            path: paths.dir.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(paths.io_error(&path, &error)),
    }
}

/// Opens a database for this process alone, made if need be.
pub(crate) fn open_database(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_CREATE)
}

/// The same, if it is there.
pub(crate) fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::empty())
}

fn open(path: &Path, more: OpenFlags) -> rusqlite::Result<Connection> {
    // Never read-only: such a connection would look for a `-shm` file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    Connection::open_with_flags_and_vfs(path, flags, c"unix-excl")
}

/// Removes what servers before this one, which shared the index of the write-ahead log, left behind.
pub(crate) fn remove_shared_memory(database: &Path) {
    let mut name = database.as_os_str().to_owned();
    name.push("-shm");
    let _ = std::fs::remove_file(PathBuf::from(name)); // seldom there, and never looked at
}

/// Opens the log for writing, made or migrated if need be.
pub(super) fn open_log(paths: &Paths, durability: Durability) -> Result<Connection, StoreError> {
    remove_shared_memory(&paths.log);
    let open = || {
        let mut connection = open_database(&paths.log)?;
        // Until it is known that nothing is missing, nothing is changed by looking.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        configure(&connection, durability)?;
        for_writing(&connection)?;
        let version = migrate(
            &mut connection,
            LOG_MIGRATIONS,
            |version, transaction| match version {
                LOG_WITH_CHECKSUMS => sums::fill(transaction),
                _ => Ok(()),
            },
        )?;
        Ok((connection, version))
    };
    let (connection, version) = open().map_err(|error| paths.log_error(error))?;
    check_version(&paths.log, version, LOG_MIGRATIONS.len())?;
    if paths.held.get().is_none() {
        let held = File::open(&paths.log).map_err(|error| paths.io_error(&paths.log, &error))?;
        let _ = paths.held.set(held);
    }
    Ok(connection)
}

/// What counts for whoever writes the log.
fn for_writing(connection: &Connection) -> rusqlite::Result<()> {
    // What is removed is written over, not only given back.
    connection.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = ON")
}

/// Opens the log for writing once more, where it must be.
pub(super) fn reopen_log(paths: &Paths, durability: Durability) -> Result<Connection, StoreError> {
    let open = || {
        let connection = open_existing(&paths.log)?;
        configure(&connection, durability)?;
        for_writing(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| paths.log_error(error))
}

/// Opens the log for copying its write-ahead log back. Short waits: readers do not hold it up long.
pub(super) fn open_checkpointer(
    paths: &Paths,
    durability: Durability,
) -> Result<Connection, StoreError> {
    let connection = reopen_log(paths, durability)?;
    let short = connection.busy_timeout(CHECKPOINT_BUSY);
    short.map_err(|error| paths.log_error(error))?;
    Ok(connection)
}

/// Bytes that are free on the disk of the data directory; all there can be if that is not known.
pub(super) fn free_bytes(paths: &Paths) -> u64 {
    rustix::fs::statvfs(&paths.dir)
        .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Copies the write-ahead log back and begins it anew. Nobody else may have the files open.
pub(super) fn checkpoint(connection: &Connection, paths: &Paths) -> Result<(), StoreError> {
    let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
    let outcome = connection.query_row(truncate, [], |_| Ok(()));
    outcome.map_err(|error| paths.log_error(error))
}

/// Opens the index for writing. Whatever is wrong with it, it can be made again.
pub(super) fn open_index(paths: &Paths) -> Result<Connection, StoreError> {
    remove_shared_memory(&paths.index);
    let open = || {
        let mut connection = open_database(&paths.index)?;
        configure(&connection, Durability::Os)?;
        let version = migrate(&mut connection, INDEX_MIGRATIONS, |_, _| Ok(()))?;
        Ok((connection, version))
    };
    let (connection, version) = open().map_err(|error| paths.index_error(error))?;
    check_version(&paths.index, version, INDEX_MIGRATIONS.len())?;
    Ok(connection)
}

/// Opens both for reading.
pub(super) fn open_reader(paths: &Paths) -> Result<Connection, StoreError> {
    let open = || {
        let connection = open_existing(&paths.log)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute("ATTACH ?1 AS follower", [paths.index.to_string_lossy()])?;
        configure(&connection, Durability::Os)?;
        // Small: there are several readers, and the system caches the files as well.
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512")?;
        Ok(connection)
    };
    open().map_err(|error| paths.log_error(error))
}

fn configure(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    let synchronous = match durability {
        Durability::Disk => "FULL",
        Durability::Os | Durability::Memory => "NORMAL",
    };
    // No memory map: an I/O error would be a signal instead of a result.
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = {synchronous};
         PRAGMA mmap_size = 0;
         PRAGMA cache_size = -2048;
         PRAGMA temp_store = MEMORY;"
    ))
}

/// Brings a file to the newest version; returns the version that it had if that is newer.
fn migrate(
    connection: &mut Connection,
    migrations: &[&str],
    complete: impl Fn(usize, &Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<usize> {
    let read = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
    let version: usize = read("user_version")?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: usize =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (tables > 0 || version > 0) {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB),
            Some("it is a database of another program".into()),
        ));
    }
    for (at, migration) in migrations.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        complete(at + 1, &transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", at + 1)?;
        transaction.commit()?;
    }
    Ok(version)
}

fn check_version(path: &Path, version: usize, known: usize) -> Result<(), StoreError> {
    if version <= known {
        return Ok(());
    }
    Err(StoreError::NotWritable {
        path: path.display().to_string(),
        reason: format!(
            "it has version {version} and this tidings knows {known} only: use the newer tidings"
        ),
    })
}
