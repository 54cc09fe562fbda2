//! Pairs of one thread: who sends, who receives, and the checks on what arrives.
//!
//! Sender and receiver of a pair live on one thread, so that what became of each message is known
//! without a lock. Used by `relay`, and by `idle` for connections that have talked.

#[cfg(test)]
mod tests;
mod tracker;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;

use self::tracker::Tracker;
use crate::bench::args::random;
use crate::bench::engine::{Net, Scenario};
use crate::bench::histogram::Histogram;
use crate::bench::stage::{Part, Stage};
use crate::bench::template::{Expected, Ids, Outgoing, is_body_of};

/// A datagram that was not acknowledged is sent again after so long.
const AGAIN_NS: u64 = 5_000_000_000;
/// How often to look for such.
const LOOK_NS: u64 = 1_000_000_000;

/// Who sends to whom: indices of connections of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) sender: usize,
    pub(super) receiver: usize,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    pub(super) pace: Pace,
    /// Length of a message's body.
    pub(super) body: usize,
    /// Messages that each sender sends at most.
    pub(super) quota: u64,
    /// Datagrams are sent again; a stream loses nothing.
    pub(super) resends: bool,
    /// The drain is given up after this without progress.
    pub(super) grace_ns: u64,
}

/// What a connection is, as indices of pairs.
#[derive(Debug, Clone, Copy, Default)]
struct Role {
    sends: Option<usize>,
    receives: Option<usize>,
}

/// One sender and one receiver.
#[derive(Debug)]
struct Pair {
    link: Link,
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
    plan: Plan,
    pairs: Vec<Pair>,
    /// By connection.
    roles: Vec<Role>,
    begun: bool,
    /// Messages of the open loop so far.
    paced: u64,
    looked: u64,
    /// Messages that were acknowledged or received, and when that last changed.
    progress: (u64, u64),
    /// Already told to the stage.
    told: [u64; 3],
    seen: Seen,
}

impl Pairs {
    /// `users` by connection of this worker.
    pub(super) fn new(stage: Arc<Stage>, users: &[String], links: &[Link], plan: Plan) -> Pairs {
        let mut roles = vec![Role::default(); users.len()];
        let mut pairs = Vec::with_capacity(links.len());
        for (index, link) in links.iter().enumerate() {
            roles[link.sender].sends = Some(index);
            roles[link.receiver].receives = Some(index);
            let (sender, receiver) = (&users[link.sender], &users[link.receiver]);
            pairs.push(Pair {
                link: *link,
                ids: Ids::new(random()),
                message: Outgoing::message(sender, receiver, plan.body),
                ack: Outgoing::ack(receiver, sender),
                expected_ack: Expected::ack(receiver, sender),
                expected_message: Expected::message(sender, receiver, plan.body),
                tracker: Tracker::default(),
            });
        }
        Pairs {
            stage,
            plan,
            pairs,
            roles,
            begun: false,
            paced: 0,
            looked: 0,
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
        if pair.tracker.sent == self.plan.quota {
            return;
        }
        let seq = pair.tracker.send(at_ns);
        net.push(pair.link.sender, pair.message.with(&pair.ids.id(seq)));
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
        if matches!(self.plan.pace, Pace::Window(_)) && self.stage.part() == Part::Run {
            self.send(net, index, now);
        }
    }

    fn received(&mut self, net: &mut Net, index: usize, id: &[u8], body: &[u8], now: u64) {
        let pair = &mut self.pairs[index];
        let seq = pair
            .ids
            .seq(id)
            .filter(|_| is_body_of(body, id, self.plan.body));
        if let Ok(id) = id.try_into() {
            // Whatever it is: its sender waits for it, and would send it again.
            net.push(pair.link.receiver, pair.ack.with(id));
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
        if let Pace::Window(window) = self.plan.pace {
            for index in 0..self.pairs.len() {
                for _ in 0..window {
                    self.send(net, index, now);
                }
            }
        }
    }

    /// The open loop: everything that is due, in turn.
    fn catch_up(&mut self, net: &mut Net, now: u64) {
        let Pace::Rate(rate) = self.plan.pace else {
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
        if !self.plan.resends || now.saturating_sub(self.looked) < LOOK_NS {
            return;
        }
        self.looked = now;
        for pair in &mut self.pairs {
            for seq in pair.tracker.unacked_before(now.saturating_sub(AGAIN_NS)) {
                net.push(pair.link.sender, pair.message.with(&pair.ids.id(seq)));
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
        now.saturating_sub(self.progress.1) > self.plan.grace_ns
    }
}

impl Scenario for Pairs {
    fn online(&mut self, _net: &mut Net, _who: usize) {
        self.stage.online.fetch_add(1, Relaxed);
    }

    fn raw(&mut self, net: &mut Net, who: usize, frame: &[u8], now: u64) -> bool {
        let role = self.roles[who];
        if let Some(index) = role.sends
            && let Some((id, _)) = self.pairs[index].expected_ack.read(frame)
        {
            self.acked(net, index, id, now);
            return true;
        }
        if let Some(index) = role.receives
            && let Some((body, id)) = self.pairs[index].expected_message.read(frame)
        {
            self.received(net, index, id, body, now);
            return true;
        }
        false
    }

    fn decoded(&mut self, net: &mut Net, who: usize, frame: &Frame<'_>, now: u64) {
        let data = frame.data.as_deref().unwrap_or_default().as_bytes();
        let role = self.roles[who];
        match (frame.kind, role.sends, role.receives) {
            (code::RECEIVED, Some(index), _) => self.acked(net, index, data, now),
            (code::COMMON_DATA, _, Some(index)) => {
                let id = frame.fp.as_deref().unwrap_or_default().as_bytes();
                self.received(net, index, id, data, now);
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
        net.log_out_all();
        true
    }
}
