//! Agents: their settings, their accounts, and how they are now.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidings_core::ids::{self, Name};
use tidings_core::limits;

use super::access::Who;
use super::items::{self, known_team, names, shown, text, title, without_name};
use super::team::ModeWord;
use crate::api::Api;
use crate::api::extract::{Asked, Input, Named, from_value, page};
use crate::api::problem::Problem;
use crate::auth::{Command, Fault, Role};
use crate::desk::directory::{Agent, Directory, Entry, Member, TenantRoster};
use crate::desk::show::{AgentNow, status_word};

/// An agent as the API takes and shows it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AgentBody {
    title: String,
    teams: Vec<Member>,
    skills: Vec<String>,
    capacity: u32,
    mode: ModeWord,
    supervisor: bool,
    greeting: String,
}

impl Default for AgentBody {
    fn default() -> AgentBody {
        AgentBody::from(&Agent::default())
    }
}

impl From<&Agent> for AgentBody {
    fn from(agent: &Agent) -> AgentBody {
        AgentBody {
            title: agent.title.clone(),
            teams: agent.teams.clone(),
            skills: agent.skills.clone(),
            capacity: agent.capacity,
            mode: agent.mode.into(),
            supervisor: agent.supervisor,
            greeting: agent.greeting.clone(),
        }
    }
}

/// The agent, in words.
pub(super) fn show(agent: &Agent) -> Value {
    json!(AgentBody::from(agent))
}

/// Reads an agent.
pub(super) fn read(given: Map<String, Value>, roster: &TenantRoster) -> Result<Agent, Problem> {
    let body: AgentBody = from_value(Value::Object(given))?;
    title("title", &body.title)?;
    text("greeting", &body.greeting)?;
    capacity("capacity", body.capacity)?;
    let max = limits::TEAMS_PER_AGENT_MAX;
    if body.teams.len() > max {
        let detail = format!("an agent serves at most {max} teams");
        return Err(Problem::unprocessable(detail)
            .field("teams")
            .limit(max, body.teams.len()));
    }
    let mut seen = HashSet::new();
    for (at, member) in body.teams.iter().enumerate() {
        let field = format!("teams[{at}].team");
        known_team(&member.team, &field, roster)?;
        if !seen.insert(&member.team) {
            let detail = "the team is named twice";
            return Err(Problem::unprocessable(detail)
                .field(field)
                .with("value", &*member.team));
        }
        if let Some(of_team) = member.capacity {
            capacity(&format!("teams[{at}].capacity"), of_team)?;
        }
    }
    if let Some(skill) = body
        .skills
        .iter()
        .find(|s| !roster.skills.contains_key(&***s))
    {
        let detail = format!("there is no skill `{skill}` of this tenant: make it first");
        return Err(Problem::unprocessable(detail)
            .field("skills")
            .with("value", &**skill));
    }
    Ok(Agent {
        title: body.title,
        teams: body.teams,
        skills: body.skills,
        capacity: body.capacity,
        mode: body.mode.into(),
        supervisor: body.supervisor,
        greeting: body.greeting,
    })
}

fn capacity(field: &str, capacity: u32) -> Result<(), Problem> {
    let max = limits::DESK_CAPACITY_MAX;
    if !(1..=max).contains(&capacity) {
        let detail = format!("{field} is 1 to {max}");
        return Err(Problem::unprocessable(detail)
            .field(field)
            .limit(max, capacity));
    }
    Ok(())
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, name)): Named<(String, String)>,
    input: Input<Map<String, Value>>,
) -> Result<Response, Problem> {
    who.administers()?;
    ids::check_user(&name).map_err(|problem| Problem::name("name", &name, problem))?;
    let roster = api.desks.directory().roster();
    let known = who.belongs(&roster, &tenant)?;
    if let Some(other) = roster.tenant_of(&name).filter(|other| ***other != *tenant) {
        let detail = format!("`{name}` is an agent of tenant `{other}` already");
        return Err(Problem::conflict(detail).field("name").with("value", name));
    }
    let mut given = input.value;
    without_name(&mut given, &name)?;
    let password = match given.remove("password") {
        None | Some(Value::Null) => None,
        Some(Value::String(password)) => Some(password),
        Some(_) => {
            let detail = "a password is a string";
            return Err(Problem::unprocessable(detail).field("password"));
        }
    };
    let agent = read(given, known)?;
    let by = who.entry(&api);
    match (password, api.access.account_role(&name)) {
        (Some(password), None | Some(Role::Agent)) => {
            account(&api, &by, &tenant, &name, password).await?;
        }
        (None, Some(Role::Agent | Role::Admin)) => {}
        (None, None) => {
            let detail = "an agent logs in with a password of his own, and there is no account of \
                          this name: give a password";
            return Err(Problem::unprocessable(detail).field("password"));
        }
        // Whoever may set up a desk may not become somebody else by it, nor make him an agent.
        (_, Some(Role::User | Role::Admin)) => {
            let detail = "there is an account of that name which is no agent's: \
                          change it with `tidings admin account`";
            return Err(Problem::conflict(detail).field("password"));
        }
    }
    items::store(&api, by, tenant, name, agent).await
}

/// Makes the agent's account, or changes its password.
async fn account(
    api: &Arc<Api>,
    by: &Entry,
    tenant: &str,
    user: &str,
    password: String,
) -> Result<(), Problem> {
    let (access, user, who) = (api.access.clone(), user.to_owned(), by.who.clone());
    let name = user.clone();
    let changed = move || {
        let command = match access.account_role(&user) {
            None => Command::AccountAdd {
                user,
                role: Role::Agent,
                password,
            },
            Some(_) => Command::AccountPassword { user, password },
        };
        access.execute_by(command, &who)
    };
    let unavailable = |reason: &str| {
        tracing::error!(reason, "an agent's account could not be changed");
        let detail = "accounts cannot be written; see the server's log";
        Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    match tokio::task::spawn_blocking(changed).await {
        Ok(Ok(_)) => {}
        Ok(Err(Fault::Refused(why))) => {
            return Err(Problem::unprocessable(why).field("password"));
        }
        Ok(Err(error)) => return Err(unavailable(&error.to_string())),
        Err(error) => return Err(unavailable(&error.to_string())),
    }
    remember(api, tenant, by.clone(), "put password", &name).await
}

/// Writes into the audit trail what changes nothing in the directory.
pub(super) async fn remember(
    api: &Api,
    tenant: &str,
    by: Entry,
    what: &'static str,
    name: &str,
) -> Result<(), Problem> {
    let directory = api.desks.directory().clone();
    let (tenant, name) = (tenant.to_owned(), name.to_owned());
    let write = move |directory: &Directory| directory.remember(&tenant, &by, what, &name);
    match tokio::task::spawn_blocking(move || write(&directory)).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(Problem::stopped()),
    }
}

/// Of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    live: Option<bool>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = page(which.limit, limits::API_PAGE_MAX)?;
    let roster = api.desks.directory().roster();
    let roster = who.belongs(&roster, &tenant)?;
    let now: HashMap<Name, AgentNow> = match which.live {
        Some(true) => {
            let now = api.desks.agents_now(&tenant).await?.into_iter();
            now.map(|agent| (agent.account.clone(), agent)).collect()
        }
        _ => HashMap::new(),
    };
    let (names, next) = names(roster.agents.keys(), which.after.as_deref(), limit);
    let mut found = Vec::new();
    for name in names {
        let Some(item) = roster.agents.get(name) else {
            continue;
        };
        let mut shown = shown(name, &item.item, roster);
        if let Some(now) = now.get(name) {
            // What somebody else serves is not an agent's business.
            let seen = who.own().is_none_or(|own| own == name);
            shown["live"] = show_now(now, seen);
        }
        found.push(shown);
    }
    Ok(Json(
        json!({ "agents": found, "next": next.map(|name| &**name) }),
    ))
}

fn show_now(now: &AgentNow, episodes: bool) -> Value {
    let mut shown = json!({
        "status": status_word(now.status),
        "online": now.live,
        "serving": now.episodes.len(),
        "slots": now.capacity,
        "slots_taken_permille": now.load_permille,
    });
    if episodes {
        shown["episodes"] = json!(now.episodes);
    }
    shown
}
