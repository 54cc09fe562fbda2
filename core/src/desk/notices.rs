//! Who is told of his place in the queue, and when.
//!
//! A newcomer hears his place at once. After that, a class whose queue has moved is looked at again
//! after [`limits::POSITIONS_WAIT_MS_MIN`], in portions, so that a long queue never makes a step
//! long; only those whose place has changed are told. None of this is state: after a restart
//! everybody is told anew.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Desk;
use super::event::Action;
use super::pool::{ClassId, Place};
use super::state::Whose;
use super::types::{EpisodeId, TeamId};
use crate::limits;

/// A look at a class's queue that is under way.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Up to here everybody has been told.
    at: Place,
    /// How many stand up to there.
    rank: u64,
}

/// What was told to whom.
#[derive(Debug, Clone, Default)]
pub(super) struct Positions {
    told: BTreeMap<EpisodeId, u64>,
    looks: BTreeMap<ClassId, Look>,
    /// Classes that moved behind a look that is under way.
    moved: BTreeSet<ClassId>,
}

impl Desk {
    /// Tells newcomers their place and agents how many wait; sees to it that the others hear.
    pub(super) fn tell_places(&mut self, out: &mut Vec<Action>) {
        let changes = std::mem::take(&mut self.state.todo.places);
        let mut teams: BTreeSet<TeamId> = BTreeSet::new();
        for (class, place, by) in changes {
            teams.extend(self.state.pool.classes[class.0].need.teams.first());
            let waits = self.state.pool.classes[class.0].waiting.contains(&place);
            if by > 0 && waits {
                self.tell_newcomer(class, place, out);
            } else if !waits {
                self.positions.told.remove(&place.episode);
            }
            match self.positions.looks.get_mut(&class) {
                Some(look) if place <= look.at => {
                    look.rank = look.rank.saturating_add_signed(by);
                    self.positions.moved.insert(class);
                }
                Some(_) => {}
                None => self.arm_look(class),
            }
        }
        for team in teams {
            out.push(Action::QueueLength {
                team,
                waiting: self.waiting(team),
            });
        }
    }

    /// After a rebuild everybody who waits is told anew.
    pub(super) fn positions_anew(&mut self) {
        for class in (0..self.state.pool.classes.len()).map(ClassId) {
            self.arm_look(class);
        }
    }

    fn arm_look(&mut self, class: ClassId) {
        let whose = Whose::Positions(class);
        if !self.deadlines.is_set(whose) && !self.state.pool.classes[class.0].waiting.is_empty() {
            self.deadlines
                .set(whose, Some(self.now + limits::POSITIONS_WAIT_MS_MIN));
        }
    }

    fn tell_newcomer(&mut self, class: ClassId, place: Place, out: &mut Vec<Action>) {
        let queue = &self.state.pool.classes[class.0].waiting;
        // Almost always the last; whoever is not stands near the head.
        let position = if queue.last() == Some(&place) {
            queue.len()
        } else {
            queue.range(..=place).count()
        };
        self.tell(class, place.episode, position as u64, out);
    }

    fn tell(&mut self, class: ClassId, episode: EpisodeId, position: u64, out: &mut Vec<Action>) {
        if self.state.episodes.get(&episode).is_some_and(|e| e.left) {
            return; // he is not there
        }
        if self.positions.told.insert(episode, position) != Some(position) {
            let wait_ms = self.state.pool.classes[class.0].rate.wait_ms(position);
            out.push(Action::Position {
                episode,
                position,
                wait_ms,
            });
        }
    }

    /// One portion of a look.
    pub(super) fn look_at_places(&mut self, class: ClassId, out: &mut Vec<Action>) {
        let look = self.positions.looks.remove(&class);
        let queue = &self.state.pool.classes[class.0].waiting;
        let from = look.map_or(Bound::Unbounded, |look| Bound::Excluded(look.at));
        let portion: Vec<Place> = queue
            .range((from, Bound::Unbounded))
            .take(limits::POSITIONS_PER_STEP_MAX)
            .copied()
            .collect();
        let mut rank = look.map_or(0, |look| look.rank);
        for place in &portion {
            rank += 1;
            self.tell(class, place.episode, rank, out);
        }
        match portion.last() {
            Some(at) if portion.len() == limits::POSITIONS_PER_STEP_MAX => {
                self.positions.looks.insert(class, Look { at: *at, rank });
                let next = self.now + limits::POSITIONS_PORTION_MS;
                self.deadlines.set(Whose::Positions(class), Some(next));
            }
            _ => {
                if self.positions.moved.remove(&class) {
                    self.arm_look(class);
                }
            }
        }
    }
}
