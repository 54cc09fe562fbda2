//! Retention: what goes, what stays, what it leaves behind.

use super::*;

fn old(fixture: &mut dyn Fixture, count: i64) -> Vec<MessageRef> {
    let batch: Vec<_> = (0..count)
        .map(|at| draft_at("alice", "bob", &format!("{at}"), "text", 100 + at))
        .collect();
    let verdicts = commit(fixture.store(), &batch);
    fixture.settle();
    verdicts.into_iter().map(stored).collect()
}

/// Until there is nothing more; returns how many went.
fn retain(fixture: &mut dyn Fixture, before_ms: i64, devices_since_ms: i64) -> u64 {
    let mut removed = 0;
    for _ in 0..1000 {
        let step = fixture.store().retain(before_ms, devices_since_ms).unwrap();
        removed += step.removed;
        if !step.more {
            return removed;
        }
    }
    panic!("it has no end");
}

fn left(fixture: &mut dyn Fixture) -> Vec<u64> {
    let history = fixture
        .store()
        .history("alice\nbob", Page::After(0, 100))
        .unwrap();
    history.iter().map(|message| message.seq).collect()
}

/// Before a time, and nothing after it.
pub fn the_old_goes(fixture: &mut dyn Fixture) {
    let all = old(fixture, 10);
    assert_eq!(retain(fixture, 104, 0), 4);
    assert_eq!(retain(fixture, 104, 0), 0);
    for _ in 0..3 {
        assert_eq!(left(fixture), [5, 6, 7, 8, 9, 10]);
        let want = Want {
            conversation: all[0].conversation,
            after: 0,
            upto: 10,
        };
        let loaded = fixture.store().load(&[want], 3, usize::MAX).unwrap();
        assert_eq!(loaded.messages, all[4..7]);
        assert_eq!(loaded.next, [Some(all[7].position)]);
        let device = login(fixture.store(), "bob", "default").device;
        assert_eq!(
            behind(fixture.store(), "bob", device),
            [(0, 10, all[4].position)]
        );
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
}

/// As long as a device that was seen lately has not acknowledged it.
pub fn what_a_device_waits_for_stays(fixture: &mut dyn Fixture) {
    let device =
        granted(commit(fixture.store(), &[login_at("bob", "d", "d", 0, 5_000)]).remove(0)).device;
    let all = old(fixture, 10);
    acknowledge(fixture.store(), device, all[0].conversation, 6);
    retain(fixture, 1_000, 4_000);
    assert_eq!(left(fixture), [7, 8, 9, 10]);
    acknowledge(fixture.store(), device, all[0].conversation, 8);
    retain(fixture, 1_000, 4_000);
    assert_eq!(left(fixture), [9, 10]);
    assert_eq!(
        behind(fixture.store(), "bob", device),
        [(8, 10, all[8].position)]
    );
}

/// It finds what is left.
pub fn a_device_not_seen_for_long_waits_for_nothing(fixture: &mut dyn Fixture) {
    let device =
        granted(commit(fixture.store(), &[login_at("bob", "d", "d", 0, 3_000)]).remove(0)).device;
    let all = old(fixture, 10);
    retain(fixture, 108, 4_000);
    assert_eq!(left(fixture), [9, 10]);
    assert_eq!(
        behind(fixture.store(), "bob", device),
        [(0, 10, all[8].position)]
    );
}

/// A number is never given twice, or cursors would hide what is new.
pub fn numbers_go_on_after_everything_went(fixture: &mut dyn Fixture) {
    let device =
        granted(commit(fixture.store(), &[login_at("bob", "d", "d", 0, 3_000)]).remove(0)).device;
    let all = old(fixture, 10);
    assert_eq!(retain(fixture, 1_000, 4_000), 10);
    for round in 0..3 {
        assert_eq!(left(fixture), [0; 0]);
        assert!(behind(fixture.store(), "bob", device).is_empty());
        assert!(
            fixture
                .store()
                .conversations("bob", u64::MAX, 10)
                .unwrap()
                .is_empty()
        );
        let want = Want {
            conversation: all[0].conversation,
            after: 0,
            upto: 10,
        };
        let loaded = fixture.store().load(&[want], 10, 1000).unwrap();
        assert!(
            loaded.messages.is_empty() && loaded.next == [None],
            "{round}"
        );
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
    let next = commit(
        fixture.store(),
        &[draft_at("bob", "alice", "n", "text", 2_000)],
    )
    .remove(0);
    let next = stored(next);
    assert_eq!(next.seq, 11);
    assert_eq!(next.conversation, all[0].conversation);
    assert!(next.position > all[9].position);
    assert_eq!(left(fixture), [11]);
    assert_eq!(
        behind(fixture.store(), "bob", device),
        [(0, 11, next.position)]
    );
    retain(fixture, 1_000, 4_000);
    fixture.settle();
    fixture.reopen();
    if fixture.reopen() {
        assert_eq!(left(fixture), [11]);
    }
}

/// What stays keeps what follows it in its conversation, not in others.
pub fn only_prefixes_go(fixture: &mut dyn Fixture) {
    let batch = [
        draft_at("alice", "bob", "1", "t", 100),
        draft_at("alice", "bob", "2", "t", 900),
        draft_at("alice", "bob", "3", "t", 100),
        draft_at("carol", "bob", "1", "t", 100),
    ];
    commit(fixture.store(), &batch);
    retain(fixture, 500, 0);
    assert_eq!(left(fixture), [2, 3]);
}

/// Its key went with it.
pub fn a_removed_id_may_come_again(fixture: &mut dyn Fixture) {
    old(fixture, 10);
    retain(fixture, 105, 0);
    for _ in 0..2 {
        let again = draft_at("alice", "bob", "9", "text", 2_000);
        let verdicts = commit(fixture.store(), &[again]);
        assert!(matches!(&verdicts[0], Verdict::Duplicate(m) if m.seq == 10));
        fixture.settle();
        fixture.reopen();
    }
    if left(fixture).is_empty() {
        return;
    }
    let again = draft_at("alice", "bob", "0", "other", 2_000);
    assert_eq!(stored(commit(fixture.store(), &[again]).remove(0)).seq, 11);
    fixture.settle();
    let again = draft_at("alice", "bob", "0", "other", 2_000);
    let verdicts = commit(fixture.store(), &[again]);
    assert!(matches!(&verdicts[0], Verdict::Duplicate(m) if m.seq == 11));
}

/// For those who joined, from where they joined.
pub fn a_group_waits_for_its_members(fixture: &mut dyn Fixture) {
    fixture.store().set_group("#g", &[name("alice")]).unwrap();
    commit(fixture.store(), &[login_at("bob", "d", "d", 0, 5_000)]);
    let at = |id: &str| draft_at("alice", "#g", id, "t", 100);
    commit(fixture.store(), &[at("1"), at("2")]);
    fixture
        .store()
        .set_group("#g", &[name("alice"), name("bob")])
        .unwrap();
    commit(fixture.store(), &[at("3"), at("4")]);
    fixture.settle();
    retain(fixture, 1_000, 4_000);
    let history = fixture.store().history("#g", Page::After(0, 10)).unwrap();
    assert_eq!(ids(&history), ["3", "4"]);
}
