//! The customer-service dispatcher: one pure machine per tenant. `docs/dispatcher.md`
//! tells the same to somebody who does not read Rust.
//!
//! [`Desk::step`] takes an [`Event`] and the time, and answers with [`Action`]s. Those that are
//! [`Action::Store`] are the transitions: records that rebuild the desk ([`Desk::rebuild`]).
//! Nothing else changes state: `step` decides, `apply` changes, and a step's later decisions see
//! what its earlier records did. The driver commits a step's records in one transaction and carries
//! out the other actions afterwards; if the commit fails it throws the machine away and rebuilds it.
//!
//! # How a customer is assigned
//!
//! 1. He arrives ([`Event::Arrive`]) and gets a place in the queue of his *class*: his team, the
//!    skills he needs, the overflow teams that his age has opened. Places are ordered by arrival,
//!    made earlier by priority; whoever lost his agent stands before the others.
//! 2. In the same step ([`dispatch`]) the machine looks for an agent: online, with a live session,
//!    with a whole slot free for the tenant and for the team, with the skills, not excluded, and
//!    not down to slots that are reserved for a rarer skill. His former agent if that one is free
//!    now; else the least flexible, then the least loaded, then the one longest without an
//!    assignment.
//! 3. There is one: he is assigned, or, where the team or the agent rings, offered. Either takes
//!    the slot at once, so no second decision can use it. There is none: he waits and hears his
//!    place.
//! 4. Whenever an agent may have become able to take somebody (a slot came free, he came online, a
//!    setting changed), the first in the queues that he serves is assigned, again to the best agent
//!    of step 2. Nothing is polled; there is no sweep.
//!
//! What lives where: `types` `settings` `event` `record` words; `state` `pool` `estimate` what is
//! known, `snapshot` all of it; `apply` `apply_episode` how records change it; `dispatch` who gets whom; `due` what time brings;
//! `customer` `agent` `handover` what people ask for; `notices` who is told of places. No text of
//! a message passes through here, only its number in the conversation's log.

mod agent;
mod apply;
mod apply_episode;
mod customer;
mod dispatch;
mod due;
mod estimate;
mod event;
mod handover;
mod notices;
mod pool;
mod record;
mod settings;
mod snapshot;
mod state;
mod types;
mod view;

#[cfg(test)]
mod tests;

pub use event::{Action, Asker, Event, Refusal};
pub use record::{Entry, Record};
pub use settings::{
    AgentSettings, DeskSettings, Holiday, Membership, Opening, RESERVING_SKILLS_MIN, Ring,
    TeamSettings, Wanted,
};
pub use snapshot::{Snapshot, SnapshotError};
pub use types::{
    AgentId, AgentStatus, CustomerAssignStatus, Ending, EpisodeId, How, Mode, Order, Party,
    Requeue, Skills, Stage, Supervision, Target, TeamId, Unaccepted,
};

pub use view::{AgentView, EndedView, EpisodeView, PlaceView};

use crate::ids::ConversationId;
use crate::limits;
use crate::time::Time;
use due::Deadlines;
use notices::Positions;
use state::State;

/// The dispatcher of one tenant.
///
/// Its time is milliseconds since 1970 UTC as read when the process started (or the time of the
/// last record, if that lies later), advanced by a clock that never runs backwards: so ages go on
/// over a restart. A time before one that it has seen counts as that one.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    state: State,
    now: Time,
    deadlines: Deadlines,
    positions: Positions,
}

impl Desk {
    /// An empty desk.
    #[must_use]
    pub fn new() -> Desk {
        Desk::default()
    }

    /// The desk that wrote these records. The first event for it is [`Event::Restarted`], unless
    /// only a commit failed and the sessions live on: then [`Event::Due`].
    #[must_use]
    pub fn rebuild<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Desk {
        Desk::default().go_on(entries)
    }

    /// The desk that wrote these records after the snapshot, as [`Desk::rebuild`] makes it of all.
    ///
    /// # Errors
    /// If the snapshot is of another version: then there is nothing but to rebuild it.
    pub fn restore<'a>(
        snapshot: Snapshot,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<Desk, SnapshotError> {
        let state = snapshot.into_state()?;
        let desk = Desk {
            now: state.recorded_at,
            state,
            ..Desk::default()
        };
        Ok(desk.go_on(entries))
    }

    /// All that the records so far have made. Small: of ended episodes there is only what can
    /// still be rated.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.state)
    }

    /// The desk after these records, too. It was made from records and has decided nothing since.
    #[must_use]
    pub fn go_on<'a>(mut self, entries: impl IntoIterator<Item = &'a Entry>) -> Desk {
        let desk = &mut self;
        for entry in entries {
            desk.now = desk.now.max(entry.time);
            desk.state.apply(entry);
        }
        // The step that wrote the last record left nothing to be done but what is made anew here.
        desk.state.todo = state::Todo::default();
        desk.deadlines_anew();
        desk.positions_anew();
        self
    }

    /// Decides. Actions are appended.
    pub fn step(&mut self, now: Time, event: Event, actions: &mut Vec<Action>) {
        self.now = self.now.max(now);
        if event == Event::Restarted {
            // First of all: what fell due while we were down was nobody's fault.
            self.on_restarted(actions);
            self.settle_deadlines();
        }
        for _ in 0..limits::DESK_DUE_PER_STEP_MAX {
            let Some(whose) = self.deadlines.pop_due(self.now) else {
                break;
            };
            self.fire(whose, actions);
            self.settle_deadlines();
        }
        self.dispatch(actions);
        self.take(event, actions);
        self.mind_attendance(actions);
        self.dispatch(actions);
        self.tell_places(actions);
        self.settle_deadlines();
    }

    /// When [`Event::Due`] is wanted.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next()
    }

    fn take(&mut self, event: Event, out: &mut Vec<Action>) {
        match event {
            // A restart was dealt with before anything that fell due.
            Event::Due | Event::Restarted => {}
            Event::Settings(settings) => self.on_settings(settings, out),
            Event::Team(team, settings) => self.on_team(team, settings, out),
            Event::Agent(agent, settings) => self.on_agent(agent, settings, out),
            Event::TeamOpen(team, open) => self.on_team_open(team, open, out),
            Event::RemoveAgent(agent) => self.on_remove_agent(agent, out),
            Event::WallClock(ahead_ms) => self.record(Record::WallClock { ahead_ms }, out),
            Event::Bind(agent, status) => self.on_bind(agent, status, out),
            Event::AgentLost(agent) => self.on_agent_lost(agent, out),
            Event::SetStatus {
                agent,
                status,
                hand_over,
            } => {
                self.on_set_status(agent, status, hand_over, out);
            }
            Event::Accept(agent, episode) => self.on_accept(agent, episode, out),
            Event::Decline(agent, episode) => self.on_decline(agent, episode, out),
            Event::Pull(agent, episode) => self.on_pull(agent, episode, out),
            Event::AgentSays {
                agent,
                episode,
                seq,
                internal,
            } => {
                self.on_agent_says(agent, episode, seq, internal, out);
            }
            Event::Hold(agent, episode) => self.on_hold(agent, episode, true, out),
            Event::Resume(agent, episode) => self.on_hold(agent, episode, false, out),
            Event::Close(agent, episode) => self.on_close(agent, episode, out),
            Event::WrapUpDone(agent, episode) => self.on_wrap_up_done(agent, episode, out),
            Event::Transfer {
                agent,
                episode,
                to,
                note,
            } => {
                self.on_transfer(agent, episode, to, note, out);
            }
            Event::Supervise(agent, episode, level) => {
                self.on_supervise(agent, episode, level, out);
            }
            Event::TakeOver(agent, episode) => self.on_take_over(agent, episode, out),
            Event::Recall {
                by,
                episode,
                seq,
                written,
            } => {
                self.on_recall(by, episode, seq, written, out);
            }
            other => self.take_from_customer(other, out),
        }
    }

    fn take_from_customer(&mut self, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Arrive {
                conversation,
                wanted,
                seq,
            } => {
                self.on_arrive(conversation, wanted, seq, out);
            }
            Event::CustomerLink { conversation, live } => {
                self.on_customer_link(conversation, live, out);
            }
            Event::CustomerLeaves(conversation) => self.on_customer_leaves(conversation, out),
            Event::LeaveMessage(conversation) => self.on_leave_message(conversation, out),
            Event::Rate {
                conversation,
                episode,
                stars,
                text,
            } => {
                self.on_rate(conversation, episode, stars, text, out);
            }
            _ => {}
        }
    }

    /// The one way to change something.
    fn record(&mut self, record: Record, out: &mut Vec<Action>) {
        let entry = Entry {
            time: self.now,
            record,
        };
        self.state.apply(&entry);
        out.push(Action::Store(entry));
    }

    // What a driver may ask. None of it decides anything.

    /// The customer's open episode.
    #[must_use]
    pub fn episode_of(&self, conversation: ConversationId) -> Option<EpisodeId> {
        self.state.open.get(&conversation).copied()
    }

    /// Where an open episode stands.
    #[must_use]
    pub fn stage(&self, episode: EpisodeId) -> Option<Stage> {
        self.state
            .episodes
            .get(&episode)
            .map(|episode| episode.stage)
    }

    /// OCIM's word for where a customer stands.
    #[must_use]
    pub fn assign_status(&self, conversation: ConversationId) -> CustomerAssignStatus {
        self.episode_of(conversation)
            .and_then(|episode| self.stage(episode))
            .map_or(CustomerAssignStatus::Unassigned, Stage::assign_status)
    }

    /// An agent's status as others see it.
    #[must_use]
    pub fn agent_status(&self, agent: AgentId) -> Option<AgentStatus> {
        self.state.agents.get(&agent).map(|agent| agent.status)
    }

    /// The open episodes that an agent serves, in order of their numbers: what he is told again
    /// when he binds.
    #[must_use]
    pub fn serves(&self, agent: AgentId) -> Vec<EpisodeId> {
        let Some(known) = self.state.agents.get(&agent) else {
            return Vec::new();
        };
        let own = |id: &&EpisodeId| {
            self.stage(**id)
                .is_some_and(|stage| stage.owner() == Some(agent))
        };
        known.slots.keys().filter(own).copied().collect()
    }

    /// How many wait for the team.
    #[must_use]
    pub fn waiting(&self, team: TeamId) -> u64 {
        self.state.waiting.get(&team).copied().unwrap_or(0)
    }

    /// Why an episode ended and how it was rated, as long as it can be rated.
    #[must_use]
    pub fn ended(&self, episode: EpisodeId) -> Option<(Ending, Option<u8>)> {
        self.state
            .ended
            .get(&episode)
            .map(|ended| (ended.why, ended.stars))
    }
}
