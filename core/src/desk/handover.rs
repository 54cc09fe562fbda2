//! From one agent to another: transfer, supervision, taking over.

use super::Desk;
use super::event::{Action, Asker, Refusal};
use super::record::Record;
use super::state::{Agent, State, Transfer};
use super::types::{
    AgentId, EpisodeId, How, Skills, Stage, Supervision, Target, TeamId, Unaccepted,
};

impl State {
    /// For which of his teams the agent would serve the episode: the customer's own, if he is in
    /// it; else the first of his for which he has a slot.
    fn receiving_team(&self, agent: &Agent, team: TeamId) -> Option<TeamId> {
        if !agent.takes_customers() {
            return None;
        }
        let own = std::iter::once(team);
        let others = agent.settings.teams.iter().map(|member| member.team);
        own.chain(others)
            .find(|team| agent.has_slot(*team, &self.settings))
    }

    /// The agents of the team who have a session.
    pub(super) fn attending(&self, team: TeamId) -> impl Iterator<Item = AgentId> {
        let of_team = move |agent: &Agent| agent.settings.teams.iter().any(|m| m.team == team);
        let agents = self.agents.iter();
        agents
            .filter(move |(_, agent)| agent.live && of_team(agent))
            .map(|(id, _)| *id)
    }
}

impl Desk {
    pub(super) fn on_transfer(
        &mut self,
        agent: AgentId,
        id: EpisodeId,
        to: Target,
        note: Box<str>,
        out: &mut Vec<Action>,
    ) {
        if !self.may_act(agent, id, true, out) {
            return;
        }
        let done = match to {
            Target::Agent(to) => self.transfer_to_agent(agent, id, to, note, out),
            Target::Team(team, skills) => self.transfer_to_team(agent, id, team, skills, note, out),
        };
        if let Err(why) = done {
            out.push(Action::Refuse(Asker::Agent(agent), why));
        }
    }

    fn transfer_to_agent(
        &mut self,
        by: AgentId,
        id: EpisodeId,
        to: AgentId,
        note: Box<str>,
        out: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let episode = self.state.episodes.get(&id).ok_or(Refusal::NoEpisode)?;
        if episode.transfer.is_some() || episode.stage.owner() == Some(to) {
            return Err(Refusal::TransferPending);
        }
        let receiver = self.state.agents.get(&to).ok_or(Refusal::NoAgent)?;
        let via = self.state.receiving_team(receiver, episode.team);
        let via = via.ok_or(Refusal::TargetBusy)?;
        let team = self.state.teams.get(&episode.team);
        let (asks, answer_ms) = team.map_or((false, 0), |t| (t.transfer_asks, t.transfer_ms));
        let record = Record::TransferOffered {
            episode: id,
            by,
            to,
            via,
            note: note.clone(),
        };
        self.record(record, out);
        if asks {
            let transfer = Some((by, note));
            out.push(Action::Offer {
                episode: id,
                agent: to,
                answer_ms,
                transfer,
            });
        } else {
            self.finish_transfer(
                id,
                &Transfer {
                    by,
                    to,
                    via,
                    note,
                    at: self.now,
                },
                out,
            );
        }
        Ok(())
    }

    /// The receiver has accepted, or is not asked.
    pub(super) fn finish_transfer(
        &mut self,
        id: EpisodeId,
        transfer: &Transfer,
        out: &mut Vec<Action>,
    ) {
        out.push(Action::TransferDone(
            id,
            transfer.by,
            Target::Agent(transfer.to),
        ));
        self.assign(id, transfer.to, transfer.via, How::Transferred, out);
    }

    pub(super) fn end_transfer(&mut self, id: EpisodeId, why: Unaccepted, out: &mut Vec<Action>) {
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        let Some(Transfer { by, to, .. }) = episode.transfer.clone() else {
            return;
        };
        self.record(Record::TransferEnded { episode: id, why }, out);
        out.push(Action::OfferOver {
            episode: id,
            agent: to,
            why,
        });
        out.push(Action::TransferFailed(id, by, why));
        self.check_misses(to, out);
    }

    fn transfer_to_team(
        &mut self,
        by: AgentId,
        id: EpisodeId,
        team: TeamId,
        skills: Skills,
        note: Box<str>,
        out: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let settings = self.state.teams.get(&team).ok_or(Refusal::NoTeam)?;
        let open = !self.state.closed.contains(&team);
        let owner = self
            .stage(id)
            .and_then(Stage::owner)
            .ok_or(Refusal::NoEpisode)?;
        // Whoever gives him away does not get him back: nobody else is there.
        let (givers, others): (Vec<AgentId>, Vec<AgentId>) = self
            .state
            .attending(team)
            .partition(|agent| [by, owner].contains(agent));
        let is_attended = open && !others.is_empty();
        let only_givers = others.is_empty() && !givers.is_empty();
        if only_givers || !settings.transfer_to_absent && !is_attended {
            return Err(Refusal::TargetAbsent);
        }
        self.tell_asked(id, Unaccepted::Withdrawn, out);
        self.record(
            Record::TeamTransferred {
                episode: id,
                by,
                team,
                skills,
                note,
            },
            out,
        );
        out.push(Action::TransferDone(id, by, Target::Team(team, skills)));
        out.push(Action::Released {
            episode: id,
            agent: owner,
        });
        Ok(())
    }

    pub(super) fn on_supervise(
        &mut self,
        by: AgentId,
        id: EpisodeId,
        level: Option<Supervision>,
        out: &mut Vec<Action>,
    ) {
        if !self.supervises(by, id, out) {
            return;
        }
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        let before = episode.supervisors.get(&by).copied();
        if before == level {
            return;
        }
        let (from_seq, to_seq) = (episode.first_seq, episode.last_seq);
        self.record(
            Record::Supervised {
                episode: id,
                by,
                level,
            },
            out,
        );
        out.push(Action::Supervised(id, by, level));
        if before.is_none() {
            out.push(Action::HandOver {
                episode: id,
                agent: by,
                from_seq,
                to_seq,
            });
        }
    }

    fn supervises(&self, by: AgentId, id: EpisodeId, out: &mut Vec<Action>) -> bool {
        let Some(agent) = self.bound(by, out) else {
            return false;
        };
        let refusal = match self.stage(id) {
            None => Refusal::NoEpisode,
            Some(_) if !agent.settings.supervisor => Refusal::NotSupervisor,
            Some(_) => return true,
        };
        out.push(Action::Refuse(Asker::Agent(by), refusal));
        false
    }

    pub(super) fn on_take_over(&mut self, by: AgentId, id: EpisodeId, out: &mut Vec<Action>) {
        if !self.supervises(by, id, out) {
            return;
        }
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        if episode.stage.owner() == Some(by) {
            out.push(Action::Refuse(Asker::Agent(by), Refusal::Already));
            return;
        }
        let via = episode.team;
        self.tell_asked(id, Unaccepted::Withdrawn, out);
        self.assign(id, by, via, How::TakenOver, out);
        self.relieve(by, out);
    }
}
