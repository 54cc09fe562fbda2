//! The committer: one lane, batches of whatever has gathered, verdicts in the order of the records.

use tidings_core::custody::{Record, Verdict};
use tidings_core::ids::{Address, LinkId, conversation_key};
use tidings_core::shard::{Action, Input};

use super::{ProcessEvent, World};
use crate::Mutation;
use crate::check::Question;

/// Records in one batch.
const BATCH_RECORDS_MAX: usize = 200;

impl World {
    pub(super) fn gather(&mut self, cause: Option<LinkId>, record: Record) {
        if let (Record::Message(draft), Some(Mutation::AckBeforeCommit), Some(link)) =
            (&record, self.mutation, cause)
        {
            let action = Action::Acknowledge {
                link,
                id: draft.id.clone(),
                from: draft.to.clone(),
                to: draft.from.clone(),
                seq: 1,
                time_ms: draft.time_ms,
                extended: false,
            };
            self.check.action(&action);
            self.emit(action);
        }
        let Some(process) = &mut self.process else {
            return;
        };
        process.undecided.push_back((record.clone(), cause));
        process.gathered.push_back(record);
        if process.batch.is_none() && process.gathered.len() == 1 {
            self.later(0, ProcessEvent::Gather);
        }
    }

    pub(super) fn take_batch(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        if process.batch.is_some() || process.gathered.is_empty() {
            return;
        }
        let count = process.gathered.len().min(BATCH_RECORDS_MAX);
        process.batch = Some(process.gathered.drain(..count).collect());
        process.attempts = 0;
        process.maybe_stored = false;
        let ms = self.sync_ms();
        self.later(ms, ProcessEvent::Synced);
    }

    fn sync_ms(&mut self) -> u64 {
        let max = self.plan.sync_ms_max;
        self.rng.disk.range(1, max)
    }

    /// The disk answers: stored, not stored, or nobody knows.
    pub(super) fn synced(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(batch) = process.batch.clone() else {
            return;
        };
        process.attempts += 1;
        let (attempts, maybe_stored) = (process.attempts, process.maybe_stored);
        if !self.calm && self.rng.disk.chance(self.plan.commit_fail) {
            self.log(format_args!("commit of {} fails", batch.len()));
            // What may be stored must not be refused: it is repeated until the answer is known.
            if attempts > 2 && !maybe_stored {
                return self.later(1, ProcessEvent::Refused(batch.len()));
            }
            return self.later(100, ProcessEvent::Synced);
        }
        let verdicts = self.disk.commit(&batch);
        if self.mutation != Some(Mutation::ForgetOnCrash) || self.rng.disk.chance(500) {
            self.disk.sync();
        }
        self.check.committed(&batch, &verdicts);
        self.log(format_args!("commit of {}", batch.len()));
        if !self.calm && self.rng.disk.chance(self.plan.commit_unknown) {
            self.log(format_args!("its outcome is unknown"));
            self.unknown += 1;
            if let Some(process) = &mut self.process {
                process.maybe_stored = true;
            }
            return self.later(100, ProcessEvent::Synced);
        }
        let verdicts = self.told_apart(&batch, verdicts, maybe_stored);
        let max = self.plan.verdict_delay_ms_max;
        let ms = self.rng.disk.below(max);
        self.later(ms, ProcessEvent::Verdicts(verdicts));
    }

    /// What an attempt with an unknown outcome stored comes back as a duplicate when the batch is
    /// repeated, but nobody was told of it: it is new. Its position tells the two apart.
    fn told_apart(
        &mut self,
        batch: &[Record],
        verdicts: Vec<Verdict>,
        maybe_stored: bool,
    ) -> Vec<Verdict> {
        let Some(process) = &mut self.process else {
            return verdicts;
        };
        let last = process.last_position;
        let repeats = maybe_stored && self.mutation != Some(Mutation::RepeatIsDuplicate);
        let mut apart = Vec::with_capacity(verdicts.len());
        for (record, verdict) in batch.iter().zip(verdicts) {
            let found = match (record, &verdict) {
                (Record::Message(draft), Verdict::Duplicate { seq, .. }) if repeats => {
                    let to = Address::parse(&draft.to).unwrap_or(Address::Server);
                    let key = conversation_key(&draft.from, to);
                    self.disk
                        .durable_message(&key, *seq)
                        .filter(|m| m.position > last)
                }
                _ => None,
            };
            let told = |v: &Verdict| match (v, &found) {
                (Verdict::New(m), Some(found)) => m.position == found.position,
                _ => false,
            };
            let is_first = !apart.iter().any(told);
            match found {
                Some(message) if is_first => apart.push(Verdict::New(message)),
                _ => apart.push(verdict),
            }
        }
        for verdict in &apart {
            if let Verdict::New(message) = verdict {
                process.last_position = process.last_position.max(message.position);
            }
        }
        apart
    }

    pub(super) fn verdicts(&mut self, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            if self.mutation == Some(Mutation::DropVerdict) && self.rng.driver.chance(30) {
                continue;
            }
            let Some(process) = &mut self.process else {
                return;
            };
            let Some((record, link)) = process.undecided.pop_front() else {
                return self.check.fail("a verdict without a record".to_owned());
            };
            let question = Question::verdict(&record, &verdict);
            self.feed(link, Input::Verdict(verdict), |actions| match link {
                Some(link) => question.judge(link, actions),
                None => Ok(()),
            });
        }
        self.next_batch();
    }

    pub(super) fn refused(&mut self, count: usize) {
        if let Some(process) = &mut self.process {
            process.undecided.drain(..count);
        }
        let input = Input::CommitFailed {
            count,
            reason: "the disk is full",
        };
        self.feed(None, input, |_| Ok(()));
        self.next_batch();
    }

    fn next_batch(&mut self) {
        if let Some(process) = &mut self.process {
            process.batch = None;
            if !process.gathered.is_empty() {
                self.later(0, ProcessEvent::Gather);
            }
        }
    }
}
