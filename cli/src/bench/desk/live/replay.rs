//! The same run in virtual time: the production machine with nothing around it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tidings_core::desk::{DeskSettings, TeamSettings};

use super::super::dispatcher::{Dispatcher as _, Input, Output};
use super::super::production::Production;
use super::super::scenario::{Agent, Class, Scenario};
use super::plan::Plan;

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Arrive(usize),
    /// The agent is done with the customer.
    Finish(usize, usize),
    /// The customer's patience ends.
    Abandon(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    at_s: f64,
    what: What,
}

impl Eq for Moment {}

impl Ord for Moment {
    fn cmp(&self, other: &Moment) -> Ordering {
        self.at_s.total_cmp(&other.at_s)
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Moment) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How long each customer waits, in seconds; `None` if he gives up before.
pub(super) fn replay(plan: &Plan) -> Vec<Option<f64>> {
    let mut machine = machine(plan);
    let mut waits: Vec<Option<f64>> = vec![None; plan.people.len()];
    let mut ahead: BinaryHeap<Reverse<Moment>> = BinaryHeap::new();
    let at = |at_s: f64, what| Reverse(Moment { at_s, what });
    for (customer, person) in plan.people.iter().enumerate() {
        ahead.push(at(person.arrives_s, What::Arrive(customer)));
        if person.patience_s.is_finite() {
            let gives_up_s = person.arrives_s + person.patience_s;
            ahead.push(at(gives_up_s, What::Abandon(customer)));
        }
    }
    let mut out = Vec::new();
    while let Some(Reverse(Moment { at_s, what })) = ahead.pop() {
        let input = match what {
            What::Arrive(customer) => Input::Arrive {
                customer,
                class: 0,
                former: None,
            },
            What::Finish(customer, agent) => Input::Finish { customer, agent },
            What::Abandon(customer) if waits[customer].is_some() => continue,
            What::Abandon(customer) => Input::Abandon { customer },
        };
        machine.handle(at_s, input, &mut out);
        for output in out.drain(..) {
            if let Output::Assigned { customer, agent } = output {
                let person = &plan.people[customer];
                waits[customer] = Some(at_s - person.arrives_s);
                ahead.push(at(at_s + person.handle_s, What::Finish(customer, agent)));
            }
        }
    }
    waits
}

/// With the settings that `--prepare` makes, and every agent online.
fn machine(plan: &Plan) -> Production {
    let agent = Agent {
        capacity: u32::try_from(plan.capacity).unwrap_or(u32::MAX),
        skills: Vec::new(),
    };
    let scenario = Scenario {
        classes: vec![Class {
            name: "all".to_owned(),
            share: 1.0,
            skill: None,
        }],
        agents: vec![agent; plan.agents],
        arrive_per_s: plan.per_s,
        slowdown: 0.0,
        work_cv: None,
        returning: 0.0,
        day: false,
        faults: None,
        prefill: 0,
    };
    let (desk, team) = (DeskSettings::default(), TeamSettings::default());
    let mut machine = Production::new(&scenario, desk, team);
    for agent in 0..plan.agents {
        machine.handle(0.0, Input::AgentUp { agent }, &mut Vec::new());
    }
    machine
}
