//! A copy of the log while it is being written. Indexes are not copied: they are made again.

use std::path::Path;

use rusqlite::ErrorCode;

use super::super::StoreError;
use super::Inner;
use super::files::{self, Paths};

impl Inner {
    /// See [`super::super::Store::backup`]. One read transaction: commits go on, but what the
    /// database's log takes meanwhile stays until it ends.
    pub(super) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        // What devices have acknowledged is no message, but nobody likes to read everything again.
        self.write_cursors()?;
        let copy = Paths::new(to);
        let connection = files::open_checkpointer(&self.paths, self.options.durability)?;
        let copied = connection.execute("VACUUM INTO ?1", [copy.log.to_string_lossy()]);
        copied.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                self.paths.log_error(error)
            }
            _ => copy.log_error(error),
        })?;
        // SQLite leaves that to whoever asked.
        let synced = std::fs::File::open(&copy.log).and_then(|file| file.sync_all());
        synced.map_err(|error| copy.io_error(&copy.log, &error))
    }
}
