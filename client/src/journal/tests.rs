//! The outbox file: what comes back, whatever was torn, cut or locked.

use std::fs;
use std::path::Path;

use super::file::JournalFile;
use crate::error::OutboxError;
use crate::machine::{Outgoing, Record, Restored, Seen};

fn queued(order: u64, text: &str) -> Record {
    let message = Outgoing {
        id: format!("id{order}").as_str().into(),
        to: "bob".into(),
        typeu: 5,
        qos: true,
        text: text.to_owned(),
    };
    Record::Queued { order, message }
}

fn seen(id: &str) -> Record {
    Record::Seen(Seen {
        from: "bob".into(),
        to: "alice".into(),
        id: id.into(),
    })
}

fn open(path: &Path) -> Result<(JournalFile, Restored), OutboxError> {
    JournalFile::open(path.to_owned(), "alice", 3)
}

fn append(file: &mut JournalFile, records: &[Record]) {
    file.append(records.iter()).unwrap();
}

fn texts(restored: &Restored) -> Vec<&str> {
    let queued = restored.queued.iter();
    queued.map(|(_, message)| &*message.text).collect()
}

#[test]
fn what_was_written_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o");
    let (mut file, restored) = open(&path).unwrap();
    assert!(restored.queued.is_empty());
    append(&mut file, &[queued(1, "one"), queued(2, "two\n\"2\"")]);
    append(
        &mut file,
        &[Record::Done { order: 1 }, seen("a"), seen("b")],
    );
    append(&mut file, &[seen("c"), seen("d"), queued(3, "three")]);
    drop(file);
    let (_file, restored) = open(&path).unwrap();
    assert_eq!(texts(&restored), ["two\n\"2\"", "three"]);
    assert_eq!(restored.queued.first().map(|(order, _)| *order), Some(2));
    let ids: Vec<_> = restored.seen.iter().map(|seen| &*seen.id).collect();
    assert_eq!(ids, ["b", "c", "d"], "the newest three");
}

#[test]
fn a_torn_end_costs_only_what_was_never_promised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o");
    let (mut file, _) = open(&path).unwrap();
    append(&mut file, &[queued(1, "one")]);
    let whole = fs::metadata(&path).unwrap().len();
    append(&mut file, &[queued(2, "two")]);
    drop(file);
    let bytes = fs::read(&path).unwrap();
    for length in whole..bytes.len() as u64 {
        fs::write(&path, &bytes[..length as usize]).unwrap();
        let (mut file, restored) = open(&path).unwrap();
        assert_eq!(texts(&restored), ["one"], "{length}");
        append(&mut file, &[queued(2, "again")]);
        drop(file);
        let (_file, restored) = open(&path).unwrap();
        assert_eq!(texts(&restored), ["one", "again"]);
    }
    // The length reached the disk and the content did not.
    let mut holed = bytes.clone();
    holed[whole as usize + 20..].fill(0);
    fs::write(&path, &holed).unwrap();
    assert_eq!(texts(&open(&path).unwrap().1), ["one"]);
    holed[whole as usize..].fill(0);
    fs::write(&path, &holed).unwrap();
    assert_eq!(texts(&open(&path).unwrap().1), ["one"]);
}

#[test]
fn damage_in_the_middle_is_told_and_nothing_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o");
    let (mut file, _) = open(&path).unwrap();
    append(&mut file, &[queued(1, "one")]);
    let at = fs::metadata(&path).unwrap().len() as usize - 3;
    append(&mut file, &[queued(2, "two")]);
    drop(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(open(&path), Err(OutboxError::Damaged { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    fs::write(&path, "something else").unwrap();
    assert!(matches!(
        open(&path),
        Err(OutboxError::Damaged { offset: 0, .. })
    ));
}

#[test]
fn one_client_and_one_user_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o");
    let (file, _) = open(&path).unwrap();
    assert!(matches!(open(&path), Err(OutboxError::Locked(_))));
    drop(file);
    let foreign = JournalFile::open(path.clone(), "bob", 3);
    assert!(matches!(foreign, Err(OutboxError::Foreign { owner, .. }) if owner == "alice"));
}

#[test]
fn what_is_of_no_use_is_given_back_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o");
    let (mut file, _) = open(&path).unwrap();
    append(&mut file, &[queued(1, "stays")]);
    let long = "x".repeat(100_000);
    for order in 2..100 {
        append(&mut file, &[queued(order, &long), Record::Done { order }]);
    }
    assert!(fs::metadata(&path).unwrap().len() < 2_000_000);
    append(&mut file, &[queued(100, "last")]);
    assert!(matches!(open(&path), Err(OutboxError::Locked(_))));
    drop(file);
    assert_eq!(texts(&open(&path).unwrap().1), ["stays", "last"]);
}
