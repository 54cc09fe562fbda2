//! The scenarios S1 to S8 of the suite: who arrives, who serves, what goes wrong.

use clap::ValueEnum;

/// Mean work of a conversation.
pub(super) const WORK_S: f64 = 480.0;
/// Mean patience of a waiting customer.
pub(super) const PATIENCE_S: f64 = 180.0;

/// Which scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// 20 agents with 3 slots, one class, load 0.92.
    #[value(name = "S1", alias = "s1")]
    S1,
    /// As S1, and agents slow down as they serve several at once.
    #[value(name = "S2", alias = "s2")]
    S2,
    /// Three classes, five kinds of agents, load 0.88.
    #[value(name = "S3", alias = "s3")]
    S3,
    /// Agents with 1, 2, 4 and 6 slots, lognormal work.
    #[value(name = "S4", alias = "s4")]
    S4,
    /// As S1, and 40 % of the customers have been there before.
    #[value(name = "S5", alias = "s5")]
    S5,
    /// A day curve with a threefold spike at lunch.
    #[value(name = "S6", alias = "s6")]
    S6,
    /// Ringing agents who drop out, decline; bursts; restarts and failed commits.
    #[value(name = "S7", alias = "s7")]
    S7,
    /// 10,000 agents, 100 queues, 50,000 waiting.
    #[value(name = "S8", alias = "s8")]
    S8,
}

/// Customers of one kind.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) name: String,
    /// Of all arrivals.
    pub(super) share: f64,
    /// The skill that they need, if any.
    pub(super) skill: Option<u8>,
}

/// One agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Agent {
    pub(super) capacity: u32,
    pub(super) skills: Vec<u8>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    /// Mean time until an agent's connection drops, and how long it stays so.
    pub(super) up_s: f64,
    pub(super) down_s: f64,
    /// Mean time between bursts, and how many come at once.
    pub(super) burst_every_s: f64,
    pub(super) burst: usize,
    /// Of the offers.
    pub(super) declined: f64,
    /// Mean time until an agent answers an offer.
    pub(super) answer_s: f64,
    /// After so many arrivals the process restarts, from its records.
    pub(super) restart_every: usize,
}

/// A scenario at one load.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) classes: Vec<Class>,
    pub(super) agents: Vec<Agent>,
    pub(super) arrive_per_s: f64,
    /// By how much each further customer slows an agent down.
    pub(super) slowdown: f64,
    /// Coefficient of variation of lognormal work; exponential if none.
    pub(super) work_cv: Option<f64>,
    /// Of the arrivals, how many have been there before.
    pub(super) returning: f64,
    /// Whether the arrivals follow the day curve.
    pub(super) day: bool,
    pub(super) faults: Option<Faults>,
    /// Customers who are there when it begins.
    pub(super) prefill: usize,
}

/// Length of a day.
pub(super) const DAY_S: f64 = 86_400.0;

/// The day curve: a multiple of the working hours' rate.
pub(super) fn day_curve(time_s: f64) -> f64 {
    match (time_s.rem_euclid(DAY_S) / 3600.0) as u32 {
        12 => 3.0,
        8..=21 => 1.0,
        _ => 0.3,
    }
}

fn plain_agents(count: usize, capacity: u32) -> Vec<Agent> {
    vec![
        Agent {
            capacity,
            skills: Vec::new()
        };
        count
    ]
}

fn skilled(count: usize, skills: &[u8]) -> Vec<Agent> {
    vec![
        Agent {
            capacity: 3,
            skills: skills.to_vec()
        };
        count
    ]
}

/// 100 skills; every second agent has one, most others two, every tenth three.
fn many_agents() -> Vec<Agent> {
    let skills = |index: usize| -> Vec<u8> {
        let count = match index / 100 % 10 {
            0..5 => 1,
            9 => 3,
            _ => 2,
        };
        (0..count)
            .map(|further| ((index + further) % 100) as u8)
            .collect()
    };
    (0..10_000)
        .map(|index| Agent {
            capacity: 3,
            skills: skills(index),
        })
        .collect()
}

fn mixed_caps() -> Vec<Agent> {
    [1, 2, 4, 6]
        .iter()
        .flat_map(|capacity| plain_agents(5, *capacity))
        .collect()
}

impl Name {
    /// Its usual load.
    pub(super) fn load(self) -> f64 {
        match self {
            Name::S1 | Name::S2 | Name::S4 | Name::S5 => 0.92,
            Name::S3 => 0.88,
            Name::S6 => 0.5,
            Name::S7 => 0.85,
            // What keeps 50,000 waiting: those who leave for impatience and those who are served.
            Name::S8 => (50_000.0 / PATIENCE_S + 30_000.0 / WORK_S) / (30_000.0 / WORK_S),
        }
    }

    /// The scenario at this load.
    pub(super) fn at(self, load: f64) -> Scenario {
        let slowdown = if self == Name::S2 { 0.2 } else { 0.0 };
        let (zh, en, vip) = (0, 1, 2);
        let agents = match self {
            Name::S3 => [
                skilled(8, &[zh]),
                skilled(5, &[en]),
                skilled(4, &[zh, en]),
                skilled(1, &[vip]),
                skilled(2, &[zh, en, vip]),
            ]
            .concat(),
            Name::S4 => mixed_caps(),
            Name::S8 => many_agents(),
            _ => plain_agents(20, 3),
        };
        let class = |name: &str, share: f64, skill: Option<u8>| Class {
            name: name.to_owned(),
            share,
            skill,
        };
        let classes = match self {
            Name::S3 => vec![
                class("zh", 0.50, Some(zh)),
                class("en", 0.37, Some(en)),
                class("vip", 0.13, Some(vip)),
            ],
            Name::S8 => (0..100)
                .map(|s| class(&format!("q{s:02}"), 0.01, Some(s)))
                .collect(),
            _ => vec![class("all", 1.0, None)],
        };
        let capacities: Vec<u32> = agents.iter().map(|agent| agent.capacity).collect();
        let rate = super::bound::pool_rates(&capacities, slowdown)
            .pop()
            .unwrap_or(0.0);
        Scenario {
            classes,
            agents,
            arrive_per_s: load * rate / WORK_S,
            slowdown,
            work_cv: (self == Name::S4).then_some(1.5),
            returning: if self == Name::S5 { 0.4 } else { 0.0 },
            day: self == Name::S6,
            faults: (self == Name::S7).then_some(Faults {
                up_s: 7_200.0,
                down_s: 180.0,
                burst_every_s: 7_200.0,
                burst: 200,
                declined: 0.02,
                answer_s: 3.0,
                restart_every: 12_000,
            }),
            prefill: if self == Name::S8 { 80_000 } else { 0 },
        }
    }
}

impl Scenario {
    /// The steady state that no dispatcher beats, for all customers or for one class.
    pub(super) fn bound(&self, class: Option<usize>) -> super::bound::Steady {
        match class {
            Some(class) => self.subset_bound(&[class]),
            None => self.subset_bound(&(0..self.classes.len()).collect::<Vec<_>>()),
        }
    }

    /// The bound of the customers of these classes together.
    pub(super) fn subset_bound(&self, classes: &[usize]) -> super::bound::Steady {
        let serves = |agent: &&Agent| {
            classes.iter().any(|class| {
                self.classes[*class]
                    .skill
                    .is_none_or(|s| agent.skills.contains(&s))
            })
        };
        let capacities: Vec<u32> = self
            .agents
            .iter()
            .filter(serves)
            .map(|a| a.capacity)
            .collect();
        let rates = super::bound::pool_rates(&capacities, self.slowdown);
        let share: f64 = classes.iter().map(|class| self.classes[*class].share).sum();
        let arrive_per_s = self.arrive_per_s * share;
        let (service, leave) = (1.0 / WORK_S, 1.0 / PATIENCE_S);
        if let Some(faults) = self.faults {
            // As if nobody dropped out or took time to answer.
            let bursts = (1.0 / faults.burst_every_s, faults.burst);
            super::bound::chain_with_bursts(arrive_per_s, bursts, service, leave, &rates)
        } else if self.day {
            let rate_at = |time_s: f64| arrive_per_s * day_curve(time_s);
            super::bound::chain_through_day(rate_at, DAY_S, service, leave, &rates)
        } else {
            super::bound::chain(arrive_per_s, service, leave, &rates)
        }
    }

    /// Arrivals per second over a long time, bursts included.
    pub(super) fn mean_per_s(&self) -> f64 {
        let hours = if self.day {
            (0..24)
                .map(|hour| day_curve(f64::from(hour) * 3600.0))
                .sum::<f64>()
                / 24.0
        } else {
            1.0
        };
        let bursts = self
            .faults
            .map_or(0.0, |f| f.burst as f64 / f.burst_every_s);
        self.arrive_per_s * hours + bursts
    }

    /// The classes that an agent serves, and whether also with the slots that are kept for the rarest.
    pub(super) fn serves(&self, agent: usize, reserved: u32) -> Vec<(usize, bool)> {
        let known = &self.agents[agent];
        let slots = |skill: u8| -> u32 {
            let with = self
                .agents
                .iter()
                .filter(|agent| agent.skills.contains(&skill));
            with.map(|agent| agent.capacity).sum()
        };
        let keeps = known.skills.len() >= 3 && known.capacity > reserved;
        let fewest = if keeps {
            known.skills.iter().map(|skill| slots(*skill)).min()
        } else {
            None
        };
        let classes = self.classes.iter().enumerate();
        let served =
            classes.filter(|(_, class)| class.skill.is_none_or(|s| known.skills.contains(&s)));
        served
            .map(|(index, class)| {
                let others = self.agents.iter().any(|other| {
                    other.skills.len() < 3 && class.skill.is_none_or(|s| other.skills.contains(&s))
                });
                let rare = class
                    .skill
                    .is_some_and(|skill| fewest == Some(slots(skill)));
                (index, !keeps || rare || !others)
            })
            .collect()
    }
}
