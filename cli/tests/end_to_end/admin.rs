//! `tidings admin`, of a server that runs and of one that does not.

use std::path::Path;

use crate::support::admin::{admin, refused, says};
use crate::support::raw::{Got, Raw, Transport, json, message};
use crate::support::server::Server;

fn send(server: &Server, from: &str, to: &str, count: usize) {
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    raw.login(from);
    for at in 0..count {
        raw.send(&message(from, to, &format!("{from}-{at}"), "text"));
        let answer = json(&raw.frame());
        assert_eq!(answer["type"], 4, "{answer}");
    }
}

#[test]
fn groups_and_users() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(dir.path(), &[]);
    send(&server, "alice", "bob", 1);
    for running in [true, false] {
        says(&data, &["group", "set", "crew", "alice", "bob"]);
        says(&data, &["group", "add", "crew", "carol"]);
        assert_eq!(
            says(&data, &["group", "list"]),
            "group  members\ncrew   3\n"
        );
        says(&data, &["group", "remove", "crew", "bob"]);
        assert_eq!(
            says(&data, &["group", "show", "crew"]),
            "user\nalice\ncarol\n"
        );
        says(&data, &["group", "remove", "crew"]);
        assert_eq!(says(&data, &["group", "list"]), "none\n");
        let words = refused(&data, &["group", "show", "crew"]);
        assert!(words.contains("there is no group crew"), "{words}");
        let words = refused(&data, &["group", "add", "crew", "bob"]);
        assert!(words.contains("there is no group crew"), "{words}");

        assert!(says(&data, &["user", "list"]).contains("alice"));
        assert!(says(&data, &["user", "show", "alice"]).contains("default"));
        let words = refused(&data, &["user", "show", "nobody"]);
        assert!(words.contains("has never logged in"), "{words}");
        if running {
            server.terminate();
            server.wait();
        }
    }
    let words = refused(&data, &["kick", "alice"]);
    assert!(words.contains("no server is running"), "{words}");
}

#[test]
fn a_member_who_is_online_learns_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(dir.path(), &[]);
    let mut bob = Raw::connect(Transport::Tcp, &server.at);
    bob.login("bob");
    says(&data, &["group", "set", "crew", "alice", "bob"]);
    send(&server, "alice", "#crew", 1);
    assert_eq!(json(&bob.frame())["to"], "#crew");
    assert!(says(&data, &["kick", "bob"]).starts_with("1 sessions of bob"));
    assert_eq!(json(&bob.frame())["type"], 54);
    assert_eq!(bob.next(), Got::End);
}

#[test]
fn a_check_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(dir.path(), &[]);
    send(&server, "alice", "bob", 20);
    send(&server, "carol", "bob", 5);
    let right = "25 messages in 2 conversations: all as they were written";
    assert!(says(&data, &["check"]).starts_with(right));
    server.terminate();
    server.wait();
    assert!(says(&data, &["check"]).starts_with(right));

    let damage = |sql: &str| {
        let db = rusqlite::Connection::open(data.join("tidings.db")).unwrap();
        db.execute_batch(sql).unwrap();
    };
    damage("UPDATE log SET body = 'other' WHERE position = 3");
    assert!(found(&data).contains("position 3 is not what was written"));
    damage("DELETE FROM log WHERE position = 3");
    assert!(found(&data).contains("alice and bob: number 4 stands behind number 2"));
}

/// What a check of a damaged store prints.
fn found(data: &Path) -> String {
    let output = admin(data, &["check"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn retention_now() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(dir.path(), &[]);
    send(&server, "alice", "bob", 3);
    let said = says(&data, &["retention", "--days", "7"]);
    assert_eq!(said, "0 messages older than 7 days were removed\n");
    let words = refused(&data, &["retention", "--days", "6"]);
    assert!(words.contains("RETENTION_DAYS_MIN = 7"), "{words}");
}
