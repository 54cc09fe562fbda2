//! The one binary: `tidings`. Reads the command line and hands over to one command each; a command
//! answers with the process's exit code.

#[cfg(unix)]
mod admin;
mod bench;
mod chat;
mod doctor;
mod listen;
mod say;
mod secret;
mod send;
mod serve;
mod target;

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Lower resident memory than the system's allocator under many small, long-lived allocations, and
/// what a burst took is given back.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    Send(send::SendArgs),
    Listen(listen::ListenArgs),
    Chat(chat::ChatArgs),
    #[cfg(unix)]
    Admin(admin::AdminArgs),
    Doctor(doctor::DoctorArgs),
    /// Measure any server that speaks the protocol, and the dispatcher
    #[command(subcommand)]
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    // A usage error ends the process here, with exit code 2.
    let outcome = match Tidings::parse().command {
        Command::Serve(args) => {
            keep_files_private();
            serve::run(&args)
        }
        Command::Send(args) => client(send::run(args)),
        Command::Listen(args) => client(listen::run(args)),
        Command::Chat(args) => client(chat::run(args)),
        #[cfg(unix)]
        Command::Admin(args) => {
            keep_files_private();
            admin::run(args)
        }
        Command::Doctor(args) => Ok(doctor::run(&args)),
        Command::Bench(args) => bench::run(args),
    };
    outcome.unwrap_or_else(|error| {
        say::say(format_args!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// What is written from now on, messages above all, only its owner can read.
fn keep_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Runs a client's command: one thread is plenty.
fn client(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime for the client")?
        .block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use tidings_server::config::{ConfigError, Settings};

    fn variables(command: &clap::Command, found: &mut Vec<String>) {
        let named = command.get_arguments().filter_map(clap::Arg::get_env);
        found.extend(named.map(|name| name.to_string_lossy().into_owned()));
        for below in command.get_subcommands() {
            variables(below, found);
        }
    }

    #[test]
    fn b25_no_variable_of_a_command_stops_the_server() {
        let mut found = Vec::new();
        variables(&super::Tidings::command(), &mut found);
        assert!(found.contains(&"TIDINGS_PIN".to_owned()), "{found:?}");
        for name in found {
            let set = [(name.clone(), "x".to_owned())];
            let loaded = Settings::load(None, set.clone(), &[]);
            let is_known = !matches!(loaded, Err(ConfigError::UnknownVariable { .. }));
            assert!(is_known, "{name}");
            let ignored = Settings::ignored_variables(set);
            assert!(
                ignored.is_empty(),
                "{name} is passed over as if it were nobody's"
            );
        }
    }
}
