//! Disks that are full, files that are taken away: what senders and operators are told.

use std::io::Write as _;
use std::path::Path;

use crate::support::admin::says;
use crate::support::disk::SmallDisk;
use crate::support::http::get;
use crate::support::raw::{Raw, Transport, acknowledgement, json, message};
use crate::support::server::{Server, serve};
use crate::support::until;

/// Sends one message; `None` if it was acknowledged, else the code of the refusal.
fn send(sender: &mut Raw, id: &str, body: &str) -> Option<i64> {
    Some(refusal(sender, id, body)?["errorCode"].as_i64().unwrap())
}

/// Sends one message; `None` if it was acknowledged, else the refusal.
fn refusal(sender: &mut Raw, id: &str, body: &str) -> Option<serde_json::Value> {
    sender.send(&message("alice", "bob", id, body));
    let answer = json(&sender.frame());
    if answer["type"] == 4 {
        assert_eq!(answer["dataContent"], id);
        return None;
    }
    Some(json(answer["dataContent"].as_str().unwrap()))
}

fn readiness(server: &Server) -> u16 {
    get(server.at.http.unwrap(), "/readyz", "").0
}

/// Writes until nothing more fits.
fn fill(ballast: &Path) {
    let mut file = std::fs::File::create(ballast).unwrap();
    let mut piece = 1 << 20;
    while piece > 0 {
        match file.write_all(&vec![1; piece]) {
            Ok(()) => {}
            Err(_) => piece /= 2,
        }
    }
}

/// Without a single byte left a server refuses and says why, starts again after a SIGKILL, lets
/// messages be read, and goes on when there is room.
#[test]
fn d4_a_disk_without_a_byte_left_is_named_started_from_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let _disk = match SmallDisk::of_mebibytes(&data, 64) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("skipped: a small file system cannot be mounted here: {reason}");
            return;
        }
    };
    let server = Server::start(dir.path(), &[]);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("alice");
    let mut receiver = Raw::connect(Transport::Tcp, &server.at);
    receiver.login("bob");
    let body = "x".repeat(5000);
    assert_eq!(send(&mut sender, "m0", &body), None);
    assert_eq!(json(&receiver.frame())["fp"], "m0");
    drop(receiver);
    fill(&data.join("ballast"));
    // Whatever there was room for in the files as they are is acknowledged, the rest refused.
    let mut acknowledged = vec!["m0".to_owned()];
    let refused = loop {
        let id = format!("m{}", acknowledged.len());
        match send(&mut sender, &id, &body) {
            None => acknowledged.push(id),
            Some(code) => break code,
        }
        assert!(acknowledged.len() < 20_000, "the disk is not full");
    };
    assert_eq!(refused, 315);
    assert!(server.log_text().contains("is full: free some space"));
    server.kill();
    fill(&data.join("more ballast"));

    let server = Server::start(dir.path(), &[]);
    let mut receiver = Raw::connect(Transport::Tcp, &server.at);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    assert!(server.log_text().contains("the reserve is used to start"));
    for ballast in ["ballast", "more ballast"] {
        std::fs::remove_file(data.join(ballast)).unwrap();
    }
    until("there is room again", || readiness(&server) == 200);
    sender.login("alice");
    until("messages are taken again", || {
        send(&mut sender, "last", "there is room").is_none()
    });
    receiver.login("bob");
    for id in acknowledged.iter().map(String::as_str).chain(["last"]) {
        assert_eq!(json(&receiver.frame())["fp"], id);
        receiver.send(&acknowledgement("bob", "alice", id));
    }
}

/// The index of a write-ahead log is in memory: there is no file that would need room, and no map
/// of one whose loss is a signal.
#[test]
fn d5_there_is_no_shared_memory_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let shared = || -> Vec<_> {
        let files = std::fs::read_dir(&data).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with("-shm")).collect()
    };
    let server = Server::start(dir.path(), &[]);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("alice");
    assert_eq!(send(&mut sender, "1", "text"), None);
    assert!(data.join("tidings.db-wal").exists());
    assert_eq!(shared(), [""; 0]);
    server.kill();
    // One that a server before this one left behind goes.
    std::fs::write(data.join("tidings.db-shm"), "old").unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(shared(), [""; 0]);
    drop(server);
}

/// Nobody is told that a message is kept when it lies in files that have no name any more.
#[test]
fn d6_a_data_directory_that_is_deleted_is_noticed() {
    for gone in ["", "tidings.db", "tidings.db-wal"] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let server = Server::start(dir.path(), &[]);
        let mut sender = Raw::connect(Transport::Tcp, &server.at);
        sender.login("alice");
        assert_eq!(send(&mut sender, "before", "text"), None);
        assert_eq!(readiness(&server), 200);
        match gone {
            "" => std::fs::remove_dir_all(&data).unwrap(),
            file => std::fs::remove_file(data.join(file)).unwrap(),
        }
        // Without a message, too.
        until("it is noticed", || readiness(&server) == 503);
        assert_eq!(send(&mut sender, "after", "text"), Some(315));
        assert!(server.log_text().contains("was deleted, moved or replaced"));
    }
}

/// Senders are told that it is the server's matter and not where its files are; the log says it once,
/// not for each of them.
#[test]
fn b28_a_refusal_names_no_path_and_the_log_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let (data, away) = (dir.path().join("data"), dir.path().join("away"));
    let server = Server::start(dir.path(), &[]);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("alice");
    assert_eq!(send(&mut sender, "before", "text"), None);
    std::fs::rename(&data, &away).unwrap();
    until("it is noticed", || readiness(&server) == 503);
    for n in 0..300 {
        let refused = refusal(&mut sender, &format!("m{n}"), "text").unwrap();
        assert_eq!(refused["errorCode"], 315);
        let told = refused["errorMsg"].as_str().unwrap();
        assert!(told.ends_with("try again later"), "{told}");
        assert!(!told.contains('/') && !told.contains("tidings"), "{told}");
    }
    let log = server.log_text();
    assert!(log.contains("was deleted, moved or replaced"), "{log}");
    let lines = log
        .lines()
        .filter(|l| l.contains("WARN") || l.contains("ERROR"));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() < 30, "{}", lines.join("\n"));
}

/// The store looks by itself whether it can write again: nobody has to log in or send for that.
#[test]
fn b29_readiness_comes_back_without_anybody() {
    let dir = tempfile::tempdir().unwrap();
    let (data, away) = (dir.path().join("data"), dir.path().join("away"));
    let server = Server::start(dir.path(), &[]);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("alice");
    assert_eq!(send(&mut sender, "before", "text"), None);
    std::fs::rename(&data, &away).unwrap();
    assert_eq!(send_until_refused(&mut sender), 315);
    assert_eq!(readiness(&server), 503);
    std::fs::rename(&away, &data).unwrap();
    until("it is ready again", || readiness(&server) == 200);
    assert_eq!(send(&mut sender, "after", "text"), None);
    assert!(server.log_text().contains("the store can write again"));
}

/// It is noticed within a moment; what is sent before lies in the files that are still open.
fn send_until_refused(sender: &mut Raw) -> i64 {
    (0..)
        .find_map(|n| send(sender, &format!("u{n}"), "text"))
        .unwrap_or_default()
}

/// One flipped bit in what a killed server left: the start says so and what to do, and goes on only
/// when that is accepted.
#[test]
fn d3_a_log_that_ends_too_early_is_not_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(dir.path(), &[]);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("alice");
    for at in 0..30 {
        assert_eq!(send(&mut sender, &at.to_string(), "text"), None);
    }
    server.kill();
    let ahead = data.join("tidings.db-wal");
    let mut bytes = std::fs::read(&ahead).unwrap();
    bytes[40_000] ^= 4;
    std::fs::write(&ahead, bytes).unwrap();

    for _ in 0..2 {
        let failed = match Server::run(dir.path(), serve(dir.path(), &[])) {
            Ok(server) => panic!("it started: {}", server.ready_line),
            Err(failed) => failed,
        };
        assert_eq!(failed.code, Some(1), "{failed:?}");
        let words = failed.stderr.lines().last().unwrap();
        for part in ["tidings.db-wal is damaged", "commits", "--accept-loss"] {
            assert!(words.contains(part), "{words}");
        }
    }
    let server = Server::start(dir.path(), &["--accept-loss"]);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("alice");
    assert_eq!(send(&mut sender, "after", "text"), None);
    drop(server);
    Server::start(dir.path(), &[]);
}

/// A block list that a failing disk empties lets in whom it should keep out.
#[test]
fn d3_damaged_accounts_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(dir.path(), &[]);
    says(&data, &["block", "user", "mallory"]);
    server.kill();
    let file = data.join("accounts.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let name = bytes.windows(7).position(|part| part == b"mallory");
    bytes[name.unwrap()] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let failed = match Server::run(dir.path(), serve(dir.path(), &[])) {
        Ok(server) => panic!("it started: {}", server.ready_line),
        Err(failed) => failed,
    };
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(
        failed.stderr.contains("accounts.db is damaged"),
        "{failed:?}"
    );
    Server::start(dir.path(), &["--accept-loss"]);
}
