//! Who gets whom. Called at the end of every step; looks only at what the step's records left to
//! be looked at.
//!
//! Before a step no free agent could take anybody who waits. So afterwards only agents who may have
//! become able to, and customers who began to wait, need a look; agents first, so that somebody
//! who has waited is not overtaken by somebody who just came.

use super::Desk;
use super::event::Action;
use super::pool::Place;
use super::record::Record;
use super::state::{Agent, State};
use super::types::{AgentId, EpisodeId, How, Mode, Order, TeamId};

impl State {
    /// The team for which this very agent could serve the episode now.
    fn can_take(&self, id: AgentId, agent: &Agent, episode: EpisodeId) -> Option<TeamId> {
        let episode = self.episodes.get(&episode)?;
        if episode.is_barred(id) {
            return None;
        }
        let class = &self.pool.classes[episode.class.0];
        let (_, team) = class
            .served_by
            .iter()
            .find(|(group, _)| *group == agent.group)?;
        let standing = agent
            .standings
            .iter()
            .find(|standing| standing.team == *team)?;
        if standing.reserved && !self.pool.may_use_reserved(episode.class, agent.group) {
            return None;
        }
        Some(self.pool.groups[agent.group.0].teams[*team])
    }

    /// Whom the episode should go to.
    fn agent_for(&self, id: EpisodeId) -> Option<(AgentId, TeamId, How)> {
        let episode = self.episodes.get(&id)?;
        let team = self.teams.get(&episode.team)?;
        if team.affinity
            && let Some(former) = episode.former
            && let Some(agent) = self.agents.get(&former)
            && let Some(via) = self.can_take(former, agent, id)
        {
            return Some((former, via, How::Former));
        }
        let flexible_last = team.order == Order::LeastFlexible;
        let (agent, via) = self.pool.choose(episode.class, flexible_last, |agent| {
            episode.is_barred(agent)
        })?;
        Some((agent, via, How::Automatic))
    }

    /// The first in all queues whom the agent could take now.
    fn first_for(&self, id: AgentId) -> Option<EpisodeId> {
        let agent = self.agents.get(&id)?;
        let mut best: Option<Place> = None;
        for (class_id, team) in &self.pool.groups[agent.group.0].serves {
            let class = &self.pool.classes[class_id.0];
            if class.waiting.is_empty() {
                continue;
            }
            let Some(standing) = agent.standings.iter().find(|s| s.team == *team) else {
                continue;
            };
            if standing.reserved && !self.pool.may_use_reserved(*class_id, agent.group) {
                continue;
            }
            let wanted = |place: &&Place| {
                let episode = self.episodes.get(&place.episode);
                episode.is_some_and(|episode| !episode.is_barred(id))
            };
            let first = class.waiting.iter().find(wanted).copied();
            best = [best, first].into_iter().flatten().min();
        }
        best.map(|place| place.episode)
    }
}

impl Desk {
    /// Assigns until nobody waits whom somebody free could serve.
    pub(super) fn dispatch(&mut self, out: &mut Vec<Action>) {
        if std::mem::take(&mut self.state.todo.roster_moved) {
            self.clear_exclusions(out);
        }
        loop {
            if let Some(agent) = self.state.todo.agents.pop_first() {
                let Some(episode) = self.state.first_for(agent) else {
                    continue;
                };
                if self.place(episode, out) {
                    // If somebody better took this one, there may be another for him.
                    self.state.todo.agents.insert(agent);
                }
            } else if let Some(place) = self.state.todo.episodes.pop_first() {
                self.place(place.episode, out);
            } else {
                return;
            }
        }
    }

    /// Whom everybody there has missed or declined, everybody is asked again.
    fn clear_exclusions(&mut self, out: &mut Vec<Action>) {
        let state = &self.state;
        let stuck = state.excluding.iter().filter(|id| {
            let episode = state.episodes.get(id);
            episode.is_some_and(|episode| state.all_excluded(episode))
        });
        for episode in stuck.copied().collect::<Vec<_>>() {
            self.record(Record::ExclusionsCleared { episode }, out);
        }
    }

    /// Finds an agent for a waiting episode. Says whether it waits no more.
    fn place(&mut self, id: EpisodeId, out: &mut Vec<Action>) -> bool {
        let waits = |state: &State| state.episodes.get(&id).is_some_and(|e| e.place.is_some());
        if !waits(&self.state) {
            return false;
        }
        let Some((agent, via, how)) = self.state.agent_for(id) else {
            return false;
        };
        let Some(known) = self.state.agents.get(&agent) else {
            return false;
        };
        if self.state.mode(known, via) == Mode::Ring {
            self.offer(id, agent, via, out);
        } else {
            self.assign(id, agent, via, how, out);
        }
        true
    }

    fn offer(&mut self, id: EpisodeId, agent: AgentId, via: TeamId, out: &mut Vec<Action>) {
        self.record(
            Record::Offered {
                episode: id,
                agent,
                via,
            },
            out,
        );
        let team = self
            .state
            .episodes
            .get(&id)
            .and_then(|e| self.state.teams.get(&e.team));
        let answer_ms = team.map_or(0, |team| team.offer_ms);
        out.push(Action::Offer {
            episode: id,
            agent,
            answer_ms,
            transfer: None,
        });
    }

    /// Gives the episode to the agent and tells everybody, in OCIM's order: the customer, the
    /// greetings, the agent, what was written so far.
    pub(super) fn assign(
        &mut self,
        id: EpisodeId,
        agent: AgentId,
        via: TeamId,
        how: How,
        out: &mut Vec<Action>,
    ) {
        let before = self.state.episodes.get(&id);
        let transfer = before.and_then(|e| e.transfer.clone());
        let note = before.and_then(|e| e.note.clone());
        let former_owner = before.and_then(|e| e.stage.owner());
        self.record(
            Record::Assigned {
                episode: id,
                agent,
                via,
                how,
            },
            out,
        );
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        if let Some(former) = former_owner
            && former != agent
        {
            out.push(Action::Released {
                episode: id,
                agent: former,
            });
        }
        out.push(Action::Connected {
            episode: id,
            agent,
            how,
            waited_ms: episode.waited_ms,
        });
        if !matches!(how, How::Transferred | How::TakenOver) {
            let team = self.state.teams.get(&episode.team);
            if episode.assignments == 1 && team.is_some_and(|team| team.greeting) {
                out.push(Action::Greet(id, None));
            }
            if self
                .state
                .agents
                .get(&agent)
                .is_some_and(|agent| agent.settings.greeting)
            {
                out.push(Action::Greet(id, Some(agent)));
            }
        }
        let transfer = transfer
            .filter(|_| how == How::Transferred)
            .map(|transfer| (transfer.by, transfer.note))
            .or(note);
        out.push(Action::Given {
            episode: id,
            agent,
            how,
            transfer,
        });
        let (from_seq, to_seq) = (episode.first_seq, episode.last_seq);
        out.push(Action::HandOver {
            episode: id,
            agent,
            from_seq,
            to_seq,
        });
    }
}
