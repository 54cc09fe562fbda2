//! What became of each message of one sender: sent, acknowledged, received, once, in order.

use std::collections::{BTreeMap, VecDeque};

/// Messages behind the oldest unfinished one that are kept in a row; those that stay behind longer
/// are kept one by one, so that a lost message costs no memory for all that follow it.
const ROW_MAX: usize = 8192;

/// What is known of one message.
#[derive(Debug, Clone, Copy)]
struct Fate {
    sent_ns: u64,
    acked: bool,
    received: bool,
}

/// The messages of one sender to one receiver, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// Those from number `base` on.
    row: VecDeque<Fate>,
    base: u64,
    /// Older ones that are not finished.
    stragglers: BTreeMap<u64, Fate>,
    /// One more than the highest number received.
    received_to: u64,
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) received: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
}

impl Tracker {
    /// The next message is sent; answers its number.
    pub(super) fn send(&mut self, now_ns: u64) -> u64 {
        let seq = self.base + self.row.len() as u64;
        self.row.push_back(Fate {
            sent_ns: now_ns,
            acked: false,
            received: false,
        });
        self.sent += 1;
        if self.row.len() > ROW_MAX
            && let Some(fate) = self.row.pop_front()
        {
            self.stragglers.insert(self.base, fate);
            self.base += 1;
            self.shorten();
        }
        seq
    }

    /// An acknowledgement came; answers when the message was sent, if it is the first.
    pub(super) fn ack(&mut self, seq: u64) -> Option<u64> {
        let fate = self.fate(seq).filter(|fate| !fate.acked)?;
        fate.acked = true;
        let sent_ns = fate.sent_ns;
        self.acked += 1;
        self.finish(seq);
        Some(sent_ns)
    }

    /// The message came; answers when it was sent, if it is the first copy.
    pub(super) fn receive(&mut self, seq: u64) -> Option<u64> {
        let Some(fate) = self.fate(seq).filter(|fate| !fate.received) else {
            self.duplicated += 1;
            return None;
        };
        fate.received = true;
        let sent_ns = fate.sent_ns;
        self.received += 1;
        if seq < self.received_to {
            self.out_of_order += 1;
        }
        self.received_to = self.received_to.max(seq + 1);
        self.finish(seq);
        Some(sent_ns)
    }

    /// True if every message was acknowledged and received.
    pub(super) fn is_complete(&self) -> bool {
        self.acked == self.sent && self.received == self.sent
    }

    /// Messages that were acknowledged and have not been received.
    pub(super) fn lost(&self) -> u64 {
        let all = self.row.iter().chain(self.stragglers.values());
        all.filter(|fate| fate.acked && !fate.received).count() as u64
    }

    /// Numbers of messages sent before `before_ns` that nobody has acknowledged.
    pub(super) fn unacked_before(&self, before_ns: u64) -> Vec<u64> {
        let row = self
            .row
            .iter()
            .zip(self.base..)
            .map(|(fate, seq)| (seq, fate));
        let all = self
            .stragglers
            .iter()
            .map(|(seq, fate)| (*seq, fate))
            .chain(row);
        all.filter(|(_, fate)| !fate.acked && fate.sent_ns < before_ns)
            .map(|(seq, _)| seq)
            .collect()
    }

    fn fate(&mut self, seq: u64) -> Option<&mut Fate> {
        match seq.checked_sub(self.base) {
            Some(at) => self.row.get_mut(usize::try_from(at).ok()?),
            None => self.stragglers.get_mut(&seq),
        }
    }

    /// Forgets what is finished.
    fn finish(&mut self, seq: u64) {
        if seq < self.base {
            if self
                .stragglers
                .get(&seq)
                .is_some_and(|f| f.acked && f.received)
            {
                self.stragglers.remove(&seq);
            }
        } else {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        while self.row.front().is_some_and(|f| f.acked && f.received) {
            self.row.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(count: u64) -> Tracker {
        let mut tracker = Tracker::default();
        for seq in 0..count {
            assert_eq!(tracker.send(seq * 10), seq);
        }
        tracker
    }

    #[test]
    fn what_arrives_once_in_order_is_complete_and_forgotten() {
        let mut tracker = sent(100);
        for seq in 0..100 {
            // Delivery and acknowledgement overtake each other freely.
            if seq % 2 == 0 {
                assert_eq!(tracker.receive(seq), Some(seq * 10));
                assert_eq!(tracker.ack(seq), Some(seq * 10));
            } else {
                assert_eq!(tracker.ack(seq), Some(seq * 10));
                assert_eq!(tracker.receive(seq), Some(seq * 10));
            }
        }
        assert!(tracker.is_complete() && tracker.row.is_empty());
        assert_eq!(
            (tracker.lost(), tracker.duplicated, tracker.out_of_order),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_loss_is_what_was_acknowledged_and_did_not_come() {
        let mut tracker = sent(4);
        for seq in [0, 1, 2] {
            tracker.ack(seq);
        }
        tracker.receive(0);
        tracker.receive(2);
        assert_eq!((tracker.lost(), tracker.sent - tracker.acked), (1, 1));
        assert!(!tracker.is_complete());
    }

    #[test]
    fn a_second_copy_is_a_duplicate_even_long_after() {
        let mut tracker = sent(3);
        for seq in 0..3 {
            tracker.ack(seq);
            tracker.receive(seq);
        }
        assert_eq!(tracker.receive(0), None);
        assert_eq!(tracker.ack(0), None, "a second acknowledgement is no fault");
        assert_eq!(
            (tracker.duplicated, tracker.received, tracker.acked),
            (1, 3, 3)
        );
    }

    #[test]
    fn one_that_was_overtaken_is_out_of_order() {
        let mut tracker = sent(4);
        for seq in [0, 2, 3, 1] {
            tracker.receive(seq);
        }
        assert_eq!((tracker.out_of_order, tracker.duplicated), (1, 0));
    }

    #[test]
    fn a_lost_message_does_not_hold_those_behind_it_in_memory() {
        let mut tracker = Tracker::default();
        for seq in 0..100_000 {
            tracker.send(seq);
            tracker.ack(seq);
            if seq != 7 {
                tracker.receive(seq);
            }
        }
        assert_eq!(tracker.lost(), 1);
        assert!(tracker.row.len() <= ROW_MAX && tracker.stragglers.len() <= 1);
        assert_eq!(tracker.receive(7), Some(7));
        assert!(tracker.is_complete() && tracker.stragglers.is_empty());
        assert_eq!(tracker.out_of_order, 1);
    }

    #[test]
    fn what_nobody_acknowledged_is_named() {
        let mut tracker = sent(5);
        tracker.ack(1);
        assert_eq!(tracker.unacked_before(35), vec![0, 2, 3]);
    }
}
