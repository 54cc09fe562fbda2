//! Token buckets by key, for limits that slow down and for those that refuse. Time comes in.

use std::collections::HashMap;
use std::hash::Hash;

use crate::time::Time;

/// What a bucket holds and how fast it fills again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Takes that cost nothing in a row.
    pub burst: u32,
    /// One more after so long.
    pub refill_ms: u64,
}

/// Buckets of many keys in bounded memory: at most twice `keys_max`. A key that was not seen while
/// that many others were is forgotten, which is to say that its bucket is full again.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    keys_max: usize,
    /// When each bucket is full again: all that needs to be remembered of it.
    young: HashMap<K, Time>,
    old: HashMap<K, Time>,
}

/// What [`Buckets::spend`] left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// How long to wait for the next one; 0 if this one was there.
    pub wait_ms: u64,
    /// How many are left.
    pub left: u64,
    /// When the bucket is full again, if nothing more is taken.
    pub full_in_ms: u64,
}

impl<K: Hash + Eq> Buckets<K> {
    /// All full.
    #[must_use]
    pub fn new(rate: Rate, keys_max: usize) -> Buckets<K> {
        Buckets {
            rate,
            keys_max,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Takes one; returns how long the caller must wait for it, 0 while there are some. An empty
    /// bucket goes no further into debt than `wait_ms_max`.
    pub fn take(&mut self, now: Time, key: K, wait_ms_max: u64) -> u64 {
        let allowed = self.allowed_ms();
        let next = self.full_at(now, &key) + self.rate.refill_ms;
        let next = next.min(now + (allowed + wait_ms_max));
        self.put(key, next);
        next.since_ms(now + allowed)
    }

    /// Takes one if there is one. Who asks when there is none pays nothing: he gets his rate, not
    /// silence.
    pub fn spend(&mut self, now: Time, key: K) -> Spent {
        self.spend_at(now, key, self.rate)
    }

    /// The same for a key with a rate of its own. Times may be in any unit: that of `now` and of
    /// the rate is that of the answer.
    pub fn spend_at(&mut self, now: Time, key: K, rate: Rate) -> Spent {
        let allowed = rate.refill_ms * u64::from(rate.burst);
        let full_at = self.full_at(now, &key);
        let next = full_at + rate.refill_ms;
        let wait_ms = next.since_ms(now + allowed);
        let full_at = if wait_ms > 0 { full_at } else { next };
        self.put(key, full_at);
        let full_in_ms = full_at.since_ms(now);
        Spent {
            wait_ms,
            left: allowed.saturating_sub(full_in_ms) / rate.refill_ms.max(1),
            full_in_ms,
        }
    }

    /// When the next take costs nothing: `now`, while there are some.
    #[must_use]
    pub fn free_at(&self, now: Time, key: &K) -> Time {
        let next = self.full_at(now, key) + self.rate.refill_ms;
        (next - self.allowed_ms()).max(now)
    }

    /// True if nothing was taken lately.
    #[must_use]
    pub fn is_full(&self, now: Time, key: &K) -> bool {
        self.full_at(now, key) == now
    }

    /// One that was taken is given back.
    pub fn give_back(&mut self, now: Time, key: K) {
        let full_at = (self.full_at(now, &key) - self.rate.refill_ms).max(now);
        self.put(key, full_at);
    }

    /// True if the next take would have to wait.
    #[must_use]
    pub fn is_drained(&self, now: Time, key: &K) -> bool {
        let next = self.full_at(now, key) + self.rate.refill_ms;
        next.since_ms(now) > self.allowed_ms()
    }

    fn allowed_ms(&self) -> u64 {
        self.rate.refill_ms * u64::from(self.rate.burst)
    }

    fn full_at(&self, now: Time, key: &K) -> Time {
        let known = self.young.get(key).or_else(|| self.old.get(key));
        known.copied().unwrap_or(now).max(now)
    }

    fn put(&mut self, key: K, full_at: Time) {
        if self.young.len() >= self.keys_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, full_at);
    }

    /// Keys remembered.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        refill_ms: 1000,
    };

    #[test]
    fn a_burst_is_free_and_then_it_costs_time() {
        let mut buckets = Buckets::new(RATE, 10);
        let now = Time(5_000);
        let waits: Vec<u64> = (0..6).map(|_| buckets.take(now, "a", 2_500)).collect();
        assert_eq!(waits, [0, 0, 0, 1000, 2000, 2500]);
        assert!(buckets.is_drained(now, &"a"));
        assert_eq!(buckets.take(now, "b", 2_500), 0);
        assert!(!buckets.is_drained(now, &"b"));
    }

    #[test]
    fn who_finds_none_pays_nothing() {
        let mut buckets = Buckets::new(RATE, 10);
        let mut spend = |now| {
            let spent = buckets.spend(Time(now), "a");
            (spent.wait_ms, spent.left, spent.full_in_ms)
        };
        assert_eq!(spend(5_000), (0, 2, 1000));
        assert_eq!(spend(5_000), (0, 1, 2000));
        assert_eq!(spend(5_000), (0, 0, 3000));
        for _ in 0..10 {
            assert_eq!(spend(5_000), (1000, 0, 3000));
        }
        assert_eq!(spend(6_000), (0, 0, 3000));
        assert_eq!(spend(60_000), (0, 2, 1000));
    }

    #[test]
    fn what_is_given_back_was_never_taken() {
        let mut buckets = Buckets::new(RATE, 10);
        let now = Time(5_000);
        assert_eq!(buckets.free_at(now, &"a"), now);
        assert!(buckets.is_full(now, &"a"));
        for _ in 0..3 {
            buckets.take(now, "a", 60_000);
        }
        assert_eq!(buckets.free_at(now, &"a"), now + 1000);
        assert!(!buckets.is_full(now, &"a"));
        buckets.give_back(now, "a");
        assert_eq!(buckets.free_at(now, &"a"), now);
        for _ in 0..5 {
            buckets.give_back(now, "a");
        }
        assert!(buckets.is_full(now, &"a"));
        let waits: Vec<u64> = (0..4).map(|_| buckets.take(now, "a", 60_000)).collect();
        assert_eq!(waits, [0, 0, 0, 1000]);
    }

    #[test]
    fn it_fills_again() {
        let mut buckets = Buckets::new(RATE, 10);
        for _ in 0..100 {
            buckets.take(Time(1), "a", 2_500);
        }
        let later = Time(1) + 2_500 + 3_000;
        assert!(!buckets.is_drained(later, &"a"));
        let waits: Vec<u64> = (0..4).map(|_| buckets.take(later, "a", 2_500)).collect();
        assert_eq!(waits, [0, 0, 0, 1000]);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_comes_often() {
        let mut buckets = Buckets::new(RATE, 8);
        for key in 0..1000u32 {
            buckets.take(Time(1), u32::MAX, 60_000);
            buckets.take(Time(1), key, 60_000);
            assert!(buckets.keys() <= 16);
        }
        assert!(buckets.is_drained(Time(1), &u32::MAX));
    }
}
