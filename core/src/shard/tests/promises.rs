//! What is promised of each kind of message: `docs/protocol.md` §7.

use super::rig::{Out, Rig};
use crate::limits;
use crate::session::Transport;
use crate::shard::Event;
use crate::wire::code;

#[test]
fn a_message_is_acknowledged_in_the_receivers_name_once_it_is_stored() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.take(alice);
    rig.hold_commits = true;
    rig.say(alice, "bob", "m1");
    assert_eq!((rig.take(alice), rig.messages(bob)), (vec![], vec![]));
    rig.commit();
    let ack = Out::Ack {
        id: "m1".into(),
        from: "bob".into(),
        to: "alice".into(),
        seq: 1,
    };
    assert_eq!(rig.take(alice), [ack]);
    assert_eq!(rig.messages(bob), ["m1"]);
}

#[test]
fn what_could_not_be_stored_is_refused_and_delivered_to_nobody() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.hold_commits = true;
    rig.say(alice, "bob", "m1");
    rig.say(alice, "bob", "m2");
    rig.fail_commits();
    assert_eq!(
        rig.refusals(alice),
        [code::REFUSED_STORE, code::REFUSED_STORE]
    );
    assert!(rig.messages(bob).is_empty());
    assert!(rig.reason(alice).is_none());
}

#[test]
fn a_repeated_message_is_acknowledged_again_and_delivered_once() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    (0..3).for_each(|_| rig.say(alice, "bob", "m1"));
    assert_eq!(rig.acks(alice), ["m1", "m1", "m1"]);
    assert_eq!(rig.messages(bob), ["m1"]);
}

#[test]
fn offline_messages_come_at_the_next_login_older_before_newer() {
    let mut rig = Rig::new();
    let (alice, carol) = (rig.tcp("alice"), rig.tcp("carol"));
    rig.say(alice, "bob", "a1");
    rig.say(carol, "bob", "c1");
    rig.say(alice, "bob", "a2");
    let bob = rig.tcp("bob");
    assert_eq!(rig.messages(bob), ["a1", "c1", "a2"]);
}

#[test]
fn what_was_acknowledged_does_not_come_again() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    for id in ["m1", "m2", "m3"] {
        rig.say(alice, "bob", id);
    }
    rig.ack(bob, "m1", "alice");
    rig.ack(bob, "m3", "alice");
    let again = rig.tcp("bob");
    assert_eq!(rig.messages(again), ["m2"]);
}

#[test]
fn own_other_devices_see_it_only_if_they_declared_it() {
    let mut rig = Rig::new();
    let phone = rig.ours("alice", "p", "phone", true);
    let web = rig.ours("alice", "w", "web", true);
    let desktop = rig.ours("alice", "d", "desktop", false);
    rig.tcp("bob");
    rig.say(phone, "bob", "m1");
    assert!(rig.messages(phone).is_empty());
    assert_eq!(rig.messages(web), ["m1"]);
    assert!(rig.messages(desktop).is_empty());
}

#[test]
fn a_user_can_write_to_himself_on_every_device() {
    let mut rig = Rig::new();
    let phone = rig.ours("alice", "p", "phone", false);
    let web = rig.ours("alice", "w", "web", false);
    rig.say(phone, "alice", "m1");
    assert_eq!(rig.messages(phone), ["m1"]);
    assert_eq!(rig.messages(web), ["m1"]);
}

#[test]
fn a_group_message_reaches_the_members_but_not_its_sender() {
    let mut rig = Rig::new();
    rig.store.groups.insert(
        "#g".into(),
        vec!["alice".into(), "bob".into(), "carol".into()],
    );
    let (alice, bob, dave) = (rig.tcp("alice"), rig.tcp("bob"), rig.tcp("dave"));
    rig.say(alice, "#g", "m1");
    assert_eq!(rig.acks(alice), ["m1"]);
    assert_eq!(rig.messages(bob), ["m1"]);
    assert!(rig.messages(dave).is_empty());
    let carol = rig.tcp("carol");
    assert_eq!(rig.messages(carol), ["m1"]);
}

#[test]
fn only_members_send_to_a_group() {
    let mut rig = Rig::new();
    rig.store.groups.insert("#g".into(), vec!["bob".into()]);
    let alice = rig.tcp("alice");
    rig.say(alice, "#g", "m1");
    rig.say(alice, "#none", "m2");
    assert_eq!(
        rig.refusals(alice),
        [code::REFUSED_NOT_MEMBER, code::REFUSED_ADDRESS]
    );
    assert!(rig.reason(alice).is_none());
}

#[test]
fn a_message_to_the_server_is_stored_and_acknowledged_with_nobody_listening() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.take(alice);
    rig.say(alice, "0", "m1");
    let ack = Out::Ack {
        id: "m1".into(),
        from: "0".into(),
        to: "alice".into(),
        seq: 1,
    };
    assert_eq!(rig.take(alice), [ack]);
    assert_eq!(rig.store.log.len(), 1);
}

#[test]
fn not_deliverable_now_is_told_once_and_the_message_stays() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.say(alice, "bob", "m1");
    rig.say(alice, "bob", "m1");
    let told = |e: &&Event| matches!(e, Event::NotDeliverableNow(_));
    assert_eq!(rig.events.iter().filter(told).count(), 1);
    let bob = rig.tcp("bob");
    assert_eq!(rig.messages(bob), ["m1"]);
}

#[test]
fn qos_without_an_id_is_refused_and_the_session_stays() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.frame(
        alice,
        code::COMMON_DATA,
        "alice",
        "bob",
        Some("hi"),
        None,
        true,
    );
    rig.frame(
        alice,
        code::COMMON_DATA,
        "alice",
        "bob",
        Some("hi"),
        Some(""),
        true,
    );
    assert_eq!(
        rig.refusals(alice),
        [code::REFUSED_NO_ID, code::REFUSED_NO_ID]
    );
    rig.say(alice, "bob", "m1");
    assert_eq!(rig.acks(alice), ["m1"]);
}

#[test]
fn c4_the_refusal_of_an_id_that_is_too_long_names_the_limit_of_ids() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    let long = "x".repeat(limits::MESSAGE_ID_BYTES_MAX + 1);
    for id in ["", &long] {
        let (kind, qos) = (code::COMMON_DATA, true);
        rig.frame(alice, kind, "alice", "bob", Some("hi"), Some(id), qos);
        let Some((_, Out::Control(code::ERROR, text))) = rig.out.last() else {
            panic!("{:?}", rig.out.last());
        };
        assert!(text.contains("1 to 128"), "{text}");
    }
    assert_eq!(rig.refusals(alice), [code::REFUSED_NO_ID; 2]);
}

#[test]
fn an_id_with_other_content_is_refused_and_the_session_stays() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.say_body(alice, "bob", "m1", "one");
    rig.say_body(alice, "bob", "m1", "two");
    assert_eq!(rig.refusals(alice), [code::REFUSED_CONFLICT]);
    assert_eq!(rig.messages(bob), ["m1"]);
    assert!(rig.reason(alice).is_none());
}

#[test]
fn a_full_store_refuses_the_sender() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.store.full = true;
    rig.say(alice, "bob", "m1");
    assert_eq!(rig.refusals(alice), [code::REFUSED_FULL]);
    assert!(rig.reason(alice).is_none());
}

#[test]
fn without_qos_it_is_sent_once_to_whoever_is_live_and_not_stored() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.frame(
        alice,
        code::COMMON_DATA,
        "alice",
        "bob",
        Some("hi"),
        Some("n1"),
        false,
    );
    rig.frame(
        alice,
        code::COMMON_DATA,
        "alice",
        "carol",
        Some("hi"),
        Some("n2"),
        false,
    );
    assert_eq!(rig.messages(bob), ["n1"]);
    rig.pass_beating(bob, 60_000);
    assert!(rig.messages(bob).is_empty());
    let carol = rig.tcp("carol");
    assert!(rig.messages(carol).is_empty());
    assert!(rig.store.log.is_empty());
}

#[test]
fn what_no_connection_takes_is_refused_by_its_encoded_size() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.say_body(alice, "bob", "m1", &"x".repeat(65_000));
    assert_eq!(rig.acks(alice), ["m1"]);
    // Half as many, but each takes two bytes in JSON.
    rig.say_body(alice, "bob", "m2", &"\"".repeat(33_000));
    assert_eq!(rig.refusals(alice), [code::REFUSED_TOO_LARGE]);
    assert!(rig.reason(alice).is_none());
}

/// Each receiver is sent what it can read; the rest goes on, and the first that waits is told once.
#[test]
fn c2_what_a_receiver_cannot_take_waits_for_another_transport() {
    let mut rig = Rig::new();
    let alice = rig.open(Transport::WebSocket);
    rig.login(alice, "alice", 0, None);
    let (tcp, ws) = (rig.tcp("bob"), rig.open(Transport::WebSocket));
    rig.login(ws, "carol", 0, None);
    let ours = rig.open(Transport::Tcp);
    rig.login(ours, "dave", 0, super::rig::declared("d", "c", false));
    let large = "x".repeat(8_000);
    for to in ["bob", "carol", "dave", "0"] {
        rig.take(alice);
        rig.say_body(alice, to, "m1", &large);
        rig.say_body(alice, to, "m2", &large);
        rig.say(alice, to, "m3");
        assert_eq!(rig.acks(alice), ["m1", "m2", "m3"], "{to}");
    }
    assert_eq!(rig.messages(ws), ["m1", "m2", "m3"]);
    assert_eq!(rig.messages(ours), ["m1", "m2", "m3"]);
    let out = rig.take(tcp);
    let notice = |o: &&Out| matches!(o, Out::Control(code::COMMON_DATA, _));
    assert_eq!(out.iter().filter(notice).count(), 1, "{out:?}");
    let is_m3 = |o: &Out| matches!(o, Out::Message { id, .. } if id == "m3");
    assert!(out.iter().any(is_m3));
    rig.ack(tcp, "m3", "alice");
    let ws = rig.open(Transport::WebSocket);
    rig.login(ws, "bob", 0, None);
    assert_eq!(rig.messages(ws), ["m1", "m2"]);
}

/// What a sender wrote as a frame of just 6,144 bytes is taken, and is not longer for its receiver.
#[test]
fn c2_a_frame_at_the_limit_is_not_refused_because_of_our_time() {
    use crate::wire::mobileimsdk::{Form, encode_message};
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    let frame = |body: &str| {
        let mut bytes = Vec::new();
        let frame = crate::wire::mobileimsdk::Frame {
            kind: code::COMMON_DATA,
            data: Some(body.to_owned().into()),
            from: Some("alice".into()),
            to: Some("bob".into()),
            fp: Some("m1".into()),
            qos: true,
            typeu: -1,
            sm: -1,
            ..Default::default()
        };
        crate::wire::mobileimsdk::encode(&frame, &mut bytes);
        bytes.len()
    };
    let body = "x".repeat(limits::FRAME_BYTES_MAX - frame(""));
    assert_eq!(frame(&body), limits::FRAME_BYTES_MAX);
    for (to, id) in [("bob", "m1"), ("0", "m2")] {
        rig.say_body(alice, to, id, &body);
        assert_eq!(rig.acks(alice), [id]);
    }
    assert_eq!(rig.messages(bob), ["m1"]);
    assert_eq!(rig.forms, [(bob, Form::Untimed)]);
    let mut bytes = Vec::new();
    encode_message(&rig.store.log[0], Form::Untimed, true, &mut bytes);
    assert_eq!(bytes.len(), limits::FRAME_BYTES_MAX);
}

#[test]
fn what_a_udp_client_cannot_read_waits_with_one_notice() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.udp("bob"));
    // Signs of life pay for what is sent to an address that has proved nothing.
    for _ in 0..8 {
        rig.frame(bob, code::KEEPALIVE, "bob", "0", Some("{}"), None, false);
    }
    rig.take(bob);
    let large = "x".repeat(1_000);
    rig.say_body(alice, "bob", "m1", &large);
    rig.say_body(alice, "bob", "m2", &large);
    rig.say(alice, "bob", "m3");
    assert_eq!(rig.acks(alice), ["m1", "m2", "m3"]);
    let out = rig.take(bob);
    let notices = out
        .iter()
        .filter(|o| matches!(o, Out::Control(code::COMMON_DATA, _)));
    assert_eq!(notices.count(), 1);
    let is_rest = |o: &Out| matches!(o, Out::Message { id, .. } if id == "m3");
    assert!(out.iter().any(is_rest));
    rig.ack(bob, "m3", "alice");
    let tcp = rig.tcp("bob");
    assert_eq!(rig.messages(tcp), ["m1", "m2"]);
}

#[test]
fn our_udp_clients_take_what_fits_a_frame() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    let bob = rig.open(Transport::Udp);
    rig.login(bob, "bob", 0, super::rig::declared("d", "c", false));
    rig.say(alice, "bob", "m0");
    assert_eq!(rig.messages(bob), ["m0"]);
    rig.ack(bob, "m0", "alice"); // the address is proved: nothing has to be paid for
    rig.say_body(alice, "bob", "m1", &"x".repeat(1_000));
    assert_eq!(rig.messages(bob), ["m1"]);
}

#[test]
fn an_address_that_nobody_can_have_is_refused() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    for to in ["", "-1", "@team", "#", "a\u{7}b"] {
        rig.say(alice, to, "m1");
        assert_eq!(rig.refusals(alice), [code::REFUSED_ADDRESS], "{to:?}");
    }
    assert!(rig.reason(alice).is_none());
}
