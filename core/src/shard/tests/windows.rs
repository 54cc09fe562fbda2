//! What may be in flight, and what becomes of what is not answered.

use super::rig::{Out, Rig};
use crate::ids::LinkId;
use crate::limits;
use crate::shard::{Action, CloseReason, Config, Event, Input};
use crate::wire::code;
use crate::wire::mobileimsdk::Frame;

fn say_many(rig: &mut Rig, to: &str, count: usize) -> Vec<String> {
    let alice = rig.tcp("alice");
    let ids: Vec<String> = (1..=count).map(|n| format!("m{n}")).collect();
    ids.iter().for_each(|id| rig.say(alice, to, id));
    ids
}

#[test]
fn a_stream_has_64_messages_in_flight_and_the_rest_follows() {
    let mut rig = Rig::new();
    let bob = rig.tcp("bob");
    let ids = say_many(&mut rig, "bob", 200);
    let mut got = rig.messages(bob);
    assert_eq!(got.len(), limits::WINDOW_MESSAGES_MAX);
    for (at, id) in ids.iter().enumerate() {
        rig.ack(bob, id, "alice");
        got.extend(rig.messages(bob));
        assert!(got.len() <= at + 1 + limits::WINDOW_MESSAGES_MAX);
    }
    assert_eq!(got, ids);
}

#[test]
fn a_stream_has_256_kib_in_flight() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    let body = "x".repeat(5_800);
    (0..64).for_each(|n| rig.say_body(alice, "bob", &format!("m{n}"), &body));
    let count = rig.messages(bob).len();
    assert!(count < 64, "{count}");
    assert!((count - 1) * 5_800 <= limits::WINDOW_BYTES_MAX, "{count}");
}

#[test]
fn udp_has_one_in_flight_until_it_is_proven_then_one_per_conversation() {
    let mut rig = Rig::new();
    let (alice, carol, bob) = (rig.tcp("alice"), rig.tcp("carol"), rig.udp("bob"));
    rig.say(alice, "bob", "a1");
    rig.say(carol, "bob", "c1");
    rig.say(alice, "bob", "a2");
    rig.say(carol, "bob", "c2");
    assert_eq!(rig.messages(bob), ["a1"]);
    rig.ack(bob, "nonsense", "alice");
    assert!(rig.messages(bob).is_empty());
    rig.ack(bob, "a1", "alice");
    assert_eq!(rig.messages(bob), ["c1", "a2"]);
    rig.ack(bob, "a2", "alice");
    assert!(rig.messages(bob).is_empty());
    rig.ack(bob, "c1", "carol");
    assert_eq!(rig.messages(bob), ["c2"]);
}

#[test]
fn the_udp_window_can_be_wider() {
    let mut rig = Rig::with(Config {
        udp_window: 3,
        ..Config::default()
    });
    let bob = rig.udp("bob");
    let ids = say_many(&mut rig, "bob", 6);
    assert_eq!(rig.messages(bob).len(), 1);
    rig.ack(bob, &ids[0], "alice");
    assert_eq!(rig.messages(bob), ids[1..4]);
}

#[test]
fn it_is_sent_again_after_5_10_20_40_s_and_then_waits_for_the_next_login() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.say(alice, "bob", "m1");
    assert_eq!(rig.messages(bob), ["m1"]);
    let mut times = Vec::new();
    let start = rig.ms;
    for _ in 0..200 {
        rig.pass(1_000);
        rig.beat(bob);
        if rig.messages(bob) == ["m1 again"] {
            times.push((rig.ms - start) / 1_000);
        }
    }
    assert_eq!(times.len(), 4);
    for (at, expected) in times.iter().zip([5, 15, 35, 75]) {
        assert!(at.abs_diff(expected) <= 1, "{times:?}");
    }
    let lost = rig
        .events
        .iter()
        .filter(|e| matches!(e, Event::Lost { .. }))
        .count();
    assert_eq!(lost, 1);
    let again = rig.tcp("bob");
    assert_eq!(rig.messages(again), ["m1"]);
}

#[test]
fn what_three_logins_did_not_answer_is_set_aside_and_blocks_nobody() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.say(alice, "bob", "m1");
    for login in 0..3 {
        let bob = rig.tcp("bob");
        assert_eq!(rig.messages(bob)[0], "m1", "login {login}");
        rig.pass_beating(bob, 145_000);
    }
    let aside = rig
        .events
        .iter()
        .filter(|e| matches!(e, Event::SetAside { .. }))
        .count();
    assert_eq!(aside, 1);
    let bob = rig.tcp("bob");
    assert_eq!(rig.messages(bob), [""; 0]);
}

#[test]
fn silence_of_20_s_while_something_is_in_flight_ends_the_link() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.pass(100_000);
    rig.say(alice, "bob", "m1");
    rig.pass(19_500);
    assert!(rig.reason(bob).is_none());
    rig.pass(1_000);
    assert_eq!(rig.reason(bob), Some(CloseReason::Unresponsive));
}

#[test]
fn an_acknowledgement_counts_whatever_its_from_and_to_say() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.say(alice, "bob", "m1");
    rig.ack(bob, "m1", "nobody");
    let again = rig.tcp("bob");
    assert!(rig.messages(again).is_empty());
}

#[test]
fn an_acknowledgement_that_comes_twice_does_not_count_for_another_message() {
    let mut rig = Rig::new();
    let (alice, carol, bob) = (rig.tcp("alice"), rig.tcp("carol"), rig.tcp("bob"));
    rig.say(alice, "bob", "1");
    rig.ack(bob, "1", "alice");
    rig.ack(bob, "1", "alice");
    rig.say(carol, "bob", "1");
    rig.ack(bob, "1", "alice");
    assert_eq!(rig.messages(bob), ["1", "1"]);
    let again = rig.tcp("bob");
    assert_eq!(rig.messages(again), ["1"]);
}

#[test]
fn an_early_acknowledgement_of_what_an_earlier_login_sent_counts() {
    let mut rig = Rig::new();
    let (alice, old) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.say(alice, "bob", "m1");
    rig.say(alice, "bob", "m2");
    rig.take(old);
    rig.hold_reads = true;
    let bob = rig.tcp("bob");
    rig.ack(bob, "m1", "alice");
    rig.hold_reads = false;
    rig.read();
    assert_eq!(rig.messages(bob), ["m2"]);
}

#[test]
fn an_acknowledgement_before_its_message_is_said_does_not_count() {
    let mut rig = Rig::new();
    let (alice, carol, bob) = (rig.tcp("alice"), rig.tcp("carol"), rig.tcp("bob"));
    rig.say(carol, "bob", "c1");
    rig.ack(bob, "m1", "alice");
    rig.say(alice, "bob", "m1");
    assert_eq!(rig.messages(bob), ["c1", "m1"]);
}

#[test]
fn a_load_that_an_earlier_login_asked_for_does_not_count() {
    let mut rig = Rig::new();
    let (alice, carol) = (rig.tcp("alice"), rig.tcp("carol"));
    rig.say(alice, "bob", "m1");
    rig.say(alice, "bob", "m2");
    rig.say(carol, "dave", "d1");
    let bob = rig.tcp("bob");
    rig.take(bob);
    rig.ack(bob, "m1", "alice");
    rig.hold_reads = true;
    rig.login(bob, "dave", 0, None);
    rig.read();
    let stale = crate::custody::Want {
        conversation: crate::ids::ConversationId(0),
        after: 0,
        upto: 2,
    };
    let loaded = Some(rig.store.load(&[stale], 10));
    rig.feed(Input::Loaded {
        link: bob,
        wants: vec![stale],
        loaded,
    });
    assert!(rig.messages(bob).is_empty());
    rig.read();
    assert_eq!(rig.messages(bob), ["d1"]);
}

#[test]
fn a_session_with_too_many_undecided_messages_is_not_read_until_half_are() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.hold_commits = true;
    for n in 0..limits::UNDECIDED_PER_SESSION_MAX {
        assert!(rig.paused.is_empty());
        rig.say(alice, "bob", &format!("m{n}"));
    }
    assert_eq!(rig.paused, [alice]);
    for _ in 0..=limits::UNDECIDED_PER_SESSION_MAX / 2 {
        assert_eq!(rig.paused, [alice]);
        rig.commit();
    }
    assert!(rig.paused.is_empty());
}

#[test]
fn a_verdict_after_the_load_delivers_nothing_twice() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.hold_reads = true;
    let bob = rig.tcp("bob");
    rig.hold_commits = true;
    rig.say(alice, "bob", "m1");
    let record = rig.commits.pop_front().unwrap();
    let verdict = rig.store.commit(&record);
    // Stored, but its verdict is still on its way when the backlog shows it.
    rig.hold_reads = false;
    rig.read();
    assert_eq!(rig.messages(bob), ["m1"]);
    rig.ack(bob, "m1", "alice");
    rig.feed(Input::Verdict(verdict));
    assert_eq!(rig.messages(bob), [""; 0]);
    assert_eq!(rig.acks(alice), ["m1"]);
}

#[test]
fn a_cursor_never_goes_back_because_of_own_messages() {
    let mut rig = Rig::new();
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.say(alice, "bob", "a1");
    rig.ack(bob, "a1", "alice");
    rig.say(bob, "alice", "b1");
    rig.say(alice, "bob", "a2");
    rig.ack(bob, "a2", "alice");
    rig.pass_beating(bob, 200_000);
    rig.feed(Input::Closed { link: bob });
    let again = rig.tcp("bob");
    assert!(rig.messages(again).is_empty());
}

#[test]
fn own_messages_do_not_come_back_after_a_crash_of_the_cursor() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.say(alice, "bob", "a1");
    rig.store.cursors.clear();
    let again = rig.tcp("alice");
    assert!(rig.messages(again).is_empty());
}

#[test]
fn a_store_that_cannot_be_read_ends_the_session_that_needs_it() {
    let mut rig = Rig::new();
    rig.hold_reads = true;
    let alice = rig.tcp("alice");
    rig.reads.clear();
    rig.feed(Input::Backlog {
        link: alice,
        backlog: None,
    });
    assert_eq!(rig.reason(alice), Some(CloseReason::Store));
    assert!(
        rig.take(alice)
            .iter()
            .all(|o| !matches!(o, Out::Control(code::KICKOUT, _)))
    );
}

fn received(link: LinkId, id: &str) -> Input<'_> {
    let frame = Frame {
        kind: code::RECEIVED,
        data: Some(id.into()),
        to: Some("alice".into()),
        ..Frame::default()
    };
    let bytes = 100;
    Input::Frame { link, frame, bytes }
}

#[test]
fn what_came_together_is_remembered_once_and_leaves_the_whole_window_free() {
    let mut rig = Rig::new();
    let bob = rig.tcp("bob");
    let ids = say_many(&mut rig, "bob", 3 * limits::WINDOW_MESSAGES_MAX);
    let first = rig.messages(bob);
    assert_eq!(first.len(), limits::WINDOW_MESSAGES_MAX);
    let inputs = first.iter().map(|id| received(bob, id));
    let actions = rig.feed_all(inputs);
    let of_kind = |is: fn(&Action) -> bool| actions.iter().filter(|a| is(a)).count();
    assert_eq!(of_kind(|a| matches!(a, Action::Remember(_))), 1);
    assert_eq!(of_kind(|a| matches!(a, Action::Load { .. })), 1);
    assert_eq!(rig.messages(bob), ids[first.len()..2 * first.len()]);
}

#[test]
fn what_was_acknowledged_together_with_a_logout_is_remembered() {
    let mut rig = Rig::new();
    let bob = rig.tcp("bob");
    say_many(&mut rig, "bob", 2);
    let frame = Frame {
        kind: code::LOGOUT,
        ..Frame::default()
    };
    let logout = Input::Frame {
        link: bob,
        frame,
        bytes: 50,
    };
    rig.feed_all([received(bob, "m1"), received(bob, "m2"), logout]);
    let bob = rig.tcp("bob");
    assert_eq!(rig.messages(bob), [""; 0]);
}

/// Two messages of one id are in flight, and others are sent again meanwhile: that must not make
/// the session forget which acknowledgement it has counted.
#[test]
fn h6_an_acknowledgement_that_the_network_doubles_does_not_count_for_another_message() {
    let mut rig = Rig::new();
    let (alice, carol, bob) = (rig.tcp("alice"), rig.tcp("carol"), rig.tcp("bob"));
    rig.say(alice, "bob", "early");
    rig.pass(100);
    rig.say(carol, "bob", "later");
    rig.pass(limits::RESEND_FIRST_MS - 200);
    rig.say(alice, "bob", "1");
    rig.say(carol, "bob", "1");
    rig.ack(bob, "1", "alice");
    rig.take(bob);
    rig.pass(500);
    assert_eq!(rig.messages(bob), ["early again", "later again"]);
    rig.ack(bob, "1", "alice");
    rig.frame(bob, code::LOGOUT, "bob", "0", None, None, false);
    let again = rig.tcp("bob");
    assert_eq!(rig.messages(again), ["early", "later", "1"]);
}

/// A login and two messages are one batch. Before its verdicts are told, the session before reads
/// the messages from the store, and acknowledges them.
#[test]
fn h7_a_cursor_does_not_go_back_for_a_verdict_that_comes_after_its_acknowledgement() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.hold_reads = true;
    let old = rig.tcp("bob");
    rig.hold_commits = true;
    let bob = rig.tcp("bob");
    rig.say(alice, "bob", "m1");
    rig.say(alice, "bob", "m2");
    let records = std::mem::take(&mut rig.commits);
    let verdicts: Vec<_> = records.iter().map(|r| rig.store.commit(r)).collect();
    rig.hold_commits = false;
    rig.hold_reads = false;
    rig.read();
    assert_eq!(rig.messages(old), ["m1", "m2"]);
    rig.ack(old, "m1", "alice");
    rig.ack(old, "m2", "alice");
    let acked = |rig: &Rig| rig.store.cursors.values().map(|c| c.acked).max();
    assert_eq!(acked(&rig), Some(2));
    rig.hold_reads = true;
    for verdict in verdicts {
        rig.feed(Input::Verdict(verdict));
    }
    assert_eq!(rig.reason(old), Some(CloseReason::Replaced));
    rig.hold_reads = false;
    rig.read();
    assert_eq!(rig.messages(bob), [""; 0]);
    rig.say(alice, "bob", "m3");
    assert_eq!(rig.messages(bob), ["m3"]);
    rig.ack(bob, "m3", "alice");
    assert_eq!(acked(&rig), Some(3));
}

/// Bob's client dies on "killer" before it acknowledges it, and comes back at once.
fn dies_of_killer(rig: &mut Rig, bob: LinkId) -> LinkId {
    rig.pass(1_000);
    rig.feed(Input::Closed { link: bob });
    rig.tcp("bob")
}

fn stepped_aside(rig: &Rig) -> Vec<u32> {
    let ends = rig.events.iter().filter_map(|event| match event {
        Event::SteppedAside { user, ends, .. } if **user == *"bob" => Some(*ends),
        _ => None,
    });
    ends.collect()
}

#[test]
fn c1_a_message_that_kills_its_receiver_steps_aside_and_the_rest_arrives() {
    let mut rig = Rig::new();
    let (alice, carol, mut bob) = (rig.tcp("alice"), rig.tcp("carol"), rig.tcp("bob"));
    rig.say(alice, "bob", "killer");
    rig.say(alice, "bob", "behind");
    rig.say(carol, "bob", "other");
    assert_eq!(rig.messages(bob), ["killer", "behind", "other"]);
    // From the second login on one at a time: nobody else is blamed.
    for _ in 0..2 {
        bob = dies_of_killer(&mut rig, bob);
        assert_eq!(rig.messages(bob), ["killer"]);
        assert_eq!(stepped_aside(&rig), [0; 0]);
    }
    bob = dies_of_killer(&mut rig, bob);
    assert_eq!(stepped_aside(&rig), [3]);
    assert_eq!(rig.messages(bob), ["behind"]);
    rig.ack(bob, "behind", "alice");
    assert_eq!(rig.messages(bob), ["other"]);
    rig.ack(bob, "other", "carol");
    rig.say(alice, "bob", "later");
    assert_eq!(rig.messages(bob), ["later"]);
    rig.ack(bob, "later", "alice");
    // It is tried again after a minute, alone.
    rig.pass_beating(bob, 50_000);
    assert_eq!(rig.messages(bob), [""; 0]);
    rig.pass_beating(bob, 15_000);
    rig.say(alice, "bob", "meanwhile");
    assert_eq!(rig.messages(bob)[0], "killer");
    // This time the client survives it.
    rig.ack(bob, "killer", "alice");
    let rest = rig.messages(bob);
    assert!(rest.is_empty() || rest == ["meanwhile"], "{rest:?}");
    rig.ack(bob, "meanwhile", "alice");
    let again = rig.tcp("bob");
    assert_eq!(rig.messages(again), [""; 0]);
}

#[test]
fn c1_what_kills_its_receiver_each_time_is_set_aside_after_ten_trials() {
    let mut rig = Rig::new();
    let (alice, mut bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.say(alice, "bob", "killer");
    let mut deaths = 0;
    let two_days = rig.ms + 2 * 24 * 60 * 60_000;
    while rig.ms < two_days {
        let killed = rig.messages(bob).contains(&"killer".to_owned());
        if killed {
            deaths += 1;
            bob = dies_of_killer(&mut rig, bob);
            continue;
        }
        rig.pass_beating(bob, 5_000);
    }
    let all = limits::LINK_ENDS_MAX + limits::TRIALS_MAX;
    assert_eq!(deaths, all);
    let aside = |e: &&Event| matches!(e, Event::SetAside { .. });
    assert_eq!(rig.events.iter().filter(aside).count(), 1);
    assert_eq!(
        stepped_aside(&rig),
        (limits::LINK_ENDS_MAX..all).collect::<Vec<_>>()
    );
}

#[test]
fn c1_a_client_that_logs_out_or_is_kicked_by_an_operator_was_not_killed() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.say(alice, "bob", "m1");
    rig.say(alice, "bob", "m2");
    for _ in 0..5 {
        let bob = rig.tcp("bob");
        assert_eq!(rig.messages(bob), ["m1", "m2"]);
        rig.frame(bob, code::LOGOUT, "bob", "0", None, None, false);
    }
    for _ in 0..5 {
        let bob = rig.tcp("bob");
        assert_eq!(rig.messages(bob), ["m1", "m2"]);
        let (user, code) = ("bob", code::KICK_BY_ADMIN);
        rig.feed(Input::Kick {
            user,
            code,
            reason: None,
        });
    }
    // Long after it was sent the end of a link says nothing about it.
    for _ in 0..5 {
        let bob = rig.tcp("bob");
        assert_eq!(rig.messages(bob), ["m1", "m2"]);
        rig.pass_beating(bob, 30_000);
        rig.take(bob);
        rig.feed(Input::Closed { link: bob });
    }
}
