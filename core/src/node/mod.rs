//! A node: the sessions of a process and the lane on which they commit, as one machine.
//!
//! The shard decides *that* something is to be kept; the lane decides what is committed together,
//! what is repeated and what an outcome means; the store alone knows what it did. A driver (the
//! server over real sockets and disks, the simulation over model ones) feeds what happened, gives
//! each batch to a store, and reports what came of it. It decides nothing.
//!
//! Not here: bytes, sockets, disks, threads. Called by the server's router and by `sim`.

mod lane;
#[cfg(feature = "mistakes")]
mod mistake;

pub use lane::Batch;
#[cfg(feature = "mistakes")]
pub use mistake::Mistake;

use crate::custody::{Record, Verdict};
use crate::ids::LinkId;
use crate::session::Transport;
use crate::shard::{Action, Config, Input, Path, Shard};
use crate::time::{Now, Time};
use crate::wire::mobileimsdk::Frame;
use lane::Lane;

/// What came of a batch that a store was given.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It is stored: one verdict for each record, in order.
    Stored(Vec<Verdict>),
    /// Nothing of this attempt is stored, and nothing will be: why, for the senders.
    Failed(&'a str),
    /// Nobody knows: the answer was lost, or says nothing about what is on disk.
    Unknown,
}

/// See the module.
#[derive(Debug)]
pub struct Node {
    shard: Shard,
    lane: Lane,
}

impl Node {
    /// A node without sessions.
    #[must_use]
    pub fn new(config: Config) -> Node {
        Node {
            shard: Shard::new(config),
            lane: Lane::default(),
        }
    }

    /// A node that makes a mistake on purpose, for the simulation to find.
    #[cfg(feature = "mistakes")]
    pub fn make(&mut self, mistake: Mistake) {
        self.lane.mistake = Some(mistake);
    }

    /// The sessions, to be looked at.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// A connection was accepted; see [`Shard::open`].
    pub fn open(&mut self, now: Now, transport: Transport) -> LinkId {
        self.shard.open(now, transport)
    }

    /// The same, by UDP from there.
    pub fn open_from(&mut self, now: Now, transport: Transport, path: Path) -> LinkId {
        self.shard.open_from(now, transport, path)
    }

    /// A datagram from an address without a session; what it is answered, if anything.
    pub fn stranger(
        &mut self,
        now: Now,
        path: Path,
        frame: &Frame<'_>,
        bytes: usize,
    ) -> Option<Box<Frame<'static>>> {
        self.shard.stranger(now, path, frame, bytes)
    }

    /// Deals with what happened. Actions are appended, to be carried out in order.
    pub fn on(&mut self, now: Now, input: Input<'_>, actions: &mut Vec<Action>) {
        self.on_all(now, [input], actions);
    }

    /// Deals with several things that happened, in order; see [`Shard::on_all`].
    pub fn on_all<'a>(
        &mut self,
        now: Now,
        inputs: impl IntoIterator<Item = Input<'a>>,
        actions: &mut Vec<Action>,
    ) {
        self.shard.on_all(now, inputs, actions);
        self.lane.gather(self.shard.records());
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.shard.next_deadline()
    }

    /// The batch that a store is to be given now, if there is one: what has gathered, or the last
    /// one again. There is never more than one under way, so that verdicts come in the order in
    /// which records were decided. Its outcome is reported with [`Node::outcome`].
    pub fn next_batch(&mut self, now: Time) -> Option<Batch> {
        self.lane.next(now)
    }

    /// When [`Node::next_batch`] has something: at once, at a time to come, or not before something
    /// happens.
    #[must_use]
    pub fn next_batch_at(&self) -> Option<Time> {
        self.lane.next_at()
    }

    /// What came of the batch that is under way. `observe` sees its records and their final
    /// verdicts (none if it is refused) before anybody is told; it is not called while the batch is
    /// still to be repeated.
    pub fn outcome(
        &mut self,
        now: Now,
        batch: Batch,
        outcome: Outcome<'_>,
        observe: impl FnOnce(&[Record], &[Verdict]),
        actions: &mut Vec<Action>,
    ) {
        let (reason, verdicts) = match outcome {
            Outcome::Stored(verdicts) => (None, verdicts),
            Outcome::Failed(reason) => (Some(reason), Vec::new()),
            Outcome::Unknown => return self.lane.unknown(now.mono, batch),
        };
        if reason.is_some() && !self.lane.may_refuse(&batch) {
            return self.lane.again(now.mono, batch);
        }
        let mut verdicts = verdicts;
        self.lane.tell_apart(&batch, &mut verdicts);
        observe(batch.records(), &verdicts);
        match reason {
            None => {
                let verdicts = verdicts.into_iter().map(Input::Verdict);
                self.shard.on_all(now, verdicts, actions);
            }
            Some(reason) => {
                let count = batch.records().len();
                let failed = Input::CommitFailed { count, reason };
                self.shard.on(now, failed, actions);
            }
        }
        self.lane.done(batch);
        self.lane.gather(self.shard.records());
    }

    /// What has gathered since the last batch was taken.
    #[must_use]
    pub fn gathered(&self) -> &[Record] {
        self.lane.gathered()
    }

    /// About how many bytes of records have gathered: at
    /// [`COMMIT_QUEUE_BYTES_MAX`](crate::limits::COMMIT_QUEUE_BYTES_MAX) nothing more should be read.
    #[must_use]
    pub fn gathered_bytes(&self) -> usize {
        self.lane.gathered_bytes()
    }

    /// True if nothing has gathered and no batch is under way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.lane.is_settled()
    }
}

#[cfg(test)]
mod tests;
