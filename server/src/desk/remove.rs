//! Teams and tenants that go. A team goes when nothing needs it any more: what its customers wrote
//! stays in the log, and its number is never given again.

use std::collections::HashSet;
use std::sync::Arc;

use tidings_core::desk::TeamId;
use tidings_core::ids::Name;
use tidings_core::shard::Input;

use super::directory::{Directory, DirectoryError, Entry, Roster, TenantRoster};
use super::{DeskError, DeskStartError, Desks, row};
use crate::router::Router;

/// Why something was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// Something else needs it.
    #[error("{0}")]
    Needed(String),
    /// It is not there, or it could not be stored.
    #[error(transparent)]
    Change(#[from] DeskStartError),
    /// The desk did not say whether somebody waits.
    #[error(transparent)]
    Desk(#[from] DeskError),
}

impl Desks {
    /// Removes a team.
    ///
    /// # Errors
    /// If an agent, a setting or an open conversation needs it, or it is not there.
    pub async fn remove_team(
        &self,
        tenant: &str,
        team: &str,
        by: Entry,
    ) -> Result<(), RemoveError> {
        let roster = self.0.directory.roster();
        let known = roster.tenants.get(tenant).ok_or(DeskError::NoDesk)?;
        let Some(item) = known.teams.get(team) else {
            return self.remove("team", tenant, team, by).await;
        };
        if let Some(needed) = needed(known, team) {
            return Err(RemoveError::Needed(needed));
        }
        let number = TeamId(item.number);
        let address = format!("@{team}");
        // Nobody new from here on.
        self.let_in(&address, false);
        let open = self.look(tenant, move |driver| {
            let of_team = driver.desk.episodes().filter(|e| e.team == number);
            of_team.count()
        });
        let removed = match open.await {
            Ok(0) => self.remove("team", tenant, team, by).await,
            Ok(open) => Err(RemoveError::Needed(format!(
                "{open} conversations of the team are open: transfer or close them first"
            ))),
            Err(error) => Err(error.into()),
        };
        if removed.is_err() {
            self.let_in(&address, true);
        }
        removed
    }

    /// Removes a tenant, with its skills and replies.
    ///
    /// # Errors
    /// If it has teams or agents, or it is not there.
    pub async fn remove_tenant(&self, tenant: &str, by: Entry) -> Result<(), RemoveError> {
        let roster = self.0.directory.roster();
        let known = roster.tenants.get(tenant).ok_or(DeskError::NoDesk)?;
        if !known.teams.is_empty() || !known.agents.is_empty() {
            let (teams, agents) = (known.teams.len(), known.agents.len());
            return Err(RemoveError::Needed(format!(
                "the tenant has {teams} teams and {agents} agents: remove them first"
            )));
        }
        self.remove("tenant", "", tenant, by).await
    }

    /// Removes an item of the directory.
    async fn remove(
        &self,
        kind: &'static str,
        tenant: &str,
        name: &str,
        by: Entry,
    ) -> Result<(), RemoveError> {
        let (tenant, name) = (tenant.to_owned(), name.to_owned());
        let remove = move |directory: &Directory| -> Result<(), DirectoryError> {
            directory.remove(kind, &tenant, &name, &by)
        };
        Ok(self.change(remove).await?)
    }

    fn let_in(&self, address: &str, known: bool) {
        if let Some(router) = self.0.router.upgrade() {
            router.feed(Input::Team {
                team: address,
                known,
            });
        }
    }

    /// Whoever is no agent any more may not write to customers' addresses from here on.
    pub(super) fn drop_agents(&self, roster: &Roster, router: &Arc<Router>) {
        let tenants = roster.tenants.values();
        let now: HashSet<Name> = tenants.flat_map(|t| t.agents.keys().cloned()).collect();
        let mut agents = self.0.agents.lock();
        let before = std::mem::replace(&mut *agents, now);
        for user in before.difference(&agents) {
            let known = false;
            router.feed(Input::Agent { user, known });
        }
    }

    /// Ends what is not in the directory any more.
    pub(super) fn drop_removed(&self, roster: &Roster, router: &Arc<Router>) {
        self.0.tenants.write().retain(|name, tenant| {
            let stays = roster.tenants.contains_key(name);
            if !stays {
                tenant.inbox.close();
            }
            stays
        });
        let mut gone: Vec<Name> = Vec::new();
        self.0.teams.write().retain(|address, tenant| {
            let of = roster.tenants.get(&tenant.name);
            let stays = of.is_some_and(|of| {
                *address == row::log_address(&tenant.name)
                    || of.teams.contains_key(address.trim_start_matches('@'))
            });
            if !stays {
                gone.push(address.clone());
            }
            stays
        });
        for team in gone {
            router.feed(Input::Team {
                team: &team,
                known: false,
            });
        }
    }
}

/// What of the settings needs the team, for people.
fn needed(roster: &TenantRoster, team: &str) -> Option<String> {
    let mut agents = roster.agents.iter();
    let member = agents.find(|(_, agent)| agent.item.teams.iter().any(|m| m.team == team));
    if let Some((account, _)) = member {
        return Some(format!(
            "agent `{account}` serves the team: take it from him first"
        ));
    }
    if roster.tenant.default_team.as_deref() == Some(team) {
        return Some("it is the tenant's default team: set another one first".to_owned());
    }
    let number = roster.teams.get(team).map(|team| TeamId(team.number));
    let mut teams = roster.teams.iter().filter(|(name, _)| ***name != *team);
    let joins = teams.find(|(_, other)| {
        let rings = &other.item.settings.rings;
        rings
            .iter()
            .any(|ring| ring.join.is_some() && ring.join == number)
    });
    if let Some((other, _)) = joins {
        return Some(format!(
            "a ring of team `{other}` joins it: remove that first"
        ));
    }
    let mut replies = roster.replies.iter();
    let reply = replies.find(|(_, reply)| reply.item.team.as_deref() == Some(team))?;
    Some(format!(
        "reply `{}` is for the team: change or remove it first",
        reply.0
    ))
}
