//! The desk's small words: who, which status, which stage, and OCIM's numbers for them.

use serde::{Deserialize, Serialize};

/// An agent's number within the tenant, issued by the store with his account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentId(pub u32);

/// A team's number within the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TeamId(pub u32);

/// One episode of a conversation, from the customer's arrival to its close: OCIM's `cid`.
/// Issued by the machine, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EpisodeId(pub u64);

/// A set of skills, numbered 0 to [`crate::limits::SKILLS_MAX`] − 1 within the tenant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Skills(pub u128);

impl Skills {
    /// No skill.
    pub const NONE: Skills = Skills(0);

    /// The set of one skill; numbers beyond the limit wrap, so callers check them.
    #[must_use]
    pub fn one(skill: u8) -> Skills {
        Skills(1 << (u32::from(skill) % 128))
    }

    /// Everything in either set.
    #[must_use]
    pub fn and(self, other: Skills) -> Skills {
        Skills(self.0 | other.0)
    }

    /// This set without those of `other`.
    #[must_use]
    pub fn without(self, other: Skills) -> Skills {
        Skills(self.0 & !other.0)
    }

    /// Whether every skill of `wanted` is in this set.
    #[must_use]
    pub fn covers(self, wanted: Skills) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether the sets have a skill in common.
    #[must_use]
    pub fn meets(self, other: Skills) -> bool {
        self.0 & other.0 != 0
    }

    /// How many skills.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The numbers of the skills, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..128u8).filter(move |skill| self.0 >> skill & 1 == 1)
    }
}

/// What an agent says about himself, or, with `NotResponding`, what we found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentStatus {
    /// Gets customers.
    Online,
    /// Gets nothing new; keeps what he has.
    Busy,
    /// Not at his desk; gets nothing new.
    Away,
    /// Missed offers or did not answer; gets nothing new until he says `Online` himself.
    NotResponding,
    /// Gone.
    Offline,
}

impl AgentStatus {
    /// OCIM's `WaiterStatus`: "1" online, "2" busy, "3" hang, "4" leave. OCIM has no word for
    /// `NotResponding`; "3" is what its console shows for somebody who is bound but not there.
    #[must_use]
    pub fn to_ocim(self) -> &'static str {
        match self {
            AgentStatus::Online => "1",
            AgentStatus::Busy => "2",
            AgentStatus::Away | AgentStatus::NotResponding => "3",
            AgentStatus::Offline => "4",
        }
    }

    /// Reads OCIM's `WaiterStatus`; `None` for anything else.
    #[must_use]
    pub fn from_ocim(code: &str) -> Option<AgentStatus> {
        match code {
            "1" => Some(AgentStatus::Online),
            "2" => Some(AgentStatus::Busy),
            "3" => Some(AgentStatus::Away),
            "4" => Some(AgentStatus::Offline),
            _ => None,
        }
    }
}

/// OCIM's `CustomerAssignStatus`, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustomerAssignStatus {
    /// No episode is open, or one that is a left message.
    Unassigned = 0,
    /// An agent serves him.
    Assigned = 1,
    /// He waits, or an offer rings.
    Assigning = 2,
}

/// How an agent comes to customers. The stricter of the team's and the agent's own counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// He is assigned without being asked (OCIM `shunt` "1").
    Automatic,
    /// He is offered one and accepts, declines or misses it.
    Ring,
    /// He takes from the queue himself; nothing comes to him (OCIM `shunt` "0").
    Pull,
}

/// In which order agents with a free slot are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Least flexible, then least loaded by capacity, then longest since the last assignment.
    LeastFlexible,
    /// Least loaded by capacity, then longest since the last assignment: OCIM's "2", most idle.
    MostIdle,
    /// Longest since the last automatic assignment or since he became available: OCIM's "0" and
    /// "1", its cyclic service list.
    RoundRobin,
}

/// What a supervisor does in somebody else's episode. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Supervision {
    /// Sees everything, is not seen.
    Watch,
    /// May also write notes that only agents see.
    Whisper,
    /// May also write to the customer.
    Join,
}

/// Who wrote, recalled or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Party {
    /// The customer of the episode.
    Customer,
    /// An agent or supervisor.
    Agent(AgentId),
    /// The desk itself: time-outs.
    System,
}

/// Where an episode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// A left message: the team is closed, or nobody serves it. It is queued when the team opens.
    Left,
    /// Waits in the queue.
    Queued,
    /// Rings at an agent, who has a slot set aside for it.
    Offered {
        /// The agent who was asked.
        agent: AgentId,
        /// The team for which he would serve it.
        via: TeamId,
    },
    /// Is served.
    Active {
        /// The agent who serves it.
        agent: AgentId,
        /// The team for which he serves it.
        via: TeamId,
    },
    /// Is served, but the customer is not expected back soon: the slot counts less.
    Held {
        /// The agent who serves it.
        agent: AgentId,
        /// The team for which he serves it.
        via: TeamId,
    },
}

impl Stage {
    /// The agent who serves it; `None` while it waits or rings.
    #[must_use]
    pub fn owner(self) -> Option<AgentId> {
        match self {
            Stage::Active { agent, .. } | Stage::Held { agent, .. } => Some(agent),
            Stage::Left | Stage::Queued | Stage::Offered { .. } => None,
        }
    }

    /// OCIM's number for it.
    #[must_use]
    pub fn assign_status(self) -> CustomerAssignStatus {
        match self {
            Stage::Active { .. } | Stage::Held { .. } => CustomerAssignStatus::Assigned,
            Stage::Queued | Stage::Offered { .. } => CustomerAssignStatus::Assigning,
            Stage::Left => CustomerAssignStatus::Unassigned,
        }
    }
}

/// How an agent got an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// The machine chose him by the team's order.
    Automatic,
    /// The machine chose him because he served the customer before.
    Former,
    /// He was offered it and accepted.
    Accepted,
    /// He took it himself (OCIM RECEPTION); may exceed his capacity.
    Pulled,
    /// Another agent handed it over.
    Transferred,
    /// A supervisor took it from its agent; may exceed his capacity.
    TakenOver,
}

/// Why an offer or a transfer under way ended without acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unaccepted {
    /// He said no.
    Declined,
    /// He did not say anything in time.
    Missed,
    /// He lost his session or stopped taking customers.
    Unavailable,
    /// The customer left, or somebody else took the episode.
    Withdrawn,
}

/// Why an episode went back to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Requeue {
    /// Its agent's session was lost for longer than the grace time.
    AgentLost,
    /// Its agent did not give a first answer in time.
    NoAnswer,
    /// Its agent went offline and handed over, or his account was removed.
    HandedOver,
}

/// Why an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The customer left while he waited.
    Abandoned,
    /// The customer closed it.
    ByCustomer,
    /// Its agent closed it.
    ByAgent(AgentId),
    /// Nobody wrote for too long.
    Idle,
    /// The customer left a message instead of waiting. Only in records of earlier versions: a left
    /// message stays open until an agent has dealt with it.
    LeftMessage,
}

/// To whom an episode is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One agent.
    Agent(AgentId),
    /// A team, with the skills that the customer needs there.
    Team(TeamId, Skills),
}
