//! The one place where the server reads clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidings_core::time::{Now, Time};

/// A monotonic clock that starts a little after zero, beside the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// Both readings. Taken once per batch of inputs.
    pub(crate) fn now(&self) -> Now {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Zero stands for "never" in the machines.
        let mono = Time(ms.saturating_add(1));
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono,
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }
}
