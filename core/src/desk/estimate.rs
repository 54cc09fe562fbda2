//! How fast a queue moves, from which the expected wait follows.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::time::Time;

/// Departures from one class's queue (assigned, or given up) against the time during which
/// somebody waited in it, both fading with [`limits::ESTIMATE_MEMORY_MS`].
///
/// While somebody waits, every slot that the class may use goes to its head: so this *is* the
/// rate at which slots of its eligible agents come free for it, plus those who give up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Rate {
    #[serde(with = "bits")]
    departures: f64,
    #[serde(with = "bits")]
    busy_ms: f64,
    samples: u64,
    /// Up to when the waiting time is counted; `None` while nobody waits.
    counted: Option<Time>,
}

/// A number as its bits: decimal digits need not come back as the same number.
mod bits {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(value.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

impl Rate {
    /// Somebody begins to wait.
    pub(super) fn joined(&mut self, now: Time) {
        if self.counted.is_none() {
            self.counted = Some(now);
        }
    }

    /// Somebody has left; `empty` if nobody waits any more.
    pub(super) fn departed(&mut self, now: Time, empty: bool) {
        self.count(now);
        self.departures += 1.0;
        self.samples += 1;
        self.counted = if empty { None } else { Some(now) };
    }

    /// Somebody waits for something else now: no departure.
    pub(super) fn moved(&mut self, now: Time, empty: bool) {
        self.count(now);
        self.counted = if empty { None } else { Some(now) };
    }

    fn count(&mut self, now: Time) {
        let Some(counted) = self.counted else { return };
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of a queue, far below 2^52"
        )]
        let (waited_ms, memory_ms) = (
            now.since_ms(counted) as f64,
            limits::ESTIMATE_MEMORY_MS as f64,
        );
        // Rational instead of exponential: the same on every machine, to the last bit.
        let keep = memory_ms / (memory_ms + waited_ms);
        self.departures *= keep;
        self.busy_ms = self.busy_ms * keep + waited_ms;
    }

    /// Expected wait of whoever stands at `position` (from 1); `None` while too little is known.
    pub(super) fn wait_ms(&self, position: u64) -> Option<u64> {
        if self.samples < limits::ESTIMATE_SAMPLES_MIN || self.departures <= 0.0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a position, far below 2^52")]
        let wait_ms = position as f64 * self.busy_ms / self.departures;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; `as` stops at the largest value"
        )]
        Some(wait_ms as u64)
    }
}
