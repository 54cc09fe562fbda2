//! `tidings bench login`: connect, log in, be answered; over and over, or all at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::args::Common;
use super::engine::{Faults, Net, Phase, Scenario};
use super::histogram::Histogram;
use super::process;
use super::report::{Progress, Report};
use super::stage::{Crew, Part, Stage};

/// What `tidings bench login` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    common: Common,
    /// Users who take turns; with --storm, who log in at once
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// Logins under way at a time
    #[arg(long, value_name = "C", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// How long to run before measuring
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    warmup: f64,
    /// Each user has logged in before and presents the same firstLoginTime again, as clients do
    /// that lost their connection
    #[arg(long)]
    relogin: bool,
    /// All users at once, once
    #[arg(long)]
    storm: bool,
}

/// Between two points of a storm's curve.
const CURVE_NS: u64 = 100_000_000;

/// How many were online after each tenth of a second.
#[derive(Debug, Default)]
struct Curve(Vec<u64>);

impl Curve {
    fn look(&mut self, elapsed_ns: u64, online: u64) {
        while self.0.len() as u64 * CURVE_NS < elapsed_ns {
            self.0.push(online);
        }
    }

    fn show(&self) -> String {
        let points: Vec<String> = self.0.iter().map(u64::to_string).collect();
        points.join(" ")
    }
}

/// The users of one worker.
struct Logins {
    stage: Arc<Stage>,
    users: Vec<User>,
    relogin: bool,
    storm: bool,
    /// The user of each connection, and who is next.
    at: Vec<usize>,
    next: usize,
    /// Every user has logged in, and all were disconnected once (a storm of re-logins).
    again: bool,
    online: usize,
    latency: Histogram,
}

struct User {
    name: String,
    first_login_time: i64,
}

impl Logins {
    /// The user whose turn it is.
    fn turn_of(&mut self) -> usize {
        let user = self.next;
        self.next = (user + 1) % self.users.len();
        user
    }

    fn reopen(&mut self, net: &mut Net, who: usize, user: usize) {
        self.at[who] = user;
        let User {
            name,
            first_login_time,
        } = &self.users[user];
        let time = if self.relogin { *first_login_time } else { 0 };
        net.reopen(who, name.clone(), time);
    }
}

impl Scenario for Logins {
    fn online(&mut self, net: &mut Net, who: usize) {
        let now = net.now();
        let client = &net.clients[who];
        let opened_ns = client.opened_ns;
        let user = self.at[who];
        self.users[user].first_login_time = client.first_login_time;
        if self.stage.counts(opened_ns) {
            self.latency.record(now - opened_ns);
            self.stage.received.fetch_add(1, Relaxed);
        }
        self.stage.online.fetch_add(1, Relaxed);
        self.online += 1;
        if self.storm || self.stage.part() == Part::Drain {
            return;
        }
        if !self.relogin {
            net.log_out(who);
        }
        let user = self.turn_of();
        self.reopen(net, who, user);
    }

    fn turn(&mut self, net: &mut Net, _now: u64) -> bool {
        match self.stage.part() {
            Part::LogIn => false,
            // A storm of re-logins: everybody's connection has broken, everybody comes back.
            Part::Run if self.storm && self.relogin && !self.again => {
                self.again = true;
                for who in 0..net.clients.len() {
                    net.clients[who].phase = Phase::Closed;
                    let user = self.at[who];
                    self.reopen(net, who, user);
                }
                false
            }
            Part::Run => false,
            Part::Drain => {
                net.log_out_all();
                true
            }
        }
    }
}

/// Runs it.
pub(crate) fn run(args: &LoginArgs) -> anyhow::Result<ExitCode> {
    rlimit::increase_nofile_limit(u64::MAX).ok();
    let usage = || args.common.pid.map(process::usage).transpose();
    let stage = Stage::new();
    let storm_now = args.storm && !args.relogin;
    let before = usage()?;
    if storm_now {
        stage.measure();
    }
    let crew = start(args, &stage)?;
    let mut progress = Progress::new(&stage, &args.common.server);
    let mut curve = Curve::default();
    let all = u64::from(args.users);
    let (mut from, mut started) = (before, 0);
    let online = |stage: &Stage| stage.online.load(Relaxed);
    // Re-logins can be measured once everybody has logged in.
    if args.storm || args.relogin {
        crew.wait_until(|| {
            progress.show("logging in");
            if storm_now {
                curve.look(stage.now(), online(&stage));
            }
            online(&stage) >= all
        });
    }
    if !storm_now {
        if !args.storm {
            wait(&crew, &stage, args.warmup, || progress.show("warming up"));
        }
        (from, started) = (usage()?, stage.now());
        stage.measure();
        stage.enter(Part::Run);
        if args.storm {
            crew.wait_until(|| {
                progress.show("logging in again");
                curve.look(stage.now() - started, online(&stage) - all);
                online(&stage) >= 2 * all
            });
        } else {
            wait(&crew, &stage, args.seconds, || progress.show("measuring"));
        }
    }
    let logins = stage.totals()[2];
    let (to, seconds) = (usage()?, (stage.now() - started) as f64 / 1e9);
    stage.measured();
    stage.enter(Part::Drain);
    progress.end();
    let (mut latency, mut faults) = (Histogram::new(), Faults::default());
    for (scenario, net) in crew.join()? {
        latency.merge(&scenario.latency);
        faults.merge(&net.faults);
    }
    let mut report = Report::new(format!("login {}", args.common.server));
    report.text("server", &args.common.server.to_string());
    report.text("mode", mode(args));
    report.count("logins", logins);
    report.number("seconds", seconds);
    report.number("logins_per_s", logins as f64 / seconds);
    report.latency("login_us", &latency);
    if args.storm {
        report.text("online_after_100_ms_each", &curve.show());
    }
    report.faults(&faults);
    if let (Some(from), Some(to)) = (from, to) {
        let cpu_us = (to.cpu_us - from.cpu_us) as f64;
        report.number("cpu_us_per_login", cpu_us / logins.max(1) as f64);
        report.count("rss_kib", to.rss_kib);
    }
    report.complain();
    report.print(args.common.json);
    Ok(ExitCode::from(u8::from(report.is_broken())))
}

fn wait(crew: &Crew<Logins>, stage: &Stage, seconds: f64, mut look: impl FnMut()) {
    let until = stage.now() + (seconds * 1e9) as u64;
    crew.wait_until(|| {
        look();
        stage.now() >= until
    });
}

fn mode(args: &LoginArgs) -> &'static str {
    match (args.storm, args.relogin) {
        (false, false) => "fresh",
        (false, true) => "relogin",
        (true, false) => "storm",
        (true, true) => "storm of relogins",
    }
}

fn start(args: &LoginArgs, stage: &Arc<Stage>) -> anyhow::Result<Crew<Logins>> {
    let count = args.users as usize;
    let threads = args.common.threads(count);
    let prefix = args.common.prefix(0);
    let share = count.div_ceil(threads);
    let scenarios: Vec<Logins> = (0..count)
        .step_by(share)
        .map(|first| Logins {
            stage: stage.clone(),
            users: (first..count.min(first + share))
                .map(|user| User {
                    name: format!("{prefix}l{user}"),
                    first_login_time: 0,
                })
                .collect(),
            relogin: args.relogin,
            storm: args.storm,
            at: Vec::new(),
            next: 0,
            again: false,
            online: 0,
            latency: Histogram::new(),
        })
        .collect();
    let concurrency = (args.concurrency as usize).div_ceil(scenarios.len());
    Crew::start(&args.common.dialing(), stage.origin, scenarios, |worker| {
        let users = worker.scenario.users.len();
        let connections = if args.storm {
            users
        } else {
            concurrency.min(users)
        };
        worker.net.opening_max = connections;
        for _ in 0..connections {
            let user = worker.scenario.turn_of();
            worker.scenario.at.push(user);
            let name = worker.scenario.users[user].name.clone();
            worker.net.log_in(name);
        }
    })
}
