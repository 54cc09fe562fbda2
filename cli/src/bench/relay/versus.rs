//! Two servers in alternating rounds: noise that lasts longer than a round meets both.

use serde_json::{Map, Value, json};

use super::{RelayArgs, report, round};
use crate::bench::report::{Figure, LATENCY, Report, rounded};

/// Runs the rounds; the medians of each server. Who goes first changes from round to round.
pub(super) fn run(one: &RelayArgs, other: &RelayArgs) -> anyhow::Result<Vec<Report>> {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for number in 0..one.rounds as usize {
        let one_first = number.is_multiple_of(2);
        for is_one in [one_first, !one_first] {
            let args = if is_one { one } else { other };
            let report = report(args, &round(args, number)?);
            if is_one {
                ones.push(report);
            } else {
                others.push(report);
            }
        }
    }
    Ok(vec![medians(&ones), medians(&others)])
}

/// Figure by figure. What must not be at all (lost messages) counts from every round.
fn medians(reports: &[Report]) -> Report {
    let mut merged = reports[0].clone();
    for (index, (_, figure)) in merged.figures.iter_mut().enumerate() {
        let all = || {
            reports
                .iter()
                .filter_map(|report| report.figures.get(index))
        };
        match figure {
            Figure::Text(_) => {}
            Figure::Count(median_of) => {
                let counts = all().filter_map(|(_, f)| match f {
                    Figure::Count(count) => Some(*count as f64),
                    _ => None,
                });
                *median_of = median(counts.collect()) as u64;
            }
            Figure::Number(median_of) => {
                let numbers = all().filter_map(|(_, f)| match f {
                    Figure::Number(number) => Some(*number),
                    _ => None,
                });
                *median_of = median(numbers.collect());
            }
            Figure::Latency(values) => {
                for (place, value) in values.iter_mut().enumerate() {
                    let latencies = all().filter_map(|(_, f)| match f {
                        Figure::Latency(values) => values.get(place).copied(),
                        _ => None,
                    });
                    // Tenths of a microsecond, as each round has them.
                    *value = (median(latencies.collect()) * 10.0).round() / 10.0;
                }
            }
        }
    }
    merged.sum_of_broken(reports);
    merged
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if !odd.is_multiple_of(2) => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// First server ÷ second, for everything that is a measurement.
fn ratios(one: &Report, other: &Report) -> Vec<(String, f64)> {
    let mut ratios = Vec::new();
    for (name, figure) in &one.figures {
        let theirs = other.figures.iter().find(|(n, _)| n == name);
        match (figure, theirs.map(|(_, figure)| figure)) {
            (Figure::Number(ours), Some(Figure::Number(theirs))) if *name != "seconds" => {
                ratios.push(((*name).to_owned(), ours / theirs));
            }
            (Figure::Latency(ours), Some(Figure::Latency(theirs))) => {
                for (place, member) in LATENCY.iter().enumerate() {
                    ratios.push((format!("{name}.{member}"), ours[place] / theirs[place]));
                }
            }
            _ => {}
        }
    }
    ratios.retain(|(_, ratio)| ratio.is_finite());
    ratios
}

/// Both, and how they compare; with `json` in one line.
pub(super) fn print(one: &Report, other: &Report, json: bool) {
    let ratios = ratios(one, other);
    if json {
        let ratios: Map<_, _> = ratios
            .into_iter()
            .map(|(name, ratio)| (name, Value::from(rounded(ratio))))
            .collect();
        println!(
            "{}",
            json!({"server": one.json(), "vs": other.json(), "ratio": ratios})
        );
        return;
    }
    println!("  {:<22} {:<52} vs", "median of rounds", "server");
    for ((name, ours), (_, theirs)) in one.figures.iter().zip(&other.figures) {
        println!("  {name:<22} {:<52} {}", ours.shown(), theirs.shown());
    }
    println!("  ratio server / vs");
    for (name, ratio) in ratios {
        println!("  {name:<22} {}", rounded(ratio));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::histogram::Histogram;

    fn report(rate: f64, lost: u64, latency_ns: u64) -> Report {
        let mut report = Report::new("t".to_owned());
        report.must_be_zero("lost", lost);
        report.number("received_per_s", rate);
        let mut histogram = Histogram::new();
        histogram.record(latency_ns);
        report.latency("ack_us", &histogram);
        report
    }

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let rounds = [
            report(5.0, 0, 1_000),
            report(1.0, 0, 3_000),
            report(3.0, 0, 2_000),
        ];
        let median = medians(&rounds);
        assert_eq!(median.json()["received_per_s"], 3.0);
        assert_eq!(median.json()["ack_us"]["p50"], 2.0);
        assert!(!median.is_broken());
        assert_eq!(super::median(vec![4.0, 1.0]), 2.5);
    }

    #[test]
    fn a_loss_in_one_round_is_not_averaged_away() {
        let rounds = [report(1.0, 0, 1), report(1.0, 0, 1), report(1.0, 2, 1)];
        assert!(medians(&rounds).is_broken());
    }

    #[test]
    fn ratios_are_first_to_second() {
        let all = ratios(&report(10.0, 0, 1_000), &report(5.0, 0, 4_000));
        let ratio = |name: &str| all.iter().find(|(n, _)| n == name).map(|(_, r)| *r);
        assert_eq!(ratio("received_per_s"), Some(2.0));
        assert_eq!(ratio("ack_us.p99"), Some(0.25));
        assert_eq!(ratio("lost"), None);
    }
}
