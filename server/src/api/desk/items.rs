//! What is set up: tenants, teams, skills, canned replies. The same calls for each kind.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidings_core::desk::DeskSettings;
use tidings_core::ids::Name;
use tidings_core::limits;

use super::access::{Who, no_tenant};
use super::{agent, team};
use crate::api::Api;
use crate::api::extract::{Asked, Input, Named, from_value, page};
use crate::api::problem::Problem;
use crate::desk::RemoveError;
use crate::desk::directory::{
    Agent, Directory, DirectoryError, Entry, Numbered, Reply, Skill, Team, Tenant, TenantRoster,
};

/// A kind of item of a tenant.
pub(super) trait Item: Clone + Send + Sync + Sized + 'static {
    /// What one is called.
    const KIND: &'static str;
    /// What several are called.
    const MANY: &'static str;

    fn of(roster: &TenantRoster) -> &HashMap<Name, Numbered<Self>>;
    /// As the API shows it, without its name.
    fn show(&self, roster: &TenantRoster) -> Value;
    /// From what the API is given.
    fn read(given: Map<String, Value>, name: &str, roster: &TenantRoster) -> Result<Self, Problem>;
    fn put(
        &self,
        directory: &Directory,
        tenant: &str,
        name: &str,
        by: &Entry,
    ) -> Result<(), DirectoryError>;
}

impl Item for Team {
    const KIND: &'static str = "team";
    const MANY: &'static str = "teams";

    fn of(roster: &TenantRoster) -> &HashMap<Name, Numbered<Team>> {
        &roster.teams
    }

    fn show(&self, roster: &TenantRoster) -> Value {
        team::show(self, roster)
    }

    fn read(given: Map<String, Value>, name: &str, roster: &TenantRoster) -> Result<Team, Problem> {
        team::read(given, name, roster)
    }

    fn put(&self, to: &Directory, tenant: &str, name: &str, by: &Entry) -> Put {
        to.put_team(tenant, name, self, by)
    }
}

type Put = Result<(), DirectoryError>;

impl Item for Skill {
    const KIND: &'static str = "skill";
    const MANY: &'static str = "skills";

    fn of(roster: &TenantRoster) -> &HashMap<Name, Numbered<Skill>> {
        &roster.skills
    }

    fn show(&self, _: &TenantRoster) -> Value {
        json!(self)
    }

    fn read(given: Map<String, Value>, _: &str, _: &TenantRoster) -> Result<Skill, Problem> {
        let skill: Skill = from_value(Value::Object(given))?;
        title("title", &skill.title)?;
        Ok(skill)
    }

    fn put(&self, to: &Directory, tenant: &str, name: &str, by: &Entry) -> Put {
        to.put_skill(tenant, name, self, by)
    }
}

impl Item for Reply {
    const KIND: &'static str = "reply";
    const MANY: &'static str = "replies";

    fn of(roster: &TenantRoster) -> &HashMap<Name, Numbered<Reply>> {
        &roster.replies
    }

    fn show(&self, _: &TenantRoster) -> Value {
        json!(self)
    }

    fn read(given: Map<String, Value>, _: &str, roster: &TenantRoster) -> Result<Reply, Problem> {
        let reply: Reply = from_value(Value::Object(given))?;
        text("text", &reply.text)?;
        if let Some(team) = &reply.team {
            known_team(team, "team", roster)?;
        }
        Ok(reply)
    }

    fn put(&self, to: &Directory, tenant: &str, name: &str, by: &Entry) -> Put {
        to.put_reply(tenant, name, self, by)
    }
}

impl Item for Agent {
    const KIND: &'static str = "agent";
    const MANY: &'static str = "agents";

    fn of(roster: &TenantRoster) -> &HashMap<Name, Numbered<Agent>> {
        &roster.agents
    }

    fn show(&self, _: &TenantRoster) -> Value {
        agent::show(self)
    }

    fn read(given: Map<String, Value>, _: &str, roster: &TenantRoster) -> Result<Agent, Problem> {
        agent::read(given, roster)
    }

    fn put(&self, to: &Directory, tenant: &str, name: &str, by: &Entry) -> Put {
        to.put_agent(tenant, name, self, by)
    }
}

/// Of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    after: Option<String>,
    limit: Option<usize>,
}

/// A page of names above `after`, and where the next begins.
pub(super) fn names<'n>(
    names: impl Iterator<Item = &'n Name>,
    after: Option<&str>,
    limit: usize,
) -> (Vec<&'n Name>, Option<&'n Name>) {
    let after = after.unwrap_or_default();
    let mut names: Vec<&Name> = names.filter(|name| ***name > *after).collect();
    names.sort();
    let more = names.len() > limit;
    names.truncate(limit);
    let next = more.then(|| names.last().copied()).flatten();
    (names, next)
}

fn named(name: &str, mut shown: Value) -> Value {
    shown["name"] = json!(name);
    shown
}

pub(super) fn shown<T: Item>(name: &str, item: &T, roster: &TenantRoster) -> Value {
    named(name, item.show(roster))
}

pub(super) async fn list<T: Item>(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = page(which.limit, limits::API_PAGE_MAX)?;
    let roster = api.desks.directory().roster();
    let roster = who.belongs(&roster, &tenant)?;
    let items = T::of(roster);
    let (names, next) = names(items.keys(), which.after.as_deref(), limit);
    let found = names
        .iter()
        .filter_map(|name| Some((name, items.get(*name)?)));
    let found: Vec<Value> = found
        .map(|(name, item)| shown(name, &item.item, roster))
        .collect();
    Ok(Json(
        json!({ T::MANY: found, "next": next.map(|name| &**name) }),
    ))
}

fn missing<T: Item>(name: &str) -> Problem {
    Problem::not_found(format!("there is no such {}", T::KIND))
        .field("name")
        .with("value", name)
}

pub(super) async fn show<T: Item>(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, name)): Named<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let roster = api.desks.directory().roster();
    let roster = who.belongs(&roster, &tenant)?;
    let item = T::of(roster)
        .get(&*name)
        .ok_or_else(|| missing::<T>(&name))?;
    Ok(Json(shown(&name, &item.item, roster)))
}

/// A body may repeat the name that stands in the path, as the answers do.
pub(super) fn without_name(given: &mut Map<String, Value>, name: &str) -> Result<(), Problem> {
    match given.remove("name") {
        Some(told) if told != name => {
            let detail = "the body has another name than the path";
            Err(Problem::unprocessable(detail)
                .field("name")
                .with("value", told))
        }
        _ => Ok(()),
    }
}

pub(super) async fn put<T: Item>(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, name)): Named<(String, String)>,
    input: Input<Map<String, Value>>,
) -> Result<Response, Problem> {
    // Replies are the supervisors' own business.
    let roster = api.desks.directory().roster();
    if T::KIND == Reply::KIND && who.tenant().is_some() {
        who.supervises(&roster, &tenant)?;
    } else {
        who.administers()?;
    }
    let known = who.belongs(&roster, &tenant)?;
    let mut given = input.value;
    without_name(&mut given, &name)?;
    let item = T::read(given, &name, known)?;
    store(&api, who.entry(&api), tenant, name, item).await
}

/// Stores an item and answers with what it has become.
pub(super) async fn store<T: Item>(
    api: &Api,
    by: Entry,
    tenant: String,
    name: String,
    item: T,
) -> Result<Response, Problem> {
    let before = api.desks.directory().roster();
    let known = before
        .tenants
        .get(&*tenant)
        .ok_or_else(|| no_tenant(&tenant))?;
    let status = match T::of(known).contains_key(&*name) {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let (to, called, stored) = (tenant.clone(), name.clone(), item.clone());
    let change = move |directory: &Directory| stored.put(directory, &to, &called, &by);
    api.desks.change(change).await?;
    let roster = api.desks.directory().roster();
    let known = roster
        .tenants
        .get(&*tenant)
        .ok_or_else(|| no_tenant(&tenant))?;
    Ok((status, Json(shown(&name, &item, known))).into_response())
}

pub(super) async fn remove<T: Item>(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, name)): Named<(String, String)>,
) -> Result<StatusCode, Problem> {
    let roster = api.desks.directory().roster();
    if T::KIND == Reply::KIND && who.tenant().is_some() {
        who.supervises(&roster, &tenant)?;
    } else {
        who.administers()?;
    }
    let known = who.belongs(&roster, &tenant)?;
    if !T::of(known).contains_key(&*name) {
        return Err(missing::<T>(&name));
    }
    let by = who.entry(&api);
    if T::KIND == Team::KIND {
        api.desks.remove_team(&tenant, &name, by).await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    if T::KIND == Skill::KIND
        && let Some((agent, _)) = known
            .agents
            .iter()
            .find(|(_, a)| a.item.skills.contains(&name))
    {
        let why = format!("agent `{agent}` has the skill: take it from him first");
        return Err(RemoveError::Needed(why).into());
    }
    let change = move |directory: &Directory| directory.remove(T::KIND, &tenant, &name, &by);
    api.desks.change(change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A tenant as the API takes and shows it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TenantBody {
    anonymous: bool,
    default_team: Option<String>,
    timeout_tip: String,
    timeout_close: String,
    hold_weight_permille: u32,
    reserved_slots: u32,
    grace_ms: u64,
    misses_max: u32,
    priority_boost_ms: u64,
}

impl Default for TenantBody {
    fn default() -> TenantBody {
        TenantBody::from(&Tenant::default())
    }
}

impl From<&Tenant> for TenantBody {
    fn from(tenant: &Tenant) -> TenantBody {
        TenantBody {
            anonymous: tenant.anonymous,
            default_team: tenant.default_team.clone(),
            timeout_tip: tenant.timeout_tip.clone(),
            timeout_close: tenant.timeout_close.clone(),
            hold_weight_permille: tenant.settings.hold_weight_permille,
            reserved_slots: tenant.settings.reserved_slots,
            grace_ms: tenant.settings.grace_ms,
            misses_max: tenant.settings.misses_max,
            priority_boost_ms: tenant.settings.priority_boost_ms,
        }
    }
}

impl TenantBody {
    fn read(given: Map<String, Value>, known: Option<&TenantRoster>) -> Result<Tenant, Problem> {
        let body: TenantBody = from_value(Value::Object(given))?;
        text("timeout_tip", &body.timeout_tip)?;
        text("timeout_close", &body.timeout_close)?;
        time("grace_ms", body.grace_ms)?;
        time("priority_boost_ms", body.priority_boost_ms)?;
        if let Some(team) = &body.default_team {
            known_team(
                team,
                "default_team",
                known.unwrap_or(&TenantRoster::default()),
            )?;
        }
        if body.hold_weight_permille > 1000 {
            let detail = "an episode on hold counts at most 1000 thousandths of a slot";
            return Err(Problem::unprocessable(detail)
                .field("hold_weight_permille")
                .limit(1000, body.hold_weight_permille));
        }
        count("reserved_slots", body.reserved_slots)?;
        count("misses_max", body.misses_max)?;
        Ok(Tenant {
            anonymous: body.anonymous,
            default_team: body.default_team,
            settings: DeskSettings {
                hold_weight_permille: body.hold_weight_permille,
                reserved_slots: body.reserved_slots,
                grace_ms: body.grace_ms,
                misses_max: body.misses_max,
                priority_boost_ms: body.priority_boost_ms,
            },
            timeout_tip: body.timeout_tip,
            timeout_close: body.timeout_close,
        })
    }
}

fn show_one(name: &str, tenant: &Tenant) -> Value {
    named(name, json!(TenantBody::from(tenant)))
}

pub(super) async fn tenants(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = page(which.limit, limits::API_PAGE_MAX)?;
    let roster = api.desks.directory().roster();
    let seen = roster.tenants.keys();
    let seen = seen.filter(|name| who.tenant().is_none_or(|own| own == *name));
    let (names, next) = names(seen, which.after.as_deref(), limit);
    let found = names
        .iter()
        .filter_map(|name| Some((name, roster.tenants.get(*name)?)));
    let found: Vec<Value> = found.map(|(name, of)| show_one(name, &of.tenant)).collect();
    Ok(Json(
        json!({ "tenants": found, "next": next.map(|name| &**name) }),
    ))
}

pub(super) async fn show_tenant(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
) -> Result<Json<Value>, Problem> {
    let roster = api.desks.directory().roster();
    let known = who.belongs(&roster, &tenant)?;
    Ok(Json(show_one(&tenant, &known.tenant)))
}

pub(super) async fn put_tenant(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
    input: Input<Map<String, Value>>,
) -> Result<Response, Problem> {
    who.administers()?;
    let mut given = input.value;
    without_name(&mut given, &tenant)?;
    let roster = api.desks.directory().roster();
    let known = roster.tenants.get(&*tenant);
    let item = TenantBody::read(given, known)?;
    let status = match known {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let shown = show_one(&tenant, &item);
    let by = who.entry(&api);
    let change = move |directory: &Directory| directory.put_tenant(&tenant, &item, &by);
    api.desks.change(change).await?;
    Ok((status, Json(shown)).into_response())
}

pub(super) async fn remove_tenant(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
) -> Result<StatusCode, Problem> {
    who.administers()?;
    let roster = api.desks.directory().roster();
    who.belongs(&roster, &tenant)?;
    api.desks.remove_tenant(&tenant, who.entry(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

// What several kinds have.

/// A title.
pub(super) fn title(field: &str, title: &str) -> Result<(), Problem> {
    bytes(field, title, limits::DESK_TITLE_BYTES_MAX)
}

/// A greeting or other text.
pub(super) fn text(field: &str, text: &str) -> Result<(), Problem> {
    bytes(field, text, limits::DESK_TEXT_BYTES_MAX)
}

pub(super) fn bytes(field: &str, text: &str, max: usize) -> Result<(), Problem> {
    if text.len() > max {
        let detail = format!("{field} has at most {max} bytes");
        return Err(Problem::unprocessable(detail)
            .field(field)
            .limit(max, text.len()));
    }
    Ok(())
}

/// A length of time.
pub(super) fn time(field: &str, ms: u64) -> Result<(), Problem> {
    let max = limits::DESK_TIME_MS_MAX;
    if ms > max {
        let detail = format!("{field} is at most {max}, a year");
        return Err(Problem::unprocessable(detail).field(field).limit(max, ms));
    }
    Ok(())
}

fn count(field: &str, count: u32) -> Result<(), Problem> {
    let max = limits::DESK_CAPACITY_MAX;
    if count > max {
        let detail = format!("{field} is at most {max}");
        return Err(Problem::unprocessable(detail)
            .field(field)
            .limit(max, count));
    }
    Ok(())
}

pub(super) fn known_team(team: &str, field: &str, roster: &TenantRoster) -> Result<(), Problem> {
    if roster.teams.contains_key(team) {
        return Ok(());
    }
    let detail = format!("there is no team `{team}` of this tenant: make it first");
    Err(Problem::unprocessable(detail)
        .field(field)
        .with("value", team))
}
