//! The two indexes that make a decision cheap: who waits, by class of need, and who is free, by
//! group of ability.
//!
//! A *class* is what a waiting customer needs: team, skills, overflow teams. A *group* is what an
//! agent offers: teams and skills. Which class is served by which group is computed once, when
//! either is first seen, so that a decision looks at the heads of a few ordered sets and never at
//! all agents or all customers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::estimate::Rate;
use super::settings::RESERVING_SKILLS_MIN;
use super::types::{AgentId, EpisodeId, Skills, TeamId};
use crate::limits;
use crate::time::Time;

/// Index of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ClassId(pub(super) usize);

/// Index of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct GroupId(pub(super) usize);

/// What a customer needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Need {
    /// His own team first, then overflow teams in the order in which they joined.
    pub(super) teams: Vec<TeamId>,
    /// What his agent must be able to do.
    pub(super) skills: Skills,
}

/// Before whom somebody stands in the queue, whatever his age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Rank {
    /// He lost his agent: before everybody else.
    Head,
    /// He waits.
    Waits,
    /// He left a message and went: behind all who are there.
    Left,
}

/// A place in the queue: lower is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    /// Before whom he stands.
    pub(super) rank: Rank,
    /// When he arrived, made earlier by his priority, milliseconds.
    pub(super) since_ms: i64,
    /// Breaks ties by order of arrival.
    pub(super) episode: EpisodeId,
}

/// An agent's turn among the free of his group: lower is chosen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Turn {
    /// Millionths of his capacity in use; 0 where the team goes round.
    pub(super) load_ppm: u64,
    /// Last assignment, or the score of the round.
    pub(super) since: Time,
    /// Breaks ties.
    pub(super) agent: AgentId,
}

/// Where an agent stands in the free sets, to take him out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// Index of the team in his group.
    pub(super) team: usize,
    /// In the set of those whose free slots are all reserved.
    pub(super) reserved: bool,
    /// His turn there.
    pub(super) turn: Turn,
}

/// The free agents of one group for one of its teams.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Free {
    /// With a slot for anybody.
    pub(super) open: BTreeSet<Turn>,
    /// With reserved slots only.
    pub(super) reserved: BTreeSet<Turn>,
}

/// Agents with the same teams and skills.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    /// Ascending.
    pub(super) teams: Vec<TeamId>,
    /// What they can do.
    pub(super) skills: Skills,
    /// How many agents the roster has of it.
    pub(super) members: u32,
    /// Classes that it serves, with the index of the team for which it does.
    pub(super) serves: Vec<(ClassId, usize)>,
    /// Parallel to `teams`.
    pub(super) free: Vec<Free>,
    /// Those of its skills that the fewest slots of the roster have.
    pub(super) rarest: Skills,
}

impl Group {
    /// Whether its agents keep slots back.
    pub(super) fn reserves(&self) -> bool {
        self.skills.count() >= RESERVING_SKILLS_MIN
    }

    /// How much else its agents could do: fewer is chosen first.
    pub(super) fn flexibility(&self) -> usize {
        self.teams.len() + self.skills.count() as usize
    }
}

/// Customers with the same need.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Class {
    /// What they need.
    pub(super) need: Need,
    /// Groups that serve it, with the index of the team in the group.
    pub(super) served_by: Vec<(GroupId, usize)>,
    /// Who waits.
    pub(super) waiting: BTreeSet<Place>,
    /// Agents of the roster who can serve it and reserve nothing. Without any, a reservation
    /// would keep it from being served at all.
    pub(super) specialists: u32,
    /// How fast it moves.
    pub(super) rate: Rate,
}

/// Both indexes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pool {
    /// By [`ClassId`].
    pub(super) classes: Vec<Class>,
    /// By [`GroupId`].
    pub(super) groups: Vec<Group>,
    // Both are made again after a snapshot: JSON has no such keys.
    #[serde(skip)]
    class_ids: BTreeMap<Need, ClassId>,
    #[serde(skip)]
    group_ids: BTreeMap<(Vec<TeamId>, Skills), GroupId>,
    /// Slots in the roster by skill.
    slots: Vec<u64>,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            classes: Vec::new(),
            groups: Vec::new(),
            class_ids: BTreeMap::new(),
            group_ids: BTreeMap::new(),
            slots: vec![0; limits::SKILLS_MAX],
        }
    }
}

/// The index of the team for which `group` serves `need`: the first that it has.
fn serving_team(need: &Need, teams: &[TeamId], skills: Skills) -> Option<usize> {
    if !skills.covers(need.skills) {
        return None;
    }
    need.teams
        .iter()
        .find_map(|team| teams.binary_search(team).ok())
}

impl Pool {
    /// What a snapshot does not hold.
    pub(super) fn index_anew(&mut self) {
        let classes = self.classes.iter().enumerate();
        let classes = classes.map(|(id, class)| (class.need.clone(), ClassId(id)));
        self.class_ids = classes.collect();
        let groups = self.groups.iter().enumerate();
        let groups = groups.map(|(id, g)| ((g.teams.clone(), g.skills), GroupId(id)));
        self.group_ids = groups.collect();
    }

    /// The class of this need; made when it is first asked for.
    pub(super) fn class(&mut self, need: Need) -> ClassId {
        if let Some(id) = self.class_ids.get(&need) {
            return *id;
        }
        let id = ClassId(self.classes.len());
        let mut served_by = Vec::new();
        let mut specialists = 0;
        for (index, group) in self.groups.iter_mut().enumerate() {
            let Some(team) = serving_team(&need, &group.teams, group.skills) else {
                continue;
            };
            served_by.push((GroupId(index), team));
            group.serves.push((id, team));
            if !group.reserves() {
                specialists += group.members;
            }
        }
        self.class_ids.insert(need.clone(), id);
        let waiting = BTreeSet::new();
        self.classes.push(Class {
            need,
            served_by,
            waiting,
            specialists,
            rate: Rate::default(),
        });
        id
    }

    fn group(&mut self, teams: Vec<TeamId>, skills: Skills) -> GroupId {
        let key = (teams, skills);
        if let Some(id) = self.group_ids.get(&key) {
            return *id;
        }
        let id = GroupId(self.groups.len());
        let (teams, skills) = key.clone();
        let mut serves = Vec::new();
        for (index, class) in self.classes.iter_mut().enumerate() {
            let Some(team) = serving_team(&class.need, &teams, skills) else {
                continue;
            };
            serves.push((ClassId(index), team));
            class.served_by.push((id, team));
        }
        self.group_ids.insert(key, id);
        let free = vec![Free::default(); teams.len()];
        let rarest = Skills::NONE;
        self.groups.push(Group {
            teams,
            skills,
            members: 0,
            serves,
            free,
            rarest,
        });
        id
    }

    /// Enters an agent in the roster. Returns his group and the agents whose reserved slots mean
    /// something else now.
    pub(super) fn enrol(
        &mut self,
        teams: Vec<TeamId>,
        skills: Skills,
        capacity: u32,
    ) -> (GroupId, Vec<AgentId>) {
        let id = self.group(teams, skills);
        self.groups[id.0].members += 1;
        for skill in skills.iter() {
            self.slots[usize::from(skill)] += u64::from(capacity);
        }
        let changed = self.count_specialists(id, 1);
        (id, self.reserve_anew(changed))
    }

    /// Takes an agent out of the roster; he is in no free set any more.
    pub(super) fn discharge(&mut self, id: GroupId, capacity: u32) -> Vec<AgentId> {
        self.groups[id.0].members -= 1;
        for skill in self.groups[id.0].skills.iter() {
            self.slots[usize::from(skill)] -= u64::from(capacity);
        }
        let changed = self.count_specialists(id, -1);
        self.reserve_anew(changed)
    }

    /// Counts a specialist in or out; returns the groups for which some class gained its first or
    /// lost its last one.
    fn count_specialists(&mut self, id: GroupId, by: i32) -> BTreeSet<GroupId> {
        let mut changed = BTreeSet::new();
        if self.groups[id.0].reserves() {
            return changed;
        }
        for (class, _) in &self.groups[id.0].serves {
            let class = &mut self.classes[class.0];
            let before = class.specialists;
            class.specialists = before.saturating_add_signed(by);
            if (before == 0) != (class.specialists == 0) {
                changed.extend(class.served_by.iter().map(|(group, _)| *group));
            }
        }
        changed
    }

    /// Finds the rarest skills of all groups that reserve; returns the agents with reserved slots
    /// in groups for which something changed.
    fn reserve_anew(&mut self, mut changed: BTreeSet<GroupId>) -> Vec<AgentId> {
        for (index, group) in self.groups.iter_mut().enumerate() {
            if !group.reserves() {
                continue;
            }
            let slots = |skill: u8| self.slots[usize::from(skill)];
            let fewest = group.skills.iter().map(slots).min().unwrap_or(0);
            let rarest = group
                .skills
                .iter()
                .filter(|skill| slots(*skill) == fewest)
                .fold(Skills::NONE, |set, skill| set.and(Skills::one(skill)));
            if group.rarest != rarest {
                group.rarest = rarest;
                changed.insert(GroupId(index));
            }
        }
        let mut agents = Vec::new();
        for group in changed {
            for free in &self.groups[group.0].free {
                agents.extend(free.reserved.iter().map(|turn| turn.agent));
            }
        }
        agents
    }

    /// Whether customers of the class may use the reserved slots of the group.
    pub(super) fn may_use_reserved(&self, class: ClassId, group: GroupId) -> bool {
        let class = &self.classes[class.0];
        class.need.skills.meets(self.groups[group.0].rarest) || class.specialists == 0
    }

    /// Puts an agent among the free.
    pub(super) fn stand(&mut self, group: GroupId, standing: Standing) {
        let free = &mut self.groups[group.0].free[standing.team];
        let set = if standing.reserved {
            &mut free.reserved
        } else {
            &mut free.open
        };
        set.insert(standing.turn);
    }

    /// Takes an agent out of the free.
    pub(super) fn unstand(&mut self, group: GroupId, standing: Standing) {
        let free = &mut self.groups[group.0].free[standing.team];
        let set = if standing.reserved {
            &mut free.reserved
        } else {
            &mut free.open
        };
        set.remove(&standing.turn);
    }

    /// The free agent who should serve the class, and the team for which: with `flexible_last`,
    /// agents who could do little else first; then by turn.
    pub(super) fn choose(
        &self,
        class: ClassId,
        flexible_last: bool,
        is_barred: impl Fn(AgentId) -> bool,
    ) -> Option<(AgentId, TeamId)> {
        let mut best: Option<((usize, Turn), TeamId)> = None;
        for &(group_id, team) in &self.classes[class.0].served_by {
            let group = &self.groups[group_id.0];
            let free = &group.free[team];
            let first =
                |set: &BTreeSet<Turn>| set.iter().find(|turn| !is_barred(turn.agent)).copied();
            let mut turn = first(&free.open);
            if !free.reserved.is_empty() && self.may_use_reserved(class, group_id) {
                turn = [turn, first(&free.reserved)].into_iter().flatten().min();
            }
            let Some(turn) = turn else { continue };
            let rank = (
                if flexible_last {
                    group.flexibility()
                } else {
                    0
                },
                turn,
            );
            if best.is_none_or(|(known, _)| rank < known) {
                best = Some((rank, group.teams[team]));
            }
        }
        best.map(|((_, turn), team)| (turn.agent, team))
    }
}
