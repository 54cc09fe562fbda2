//! Following one message: a line in the log at each stage, if that is wanted, and the times of the
//! newest messages in bounded memory, for whoever asks.

use tidings_core::custody::{Record, Verdict};
use tidings_core::ids::{DeviceId, LinkId};
use tidings_core::limits::{TRAIL_MESSAGES_MAX, TRAIL_SESSIONS_MAX};
use tidings_core::message::Message;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;

/// A line about a message. One look at an atomic if nobody wants it (`log.messages`).
macro_rules! stage {
    ($($said:tt)+) => { tracing::debug!(target: "tidings::message", $($said)+) };
}
pub(super) use stage;

/// When a message was sent to one session. Milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// To which device, by its number in the store.
    pub device: DeviceId,
    /// The login of the session.
    pub session_since_ms: i64,
    /// For the first time.
    pub sent_ms: i64,
    /// How often.
    pub sends: u32,
    /// When the session acknowledged it.
    pub acknowledged_ms: Option<i64>,
}

/// What is remembered of a message's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliveries {
    /// By the sessions, in the order of their first sends.
    pub sessions: Vec<Delivery>,
    /// There were more than [`TRAIL_SESSIONS_MAX`] sessions: it may have been sent to others, too.
    pub more: bool,
}

#[derive(Debug)]
struct Slot {
    position: u64,
    seen: Deliveries,
}

/// The newest messages, each in the slot of its position: found without looking for it.
#[derive(Debug)]
pub(super) struct Trail {
    slots: Vec<Slot>,
}

/// A session on a message's way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Station {
    pub(super) device: DeviceId,
    pub(super) since_ms: i64,
}

impl Default for Trail {
    fn default() -> Trail {
        let empty = || Slot {
            position: 0,
            seen: Deliveries {
                sessions: Vec::new(),
                more: false,
            },
        };
        let slots = std::iter::repeat_with(empty).take(TRAIL_MESSAGES_MAX);
        Trail {
            slots: slots.collect(),
        }
    }
}

impl Trail {
    /// The message's slot; a newer one takes it from an older one.
    fn slot(&mut self, position: u64) -> Option<&mut Slot> {
        let slot = &mut self.slots[position as usize % TRAIL_MESSAGES_MAX];
        if slot.position < position {
            slot.position = position;
            slot.seen.sessions.clear();
            slot.seen.more = false;
        }
        (slot.position == position).then_some(slot)
    }

    /// It is in custody.
    pub(super) fn stored(&mut self, message: &Message) {
        self.slot(message.position);
    }

    /// It was put into an outbox.
    pub(super) fn sent(&mut self, message: &Message, to: Station, now_ms: i64) {
        let Some(Slot { seen, .. }) = self.slot(message.position) else {
            return;
        };
        let same = |d: &&mut Delivery| (d.device, d.session_since_ms) == (to.device, to.since_ms);
        if let Some(known) = seen.sessions.iter_mut().find(same) {
            known.sends += 1;
        } else if seen.sessions.len() < TRAIL_SESSIONS_MAX {
            seen.sessions.push(Delivery {
                device: to.device,
                session_since_ms: to.since_ms,
                sent_ms: now_ms,
                sends: 1,
                acknowledged_ms: None,
            });
        } else {
            seen.more = true;
        }
    }

    /// A session acknowledged it.
    pub(super) fn acknowledged(&mut self, message: &Message, by: Station, now_ms: i64) {
        let Some(Slot { seen, .. }) = self.slot(message.position) else {
            return;
        };
        let same = |d: &&mut Delivery| (d.device, d.session_since_ms) == (by.device, by.since_ms);
        if let Some(known) = seen.sessions.iter_mut().find(same) {
            known.acknowledged_ms.get_or_insert(now_ms);
        }
    }

    /// What is remembered of it; `None` if it is too old, or the server was not running then.
    pub(super) fn of(&self, message: &Message) -> Option<Deliveries> {
        let slot = &self.slots[message.position as usize % TRAIL_MESSAGES_MAX];
        (slot.position == message.position).then(|| slot.seen.clone())
    }
}

/// A frame came.
pub(super) fn received(link: LinkId, frame: &Frame<'_>) {
    if frame.kind == code::COMMON_DATA
        && let Some(id) = frame.fp.as_deref()
    {
        let to = frame.to.as_deref().unwrap_or_default();
        stage!(link = link.0, id, to, "received");
    }
}

/// A batch goes to the store.
pub(super) fn decided(batch: &[Record]) {
    for record in batch {
        if let Record::Message(draft) = record {
            stage!(id = %draft.id, from = %draft.from, to = %draft.to, "decided");
        }
    }
}

/// What the store says to a batch; without verdicts it failed.
pub(super) fn committed(batch: &[Record], verdicts: &[Verdict]) {
    if !tracing::enabled!(target: "tidings::message", tracing::Level::DEBUG) {
        return;
    }
    for (at, record) in batch.iter().enumerate() {
        let Record::Message(draft) = record else {
            continue;
        };
        let id = &draft.id;
        match verdicts.get(at) {
            Some(Verdict::New(message)) => stage!(%id, seq = message.seq, "committed"),
            Some(Verdict::Duplicate(stored)) => {
                stage!(%id, seq = stored.seq, "was committed before");
            }
            Some(verdict) => stage!(%id, ?verdict, "refused by the store"),
            None => stage!(%id, "not committed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(position: u64) -> Message {
        Message {
            position,
            conversation: tidings_core::ids::ConversationId(1),
            seq: position,
            time_ms: 0,
            typeu: 0,
            from: "alice".into(),
            to: "bob".into(),
            id: "m".into(),
            body: "".into(),
        }
    }

    fn station(device: u64) -> Station {
        let device = DeviceId(device);
        Station {
            device,
            since_ms: 7,
        }
    }

    #[test]
    fn times_are_kept_by_session() {
        let mut trail = Trail::default();
        let one = message(1);
        assert_eq!(trail.of(&one), None);
        trail.stored(&one);
        assert!(trail.of(&one).unwrap().sessions.is_empty());
        trail.sent(&one, station(1), 10);
        trail.sent(&one, station(1), 20);
        trail.sent(&one, station(2), 30);
        trail.acknowledged(&one, station(1), 40);
        trail.acknowledged(&one, station(1), 50);
        trail.acknowledged(&one, station(3), 60);
        let seen = trail.of(&one).unwrap().sessions;
        let brief: Vec<_> = seen
            .iter()
            .map(|d| (d.device.0, d.sent_ms, d.sends, d.acknowledged_ms))
            .collect();
        assert_eq!(brief, [(1, 10, 2, Some(40)), (2, 30, 1, None)]);
    }

    #[test]
    fn a_newer_message_takes_the_place_of_the_oldest() {
        let mut trail = Trail::default();
        let newer = message(1 + TRAIL_MESSAGES_MAX as u64);
        trail.sent(&message(1), station(1), 10);
        trail.sent(&newer, station(2), 20);
        trail.sent(&message(1), station(1), 30);
        assert_eq!(trail.of(&message(1)), None);
        assert_eq!(trail.of(&newer).unwrap().sessions.len(), 1);
    }

    #[test]
    fn at_the_limit_and_one_past_it() {
        let mut trail = Trail::default();
        for device in 0..TRAIL_SESSIONS_MAX as u64 {
            trail.sent(&message(1), station(device), 10);
        }
        assert!(!trail.of(&message(1)).unwrap().more);
        trail.sent(&message(1), station(99), 10);
        let seen = trail.of(&message(1)).unwrap();
        assert!(seen.more && seen.sessions.len() == TRAIL_SESSIONS_MAX);
    }
}
