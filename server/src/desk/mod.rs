//! The support desk (`docs/desk.md`). The dispatcher is `core/desk`; what lives here drives it.
//!
//! - `directory`: what an operator sets up: tenants, teams, skills, agents, canned replies; `demo`:
//!   what `serve --demo` does
//! - `driver`, with `arrivals`, `emit`, `asking`, `recall`, `follow`: one task per tenant around one machine
//! - `calendar`: when teams are open; `former`: who served whom last; `snapshot`: the desk as it stands
//! - `inbox`: what waits for it; `row`: how its transitions lie in the store; `queues`: how often
//!   agents hear how many wait
//! - `sink`: storage listeners, which follow the log by themselves
//! - `notice`: what customers are told; `act`: what agents ask and are told; `agents`: their sessions;
//!   `typed`: agents on ordinary sessions; `serving`: to whom they may write
//! - `show`: what is open now, for whoever looks; `records`: what was, from the tables of `sink`
//! - `remove`: teams and tenants that go; `staff`: whose role changes, whose sessions end
//!
//! A customer is any user who writes to `@team`: his session is like every other, and what he is
//! told reaches him through the conversation's log. An agent's session is bound here. What agents
//! and customers say are messages, committed and routed as all are; the machine learns of them by
//! following the log, so that nothing is lost between a message and what the desk makes of it.
//!
//! Called by `router` (what is in custody, who came and went), `ocim`, `api` and embedders.

mod act;
mod agents;
mod arrivals;
mod asking;
mod calendar;
mod demo;
pub mod directory;
mod driver;
mod emit;
mod follow;
mod former;
mod inbox;
mod link;
pub mod notice;
mod queues;
mod recall;
pub(crate) mod records;
mod remove;
mod row;
mod serving;
mod settings;
pub mod show;
pub mod sink;
mod snapshot;
mod staff;
mod typed;

pub(crate) use calendar::{day, zone};
pub use link::AgentLink;
pub use remove::RemoveError;
pub(crate) use settings::skills;
pub(crate) use show::Standing;

pub use act::{
    Act, AgentEvent, Author, Chat, ChatInfo, CustomerAct, DeskError, Profile, TransferTo,
};

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tidings_core::desk::{AgentId, AgentStatus};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::shard::{self, Input};
use tokio::sync::{mpsc, oneshot, watch};

use crate::auth::{Access, Admitted, Fault, Host};
use crate::hooks::{Hooks, Told};
use crate::router::Router;
use crate::store::StoreError;
use directory::{Directory, DirectoryError, Team, TenantRoster};
use driver::Driver;
use inbox::{Inbox, Item};
use sink::{Follower, Sink};

/// What a customer needs beside a team.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// Names of skills.
    pub skills: Vec<String>,
    /// Levels of priority.
    pub priority: u8,
}

/// One tenant: what its driver shares with everybody else.
pub(crate) struct Tenant {
    name: Name,
    inbox: Inbox,
    directory: Arc<Directory>,
    /// Users with open episodes: only their logins concern the desk.
    met: Mutex<HashSet<Name>>,
    /// What customers were found to need, by name and team, until they write.
    wants: Mutex<HashMap<(Name, Box<str>), Wants>>,
    /// The last row of the tenant's log.
    rows: watch::Sender<u64>,
}

impl std::fmt::Debug for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tenant({})", self.name)
    }
}

impl Tenant {
    fn new(name: Name, directory: Arc<Directory>) -> Arc<Tenant> {
        Arc::new(Tenant {
            name,
            inbox: Inbox::default(),
            directory,
            met: Mutex::default(),
            wants: Mutex::default(),
            rows: watch::Sender::new(0),
        })
    }

    fn roster(&self) -> Arc<TenantRoster> {
        let roster = self.directory.roster();
        roster.tenants.get(&self.name).cloned().unwrap_or_default()
    }

    fn wants(&self, customer: &Name, team: &str) -> Wants {
        let wants = self.wants.lock();
        let key = (customer.clone(), team.into());
        wants.get(&key).cloned().unwrap_or_default()
    }

    fn meet(&self, customer: &Name) {
        self.met.lock().insert(customer.clone());
    }

    fn part(&self, customer: &Name) {
        self.met.lock().remove(customer);
    }

    fn committed(&self, row: u64) {
        self.rows.send_replace(row);
    }
}

/// An agent whose password was right.
#[derive(Debug, Clone)]
pub struct AgentRef {
    tenant: Arc<Tenant>,
    account: Name,
    number: AgentId,
    /// What he was let in with, if he was let in here.
    admitted: Option<Arc<Admitted>>,
}

impl AgentRef {
    /// His account.
    #[must_use]
    pub fn account(&self) -> &Name {
        &self.account
    }

    /// His tenant.
    #[must_use]
    pub fn tenant(&self) -> &Name {
        &self.tenant.name
    }
}

/// A team as customers reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamRef {
    /// Its address, with `@`.
    pub address: Name,
    /// Its tenant.
    pub tenant: Name,
    /// Whether one may come without a token.
    pub anonymous: bool,
}

/// The desks of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desks(Arc<Inner>);

struct Inner {
    me: Weak<Inner>,
    /// For what is done without anybody who waits for it.
    runtime: tokio::runtime::Handle,
    router: Weak<Router>,
    access: Access,
    directory: Arc<Directory>,
    tenants: RwLock<HashMap<Name, Arc<Tenant>>>,
    /// By address.
    teams: RwLock<HashMap<Name, Arc<Tenant>>>,
    hooks: Option<Arc<Hooks>>,
    sessions: AtomicU64,
    /// The accounts of all agents: who may write to customers' addresses.
    agents: Mutex<HashSet<Name>>,
    /// One change at a time: two at once would start a new desk twice.
    changing: tokio::sync::Mutex<()>,
    /// The agents that the admission knows of; `None` before it was told.
    staff: Mutex<Option<staff::Staff>>,
    drivers: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desks").finish_non_exhaustive()
    }
}

/// Why the desks did not start.
#[derive(Debug, thiserror::Error)]
pub enum DeskStartError {
    /// What is set up cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Accounts cannot be written.
    #[error(transparent)]
    Accounts(#[from] Fault),
}

impl Desks {
    /// Opens `desk.db` (in memory without a directory), makes every tenant's machine again from its
    /// log and starts its driver.
    pub(crate) async fn start(
        router: &Arc<Router>,
        access: Access,
        hooks: Option<Arc<Hooks>>,
        (dir, accept_loss): (Option<&Path>, bool),
    ) -> Result<Desks, DeskStartError> {
        let dir = dir.map(Path::to_owned);
        let open = move || Directory::open_with(dir.as_deref(), accept_loss);
        let directory = match tokio::task::spawn_blocking(open).await {
            Ok(directory) => Arc::new(directory?),
            Err(error) => return Err(StoreError::Unavailable(error.to_string()).into()),
        };
        let desks = Desks(Arc::new_cyclic(|me| Inner {
            me: me.clone(),
            runtime: tokio::runtime::Handle::current(),
            router: Arc::downgrade(router),
            access,
            directory,
            tenants: RwLock::default(),
            teams: RwLock::default(),
            hooks,
            sessions: AtomicU64::new(0),
            agents: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            staff: Mutex::default(),
            drivers: Mutex::default(),
        }));
        router.listen_for(desks.clone());
        let host: Weak<dyn Host> = Arc::downgrade(&desks.0) as _;
        desks.0.access.0.add_host(host);
        desks.refresh().await?;
        Ok(desks)
    }

    /// Brings drivers and teams in line with the directory.
    async fn refresh(&self) -> Result<(), DeskStartError> {
        let Some(router) = self.0.router.upgrade() else {
            return Ok(());
        };
        let roster = self.0.directory.roster();
        self.staff_changed(&roster).await?;
        self.drop_removed(&roster, &router);
        self.drop_agents(&roster, &router);
        for (name, of_tenant) in &roster.tenants {
            let known = self.0.tenants.read().get(name).cloned();
            let tenant = match &known {
                Some(tenant) => tenant.clone(),
                None => Tenant::new(name.clone(), self.0.directory.clone()),
            };
            // What its customers write waits from here on.
            let mut fresh = Vec::new();
            for team in of_tenant.teams.keys() {
                let address: Name = format!("@{team}").into();
                let known = self.0.teams.write().insert(address.clone(), tenant.clone());
                if known.is_none() {
                    fresh.push(address);
                }
            }
            let own = row::log_address(name);
            self.0.teams.write().insert(own, tenant.clone());
            match known {
                Some(tenant) => {
                    tenant.inbox.push(Item::Roster);
                }
                None => {
                    let driver = follow::started(tenant.clone(), router.clone()).await?;
                    self.0.tenants.write().insert(name.clone(), tenant.clone());
                    let mut drivers = self.0.drivers.lock();
                    drivers.push(tokio::spawn(driver.run()));
                    let listener = self.0.hooks.clone().map(Sink::Listener);
                    for sink in [Some(Sink::Database), listener].into_iter().flatten() {
                        let (tenant, router) = (tenant.clone(), router.clone());
                        let follower = Follower {
                            sink,
                            tenant,
                            router,
                        };
                        drivers.push(tokio::spawn(follower.run()));
                    }
                }
            }
            for team in fresh {
                let known = true;
                router.feed(Input::Team { team: &team, known });
            }
        }
        Ok(())
    }

    /// Tells the drivers to end.
    fn close(&self) {
        for tenant in self.0.tenants.read().values() {
            tenant.inbox.close();
        }
    }

    /// Ends the drivers. Nothing that was answered is lost.
    pub(crate) async fn stop(&self) {
        self.close();
        let drivers = std::mem::take(&mut *self.0.drivers.lock());
        for driver in drivers {
            let _ = driver.await; // one that panicked has said so
        }
    }

    /// What happened, under the router's lock: only what concerns a desk is kept.
    pub(crate) fn tell(&self, told: &[Told]) {
        for Told { event, .. } in told {
            match event {
                shard::Event::Desk(message) => {
                    let team = match message.from.starts_with('@') {
                        true => &message.from,
                        false => &message.to,
                    };
                    let teams = self.0.teams.read();
                    let of_team = || teams.get(team.split_once('/')?.0);
                    let tenant = teams.get(team).or_else(of_team).cloned();
                    drop(teams);
                    if let Some(tenant) = tenant {
                        tenant.inbox.message(message.clone());
                    }
                }
                shard::Event::LoggedIn { user, .. } | shard::Event::LoggedOut { user, .. } => {
                    for tenant in self.0.tenants.read().values() {
                        if tenant.met.lock().contains(user) {
                            tenant.inbox.push(Item::Link(user.clone()));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// After [`Desks::tell`], without the lock.
    pub(crate) fn wake(&self) {
        for tenant in self.0.tenants.read().values() {
            tenant.inbox.wake();
        }
    }

    /// What is set up. Change it with [`Desks::change`].
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.0.directory
    }

    /// Changes what is set up, and lets the desks know.
    ///
    /// # Errors
    /// What `change` returns, or if a new desk cannot start.
    pub async fn change(
        &self,
        change: impl FnOnce(&Directory) -> Result<(), DirectoryError> + Send + 'static,
    ) -> Result<(), DeskStartError> {
        let _one = self.0.changing.lock().await;
        let directory = self.0.directory.clone();
        match tokio::task::spawn_blocking(move || change(&directory)).await {
            Ok(changed) => changed?,
            Err(error) => return Err(StoreError::Unavailable(error.to_string()).into()),
        }
        self.refresh().await
    }

    /// A team by name; without one the default team of the tenant, or of the only tenant.
    #[must_use]
    pub fn team(&self, tenant: Option<&str>, name: Option<&str>) -> Option<TeamRef> {
        let roster = self.0.directory.roster();
        let found = match (name, tenant) {
            (Some(name), _) => {
                let mut all = roster.tenants.iter();
                all.find(|(_, of)| of.teams.contains_key(name))
                    .map(|(tenant, of)| (tenant, of, name.to_owned()))
            }
            (None, Some(tenant)) => roster
                .tenants
                .get_key_value(tenant)
                .and_then(settings::default_team),
            (None, None) if roster.tenants.len() == 1 => roster
                .tenants
                .iter()
                .next()
                .and_then(settings::default_team),
            (None, None) => None,
        };
        let (of, known, team) = found?;
        Some(TeamRef {
            address: format!("@{team}").into(),
            tenant: of.clone(),
            anonymous: known.tenant.anonymous,
        })
    }

    /// What a team is, by its address.
    #[must_use]
    pub fn team_info(&self, address: &str) -> Option<Team> {
        let tenant = self.0.teams.read().get(address).cloned()?;
        let team = tenant
            .roster()
            .teams
            .get(address.strip_prefix('@')?)?
            .item
            .clone();
        Some(team)
    }

    /// The account and the name of the agent with this number, at a team's address.
    #[must_use]
    pub fn agent_of(&self, address: &str, number: u32) -> Option<(Name, String)> {
        let tenant = self.0.teams.read().get(address).cloned()?;
        let roster = tenant.roster();
        let (account, agent) = roster.agent(number)?;
        let title = match agent.title.is_empty() {
            true => account.to_string(),
            false => agent.title.clone(),
        };
        Some((account.clone(), title))
    }

    /// What a customer will need when he writes next to this team.
    pub fn expect(&self, customer: &Name, address: &str, wants: Wants) {
        let Some(tenant) = self.0.teams.read().get(address).cloned() else {
            return;
        };
        let team = address.trim_start_matches('@').into();
        let mut known = tenant.wants.lock();
        if wants == Wants::default() {
            known.remove(&(customer.clone(), team));
        } else if known.len() < limits::DESK_INBOX_MAX {
            known.insert((customer.clone(), team), wants);
        }
    }

    /// Begins a session of an agent (OCIM BIND) with the status that he asks for. One before it is
    /// told [`AgentEvent::Replaced`] and ends. Dropping the link ends the session.
    ///
    /// # Errors
    /// If it could not be stored, or the account is no agent's any more.
    pub async fn bind(
        &self,
        agent: &AgentRef,
        status: AgentStatus,
    ) -> Result<AgentLink, DeskError> {
        self.holds(agent)?;
        let (events, receiver) = mpsc::channel(limits::DESK_AGENT_EVENTS_MAX);
        let session = self.0.sessions.fetch_add(1, Ordering::Relaxed);
        // From here on the session ends when this is dropped.
        let link = AgentLink {
            events: receiver,
            agent: agent.clone(),
            session,
        };
        let number = agent.number;
        ask(&agent.tenant, |reply| Item::Bind {
            agent: number,
            status,
            session,
            events,
            reply,
        })
        .await?;
        self.holds(agent)?; // whoever was signed out meanwhile has not been told
        Ok(link)
    }

    /// Does what an agent asks for; the answer comes once it is on disk.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn act(&self, agent: &AgentRef, act: Act) -> Result<(), DeskError> {
        self.holds(agent)?;
        let number = agent.number;
        ask(&agent.tenant, |reply| Item::Act(number, act, reply)).await
    }

    /// Does what a customer asks of a team, by its address.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn customer(
        &self,
        customer: &Name,
        team: &Name,
        act: CustomerAct,
    ) -> Result<(), DeskError> {
        let tenant = self.0.teams.read().get(team).cloned();
        let tenant = tenant.ok_or(DeskError::NoDesk)?;
        let (customer, team) = (customer.clone(), team.clone());
        ask(&tenant, |reply| Item::Customer {
            customer,
            team,
            act,
            reply,
        })
        .await
    }

    /// Looks at a tenant's desk between two batches.
    async fn look<T: Send + 'static>(
        &self,
        tenant: &str,
        look: impl FnOnce(&Driver) -> T + Send + 'static,
    ) -> Result<T, DeskError> {
        let known = self.0.tenants.read().get(tenant).cloned();
        let known = known.ok_or(DeskError::NoDesk)?;
        let (answer, answered) = oneshot::channel();
        let look = move |driver: &Driver| {
            let _ = answer.send(look(driver)); // whoever asked may have gone
        };
        if !known.inbox.push(Item::Look(Box::new(look))) {
            return Err(DeskError::Stopped);
        }
        let patience = Duration::from_millis(limits::DESK_LOOK_MS_MAX);
        match tokio::time::timeout(patience, answered).await {
            Ok(answer) => answer.map_err(|_| DeskError::Stopped),
            Err(_) => Err(DeskError::Busy),
        }
    }
}

/// The desks of a server that runs; dropping it ends their drivers, which hold the server's router.
#[derive(Debug)]
pub(crate) struct Open(pub(crate) Desks);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn ask(tenant: &Tenant, item: impl FnOnce(inbox::Reply) -> Item) -> Result<(), DeskError> {
    let (reply, answer) = oneshot::channel();
    if !tenant.inbox.push(item(reply)) {
        return Err(DeskError::Stopped);
    }
    answer.await.unwrap_or(Err(DeskError::Stopped))
}
