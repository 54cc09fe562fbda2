//! Sets a desk up in a data directory: one tenant, one team, and agents with accounts.

use std::path::Path;

use anyhow::Context as _;
use tidings_core::desk::TeamSettings;
use tidings_server::Server;
use tidings_server::auth::{Command, Role};
use tidings_server::config::Settings;
use tidings_server::desk::directory::{Agent, Entry, Member, Team, Tenant};

const TENANT: &str = "bench";
const TEAM: &str = "bench";
/// Of every agent: these accounts are for a server that nobody else reaches.
pub(super) const PASSWORD: &str = "bench-password";

/// An agent's account.
pub(super) fn account(number: usize) -> String {
    format!("bench-agent-{number}")
}

/// Sets it up; what is there of it is left as it is.
pub(super) async fn prepare(data: &Path, agents: u32, capacity: u32) -> anyhow::Result<()> {
    let mut settings = Settings {
        data: data.to_owned(),
        ..Settings::default()
    };
    let listen = &mut settings.listen;
    for address in [
        &mut listen.tcp,
        &mut listen.udp,
        &mut listen.ws,
        &mut listen.http,
        &mut listen.agents,
    ] {
        *address = None;
    }
    let running = Server::start(settings).await?;
    let now_ms = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let by = Entry {
        time_ms: i64::try_from(now_ms.as_millis()).unwrap_or(i64::MAX),
        who: "bench desk --prepare".to_owned(),
    };
    let desks = running.desks();
    let set_up = desks.change(move |directory| {
        let tenant = Tenant {
            anonymous: true,
            default_team: Some(TEAM.to_owned()),
            ..Tenant::default()
        };
        directory.put_tenant(TENANT, &tenant, &by)?;
        let team = Team {
            title: "Benchmark".to_owned(),
            settings: TeamSettings::default(),
            ..Team::default()
        };
        directory.put_team(TENANT, TEAM, &team, &by)?;
        for number in 0..agents {
            let agent = Agent {
                teams: vec![Member {
                    team: TEAM.to_owned(),
                    capacity: None,
                }],
                capacity,
                ..Agent::default()
            };
            directory.put_agent(TENANT, &account(number as usize), &agent, &by)?;
        }
        Ok(())
    });
    set_up.await.context("the desk could not be set up")?;
    let access = running.access();
    let accounts = tokio::task::spawn_blocking(move || {
        let known = access.execute(Command::AccountList)?.to_string();
        for user in (0..agents as usize).map(account) {
            if !known.contains(&format!("\"{user}\"")) {
                let (role, password) = (Role::Agent, PASSWORD.to_owned());
                access.execute(Command::AccountAdd {
                    user,
                    role,
                    password,
                })?;
            }
        }
        Ok::<_, tidings_server::auth::Fault>(())
    });
    accounts.await?.context("an account could not be made")?;
    running.stop().await;
    Ok(())
}
