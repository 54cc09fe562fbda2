//! A log-linear histogram: every value within 1 %, in fixed memory, at the price of one increment.

/// Linear steps per power of two; a value is off by at most 1 in so many.
const STEPS: usize = 1 << STEP_BITS;
const STEP_BITS: u32 = 7;

/// Counts of values. The unit is the caller's; the benchmarks count nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(super) fn new() -> Histogram {
        let buckets = bucket(u64::MAX) + 1;
        Histogram {
            counts: vec![0; buckets],
            count: 0,
            max: 0,
        }
    }

    pub(super) fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value)) {
            *count += 1;
        }
        self.count += 1;
        self.max = self.max.max(value);
    }

    pub(super) fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// The value below which `share` (0 to 1) of all lie; 0 if there are none. Rounded up to the
    /// end of its bucket, never above the largest value.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.count as f64) * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_end(index).min(self.max);
            }
        }
        self.max
    }
}

/// Below [`STEPS`] each value has its own bucket; above, each power of two has [`STEPS`].
fn bucket(value: u64) -> usize {
    let magnitude = 63 - (value | 1).leading_zeros();
    let Some(shift) = magnitude.checked_sub(STEP_BITS) else {
        return value as usize;
    };
    // `value >> shift` lies in STEPS..2*STEPS.
    (shift as usize * STEPS) + (value >> shift) as usize
}

/// The largest value of a bucket.
fn upper_end(index: usize) -> u64 {
    if index < 2 * STEPS {
        return index as u64;
    }
    let shift = index / STEPS - 1;
    let step = (index - shift * STEPS) as u64;
    ((step + 1) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_ends_where_the_next_begins() {
        for index in 0..bucket(u64::MAX) {
            let end = upper_end(index);
            assert_eq!(bucket(end), index, "end {end}");
            assert_eq!(bucket(end + 1), index + 1, "end {end}");
        }
        assert_eq!(upper_end(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_are_within_one_percent() {
        let mut histogram = Histogram::new();
        for value in 1..=100_000u64 {
            histogram.record(value * 1_000);
        }
        for (share, exact) in [
            (0.5, 50_000_000.0),
            (0.9, 90_000_000.0),
            (0.99, 99_000_000.0),
        ] {
            let found = histogram.quantile(share) as f64;
            assert!((found / exact - 1.0).abs() < 0.01, "{share}: {found}");
        }
        assert_eq!(histogram.max(), 100_000_000);
        assert_eq!(histogram.quantile(1.0), 100_000_000);
    }

    #[test]
    fn merging_is_as_recording_together() {
        let (mut left, mut right, mut both) =
            (Histogram::new(), Histogram::new(), Histogram::new());
        for value in [3, 700, 45_000, 1 << 40] {
            left.record(value);
            right.record(value * 3);
            both.record(value);
            both.record(value * 3);
        }
        left.merge(&right);
        for share in [0.1, 0.5, 0.9, 1.0] {
            assert_eq!(left.quantile(share), both.quantile(share));
        }
        assert_eq!(left.max(), 3 << 40);
    }

    #[test]
    fn empty_answers_zero() {
        assert_eq!(Histogram::new().quantile(0.99), 0);
    }
}
