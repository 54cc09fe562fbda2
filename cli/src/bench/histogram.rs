//! Latencies, within 0.1 %: what the benchmarks ask of `hdrhistogram`.

/// Digits that count.
const DIGITS: u8 = 3;

/// Counts of values. The unit is the caller's; the benchmarks count nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Histogram(hdrhistogram::Histogram<u64>);

impl Histogram {
    pub(super) fn new() -> Histogram {
        let made = hdrhistogram::Histogram::new(DIGITS);
        Histogram(made.expect("so many digits are allowed"))
    }

    pub(super) fn record(&mut self, value: u64) {
        // It grows for any value; "saturating" would cut at what it holds now.
        let recorded = self.0.record(value);
        debug_assert!(recorded.is_ok());
    }

    pub(super) fn merge(&mut self, other: &Histogram) {
        self.0 += &other.0;
    }

    pub(super) fn max(&self) -> u64 {
        self.0.max()
    }

    /// The value below which `share` (0 to 1) of all lie; 0 if there are none.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_what_was_merged_are_near() {
        let (mut odd, mut all) = (Histogram::new(), Histogram::new());
        assert_eq!(all.quantile(0.99), 0);
        for value in 1..=100_000u64 {
            let part = if value % 2 == 0 { &mut all } else { &mut odd };
            part.record(value * 1_000);
        }
        all.merge(&odd);
        for (share, exact) in [(0.5, 50e6), (0.9, 90e6), (0.99, 99e6), (1.0, 100e6)] {
            let found = all.quantile(share) as f64;
            assert!((found / exact - 1.0).abs() < 0.002, "{share}: {found}");
        }
        assert!((all.max() as f64 / 100e6 - 1.0).abs() < 0.002);
    }
}
