//! What one input may lead to.

use tidings_core::custody::{Record, Verdict};
use tidings_core::ids::LinkId;
use tidings_core::shard::Action;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;

/// What is expected of the actions that answer an input.
#[derive(Debug)]
pub(crate) enum Question {
    /// Anything.
    Any,
    /// It is refused, and the session stays.
    Refused(String),
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

    pub(crate) fn verdict(record: &Record, verdict: &Verdict) -> Question {
        match (record, verdict) {
            (Record::Message(draft), Verdict::Conflict | Verdict::Refused(_)) => {
                Question::Refused(format!("{} to {} {}", draft.from, draft.to, draft.id))
            }
            _ => Question::Any,
        }
    }

    /// Holds the actions against it.
    pub(crate) fn judge(self, link: LinkId, actions: &[Action]) -> Result<(), String> {
        let acknowledges = |a: &Action| matches!(a, Action::Acknowledge { .. });
        let delivers = |a: &Action| matches!(a, Action::Deliver { .. });
        let closes =
            |a: &Action| matches!(a, Action::Close { link: closed, .. } if *closed == link);
        match self {
            Question::Any => Ok(()),
            Question::Refused(what) => {
                if actions
                    .iter()
                    .any(|a| acknowledges(a) || delivers(a) || closes(a))
                {
                    return Err(format!(
                        "refused with the session staying: {what}: {actions:?}"
                    ));
                }
                Ok(())
            }
            Question::NotStored(what) => {
                let stores = |a: &Action| matches!(a, Action::Commit(_));
                if actions.iter().any(|a| stores(a) || acknowledges(a)) {
                    return Err(format!("stored or acknowledged: {what}: {actions:?}"));
                }
                Ok(())
            }
        }
    }
}
