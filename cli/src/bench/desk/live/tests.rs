//! Tests of the plan and of its replay; the sockets are tested end to end.

use clap::Parser as _;

use super::plan::Plan;
use super::replay::replay;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: super::LiveArgs,
}

fn plan(line: &str, seed: u64) -> Plan {
    let words = std::iter::once("live").chain(line.split(' '));
    Plan::draw(&Line::try_parse_from(words).unwrap().args, seed)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

#[test]
fn a_seed_means_the_same_run() {
    let line = "--customers 1000 --agents 10 --load 1.1";
    let shown = |seed| format!("{:?}", plan(line, seed));
    assert_eq!(shown(7), shown(7));
    assert_ne!(shown(7), shown(8));
}

#[test]
fn arrivals_and_work_are_as_asked_for() {
    let plan = plan(
        "--customers 20000 --agents 10 --capacity 3 --load 0.9 --handle-ms 2000",
        3,
    );
    assert_eq!(plan.per_s, 0.9 * 30.0 / 2.0);
    let work_s = mean(plan.people.iter().map(|person| person.handle_s));
    assert!((work_s - 2.0).abs() < 0.05, "{work_s}");
    let per_s = plan.people.len() as f64 / plan.last_arrival_s();
    assert!((per_s / plan.per_s - 1.0).abs() < 0.03, "{per_s}");
}

/// M/M/1 at a load of 0.5 and a mean work of 1 s: waiting 1 s on average.
#[test]
fn the_replay_agrees_with_queueing_theory() {
    let plan = plan(
        "--customers 60000 --agents 1 --capacity 1 --load 0.5 --handle-ms 1000",
        5,
    );
    let waits = replay(&plan);
    assert!(waits.iter().all(Option::is_some));
    let wait_s = mean(waits.into_iter().flatten());
    assert!((wait_s - 1.0).abs() < 0.1, "{wait_s}");
}

#[test]
fn whoever_has_no_patience_is_not_served() {
    let plan = plan(
        "--customers 5000 --agents 2 --capacity 2 --load 2 --handle-ms 1000 --patience-ms 100",
        5,
    );
    let waits = replay(&plan);
    let served = waits.iter().flatten().count();
    assert!((1500..3500).contains(&served), "{served}");
}
