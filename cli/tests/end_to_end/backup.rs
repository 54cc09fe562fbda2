//! A backup of a server under load, restored elsewhere: everything acknowledged before it began is
//! there, with the same number, and life goes on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::admin::{admin, refused, says};
use crate::support::disk::SmallDisk;
use crate::support::raw::{Raw, Transport, acknowledgement, json, login_extended, message};
use crate::support::server::Server;

const SENDERS: usize = 4;
/// Messages that a sender has acknowledged before the backup begins.
const BEFORE: usize = 200;

/// Ids that were acknowledged so far.
type Acknowledged = Arc<Mutex<HashSet<String>>>;

/// Sends to `bob` until it is told to stop; a few unacknowledged at a time.
fn send_on(server: &Server, number: usize, known: &Acknowledged, stop: &AtomicBool) {
    let user = format!("sender-{number}");
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    raw.login(&user);
    let mut sent = 0;
    while !stop.load(Ordering::Acquire) {
        let ids: Vec<String> = (sent..sent + 8).map(|at| format!("{user}-{at}")).collect();
        for id in &ids {
            raw.send(&message(&user, "bob", id, &"text ".repeat(20)));
        }
        sent += ids.len();
        for _ in &ids {
            let answer = json(&raw.frame());
            assert_eq!(answer["type"], 4, "{answer}");
            let id = answer["dataContent"].as_str().unwrap().to_owned();
            known.lock().unwrap().insert(id);
        }
    }
}

/// What a user's device is shown, by sender and number; all of it acknowledged.
fn read_all(raw: &mut Raw, user: &str, end: &str) -> HashMap<String, BTreeMap<u64, String>> {
    // A message to himself comes after everything that is behind.
    raw.send(&message(user, user, end, ""));
    let mut seen: HashMap<String, BTreeMap<u64, String>> = HashMap::new();
    loop {
        let frame = json(&raw.frame());
        if frame["type"] != 2 {
            continue;
        }
        let (from, id) = (
            frame["from"].as_str().unwrap(),
            frame["id"].as_str().unwrap(),
        );
        raw.send(&acknowledgement(user, from, id));
        if id == end {
            return seen;
        }
        let of_sender = seen.entry(from.to_owned()).or_default();
        of_sender.insert(frame["seq"].as_u64().unwrap(), id.to_owned());
    }
}

fn read_as_bob(server: &Server) -> HashMap<String, BTreeMap<u64, String>> {
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    raw.send(&login_extended("bob", "one"));
    raw.frame();
    read_all(&mut raw, "bob", "the end")
}

#[test]
fn what_was_acknowledged_before_a_backup_is_in_it() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = here.path().join("data");
    let copy = here.path().join("copy");
    let server = Server::start(here.path(), &[]);
    says(&data, &["group", "set", "crew", "alice", "bob"]);
    says(
        &data,
        &["key", "create", "--scope", "read", "--name", "kept"],
    );
    let known: Acknowledged = Arc::default();
    let stop = AtomicBool::new(false);
    let before = std::thread::scope(|scope| {
        for number in 0..SENDERS {
            let (server, known, stop) = (&server, &known, &stop);
            scope.spawn(move || send_on(server, number, known, stop));
        }
        while known.lock().unwrap().len() < SENDERS * BEFORE {
            std::thread::yield_now();
        }
        let before = known.lock().unwrap().clone();
        says(&data, &["backup", copy.to_str().unwrap()]);
        let after = known.lock().unwrap().len();
        stop.store(true, Ordering::Release);
        assert!(after > before.len(), "nothing was sent during the backup");
        before
    });
    let original = read_as_bob(&server);
    server.kill();

    let restored = there.path().join("data");
    let verdict = says(&restored, &["restore", copy.to_str().unwrap()]);
    assert!(verdict.contains("numbered without gaps"), "{verdict}");
    assert!(says(&restored, &["group", "show", "crew"]).contains("alice"));
    assert!(says(&restored, &["key", "list"]).contains("kept"));
    let server = Server::start(there.path(), &[]);
    let copied = read_as_bob(&server);
    let mut found = HashSet::new();
    for (sender, messages) in &copied {
        for (seq, id) in messages {
            assert_eq!(original[sender].get(seq), Some(id), "{sender} {seq}");
            found.insert(id.clone());
        }
        let (last, count) = (messages.keys().last(), messages.len() as u64);
        assert_eq!(last, Some(&count), "{sender}: numbers have gaps");
    }
    let lost: Vec<_> = before.difference(&found).collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost: {lost:?}",
        lost.len(),
        before.len()
    );
    goes_on(&server, &copied);
}

/// Numbers go on, ids are known again, and what was acknowledged does not come twice.
fn goes_on(server: &Server, copied: &HashMap<String, BTreeMap<u64, String>>) {
    let mut bob = Raw::connect(Transport::Tcp, &server.at);
    bob.send(&login_extended("bob", "one"));
    bob.frame();
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("sender-0");
    let count = copied["sender-0"].len() as u64;
    for id in ["sender-0-0", "new"] {
        let text = if id == "new" {
            "new"
        } else {
            &"text ".repeat(20)
        };
        sender.send(&message("sender-0", "bob", id, text));
        assert_eq!(json(&sender.frame())["dataContent"], id);
    }
    let seen = read_all(&mut bob, "bob", "the end of it");
    let expected = BTreeMap::from([(count + 1, "new".to_owned())]);
    assert_eq!(seen, HashMap::from([("sender-0".to_owned(), expected)]));
}

#[test]
fn a_stopped_server_is_backed_up_too() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(dir.path(), &[]);
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    raw.login("alice");
    raw.send(&message("alice", "bob", "m1", "precious"));
    raw.frame();
    server.terminate();
    server.wait();
    let copy = dir.path().join("copy");
    says(&data, &["backup", copy.to_str().unwrap()]);
    let elsewhere = dir.path().join("elsewhere");
    let verdict = says(&elsewhere, &["restore", copy.to_str().unwrap()]);
    assert!(
        verdict.starts_with("1 messages in 1 conversations"),
        "{verdict}"
    );
}

#[test]
fn nothing_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let _server = Server::start(dir.path(), &[]);
    std::fs::create_dir(path("there")).unwrap();
    let words = refused(&data, &["backup", &path("there")]);
    assert!(words.contains("is there already"), "{words}");
    let words = refused(&data, &["backup", &path("no/such/place")]);
    assert!(words.contains("No such file"), "{words}");

    says(&data, &["backup", &path("copy")]);
    let words = refused(&data, &["restore", &path("copy")]);
    assert!(words.contains("is not empty"), "{words}");
    let words = refused(Path::new(&path("new")), &["restore", &path("there")]);
    assert!(words.contains("is no backup"), "{words}");
    assert!(!Path::new(&path("new")).exists());
    let words = refused(Path::new(&path("nothing")), &["backup", &path("other")]);
    assert!(words.contains("is no data directory"), "{words}");
    assert!(!Path::new(&path("nothing")).exists());

    let note = dir.path().join("copy/backup.json");
    std::fs::write(note, r#"{"format": 2, "tidings": "9.9", "made_ms": 0}"#).unwrap();
    let words = refused(Path::new(&path("new")), &["restore", &path("copy")]);
    assert!(words.contains("use that one"), "{words}");
}

#[test]
fn a_backup_that_has_no_room_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let _disk = match SmallDisk::mount(&small) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("skipped: a small file system cannot be mounted here: {reason}");
            return;
        }
    };
    let server = Server::start(dir.path(), &[]);
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    raw.login("alice");
    let body = "x".repeat(5000);
    for at in 0..1000 {
        raw.send(&message("alice", "bob", &format!("{at}"), &body));
        raw.frame();
    }
    let copy = small.join("copy");
    let words = refused(&data, &["backup", copy.to_str().unwrap()]);
    assert!(words.contains("the disk is full"), "{words}");
    assert_eq!(std::fs::read_dir(&small).unwrap().count(), 0);
    // The server itself is none the worse.
    raw.send(&message("alice", "bob", "after", ""));
    assert_eq!(json(&raw.frame())["type"], 4);
    says(
        &data,
        &["backup", dir.path().join("copy").to_str().unwrap()],
    );
    // Nor does a restore leave anything where there is no room.
    let output = admin(
        &small.join("data"),
        &["restore", dir.path().join("copy").to_str().unwrap()],
    );
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("the disk is full"), "{words}");
    let left = std::fs::read_dir(small.join("data")).unwrap().count();
    assert_eq!(left, 0);
}
