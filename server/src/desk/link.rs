//! An agent's end of his session.

use tidings_core::desk::EpisodeId;
use tokio::sync::mpsc;

use super::AgentRef;
use super::act::AgentEvent;
use super::inbox::Item;

/// A session of an agent. Dropping it ends the session: he gets nothing new at once, and keeps what
/// he has for the grace time.
#[derive(Debug)]
pub struct AgentLink {
    pub(super) events: mpsc::Receiver<AgentEvent>,
    pub(super) agent: AgentRef,
    pub(super) session: u64,
}

impl AgentLink {
    /// What comes next; `None` once the session is ended from here: it did not read, or the server
    /// stops.
    pub async fn recv(&mut self) -> Option<AgentEvent> {
        self.events.recv().await
    }

    /// What is there already.
    pub fn try_recv(&mut self) -> Option<AgentEvent> {
        self.events.try_recv().ok()
    }

    /// The agent has the messages of this episode up to this number: his next session does not get
    /// them again.
    pub fn delivered(&self, episode: EpisodeId, seq: u64) {
        let item = Item::Delivered(self.agent.number, episode, seq);
        self.agent.tenant.inbox.push(item);
    }
}

impl Drop for AgentLink {
    fn drop(&mut self) {
        let (agent, session) = (self.agent.number, self.session);
        self.agent.tenant.inbox.push(Item::Gone { agent, session });
    }
}
