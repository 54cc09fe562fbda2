//! What time brings. Each episode and each agent has at most one deadline: the earliest of all that
//! apply to it, worked out from its state alone. So nothing has to be cancelled, and a rebuilt
//! desk finds its deadlines again.
//!
//! Deadlines that wait for a client count from the last restart at the earliest; ages (relaxation
//! rings, wrap-up) do not.

use std::collections::{BTreeMap, BTreeSet};

use super::Desk;
use super::event::Action;
use super::record::Record;
use super::settings::TeamSettings;
use super::state::{Agent, Episode, State, Use, Whose};
use super::types::{AgentId, AgentStatus, Ending, EpisodeId, Requeue, Stage};
use crate::limits;
use crate::time::Time;

/// The deadlines, by time.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Time, Whose)>,
    of: BTreeMap<Whose, Time>,
}

impl Deadlines {
    /// Sets the deadline, or clears it.
    pub(super) fn set(&mut self, whose: Whose, at: Option<Time>) {
        let known = match at {
            Some(at) => self.of.insert(whose, at),
            None => self.of.remove(&whose),
        };
        if known == at {
            return;
        }
        if let Some(known) = known {
            self.by_time.remove(&(known, whose));
        }
        if let Some(at) = at {
            self.by_time.insert((at, whose));
        }
    }

    pub(super) fn is_set(&self, whose: Whose) -> bool {
        self.of.contains_key(&whose)
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Time) -> Option<Whose> {
        let (at, whose) = self.by_time.first().copied()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.of.remove(&whose);
        Some(whose)
    }
}

/// What an episode's deadline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    CustomerGone,
    OfferMissed,
    TransferMissed,
    AnswerMissed,
    WarnAgent,
    Close,
    WarnCustomer,
    Hold,
    Widen,
}

impl State {
    /// The earliest deadline of an open episode.
    fn episode_next(&self, episode: &Episode) -> Option<(Time, Next)> {
        let team = self.teams.get(&episode.team)?;
        // A client could not be heard while we were down.
        let from = |at: Time| at.max(self.restarted_at);
        // Whoever left a message is not expected; and what his agent, who is away, has not got is
        // not ended.
        let is_unheard = episode.unseen && episode.stage.owner().is_some();
        let gone = episode
            .customer_lost_at
            .filter(|_| !episode.left && !is_unheard)
            .zip(team.customer_grace_ms)
            .map(|(lost, grace_ms)| (from(lost) + grace_ms, Next::CustomerGone));
        let stage = match episode.stage {
            Stage::Left => None,
            Stage::Queued => team
                .rings
                .get(episode.rings as usize)
                .map(|ring| (episode.queued_at + ring.after_ms, Next::Widen)),
            Stage::Offered { .. } => {
                Some((from(episode.stage_at) + team.offer_ms, Next::OfferMissed))
            }
            Stage::Active { .. } | Stage::Held { .. } => self.served_next(episode, team),
        };
        [gone, stage].into_iter().flatten().min()
    }

    fn served_next(&self, episode: &Episode, team: &TeamSettings) -> Option<(Time, Next)> {
        let from = |at: Time| at.max(self.restarted_at);
        let transfer = episode.transfer.as_ref();
        let transfer = transfer.map(|t| (from(t.at) + team.transfer_ms, Next::TransferMissed));
        let unanswered = |ms: Option<u64>, next: Next| {
            ms.filter(|_| !episode.answered)
                .map(|ms| (from(episode.stage_at) + ms, next))
        };
        // While it is the agent who owes the answer, nobody is silent.
        let idle = |ms: Option<u64>, next: Next| {
            ms.filter(|_| episode.customer_owes && !episode.unseen)
                .map(|ms| (from(episode.written_at) + ms, next))
        };
        let active = matches!(episode.stage, Stage::Active { .. });
        [
            transfer,
            unanswered(team.answer_ms, Next::AnswerMissed),
            unanswered(
                team.answer_warn_ms.filter(|_| !episode.answer_warned),
                Next::WarnAgent,
            ),
            idle(team.idle_close_ms, Next::Close),
            idle(
                team.idle_warn_ms.filter(|_| !episode.idle_warned),
                Next::WarnCustomer,
            ),
            idle(team.idle_hold_ms.filter(|_| active), Next::Hold),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The earliest deadline of an agent: the end of his grace time or of a wrap-up, or when his
    /// customers are told that he is away.
    fn agent_next(&self, agent: &Agent) -> Option<Time> {
        let wrap_ups = agent.slots.values().filter_map(|slot| match slot.used {
            Use::WrapUp(until) => Some(until),
            _ => None,
        });
        let grace = agent
            .lost_at
            .filter(|_| agent.status != AgentStatus::Offline || agent.serves_somebody())
            .map(|lost| lost.max(self.restarted_at) + self.settings.grace_ms);
        let away = agent
            .lost_at
            .filter(|_| !agent.away_told && agent.serves_somebody())
            .map(|lost| lost.max(self.restarted_at) + limits::AGENT_AWAY_MS);
        wrap_ups.chain(grace).chain(away).min()
    }
}

impl Agent {
    /// Whether he has customers, not only work after them.
    fn serves_somebody(&self) -> bool {
        self.slots
            .values()
            .any(|slot| matches!(slot.used, Use::Active | Use::Held))
    }
}

impl Desk {
    /// Sets the deadlines of all that the last records touched.
    pub(super) fn settle_deadlines(&mut self) {
        for whose in std::mem::take(&mut self.state.todo.deadlines) {
            self.settle_deadline(whose);
        }
    }

    /// Works out every deadline.
    pub(super) fn deadlines_anew(&mut self) {
        let episodes = self.state.episodes.keys().map(|id| Whose::Episode(*id));
        let agents = self.state.agents.keys().map(|id| Whose::Agent(*id));
        for whose in episodes.chain(agents).collect::<Vec<_>>() {
            self.settle_deadline(whose);
        }
    }

    fn settle_deadline(&mut self, whose: Whose) {
        let state = &self.state;
        let at = match whose {
            Whose::Episode(id) => {
                let next = state.episodes.get(&id).and_then(|e| state.episode_next(e));
                next.map(|(at, _)| at)
            }
            Whose::Agent(id) => state
                .agents
                .get(&id)
                .and_then(|agent| state.agent_next(agent)),
            Whose::Positions(_) => return,
        };
        self.deadlines.set(whose, at);
    }

    /// A deadline is reached.
    pub(super) fn fire(&mut self, whose: Whose, out: &mut Vec<Action>) {
        match whose {
            Whose::Episode(id) => self.fire_episode(id, out),
            Whose::Agent(id) => self.fire_agent(id, out),
            Whose::Positions(class) => self.look_at_places(class, out),
        }
        // Not all that is due has been done, perhaps: look again.
        self.state.todo.deadlines.push(whose);
    }

    fn fire_episode(&mut self, id: EpisodeId, out: &mut Vec<Action>) {
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        let Some((at, next)) = self.state.episode_next(episode) else {
            return;
        };
        if at > self.now {
            return;
        }
        let owner = episode.stage.owner();
        match next {
            // What he wrote last is still to be answered.
            Next::CustomerGone if owner.is_none() && !episode.customer_owes => {
                self.leave(id, false, out);
            }
            Next::CustomerGone if owner.is_none() => self.end(id, Ending::Abandoned, out),
            Next::CustomerGone => self.end(id, Ending::ByCustomer, out),
            Next::OfferMissed | Next::TransferMissed => {
                let transferred = episode.transfer.as_ref().map(|transfer| transfer.to);
                let asked = match episode.stage {
                    Stage::Offered { agent, .. } => Some(agent),
                    _ => transferred,
                };
                if let Some(agent) = asked {
                    self.unaccept(id, self.unanswered(agent), out);
                }
            }
            Next::AnswerMissed => {
                self.requeue(id, Requeue::NoAnswer, out);
                if let Some(agent) = owner {
                    self.check_misses(agent, out);
                }
            }
            Next::WarnAgent => {
                self.record(Record::AnswerWarned { episode: id }, out);
                if let Some(agent) = owner {
                    out.push(Action::WarnAgent(id, agent));
                }
            }
            Next::Close => self.end(id, Ending::Idle, out),
            Next::WarnCustomer => {
                self.record(Record::IdleWarned { episode: id }, out);
                out.push(Action::WarnCustomer(id));
            }
            Next::Hold => self.record(Record::Held { episode: id }, out),
            Next::Widen => {
                let rings = episode.rings + 1;
                self.record(Record::Widened { episode: id, rings }, out);
            }
        }
    }

    fn fire_agent(&mut self, id: AgentId, out: &mut Vec<Action>) {
        let Some(agent) = self.state.agents.get(&id) else {
            return;
        };
        let over = |used: Use| matches!(used, Use::WrapUp(until) if until <= self.now);
        let done = agent.slots.iter().find(|(_, slot)| over(slot.used));
        if let Some((episode, _)) = done {
            let episode = *episode;
            self.record(Record::WrappedUp { agent: id, episode }, out);
            return;
        }
        let grace = self.state.settings.grace_ms;
        let lost = agent
            .lost_at
            .map(|lost| lost.max(self.state.restarted_at) + grace);
        if lost.is_some_and(|until| until <= self.now) {
            self.set_status(id, AgentStatus::Offline, out);
            self.requeue_all(id, Requeue::AgentLost, out);
        } else if lost.is_some() && !agent.away_told {
            self.record(Record::AwayTold { agent: id }, out);
            let serves = self.serves(id).into_iter();
            out.extend(serves.map(|episode| Action::AgentAway(episode, id)));
        }
    }
}
