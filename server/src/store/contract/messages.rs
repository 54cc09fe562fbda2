//! Commit: numbers, verdicts, one and the same message.

use super::*;

/// 1, 2, 3 … per conversation, positions rise over all.
pub fn numbers_have_no_gaps(fixture: &mut dyn Fixture) {
    let mut last = 0;
    for round in 1..=50u64 {
        let batch = [
            draft("alice", "bob", &format!("a{round}")),
            draft("carol", "dave", &format!("c{round}")),
        ];
        for verdict in commit(fixture.store(), &batch) {
            let message = stored(verdict);
            assert_eq!(message.seq, round);
            assert!(message.position > last);
            last = message.position;
        }
        if round % 10 == 0 {
            fixture.settle();
        }
        if round % 25 == 0 && !fixture.reopen() {
            continue;
        }
    }
}

/// Whatever the records are.
pub fn verdicts_stand_in_the_order_of_the_records(fixture: &mut dyn Fixture) {
    let batch = [
        draft("alice", "bob", "1"),
        login_at("bob", "default", "default", 0, 5),
        draft("alice", "#nothing", "2"),
        draft("alice", "bob", "1"),
        draft_at("alice", "bob", "1", "other", 5),
        draft("bob", "alice", "3"),
    ];
    let verdicts = commit(fixture.store(), &batch);
    assert!(matches!(&verdicts[0], Verdict::New(m) if m.seq == 1));
    assert!(matches!(verdicts[1], Verdict::Login(_)));
    assert_eq!(verdicts[2], Verdict::Refused(Refusal::NoGroup));
    assert!(matches!(&verdicts[3], Verdict::Duplicate(m) if m.seq == 1));
    assert_eq!(verdicts[4], Verdict::Conflict);
    assert!(matches!(&verdicts[5], Verdict::New(m) if m.seq == 2 && &*m.from == "bob"));
}

/// Stored once.
pub fn a_duplicate_in_the_batch(fixture: &mut dyn Fixture) {
    let one = draft_at("alice", "bob", "x", "hi", 77);
    let again = draft_at("alice", "bob", "x", "hi", 99);
    let verdicts = commit(fixture.store(), &[one, again]);
    assert!(matches!(verdicts[0], Verdict::New(_)));
    assert!(matches!(&verdicts[1], Verdict::Duplicate(m) if (m.seq, m.time_ms) == (1, 77)));
    assert_eq!(send(fixture.store(), "alice", "bob", "y").seq, 2);
}

/// Also after the indexes took over, and after a restart.
pub fn a_duplicate_later(fixture: &mut dyn Fixture) {
    let batch: Vec<_> = (0..20)
        .map(|at| draft("alice", "bob", &format!("i{at}")))
        .collect();
    commit(fixture.store(), &batch);
    for round in 0..4 {
        for (at, verdict) in commit(fixture.store(), &batch).iter().enumerate() {
            let seq = at as u64 + 1;
            let Verdict::Duplicate(stored) = verdict else {
                panic!("{round}: {verdict:?}");
            };
            assert_eq!((stored.seq, stored.time_ms), (seq, 1_000), "{round}");
        }
        if round % 2 == 0 {
            fixture.settle();
        } else {
            fixture.reopen();
        }
    }
}

/// Same id, other text or other type.
pub fn a_conflict(fixture: &mut dyn Fixture) {
    send(fixture.store(), "alice", "bob", "x");
    for _ in 0..3 {
        let other_text = draft_at("alice", "bob", "x", "something else", 1_000);
        let Record::Message(mut message) = draft("alice", "bob", "x") else {
            unreachable!()
        };
        message.typeu = 8;
        let verdicts = commit(fixture.store(), &[other_text, Record::Message(message)]);
        assert_eq!(verdicts, [Verdict::Conflict, Verdict::Conflict]);
        fixture.settle();
        fixture.reopen();
    }
    assert_eq!(send(fixture.store(), "alice", "bob", "y").seq, 2);
}

/// The key is sender, receiver and id.
pub fn the_same_id_of_somebody_else_is_another_message(fixture: &mut dyn Fixture) {
    let batch = [
        draft("alice", "bob", "x"),
        draft("bob", "alice", "x"),
        draft("alice", "carol", "x"),
        draft("carol", "alice", "x"),
        draft("alice", "alice", "x"),
        // Not to be mixed up however the parts are put together.
        draft("a", "bc", "d"),
        draft("ab", "c", "d"),
        draft("a", "b", "cd"),
    ];
    for verdict in commit(fixture.store(), &batch) {
        assert!(matches!(verdict, Verdict::New(_)));
    }
}

/// Whoever began it.
pub fn both_directions_share_one_log(fixture: &mut dyn Fixture) {
    let one = send(fixture.store(), "alice", "bob", "1");
    let two = send(fixture.store(), "bob", "alice", "1");
    assert_eq!((one.seq, two.seq), (1, 2));
    assert_eq!(one.conversation, two.conversation);
    assert_ne!(
        send(fixture.store(), "bob", "carol", "1").conversation,
        one.conversation
    );
}

/// One log, one entry in the backlog.
pub fn a_user_writes_to_himself(fixture: &mut dyn Fixture) {
    let device = login(fixture.store(), "alice", "default").device;
    assert_eq!(send(fixture.store(), "alice", "alice", "1").seq, 1);
    let second = send(fixture.store(), "alice", "alice", "2");
    for _ in 0..3 {
        assert_eq!(behind(fixture.store(), "alice", device).len(), 1);
        let pages = fixture
            .store()
            .history("alice\nalice", Page::After(0, 10))
            .unwrap();
        assert_eq!(ids(&pages), ["1", "2"]);
        fixture.settle();
        if !fixture.reopen() {
            break;
        }
    }
    acknowledge(fixture.store(), device, second.conversation, 2);
    assert!(behind(fixture.store(), "alice", device).is_empty());
}

/// `0` sends, receives and has devices.
pub fn the_server_is_an_address(fixture: &mut dyn Fixture) {
    let listener = login(fixture.store(), "0", "listener").device;
    let one = send(fixture.store(), "alice", "0", "1");
    let two = send(fixture.store(), "0", "alice", "2");
    assert_eq!((one.conversation, two.seq), (two.conversation, 2));
    send(fixture.store(), "bob", "0", "1");
    assert_eq!(behind(fixture.store(), "0", listener).len(), 2);
}

/// Two threads, own and shared conversations: no gap, nothing lost, nothing twice.
pub fn many_writers_at_once(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let write = |me: &str| {
        let mut seqs = Vec::new();
        for round in 0..60 {
            let batch: Vec<_> = (0..5)
                .map(|at| draft(me, "hub", &format!("{round}.{at}")))
                .collect();
            let own = draft(me, me, &format!("{round}"));
            let shared = draft("pair-a", "pair-b", &format!("{me}{round}"));
            let mut verdicts = commit(store, &[batch, vec![own, shared]].concat());
            seqs.push(stored(verdicts.remove(6)));
            let own = stored(verdicts.remove(5));
            assert_eq!(own.seq, round + 1);
            for (at, verdict) in verdicts.into_iter().enumerate() {
                assert_eq!(stored(verdict).seq, round * 5 + at as u64 + 1);
            }
        }
        seqs
    };
    let mut shared = std::thread::scope(|scope| {
        let one = scope.spawn(|| write("one"));
        let two = scope.spawn(|| write("two"));
        [one.join().unwrap(), two.join().unwrap()].concat()
    });
    shared.sort_by_key(|message| message.position);
    let seqs: Vec<u64> = shared.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=120).collect::<Vec<_>>());
}

/// One of them is the first, the other a duplicate.
pub fn the_same_batch_from_two_threads(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let batch: Vec<_> = (0..50)
        .map(|at| draft("alice", "bob", &format!("i{at}")))
        .collect();
    let both = std::thread::scope(|scope| {
        let one = scope.spawn(|| commit(store, &batch));
        let two = scope.spawn(|| commit(store, &batch));
        [one.join().unwrap(), two.join().unwrap()]
    });
    let new = |verdicts: &[Verdict]| {
        verdicts
            .iter()
            .filter(|v| matches!(v, Verdict::New(_)))
            .count()
    };
    let counts = [new(&both[0]), new(&both[1])];
    assert!(counts == [50, 0] || counts == [0, 50], "{counts:?}");
    assert_eq!(send(store, "alice", "bob", "after").seq, 51);
}

/// Nothing, and no error.
pub fn an_empty_batch(fixture: &mut dyn Fixture) {
    assert!(commit(fixture.store(), &[]).is_empty());
}
