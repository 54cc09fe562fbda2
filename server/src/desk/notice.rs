//! What a desk tells a customer beside what its agents write. A message of its own in the
//! conversation's log (`typeu` 400, JSON), so that it keeps its place among the others and reaches
//! whoever was away; only a place in the queue is told to whoever is there and then forgotten.
//!
//! Written by the driver, read by the edges; `docs/protocol.md` shows it to SDKs.

use serde::{Deserialize, Serialize};
use tidings_core::message::Message;
pub(crate) use tidings_core::shard::{author, authored};
use tidings_core::wire::code;

/// A notice, as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notice {
    /// Somebody is being found (OCIM BUILDING_CHAT).
    Finding {
        /// The episode: OCIM's `cid`.
        episode: u64,
    },
    /// An agent serves the customer now (OCIM BUILD_CHAT/SUCCESS, TRANSFER/SUCCESS).
    Connected {
        /// The episode.
        episode: u64,
        /// The agent's account.
        agent: String,
        /// What he is called.
        agent_name: String,
        /// The team for which he serves, without its `@`.
        team: String,
        /// He took over from another agent.
        transferred: bool,
        /// What the customer waited in all, milliseconds.
        waited_ms: u64,
    },
    /// The customer waits again: his agent is gone.
    Waiting {
        /// The episode.
        episode: u64,
    },
    /// His place in the queue. Not kept.
    Position {
        /// The episode.
        episode: u64,
        /// From 1.
        position: u64,
        /// Milliseconds; missing while too little is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait_ms: Option<u64>,
    },
    /// The episode will be closed unless somebody writes (OCIM TIMEOUT_TIP).
    IdleWarning {
        /// The episode.
        episode: u64,
        /// What the tenant says then.
        text: String,
    },
    /// The episode ended (OCIM CLOSE_CHAT, TIMEOUT_CLOSE).
    Closed {
        /// The episode.
        episode: u64,
        /// Why.
        by: ClosedBy,
        /// What the tenant says, if nobody closed it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// How was it? (OCIM EVALUATE)
    AskRating {
        /// The episode.
        episode: u64,
    },
    /// A message was recalled (OCIM REVOCATION).
    Recalled {
        /// The episode.
        episode: u64,
        /// Its author's id for it: OCIM's `pid`.
        id: String,
    },
    /// His agent has lost his connection; he keeps the customer for a while.
    AgentAway {
        /// The episode.
        episode: u64,
        /// The agent's account.
        agent: String,
        /// What he is called.
        agent_name: String,
    },
    /// His agent is there again.
    AgentBack {
        /// The episode.
        episode: u64,
        /// The agent's account.
        agent: String,
        /// What he is called.
        agent_name: String,
    },
    /// Nobody may come now, or the customer asked for it: what he wrote is kept and will be
    /// answered. Lies in the log as a text, `typeu` 404, which every session gets.
    OfflineForm {
        /// What the team says then.
        text: String,
    },
}

/// Why an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The customer left.
    Customer,
    /// The agent closed it.
    Agent,
    /// Nobody wrote for too long.
    Idle,
    /// The customer left a message instead of waiting.
    LeftMessage,
}

/// What a customer's session got from a team.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CustomerEvent {
    /// A notice.
    Notice(Notice),
    /// The team's greeting.
    TeamGreeting(String),
    /// The agent's greeting.
    AgentGreeting(String),
    /// What an agent wrote.
    Text {
        /// The agent's number; 0 if it was not an agent.
        agent: u32,
        /// His id for it.
        id: String,
        /// Its kind, a `typeu`.
        typeu: i32,
        /// The text.
        text: String,
    },
    /// It was recalled before it got here.
    Gone,
}

/// Reads what a customer's session got from a team.
///
/// # Errors
/// If it is a notice of a later version.
pub fn for_customer(message: &Message) -> Result<CustomerEvent, serde_json::Error> {
    let text = || message.body.to_string();
    Ok(match message.typeu {
        code::DESK_NOTICE => CustomerEvent::Notice(serde_json::from_str(&message.body)?),
        code::DESK_LEFT => CustomerEvent::Notice(Notice::OfflineForm { text: text() }),
        code::DESK_TEAM_GREETING => CustomerEvent::TeamGreeting(text()),
        code::DESK_AGENT_GREETING => CustomerEvent::AgentGreeting(text()),
        code::DESK_RECALLED => CustomerEvent::Gone,
        typeu => {
            let (agent, id) = author(&message.id).unwrap_or((0, &message.id));
            CustomerEvent::Text {
                agent,
                id: id.to_owned(),
                typeu,
                text: text(),
            }
        }
    })
}
