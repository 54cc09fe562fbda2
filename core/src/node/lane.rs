//! One lane: what is committed together, repeated, refused.

use std::collections::HashSet;

use crate::custody::{Record, Verdict};
use crate::limits;
use crate::time::Time;

/// Records that a store takes into custody in one transaction, in order.
#[derive(Debug)]
pub struct Batch {
    records: Vec<Record>,
}

impl Batch {
    /// The records. A repetition has the same.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

#[derive(Debug, Default)]
enum State {
    /// No batch is under way.
    #[default]
    Free,
    /// A store has it.
    Out,
    /// It is to be given to a store again.
    Again(Batch, Time),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lane {
    gathered: Vec<Record>,
    bytes: usize,
    state: State,
    /// An attempt of the batch that is under way had an unknown outcome: it may be stored. From
    /// then on only a verdict ends it. Whatever else a later attempt says (the disk is full, the
    /// directory is gone) says nothing about that one.
    maybe_stored: bool,
    /// How long the next repetition waits.
    wait_ms: u64,
    /// An emptied batch, for its memory.
    spare: Vec<Record>,
    #[cfg(feature = "mistakes")]
    pub(super) mistake: Option<super::Mistake>,
}

impl Lane {
    /// Takes what a shard wants to be kept.
    pub(super) fn gather(&mut self, records: &mut Vec<Record>) {
        if records.is_empty() {
            return;
        }
        self.bytes += records.iter().map(weight).sum::<usize>();
        self.gathered.append(records);
    }

    pub(super) fn gathered(&self) -> &[Record] {
        &self.gathered
    }

    pub(super) fn gathered_bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_settled(&self) -> bool {
        self.gathered.is_empty() && matches!(self.state, State::Free)
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        match &self.state {
            State::Free => (!self.gathered.is_empty()).then_some(Time(0)),
            State::Out => None,
            State::Again(_, at) => Some(*at),
        }
    }

    pub(super) fn next(&mut self, now: Time) -> Option<Batch> {
        match &self.state {
            State::Free if self.gathered.is_empty() => None,
            State::Free => {
                self.maybe_stored = false;
                self.wait_ms = limits::COMMIT_REPEAT_MS_MIN;
                self.state = State::Out;
                Some(self.take_gathered())
            }
            State::Out => None,
            State::Again(_, at) if *at > now => None,
            State::Again(..) => match std::mem::replace(&mut self.state, State::Out) {
                State::Again(batch, _) => Some(batch),
                State::Free | State::Out => None,
            },
        }
    }

    fn take_gathered(&mut self) -> Batch {
        let mut records = std::mem::take(&mut self.spare);
        if self.gathered.len() <= limits::COMMIT_RECORDS_MAX {
            std::mem::swap(&mut records, &mut self.gathered);
            self.bytes = 0;
        } else {
            records.extend(self.gathered.drain(..limits::COMMIT_RECORDS_MAX));
            self.bytes = self.gathered.iter().map(weight).sum();
        }
        Batch { records }
    }

    /// Nobody knows what came of it: its records are idempotent, so it is given to the store again.
    pub(super) fn unknown(&mut self, now: Time, batch: Batch) {
        self.maybe_stored = true;
        #[cfg(feature = "mistakes")]
        if self.mistake == Some(super::Mistake::ForgetUnknown) {
            return self.done(batch);
        }
        self.again(now, batch);
    }

    /// Whether its senders may be told that it was not taken.
    pub(super) fn may_refuse(&self, _batch: &Batch) -> bool {
        #[cfg(feature = "mistakes")]
        if self.mistake == Some(super::Mistake::RefuseAfterUnknown) {
            return true;
        }
        !self.maybe_stored
    }

    pub(super) fn again(&mut self, now: Time, batch: Batch) {
        self.state = State::Again(batch, now + self.wait_ms);
        self.wait_ms = (self.wait_ms * 2).min(limits::COMMIT_REPEAT_MS_MAX);
    }

    /// What an attempt with an unknown outcome stored comes back as a duplicate when the batch is
    /// repeated, but nobody was told of it: to everybody it is new. Its time of custody tells the
    /// two apart, because it is the draft's own. The second copy within a batch stays a duplicate.
    pub(super) fn tell_apart(&self, batch: &Batch, verdicts: &mut [Verdict]) {
        if !self.maybe_stored {
            return;
        }
        #[cfg(feature = "mistakes")]
        if self.mistake == Some(super::Mistake::RepeatIsDuplicate) {
            return;
        }
        let mut told = HashSet::new();
        for (record, verdict) in batch.records.iter().zip(verdicts) {
            let (Record::Message(draft), Verdict::Duplicate(stored)) = (record, &*verdict) else {
                continue;
            };
            if stored.time_ms == draft.time_ms && told.insert((stored.conversation, stored.seq)) {
                *verdict = Verdict::New(stored.clone());
            }
        }
    }

    /// It is over.
    pub(super) fn done(&mut self, batch: Batch) {
        self.state = State::Free;
        self.spare = batch.records;
        self.spare.clear();
        if self.spare.capacity() > limits::COMMIT_RECORDS_MAX {
            self.spare = Vec::new(); // a burst's memory is given back
        }
    }
}

/// About how many bytes a record holds.
fn weight(record: &Record) -> usize {
    match record {
        Record::Message(draft) => draft.body.len() + draft.id.len() + 128,
        Record::Login(_) => 256,
    }
}
