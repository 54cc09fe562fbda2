//! What the simulated world says to a dispatcher, and hears from it.

/// An input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Input {
    Arrive {
        customer: usize,
        class: usize,
        former: Option<usize>,
    },
    Abandon {
        customer: usize,
    },
    Finish {
        customer: usize,
        agent: usize,
    },
    AgentUp {
        agent: usize,
    },
    AgentDown {
        agent: usize,
    },
    Accept {
        customer: usize,
        agent: usize,
    },
    Decline {
        customer: usize,
        agent: usize,
    },
    /// The deadline that it asked for.
    Due,
    /// The process is killed and starts again from what was stored.
    Restart,
}

/// An output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Output {
    Assigned {
        customer: usize,
        agent: usize,
    },
    /// The agent does not serve the customer any more, who waits again.
    Released {
        customer: usize,
        agent: usize,
    },
    Offered {
        customer: usize,
        agent: usize,
    },
    OfferOver {
        customer: usize,
        agent: usize,
    },
    /// The agent gets nothing more until he says that he is there.
    NotResponding {
        agent: usize,
    },
}

/// Decides who gets whom.
pub(super) trait Dispatcher {
    /// Takes one input at this time.
    fn handle(&mut self, now_s: f64, input: Input, out: &mut Vec<Output>);
    /// When it wants to be asked again.
    fn deadline_s(&self) -> Option<f64>;
    /// Begins to measure how long decisions take.
    fn measure(&mut self);
    /// How long 99 of 100 decisions took at most, in microseconds of real time.
    fn decision_p99_us(&self) -> f64;
}

/// Durations in logarithmic bins, a 64th of a doubling each.
#[derive(Debug, Clone)]
pub(super) struct Latencies {
    bins: Vec<u64>,
    pub(super) on: bool,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies {
            bins: vec![0; 64 * 40],
            on: true,
        }
    }
}

impl Latencies {
    pub(super) fn add(&mut self, taken: std::time::Duration) {
        if self.on {
            let ns = (taken.as_nanos() as f64).max(1.0);
            let bin = ((ns.log2() * 64.0) as usize).min(self.bins.len() - 1);
            self.bins[bin] += 1;
        }
    }

    /// Upper edge of the bin in which the 99th percentile lies.
    pub(super) fn p99_us(&self) -> f64 {
        let total: u64 = self.bins.iter().sum();
        let mut below = 0;
        for (bin, count) in self.bins.iter().enumerate() {
            below += count;
            if below * 100 >= total * 99 && total > 0 {
                return ((bin + 1) as f64 / 64.0).exp2() / 1000.0;
            }
        }
        0.0
    }
}
