//! What happened: the records that rebuild a desk. Only [`super::state::State::apply`] changes
//! state, and only from these.

use serde::{Deserialize, Serialize};

use super::settings::{AgentSettings, DeskSettings, TeamSettings, Wanted};
use super::types::{
    AgentId, AgentStatus, Ending, EpisodeId, How, Requeue, Skills, Supervision, TeamId, Unaccepted,
};
use crate::ids::ConversationId;
use crate::time::Time;

/// A record with the desk's time at which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub time: Time,
    /// What.
    pub record: Record,
}

/// One transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The tenant's settings are these.
    Settings(DeskSettings),
    /// The team exists with these settings.
    Team {
        /// Which.
        team: TeamId,
        /// Its settings.
        settings: Box<TeamSettings>,
    },
    /// The agent exists with these settings.
    Agent {
        /// Which.
        agent: AgentId,
        /// His settings.
        settings: AgentSettings,
    },
    /// The agent's account is gone. He had no customers left.
    AgentRemoved {
        /// Which.
        agent: AgentId,
    },
    /// Wall-clock time is the desk's time plus so much.
    WallClock {
        /// Milliseconds.
        ahead_ms: i64,
    },
    /// The process started again: deadlines that wait for a client begin anew, nobody is live.
    Restarted,
    /// The agent's status is this; a status other than `NotResponding` forgives his misses.
    Status {
        /// Whose.
        agent: AgentId,
        /// The new one.
        status: AgentStatus,
    },
    /// The agent has a live session, or has none.
    AgentLink {
        /// Whose.
        agent: AgentId,
        /// Whether he has one.
        live: bool,
    },
    /// A customer arrived.
    Opened {
        /// The episode's number.
        episode: EpisodeId,
        /// Whose.
        conversation: ConversationId,
        /// What he needs.
        wanted: Wanted,
        /// His first message in the conversation's log.
        seq: u64,
        /// Nobody may come now: it is a left message from the start.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        left: bool,
    },
    /// What the customer wrote is a left message from here on: he is not expected to be there when
    /// an agent comes. While the team is open it waits behind all who are there.
    Left {
        /// Which episode.
        episode: EpisodeId,
    },
    /// A left message is taken up: it waits with its age.
    Queued {
        /// Which episode.
        episode: EpisodeId,
    },
    /// The team opened or closed.
    TeamOpen {
        /// Which.
        team: TeamId,
        /// Whether it is open.
        open: bool,
    },
    /// The customers of an agent who lost his session were told that he is away.
    AwayTold {
        /// Which agent.
        agent: AgentId,
    },
    /// The customer has a live session, or has none.
    CustomerLink {
        /// In which episode.
        episode: EpisodeId,
        /// Whether he has one.
        live: bool,
    },
    /// The customer wrote.
    CustomerSaid {
        /// In which episode.
        episode: EpisodeId,
        /// The message in the conversation's log.
        seq: u64,
    },
    /// An agent wrote.
    AgentSaid {
        /// In which episode.
        episode: EpisodeId,
        /// Who.
        agent: AgentId,
        /// The message in the conversation's log.
        seq: u64,
        /// Only agents see it: a note or a whisper.
        internal: bool,
    },
    /// The customer has waited long enough for the next ring.
    Widened {
        /// Which episode.
        episode: EpisodeId,
        /// How many rings are open now.
        rings: u32,
    },
    /// An offer rings.
    Offered {
        /// Which episode.
        episode: EpisodeId,
        /// At whom.
        agent: AgentId,
        /// For which team he would serve it.
        via: TeamId,
    },
    /// The offer ended without acceptance; the customer waits again, with his age.
    OfferEnded {
        /// Which episode.
        episode: EpisodeId,
        /// Who had been asked.
        agent: AgentId,
        /// How it ended.
        why: Unaccepted,
    },
    /// Everybody who could serve the customer had been excluded: forgotten.
    ExclusionsCleared {
        /// Which episode.
        episode: EpisodeId,
    },
    /// The agent serves the episode now; whoever did before does not.
    Assigned {
        /// Which episode.
        episode: EpisodeId,
        /// Who.
        agent: AgentId,
        /// For which team.
        via: TeamId,
        /// How he got it.
        how: How,
    },
    /// The agent lost the customer, who waits again at the head, with his age.
    Requeued {
        /// Which episode.
        episode: EpisodeId,
        /// Why.
        why: Requeue,
    },
    /// A transfer waits for its receiver; the giver serves on.
    TransferOffered {
        /// Which episode.
        episode: EpisodeId,
        /// Who gives.
        by: AgentId,
        /// Who is asked.
        to: AgentId,
        /// For which team he would serve it.
        via: TeamId,
        /// What the giver wrote about it.
        note: Box<str>,
    },
    /// The transfer ended without acceptance; the giver keeps the customer.
    TransferEnded {
        /// Which episode.
        episode: EpisodeId,
        /// How it ended.
        why: Unaccepted,
    },
    /// The customer waits for another team.
    TeamTransferred {
        /// Which episode.
        episode: EpisodeId,
        /// Who gave.
        by: AgentId,
        /// For which team.
        team: TeamId,
        /// What he needs there.
        skills: Skills,
        /// What the giver wrote about it.
        note: Box<str>,
    },
    /// The episode is on hold.
    Held {
        /// Which.
        episode: EpisodeId,
    },
    /// The episode is off hold.
    Resumed {
        /// Which.
        episode: EpisodeId,
    },
    /// The agent was warned that the customer waits for a first answer.
    AnswerWarned {
        /// Which episode.
        episode: EpisodeId,
    },
    /// The customer was warned that the episode will be closed.
    IdleWarned {
        /// Which episode.
        episode: EpisodeId,
    },
    /// A supervisor began, changed or (`None`) ended his part in an episode.
    Supervised {
        /// Which episode.
        episode: EpisodeId,
        /// Who.
        by: AgentId,
        /// What he does there.
        level: Option<Supervision>,
    },
    /// The episode ended.
    Closed {
        /// Which.
        episode: EpisodeId,
        /// Why.
        why: Ending,
    },
    /// The slot that an ended episode still took is free.
    WrappedUp {
        /// Whose slot.
        agent: AgentId,
        /// Which episode.
        episode: EpisodeId,
    },
    /// The customer rated an ended episode.
    Rated {
        /// Which.
        episode: EpisodeId,
        /// 1 to 5.
        stars: u8,
        /// What he wrote.
        text: Box<str>,
    },
    /// A message was recalled.
    Recalled {
        /// In which episode.
        episode: EpisodeId,
        /// Which message.
        seq: u64,
    },
}

impl Record {
    /// The episode that it is about, if it is about one.
    #[must_use]
    pub fn episode(&self) -> Option<EpisodeId> {
        match self {
            Record::Opened { episode, .. }
            | Record::CustomerLink { episode, .. }
            | Record::CustomerSaid { episode, .. }
            | Record::AgentSaid { episode, .. }
            | Record::Widened { episode, .. }
            | Record::Offered { episode, .. }
            | Record::OfferEnded { episode, .. }
            | Record::ExclusionsCleared { episode }
            | Record::Assigned { episode, .. }
            | Record::Requeued { episode, .. }
            | Record::TransferOffered { episode, .. }
            | Record::TransferEnded { episode, .. }
            | Record::TeamTransferred { episode, .. }
            | Record::Held { episode }
            | Record::Resumed { episode }
            | Record::AnswerWarned { episode }
            | Record::IdleWarned { episode }
            | Record::Supervised { episode, .. }
            | Record::Closed { episode, .. }
            | Record::WrappedUp { episode, .. }
            | Record::Rated { episode, .. }
            | Record::Recalled { episode, .. } => Some(*episode),
            _ => None,
        }
    }
}
