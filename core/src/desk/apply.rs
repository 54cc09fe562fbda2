//! The only place where the desk's state changes (with `apply_episode.rs`): one record at a time.
//!
//! Nothing is decided here. A record that names something unknown changes nothing, so a log that
//! was cut by retention can still be read.

use std::collections::BTreeMap;

use super::record::{Entry, Record};
use super::settings::{AgentSettings, TeamSettings};
use super::state::{Agent, SLOT_PERMILLE, Slot, State, Use, Whose};
use super::types::{AgentId, AgentStatus, EpisodeId, Stage, TeamId};
use crate::time::Time;

impl State {
    /// Applies one record.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let now = entry.time;
        self.recorded_at = self.recorded_at.max(now);
        self.forget_ended(now);
        match &entry.record {
            Record::Settings(settings) => {
                self.settings = settings.clone();
                self.all_anew(now);
            }
            Record::Team { team, settings } => self.apply_team(now, *team, settings),
            Record::Agent { agent, settings } => self.apply_agent(now, *agent, settings),
            Record::AgentRemoved { agent } => self.apply_agent_removed(*agent),
            Record::TeamOpen { team, open } => self.apply_team_open(*team, *open),
            Record::AwayTold { agent } => self.apply_away_told(*agent),
            Record::WallClock { ahead_ms } => self.wall_ahead_ms = *ahead_ms,
            Record::Restarted => self.apply_restarted(now),
            Record::Status { agent, status } => self.apply_status(now, *agent, *status),
            Record::AgentLink { agent, live } => self.apply_agent_link(now, *agent, *live),
            Record::Opened {
                episode,
                conversation,
                wanted,
                seq,
                left,
            } => {
                self.apply_opened(now, *episode, *conversation, wanted, *seq);
                if *left {
                    self.apply_left(now, *episode);
                }
            }
            Record::OfferEnded {
                episode,
                agent,
                why,
            } => {
                self.apply_offer_ended(now, *episode, *agent, *why);
            }
            Record::Offered {
                episode,
                agent,
                via,
            } => {
                let stage = Stage::Offered {
                    agent: *agent,
                    via: *via,
                };
                self.leave_queue(now, *episode, stage);
                self.take_slot(*agent, *episode, Use::Offered, *via);
            }
            Record::Assigned {
                episode,
                agent,
                via,
                how,
            } => {
                self.apply_assigned(now, *episode, *agent, *via, *how);
            }
            Record::Closed { episode, why } => self.apply_closed(now, *episode, *why),
            Record::WrappedUp { agent, episode } => self.free_slot(now, *agent, *episode),
            Record::Rated { episode, stars, .. } => {
                if let Some(ended) = self.ended.get_mut(episode) {
                    ended.stars = Some(*stars);
                }
            }
            other => self.apply_to_episode(now, other),
        }
    }

    fn forget_ended(&mut self, now: Time) {
        while let Some((until, id)) = self.ended_until.first().copied() {
            if until > now {
                break;
            }
            self.ended_until.pop_first();
            self.ended.remove(&id);
        }
    }

    // Settings.

    fn apply_team(&mut self, now: Time, id: TeamId, settings: &TeamSettings) {
        self.teams.insert(id, settings.clone());
        self.waiting.entry(id).or_default();
        self.todo.attendance_moved = true;
        self.all_anew(now);
    }

    fn apply_team_open(&mut self, id: TeamId, open: bool) {
        match open {
            true => self.closed.remove(&id),
            false => self.closed.insert(id),
        };
        self.todo.attendance_moved = true;
    }

    fn apply_away_told(&mut self, id: AgentId) {
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.away_told = true;
        }
        self.todo.deadlines.push(Whose::Agent(id));
    }

    /// After a change of settings that may concern anybody.
    fn all_anew(&mut self, now: Time) {
        for id in self.agents.keys().copied().collect::<Vec<_>>() {
            self.stand_anew(id);
            self.todo.deadlines.push(Whose::Agent(id));
        }
        for id in self.episodes.keys().copied().collect::<Vec<_>>() {
            self.reclass(now, id);
        }
    }

    fn apply_agent(&mut self, now: Time, id: AgentId, settings: &AgentSettings) {
        let mut agent = match self.agents.remove(&id) {
            Some(mut agent) => {
                for standing in agent.standings.drain(..) {
                    self.pool.unstand(agent.group, standing);
                }
                let moved = self.pool.discharge(agent.group, agent.settings.capacity);
                self.todo.agents.extend(moved);
                agent
            }
            None => Agent::new(now, settings),
        };
        let mut teams: Vec<TeamId> = settings.teams.iter().map(|member| member.team).collect();
        teams.sort_unstable();
        teams.dedup();
        let (group, moved) = self.pool.enrol(teams, settings.skills, settings.capacity);
        self.todo.agents.extend(moved);
        agent.group = group;
        agent.settings = settings.clone();
        self.agents.insert(id, agent);
        self.stand_anew(id);
        self.todo.roster_moved = true;
        self.todo.attendance_moved = true;
    }

    fn apply_agent_removed(&mut self, id: AgentId) {
        let Some(mut agent) = self.agents.remove(&id) else {
            return;
        };
        for standing in agent.standings.drain(..) {
            self.pool.unstand(agent.group, standing);
        }
        let moved = self.pool.discharge(agent.group, agent.settings.capacity);
        self.todo.agents.extend(moved);
        self.todo.agents.remove(&id);
        self.todo.roster_moved = true;
        self.todo.attendance_moved = true;
        self.todo.deadlines.push(Whose::Agent(id));
    }

    fn apply_restarted(&mut self, now: Time) {
        self.restarted_at = now;
        for id in self.agents.keys().copied().collect::<Vec<_>>() {
            self.apply_agent_link(now, id, false);
        }
        for id in self.episodes.keys().copied().collect::<Vec<_>>() {
            self.edit(id, |e| e.customer_lost_at = Some(now));
        }
    }

    // Agents.

    fn apply_status(&mut self, now: Time, id: AgentId, status: AgentStatus) {
        let Some(agent) = self.agents.get_mut(&id) else {
            return;
        };
        if status == AgentStatus::Online && agent.status != AgentStatus::Online {
            agent.score = now;
        }
        if status != AgentStatus::NotResponding {
            agent.misses = 0;
        }
        agent.status = status;
        self.agent_moved(id);
    }

    fn apply_agent_link(&mut self, now: Time, id: AgentId, live: bool) {
        let Some(agent) = self.agents.get_mut(&id) else {
            return;
        };
        agent.lost_at = if live { None } else { Some(now) };
        agent.live = live;
        agent.away_told = false;
        if live {
            // His session begins with all that was written.
            for episode in agent.slots.keys().copied().collect::<Vec<_>>() {
                if self.owner(episode) == Some(id) {
                    self.edit(episode, |e| e.unseen = false);
                }
            }
        }
        self.agent_moved(id);
    }

    fn agent_moved(&mut self, id: AgentId) {
        self.stand_anew(id);
        self.todo.deadlines.push(Whose::Agent(id));
        self.todo.roster_moved = true;
        self.todo.attendance_moved = true;
    }

    pub(super) fn take_slot(&mut self, id: AgentId, episode: EpisodeId, used: Use, via: TeamId) {
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.slots.insert(episode, Slot { used, via });
        }
        self.stand_anew(id);
        self.todo.deadlines.push(Whose::Agent(id));
    }

    pub(super) fn free_slot(&mut self, now: Time, id: AgentId, episode: EpisodeId) {
        if let Some(agent) = self.agents.get_mut(&id) {
            let all = u64::from(agent.settings.capacity) * SLOT_PERMILLE;
            if agent.load_permille(&self.settings) + SLOT_PERMILLE > all {
                // OCIM takes a full agent out of the round; he comes back at its end.
                agent.score = now;
            }
            agent.slots.remove(&episode);
        }
        self.stand_anew(id);
        self.todo.deadlines.push(Whose::Agent(id));
    }

    pub(super) fn missed(&mut self, id: AgentId) {
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.misses += 1;
        }
    }
}

impl Agent {
    fn new(now: Time, settings: &AgentSettings) -> Agent {
        Agent {
            settings: settings.clone(),
            group: super::pool::GroupId(0),
            status: AgentStatus::Offline,
            live: false,
            lost_at: None,
            away_told: false,
            misses: 0,
            assigned_at: now,
            score: now,
            slots: BTreeMap::new(),
            standings: Vec::new(),
        }
    }
}
