//! What is known, for whoever shows it: the driver, the API, the console. Nothing here decides.

use super::Desk;
use super::settings::{AgentSettings, DeskSettings, TeamSettings};
use super::types::{AgentId, AgentStatus, Ending, EpisodeId, Skills, Stage, Supervision, TeamId};
use crate::ids::ConversationId;
use crate::time::Time;

/// An open episode.
#[derive(Debug, Clone, Copy)]
pub struct EpisodeView<'a> {
    /// Its number.
    pub episode: EpisodeId,
    /// Whose.
    pub conversation: ConversationId,
    /// The team for which the customer waits or is served.
    pub team: TeamId,
    /// What he needs.
    pub skills: Skills,
    /// Levels of priority.
    pub priority: u8,
    /// Where it stands.
    pub stage: Stage,
    /// Since when.
    pub stage_at: Time,
    /// From when its age counts.
    pub queued_at: Time,
    /// Its first message in the conversation's log.
    pub first_seq: u64,
    /// The last one known.
    pub last_seq: u64,
    /// Whether the customer has a session.
    pub customer_live: bool,
    /// Whether it is a left message: the customer is not expected to be there.
    pub left: bool,
    /// What whoever gave him to this team wrote.
    pub note: Option<&'a (AgentId, Box<str>)>,
    /// Who is asked to take it over.
    pub transfer_to: Option<AgentId>,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceView {
    /// Who stands there.
    pub episode: EpisodeId,
    /// From 1, among those who need the same.
    pub position: u64,
    /// How long he is expected to wait, milliseconds; `None` while too little is known.
    pub wait_ms: Option<u64>,
}

/// An ended episode that can still be rated.
#[derive(Debug, Clone, Copy)]
pub struct EndedView {
    /// Whose.
    pub conversation: ConversationId,
    /// Who served it last.
    pub agent: Option<AgentId>,
    /// Why it ended.
    pub why: Ending,
}

/// An agent.
#[derive(Debug, Clone, Copy)]
pub struct AgentView<'a> {
    /// His number.
    pub agent: AgentId,
    /// His settings.
    pub settings: &'a AgentSettings,
    /// What he says of himself.
    pub status: AgentStatus,
    /// Whether he has a session.
    pub live: bool,
    /// Episodes that he serves.
    pub serving: usize,
    /// Slots taken, in thousandths.
    pub load_permille: u64,
}

impl Desk {
    /// The open episode of a conversation.
    #[must_use]
    pub fn open_episode(&self, conversation: ConversationId) -> Option<EpisodeView<'_>> {
        self.episode(*self.state.open.get(&conversation)?)
    }

    /// An open episode.
    #[must_use]
    pub fn episode(&self, id: EpisodeId) -> Option<EpisodeView<'_>> {
        let episode = self.state.episodes.get(&id)?;
        Some(EpisodeView {
            episode: id,
            conversation: episode.conversation,
            team: episode.team,
            skills: episode.skills,
            priority: episode.priority,
            stage: episode.stage,
            stage_at: episode.stage_at,
            queued_at: episode.queued_at,
            first_seq: episode.first_seq,
            last_seq: episode.last_seq,
            customer_live: episode.customer_lost_at.is_none(),
            left: episode.left,
            note: episode.note.as_ref(),
            transfer_to: episode.transfer.as_ref().map(|transfer| transfer.to),
        })
    }

    /// All open episodes, the oldest first.
    pub fn episodes(&self) -> impl Iterator<Item = EpisodeView<'_>> {
        let ids = self.state.episodes.keys();
        ids.filter_map(|id| self.episode(*id))
    }

    /// Everybody who waits, and where: not those at whom an offer rings.
    pub fn places(&self) -> impl Iterator<Item = PlaceView> {
        self.state.pool.classes.iter().flat_map(|class| {
            (1..)
                .zip(&class.waiting)
                .map(|(position, place)| PlaceView {
                    episode: place.episode,
                    position,
                    wait_ms: class.rate.wait_ms(position),
                })
        })
    }

    /// An ended episode that can still be rated.
    #[must_use]
    pub fn ended_episode(&self, id: EpisodeId) -> Option<EndedView> {
        let ended = self.state.ended.get(&id)?;
        Some(EndedView {
            conversation: ended.conversation,
            agent: ended.agent,
            why: ended.why,
        })
    }

    /// Who takes part in an episode beside its agent.
    #[must_use]
    pub fn supervisors(&self, id: EpisodeId) -> Vec<(AgentId, Supervision)> {
        let episode = self.state.episodes.get(&id);
        let parts = episode.map(|e| e.supervisors.iter().map(|(id, level)| (*id, *level)));
        parts.into_iter().flatten().collect()
    }

    /// An agent.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<AgentView<'_>> {
        let agent = self.state.agents.get(&id)?;
        Some(AgentView {
            agent: id,
            settings: &agent.settings,
            status: agent.status,
            live: agent.live,
            serving: self.serves(id).len(),
            load_permille: agent.load_permille(&self.state.settings),
        })
    }

    /// All agents, by number.
    pub fn agents(&self) -> impl Iterator<Item = AgentView<'_>> {
        self.state.agents.keys().filter_map(|id| self.agent(*id))
    }

    /// The tenant's settings.
    #[must_use]
    pub fn settings(&self) -> &DeskSettings {
        &self.state.settings
    }

    /// A team's settings.
    #[must_use]
    pub fn team(&self, id: TeamId) -> Option<&TeamSettings> {
        self.state.teams.get(&id)
    }

    /// Whether the team is within its business hours.
    #[must_use]
    pub fn is_open(&self, team: TeamId) -> bool {
        !self.state.closed.contains(&team)
    }

    /// The desk's time plus this is wall-clock time, milliseconds.
    #[must_use]
    pub fn wall_ahead_ms(&self) -> i64 {
        self.state.wall_ahead_ms
    }

    /// The time of the last step or record.
    #[must_use]
    pub fn time(&self) -> Time {
        self.now
    }
}
