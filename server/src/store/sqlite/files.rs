//! The data directory: its lock, its database files, their versions, and what their errors mean.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::{Durability, StoreError};

/// "TIDI": so that a file of something else is not taken for ours.
const APPLICATION_ID: i32 = 0x5449_4449;
const LOG_MIGRATIONS: &[&str] = &[include_str!("schema/log_1.sql")];
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
}

impl Paths {
    pub(super) fn new(dir: &Path) -> Paths {
        Paths {
            dir: dir.to_owned(),
            log: dir.join("tidings.db"),
            ahead: dir.join("tidings.db-wal"),
            index: dir.join("index.db"),
            keys: dir.join("keys"),
        }
    }

    /// Says what an error of the log's database means for an operator.
    pub(super) fn log_error(&self, error: rusqlite::Error) -> StoreError {
        self.sql_error(&self.log, error)
    }

    /// The same for the index's.
    pub(super) fn index_error(&self, error: rusqlite::Error) -> StoreError {
        self.sql_error(&self.index, error)
    }

    fn sql_error(&self, file: &Path, error: rusqlite::Error) -> StoreError {
        let path = file.display().to_string();
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull {
                path: self.dir.display().to_string(),
            },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                StoreError::NotWritable { path, reason }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt { path, reason }
            }
            _ => StoreError::Unavailable(format!("{path}: {reason}")),
        }
    }

    /// Says what an error of a plain file means.
    pub(super) fn io_error(&self, file: &Path, error: &std::io::Error) -> StoreError {
        use std::io::ErrorKind as Kind;
        let path = file.display().to_string();
        let reason = error.to_string();
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => StoreError::DiskFull {
                path: self.dir.display().to_string(),
            },
            Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::NotADirectory
            | Kind::AlreadyExists => StoreError::NotWritable { path, reason },
            _ => StoreError::Unavailable(format!("{path}: {reason}")),
        }
    }
}

/// Makes the directory and takes it for this process, until the file is dropped.
pub(super) fn lock(paths: &Paths) -> Result<File, StoreError> {
    std::fs::create_dir_all(&paths.dir).map_err(|error| paths.io_error(&paths.dir, &error))?;
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

/// Opens the log for writing, made or migrated if need be.
pub(super) fn open_log(paths: &Paths, durability: Durability) -> Result<Connection, StoreError> {
    let open = || {
        let mut connection = Connection::open(&paths.log)?;
        configure(&connection, durability)?;
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
        let version = migrate(&mut connection, LOG_MIGRATIONS)?;
        Ok((connection, version))
    };
    let (connection, version) = open().map_err(|error| paths.log_error(error))?;
    check_version(&paths.log, version, LOG_MIGRATIONS.len())?;
    Ok(connection)
}

/// Opens the log for copying its write-ahead log back. Short waits: readers do not hold it up long.
pub(super) fn open_checkpointer(
    paths: &Paths,
    durability: Durability,
) -> Result<Connection, StoreError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&paths.log, flags)?;
        configure(&connection, durability)?;
        connection.busy_timeout(CHECKPOINT_BUSY)?;
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
        Ok(connection)
    };
    open().map_err(|error| paths.log_error(error))
}

/// Copies the write-ahead log back and begins it anew. Nobody else may have the files open.
pub(super) fn checkpoint(connection: &Connection, paths: &Paths) -> Result<(), StoreError> {
    let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
    let outcome = connection.query_row(truncate, [], |_| Ok(()));
    outcome.map_err(|error| paths.log_error(error))
}

/// Opens the index for writing. Whatever is wrong with it, it can be made again.
pub(super) fn open_index(paths: &Paths) -> Result<Connection, StoreError> {
    let open = || {
        let mut connection = Connection::open(&paths.index)?;
        configure(&connection, Durability::Os)?;
        let version = migrate(&mut connection, INDEX_MIGRATIONS)?;
        Ok((connection, version))
    };
    let (connection, version) = open().map_err(|error| paths.index_error(error))?;
    check_version(&paths.index, version, INDEX_MIGRATIONS.len())?;
    Ok(connection)
}

/// Opens both for reading.
pub(super) fn open_reader(paths: &Paths) -> Result<Connection, StoreError> {
    let open = || {
        // Not read-only: a reader of a WAL may have to write its shared memory.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&paths.log, flags)?;
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
fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<usize> {
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
