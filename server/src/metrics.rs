//! What the server counts: one table of names, kinds, units and words, and where the numbers are.
//!
//! Counting costs a relaxed atomic at most, on the way of a message; what can be counted by looking
//! (connections, queues, paused readers, the store) is counted when somebody asks. Written to by
//! `router`; read by the API, as Prometheus' text and as JSON.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidings_core::custody::{Record, Verdict};
use tidings_core::ids::Name;

use crate::desk::show::{Figures, STATUSES};

/// How a number behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// One name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// As Prometheus knows it; its unit last.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// In what it is counted.
    pub unit: &'static str,
    /// What it is.
    pub help: &'static str,
}

macro_rules! table {
    ($($constant:ident $kind:ident $unit:literal $name:literal $help:literal)+) => {
        $(const $constant: &Metric =
            &Metric { name: $name, kind: Kind::$kind, unit: $unit, help: $help };)+
        /// Everything that `/metrics` and `GET /stats` show.
        pub const TABLE: &[&Metric] = &[$($constant),+];
    };
}

table! {
    CONNECTIONS Gauge "connections" "tidings_connections" "Links that are open, by transport."
    SESSIONS Gauge "sessions" "tidings_sessions" "Links that are logged in."
    LOGINS Counter "logins" "tidings_logins_total" "Logins by outcome: accepted, or refused at the door."
    MESSAGES Counter "messages" "tidings_messages_total" "Messages that the store decided on, by kind of receiver and outcome."
    DELIVERIES Counter "messages" "tidings_deliveries_total" "Messages put into an outbox, to each session once and again for each resend."
    RESENDS Counter "messages" "tidings_resends_total" "Deliveries of a message that had been sent to the session before."
    STEPPED_ASIDE Counter "messages" "tidings_stepped_aside_total" "Ends of links that made a message step aside, or kept it there: it seems to kill its receiver."
    SET_ASIDE Counter "messages" "tidings_set_aside_total" "Messages that are no longer sent to one device, because it never answers them."
    GATHER Histogram "seconds" "tidings_gather_seconds" "How long the oldest message of a batch waited for its commit to begin."
    COMMIT Histogram "seconds" "tidings_commit_seconds" "How long the store took to commit a batch."
    EMIT Histogram "seconds" "tidings_emit_seconds" "How long it took to acknowledge and deliver what a batch held."
    BATCHES Counter "messages" "tidings_commit_records_total" "Records in all committed batches; with tidings_commit_seconds_count, how large they are."
    QUEUE Gauge "records" "tidings_commit_queue_records" "Messages and logins that wait for the committer."
    QUEUE_BYTES Gauge "bytes" "tidings_commit_queue_bytes" "About how many bytes wait for the committer."
    LOADS Gauge "jobs" "tidings_load_queue_jobs" "Sessions that wait to be loaded from the store."
    SUBMISSIONS Gauge "messages" "tidings_submissions_waiting" "Messages of the application that wait for their verdict."
    SLOW Gauge "links" "tidings_slow_readers" "Links that are not read because too much waits for them."
    MISSED Counter "notices" "tidings_notices_missed_total" "Notices that the application's listener was too slow for."
    STORED Gauge "messages" "tidings_store_messages" "Messages in the store, about."
    STORE_BYTES Gauge "bytes" "tidings_store_bytes" "Size of the store."
    DESK_WAITING Gauge "customers" "tidings_desk_waiting_customers" "Customers who wait for an agent, by tenant and team."
    DESK_LONGEST Gauge "seconds" "tidings_desk_longest_wait_seconds" "How long the customer who waits longest has waited, by tenant and team."
    DESK_SERVED Gauge "customers" "tidings_desk_served_customers" "Customers whom an agent serves, by tenant and team."
    DESK_ATTENDED Gauge "agents" "tidings_desk_team_agents" "Agents who take customers of a team, by tenant and team."
    DESK_AGENTS Gauge "agents" "tidings_desk_agents" "Agents, by tenant and status; without a session they are offline."
    DESK_SLOTS Gauge "slots" "tidings_desk_slots" "How many customers the agents who take some serve at most, by tenant."
    DESK_TAKEN Gauge "thousandths" "tidings_desk_slots_taken_thousandths" "How much of those slots is taken, by tenant."
}

/// Whom a message is for.
const KINDS: [&str; 3] = ["user", "group", "server"];
/// What the store said.
const OUTCOMES: [&str; 5] = ["new", "duplicate", "conflict", "refused", "failed"];
const FAILED: usize = 4;
/// How a link is connected.
pub(crate) const TRANSPORTS: [&str; 4] = ["tcp", "udp", "ws", "local"];

/// Upper bounds of the buckets, in microseconds: a factor of two apart.
const BOUNDS_US: [u64; 16] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 204_800, 409_600,
    819_200, 1_638_400,
];

/// How often something took how long.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One more than there are bounds: what took longer than all.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    fn read(&self) -> Reading {
        let mut count = 0;
        let buckets = self.buckets.each_ref().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        Reading {
            buckets,
            // `as`: exact to 285 years.
            sum: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}

/// Everything that is counted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    accepted: AtomicU64,
    refused: AtomicU64,
    messages: [[AtomicU64; OUTCOMES.len()]; KINDS.len()],
    deliveries: AtomicU64,
    resends: AtomicU64,
    stepped_aside: AtomicU64,
    set_aside: AtomicU64,
    records: AtomicU64,
    pub(crate) gather: Histogram,
    pub(crate) commit: Histogram,
    pub(crate) emit: Histogram,
}

/// What is counted by looking.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) connections: [u64; TRANSPORTS.len()],
    pub(crate) sessions: u64,
    pub(crate) queue_records: u64,
    pub(crate) queue_bytes: u64,
    pub(crate) loads: u64,
    pub(crate) submissions: u64,
    pub(crate) slow_readers: u64,
    pub(crate) notices_missed: u64,
    pub(crate) store: crate::store::Size,
}

fn kind(to: &str) -> usize {
    match to.as_bytes().first() {
        Some(b'#' | b'@') => 1,
        Some(b'0') if to.len() == 1 => 2,
        _ => 0,
    }
}

impl Metrics {
    pub(crate) fn login(&self, accepted: bool) {
        let count = if accepted {
            &self.accepted
        } else {
            &self.refused
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A link ended right after a message that stands aside for it.
    pub(crate) fn stepped_aside(&self) {
        self.stepped_aside.fetch_add(1, Ordering::Relaxed);
    }

    /// A device is not sent a message any more.
    pub(crate) fn set_aside(&self) {
        self.set_aside.fetch_add(1, Ordering::Relaxed);
    }

    /// Deliveries, and how many of them were not the first.
    pub(crate) fn delivered(&self, deliveries: u64, resends: u64) {
        for (count, more) in [(&self.deliveries, deliveries), (&self.resends, resends)] {
            if more > 0 {
                count.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    /// What became of a batch; without verdicts it failed. Counted apart first, so that it costs
    /// atomics by the batch, not by the message.
    pub(crate) fn decided(&self, batch: &[Record], verdicts: &[Verdict]) {
        let mut counts = [[0u64; OUTCOMES.len()]; KINDS.len()];
        for (at, record) in batch.iter().enumerate() {
            let Record::Message(draft) = record else {
                continue;
            };
            let outcome = match verdicts.get(at) {
                Some(Verdict::New(_)) => 0,
                Some(Verdict::Duplicate(_)) => 1,
                Some(Verdict::Conflict) => 2,
                Some(Verdict::Refused(_)) => 3,
                Some(Verdict::Login(_)) => continue,
                None => FAILED,
            };
            counts[kind(&draft.to)][outcome] += 1;
        }
        for (kind, outcomes) in counts.iter().enumerate() {
            for (outcome, count) in outcomes.iter().enumerate().filter(|(_, count)| **count > 0) {
                self.messages[kind][outcome].fetch_add(*count, Ordering::Relaxed);
            }
        }
        self.records
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
    }

    /// Everything, in the order of the table.
    pub(crate) fn read(&self, sample: &Sample) -> Snapshot {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut all = Snapshot(Vec::new());
        let transports = TRANSPORTS.into_iter().zip(sample.connections);
        all.labelled(
            CONNECTIONS,
            transports.map(|(name, n)| (vec![("transport", name.into())], n)),
        );
        all.plain(SESSIONS, sample.sessions);
        let logins = [
            ("accepted", of(&self.accepted)),
            ("refused", of(&self.refused)),
        ];
        all.labelled(
            LOGINS,
            logins
                .into_iter()
                .map(|(name, n)| (vec![("outcome", name.into())], n)),
        );
        let messages = KINDS
            .iter()
            .zip(&self.messages)
            .flat_map(|(kind, outcomes)| {
                let outcomes = OUTCOMES.iter().zip(outcomes);
                outcomes.map(move |(outcome, n)| {
                    let labels = vec![("kind", (*kind).into()), ("outcome", (*outcome).into())];
                    (labels, of(n))
                })
            });
        all.labelled(MESSAGES, messages);
        all.plain(DELIVERIES, of(&self.deliveries));
        all.plain(RESENDS, of(&self.resends));
        all.plain(STEPPED_ASIDE, of(&self.stepped_aside));
        all.plain(SET_ASIDE, of(&self.set_aside));
        all.histogram(GATHER, &self.gather);
        all.histogram(COMMIT, &self.commit);
        all.histogram(EMIT, &self.emit);
        all.plain(BATCHES, of(&self.records));
        all.plain(QUEUE, sample.queue_records);
        all.plain(QUEUE_BYTES, sample.queue_bytes);
        all.plain(LOADS, sample.loads);
        all.plain(SUBMISSIONS, sample.submissions);
        all.plain(SLOW, sample.slow_readers);
        all.plain(MISSED, sample.notices_missed);
        all.plain(STORED, sample.store.messages);
        all.plain(STORE_BYTES, sample.store.bytes);
        // Filled by whoever has asked the desks.
        for metric in [
            DESK_WAITING,
            DESK_LONGEST,
            DESK_SERVED,
            DESK_ATTENDED,
            DESK_AGENTS,
            DESK_SLOTS,
            DESK_TAKEN,
        ] {
            all.labelled(metric, []);
        }
        all
    }
}

type Labels = Vec<(&'static str, Cow<'static, str>)>;

#[derive(Debug, Clone)]
struct Reading {
    /// Each with all that are shorter.
    buckets: [u64; BOUNDS_US.len() + 1],
    sum: f64,
}

#[derive(Debug, Clone)]
enum Values {
    Numbers(Vec<(Labels, u64)>),
    Histogram(Box<Reading>),
}

/// All numbers at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot(Vec<(&'static Metric, Values)>);

impl Snapshot {
    fn plain(&mut self, metric: &'static Metric, value: u64) {
        self.labelled(metric, [(Vec::new(), value)]);
    }

    fn labelled(
        &mut self,
        metric: &'static Metric,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let values = Values::Numbers(values.into_iter().collect());
        self.0.push((metric, values));
    }

    /// Adds the figures of desks, by tenant.
    pub(crate) fn desks(&mut self, desks: &[(Name, Figures)]) {
        let of_tenant = |tenant: &Name| ("tenant", Cow::from(tenant.to_string()));
        for (tenant, figures) in desks {
            for team in &figures.teams {
                let numbers = [
                    (DESK_WAITING, team.waiting),
                    (DESK_LONGEST, team.longest_wait_ms / 1000),
                    (DESK_SERVED, team.serving),
                    (DESK_ATTENDED, team.agents_online),
                ];
                for (metric, number) in numbers {
                    let labels = vec![of_tenant(tenant), ("team", team.team.clone().into())];
                    self.add(metric, labels, number);
                }
            }
            for (status, number) in STATUSES.into_iter().zip(figures.agents) {
                let labels = vec![of_tenant(tenant), ("status", status.into())];
                self.add(DESK_AGENTS, labels, number);
            }
            self.add(DESK_SLOTS, vec![of_tenant(tenant)], figures.slots);
            self.add(
                DESK_TAKEN,
                vec![of_tenant(tenant)],
                figures.slots_taken_permille,
            );
        }
    }

    fn add(&mut self, metric: &'static Metric, labels: Labels, number: u64) {
        for (known, values) in &mut self.0 {
            if let Values::Numbers(numbers) = values
                && *known == metric
            {
                numbers.push((labels, number));
                return;
            }
        }
    }

    fn histogram(&mut self, metric: &'static Metric, histogram: &Histogram) {
        let values = Values::Histogram(Box::new(histogram.read()));
        self.0.push((metric, values));
    }

    /// As Prometheus reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(8 << 10);
        for (metric, values) in &self.0 {
            let (name, help) = (metric.name, metric.help);
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            match values {
                Values::Numbers(numbers) => {
                    for (labels, value) in numbers {
                        let _ = writeln!(out, "{name}{} {value}", braces(labels));
                    }
                }
                Values::Histogram(reading) => histogram_text(&mut out, name, reading),
            }
        }
        out
    }

    /// As JSON: each name with its unit and what it is now.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut all = Map::new();
        for (metric, values) in &self.0 {
            let mut shown = json!({ "unit": metric.unit, "help": metric.help });
            match values {
                Values::Numbers(numbers) => {
                    let values = numbers.iter().map(|(labels, value)| {
                        let labels: Map<String, Value> = labels
                            .iter()
                            .map(|(k, v)| ((*k).into(), json!(&**v)))
                            .collect();
                        json!({ "labels": labels, "value": value })
                    });
                    shown["values"] = values.collect();
                }
                Values::Histogram(reading) => {
                    let buckets = BOUNDS_US.iter().zip(reading.buckets);
                    let buckets = buckets.map(|(bound, count)| {
                        // `as`: these are small.
                        json!({ "up_to": *bound as f64 / 1e6, "count": count })
                    });
                    shown["buckets"] = buckets.collect();
                    shown["sum"] = json!(reading.sum);
                    shown["count"] = json!(reading.buckets[BOUNDS_US.len()]);
                }
            }
            all.insert(metric.name.into(), shown);
        }
        Value::Object(all)
    }
}

fn braces(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    // Our own words, and names of tenants and teams: nothing in them needs an escape.
    let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
    format!("{{{}}}", labels.join(","))
}

fn histogram_text(out: &mut String, name: &str, reading: &Reading) {
    for (bound, count) in BOUNDS_US.iter().zip(reading.buckets) {
        // `as`: these are small.
        let bound = *bound as f64 / 1e6;
        let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {count}");
    }
    let all = reading.buckets[BOUNDS_US.len()];
    let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {all}");
    let _ = writeln!(out, "{name}_sum {}\n{name}_count {all}", reading.sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_is_the_table() {
        let read = Metrics::default().read(&Sample::default());
        let names: Vec<&str> = read.0.iter().map(|(metric, _)| metric.name).collect();
        let table: Vec<&str> = TABLE.iter().map(|metric| metric.name).collect();
        assert_eq!(names, table);
        for (metric, values) in &read.0 {
            let is_histogram = matches!(values, Values::Histogram(_));
            assert_eq!(
                is_histogram,
                metric.kind == Kind::Histogram,
                "{}",
                metric.name
            );
            let counts = metric.name.ends_with("_total");
            assert_eq!(counts, metric.kind == Kind::Counter, "{}", metric.name);
        }
    }

    #[test]
    fn a_bucket_holds_its_bound_and_not_more() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_micros(BOUNDS_US[3]));
        histogram.record(Duration::from_micros(BOUNDS_US[3] + 1));
        histogram.record(Duration::from_secs(3600));
        let read = histogram.read();
        assert_eq!(read.buckets[2..6], [0, 1, 2, 2]);
        assert_eq!(read.buckets[BOUNDS_US.len()], 3);
    }
}
