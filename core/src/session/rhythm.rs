//! When a session was last heard, and how long its silence may last.

use std::str::FromStr;

use super::Transport;
use crate::limits;
use crate::time::Time;

/// A fixed heartbeat class of MobileIMSDK (`session.sense`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    interval_s: u32,
}

/// A heartbeat class that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sense mode; choose 3S, 5S, 10S, 15S, 30S, 60S or 120S")]
pub struct SenseError(String);

impl FromStr for Sense {
    type Err = SenseError;
    fn from_str(text: &str) -> Result<Sense, SenseError> {
        let interval_s = match text {
            "3S" => 3,
            "5S" => 5,
            "10S" => 10,
            "15S" => 15,
            "30S" => 30,
            "60S" => 60,
            "120S" => 120,
            _ => return Err(SenseError(text.to_owned())),
        };
        Ok(Sense { interval_s })
    }
}

impl Sense {
    /// How long the server waits for a sign of life: the table's value for this transport. Where it
    /// has none for UDP (5S, 15S), twice the interval and a second.
    #[must_use]
    pub fn idle_ms(self, transport: Transport) -> u64 {
        let s = match (transport, self.interval_s) {
            (Transport::Udp, 3) => 10,
            (Transport::Udp, 10) => 21,
            (Transport::Udp, s @ (30 | 60 | 120)) => 2 * s + 2,
            (Transport::Udp, s) => 2 * s + 1,
            (_, 3) => 7,
            (_, 5) => 11,
            (_, s) => s + 5,
        };
        u64::from(s) * 1000
    }
}

/// The rhythm of one session, learned from its heartbeats unless fixed.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    heard: Time,
    /// Of the last heartbeat; 0 if there was none.
    beat: Time,
    /// Longest interval between two heartbeats so far, milliseconds; 0 until there were two.
    interval_ms: u32,
}

impl Rhythm {
    /// Starts at the moment of connecting.
    #[must_use]
    pub fn new(now: Time) -> Rhythm {
        Rhythm {
            heard: now,
            beat: Time(0),
            interval_ms: 0,
        }
    }

    /// Any sign of life.
    pub fn heard(&mut self, now: Time) {
        self.heard = self.heard.max(now);
    }

    /// A heartbeat.
    pub fn beat(&mut self, now: Time) {
        if self.beat != Time(0) {
            let interval = u32::try_from(now.since_ms(self.beat)).unwrap_or(u32::MAX);
            // The longest one: a burst after a pause must not shorten the limit.
            self.interval_ms = self.interval_ms.max(interval);
        }
        self.beat = now;
        self.heard(now);
    }

    /// The login starts a new count: a client may change its interval with it.
    pub fn restart(&mut self, now: Time) {
        *self = Rhythm::new(now);
    }

    /// When it was last heard.
    #[must_use]
    pub fn last_heard(&self) -> Time {
        self.heard
    }

    /// When its silence has lasted too long: 2.5 times its own interval, at least 10 s; 130 s until
    /// that is known; the table's value if `sense` is fixed.
    #[must_use]
    pub fn idle_at(&self, sense: Option<Sense>, transport: Transport) -> Time {
        let idle_ms = match sense {
            Some(sense) => sense.idle_ms(transport),
            None if self.interval_ms == 0 => limits::IDLE_UNKNOWN_MS,
            None => (u64::from(self.interval_ms) * 5 / 2).max(limits::IDLE_LEARNED_MS_MIN),
        };
        self.heard + idle_ms
    }
}
