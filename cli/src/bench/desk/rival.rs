//! How others do it: dispatchers that are in use and cost waiting, so that the
//! benchmark can be seen to tell good from bad. Not used by the product.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::dispatcher::{Dispatcher, Input, Latencies, Output};
use super::scenario::Scenario;

/// What a rival does differently.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habits {
    /// Looks at the queue only so often, instead of when something happens.
    pub(super) tick_s: Option<f64>,
    /// Takes one customer per look.
    pub(super) one_per_tick: bool,
    /// Gives a customer to an agent as he arrives, free or not.
    pub(super) push: bool,
    /// Nobody is served before the head of the queue is.
    pub(super) head_blocks: bool,
    /// A returning customer waits so long for his former agent, though others are free.
    pub(super) hold_s: Option<f64>,
    /// Prefers the busiest agent with a free slot.
    pub(super) most_loaded: bool,
}

struct Agent {
    capacity: u32,
    load: u32,
    skills: Vec<u8>,
    up: bool,
    pushed: VecDeque<usize>,
}

struct Waiting {
    skill: Option<u8>,
    former: Option<usize>,
    /// Until then only the former agent serves him.
    held_until_s: f64,
    /// The agent in whose private queue he stands.
    private: Option<usize>,
}

/// A central queue (or private ones), round robin, and the habits.
pub(super) struct Rival {
    habits: Habits,
    agents: Vec<Agent>,
    skills: Vec<Option<u8>>,
    /// Numbers of customers grow with their arrival.
    waiting: BTreeMap<usize, Waiting>,
    next_tick_s: f64,
    /// Where the round goes on.
    turn: usize,
    now_s: f64,
    latencies: Latencies,
}

impl Rival {
    pub(super) fn new(scenario: &Scenario, habits: Habits) -> Rival {
        let agents = scenario.agents.iter().map(|agent| Agent {
            capacity: agent.capacity,
            load: 0,
            skills: agent.skills.clone(),
            up: false,
            pushed: VecDeque::new(),
        });
        Rival {
            habits,
            agents: agents.collect(),
            skills: scenario.classes.iter().map(|class| class.skill).collect(),
            waiting: BTreeMap::new(),
            next_tick_s: habits.tick_s.unwrap_or(f64::INFINITY),
            turn: 0,
            now_s: 0.0,
            latencies: Latencies::default(),
        }
    }

    fn can(&self, agent: usize, skill: Option<u8>) -> bool {
        let known = &self.agents[agent];
        known.up && skill.is_none_or(|skill| known.skills.contains(&skill))
    }

    fn free(&self, agent: usize) -> bool {
        self.agents[agent].load < self.agents[agent].capacity
    }

    /// Round robin among those who can, or the busiest.
    fn choose(&mut self, skill: Option<u8>, free_only: bool) -> Option<usize> {
        let able = |agent: &usize| self.can(*agent, skill) && (!free_only || self.free(*agent));
        let count = self.agents.len();
        let mut round = (0..count)
            .map(|step| (self.turn + step) % count)
            .filter(able);
        if self.habits.most_loaded {
            return round.max_by_key(|agent| self.agents[*agent].load);
        }
        let chosen = round.next();
        self.turn = chosen.map_or(self.turn, |agent| agent + 1);
        chosen
    }

    fn assign(&mut self, customer: usize, agent: usize, out: &mut Vec<Output>) {
        self.waiting.remove(&customer);
        self.agents[agent].load += 1;
        out.push(Output::Assigned { customer, agent });
    }

    fn serve(&mut self, now_s: f64, most: usize, out: &mut Vec<Output>) {
        let mut served = 0;
        let mut from = 0;
        while served < most {
            let Some((customer, waiting)) = self.waiting.range(from..).next() else {
                return;
            };
            let customer = *customer;
            from = customer + 1;
            let (skill, held_until_s) = (waiting.skill, waiting.held_until_s);
            let former = waiting.former.filter(|agent| self.can(*agent, skill));
            let agent = match former {
                Some(agent) if self.free(agent) => Some(agent),
                Some(_) if now_s < held_until_s => None,
                _ => self.choose(skill, true),
            };
            match agent {
                Some(agent) => {
                    self.assign(customer, agent, out);
                    served += 1;
                }
                None if self.habits.head_blocks => return,
                None => {}
            }
        }
    }

    fn push(&mut self, customer: usize, out: &mut Vec<Output>) {
        let Some(waiting) = self.waiting.get(&customer) else {
            return;
        };
        let Some(agent) = self.choose(waiting.skill, false) else {
            return;
        };
        if self.free(agent) {
            self.assign(customer, agent, out);
        } else {
            self.agents[agent].pushed.push_back(customer);
            if let Some(waiting) = self.waiting.get_mut(&customer) {
                waiting.private = Some(agent);
            }
        }
    }

    fn take(&mut self, now_s: f64, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Arrive {
                customer,
                class,
                former,
            } => {
                let hold_s = self
                    .habits
                    .hold_s
                    .filter(|_| former.is_some())
                    .unwrap_or(0.0);
                let former = former.filter(|_| self.habits.hold_s.is_some());
                let held_until_s = now_s + hold_s;
                let skill = self.skills[class];
                self.waiting.insert(
                    customer,
                    Waiting {
                        skill,
                        former,
                        held_until_s,
                        private: None,
                    },
                );
                if self.habits.push {
                    self.push(customer, out);
                }
            }
            Input::Abandon { customer } => {
                let private = self
                    .waiting
                    .remove(&customer)
                    .and_then(|waiting| waiting.private);
                if let Some(agent) = private {
                    self.agents[agent]
                        .pushed
                        .retain(|waiting| *waiting != customer);
                }
            }
            Input::Finish { agent, .. } => {
                self.agents[agent].load -= 1;
                if let Some(customer) = self.agents[agent].pushed.pop_front() {
                    self.assign(customer, agent, out);
                }
            }
            Input::AgentUp { agent } => self.agents[agent].up = true,
            Input::AgentDown { agent } => self.agents[agent].up = false,
            // They do not ring, and forget nothing: the comparison is about queues.
            Input::Accept { .. } | Input::Decline { .. } | Input::Due | Input::Restart => {}
        }
        if self.habits.push {
            return;
        }
        match self.habits.tick_s {
            None => self.serve(now_s, usize::MAX, out),
            Some(tick_s) if now_s + 1e-9 >= self.next_tick_s => {
                self.next_tick_s += tick_s;
                self.serve(
                    now_s,
                    if self.habits.one_per_tick {
                        1
                    } else {
                        usize::MAX
                    },
                    out,
                );
            }
            Some(_) => {}
        }
    }
}

impl Dispatcher for Rival {
    fn handle(&mut self, now_s: f64, input: Input, out: &mut Vec<Output>) {
        let begun = Instant::now();
        self.now_s = now_s;
        self.take(now_s, input, out);
        self.latencies.add(begun.elapsed());
    }

    fn deadline_s(&self) -> Option<f64> {
        let held = self
            .habits
            .hold_s
            .filter(|hold_s| hold_s.is_finite())
            .and_then(|_| {
                // One that has passed waits for a slot, not for time.
                let ends = self.waiting.values().map(|waiting| waiting.held_until_s);
                ends.filter(|end_s| *end_s > self.now_s)
                    .min_by(f64::total_cmp)
            });
        match self.habits.tick_s {
            Some(_) => Some(self.next_tick_s),
            None => held,
        }
    }

    fn measure(&mut self) {
        self.latencies = Latencies::default();
    }

    fn decision_p99_us(&self) -> f64 {
        self.latencies.p99_us()
    }
}
