//! What an error of SQLite or of the system means, and where that leaves an operator.
//!
//! SQLite does not tell which error of the system is behind its own, and calls a disk that cannot be
//! read "malformed". So what is unclear is tried again by hand: the answer to a plain write beside the
//! database, or to a plain read of it, is the system's own word.

use std::fs::File;
use std::io::{self, ErrorKind as Kind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::super::StoreError;
use super::files::Paths;
use super::sums;

/// What is written on trial: more than what a file system has left in a block or an inode.
const TRIAL_BYTES: usize = 64 << 10;
/// What is read at once on trial.
const READ_BYTES: usize = 1 << 20;
/// The system's numbers for "too many open files", of the process and of the machine.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Says what an error of another database in a data directory means for an operator.
pub(crate) fn explain(file: &Path, error: &rusqlite::Error) -> StoreError {
    let dir = file.parent().unwrap_or(Path::new("."));
    Paths::new(dir).sql_error(file, error)
}

impl Paths {
    /// Says what an error of the log's database means for an operator.
    pub(super) fn log_error(&self, error: rusqlite::Error) -> StoreError {
        self.sql_error(&self.log, &error)
    }

    /// The same for the index's.
    pub(super) fn index_error(&self, error: rusqlite::Error) -> StoreError {
        self.sql_error(&self.index, &error)
    }

    /// The same for any database in the directory.
    pub(super) fn sql_error(&self, file: &Path, error: &rusqlite::Error) -> StoreError {
        let path = file.display().to_string();
        let reason = error.to_string();
        let is_row = error.sqlite_error().map(|error| error.extended_code) == Some(sums::DAMAGED);
        match error.sqlite_error_code() {
            _ if is_row || sums::is_conversion(error) => StoreError::Corrupt { path, reason },
            Some(ErrorCode::DiskFull) => self.full(),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                StoreError::NotWritable { path, reason }
            }
            Some(ErrorCode::CannotOpen) => match self.try_write() {
                Err(error) => self.io_error(file, &error),
                Ok(()) => StoreError::NotWritable { path, reason },
            },
            Some(ErrorCode::SystemIoFailure) => match self.try_write() {
                Err(error) => self.io_error(file, &error),
                Ok(()) => self.fails(&reason),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                match self.try_read(file) {
                    Err(error) => self.io_error(file, &error),
                    Ok(()) => StoreError::Corrupt { path, reason },
                }
            }
            _ => StoreError::Unavailable(format!("{path}: {reason}")),
        }
    }

    /// Says what an error of a plain file means.
    pub(super) fn io_error(&self, file: &Path, error: &io::Error) -> StoreError {
        let path = file.display().to_string();
        let reason = error.to_string();
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => return self.full(),
            Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::NotADirectory
            | Kind::AlreadyExists => return StoreError::NotWritable { path, reason },
            Kind::NotFound => return StoreError::Gone { path },
            _ => {}
        }
        match error.raw_os_error() {
            Some(EMFILE | ENFILE) => StoreError::NoDescriptors { path, reason },
            // The system's word for a disk that does not answer.
            Some(_) => self.fails(&format!("{path}: {reason}")),
            None => StoreError::Unavailable(format!("{path}: {reason}")),
        }
    }

    pub(super) fn full(&self) -> StoreError {
        StoreError::DiskFull {
            path: self.dir.display().to_string(),
        }
    }

    fn fails(&self, reason: &str) -> StoreError {
        StoreError::DiskFails {
            path: self.dir.display().to_string(),
            reason: reason.to_owned(),
        }
    }

    fn trial(&self) -> PathBuf {
        self.dir.join("trial")
    }

    /// Whether anything can be written here, as the system says it.
    pub(super) fn try_write(&self) -> io::Result<()> {
        let path = self.trial();
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&[0; TRIAL_BYTES])?;
            file.sync_all()
        });
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != Kind::NotFound => written.and(Err(error)),
            _ => written,
        }
    }

    /// Whether a file can be read from end to end, as the system says it.
    fn try_read(&self, path: &Path) -> io::Result<()> {
        let opened;
        let file = match self.held.get() {
            // SQLite's lock would go with any other descriptor of the log that is closed.
            Some(held) if path == self.log => held,
            _ => {
                opened = File::open(path)?;
                &opened
            }
        };
        let mut buffer = vec![0; READ_BYTES];
        let mut at = 0;
        loop {
            match file.read_at(&mut buffer, at)? {
                0 => return Ok(()),
                read => at += read as u64,
            }
        }
    }
}
