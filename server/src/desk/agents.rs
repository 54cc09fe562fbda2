//! The sessions of agents: at most one each. A session takes events from a bounded queue; one that
//! does not read is ended, and its next one begins with what the agent serves.

use std::collections::HashMap;

use tidings_core::desk::AgentId;
use tokio::sync::mpsc;

use super::act::AgentEvent;
use super::typed::Told;

/// Where a session's events go.
enum End {
    /// To a link.
    Link(u64, mpsc::Sender<AgentEvent>),
    /// It was ended from here; the link notices and says that it is gone.
    Ended(u64),
    /// To the agent's ordinary sessions, as texts.
    Typed,
}

/// All sessions of a tenant's agents.
#[derive(Default)]
pub(super) struct Agents {
    bound: HashMap<AgentId, End>,
    /// For those who get texts, until they are sent.
    typed: Told,
}

impl Agents {
    /// A session begins; the one before is told so and ends.
    pub(super) fn begin(&mut self, agent: AgentId, session: u64, events: mpsc::Sender<AgentEvent>) {
        let before = self.bound.insert(agent, End::Link(session, events));
        if let Some(End::Link(_, before)) = before {
            let _ = before.try_send(AgentEvent::Replaced); // one that is full ends anyway
        }
    }

    /// An agent's ordinary sessions become one of the desk.
    pub(super) fn begin_typed(&mut self, agent: AgentId) {
        self.bound.insert(agent, End::Typed);
    }

    /// A session ended; false if it was not the agent's present one.
    pub(super) fn end(&mut self, agent: AgentId, session: u64) -> bool {
        let present = match self.bound.get(&agent) {
            Some(End::Link(present, _) | End::Ended(present)) => Some(*present),
            Some(End::Typed) | None => None,
        };
        if present == Some(session) {
            self.bound.remove(&agent);
        }
        present == Some(session)
    }

    /// The agent has no ordinary session any more; false if none was one of the desk.
    pub(super) fn end_typed(&mut self, agent: AgentId) -> bool {
        let is_typed = matches!(self.bound.get(&agent), Some(End::Typed));
        if is_typed {
            self.bound.remove(&agent);
        }
        is_typed
    }

    /// Tells one agent, if he is there.
    pub(super) fn tell(&mut self, agent: AgentId, event: AgentEvent) {
        match self.bound.get(&agent) {
            Some(End::Link(session, events)) => {
                if events.try_send(event).is_err() {
                    tracing::warn!(
                        agent = agent.0,
                        "a session of an agent does not read and is ended"
                    );
                    let ended = End::Ended(*session);
                    self.bound.insert(agent, ended);
                }
            }
            Some(End::Typed) => self.typed.push((agent, event)),
            Some(End::Ended(_)) | None => {}
        }
    }

    /// Ends a session from here.
    pub(super) fn drop_session(&mut self, agent: AgentId) {
        if let Some(End::Link(session, _)) = self.bound.get(&agent) {
            let ended = End::Ended(*session);
            self.bound.insert(agent, ended);
        }
    }

    /// He is no agent any more: his session ends.
    pub(super) fn remove(&mut self, agent: AgentId) {
        self.drop_session(agent);
        self.end_typed(agent);
    }

    /// What is to be sent as texts.
    pub(super) fn take_typed(&mut self) -> Told {
        std::mem::take(&mut self.typed)
    }

    /// Who has a session.
    pub(super) fn present(&self) -> Vec<AgentId> {
        self.bound.keys().copied().collect()
    }

    pub(super) fn is_present(&self, agent: AgentId) -> bool {
        self.bound.contains_key(&agent)
    }
}
