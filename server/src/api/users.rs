//! `/users`: who is known, who is online, and ending sessions.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::wire::code;
use tidings_core::{ids, limits};

use super::Api;
use super::access::Caller;
use super::extract::{Asked, Named, page};
use super::problem::Problem;
use crate::auth::{Command, Fault};
use crate::router::OnlineSession;

/// Conversations whose cursors are shown with a user.
const CURSORS_SHOWN: usize = 50;

/// Which of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    online: Option<bool>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = page(which.limit, limits::API_PAGE_MAX)?;
    let after = which.after.as_deref().unwrap_or_default();
    let (users, next) = if which.online == Some(true) {
        let online = api.handle.online().into_iter();
        let above = online.filter(|user| *user.user > *after).take(limit + 1);
        let mut users: Vec<(String, usize)> = above
            .map(|user| (user.user.to_string(), user.sessions.len()))
            .collect();
        let more = users.len() > limit;
        users.truncate(limit);
        let next = users.last().filter(|_| more).map(|(user, _)| user.clone());
        (users, next)
    } else {
        known(&api, after, limit, which.online).await?
    };
    let shown: Vec<Value> = users
        .iter()
        .map(
            |(user, sessions)| json!({ "id": user, "online": *sessions > 0, "sessions": sessions }),
        )
        .collect();
    Ok(Json(json!({ "users": shown, "next": next })))
}

/// A page of those who have ever logged in, each with how many sessions he has now, and where the
/// next page begins. It is full, unless so many had to be passed over that the next call goes on.
async fn known(
    api: &Api,
    after: &str,
    limit: usize,
    online: Option<bool>,
) -> Result<(Vec<(String, usize)>, Option<String>), Problem> {
    let mut found: Vec<(String, usize)> = Vec::new();
    let mut last = after.to_owned();
    for _ in 0..limits::API_USERS_LOOKED_AT_MAX / limits::API_PAGE_MAX {
        let users = api.handle.users(&last, limits::API_PAGE_MAX).await;
        let users = users.map_err(|error| Problem::of("after", error))?;
        let is_end = users.len() < limits::API_PAGE_MAX;
        for user in users {
            let sessions = api.handle.sessions(&user).len();
            if online.is_none_or(|online| online == (sessions > 0)) {
                if found.len() == limit {
                    let next = found.last().map(|(user, _)| user.clone());
                    return Ok((found, next));
                }
                found.push((user.to_string(), sessions));
            }
            last = user.to_string();
        }
        if is_end {
            return Ok((found, None));
        }
    }
    Ok((found, Some(last)))
}

/// A session, as it is shown.
pub(crate) fn session(session: &OnlineSession) -> Value {
    json!({
        "device": &*session.device,
        "class": &*session.class,
        "transport": session.transport.to_string(),
        "address": session.address.map(|address| address.to_string()),
        "since_ms": session.since_ms,
    })
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Named(user): Named<String>,
) -> Result<Json<Value>, Problem> {
    let of = |error| Problem::of("id", error);
    let Some(profile) = api.handle.profile(&user).await.map_err(of)? else {
        let detail = "no such user has ever logged in";
        return Err(Problem::not_found(detail).field("id").with("value", user));
    };
    let sessions: Vec<Value> = api.handle.sessions(&user).iter().map(session).collect();
    let devices: Vec<Value> = profile
        .devices
        .iter()
        .map(|device| {
            json!({
                "device": &*device.name,
                "class": &*device.class,
                "created_ms": device.created_ms,
                "seen_ms": device.seen_ms,
            })
        })
        .collect();
    let conversations = api
        .handle
        .conversations(&user, u64::MAX, CURSORS_SHOWN)
        .await;
    let mut cursors = Vec::new();
    for conversation in conversations.map_err(of)? {
        let receipts = api.handle.receipts(&user, &conversation.last).await;
        for receipt in receipts.map_err(of)? {
            cursors.push(json!({
                "device": &*receipt.device,
                "peer": &*conversation.peer,
                "acknowledged": receipt.acked,
                "head": conversation.head,
            }));
        }
    }
    Ok(Json(json!({
        "id": user,
        "online": !sessions.is_empty(),
        "sessions": sessions,
        "devices": devices,
        "cursors": cursors,
    })))
}

/// Why he is shut out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    reason: Option<String>,
}

pub(super) async fn block(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Named(user): Named<String>,
    Asked(block): Asked<Block>,
) -> Result<StatusCode, Problem> {
    let reason = block.reason.unwrap_or_default();
    check_reason(&reason)?;
    if let Some(at) = reason.chars().position(char::is_control) {
        let detail = "a reason has no control characters";
        return Err(Problem::unprocessable(detail)
            .field("reason")
            .with("value", at));
    }
    check_user(&user)?;
    change(&api, Command::BlockUser { user, reason }, caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn unblock(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Named(user): Named<String>,
) -> Result<StatusCode, Problem> {
    check_user(&user)?;
    let command = Command::UnblockUser { user: user.clone() };
    match change(&api, command, caller).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            let detail = "he is not blocked";
            Err(Problem::not_found(detail).field("id").with("value", user))
        }
        Err(problem) => Err(problem),
    }
}

pub(super) fn check_user(user: &str) -> Result<(), Problem> {
    let plain = user.strip_prefix('~').unwrap_or(user);
    ids::check_user(plain).map_err(|problem| Problem::name("id", user, problem))
}

/// Changes what the admission keeps, on a thread where it may block.
async fn change(api: &Arc<Api>, command: Command, by: Caller) -> Result<(), Problem> {
    let access = api.access.clone();
    let change = move || access.execute_by(command, &by.name);
    let changed = tokio::task::spawn_blocking(change).await;
    match changed {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(Fault::Refused(reason))) => Err(Problem::conflict(reason).field("id")),
        Ok(Err(error)) => Err(unavailable(&error.to_string())),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

fn unavailable(reason: &str) -> Problem {
    tracing::error!(reason, "accounts could not be changed");
    let detail = "accounts cannot be written; see the server's log";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

fn check_reason(reason: &str) -> Result<(), Problem> {
    let max = limits::REASON_BYTES_MAX;
    if reason.len() > max {
        let detail = format!("a reason has at most {max} bytes");
        return Err(Problem::unprocessable(detail)
            .field("reason")
            .limit(max, reason.len()));
    }
    Ok(())
}

/// Why they end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kick {
    code: Option<i32>,
    reason: Option<String>,
}

pub(super) async fn kick(
    State(api): State<Arc<Api>>,
    Named(user): Named<String>,
    Asked(kick): Asked<Kick>,
) -> Result<Json<Value>, Problem> {
    check_reason(kick.reason.as_deref().unwrap_or_default())?;
    let code = kick.code.unwrap_or(code::KICK_BY_ADMIN);
    let ended = api.handle.kick(&user, code, kick.reason.as_deref());
    let ended = ended.map_err(|error| Problem::of("id", error))?;
    Ok(Json(json!({ "sessions": ended })))
}
