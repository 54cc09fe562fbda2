//! The receiver's half: what was shown, what the application has yet to take, what is known.

use std::collections::{HashSet, VecDeque};

use tidings_core::ids::Name;
use tidings_core::wire::mobileimsdk::Frame;

/// What makes a message the same one: sender, address and id (`docs/protocol.md` §7).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The sender.
    pub from: Name,
    /// The address.
    pub to: Name,
    /// The sender's id.
    pub id: Name,
}

/// A message that the application has to take before it is acknowledged.
pub(super) struct Due {
    pub(super) key: Seen,
    pub(super) ack: Frame<'static>,
}

/// How a message stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    New,
    /// Shown to the application, which has not taken it yet.
    Pending,
    /// Taken. Acknowledge again.
    Taken,
}

pub(super) struct Inbox {
    next_event: u64,
    /// Events that the application has not taken, oldest first.
    open: VecDeque<(u64, Option<Due>)>,
    pending: HashSet<Seen>,
    taken: HashSet<Seen>,
    /// The same in order of age.
    ring: VecDeque<Seen>,
    remembered_max: usize,
}

impl Inbox {
    pub(super) fn new(restored: Vec<Seen>, remembered_max: usize) -> Inbox {
        let mut inbox = Inbox {
            next_event: 1,
            open: VecDeque::new(),
            pending: HashSet::new(),
            taken: HashSet::new(),
            ring: VecDeque::new(),
            remembered_max,
        };
        for key in restored {
            inbox.remember(key);
        }
        inbox
    }

    /// Events that the application has not taken.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    pub(super) fn known(&self, key: &Seen) -> Known {
        if self.pending.contains(key) {
            Known::Pending
        } else if self.taken.contains(key) {
            Known::Taken
        } else {
            Known::New
        }
    }

    /// Numbers an event.
    pub(super) fn show(&mut self, due: Option<Due>) -> u64 {
        let number = self.next_event;
        self.next_event += 1;
        if let Some(due) = &due {
            self.pending.insert(due.key.clone());
        }
        self.open.push_back((number, due));
        number
    }

    /// The application took all events up to `number`: the messages among them, oldest first.
    pub(super) fn take(&mut self, number: u64) -> Vec<Due> {
        let mut taken = Vec::new();
        while let Some((open, _)) = self.open.front()
            && *open <= number
        {
            if let Some((_, Some(due))) = self.open.pop_front() {
                self.pending.remove(&due.key);
                self.remember(due.key.clone());
                taken.push(due);
            }
        }
        taken
    }

    /// Nobody will ever take them: they are forgotten, so that the server sends them again later.
    pub(super) fn abandon(&mut self) {
        self.open.clear();
        self.pending.clear();
    }

    fn remember(&mut self, key: Seen) {
        if self.taken.insert(key.clone()) {
            self.ring.push_back(key);
        }
        if self.ring.len() > self.remembered_max
            && let Some(oldest) = self.ring.pop_front()
        {
            self.taken.remove(&oldest);
        }
    }
}
