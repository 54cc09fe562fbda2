//! What agents and operators ask for: accounts, sessions, status, writing, hold, close, pull.

use super::Desk;
use super::event::{Action, Asker, Refusal};
use super::record::Record;
use super::settings::{AgentSettings, DeskSettings, TeamSettings};
use super::state::{Agent, Use};
use super::types::{
    AgentId, AgentStatus, Ending, EpisodeId, How, Party, Requeue, Stage, Supervision, TeamId,
    Unaccepted,
};
use crate::limits;

impl Desk {
    pub(super) fn on_settings(&mut self, settings: DeskSettings, out: &mut Vec<Action>) {
        self.record(Record::Settings(settings), out);
        // A hold may weigh more than before.
        for agent in self.state.agents.keys().copied().collect::<Vec<_>>() {
            self.relieve(agent, out);
        }
    }

    pub(super) fn on_team(&mut self, team: TeamId, settings: TeamSettings, out: &mut Vec<Action>) {
        let ascending = settings.rings.is_sorted_by_key(|ring| ring.after_ms);
        if settings.rings.len() > limits::RINGS_MAX || !ascending {
            out.push(Action::Refuse(Asker::Operator, Refusal::BadSettings));
            return;
        }
        let settings = Box::new(settings);
        self.record(Record::Team { team, settings }, out);
    }

    pub(super) fn on_agent(
        &mut self,
        agent: AgentId,
        settings: AgentSettings,
        out: &mut Vec<Action>,
    ) {
        let teams = &settings.teams;
        let twice = (1..teams.len()).any(|index| {
            teams[..index]
                .iter()
                .any(|known| known.team == teams[index].team)
        });
        if settings.capacity == 0 || teams.len() > limits::TEAMS_PER_AGENT_MAX || twice {
            out.push(Action::Refuse(Asker::Operator, Refusal::BadSettings));
            return;
        }
        self.record(Record::Agent { agent, settings }, out);
        // What rings was offered to somebody with other teams, skills and slots.
        self.withdraw_offers(agent, out);
    }

    pub(super) fn on_team_open(&mut self, team: TeamId, open: bool, out: &mut Vec<Action>) {
        if !self.state.teams.contains_key(&team) {
            out.push(Action::Refuse(Asker::Operator, Refusal::NoTeam));
        } else if open == self.state.closed.contains(&team) {
            self.record(Record::TeamOpen { team, open }, out);
        }
    }

    pub(super) fn on_remove_agent(&mut self, agent: AgentId, out: &mut Vec<Action>) {
        if !self.state.agents.contains_key(&agent) {
            out.push(Action::Refuse(Asker::Operator, Refusal::NoAgent));
            return;
        }
        // First he stops being eligible, so that his customers do not come back to him.
        self.set_status(agent, AgentStatus::Offline, out);
        self.requeue_all(agent, Requeue::HandedOver, out);
        let supervised = self.state.episodes.iter();
        let supervised = supervised.filter(|(_, e)| e.supervisors.contains_key(&agent));
        for episode in supervised.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.record(
                Record::Supervised {
                    episode,
                    by: agent,
                    level: None,
                },
                out,
            );
        }
        self.record(Record::AgentRemoved { agent }, out);
    }

    /// Offers and transfers go on; their time begins anew.
    pub(super) fn on_restarted(&mut self, out: &mut Vec<Action>) {
        self.record(Record::Restarted, out);
    }

    pub(super) fn on_bind(&mut self, agent: AgentId, status: AgentStatus, out: &mut Vec<Action>) {
        let Some(known) = self.state.agents.get(&agent) else {
            out.push(Action::Refuse(Asker::Agent(agent), Refusal::NoAgent));
            return;
        };
        let (live, away_told) = (known.live, known.away_told);
        if !live {
            self.record(Record::AgentLink { agent, live: true }, out);
        }
        self.set_status(agent, status, out);
        if away_told {
            let serves = self.serves(agent).into_iter();
            out.extend(serves.map(|episode| Action::AgentBack(episode, agent)));
        }
        self.ring_again(agent, out);
    }

    /// Tells an agent who comes back after a restart what still rings at him.
    fn ring_again(&self, id: AgentId, out: &mut Vec<Action>) {
        let Some(agent) = self.state.agents.get(&id) else {
            return;
        };
        for (episode, slot) in &agent.slots {
            let Some(known) = self.state.episodes.get(episode) else {
                continue;
            };
            if slot.used != Use::Offered {
                continue;
            }
            let team = self.state.teams.get(&known.team);
            let transfer = known.transfer.as_ref().map(|t| (t.by, t.note.clone()));
            let answer_ms = team.map_or(0, |team| match transfer {
                Some(_) => team.transfer_ms,
                None => team.offer_ms,
            });
            out.push(Action::Offer {
                episode: *episode,
                agent: id,
                answer_ms,
                transfer,
            });
        }
    }

    pub(super) fn on_agent_lost(&mut self, agent: AgentId, out: &mut Vec<Action>) {
        if self
            .state
            .agents
            .get(&agent)
            .is_some_and(|agent| agent.live)
        {
            self.record(Record::AgentLink { agent, live: false }, out);
            self.withdraw_offers(agent, out);
        }
    }

    pub(super) fn on_set_status(
        &mut self,
        agent: AgentId,
        status: AgentStatus,
        hand_over: bool,
        out: &mut Vec<Action>,
    ) {
        if self.bound(agent, out).is_none() {
            return;
        }
        self.set_status(agent, status, out);
        if hand_over {
            self.requeue_all(agent, Requeue::HandedOver, out);
        }
    }

    /// Changes a status; whoever does not take customers is not asked any more.
    pub(super) fn set_status(&mut self, id: AgentId, status: AgentStatus, out: &mut Vec<Action>) {
        let Some(agent) = self.state.agents.get(&id) else {
            return;
        };
        if agent.status != status {
            self.record(Record::Status { agent: id, status }, out);
            out.push(Action::StatusChanged(id, status));
        }
        if !self
            .state
            .agents
            .get(&id)
            .is_some_and(Agent::takes_customers)
        {
            self.withdraw_offers(id, out);
        }
    }

    /// Who took more himself than he has slots for (a pull, an episode off hold) is not asked any
    /// more: accepting would be an assignment above his capacity.
    pub(super) fn relieve(&mut self, id: AgentId, out: &mut Vec<Action>) {
        let known = self.state.agents.get(&id);
        if known.is_some_and(|agent| agent.overloaded(&self.state.settings)) {
            self.withdraw_offers(id, out);
        }
    }

    /// Ends what rings at an agent.
    fn withdraw_offers(&mut self, id: AgentId, out: &mut Vec<Action>) {
        let Some(agent) = self.state.agents.get(&id) else {
            return;
        };
        let rings = agent
            .slots
            .iter()
            .filter(|(_, slot)| slot.used == Use::Offered);
        for episode in rings.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.unaccept(episode, Unaccepted::Unavailable, out);
        }
    }

    /// Ends whichever of offer and transfer is under way.
    pub(super) fn unaccept(&mut self, id: EpisodeId, why: Unaccepted, out: &mut Vec<Action>) {
        match self.stage(id) {
            Some(Stage::Offered { .. }) => self.end_offer(id, why, out),
            _ => self.end_transfer(id, why, out),
        }
    }

    /// What it means that nobody answered: whoever has no session did not miss anything.
    pub(super) fn unanswered(&self, agent: AgentId) -> Unaccepted {
        match self.state.agents.get(&agent) {
            Some(agent) if agent.live => Unaccepted::Missed,
            _ => Unaccepted::Unavailable,
        }
    }

    pub(super) fn end_offer(&mut self, id: EpisodeId, why: Unaccepted, out: &mut Vec<Action>) {
        let Some(Stage::Offered { agent, .. }) = self.stage(id) else {
            return;
        };
        self.record(
            Record::OfferEnded {
                episode: id,
                agent,
                why,
            },
            out,
        );
        out.push(Action::OfferOver {
            episode: id,
            agent,
            why,
        });
        self.check_misses(agent, out);
    }

    /// Whoever lets customers wait too often does not get more.
    pub(super) fn check_misses(&mut self, id: AgentId, out: &mut Vec<Action>) {
        let max = self.state.settings.misses_max;
        let Some(agent) = self.state.agents.get(&id) else {
            return;
        };
        if max > 0 && agent.misses >= max && agent.status == AgentStatus::Online {
            self.set_status(id, AgentStatus::NotResponding, out);
        }
    }

    /// Queues all customers of an agent again.
    pub(super) fn requeue_all(&mut self, id: AgentId, why: Requeue, out: &mut Vec<Action>) {
        for episode in self.serves(id) {
            self.requeue(episode, why, out);
        }
    }

    /// The agent, if he may ask for anything; tells him if not.
    pub(super) fn bound(&self, id: AgentId, out: &mut Vec<Action>) -> Option<&Agent> {
        let known = self.state.agents.get(&id);
        let refusal = match known {
            None => Refusal::NoAgent,
            Some(agent) if !agent.live => Refusal::NotBound,
            Some(_) => return known,
        };
        out.push(Action::Refuse(Asker::Agent(id), refusal));
        None
    }

    /// Whether the agent serves the episode, or is a supervisor where one may act for others: that
    /// takes no session, because nothing comes to him by it.
    pub(super) fn may_act(
        &self,
        id: AgentId,
        episode: EpisodeId,
        supervisors: bool,
        out: &mut Vec<Action>,
    ) -> bool {
        let known = self.state.agents.get(&id);
        let for_others = supervisors && known.is_some_and(|agent| agent.settings.supervisor);
        if !for_others && self.bound(id, out).is_none() {
            return false;
        }
        let refusal = match self.stage(episode) {
            None => Refusal::NoEpisode,
            Some(stage) if stage.owner() == Some(id) => return true,
            Some(stage) if for_others && stage.owner().is_some() => return true,
            Some(_) => Refusal::NotYours,
        };
        out.push(Action::Refuse(Asker::Agent(id), refusal));
        false
    }

    pub(super) fn on_accept(&mut self, agent: AgentId, id: EpisodeId, out: &mut Vec<Action>) {
        if self.bound(agent, out).is_none() {
            return;
        }
        let transfer = self
            .state
            .episodes
            .get(&id)
            .and_then(|e| e.transfer.as_ref());
        let transfer = transfer.filter(|transfer| transfer.to == agent).cloned();
        match (self.stage(id), transfer) {
            (Some(Stage::Offered { agent: asked, via }), _) if asked == agent => {
                self.assign(id, agent, via, How::Accepted, out);
            }
            (_, Some(transfer)) => self.finish_transfer(id, &transfer, out),
            _ => out.push(Action::Refuse(Asker::Agent(agent), Refusal::OfferOver)),
        }
    }

    pub(super) fn on_decline(&mut self, agent: AgentId, id: EpisodeId, out: &mut Vec<Action>) {
        if self.bound(agent, out).is_none() {
            return;
        }
        let transfer = self
            .state
            .episodes
            .get(&id)
            .and_then(|e| e.transfer.as_ref());
        let transferred = transfer.is_some_and(|transfer| transfer.to == agent);
        let offered = matches!(self.stage(id), Some(Stage::Offered { agent: a, .. }) if a == agent);
        if offered || transferred {
            self.unaccept(id, Unaccepted::Declined, out);
        } else {
            out.push(Action::Refuse(Asker::Agent(agent), Refusal::OfferOver));
        }
    }

    /// OCIM's RECEPTION: status and capacity do not matter, he asks for it himself.
    pub(super) fn on_pull(
        &mut self,
        id: AgentId,
        episode: Option<EpisodeId>,
        out: &mut Vec<Action>,
    ) {
        let Some(agent) = self.bound(id, out) else {
            return;
        };
        let serves = |team: TeamId| agent.settings.teams.iter().any(|known| known.team == team);
        let found = match episode {
            Some(episode) => self
                .state
                .episodes
                .get(&episode)
                .map(|known| (episode, known)),
            None => self
                .head_for(id)
                .and_then(|id| Some((id, self.state.episodes.get(&id)?))),
        };
        let taken = match found {
            None if episode.is_some() => Err(Refusal::NoEpisode),
            None => Err(Refusal::QueueEmpty),
            Some((_, known)) if !matches!(known.stage, Stage::Queued | Stage::Left) => {
                Err(Refusal::NotYours)
            }
            Some((id, known)) => {
                let need = self.state.need(known);
                let via = need.teams.into_iter().find(|team| serves(*team));
                via.map(|via| (id, via)).ok_or(Refusal::NotYours)
            }
        };
        match taken {
            Ok((episode, via)) => {
                self.assign(episode, id, via, How::Pulled, out);
                self.relieve(id, out);
            }
            Err(why) => out.push(Action::Refuse(Asker::Agent(id), why)),
        }
    }

    /// The first in the queues of the agent's teams whom he has the skills for; else the oldest
    /// left message for one of his teams.
    fn head_for(&self, id: AgentId) -> Option<EpisodeId> {
        let agent = self.state.agents.get(&id)?;
        let barred = |episode: EpisodeId| {
            let known = self.state.episodes.get(&episode);
            known.is_some_and(|e| e.excluded[..e.barred].contains(&id))
        };
        let classes = self.state.pool.groups[agent.group.0].serves.iter();
        classes
            .filter_map(|(class, _)| {
                let waiting = &self.state.pool.classes[class.0].waiting;
                waiting.iter().find(|place| !barred(place.episode))
            })
            .min()
            .map(|place| place.episode)
            .or_else(|| {
                let mut left = self.state.left.iter().copied();
                left.find(|id| !barred(*id) && self.state.is_for(*id, agent))
            })
    }

    pub(super) fn on_agent_says(
        &mut self,
        agent: AgentId,
        id: EpisodeId,
        seq: u64,
        internal: bool,
        out: &mut Vec<Action>,
    ) {
        if self.bound(agent, out).is_none() {
            return;
        }
        let Some(episode) = self.state.episodes.get(&id) else {
            out.push(Action::Refuse(Asker::Agent(agent), Refusal::NoEpisode));
            return;
        };
        let part = episode.supervisors.get(&agent);
        let allowed = episode.stage.owner() == Some(agent)
            || part == Some(&Supervision::Join)
            || (internal && part == Some(&Supervision::Whisper));
        if !allowed {
            out.push(Action::Refuse(Asker::Agent(agent), Refusal::NotYours));
        } else if seq > episode.last_seq {
            self.record(
                Record::AgentSaid {
                    episode: id,
                    agent,
                    seq,
                    internal,
                },
                out,
            );
            self.route(id, Party::Agent(agent), seq, internal, out);
        }
    }

    pub(super) fn on_hold(
        &mut self,
        agent: AgentId,
        id: EpisodeId,
        held: bool,
        out: &mut Vec<Action>,
    ) {
        if !self.may_act(agent, id, false, out) {
            return;
        }
        match (self.stage(id), held) {
            (Some(Stage::Active { .. }), true) => self.record(Record::Held { episode: id }, out),
            (Some(Stage::Held { .. }), false) => {
                self.record(Record::Resumed { episode: id }, out);
                self.relieve(agent, out);
            }
            _ => out.push(Action::Refuse(Asker::Agent(agent), Refusal::Already)),
        }
    }

    pub(super) fn on_close(&mut self, agent: AgentId, id: EpisodeId, out: &mut Vec<Action>) {
        if !self.may_act(agent, id, true, out) {
            return;
        }
        if let Some(episode) = self.state.episodes.get(&id).filter(|e| e.unseen) {
            // Its agent is away: whoever closes it is the first to get it.
            out.push(Action::HandOver {
                episode: id,
                agent,
                from_seq: episode.first_seq,
                to_seq: episode.last_seq,
            });
        }
        self.end(id, Ending::ByAgent(agent), out);
    }

    pub(super) fn on_wrap_up_done(
        &mut self,
        agent: AgentId,
        episode: EpisodeId,
        out: &mut Vec<Action>,
    ) {
        let Some(known) = self.bound(agent, out) else {
            return;
        };
        let slot = known.slots.get(&episode);
        if slot.is_some_and(|slot| matches!(slot.used, Use::WrapUp(_))) {
            self.record(Record::WrappedUp { agent, episode }, out);
        } else {
            out.push(Action::Refuse(Asker::Agent(agent), Refusal::NoEpisode));
        }
    }
}
