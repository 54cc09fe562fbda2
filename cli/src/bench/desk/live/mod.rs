//! `tidings bench desk --server`: customers and agents over real sockets, and beside it the same
//! arrivals and handling times through the machine in virtual time.
//!
//! - `plan`: what is drawn from the seed; `replay`: it in virtual time
//! - `net`: WebSocket, polling and the agents' port, from the client's side
//! - `customer`, `agent`: one task each; `ledger`: what all of them have seen, and the checks
//! - `figures`: the report; `prepare`: the data directory of a server to be measured
//!
//! One thread drives all connections: it shares the machine with the server that it measures.

mod agent;
mod customer;
mod figures;
mod ledger;
mod net;
mod plan;
mod prepare;
mod replay;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::args::random;
use super::super::process;
use figures::Costs;
use ledger::Ledger;
use net::Target;
use plan::Plan;

/// From everybody's being ready to the first arrival.
const LEAD: Duration = Duration::from_secs(1);
/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Agents who log in at the same time: the server verifies one password after the other.
const LOGINS: usize = 8;

/// How customers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// By `/ws.io`.
    Ws,
    /// By `/poll.io`.
    Poll,
    /// Every second one by either.
    Mixed,
}

/// What `tidings bench desk --server` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LiveArgs {
    /// Measure this server, http://HOST:PORT, with customers and agents over sockets
    #[arg(long, value_name = "URL", value_parser = net::parse_url)]
    pub(crate) server: Option<Target>,
    /// Set a desk up for that in the data directory of a server that does not run
    #[arg(long, requires = "data", conflicts_with = "server")]
    pub(crate) prepare: bool,
    /// The data directory for --prepare
    #[arg(long, value_name = "DIR", requires = "prepare")]
    data: Option<PathBuf>,
    /// Customers in all
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Agents
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    agents: u32,
    /// Customers that an agent serves at once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    capacity: u32,
    /// Arrivals as a share of what all agents can take
    #[arg(long, default_value_t = 0.9, value_parser = positive)]
    load: f64,
    /// Mean time that an agent spends on a customer
    #[arg(long, value_name = "MS", default_value_t = 2000.0, value_parser = positive)]
    handle_ms: f64,
    /// Mean time after which a customer who still waits leaves [default: never]
    #[arg(long, value_name = "MS", value_parser = positive)]
    patience_ms: Option<f64>,
    /// Every second agent comes by the agents' TCP port
    #[arg(long, value_name = "HOST:PORT")]
    agents_address: Option<SocketAddr>,
    /// How customers come
    #[arg(long, value_enum, default_value_t = Transport::Ws)]
    transport: Transport,
    /// Process id of the server, if it runs here: its CPU time and memory are measured
    #[arg(long)]
    pid: Option<u32>,
    /// The server may be killed and started again meanwhile: broken connections are no fault
    #[arg(long)]
    survive: bool,
    /// The run ends when nothing more has happened for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    grace: u64,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "expected a number above 0".to_owned())
}

/// What all tasks share.
struct Shared {
    plan: Plan,
    target: Target,
    agents_address: Option<SocketAddr>,
    survive: bool,
    /// In every text: an earlier run may have left chats behind.
    run: u32,
    ledger: RefCell<Ledger>,
    /// When the arrivals begin; set once all agents are there.
    start: Cell<Option<Instant>>,
    /// Agents wait for it.
    over: Notify,
}

impl Shared {
    /// Seconds since the arrivals began; 0 before.
    fn now_s(&self) -> f64 {
        let start = self.start.get();
        start.map_or(0.0, |start| start.elapsed().as_secs_f64())
    }

    /// The server did not do what somebody asked for. Meant for whoever was still there: a customer
    /// who gives up, or a connection that breaks, makes it right.
    fn refused(&self, what: String) {
        if !self.survive && !self.plan.gives_up && self.start.get().is_some() {
            self.ledger.borrow_mut().error(what);
        }
    }

    /// A connection broke.
    fn lost_link(&self, error: &anyhow::Error) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.links_lost += 1;
        if !self.survive {
            ledger.fault(format!("a connection broke: {error:#}"));
        }
    }
}

/// Runs it and prints what was measured. The exit code is 1 if a promise was broken.
pub(crate) fn run(args: &LiveArgs, seed: u64, json: bool) -> anyhow::Result<ExitCode> {
    let runtime = |mut builder: tokio::runtime::Builder| {
        let built = builder.enable_all().build();
        built.context("no threads for the benchmark")
    };
    if let Some(data) = &args.data {
        let threads = tokio::runtime::Builder::new_multi_thread();
        let prepared = prepare::prepare(data, args.agents, args.capacity);
        runtime(threads)?.block_on(prepared)?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = args.server.clone().context("--server is missing")?;
    rlimit::increase_nofile_limit(u64::MAX).ok();
    let plan = Plan::draw(args, seed);
    let shared = Rc::new(Shared {
        ledger: RefCell::new(Ledger::new(&plan)),
        plan,
        target,
        agents_address: args.agents_address,
        survive: args.survive,
        run: random() as u32,
        start: Cell::new(None),
        over: Notify::new(),
    });
    let local = tokio::task::LocalSet::new();
    let one = tokio::runtime::Builder::new_current_thread();
    let (seconds, costs) = runtime(one)?.block_on(local.run_until(drive(&shared, args)))?;
    let virtually = replay::replay(&shared.plan);
    let ledger = shared.ledger.borrow();
    let report = figures::report(&shared, &ledger, &virtually, (seconds, costs));
    report.complain();
    report.print(json);
    Ok(ExitCode::from(u8::from(report.is_broken())))
}

/// Agents in, customers through, agents out. How long the customers took, and what they cost.
async fn drive(shared: &Rc<Shared>, args: &LiveArgs) -> anyhow::Result<(f64, Option<Costs>)> {
    let places = Rc::new(tokio::sync::Semaphore::new(LOGINS));
    let mut agents = tokio::task::JoinSet::new();
    for number in 0..shared.plan.agents {
        agents.spawn_local(agent::run(shared.clone(), number, places.clone()));
    }
    let grace = Duration::from_secs(args.grace);
    let everybody = |ledger: &Ledger| ledger.bound == shared.plan.agents;
    let in_time = watch(shared, grace, everybody).await;
    if !in_time {
        let ledger = shared.ledger.borrow();
        let first = ledger.first.clone().unwrap_or_default();
        anyhow::bail!("{} agents could log in. {first}", ledger.bound);
    }
    let before = args.pid.map(process::usage).transpose()?;
    shared.start.set(Some(Instant::now() + LEAD));
    let mut customers = tokio::task::JoinSet::new();
    for number in 0..shared.plan.people.len() {
        customers.spawn_local(customer::run(shared.clone(), number));
    }
    let all = shared.plan.people.len();
    watch(shared, grace, |ledger| ledger.gone == all).await;
    let seconds = shared.now_s();
    let after = args.pid.map(process::usage).transpose()?;
    customers.shutdown().await;
    shared.over.notify_waiters();
    agents.shutdown().await;
    let costs = before.zip(after);
    Ok((seconds, costs.map(|(from, to)| Costs { from, to })))
}

/// Until `done`; false if nothing has happened for `grace`.
async fn watch(shared: &Shared, grace: Duration, done: impl Fn(&Ledger) -> bool) -> bool {
    let terminal = std::io::stderr().is_terminal();
    let (mut seen, mut since) = (0, Instant::now());
    let in_time = loop {
        let (is_done, events) = {
            let ledger = shared.ledger.borrow();
            if terminal {
                eprint!("\r\x1b[K{}: {}", shared.target, ledger.shown());
                let _ = std::io::stderr().flush(); // nobody needs to see it
            }
            (done(&ledger), ledger.events)
        };
        if is_done {
            break true;
        }
        if events != seen || shared.now_s() < shared.plan.last_arrival_s() {
            (seen, since) = (events, Instant::now());
        } else if since.elapsed() >= grace {
            break false;
        }
        tokio::time::sleep(LOOK).await;
    };
    if terminal {
        eprint!("\r\x1b[K");
    }
    in_time
}
