//! What is printed.

use super::super::super::histogram::Histogram;
use super::super::super::process::Usage;
use super::super::super::report::Report;
use super::Shared;
use super::ledger::{Account, Ledger};

/// Of the server's process, before the first customer and after the last.
pub(super) struct Costs {
    pub(super) from: Usage,
    pub(super) to: Usage,
}

/// Waits in seconds; their mean in microseconds.
fn waits(report: &mut Report, names: [&'static str; 2], waits_s: &[f64]) -> f64 {
    let mut histogram = Histogram::new();
    for wait_s in waits_s {
        histogram.record((wait_s.max(0.0) * 1e9) as u64);
    }
    let mean_us = waits_s.iter().sum::<f64>() * 1e6 / (waits_s.len().max(1) as f64);
    report.latency(names[0], &histogram);
    report.number(names[1], mean_us);
    mean_us
}

/// Everything.
pub(super) fn report(
    shared: &Shared,
    ledger: &Ledger,
    virtually: &[Option<f64>],
    (seconds, costs): (f64, Option<Costs>),
) -> Report {
    let plan = &shared.plan;
    let mut report = Report::new(format!("desk {}", shared.target));
    report.text("server", &shared.target.to_string());
    report.count("agents", plan.agents as u64);
    report.count("customers", plan.people.len() as u64);
    let served = ledger.count(|account| account.served);
    let abandoned = ledger.count(|account| account.abandoned);
    report.count("served", served);
    report.count("abandoned", abandoned);
    report.number("seconds", seconds);
    report.number("arrivals_per_s", plan.per_s);
    let since_handed = |at_s: fn(&Account) -> Option<f64>| -> Vec<f64> {
        let accounts = ledger.accounts.iter();
        let waits = accounts.filter_map(|account| Some(at_s(account)? - account.handed_s?));
        waits.collect()
    };
    let names = ["wait_us", "wait_mean_us"];
    let mean_us = waits(&mut report, names, &since_handed(|account| account.told_s));
    let names = ["agent_wait_us", "agent_wait_mean_us"];
    waits(&mut report, names, &since_handed(|account| account.given_s));
    let virtual_s: Vec<f64> = virtually.iter().flatten().copied().collect();
    let names = ["virtual_wait_us", "virtual_wait_mean_us"];
    let virtual_us = waits(&mut report, names, &virtual_s);
    report.number("more_than_virtual_us", mean_us - virtual_us);
    if virtual_us > 0.0 {
        report.number("ratio_to_virtual", mean_us / virtual_us);
    }
    let late = ledger.accounts.iter().zip(&plan.people);
    let late = late.filter_map(|(account, person)| Some(account.handed_s? - person.arrives_s));
    let mut histogram = Histogram::new();
    late.for_each(|late_s| histogram.record((late_s.max(0.0) * 1e9) as u64));
    report.latency("arrivals_late_us", &histogram);
    report.must_be_zero("unserved", plan.people.len() as u64 - served - abandoned);
    report.must_be_zero("lost", ledger.lost());
    report.must_be_zero("duplicated", ledger.duplicated);
    report.must_be_zero("out_of_order", ledger.out_of_order);
    report.must_be_zero("over_capacity", ledger.over_capacity);
    report.must_be_zero("two_agents", ledger.two_agents);
    report.must_be_zero("errors", ledger.errors);
    match shared.survive {
        true => {
            report.count("links_lost", ledger.links_lost);
            report.count("repeated", ledger.repeated);
        }
        false => report.must_be_zero("links_lost", ledger.links_lost),
    }
    if let Some(first) = &ledger.first {
        report.text("first_fault", first);
    }
    if let Some(Costs { from, to }) = costs {
        let cpu_us = (to.cpu_us - from.cpu_us) as f64;
        report.number("cpu_us_per_customer", cpu_us / served.max(1) as f64);
        report.number("cpu_cores", cpu_us / 1e6 / seconds);
        report.count("rss_kib_before", from.rss_kib);
        report.count("rss_kib", to.rss_kib);
    }
    report
}
