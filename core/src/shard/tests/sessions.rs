//! The rules of `docs/protocol.md` §5: login, takeover, heartbeats, silence.

use super::rig::{Out, Rig};
use crate::ids::LinkId;
use crate::limits;
use crate::session::Transport;
use crate::shard::{CloseReason, Config, Event, Input, SecondLogin};
use crate::time::Time;
use crate::wire::code;

fn policy(second_login: SecondLogin) -> Rig {
    Rig::with(Config {
        second_login,
        ..Config::default()
    })
}

fn presents(rig: &mut Rig, user: &str, presented: i64) -> LinkId {
    let link = rig.open(Transport::Tcp);
    rig.login(link, user, presented, None);
    link
}

#[test]
fn a_fresh_login_kicks_the_one_before_after_it_was_answered() {
    let mut rig = Rig::new();
    let first = rig.tcp("alice");
    rig.out.clear();
    let second = rig.tcp("alice");
    let kinds: Vec<(LinkId, i32)> = rig
        .out
        .iter()
        .filter_map(|(link, out)| match out {
            Out::Control(kind, _) => Some((*link, *kind)),
            _ => None,
        })
        .collect();
    assert_eq!(
        kinds,
        [(second, code::LOGIN_ANSWER), (first, code::KICKOUT)]
    );
    assert_eq!(rig.reason(first), Some(CloseReason::Replaced));
    assert_eq!(rig.shard.links_of("alice"), [second]);
}

#[test]
fn an_equal_first_login_time_closes_the_old_link_without_a_kick() {
    let mut rig = Rig::new();
    let first = rig.tcp("alice");
    let time = rig.answers(first)[0].1;
    let second = presents(&mut rig, "alice", time);
    assert!(!rig.kinds(first).contains(&code::KICKOUT));
    assert_eq!(rig.reason(first), Some(CloseReason::Superseded));
    assert_eq!(rig.answers(second), [(0, time)]);
}

#[test]
fn an_older_first_login_time_is_told_that_it_is_stale() {
    let mut rig = Rig::new();
    let first = rig.tcp("alice");
    let old = rig.answers(first)[0].1;
    let second = rig.tcp("alice");
    let third = presents(&mut rig, "alice", old);
    assert_eq!(rig.kinds(third), [code::LOGIN_ANSWER, code::KICKOUT]);
    assert_eq!(rig.reason(third), Some(CloseReason::Replaced));
    assert_eq!(rig.shard.links_of("alice"), [second]);
}

#[test]
fn an_invented_first_login_time_counts_as_none() {
    let mut rig = Rig::new();
    let first = rig.tcp("alice");
    let issued = rig.answers(first)[0].1;
    let second = presents(&mut rig, "alice", 9_999_999_999_999);
    let (_, given) = rig.answers(second)[0];
    assert!(given > issued && given < 9_999_999_999_999);
    assert!(rig.kinds(first).contains(&code::KICKOUT));
    let third = rig.tcp("alice");
    assert!(rig.answers(third)[0].1 > given);
    assert_eq!(rig.shard.links_of("alice"), [third]);
}

#[test]
fn classes_do_not_replace_each_other() {
    let mut rig = Rig::new();
    let phone = rig.ours("alice", "p", "phone", false);
    let web = rig.ours("alice", "w", "web", false);
    assert_eq!(rig.shard.links_of("alice"), [phone, web]);
    let other = rig.ours("alice", "p2", "phone", false);
    assert_eq!(rig.shard.links_of("alice"), [web, other]);
}

#[test]
fn coexisting_devices_stay_but_a_device_replaces_itself() {
    let mut rig = policy(SecondLogin::Coexist);
    let one = rig.ours("alice", "p", "phone", false);
    let two = rig.ours("alice", "q", "phone", false);
    assert_eq!(rig.shard.links_of("alice"), [one, two]);
    let again = rig.ours("alice", "p", "phone", false);
    assert_eq!(rig.shard.links_of("alice"), [two, again]);
}

#[test]
fn refusing_keeps_the_first_but_lets_a_named_device_come_back() {
    let mut rig = policy(SecondLogin::Refuse);
    let one = rig.ours("alice", "p", "phone", false);
    let two = rig.ours("alice", "q", "phone", false);
    assert_eq!(rig.answers(two), [(code::REFUSED_SESSION, -1)]);
    assert_eq!(rig.reason(two), Some(CloseReason::LoginRefused));
    assert_eq!(rig.shard.links_of("alice"), [one]);
    let again = rig.ours("alice", "p", "phone", false);
    assert_eq!(rig.shard.links_of("alice"), [again]);
    let legacy = (rig.tcp("bob"), rig.tcp("bob"));
    assert_eq!(rig.shard.links_of("bob"), [legacy.0]);
}

#[test]
fn one_session_too_many_kicks_the_oldest() {
    let mut rig = policy(SecondLogin::Coexist);
    let mut links = Vec::new();
    for number in 0..=limits::SESSIONS_PER_USER_MAX {
        links.push(rig.ours("alice", &format!("d{number}"), "phone", false));
    }
    assert_eq!(rig.reason(links[0]), Some(CloseReason::Replaced));
    assert_eq!(
        rig.shard.links_of("alice").len(),
        limits::SESSIONS_PER_USER_MAX
    );
}

#[test]
fn frames_after_a_login_wait_for_its_outcome_in_order() {
    let mut rig = Rig::new();
    let bob = rig.tcp("bob");
    rig.hold_verifies = true;
    let alice = rig.tcp("alice");
    rig.say(alice, "bob", "m1");
    rig.say(alice, "bob", "m2");
    rig.beat(alice);
    assert!(rig.take(alice).is_empty());
    rig.verify();
    assert_eq!(rig.messages(bob), ["m1", "m2"]);
    assert_eq!(rig.acks(alice), ["m1", "m2"]);
}

#[test]
fn too_many_frames_before_the_outcome_close_the_link() {
    let mut rig = Rig::new();
    rig.hold_verifies = true;
    let alice = rig.tcp("alice");
    (0..=limits::HELD_FRAMES_MAX).for_each(|_| rig.beat(alice));
    assert_eq!(rig.reason(alice), Some(CloseReason::TooManyHeld));
}

#[test]
fn a_doubled_login_is_answered_again_and_is_no_later_login() {
    let mut rig = Rig::new();
    let link = rig.udp("alice");
    let first = rig.answers(link);
    rig.login(link, "alice", 0, None);
    assert_eq!(rig.answers(link), first);
    let logins = rig
        .events
        .iter()
        .filter(|e| matches!(e, Event::LoggedIn { .. }))
        .count();
    assert_eq!(logins, 1);
    // What the client was told first is still good for its return.
    let back = rig.open(Transport::Udp);
    rig.login(back, "alice", first[0].1, None);
    assert_eq!(rig.answers(back), first);
    assert_eq!(rig.shard.links_of("alice"), [back]);
}

#[test]
fn a_read_of_the_login_before_on_the_link_does_not_count() {
    let mut rig = Rig::new();
    let bob = rig.tcp("bob");
    rig.say(bob, "carol", "c1");
    rig.say(bob, "alice", "a1");
    rig.hold_reads = true;
    let link = rig.tcp("carol");
    rig.login(link, "alice", 0, None);
    rig.hold_reads = false;
    rig.read();
    rig.read();
    assert_eq!(rig.messages(link), ["a1"]);
}

#[test]
fn what_commits_while_the_backlog_is_read_is_not_missed() {
    let mut rig = Rig::new();
    rig.store
        .groups
        .insert("#g".into(), vec!["alice".into(), "bob".into()]);
    let bob = rig.tcp("bob");
    rig.hold_reads = true;
    let alice = rig.tcp("alice");
    let backlog = Some(rig.store.backlog("alice", crate::ids::DeviceId(1)));
    rig.reads.clear();
    rig.say(bob, "alice", "m1");
    rig.say(bob, "#g", "g1");
    rig.hold_reads = false;
    rig.feed(Input::Backlog {
        link: alice,
        backlog,
    });
    rig.say(bob, "#g", "g2");
    assert_eq!(rig.messages(alice), ["m1", "g1", "g2"]);
}

#[test]
fn who_joins_a_group_while_online_gets_what_follows() {
    let mut rig = Rig::new();
    rig.store.groups.insert("#g".into(), vec!["bob".into()]);
    let (alice, bob) = (rig.tcp("alice"), rig.tcp("bob"));
    rig.store
        .groups
        .insert("#g".into(), vec!["bob".into(), "alice".into()]);
    // Stored before the machine learns of the new member.
    rig.say(bob, "#g", "g1");
    rig.feed(Input::Membership {
        group: "#g",
        user: "alice",
        member: true,
    });
    rig.say(bob, "#g", "g2");
    assert_eq!(rig.messages(alice), ["g1", "g2"]);
    rig.feed(Input::Membership {
        group: "#g",
        user: "alice",
        member: false,
    });
    rig.say(bob, "#g", "g3");
    assert!(rig.messages(alice).is_empty());
}

#[test]
fn a_session_that_ended_is_heard_no_more() {
    let mut rig = Rig::new();
    let old = rig.udp("alice");
    let new = rig.udp("alice");
    let bob = rig.tcp("bob");
    rig.take(old);
    rig.say(old, "bob", "m1");
    rig.beat(old);
    rig.login(old, "alice", 0, None);
    rig.frame(old, code::LOGOUT, "alice", "0", None, None, false);
    assert!(rig.take(old).is_empty() && rig.messages(bob).is_empty());
    assert_eq!(rig.shard.links_of("alice"), [new]);
}

#[test]
fn an_operators_kick_ends_every_session_with_its_code() {
    let mut rig = Rig::new();
    let phone = rig.ours("alice", "p", "phone", false);
    let web = rig.ours("alice", "w", "web", false);
    rig.feed(Input::Kick {
        user: "alice",
        code: code::KICK_BY_ADMIN,
        reason: Some("bye"),
    });
    for link in [phone, web] {
        assert_eq!(rig.kinds(link).last(), Some(&code::KICKOUT));
        assert_eq!(rig.reason(link), Some(CloseReason::Kicked));
    }
    let by_admin = |e: &&Event| {
        matches!(
            e,
            Event::LoggedOut {
                kick_code: code::KICK_BY_ADMIN,
                ..
            }
        )
    };
    assert_eq!(rig.events.iter().filter(by_admin).count(), 2);
}

/// What is decided about a login when its user is kicked must not outlive the kick.
#[test]
fn s4_a_kick_ends_logins_that_are_not_decided() {
    let mut rig = Rig::new();
    rig.hold_verifies = true;
    let asked = rig.open(Transport::Tcp);
    rig.login(asked, "alice", 0, None);
    let other = rig.open(Transport::Tcp);
    rig.login(other, "bob", 0, None);
    rig.hold_verifies = false;
    rig.hold_commits = true;
    let let_in = rig.open(Transport::Tcp);
    rig.login(let_in, "alice", 0, None);
    rig.feed(Input::Kick {
        user: "alice",
        code: code::KICK_BY_ADMIN,
        reason: None,
    });
    for link in [asked, let_in] {
        assert_eq!(rig.reason(link), Some(CloseReason::LoginRefused));
    }
    rig.hold_commits = false;
    rig.commit();
    rig.verify();
    rig.verify();
    assert!(rig.shard.links_of("alice").is_empty());
    assert_eq!(rig.shard.links_of("bob"), [other]);
}

#[test]
fn b23_a_session_ends_when_what_it_was_let_in_with_ends() {
    let mut rig = Rig::new();
    rig.verified_until = Time(rig.ms + 60_000);
    let (tcp, udp) = (rig.tcp("alice"), rig.udp("bob"));
    let pass = |rig: &mut Rig, seconds: u32| {
        for _ in 0..seconds {
            rig.pass(1_000);
            rig.beat(tcp);
            rig.beat(udp);
        }
    };
    pass(&mut rig, 59);
    assert_eq!((rig.reason(tcp), rig.reason(udp)), (None, None));
    // A later login on the same link counts from then on.
    rig.verified_until = Time(u64::MAX);
    rig.login(udp, "bob", 0, None);
    pass(&mut rig, 2);
    assert_eq!(rig.reason(tcp), Some(CloseReason::Expired));
    assert_eq!(rig.reason(udp), None);
    assert!(rig.shard.links_of("alice").is_empty());
}

#[test]
fn the_idle_limit_is_130_s_until_a_rhythm_is_known() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    rig.pass(129_000);
    assert!(rig.reason(alice).is_none());
    rig.pass(1_500);
    assert_eq!(rig.reason(alice), Some(CloseReason::Idle));
}

#[test]
fn the_idle_limit_is_learned_from_the_heartbeats() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    for _ in 0..3 {
        rig.pass(8_000);
        rig.beat(alice);
    }
    rig.pass(19_500);
    assert!(rig.reason(alice).is_none());
    rig.pass(1_000);
    assert_eq!(rig.reason(alice), Some(CloseReason::Idle));
}

#[test]
fn the_learned_limit_is_10_s_at_least() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    for _ in 0..3 {
        rig.pass(1_000);
        rig.beat(alice);
    }
    rig.pass(9_500);
    assert!(rig.reason(alice).is_none());
    rig.pass(1_000);
    assert_eq!(rig.reason(alice), Some(CloseReason::Idle));
}

#[test]
fn every_sense_class_has_the_limit_of_the_table() {
    let table = [
        ("3S", 7, 10),
        ("5S", 11, 11),
        ("10S", 15, 21),
        ("15S", 20, 31),
        ("30S", 35, 62),
        ("60S", 65, 122),
        ("120S", 125, 242),
    ];
    for (sense, stream_s, udp_s) in table {
        let limits = [
            (Transport::Tcp, stream_s),
            (Transport::WebSocket, stream_s),
            (Transport::Udp, udp_s),
        ];
        for (transport, s) in limits {
            let sense = Some(sense.parse().unwrap());
            let mut rig = Rig::with(Config {
                sense,
                ..Config::default()
            });
            let link = rig.open(transport);
            rig.login(link, "alice", 0, None);
            rig.pass(s * 1_000 - 1);
            assert!(rig.reason(link).is_none(), "{sense:?} {transport:?}");
            rig.pass(300);
            assert_eq!(
                rig.reason(link),
                Some(CloseReason::Idle),
                "{sense:?} {transport:?}"
            );
        }
    }
}

#[test]
fn a_ping_is_a_sign_of_life() {
    let mut rig = Rig::new();
    let alice = rig.tcp("alice");
    for _ in 0..10 {
        rig.pass(100_000);
        rig.feed(Input::Heard { link: alice });
    }
    assert!(rig.reason(alice).is_none());
}

#[test]
fn a_login_that_names_nobody_ends_the_link() {
    let mut rig = Rig::new();
    let link = rig.open(Transport::Tcp);
    rig.frame(link, code::LOGIN, "x", "0", Some("{}"), None, false);
    assert!(rig.take(link).is_empty());
    assert_eq!(rig.reason(link), Some(CloseReason::BadFrame));
}

#[test]
fn a_wrong_token_is_answered_with_the_applications_code() {
    let mut rig = Rig::new();
    let link = rig.open(Transport::Tcp);
    rig.login_with(link, "alice", "wrong", 0, None);
    assert_eq!(rig.answers(link), [(1025, -1)]);
    assert_eq!(rig.reason(link), Some(CloseReason::LoginRefused));
}

#[test]
fn each_login_is_told_once_and_each_end_once() {
    let mut rig = Rig::new();
    let one = rig.tcp("alice");
    rig.tcp("alice");
    rig.feed(Input::Closed { link: one });
    let count = |wanted: fn(&Event) -> bool| rig.events.iter().filter(|e| wanted(e)).count();
    assert_eq!(count(|e| matches!(e, Event::LoggedIn { .. })), 2);
    assert_eq!(count(|e| matches!(e, Event::LoggedOut { .. })), 1);
}

#[test]
fn a_stock_udp_client_with_a_short_token_is_answered() {
    for (user, token) in [("aliceT", "tok"), ("a", "1"), ("a", "")] {
        let mut rig = Rig::new();
        let link = rig.open(Transport::Udp);
        rig.login_with(link, user, token, 0, None);
        assert_eq!(rig.answers(link), [(1025, -1)], "{user} {token:?}");
        let link = rig.open(Transport::Udp);
        rig.hold_verifies = true;
        rig.login_with(link, user, token, 0, None);
        rig.verifies.clear();
        let until = Time(u64::MAX);
        rig.feed(Input::Verified {
            link,
            code: 0,
            until,
        });
        assert_eq!(rig.answers(link).len(), 1, "{user} {token:?}");
    }
}
