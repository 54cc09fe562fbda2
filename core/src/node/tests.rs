//! The lane: batches, repetition, unknown outcomes.

use std::borrow::Cow;
use std::sync::Arc;

use super::*;
use crate::custody::Draft;
use crate::ids::ConversationId;
use crate::limits;
use crate::message::{Message, MessageRef};
use crate::shard::Submission;
use crate::wire::code;
use crate::wire::mobileimsdk::Frame;

fn at(ms: u64) -> Now {
    Now {
        mono: Time(ms),
        wall_ms: 1_700_000_000_000 + ms as i64,
    }
}

fn draft(id: &str, time_ms: i64) -> Draft {
    Draft {
        from: "alice".into(),
        to: "bob".into(),
        id: id.into(),
        typeu: -1,
        body: "hello".into(),
        time_ms,
    }
}

fn stored(draft: &Draft, seq: u64) -> MessageRef {
    Arc::new(Message {
        conversation: ConversationId(1),
        seq,
        position: seq,
        time_ms: draft.time_ms,
        from: draft.from.clone(),
        to: draft.to.clone(),
        id: draft.id.clone(),
        typeu: draft.typeu,
        body: draft.body.clone(),
    })
}

/// A node to which messages were submitted; their tickets count from 0.
fn node(drafts: &[Draft]) -> Node {
    let mut node = Node::new(Config::default());
    for (ticket, draft) in (0..).zip(drafts.iter().cloned()) {
        node.on(at(0), Input::Submit { ticket, draft }, &mut Vec::new());
    }
    node
}

fn report(node: &mut Node, now: Now, batch: Batch, outcome: Outcome<'_>) -> Vec<Submission> {
    let mut actions = Vec::new();
    node.outcome(now, batch, outcome, |_, _| {}, &mut actions);
    let outcomes = actions.into_iter().filter_map(|action| match action {
        Action::Submitted { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcomes.collect()
}

fn ids(batch: &Batch) -> Vec<String> {
    let records = batch.records().iter();
    let ids = records.map(|record| match record {
        Record::Message(draft) => draft.id.to_string(),
        Record::Login(login) => login.user.to_string(),
    });
    ids.collect()
}

#[test]
fn one_batch_is_under_way_and_the_next_gathers_meanwhile() {
    let drafts = [draft("1", 10), draft("2", 10)];
    let mut node = node(&drafts);
    assert_eq!(node.next_batch_at(), Some(Time(0)));
    let batch = node.next_batch(Time(0)).unwrap();
    assert_eq!(ids(&batch), ["1", "2"]);
    let draft = draft("3", 11);
    let input = Input::Submit { ticket: 3, draft };
    node.on(at(1), input, &mut Vec::new());
    assert!(node.next_batch(Time(u64::MAX)).is_none());
    assert!(!node.is_settled() && node.gathered().len() == 1);
    let verdicts = vec![
        Verdict::New(stored(&drafts[0], 1)),
        Verdict::New(stored(&drafts[1], 2)),
    ];
    let told = report(&mut node, at(2), batch, Outcome::Stored(verdicts));
    assert_eq!(told.len(), 2);
    let batch = node.next_batch(Time(2)).unwrap();
    assert_eq!(ids(&batch), ["3"]);
    assert_eq!(node.gathered_bytes(), 0);
}

/// The first attempt's answer was lost, the disk is full at the second: what may be stored must not
/// be refused, however definite the later failure is.
#[test]
fn h2_after_an_unknown_outcome_only_a_verdict_ends_a_batch() {
    let drafts = [draft("1", 10)];
    let mut node = node(&drafts);
    let batch = node.next_batch(Time(0)).unwrap();
    assert_eq!(report(&mut node, at(1), batch, Outcome::Unknown), []);
    assert!(node.next_batch(Time(1)).is_none(), "it waits a little");
    let again = node.next_batch_at().unwrap();
    let batch = node.next_batch(again).unwrap();
    assert_eq!(ids(&batch), ["1"]);
    let full = Outcome::Failed("the disk is full");
    assert_eq!(report(&mut node, at(again.0), batch, full), []);
    let again = node.next_batch_at().unwrap();
    let batch = node.next_batch(again).unwrap();
    let verdict = Verdict::Duplicate(stored(&drafts[0], 7));
    let told = report(
        &mut node,
        at(again.0),
        batch,
        Outcome::Stored(vec![verdict]),
    );
    // Nobody was told of it before: it is new to everybody.
    assert!(matches!(&told[..], [Submission::Decided(Verdict::New(m))] if m.seq == 7));
    assert!(node.is_settled());
}

#[test]
fn a_definite_failure_refuses_a_batch_that_is_certainly_not_stored() {
    let mut node = node(&[draft("1", 10)]);
    let batch = node.next_batch(Time(0)).unwrap();
    let told = report(&mut node, at(1), batch, Outcome::Failed("full"));
    assert_eq!(told, [Submission::Failed("full".to_owned())]);
    assert!(node.is_settled());
    // The unknown outcome of one batch says nothing about the next.
    let draft = draft("2", 20);
    let input = Input::Submit { ticket: 2, draft };
    node.on(at(2), input, &mut Vec::new());
    let batch = node.next_batch(Time(2)).unwrap();
    report(&mut node, at(3), batch, Outcome::Unknown);
    let at_ms = node.next_batch_at().unwrap();
    let batch = node.next_batch(at_ms).unwrap();
    let verdict = Verdict::Conflict;
    report(&mut node, at(9), batch, Outcome::Stored(vec![verdict]));
    let input = Input::Submit {
        ticket: 3,
        draft: self::draft("3", 30),
    };
    node.on(at(10), input, &mut Vec::new());
    let batch = node.next_batch(Time(10)).unwrap();
    let told = report(&mut node, at(11), batch, Outcome::Failed("full"));
    assert_eq!(told.len(), 1);
}

/// In a repeated batch: what an earlier login had stored stays a duplicate, and so does a second
/// copy within the batch.
#[test]
fn only_what_the_lost_attempt_stored_is_new() {
    let (old, one) = (draft("1", 10), draft("2", 10));
    let mut node = node(&[old.clone(), one.clone(), one.clone()]);
    let batch = node.next_batch(Time(0)).unwrap();
    report(&mut node, at(1), batch, Outcome::Unknown);
    let again = node.next_batch_at().unwrap();
    let batch = node.next_batch(again).unwrap();
    let before = Draft { time_ms: 3, ..old };
    let verdicts = vec![
        Verdict::Duplicate(stored(&before, 1)),
        Verdict::Duplicate(stored(&one, 2)),
        Verdict::Duplicate(stored(&one, 2)),
    ];
    let told = report(&mut node, at(again.0), batch, Outcome::Stored(verdicts));
    assert!(matches!(
        &told[..],
        [
            Submission::Decided(Verdict::Duplicate(_)),
            Submission::Decided(Verdict::New(_)),
            Submission::Decided(Verdict::Duplicate(_)),
        ]
    ));
}

#[test]
fn repetitions_wait_longer_up_to_a_bound() {
    let mut node = node(&[draft("1", 10)]);
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..12 {
        let batch = node.next_batch(Time(now)).unwrap();
        report(&mut node, at(now), batch, Outcome::Unknown);
        let next = node.next_batch_at().unwrap().0;
        waits.push(next - now);
        now = next;
    }
    assert_eq!(waits[0], limits::COMMIT_REPEAT_MS_MIN);
    assert!(waits.is_sorted());
    assert_eq!(waits[11], limits::COMMIT_REPEAT_MS_MAX);
}

#[test]
fn a_transaction_has_a_bound_and_order_survives_it() {
    let count = limits::COMMIT_RECORDS_MAX + 1;
    let drafts: Vec<Draft> = (0..count).map(|at| draft(&at.to_string(), 1)).collect();
    let mut node = node(&drafts);
    let batch = node.next_batch(Time(0)).unwrap();
    assert_eq!(batch.records().len(), limits::COMMIT_RECORDS_MAX);
    assert!(node.gathered_bytes() > 0);
    let told = report(&mut node, at(0), batch, Outcome::Failed("full"));
    assert_eq!(told.len(), limits::COMMIT_RECORDS_MAX);
    let batch = node.next_batch(Time(0)).unwrap();
    let [Record::Message(last)] = batch.records() else {
        panic!("one is left");
    };
    assert_eq!(*last.id, *(count - 1).to_string());
}

/// Whoever observes sees what the shard is told, and sees it first.
#[test]
fn verdicts_are_observed_before_anybody_is_told() {
    let one = draft("1", 10);
    let mut node = node(std::slice::from_ref(&one));
    let batch = node.next_batch(Time(0)).unwrap();
    node.outcome(
        at(0),
        batch,
        Outcome::Unknown,
        |_, _| panic!("nothing is known yet"),
        &mut Vec::new(),
    );
    let batch = node.next_batch(Time(100)).unwrap();
    let mut seen = 0;
    let verdicts = vec![Verdict::Duplicate(stored(&one, 1))];
    node.outcome(
        at(100),
        batch,
        Outcome::Stored(verdicts),
        |records, verdicts| {
            assert!(matches!((records, verdicts), ([_], [Verdict::New(_)])));
            seen += 1;
        },
        &mut Vec::new(),
    );
    assert_eq!(seen, 1);
}

/// What a session sends gathers like what is submitted.
#[test]
fn a_sessions_frames_reach_the_lane() {
    let mut node = Node::new(Config::default());
    let link = node.open(at(0), Transport::Tcp);
    let data = r#"{"loginUserId":"alice","loginToken":"t"}"#;
    let frame = Frame {
        kind: code::LOGIN,
        data: Some(Cow::Borrowed(data)),
        ..Frame::default()
    };
    let bytes = 100;
    let mut actions = Vec::new();
    let input = Input::Frame { link, frame, bytes };
    node.on(at(0), input, &mut actions);
    assert!(node.gathered().is_empty());
    let code = code::OK;
    let until = Time(u64::MAX);
    node.on(at(1), Input::Verified { link, code, until }, &mut actions);
    assert!(matches!(node.gathered(), [Record::Login(_)]));
}
