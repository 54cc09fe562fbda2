//! Tests of the desk: helpers here, stories in `stories*.rs`, random histories
//! in `histories.rs`, and what they are checked against in `oracle.rs`.

mod histories;
mod oracle;
mod stories;
mod stories_left;
mod stories_more;

use super::*;
use crate::ids::ConversationId;

/// A plain agent of one team.
fn agent(team: u32, capacity: u32, skills: Skills) -> AgentSettings {
    AgentSettings {
        teams: vec![Membership {
            team: TeamId(team),
            capacity,
        }],
        skills,
        capacity,
        mode: Mode::Automatic,
        supervisor: false,
        greeting: false,
    }
}

/// A customer who needs nothing special.
fn wanted(team: u32) -> Wanted {
    Wanted {
        team: TeamId(team),
        skills: Skills::NONE,
        priority: 0,
        former: None,
        excluded: Vec::new(),
    }
}

/// A desk with its log, as a driver would hold it.
#[derive(Default)]
struct Bench {
    desk: Desk,
    now: u64,
    log: Vec<Entry>,
}

impl Bench {
    /// One step; its records are committed, its other actions returned.
    fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.desk.step(Time(self.now), event, &mut actions);
        self.log
            .extend(actions.iter().filter_map(|action| match action {
                Action::Store(entry) => Some(entry.clone()),
                _ => None,
            }));
        actions.retain(|action| !matches!(action, Action::Store(_) | Action::QueueLength { .. }));
        actions
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, ms: u64) -> Vec<Action> {
        let until = self.now + ms;
        let mut all = Vec::new();
        while let Some(at) = self.desk.next_deadline().filter(|at| at.0 <= until) {
            self.now = self.now.max(at.0);
            all.extend(self.step(Event::Due));
        }
        self.now = until;
        all
    }

    fn team(&mut self, team: u32, settings: TeamSettings) {
        self.step(Event::Team(TeamId(team), settings));
    }

    fn online(&mut self, id: u32, settings: AgentSettings) {
        self.step(Event::Agent(AgentId(id), settings));
        self.step(Event::Bind(AgentId(id), AgentStatus::Online));
    }

    fn arrive(&mut self, conversation: u64, wanted: Wanted, seq: u64) -> Vec<Action> {
        self.now += 1;
        let conversation = ConversationId(conversation);
        self.step(Event::Arrive {
            conversation,
            wanted,
            seq,
        })
    }

    /// The agent who serves the customer.
    fn owner(&self, conversation: u64) -> Option<u32> {
        let episode = self.desk.episode_of(ConversationId(conversation))?;
        self.desk.stage(episode)?.owner().map(|agent| agent.0)
    }

    fn episode(&self, conversation: u64) -> EpisodeId {
        self.desk.episode_of(ConversationId(conversation)).unwrap()
    }
}

/// Everything in a state that records decide, as text: two desks with the same digest decide
/// the same.
fn digest(desk: &Desk) -> String {
    let state = &desk.state;
    let queues: Vec<_> = state
        .pool
        .classes
        .iter()
        .map(|class| (&class.need, &class.waiting))
        .collect();
    let free: Vec<_> = state
        .pool
        .groups
        .iter()
        .map(|group| (&group.free, group.rarest))
        .collect();
    let rates: Vec<_> = state.pool.classes.iter().map(|class| class.rate).collect();
    format!(
        "{:#?}\n{:#?}\n{:#?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{queues:#?}\n{free:#?}\n{rates:?}",
        state.episodes,
        state.agents,
        state.ended,
        state.open,
        state.waiting,
        state.excluding,
        (&state.left, &state.closed, &state.ended_until),
        (state.episodes_made, state.wall_ahead_ms, state.restarted_at),
    )
}

const ZH: Skills = Skills(1);
const EN: Skills = Skills(2);
const VIP: Skills = Skills(4);

fn open(settings: TeamSettings) -> Bench {
    let mut bench = Bench {
        now: 1_000_000,
        ..Bench::default()
    };
    bench.step(Event::Settings(DeskSettings::default()));
    bench.team(0, settings);
    // Somebody serves the team, so that customers wait; he never comes.
    bench.step(Event::Agent(AgentId(99), agent(0, 1, Skills::NONE)));
    bench
}

fn says(agent: u32, episode: EpisodeId, seq: u64) -> Event {
    Event::AgentSays {
        agent: AgentId(agent),
        episode,
        seq,
        internal: false,
    }
}

fn transfer(agent: u32, episode: EpisodeId, to: Target) -> Event {
    Event::Transfer {
        agent: AgentId(agent),
        episode,
        to,
        note: "a VIP".into(),
    }
}

fn ringing() -> TeamSettings {
    TeamSettings {
        mode: Mode::Ring,
        ..TeamSettings::default()
    }
}
