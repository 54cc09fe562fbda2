//! A receiver that does not read costs nobody else anything.

use crate::support::raw::{
    Raw, TRANSPORTS, Transport, acknowledgement, json, keepalive, message, message_without_qos,
};
use crate::support::server::Server;

/// Resident memory may grow by so much for whatever a slow reader is owed.
const MEMORY_KIB: u64 = 64 << 10;

#[test]
fn a_slow_reader_costs_others_nothing() {
    const MESSAGES: usize = 1500;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--durability", "os"]);
    for transport in [Transport::Tcp, Transport::Ws] {
        let lazy = &format!("lazy{transport:?}");
        let mut slow = Raw::connect(transport, &server.at);
        slow.login(lazy);
        let before = server.memory_kib();

        // Far more than sockets hold: kept for him, and what is not kept passes him by.
        let mut sender = Raw::connect(Transport::Tcp, &server.at);
        sender.login("busy");
        let body = "x".repeat(5000);
        for number in 0..MESSAGES {
            let id = format!("{number}");
            sender.send(&message("busy", lazy, &id, &body));
            sender.send(&message_without_qos("busy", lazy, &id, &body));
            assert_eq!(json(&sender.frame())["dataContent"], *id);
        }
        if let (Some(before), Some(after)) = (before, server.memory_kib()) {
            // The newest messages are kept in memory once, whoever they are for.
            let grown = after.saturating_sub(before);
            assert!(grown < MEMORY_KIB, "{grown} KiB more for a slow reader");
        }
        others_are_served(&server, lazy);

        // When he reads at last, everything that was kept is there, in order.
        let mut expected = 0;
        while expected < MESSAGES {
            let got = json(&slow.frame());
            if got["QoS"] == false {
                continue;
            }
            let id = got["fp"].as_str().unwrap();
            if id.parse::<usize>().unwrap() == expected {
                expected += 1;
            }
            slow.send(&acknowledgement(lazy, "busy", id));
        }
    }
}

/// Messages, whose ids begin with `round`, and heartbeats, over every transport.
fn others_are_served(server: &Server, round: &str) {
    for transport in TRANSPORTS {
        let (one, other) = (&format!("o{transport:?}"), &format!("p{transport:?}"));
        let mut alice = Raw::connect(transport, &server.at);
        alice.login(one);
        let mut bob = Raw::connect(transport, &server.at);
        bob.login(other);
        for number in 0..50 {
            let id = format!("{round}{number}");
            alice.send(&message(one, other, &id, "hello"));
            let got = bob.frame();
            assert_eq!(json(&got)["fp"], *id, "{got}");
            bob.send(&acknowledgement(other, one, &id));
            assert_eq!(json(&alice.frame())["dataContent"], *id);
        }
        bob.send(&keepalive(other));
        assert_eq!(json(&bob.frame())["type"], 51);
    }
}

/// Connections that never say anything, or half of something, are closed in their time and cost
/// others nothing meanwhile.
#[test]
fn silent_and_half_open_connections_cost_others_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--durability", "os"]);
    let mut held = Vec::new();
    for number in 0..200_u32 {
        let mut raw = Raw::connect(Transport::Tcp, &server.at);
        match number % 3 {
            0 => {}
            1 => raw.send_bytes(&[0, 0]),
            _ => raw.send_bytes(&[0, 0, 1, 0, b'{']),
        }
        held.push(raw);
    }
    others_are_served(&server, "before");
    drop(held);
    others_are_served(&server, "after");
}
