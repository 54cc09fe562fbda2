//! Who calls the desk: a key as everywhere, or an account by HTTP Basic.
//!
//! An account of role admin may do everything. An agent sees and does what is his, a supervisor what
//! is his tenant's. What a handler lets whom do stands at its beginning, in the words of [`Who`].

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidings_core::ids::Name;
use tidings_core::secret::Secret;
use tidings_core::wire::code;
use tidings_core::{ids, limits};
use xxhash_rust::xxh3::xxh3_128;

use crate::api::Api;
use crate::api::access::{Caller, admit, bearer, beyond, blocked, known, needed};
use crate::api::problem::Problem;
use crate::auth::{Door, Presented, Role, Scope};
use crate::desk::AgentRef;
use crate::desk::directory::{Entry, Roster, TenantRoster};
use crate::transport::http::Peer;

/// Who calls.
#[derive(Debug, Clone)]
pub(in crate::api) struct Who {
    /// For the audit trail: an account, or `key` and its number.
    name: String,
    may: May,
}

#[derive(Debug, Clone)]
enum May {
    /// A key, whose scope permits the call's method.
    Key(Scope),
    /// An account of role admin; its agent, if it is one's too.
    Admin(Option<AgentRef>),
    /// An account of role agent.
    Agent { agent: AgentRef, supervisor: bool },
}

/// Before every call under `/desk`.
pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = api.access.peer(peer.address.ip(), request.headers());
    match identify(&api, address, request.headers()).await {
        Ok((caller, who)) => {
            peer.connection.admit();
            let needed = needed(request.method());
            let forbidden = match who.may {
                May::Key(scope) if !scope.permits(needed) => Some(beyond(scope, needed)),
                _ => None,
            };
            request.extensions_mut().insert(caller.clone());
            request.extensions_mut().insert(who);
            admit(&api, &caller, forbidden, request, next).await
        }
        // At once: the body is not waited for.
        Err(problem) => problem.into_response(),
    }
}

async fn identify(
    api: &Api,
    address: IpAddr,
    headers: &HeaderMap,
) -> Result<(Caller, Who), Problem> {
    let refused =
        |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail).field("Authorization");
    if let Some(key) = bearer(headers) {
        let (scope, caller) = known(api, address, key)?;
        let who = Who {
            name: caller.name.to_string(),
            may: May::Key(scope),
        };
        return Ok((caller, who));
    }
    let Some((account, password)) = basic(headers) else {
        return Err(refused(
            "a key or an account is needed: Authorization: Bearer KEY, or Basic",
        ));
    };
    if ids::check_user(&account).is_err() {
        return Err(refused(
            "there is no such account, or its password is another",
        ));
    }
    let presented = Presented::Password {
        user: account.as_str().into(),
        password: Secret::from(password),
    };
    let admitted = api.access.admit(Door::ApiBasic, Some(address), presented);
    let admitted = admitted.await.map_err(|code| match code {
        code::REFUSED_BUSY => {
            let detail = "too many passwords are being checked; try again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
        code::REFUSED_BLOCKED => blocked(),
        _ => refused("there is no such account, or its password is another"),
    })?;
    let agent = api.desks.agent(&account);
    let may = match (admitted.role, agent) {
        (Role::Admin, agent) => May::Admin(agent),
        (Role::Agent, Some(agent)) => {
            let supervisor = is_supervisor(&api.desks.directory().roster(), &agent);
            May::Agent { agent, supervisor }
        }
        (Role::Agent | Role::User, _) => {
            let detail = "the account is neither an agent's of a desk nor an administrator's";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail).field("Authorization"));
        }
    };
    let key = xxh3_128(format!("account {account}").as_bytes());
    let caller = Caller {
        rate: limits::API_CALLS_PER_S,
        key,
        name: admitted.user,
    };
    Ok((caller, Who { name: account, may }))
}

fn is_supervisor(roster: &Roster, agent: &AgentRef) -> bool {
    let tenant = roster.tenants.get(agent.tenant());
    let known = tenant.and_then(|tenant| tenant.agents.get(agent.account()));
    known.is_some_and(|known| known.item.supervisor)
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, told) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let told = STANDARD.decode(told.trim()).ok()?;
    let told = String::from_utf8(told).ok()?;
    let (account, password) = told.split_once(':')?;
    Some((account.to_owned(), password.to_owned()))
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail).field("Authorization")
}

pub(super) fn no_tenant(tenant: &str) -> Problem {
    Problem::not_found("there is no such tenant")
        .field("tenant")
        .with("value", tenant)
}

impl Who {
    /// For the audit trail.
    pub(super) fn entry(&self, api: &Api) -> Entry {
        Entry {
            time_ms: api.desks.wall_ms(),
            who: self.name.clone(),
        }
    }

    /// For the audit trail, in an agent's name.
    pub(super) fn entry_as(&self, api: &Api, agent: &str) -> Entry {
        let mut entry = self.entry(api);
        if entry.who != agent {
            entry.who = format!("{} as {agent}", self.name);
        }
        entry
    }

    /// The only tenant that he sees, if he does not see all.
    pub(super) fn tenant(&self) -> Option<&Name> {
        match &self.may {
            May::Agent { agent, .. } => Some(agent.tenant()),
            May::Key(_) | May::Admin(_) => None,
        }
    }

    /// Whoever belongs to the tenant may: what is set up in it.
    pub(super) fn belongs<'r>(
        &self,
        roster: &'r Roster,
        tenant: &str,
    ) -> Result<&'r TenantRoster, Problem> {
        if self.tenant().is_some_and(|own| **own != *tenant) {
            return Err(forbidden("an agent sees his own tenant alone").with("value", tenant));
        }
        let known = roster.tenants.get(tenant).map(|known| &**known);
        known.ok_or_else(|| no_tenant(tenant))
    }

    /// The same, but agents must be supervisors.
    pub(super) fn supervises<'r>(
        &self,
        roster: &'r Roster,
        tenant: &str,
    ) -> Result<&'r TenantRoster, Problem> {
        let known = self.belongs(roster, tenant)?;
        match self.may {
            May::Agent {
                supervisor: false, ..
            } => Err(forbidden("only supervisors, administrators and keys may")),
            _ => Ok(known),
        }
    }

    /// Only administrators may, by account or by key.
    pub(super) fn administers(&self) -> Result<(), Problem> {
        match &self.may {
            May::Key(Scope::Admin) | May::Admin(_) => Ok(()),
            May::Key(scope) => Err(beyond(*scope, Scope::Admin)),
            May::Agent { .. } => Err(forbidden("only administrators may, or keys of scope admin")),
        }
    }

    /// The account of an agent who sees what is his own alone.
    pub(super) fn own(&self) -> Option<&Name> {
        match &self.may {
            May::Agent {
                agent,
                supervisor: false,
            } => Some(agent.account()),
            _ => None,
        }
    }

    /// As which agent of the tenant something is done.
    pub(super) fn acting(
        &self,
        api: &Api,
        tenant: &str,
        as_agent: Option<&str>,
    ) -> Result<AgentRef, Problem> {
        self.belongs(&api.desks.directory().roster(), tenant)?;
        let own = match &self.may {
            May::Agent { agent, .. } => Some(agent),
            May::Admin(agent) => agent.as_ref(),
            May::Key(_) => None,
        };
        let agent = match (as_agent, own) {
            (None, Some(own)) => own.clone(),
            (None, None) => {
                let detail = "say as which agent: `\"as\": \"his account\"`";
                return Err(Problem::unprocessable(detail).field("as"));
            }
            (Some(account), Some(own)) if **own.account() == *account => own.clone(),
            (Some(_), Some(_)) if matches!(self.may, May::Agent { .. }) => {
                return Err(forbidden("an agent acts as himself").field("as"));
            }
            (Some(account), _) => {
                let agent = api.desks.agent(account);
                let here = agent.filter(|agent| **agent.tenant() == *tenant);
                here.ok_or_else(|| {
                    let detail = "there is no such agent of the tenant";
                    Problem::unprocessable(detail)
                        .field("as")
                        .with("value", account)
                })?
            }
        };
        if **agent.tenant() != *tenant {
            let detail = "you are no agent of this tenant: say as which one";
            return Err(Problem::unprocessable(detail).field("as"));
        }
        Ok(agent)
    }
}
