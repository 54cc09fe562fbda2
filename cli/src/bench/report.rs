//! What a benchmark tells: progress while it runs, a table or a line of JSON at the end.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::args::Endpoint;
use super::engine::Faults;
use super::histogram::Histogram;
use super::stage::Stage;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Figure {
    Text(String),
    Count(u64),
    Number(f64),
    /// p50, p90, p99 and the largest, in microseconds.
    Latency([f64; 4]),
}

/// Names of the members of a latency, as in JSON.
pub(super) const LATENCY: [&str; 4] = ["p50", "p90", "p99", "max"];

/// Figures in order, by name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    title: String,
    pub(super) figures: Vec<(&'static str, Figure)>,
    /// Promises that were broken.
    broken: Vec<String>,
}

impl Report {
    pub(super) fn new(title: String) -> Report {
        Report {
            title,
            figures: Vec::new(),
            broken: Vec::new(),
        }
    }

    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.figures.push((name, Figure::Text(text.to_owned())));
    }

    pub(super) fn count(&mut self, name: &'static str, count: u64) {
        self.figures.push((name, Figure::Count(count)));
    }

    pub(super) fn number(&mut self, name: &'static str, number: f64) {
        self.figures.push((name, Figure::Number(number)));
    }

    /// A count that a server which keeps its promises leaves at 0.
    pub(super) fn must_be_zero(&mut self, name: &'static str, count: u64) {
        self.count(name, count);
        if count > 0 {
            self.broken.push(format!("{name} {count}"));
        }
    }

    pub(super) fn faults(&mut self, faults: &Faults) {
        self.must_be_zero("links_lost", faults.links_lost);
        self.must_be_zero("errors", faults.errors);
        if let Some(first) = &faults.first {
            self.broken.push(format!("first fault: {first}"));
        }
    }

    /// From a histogram of nanoseconds.
    pub(super) fn latency(&mut self, name: &'static str, histogram: &Histogram) {
        let us = |ns: u64| (ns as f64 / 100.0).round() / 10.0;
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| us(histogram.quantile(share)));
        let figure = Figure::Latency([p50, p90, p99, us(histogram.max())]);
        self.figures.push((name, figure));
    }

    /// Keeps what was broken in any of `rounds`.
    pub(super) fn sum_of_broken(&mut self, rounds: &[Report]) {
        self.broken = rounds.iter().flat_map(|r| r.broken.clone()).collect();
    }

    /// True if a promise was broken.
    pub(super) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Says on stderr what was broken: also to those who look at one figure of the JSON.
    pub(super) fn complain(&self) {
        if self.is_broken() {
            eprintln!("{}: {}", self.title, self.broken.join(", "));
        }
    }

    /// As an object.
    pub(super) fn json(&self) -> Value {
        let members = self.figures.iter().map(|(name, figure)| {
            let value = match figure {
                Figure::Text(text) => Value::from(text.as_str()),
                Figure::Count(count) => Value::from(*count),
                Figure::Number(number) => Value::from(rounded(*number)),
                Figure::Latency(values) => {
                    let members = LATENCY.iter().zip(values);
                    let members = members.map(|(name, v)| ((*name).to_owned(), Value::from(*v)));
                    Value::Object(members.collect())
                }
            };
            ((*name).to_owned(), value)
        });
        Value::Object(members.collect::<Map<_, _>>())
    }

    /// On stdout: exactly one line of JSON, or a table.
    pub(super) fn print(&self, json: bool) {
        if json {
            println!("{}", self.json());
            return;
        }
        println!("{}", self.title);
        for (name, figure) in &self.figures {
            println!("  {name:<22} {}", figure.shown());
        }
    }
}

impl Figure {
    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Figure::Text(text) => text.clone(),
            Figure::Count(count) => grouped(*count),
            Figure::Number(number) if *number >= 10_000.0 => grouped(number.round() as u64),
            Figure::Number(number) => rounded(*number).to_string(),
            Figure::Latency(values) => {
                let shown = LATENCY.iter().zip(values);
                let shown: Vec<_> = shown.map(|(name, v)| format!("{name} {v}")).collect();
                shown.join("  ")
            }
        }
    }
}

/// Four digits are more than a benchmark knows.
pub(super) fn rounded(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return 0.0;
    }
    let digits = (3 - number.abs().log10().floor() as i32).max(0);
    let scale = 10f64.powi(digits);
    (number * scale).round() / scale
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Live progress on stderr, if somebody looks.
pub(super) struct Progress {
    stage: Arc<Stage>,
    server: String,
    shown: Option<Instant>,
    received: u64,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(stage: &Arc<Stage>, server: &Endpoint) -> Progress {
        Progress {
            stage: stage.clone(),
            server: server.to_string(),
            shown: None,
            received: 0,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Call as often as you like.
    pub(super) fn show(&mut self, what: &str) {
        const EVERY: Duration = Duration::from_millis(500);
        let since = self.shown.map_or(EVERY, |shown| shown.elapsed());
        if !self.terminal || since < EVERY {
            return;
        }
        let [sent, acked, received] = self.stage.totals();
        let online = self.stage.online.load(std::sync::atomic::Ordering::Relaxed);
        let rate = (received - self.received) as f64 / since.as_secs_f64();
        self.received = received;
        self.shown = Some(Instant::now());
        eprint!(
            "\r\x1b[K{} {what}: online {online}, sent {}, acked {}, received {} ({}/s)",
            self.server,
            grouped(sent),
            grouped(acked),
            grouped(received),
            grouped(rate as u64),
        );
        let _ = std::io::stderr().flush();
    }

    /// Clears the line.
    pub(super) fn end(&self) {
        if self.terminal && self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_figures_under_their_names() {
        let mut report = Report::new("t".to_owned());
        report.count("sent", 12);
        report.must_be_zero("lost", 0);
        report.number("received_per_s", 123_456.78);
        let mut histogram = Histogram::new();
        histogram.record(1_500);
        report.latency("ack_us", &histogram);
        let json = report.json();
        assert_eq!(json["sent"], 12);
        assert_eq!(json["received_per_s"], 123_457.0);
        assert_eq!(json["ack_us"]["p99"], 1.5);
        assert!(!report.is_broken() && !json.to_string().contains('\n'));
    }

    #[test]
    fn a_broken_promise_is_noticed() {
        let mut report = Report::new("t".to_owned());
        report.must_be_zero("lost", 1);
        assert!(report.is_broken());
        let mut report = Report::new("t".to_owned());
        report.faults(&Faults {
            links_lost: 1,
            ..Faults::default()
        });
        assert!(report.is_broken());
    }

    #[test]
    fn numbers_are_for_reading() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(rounded(0.012_345_6), 0.01235);
        assert_eq!(rounded(1.234_56), 1.235);
        assert_eq!(rounded(98_765.4), 98_765.0);
    }
}
