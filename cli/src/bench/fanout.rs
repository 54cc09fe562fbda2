//! `tidings bench fanout`: one member of a group sends, all others receive.
//!
//! The group is a fixed one of the server's configuration, with members `m0`, `m1`, …:
//! `docs/benchmarks.md` shows the line. `m0` sends.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;

use super::args::{Common, random};
use super::engine::{Faults, Net, Scenario};
use super::histogram::Histogram;
use super::process;
use super::report::{Progress, Report};
use super::stage::{Crew, Part, Stage};
use super::template::{Expected, Ids, Outgoing, is_body_of};

/// Messages whose time of sending is known; far more than can be under way.
const TIMES: usize = 1 << 16;

/// What `tidings bench fanout` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    common: Common,
    /// Name of the group, without the #
    #[arg(long, value_name = "NAME")]
    group: String,
    /// Its members: users m0 to m(N-1), or what --users-prefix says instead of m
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    members: u32,
    /// Messages under way at a time
    #[arg(long, value_name = "Q", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..1024))]
    queued: u32,
    /// Length of a message's body
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    body: usize,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// How long to run before measuring
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    warmup: f64,
    /// How long to wait at the end for what is still under way, after the last of it came
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0)]
    grace: f64,
}

/// What one member has received.
#[derive(Debug, Default)]
struct Inbox {
    /// One more than the highest number so far.
    next: u64,
    /// Lower ones that have not come.
    missing: BTreeSet<u64>,
}

/// What a message is to an inbox.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    InOrder,
    Late,
    Again,
}

impl Inbox {
    fn receive(&mut self, seq: u64) -> Arrival {
        if seq >= self.next {
            self.missing.extend(self.next..seq);
            self.next = seq + 1;
            return Arrival::InOrder;
        }
        if self.missing.remove(&seq) {
            Arrival::Late
        } else {
            Arrival::Again
        }
    }

    /// Of the first `sent` messages.
    fn lost(&self, sent: u64) -> u64 {
        self.missing.len() as u64 + sent.saturating_sub(self.next)
    }
}

/// Shared by all workers besides the stage.
#[derive(Debug)]
struct Group {
    ids: Ids,
    /// When each message was sent, by its number modulo [`TIMES`].
    times: Vec<AtomicU64>,
    receivers: u64,
}

/// The members of one worker.
struct Members {
    stage: Arc<Stage>,
    group: Arc<Group>,
    plan: Plan,
    message: Outgoing,
    ack: Outgoing,
    expected_ack: Expected,
    expected_message: Expected,
    inboxes: Vec<Inbox>,
    sends: bool,
    received: u64,
    progress: (u64, u64),
    seen: Seen,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    body: usize,
    queued: u64,
    grace_ns: u64,
}

#[derive(Debug)]
struct Seen {
    duplicated: u64,
    out_of_order: u64,
    foreign: u64,
    ack: Histogram,
    delivery: Histogram,
}

impl Members {
    fn time(&self, seq: u64) -> &AtomicU64 {
        &self.group.times[(seq % TIMES as u64) as usize]
    }

    fn acked(&mut self, id: &[u8], now: u64) {
        let Some(seq) = self.group.ids.seq(id) else {
            self.seen.foreign += 1;
            return;
        };
        let sent_ns = self.time(seq).load(Relaxed);
        self.stage.acked.fetch_add(1, Relaxed);
        if self.stage.counts(sent_ns) {
            self.seen.ack.record(now.saturating_sub(sent_ns));
        }
    }

    fn received(&mut self, net: &mut Net, who: usize, id: &[u8], body: &[u8], now: u64) {
        if let Ok(id) = id.try_into() {
            net.push(who, self.ack.with(id));
        }
        let seq = self.group.ids.seq(id);
        let Some(seq) = seq.filter(|_| is_body_of(body, id, self.plan.body)) else {
            // Most likely left over from an earlier run: the members are always the same users.
            self.seen.foreign += 1;
            return;
        };
        match self.inboxes[who].receive(seq) {
            Arrival::InOrder => {}
            Arrival::Late => self.seen.out_of_order += 1,
            Arrival::Again => {
                self.seen.duplicated += 1;
                return;
            }
        }
        self.received += 1;
        let sent_ns = self.time(seq).load(Relaxed);
        if self.stage.counts(sent_ns) {
            self.seen.delivery.record(now.saturating_sub(sent_ns));
        }
    }

    /// Sends again when half of what was queued has reached everybody, so that the server sees
    /// messages in company.
    fn send(&mut self, net: &mut Net, now: u64) {
        let [sent, acked, received] = self.stage.totals();
        let done = acked.min(received / self.group.receivers);
        if sent.saturating_sub(done) > self.plan.queued / 2 {
            return;
        }
        for seq in sent..done + self.plan.queued {
            self.time(seq).store(now, Relaxed);
            let id = self.group.ids.id(seq);
            net.push(0, self.message.with(&id));
            self.stage.sent.fetch_add(1, Relaxed);
        }
    }

    fn is_drained(&mut self, now: u64) -> bool {
        let [sent, acked, received] = self.stage.totals();
        if acked == sent && received == sent * self.group.receivers {
            return true;
        }
        if received + acked != self.progress.0 || self.progress.1 == 0 {
            self.progress = (received + acked, now);
        }
        now.saturating_sub(self.progress.1) > self.plan.grace_ns
    }
}

impl Scenario for Members {
    fn online(&mut self, _net: &mut Net, _who: usize) {
        self.stage.online.fetch_add(1, Relaxed);
    }

    fn raw(&mut self, net: &mut Net, who: usize, frame: &[u8], now: u64) -> bool {
        if let Some((body, id)) = self.expected_message.read(frame) {
            self.received(net, who, id, body, now);
        } else if let Some((id, _)) = self.expected_ack.read(frame) {
            self.acked(id, now);
        } else {
            return false;
        }
        true
    }

    fn decoded(&mut self, net: &mut Net, who: usize, frame: &Frame<'_>, now: u64) {
        let data = frame.data.as_deref().unwrap_or_default().as_bytes();
        if frame.kind == code::RECEIVED {
            self.acked(data, now);
        } else {
            let id = frame.fp.as_deref().unwrap_or_default().as_bytes();
            self.received(net, who, id, data, now);
        }
    }

    fn turn(&mut self, net: &mut Net, now: u64) -> bool {
        if self.received > 0 {
            let received = std::mem::take(&mut self.received);
            self.stage.received.fetch_add(received, Relaxed);
        }
        match self.stage.part() {
            Part::LogIn => false,
            Part::Run => {
                if self.sends {
                    self.send(net, now);
                }
                false
            }
            Part::Drain => {
                let drained = self.is_drained(now);
                if drained {
                    net.log_out_all();
                }
                drained
            }
        }
    }
}

/// Runs it.
pub(crate) fn run(args: &FanoutArgs) -> anyhow::Result<ExitCode> {
    rlimit::increase_nofile_limit(u64::MAX).ok();
    let usage = || args.common.pid.map(process::usage).transpose();
    let stage = Stage::new();
    let crew = start(args, &stage)?;
    let mut progress = Progress::new(&stage, &args.common.server);
    crew.wait_until(|| {
        progress.show("logging in");
        stage.online.load(Relaxed) == u64::from(args.members)
    });
    stage.enter(Part::Run);
    let mut wait = |seconds: f64, what: &str| {
        let until = stage.now() + (seconds * 1e9) as u64;
        crew.wait_until(|| {
            progress.show(what);
            stage.now() >= until
        });
    };
    wait(args.warmup, "warming up");
    let (from, started, before) = (usage()?, stage.now(), stage.totals()[2]);
    stage.measure();
    wait(args.seconds, "measuring");
    stage.measured();
    let (to, seconds) = (usage()?, (stage.now() - started) as f64 / 1e9);
    let deliveries = stage.totals()[2] - before;
    stage.enter(Part::Drain);
    crew.wait_until(|| {
        progress.show("draining");
        false
    });
    progress.end();
    let workers = crew.join()?;
    let mut report = report(args, &stage, &workers);
    report.number("seconds", seconds);
    report.number("deliveries_per_s", deliveries as f64 / seconds);
    if let Some((from, to)) = from.zip(to) {
        let cpu_us = (to.cpu_us - from.cpu_us) as f64;
        report.number("cpu_us_per_delivery", cpu_us / deliveries.max(1) as f64);
        report.count("rss_kib", to.rss_kib);
    }
    report.complain();
    report.print(args.common.json);
    Ok(ExitCode::from(u8::from(report.is_broken())))
}

fn report(args: &FanoutArgs, stage: &Stage, workers: &[(Members, Net)]) -> Report {
    let [sent, acked, received] = stage.totals();
    let (mut ack, mut delivery) = (Histogram::new(), Histogram::new());
    let mut faults = Faults::default();
    let [mut lost, mut duplicated, mut out_of_order, mut foreign] = [0; 4];
    for (members, net) in workers {
        // The sender's own inbox stays empty.
        let own = usize::from(members.sends);
        let inboxes = members.inboxes.iter().skip(own);
        lost += inboxes.map(|inbox| inbox.lost(acked)).sum::<u64>();
        duplicated += members.seen.duplicated;
        out_of_order += members.seen.out_of_order;
        foreign += members.seen.foreign;
        ack.merge(&members.seen.ack);
        delivery.merge(&members.seen.delivery);
        faults.merge(&net.faults);
    }
    let mut report = Report::new(format!("fanout {} #{}", args.common.server, args.group));
    report.text("server", &args.common.server.to_string());
    report.count("members", u64::from(args.members));
    report.count("queued", u64::from(args.queued));
    report.count("sent", sent);
    report.count("acked", acked);
    report.count("received", received);
    report.must_be_zero("lost", lost);
    report.must_be_zero("unacked", sent.saturating_sub(acked));
    report.must_be_zero("duplicated", duplicated);
    report.must_be_zero("out_of_order", out_of_order);
    report.count("foreign", foreign);
    report.faults(&faults);
    report.latency("ack_us", &ack);
    report.latency("delivery_us", &delivery);
    report
}

fn start(args: &FanoutArgs, stage: &Arc<Stage>) -> anyhow::Result<Crew<Members>> {
    let count = args.members as usize;
    let prefix = args.common.users_prefix.as_deref().unwrap_or("m");
    let address = format!("#{}", args.group);
    let sender = format!("{prefix}0");
    let group = Arc::new(Group {
        ids: Ids::new(random()),
        times: (0..TIMES).map(|_| AtomicU64::new(0)).collect(),
        receivers: count as u64 - 1,
    });
    let share = count.div_ceil(args.common.threads(count));
    let scenario = |first: usize| Members {
        stage: stage.clone(),
        group: group.clone(),
        plan: Plan {
            body: args.body,
            queued: u64::from(args.queued),
            grace_ns: (args.grace * 1e9) as u64,
        },
        message: Outgoing::message(&sender, &address, args.body),
        // As MobileIMSDK's clients do: from and to exchanged.
        ack: Outgoing::ack(&address, &sender),
        expected_ack: Expected::ack(&address, &sender),
        expected_message: Expected::message(&sender, &address, args.body),
        inboxes: (first..count.min(first + share))
            .map(|_| Inbox::default())
            .collect(),
        sends: first == 0,
        received: 0,
        progress: (0, 0),
        seen: Seen {
            duplicated: 0,
            out_of_order: 0,
            foreign: 0,
            ack: Histogram::new(),
            delivery: Histogram::new(),
        },
    };
    let scenarios = (0..count).step_by(share).map(scenario).collect();
    let mut members = 0..count;
    Crew::start(&args.common.dialing(), stage.origin, scenarios, |worker| {
        for member in members.by_ref().take(worker.scenario.inboxes.len()) {
            worker.net.log_in(format!("{prefix}{member}"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_tells_losses_doubles_and_disorder_apart() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.receive(0), Arrival::InOrder);
        assert_eq!(inbox.receive(3), Arrival::InOrder);
        assert_eq!(inbox.lost(4), 2);
        assert_eq!(inbox.receive(1), Arrival::Late);
        assert_eq!(inbox.receive(1), Arrival::Again);
        assert_eq!(inbox.receive(3), Arrival::Again);
        assert_eq!(inbox.lost(4), 1);
        assert_eq!(inbox.lost(6), 3);
    }
}
