use std::path::PathBuf;

use super::*;
use crate::store::contract::{self, Fixture, commit, draft, send};
use tempfile::TempDir;
use writer::Fault;

/// A store in a directory of its own.
struct OnDisk {
    dir: TempDir,
    options: SqliteOptions,
    /// Throw the indexes away at each reopening.
    forget_indexes: bool,
    /// Copy the files while the store is open, as a crash would leave them.
    crash: bool,
    store: Option<SqliteStore>,
}

fn by_hand() -> SqliteOptions {
    SqliteOptions {
        durability: Durability::Os,
        index_batch: 7,
        tail_bytes_max: 3_000,
        background: false,
        ..SqliteOptions::default()
    }
}

impl OnDisk {
    fn new(options: SqliteOptions) -> OnDisk {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(SqliteStore::open(dir.path(), options).unwrap());
        OnDisk {
            dir,
            options,
            forget_indexes: false,
            crash: false,
            store,
        }
    }

    fn sqlite(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn fail_next(&self, fault: Fault) {
        self.sqlite().inner.writer.lock().fault = Some(fault);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Fixture for OnDisk {
    fn store(&self) -> &dyn Store {
        self.sqlite()
    }

    fn reopen(&mut self) -> bool {
        if self.crash {
            // What only memory has is allowed to be lost; the contract's words for it are `flush`.
            self.sqlite().inner.write_cursors().unwrap();
            let copied = tempfile::tempdir().unwrap();
            copy(self.dir.path(), copied.path());
            self.store = None;
            self.dir = copied;
        }
        self.store = None;
        if self.forget_indexes {
            let path = |name: &str| -> PathBuf { self.dir.path().join(name) };
            std::fs::remove_file(path("index.db")).unwrap();
            std::fs::remove_dir_all(path("keys")).unwrap();
        }
        self.store = Some(SqliteStore::open(self.dir.path(), self.options).unwrap());
        true
    }

    fn settle(&self) {
        self.sqlite().settle().unwrap();
    }
}

mod by_default {
    use super::*;
    crate::store_contract!(OnDisk::new(SqliteOptions {
        durability: Durability::Os,
        ..SqliteOptions::default()
    }));
}

mod with_tiny_indexes {
    use super::*;
    crate::store_contract!(OnDisk::new(by_hand()));
}

mod with_threads_at_work {
    use super::*;
    crate::store_contract!(OnDisk::new(SqliteOptions {
        background: true,
        checkpoint_bytes: 20_000,
        wal_bytes_max: 40_000,
        ..by_hand()
    }));
}

mod without_indexes_at_start {
    use super::*;
    crate::store_contract!({
        let mut fixture = OnDisk::new(by_hand());
        fixture.forget_indexes = true;
        fixture
    });
}

mod after_crashes {
    use super::*;
    crate::store_contract!({
        let mut fixture = OnDisk::new(by_hand());
        fixture.crash = true;
        fixture
    });
}
