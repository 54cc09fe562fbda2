//! Time as the machines see it: a value that the driver passes in.

use std::ops::{Add, Sub};

/// Milliseconds on a clock that never runs backwards and has no meaning outside this process.
///
/// Deadlines are made of this. What users see (`sm`, history) is [`Now::wall_ms`].
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// Milliseconds since `earlier`; 0 if `earlier` lies ahead.
    #[must_use]
    pub fn since_ms(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Time {
    type Output = Time;
    fn add(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms))
    }
}

impl Sub<u64> for Time {
    type Output = Time;
    fn sub(self, ms: u64) -> Time {
        Time(self.0.saturating_sub(ms))
    }
}

/// The two readings that a driver takes once per batch of inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Never runs backwards: for deadlines.
    pub mono: Time,
    /// Milliseconds since 1970-01-01 UTC; may jump: for people, never for deadlines.
    pub wall_ms: i64,
}
