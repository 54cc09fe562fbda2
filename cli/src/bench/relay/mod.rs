//! `tidings bench relay`: pairs of users, one sends to the other.
//!
//! Every message is accounted for, from the first to the last of the drain; the latencies and rates
//! are those of the measured interval.

mod versus;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::args::{Common, Endpoint, Scheme};
use super::engine::Faults;
use super::pairs::{Link, Pace, Pairs, Plan, Seen};
use super::process::{self, Usage};
use super::report::{Progress, Report};
use super::stage::{Crew, Part, Stage, pace};

/// The open loop's workers are woken at least this often, however high the rate.
const PACE_MAX: Duration = Duration::from_micros(100);

/// What `tidings bench relay` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RelayArgs {
    #[command(flatten)]
    common: Common,
    /// Pairs of one sender and one receiver
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Messages that each sender has unacknowledged at a time
    #[arg(long, value_name = "W", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Messages a second, all pairs together, whatever comes back: replaces the window
    #[arg(long, value_name = "R")]
    rate: Option<f64>,
    /// Length of a message's body
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    body: usize,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// How long to run before measuring
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    warmup: f64,
    /// How long to wait at the end for what is still under way, after the last of it came
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0)]
    grace: f64,
    /// A second server to compare with, in alternating rounds
    #[arg(long, value_name = "URL")]
    vs: Option<Endpoint>,
    /// Process id of the second server
    #[arg(long, value_name = "PID", requires = "vs")]
    vs_pid: Option<u32>,
    /// Rounds per server with --vs
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// What one round found.
#[derive(Debug)]
struct Outcome {
    seen: Seen,
    faults: Faults,
    /// Length of the measured interval.
    seconds: f64,
    /// Messages received in it.
    received: u64,
    usage: Option<Measured>,
}

/// The server's process: before the first connection, at both ends of the measured interval.
#[derive(Debug, Clone, Copy)]
struct Measured {
    before: Usage,
    from: Usage,
    to: Usage,
}

/// Runs it.
pub(crate) fn run(args: &RelayArgs) -> anyhow::Result<ExitCode> {
    let reports = match &args.vs {
        None => vec![report(args, &round(args, 0)?)],
        Some(vs) => {
            let mut other = args.clone();
            other.common.server = vs.clone();
            other.common.pid = args.vs_pid;
            versus::run(args, &other)?
        }
    };
    for report in &reports {
        report.complain();
    }
    match &*reports {
        [one] => one.print(args.common.json),
        [one, other] => versus::print(one, other, args.common.json),
        _ => {}
    }
    let broken = reports.iter().any(Report::is_broken);
    Ok(ExitCode::from(u8::from(broken)))
}

/// One run against one server.
fn round(args: &RelayArgs, number: usize) -> anyhow::Result<Outcome> {
    let usage = || args.common.pid.map(process::usage).transpose();
    let before = usage()?;
    let stage = Stage::new();
    let crew = start(args, number, &stage)?;
    let mut progress = Progress::new(&stage, &args.common.server);
    let online = 2 * u64::from(args.pairs);
    crew.wait_until(|| {
        progress.show("logging in");
        stage.online.load(std::sync::atomic::Ordering::Relaxed) == online
    });
    if let Some(rate) = args.rate {
        let every = Duration::from_secs_f64((1.0 / rate).max(PACE_MAX.as_secs_f64()));
        pace(&stage, crew.wakers(), every);
    }
    stage.enter(Part::Run);
    let mut sleep = |seconds: f64, what: &str| {
        let until = stage.now() + (seconds * 1e9) as u64;
        crew.wait_until(|| {
            progress.show(what);
            stage.now() >= until
        });
    };
    sleep(args.warmup, "warming up");
    let (from, started) = (usage()?, stage.now());
    let received = stage.totals()[2];
    stage.measure();
    sleep(args.seconds, "measuring");
    stage.measured();
    let received = stage.totals()[2] - received;
    let (to, ended) = (usage()?, stage.now());
    stage.enter(Part::Drain);
    crew.wait_until(|| {
        progress.show("draining");
        false
    });
    progress.end();
    let mut seen = Seen::new();
    let mut faults = Faults::default();
    for (pairs, net) in crew.join()? {
        seen.merge(&pairs.into_seen());
        faults.merge(&net.faults);
    }
    let usage = before.zip(from).zip(to);
    Ok(Outcome {
        seen,
        faults,
        seconds: (ended - started) as f64 / 1e9,
        received,
        usage: usage.map(|((before, from), to)| Measured { before, from, to }),
    })
}

/// Shares the pairs out among threads and starts them.
fn start(args: &RelayArgs, number: usize, stage: &Arc<Stage>) -> anyhow::Result<Crew<Pairs>> {
    let common = &args.common;
    let count = args.pairs as usize;
    anyhow::ensure!(
        args.rate.is_none_or(|rate| rate > 0.0 && rate.is_finite()),
        "--rate must be above 0"
    );
    let prefix = common.prefix(number);
    let threads = common.threads(count);
    let mut scenarios = Vec::new();
    let mut users = Vec::new();
    for first in (0..count).step_by(count.div_ceil(threads)) {
        let share = first..count.min(first + count.div_ceil(threads));
        let names: Vec<String> = share
            .clone()
            .flat_map(|pair| [format!("{prefix}s{pair}"), format!("{prefix}r{pair}")])
            .collect();
        let link = |pair: usize| Link {
            sender: 2 * pair,
            receiver: 2 * pair + 1,
        };
        let links: Vec<Link> = (0..share.len()).map(link).collect();
        let plan = plan(args, share.len() as f64 / count as f64);
        scenarios.push(Pairs::new(stage.clone(), &names, &links, plan));
        users.push(names);
    }
    let mut users = users.into_iter();
    Crew::start(&common.dialing(), stage.origin, scenarios, |worker| {
        for user in users.next().unwrap_or_default() {
            worker.net.log_in(user);
        }
    })
    .context("cannot start the load generator")
}

/// What a thread with this share of the pairs does.
fn plan(args: &RelayArgs, share: f64) -> Plan {
    Plan {
        pace: match args.rate {
            Some(rate) => Pace::Rate(rate * share),
            None => Pace::Window(u64::from(args.window)),
        },
        body: args.body,
        quota: u64::MAX,
        resends: args.common.server.scheme == Scheme::Udp,
        grace_ns: (args.grace * 1e9) as u64,
    }
}

/// The figures of a round, as the issue names them.
fn report(args: &RelayArgs, outcome: &Outcome) -> Report {
    let Outcome { seen, faults, .. } = outcome;
    let mut report = Report::new(format!("relay {}", args.common.server));
    report.text("server", &args.common.server.to_string());
    report.count("pairs", u64::from(args.pairs));
    match args.rate {
        Some(rate) => report.number("rate", rate),
        None => report.count("window", u64::from(args.window)),
    }
    report.count("body", args.body as u64);
    report.number("seconds", outcome.seconds);
    report.count("sent", seen.sent);
    report.count("acked", seen.acked);
    report.count("received", seen.received);
    report.must_be_zero("lost", seen.lost);
    report.must_be_zero("unacked", seen.sent - seen.acked);
    report.must_be_zero("duplicated", seen.duplicated);
    report.must_be_zero("out_of_order", seen.out_of_order);
    report.must_be_zero("foreign", seen.foreign);
    report.count("resent", seen.resent);
    report.faults(faults);
    report.number("received_per_s", outcome.received as f64 / outcome.seconds);
    report.latency("ack_us", &seen.ack);
    report.latency("delivery_us", &seen.delivery);
    if let Some(usage) = &outcome.usage {
        let cpu_us = (usage.to.cpu_us - usage.from.cpu_us) as f64;
        report.number(
            "cpu_us_per_message",
            cpu_us / outcome.received.max(1) as f64,
        );
        report.number("cpu_cores", cpu_us / 1e6 / outcome.seconds);
        report.count("rss_kib", usage.to.rss_kib);
        let grown = usage.to.rss_kib.saturating_sub(usage.before.rss_kib);
        let connections = 2.0 * f64::from(args.pairs);
        report.number("kib_per_connection", grown as f64 / connections);
    }
    report
}
