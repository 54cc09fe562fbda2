//! The one binary: `tidings`. Reads the command line and hands over to one command each; a command
//! answers with the process's exit code.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Instant messaging over TCP, UDP and WebSocket: what it has acknowledged is on disk, stored once,
/// in order, and reaches its receiver.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, max_term_width = 100)]
struct Tidings {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
}

fn main() -> ExitCode {
    // A usage error ends the process here, with exit code 2.
    match Tidings::parse().command {
        Command::Serve(args) => serve::run(&args),
    }
}
