//! The sender's half: what was handed over and is not acknowledged, in order for each receiver.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tidings_core::ids::Name;
use tidings_core::limits::RESEND_WAIT_MS_MAX;
use tidings_core::time::Time;

use super::{Config, Outgoing};
use crate::error::SendError;

struct Entry {
    message: Arc<Outgoing>,
    /// Transmissions so far, over all logins.
    sends: u32,
    /// When it is sent again; none while it waits for its turn.
    due: Option<Time>,
}

impl Entry {
    /// Counts a transmission. MobileIMSDK's clients repeat every five seconds, twice; who never
    /// gives up asks less and less often.
    fn sent(&mut self, now: Time, config: &Config) {
        let doublings = match config.retries {
            Some(_) => 0,
            None => self.sends.min(5),
        };
        let wait = (config.resend_ms << doublings).min(RESEND_WAIT_MS_MAX.max(config.resend_ms));
        self.sends += 1;
        self.due = Some(now + wait);
    }
}

/// Messages to one receiver.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<u64>,
    in_flight: usize,
}

/// What a look at the timers found.
pub(super) enum Overdue {
    Resend(Arc<Outgoing>),
    GaveUp(u64, Arc<Outgoing>),
}

/// Order numbers grow with each message; all collections go by them.
pub(super) struct Outbox {
    entries: BTreeMap<u64, Entry>,
    by_id: HashMap<Name, u64>,
    lanes: HashMap<Name, Lane>,
    /// The first waiting message of each lane that may send now.
    ready: BTreeSet<u64>,
    in_flight: BTreeSet<u64>,
    bytes: usize,
    next_order: u64,
}

impl Outbox {
    pub(super) fn new(restored: Vec<(u64, Outgoing)>, config: &Config) -> Outbox {
        let mut outbox = Outbox {
            entries: BTreeMap::new(),
            by_id: HashMap::new(),
            lanes: HashMap::new(),
            ready: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            bytes: 0,
            next_order: 1,
        };
        for (order, message) in restored {
            outbox.next_order = outbox.next_order.max(order);
            let order = outbox.insert(message);
            outbox.release(order, config);
        }
        outbox
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the bounds allow one more.
    pub(super) fn admit(&self, message: &Outgoing, config: &Config) -> Result<(), SendError> {
        if self.by_id.contains_key(&message.id) {
            return Err(SendError::DuplicateId);
        }
        if self.entries.len() >= config.outbox_messages_max {
            let limit = config.outbox_messages_max;
            return Err(SendError::OutboxFullMessages { limit });
        }
        if self.bytes + message.weight() > config.outbox_bytes_max {
            let limit = config.outbox_bytes_max;
            return Err(SendError::OutboxFullBytes { limit });
        }
        Ok(())
    }

    /// Takes a message in; it is not sent before [`Outbox::release`].
    pub(super) fn insert(&mut self, message: Outgoing) -> u64 {
        let order = self.next_order;
        self.next_order += 1;
        self.bytes += message.weight();
        self.by_id.insert(message.id.clone(), order);
        let entry = Entry {
            message: Arc::new(message),
            sends: 0,
            due: None,
        };
        self.entries.insert(order, entry);
        order
    }

    /// Lets a message go out when its turn comes. Called in order.
    pub(super) fn release(&mut self, order: u64, config: &Config) {
        let Some(entry) = self.entries.get(&order) else {
            return;
        };
        let to = entry.message.to.clone();
        let lane = self.lanes.entry(to.clone()).or_default();
        lane.waiting.push_back(order);
        self.offer(&to, config);
    }

    /// Makes a lane's first waiting message ready, if the lane may send.
    fn offer(&mut self, to: &Name, config: &Config) {
        if let Some(lane) = self.lanes.get(to)
            && lane.in_flight < config.window_per_receiver
            && let Some(first) = lane.waiting.front()
        {
            self.ready.insert(*first);
        }
    }

    /// The next message to send, if the window has room; it is in flight from here on.
    pub(super) fn next(&mut self, now: Time, config: &Config) -> Option<Arc<Outgoing>> {
        if self.in_flight.len() >= config.window {
            return None;
        }
        let order = self.ready.pop_first()?;
        let entry = self.entries.get_mut(&order)?;
        entry.sent(now, config);
        let message = entry.message.clone();
        self.in_flight.insert(order);
        if let Some(lane) = self.lanes.get_mut(&message.to) {
            lane.waiting.pop_front();
            lane.in_flight += 1;
        }
        self.offer(&message.to, config);
        Some(message)
    }

    /// The order number of the message with this id.
    pub(super) fn find(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    pub(super) fn message(&self, order: u64) -> Option<Arc<Outgoing>> {
        self.entries.get(&order).map(|entry| entry.message.clone())
    }

    /// The order number of the message in flight, if it is alone.
    pub(super) fn only_in_flight(&self) -> Option<u64> {
        let first = self.in_flight.first().copied();
        first.filter(|_| self.in_flight.len() == 1)
    }

    /// Takes a message out: acknowledged, refused or given up.
    pub(super) fn remove(&mut self, order: u64, config: &Config) -> Option<Arc<Outgoing>> {
        let entry = self.entries.remove(&order)?;
        let message = entry.message;
        self.by_id.remove(&message.id);
        self.bytes -= message.weight();
        self.ready.remove(&order);
        let was_in_flight = self.in_flight.remove(&order);
        if let Some(lane) = self.lanes.get_mut(&message.to) {
            if was_in_flight {
                lane.in_flight -= 1;
            } else {
                lane.waiting.retain(|&waiting| waiting != order);
            }
            if lane.in_flight == 0 && lane.waiting.is_empty() {
                self.lanes.remove(&message.to);
            }
        }
        self.offer(&message.to, config);
        Some(message)
    }

    /// When [`Outbox::overdue`] has work next.
    pub(super) fn deadline(&self) -> Option<Time> {
        let dues = self.in_flight.iter().filter_map(|order| self.due(*order));
        dues.min()
    }

    fn due(&self, order: u64) -> Option<Time> {
        self.entries.get(&order).and_then(|entry| entry.due)
    }

    /// What must be sent again now, in order, and what is given up.
    pub(super) fn overdue(&mut self, now: Time, config: &Config) -> Vec<Overdue> {
        let mut found = Vec::new();
        for &order in &self.in_flight {
            let Some(entry) = self.entries.get_mut(&order) else {
                continue;
            };
            if entry.due.is_none_or(|due| due > now) {
                continue;
            }
            if config.retries.is_some_and(|retries| entry.sends > retries) {
                found.push(Overdue::GaveUp(order, entry.message.clone()));
            } else {
                entry.sent(now, config);
                found.push(Overdue::Resend(entry.message.clone()));
            }
        }
        found
    }

    /// Answers could not be read for a while: nothing is late before they had time to be.
    pub(super) fn postpone(&mut self, now: Time, config: &Config) {
        for order in &self.in_flight {
            if let Some(entry) = self.entries.get_mut(order) {
                entry.due = entry.due.max(Some(now + config.resend_ms));
            }
        }
    }

    /// The link is gone: all that was in flight waits again, in its old place.
    pub(super) fn rewind(&mut self, config: &Config) {
        let orders = std::mem::take(&mut self.in_flight);
        let mut receivers = Vec::new();
        for &order in orders.iter().rev() {
            let Some(entry) = self.entries.get_mut(&order) else {
                continue;
            };
            entry.due = None;
            if config.retries.is_none() {
                entry.sends = 0;
            }
            if let Some(lane) = self.lanes.get_mut(&entry.message.to) {
                // What was ready stands behind what is put in front of it.
                if let Some(first) = lane.waiting.front() {
                    self.ready.remove(first);
                }
                lane.waiting.push_front(order);
                lane.in_flight = 0;
                receivers.push(entry.message.to.clone());
            }
        }
        for to in receivers {
            self.offer(&to, config);
        }
    }
}
