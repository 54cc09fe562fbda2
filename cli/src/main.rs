//! The one binary: `tidings`.

mod listen;
mod send;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An instant-messaging server with live customer service built in.
#[derive(Debug, Parser)]
#[command(name = "tidings", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(send::SendArgs),
    Listen(listen::ListenArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Send(args) => send::run(args).await,
        Command::Listen(args) => listen::run(args).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("tidings: {error:#}");
        ExitCode::FAILURE
    })
}
