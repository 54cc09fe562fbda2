//! Random histories: people come, go, write, drop out; commits fail; the process restarts; the
//! clock steps. After every step every promise of `docs/desk.md` is checked.

use proptest::prelude::*;

use super::oracle::{Oracle, left_messages_are_taken_up, nobody_idles, nobody_overtaken};
use super::*;

/// One thing that happens. Small numbers, so that histories collide and shrink well: `nth` picks
/// among what there is.
#[derive(Debug, Clone)]
enum Op {
    Arrive {
        customer: u64,
        team: u32,
        skills: u128,
        priority: u8,
        former: Option<u32>,
        barred: Option<u32>,
    },
    Leaves(u64),
    LeavesMessage(u64),
    CustomerLink(u64, bool),
    Bind(u32, AgentStatus),
    Lost(u32),
    Status(u32, AgentStatus, bool),
    Accept(u32, usize),
    Decline(u32, usize),
    Pull(u32, Option<usize>),
    Says(u32, usize, bool),
    Hold(u32, usize, bool),
    Close(u32, usize),
    WrapUpDone(u32, usize),
    Transfer(u32, usize, Option<u32>, u32),
    Supervise(u32, usize, Option<Supervision>),
    TakeOver(u32, usize),
    Enrol(u32, u32, u128, u32),
    Remove(u32),
    Reserve(u32),
    TeamOpen(u32, bool),
    Snapshot,
    Pass(u64),
    ClockBack(u64),
    Restart,
}

/// What the store does with a step's records.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Commit {
    Works,
    FailsOnce,
    FailsForGood,
}

const AGENTS: u32 = 5;

fn status() -> impl Strategy<Value = AgentStatus> {
    prop_oneof![
        4 => Just(AgentStatus::Online),
        1 => Just(AgentStatus::Busy),
        1 => Just(AgentStatus::Away),
        1 => Just(AgentStatus::Offline),
    ]
}

fn agent_op() -> impl Strategy<Value = Op> {
    let agent = || 0..AGENTS;
    let level = prop_oneof![
        Just(None),
        Just(Some(Supervision::Watch)),
        Just(Some(Supervision::Whisper)),
        Just(Some(Supervision::Join)),
    ];
    prop_oneof![
        4 => (agent(), status()).prop_map(|(a, s)| Op::Bind(a, s)),
        2 => agent().prop_map(Op::Lost),
        2 => (agent(), status(), any::<bool>()).prop_map(|(a, s, h)| Op::Status(a, s, h)),
        5 => (agent(), 0..4usize).prop_map(|(a, n)| Op::Accept(a, n)),
        2 => (agent(), 0..4usize).prop_map(|(a, n)| Op::Decline(a, n)),
        2 => (agent(), prop::option::of(0..4usize)).prop_map(|(a, n)| Op::Pull(a, n)),
        3 => (agent(), 0..4usize, any::<bool>()).prop_map(|(a, n, i)| Op::Says(a, n, i)),
        2 => (agent(), 0..4usize, any::<bool>()).prop_map(|(a, n, h)| Op::Hold(a, n, h)),
        4 => (agent(), 0..4usize).prop_map(|(a, n)| Op::Close(a, n)),
        1 => (agent(), 0..4usize).prop_map(|(a, n)| Op::WrapUpDone(a, n)),
        3 => (agent(), 0..4usize, prop::option::of(agent()), 0..3u32)
            .prop_map(|(a, n, to, team)| Op::Transfer(a, n, to, team)),
        1 => (agent(), 0..4usize, level).prop_map(|(a, n, l)| Op::Supervise(a, n, l)),
        1 => (agent(), 0..4usize).prop_map(|(a, n)| Op::TakeOver(a, n)),
        1 => (agent(), 0..3u32, 0..8u128, 1..4u32).prop_map(|(a, t, s, c)| Op::Enrol(a, t, s, c)),
        1 => agent().prop_map(Op::Remove),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let customer = || 0..10u64;
    let barred = prop::option::weighted(0.1, 0..AGENTS);
    let arrival = (
        customer(),
        0..3u32,
        prop_oneof![Just(0u128), 0..8u128],
        0..2u8,
        prop::option::of(0..AGENTS),
        barred,
    );
    prop_oneof![
        8 => arrival.prop_map(|(customer, team, skills, priority, former, barred)| Op::Arrive {
            customer, team, skills, priority, former, barred,
        }),
        1 => customer().prop_map(Op::Leaves),
        1 => customer().prop_map(Op::LeavesMessage),
        1 => (customer(), any::<bool>()).prop_map(|(c, live)| Op::CustomerLink(c, live)),
        16 => agent_op(),
        1 => (0..3u32).prop_map(Op::Reserve),
        2 => (0..3u32, any::<bool>()).prop_map(|(team, open)| Op::TeamOpen(team, open)),
        1 => Just(Op::Snapshot),
        5 => prop_oneof![1..100u64, 1_000..40_000u64, 60_000..2_000_000u64].prop_map(Op::Pass),
        1 => (1..100_000u64).prop_map(Op::ClockBack),
        1 => Just(Op::Restart),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    prop_oneof![
        12 => Just(Commit::Works),
        1 => Just(Commit::FailsOnce),
        1 => Just(Commit::FailsForGood),
    ]
}

/// Three teams: one that relaxes and overflows, one that rings and wraps up, one as OCIM runs it.
fn teams() -> [TeamSettings; 3] {
    let relaxed = TeamSettings {
        rings: vec![
            Ring {
                after_ms: 20_000,
                waive: Skills(1),
                join: None,
            },
            Ring {
                after_ms: 60_000,
                waive: Skills(6),
                join: Some(TeamId(1)),
            },
        ],
        ..TeamSettings::default()
    };
    let ringing = TeamSettings {
        mode: Mode::Ring,
        wrap_up_ms: 30_000,
        order: Order::MostIdle,
        ..TeamSettings::default()
    };
    let mut ocim = TeamSettings::ocim("0").unwrap();
    // Ages are checked against arrivals, which OCIM's way does not keep.
    ocim.transfer_keeps_age = true;
    [relaxed, ringing, ocim]
}

fn crew(id: u32) -> AgentSettings {
    let teams: &[u32] = [&[0][..], &[1], &[0, 1], &[2, 0], &[0, 1, 2]][id as usize];
    AgentSettings {
        teams: teams
            .iter()
            .map(|team| Membership {
                team: TeamId(*team),
                capacity: 1 + id % 2,
            })
            .collect(),
        skills: Skills([1, 2, 3, 4, 7][id as usize]),
        capacity: 1 + id % 3,
        mode: if id == 3 { Mode::Ring } else { Mode::Automatic },
        supervisor: id == 4,
        greeting: id == 0,
    }
}

/// The driver of the history.
struct History {
    desk: Desk,
    log: Vec<Entry>,
    oracle: Oracle,
    now: u64,
    seq: u64,
    /// One that was taken after so many records, as it lies on disk.
    snapshot: Option<(usize, String)>,
}

impl History {
    fn new() -> History {
        let mut history = History {
            desk: Desk::new(),
            log: Vec::new(),
            oracle: Oracle::default(),
            now: 1_000_000,
            seq: 0,
            snapshot: None,
        };
        let set_up = std::iter::once(Event::Settings(DeskSettings::default()))
            .chain(
                (0..3u32)
                    .zip(teams())
                    .map(|(id, team)| Event::Team(TeamId(id), team)),
            )
            .chain((0..AGENTS).map(|id| Event::Agent(AgentId(id), crew(id))));
        for event in set_up {
            history.commit(event, Commit::Works).unwrap();
        }
        history
    }

    /// One step, its checks, and its commit.
    fn commit(&mut self, event: Event, commit: Commit) -> Result<(), String> {
        if commit != Commit::Works {
            let before = digest(&self.desk);
            self.desk
                .step(Time(self.now), event.clone(), &mut Vec::new());
            // Nothing of it was stored, nobody was told.
            self.desk = Desk::rebuild(&self.log);
            if digest(&self.desk) != before {
                return Err("a failed commit left a trace".into());
            }
            if commit == Commit::FailsForGood {
                return Ok(());
            }
        }
        let before = self.desk.clone();
        let mut rebuilt = Desk::rebuild(&self.log);
        self.restores(&rebuilt)?;
        // A step without records may have seen a later time than the log.
        rebuilt.now = self.desk.now;
        let seen = event.clone();
        let (mut actions, mut again) = (Vec::new(), Vec::new());
        self.desk.step(Time(self.now), event.clone(), &mut actions);
        rebuilt.step(Time(self.now), event, &mut again);
        let stored = |actions: &[Action]| -> Vec<Entry> {
            let entries = actions.iter().filter_map(|action| match action {
                Action::Store(entry) => Some(entry.clone()),
                _ => None,
            });
            entries.collect()
        };
        if stored(&actions) != stored(&again) {
            let (here, there) = (stored(&actions), stored(&again));
            return Err(format!(
                "rebuilt, it decides otherwise: {here:#?} {there:#?}"
            ));
        }
        self.log.extend(stored(&actions));
        self.oracle.see(&seen, &actions)?;
        self.oracle.ages(&self.desk)?;
        nobody_idles(&self.desk)?;
        left_messages_are_taken_up(&self.desk)?;
        nobody_overtaken(&before, &self.desk, &actions)
    }

    /// From the snapshot and what came since it is the same desk.
    fn restores(&self, rebuilt: &Desk) -> Result<(), String> {
        let Some((records, snapshot)) = &self.snapshot else {
            return Ok(());
        };
        let snapshot = serde_json::from_str(snapshot).map_err(|e| e.to_string())?;
        let restored = Desk::restore(snapshot, &self.log[*records..]);
        let restored = restored.map_err(|e| e.to_string())?;
        let next = (restored.next_deadline(), rebuilt.next_deadline());
        if digest(&restored) == digest(rebuilt) && next.0 == next.1 {
            return Ok(());
        }
        Err(format!("a snapshot restores another desk: {next:?}"))
    }

    fn nth(&self, ids: Vec<EpisodeId>, nth: usize) -> EpisodeId {
        ids.get(nth % ids.len().max(1))
            .copied()
            .unwrap_or(EpisodeId(999))
    }

    /// The agent's nth episode, or, if he has none, anybody's.
    fn his(&self, agent: u32, nth: usize) -> EpisodeId {
        let his = self.desk.serves(AgentId(agent));
        if his.is_empty() {
            return self.nth(self.desk.state.episodes.keys().copied().collect(), nth);
        }
        self.nth(his, nth)
    }

    /// What rings at the agent.
    fn rings(&self, agent: u32, nth: usize) -> EpisodeId {
        let known = self.desk.state.agents.get(&AgentId(agent));
        let slots = known.into_iter().flat_map(|agent| &agent.slots);
        let ringing = slots.filter(|(_, slot)| slot.used == super::super::state::Use::Offered);
        self.nth(ringing.map(|(id, _)| *id).collect(), nth)
    }

    fn event(&mut self, op: &Op) -> Event {
        self.seq += 1;
        let seq = self.seq;
        match *op {
            Op::Arrive {
                customer,
                team,
                skills,
                priority,
                former,
                barred,
            } => Event::Arrive {
                conversation: ConversationId(customer),
                wanted: Wanted {
                    team: TeamId(team),
                    skills: Skills(skills),
                    priority,
                    former: former.map(AgentId),
                    excluded: barred.map(AgentId).into_iter().collect(),
                },
                seq,
            },
            Op::Leaves(customer) => Event::CustomerLeaves(ConversationId(customer)),
            Op::LeavesMessage(customer) => Event::LeaveMessage(ConversationId(customer)),
            Op::CustomerLink(customer, live) => Event::CustomerLink {
                conversation: ConversationId(customer),
                live,
            },
            Op::Reserve(reserved_slots) => Event::Settings(DeskSettings {
                reserved_slots,
                ..DeskSettings::default()
            }),
            Op::TeamOpen(team, open) => Event::TeamOpen(TeamId(team), open),
            Op::Pass(_) | Op::ClockBack(_) | Op::Snapshot => Event::Due,
            Op::Restart => Event::Restarted,
            _ => self.agent_event(op, seq),
        }
    }

    fn agent_event(&self, op: &Op, seq: u64) -> Event {
        let a = AgentId;
        match *op {
            Op::Bind(agent, status) => Event::Bind(a(agent), status),
            Op::Lost(agent) => Event::AgentLost(a(agent)),
            Op::Status(agent, status, hand_over) => Event::SetStatus {
                agent: a(agent),
                status,
                hand_over,
            },
            Op::Accept(agent, nth) => Event::Accept(a(agent), self.rings(agent, nth)),
            Op::Decline(agent, nth) => Event::Decline(a(agent), self.rings(agent, nth)),
            Op::Pull(agent, nth) => {
                let all = || self.desk.state.episodes.keys().copied().collect();
                Event::Pull(a(agent), nth.map(|nth| self.nth(all(), nth)))
            }
            Op::Says(agent, nth, internal) => Event::AgentSays {
                agent: a(agent),
                episode: self.his(agent, nth),
                seq,
                internal,
            },
            Op::Hold(agent, nth, true) => Event::Hold(a(agent), self.his(agent, nth)),
            Op::Hold(agent, nth, false) => Event::Resume(a(agent), self.his(agent, nth)),
            Op::Close(agent, nth) => Event::Close(a(agent), self.his(agent, nth)),
            Op::WrapUpDone(agent, nth) => {
                let ended = self.desk.state.ended.keys().copied().collect();
                Event::WrapUpDone(a(agent), self.nth(ended, nth))
            }
            Op::Transfer(agent, nth, to, team) => Event::Transfer {
                agent: a(agent),
                episode: self.his(agent, nth),
                to: to.map_or(Target::Team(TeamId(team), Skills::NONE), |to| {
                    Target::Agent(a(to))
                }),
                note: "note".into(),
            },
            Op::Supervise(agent, nth, level) => {
                Event::Supervise(a(agent), self.his(agent, nth), level)
            }
            Op::TakeOver(agent, nth) => Event::TakeOver(a(agent), self.his(agent, nth)),
            Op::Enrol(agent, team, skills, capacity) => {
                let mut settings = crew(agent);
                settings.teams = vec![Membership {
                    team: TeamId(team),
                    capacity,
                }];
                settings.skills = Skills(skills);
                settings.capacity = capacity;
                Event::Agent(a(agent), settings)
            }
            Op::Remove(agent) => Event::RemoveAgent(a(agent)),
            _ => Event::Due,
        }
    }

    fn run(&mut self, op: &Op, commit: Commit) -> Result<(), String> {
        match op {
            Op::Pass(ms) => {
                let until = self.now + ms;
                while let Some(at) = self.desk.next_deadline().filter(|at| at.0 <= until) {
                    self.now = self.now.max(at.0);
                    self.commit(Event::Due, Commit::Works)?;
                }
                self.now = until;
                return Ok(());
            }
            Op::ClockBack(ms) => self.now = self.now.saturating_sub(*ms),
            Op::Restart => self.desk = Desk::rebuild(&self.log),
            Op::Snapshot => {
                let snapshot = serde_json::to_string(&self.desk.snapshot());
                let snapshot = snapshot.map_err(|e| e.to_string())?;
                self.snapshot = Some((self.log.len(), snapshot));
            }
            _ => {}
        }
        let event = self.event(op);
        self.commit(event, commit)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever happens, in whatever order, every promise holds after every step.
    #[test]
    fn promises_hold_under_random_histories(
        history in prop::collection::vec((op(), commit()), 1..120),
    ) {
        let mut desk = History::new();
        for (op, commit) in &history {
            if let Err(broken) = desk.run(op, *commit) {
                return Err(TestCaseError::fail(format!("after {op:?}: {broken}")));
            }
        }
    }
}
