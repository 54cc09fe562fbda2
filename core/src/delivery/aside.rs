//! Messages that seem to kill their receiver.
//!
//! If a link ends shortly after a message was sent, unacknowledged, that counts against the message,
//! and against all that were in flight with it. The next login sends one message at a time until
//! each of them is acknowledged, so that from then on none is blamed for another. The third time a
//! message steps aside: those behind it go on, and it is tried again alone, with pauses that double.
//! What is counted lies in the cursor.

use super::flow::{Acked, Flow, InFlight};
use super::rules::WindowRules;
use crate::limits;
use crate::message::MessageRef;
use crate::time::{Now, Time};

/// What the end of a link means for a message that was in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    /// Which.
    pub message: MessageRef,
    /// So many links ended after it.
    pub ends: u32,
    /// It is not sent to this device any more.
    pub is_set_aside: bool,
}

/// Stepped aside, and waiting for its trial.
#[derive(Debug)]
pub(super) struct Aside {
    message: MessageRef,
    /// When that is; `None` if it was not asked yet.
    due: Option<Time>,
}

/// How long a message waits for its next trial after so many links ended.
pub(super) fn wait_ms(ends: u32) -> i64 {
    let trials = ends.saturating_sub(limits::LINK_ENDS_MAX);
    limits::TRIAL_WAIT_MS << trials.min(limits::TRIALS_MAX)
}

impl Flow {
    /// The link ends: what it counts against. The tracks of their conversations have to be
    /// remembered.
    pub fn blame(&mut self, now: Now) -> Vec<Blamed> {
        let lately = |f: &&InFlight| now.mono < f.last_sent + limits::LINK_END_SUSPICIOUS_MS;
        let suspects = self.in_flight.iter().filter(lately);
        let trial = suspects.clone().find(|f| f.trial);
        let suspects: Vec<MessageRef> = match trial {
            Some(trial) => vec![trial.message.clone()],
            None => suspects.map(|f| f.message.clone()).collect(),
        };
        let mut blamed = Vec::with_capacity(suspects.len());
        for message in suspects {
            let Some(track) = self.track_mut(message.conversation) else {
                continue;
            };
            let ends = track.count_end(message.seq, now.wall_ms);
            let is_set_aside = ends >= limits::LINK_ENDS_MAX + limits::TRIALS_MAX;
            if is_set_aside {
                track.settle(message.seq);
            }
            blamed.push(Blamed {
                message,
                ends,
                is_set_aside,
            });
        }
        blamed
    }

    /// A message that stepped aside in an earlier login comes by: it is kept for its trial.
    pub(super) fn keep_aside(&mut self, message: &MessageRef) {
        let kept = |aside: &Aside| aside.message.position == message.position;
        if self.aside.len() < limits::ASIDE_MAX && !self.aside.iter().any(kept) {
            self.aside.push(Aside {
                message: message.clone(),
                due: None,
            });
        }
    }

    /// What stepped aside is acknowledged after all: an earlier login sent it.
    pub(super) fn acknowledge_aside(&mut self, id: &str, from: Option<&str>) -> Option<Acked> {
        let fits = |aside: &Aside| *aside.message.id == *id;
        let exact = |aside: &Aside| fits(aside) && from == Some(&*aside.message.from);
        let at = self.aside.iter().position(exact);
        let at = at.or_else(|| self.aside.iter().position(fits))?;
        let message = self.aside.remove(at).message;
        self.track_mut(message.conversation)?.settle(message.seq);
        self.moved(message.conversation);
        Some(Acked { message })
    }

    /// When a message that stepped aside is due, by the machine's clock: asked once in a login. A wall
    /// clock that was set back makes nobody wait longer than the pause itself.
    fn trial_at(&self, now: Now, message: &MessageRef) -> Time {
        let track = self.track(message.conversation);
        let entry = track.and_then(|track| track.unanswered(message.seq));
        let Some(entry) = entry else {
            return now.mono;
        };
        let left_ms = entry.again_ms.saturating_sub(now.wall_ms);
        let left_ms = left_ms.clamp(0, wait_ms(entry.ends));
        now.mono + u64::try_from(left_ms).unwrap_or(0)
    }

    /// When the next trial is due.
    #[must_use]
    pub fn next_trial(&self) -> Option<Time> {
        self.aside.iter().filter_map(|aside| aside.due).min()
    }

    /// The message whose trial begins now. It goes alone: as long as something was sent lately and
    /// is not acknowledged, nothing more is sent and the trial waits.
    pub fn begin_trial(&mut self, now: Now, rules: &WindowRules) -> Option<MessageRef> {
        if self.aside.is_empty() {
            return None;
        }
        for at in 0..self.aside.len() {
            if self.aside[at].due.is_none() {
                self.aside[at].due = Some(self.trial_at(now, &self.aside[at].message));
            }
        }
        let due = |aside: &Aside| aside.due.is_some_and(|due| due <= now.mono);
        let Some(at) = self.aside.iter().position(due) else {
            self.trying = self.in_flight.iter().any(|f| f.trial);
            return None;
        };
        self.trying = self.in_flight.iter().any(|f| f.trial || f.sends == 1);
        let track = self.track(self.aside[at].message.conversation);
        let has_room = self.in_flight.len() < rules.messages_max
            && track.is_some_and(|track| track.in_flight < rules.per_conversation_max);
        if self.trying || !has_room {
            return None;
        }
        self.trying = true;
        let message = self.aside.remove(at).message;
        self.put_in_flight(now.mono, &message, true);
        Some(message)
    }

    /// At most so many messages may be in flight: one, while one of them is suspected.
    pub(super) fn messages_max(&self, messages_max: usize) -> usize {
        match (self.trying, self.cautious) {
            (true, _) => 0,
            (false, true) => messages_max.min(1),
            (false, false) => messages_max,
        }
    }

    /// Looks again whether something that is in flight or still to be sent is suspected.
    pub(super) fn look_for_suspects(&mut self) {
        let in_flight = &self.in_flight;
        let flies = |conversation, seq| {
            let mut messages = in_flight.iter().map(|f| &f.message);
            messages.any(|m| m.conversation == conversation && m.seq == seq)
        };
        self.cautious = self.tracks.iter().any(|track| {
            let mut suspects = track.unanswered.iter().filter(|u| u.is_suspect());
            suspects.any(|u| u.seq > track.sent || flies(track.conversation, u.seq))
        });
    }
}
