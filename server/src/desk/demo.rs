//! What `tidings serve --demo` sets up, so that the demo pages work at once: nothing for a server
//! that others reach.

use tidings_core::desk::TeamSettings;

use super::directory::{Agent, Entry, Member, Team, Tenant};
use super::{DeskStartError, Desks};
use crate::auth::DEMO_ACCOUNTS;
use crate::store::StoreError;

const TENANT: &str = "demo";
const TEAM: &str = "support";
const SUPERVISOR: &str = "boss";
/// Customers that an agent of the demo serves at once.
const CAPACITY: u32 = 3;

impl Desks {
    /// Makes tenant, team and agents of the demo, and their accounts, as far as they are not there.
    ///
    /// # Errors
    /// If something cannot be stored.
    pub async fn set_up_demo(&self, now_ms: i64) -> Result<(), DeskStartError> {
        let access = self.0.access.clone();
        let accounts = move || access.demo_accounts(now_ms);
        match tokio::task::spawn_blocking(accounts).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(StoreError::Unavailable(error.to_string()).into()),
            Err(error) => return Err(StoreError::Unavailable(error.to_string()).into()),
        }
        if self.directory().roster().tenants.contains_key(TENANT) {
            return Ok(()); // whatever was changed since stays
        }
        self.change(move |directory| {
            let by = Entry {
                time_ms: now_ms,
                who: "serve --demo".to_owned(),
            };
            let tenant = Tenant {
                anonymous: true,
                default_team: Some(TEAM.to_owned()),
                ..Tenant::default()
            };
            directory.put_tenant(TENANT, &tenant, &by)?;
            directory.put_team(TENANT, TEAM, &team(), &by)?;
            for (account, _) in DEMO_ACCOUNTS {
                let agent = Agent {
                    title: account.to_owned(),
                    teams: vec![Member {
                        team: TEAM.to_owned(),
                        capacity: None,
                    }],
                    capacity: CAPACITY,
                    supervisor: account == SUPERVISOR,
                    greeting: format!("{account} at your service."),
                    ..Agent::default()
                };
                directory.put_agent(TENANT, account, &agent, &by)?;
            }
            Ok(())
        })
        .await
    }
}

/// As OCIM runs a team, but that a customer who is cut off may come back to the same conversation.
fn team() -> Team {
    let defaults = TeamSettings::default();
    Team {
        title: "Support".to_owned(),
        greeting: "Welcome! How can we help?".to_owned(),
        offline_message: "We are closed now. Please leave a message.".to_owned(),
        settings: TeamSettings {
            customer_grace_ms: defaults.customer_grace_ms,
            ..TeamSettings::ocim("0").unwrap_or(defaults)
        },
    }
}
