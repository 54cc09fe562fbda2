//! What agents write to their customers' addresses, `@team/customer`, from any client.
//!
//! A text is one record, in the customer's own conversation: from the team, with the agent's number
//! in its id. It is acknowledged once it is there, and needs nothing further to arrive. A command
//! (it begins with one slash) is a message to the desk.

use super::{Shard, Submission};
use crate::custody::Draft;
use crate::ids::Name;
use crate::wire::code;

/// The text for a customer in what an agent wrote, if it is one: two slashes stand for one.
fn text(body: &str) -> Option<&str> {
    match body.strip_prefix('/') {
        None => Some(body),
        Some(rest) => rest.starts_with('/').then_some(rest),
    }
}

/// The id of what an agent writes: so the log says who wrote it, and two agents' ids never meet.
#[must_use]
pub fn authored(agent: u32, id: &str) -> String {
    format!("a{agent}/{id}")
}

/// Who wrote a message from a team, and his own id for it.
#[must_use]
pub fn author(id: &str) -> Option<(u32, &str)> {
    let (agent, id) = id.strip_prefix('a')?.split_once('/')?;
    Some((agent.parse().ok()?, id))
}

impl Shard {
    /// An agent may write to a customer's address from now on, or no longer.
    pub(super) fn serve(&mut self, address: &str, agent: &str, number: u32, serves: bool) {
        if serves {
            let agents = self.serving.entry(Name::from(address)).or_default();
            agents.retain(|(other, _)| **other != *agent);
            agents.push((Name::from(agent), number));
        } else if let Some(agents) = self.serving.get_mut(address) {
            agents.retain(|(other, _)| **other != *agent);
            if agents.is_empty() {
                self.serving.remove(address);
            }
        }
    }

    /// What is kept of a message: an agent's text for a customer becomes the team's, everything
    /// else stays as it is. `None`: the agent does not serve that customer.
    pub(super) fn for_customer(&self, draft: Draft) -> Option<Draft> {
        if !draft.to.starts_with('@') || draft.from.starts_with('@') {
            return Some(draft);
        }
        let Some((team, customer)) = draft.to.split_once('/') else {
            return Some(draft);
        };
        let Some(text) = text(&draft.body) else {
            return Some(draft);
        };
        let agents = self.serving.get(&draft.to)?;
        let (_, number) = agents.iter().find(|(agent, _)| *agent == draft.from)?;
        Some(Draft {
            from: Name::from(team),
            to: self.name(customer),
            id: Name::from(authored(*number, &draft.id)),
            body: Box::from(text),
            ..draft
        })
    }

    /// The same for a message that no session sent.
    pub(super) fn submitted_for_customer(&mut self, draft: Draft) -> Result<Draft, Submission> {
        let max = self.config.frame_bytes_max;
        let draft = self.for_customer(draft).ok_or(Submission::NoSuchAddress)?;
        if draft.typeu == code::DESK_RECORD {
            return Ok(draft); // the log of a tenant leaves on no wire
        }
        match self.fits(&draft, max) {
            Ok(()) => Ok(draft),
            Err(bytes) => Err(Submission::TooLarge { bytes, max }),
        }
    }
}
