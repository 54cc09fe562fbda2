//! What one input may lead to.

use tidings_core::custody::{Record, Verdict};
use tidings_core::ids::{LinkId, Name};
use tidings_core::shard::Action;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;

/// What is expected of the actions that answer an input.
#[derive(Debug)]
pub(crate) enum Question {
    /// Anything.
    Any,
    /// It is refused, not acknowledged.
    Refused { id: Name, what: String },
    /// It is not stored.
    NotStored(String),
}

impl Question {
    pub(crate) fn frame(frame: &Frame<'_>) -> Question {
        let text = || format!("{:?}", frame.fp);
        match (frame.kind, frame.qos, &frame.fp) {
            (code::COMMON_DATA, true, None) => Question::NotStored("a message without id".into()),
            (code::COMMON_DATA, false, _) => Question::NotStored(text()),
            _ => Question::Any,
        }
    }

    /// `at` in a batch.
    pub(crate) fn verdict(at: usize, records: &[Record], verdicts: &[Verdict]) -> Question {
        match (&records[at], &verdicts[at]) {
            (Record::Message(draft), Verdict::Conflict | Verdict::Refused(_)) => {
                // The same id with another content may be acknowledged in the same batch.
                let taken = |(record, verdict): (&Record, &Verdict)| {
                    matches!((record, verdict),
                        (Record::Message(other), Verdict::New(_) | Verdict::Duplicate(_))
                        if other.id == draft.id)
                };
                if records.iter().zip(verdicts).any(taken) {
                    return Question::Any;
                }
                let what = format!("{} to {} {}", draft.from, draft.to, draft.id);
                let id = draft.id.clone();
                Question::Refused { id, what }
            }
            _ => Question::Any,
        }
    }

    /// Holds the actions against it; `stores` says whether something is to be kept.
    pub(crate) fn judge(
        self,
        link: LinkId,
        actions: &[Action],
        stores: bool,
    ) -> Result<(), String> {
        let acknowledges = |id: &str| {
            actions.iter().any(
                |a| matches!(a, Action::Acknowledge { link: to, id: of, .. } if *to == link && **of == *id),
            )
        };
        match self {
            Question::Any => Ok(()),
            Question::Refused { id, what } => {
                if acknowledges(&id) {
                    return Err(format!("refused and acknowledged: {what}: {actions:?}"));
                }
                Ok(())
            }
            Question::NotStored(what) => {
                let any = |a: &Action| matches!(a, Action::Acknowledge { .. });
                if stores || actions.iter().any(any) {
                    return Err(format!("stored or acknowledged: {what}: {actions:?}"));
                }
                Ok(())
            }
        }
    }
}
