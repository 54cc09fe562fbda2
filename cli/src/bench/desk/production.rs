//! The production machine under test: `tidings_core::desk`, driven as the server drives it.

use std::collections::BTreeMap;
use std::time::Instant;

use tidings_core::desk::{
    Action, AgentId, AgentSettings, AgentStatus, Desk, DeskSettings, Entry, EpisodeId, Event,
    Membership, Mode, Record, Skills, TeamId, TeamSettings, Wanted,
};
use tidings_core::ids::ConversationId;
use tidings_core::time::Time;

use super::dispatcher::{Dispatcher, Input, Latencies, Output};
use super::scenario::Scenario;

const TEAM: TeamId = TeamId(0);

/// The machine, its log if it will have to be rebuilt, and who is who.
pub(super) struct Production {
    desk: Desk,
    log: Option<Vec<Entry>>,
    skills: Vec<Skills>,
    agents: usize,
    customers: BTreeMap<EpisodeId, usize>,
    latencies: Latencies,
    /// Live sessions, which come back by themselves after a restart.
    up: Vec<bool>,
}

impl Production {
    pub(super) fn new(
        scenario: &Scenario,
        settings: DeskSettings,
        team: TeamSettings,
    ) -> Production {
        let skill = |skill: &Option<u8>| skill.map_or(Skills::NONE, Skills::one);
        let mut machine = Production {
            desk: Desk::new(),
            log: scenario.faults.map(|_| Vec::new()),
            skills: scenario
                .classes
                .iter()
                .map(|class| skill(&class.skill))
                .collect(),
            agents: scenario.agents.len(),
            customers: BTreeMap::new(),
            latencies: Latencies::default(),
            up: vec![false; scenario.agents.len()],
        };
        let mode = if scenario.faults.is_some() {
            Mode::Ring
        } else {
            Mode::Automatic
        };
        let team = TeamSettings {
            mode,
            // Nobody writes in this world: what would follow from silence is switched off.
            answer_warn_ms: None,
            answer_ms: None,
            customer_grace_ms: None,
            idle_hold_ms: None,
            idle_warn_ms: None,
            idle_close_ms: None,
            rating_ms: 1_000,
            ..team
        };
        let out = &mut Vec::new();
        machine.step(0.0, Event::Settings(settings), out);
        machine.step(0.0, Event::Team(TEAM, team), out);
        for (id, agent) in scenario.agents.iter().enumerate() {
            let skills = agent
                .skills
                .iter()
                .fold(Skills::NONE, |s, k| s.and(Skills::one(*k)));
            let settings = AgentSettings {
                teams: vec![Membership {
                    team: TEAM,
                    capacity: agent.capacity,
                }],
                skills,
                capacity: agent.capacity,
                mode: Mode::Automatic,
                supervisor: false,
                greeting: false,
            };
            machine.step(0.0, Event::Agent(agent_id(id), settings), out);
        }
        machine
    }

    fn step(&mut self, now_s: f64, event: Event, out: &mut Vec<Output>) {
        // A deadline in whole milliseconds must not be missed by a rounding.
        let now = Time((now_s * 1000.0 + 1e-3) as u64);
        let mut actions = Vec::new();
        let begun = Instant::now();
        self.desk.step(now, event, &mut actions);
        self.latencies.add(begun.elapsed());
        for action in actions {
            match action {
                Action::Store(entry) => self.store(entry),
                Action::Given { episode, agent, .. } => {
                    let customer = self.customers[&episode];
                    out.push(Output::Assigned {
                        customer,
                        agent: agent.0 as usize,
                    });
                }
                Action::Released { episode, agent } => {
                    let customer = self.customers[&episode];
                    out.push(Output::Released {
                        customer,
                        agent: agent.0 as usize,
                    });
                }
                Action::Offer { episode, agent, .. } => {
                    let customer = self.customers[&episode];
                    out.push(Output::Offered {
                        customer,
                        agent: agent.0 as usize,
                    });
                }
                Action::OfferOver { episode, agent, .. } => {
                    let customer = self.customers[&episode];
                    out.push(Output::OfferOver {
                        customer,
                        agent: agent.0 as usize,
                    });
                }
                Action::Closed(episode, ..) => {
                    self.customers.remove(&episode);
                }
                Action::StatusChanged(agent, AgentStatus::NotResponding) => {
                    out.push(Output::NotResponding {
                        agent: agent.0 as usize,
                    });
                }
                _ => {}
            }
        }
    }

    fn store(&mut self, entry: Entry) {
        if let Record::Opened {
            episode,
            conversation,
            ..
        } = &entry.record
        {
            self.customers.insert(*episode, conversation.0 as usize);
        }
        if let Some(log) = &mut self.log {
            log.push(entry);
        }
    }

    fn episode(&self, customer: usize) -> EpisodeId {
        let known = self.desk.episode_of(ConversationId(customer as u64));
        known.expect("the world speaks only of customers who are there")
    }

    /// Killed in the middle of a step whose commit fails; rebuilt; everybody comes back.
    fn restart(&mut self, now_s: f64, out: &mut Vec<Output>) {
        if let Some(log) = &self.log {
            let lost = Event::Bind(agent_id(0), AgentStatus::Busy);
            let now = Time((now_s * 1000.0 + 1e-3) as u64);
            self.desk.step(now, lost, &mut Vec::new());
            self.desk = Desk::rebuild(log);
        }
        self.step(now_s, Event::Restarted, out);
        for agent in 0..self.agents {
            if self.up[agent] {
                self.step(
                    now_s,
                    Event::Bind(agent_id(agent), AgentStatus::Online),
                    out,
                );
            }
        }
    }
}

fn agent_id(index: usize) -> AgentId {
    AgentId(index as u32)
}

impl Dispatcher for Production {
    fn handle(&mut self, now_s: f64, input: Input, out: &mut Vec<Output>) {
        let event = match input {
            Input::Arrive {
                customer,
                class,
                former,
            } => Event::Arrive {
                conversation: ConversationId(customer as u64),
                wanted: Wanted {
                    team: TEAM,
                    skills: self.skills[class],
                    priority: 0,
                    former: former.map(agent_id),
                    excluded: Vec::new(),
                },
                seq: 1,
            },
            Input::Abandon { customer } => Event::CustomerLeaves(ConversationId(customer as u64)),
            Input::Finish { customer, agent } => {
                Event::Close(agent_id(agent), self.episode(customer))
            }
            Input::AgentUp { agent } => {
                self.up[agent] = true;
                Event::Bind(agent_id(agent), AgentStatus::Online)
            }
            Input::AgentDown { agent } => {
                self.up[agent] = false;
                Event::AgentLost(agent_id(agent))
            }
            Input::Accept { customer, agent } => {
                Event::Accept(agent_id(agent), self.episode(customer))
            }
            Input::Decline { customer, agent } => {
                Event::Decline(agent_id(agent), self.episode(customer))
            }
            Input::Due => Event::Due,
            Input::Restart => return self.restart(now_s, out),
        };
        self.step(now_s, event, out);
    }

    fn deadline_s(&self) -> Option<f64> {
        self.desk.next_deadline().map(|at| at.0 as f64 / 1000.0)
    }

    fn measure(&mut self) {
        self.latencies = Latencies::default();
    }

    fn decision_p99_us(&self) -> f64 {
        self.latencies.p99_us()
    }
}
