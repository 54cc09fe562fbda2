//! What is open now: who waits, who serves whom, and the figures of it. For the API, the console,
//! `/metrics` and embedders. Looked at between two batches of the driver; nothing here decides.

use std::collections::HashMap;

use tidings_core::desk::{
    AgentId, AgentStatus, EpisodeId, EpisodeView, PlaceView, Stage, Supervision, TeamId,
};
use tidings_core::ids::Name;
use tidings_core::time::Time;
use tokio::task::JoinSet;

use super::driver::Driver;
use super::{DeskError, Desks, TeamRef};

/// Where an open conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A left message: nobody may come now.
    Left,
    /// The customer waits.
    Waiting,
    /// An agent is asked whether he takes him.
    Ringing,
    /// He is served.
    Active,
    /// He is served, but not expected back soon.
    Held,
}

impl State {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Left => "left",
            State::Waiting => "waiting",
            State::Ringing => "ringing",
            State::Active => "active",
            State::Held => "held",
        }
    }
}

/// An open conversation of a customer with a team. Times are milliseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChat {
    /// OCIM's `cid`.
    pub episode: u64,
    /// Who.
    pub customer: Name,
    /// The team for which he waits or is served, without its `@`.
    pub team: Name,
    /// What he needs: names of skills.
    pub skills: Vec<Name>,
    /// Levels of priority.
    pub priority: u8,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since_ms: i64,
    /// From when the age counts.
    pub queued_ms: i64,
    /// How old it is by the desk's own clock, milliseconds.
    pub age_ms: u64,
    /// The agent who serves it or is asked.
    pub agent: Option<Name>,
    /// From 1, among those who need the same, while he waits.
    pub position: Option<u64>,
    /// How long he is expected to wait, milliseconds, if that is known.
    pub wait_ms: Option<u64>,
    /// Whether it is a left message: the customer is not expected to be there.
    pub left: bool,
    /// Whether the customer has a session.
    pub customer_online: bool,
    /// Who is asked to take it over.
    pub transfer_to: Option<Name>,
    /// Who takes part beside its agent.
    pub supervisors: Vec<(Name, Supervision)>,
}

/// How a customer's open conversation with a team stands, as far as he may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) episode: u64,
    /// The team for which he waits or is served, without its `@`.
    pub(crate) team: Name,
    /// Account and name of the agent who serves him.
    pub(crate) agent: Option<(Name, String)>,
    /// Since when, milliseconds since 1970 UTC.
    pub(crate) since_ms: i64,
}

/// An agent at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentNow {
    /// His account.
    pub account: Name,
    /// What he says of himself.
    pub status: AgentStatus,
    /// Whether he has a session.
    pub live: bool,
    /// How many he serves at most.
    pub capacity: u32,
    /// Slots taken, in thousandths.
    pub load_permille: u64,
    /// Whom he serves.
    pub episodes: Vec<u64>,
}

/// A team's figures at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamFigures {
    /// Its name, without `@`.
    pub team: String,
    /// How many wait.
    pub waiting: u64,
    /// Left messages that nobody has taken yet, those among the waiting included.
    pub left: u64,
    /// How long the one who waits longest does, milliseconds; 0 if nobody does.
    pub longest_wait_ms: u64,
    /// How many are served.
    pub serving: u64,
    /// Agents who serve the team and take customers.
    pub agents_online: u64,
}

/// A tenant's figures at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Its teams, by name.
    pub teams: Vec<TeamFigures>,
    /// Agents with a session by status: online, busy, away, not responding; and those without one.
    pub agents: [u64; STATUSES.len()],
    /// Slots of all agents who take customers.
    pub slots: u64,
    /// How many of them are taken, in thousandths.
    pub slots_taken_permille: u64,
}

/// The words for an agent's status, in the order of [`Figures::agents`].
pub const STATUSES: [&str; 5] = ["online", "busy", "away", "not_responding", "offline"];

/// The word for an agent's status.
#[must_use]
pub fn status_word(status: AgentStatus) -> &'static str {
    STATUSES[status_index(status)]
}

fn status_index(status: AgentStatus) -> usize {
    match status {
        AgentStatus::Online => 0,
        AgentStatus::Busy => 1,
        AgentStatus::Away => 2,
        AgentStatus::NotResponding => 3,
        AgentStatus::Offline => 4,
    }
}

impl Desks {
    /// The server's wall clock, milliseconds since 1970 UTC; 0 once it has stopped.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.0.router.upgrade().map_or(0, |router| router.wall_ms())
    }

    /// Everything that is open at a tenant, the oldest first.
    ///
    /// # Errors
    /// If there is no such tenant, or it does not answer.
    pub async fn open_chats(&self, tenant: &str) -> Result<Vec<OpenChat>, DeskError> {
        self.look(tenant, |driver| {
            let looker = Looker::new(driver);
            driver
                .desk
                .episodes()
                .filter_map(|e| looker.chat(&e))
                .collect()
        })
        .await
    }

    /// One open conversation.
    ///
    /// # Errors
    /// If there is no such tenant, or it does not answer.
    pub async fn open_chat(&self, tenant: &str, id: u64) -> Result<Option<OpenChat>, DeskError> {
        self.look(tenant, move |driver| {
            let view = driver.desk.episode(EpisodeId(id))?;
            Looker::new(driver).chat(&view)
        })
        .await
    }

    /// How a customer's open conversation with a team, by its address, stands; `None` if none is
    /// open.
    ///
    /// # Errors
    /// If there is no such team, or its desk does not answer.
    pub(crate) async fn standing(
        &self,
        customer: &Name,
        team: &TeamRef,
    ) -> Result<Option<Standing>, DeskError> {
        let (customer, address) = (customer.clone(), team.address.clone());
        self.look(&team.tenant, move |driver| {
            let open = driver.customers.get(&customer)?.iter();
            let mut open = open.filter_map(|conversation| {
                let view = driver.desk.open_episode(*conversation)?;
                let chat = driver.chats.get(&view.episode)?;
                (chat.address == address).then_some(view)
            });
            let view = open.next()?;
            let team = driver.roster.team(view.team.0).map(|(name, _)| name);
            let since = i64::try_from(view.stage_at.0).unwrap_or(i64::MAX);
            Some(Standing {
                episode: view.episode.0,
                team: team.cloned().unwrap_or_else(|| address[1..].into()),
                agent: view.stage.owner().map(|agent| driver.agent_names(agent)),
                since_ms: since.saturating_add(driver.desk.wall_ahead_ms()),
            })
        })
        .await
    }

    /// The agents of a tenant, by account.
    ///
    /// # Errors
    /// If there is no such tenant, or it does not answer.
    pub async fn agents_now(&self, tenant: &str) -> Result<Vec<AgentNow>, DeskError> {
        self.look(tenant, |driver| {
            let looker = Looker::new(driver);
            let mut agents: Vec<AgentNow> = driver
                .desk
                .agents()
                .filter_map(|agent| {
                    Some(AgentNow {
                        account: looker.agents.get(&agent.agent)?.clone(),
                        status: agent.status,
                        live: agent.live,
                        capacity: agent.settings.capacity,
                        load_permille: agent.load_permille,
                        episodes: driver
                            .desk
                            .serves(agent.agent)
                            .iter()
                            .map(|e| e.0)
                            .collect(),
                    })
                })
                .collect();
            agents.sort_by(|a, b| a.account.cmp(&b.account));
            agents
        })
        .await
    }

    /// The figures of a tenant.
    ///
    /// # Errors
    /// If there is no such tenant, or it does not answer.
    pub async fn figures(&self, tenant: &str) -> Result<Figures, DeskError> {
        self.look(tenant, figures).await
    }

    /// The figures of all tenants, by name; one that does not answer is left out.
    pub(crate) async fn all_figures(&self) -> Vec<(Name, Figures)> {
        let mut asked = JoinSet::new();
        for tenant in self.0.directory.roster().tenants.keys() {
            let (desks, tenant) = (self.clone(), tenant.clone());
            asked.spawn(async move {
                let figures = desks.figures(&tenant).await;
                figures.ok().map(|figures| (tenant, figures))
            });
        }
        let mut all: Vec<(Name, Figures)> = asked.join_all().await.into_iter().flatten().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// Names behind numbers, looked up once for a whole list.
struct Looker<'d> {
    driver: &'d Driver,
    agents: HashMap<AgentId, Name>,
    teams: HashMap<TeamId, Name>,
    skills: HashMap<u32, Name>,
    places: HashMap<EpisodeId, PlaceView>,
    now: Time,
}

impl<'d> Looker<'d> {
    fn new(driver: &'d Driver) -> Looker<'d> {
        let roster = &driver.roster;
        let agents = roster.agents.iter();
        let teams = roster.teams.iter();
        let skills = roster.skills.iter();
        Looker {
            driver,
            agents: agents
                .map(|(n, a)| (AgentId(a.number), n.clone()))
                .collect(),
            teams: teams.map(|(n, t)| (TeamId(t.number), n.clone())).collect(),
            skills: skills.map(|(n, s)| (s.number, n.clone())).collect(),
            places: driver.desk.places().map(|p| (p.episode, p)).collect(),
            now: driver.now(),
        }
    }

    fn wall_ms(&self, time: Time) -> i64 {
        let time = i64::try_from(time.0).unwrap_or(i64::MAX);
        time.saturating_add(self.driver.desk.wall_ahead_ms())
    }

    fn chat(&self, view: &EpisodeView<'_>) -> Option<OpenChat> {
        let chat = self.driver.chats.get(&view.episode)?;
        let (state, agent) = match view.stage {
            Stage::Left => (State::Left, None),
            Stage::Queued => (State::Waiting, None),
            Stage::Offered { agent, .. } => (State::Ringing, Some(agent)),
            Stage::Active { agent, .. } => (State::Active, Some(agent)),
            Stage::Held { agent, .. } => (State::Held, Some(agent)),
        };
        let name = |agent: AgentId| self.agents.get(&agent).cloned();
        let place = self.places.get(&view.episode);
        let team = self.teams.get(&view.team).cloned();
        let skills = view.skills.iter();
        let parts = self.driver.desk.supervisors(view.episode).into_iter();
        Some(OpenChat {
            episode: view.episode.0,
            customer: chat.customer.clone(),
            team: team.unwrap_or_else(|| chat.address.trim_start_matches('@').into()),
            skills: skills
                .filter_map(|s| self.skills.get(&s.into()).cloned())
                .collect(),
            priority: view.priority,
            state,
            since_ms: self.wall_ms(view.stage_at),
            queued_ms: self.wall_ms(view.queued_at),
            age_ms: self.now.since_ms(view.queued_at),
            agent: agent.and_then(name),
            position: place.map(|place| place.position),
            wait_ms: place.and_then(|place| place.wait_ms),
            left: view.left,
            customer_online: view.customer_live,
            transfer_to: view.transfer_to.and_then(name),
            supervisors: parts
                .filter_map(|(who, level)| Some((name(who)?, level)))
                .collect(),
        })
    }
}

fn figures(driver: &Driver) -> Figures {
    let mut figures = Figures::default();
    let mut teams: HashMap<TeamId, TeamFigures> = HashMap::new();
    for (name, team) in &driver.roster.teams {
        let team_figures = TeamFigures {
            team: name.to_string(),
            ..TeamFigures::default()
        };
        teams.insert(TeamId(team.number), team_figures);
    }
    let now = driver.now();
    for view in driver.desk.episodes() {
        let Some(team) = teams.get_mut(&view.team) else {
            continue;
        };
        if view.stage.owner().is_some() {
            team.serving += 1;
            continue;
        }
        team.left += u64::from(view.left);
        if view.stage != Stage::Left {
            team.waiting += 1;
            team.longest_wait_ms = team.longest_wait_ms.max(now.since_ms(view.queued_at));
        }
    }
    for agent in driver.desk.agents() {
        let status = match agent.live {
            true => agent.status,
            false => AgentStatus::Offline,
        };
        figures.agents[status_index(status)] += 1;
        if status != AgentStatus::Online {
            continue;
        }
        figures.slots += u64::from(agent.settings.capacity);
        figures.slots_taken_permille += agent.load_permille;
        for member in &agent.settings.teams {
            if let Some(team) = teams.get_mut(&member.team) {
                team.agents_online += 1;
            }
        }
    }
    figures.teams = teams.into_values().collect();
    figures.teams.sort_by(|a, b| a.team.cmp(&b.team));
    figures
}
