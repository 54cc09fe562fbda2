//! What agents were told of the lengths of their teams' queues. Each change concerns every agent of
//! a team: under load only the last one of a while is told, or a busy desk would do nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidings_core::desk::TeamId;
use tidings_core::limits;

const WAIT: Duration = Duration::from_millis(limits::QUEUE_LENGTH_WAIT_MS_MIN);

#[derive(Debug)]
struct Told {
    waiting: u64,
    at: Instant,
    /// What is to be told as soon as it may be.
    next: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queues(BTreeMap<TeamId, Told>);

impl Queues {
    /// A queue is so long now. True if agents are told at once; otherwise [`Queues::due`] says it
    /// later, unless it has become what they know.
    pub(super) fn changed(&mut self, team: TeamId, waiting: u64, now: Instant) -> bool {
        let told = self.0.get_mut(&team);
        if let Some(told) = told.filter(|told| now < told.at + WAIT) {
            told.next = Some(waiting).filter(|next| *next != told.waiting);
            return false;
        }
        self.tell(team, waiting, now);
        true
    }

    fn tell(&mut self, team: TeamId, waiting: u64, at: Instant) {
        let next = None;
        self.0.insert(team, Told { waiting, at, next });
    }

    /// What is told now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(TeamId, u64)> {
        let due = self.0.iter().filter(|(_, told)| told.at + WAIT <= now);
        let due: Vec<_> = due
            .filter_map(|(team, told)| Some((*team, told.next?)))
            .collect();
        for (team, waiting) in &due {
            self.tell(*team, *waiting, now);
        }
        due
    }

    /// When there will be something.
    pub(super) fn next(&self) -> Option<Instant> {
        let behind = self.0.values().filter(|told| told.next.is_some());
        behind.map(|told| told.at + WAIT).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_told_at_once_and_the_last_one_in_the_end() {
        let mut queues = Queues::default();
        let (team, start) = (TeamId(1), Instant::now());
        assert!(queues.changed(team, 1, start));
        assert!(!queues.changed(team, 2, start));
        assert!(!queues.changed(team, 3, start));
        assert_eq!(queues.next(), Some(start + WAIT));
        assert!(queues.due(start).is_empty());
        assert_eq!(queues.due(start + WAIT), [(team, 3)]);
        assert_eq!((queues.next(), queues.due(start + WAIT).len()), (None, 0));
        assert!(queues.changed(TeamId(2), 1, start), "teams are apart");
    }

    #[test]
    fn what_they_know_is_not_told_again() {
        let mut queues = Queues::default();
        let (team, start) = (TeamId(1), Instant::now());
        assert!(queues.changed(team, 0, start));
        assert!(!queues.changed(team, 1, start));
        assert!(!queues.changed(team, 0, start));
        assert_eq!(queues.next(), None);
        assert!(queues.changed(team, 1, start + WAIT));
    }
}
