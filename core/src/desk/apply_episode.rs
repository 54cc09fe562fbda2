//! How records change one episode: its way through the queue, to an agent, and to its end.

use std::collections::{BTreeMap, BTreeSet};

use super::pool::{ClassId, Rank};
use super::record::Record;
use super::settings::Wanted;
use super::state::{Agent, Ended, Episode, State, Transfer, Use, Whose};
use super::types::{AgentId, Ending, EpisodeId, How, Requeue, Stage, TeamId, Unaccepted};
use crate::ids::ConversationId;
use crate::limits;
use crate::time::Time;

impl State {
    /// Records of one open episode.
    pub(super) fn apply_to_episode(&mut self, now: Time, record: &Record) {
        match record {
            Record::Widened { episode, rings } => {
                self.edit(*episode, |e| e.rings = *rings);
                self.reclass(now, *episode);
            }
            Record::ExclusionsCleared { episode } => {
                self.edit(*episode, |e| e.excluded.truncate(e.barred));
                self.excluding.remove(episode);
                let place = self.episodes.get(episode).and_then(|e| e.place);
                self.todo.episodes.extend(place);
            }
            Record::Requeued { episode, why } => self.apply_requeued(now, *episode, *why),
            Record::Left { episode } => self.apply_left(now, *episode),
            Record::Queued { episode } => self.apply_queued(now, *episode),
            Record::TransferOffered {
                episode,
                by,
                to,
                via,
                note,
            } => {
                let (by, to, via, note) = (*by, *to, *via, note.clone());
                self.edit(*episode, |e| {
                    e.transfer = Some(Transfer {
                        by,
                        to,
                        via,
                        note,
                        at: now,
                    });
                });
                self.take_slot(to, *episode, Use::Offered, via);
            }
            Record::TransferEnded { episode, why } => {
                self.apply_transfer_ended(now, *episode, *why);
            }
            Record::TeamTransferred {
                episode,
                by,
                team,
                skills,
                note,
            } => {
                let owner = self.episodes.get(episode).and_then(|e| e.stage.owner());
                self.release_owner(now, *episode);
                let keeps_age = self
                    .teams
                    .get(team)
                    .is_some_and(|team| team.transfer_keeps_age);
                self.edit(*episode, |e| {
                    (e.team, e.skills, e.rings) = (*team, *skills, 0);
                    e.rank = Rank::Waits;
                    // The former agent has nothing to say in another team, and whoever gave the
                    // customer away does not get him back.
                    e.former = None;
                    e.note = Some((*by, note.clone()));
                    e.givers = owner.into_iter().chain([*by]).collect();
                    if !keeps_age {
                        e.queued_at = now;
                    }
                });
                self.join_queue(now, *episode);
            }
            Record::Held { episode } => self.apply_held(*episode, true),
            Record::Resumed { episode } => self.apply_held(*episode, false),
            other => self.apply_to_course(now, other),
        }
    }

    /// Records of what is said and done in an episode; nobody gets or loses it.
    fn apply_to_course(&mut self, now: Time, record: &Record) {
        match record {
            Record::CustomerLink { episode, live } => self.edit(*episode, |e| {
                e.customer_lost_at = if *live { None } else { Some(now) };
            }),
            Record::CustomerSaid { episode, seq } => self.apply_customer_said(now, *episode, *seq),
            Record::AgentSaid {
                episode,
                agent,
                seq,
                internal,
            } => {
                let mut answers = false;
                self.edit(*episode, |e| {
                    e.wrote(now, *seq);
                    answers = !internal && e.stage.owner() == Some(*agent);
                    e.answered |= answers;
                    e.customer_owes |= !internal;
                    if answers {
                        e.givers.clear();
                    }
                });
                if answers && let Some(agent) = self.agents.get_mut(agent) {
                    agent.misses = 0;
                }
            }
            Record::AnswerWarned { episode } => self.edit(*episode, |e| e.answer_warned = true),
            Record::IdleWarned { episode } => self.edit(*episode, |e| e.idle_warned = true),
            Record::Supervised { episode, by, level } => self.edit(*episode, |e| match level {
                Some(level) => {
                    e.supervisors.insert(*by, *level);
                }
                None => {
                    e.supervisors.remove(by);
                }
            }),
            Record::Recalled { episode, seq } => {
                self.edit(*episode, |e| {
                    e.recalled.insert(*seq);
                });
                if let Some(ended) = self.ended.get_mut(episode) {
                    ended.recalled.insert(*seq);
                }
            }
            _ => {}
        }
    }

    pub(super) fn edit(&mut self, id: EpisodeId, edit: impl FnOnce(&mut Episode)) {
        if let Some(episode) = self.episodes.get_mut(&id) {
            edit(episode);
            self.todo.deadlines.push(Whose::Episode(id));
        }
    }

    // The queue.

    pub(super) fn apply_opened(
        &mut self,
        now: Time,
        id: EpisodeId,
        conversation: ConversationId,
        wanted: &Wanted,
        seq: u64,
    ) {
        let episode = Episode {
            conversation,
            team: wanted.team,
            skills: wanted.skills,
            priority: wanted.priority,
            former: wanted.former,
            excluded: wanted.excluded.clone(),
            barred: wanted.excluded.len(),
            givers: Vec::new(),
            stage: Stage::Queued,
            stage_at: now,
            queued_at: now,
            rank: Rank::Waits,
            left: false,
            unseen: true,
            waited_ms: 0,
            rings: 0,
            class: ClassId(0),
            place: None,
            assignments: 0,
            first_seq: seq,
            last_seq: seq,
            answered: false,
            answer_warned: false,
            customer_owes: false,
            written_at: now,
            idle_warned: false,
            customer_lost_at: None,
            transfer: None,
            note: None,
            supervisors: BTreeMap::new(),
            recalled: BTreeSet::new(),
        };
        self.episodes_made = self.episodes_made.max(id.0);
        self.episodes.insert(id, episode);
        self.open.insert(conversation, id);
        self.join_queue(now, id);
    }

    /// The episode waits from now on; its class is what it needs now.
    fn join_queue(&mut self, now: Time, id: EpisodeId) {
        self.todo.attendance_moved = true;
        let Some(episode) = self.episodes.get(&id) else {
            return;
        };
        let class = self.pool.class(self.need(episode));
        let place = self.place(id, episode);
        let team = episode.team;
        if episode.excluded.len() > episode.barred {
            self.excluding.insert(id);
            self.todo.roster_moved = true;
        }
        self.edit(id, |e| {
            e.class = class;
            e.place = Some(place);
            e.stage = Stage::Queued;
            e.stage_at = now;
        });
        self.pool.classes[class.0].waiting.insert(place);
        self.pool.classes[class.0].rate.joined(now);
        *self.waiting.entry(team).or_default() += 1;
        self.todo.places.push((class, place, 1));
        self.todo.episodes.insert(place);
    }

    /// A message is left: it waits behind those who are there or, if nobody may come now, for that.
    pub(super) fn apply_left(&mut self, now: Time, id: EpisodeId) {
        self.release_owner(now, id);
        self.leave_queue(now, id, Stage::Left);
        self.edit(id, |e| {
            e.left = true;
            e.rank = Rank::Left;
        });
        if self
            .episodes
            .get(&id)
            .is_some_and(|e| self.may_come(e.team))
        {
            self.join_queue(now, id);
        } else {
            self.left.insert(id);
        }
    }

    /// A left message waits like all others, with its age.
    fn apply_queued(&mut self, now: Time, id: EpisodeId) {
        self.leave_queue(now, id, Stage::Left);
        self.edit(id, |e| e.rank = Rank::Waits);
        self.join_queue(now, id);
    }

    fn apply_customer_said(&mut self, now: Time, id: EpisodeId, seq: u64) {
        let owner = self.owner(id).and_then(|owner| self.agents.get(&owner));
        let is_seen = owner.is_some_and(|owner| owner.live);
        self.edit(id, |e| {
            e.wrote(now, seq);
            e.customer_owes = false;
            e.unseen |= !is_seen;
            // He is back, unless nobody may come yet.
            e.left &= e.stage == Stage::Left;
            if matches!(e.stage, Stage::Offered { .. }) {
                e.rank = e.rank.min(Rank::Waits);
            }
        });
    }

    /// Who serves an episode.
    pub(super) fn owner(&self, id: EpisodeId) -> Option<AgentId> {
        self.episodes.get(&id)?.stage.owner()
    }

    /// Whether an agent may come to a customer of the team: it is open, and somebody serves it or
    /// a team that its rings join.
    pub(super) fn may_come(&self, team: TeamId) -> bool {
        let joined = self
            .teams
            .get(&team)
            .into_iter()
            .flat_map(|team| &team.rings);
        let joined: Vec<TeamId> = joined.filter_map(|ring| ring.join).chain([team]).collect();
        let serves = |agent: &Agent| {
            let mut teams = agent.settings.teams.iter();
            teams.any(|member| joined.contains(&member.team))
        };
        !self.closed.contains(&team) && self.agents.values().any(serves)
    }

    /// The episode waits no more.
    pub(super) fn leave_queue(&mut self, now: Time, id: EpisodeId, stage: Stage) {
        let Some(episode) = self.episodes.get(&id) else {
            return;
        };
        if let Some(place) = episode.place {
            let (class, team) = (episode.class, episode.team);
            let queue = &mut self.pool.classes[class.0];
            queue.waiting.remove(&place);
            queue.rate.departed(now, queue.waiting.is_empty());
            if let Some(waiting) = self.waiting.get_mut(&team) {
                *waiting -= 1;
            }
            self.excluding.remove(&id);
            self.todo.places.push((class, place, -1));
            self.todo.episodes.remove(&place);
        }
        self.left.remove(&id);
        self.edit(id, |e| {
            if matches!(e.stage, Stage::Queued | Stage::Offered { .. }) {
                e.waited_ms += now.since_ms(e.stage_at);
            }
            e.place = None;
            e.stage = stage;
            e.stage_at = now;
        });
    }

    /// What a waiting episode needs has changed: it keeps its place in another class.
    pub(super) fn reclass(&mut self, now: Time, id: EpisodeId) {
        let Some(episode) = self.episodes.get(&id) else {
            return;
        };
        let class = self.pool.class(self.need(episode));
        let (old, moved) = (
            episode.class,
            episode.place.map(|_| self.place(id, episode)),
        );
        if let (Some(left), Some(taken)) = (episode.place, moved) {
            let queue = &mut self.pool.classes[old.0];
            queue.waiting.remove(&left);
            queue.rate.moved(now, queue.waiting.is_empty());
            self.pool.classes[class.0].waiting.insert(taken);
            self.pool.classes[class.0].rate.joined(now);
            self.todo
                .places
                .extend([(old, left, -1), (class, taken, 1)]);
            self.todo.episodes.remove(&left);
            self.todo.episodes.insert(taken);
            self.todo.roster_moved |= self.excluding.contains(&id);
        }
        self.edit(id, |e| (e.class, e.place) = (class, moved));
    }

    // An episode's way.

    pub(super) fn apply_offer_ended(
        &mut self,
        now: Time,
        id: EpisodeId,
        agent: AgentId,
        why: Unaccepted,
    ) {
        self.leave_queue(now, id, Stage::Queued);
        if matches!(why, Unaccepted::Declined | Unaccepted::Missed) {
            self.missed(agent);
            self.edit(id, |e| e.exclude(agent));
        }
        self.free_slot(now, agent, id);
        self.join_queue(now, id);
    }

    pub(super) fn apply_assigned(
        &mut self,
        now: Time,
        id: EpisodeId,
        to: AgentId,
        via: TeamId,
        how: How,
    ) {
        let giver = self.episodes.get(&id).and_then(|e| e.transfer.as_ref());
        let giver = giver.map(|transfer| transfer.by);
        let owner = self.episodes.get(&id).and_then(|e| e.stage.owner());
        self.release_owner(now, id);
        self.leave_queue(now, id, Stage::Active { agent: to, via });
        self.edit(id, |e| {
            if how == How::Transferred {
                e.givers = owner.into_iter().chain(giver).collect();
            }
            e.answered = false;
            e.answer_warned = false;
            e.idle_warned = false;
            // The next word is his new agent's.
            e.customer_owes = false;
            e.assignments += 1;
            e.rank = Rank::Waits;
            e.unseen = false;
            e.written_at = now;
            (e.transfer, e.note) = (None, None);
        });
        if let Some(agent) = self.agents.get_mut(&to) {
            agent.assigned_at = now;
            if matches!(how, How::Automatic | How::Accepted) {
                agent.score = now;
            }
            if how == How::Accepted {
                agent.misses = 0;
            }
        }
        self.take_slot(to, id, Use::Active, via);
    }

    /// Whoever serves the episode, is offered it or is asked to take it over, is not any more.
    fn release_owner(&mut self, now: Time, id: EpisodeId) {
        let Some(episode) = self.episodes.get(&id) else {
            return;
        };
        let holder = match episode.stage {
            Stage::Left | Stage::Queued => None,
            Stage::Offered { agent, .. }
            | Stage::Active { agent, .. }
            | Stage::Held { agent, .. } => Some(agent),
        };
        let asked = episode.transfer.as_ref().map(|transfer| transfer.to);
        for agent in holder.into_iter().chain(asked) {
            self.free_slot(now, agent, id);
        }
        self.edit(id, |e| e.transfer = None);
    }

    pub(super) fn apply_requeued(&mut self, now: Time, id: EpisodeId, why: Requeue) {
        let owner = self.episodes.get(&id).and_then(|e| e.stage.owner());
        self.release_owner(now, id);
        if let Some(agent) = owner
            && why == Requeue::NoAnswer
        {
            self.missed(agent);
            self.edit(id, |e| e.exclude(agent));
        }
        self.edit(id, |e| e.rank = Rank::Head);
        self.join_queue(now, id);
    }

    pub(super) fn apply_transfer_ended(&mut self, now: Time, id: EpisodeId, why: Unaccepted) {
        let Some(transfer) = self.episodes.get_mut(&id).and_then(|e| e.transfer.take()) else {
            return;
        };
        if matches!(why, Unaccepted::Declined | Unaccepted::Missed) {
            self.missed(transfer.to);
        }
        self.free_slot(now, transfer.to, id);
        self.todo.deadlines.push(Whose::Episode(id));
    }

    pub(super) fn apply_held(&mut self, id: EpisodeId, held: bool) {
        let mut owner = None;
        self.edit(id, |e| match e.stage {
            Stage::Active { agent, via } if held => {
                e.stage = Stage::Held { agent, via };
                owner = Some((agent, via));
            }
            Stage::Held { agent, via } if !held => {
                e.stage = Stage::Active { agent, via };
                owner = Some((agent, via));
            }
            _ => {}
        });
        if let Some((agent, via)) = owner {
            self.take_slot(agent, id, if held { Use::Held } else { Use::Active }, via);
        }
    }

    pub(super) fn apply_closed(&mut self, now: Time, id: EpisodeId, why: Ending) {
        let owner = self.episodes.get(&id).map(|e| e.stage);
        self.release_owner(now, id);
        self.leave_queue(now, id, Stage::Queued);
        let Some(episode) = self.episodes.remove(&id) else {
            return;
        };
        self.open.remove(&episode.conversation);
        let team = self.teams.get(&episode.team);
        let (wrap_up_ms, rating_ms) = team.map_or((0, 0), |t| (t.wrap_up_ms, t.rating_ms));
        let owner = match owner {
            Some(Stage::Active { agent, via } | Stage::Held { agent, via }) => Some((agent, via)),
            _ => None,
        };
        if wrap_up_ms > 0
            && let Some((agent, via)) = owner
        {
            self.take_slot(agent, id, Use::WrapUp(now + wrap_up_ms), via);
        }
        let agent = owner.map(|(agent, _)| agent);
        let until = now + rating_ms;
        let Episode {
            conversation,
            recalled,
            ..
        } = episode;
        let ended = Ended {
            conversation,
            agent,
            why,
            until,
            stars: None,
            recalled,
        };
        self.ended.insert(id, ended);
        self.ended_until.insert((until, id));
        if self.ended.len() > limits::DESK_ENDED_MAX
            && let Some((_, oldest)) = self.ended_until.pop_first()
        {
            self.ended.remove(&oldest);
        }
    }
}

impl Episode {
    fn wrote(&mut self, now: Time, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
        self.written_at = now;
        self.idle_warned = false;
    }

    /// Whether the agent does not get him by himself.
    pub(super) fn is_barred(&self, agent: AgentId) -> bool {
        self.excluded.contains(&agent) || self.givers.contains(&agent)
    }

    fn exclude(&mut self, agent: AgentId) {
        if !self.excluded.contains(&agent) {
            self.excluded.push(agent);
        }
    }
}
