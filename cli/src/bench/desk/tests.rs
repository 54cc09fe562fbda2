//! Tests of the benchmark: the bounds against published values, and that it tells good from bad.

use super::bound::{chain, chain_with_bursts, pool_rates};
use super::policy::Policy;
use super::scenario::{Agent, Class, Name, Scenario};
use super::stats::{estimate, summarise};

fn close(measured: f64, published: f64, tolerance: f64) {
    assert!(
        (measured - published).abs() <= tolerance,
        "{measured} instead of {published}"
    );
}

/// Garnett, Mandelbaum and Reiman, "Designing a call center with impatient customers" (2002), table
/// 1: 50 agents, 48 calls a minute of one minute each, patience of two minutes.
#[test]
fn erlang_a_agrees_with_garnett_mandelbaum_and_reiman() {
    let steady = chain(
        48.0 / 60.0,
        1.0 / 60.0,
        1.0 / 120.0,
        &pool_rates(&[1; 50], 0.0),
    );
    close(steady.abandoned, 0.031, 0.0005);
    close(steady.queue / 0.8, 3.7, 0.05);
    close(steady.busy / 50.0, 0.93, 0.005);
}

/// The same table without patience: Erlang C, mean wait of 20.8 seconds.
#[test]
fn without_impatience_it_is_erlang_c() {
    let steady = chain(48.0 / 60.0, 1.0 / 60.0, 1e-12, &pool_rates(&[1; 50], 0.0));
    close(steady.queue / 0.8, 20.8, 0.1);
}

/// With infinite impatience it is Erlang B: B(10 erlangs, 10 servers) = 0.2146.
#[test]
fn without_patience_it_is_erlang_b() {
    let steady = chain(10.0, 1.0, 1e9, &pool_rates(&[10], 0.0));
    close(steady.abandoned, 0.2146, 0.0001);
}

/// The reference lines of the suite, computed independently of this code.
#[test]
fn the_bounds_of_the_scenarios_are_the_published_ones() {
    let bound = |name: Name, class: Option<usize>| name.at(name.load()).bound(class).abandoned;
    close(bound(Name::S1, None), 0.0302, 0.00005);
    close(bound(Name::S2, None), 0.0246, 0.00005);
    close(bound(Name::S3, None), 0.0185, 0.00005);
    close(bound(Name::S3, Some(2)), 0.0697, 0.00005);
}

/// Bursts of one are Poisson arrivals.
#[test]
fn bursts_of_one_are_the_plain_chain() {
    let rates = pool_rates(&[3; 20], 0.0);
    let plain = chain(0.115, 1.0 / 480.0, 1.0 / 180.0, &rates);
    let bursts = chain_with_bursts(0.1, (0.015, 1), 1.0 / 480.0, 1.0 / 180.0, &rates);
    close(bursts.abandoned, plain.abandoned, 1e-9);
    close(bursts.waits, plain.waits, 1e-9);
    close(bursts.busy, plain.busy, 1e-6);
}

/// A day without a curve is the steady state.
#[test]
fn the_day_agrees_with_the_steady_state_when_nothing_changes() {
    let rates = pool_rates(&[3; 4], 0.2);
    let steady = chain(0.02, 1.0 / 480.0, 1.0 / 180.0, &rates);
    let day = super::bound::chain_through_day(|_| 0.02, 86_400.0, 1.0 / 480.0, 1.0 / 180.0, &rates);
    close(day.abandoned, steady.abandoned, 1e-4);
    close(day.queue, steady.queue, 1e-3);
}

/// An agent with k customers works at k / (1 + a (k - 1)); the pool spreads them evenly.
#[test]
fn a_pool_with_slowdown_spreads_evenly() {
    let rates = pool_rates(&[2, 1], 0.2);
    assert_eq!(rates.len(), 4);
    close(rates[2], 2.0, 1e-12);
    close(rates[3], 1.0 + 2.0 / 1.2, 1e-12);
}

#[test]
fn an_interval_is_students() {
    let of = estimate(&[0.02, 0.04], 100.0);
    close(of.mean, 0.03, 1e-12);
    close(of.ci95, 12.706 * 0.01, 1e-9);
}

fn abandoned(name: Name, policy: Policy, arrivals: u64) -> f64 {
    let runs = super::simulate(&name.at(name.load()), policy, 1..3, arrivals);
    summarise(&runs, |_| true).abandoned.mean
}

#[test]
fn it_tells_good_from_bad() {
    let good = abandoned(Name::S1, Policy::Production, 6_000);
    assert!(abandoned(Name::S1, Policy::Push, 6_000) > 3.0 * good);
    assert!(abandoned(Name::S1, Policy::Tick5One, 6_000) > 1.3 * good);
    assert!(abandoned(Name::S5, Policy::Sticky60, 6_000) > 1.5 * good);
}

/// A run with everything that goes wrong: drop-outs, bursts, declines, restarts from records.
#[test]
fn faults_break_no_promise() {
    let mut scenario = Name::S7.at(0.85);
    if let Some(faults) = &mut scenario.faults {
        (faults.up_s, faults.declined, faults.restart_every) = (1_200.0, 0.2, 500);
    }
    for run in super::simulate(&scenario, Policy::Production, 1..4, 3_000) {
        assert_eq!((run.over_capacity, run.double_assignment), (0, 0));
        assert_eq!(run.idle_while_waiting_s, 0.0);
        assert!(run.classes[0].abandoned > 0);
    }
}

/// The world's own check sees a dispatcher that lets an agent idle.
#[test]
fn idling_is_seen() {
    let scenario = Scenario {
        classes: vec![Class {
            name: "all".to_owned(),
            share: 1.0,
            skill: None,
        }],
        agents: vec![
            Agent {
                capacity: 1,
                skills: Vec::new()
            };
            2
        ],
        ..Name::S1.at(0.92)
    };
    let runs = super::simulate(&scenario, Policy::Tick5, 1..2, 1_000);
    assert!(runs[0].idle_while_waiting_s > 1.0);
}

/// The same seed is the same run.
#[test]
fn a_seed_replays() {
    let run = |seed: u64| abandoned_of(seed);
    assert_eq!(run(5).to_bits(), run(5).to_bits());
    assert_ne!(run(5).to_bits(), run(6).to_bits());
}

fn abandoned_of(seed: u64) -> f64 {
    let runs = super::simulate(
        &Name::S3.at(0.88),
        Policy::Production,
        seed..seed + 1,
        3_000,
    );
    summarise(&runs, |_| true).wait_all_s
}
