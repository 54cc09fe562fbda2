//! Groups: who may send, who is owed what.

use super::*;

/// And the server.
pub fn only_members_send(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    store
        .set_group("#g", &[name("alice"), name("bob")])
        .unwrap();
    let batch = [
        draft("alice", "#g", "1"),
        draft("carol", "#g", "1"),
        draft("0", "#g", "1"),
        draft("bob", "#g", "1"),
    ];
    let verdicts = commit(store, &batch);
    assert_eq!(refused(&verdicts[1]), Refusal::NotMember);
    for (at, seq) in [(0, 1), (2, 2), (3, 3)] {
        assert_eq!(stored(verdicts[at].clone()).seq, seq);
    }
    store
        .set_group("#g", &[name("bob"), name("carol")])
        .unwrap();
    let verdicts = commit(
        store,
        &[draft("alice", "#g", "2"), draft("carol", "#g", "2")],
    );
    assert_eq!(refused(&verdicts[0]), Refusal::NotMember);
    assert_eq!(stored(verdicts[1].clone()).seq, 4);
}

/// Not even from the server.
pub fn no_group_no_message(fixture: &mut dyn Fixture) {
    let batch = [draft("alice", "#g", "1"), draft("0", "#g", "1")];
    for verdict in commit(fixture.store(), &batch) {
        assert_eq!(refused(&verdict), Refusal::NoGroup);
    }
}

/// Whether he has devices already or gets his first one later.
pub fn a_member_owes_nothing_from_before_he_joined(fixture: &mut dyn Fixture) {
    fixture.store().set_group("#g", &[name("alice")]).unwrap();
    let bob = login(fixture.store(), "bob", "default").device;
    send(fixture.store(), "alice", "#g", "1");
    send(fixture.store(), "alice", "#g", "2");
    let all = [name("alice"), name("bob"), name("carol")];
    fixture.store().set_group("#g", &all).unwrap();
    fixture.settle();
    let third = send(fixture.store(), "alice", "#g", "3");
    let carol = login(fixture.store(), "carol", "default").device;
    for _ in 0..3 {
        let backlog = fixture.store().backlog("bob", bob).unwrap();
        assert_eq!(backlog.groups, [name("#g")]);
        let expected = [(2, 3, third.position)];
        assert_eq!(behind(fixture.store(), "bob", bob), expected);
        assert_eq!(behind(fixture.store(), "carol", carol), expected);
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
    fixture
        .store()
        .set_group("#g", &[name("alice"), name("carol")])
        .unwrap();
    assert!(behind(fixture.store(), "bob", bob).is_empty());
    assert!(
        fixture
            .store()
            .backlog("bob", bob)
            .unwrap()
            .groups
            .is_empty()
    );
}

/// Its numbers go on, and its history is still there.
pub fn a_group_that_is_gone_and_comes_back(fixture: &mut dyn Fixture) {
    fixture.store().set_group("#g", &[name("alice")]).unwrap();
    send(fixture.store(), "alice", "#g", "1");
    fixture.store().set_group("#g", &[]).unwrap();
    fixture.settle();
    fixture.reopen();
    assert_eq!(fixture.store().group("#g").unwrap(), None);
    fixture.store().set_group("#g", &[name("bob")]).unwrap();
    let seq = send(fixture.store(), "bob", "#g", "2").seq;
    if fixture.reopen() {
        assert_eq!(seq, 2);
        let history = fixture.store().history("#g", Page::After(0, 10)).unwrap();
        assert_eq!(ids(&history), ["1", "2"]);
    }
}

/// Sorted, each once.
pub fn members_are_listed(fixture: &mut dyn Fixture) {
    assert_eq!(fixture.store().group("#g").unwrap(), None);
    let members = [name("carol"), name("alice"), name("bob"), name("alice")];
    fixture.store().set_group("#g", &members).unwrap();
    let expected = Some(vec![name("alice"), name("bob"), name("carol")]);
    assert_eq!(fixture.store().group("#g").unwrap(), expected);
    if fixture.reopen() {
        assert_eq!(fixture.store().group("#g").unwrap(), expected);
    }
}

/// In pages by name, with how many members each has.
pub fn groups_are_listed(fixture: &mut dyn Fixture) {
    for (group, members) in [("#c", 1), ("#a", 2), ("#b", 3)] {
        let members: Vec<Name> = (0..members).map(|at| name(&format!("u{at}"))).collect();
        fixture.store().set_group(group, &members).unwrap();
    }
    for _ in 0..2 {
        let page = |after: &str, limit| fixture.store().groups(after, limit).unwrap();
        assert_eq!(page("", 2), [(name("#a"), 2), (name("#b"), 3)]);
        assert_eq!(page("#b", 2), [(name("#c"), 1)]);
        assert!(page("#c", 2).is_empty());
        fixture.reopen();
    }
}

/// It was acknowledged, so it is acknowledged again.
pub fn a_duplicate_of_a_former_member_is_a_duplicate(fixture: &mut dyn Fixture) {
    fixture
        .store()
        .set_group("#g", &[name("alice"), name("bob")])
        .unwrap();
    send(fixture.store(), "alice", "#g", "1");
    fixture.store().set_group("#g", &[name("bob")]).unwrap();
    let verdicts = commit(fixture.store(), &[draft("alice", "#g", "1")]);
    assert!(matches!(&verdicts[0], Verdict::Duplicate(m) if m.seq == 1));
}
