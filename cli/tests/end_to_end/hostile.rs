//! Random and mutated frames: the server stays up, its memory flat, other sessions undisturbed.

use std::time::Duration;

use crate::support::dice::Dice;
use crate::support::knob;
use crate::support::raw::{
    Got, Raw, Transport, acknowledgement, encode, json, keepalive, login, login_extended, message,
    message_without_qos, websocket_frame,
};
use crate::support::server::Server;

/// Resident memory may grow by so much between the warm-up and the end.
const MEMORY_KIB: u64 = 48 << 10;
/// Frames on one connection before a new one is opened, at most.
const FRAMES_PER_LINK: usize = 200;

fn attack(transport: Transport) {
    let frames = knob("TIDINGS_TEST_HOSTILE_FRAMES", 20_000) as usize;
    let mut dice = Dice::new(knob("TIDINGS_TEST_SEED", 1) ^ transport as u64);
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["--durability", "os", "--log-level", "warn"]);
    let mut bystander = Bystander::new(&server);
    let mut raw = Raw::connect(transport, &server.at);
    let mut left = FRAMES_PER_LINK;
    let mut warm = None;
    for number in 0..frames {
        let bytes = hostile(&mut dice, transport);
        let mut ended = raw.try_send_bytes(&bytes).is_err();
        left -= 1;
        // Read what comes, or the answers would wait for us.
        if dice.below(16) == 0 {
            while !ended {
                match raw.next_within(Duration::from_millis(1)) {
                    Got::End => ended = true,
                    Got::Nothing => break,
                    Got::Frame(_) | Got::Control(..) => {}
                }
            }
        }
        if ended || left == 0 {
            raw = Raw::connect(transport, &server.at);
            left = FRAMES_PER_LINK;
            if dice.below(2) == 0 {
                raw.send(&login(&format!("h{}", dice.below(50)), 0));
            }
        }
        if number % 1000 == 999 {
            bystander.exchange();
            assert!(server.is_up());
        }
        if number == frames / 2 {
            warm = server.memory_kib();
        }
    }
    bystander.exchange();
    assert!(server.is_up());
    if let (Some(warm), Some(end)) = (warm, server.memory_kib()) {
        let grown = end.saturating_sub(warm);
        assert!(
            grown < MEMORY_KIB,
            "{grown} KiB more since {warm} KiB at half-time"
        );
    }
    let log = server.log_text();
    assert!(!log.contains("panic"), "{log}");
}

#[test]
fn hostile_tcp() {
    attack(Transport::Tcp);
}

#[test]
fn hostile_udp() {
    attack(Transport::Udp);
}

#[test]
fn hostile_ws() {
    attack(Transport::Ws);
}

/// Two users who want to be left alone.
struct Bystander {
    alice: Raw,
    bob: Raw,
    count: usize,
}

impl Bystander {
    fn new(server: &Server) -> Bystander {
        let mut alice = Raw::connect(Transport::Tcp, &server.at);
        alice.login("calm-alice");
        let mut bob = Raw::connect(Transport::Udp, &server.at);
        bob.login("calm-bob");
        Bystander {
            alice,
            bob,
            count: 0,
        }
    }

    fn exchange(&mut self) {
        self.count += 1;
        let id = format!("calm{}", self.count);
        self.alice
            .send(&message("calm-alice", "calm-bob", &id, "lovely weather"));
        assert_eq!(json(&self.alice.frame())["dataContent"], *id);
        assert_eq!(json(&self.bob.frame())["fp"], *id);
        self.bob
            .send(&acknowledgement("calm-bob", "calm-alice", &id));
        self.bob.send(&keepalive("calm-bob"));
        assert_eq!(json(&self.bob.frame())["type"], 51);
    }
}

/// Something that a client should not send.
fn hostile(dice: &mut Dice, transport: Transport) -> Vec<u8> {
    let user = format!("h{}", dice.below(50));
    let peer = format!("h{}", dice.below(50));
    let id = dice.uuid();
    let valid = match dice.below(9) {
        0 => login(&user, dice.next() as i64),
        1 => login_extended(&user, &peer),
        2 => keepalive(&user),
        3 => acknowledgement(&user, &peer, &id),
        4 => message(&user, &peer, &id, "hello"),
        5 => message(&user, "0", &id, &"x".repeat(dice.below(3000))),
        6 => message_without_qos(&user, &peer, &id, "hello"),
        7 => format!(
            r#"{{"type":{},"from":"{user}","to":"{peer}"}}"#,
            dice.below(60)
        ),
        _ => format!(
            r#"{{"type":5,"dataContent":"{}"}}"#,
            "e".repeat(dice.below(500))
        ),
    };
    let mut json = valid.into_bytes();
    for _ in 0..dice.below(5) {
        mutate(dice, &mut json);
    }
    match dice.below(20) {
        0 => (0..dice.below(300)).map(|_| dice.next() as u8).collect(),
        1 if transport == Transport::Ws => websocket_frame(dice.next() as u8, &json),
        2 => {
            let mut bytes = encode(transport, &json);
            mutate(dice, &mut bytes);
            bytes
        }
        _ => encode(transport, &json),
    }
}

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = dice.below(bytes.len());
    match dice.below(6) {
        0 => bytes[at] = dice.next() as u8,
        1 => bytes[at] ^= 1 << dice.below(8),
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, *dice.pick(b"{}[]\",:\\0-9tfn\x00\xff")),
        4 => bytes.truncate(at),
        _ => {
            let end = (at + dice.below(40)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
    }
}
