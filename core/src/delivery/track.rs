//! One conversation as one session works through it.

use crate::custody::{Cursor, Unanswered};
use crate::ids::{ConversationId, DeviceId};
use crate::limits;

/// A cursor at work. Exists while something in the conversation is not acknowledged.
///
/// `acked ≤ sent ≤ head`. Everything up to `acked` is settled; between `acked` and `sent` lies what
/// is in flight, settled early (`sparse`) or given up for this login; above `sent` lies what is
/// still in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Which log.
    pub conversation: ConversationId,
    /// Contiguous prefix that is settled.
    pub acked: u64,
    /// Settled numbers above `acked`, ascending.
    pub sparse: Vec<u64>,
    /// Sent (or skipped) up to here in this login.
    pub sent: u64,
    /// Last number known to be committed.
    pub head: u64,
    /// Last number that was committed when the login read its backlog; 0 if nothing lay behind.
    pub began: u64,
    /// Position of the message after `sent`: older conversations are served first.
    pub next: u64,
    /// The positions of the messages above `acked` if the track began while the backlog was being
    /// read: where the device stands is not known yet. At most
    /// [`limits::RAISED_WHILE_READING_MAX`]. Empty otherwise.
    pub provisional: Vec<u64>,
    /// Messages of this conversation in flight.
    pub in_flight: usize,
    /// What earlier logins did not answer.
    pub unanswered: Vec<Unanswered>,
}

impl Track {
    /// A conversation of which everything before `seq` is settled.
    #[must_use]
    pub fn starting_at(conversation: ConversationId, seq: u64, position: u64) -> Track {
        let acked = seq.saturating_sub(1);
        Track {
            conversation,
            acked,
            sparse: Vec::new(),
            sent: acked,
            head: acked,
            began: 0,
            next: position,
            provisional: Vec::new(),
            in_flight: 0,
            unanswered: Vec::new(),
        }
    }

    /// A message was committed while the backlog was being read.
    pub fn rise_provisionally(&mut self, seq: u64, position: u64) {
        let listed = self.acked + self.provisional.len() as u64;
        if seq == listed + 1 && self.provisional.len() < limits::RAISED_WHILE_READING_MAX {
            self.provisional.push(position);
        }
    }

    /// The backlog is read and does not name this conversation, so that everything up to the
    /// position `upto` is acknowledged: what was committed when the reading began, and seen by the
    /// session before, too.
    pub fn begin_settled(&mut self, upto: u64) {
        let positions = std::mem::take(&mut self.provisional);
        let settled = positions.partition_point(|position| *position <= upto);
        self.acked += settled as u64;
        self.sent = self.acked;
        self.next = positions.get(settled).copied().unwrap_or(self.next);
    }

    /// True if something lies in the store that was not sent in this login.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.sent < self.head
    }

    /// True while it is not known where the device stands.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        !self.provisional.is_empty()
    }

    /// True if nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.acked >= self.head
    }

    /// True if `seq` needs no sending.
    #[must_use]
    pub fn is_settled(&self, seq: u64) -> bool {
        seq <= self.acked || self.sparse.binary_search(&seq).is_ok()
    }

    /// `seq` is acknowledged, the device's own, or set aside. Returns true if the cursor moved.
    pub fn settle(&mut self, seq: u64) -> bool {
        if self.is_settled(seq) {
            return false;
        }
        if seq == self.acked + 1 {
            self.acked = seq;
            let run = self
                .sparse
                .iter()
                .enumerate()
                .take_while(|(i, s)| **s == seq + 1 + *i as u64)
                .count();
            self.acked += run as u64;
            self.sparse.drain(..run);
        } else if let Err(at) = self.sparse.binary_search(&seq) {
            if self.sparse.len() >= limits::CURSOR_SPARSE_MAX {
                // Forgetting it costs a second delivery at the next login, not a loss.
                return false;
            }
            self.sparse.insert(at, seq);
        }
        let acked = self.acked;
        self.unanswered.retain(|u| u.seq > acked && u.seq != seq);
        true
    }

    /// The numbers from `acked + 1` up to `seq` no longer exist (retention): nothing waits for
    /// them.
    pub fn skip_missing(&mut self, seq: u64) {
        if self.sent == self.acked && seq > self.acked {
            self.acked = seq;
            self.sparse.retain(|s| *s > seq);
            while self.sparse.first() == Some(&(self.acked + 1)) {
                self.acked += 1;
                self.sparse.remove(0);
            }
        } else {
            for missing in self.sent + 1..=seq.min(self.sent + limits::CURSOR_SPARSE_MAX as u64) {
                self.settle(missing);
            }
        }
        self.sent = self.sent.max(seq);
    }

    /// Counts a login in which `seq` ran through all its sends; returns the count.
    pub fn count_unanswered(&mut self, seq: u64) -> u32 {
        let entry = self.unanswered_mut(seq);
        entry.map_or(1, |entry| {
            entry.logins += 1;
            // It was sent five times, and the link is still there.
            entry.ends = 0;
            entry.logins
        })
    }

    /// Counts a link that ended right after `seq` was sent, at this wall clock; returns the count.
    pub fn count_end(&mut self, seq: u64, wall_ms: i64) -> u32 {
        let entry = self.unanswered_mut(seq);
        entry.map_or(1, |entry| {
            entry.ends += 1;
            entry.again_ms = wall_ms.saturating_add(super::aside::wait_ms(entry.ends));
            entry.ends
        })
    }

    /// The entry of `seq`, a new one if there is none; `None` if there are too many.
    fn unanswered_mut(&mut self, seq: u64) -> Option<&mut Unanswered> {
        let at = match self.unanswered.binary_search_by_key(&seq, |u| u.seq) {
            Ok(at) => at,
            Err(_) if self.unanswered.len() >= limits::CURSOR_SPARSE_MAX => return None,
            Err(at) => {
                let fresh = Unanswered {
                    seq,
                    ..Unanswered::default()
                };
                self.unanswered.insert(at, fresh);
                at
            }
        };
        Some(&mut self.unanswered[at])
    }

    /// What is known of `seq` from earlier logins.
    #[must_use]
    pub fn unanswered(&self, seq: u64) -> Option<&Unanswered> {
        let at = self.unanswered.binary_search_by_key(&seq, |u| u.seq);
        at.ok().map(|at| &self.unanswered[at])
    }

    /// The cursor to be remembered.
    #[must_use]
    pub fn cursor(&self, device: DeviceId) -> Cursor {
        Cursor {
            device,
            conversation: self.conversation,
            acked: self.acked,
            sparse: self.sparse.clone(),
            unanswered: self.unanswered.clone(),
        }
    }
}
