//! `tidings bench desk`: how far the dispatcher is from the best that any could do, and (`live`) a
//! whole server from its dispatcher.
//!
//! The production machine is driven in virtual time through a scenario, by several seeds, and its
//! figures stand beside queueing theory's bounds. Other policies can be put in its place, so that
//! the benchmark is seen to tell good from bad.

mod bound;
mod dispatcher;
mod live;
mod policy;
mod prng;
mod production;
mod report;
mod rival;
mod scenario;
mod stats;
mod svg;
#[cfg(test)]
mod tests;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use policy::Policy;
use scenario::Scenario;
use stats::Tally;
use world::World;

/// What to simulate, or which server to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct DeskArgs {
    /// Which scenario to simulate.
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        required_unless_present_any = ["server", "prepare"],
        conflicts_with_all = ["server", "prepare"]
    )]
    pub(crate) scenario: Option<scenario::Name>,
    #[command(flatten)]
    live: live::LiveArgs,
    /// First seed; the others follow it.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// Arrivals of each seed; the first tenth is not counted.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    pub(crate) arrivals: u64,
    /// Who dispatches: the production machine, its settings, or the ways of others.
    #[arg(long, value_enum, default_value_t = Policy::Production)]
    pub(crate) policy: Policy,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a plot of waiting against load, measured beside the bound.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Runs it and prints what was measured.
///
/// # Errors
/// If the plot cannot be written, or the server cannot be measured.
pub(crate) fn run(args: DeskArgs) -> anyhow::Result<ExitCode> {
    let Some(name) = args.scenario else {
        return live::run(&args.live, args.seed, args.json);
    };
    let scenario = name.at(name.load());
    let runs = simulate(
        &scenario,
        args.policy,
        args.seed..args.seed + args.seeds,
        args.arrivals,
    );
    let report = report::Report::new(name, &scenario, args.policy, args.arrivals, &runs);
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    if let Some(file) = args.svg {
        std::fs::write(
            &file,
            svg::plot(name, args.policy, args.seed, args.arrivals),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One run per seed, one after the other: decisions are timed, and would share a processor.
fn simulate(
    scenario: &Scenario,
    policy: Policy,
    seeds: std::ops::Range<u64>,
    arrivals: u64,
) -> Vec<Tally> {
    let one = |seed: u64| {
        let dispatcher = policy.dispatcher(scenario);
        let reserved = policy.reserved_slots();
        let mut world = World::new(scenario, dispatcher, reserved, arrivals as usize, seed);
        world.run();
        world.tally
    };
    seeds.map(one).collect()
}
