//! Cursors and the backlog.

use super::*;

/// Before anything is written, after it, and after a restart.
pub fn a_cursor_is_seen_at_once(fixture: &mut dyn Fixture) {
    let device = login(fixture.store(), "bob", "default").device;
    let messages: Vec<_> = (0..10)
        .map(|at| send(fixture.store(), "alice", "bob", &format!("{at}")))
        .collect();
    for acked in [3u64, 7, 9] {
        acknowledge(fixture.store(), device, messages[0].conversation, acked);
        let expected = [(acked, 10, messages[acked as usize].position)];
        assert_eq!(behind(fixture.store(), "bob", device), expected);
        fixture.settle();
        assert_eq!(behind(fixture.store(), "bob", device), expected);
        fixture.store().flush().unwrap();
        assert_eq!(behind(fixture.store(), "bob", device), expected);
        fixture.reopen();
        if fixture.reopen() {
            assert_eq!(behind(fixture.store(), "bob", device), expected);
        }
    }
}

/// Absolute: the last one wins, whatever it says.
pub fn a_cursor_can_go_back(fixture: &mut dyn Fixture) {
    let device = login(fixture.store(), "bob", "default").device;
    let one = send(fixture.store(), "alice", "bob", "1");
    acknowledge(fixture.store(), device, one.conversation, 1);
    fixture.store().flush().unwrap();
    acknowledge(fixture.store(), device, one.conversation, 0);
    assert_eq!(
        behind(fixture.store(), "bob", device),
        [(0, 1, one.position)]
    );
    fixture.store().flush().unwrap();
    assert_eq!(
        behind(fixture.store(), "bob", device),
        [(0, 1, one.position)]
    );
}

/// To the bit.
pub fn sparse_and_unanswered_are_kept(fixture: &mut dyn Fixture) {
    let device = login(fixture.store(), "bob", "default").device;
    let mut conversation = None;
    for at in 0..20 {
        conversation = Some(send(fixture.store(), "alice", "bob", &format!("{at}")).conversation);
    }
    let cursor = Cursor {
        device,
        conversation: conversation.unwrap(),
        acked: 2,
        sparse: vec![4, 5, 9, 17],
        unanswered: vec![
            Unanswered {
                seq: 3,
                logins: 2,
                ..Unanswered::default()
            },
            Unanswered {
                seq: 6,
                logins: 0,
                ends: 4,
                again_ms: 1_790_000_000_000,
            },
        ],
    };
    fixture.store().acknowledge(&mut vec![cursor.clone()]);
    for _ in 0..3 {
        let backlog = fixture.store().backlog("bob", device).unwrap();
        assert_eq!(backlog.behind.len(), 1);
        assert_eq!(backlog.behind[0].cursor, cursor);
        fixture.store().flush().unwrap();
        fixture.reopen();
        if !fixture.reopen() {
            break;
        }
    }
}

/// By the first message that is owed, not by conversation.
pub fn the_backlog_is_in_the_order_of_custody(fixture: &mut dyn Fixture) {
    let device = login(fixture.store(), "bob", "default").device;
    let a1 = send(fixture.store(), "a", "bob", "1");
    let b1 = send(fixture.store(), "b", "bob", "1");
    let c1 = send(fixture.store(), "c", "bob", "1");
    let b2 = send(fixture.store(), "bob", "b", "2");
    let a2 = send(fixture.store(), "a", "bob", "2");
    let next = |store: &dyn Store| {
        let all = behind(store, "bob", device);
        all.into_iter().map(|(_, _, next)| next).collect::<Vec<_>>()
    };
    assert_eq!(
        next(fixture.store()),
        [a1.position, b1.position, c1.position]
    );
    acknowledge(fixture.store(), device, a1.conversation, 1);
    acknowledge(fixture.store(), device, b1.conversation, 1);
    for _ in 0..3 {
        assert_eq!(
            next(fixture.store()),
            [c1.position, b2.position, a2.position]
        );
        fixture.store().flush().unwrap();
        fixture.settle();
        fixture.reopen();
        if !fixture.reopen() {
            break;
        }
    }
}

/// And a device that nobody knows does no harm.
pub fn nothing_behind_is_nothing(fixture: &mut dyn Fixture) {
    let backlog = fixture.store().backlog("nobody", DeviceId(4711)).unwrap();
    assert!(backlog.behind.is_empty() && backlog.groups.is_empty());
    acknowledge(fixture.store(), DeviceId(4711), ConversationId(99), 5);
    fixture.store().flush().unwrap();
    let device = login(fixture.store(), "bob", "default").device;
    let one = send(fixture.store(), "alice", "bob", "1");
    acknowledge(fixture.store(), device, one.conversation, 1);
    assert!(behind(fixture.store(), "bob", device).is_empty());
    fixture.store().flush().unwrap();
    assert!(behind(fixture.store(), "bob", device).is_empty());
}
