//! What the threads of a benchmark tell each other: in which part of the run they are, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::args::Dialing;
use super::engine::{Net, Scenario, Worker};

/// Part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Part {
    /// Connections are made.
    LogIn,
    /// Messages are sent.
    Run,
    /// No more messages are sent; what is under way is waited for.
    Drain,
}

/// Shared by the threads of one run. The counts are for progress and for rates over an interval:
/// each worker adds to them once per batch.
#[derive(Debug)]
pub(super) struct Stage {
    part: AtomicU8,
    /// Nanoseconds since `origin`, for all times here.
    run_from: AtomicU64,
    measure_from: AtomicU64,
    measure_to: AtomicU64,
    pub(super) online: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) acked: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) origin: Instant,
}

impl Stage {
    pub(super) fn new() -> Arc<Stage> {
        Arc::new(Stage {
            part: AtomicU8::new(Part::LogIn as u8),
            run_from: AtomicU64::new(0),
            measure_from: AtomicU64::new(u64::MAX),
            measure_to: AtomicU64::new(u64::MAX),
            online: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            received: AtomicU64::new(0),
            origin: Instant::now(),
        })
    }

    pub(super) fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    pub(super) fn part(&self) -> Part {
        match self.part.load(Ordering::Acquire) {
            0 => Part::LogIn,
            1 => Part::Run,
            _ => Part::Drain,
        }
    }

    pub(super) fn enter(&self, part: Part) {
        if part == Part::Run {
            self.run_from.store(self.now(), Ordering::Release);
        }
        self.part.store(part as u8, Ordering::Release);
    }

    pub(super) fn run_from(&self) -> u64 {
        self.run_from.load(Ordering::Acquire)
    }

    /// From now on messages count for the latencies.
    pub(super) fn measure(&self) {
        self.measure_from.store(self.now(), Ordering::Release);
    }

    /// Messages that are sent from now on do not.
    pub(super) fn measured(&self) {
        self.measure_to.store(self.now(), Ordering::Release);
    }

    /// Whether a message that was (to be) sent then counts.
    pub(super) fn counts(&self, sent_ns: u64) -> bool {
        sent_ns >= self.measure_from.load(Ordering::Relaxed)
            && sent_ns < self.measure_to.load(Ordering::Relaxed)
    }

    /// Sent, acknowledged and received so far.
    pub(super) fn totals(&self) -> [u64; 3] {
        [&self.sent, &self.acked, &self.received].map(|count| count.load(Ordering::Relaxed))
    }
}

/// The threads of a run.
pub(super) struct Crew<S> {
    threads: Vec<JoinHandle<anyhow::Result<(S, Net)>>>,
    wakers: Vec<Arc<mio::Waker>>,
}

impl<S: Scenario + Send + 'static> Crew<S> {
    /// Starts one thread per scenario; `prepare` fills its queue of logins.
    pub(super) fn start(
        dialing: &Dialing,
        origin: Instant,
        scenarios: Vec<S>,
        mut prepare: impl FnMut(&mut Worker<S>),
    ) -> anyhow::Result<Crew<S>> {
        let mut crew = Crew {
            threads: Vec::new(),
            wakers: Vec::new(),
        };
        for (index, scenario) in scenarios.into_iter().enumerate() {
            let mut worker = Worker::new(dialing.clone(), origin, scenario)?;
            // Far apart, so that no two workers use up the ports of one address.
            worker
                .net
                .number_from(dialing.number_from + index * 1_000_000);
            prepare(&mut worker);
            crew.wakers.push(Arc::new(worker.waker()?));
            let thread = std::thread::Builder::new().name(format!("bench-{index}"));
            crew.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(crew)
    }

    /// To wake the workers from another thread.
    pub(super) fn wakers(&self) -> Vec<Arc<mio::Waker>> {
        self.wakers.clone()
    }

    /// True if a worker has ended: before its time, that is with an error.
    pub(super) fn has_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Sleeps until `done`, or a worker has ended, looking every few milliseconds.
    pub(super) fn wait_until(&self, mut done: impl FnMut() -> bool) {
        while !done() && !self.has_ended() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for all; the first error wins.
    pub(super) fn join(self) -> anyhow::Result<Vec<(S, Net)>> {
        let mut results = Vec::new();
        for thread in self.threads {
            let result = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread of the load generator panicked"))?;
            results.push(result?);
        }
        Ok(results)
    }
}

/// Wakes workers at a steady pace finer than the event loop's millisecond, so that an open loop
/// sends on time. Ends with the run.
pub(super) fn pace(stage: &Arc<Stage>, wakers: Vec<Arc<mio::Waker>>, every: Duration) {
    let stage = stage.clone();
    std::thread::spawn(move || {
        let mut due = Instant::now();
        while stage.part() != Part::Drain {
            due += every;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // Late by a lot: the machine was busy; do not run after the lost time.
            due = due.max(Instant::now() - every);
            for waker in &wakers {
                let _ = waker.wake();
            }
        }
    });
}
