//! The simulated world, in virtual time: customers who arrive and lose patience, agents who work
//! and drop out. It keeps its own account of who serves whom and checks the dispatcher against it.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};

use super::dispatcher::{Dispatcher, Input, Output};
use super::prng::Prng;
use super::scenario::{self, Scenario};
use super::stats::Tally;

/// What will happen.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Arrive,
    Burst,
    /// His patience ends, if he still waits for the nth time.
    Abandon(usize, u32),
    /// The agent finishes his next customer, unless something changed since.
    Finish(usize, u64),
    Down(usize),
    Up(usize),
    /// The agent answers the offer.
    Answer {
        customer: usize,
        agent: usize,
    },
    /// The agent says that he is there again.
    Back(usize),
    Deadline,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    at_s: f64,
    number: u64,
    what: What,
}

impl Eq for Moment {}

impl Ord for Moment {
    fn cmp(&self, other: &Moment) -> Ordering {
        self.at_s
            .total_cmp(&other.at_s)
            .then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Moment) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Waits,
    Served(usize),
    Gone,
}

#[derive(Debug, Clone)]
struct Customer {
    class: usize,
    counted: bool,
    phase: Phase,
    waits_since_s: f64,
    waited_s: f64,
    work_s: f64,
    /// How often he began to wait.
    turn: u32,
    /// Who served him last.
    agent: Option<usize>,
    declined: Vec<usize>,
}

/// An agent's customers, by the point of his own work clock at which each is done.
#[derive(Debug, Clone, Default)]
struct Agent {
    up: bool,
    /// Online as far as the dispatcher is told.
    responds: bool,
    /// Work done so far for each customer who was there all along.
    clock_s: f64,
    since_s: f64,
    chats: Vec<(f64, usize)>,
    offers: BTreeSet<usize>,
    version: u64,
}

/// One run.
pub(super) struct World<'a> {
    scenario: &'a Scenario,
    dispatcher: Box<dyn Dispatcher>,
    /// Slots that the policy keeps for the rarest class.
    reserved: u32,
    now_s: f64,
    ahead: BinaryHeap<Reverse<Moment>>,
    numbers: u64,
    deadline_s: f64,
    customers: Vec<Customer>,
    agents: Vec<Agent>,
    waiting: Vec<BTreeSet<usize>>,
    /// Free slots that may serve the class, by class.
    free: Vec<i64>,
    /// For each agent the classes that he serves, and whether with his last slots too.
    serves: Vec<Vec<(usize, bool)>>,
    idles: bool,
    arrivals_left: usize,
    arrived: usize,
    /// Customers who are not gone.
    present: usize,
    counted_from: usize,
    people: Prng,
    faults: Prng,
    pub(super) tally: Tally,
}

impl<'a> World<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        dispatcher: Box<dyn Dispatcher>,
        reserved: u32,
        arrivals: usize,
        seed: u64,
    ) -> World<'a> {
        let agents = scenario.agents.len();
        let total = arrivals + scenario.prefill;
        World {
            scenario,
            dispatcher,
            reserved,
            now_s: 0.0,
            ahead: BinaryHeap::new(),
            numbers: 0,
            deadline_s: f64::INFINITY,
            customers: Vec::with_capacity(total),
            agents: vec![Agent::default(); agents],
            waiting: vec![BTreeSet::new(); scenario.classes.len()],
            free: vec![0; scenario.classes.len()],
            serves: (0..agents)
                .map(|agent| scenario.serves(agent, reserved))
                .collect(),
            idles: false,
            arrivals_left: arrivals,
            arrived: 0,
            present: 0,
            counted_from: scenario.prefill + arrivals / 10,
            people: Prng::new(seed, 1),
            faults: Prng::new(seed, 2),
            tally: Tally::new(scenario),
        }
    }

    fn at(&mut self, after_s: f64, what: What) {
        self.numbers += 1;
        let moment = Moment {
            at_s: self.now_s + after_s,
            number: self.numbers,
            what,
        };
        self.ahead.push(Reverse(moment));
    }

    /// Runs until every customer is gone.
    pub(super) fn run(&mut self) {
        for agent in 0..self.agents.len() {
            self.up(agent);
        }
        for _ in 0..self.scenario.prefill {
            self.arrive();
        }
        self.dispatcher.measure();
        self.next_arrival();
        if let Some(faults) = self.scenario.faults {
            let after_s = self.faults.exponential(faults.burst_every_s);
            self.at(after_s, What::Burst);
        }
        while let Some(Reverse(moment)) = self.ahead.pop() {
            if self.idles && self.arrived > self.counted_from {
                self.tally.idle_while_waiting_s += moment.at_s - self.now_s;
            }
            self.now_s = moment.at_s;
            self.happens(moment.what);
            self.idles = self.somebody_idles();
            if self.arrivals_left == 0 && self.present == 0 {
                break;
            }
        }
        self.tally.decision_p99_us = self.dispatcher.decision_p99_us();
    }

    fn happens(&mut self, what: What) {
        match what {
            // A burst may have taken the last arrivals meanwhile.
            What::Arrive if self.arrivals_left == 0 => {}
            What::Arrive => {
                self.arrivals_left -= 1;
                self.arrive();
                self.next_arrival();
            }
            What::Burst => self.burst(),
            What::Abandon(customer, turn) => {
                let known = &self.customers[customer];
                if known.phase == Phase::Waits && known.turn == turn {
                    self.gone(customer, false);
                    self.tell(Input::Abandon { customer });
                }
            }
            What::Finish(agent, version) => self.finish(agent, version),
            What::Down(agent) => self.down(agent),
            What::Up(agent) => self.up(agent),
            What::Back(agent) => {
                if self.agents[agent].up && !self.agents[agent].responds {
                    self.up(agent);
                }
            }
            What::Answer { customer, agent } => {
                if self.agents[agent].offers.contains(&customer) {
                    self.answer(customer, agent);
                }
            }
            What::Deadline => {
                self.deadline_s = f64::INFINITY;
                self.tell(Input::Due);
            }
        }
    }

    // Customers.

    fn next_arrival(&mut self) {
        if self.arrivals_left == 0 {
            return;
        }
        let rate = self.scenario.arrive_per_s;
        if !self.scenario.day {
            let after_s = self.people.exponential(1.0 / rate);
            return self.at(after_s, What::Arrive);
        }
        // Thinning: as if the spike lasted all day, and most of it did not happen.
        let (most, mut after_s) = (3.0, 0.0);
        loop {
            after_s += self.people.exponential(1.0 / (rate * most));
            let share = scenario::day_curve(self.now_s + after_s) / most;
            if self.people.unit() < share {
                return self.at(after_s, What::Arrive);
            }
        }
    }

    fn burst(&mut self) {
        let Some(faults) = self.scenario.faults else {
            return;
        };
        for _ in 0..faults.burst.min(self.arrivals_left) {
            self.arrivals_left -= 1;
            self.arrive();
        }
        if self.arrivals_left > 0 {
            let after_s = self.faults.exponential(faults.burst_every_s);
            self.at(after_s, What::Burst);
        }
    }

    fn arrive(&mut self) {
        let mut left = self.people.unit();
        let last = self.scenario.classes.len() - 1;
        let class = self.scenario.classes.iter().position(|class| {
            left -= class.share;
            left < 0.0
        });
        let class = class.unwrap_or(last);
        let work_s = match self.scenario.work_cv {
            Some(cv) => self.people.lognormal(scenario::WORK_S, cv),
            None => self.people.exponential(scenario::WORK_S),
        };
        let returns = self.people.unit() < self.scenario.returning;
        let before = self.people.unit();
        let patience_s = self.people.exponential(scenario::PATIENCE_S);
        let customer = self.customers.len();
        let before = (before * customer as f64) as usize;
        let former = self
            .customers
            .get(before)
            .and_then(|c| c.agent)
            .filter(|_| returns);
        let counted = self.arrived >= self.counted_from;
        self.arrived += 1;
        self.present += 1;
        self.customers.push(Customer {
            class,
            counted,
            phase: Phase::Waits,
            waits_since_s: self.now_s,
            waited_s: 0.0,
            work_s,
            turn: 0,
            agent: None,
            declined: Vec::new(),
        });
        self.waiting[class].insert(customer);
        self.at(patience_s, What::Abandon(customer, 0));
        if counted {
            self.tally.classes[class].arrivals += 1;
        }
        if counted && former.is_some() {
            self.tally.returning += 1;
        }
        self.tell(Input::Arrive {
            customer,
            class,
            former,
        });
        let every = self.scenario.faults.map(|faults| faults.restart_every);
        if every.is_some_and(|every| self.arrived.is_multiple_of(every)) {
            self.tell(Input::Restart);
        }
        let served_by = match self.customers[customer].phase {
            Phase::Served(agent) => Some(agent),
            _ => None,
        };
        if counted && former.is_some() && former == served_by {
            self.tally.former_hits += 1;
        }
    }

    /// He left, served or not.
    fn gone(&mut self, customer: usize, served: bool) {
        let now_s = self.now_s;
        let known = &mut self.customers[customer];
        if known.phase == Phase::Waits {
            known.waited_s += now_s - known.waits_since_s;
        }
        known.phase = Phase::Gone;
        self.present -= 1;
        self.waiting[known.class].remove(&customer);
        if known.counted {
            self.tally.gone(known.class, known.waited_s, served);
        }
    }

    // Agents.

    fn up(&mut self, agent: usize) {
        self.work(agent);
        self.count_free(agent, -1);
        let was_up = std::mem::replace(&mut self.agents[agent].up, true);
        self.agents[agent].responds = true;
        self.count_free(agent, 1);
        self.schedule(agent);
        if let Some(faults) = self.scenario.faults.filter(|_| !was_up) {
            let after_s = self.faults.exponential(faults.up_s);
            self.at(after_s, What::Down(agent));
        }
        self.tell(Input::AgentUp { agent });
    }

    fn down(&mut self, agent: usize) {
        let Some(faults) = self.scenario.faults else {
            return;
        };
        if !self.agents[agent].up {
            return;
        }
        self.work(agent);
        self.count_free(agent, -1);
        self.agents[agent].up = false;
        self.agents[agent].responds = false;
        self.agents[agent].version += 1;
        self.at(faults.down_s, What::Up(agent));
        self.tell(Input::AgentDown { agent });
    }

    fn answer(&mut self, customer: usize, agent: usize) {
        let declined = self.scenario.faults.map_or(0.0, |faults| faults.declined);
        if self.faults.unit() < declined {
            self.customers[customer].declined.push(agent);
            self.tell(Input::Decline { customer, agent });
        } else {
            self.tell(Input::Accept { customer, agent });
        }
    }

    fn speed(&self, chats: usize) -> f64 {
        1.0 / (1.0 + self.scenario.slowdown * (chats as f64 - 1.0))
    }

    /// Brings the agent's work clock to now.
    fn work(&mut self, agent: usize) {
        let speed = self.speed(self.agents[agent].chats.len().max(1));
        let known = &mut self.agents[agent];
        if known.up {
            known.clock_s += (self.now_s - known.since_s) * speed;
        }
        known.since_s = self.now_s;
    }

    /// When he will be done with the first of his customers.
    fn schedule(&mut self, agent: usize) {
        let known = &mut self.agents[agent];
        known.version += 1;
        let (version, clock_s) = (known.version, known.clock_s);
        let first = known.chats.iter().map(|chat| chat.0).min_by(f64::total_cmp);
        if let Some(done_s) = first.filter(|_| known.up) {
            let chats = known.chats.len();
            let after_s = (done_s - clock_s).max(0.0) / self.speed(chats);
            self.at(after_s, What::Finish(agent, version));
        }
    }

    fn finish(&mut self, agent: usize, version: u64) {
        if self.agents[agent].version != version {
            return;
        }
        self.work(agent);
        let first = self.agents[agent]
            .chats
            .iter()
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, customer)) = first.copied() else {
            return;
        };
        self.part(agent, customer);
        self.gone(customer, true);
        self.tell(Input::Finish { customer, agent });
    }

    /// Ends an agent's work for a customer; returns what was left of it.
    fn part(&mut self, agent: usize, customer: usize) -> f64 {
        self.work(agent);
        self.count_free(agent, -1);
        let known = &mut self.agents[agent];
        let chat = known.chats.iter().position(|chat| chat.1 == customer);
        let left_s = chat.map_or(0.0, |at| known.chats.swap_remove(at).0 - known.clock_s);
        self.count_free(agent, 1);
        self.schedule(agent);
        left_s
    }

    // The dispatcher.

    fn tell(&mut self, input: Input) {
        let mut out = Vec::new();
        self.dispatcher.handle(self.now_s, input, &mut out);
        for output in out {
            self.hear(output);
        }
        let next_s = self.dispatcher.deadline_s().unwrap_or(f64::INFINITY);
        if next_s < self.deadline_s {
            self.deadline_s = next_s;
            self.at((next_s - self.now_s).max(0.0), What::Deadline);
        }
    }

    fn hear(&mut self, output: Output) {
        match output {
            Output::Assigned { customer, agent } => self.assigned(customer, agent),
            Output::Released { customer, agent } => {
                let left_s = self.part(agent, customer);
                let patience_s = self.faults.exponential(scenario::PATIENCE_S);
                let known = &mut self.customers[customer];
                known.phase = Phase::Waits;
                known.waits_since_s = self.now_s;
                known.work_s = left_s.max(0.0);
                known.turn += 1;
                let (class, turn) = (known.class, known.turn);
                self.waiting[class].insert(customer);
                self.at(patience_s, What::Abandon(customer, turn));
            }
            Output::Offered { customer, agent } => {
                self.count_free(agent, -1);
                self.agents[agent].offers.insert(customer);
                self.count_free(agent, 1);
                self.check_capacity(agent);
                // Whoever is asked for waits, but nobody else could have him.
                let class = self.customers[customer].class;
                self.waiting[class].remove(&customer);
                let answer_s = self.scenario.faults.map_or(0.0, |faults| faults.answer_s);
                let after_s = self.faults.exponential(answer_s);
                self.at(after_s, What::Answer { customer, agent });
            }
            Output::OfferOver { customer, agent } => {
                self.count_free(agent, -1);
                self.agents[agent].offers.remove(&customer);
                self.count_free(agent, 1);
                if self.customers[customer].phase == Phase::Waits {
                    let class = self.customers[customer].class;
                    self.waiting[class].insert(customer);
                    // He was there and did not answer: he is not asked for this one again.
                    if self.agents[agent].up && self.agents[agent].responds {
                        self.customers[customer].declined.push(agent);
                    }
                }
            }
            Output::NotResponding { agent } => {
                self.count_free(agent, -1);
                self.agents[agent].responds = false;
                self.count_free(agent, 1);
                self.at(60.0, What::Back(agent));
            }
        }
    }

    fn assigned(&mut self, customer: usize, agent: usize) {
        let known = &mut self.customers[customer];
        if known.phase != Phase::Waits {
            // Served already, or gone: somebody else's time is wasted on him.
            self.tally.double_assignment += 1;
            return;
        }
        known.phase = Phase::Served(agent);
        known.agent = Some(agent);
        known.waited_s += self.now_s - known.waits_since_s;
        let (class, work_s) = (known.class, known.work_s);
        self.waiting[class].remove(&customer);
        self.work(agent);
        self.count_free(agent, -1);
        let known = &mut self.agents[agent];
        known.offers.remove(&customer);
        known.chats.push((known.clock_s + work_s, customer));
        self.count_free(agent, 1);
        self.check_capacity(agent);
        self.tally.assigned[agent] += 1;
        self.schedule(agent);
    }

    // The checks.

    fn check_capacity(&mut self, agent: usize) {
        let known = &self.agents[agent];
        let used = known.chats.len() + known.offers.len();
        if used > self.scenario.agents[agent].capacity as usize {
            self.tally.over_capacity += 1;
        }
    }

    /// Counts the agent's free slots in (1) or out (−1), before and after they change.
    fn count_free(&mut self, agent: usize, by: i64) {
        let known = &self.agents[agent];
        if !known.up || !known.responds {
            return;
        }
        let capacity = self.scenario.agents[agent].capacity;
        let used = (known.chats.len() + known.offers.len()) as u32;
        let free = capacity.saturating_sub(used);
        for (class, last_too) in &self.serves[agent] {
            if free > 0 && (*last_too || free > self.reserved) {
                self.free[*class] += by;
            }
        }
    }

    /// Whether a customer waits whom an agent with a slot for him could serve. Those who declined
    /// him are not counted.
    fn somebody_idles(&self) -> bool {
        (0..self.waiting.len()).any(|class| {
            if self.waiting[class].is_empty() || self.free[class] == 0 {
                return false;
            }
            // Only where somebody was declined must it be looked at who is free.
            self.waiting[class].iter().any(|customer| {
                let declined = &self.customers[*customer].declined;
                declined.is_empty() || self.free_for(class, declined)
            })
        })
    }

    fn free_for(&self, class: usize, declined: &[usize]) -> bool {
        (0..self.agents.len())
            .filter(|agent| !declined.contains(agent))
            .any(|agent| {
                let known = &self.agents[agent];
                let used = (known.chats.len() + known.offers.len()) as u32;
                let free = self.scenario.agents[agent].capacity.saturating_sub(used);
                let last_too = self.serves[agent]
                    .iter()
                    .find(|(served, _)| *served == class);
                let fits = |last_too: &bool| free > 0 && (*last_too || free > self.reserved);
                known.up && known.responds && last_too.is_some_and(|(_, last_too)| fits(last_too))
            })
    }
}
