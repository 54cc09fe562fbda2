//! Loading, history, lists.

use super::*;

fn want(message: &MessageRef, after: u64, upto: u64) -> Want {
    Want {
        conversation: message.conversation,
        after,
        upto,
    }
}

/// Three conversations with `counts` messages each, sent in turns.
fn three(fixture: &mut dyn Fixture, count: usize) -> Vec<MessageRef> {
    let mut all = Vec::new();
    for at in 0..count {
        for from in ["a", "b", "c"] {
            all.push(send(fixture.store(), from, "bob", &format!("{from}{at}")));
        }
        if at == count / 2 {
            fixture.settle();
            fixture.reopen();
        }
    }
    all
}

/// Older before newer, over all conversations.
pub fn a_load_merges_by_position(fixture: &mut dyn Fixture) {
    let all = three(fixture, 9);
    let wants = [
        want(&all[2], 0, 9),
        want(&all[0], 3, 7),
        want(&all[1], 8, u64::MAX),
    ];
    let loaded = fixture.store().load(&wants, 1000, usize::MAX).unwrap();
    let mut expected: Vec<_> = all
        .iter()
        .filter(|m| match &*m.from {
            "a" => (4..=7).contains(&m.seq),
            "b" => m.seq == 9,
            _ => true,
        })
        .cloned()
        .collect();
    expected.sort_by_key(|m| m.position);
    assert_eq!(loaded.messages, expected);
    assert_eq!(loaded.next, [None, None, None]);
}

/// And says where to go on, so that loads in a row give everything once.
pub fn a_load_is_bounded_by_messages(fixture: &mut dyn Fixture) {
    let all = three(fixture, 9);
    let mut after = [0u64; 3];
    let mut got: Vec<MessageRef> = Vec::new();
    loop {
        let wants = [0, 1, 2].map(|at| want(&all[at], after[at], 9));
        let loaded = fixture.store().load(&wants, 4, usize::MAX).unwrap();
        assert!(loaded.messages.len() <= 4);
        for message in &loaded.messages {
            let at = (message.from.as_bytes()[0] - b'a') as usize;
            after[at] = message.seq;
        }
        got.extend(loaded.messages);
        for (at, next) in loaded.next.iter().enumerate() {
            let rest = all
                .iter()
                .find(|m| m.conversation == all[at].conversation && m.seq == after[at] + 1);
            assert_eq!(*next, rest.map(|m| m.position));
        }
        if loaded.next == [None; 3] {
            break;
        }
    }
    assert_eq!(got, all);
}

/// But one message at least.
pub fn a_load_is_bounded_by_bytes(fixture: &mut dyn Fixture) {
    let body = "x".repeat(100);
    let batch: Vec<_> = (0..10)
        .map(|at| draft_at("a", "b", &format!("{at}"), &body, 1))
        .collect();
    let all: Vec<_> = commit(fixture.store(), &batch)
        .into_iter()
        .map(stored)
        .collect();
    for _ in 0..2 {
        for (bytes, count) in [(0, 1), (99, 1), (100, 1), (250, 2), (1000, 10)] {
            let loaded = fixture
                .store()
                .load(&[want(&all[0], 0, 10)], 100, bytes)
                .unwrap();
            assert_eq!(loaded.messages.len(), count);
            assert_eq!(loaded.next[0], all.get(count).map(|m| m.position));
        }
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
}

/// Empty parts, parts above the head, conversations that do not exist.
pub fn a_load_of_nothing(fixture: &mut dyn Fixture) {
    let one = send(fixture.store(), "a", "b", "1");
    let unknown = Want {
        conversation: ConversationId(12345),
        after: 0,
        upto: 10,
    };
    let wants = [
        want(&one, 1, 1),
        want(&one, 1, 50),
        want(&one, u64::MAX, u64::MAX),
        unknown,
    ];
    let loaded = fixture.store().load(&wants, 10, 1000).unwrap();
    assert!(loaded.messages.is_empty());
    assert_eq!(loaded.next, [None; 4]);
    let none = fixture.store().load(&[], 10, 1000).unwrap();
    assert!(none.messages.is_empty() && none.next.is_empty());
}

/// Or there is no answer from memory.
pub fn a_load_from_memory_is_the_same(fixture: &mut dyn Fixture) {
    let all = three(fixture, 9);
    for after in 0..9 {
        let wants = [0, 1, 2].map(|at| want(&all[at], after, 9));
        let loaded = fixture.store().load(&wants, 5, usize::MAX).unwrap();
        if let Some(recent) = fixture.store().load_recent(&wants, 5, usize::MAX) {
            assert_eq!(recent, loaded);
        }
    }
    let last = want(&all[0], 8, 9);
    assert!(
        fixture
            .store()
            .load_recent(&[last], 5, usize::MAX)
            .is_some()
    );
}

/// From the newest to the oldest, each page ascending.
pub fn history_pages_backwards(fixture: &mut dyn Fixture) {
    let all = three(fixture, 23);
    let mut below = u64::MAX;
    let mut got: Vec<MessageRef> = Vec::new();
    loop {
        let mut page = fixture
            .store()
            .history("a\nbob", Page::Before(below, 5))
            .unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 5);
        below = page[0].seq;
        page.append(&mut got);
        got = page;
    }
    let expected: Vec<_> = all.iter().filter(|m| &*m.from == "a").cloned().collect();
    assert_eq!(got, expected);
}

/// From the oldest to the newest.
pub fn history_pages_forwards(fixture: &mut dyn Fixture) {
    let all = three(fixture, 23);
    let mut above = 0;
    let mut got: Vec<MessageRef> = Vec::new();
    loop {
        let page = fixture
            .store()
            .history("bob\nc", Page::After(above, 7))
            .unwrap();
        let Some(last) = page.last() else { break };
        above = last.seq;
        got.extend(page);
    }
    let expected: Vec<_> = all.iter().filter(|m| &*m.from == "c").cloned().collect();
    assert_eq!(got, expected);
}

/// Empty, as are pages of no messages.
pub fn history_of_nobody(fixture: &mut dyn Fixture) {
    send(fixture.store(), "a", "b", "1");
    for page in [Page::Before(u64::MAX, 5), Page::After(0, 5)] {
        assert!(fixture.store().history("x\ny", page).unwrap().is_empty());
    }
    for page in [
        Page::Before(u64::MAX, 0),
        Page::After(0, 0),
        Page::Before(1, 5),
        Page::Before(0, 5),
        Page::After(1, 5),
        Page::After(u64::MAX, 5),
    ] {
        assert!(
            fixture.store().history("a\nb", page).unwrap().is_empty(),
            "{page:?}"
        );
    }
}

/// With the other one's name, and the furthest cursor of all devices.
pub fn conversations_newest_first(fixture: &mut dyn Fixture) {
    let phone = login(fixture.store(), "bob", "phone").device;
    let tablet = login(fixture.store(), "bob", "tablet").device;
    fixture.store().set_group("#g", &[name("bob")]).unwrap();
    let alice = send(fixture.store(), "alice", "bob", "1");
    send(fixture.store(), "bob", "bob", "1");
    send(fixture.store(), "bob", "#g", "1");
    send(fixture.store(), "bob", "0", "1");
    send(fixture.store(), "bob", "alice", "2");
    acknowledge(fixture.store(), phone, alice.conversation, 2);
    acknowledge(fixture.store(), tablet, alice.conversation, 1);
    for _ in 0..3 {
        let all = fixture.store().conversations("bob", u64::MAX, 10).unwrap();
        let peers: Vec<_> = all.iter().map(|c| (&*c.peer, c.head, c.acked)).collect();
        assert_eq!(
            peers,
            [("alice", 2, 2), ("0", 1, 0), ("#g", 1, 0), ("bob", 1, 0)]
        );
        assert_eq!(&*all[0].last.id, "2");
        assert_eq!(
            fixture.store().conversations("bob", u64::MAX, 2).unwrap(),
            all[..2]
        );
        fixture.store().flush().unwrap();
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
    assert!(
        fixture
            .store()
            .conversations("nobody", u64::MAX, 10)
            .unwrap()
            .is_empty()
    );
}

/// Any number of a long conversation is found, between messages of others.
pub fn deep_history(fixture: &mut dyn Fixture) {
    for round in 0..30 {
        let mut batch = Vec::new();
        for at in 0..40 {
            batch.push(draft("a", "b", &format!("{round}.{at}")));
            batch.push(draft("c", &format!("d{at}"), &format!("{round}.{at}")));
        }
        commit(fixture.store(), &batch);
        if round % 7 == 0 {
            fixture.settle();
            fixture.reopen();
        }
    }
    let newest = fixture
        .store()
        .history("a\nb", Page::Before(u64::MAX, 1))
        .unwrap();
    let head = newest[0].seq;
    let conversation = newest[0].conversation;
    for after in (0..head).step_by(37) {
        let page = fixture
            .store()
            .history("a\nb", Page::After(after, 1))
            .unwrap();
        assert_eq!(page[0].seq, after + 1);
        let want = Want {
            conversation,
            after,
            upto: after + 3,
        };
        let loaded = load_all(fixture.store(), &[want]);
        assert_eq!(loaded[0], page[0]);
        assert_eq!(loaded.len() as u64, 3.min(head - after));
    }
}

/// A page is as long as it was asked for, and conversations are paged to the last.
pub fn pages_are_not_cut(fixture: &mut dyn Fixture) {
    let drafts: Vec<_> = (0..1_500)
        .map(|n| draft("a", "b", &n.to_string()))
        .collect();
    commit(fixture.store(), &drafts);
    let many: Vec<_> = (0..450)
        .map(|n| draft(&format!("u{n:03}"), "c", "1"))
        .collect();
    commit(fixture.store(), &many);
    for _ in 0..2 {
        let store = fixture.store();
        for page in [Page::After(0, usize::MAX), Page::Before(u64::MAX, 1_500)] {
            let numbers = store.history("a\nb", page).unwrap();
            assert!(numbers.iter().map(|m| m.seq).eq(1..=1_500), "{page:?}");
        }
        assert_eq!(
            store.history("a\nb", Page::After(100, 900)).unwrap().len(),
            900
        );
        let newest = store.history("a\nb", Page::Before(1_400, 1_000)).unwrap();
        assert!(newest.iter().map(|m| m.seq).eq(400..1_400));
        let (mut peers, mut before) = (Vec::new(), u64::MAX);
        loop {
            let page = store.conversations("c", before, 100).unwrap();
            let Some(last) = page.last() else { break };
            before = last.last.position;
            peers.extend(page.iter().map(|c| c.peer.to_string()));
        }
        assert!(
            peers
                .into_iter()
                .eq((0..450).rev().map(|n| format!("u{n:03}")))
        );
        fixture.store().flush().unwrap();
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
}
