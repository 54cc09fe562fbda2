//! `tidings bench`: load for any server that speaks the protocol, and what it made of it.
//!
//! Here: the load generators and their reports. Not here: the protocol (`tidings_core::wire`), the
//! server. Called by `main`. `docs/benchmarks.md` says how to use it and what each figure means.

mod args;
mod desk;
mod engine;
mod fanout;
mod histogram;
mod idle;
mod login;
mod pairs;
mod process;
mod relay;
mod report;
mod stage;
mod template;

use std::process::ExitCode;

/// What `tidings bench` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum BenchArgs {
    /// The customer-service dispatcher, in virtual time, beside what theory allows
    Desk(desk::DeskArgs),
    /// Pairs of users, one sends to the other: throughput, latency, loss, order
    Relay(relay::RelayArgs),
    /// Connections that are logged in and do nothing: memory
    Idle(idle::IdleArgs),
    /// Logins per second
    Login(login::LoginArgs),
    /// One member of a group sends to all others: deliveries per second
    Fanout(fanout::FanoutArgs),
}

/// Runs one benchmark. The exit code is 1 if a promise was broken: loss, doubles, disorder.
pub(crate) fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    match args {
        BenchArgs::Desk(args) => desk::run(args).map(|()| ExitCode::SUCCESS),
        BenchArgs::Relay(args) => relay::run(&args),
        BenchArgs::Idle(args) => idle::run(&args),
        BenchArgs::Login(args) => login::run(&args),
        BenchArgs::Fanout(args) => fanout::run(&args),
    }
}
