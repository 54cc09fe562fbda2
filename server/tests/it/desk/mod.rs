//! What the tests of the desk share: a server with a tenant, a team and agents.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use std::path::Path;
use std::time::Duration;

use tidings_server::auth::{Command, Role};
use tidings_server::config::Settings;
use tidings_server::core::desk::{AgentStatus, TeamSettings};
use tidings_server::core::message::MessageRef;
use tidings_server::core::secret::Secret;
use tidings_server::desk::directory::{Agent, Entry, Member, Team, Tenant};
use tidings_server::desk::notice::{CustomerEvent, Notice, for_customer};
use tidings_server::desk::{AgentEvent, AgentLink, AgentRef, Author};
use tidings_server::store::Durability;
use tidings_server::{LocalLink, Running, Server};

/// So long may anything take that must happen: only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const PASSWORD: &str = "right-password";

/// No sockets; on disk in `dir`, or in memory.
pub(crate) fn settings(dir: Option<&Path>) -> Settings {
    let mut settings = Settings::default();
    settings.listen.tcp = None;
    settings.listen.udp = None;
    settings.listen.ws = None;
    settings.listen.http = None;
    settings.listen.agents = None;
    match dir {
        Some(dir) => settings.data = dir.to_owned(),
        None => settings.delivery.durability = Durability::Memory,
    }
    settings
}

pub(crate) fn by_test() -> Entry {
    Entry {
        time_ms: 0,
        who: "a test".to_owned(),
    }
}

/// A team as OCIM runs it, with greetings.
pub(crate) fn ocim_team() -> Team {
    Team {
        title: "Support".to_owned(),
        greeting: "welcome".to_owned(),
        offline_message: "closed".to_owned(),
        settings: TeamSettings {
            customer_grace_ms: Some(60_000),
            ..TeamSettings::ocim("0").unwrap()
        },
    }
}

/// Tenant `demo`, teams `support` and `sales`, agents `agent1` to `agent3` of `support`, capacity
/// 2, and `seller` of `sales`.
pub(crate) async fn furnish(running: &Running) {
    let access = running.access();
    for user in ["agent1", "agent2", "agent3", "seller"] {
        let add = Command::AccountAdd {
            user: user.to_owned(),
            role: Role::Agent,
            password: PASSWORD.to_owned(),
        };
        let access = access.clone();
        tokio::task::spawn_blocking(move || access.execute(add).unwrap())
            .await
            .unwrap();
    }
    let desks = running.desks();
    desks
        .change(|directory| {
            let tenant = Tenant {
                anonymous: true,
                default_team: Some("support".to_owned()),
                ..Tenant::default()
            };
            directory.put_tenant("demo", &tenant, &by_test())?;
            directory.put_team("demo", "support", &ocim_team(), &by_test())?;
            directory.put_team("demo", "sales", &ocim_team(), &by_test())?;
            for name in ["agent1", "agent2", "agent3", "seller"] {
                let team = if name == "seller" { "sales" } else { "support" };
                let agent = Agent {
                    title: format!("The {name}"),
                    teams: vec![Member {
                        team: team.to_owned(),
                        capacity: None,
                    }],
                    capacity: 2,
                    greeting: format!("{name} here"),
                    ..Agent::default()
                };
                directory.put_agent("demo", name, &agent, &by_test())?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

pub(crate) async fn start(dir: Option<&Path>) -> Running {
    let running = Server::start(settings(dir)).await.unwrap();
    furnish(&running).await;
    running
}

/// An agent with his session.
pub(crate) struct Bound {
    pub(crate) agent: AgentRef,
    pub(crate) link: AgentLink,
}

pub(crate) async fn bind(running: &Running, account: &str) -> Bound {
    let desks = running.desks();
    let password = Secret::from(PASSWORD.to_owned());
    let agent = desks.sign_in(account, password, None).await.unwrap();
    let link = desks.bind(&agent, AgentStatus::Online).await.unwrap();
    let mut bound = Bound { agent, link };
    bound
        .until(|event| matches!(event, AgentEvent::Bound(_)).then_some(()))
        .await;
    bound
}

impl Bound {
    pub(crate) async fn next(&mut self) -> AgentEvent {
        tokio::time::timeout(PATIENCE, self.link.recv())
            .await
            .expect("nothing was told to the agent")
            .expect("the session ended")
    }

    /// The next event for which `pick` says something.
    pub(crate) async fn until<T>(&mut self, pick: impl Fn(&AgentEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(&self.next().await) {
                return found;
            }
        }
    }

    /// The next text: who wrote it to which episode, and what.
    pub(crate) async fn text(&mut self) -> String {
        self.until(|event| match event {
            AgentEvent::Message {
                message, author, ..
            } if *author != Author::Desk => Some(message.body.to_string()),
            _ => None,
        })
        .await
    }

    /// The next customer: his name and the episode.
    pub(crate) async fn given(&mut self) -> (String, u64) {
        self.until(|event| match event {
            AgentEvent::Given { chat, .. } => Some((chat.customer.to_string(), chat.episode.0)),
            _ => None,
        })
        .await
    }
}

/// A customer's session that sees everything.
pub(crate) struct Customer(pub(crate) LocalLink);

pub(crate) async fn customer(running: &Running, user: &str) -> Customer {
    let handle = running.handle();
    Customer(handle.connect(user).desk(true).await.unwrap())
}

impl Customer {
    pub(crate) async fn says(&self, id: &str, text: &str) {
        self.0.send("@support", text).id(id).await.unwrap();
    }

    pub(crate) async fn raw(&mut self) -> MessageRef {
        let message = tokio::time::timeout(PATIENCE, self.0.message())
            .await
            .expect("nothing was told to the customer")
            .expect("the session ended");
        self.0.acknowledge(&message);
        message
    }

    /// The next event that is not a place in the queue.
    pub(crate) async fn next(&mut self) -> CustomerEvent {
        loop {
            let event = for_customer(&*self.raw().await).unwrap();
            if !matches!(event, CustomerEvent::Notice(Notice::Position { .. })) {
                return event;
            }
        }
    }

    pub(crate) async fn until<T>(&mut self, pick: impl Fn(&CustomerEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(&self.next().await) {
                return found;
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        self.until(|event| match event {
            CustomerEvent::Text { text, .. } => Some(text.clone()),
            _ => None,
        })
        .await
    }

    /// The agent who serves him now.
    pub(crate) async fn connected(&mut self) -> String {
        self.until(|event| match event {
            CustomerEvent::Notice(Notice::Connected { agent, .. }) => Some(agent.clone()),
            _ => None,
        })
        .await
    }
}
