//! `tidings bench idle`: users who are logged in and do nothing, for the memory that they cost.
//!
//! One process may not have enough descriptors for all: then it starts others of itself, each of
//! which holds a share (`--child`), says one line when its users are ready, and ends with its
//! standard input.

use std::io::{BufReader, Read as _};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;

use super::args::{Common, Extensions, Scheme};
use super::engine::Faults;
use super::pairs::{Link, Pace, Pairs, Plan, Seen};
use super::process;
use super::report::{Progress, Report};
use super::stage::{Crew, Part, Stage};

/// Descriptors of a process that are no connections.
const SPARE_FILES: u64 = 64;
/// Messages that each user has unacknowledged while they talk.
const TALK_WINDOW: u64 = 4;
/// Talking is given up after this.
const TALK_WITHIN_S: f64 = 120.0;

/// What `tidings bench idle` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    common: Common,
    /// Connections, one user each
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Messages that each user sends to another, and receives, before all fall silent
    #[arg(long, value_name = "M", default_value_t = 0)]
    talk: u32,
    /// How long all are silent before memory is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    settle: f64,
    /// How long to stay connected after that
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    hold: f64,
    /// This process holds a share of another one's connections
    #[arg(long, hide = true)]
    child: bool,
}

/// What one process has found out when its users are ready.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    online: u64,
    login_seconds: f64,
    talked: u64,
}

/// Runs it.
pub(crate) fn run(args: &IdleArgs) -> anyhow::Result<ExitCode> {
    // As many as the system allows; if it stays as it is, more processes are started.
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let per_process = u32::try_from(files.saturating_sub(SPARE_FILES)).unwrap_or(u32::MAX);
    if args.child {
        return child(args);
    }
    let before = args.common.pid.map(process::usage).transpose()?;
    let mut after = None;
    let mut measure = |_: &Ready| -> anyhow::Result<()> {
        sleep(args.settle);
        after = args.common.pid.map(process::usage).transpose()?;
        sleep(args.hold);
        Ok(())
    };
    let (ready, faults) = if args.connections <= per_process {
        hold(args, &mut measure)?
    } else {
        spread(args, per_process, &mut measure)?
    };
    let mut report = Report::new(format!("idle {}", args.common.server));
    report.text("server", &args.common.server.to_string());
    report.count("connections", ready.online);
    report.number(
        "logins_per_s",
        ready.online as f64 / ready.login_seconds.max(1e-9),
    );
    report.count("talked", ready.talked);
    let wanted = u64::from(args.talk) * ready.online;
    report.must_be_zero("untold", wanted.saturating_sub(ready.talked));
    report.faults(&faults);
    if let (Some(before), Some(after)) = (before, after) {
        report.count("rss_kib_before", before.rss_kib);
        report.count("rss_kib", after.rss_kib);
        let grown = after.rss_kib as f64 - before.rss_kib as f64;
        report.number("kib_per_connection", grown / ready.online as f64);
    }
    report.complain();
    report.print(args.common.json);
    Ok(ExitCode::from(u8::from(report.is_broken())))
}

fn sleep(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds.max(0.0)));
}

/// Logs the users in, lets them talk, calls `ready`, and logs them out.
fn hold(
    args: &IdleArgs,
    ready: &mut dyn FnMut(&Ready) -> anyhow::Result<()>,
) -> anyhow::Result<(Ready, Faults)> {
    let stage = Stage::new();
    let count = u64::from(args.connections);
    let crew = start(args, &stage)?;
    let mut progress = Progress::new(&stage, &args.common.server);
    crew.wait_until(|| {
        progress.show("logging in");
        stage.online.load(Ordering::Relaxed) == count
    });
    let login_seconds = stage.now() as f64 / 1e9;
    stage.enter(Part::Run);
    let messages = count * u64::from(args.talk);
    let give_up = stage.now() + (TALK_WITHIN_S * 1e9) as u64;
    crew.wait_until(|| {
        progress.show("talking");
        let [_, acked, received] = stage.totals();
        acked.min(received) >= messages || stage.now() > give_up
    });
    progress.end();
    if !crew.has_ended() {
        ready(&Ready {
            online: count,
            login_seconds,
            talked: stage.totals()[2],
        })?;
    }
    stage.enter(Part::Drain);
    let (mut faults, mut seen) = (Faults::default(), Seen::new());
    for (pairs, net) in crew.join()? {
        faults.merge(&net.faults);
        seen.merge(&pairs.into_seen());
    }
    let ready = Ready {
        online: count,
        login_seconds,
        talked: seen.received,
    };
    Ok((ready, faults))
}

fn start(args: &IdleArgs, stage: &Arc<Stage>) -> anyhow::Result<Crew<Pairs>> {
    let count = args.connections as usize;
    let threads = args.common.threads(count);
    let prefix = args.common.prefix(0);
    let plan = Plan {
        pace: Pace::Window(TALK_WINDOW.min(u64::from(args.talk))),
        body: 64,
        quota: u64::from(args.talk),
        resends: args.common.server.scheme == Scheme::Udp,
        grace_ns: 0,
    };
    let (mut scenarios, mut users) = (Vec::new(), Vec::new());
    let share = count.div_ceil(threads);
    for first in (0..count).step_by(share) {
        let names: Vec<String> = (first..count.min(first + share))
            .map(|user| format!("{prefix}i{user}"))
            .collect();
        // In twos, both ways; an odd one at the end talks to himself.
        let last = names.len() - 1;
        let link = |sender: usize| Link {
            sender,
            receiver: if (sender ^ 1) > last {
                sender
            } else {
                sender ^ 1
            },
        };
        let links: Vec<Link> = (0..names.len()).map(link).collect();
        scenarios.push(Pairs::new(stage.clone(), &names, &links, plan));
        users.push(names);
    }
    let mut users = users.into_iter();
    Crew::start(&args.common.dialing(), stage.origin, scenarios, |worker| {
        for user in users.next().unwrap_or_default() {
            worker.net.log_in(user);
        }
    })
}

/// The share of another process: says when it is ready, ends when its input does.
fn child(args: &IdleArgs) -> anyhow::Result<ExitCode> {
    let over = Arc::new(AtomicBool::new(false));
    let ended = over.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::Release);
    });
    let (_, faults) = hold(args, &mut |ready| {
        println!("{} {} {}", ready.online, ready.login_seconds, ready.talked);
        while !over.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    })?;
    let first = faults.first.unwrap_or_default();
    println!("{} {} {first}", faults.links_lost, faults.errors);
    Ok(ExitCode::SUCCESS)
}

/// Shares the connections out among processes.
fn spread(
    args: &IdleArgs,
    per_process: u32,
    ready: &mut dyn FnMut(&Ready) -> anyhow::Result<()>,
) -> anyhow::Result<(Ready, Faults)> {
    anyhow::ensure!(
        per_process >= 2,
        "the limit of open files leaves none for connections; raise it (ulimit -n)"
    );
    let processes = args.connections.div_ceil(per_process);
    let share = args.connections.div_ceil(processes);
    let mut children = Vec::new();
    for number in 0..processes {
        let count = share.min(args.connections - number * share);
        children.push(spawn(args, number, count)?);
    }
    let mut all = Ready::default();
    let mut outputs = Vec::new();
    for child in &mut children {
        let output = child.stdout.take().context("a child without output")?;
        let mut output = BufReader::new(output);
        let one = parse_ready(&line(&mut output)?).context("a child could not log in")?;
        all.online += one.online;
        all.login_seconds = all.login_seconds.max(one.login_seconds);
        all.talked += one.talked;
        outputs.push(output);
    }
    ready(&all)?;
    let mut faults = Faults::default();
    for (mut child, mut output) in children.into_iter().zip(outputs) {
        drop(child.stdin.take());
        faults.merge(&parse_faults(&line(&mut output)?));
        child.wait()?;
    }
    Ok((all, faults))
}

fn spawn(args: &IdleArgs, number: u32, count: u32) -> anyhow::Result<Child> {
    let common = &args.common;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([
            "bench",
            "idle",
            "--child",
            "--server",
            &common.server.to_string(),
        ])
        .args(["--connections", &count.to_string()])
        .args(["--talk", &args.talk.to_string()])
        .args(["--token", &common.token])
        .args(["--heartbeat", &common.heartbeat.to_string()])
        .args(["--users-prefix", &format!("{}{number}-", common.prefix(0))])
        .args(["--threads", "1"])
        // Other addresses to connect from than its siblings.
        .args(["--sources-from", &(number * 40).to_string()]);
    if common.extensions == Extensions::On {
        command.args(["--extensions", "on"]);
    }
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    pipes
        .spawn()
        .context("cannot start another process for more connections")
}

fn line(output: &mut impl std::io::BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    Ok(line)
}

fn parse_ready(line: &str) -> Option<Ready> {
    let mut words = line.split_whitespace();
    Some(Ready {
        online: words.next()?.parse().ok()?,
        login_seconds: words.next()?.parse().ok()?,
        talked: words.next()?.parse().ok()?,
    })
}

/// A child that says nothing has lost everything; that is one fault to look at.
fn parse_faults(line: &str) -> Faults {
    let mut words = line.trim_end().splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse().ok());
    let counts = number().zip(number());
    let first = words.next().filter(|text| !text.is_empty());
    match counts {
        Some((links_lost, errors)) => Faults {
            links_lost,
            errors,
            first: first.map(str::to_owned),
        },
        None => Faults {
            links_lost: 0,
            errors: 1,
            first: Some("a process of the load generator ended early".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_says_is_understood() {
        let ready = parse_ready("5000 1.25 10000\n").expect("ready");
        assert_eq!((ready.online, ready.talked), (5000, 10_000));
        assert!(parse_ready("").is_none());
        let faults = parse_faults("2 1 the first fault\n");
        assert_eq!((faults.links_lost, faults.errors), (2, 1));
        assert_eq!(faults.first.as_deref(), Some("the first fault"));
        assert_eq!(parse_faults("0 0 \n").first, None);
        assert_eq!(parse_faults("").errors, 1);
    }
}
