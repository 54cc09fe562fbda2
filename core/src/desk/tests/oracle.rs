//! A second opinion: what the desk promises, checked from its actions alone, and by brute force
//! over everybody instead of through its indexes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::state::{Agent, Episode, Use};
use super::super::*;

/// What has been seen of one open episode.
#[derive(Debug, Default, Clone)]
struct Seen {
    owner: Option<AgentId>,
    opened_at: Time,
    first_seq: u64,
    /// All messages so far.
    log: Vec<u64>,
    /// What each agent was given or wrote, in order.
    shown: BTreeMap<AgentId, Vec<u64>>,
    /// Who gave him away, until his new agent has written to him.
    givers: BTreeSet<AgentId>,
    /// What he wrote that no agent was sent.
    unsent: BTreeSet<u64>,
    /// The last word for him to read is not his own.
    customer_owes: bool,
}

/// The promises, watched from outside.
#[derive(Debug, Default, Clone)]
pub(super) struct Oracle {
    episodes: BTreeMap<EpisodeId, Seen>,
    live: BTreeMap<AgentId, bool>,
    status: BTreeMap<AgentId, AgentStatus>,
    settings: BTreeMap<AgentId, AgentSettings>,
    /// Slots in use: hundredths of a whole one do not matter here, kinds do.
    slots: BTreeMap<AgentId, BTreeMap<EpisodeId, (u64, TeamId)>>,
    hold_weight: u64,
    time: Time,
}

impl Oracle {
    pub(super) fn see(&mut self, event: &Event, actions: &[Action]) -> Result<(), String> {
        self.custody(event, actions)?;
        for action in actions {
            match action {
                Action::Store(entry) => self.see_entry(entry)?,
                Action::Given { episode, agent, .. } => {
                    let seen = self.episodes.entry(*episode).or_default();
                    if let Some(owner) = seen.owner.replace(*agent) {
                        return Err(format!("{episode:?} has {owner:?} and gets {agent:?} too"));
                    }
                }
                Action::Released { episode, agent } => {
                    let seen = self.episodes.entry(*episode).or_default();
                    if seen.owner.take() != Some(*agent) {
                        return Err(format!("{agent:?} released from {episode:?}, not his"));
                    }
                }
                Action::Closed(episode, agent, _) => {
                    let seen = self.episodes.remove(episode).unwrap_or_default();
                    // Unless he ends it himself, nothing is ended that nobody has seen.
                    if !matches!(event, Event::CustomerLeaves(_)) && !seen.unsent.is_empty() {
                        return Err(format!("{episode:?} closed, nobody has seen {seen:?}"));
                    }
                    if seen.owner != *agent {
                        return Err(format!("{episode:?} closed for {agent:?}: {seen:?}"));
                    }
                }
                Action::TransferDone(episode, by, _) => {
                    let seen = self.episodes.entry(*episode).or_default();
                    seen.givers = seen.owner.into_iter().chain([*by]).collect();
                }
                Action::HandOver {
                    episode,
                    agent,
                    from_seq,
                    to_seq,
                } => {
                    let seen = self.episodes.entry(*episode).or_default();
                    let ends = (Some(&seen.first_seq), seen.log.last());
                    if ends != (Some(from_seq), Some(to_seq)) {
                        return Err(format!("{episode:?}: {from_seq}..{to_seq} of {seen:?}"));
                    }
                    seen.shown.insert(*agent, seen.log.clone());
                    seen.unsent.clear();
                }
                Action::Route {
                    episode,
                    to: Party::Agent(agent),
                    seq,
                } => {
                    let seen = self.episodes.entry(*episode).or_default();
                    seen.shown.entry(*agent).or_default().push(*seq);
                    if self.live.get(agent) == Some(&true) {
                        seen.unsent.remove(seq);
                    }
                }
                _ => {}
            }
        }
        for (episode, seen) in &self.episodes {
            if let Some(owner) = seen.owner
                && seen.shown.get(&owner) != Some(&seen.log)
            {
                return Err(format!(
                    "{episode:?}: {owner:?} has not read all in order: {seen:?}"
                ));
            }
        }
        Ok(())
    }

    /// A text to a team stands in exactly one episode.
    fn custody(&self, event: &Event, actions: &[Action]) -> Result<(), String> {
        let Event::Arrive { seq: text, .. } = event else {
            return Ok(());
        };
        let holds = |action: &&Action| {
            let Action::Store(entry) = action else {
                return matches!(action, Action::Refuse(_, Refusal::NoTeam));
            };
            match &entry.record {
                Record::Opened { seq, .. } | Record::CustomerSaid { seq, .. } => seq == text,
                _ => false,
            }
        };
        match actions.iter().filter(holds).count() {
            1 => Ok(()),
            count => Err(format!("text {text} stands in {count} episodes")),
        }
    }

    fn see_entry(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.time < self.time {
            return Err(format!("{entry:?} runs backwards from {:?}", self.time));
        }
        self.time = entry.time;
        match &entry.record {
            Record::Settings(settings) => self.hold_weight = settings.hold_weight_permille.into(),
            Record::Agent { agent, settings } => {
                self.settings.insert(*agent, settings.clone());
            }
            Record::AgentRemoved { agent } => {
                if self
                    .slots
                    .get(agent)
                    .is_some_and(|s| s.values().any(|(w, _)| *w > 0))
                {
                    let wrap_up_only = "may have wrap-up";
                    self.slots.remove(agent).ok_or(wrap_up_only)?;
                }
                self.settings.remove(agent);
                self.live.remove(agent);
                self.status.remove(agent);
            }
            Record::Status { agent, status } => {
                self.status.insert(*agent, *status);
            }
            Record::AgentLink { agent, live } => {
                self.live.insert(*agent, *live);
                // His session begins with all that was written.
                let own = self.episodes.values_mut();
                for seen in own.filter(|seen| *live && seen.owner == Some(*agent)) {
                    seen.unsent.clear();
                }
            }
            Record::Restarted => self.live.clear(),
            Record::Opened { episode, seq, .. } => {
                let fresh = Seen {
                    opened_at: entry.time,
                    first_seq: *seq,
                    log: vec![*seq],
                    unsent: BTreeSet::from([*seq]),
                    ..Seen::default()
                };
                if self.episodes.insert(*episode, fresh).is_some() {
                    return Err(format!("{episode:?} opened twice"));
                }
            }
            Record::CustomerSaid { episode, seq } => self.said(*episode, *seq, None, false)?,
            Record::AgentSaid {
                episode,
                seq,
                agent,
                internal,
            } => self.said(*episode, *seq, Some(*agent), *internal)?,
            other => {
                self.see_turn(other)?;
                self.see_slots(other)?;
            }
        }
        Ok(())
    }

    /// Whose turn it is: to write, and to get the customer.
    fn see_turn(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::IdleWarned { episode }
            | Record::Closed {
                episode,
                why: Ending::Idle,
            } => {
                let seen = self.episodes.entry(*episode).or_default();
                if !seen.customer_owes {
                    return Err(format!("{episode:?}: silence of the agent: {seen:?}"));
                }
            }
            Record::Assigned {
                episode,
                agent,
                how,
                ..
            } => {
                let seen = self.episodes.entry(*episode).or_default();
                seen.customer_owes = false;
                let by_itself = matches!(how, How::Automatic | How::Former);
                if by_itself && seen.givers.contains(agent) {
                    return Err(format!(
                        "{episode:?} came back to {agent:?}, who gave it away"
                    ));
                }
            }
            Record::Offered { episode, agent, .. } => {
                let seen = self.episodes.entry(*episode).or_default();
                if seen.givers.contains(agent) {
                    return Err(format!("{episode:?} rings at {agent:?}, who gave it away"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn said(
        &mut self,
        id: EpisodeId,
        seq: u64,
        by: Option<AgentId>,
        internal: bool,
    ) -> Result<(), String> {
        let seen = self.episodes.get_mut(&id).ok_or("said in no episode")?;
        if seen.log.last() >= Some(&seq) {
            return Err(format!("{seq} again in {seen:?}"));
        }
        seen.log.push(seq);
        if by.is_none() {
            seen.unsent.insert(seq);
        }
        seen.customer_owes = by.is_some() && (!internal || seen.customer_owes);
        if by.is_some() && by == seen.owner && !internal {
            seen.givers.clear();
        }
        if let Some(agent) = by {
            seen.shown.entry(agent).or_default().push(seq);
        }
        Ok(())
    }

    /// Slots are counted from the records, without the machine's help.
    fn see_slots(&mut self, record: &Record) -> Result<(), String> {
        let whole = 1000;
        match record {
            Record::Offered {
                episode,
                agent,
                via,
            } => self.use_slot(*agent, *episode, whole, *via, true),
            Record::TransferOffered {
                episode, to, via, ..
            } => self.use_slot(*to, *episode, whole, *via, true),
            Record::OfferEnded { episode, agent, .. } => self.free(*agent, *episode),
            Record::TransferEnded { episode, .. } => {
                let owner = self.episodes.get(episode).and_then(|seen| seen.owner);
                let others = self
                    .holders(*episode)
                    .into_iter()
                    .filter(|a| Some(*a) != owner);
                others
                    .collect::<Vec<_>>()
                    .into_iter()
                    .try_for_each(|a| self.free(a, *episode))
            }
            Record::Assigned {
                episode,
                agent,
                via,
                how,
            } => {
                let pulled = matches!(how, How::Pulled | How::TakenOver);
                for holder in self.holders(*episode) {
                    self.free(holder, *episode)?;
                }
                self.use_slot(*agent, *episode, whole, *via, !pulled)
            }
            Record::Requeued { episode, .. }
            | Record::TeamTransferred { episode, .. }
            | Record::Left { episode }
            | Record::Closed { episode, .. } => {
                // A wrap-up is seen by the brute-force check, which asks the machine.
                self.holders(*episode)
                    .into_iter()
                    .try_for_each(|a| self.free(a, *episode))
            }
            Record::Held { episode } => self.weigh(*episode, self.hold_weight),
            Record::Resumed { episode } => self.weigh(*episode, whole),
            _ => Ok(()),
        }
    }

    fn weigh(&mut self, episode: EpisodeId, weight: u64) -> Result<(), String> {
        let owner = self.episodes.get(&episode).and_then(|seen| seen.owner);
        let owner = owner.ok_or("held by nobody")?;
        let slot = self.slots.entry(owner).or_default().get_mut(&episode);
        slot.ok_or("held without a slot")?.0 = weight;
        Ok(())
    }

    fn holders(&self, episode: EpisodeId) -> Vec<AgentId> {
        let holds = self
            .slots
            .iter()
            .filter(|(_, slots)| slots.contains_key(&episode));
        holds.map(|(agent, _)| *agent).collect()
    }

    fn free(&mut self, agent: AgentId, episode: EpisodeId) -> Result<(), String> {
        let slots = self.slots.entry(agent).or_default();
        slots
            .remove(&episode)
            .map(|_| ())
            .ok_or(format!("{agent:?} did not hold {episode:?}"))
    }

    fn use_slot(
        &mut self,
        agent: AgentId,
        episode: EpisodeId,
        weight: u64,
        via: TeamId,
        limited: bool,
    ) -> Result<(), String> {
        let slots = self.slots.entry(agent).or_default();
        slots.insert(episode, (weight, via));
        if !limited {
            return Ok(());
        }
        let settings = self
            .settings
            .get(&agent)
            .ok_or("assigned to nobody known")?;
        let all: u64 = slots.values().map(|(weight, _)| weight).sum();
        let own: u64 = slots
            .values()
            .filter(|slot| slot.1 == via)
            .map(|slot| slot.0)
            .sum();
        let member = settings.teams.iter().find(|member| member.team == via);
        let member = member.ok_or("assigned for a team that is not his")?;
        if all > u64::from(settings.capacity) * 1000 || own > u64::from(member.capacity) * 1000 {
            return Err(format!(
                "{agent:?} above capacity with {episode:?}: {slots:?}"
            ));
        }
        let there = self.live.get(&agent) == Some(&true)
            && self.status.get(&agent) == Some(&AgentStatus::Online);
        if !there {
            return Err(format!("{episode:?} given to {agent:?}, who is not there"));
        }
        Ok(())
    }

    /// A requeue has not touched anybody's age (unless a team transfer may).
    pub(super) fn ages(&self, desk: &Desk) -> Result<(), String> {
        for (id, episode) in &desk.state.episodes {
            let seen = self
                .episodes
                .get(id)
                .ok_or(format!("{id:?} was never opened"))?;
            if episode.queued_at != seen.opened_at {
                return Err(format!("{id:?} lost its age"));
            }
        }
        Ok(())
    }
}

/// Whether the agent could be given the episode, by going through the rules one by one.
fn eligible(desk: &Desk, id: AgentId, agent: &Agent, episode: &Episode) -> bool {
    let state = &desk.state;
    if !agent.live || agent.status != AgentStatus::Online || episode.is_barred(id) {
        return false;
    }
    let need = state.need(episode);
    let skilled = agent.settings.skills.covers(need.skills);
    let weight = |used: Use| {
        if used == Use::Held {
            state.settings.hold_weight_permille
        } else {
            1000
        }
    };
    let load: u32 = agent.slots.values().map(|slot| weight(slot.used)).sum();
    // The first of the customer's teams that he is in is the one for which he would serve.
    let of = |team: &TeamId| {
        agent
            .settings
            .teams
            .iter()
            .find(|member| member.team == *team)
    };
    let Some(member) = need.teams.iter().find_map(of) else {
        return false;
    };
    let own = agent.slots.values().filter(|slot| slot.via == member.team);
    let own: u32 = own.map(|slot| weight(slot.used)).sum();
    let mode = state.teams[&member.team].mode.max(agent.settings.mode);
    let all = agent.settings.capacity * 1000;
    let fits = load + 1000 <= all && own + 1000 <= member.capacity * 1000;
    skilled
        && mode != Mode::Pull
        && fits
        && !kept_back(desk, agent, &need.teams, need.skills, all - load)
}

/// Whether the agent's free slots are all reserved for something rarer than these skills.
fn kept_back(desk: &Desk, agent: &Agent, teams: &[TeamId], skills: Skills, free: u32) -> bool {
    let (state, own) = (&desk.state, agent.settings.skills);
    let reserved = state.settings.reserved_slots;
    if own.count() < 3 || agent.settings.capacity <= reserved || free / 1000 > reserved {
        return false;
    }
    let slots = |skill: u8| -> u32 {
        let with = state
            .agents
            .values()
            .filter(|a| a.settings.skills.covers(Skills::one(skill)));
        with.map(|a| a.settings.capacity).sum()
    };
    let fewest = own.iter().map(slots).min().unwrap_or(0);
    let rare = skills
        .iter()
        .any(|skill| own.covers(Skills::one(skill)) && slots(skill) == fewest);
    let specialist = state.agents.values().any(|a| {
        a.settings.skills.count() < 3
            && a.settings.skills.covers(skills)
            && a.settings
                .teams
                .iter()
                .any(|member| teams.contains(&member.team))
    });
    !rare && specialist
}

/// No free agent could take anybody who waits.
pub(super) fn nobody_idles(desk: &Desk) -> Result<(), String> {
    for (id, episode) in &desk.state.episodes {
        if episode.stage != Stage::Queued {
            continue;
        }
        for (agent_id, agent) in &desk.state.agents {
            if eligible(desk, *agent_id, agent, episode) {
                return Err(format!(
                    "{agent_id:?} idles while {id:?} waits\n{agent:#?}\n{episode:#?}"
                ));
            }
        }
    }
    Ok(())
}

/// A left message waits only as long as nobody may come; whoever waits, waits for somebody.
pub(super) fn left_messages_are_taken_up(desk: &Desk) -> Result<(), String> {
    let state = &desk.state;
    for (id, episode) in &state.episodes {
        let joined = state.teams[&episode.team].rings.iter();
        let joined: Vec<TeamId> = joined.filter_map(|ring| ring.join).collect();
        let of = |agent: &Agent, teams: &[TeamId]| {
            let mut own = agent.settings.teams.iter();
            own.any(|member| teams.contains(&member.team))
        };
        let teams = [&[episode.team][..], &joined].concat();
        let is_served = state.agents.values().any(|agent| of(agent, &teams));
        let may_come = is_served && !state.closed.contains(&episode.team);
        let is_left = episode.stage == Stage::Left;
        if is_left != state.left.contains(id) || is_left && (may_come || !episode.left) {
            return Err(format!(
                "a left message is not taken up: {id:?} {episode:#?}"
            ));
        }
        let mut there = state.agents.values().filter(|agent| {
            agent.live && agent.status == AgentStatus::Online && of(agent, &[episode.team])
        });
        if episode.stage == Stage::Queued && !may_come && there.next().is_none() {
            return Err(format!("waits for nobody: {id:?} {episode:#?}"));
        }
    }
    Ok(())
}

/// Who waited before the step and after it was not overtaken in it.
pub(super) fn nobody_overtaken(
    before: &Desk,
    after: &Desk,
    actions: &[Action],
) -> Result<(), String> {
    let waited: BTreeSet<EpisodeId> = before
        .state
        .episodes
        .iter()
        .filter(|(_, e)| e.stage == Stage::Queued)
        .map(|(id, _)| *id)
        .collect();
    for action in actions {
        let Action::Store(Entry { record, .. }) = action else {
            continue;
        };
        let (taken, agent) = match record {
            Record::Offered { episode, agent, .. }
            | Record::Assigned {
                episode,
                agent,
                how: How::Automatic | How::Former,
                ..
            } => (episode, agent),
            _ => continue,
        };
        let Some(winner) = before.state.episodes.get(taken) else {
            continue;
        };
        let is_back = |action: &Action| match action {
            Action::Store(entry) => entry.record == Record::Queued { episode: *taken },
            _ => false,
        };
        if actions.iter().any(is_back) {
            continue; // he had left a message, and stands where his age puts him
        }
        let rank =
            |id: EpisodeId, e: &Episode| (e.team, e.skills, e.rings, after.state.place(id, e));
        for (id, loser) in &after.state.episodes {
            let (mut w, l) = (rank(*taken, winner), rank(*id, loser));
            // In this very step he may have become one whom more agents serve.
            w.2 = after.state.episodes.get(taken).map_or(w.2, |e| e.rings);
            let same = (w.0, w.1, w.2) == (l.0, l.1, l.2);
            let free_to = !loser.is_barred(*agent) && loser.excluded == winner.excluded;
            let unchanged = before
                .state
                .episodes
                .get(id)
                .is_some_and(|b| b.place == loser.place);
            if same
                && free_to
                && unchanged
                && waited.contains(id)
                && waited.contains(taken)
                && loser.stage == Stage::Queued
                && l.3 < w.3
            {
                return Err(format!("{taken:?} overtook {id:?}"));
            }
        }
    }
    Ok(())
}
