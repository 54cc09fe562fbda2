//! What is sent to a UDP address that has proved nothing.

use std::borrow::Cow;

use super::rig::{Out, Rig, declared};
use crate::ids::LinkId;
use crate::limits;
use crate::session::Transport;
use crate::shard::{Action, Input, Path};
use crate::wire::code;
use crate::wire::mobileimsdk::login::{Login, encode_login};
use crate::wire::mobileimsdk::{self, Frame};

const HEADERS: usize = 28;

fn bytes(frame: &Frame<'_>) -> usize {
    let mut out = Vec::new();
    mobileimsdk::encode(frame, &mut out);
    out.len()
}

/// What it takes to send this as a driver does.
fn cost(rig: &Rig, action: &Action) -> usize {
    let frame = match action {
        Action::Send { frame, .. } => Frame {
            sm: rig.now().wall_ms,
            ..(**frame).clone()
        },
        Action::Acknowledge { id, from, to, .. } => Frame {
            kind: code::RECEIVED,
            data: Some(Cow::Borrowed(id)),
            from: Some(Cow::Borrowed(from)),
            to: Some(Cow::Borrowed(to)),
            typeu: -1,
            sm: -1,
            ..Frame::default()
        },
        Action::Deliver { message, .. } => Frame {
            kind: code::COMMON_DATA,
            data: Some(Cow::Borrowed(&message.body)),
            from: Some(Cow::Borrowed(&message.from)),
            to: Some(Cow::Borrowed(&message.to)),
            fp: Some(Cow::Borrowed(&message.id)),
            qos: message.seq > 0,
            typeu: message.typeu,
            sm: message.time_ms,
            ..Frame::default()
        },
        _ => return 0,
    };
    HEADERS + bytes(&frame)
}

fn is_to(action: &Action, to: LinkId) -> bool {
    matches!(action, Action::Send { link, .. } | Action::Acknowledge { link, .. }
        | Action::Deliver { link, .. } if *link == to)
}

fn keepalive() -> Frame<'static> {
    Frame {
        kind: code::KEEPALIVE,
        from: Some("a".into()),
        to: Some("0".into()),
        ..Frame::default()
    }
}

fn login(user: &str, token: &str) -> Frame<'static> {
    let data = encode_login(&Login {
        user: Some(user.to_owned()),
        token: Some(token.to_owned()),
        ..Login::default()
    });
    Frame {
        data: Some(data.into()),
        from: Some(user.to_owned().into()),
        to: Some("0".into()),
        typeu: -1,
        sm: -1,
        ..Frame::default()
    }
}

/// Feeds frames of one link, each alone; returns what was sent to it, and how much had come.
fn talk(rig: &mut Rig, link: LinkId, frames: &[Frame<'static>]) -> (usize, usize) {
    let (mut heard, mut sent) = (0, 0);
    for frame in frames {
        let length = bytes(frame);
        heard += HEADERS + length;
        let input = Input::Frame {
            link,
            frame: frame.clone(),
            bytes: length,
        };
        let before = rig.actions.len();
        rig.feed(input);
        let came = rig.actions[before..].iter();
        sent += came
            .filter(|a| is_to(a, link))
            .map(|a| cost(rig, a))
            .sum::<usize>();
        assert!(sent <= 3 * heard, "{sent} for {heard}");
    }
    (heard, sent)
}

#[test]
fn s6_a_strangers_datagram_is_answered_if_it_pays_for_it() {
    let mut rig = Rig::new();
    let answer = |rig: &mut Rig, frame: &Frame<'_>, length: usize| {
        let now = rig.now();
        rig.shard.stranger(now, Path::default(), frame, length)
    };
    // What a client sends is long enough; `{type:1}` is not.
    let beat = keepalive();
    assert!(answer(&mut rig, &beat, 8).is_none());
    let told = answer(&mut rig, &beat, bytes(&beat)).unwrap();
    let mut action = Action::Send {
        link: LinkId(0),
        frame: told,
    };
    let least = cost(&rig, &action).div_ceil(3) - HEADERS;
    assert!(answer(&mut rig, &beat, least - 1).is_none());
    for kind in [code::KEEPALIVE, code::COMMON_DATA, code::RECEIVED] {
        let frame = Frame {
            kind,
            ..keepalive()
        };
        let told = answer(&mut rig, &frame, least).unwrap();
        action = Action::Send {
            link: LinkId(0),
            frame: told,
        };
        assert!(cost(&rig, &action) <= 3 * (HEADERS + least));
    }
    for kind in [code::LOGOUT, code::ECHO, 99] {
        let frame = Frame {
            kind,
            ..keepalive()
        };
        assert!(answer(&mut rig, &frame, 1000).is_none());
    }
}

#[test]
fn s6_one_network_is_sent_so_many_datagrams_whoever_asks() {
    let mut rig = Rig::new();
    let of = |network: u128| Path {
        network: Some(network),
        ..Path::default()
    };
    let beat = keepalive();
    let burst = limits::UNPROVEN_DATAGRAMS_PER_NETWORK;
    let answered = |rig: &mut Rig, network: u128| {
        let now = rig.now();
        rig.shard
            .stranger(now, of(network), &beat, bytes(&beat))
            .is_some()
    };
    for _ in 0..burst - 1 {
        assert!(answered(&mut rig, 1));
    }
    // An answer to a login is one more, and then there is none, for anybody there.
    let now = rig.now();
    let log_in = |rig: &mut Rig, network: u128| {
        let link = rig.shard.open_from(now, Transport::Udp, of(network));
        talk(rig, link, &[login("alice", "wrong")]).1
    };
    assert!(log_in(&mut rig, 1) > 0);
    assert_eq!(log_in(&mut rig, 1), 0);
    assert!(!answered(&mut rig, 1));
    assert!(log_in(&mut rig, 2) > 0, "another network is not concerned");
    rig.ms += limits::UNPROVEN_DATAGRAMS_PER_NETWORK_REFILL_MS;
    assert!(answered(&mut rig, 1));
    assert!(!answered(&mut rig, 1));
}

#[test]
fn c3_every_login_is_answered_even_the_shortest() {
    for user in ["a", "ab"] {
        for token in ["", "1", "good"] {
            let mut rig = Rig::new();
            let link = rig.open(Transport::Udp);
            let (_, sent) = talk(&mut rig, link, &[login(user, token)]);
            assert!(sent > 0, "{user} {token}");
            assert_eq!(rig.answers(link).len(), 1, "{user} {token}");
        }
    }
    let mut rig = Rig::new();
    let link = rig.open(Transport::Udp);
    let short = Frame {
        data: Some("{\"loginUserId\":\"a\"}".into()),
        ..Frame::default()
    };
    let input = Input::Frame {
        link,
        frame: short,
        bytes: 50,
    };
    rig.feed(input);
    assert_eq!(rig.answers(link).len(), 1);
}

/// A login in somebody's name, with a message waiting for him.
#[test]
fn s6_the_first_message_is_paid_for_too() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.say_body(alice, "bob", "m1", &"x".repeat(900));
    let bob = rig.open(Transport::Udp);
    let (heard, _) = talk(&mut rig, bob, &[login("bob", "good")]);
    assert_eq!(rig.answers(bob).len(), 1);
    assert!(
        rig.messages(bob).is_empty(),
        "more than {heard} bytes pay for"
    );
    // Not by itself either: it is tried again, and not given up for that.
    for _ in 0..10 {
        rig.ms += limits::RESEND_FIRST_MS;
        rig.feed(Input::Tick);
        talk(&mut rig, bob, &[]);
        if rig.closed.iter().any(|(link, _)| *link == bob) {
            break;
        }
        assert!(rig.messages(bob).is_empty());
        rig.feed(Input::Heard { link: bob });
    }
    // Heartbeats of a client that is there pay for it.
    let mut beats = 0;
    while rig.messages(bob).is_empty() {
        talk(&mut rig, bob, &[keepalive()]);
        rig.ms += limits::RESEND_FIRST_MS;
        rig.feed(Input::Tick);
        beats += 1;
        assert!(beats < 10);
    }
    let first = rig.actions.iter().find_map(|action| match action {
        Action::Deliver { again, .. } => Some(*again),
        _ => None,
    });
    assert_eq!(first, Some(false));
    // The proof: from now on nothing has to be paid for.
    rig.ack(bob, "m1", "alice");
    for n in 2..20 {
        let id = format!("m{n}");
        rig.say_body(alice, "bob", &id, &"x".repeat(900));
        assert_eq!(rig.messages(bob), [&*id]);
        rig.ack(bob, &id, "alice");
    }
}

/// Whatever somebody sends from an address, and whatever waits for it.
#[test]
fn s6_no_talk_gets_more_than_three_times_its_bytes() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    for n in 0..5 {
        rig.say_body(alice, "bob", &format!("m{n}"), &"x".repeat(n * 50));
    }
    let of = |kind, data: &'static str| Frame {
        kind,
        data: Some(data.into()),
        from: Some("bob".into()),
        to: Some("alice".into()),
        fp: Some("f".into()),
        qos: true,
        ..Frame::default()
    };
    let frames = [
        login("bob", "good"),
        keepalive(),
        of(code::ECHO, "<<<<<<<<<<<<<<<<<<<<<<<"),
        of(code::COMMON_DATA, "to alice"),
        login("bob", "wrong"),
        login("carol", "good"),
        of(code::RECEIVED, "no such message"),
        of(code::LOGOUT, ""),
        Frame {
            kind: code::KEEPALIVE,
            ..Frame::default()
        },
    ];
    let mut dice = 7_usize;
    for _ in 0..200 {
        let bob = rig.open(Transport::Udp);
        let mut said = Vec::new();
        for _ in 0..12 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695);
            said.push(frames[(dice >> 33) % frames.len()].clone());
        }
        talk(&mut rig, bob, &said);
        rig.feed(Input::Closed { link: bob });
    }
}

#[test]
fn s6_our_own_clients_are_no_exception() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.say_body(alice, "bob", "m1", &"x".repeat(1_500));
    let bob = rig.open(Transport::Udp);
    rig.login(bob, "bob", 0, declared("d", "c", false));
    assert!(rig.messages(bob).is_empty());
}

#[test]
fn s3_what_follows_an_undecided_login_by_udp_is_bounded_and_costs_no_session() {
    let mut rig = Rig::new();
    rig.hold_verifies = true;
    let bob = rig.open(Transport::Udp);
    talk(&mut rig, bob, &[login("bob", "good")]);
    let echo = Frame {
        kind: code::ECHO,
        data: Some("x".repeat(800).into()),
        ..Frame::default()
    };
    let each = bytes(&echo);
    for _ in 0..100 {
        talk(&mut rig, bob, std::slice::from_ref(&echo));
    }
    rig.verify();
    assert!(rig.closed.is_empty());
    let echoes = rig
        .out
        .iter()
        .filter(|(_, o)| matches!(o, Out::Control(code::ECHO_ANSWER, _)));
    assert_eq!(echoes.count(), limits::UNADMITTED_HELD_BYTES_MAX / each);
}

#[test]
fn s3_a_stream_is_not_read_while_its_login_is_undecided() {
    for transport in [Transport::Tcp, Transport::WebSocket] {
        let mut rig = Rig::new();
        rig.hold_verifies = true;
        let link = rig.open(transport);
        rig.login(link, "alice", 0, None);
        assert_eq!(rig.paused, [link]);
        rig.hold_commits = true;
        rig.verify();
        assert_eq!(rig.paused, [link]);
        rig.commit();
        assert!(rig.paused.is_empty());
        // A second login on it, which is refused: the link ends, paused or not.
        rig.hold_commits = false;
        rig.login_with(link, "alice", "good", 0, None);
        rig.verify();
        assert!(rig.paused.is_empty());
    }
}
