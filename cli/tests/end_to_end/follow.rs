//! One message, followed by its id through the log and through the API.

use crate::support::admin::says;
use crate::support::http::get;
use crate::support::raw::{Raw, Transport, acknowledgement, message};
use crate::support::server::Server;
use crate::support::until;

const STAGES: [&str; 6] = [
    "received",
    "decided",
    "committed",
    "acknowledged to the sender",
    "sent",
    "acknowledged",
];

/// What stands on a line of the log about the message with this id.
fn stage(line: &str, format: &str, id: &str) -> Option<String> {
    if format == "json" {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["target"].is_string(), "{line}");
        let ours = line["id"] == id && line["target"] == "tidings::message";
        return ours.then(|| line["message"].as_str().unwrap().to_owned());
    }
    let (_, rest) = line.split_once("tidings::message: ")?;
    let id = [format!(" id={id} "), format!(" id=\"{id}\" ")];
    let ours = id.iter().any(|id| rest.contains(id.as_str()));
    let words: Vec<&str> = rest.split(' ').take_while(|w| !w.contains('=')).collect();
    ours.then(|| words.join(" "))
}

#[test]
fn every_stage_is_in_the_log() {
    for format in ["human", "json"] {
        let dir = tempfile::tempdir().unwrap();
        let config = "[log]\nmessages = true\n";
        let server = Server::configured(dir.path(), config, &["--log-format", format]);
        let mut bob = Raw::connect(Transport::Tcp, &server.at);
        bob.login("bob");
        let mut alice = Raw::connect(Transport::Tcp, &server.at);
        alice.login("alice");
        for id in ["other", "followed"] {
            alice.send(&message(
                "alice",
                "bob",
                id,
                "the text is nobody's business",
            ));
            alice.frame();
            bob.frame();
            bob.send(&acknowledgement("bob", "alice", id));
        }
        let stages = || -> Vec<String> {
            let log = server.log_text();
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            let lines = whole.lines();
            lines
                .filter_map(|line| stage(line, format, "followed"))
                .collect()
        };
        until("the last stage is there", || stages().len() >= STAGES.len());
        let mut found = stages();
        // Who hears of it first, the sender or the receiver, is nobody's concern.
        found[3..5].sort();
        assert_eq!(found, STAGES, "{}", server.log_text());
        assert!(!server.log_text().contains("business"));
    }
}

#[test]
fn the_api_tells_when_it_was_sent_and_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(dir.path(), &[]);
    let key = says(&data, &["key", "create", "--scope", "read"]);
    let key = key.lines().last().unwrap().to_owned();
    let ask = |server: &Server, id: &str| {
        let (status, body) = get(
            server.at.http.unwrap(),
            &format!("/api/v1/messages/{id}"),
            &key,
        );
        assert_eq!(status, 200, "{body}");
        body["receivers"][0]["devices"][0]["deliveries"].clone()
    };
    let mut alice = Raw::connect(Transport::Tcp, &server.at);
    alice.login("alice");
    let mut bob = Raw::connect(Transport::Tcp, &server.at);
    bob.login("bob");
    alice.send(&message("alice", "bob", "one", "text"));
    alice.frame();
    bob.frame();
    let sent = ask(&server, "one");
    assert_eq!(sent.as_array().unwrap().len(), 1, "{sent}");
    assert_eq!(sent[0]["sends"], 1);
    assert!(sent[0]["sent_ms"].as_i64() >= sent[0]["session_since_ms"].as_i64());
    assert!(sent[0]["acknowledged_ms"].is_null());
    bob.send(&acknowledgement("bob", "alice", "one"));
    until("it is acknowledged", || {
        ask(&server, "one")[0]["acknowledged_ms"].is_i64()
    });
    drop(bob);
    until("he is gone", || {
        says(&data, &["user", "list"]).contains("bob    0")
    });
    alice.send(&message("alice", "bob", "two", "text"));
    alice.frame();
    assert_eq!(ask(&server, "two"), serde_json::json!([]));
    // It is remembered in memory, and nothing is made up.
    server.kill();
    let server = Server::start(dir.path(), &[]);
    assert!(ask(&server, "one").is_null());
}
