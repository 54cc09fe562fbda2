//! Who has a role at a desk. The admission is told, so that nobody comes in by the name of an agent
//! without the agent's own password; and whose role changes, his sessions end, everywhere.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use tidings_core::desk::AgentId;
use tidings_core::ids::Name;
use tidings_core::secret::Secret;
use tidings_core::wire::code;

use super::directory::{Directory, Entry, Roster};
use super::inbox::Item;
use super::{AgentRef, DeskError, DeskStartError, Desks, Inner};
use crate::auth::{Admitted, Door, Fault, Host, Presented, Revoked, Whose};
use crate::store::StoreError;

/// What an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Post {
    tenant: Name,
    supervisor: bool,
}

/// All of them, by account.
pub(super) type Staff = HashMap<Name, Post>;

fn staff(roster: &Roster) -> Staff {
    let of_tenant = roster.tenants.iter().flat_map(|(tenant, of)| {
        of.agents.iter().map(|(account, agent)| {
            let (tenant, supervisor) = (tenant.clone(), agent.item.supervisor);
            (account.clone(), Post { tenant, supervisor })
        })
    });
    of_tenant.collect()
}

impl Desks {
    /// Verifies an agent's account and password.
    ///
    /// # Errors
    /// The code of the refusal.
    pub async fn sign_in(
        &self,
        account: &str,
        password: Secret,
        address: Option<IpAddr>,
    ) -> Result<AgentRef, i32> {
        let presented = Presented::Password {
            user: account.into(),
            password,
        };
        let admitted = self.0.access.admit(Door::Desk, address, presented).await?;
        let agent = self.agent(account).ok_or(code::REFUSED_TOKEN)?;
        Ok(AgentRef {
            admitted: Some(Arc::new(admitted)),
            ..agent
        })
    }

    /// An agent who has proved who he is elsewhere.
    pub(crate) fn agent(&self, account: &str) -> Option<AgentRef> {
        let roster = self.0.directory.roster();
        let of = roster.tenant_of(account)?;
        let number = roster.tenants.get(of)?.agents.get(account)?.number;
        Some(AgentRef {
            tenant: self.0.tenants.read().get(of)?.clone(),
            account: account.into(),
            number: AgentId(number),
            admitted: None,
        })
    }

    /// An agent who was let in by another door.
    pub(crate) fn agent_of_login(&self, admitted: &Admitted) -> Option<AgentRef> {
        let admitted = Arc::new(admitted.clone());
        let agent = self.agent(&admitted.user)?;
        Some(AgentRef {
            admitted: Some(admitted),
            ..agent
        })
    }

    /// Whether he may still do what he was let in for.
    pub(super) fn holds(&self, agent: &AgentRef) -> Result<(), DeskError> {
        let admitted = agent.admitted.as_deref();
        match admitted.is_none_or(|admitted| self.0.access.holds(admitted, None)) {
            true => Ok(()),
            false => Err(DeskError::SignedOut),
        }
    }

    /// Lets the admission know, and ends what does not hold any more.
    pub(super) async fn staff_changed(&self, roster: &Roster) -> Result<(), DeskStartError> {
        let new = staff(roster);
        let names: HashSet<Name> = new.keys().cloned().collect();
        let admission = self.0.access.0.clone();
        let before = self.0.staff.lock().replace(new.clone());
        admission.set_agents(names);
        let Some(before) = before else {
            return Ok(()); // the start: nobody is here
        };
        let mut changed: Vec<(Name, &'static str)> = Vec::new();
        for (account, post) in &new {
            match before.get(account) {
                None => changed.push((account.clone(), "is an agent now")),
                Some(known) if known != post => changed.push((account.clone(), "has another role")),
                Some(_) => {}
            }
        }
        let gone = before.keys().filter(|account| !new.contains_key(*account));
        changed.extend(gone.map(|account| (account.clone(), "is no agent any more")));
        if changed.is_empty() {
            return Ok(());
        }
        let end = move || -> Result<(), Fault> {
            let mut changed = changed.iter();
            changed.try_for_each(|(account, why)| admission.role_changed(account, why))
        };
        match tokio::task::spawn_blocking(end).await {
            Ok(ended) => Ok(ended?),
            Err(error) => Err(StoreError::Unavailable(error.to_string()).into()),
        }
    }
}

impl Host for Inner {
    /// His session at the desk ends; who has no account any more is no agent any more.
    fn end(&self, revoked: &Revoked) {
        let Whose::User(user) = &revoked.whose else {
            return; // links are ended by whoever holds their connections
        };
        let roster = self.directory.roster();
        let Some(tenant) = roster.tenant_of(user) else {
            return;
        };
        let agent = roster
            .tenants
            .get(tenant)
            .and_then(|of| of.agents.get(user));
        if let (Some(agent), Some(desk)) = (agent, self.tenants.read().get(tenant)) {
            desk.inbox.push(Item::End(AgentId(agent.number)));
        }
        if revoked.no_agent
            && let Some(desks) = self.me.upgrade().map(Desks)
        {
            let (tenant, user, why) = (tenant.clone(), user.clone(), revoked.why);
            self.runtime.spawn(async move {
                let by = Entry {
                    time_ms: desks.wall_ms(),
                    who: why.to_owned(),
                };
                let name = user.clone();
                let remove =
                    move |directory: &Directory| directory.remove("agent", &tenant, &name, &by);
                if let Err(error) = desks.change(remove).await {
                    tracing::error!(%user, %error, "he has no account any more and is still an agent \
                        of a desk, whom nobody can log in as");
                }
            });
        }
    }
}
