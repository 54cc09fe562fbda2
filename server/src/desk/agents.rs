//! The sessions of agents: at most one each. A session takes events from a bounded queue; one that
//! does not read is ended, and its next one begins with what the agent serves.

use std::collections::HashMap;

use tidings_core::desk::AgentId;
use tokio::sync::mpsc;

use super::act::AgentEvent;
use super::typed::Told;

/// Where a session's events go.
#[derive(Debug)]
pub(super) enum End {
    /// To a link.
    Link(u64, mpsc::Sender<AgentEvent>),
    /// It was ended from here; the link notices and says that it is gone.
    Ended(u64),
    /// To the agent's ordinary sessions, as texts.
    Typed,
}

impl End {
    fn kind(&self) -> Kind {
        match self {
            End::Link(session, _) | End::Ended(session) => Kind::Link(*session),
            End::Typed => Kind::Typed,
        }
    }
}

/// Which session an agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A link of the desk, by its number.
    Link(u64),
    /// His ordinary sessions.
    Typed,
}

/// All sessions of a tenant's agents. Who has one is known as soon as it is decided about; what he
/// is told goes by what was so when it was decided, and that is carried out in order, once
/// everything is on disk: so whoever closes a conversation and leaves is still told what was
/// written in it before.
#[derive(Default)]
pub(super) struct Agents {
    present: HashMap<AgentId, Kind>,
    bound: HashMap<AgentId, End>,
    /// For those who get texts, until they are sent.
    typed: Told,
}

impl Agents {
    /// A session begins: it is decided.
    pub(super) fn arrives(&mut self, agent: AgentId, kind: Kind) {
        self.present.insert(agent, kind);
    }

    /// A session ended: it is decided. False if it was not the agent's present one.
    pub(super) fn leaves(&mut self, agent: AgentId, kind: Kind) -> bool {
        let is_present = self.present.get(&agent) == Some(&kind);
        if is_present {
            self.present.remove(&agent);
        }
        is_present
    }

    /// A session begins: the one before is told so and ends.
    pub(super) fn begin(&mut self, agent: AgentId, end: End) {
        let before = self.bound.insert(agent, end);
        if let Some(End::Link(_, before)) = before {
            let _ = before.try_send(AgentEvent::Replaced); // one that is full ends anyway
        }
    }

    /// A session is told no more.
    pub(super) fn end(&mut self, agent: AgentId, kind: Kind) {
        if self.bound.get(&agent).is_some_and(|end| end.kind() == kind) {
            self.bound.remove(&agent);
        }
    }

    /// After a commit that failed: what was decided about sessions is so, told or not.
    pub(super) fn agree(&mut self) {
        let present = &self.present;
        self.bound
            .retain(|agent, end| present.get(agent) == Some(&end.kind()));
        for (agent, kind) in &self.present {
            self.bound.entry(*agent).or_insert(match kind {
                Kind::Link(session) => End::Ended(*session),
                Kind::Typed => End::Typed,
            });
        }
    }

    /// Tells one agent, if he is there.
    pub(super) fn tell(&mut self, agent: AgentId, event: AgentEvent) {
        match self.bound.get(&agent) {
            Some(End::Link(session, events)) => {
                if let Err(problem) = events.try_send(event) {
                    if matches!(problem, mpsc::error::TrySendError::Full(_)) {
                        tracing::warn!(
                            agent = agent.0,
                            "a session of an agent does not read and is ended"
                        );
                    }
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
        self.leaves(agent, Kind::Typed);
        self.end(agent, Kind::Typed);
    }

    /// Ends whatever session he has; false if he has none.
    pub(super) fn shut_out(&mut self, agent: AgentId) -> bool {
        self.bound.remove(&agent).is_some()
    }

    /// What is to be sent as texts.
    pub(super) fn take_typed(&mut self) -> Told {
        std::mem::take(&mut self.typed)
    }

    /// Who has a session.
    pub(super) fn present(&self) -> Vec<AgentId> {
        self.present.keys().copied().collect()
    }

    pub(super) fn is_present(&self, agent: AgentId) -> bool {
        self.present.contains_key(&agent)
    }

    /// Whether what he is told now arrives somewhere.
    pub(super) fn is_bound(&self, agent: AgentId) -> bool {
        self.bound.contains_key(&agent)
    }
}
