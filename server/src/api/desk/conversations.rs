//! Conversations, those that are open and those that were.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::limits;

use super::access::Who;
use super::items::bytes;
use super::live;
use crate::api::Api;
use crate::api::extract::{Asked, Named, page};
use crate::api::problem::Problem;
use crate::desk::records::{self, Line, Part, Standing, Wanted};
use crate::desk::show::OpenChat;

/// What is looked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    customer: Option<String>,
    agent: Option<String>,
    team: Option<String>,
    state: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
    text: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn search(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = page(which.limit, limits::API_PAGE_MAX)?;
    who.belongs(&api.desks.directory().roster(), &tenant)?;
    let state = match &which.state {
        None => None,
        Some(word) => Some(Standing::from_word(word).ok_or_else(|| {
            let detail = "a state is waiting, active or closed";
            Problem::unprocessable(detail)
                .field("state")
                .with("value", &**word)
        })?),
    };
    if let Some(text) = &which.text {
        bytes("text", text, limits::DESK_SEARCH_BYTES_MAX)?;
    }
    // An agent finds what he had a part in.
    let own = who.own().map(ToString::to_string);
    if let (Some(own), Some(agent)) = (&own, &which.agent)
        && own != agent
    {
        let detail = "an agent looks for his own conversations";
        return Err(Problem::new(axum::http::StatusCode::FORBIDDEN, detail).field("agent"));
    }
    let wanted = Wanted {
        customer: which.customer,
        agent: which.agent.or(own),
        team: which.team,
        state,
        from_ms: which.from,
        to_ms: which.to,
        text: which.text.filter(|text| !text.is_empty()),
        before: which.before,
    };
    let found = api
        .desks
        .read(move |db| records::search(db, &tenant, &wanted, limit))
        .await?;
    let shown: Vec<Value> = found.episodes.iter().map(|parts| summary(parts)).collect();
    Ok(Json(
        json!({ "conversations": shown, "before": found.before }),
    ))
}

/// A conversation as lists show it.
fn summary(parts: &[Part]) -> Value {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Value::Null;
    };
    let mut agents: Vec<&str> = Vec::new();
    for agent in parts.iter().filter_map(|part| part.agent.as_deref()) {
        if !agents.contains(&agent) {
            agents.push(agent);
        }
    }
    json!({
        "episode": first.episode,
        "customer": first.customer,
        "team": last.team,
        "agent": last.agent,
        "agents": agents,
        "state": Standing::of(last).word(),
        "opened_ms": first.opened_ms,
        "ended_ms": last.ended_ms,
        "closed_by": last.closed_by(),
        "waited_ms": parts.iter().map(|part| part.waited_ms).sum::<i64>(),
        "customer_messages": parts.iter().map(|part| part.customer_messages).sum::<u64>(),
        "agent_messages": parts.iter().map(|part| part.agent_messages).sum::<u64>(),
        "stars": last.stars,
        "rating_text": last.suggest.as_deref().filter(|text| !text.is_empty()),
    })
}

/// What happened, in order.
fn events(parts: &[Part]) -> Vec<Value> {
    let mut events = Vec::new();
    for part in parts {
        let opened_ms = if part.part == 0 {
            part.opened_ms
        } else {
            part.began_ms
        };
        if part.part == 0 || part.agent.is_none() {
            events.push(json!({ "event": "waits", "time_ms": opened_ms, "team": part.team }));
        }
        if let Some(agent) = &part.agent {
            events.push(json!({
                "event": "assigned", "time_ms": part.began_ms, "team": part.team, "agent": agent,
                "how": part.how, "waited_ms": part.waited_ms,
                "first_answer_ms": part.first_answer_ms,
            }));
        }
        if let (Some(time_ms), Some(by)) = (part.ended_ms, part.closed_by()) {
            let event = json!({ "event": "ended", "time_ms": time_ms, "by": by });
            events.push(event);
        }
    }
    events
}

fn line(line: &Line) -> Value {
    json!({
        "seq": line.seq,
        "id": line.id,
        "by": match line.owner { 1 => "customer", 2 => "agent", _ => "desk" },
        "author": line.author,
        "note": line.is_note(),
        "kind": line.kind,
        "offline": line.offline,
        "recalled": line.recalled,
        "time_ms": line.time_ms,
        "text": (!line.recalled).then_some(&*line.text),
    })
}

/// Which messages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Messages {
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named((tenant, episode)): Named<(String, u64)>,
    Asked(messages): Asked<Messages>,
) -> Result<Json<Value>, Problem> {
    let max = limits::DESK_RECORD_MESSAGES_MAX;
    let limit = page(messages.limit.or(Some(max)), max)?;
    who.belongs(&api.desks.directory().roster(), &tenant)?;
    let live = api.desks.open_chat(&tenant, episode).await?;
    let (of, before) = (tenant.clone(), messages.before.unwrap_or(u64::MAX));
    let read = move |db: &rusqlite::Connection| {
        let parts = records::parts(db, &of, episode)?;
        Ok((parts, records::lines(db, &of, episode, before, limit)?))
    };
    let (parts, lines) = api.desks.read(read).await?;
    if parts.is_empty() && live.is_none() {
        return Err(no_episode(episode));
    }
    if let Some(own) = who.own()
        && !parts.iter().any(|part| part.agent.as_deref() == Some(own))
        && !concerns(own, &api, &tenant, live.as_ref(), &parts).await?
    {
        let detail = "an agent sees his own conversations, and those of whom he serves";
        return Err(Problem::new(axum::http::StatusCode::FORBIDDEN, detail).field("episode"));
    }
    let mut shown = summary(&parts);
    if shown.is_null() {
        shown = json!({ "episode": episode }); // the tables follow
    }
    let earlier = lines.first().filter(|_| lines.len() == limit);
    shown["before"] = json!(earlier.map(|line| line.seq));
    shown["events"] = json!(events(&parts));
    shown["messages"] = lines.iter().map(line).collect();
    shown["live"] = live.as_ref().map_or(Value::Null, live::show);
    Ok(Json(shown))
}

pub(super) fn no_episode(episode: u64) -> Problem {
    Problem::not_found("there is no such conversation")
        .field("episode")
        .with("value", episode)
}

/// Whether an agent has to do with a conversation that was not his: he is asked, takes part, or
/// serves its customer now.
async fn concerns(
    own: &str,
    api: &Api,
    tenant: &str,
    live: Option<&OpenChat>,
    parts: &[Part],
) -> Result<bool, Problem> {
    let has_part = |chat: &OpenChat| {
        chat.agent.as_deref() == Some(own)
            || chat.transfer_to.as_deref() == Some(own)
            || chat.supervisors.iter().any(|(who, _)| **who == *own)
    };
    if live.is_some_and(has_part) {
        return Ok(true);
    }
    let Some(customer) = parts.first().map(|part| &*part.customer) else {
        return Ok(false);
    };
    let open = api.desks.open_chats(tenant).await?;
    Ok(open
        .iter()
        .any(|chat| *chat.customer == *customer && has_part(chat)))
}
