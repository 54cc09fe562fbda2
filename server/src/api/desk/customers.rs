//! Everything of one customer: to have it, and to have it gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::desk::Refusal;
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::message::Message;
use tidings_core::wire::code;

use super::access::Who;
use super::agent::remember;
use crate::api::Api;
use crate::api::extract::{Asked, Named, page};
use crate::api::problem::Problem;
use crate::api::users::check_user;
use crate::desk::records::{Part, customer};
use crate::desk::{CustomerAct, DeskError, notice};
use crate::store::Conversation;

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn export(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(user): Named<String>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    check_user(&user)?;
    let max = limits::DESK_EXPORT_MESSAGES_MAX;
    let limit = page(which.limit.or(Some(max)), max)?;
    let roster = api.desks.directory().roster();
    if let Some(own) = who.tenant() {
        who.supervises(&roster, own)?;
    }
    let seen = |tenant: &Name| who.tenant().is_none_or(|own| own == tenant);
    let tenants: Vec<Name> = roster.tenants.keys().filter(|t| seen(t)).cloned().collect();
    let mut talks = api.desks.of_customer(&user).await?;
    talks.retain(|talk| match api.desks.tenant_of_team(&talk.peer) {
        Some(tenant) => seen(&tenant),
        None => who.tenant().is_none(),
    });
    let after = which.after.as_deref().map(cursor).transpose()?;
    let (messages, next) = messages(&api, &user, &talks, after, limit).await?;
    let mut shown = json!({ "customer": user, "messages": messages, "next": next });
    if which.after.is_none() {
        let mut conversations = Vec::new();
        for tenant in &tenants {
            let (of, name) = (tenant.to_string(), user.clone());
            let parts = api
                .desks
                .read(move |db| customer::parts(db, &of, &name))
                .await?;
            if !parts.is_empty() {
                remember(&api, tenant, who.entry(&api), "export customer", &user).await?;
            }
            conversations.extend(parts.iter().map(|part| conversation(tenant, part)));
        }
        shown["conversations"] = json!(conversations);
    }
    Ok(Json(shown))
}

fn conversation(tenant: &str, part: &Part) -> Value {
    json!({
        "tenant": tenant,
        "episode": part.episode,
        "part": part.part,
        "team": part.team,
        "agent": part.agent,
        "opened_ms": part.opened_ms,
        "began_ms": part.began_ms,
        "ended_ms": part.ended_ms,
        "closed_by": part.closed_by(),
        "waited_ms": part.waited_ms,
        "stars": part.stars,
        "rating_text": part.suggest,
    })
}

/// `team:number`, from the page before.
fn cursor(text: &str) -> Result<(String, u64), Problem> {
    let read = text.rsplit_once(':');
    let read = read.and_then(|(team, seq)| Some((format!("@{team}"), seq.parse().ok()?)));
    read.ok_or_else(|| {
        let detail = "`after` is the `next` of the page before";
        Problem::unprocessable(detail)
            .field("after")
            .with("value", text)
    })
}

/// A page of messages through all conversations, and where the next begins.
async fn messages(
    api: &Api,
    user: &str,
    talks: &[Conversation],
    after: Option<(String, u64)>,
    limit: usize,
) -> Result<(Vec<Value>, Option<String>), Problem> {
    let mut messages = Vec::new();
    for talk in talks {
        let from = match &after {
            Some((team, _)) if *talk.peer < **team => continue,
            Some((team, seq)) if *talk.peer == **team => *seq,
            _ => 0,
        };
        let page = api
            .desks
            .written(user, &talk.peer, from, limit - messages.len())
            .await?;
        messages.extend(page.iter().map(|message| show(api, &talk.peer, message)));
        if let Some(last) = page.last().filter(|_| messages.len() == limit) {
            let team = talk.peer.trim_start_matches('@');
            return Ok((messages, Some(format!("{team}:{}", last.seq))));
        }
    }
    Ok((messages, None))
}

fn show(api: &Api, team: &str, message: &Message) -> Value {
    let agent = notice::author(&message.id);
    let kind = match message.typeu {
        code::DESK_NOTICE | code::DESK_LEFT => "notice",
        code::DESK_TEAM_GREETING | code::DESK_AGENT_GREETING => "greeting",
        code::DESK_NOTE => "note",
        code::DESK_RECALLED => "recalled",
        _ => "message",
    };
    let author = match agent {
        _ if !message.from.starts_with('@') => Some(message.from.to_string()),
        Some((agent, _)) => api
            .desks
            .agent_of(team, agent)
            .map(|(name, _)| name.to_string()),
        None => None,
    };
    json!({
        "team": team.trim_start_matches('@'),
        "seq": message.seq,
        "id": &*message.id,
        "time_ms": message.time_ms,
        "kind": kind,
        "author": author,
        "type": message.typeu,
        "text": &*message.body,
    })
}

/// Whether an open conversation is closed first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    force: Option<bool>,
}

pub(super) async fn erase(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(user): Named<String>,
    Asked(how): Asked<How>,
) -> Result<Json<Value>, Problem> {
    who.administers()?;
    check_user(&user)?;
    let talks = api.desks.of_customer(&user).await?;
    let tenants = talks
        .iter()
        .filter_map(|talk| api.desks.tenant_of_team(&talk.peer));
    let tenants: BTreeSet<Name> = tenants.collect();
    if how.force == Some(true) {
        let customer = Name::from(&*user);
        for talk in &talks {
            match api
                .desks
                .customer(&customer, &talk.peer, CustomerAct::Leave)
                .await
            {
                Ok(()) | Err(DeskError::Refused(Refusal::NoEpisode) | DeskError::NoDesk) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut open = Vec::new();
    for tenant in &tenants {
        let chats = api.desks.open_chats(tenant).await?.into_iter();
        open.extend(chats.filter(|c| *c.customer == *user).map(|c| c.episode));
    }
    if !open.is_empty() {
        let detail = "he has an open conversation: close it, or say force=true to have it closed";
        return Err(Problem::conflict(detail)
            .with("code", "open")
            .with("value", open));
    }
    let erased = api.desks.erase(&user).await?;
    for tenant in &tenants {
        remember(&api, tenant, who.entry(&api), "erase customer", &user).await?;
    }
    Ok(Json(json!({
        "messages": erased.messages,
        "records": erased.records,
        "ratings": erased.ratings,
    })))
}
