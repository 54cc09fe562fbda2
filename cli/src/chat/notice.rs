//! What a support team tells its customers beside texts, in words.

use tidings_client::Incoming;
use tidings_server::core::wire::code;
use tidings_server::desk::notice::{ClosedBy, Notice};

/// The message as it is shown; `None` if there is nothing to see.
pub(super) fn shown(message: Incoming) -> Option<Incoming> {
    if message.typeu != code::DESK_NOTICE || !message.from.starts_with('@') {
        return Some(message);
    }
    // One of a later version is passed over.
    let notice = serde_json::from_str(&message.text).ok()?;
    let text = format!("({})", words(notice)?);
    Some(Incoming { text, ..message })
}

fn words(notice: Notice) -> Option<String> {
    Some(match notice {
        Notice::Finding { .. } => "an agent is being found for you".to_owned(),
        Notice::Connected { agent_name, .. } => format!("{agent_name} is here for you"),
        Notice::Waiting { .. } => {
            "your agent had to go; you are among the first in the queue".to_owned()
        }
        Notice::Position {
            position, wait_ms, ..
        } => match wait_ms {
            Some(wait_ms) => {
                let minutes = wait_ms.div_ceil(60_000);
                format!("you are number {position} in the queue: about {minutes} min")
            }
            None => format!("you are number {position} in the queue"),
        },
        Notice::AgentAway { agent_name, .. } => {
            format!("{agent_name} has lost the connection; one moment")
        }
        Notice::AgentBack { agent_name, .. } => format!("{agent_name} is back"),
        Notice::IdleWarning { text, .. } | Notice::OfflineForm { text } => text,
        Notice::Closed { by, text, .. } => {
            let end = "the conversation is closed; write again whenever you like";
            match by {
                ClosedBy::Idle if !text.is_empty() => {
                    format!("{text} Write again whenever you like.")
                }
                _ => end.to_owned(),
            }
        }
        Notice::Recalled { .. } => "a message was recalled".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(from: &str, typeu: i32, text: &str) -> Incoming {
        Incoming {
            from: from.into(),
            to: "alice".into(),
            id: "1".into(),
            seq: None,
            time_ms: None,
            typeu,
            text: text.to_owned(),
        }
    }

    fn text(notice: &str) -> Option<String> {
        shown(incoming("@support", code::DESK_NOTICE, notice)).map(|message| message.text)
    }

    #[test]
    fn notices_are_words_and_texts_stay_as_they_are() {
        let place = r#"{"notice":"position","episode":1,"position":2,"wait_ms":61000}"#;
        let expected = "(you are number 2 in the queue: about 2 min)";
        assert_eq!(text(place).as_deref(), Some(expected));
        let closed = r#"{"notice":"closed","episode":1,"by":"agent"}"#;
        let expected = "(the conversation is closed; write again whenever you like)";
        assert_eq!(text(closed).as_deref(), Some(expected));
        assert_eq!(text(r#"{"notice":"ask_rating","episode":1}"#), None);
        assert_eq!(text(r#"{"notice":"of a later version"}"#), None);
        let plain = incoming("@support", -1, "hello");
        assert_eq!(shown(plain.clone()), Some(plain));
        // Whatever a user writes is a text.
        let user = incoming("bob", code::DESK_NOTICE, closed);
        assert_eq!(shown(user.clone()), Some(user));
    }
}
