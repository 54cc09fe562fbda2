//! The sessions of agents: at most one each. A session takes events from a bounded queue; one that
//! does not read is ended, and its next one begins with what the agent serves.

use std::collections::HashMap;

use tidings_core::desk::AgentId;
use tokio::sync::mpsc;

use super::act::AgentEvent;

/// One session.
struct Bound {
    session: u64,
    /// `None`: it was ended from here; its link notices and says that it is gone.
    events: Option<mpsc::Sender<AgentEvent>>,
}

/// All sessions of a tenant's agents.
#[derive(Default)]
pub(super) struct Agents {
    bound: HashMap<AgentId, Bound>,
}

impl Agents {
    /// A session begins; the one before is told so and ends.
    pub(super) fn begin(&mut self, agent: AgentId, session: u64, events: mpsc::Sender<AgentEvent>) {
        let events = Some(events);
        let before = self.bound.insert(agent, Bound { session, events });
        if let Some(before) = before.and_then(|bound| bound.events) {
            let _ = before.try_send(AgentEvent::Replaced); // one that is full ends anyway
        }
    }

    /// A session ended; false if it was not the agent's present one.
    pub(super) fn end(&mut self, agent: AgentId, session: u64) -> bool {
        let is_present = self.bound.get(&agent).is_some_and(|b| b.session == session);
        if is_present {
            self.bound.remove(&agent);
        }
        is_present
    }

    /// Tells one agent, if he is there.
    pub(super) fn tell(&mut self, agent: AgentId, event: AgentEvent) {
        let Some(bound) = self.bound.get_mut(&agent) else {
            return;
        };
        let told = bound.events.as_ref().map(|events| events.try_send(event));
        if told.is_some_and(|told| told.is_err()) {
            tracing::warn!(
                agent = agent.0,
                "a session of an agent does not read and is ended"
            );
            bound.events = None;
        }
    }

    /// Ends a session from here.
    pub(super) fn drop_session(&mut self, agent: AgentId) {
        if let Some(bound) = self.bound.get_mut(&agent) {
            bound.events = None;
        }
    }

    /// Who has a session.
    pub(super) fn present(&self) -> Vec<AgentId> {
        self.bound.keys().copied().collect()
    }

    pub(super) fn is_present(&self, agent: AgentId) -> bool {
        self.bound.contains_key(&agent)
    }
}
