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

pub(in crate::store) fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &target);
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
            copy_files(self.dir.path(), copied.path());
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

#[test]
fn a_commit_whose_answer_was_lost_is_recognised() {
    let store = OnDisk::new(by_hand());
    send(store.store(), "a", "b", "0");
    let batch = [
        draft("a", "b", "1"),
        contract::login_at("b", "phone", "phone", 0, 5),
        draft("c", "d", "1"),
    ];
    store.fail_next(Fault::AfterCommit);
    let mut verdicts = vec![];
    let lost = store.store().commit(&batch, &mut verdicts).unwrap_err();
    assert!(lost.is_outcome_unknown(), "{lost}");
    assert!(verdicts.is_empty());
    let verdicts = commit(store.store(), &batch);
    assert!(matches!(&verdicts[0], Verdict::Duplicate(m) if m.seq == 2));
    assert!(matches!(&verdicts[2], Verdict::Duplicate(m) if m.seq == 1));
    assert_eq!(send(store.store(), "b", "a", "2").seq, 3);
    let page = store.store().history("a\nb", Page::After(0, 10)).unwrap();
    assert_eq!(contract::ids(&page), ["0", "1", "2"]);
}

#[test]
fn a_failure_in_mid_batch_leaves_nothing() {
    let mut store = OnDisk::new(by_hand());
    send(store.store(), "a", "b", "0");
    for _ in 0..2 {
        store.fail_next(Fault::InMidBatch);
        let mut verdicts = vec![];
        let batch = [draft("a", "b", "1"), draft("new", "pair", "1")];
        let failed = store.store().commit(&batch, &mut verdicts).unwrap_err();
        assert!(!failed.is_outcome_unknown(), "{failed}");
        assert!(verdicts.is_empty());
        assert_eq!(
            store
                .store()
                .history("a\nb", Page::After(0, 10))
                .unwrap()
                .len(),
            1
        );
        assert!(
            store
                .store()
                .history("new\npair", Page::After(0, 10))
                .unwrap()
                .is_empty()
        );
        store.reopen();
        assert_eq!(
            store
                .store()
                .history("a\nb", Page::After(0, 10))
                .unwrap()
                .len(),
            1
        );
    }
    assert_eq!(send(store.store(), "a", "b", "1").seq, 2);
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let store = OnDisk::new(by_hand());
    send(store.store(), "a", "b", "0");
    let limit = |pages: &str| {
        let writer = store.sqlite().inner.writer.lock();
        let sql = format!("PRAGMA max_page_count = {pages}");
        writer.with_connection(|connection| connection.query_row(&sql, [], |_| Ok(())).unwrap());
    };
    limit("1");
    let big = "x".repeat(5000);
    let batch: Vec<_> = (0..100)
        .map(|at| contract::draft_at("a", "b", &format!("big{at}"), &big, 1))
        .collect();
    for _ in 0..2 {
        let failed = store.store().commit(&batch, &mut vec![]).unwrap_err();
        assert!(matches!(failed, StoreError::DiskFull { .. }), "{failed}");
        assert!(
            failed
                .to_string()
                .contains(store.dir.path().to_str().unwrap())
        );
    }
    limit("1000000");
    let verdicts = commit(store.store(), &batch);
    assert!(matches!(&verdicts[99], Verdict::New(message) if message.seq == 101));
}

/// A log that lies where it lay goes on; nothing was written meanwhile into what has no name.
#[test]
fn d6_a_log_that_is_put_back_goes_on() {
    let store = OnDisk::new(by_hand());
    send(store.store(), "a", "b", "0");
    let (place, aside) = (
        store.dir.path().join("tidings.db"),
        store.dir.path().join("x"),
    );
    std::fs::rename(&place, &aside).unwrap();
    // It is looked for now and then, not with each commit.
    let begun = std::time::Instant::now();
    let mut stored = 1;
    let failed = loop {
        let batch = [draft("a", "b", &format!("{stored}"))];
        match store.store().commit(&batch, &mut vec![]) {
            Ok(()) => stored += 1,
            Err(failed) => break failed,
        }
        assert!(begun.elapsed().as_secs() < 60, "it is not noticed");
    };
    assert!(matches!(failed, StoreError::Gone { .. }), "{failed}");
    assert!(!failed.is_outcome_unknown());
    let idle = store.store().flush().unwrap_err();
    assert!(matches!(idle, StoreError::Gone { .. }), "{idle}");
    std::fs::rename(&aside, &place).unwrap();
    store.store().flush().unwrap();
    assert_eq!(send(store.store(), "a", "b", "last").seq, stored + 1);
}

#[test]
fn one_process_at_a_time() {
    let store = OnDisk::new(by_hand());
    let second = SqliteStore::open(store.dir.path(), by_hand()).unwrap_err();
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
}

#[test]
fn what_is_not_a_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let failed = SqliteStore::open(&file, by_hand()).unwrap_err();
    assert!(matches!(failed, StoreError::NotWritable { .. }), "{failed}");
    assert!(failed.to_string().contains("file"), "{failed}");
}

#[test]
fn files_of_others_and_of_the_future_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("tidings.db");
    std::fs::write(
        &log,
        "this is not a database, it only has its name".repeat(100),
    )
    .unwrap();
    let failed = SqliteStore::open(dir.path(), by_hand()).unwrap_err();
    assert!(matches!(failed, StoreError::Corrupt { .. }), "{failed}");
    std::fs::remove_file(&log).unwrap();
    let other = rusqlite::Connection::open(&log).unwrap();
    other.execute_batch("CREATE TABLE x (y)").unwrap();
    let failed = SqliteStore::open(dir.path(), by_hand()).unwrap_err();
    assert!(matches!(failed, StoreError::Corrupt { .. }), "{failed}");
    drop(other);
    std::fs::remove_file(&log).unwrap();
    drop(SqliteStore::open(dir.path(), by_hand()).unwrap());
    let newer = rusqlite::Connection::open(&log).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    let failed = SqliteStore::open(dir.path(), by_hand()).unwrap_err();
    assert!(failed.to_string().contains("version 99"), "{failed}");
}

#[test]
fn a_damaged_row_is_noticed_and_named() {
    let mut store = OnDisk::new(SqliteOptions {
        tail_bytes_max: 0,
        index_batch: 1,
        ..by_hand()
    });
    for at in 0..50 {
        send(store.store(), "a", "b", &format!("{at}"));
    }
    store.store = None;
    let log = rusqlite::Connection::open(store.dir.path().join("tidings.db")).unwrap();
    log.execute("UPDATE log SET body = 'forged' WHERE position = 20", [])
        .unwrap();
    drop(log);
    store.store = Some(SqliteStore::open(store.dir.path(), store.options).unwrap());
    let failed = store
        .store()
        .history("a\nb", Page::After(0, 40))
        .unwrap_err();
    assert!(matches!(failed, StoreError::Corrupt { .. }), "{failed}");
    assert!(failed.to_string().contains("position 20"), "{failed}");
    assert_eq!(
        store
            .store()
            .history("a\nb", Page::After(30, 5))
            .unwrap()
            .len(),
        5
    );
}

#[test]
fn a_damaged_index_is_made_again() {
    let mut store = OnDisk::new(by_hand());
    for at in 0..50 {
        send(store.store(), "a", &format!("b{at}"), "id");
        store.settle();
    }
    store.store = None;
    std::fs::write(store.dir.path().join("index.db"), "rubbish".repeat(1000)).unwrap();
    for entry in std::fs::read_dir(store.dir.path().join("keys")).unwrap() {
        std::fs::write(entry.unwrap().path(), "rubbish").unwrap();
    }
    store.store = Some(SqliteStore::open(store.dir.path(), store.options).unwrap());
    for at in 0..50 {
        let verdicts = commit(store.store(), &[draft("a", &format!("b{at}"), "id")]);
        assert!(matches!(&verdicts[0], Verdict::Duplicate(m) if m.seq == 1));
    }
    assert_eq!(
        store
            .store()
            .conversations("a", u64::MAX, 100)
            .unwrap()
            .len(),
        50
    );
}

#[test]
fn indexes_ahead_of_the_log_are_made_again() {
    let mut store = OnDisk::new(by_hand());
    for at in 0..20 {
        send(store.store(), "a", "b", &format!("{at}"));
    }
    store.settle();
    store.store = None;
    // A power cut took the end of a log that was not synced.
    let log = rusqlite::Connection::open(store.dir.path().join("tidings.db")).unwrap();
    log.execute("DELETE FROM log WHERE position > 10", [])
        .unwrap();
    drop(log);
    store.options.accept_loss = true;
    store.store = Some(SqliteStore::open(store.dir.path(), store.options).unwrap());
    assert_eq!(send(store.store(), "a", "c", "new").position, 11);
    assert_eq!(send(store.store(), "a", "b", "15").seq, 11);
}

#[test]
fn a_login_that_was_issued_writes_nothing() {
    let store = OnDisk::new(by_hand());
    let grant = contract::login(store.store(), "bob", "phone");
    let again = contract::login_at("bob", "phone", "default", grant.first_login_time, 2_000);
    // A transaction would fail.
    store.fail_next(Fault::InMidBatch);
    assert_eq!(
        commit(store.store(), &[again])[0],
        Verdict::Login(contract::granted(Verdict::Login(
            tidings_core::custody::Grant {
                issued_before: true,
                ..grant
            }
        )))
    );
}

#[test]
fn a_conversation_without_messages_is_known_after_the_indexes_were_lost() {
    let mut store = OnDisk::new(SqliteOptions {
        index_batch: 1000,
        ..by_hand()
    });
    for at in 0..5 {
        send(store.store(), "a", "b", &format!("{at}"));
    }
    while store.store().retain(i64::MAX, i64::MAX).unwrap().more {}
    store.forget_indexes = true;
    store.reopen();
    store.forget_indexes = false;
    for at in 0..5000 {
        send(store.store(), "c", "d", &format!("{at}"));
    }
    store.settle();
    store.reopen();
    assert_eq!(send(store.store(), "a", "b", "5").seq, 6);
}

/// With a small file system: `TIDINGS_SMALL_DISK=/mnt/small cargo test -- --ignored really_full`.
#[test]
#[ignore = "needs a small file system of its own"]
fn a_disk_that_is_really_full() {
    let base = std::env::var("TIDINGS_SMALL_DISK").unwrap();
    let dir = tempfile::tempdir_in(&base).unwrap();
    let ballast = dir.path().join("ballast");
    let options = SqliteOptions {
        durability: Durability::Disk,
        background: true,
        ..by_hand()
    };
    let store = SqliteStore::open(dir.path(), options).unwrap();
    std::fs::write(&ballast, vec![1u8; 1 << 20]).unwrap();
    let text = "x".repeat(1000);
    let message = |at: usize| contract::draft_at("a", "b", &format!("{at}"), &text, 1);
    let mut stored = 0;
    let failed = loop {
        match store.commit(&[message(stored)], &mut vec![]) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, StoreError::DiskFull { .. }), "{failed}");
    for _ in 0..5 {
        store.commit(&[message(stored)], &mut vec![]).unwrap_err();
    }
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(
        contract::stored(commit(&store, &[message(stored)]).remove(0)).seq,
        stored as u64 + 1
    );
    drop(store);
    let store = SqliteStore::open(dir.path(), options).unwrap();
    for at in 0..=stored {
        let verdicts = commit(&store, &[message(at)]);
        assert!(matches!(verdicts[0], Verdict::Duplicate(_)), "{at}");
    }
}
