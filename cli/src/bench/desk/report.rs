//! What is printed.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::policy::Policy;
use super::scenario::{self, Scenario};
use super::stats::{Summary, Tally, summarise};

struct ClassReport {
    name: String,
    summary: Summary,
    bound: f64,
}

/// The figures of a scenario under a policy.
pub(super) struct Report {
    scenario: String,
    policy: String,
    arrivals: u64,
    seeds: usize,
    total: Summary,
    bound: f64,
    bound_wait_s: f64,
    classes: Vec<ClassReport>,
    idle_while_waiting_s: f64,
    over_capacity: u64,
    double_assignment: u64,
    jain: f64,
    decision_p99_us: f64,
    former_hits: Option<f64>,
}

fn value_name(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

/// To as many digits as mean something.
fn rounded(value: f64, digits: i32) -> Value {
    let scale = 10f64.powi(digits);
    json!((value * scale).round() / scale)
}

impl Report {
    pub(super) fn new(
        name: scenario::Name,
        scenario: &Scenario,
        policy: Policy,
        arrivals: u64,
        runs: &[Tally],
    ) -> Report {
        let classes = scenario
            .classes
            .iter()
            .enumerate()
            .map(|(index, class)| ClassReport {
                name: class.name.clone(),
                summary: summarise(runs, |chosen| chosen == index),
                bound: scenario.bound(Some(index)).abandoned,
            });
        let bound = scenario.bound(None);
        let returning: u64 = runs.iter().map(|run| run.returning).sum();
        let hits: u64 = runs.iter().map(|run| run.former_hits).sum();
        Report {
            scenario: value_name(&name),
            policy: value_name(&policy),
            arrivals: arrivals * runs.len() as u64,
            seeds: runs.len(),
            total: summarise(runs, |_| true),
            bound: bound.abandoned,
            bound_wait_s: bound.queue / scenario.mean_per_s(),
            classes: classes.collect(),
            idle_while_waiting_s: runs.iter().map(|run| run.idle_while_waiting_s).sum(),
            over_capacity: runs.iter().map(|run| run.over_capacity).sum(),
            double_assignment: runs.iter().map(|run| run.double_assignment).sum(),
            jain: runs.iter().map(|run| run.jain(scenario)).sum::<f64>() / runs.len() as f64,
            decision_p99_us: runs
                .iter()
                .map(|run| run.decision_p99_us)
                .fold(0.0, f64::max),
            former_hits: (returning > 0).then(|| hits as f64 / returning as f64),
        }
    }

    /// One object. `arrivals` is over all seeds; waits are of those who were served.
    pub(super) fn json(&self) -> Value {
        let classes: Vec<Value> = self
            .classes
            .iter()
            .map(|class| {
                json!({
                    "name": class.name,
                    "abandoned": rounded(class.summary.abandoned.mean, 6),
                    "abandoned_ci95": rounded(class.summary.abandoned.ci95, 6),
                    "bound": rounded(class.bound, 6),
                    "wait_mean_s": rounded(class.summary.wait_mean_s, 3),
                    "wait_p95_s": rounded(class.summary.wait_p95_s, 1),
                })
            })
            .collect();
        json!({
            "scenario": self.scenario,
            "policy": self.policy,
            "arrivals": self.arrivals,
            "seeds": self.seeds,
            "abandoned": rounded(self.total.abandoned.mean, 6),
            "abandoned_ci95": rounded(self.total.abandoned.ci95, 6),
            "bound": rounded(self.bound, 6),
            "classes": classes,
            "wait_mean_s": rounded(self.total.wait_mean_s, 3),
            "wait_p95_s": rounded(self.total.wait_p95_s, 1),
            "idle_while_waiting_s": rounded(self.idle_while_waiting_s, 3),
            "over_capacity": self.over_capacity,
            "double_assignment": self.double_assignment,
            "jain": rounded(self.jain, 5),
            "decision_p99_us": rounded(self.decision_p99_us, 3),
        })
    }

    /// A table for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{line}");
        };
        line(format!(
            "{} · {} · {} arrivals over {} seeds",
            self.scenario, self.policy, self.arrivals, self.seeds
        ));
        line(format!(
            "{:<8} {:>17} {:>8} {:>8} {:>9} {:>9}",
            "class", "abandoned %", "bound %", "ratio", "wait s", "p95 s"
        ));
        let mut row = |name: &str, summary: &Summary, bound: f64| {
            line(format!(
                "{:<8} {:>9.2} ± {:>5.2} {:>8.2} {:>8.2} {:>9.1} {:>9.1}",
                name,
                summary.abandoned.mean * 100.0,
                summary.abandoned.ci95 * 100.0,
                bound * 100.0,
                summary.abandoned.mean / bound,
                summary.wait_mean_s,
                summary.wait_p95_s
            ));
        };
        row("all", &self.total, self.bound);
        if self.classes.len() > 1 {
            for class in self.classes.iter().take(10) {
                row(&class.name, &class.summary, class.bound);
            }
        }
        line(format!(
            "mean wait of all, served or not: {:.2} s (bound {:.2} s)",
            self.total.wait_all_s, self.bound_wait_s
        ));
        line(format!(
            "idle while waiting {:.3} s · over capacity {} · double assignment {} · Jain {:.4}",
            self.idle_while_waiting_s, self.over_capacity, self.double_assignment, self.jain
        ));
        if let Some(hits) = self.former_hits {
            line(format!(
                "given at once to the former agent: {:.1} % of the returning",
                hits * 100.0
            ));
        }
        line(format!("decision p99 {:.1} µs", self.decision_p99_us));
        text
    }
}
