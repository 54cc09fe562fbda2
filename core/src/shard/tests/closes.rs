//! What MobileIMSDK leaves open and a server can close: the rows of `docs/protocol.md` §9. The
//! numbers in names only tell them apart. Those that are a matter of sockets, disks or clusters are tested
//! where those are: 8, 17 to 24 in part.

use super::rig::{Out, Rig};
use crate::limits;
use crate::session::Transport;
use crate::shard::{CloseReason, Event, Input};
use crate::wire::code;

#[test]
fn closes_10_1_a_second_login_is_verified_like_the_first() {
    let mut rig = Rig::new();
    let (victim, attacker) = (rig.tcp("alice"), rig.tcp("mallory"));
    rig.take(attacker);
    rig.login_with(attacker, "alice", "wrong", 0, None);
    assert_eq!(rig.answers(attacker), [(1025, -1)]);
    assert_eq!(rig.reason(attacker), Some(CloseReason::LoginRefused));
    assert_eq!(rig.shard.links_of("alice"), [victim]);
}

#[test]
fn closes_10_2_from_is_who_the_session_logged_in_as() {
    let mut rig = Rig::new();
    let (mallory, bob) = (rig.tcp("mallory"), rig.tcp("bob"));
    rig.frame(
        mallory,
        code::COMMON_DATA,
        "0",
        "bob",
        Some("pay"),
        Some("m1"),
        true,
    );
    rig.frame(
        mallory,
        code::COMMON_DATA,
        "alice",
        "bob",
        Some("pay"),
        Some("n1"),
        false,
    );
    assert_eq!(rig.messages(bob), ["m1", "n1"]);
    assert_eq!(&*rig.store.log[0].from, "mallory");
}

#[test]
fn closes_10_3_an_invented_login_time_wins_nothing() {
    let mut rig = Rig::new();
    let thief = rig.open(Transport::Tcp);
    rig.login(thief, "alice", i64::MAX, None);
    let given = rig.answers(thief)[0].1;
    assert!(given < i64::MAX / 2);
    let owner = rig.tcp("alice");
    assert_eq!(rig.shard.links_of("alice"), [owner]);
}

#[test]
fn closes_10_4_an_acknowledgement_counts_for_the_one_who_gives_it() {
    let mut rig = Rig::new();
    let (alice, bob, mallory) = (rig.tcp("alice"), rig.tcp("bob"), rig.tcp("mallory"));
    rig.say(alice, "bob", "m1");
    rig.frame(
        mallory,
        code::RECEIVED,
        "bob",
        "alice",
        Some("m1"),
        None,
        false,
    );
    assert_eq!(rig.messages(bob), ["m1"]);
    let again = rig.tcp("bob");
    assert_eq!(rig.messages(again), ["m1"]);
}

#[test]
fn closes_10_6_a_forged_datagram_ends_nothing() {
    let mut rig = Rig::new();
    let alice = rig.udp("alice");
    rig.feed(Input::Unreadable {
        link: alice,
        reason: "garbage".into(),
    });
    rig.frame(alice, code::LOGOUT, "mallory", "0", None, None, false);
    rig.login_with(alice, "mallory", "wrong", 0, None);
    assert!(rig.reason(alice).is_none());
    assert_eq!(rig.user_on(alice).as_deref(), Some("alice"));
}

#[test]
fn closes_10_7_who_does_not_log_in_is_closed() {
    let mut rig = Rig::new();
    let link = rig.open(Transport::Tcp);
    for _ in 0..20 {
        rig.pass(2_000);
        rig.frame(link, code::ECHO, "a", "0", Some("hi"), None, false);
        rig.frame(link, 99, "a", "0", Some("hi"), None, false);
    }
    assert_eq!(rig.reason(link), Some(CloseReason::LoginTimeout));
}

#[test]
fn closes_10_9_reserved_and_unreadable_ids_cannot_log_in() {
    let mut rig = Rig::new();
    for user in ["0", "-1", "#g", "@t", "a\u{0}b", &"x".repeat(65)] {
        let link = rig.tcp(user);
        assert_eq!(rig.answers(link), [(code::REFUSED_ADDRESS, -1)], "{user:?}");
        assert!(rig.shard.links_of(user).is_empty());
    }
}

#[test]
fn closes_10_10_what_was_acknowledged_at_once_is_not_sent_again() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    for n in 0..100 {
        let id = format!("m{n}");
        rig.say(alice, "bob", &id);
        rig.ack(bob, &id, "alice");
    }
    assert_eq!(rig.messages(bob).len(), 100);
    rig.pass_beating(bob, 120_000);
    assert!(rig.messages(bob).is_empty());
}

#[test]
fn closes_10_11_a_poison_message_reaches_nobody() {
    let mut rig = Rig::new();
    let alice = rig.open(Transport::WebSocket);
    rig.login(alice, "alice", 0, None);
    let (tcp, udp) = (rig.tcp("bob"), rig.udp("carol"));
    rig.say_body(alice, "bob", "m1", &"x".repeat(7_000));
    rig.say_body(alice, "carol", "m2", &"x".repeat(1_500));
    assert!(rig.messages(tcp).is_empty() && rig.messages(udp).is_empty());
    assert_eq!(rig.acks(alice), ["m1", "m2"]);
    assert_eq!(rig.store.log.len(), 2);
}

#[test]
fn closes_10_12_an_acknowledged_message_survives_a_dead_receiver() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.say(alice, "bob", "m1");
    assert_eq!(rig.acks(alice), ["m1"]);
    rig.feed(Input::Closed { link: bob });
    let again = rig.tcp("bob");
    assert_eq!(rig.messages(again), ["m1"]);
}

#[test]
fn closes_10_13_messages_wait_for_who_is_offline_and_stay_in_order() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    let ids: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    ids.iter().for_each(|id| rig.say(alice, "bob", id));
    let bob = rig.tcp("bob");
    assert_eq!(rig.messages(bob), ids);
}

#[test]
fn closes_10_14_not_deliverable_is_told_once_however_often_it_is_sent() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    (0..3).for_each(|_| rig.say(alice, "bob", "m1"));
    let told = |e: &&Event| matches!(e, Event::NotDeliverableNow(_));
    assert_eq!(rig.events.iter().filter(told).count(), 1);
}

#[test]
fn closes_10_15_the_end_of_an_old_link_leaves_the_new_one_alone() {
    let mut rig = Rig::new();
    let old = rig.tcp("alice");
    let new = rig.tcp("alice");
    rig.feed(Input::Closed { link: old });
    assert_eq!(rig.shard.links_of("alice"), [new]);
}

#[test]
fn closes_10_16_a_kicked_udp_session_is_logged_out_and_answers_go_to_who_asks() {
    let mut rig = Rig::new();
    let old = rig.udp("alice");
    let new = rig.udp("alice");
    assert_eq!(rig.reason(old), Some(CloseReason::Replaced));
    assert!(rig.user_on(old).is_none());
    rig.take(old);
    rig.take(new);
    rig.beat(old);
    assert!(rig.take(old).is_empty() && rig.take(new).is_empty());
    rig.beat(new);
    assert_eq!(rig.kinds(new), [code::KEEPALIVE_ANSWER]);
}

#[test]
fn closes_10_17_a_duplicate_kick_is_told_as_a_logout_with_its_reason() {
    let mut rig = Rig::new();
    let old = rig.tcp("alice");
    rig.tcp("alice");
    let kicked = rig.events.iter().any(|e| {
        matches!(e, Event::LoggedOut { link, kick_code: code::KICK_DUPLICATE_LOGIN, .. }
            if *link == old)
    });
    assert!(kicked);
}

#[test]
fn closes_10_19_one_bad_frame_gets_an_error_and_costs_nobody_else() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.feed(Input::Unreadable {
        link: alice,
        reason: "not JSON".into(),
    });
    assert_eq!(rig.refusals(alice), [code::REFUSED_FRAME]);
    rig.say(alice, "bob", "m1");
    assert_eq!(rig.messages(bob), ["m1"]);
    let stranger = rig.open(Transport::Tcp);
    rig.feed(Input::Unreadable {
        link: stranger,
        reason: "not JSON".into(),
    });
    assert_eq!(rig.reason(stranger), Some(CloseReason::BadFrame));
}

#[test]
fn closes_10_21_a_slow_reader_has_a_bounded_window() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    (0..1_000).for_each(|n| rig.say(alice, "bob", &format!("m{n}")));
    assert_eq!(rig.messages(bob).len(), limits::WINDOW_MESSAGES_MAX);
    assert_eq!(rig.acks(alice).len(), 1_000);
}

#[test]
fn before_a_login_a_stream_is_told_301_and_closed() {
    let mut rig = Rig::new();
    let link = rig.open(Transport::Tcp);
    rig.say(link, "bob", "m1");
    let out = rig.take(link);
    let is_301 = |o: &Out| matches!(o, Out::Control(code::ERROR, data) if data.contains("301"));
    assert!(out.iter().all(is_301) && out.len() == 1, "{out:?}");
    assert_eq!(rig.reason(link), Some(CloseReason::NotLoggedIn));
    assert!(rig.store.log.is_empty());
}
