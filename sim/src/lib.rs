//! Deterministic simulation: a whole server in one process, in virtual time, from one seed.
//!
//! What lives here: a model network, a model disk, model clients, a driver that does with the real
//! machine what the server's driver does, and checkers that hold every step against the promises.
//! What does not: real time, real randomness, threads, sockets, or any order that a hash map gives.
//! Called by `cargo run -p tidings-sim` and by the tests of this crate.
//!
//! | folder | what |
//! |---|---|
//! | `plan` | what the seed decides beforehand: who is there, and how often what goes wrong |
//! | `world` | virtual time, the event queue, the network, the driver, the clients |
//! | `check` | the promises, kept apart from the machine: a second opinion on everything |

mod check;
mod plan;
mod rng;
mod trace;
mod world;

/// A deliberate mistake in the simulator or in the node, to prove that the checkers can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The driver acknowledges when a record is queued, not when it is stored.
    AckBeforeCommit,
    /// The disk loses the last commit when the process dies.
    ForgetOnCrash,
    /// The disk answers two records with each other's verdict now and then.
    SwapVerdicts,
    /// The node itself errs.
    Node(tidings_core::node::Mistake),
    /// The driver forgets to answer a load now and then.
    DropLoad,
    /// Frames on a stream overtake one another.
    ReorderStream,
    /// The driver remembers cursors one message too far.
    RememberAhead,
}

/// What a run is to do besides following its seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Print every line of the trace.
    pub trace: bool,
    /// A deliberate mistake.
    pub mutation: Option<Mutation>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed that replays it.
    pub seed: u64,
    /// The promise that was broken, if any.
    pub violation: Option<String>,
    /// The last lines of the trace.
    pub tail: Vec<String>,
    /// A hash over every line of the trace: equal for equal runs.
    pub trace_hash: u64,
    /// Messages taken into custody.
    pub stored: usize,
    /// Messages handed to clients, repetitions included.
    pub delivered: usize,
    /// Logins granted.
    pub logins: usize,
    /// Times that the server died.
    pub crashes: usize,
    /// Times that a commit's outcome was unknown.
    pub unknown: usize,
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, options: Options) -> Outcome {
    world::World::new(seed, options).run()
}
