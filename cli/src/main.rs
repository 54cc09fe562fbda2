//! The one binary: `tidings`.

mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Instant messaging with live customer service built in.
#[derive(Debug, Parser)]
#[command(name = "tidings", version)]
struct Tidings {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure any server that speaks the protocol
    #[command(subcommand)]
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let outcome = match Tidings::parse().command {
        Command::Bench(args) => bench::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("tidings: {error:#}");
        ExitCode::FAILURE
    })
}
