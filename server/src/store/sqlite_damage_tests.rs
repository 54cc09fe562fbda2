//! What a disk does by itself: bits that flip, files that end early, rows that nobody wrote.

use rusqlite::Connection;
use tempfile::TempDir;

use tidings_core::custody::Refusal;

use super::tests::copy_files;
use super::*;
use crate::store::contract::{self, commit, draft, send};

fn synced() -> SqliteOptions {
    SqliteOptions {
        durability: Durability::Disk,
        tail_bytes_max: 0,
        index_batch: 1,
        background: false,
        ..SqliteOptions::default()
    }
}

fn accepting() -> SqliteOptions {
    SqliteOptions {
        accept_loss: true,
        ..synced()
    }
}

const SENT: usize = 40;

/// The files of a store that was killed after so many messages of which the last were not yet noted
/// in `head`.
fn killed(not_noted: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), synced()).unwrap();
    for at in 1..=SENT {
        send(&store, "a", "b", &at.to_string());
        if at == SENT - not_noted {
            store.flush().unwrap();
        }
    }
    let copy = tempfile::tempdir().unwrap();
    copy_files(dir.path(), copy.path());
    copy
}

fn flip(path: &Path, byte: usize, bit: u8) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    std::fs::write(path, bytes).unwrap();
}

fn stored(store: &SqliteStore) -> usize {
    let page = store.history("a\nb", Page::After(0, 2 * SENT)).unwrap();
    page.len()
}

#[test]
fn d3_a_flipped_bit_in_the_write_ahead_log_is_harmless_or_announced() {
    let files = killed(0);
    let length = std::fs::metadata(files.path().join("tidings.db-wal"))
        .unwrap()
        .len() as usize;
    let (mut announced, mut harmless) = (0, 0);
    for at in 0..150 {
        let dir = tempfile::tempdir().unwrap();
        copy_files(files.path(), dir.path());
        let byte = at * (length / 150) + at % 40;
        flip(&dir.path().join("tidings.db-wal"), byte, (at % 8) as u8);
        match SqliteStore::open(dir.path(), synced()) {
            Ok(store) => {
                assert_eq!(stored(&store), SENT, "byte {byte} of {length}");
                harmless += 1;
                continue;
            }
            Err(StoreError::Loss { path, .. }) => assert!(path.contains("tidings.db")),
            Err(other) => panic!("byte {byte}: {other}"),
        }
        announced += 1;
        // Nothing was changed by looking; and it is the operator who decides.
        let again = SqliteStore::open(dir.path(), synced()).unwrap_err();
        assert!(again.to_string().contains("--accept-loss"), "{again}");
        let store = SqliteStore::open(dir.path(), accepting()).unwrap();
        let left = stored(&store) as u64;
        assert_eq!(send(&store, "a", "b", "new").seq, left + 1);
        drop(store);
        SqliteStore::open(dir.path(), synced()).unwrap();
    }
    assert!(
        announced >= 100,
        "{announced} announced, {harmless} harmless"
    );
}

/// Nothing of this was noted in `head`: the log alone shows it.
#[test]
fn d3_commits_behind_a_break_are_noticed_at_once() {
    let files = killed(SENT - 1);
    let path = files.path().join("tidings.db-wal");
    let length = std::fs::metadata(&path).unwrap().len() as usize;
    flip(&path, length / 2, 3);
    let failed = SqliteStore::open(files.path(), synced()).unwrap_err();
    assert!(matches!(failed, StoreError::Loss { .. }), "{failed}");
    assert!(failed.to_string().contains("at byte"), "{failed}");
}

/// A crash cuts the last commit off wherever it likes: it was acknowledged to nobody.
#[test]
fn d3_a_last_commit_that_is_cut_off_is_no_damage() {
    let files = killed(1);
    let bytes = std::fs::read(files.path().join("tidings.db-wal")).unwrap();
    for cut in [1, 100, 4096, 4120] {
        for zeros in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            copy_files(files.path(), dir.path());
            let mut torn = bytes[..bytes.len() - cut].to_vec();
            if zeros {
                torn.resize(bytes.len(), 0);
            }
            std::fs::write(dir.path().join("tidings.db-wal"), torn).unwrap();
            let store = SqliteStore::open(dir.path(), synced()).unwrap();
            assert!(stored(&store) >= SENT - 1);
        }
    }
}

#[test]
fn d3_a_log_that_is_shorter_or_another_is_noticed() {
    let other = killed(0);
    for (case, words) in [
        (
            "empty",
            "ends at position 0, but 40 was reached: 40 messages",
        ),
        (
            "shorter",
            "ends at position 30, but 40 was reached: 10 messages",
        ),
        ("another", "stands another message"),
    ] {
        let files = killed(0);
        drop(SqliteStore::open(files.path(), synced()).unwrap());
        let log = files.path().join("tidings.db");
        match case {
            "empty" => std::fs::remove_file(&log).unwrap(),
            "shorter" => {
                let db = Connection::open(&log).unwrap();
                db.execute("DELETE FROM log WHERE position > 30", [])
                    .unwrap();
            }
            _ => {
                let store = SqliteStore::open(other.path(), synced()).unwrap();
                drop(store);
                let db = Connection::open(other.path().join("tidings.db")).unwrap();
                db.execute("DELETE FROM log WHERE position = 40", [])
                    .unwrap();
                drop(db);
                let store = SqliteStore::open(other.path(), accepting()).unwrap();
                send(&store, "c", "d", "x");
                drop(store);
                std::fs::copy(other.path().join("tidings.db"), &log).unwrap();
            }
        }
        let failed = SqliteStore::open(files.path(), synced()).unwrap_err();
        assert!(failed.to_string().contains(words), "{case}: {failed}");
        drop(SqliteStore::open(files.path(), accepting()).unwrap());
        drop(SqliteStore::open(files.path(), synced()).unwrap());
    }
}

/// Groups, users and cursors: a store with one of each that was stopped.
fn stopped() -> (TempDir, DeviceId) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), synced()).unwrap();
    let login = contract::login_at("b", "phone", "phone", 0, 5);
    let Verdict::Login(grant) = commit(&store, &[login]).remove(0) else {
        panic!("no login");
    };
    store.set_group("#g", &["a".into(), "b".into()]).unwrap();
    let mut conversation = None;
    for at in 0..10 {
        conversation = Some(send(&store, "a", "b", &at.to_string()).conversation);
    }
    store.acknowledge(&mut vec![Cursor {
        device: grant.device,
        conversation: conversation.unwrap(),
        acked: 1,
        sparse: vec![3],
        unanswered: vec![],
    }]);
    store.flush().unwrap();
    drop(store);
    (dir, grant.device)
}

fn damage(dir: &TempDir, sql: &str) {
    let db = Connection::open(dir.path().join("tidings.db")).unwrap();
    db.execute_batch(sql).unwrap();
}

#[test]
fn d3_damaged_users_and_groups_are_named_at_the_start() {
    for (sql, words) in [
        (
            "UPDATE groups SET joined = 9 WHERE member = 'a'",
            "member a of #g",
        ),
        (
            "UPDATE groups SET member = 'c' WHERE member = 'a'",
            "member c of #g",
        ),
        (
            "UPDATE groups SET name = '#h' WHERE member = 'a'",
            "member a of #h",
        ),
        (
            "UPDATE users SET record = replace(record, '5', '6')",
            "user b",
        ),
        ("UPDATE users SET name = 'c'", "user c"),
        (
            "UPDATE meta SET value = value - 1 WHERE name = 'changes'",
            "1 changes of logins",
        ),
    ] {
        let (dir, _) = stopped();
        damage(&dir, sql);
        let failed = SqliteStore::open(dir.path(), synced()).unwrap_err();
        assert!(failed.to_string().contains(words), "{failed}");
        let store = SqliteStore::open(dir.path(), accepting()).unwrap();
        let told = store.check().unwrap().told;
        assert!(
            words.contains("changes") || told[0].contains(words),
            "{told:?}"
        );
        // To set it again mends it.
        if sql.contains("groups SET joined") {
            let verdicts = commit(&store, &[draft("a", "#g", "x"), draft("a", "b", "x")]);
            assert_eq!(verdicts[0], Verdict::Refused(Refusal::Damaged));
            assert!(matches!(verdicts[1], Verdict::New(_)));
            store.set_group("#g", &["a".into(), "b".into()]).unwrap();
            assert!(store.check().unwrap().told.is_empty());
            send(&store, "a", "#g", "x");
        }
    }
}

#[test]
fn d3_a_cursor_that_damage_moved_is_named_and_delivers_again() {
    for sql in [
        "UPDATE cursors SET acked = 9",
        "UPDATE cursors SET sparse = NULL",
        "UPDATE cursors SET sparse = '[3,4,5,6,7,8,9,10]'",
        "UPDATE cursors SET checksum = 0",
    ] {
        let (dir, device) = stopped();
        damage(&dir, sql);
        let store = SqliteStore::open(dir.path(), synced()).unwrap();
        let told = store.check().unwrap().told;
        assert!(told[0].contains("cursor of device"), "{told:?}");
        let behind = store.backlog("b", device).unwrap().behind;
        assert_eq!(behind[0].cursor.acked, 0);
        assert!(behind[0].cursor.sparse.is_empty());
    }
}

#[test]
fn d9_a_damaged_row_costs_its_own_conversation_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), synced()).unwrap();
    for user in ["a", "c"] {
        for at in 0..10 {
            send(&store, user, "b", &at.to_string());
        }
    }
    let login = contract::login_at("b", "phone", "phone", 0, 5);
    commit(&store, &[login]);
    store.settle().unwrap();
    drop(store);
    // A text in the middle, and the last message of another conversation.
    damage(
        &dir,
        "UPDATE log SET body = 'forged' WHERE position IN (3, 20)",
    );
    damage(&dir, "UPDATE users SET record = '{}' WHERE name = 'b'");
    let store = SqliteStore::open(dir.path(), accepting()).unwrap();
    let batch = [
        draft("x", "y", "1"),
        draft("a", "b", "2"),
        draft("a", "b", "new"),
        draft("c", "b", "new"),
        contract::login_at("b", "phone", "phone", 0, 6),
        contract::login_at("a", "phone", "phone", 0, 6),
        draft("x", "y", "2"),
    ];
    let damaged = Verdict::Refused(Refusal::Damaged);
    for repeated in [false, true] {
        let verdicts = commit(&store, &batch);
        let told: Vec<bool> = verdicts.iter().map(|verdict| *verdict == damaged).collect();
        assert_eq!(told, [false, true, false, true, true, false, false]);
        let is_new = matches!(&verdicts[6], Verdict::New(message) if message.seq == 2);
        assert_eq!(is_new, !repeated);
    }
    let told = store.check().unwrap().told;
    for words in ["position 3 ", "position 20 ", "user b"] {
        assert!(told.iter().any(|told| told.contains(words)), "{told:?}");
    }
}

/// What the version before wrote gets its checksums, once.
#[test]
fn d3_a_log_without_checksums_gets_them() {
    let (dir, device) = stopped();
    damage(
        &dir,
        "DROP INDEX memberships;
         ALTER TABLE users DROP COLUMN checksum;
         ALTER TABLE groups DROP COLUMN checksum;
         ALTER TABLE cursors DROP COLUMN checksum;
         CREATE INDEX memberships ON groups (member, name, joined);
         DELETE FROM meta WHERE name = 'changes';
         PRAGMA user_version = 1;",
    );
    std::fs::remove_file(dir.path().join("head")).unwrap();
    for _ in 0..2 {
        let store = SqliteStore::open(dir.path(), synced()).unwrap();
        let checked = store.check().unwrap();
        assert_eq!((checked.messages, checked.faults), (10, 0), "{checked:?}");
        assert_eq!(
            store.backlog("b", device).unwrap().behind[0].cursor.acked,
            1
        );
        assert_eq!(store.group("#g").unwrap().unwrap().len(), 2);
    }
}

/// Each says what an operator has to do, whatever SQLite makes of it.
#[test]
fn d4_d10_what_the_system_says_is_told_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    for (number, words) in [
        (rustix::io::Errno::NOSPC, "is full: free some space"),
        (rustix::io::Errno::DQUOT, "is full: free some space"),
        (
            rustix::io::Errno::ROFS,
            "check its owner, its permissions and the mount",
        ),
        (
            rustix::io::Errno::MFILE,
            "raise the limit of open files (LimitNOFILE=",
        ),
        (rustix::io::Errno::IO, "look into the system's log (dmesg)"),
        (rustix::io::Errno::NOENT, "put it back as it was"),
    ] {
        let error = std::io::Error::from_raw_os_error(number.raw_os_error());
        let told = paths.io_error(&paths.keys, &error).to_string();
        assert!(told.contains(words), "{told}");
    }
    let sqlite = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    // A write beside the database succeeds, so it is this file or this disk.
    let told = paths
        .log_error(sqlite(rusqlite::ffi::SQLITE_IOERR_FSYNC))
        .to_string();
    assert!(
        told.contains("dmesg") && !told.contains("damaged"),
        "{told}"
    );
    // There is no such file, whatever SQLite calls that.
    let told = paths
        .log_error(sqlite(rusqlite::ffi::SQLITE_CORRUPT))
        .to_string();
    assert!(!told.contains("damaged"), "{told}");
}
