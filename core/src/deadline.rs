//! One queue of deadlines for everything that a shard waits for.
//!
//! Entries are hints to look again, not promises: whoever is looked at knows its true deadline and
//! queues itself once more if it has not come. So nothing is ever removed or moved, and a session
//! that talks all day costs one entry, not one a message.

use std::collections::BTreeMap;

use crate::time::Time;

/// Deadlines are grouped into spans of so many milliseconds; none fires early.
const SPAN_MS: u64 = 128;

/// A queue of `(time, key)`.
#[derive(Debug)]
pub struct Deadlines<K> {
    spans: BTreeMap<u64, Vec<K>>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Deadlines {
            spans: BTreeMap::new(),
        }
    }
}

impl<K> Deadlines<K> {
    /// Asks for `key` to be looked at, at `at` or up to 128 ms later.
    pub fn push(&mut self, at: Time, key: K) {
        self.spans
            .entry(at.0.div_ceil(SPAN_MS))
            .or_default()
            .push(key);
    }

    /// Takes the keys whose time has come, earliest first.
    pub fn due(&mut self, now: Time) -> Vec<K> {
        let mut keys = Vec::new();
        while let Some(entry) = self.spans.first_entry() {
            if entry.key().saturating_mul(SPAN_MS) > now.0 {
                break;
            }
            keys.append(&mut entry.remove());
        }
        keys
    }

    /// When `due` will next return something.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.spans
            .first_key_value()
            .map(|(span, _)| Time(span.saturating_mul(SPAN_MS)))
    }
}
