//! The policies that can be compared.

use clap::ValueEnum;
use tidings_core::desk::{DeskSettings, Order, TeamSettings};

use super::dispatcher::Dispatcher;
use super::production::Production;
use super::rival::{Habits, Rival};
use super::scenario::Scenario;

/// Who dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// The production machine with its default settings: former agent if free now, least flexible
    /// first, one slot reserved for the rarest class.
    Production,
    /// The production machine without affinity.
    NoAffinity,
    /// The production machine without reserved slots.
    NoReserve,
    /// The production machine with two reserved slots.
    Reserve2,
    /// The production machine, least loaded first, nothing reserved.
    LeastLoaded,
    /// The production machine with OCIM's cyclic list, nothing reserved.
    Ocim,
    /// Central queue, round robin.
    RoundRobin,
    /// Central queue, most loaded first.
    MostLoaded,
    /// A customer is given to an agent as he arrives; private queues.
    Push,
    /// The queue is drained every second.
    Tick1,
    /// The queue is drained every 5 seconds.
    Tick5,
    /// One customer is taken from the queue every 5 seconds.
    Tick5One,
    /// The queue is drained every minute.
    Sweep60,
    /// Nobody is served before the head of the queue is; round robin.
    HeadOfLine,
    /// A returning customer waits up to 15 seconds for his former agent.
    Sticky15,
    /// Up to 30 seconds.
    Sticky30,
    /// Up to 60 seconds.
    Sticky60,
    /// For ever.
    StickyForever,
}

impl Policy {
    /// What the production machine is set to; `None` if it is not the one.
    fn settings(self) -> Option<(DeskSettings, TeamSettings)> {
        let desk = |reserved_slots: u32| DeskSettings {
            reserved_slots,
            ..DeskSettings::default()
        };
        let team = TeamSettings::default();
        let ordered = |order: Order| TeamSettings {
            order,
            ..TeamSettings::default()
        };
        match self {
            Policy::Production => Some((DeskSettings::default(), team)),
            Policy::NoAffinity => Some((
                DeskSettings::default(),
                TeamSettings {
                    affinity: false,
                    ..team
                },
            )),
            Policy::NoReserve => Some((desk(0), team)),
            Policy::Reserve2 => Some((desk(2), team)),
            Policy::LeastLoaded => Some((desk(0), ordered(Order::MostIdle))),
            Policy::Ocim => Some((desk(0), ordered(Order::RoundRobin))),
            _ => None,
        }
    }

    fn habits(self) -> Habits {
        let none = Habits::default();
        match self {
            Policy::MostLoaded => Habits {
                most_loaded: true,
                ..none
            },
            Policy::Push => Habits { push: true, ..none },
            Policy::Tick1 => Habits {
                tick_s: Some(1.0),
                ..none
            },
            Policy::Tick5 => Habits {
                tick_s: Some(5.0),
                ..none
            },
            Policy::Tick5One => Habits {
                tick_s: Some(5.0),
                one_per_tick: true,
                ..none
            },
            Policy::Sweep60 => Habits {
                tick_s: Some(60.0),
                ..none
            },
            Policy::HeadOfLine => Habits {
                head_blocks: true,
                ..none
            },
            Policy::Sticky15 => Habits {
                hold_s: Some(15.0),
                ..none
            },
            Policy::Sticky30 => Habits {
                hold_s: Some(30.0),
                ..none
            },
            Policy::Sticky60 => Habits {
                hold_s: Some(60.0),
                ..none
            },
            Policy::StickyForever => Habits {
                hold_s: Some(f64::INFINITY),
                ..none
            },
            _ => none,
        }
    }

    /// A dispatcher that follows it.
    pub(super) fn dispatcher(self, scenario: &Scenario) -> Box<dyn Dispatcher> {
        match self.settings() {
            Some((desk, team)) => Box::new(Production::new(scenario, desk, team)),
            None => Box::new(Rival::new(scenario, self.habits())),
        }
    }

    /// The slots that it keeps for the rarest class.
    pub(super) fn reserved_slots(self) -> u32 {
        self.settings().map_or(0, |(desk, _)| desk.reserved_slots)
    }
}
