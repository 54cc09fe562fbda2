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
    /// The customer-service dispatcher in virtual time, beside what theory allows; a server's desk
    /// with customers and agents over sockets, beside the dispatcher
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
        BenchArgs::Desk(args) => desk::run(args),
        BenchArgs::Relay(args) => relay::run(&args),
        BenchArgs::Idle(args) => idle::run(&args),
        BenchArgs::Login(args) => login::run(&args),
        BenchArgs::Fanout(args) => fanout::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        _bench: super::BenchArgs,
    }

    fn parse(line: &str) -> Result<Line, clap::Error> {
        Line::try_parse_from(std::iter::once("bench").chain(line.split(' ')))
    }

    #[test]
    fn command_lines_that_the_documentation_shows_are_read() {
        const SERVER: &str = "--server tcp://127.0.0.1:8901";
        for line in [
            "relay --pairs 20 --window 64 --body 64 --seconds 0.5 --warmup 1 --pid 7 --json",
            "relay --rate 1000 --grace 3 --extensions on --token t --users-prefix p",
            "relay --vs udp://127.0.0.1:7901 --vs-pid 8 --rounds 5",
            "idle --connections 15000 --talk 10 --settle 3 --hold 1",
            "login --users 100 --concurrency 8 --relogin --storm",
            "fanout --group all --members 10000 --queued 8",
        ] {
            parse(&format!("{line} {SERVER}")).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in [
            "desk --scenario S1 --seeds 2 --json",
            "desk --prepare --data d --agents 500 --capacity 3",
            "desk --server http://127.0.0.1:8080 --load 1.2 --handle-ms 20000 --transport mixed",
            "desk --server http://127.0.0.1:8080 --agents-address 127.0.0.1:6067 --survive --pid 7",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "relay",
            "relay --server tcp://127.0.0.1:8901 --pairs 0",
            "relay --server tcp://127.0.0.1:8901 --vs-pid 8",
            "relay --server carrier-pigeon://127.0.0.1:8901",
            "fanout --server tcp://127.0.0.1:8901 --group all --members 1",
            "desk",
            "desk --prepare",
            "desk --scenario S1 --server http://127.0.0.1:8080",
            "desk --server tcp://127.0.0.1:8901",
            "desk --server http://127.0.0.1:8080 --load 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
