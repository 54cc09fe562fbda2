use super::*;
use std::sync::Arc;
use tidings_core::ids::ConversationId;

fn message(position: u64, id: &str) -> MessageRef {
    Arc::new(Message {
        conversation: ConversationId(1),
        seq: position,
        position,
        time_ms: 0,
        from: "a".into(),
        to: "b".into(),
        id: id.into(),
        typeu: 0,
        body: "".into(),
    })
}

fn wanted(id: &str) -> Draft {
    Draft {
        from: "a".into(),
        to: "b".into(),
        id: id.into(),
        typeu: 0,
        body: "".into(),
        time_ms: 0,
    }
}

#[test]
fn keys_whose_hashes_meet_are_told_apart() {
    let mut tail = Tail::new(0, 0);
    let mut head = Head::empty(1);
    for position in 1..=3 {
        head.push(position);
    }
    tail.know(&"a\nb".into(), head);
    // The hash as the tail computes it is that of "x"; the others are claimed to meet it.
    let hash = tail.hash("a", "b", "x");
    for (position, id) in [(1, "x"), (2, "y"), (3, "z")] {
        tail.append(message(position, id), hash);
    }
    for (position, id) in [(1, "x"), (2, "y"), (3, "z")] {
        assert_eq!(tail.find(hash, &wanted(id)).unwrap().position, position);
    }
    assert!(tail.find(hash, &wanted("w")).is_none());
    tail.drop_oldest(true);
    assert!(tail.find(hash, &wanted("x")).is_none());
    for (position, id) in [(2, "y"), (3, "z")] {
        assert_eq!(tail.find(hash, &wanted(id)).unwrap().position, position);
    }
}

#[test]
fn a_conversation_is_forgotten_with_its_last_message() {
    let mut tail = Tail::new(0, 0);
    let mut head = Head::empty(1);
    head.push(1);
    tail.know(&"a\nb".into(), head);
    tail.append(message(1, "x"), tail.hash("a", "b", "x"));
    assert_eq!(tail.of_user("b").collect::<Vec<_>>(), [1]);
    tail.drop_oldest(true);
    assert!(tail.entry(1).is_none() && tail.entry_by_key("a\nb").is_none());
    assert_eq!(tail.of_user("b").count(), 0);
    assert_eq!((tail.len(), tail.bytes(), tail.last()), (0, 0, 1));
}
