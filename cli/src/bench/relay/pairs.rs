//! The pairs of one thread: who sends, who receives, and the checks on what arrives.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;

use super::tracker::Tracker;
use crate::bench::args::random;
use crate::bench::engine::{Net, Scenario};
use crate::bench::histogram::Histogram;
use crate::bench::stage::{Part, Stage};
use crate::bench::template::{Expected, Ids, Outgoing, is_body_of};

/// A datagram that was not acknowledged is sent again after so long.
const AGAIN_NS: u64 = 5_000_000_000;
/// How often to look for such.
const LOOK_NS: u64 = 1_000_000_000;

/// One sender and one receiver: connections `2 × index` and `2 × index + 1` of their worker.
#[derive(Debug)]
struct Pair {
    ids: Ids,
    message: Outgoing,
    /// The receiver's.
    ack: Outgoing,
    expected_ack: Expected,
    expected_message: Expected,
    tracker: Tracker,
}

/// How to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// So many unacknowledged at any time.
    Window(u64),
    /// So many a second from each worker, whatever comes back.
    Rate(f64),
}

/// What the pairs of one worker, or of all, have seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Messages that nobody in this run sent, or with another body.
    pub(super) foreign: u64,
    /// Datagrams that had to be sent again.
    pub(super) resent: u64,
    pub(super) ack: Histogram,
    pub(super) delivery: Histogram,
}

impl Seen {
    pub(super) fn new() -> Seen {
        Seen {
            sent: 0,
            acked: 0,
            received: 0,
            lost: 0,
            duplicated: 0,
            out_of_order: 0,
            foreign: 0,
            resent: 0,
            ack: Histogram::new(),
            delivery: Histogram::new(),
        }
    }

    pub(super) fn merge(&mut self, other: &Seen) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.received += other.received;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.foreign += other.foreign;
        self.resent += other.resent;
        self.ack.merge(&other.ack);
        self.delivery.merge(&other.delivery);
    }
}

/// The pairs of one worker.
pub(super) struct Pairs {
    stage: Arc<Stage>,
    pairs: Vec<Pair>,
    pace: Pace,
    body: usize,
    /// Datagrams are sent again; a stream loses nothing.
    resends: bool,
    begun: bool,
    /// Messages of the open loop so far.
    paced: u64,
    looked: u64,
    /// Drained, or given up after this without progress.
    grace_ns: u64,
    progress: (u64, u64),
    /// Already told to the stage.
    told: [u64; 3],
    seen: Seen,
}

impl Pairs {
    /// `users`: sender and receiver of each pair.
    pub(super) fn new(
        stage: Arc<Stage>,
        users: &[(String, String)],
        pace: Pace,
        body: usize,
        resends: bool,
        grace_ns: u64,
    ) -> Pairs {
        let pair = |(sender, receiver): &(String, String)| Pair {
            ids: Ids::new(random()),
            message: Outgoing::message(sender, receiver, body),
            ack: Outgoing::ack(receiver, sender),
            expected_ack: Expected::ack(receiver, sender),
            expected_message: Expected::message(sender, receiver, body),
            tracker: Tracker::default(),
        };
        Pairs {
            stage,
            pairs: users.iter().map(pair).collect(),
            pace,
            body,
            resends,
            begun: false,
            paced: 0,
            looked: 0,
            grace_ns,
            progress: (0, 0),
            told: [0; 3],
            seen: Seen::new(),
        }
    }

    /// What was seen, once the worker has ended.
    pub(super) fn into_seen(mut self) -> Seen {
        for pair in &self.pairs {
            let tracker = &pair.tracker;
            self.seen.sent += tracker.sent;
            self.seen.acked += tracker.acked;
            self.seen.received += tracker.received;
            self.seen.lost += tracker.lost();
            self.seen.duplicated += tracker.duplicated;
            self.seen.out_of_order += tracker.out_of_order;
        }
        self.seen
    }

    /// Sends the next message of a pair. `at_ns` is when it was meant to be sent: an open loop that
    /// is late must not make its latencies look better.
    fn send(&mut self, net: &mut Net, index: usize, at_ns: u64) {
        let pair = &mut self.pairs[index];
        let seq = pair.tracker.send(at_ns);
        net.push(2 * index, pair.message.with(&pair.ids.id(seq)));
        self.told[0] += 1;
    }

    fn acked(&mut self, net: &mut Net, index: usize, id: &[u8], now: u64) {
        let pair = &mut self.pairs[index];
        let Some(seq) = pair.ids.seq(id) else {
            self.seen.foreign += 1;
            return;
        };
        let Some(sent_ns) = pair.tracker.ack(seq) else {
            return;
        };
        self.told[1] += 1;
        if self.stage.counts(sent_ns) {
            self.seen.ack.record(now.saturating_sub(sent_ns));
        }
        if matches!(self.pace, Pace::Window(_)) && self.stage.part() == Part::Run {
            self.send(net, index, now);
        }
    }

    fn received(&mut self, net: &mut Net, index: usize, id: &[u8], body: &[u8], now: u64) {
        let pair = &mut self.pairs[index];
        let seq = pair.ids.seq(id).filter(|_| is_body_of(body, id, self.body));
        if let Ok(id) = id.try_into() {
            // Whatever it is: its sender waits for it, and would send it again.
            net.push(2 * index + 1, pair.ack.with(id));
        }
        let Some(seq) = seq else {
            self.seen.foreign += 1;
            return;
        };
        let Some(sent_ns) = pair.tracker.receive(seq) else {
            return;
        };
        self.told[2] += 1;
        if self.stage.counts(sent_ns) {
            self.seen.delivery.record(now.saturating_sub(sent_ns));
        }
    }

    fn begin(&mut self, net: &mut Net, now: u64) {
        self.begun = true;
        if let Pace::Window(window) = self.pace {
            for index in 0..self.pairs.len() {
                for _ in 0..window {
                    self.send(net, index, now);
                }
            }
        }
    }

    /// The open loop: everything that is due, in turn.
    fn catch_up(&mut self, net: &mut Net, now: u64) {
        let Pace::Rate(rate) = self.pace else {
            return;
        };
        let from = self.stage.run_from();
        loop {
            let due = from + (self.paced as f64 * 1e9 / rate) as u64;
            if due > now {
                return;
            }
            let index = (self.paced % self.pairs.len() as u64) as usize;
            self.paced += 1;
            self.send(net, index, due);
        }
    }

    fn send_again(&mut self, net: &mut Net, now: u64) {
        if !self.resends || now.saturating_sub(self.looked) < LOOK_NS {
            return;
        }
        self.looked = now;
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            for seq in pair.tracker.unacked_before(now.saturating_sub(AGAIN_NS)) {
                net.push(2 * index, pair.message.with(&pair.ids.id(seq)));
                self.seen.resent += 1;
            }
        }
    }

    /// Tells the other threads what happened since it last did.
    fn tell(&mut self) {
        let stage = &self.stage;
        for (count, told) in [&stage.sent, &stage.acked, &stage.received]
            .into_iter()
            .zip(&mut self.told)
        {
            if *told > 0 {
                count.fetch_add(std::mem::take(told), Relaxed);
            }
        }
    }

    /// True if nothing more will come: all is there, or nothing moved for the time of grace.
    fn is_drained(&mut self, now: u64) -> bool {
        if self.pairs.iter().all(|pair| pair.tracker.is_complete()) {
            return true;
        }
        let done: u64 = self
            .pairs
            .iter()
            .map(|pair| pair.tracker.acked + pair.tracker.received)
            .sum();
        if done != self.progress.0 || self.progress.1 == 0 {
            self.progress = (done, now);
        }
        now.saturating_sub(self.progress.1) > self.grace_ns
    }
}

impl Scenario for Pairs {
    fn online(&mut self, _net: &mut Net, _who: usize) {
        self.stage.online.fetch_add(1, Relaxed);
    }

    fn raw(&mut self, net: &mut Net, who: usize, frame: &[u8], now: u64) -> bool {
        let pair = &self.pairs[who / 2];
        if who.is_multiple_of(2) {
            let Some((id, _)) = pair.expected_ack.read(frame) else {
                return false;
            };
            self.acked(net, who / 2, id, now);
        } else {
            let Some((body, id)) = pair.expected_message.read(frame) else {
                return false;
            };
            self.received(net, who / 2, id, body, now);
        }
        true
    }

    fn decoded(&mut self, net: &mut Net, who: usize, frame: &Frame<'_>, now: u64) {
        let data = frame.data.as_deref().unwrap_or_default().as_bytes();
        match frame.kind {
            code::RECEIVED if who.is_multiple_of(2) => self.acked(net, who / 2, data, now),
            code::COMMON_DATA if !who.is_multiple_of(2) => {
                let id = frame.fp.as_deref().unwrap_or_default().as_bytes();
                self.received(net, who / 2, id, data, now);
            }
            _ => self.seen.foreign += 1,
        }
    }

    fn turn(&mut self, net: &mut Net, now: u64) -> bool {
        let part = self.stage.part();
        if part == Part::LogIn {
            return false;
        }
        if part == Part::Run && !self.begun {
            self.begin(net, now);
        }
        if part == Part::Run {
            self.catch_up(net, now);
        }
        self.send_again(net, now);
        self.tell();
        if part != Part::Drain || !self.is_drained(now) {
            return false;
        }
        for who in 0..net.clients.len() {
            net.log_out(who);
        }
        true
    }
}
