//! The committer: gives the node's batches to the model disk and reports what came of them, with
//! all that a real one may report.

use tidings_core::custody::{Record, Verdict};
use tidings_core::ids::LinkId;
use tidings_core::node::Outcome;
use tidings_core::shard::Action;

use super::{ProcessEvent, World};
use crate::Mutation;
use crate::check::Question;

/// What the disk says to a batch.
#[derive(Debug)]
pub(crate) enum Said {
    Stored(Vec<Verdict>),
    Full,
    Nothing,
}

impl World {
    /// Records may have gathered: `before` of them were there before this input.
    pub(super) fn gathered(&mut self, cause: Option<LinkId>, before: usize) {
        let Some(process) = &mut self.process else {
            return;
        };
        let new: Vec<Record> = process.node.gathered()[before..].to_vec();
        process.causes.extend(new.iter().map(|_| cause));
        if let (Some(Mutation::AckBeforeCommit), Some(link)) = (self.mutation, cause) {
            for record in &new {
                self.acknowledge_early(link, record);
            }
        }
        self.arm_commit();
    }

    fn acknowledge_early(&mut self, link: LinkId, record: &Record) {
        let Record::Message(draft) = record else {
            return;
        };
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

    /// The committer wakes when there is something for it.
    fn arm_commit(&mut self) {
        let now = self.clock().mono;
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(at) = process.node.next_batch_at() else {
            return;
        };
        if process.gather_at.is_none_or(|armed| at < armed) {
            process.gather_at = Some(at);
            self.later(at.since_ms(now), ProcessEvent::Gather);
        }
    }

    pub(super) fn take_batch(&mut self) {
        let now = self.clock().mono;
        let Some(process) = &mut self.process else {
            return;
        };
        process.gather_at = None;
        if let Some(batch) = process.node.next_batch(now) {
            process.batch = Some(batch);
            let max = self.plan.sync_ms_max;
            let ms = self.rng.disk.range(1, max);
            self.later(ms, ProcessEvent::Synced);
        } else {
            self.arm_commit();
        }
    }

    /// The disk answers: stored, not stored, or nobody knows.
    pub(super) fn synced(&mut self) {
        let Some(batch) = self.process.as_ref().and_then(|p| p.batch.as_ref()) else {
            return;
        };
        let records = batch.records().to_vec();
        let fails = |world: &mut World, per_mille| !world.calm && world.rng.disk.chance(per_mille);
        if fails(self, self.plan.commit_fail) {
            self.log(format_args!("commit of {} fails", records.len()));
            return self.later(1, ProcessEvent::Committed(Said::Full));
        }
        let unknown = fails(self, self.plan.commit_unknown);
        self.unknown += usize::from(unknown);
        if unknown && self.rng.disk.chance(300) {
            self.log(format_args!("commit of {} is lost", records.len()));
            return self.later(100, ProcessEvent::Committed(Said::Nothing));
        }
        let mut verdicts = self.disk.commit(&records);
        if self.mutation != Some(Mutation::ForgetOnCrash) || self.rng.disk.chance(500) {
            self.disk.sync();
        }
        self.check.committed(&records, &verdicts);
        self.log(format_args!("commit of {}", records.len()));
        if unknown {
            self.log(format_args!("its outcome is unknown"));
            return self.later(100, ProcessEvent::Committed(Said::Nothing));
        }
        let swaps = self.mutation == Some(Mutation::SwapVerdicts);
        if swaps && verdicts.len() > 1 && self.rng.driver.chance(300) {
            verdicts.swap(0, 1);
        }
        let max = self.plan.verdict_delay_ms_max;
        let ms = self.rng.disk.below(max);
        self.later(ms, ProcessEvent::Committed(Said::Stored(verdicts)));
    }

    /// The node learns what came of its batch.
    pub(super) fn committed(&mut self, said: Said) {
        let clock = self.clock();
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(batch) = process.batch.take() else {
            return;
        };
        let outcome = match said {
            Said::Stored(verdicts) => Outcome::Stored(verdicts),
            Said::Full => Outcome::Failed("the disk is full"),
            Said::Nothing => Outcome::Unknown,
        };
        let (mut actions, mut questions) = (Vec::new(), Vec::new());
        let causes = &mut process.causes;
        let observe = |records: &[Record], verdicts: &[Verdict]| {
            let causes = causes.drain(..records.len());
            for (at, cause) in causes.enumerate().take(verdicts.len()) {
                let question = |link| (link, Question::verdict(at, records, verdicts));
                questions.extend(cause.map(question));
            }
        };
        let before = process.node.gathered().len();
        let node = &mut process.node;
        node.outcome(clock, batch, outcome, observe, &mut actions);
        for (link, question) in questions {
            if let Err(violation) = question.judge(link, &actions, false) {
                self.check.fail(violation);
            }
        }
        for action in actions {
            self.carry_out(action);
        }
        self.gathered(None, before);
        self.arm_tick();
    }
}
