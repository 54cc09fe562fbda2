//! One world: virtual time, the queue of what happens next, and who it happens to.
//!
//! `net` carries bytes, `server` drives the machine, `committer` commits, `disk` is its store with a durable and a
//! volatile half, `client` is everybody else: MobileIMSDK's as a model, ours (`app`) on the
//! production client, `chaos` breaks things. All of them are parts of
//! [`World`], because every step may concern every other; the checkers are apart, in `check`.

mod app;
mod chaos;
mod client;
mod clienting;
mod committer;
mod disk;
mod encode;
mod net;
mod server;

use std::collections::BTreeMap;

use tidings_core::custody::{Backlog, Loaded, Want};
use tidings_core::ids::{DeviceId, LinkId, Name};
use tidings_core::time::{Now, Time};

use crate::check::Checker;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::{Mutation, Options, Outcome};

pub(crate) use app::AppEvent;
pub(crate) use client::{Client, Outgoing};
use committer::Said;
pub(crate) use disk::Disk;
pub(crate) use encode::length as encoded_length;
use net::Conn;
use server::Process;

/// Virtual milliseconds after which a run in which faults have stopped must have settled.
const SETTLE_MS: u64 = 900_000;
/// Virtual milliseconds after which every client logs in once more, when faults have stopped.
const LOG_IN_AGAIN_MS: u64 = 210_000;
/// The wall clock at the start.
const WALL_START_MS: i64 = 1_790_000_000_000;
/// More events than this in one run: something runs in circles.
const EVENTS_MAX: usize = 3_000_000;

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// Bytes reach the end of a connection.
    Arrive {
        conn: usize,
        at_server: bool,
        bytes: Vec<u8>,
    },
    /// A connection is made.
    Accept {
        conn: usize,
    },
    /// One end learns that the connection is no more.
    Gone {
        conn: usize,
        at_server: bool,
    },
    ClientTick {
        client: usize,
    },
    App {
        client: usize,
        epoch: u32,
        event: AppEvent,
    },
    Send,
    Chaos(Chaos),
    Restart,
    /// Faults stop.
    Calm,
    /// Every client logs in once more.
    LogInAgain,
    /// Something of the server's process; void if that process is dead.
    Process {
        epoch: u32,
        event: ProcessEvent,
    },
}

/// What breaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chaos {
    Cut,
    Stall,
    Crash,
    WallJump,
    Regroup,
    AppRestart,
}

/// What the server's process waits for.
#[derive(Debug)]
pub(crate) enum ProcessEvent {
    Tick,
    /// The committer takes what has gathered.
    Gather,
    /// The disk is done with the batch.
    Synced,
    /// What the disk says reaches the machine.
    Committed(Said),
    Verified {
        link: LinkId,
        code: i32,
    },
    ReadBacklog {
        link: LinkId,
        user: Name,
        device: DeviceId,
    },
    Backlog {
        link: LinkId,
        backlog: Option<Backlog>,
    },
    ReadLoad {
        link: LinkId,
        wants: Vec<Want>,
        messages_max: usize,
    },
    Loaded {
        link: LinkId,
        wants: Vec<Want>,
        loaded: Option<Loaded>,
    },
    Membership {
        group: Name,
        user: Name,
        member: bool,
    },
    /// Frames of a link that is read again.
    Drain {
        conn: usize,
    },
    Idle,
}

/// One stream of random numbers per concern.
pub(crate) struct Streams {
    pub(crate) net: Rng,
    pub(crate) disk: Rng,
    pub(crate) chaos: Rng,
    pub(crate) app: Rng,
    pub(crate) client: Rng,
    pub(crate) driver: Rng,
}

/// See the module.
pub(crate) struct World {
    seed: u64,
    now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    pushed: u64,
    pub(crate) plan: Plan,
    rng: Streams,
    trace: Trace,
    check: Checker,
    conns: Vec<Conn>,
    clients: Vec<Client>,
    process: Option<Process>,
    epoch: u32,
    disk: Disk,
    wall_offset_ms: i64,
    calm: bool,
    mutation: Option<Mutation>,
    crashes: usize,
    unknown: usize,
}

impl World {
    pub(crate) fn new(seed: u64, options: Options) -> World {
        let mut plan = Plan::draw(&mut Rng::new(seed, "plan"));
        plan.draw_fragile(&mut Rng::new(seed, "fragile"));
        let stream = |salt| Rng::new(seed, salt);
        let rng = Streams {
            net: stream("net"),
            disk: stream("disk"),
            chaos: stream("chaos"),
            app: stream("app"),
            client: stream("client"),
            driver: stream("driver"),
        };
        let mut chances = Rng::new(seed, "apps");
        let clients = plan.clients.iter().cloned();
        let clients = clients.map(|plan| Client::new(plan, chances.below(u64::MAX)));
        let clients = clients.collect();
        let mut world = World {
            seed,
            now: 0,
            queue: BTreeMap::new(),
            pushed: 0,
            check: Checker::new(&plan),
            clients,
            plan,
            rng,
            trace: Trace::new(options.trace),
            conns: Vec::new(),
            process: None,
            epoch: 0,
            disk: Disk::new(),
            wall_offset_ms: 0,
            calm: false,
            mutation: options.mutation,
            crashes: 0,
            unknown: 0,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let plan = format!("{:?}", self.plan);
        self.log(format_args!("plan {plan}"));
        for (group, members) in self.plan.groups.clone() {
            self.disk.set_group(&group, &members);
            self.check.group(&group, &members);
        }
        self.disk.sync();
        self.restart();
        for client in 0..self.clients.len() {
            let at = self.rng.client.below(5_000);
            self.at(at, Event::ClientTick { client });
        }
        self.at(500, Event::Send);
        for chaos in [
            Chaos::Cut,
            Chaos::Stall,
            Chaos::Crash,
            Chaos::WallJump,
            Chaos::Regroup,
            Chaos::AppRestart,
        ] {
            self.next_chaos(chaos);
        }
        let calm = self.plan.chaos_ms;
        self.at(calm, Event::Calm);
        self.at(calm + LOG_IN_AGAIN_MS, Event::LogInAgain);
    }

    /// Runs to the end, or to the first broken promise.
    pub(crate) fn run(mut self) -> Outcome {
        let end = self.plan.chaos_ms + SETTLE_MS;
        let mut events = 0usize;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > end {
                break;
            }
            self.now = at;
            self.happen(event);
            events += 1;
            if events > EVENTS_MAX {
                self.check
                    .fail(format!("runs in circles: {EVENTS_MAX} events"));
            }
            if self.check.has_failed() {
                break;
            }
        }
        if !self.check.has_failed() {
            self.now = end;
            self.settle();
        }
        Outcome {
            seed: self.seed,
            violation: self.check.violation(),
            tail: self.trace.tail(),
            trace_hash: self.trace.hash(),
            stored: self.check.stored(),
            delivered: self.check.delivered(),
            logins: self.check.logins(),
            crashes: self.crashes,
            unknown: self.unknown,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive {
                conn,
                at_server: true,
                bytes,
            } => self.server_receives(conn, bytes),
            Event::Arrive { conn, bytes, .. } => self.client_receives(conn, &bytes),
            Event::Accept { conn } => self.accept(conn),
            Event::Gone {
                conn,
                at_server: true,
            } => self.server_lost(conn),
            Event::Gone { conn, .. } => self.client_lost(conn),
            Event::ClientTick { client } => self.client_tick(client),
            Event::App {
                client,
                epoch,
                event,
            } => self.app_event(client, epoch, event),
            Event::Send => self.somebody_sends(),
            Event::Chaos(chaos) => self.chaos(chaos),
            Event::Restart => self.restart(),
            Event::Calm => self.calm_down(),
            Event::LogInAgain => self.log_in_again(),
            Event::Process { epoch, event } => {
                if epoch == self.epoch && self.process.is_some() {
                    self.process_event(event);
                }
            }
        }
    }

    /// Everything has had its time: what was promised must be there.
    fn settle(&mut self) {
        for client in &self.clients {
            if let Some(complaint) = client.unsettled() {
                return self.check.fail(complaint);
            }
        }
        self.check.store_matches(&self.disk);
        self.check.settled(&self.clients);
    }

    fn log(&mut self, text: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, text);
    }

    fn at(&mut self, at: u64, event: Event) {
        self.pushed += 1;
        self.queue.insert((at.max(self.now), self.pushed), event);
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.at(self.now + ms, event);
    }

    fn later(&mut self, ms: u64, event: ProcessEvent) {
        let epoch = self.epoch;
        self.after(ms, Event::Process { epoch, event });
    }

    fn clock(&self) -> Now {
        Now {
            mono: Time(self.now + 1_000),
            wall_ms: WALL_START_MS + i64::try_from(self.now).unwrap_or(0) + self.wall_offset_ms,
        }
    }
}
