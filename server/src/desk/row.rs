//! How a tenant's transitions lie in the store: rows of its own log, `@/tenant` to itself. One row
//! is what one batch of the driver decided, so that it is there as a whole or not at all.

use serde::{Deserialize, Serialize};
use tidings_core::custody::Draft;
use tidings_core::desk::Entry;
use tidings_core::ids::{ConversationId, Name, pair_key};
use tidings_core::wire::code;

/// One row.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Everything up to this position that concerns the tenant has been decided about.
    pub(crate) upto: u64,
    /// Who is meant by the conversations that this row is the first to mention.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) who: Vec<Who>,
    /// The transitions, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) entries: Vec<Entry>,
    /// Agent, episode, number: up to there the agent has the episode's messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) read: Vec<(u32, u64, u64)>,
    /// Episode, conversation, number: what an agent wrote to a customer whom he had served, after
    /// the end of the episode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) late: Vec<(u64, ConversationId, u64)>,
}

/// The names behind a conversation's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) conversation: ConversationId,
    pub(crate) customer: Box<str>,
    /// With its `@`.
    pub(crate) team: Box<str>,
}

/// The address of a tenant's own log. A team's name has no `/`.
pub(crate) fn log_address(tenant: &str) -> Name {
    format!("@/{tenant}").into()
}

/// The key of a tenant's own log.
pub(crate) fn log_key(tenant: &str) -> String {
    let address = log_address(tenant);
    pair_key(&address, &address)
}

impl Row {
    /// As it is given to the store.
    pub(crate) fn draft(&self, tenant: &str, id: Name, time_ms: i64) -> serde_json::Result<Draft> {
        let address = log_address(tenant);
        Ok(Draft {
            from: address.clone(),
            to: address,
            id,
            typeu: code::DESK_RECORD,
            body: serde_json::to_string(self)?.into(),
            time_ms,
        })
    }
}
