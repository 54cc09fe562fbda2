//! Who waits, and the figures of this moment and of a time before it.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::desk::Supervision;
use tidings_core::limits;

use super::access::Who;
use super::items::time;
use super::reports::team_figures;
use crate::api::Api;
use crate::api::extract::{Asked, Named, page};
use crate::api::problem::Problem;
use crate::desk::records::reports::{self, Span};
use crate::desk::show::{OpenChat, STATUSES, State as Standing};

/// An answer in so long is in time, unless the call says something else.
pub(super) const ANSWER_WITHIN_MS: u64 = 20_000;
/// The time that figures are about, unless the call says something else.
const PERIOD_MS: u64 = 24 * 3_600_000;

/// Of the queue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    team: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
}

/// An open conversation.
pub(super) fn show(chat: &OpenChat) -> Value {
    let parts = chat.supervisors.iter().map(|(who, level)| {
        let level = match level {
            Supervision::Watch => "watch",
            Supervision::Whisper => "whisper",
            Supervision::Join => "join",
        };
        json!({ "agent": &**who, "level": level })
    });
    let skills: Vec<&str> = chat.skills.iter().map(|skill| &**skill).collect();
    json!({
        "episode": chat.episode,
        "customer": &*chat.customer,
        "customer_online": chat.customer_online,
        "left": chat.left,
        "team": &*chat.team,
        "skills": skills,
        "priority": chat.priority,
        "state": chat.state.word(),
        "since_ms": chat.since_ms,
        "queued_ms": chat.queued_ms,
        "age_ms": chat.age_ms,
        "agent": chat.agent.as_deref(),
        "position": chat.position,
        "wait_ms": chat.wait_ms,
        "transfer_to": chat.transfer_to.as_deref(),
        "supervisors": parts.collect::<Vec<Value>>(),
    })
}

pub(super) async fn queue(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = page(which.limit, limits::API_PAGE_MAX)?;
    let roster = api.desks.directory().roster();
    let roster = who.belongs(&roster, &tenant)?;
    if let Some(team) = &which.team {
        super::items::known_team(team, "team", roster)?;
    }
    // An agent sees who waits for the teams that he serves.
    let own = who.own().and_then(|own| roster.agents.get(own));
    let serves = |team: &str| own.is_none_or(|own| own.item.teams.iter().any(|m| m.team == team));
    let mut waiting = api.desks.open_chats(&tenant).await?;
    waiting.retain(|chat| {
        matches!(
            chat.state,
            Standing::Left | Standing::Waiting | Standing::Ringing
        ) && which.team.as_ref().is_none_or(|team| **team == *chat.team)
            && serves(&chat.team)
    });
    let total = waiting.len();
    waiting.retain(|chat| which.after.is_none_or(|after| chat.episode > after));
    let more = waiting.len() > limit;
    waiting.truncate(limit);
    let next = waiting.last().filter(|_| more).map(|chat| chat.episode);
    let waiting: Vec<Value> = waiting.iter().map(show).collect();
    Ok(Json(
        json!({ "waiting": waiting, "total": total, "next": next }),
    ))
}

/// Of the figures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    period_ms: Option<u64>,
    answer_within_ms: Option<u64>,
}

pub(super) async fn figures(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
    Asked(about): Asked<About>,
) -> Result<Json<Value>, Problem> {
    who.supervises(&api.desks.directory().roster(), &tenant)?;
    let period_ms = about.period_ms.unwrap_or(PERIOD_MS);
    let within_ms = about.answer_within_ms.unwrap_or(ANSWER_WITHIN_MS);
    time("period_ms", period_ms)?;
    time("answer_within_ms", within_ms)?;
    let now = api.desks.figures(&tenant).await?;
    let to_ms = api.desks.wall_ms();
    let span = Span {
        from_ms: to_ms - i64::try_from(period_ms).unwrap_or(i64::MAX),
        to_ms,
    };
    let target_ms = i64::try_from(within_ms).unwrap_or(i64::MAX);
    let read = move |db: &rusqlite::Connection| reports::teams(db, &tenant, span, target_ms);
    let mut past = api.desks.read(read).await?;
    let teams = now.teams.iter().map(|team| {
        json!({
            "team": team.team,
            "waiting": team.waiting,
            "left": team.left,
            "longest_wait_ms": team.longest_wait_ms,
            "serving": team.serving,
            "agents_online": team.agents_online,
            "period": team_figures(&past.remove(&team.team).unwrap_or_default()),
        })
    });
    let teams: Vec<Value> = teams.collect();
    let agents = STATUSES.iter().zip(now.agents);
    let agents: Value = agents
        .map(|(status, n)| ((*status).to_owned(), json!(n)))
        .collect();
    let longest = now.teams.iter().map(|team| team.longest_wait_ms).max();
    Ok(Json(json!({
        "waiting": now.teams.iter().map(|team| team.waiting).sum::<u64>(),
        "left": now.teams.iter().map(|team| team.left).sum::<u64>(),
        "longest_wait_ms": longest.unwrap_or(0),
        "serving": now.teams.iter().map(|team| team.serving).sum::<u64>(),
        "agents": agents,
        "slots": now.slots,
        "slots_taken_permille": now.slots_taken_permille,
        "from_ms": span.from_ms,
        "to_ms": span.to_ms,
        "answer_within_ms": within_ms,
        "teams": teams,
    })))
}
