//! What customers ask for, and how an episode ends.

use std::collections::BTreeMap;

use super::Desk;
use super::event::{Action, Asker, Refusal};
use super::pool::Rank;
use super::record::Record;
use super::settings::Wanted;
use super::state::Agent;
use super::types::{AgentId, Ending, EpisodeId, Party, Requeue, Stage, TeamId, Unaccepted};
use crate::ids::ConversationId;
use crate::time::Time;

impl Desk {
    pub(super) fn on_arrive(
        &mut self,
        conversation: ConversationId,
        wanted: Wanted,
        seq: u64,
        out: &mut Vec<Action>,
    ) {
        if let Some(episode) = self.episode_of(conversation) {
            self.customer_says(episode, seq, out);
            return;
        }
        if !self.state.teams.contains_key(&wanted.team) {
            out.push(Action::Refuse(
                Asker::Customer(conversation),
                Refusal::NoTeam,
            ));
            return;
        }
        let left = !self.state.may_come(wanted.team);
        let episode = EpisodeId(self.state.episodes_made + 1);
        self.record(
            Record::Opened {
                episode,
                conversation,
                wanted,
                seq,
                left,
            },
            out,
        );
        out.push(match left {
            true => Action::Left(episode),
            false => Action::Finding(episode),
        });
    }

    fn customer_says(&mut self, id: EpisodeId, seq: u64, out: &mut Vec<Action>) {
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        if seq <= episode.last_seq {
            // The same message again, after a batch was repeated.
            return;
        }
        let (held, gone) = (
            matches!(episode.stage, Stage::Held { .. }),
            episode.customer_lost_at.is_some(),
        );
        if gone {
            self.record(
                Record::CustomerLink {
                    episode: id,
                    live: true,
                },
                out,
            );
        }
        if held {
            self.record(Record::Resumed { episode: id }, out);
        }
        self.record(Record::CustomerSaid { episode: id, seq }, out);
        self.route(id, Party::Customer, seq, false, out);
        let known = self.state.episodes.get(&id);
        if known.is_some_and(|e| e.place.is_some() && e.rank == Rank::Left) {
            // He is back, and stands where his age puts him.
            self.take_up(id, out);
        }
        if let Some(owner) = self.stage(id).and_then(Stage::owner).filter(|_| held) {
            self.relieve(owner, out);
        }
    }

    /// Sends a message to all who take part, but its author. Without an agent it waits for him.
    pub(super) fn route(
        &self,
        id: EpisodeId,
        author: Party,
        seq: u64,
        internal: bool,
        out: &mut Vec<Action>,
    ) {
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        if author != Party::Customer && !internal {
            out.push(Action::Route {
                episode: id,
                to: Party::Customer,
                seq,
            });
        }
        let owner = episode.stage.owner();
        let others = episode
            .supervisors
            .keys()
            .copied()
            .filter(|who| Some(*who) != owner);
        for agent in owner.into_iter().chain(others) {
            if author != Party::Agent(agent) {
                out.push(Action::Route {
                    episode: id,
                    to: Party::Agent(agent),
                    seq,
                });
            }
        }
    }

    pub(super) fn on_customer_link(
        &mut self,
        conversation: ConversationId,
        live: bool,
        out: &mut Vec<Action>,
    ) {
        // Without an open episode it does not matter.
        let Some(episode) = self.episode_of(conversation) else {
            return;
        };
        let known = self.state.episodes.get(&episode);
        if known.is_some_and(|e| e.customer_lost_at.is_none() != live) {
            self.record(Record::CustomerLink { episode, live }, out);
        }
    }

    pub(super) fn on_customer_leaves(
        &mut self,
        conversation: ConversationId,
        out: &mut Vec<Action>,
    ) {
        let Some(episode) = self.episode_of(conversation) else {
            out.push(Action::Refuse(
                Asker::Customer(conversation),
                Refusal::NoEpisode,
            ));
            return;
        };
        let served = self.stage(episode).and_then(Stage::owner).is_some();
        self.end(
            episode,
            if served {
                Ending::ByCustomer
            } else {
                Ending::Abandoned
            },
            out,
        );
    }

    pub(super) fn on_leave_message(&mut self, conversation: ConversationId, out: &mut Vec<Action>) {
        let episode = self.episode_of(conversation);
        let known = episode.and_then(|id| Some((id, self.state.episodes.get(&id)?)));
        let why = match known {
            Some((_, e)) if e.stage.owner().is_some() => Refusal::NoEpisode,
            Some((_, e)) if e.left => Refusal::Already,
            Some((id, _)) => return self.leave(id, true, out),
            None => Refusal::NoEpisode,
        };
        out.push(Action::Refuse(Asker::Customer(conversation), why));
    }

    /// What a customer who waits has written becomes a left message.
    pub(super) fn leave(&mut self, id: EpisodeId, tell: bool, out: &mut Vec<Action>) {
        self.tell_asked(id, Unaccepted::Withdrawn, out);
        self.record(Record::Left { episode: id }, out);
        if tell {
            out.push(Action::Left(id));
        }
    }

    /// A left message waits like all others.
    fn take_up(&mut self, id: EpisodeId, out: &mut Vec<Action>) {
        self.record(Record::Queued { episode: id }, out);
        out.push(Action::Finding(id));
    }

    /// Left messages for which somebody may come now are taken up, the oldest first; those who wait
    /// for a team that is closed, or that nobody serves, and where nobody is, have left messages.
    pub(super) fn mind_attendance(&mut self, out: &mut Vec<Action>) {
        if !std::mem::take(&mut self.state.todo.attendance_moved) {
            return;
        }
        let mut may_come: BTreeMap<TeamId, bool> = BTreeMap::new();
        for id in self.state.left.iter().copied().collect::<Vec<_>>() {
            let Some(team) = self.state.episodes.get(&id).map(|e| e.team) else {
                continue;
            };
            let state = &self.state;
            if *may_come.entry(team).or_insert_with(|| state.may_come(team)) {
                self.take_up(id, out);
            }
        }
        let state = &self.state;
        let waiting = state.waiting.iter().filter(|(_, waiting)| **waiting > 0);
        let shut = waiting.map(|(team, _)| *team).filter(|team| {
            let takes =
                |agent: AgentId| state.agents.get(&agent).is_some_and(Agent::takes_customers);
            !state.may_come(*team) && !state.attending(*team).any(takes)
        });
        let shut: Vec<TeamId> = shut.collect();
        if shut.is_empty() {
            return;
        }
        let waiting = state.episodes.iter();
        let waiting = waiting.filter(|(_, e)| e.stage == Stage::Queued && shut.contains(&e.team));
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            // Whoever left a message knows, unless an agent has come meanwhile.
            let known = self.state.episodes.get(&id);
            let knows = known.is_some_and(|e| e.left && e.assignments == 0);
            self.leave(id, !knows, out);
        }
    }

    /// Ends an episode and whatever rings for it.
    pub(super) fn end(&mut self, id: EpisodeId, why: Ending, out: &mut Vec<Action>) {
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        let owner = episode.stage.owner();
        self.tell_asked(id, Unaccepted::Withdrawn, out);
        self.record(Record::Closed { episode: id, why }, out);
        out.push(Action::Closed(id, owner, why));
        if owner.is_some() {
            out.push(Action::AskRating(id));
        }
    }

    /// Tells the agent who is asked to take the episode, if there is one, that he is not any more.
    pub(super) fn tell_asked(&self, id: EpisodeId, why: Unaccepted, out: &mut Vec<Action>) {
        let Some(episode) = self.state.episodes.get(&id) else {
            return;
        };
        let offered = match episode.stage {
            Stage::Offered { agent, .. } => Some(agent),
            _ => None,
        };
        let transferred = episode.transfer.as_ref().map(|transfer| transfer.to);
        for agent in offered.into_iter().chain(transferred) {
            out.push(Action::OfferOver {
                episode: id,
                agent,
                why,
            });
        }
    }

    /// Takes an episode from its agent; the customer waits again at the head.
    pub(super) fn requeue(&mut self, id: EpisodeId, why: Requeue, out: &mut Vec<Action>) {
        let Some(owner) = self.stage(id).and_then(Stage::owner) else {
            return;
        };
        self.tell_asked(id, Unaccepted::Withdrawn, out);
        self.record(Record::Requeued { episode: id, why }, out);
        out.push(Action::Released {
            episode: id,
            agent: owner,
        });
        out.push(Action::Waiting(id, why));
    }

    pub(super) fn on_rate(
        &mut self,
        conversation: ConversationId,
        episode: EpisodeId,
        stars: u8,
        text: Box<str>,
        out: &mut Vec<Action>,
    ) {
        let ended = self.state.ended.get(&episode);
        let refusal = match ended.filter(|ended| ended.conversation == conversation) {
            None => Some(Refusal::NoEpisode),
            Some(ended) if ended.until <= self.now => Some(Refusal::TooLate),
            Some(ended) if ended.agent.is_none() => Some(Refusal::NoEpisode),
            Some(_) if !(1..=5).contains(&stars) => Some(Refusal::BadRating),
            Some(_) => None,
        };
        match refusal {
            Some(why) => out.push(Action::Refuse(Asker::Customer(conversation), why)),
            None => self.record(
                Record::Rated {
                    episode,
                    stars,
                    text,
                },
                out,
            ),
        }
    }

    pub(super) fn on_recall(
        &mut self,
        by: Party,
        episode: EpisodeId,
        seq: u64,
        written: Option<(Party, Time)>,
        out: &mut Vec<Action>,
    ) {
        if let Some(why) = self.recall_refusal(by, episode, seq, written) {
            let open = self.state.episodes.get(&episode).map(|e| e.conversation);
            let ended = self.state.ended.get(&episode).map(|e| e.conversation);
            let asker = match (by, open.or(ended)) {
                (Party::Agent(agent), _) => Asker::Agent(agent),
                (Party::Customer, Some(conversation)) => Asker::Customer(conversation),
                _ => Asker::Operator,
            };
            out.push(Action::Refuse(asker, why));
            return;
        }
        self.record(Record::Recalled { episode, seq }, out);
        out.push(Action::Recalled(episode, seq));
    }

    fn recall_refusal(
        &self,
        by: Party,
        episode: EpisodeId,
        seq: u64,
        written: Option<(Party, Time)>,
    ) -> Option<Refusal> {
        let open = self.state.episodes.get(&episode);
        let recalled = match (open, self.state.ended.get(&episode)) {
            (Some(episode), _) => &episode.recalled,
            (None, Some(ended)) => &ended.recalled,
            (None, None) => return Some(Refusal::NoEpisode),
        };
        let limit_ms = open
            .and_then(|e| self.state.teams.get(&e.team))
            .map_or(super::TeamSettings::default().recall_ms_max, |team| {
                team.recall_ms_max
            });
        match written {
            Some((author, _)) if author != by => Some(Refusal::NotYourMessage),
            None => Some(Refusal::NotYourMessage),
            Some(_) if recalled.contains(&seq) => Some(Refusal::Already),
            Some((_, at)) if self.now.since_ms(at) > limit_ms => Some(Refusal::TooLate),
            Some(_) => None,
        }
    }
}
