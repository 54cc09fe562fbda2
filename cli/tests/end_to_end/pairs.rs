//! `send` and `listen` as the README shows them, over every pair of transports and in both orders.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use crate::support::raw::{Raw, TRANSPORTS, Transport};
use crate::support::server::{Addresses, Server, tidings};

fn url(transport: Transport, at: &Addresses) -> String {
    match transport {
        Transport::Tcp => format!("tcp://{}", at.tcp.unwrap()),
        Transport::Udp => format!("udp://{}", at.udp.unwrap()),
        Transport::Ws => format!("ws://{}/websocket", at.ws.unwrap()),
    }
}

fn send(url: &str, from: &str, to: &str, text: &str) -> Output {
    let arguments = ["send", "--server", url, "--user", from, "--to", to, text];
    tidings().args(arguments).output().unwrap()
}

fn send_well(url: &str, from: &str, to: &str, text: &str) {
    let output = send(url, from, to, text);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

fn listen(url: &str, user: &str, count: usize) -> Command {
    let mut command = tidings();
    command.args([
        "listen", "--json", "--server", url, "--user", user, "--count",
    ]);
    command.arg(count.to_string());
    command
}

/// What `listen` prints, until it ends by itself.
fn listened(child: Child) -> Vec<serde_json::Value> {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_pair_of_transports_in_both_orders() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    for from in TRANSPORTS {
        for to in TRANSPORTS {
            let (alice, bob) = (format!("alice{from:?}{to:?}"), format!("bob{from:?}{to:?}"));
            let (sending, receiving) = (url(from, &server.at), url(to, &server.at));

            // Nobody is there: it waits.
            for text in ["one", "two"] {
                send_well(&sending, &alice, &bob, text);
            }
            let mut command = listen(&receiving, &bob, 4);
            let mut child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // He is there once he says so.
            let mut says = BufReader::new(child.stderr.take().unwrap()).lines();
            let line = says.find(|line| line.as_ref().is_ok_and(|l| l.contains("logged in")));
            assert!(line.is_some(), "listen never logged in");
            for text in ["three", "four"] {
                send_well(&sending, &alice, &bob, text);
            }
            let got = listened(child);
            let texts: Vec<_> = got.iter().map(|m| m["text"].as_str().unwrap()).collect();
            assert_eq!(texts, ["one", "two", "three", "four"], "{from:?} to {to:?}");
            let numbers: Vec<_> = got.iter().map(|m| m["seq"].as_u64().unwrap()).collect();
            assert_eq!(numbers, [1, 2, 3, 4], "{from:?} to {to:?}");
            assert!(got.iter().all(|m| m["from"] == *alice), "{got:?}");
            assert!(
                got.iter()
                    .all(|m| m["time"].as_i64().unwrap() > 1_600_000_000_000)
            );
        }
    }
}

#[test]
fn alice_writes_to_herself() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    for transport in TRANSPORTS {
        let (url, alice) = (url(transport, &server.at), format!("alice{transport:?}"));
        send_well(&url, &alice, &alice, "note to self");
        let child = listen(&url, &alice, 1)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let got = listened(child);
        assert_eq!(got[0]["text"], "note to self");
        assert_eq!(got[0]["from"], *alice);
        assert_eq!(got[0]["to"], *alice);
    }
}

#[test]
fn a_message_to_the_server_is_acknowledged_without_a_listener() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    send_well(
        &url(Transport::Tcp, &server.at),
        "alice",
        "0",
        "hello, server",
    );
}

#[test]
fn a_group_of_the_configuration_reaches_its_members() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[groups]\ncrew = [\"alice\", \"bob\", \"carl\"]\n";
    let server = Server::configured(dir.path(), config, &[]);
    let url = url(Transport::Tcp, &server.at);
    send_well(&url, "alice", "#crew", "ahoy");
    for member in ["bob", "carl"] {
        let child = listen(&url, member, 1)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let got = listened(child);
        assert_eq!(got[0]["text"], "ahoy");
        assert_eq!(got[0]["to"], "#crew");
    }
    let output = send(&url, "mallory", "#crew", "let me in");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("314") || said.contains("members"), "{said}");
}

#[test]
fn the_exit_codes_of_send() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let url = url(Transport::Tcp, &server.at);
    let output = send(&url, "alice", "@nobody", "no such team");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = send(&url, "alice", "bob", &"x".repeat(7000));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = send("ftp://127.0.0.1:1", "alice", "bob", "x");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    // Afterwards nothing of it has arrived.
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    raw.login("bob");
    send_well(&url, "alice", "bob", "the only one");
    assert!(raw.frame().contains("the only one"));
}
