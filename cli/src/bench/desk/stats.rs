//! What is counted in a run, and what several runs say together.

use super::scenario::Scenario;

/// Waits in tenths of a second; longer ones stand in the last.
const BINS: usize = 36_000;

/// One class in one run.
#[derive(Debug, Clone)]
pub(super) struct ClassTally {
    pub(super) arrivals: u64,
    pub(super) abandoned: u64,
    served: u64,
    served_wait_s: f64,
    /// Of all, served or not.
    wait_s: f64,
    waits: Vec<u64>,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) classes: Vec<ClassTally>,
    pub(super) idle_while_waiting_s: f64,
    pub(super) over_capacity: u64,
    pub(super) double_assignment: u64,
    pub(super) returning: u64,
    pub(super) former_hits: u64,
    /// Customers given to each agent.
    pub(super) assigned: Vec<u64>,
    pub(super) decision_p99_us: f64,
}

impl Tally {
    pub(super) fn new(scenario: &Scenario) -> Tally {
        let class = ClassTally {
            arrivals: 0,
            abandoned: 0,
            served: 0,
            served_wait_s: 0.0,
            wait_s: 0.0,
            waits: vec![0; BINS],
        };
        Tally {
            classes: vec![class; scenario.classes.len()],
            idle_while_waiting_s: 0.0,
            over_capacity: 0,
            double_assignment: 0,
            returning: 0,
            former_hits: 0,
            assigned: vec![0; scenario.agents.len()],
            decision_p99_us: 0.0,
        }
    }

    pub(super) fn gone(&mut self, class: usize, waited_s: f64, served: bool) {
        let class = &mut self.classes[class];
        class.wait_s += waited_s;
        if served {
            class.served += 1;
            class.served_wait_s += waited_s;
            class.waits[((waited_s * 10.0) as usize).min(BINS - 1)] += 1;
        } else {
            class.abandoned += 1;
        }
    }

    /// Jain's fairness index of customers per slot, among agents who can do the same; the mean
    /// over such kinds by their number.
    pub(super) fn jain(&self, scenario: &Scenario) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        let mut seen: Vec<&super::scenario::Agent> = Vec::new();
        for kind in &scenario.agents {
            if seen.contains(&kind) {
                continue;
            }
            seen.push(kind);
            let alike = scenario
                .agents
                .iter()
                .zip(&self.assigned)
                .filter(|(agent, _)| *agent == kind);
            let shares: Vec<f64> = alike.map(|(_, assigned)| *assigned as f64).collect();
            let squares: f64 = shares.iter().map(|share| share * share).sum();
            let total: f64 = shares.iter().sum();
            if squares > 0.0 {
                let count = shares.len() as f64;
                sum += total * total / (count * squares) * count;
                weight += count;
            }
        }
        if weight > 0.0 { sum / weight } else { 1.0 }
    }
}

/// A mean over seeds with the half-width of its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) ci95: f64,
}

/// Student's t, two-sided 95 %, for 1 to 30 degrees of freedom.
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// Of one fraction per seed; `cases` is how many arrivals one of them counts. A single seed has no
/// spread, so its interval is the binomial one, which is too narrow for what is correlated.
pub(super) fn estimate(values: &[f64], cases: f64) -> Estimate {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return Estimate {
            mean,
            ci95: 1.96 * (mean * (1.0 - mean) / cases.max(1.0)).sqrt(),
        };
    }
    let squares: f64 = values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum();
    let t = T95.get(values.len() - 2).copied().unwrap_or(1.96);
    Estimate {
        mean,
        ci95: t * (squares / (count - 1.0) / count).sqrt(),
    }
}

/// What several runs say of some of their classes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    pub(super) abandoned: Estimate,
    /// Of those who were served.
    pub(super) wait_mean_s: f64,
    pub(super) wait_p95_s: f64,
    /// Of all arrivals.
    pub(super) wait_all_s: f64,
}

/// The classes for which `chosen` says yes, together.
pub(super) fn summarise(runs: &[Tally], chosen: impl Fn(usize) -> bool) -> Summary {
    let of = |run: &Tally| -> Vec<ClassTally> {
        let classes = run.classes.iter().enumerate();
        classes
            .filter(|(index, _)| chosen(*index))
            .map(|(_, class)| class.clone())
            .collect()
    };
    let (mut fractions, mut cases) = (Vec::new(), 0.0);
    let (mut served, mut served_wait_s, mut wait_s, mut arrivals) = (0, 0.0, 0.0, 0);
    let mut waits = vec![0u64; BINS];
    for run in runs {
        let classes = of(run);
        let arrived: u64 = classes.iter().map(|class| class.arrivals).sum();
        let abandoned: u64 = classes.iter().map(|class| class.abandoned).sum();
        fractions.push(abandoned as f64 / (arrived as f64).max(1.0));
        cases = arrived as f64;
        arrivals += arrived;
        for class in &classes {
            served += class.served;
            served_wait_s += class.served_wait_s;
            wait_s += class.wait_s;
            waits
                .iter_mut()
                .zip(&class.waits)
                .for_each(|(sum, bin)| *sum += bin);
        }
    }
    let mut below = 0;
    let p95 = waits.iter().position(|bin| {
        below += bin;
        below * 100 >= served * 95
    });
    Summary {
        abandoned: estimate(&fractions, cases),
        wait_mean_s: served_wait_s / (served as f64).max(1.0),
        wait_p95_s: p95.unwrap_or(0) as f64 / 10.0,
        wait_all_s: wait_s / (arrivals as f64).max(1.0),
    }
}
