//! `GET /users/{id}/conversations` and the messages in one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::limits;

use super::Api;
use super::extract::{Asked, Named, page};
use super::messages::show;
use super::problem::Problem;
use crate::handle::HandleError;
use crate::store::Page;

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Many {
    after: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Named(user): Named<String>,
    Asked(asked): Asked<Many>,
) -> Result<Json<Value>, Problem> {
    let limit = page(asked.limit, limits::API_PAGE_MAX)?;
    let before = asked.after.unwrap_or(u64::MAX);
    let found = api.handle.conversations(&user, before, limit + 1).await;
    let mut found = found.map_err(|error| Problem::of("id", error))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.last.position);
    let shown = found.iter().map(|conversation| {
        json!({
            "peer": &*conversation.peer,
            "head": conversation.head,
            "acknowledged": conversation.acked,
            "unread": conversation.head.saturating_sub(conversation.acked),
            "last": show(&conversation.last),
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(Json(json!({ "conversations": shown, "next": next })))
}

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    before: Option<u64>,
    after: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn messages(
    State(api): State<Arc<Api>>,
    Named((user, peer)): Named<(String, String)>,
    Asked(part): Asked<Part>,
) -> Result<Json<Value>, Problem> {
    let limit = page(part.limit, limits::HISTORY_PAGE_MAX)?;
    for (field, number) in [("before", part.before), ("after", part.after)] {
        if let Some(number) = number.filter(|number| i64::try_from(*number).is_err()) {
            let detail = format!("{field} is 0 to {}", i64::MAX);
            let problem = Problem::unprocessable(detail).field(field);
            return Err(problem.with("value", number));
        }
    }
    let page = match (part.before, part.after) {
        (Some(_), Some(_)) => {
            let detail = "give `before` or `after`, not both";
            return Err(Problem::unprocessable(detail).field("after"));
        }
        (None, Some(after)) => Page::After(after, limit),
        (before, None) => Page::Before(before.unwrap_or(u64::MAX), limit),
    };
    let found = api.handle.history(&user, &peer, page).await;
    let found = found.map_err(|error| {
        let field = match &error {
            HandleError::Name { what: "peer", .. } => "peer",
            _ => "id",
        };
        Problem::of(field, error)
    })?;
    let first = found.first().map(|message| message.seq);
    let last = found.last().map(|message| message.seq);
    let shown: Vec<Value> = found.iter().map(|message| show(message)).collect();
    Ok(Json(json!({
        "messages": shown,
        // Where to go on in either direction; null where there is nothing.
        "before": first.filter(|first| *first > 1),
        "after": last,
    })))
}
