//! The files of a backup: a directory with the log, accounts, the visitors' key, what the desks
//! keep beside the log, and a note that says what it is. Written beside its place and moved there when it is whole and synced.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::AdminError;
use crate::auth::{ACCOUNTS_FILE, Registry, VISITORS_FILE};
use crate::desk::directory;
use crate::store::{self, Store, StoreError};

const LOG: &str = "tidings.db";
const NOTE: &str = "backup.json";
/// Files that a backup may lack: nobody needed them.
const OPTIONAL: [&str; 3] = [ACCOUNTS_FILE, VISITORS_FILE, directory::FILE];
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    format: u32,
    /// The version that wrote it.
    tidings: String,
    made_ms: i64,
}

fn fault(path: &Path, reason: impl ToString) -> AdminError {
    AdminError::Backup {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Copies everything into a new directory.
pub(super) fn write(
    store: &dyn Store,
    registry: &Registry,
    data: &Path,
    to: &Path,
    made_ms: i64,
) -> Result<Value, AdminError> {
    if !to.is_absolute() {
        return Err(fault(to, "must be an absolute path"));
    }
    if to.symlink_metadata().is_ok() {
        let reason = "is there already: a backup is never written over something";
        return Err(fault(to, reason));
    }
    let mut unfinished = OsString::from(to);
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    private(&unfinished).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => fault(
            &unfinished,
            "another backup is being written there, or was cut off: then remove it",
        ),
        _ => fault(&unfinished, error),
    })?;
    let copied = copy(store, registry, data, &unfinished, made_ms).and_then(|()| {
        fs::rename(&unfinished, to)?;
        sync_parent(to)
    });
    if let Err(error) = copied {
        let _ = fs::remove_dir_all(&unfinished);
        return Err(match error {
            Trouble::Store(StoreError::DiskFull { .. }) => fault(to, FULL),
            Trouble::Store(error) => error.into(),
            Trouble::Accounts(reason) => fault(to, reason),
            Trouble::File(error) if error.kind() == io::ErrorKind::StorageFull => fault(to, FULL),
            Trouble::File(error) => fault(to, error),
        });
    }
    let sizes = fs::read_dir(to).into_iter().flatten();
    let sizes = sizes.filter_map(|file| file.ok()?.metadata().ok());
    let bytes: u64 = sizes.map(|file| file.len()).sum();
    Ok(json!({ "backup": to, "bytes": bytes }))
}

const FULL: &str = "the disk is full: nothing is left of this backup";

/// What can go wrong while it is being written.
#[derive(Debug)]
enum Trouble {
    Store(StoreError),
    Accounts(String),
    File(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::File(error)
    }
}

fn copy(
    store: &dyn Store,
    registry: &Registry,
    data: &Path,
    into: &Path,
    made_ms: i64,
) -> Result<(), Trouble> {
    // Before the log: what it says of the log must not be ahead of the copy.
    let desk = directory::backup(data, into);
    desk.map_err(|error| Trouble::Accounts(error.to_string()))?;
    store.backup(into).map_err(Trouble::Store)?;
    let accounts = registry.backup(&into.join(ACCOUNTS_FILE));
    accounts.map_err(|error| Trouble::Accounts(error.to_string()))?;
    let key = data.join(VISITORS_FILE);
    if key.exists() {
        copy_file(&key, &into.join(VISITORS_FILE))?;
    }
    let note = Note {
        format: FORMAT,
        tidings: env!("CARGO_PKG_VERSION").to_owned(),
        made_ms,
    };
    let path = into.join(NOTE);
    fs::write(&path, format!("{}\n", json!(note)))?;
    File::open(&path)?.sync_all()?;
    Ok(File::open(into)?.sync_all()?)
}

/// Makes a data directory of a backup; the server makes the indexes anew.
pub(super) fn restore(dir: &Path, from: &Path) -> Result<(), AdminError> {
    let note = from.join(NOTE);
    let text = fs::read(&note).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => fault(from, "is no backup: there is no backup.json in it"),
        _ => fault(&note, error),
    })?;
    let known: Note = serde_json::from_slice(&text)
        .map_err(|error| fault(&note, format!("is not what a backup writes: {error}")))?;
    if known.format > FORMAT {
        let reason = format!("was made by tidings {}: use that one", known.tidings);
        return Err(fault(from, reason));
    }
    if !from.join(LOG).is_file() {
        return Err(fault(from, "is no backup: there is no tidings.db in it"));
    }
    let is_empty = match fs::read_dir(dir) {
        Ok(mut files) => files.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(fault(dir, error)),
    };
    if !is_empty {
        let reason = "is not empty: restore into a new directory, and name that to the server";
        return Err(fault(dir, reason));
    }
    let lock = store::lock_directory(dir)?;
    let put = || -> io::Result<()> {
        for name in OPTIONAL {
            if from.join(name).exists() {
                copy_file(&from.join(name), &dir.join(name))?;
            }
        }
        // Last, and under its name only when it is whole: without it this is no data directory.
        let unfinished = dir.join("tidings.db.unfinished");
        copy_file(&from.join(LOG), &unfinished)?;
        fs::rename(&unfinished, dir.join(LOG))?;
        File::open(dir)?.sync_all()
    };
    put().map_err(|error| {
        for file in fs::read_dir(dir).into_iter().flatten().flatten() {
            let _ = fs::remove_file(file.path());
        }
        match error.kind() {
            io::ErrorKind::StorageFull => fault(dir, "the disk is full: nothing was restored"),
            _ => fault(dir, error),
        }
    })?;
    drop(lock);
    Ok(())
}

/// A copy that only its owner can read, synced.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    file.sync_all()
}

/// A directory that only its owner can look into.
fn private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)
}

fn sync_parent(path: &Path) -> Result<(), Trouble> {
    match path.parent() {
        Some(parent) => Ok(File::open(parent)?.sync_all()?),
        None => Ok(()),
    }
}
