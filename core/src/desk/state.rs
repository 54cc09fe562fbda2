//! What a desk knows: rebuilt from records, never changed by anything else (`apply.rs`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::pool::{ClassId, GroupId, Need, Place, Pool, Rank, Standing, Turn};
use super::settings::{AgentSettings, DeskSettings, TeamSettings};
use super::types::{
    AgentId, AgentStatus, Ending, EpisodeId, Mode, Order, Skills, Stage, Supervision, TeamId,
};
use crate::ids::ConversationId;
use crate::time::Time;

/// What one slot counts, so that an episode on hold can count less.
pub(super) const SLOT_PERMILLE: u64 = 1000;

/// A transfer that waits for its receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub(super) by: AgentId,
    pub(super) to: AgentId,
    pub(super) via: TeamId,
    pub(super) note: Box<str>,
    pub(super) at: Time,
}

/// An open episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Episode {
    pub(super) conversation: ConversationId,
    pub(super) team: TeamId,
    pub(super) skills: Skills,
    pub(super) priority: u8,
    pub(super) former: Option<AgentId>,
    pub(super) excluded: Vec<AgentId>,
    /// How many of `excluded` came with him and stay; the others missed or declined him.
    pub(super) barred: usize,
    /// Who gave him away, until whoever has him now has written to him: he does not come back to
    /// them by himself.
    pub(super) givers: Vec<AgentId>,
    pub(super) stage: Stage,
    /// Since when the stage is what it is.
    pub(super) stage_at: Time,
    /// From when its age counts: its arrival. A requeue does not touch it.
    pub(super) queued_at: Time,
    /// Before whom it stands, while it waits.
    pub(super) rank: Rank,
    /// A message was left: the customer is not expected to be there until he writes again.
    pub(super) left: bool,
    /// Something that he wrote was sent to no agent.
    pub(super) unseen: bool,
    /// Time spent waiting in earlier turns, milliseconds.
    pub(super) waited_ms: u64,
    pub(super) rings: u32,
    pub(super) class: ClassId,
    /// Its place in the class's queue, while it waits.
    pub(super) place: Option<Place>,
    /// How many agents it has had.
    pub(super) assignments: u32,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    /// Its agent has written to the customer.
    pub(super) answered: bool,
    pub(super) answer_warned: bool,
    /// The customer owes the next word: somebody wrote to him, and he has not written since.
    pub(super) customer_owes: bool,
    /// When anybody last wrote.
    pub(super) written_at: Time,
    pub(super) idle_warned: bool,
    /// Since when the customer has no session.
    pub(super) customer_lost_at: Option<Time>,
    pub(super) transfer: Option<Transfer>,
    /// What whoever gave him to this team wrote for the agent who will serve him.
    pub(super) note: Option<(AgentId, Box<str>)>,
    pub(super) supervisors: BTreeMap<AgentId, Supervision>,
    pub(super) recalled: BTreeSet<u64>,
}

/// An ended episode, for as long as it can be rated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) conversation: ConversationId,
    pub(super) agent: Option<AgentId>,
    pub(super) why: Ending,
    pub(super) until: Time,
    pub(super) stars: Option<u8>,
    pub(super) recalled: BTreeSet<u64>,
}

/// What takes a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Use {
    /// An offer or transfer that he has not answered.
    Offered,
    Active,
    Held,
    /// Work after the end of the episode, until then.
    WrapUp(Time),
}

/// One slot of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) used: Use,
    pub(super) via: TeamId,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Agent {
    pub(super) settings: AgentSettings,
    pub(super) group: GroupId,
    pub(super) status: AgentStatus,
    pub(super) live: bool,
    /// Since when he has no session.
    pub(super) lost_at: Option<Time>,
    /// His customers were told that he is away.
    pub(super) away_told: bool,
    pub(super) misses: u32,
    pub(super) assigned_at: Time,
    /// His place in the round: last automatic assignment, or since when he is available.
    pub(super) score: Time,
    pub(super) slots: BTreeMap<EpisodeId, Slot>,
    pub(super) standings: Vec<Standing>,
}

impl Agent {
    fn weight(used: Use, settings: &DeskSettings) -> u64 {
        match used {
            Use::Held => u64::from(settings.hold_weight_permille),
            Use::Offered | Use::Active | Use::WrapUp(_) => SLOT_PERMILLE,
        }
    }

    /// What his slots count, in thousandths.
    pub(super) fn load_permille(&self, settings: &DeskSettings) -> u64 {
        self.slots
            .values()
            .map(|slot| Agent::weight(slot.used, settings))
            .sum()
    }

    fn load_permille_via(&self, team: TeamId, settings: &DeskSettings) -> u64 {
        let of_team = self.slots.values().filter(|slot| slot.via == team);
        of_team.map(|slot| Agent::weight(slot.used, settings)).sum()
    }

    /// Whether he may be given something at all.
    pub(super) fn takes_customers(&self) -> bool {
        self.live && self.status == AgentStatus::Online
    }

    /// Whether he has taken more himself than he has slots for.
    pub(super) fn overloaded(&self, settings: &DeskSettings) -> bool {
        let above = |load: u64, slots: u32| load > u64::from(slots) * SLOT_PERMILLE;
        above(self.load_permille(settings), self.settings.capacity)
            || self.settings.teams.iter().any(|member| {
                above(
                    self.load_permille_via(member.team, settings),
                    member.capacity,
                )
            })
    }

    /// Whether he has a whole slot left, over all and for the team.
    pub(super) fn has_slot(&self, team: TeamId, settings: &DeskSettings) -> bool {
        let Some(member) = self
            .settings
            .teams
            .iter()
            .find(|member| member.team == team)
        else {
            return false;
        };
        let (all, own) = (
            u64::from(self.settings.capacity),
            u64::from(member.capacity),
        );
        self.load_permille(settings) + SLOT_PERMILLE <= all * SLOT_PERMILLE
            && self.load_permille_via(team, settings) + SLOT_PERMILLE <= own * SLOT_PERMILLE
    }
}

/// Whose deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    Episode(EpisodeId),
    Agent(AgentId),
    /// The places of a class are looked at.
    Positions(ClassId),
}

/// What a record has left to be looked at: not state, emptied by every step.
#[derive(Debug, Clone, Default)]
pub(super) struct Todo {
    /// Agents who may have become able to take somebody.
    pub(super) agents: BTreeSet<AgentId>,
    /// Who began to wait, or waits for more agents than before, in order.
    pub(super) episodes: BTreeSet<Place>,
    /// Whose deadlines may have moved.
    pub(super) deadlines: Vec<Whose>,
    /// Places taken (+1) and left (−1) in the queues.
    pub(super) places: Vec<(ClassId, Place, i64)>,
    /// Somebody came, went or changed: a customer may be excluded from all who are there now.
    pub(super) roster_moved: bool,
    /// Agents came or went, a team opened or closed, or somebody began to wait: left messages may
    /// be taken up, and who waits may have nobody who could come.
    pub(super) attendance_moved: bool,
}

/// Everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) settings: DeskSettings,
    pub(super) teams: BTreeMap<TeamId, TeamSettings>,
    /// Teams outside their business hours.
    pub(super) closed: BTreeSet<TeamId>,
    pub(super) agents: BTreeMap<AgentId, Agent>,
    pub(super) episodes: BTreeMap<EpisodeId, Episode>,
    pub(super) open: BTreeMap<ConversationId, EpisodeId>,
    pub(super) ended: BTreeMap<EpisodeId, Ended>,
    pub(super) ended_until: BTreeSet<(Time, EpisodeId)>,
    /// Left messages that wait for a team to open, or for somebody who serves it.
    pub(super) left: BTreeSet<EpisodeId>,
    /// Queued by team.
    pub(super) waiting: BTreeMap<TeamId, u64>,
    /// Queued episodes that somebody missed or declined.
    pub(super) excluding: BTreeSet<EpisodeId>,
    pub(super) pool: Pool,
    pub(super) episodes_made: u64,
    pub(super) wall_ahead_ms: i64,
    pub(super) restarted_at: Time,
    /// When the last record was written.
    pub(super) recorded_at: Time,
    #[serde(skip)]
    pub(super) todo: Todo,
}

impl State {
    /// What the episode needs at this moment.
    pub(super) fn need(&self, episode: &Episode) -> Need {
        let mut need = Need {
            teams: vec![episode.team],
            skills: episode.skills,
        };
        if let Some(team) = self.teams.get(&episode.team) {
            for ring in team.rings.iter().take(episode.rings as usize) {
                need.skills = need.skills.without(ring.waive);
                if let Some(join) = ring.join
                    && !need.teams.contains(&join)
                {
                    need.teams.push(join);
                }
            }
        }
        need
    }

    /// Its place in the queue, while it waits.
    pub(super) fn place(&self, id: EpisodeId, episode: &Episode) -> Place {
        let boost_ms = u64::from(episode.priority) * self.settings.priority_boost_ms;
        let since_ms = i64::try_from(episode.queued_at.0).unwrap_or(i64::MAX);
        let boost_ms = i64::try_from(boost_ms).unwrap_or(i64::MAX);
        let since_ms = since_ms.saturating_sub(boost_ms);
        Place {
            rank: episode.rank,
            since_ms,
            episode: id,
        }
    }

    /// Whether the agent has the skills for an episode, and serves one of its teams.
    pub(super) fn is_for(&self, id: EpisodeId, agent: &Agent) -> bool {
        self.episodes.get(&id).is_some_and(|episode| {
            let need = self.need(episode);
            let mut teams = agent.settings.teams.iter();
            agent.settings.skills.covers(need.skills)
                && teams.any(|member| need.teams.contains(&member.team))
        })
    }

    /// How the agent comes to customers of the team.
    pub(super) fn mode(&self, agent: &Agent, team: TeamId) -> Mode {
        let of_team = self
            .teams
            .get(&team)
            .map_or(Mode::Automatic, |team| team.mode);
        of_team.max(agent.settings.mode)
    }

    /// Puts the agent among the free where he belongs now. Called after whatever touches his
    /// slots, status, session or settings.
    pub(super) fn stand_anew(&mut self, id: AgentId) {
        let Some(mut agent) = self.agents.remove(&id) else {
            return;
        };
        for standing in agent.standings.drain(..) {
            self.pool.unstand(agent.group, standing);
        }
        if agent.takes_customers() {
            agent.standings = self.standings(id, &agent);
            for standing in &agent.standings {
                self.pool.stand(agent.group, *standing);
            }
            if !agent.standings.is_empty() {
                self.todo.agents.insert(id);
            }
        }
        self.agents.insert(id, agent);
    }

    fn standings(&self, id: AgentId, agent: &Agent) -> Vec<Standing> {
        let group = &self.pool.groups[agent.group.0];
        let capacity = u64::from(agent.settings.capacity);
        let load = agent.load_permille(&self.settings);
        let free_slots = (capacity * SLOT_PERMILLE).saturating_sub(load) / SLOT_PERMILLE;
        let kept = u64::from(self.settings.reserved_slots);
        // Who has no other slot than the reserved ones would never serve anybody else.
        let reserved = group.reserves() && capacity > kept && free_slots <= kept;
        let mut standings = Vec::new();
        if free_slots == 0 {
            return standings;
        }
        for (index, team) in group.teams.iter().enumerate() {
            if self.mode(agent, *team) == Mode::Pull || !agent.has_slot(*team, &self.settings) {
                continue;
            }
            let order = self
                .teams
                .get(team)
                .map_or(Order::LeastFlexible, |team| team.order);
            let turn = match order {
                Order::RoundRobin => Turn {
                    load_ppm: 0,
                    since: agent.score,
                    agent: id,
                },
                Order::LeastFlexible | Order::MostIdle => {
                    let load_ppm = load * 1000 / capacity.max(1);
                    Turn {
                        load_ppm,
                        since: agent.assigned_at,
                        agent: id,
                    }
                }
            };
            standings.push(Standing {
                team: index,
                reserved,
                turn,
            });
        }
        standings
    }

    /// Whether everybody who takes customers and could serve the episode is excluded from it.
    pub(super) fn all_excluded(&self, episode: &Episode) -> bool {
        let serving = |agent: &Agent| {
            self.pool.classes[episode.class.0]
                .served_by
                .iter()
                .any(|(id, _)| *id == agent.group)
        };
        let missed = episode.excluded.iter().skip(episode.barred);
        let mut excluded = missed.filter_map(|id| self.agents.get(id));
        let excluded = excluded.any(|agent| agent.takes_customers() && serving(agent));
        // Only if somebody would be won is the whole roster looked at.
        excluded
            && !self.agents.iter().any(|(id, agent)| {
                agent.takes_customers() && serving(agent) && !episode.is_barred(*id)
            })
    }
}
