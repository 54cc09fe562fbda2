//! What sessions promise beyond single frames: kick-out across transports, resuming after a
//! restart, several devices, heartbeats.

use crate::support::raw::{
    Got, Raw, TRANSPORTS, Transport, acknowledgement, json, keepalive, login, login_extended,
    message,
};
use crate::support::server::Server;

/// One session per user and class, across all transports, MobileIMSDK's way.
#[test]
fn a_second_login_kicks_the_first_out_across_transports() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--durability", "os"]);
    let mut peer = Raw::connect(Transport::Tcp, &server.at);
    peer.login("peer");
    for one in TRANSPORTS {
        for other in TRANSPORTS {
            let mut first = Raw::connect(one, &server.at);
            first.login("dora");
            let mut second = Raw::connect(other, &server.at);
            second.login("dora");
            let kicked = json(&first.frame());
            assert_eq!(kicked["type"], 54, "{one:?} {other:?}");
            assert_eq!(kicked["dataContent"], r#"{"code":1,"reason":""}"#);
            // The first one is out: messages reach the second, heartbeats the one that asks.
            let id = format!("{one:?}{other:?}");
            peer.send(&message("peer", "dora", &id, "who is there?"));
            assert_eq!(json(&peer.frame())["dataContent"], *id);
            assert_eq!(json(&second.frame())["fp"], *id);
            second.send(&acknowledgement("dora", "peer", &id));
            second.send(&keepalive("dora"));
            assert_eq!(json(&second.frame())["type"], 51);
            if one == Transport::Udp {
                first.send(&keepalive("dora"));
                assert_eq!(json(&first.frame())["type"], 52);
            }
        }
    }
}

/// After a restart clients come back with the login time that they have; nobody is kicked and
/// nothing is missed.
#[test]
fn clients_come_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for end in ["TERM", "KILL"] {
        let mut server = Server::start(dir.path(), &[]);
        let user = &format!("erin{end}");
        let mut before = Vec::new();
        for transport in TRANSPORTS {
            let user = format!("{user}{transport:?}");
            let mut raw = Raw::connect(transport, &server.at);
            let answer = json(&raw.login(&user));
            let payload = json(answer["dataContent"].as_str().unwrap());
            before.push((transport, user, payload["firstLoginTime"].as_i64().unwrap()));
            // Arrives, is not acknowledged by its receiver.
            let mut sender = Raw::connect(transport, &server.at);
            sender.login("frank");
            sender.send(&message("frank", &before.last().unwrap().1, "m1", "before"));
            assert_eq!(json(&sender.frame())["type"], 4);
            assert_eq!(json(&raw.frame())["fp"], "m1");
        }
        server.signal(end);
        server.wait();
        let server = Server::start(dir.path(), &[]);
        for (transport, user, time) in before {
            let mut raw = Raw::connect(transport, &server.at);
            raw.send(&login(&user, time));
            let answer = json(&raw.frame());
            let payload = json(answer["dataContent"].as_str().unwrap());
            assert_eq!(payload["firstLoginTime"], time, "{transport:?} after {end}");
            let got = json(&raw.frame());
            assert_eq!(
                (&got["fp"], &got["dataContent"]),
                (&"m1".into(), &"before".into())
            );
            raw.send(&acknowledgement(&user, "frank", "m1"));
            // The second copy of what was stored before is acknowledged, not stored again.
            let mut sender = Raw::connect(transport, &server.at);
            sender.login("frank");
            sender.send(&message("frank", &user, "m1", "before"));
            assert_eq!(json(&sender.frame())["dataContent"], "m1");
            sender.send(&message("frank", &user, "m2", "after"));
            assert_eq!(json(&sender.frame())["dataContent"], "m2");
            assert_eq!(json(&raw.frame())["fp"], "m2");
        }
    }
}

/// Devices of one user that coexist each get every message, and see one another's if they ask.
#[test]
fn devices_coexist_if_the_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[session]\nsecond_login = \"coexist\"\n";
    let server = Server::configured(dir.path(), config, &["--durability", "os"]);
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("gus");
    let mut devices: Vec<Raw> = TRANSPORTS
        .iter()
        .map(|transport| {
            let mut raw = Raw::connect(*transport, &server.at);
            raw.send(&login_extended("hana", &format!("{transport:?}")));
            let answer = json(&raw.frame());
            let payload = json(answer["dataContent"].as_str().unwrap());
            assert!(payload.get("tidings").is_some(), "{answer}");
            raw
        })
        .collect();
    for round in 1..=3_u64 {
        let id = format!("g{round}");
        sender.send(&message("gus", "hana", &id, "to all of you"));
        assert_eq!(json(&sender.frame())["dataContent"], *id);
        for raw in &mut devices {
            let got = json(&raw.frame());
            assert_eq!(got["id"], *id, "{:?}: {got}", raw.transport);
            assert_eq!(got["seq"], round);
            assert!(got["time"].as_i64().unwrap() > 1_600_000_000_000);
            raw.send(&acknowledgement("hana", "gus", &id));
        }
    }
}

#[test]
fn a_second_login_is_refused_if_the_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[session]\nsecond_login = \"refuse\"\n";
    let server = Server::configured(dir.path(), config, &["--durability", "os"]);
    for transport in TRANSPORTS {
        let user = format!("ivy{transport:?}");
        let mut first = Raw::connect(transport, &server.at);
        first.login(&user);
        let mut second = Raw::connect(transport, &server.at);
        second.send(&login(&user, 0));
        let answer = json(&second.frame());
        assert_eq!(answer["dataContent"], r#"{"code":318,"firstLoginTime":-1}"#);
        if transport == Transport::Tcp {
            assert_eq!(second.next(), Got::End);
        }
        first.send(&keepalive(&user));
        assert_eq!(json(&first.frame())["type"], 51);
    }
}

/// Order and completeness over a backlog that is far longer than a window.
#[test]
fn a_long_backlog_comes_in_order() {
    const MESSAGES: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--durability", "os"]);
    for transport in TRANSPORTS {
        let user = format!("judy{transport:?}");
        let mut sender = Raw::connect(Transport::Tcp, &server.at);
        sender.login("kim");
        for number in 0..MESSAGES {
            sender.send(&message("kim", &user, &format!("k{number}"), "x"));
        }
        for _ in 0..MESSAGES {
            assert_eq!(json(&sender.frame())["type"], 4);
        }
        let mut receiver = Raw::connect(transport, &server.at);
        receiver.login(&user);
        for number in 0..MESSAGES {
            let id = format!("k{number}");
            assert_eq!(json(&receiver.frame())["fp"], *id, "{transport:?}");
            receiver.send(&acknowledgement(&user, "kim", &id));
        }
    }
}
