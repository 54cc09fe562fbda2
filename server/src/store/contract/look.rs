//! What people ask: messages by id, users, receipts, sizes.

use super::*;
use crate::store::{Receipt, Search};

fn search(id: &str, between: Option<(&str, &str)>) -> Search {
    Search {
        id: name(id),
        between: between.map(|(from, to)| (name(from), name(to))),
    }
}

fn found(fixture: &dyn Fixture, search: &Search) -> Vec<u64> {
    let found = fixture.store().find(search).unwrap();
    found.iter().map(|message| message.position).collect()
}

/// Of everybody, the newest first.
pub fn a_message_is_found_by_its_id(fixture: &mut dyn Fixture) {
    let one = send(fixture.store(), "alice", "bob", "x").position;
    send(fixture.store(), "alice", "bob", "y");
    let other = send(fixture.store(), "carol", "bob", "x").position;
    for _ in 0..3 {
        assert_eq!(found(fixture, &search("x", None)), [other, one]);
        assert_eq!(found(fixture, &search("z", None)), [0; 0]);
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
}

/// And nobody else's.
pub fn a_message_of_a_sender_is_found(fixture: &mut dyn Fixture) {
    let one = send(fixture.store(), "alice", "bob", "x").position;
    send(fixture.store(), "bob", "alice", "x");
    for _ in 0..3 {
        let between = |from, to| found(fixture, &search("x", Some((from, to))));
        assert_eq!(between("alice", "bob"), [one]);
        assert_eq!(between("alice", "carol"), [0; 0]);
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
}

/// At most [`SEARCH_FOUND_MAX`](limits::SEARCH_FOUND_MAX), and those are the newest.
pub fn so_many_are_found(fixture: &mut dyn Fixture) {
    let max = limits::SEARCH_FOUND_MAX;
    let sent: Vec<u64> = (0..=max)
        .map(|at| send(fixture.store(), &format!("u{at}"), "bob", "x").position)
        .collect();
    let newest: Vec<u64> = sent.into_iter().rev().take(max).collect();
    assert_eq!(found(fixture, &search("x", None)), newest);
}

/// Once they have logged in, in pages by name.
pub fn users_are_listed(fixture: &mut dyn Fixture) {
    for user in ["carol", "alice", "bob"] {
        login(fixture.store(), user, "d");
    }
    send(fixture.store(), "never", "seen", "1");
    for _ in 0..2 {
        let page = |after: &str, limit| fixture.store().users(after, limit).unwrap();
        assert_eq!(page("", 2), [name("alice"), name("bob")]);
        assert_eq!(page("bob", 2), [name("carol")]);
        assert!(page("carol", 2).is_empty());
        assert!(page("", 0).is_empty());
        fixture.reopen();
    }
}

/// With the devices in the order of their first logins.
pub fn a_profile_names_the_devices(fixture: &mut dyn Fixture) {
    assert_eq!(fixture.store().profile("alice").unwrap(), None);
    let at = |device: &str, class: &str, ms| login_at("alice", device, class, 0, ms);
    commit(fixture.store(), &[at("zebra", "phone", 1_000)]);
    commit(fixture.store(), &[at("ape", "web", 2_000)]);
    for _ in 0..2 {
        let devices = fixture.store().profile("alice").unwrap().unwrap().devices;
        let brief: Vec<_> = devices
            .iter()
            .map(|d| (&*d.name, &*d.class, d.created_ms, d.seen_ms))
            .collect();
        let expected = [
            ("zebra", "phone", 1_000, 1_000),
            ("ape", "web", 2_000, 2_000),
        ];
        assert_eq!(brief, expected);
        fixture.reopen();
    }
}

/// Up to its cursor, and alone above it.
pub fn receipts_follow_the_cursors(fixture: &mut dyn Fixture) {
    let first = send(fixture.store(), "alice", "bob", "1");
    let second = send(fixture.store(), "alice", "bob", "2");
    let third = send(fixture.store(), "alice", "bob", "3");
    assert_eq!(fixture.store().receipts("bob", &first).unwrap(), []);
    let device = login(fixture.store(), "bob", "phone").device;
    fixture.store().acknowledge(&mut vec![Cursor {
        device,
        conversation: first.conversation,
        acked: 1,
        sparse: vec![3],
        unanswered: vec![],
    }]);
    for _ in 0..2 {
        for (message, acknowledged) in [(&first, true), (&second, false), (&third, true)] {
            let expected = Receipt {
                device: name("phone"),
                id: device,
                acked: 1,
                acknowledged,
            };
            let receipts = fixture.store().receipts("bob", message).unwrap();
            assert_eq!(receipts, [expected]);
        }
        fixture.store().flush().unwrap();
        fixture.reopen();
    }
}

/// He owes nothing from before he joined.
pub fn receipts_of_a_new_member(fixture: &mut dyn Fixture) {
    fixture.store().set_group("#g", &[name("alice")]).unwrap();
    let before = send(fixture.store(), "alice", "#g", "1");
    login(fixture.store(), "bob", "phone");
    let members = [name("alice"), name("bob")];
    fixture.store().set_group("#g", &members).unwrap();
    let after = send(fixture.store(), "alice", "#g", "2");
    for (message, acknowledged) in [(before, true), (after, false)] {
        let receipts = fixture.store().receipts("bob", &message).unwrap();
        assert_eq!(receipts[0].acknowledged, acknowledged, "{}", message.id);
    }
}

/// By as many as come.
pub fn the_size_is_about_right(fixture: &mut dyn Fixture) {
    assert_eq!(fixture.store().size().unwrap().messages, 0);
    for at in 0..10 {
        send(fixture.store(), "alice", "bob", &format!("{at}"));
    }
    let size = fixture.store().size().unwrap();
    assert_eq!(size.messages, 10);
    assert!(size.bytes > 0);
}
