//! Arbitrary interleavings of commits, loads, acknowledgements and time against a simple model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{Flow, Overdue, Passing, Track, WindowRules};
use crate::custody::{Backlog, Behind, Cursor, Loaded, Want};
use crate::ids::{ConversationId, DeviceId, Name};
use crate::message::{Message, MessageRef};
use crate::time::Time;

#[derive(Debug, Clone)]
enum Step {
    /// A message is committed, and its verdict reaches the flow.
    Commit(u64),
    /// The load under way is answered.
    Answer,
    /// The client acknowledges one of what it was sent.
    Ack(usize),
    /// It acknowledges what it was never sent.
    Nonsense(u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u64).prop_map(Step::Commit),
        3 => Just(Step::Answer),
        4 => (0..100usize).prop_map(Step::Ack),
        1 => (0..100u64).prop_map(Step::Nonsense),
        1 => (0..4_000u64).prop_map(Step::Pass),
    ]
}

struct Model {
    flow: Flow,
    rules: WindowRules,
    log: Vec<MessageRef>,
    wants: Option<(Vec<Want>, usize)>,
    /// Sent for the first time, in order.
    sent: Vec<MessageRef>,
    acked: BTreeSet<u64>,
    now: Time,
}

fn message(log: &[MessageRef], conversation: u64) -> MessageRef {
    let position = log.len() as u64 + 1;
    let same = |m: &&MessageRef| m.conversation.0 == conversation;
    Arc::new(Message {
        conversation: ConversationId(conversation),
        seq: log.iter().filter(same).count() as u64 + 1,
        position,
        time_ms: 0,
        from: Name::from("alice"),
        to: Name::from("bob"),
        id: Name::from(format!("m{position}")),
        typeu: 0,
        body: Box::from("x"),
    })
}

impl Model {
    fn new(rules: WindowRules, before: &[u64]) -> Model {
        let mut log = Vec::new();
        for conversation in before {
            log.push(message(&log, *conversation));
        }
        let mut behind: BTreeMap<u64, Behind> = BTreeMap::new();
        for m in &log {
            let entry = behind.entry(m.conversation.0).or_insert_with(|| Behind {
                cursor: Cursor {
                    device: DeviceId(1),
                    conversation: m.conversation,
                    acked: 0,
                    sparse: Vec::new(),
                    unanswered: Vec::new(),
                },
                head: 0,
                next: m.position,
            });
            entry.head = m.seq;
        }
        let mut flow = Flow::default();
        let behind = behind.into_values().collect();
        flow.begin(&Backlog {
            behind,
            groups: Vec::new(),
            upto: log.len() as u64,
        });
        let (wants, sent, acked) = (None, Vec::new(), BTreeSet::new());
        let mut model = Model {
            flow,
            rules,
            log,
            wants,
            sent,
            acked,
            now: Time(1),
        };
        model.pump();
        model
    }

    fn pump(&mut self) {
        if self.wants.is_none() {
            self.wants = self.flow.wants(&self.rules);
        }
    }

    fn answer(&mut self) {
        let Some((wants, max)) = self.wants.take() else {
            return;
        };
        let wanted = |m: &&MessageRef| {
            let fits =
                |w: &Want| w.conversation == m.conversation && m.seq > w.after && m.seq <= w.upto;
            wants.iter().any(fits)
        };
        let all: Vec<MessageRef> = self.log.iter().filter(wanted).cloned().collect();
        let (messages, rest) = all.split_at(all.len().min(max));
        let next = |w: &Want| {
            rest.iter()
                .find(|m| m.conversation == w.conversation)
                .map(|m| m.position)
        };
        let loaded = Loaded {
            messages: messages.to_vec(),
            next: wants.iter().map(next).collect(),
        };
        let mut sending = Vec::new();
        assert!(self.flow.expects(&wants));
        let (now, rules) = (self.now, self.rules);
        self.flow.loaded(
            now,
            &wants,
            &loaded,
            &rules,
            |_| Passing::Send,
            &mut sending,
        );
        self.sent.extend(sending);
        self.pump();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Commit(conversation) => {
                let m = message(&self.log, conversation);
                self.log.push(m.clone());
                if self.flow.raise(&m, true, &self.rules) {
                    let sending = self.flow.pass(self.now, &m, Passing::Send);
                    self.sent.extend(sending);
                }
                self.pump();
            }
            Step::Answer => self.answer(),
            Step::Ack(at) => {
                let open: Vec<MessageRef> = self.open();
                if let Some(m) = open.get(at % open.len().max(1)) {
                    assert!(
                        self.flow
                            .acknowledge(self.now, &m.id, Some("alice"))
                            .is_some()
                    );
                    self.acked.insert(m.position);
                    self.flow.forget_if_done(m.conversation);
                }
                self.pump();
            }
            Step::Nonsense(n) => {
                assert!(
                    self.flow
                        .acknowledge(self.now, &format!("never{n}"), None)
                        .is_none()
                );
            }
            Step::Pass(ms) => {
                self.now = self.now + ms;
                for overdue in self.flow.overdue(self.now) {
                    assert!(matches!(overdue, Overdue::Resend { .. }), "{overdue:?}");
                }
            }
        }
        self.check();
    }

    /// Sent and not acknowledged.
    fn open(&self) -> Vec<MessageRef> {
        let open = |m: &&MessageRef| !self.acked.contains(&m.position);
        self.sent.iter().filter(open).cloned().collect()
    }

    fn check(&self) {
        let open = self.open();
        assert!(open.len() <= self.rules.messages_max);
        for conversation in 0..3 {
            let id = ConversationId(conversation);
            let here = |m: &&MessageRef| m.conversation == id;
            let sent: Vec<u64> = self.sent.iter().filter(here).map(|m| m.seq).collect();
            // Each once, in order, without a gap.
            assert_eq!(sent, (1..=sent.len() as u64).collect::<Vec<_>>());
            assert!(open.iter().filter(here).count() <= self.rules.per_conversation_max);
            let head = self.log.iter().filter(here).count() as u64;
            let acked = |seq: &u64| {
                self.sent.iter().any(|m| {
                    m.conversation == id && m.seq == *seq && self.acked.contains(&m.position)
                })
            };
            let prefix = (1..=head).take_while(acked).count() as u64;
            match self.flow.track(id) {
                Some(track) => assert_eq!(track.acked, prefix, "{track:?}"),
                None => assert_eq!(prefix, head),
            }
        }
    }

    /// The client answers everything: nothing may be stuck.
    fn drain(&mut self) {
        for _ in 0..self.log.len() * 2 + 2 {
            self.take(Step::Answer);
            while !self.open().is_empty() {
                self.take(Step::Ack(0));
            }
        }
        assert_eq!(self.sent.len(), self.log.len());
        assert!(self.flow.next_due().is_none());
    }
}

fn rules() -> impl Strategy<Value = WindowRules> {
    (1..6usize, 1..6usize).prop_map(|(messages_max, per_conversation_max)| WindowRules {
        messages_max,
        bytes_max: 1 << 20,
        per_conversation_max,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_message_once_in_order_and_nothing_stuck(
        rules in rules(),
        before in prop::collection::vec(0..3u64, 0..12),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut model = Model::new(rules, &before);
        for step in steps {
            // Less than any deadline in all, or messages are given up.
            let slow = matches!(step, Step::Pass(_)) && model.now > Time(100_000);
            if !slow {
                model.take(step);
            }
        }
        model.drain();
    }

    #[test]
    fn a_track_settles_like_a_set(seqs in prop::collection::vec(1..40u64, 0..80)) {
        let mut track = Track::starting_at(ConversationId(1), 1, 1);
        track.head = 40;
        let mut settled = BTreeSet::new();
        for seq in seqs {
            prop_assert_eq!(track.settle(seq), settled.insert(seq));
            let prefix = (1..).take_while(|s| settled.contains(s)).count() as u64;
            prop_assert_eq!(track.acked, prefix);
            let above: Vec<u64> = settled.iter().copied().filter(|s| *s > prefix).collect();
            prop_assert_eq!(&track.sparse, &above);
        }
    }
}

#[test]
fn what_retention_removed_is_waited_for_by_nobody() {
    let mut model = Model::new(
        WindowRules {
            messages_max: 8,
            bytes_max: 1 << 20,
            per_conversation_max: 8,
        },
        &[0; 6],
    );
    model.log.drain(..3);
    let (wants, _) = model.wants.clone().expect("it is behind");
    let loaded = Loaded {
        messages: model.log.clone(),
        next: vec![None],
    };
    let mut sending = Vec::new();
    let rules = model.rules;
    model.flow.loaded(
        Time(1),
        &wants,
        &loaded,
        &rules,
        |_| Passing::Send,
        &mut sending,
    );
    assert_eq!(sending.iter().map(|m| m.seq).collect::<Vec<_>>(), [4, 5, 6]);
    for m in &sending {
        model.flow.acknowledge(model.now, &m.id, None);
    }
    assert_eq!(
        model.flow.track(ConversationId(0)).map(|t| t.acked),
        Some(6)
    );
}

#[test]
fn more_sparse_acknowledgements_than_are_remembered_are_harmless() {
    let mut track = Track::starting_at(ConversationId(1), 1, 1);
    track.head = 1_000;
    for seq in 2..=1_000 {
        track.settle(seq);
    }
    assert_eq!(track.sparse.len(), crate::limits::CURSOR_SPARSE_MAX);
    assert_eq!(track.acked, 0);
    assert!(track.settle(1));
    assert_eq!(track.acked, crate::limits::CURSOR_SPARSE_MAX as u64 + 1);
}
