//! `tidings bench`: load for any server that speaks the protocol, and what it made of it.
//!
//! Here: the load generators and their reports. Not here: the protocol (`tidings_core::wire`), the
//! server. Called by `main`. `docs/benchmarks.md` says how to use it and what each figure means.

mod args;
mod engine;
mod histogram;
mod process;
mod relay;
mod report;
mod stage;
mod template;

use std::process::ExitCode;

/// What `tidings bench` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum BenchArgs {
    /// Pairs of users, one sends to the other: throughput, latency, loss, order
    Relay(relay::RelayArgs),
}

/// Runs one benchmark. The exit code is 1 if a promise was broken: loss, doubles, disorder.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    match args {
        BenchArgs::Relay(args) => relay::run(args),
    }
}
