//! `/groups/{id}` and its members. The id is the name without its `#`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::extract::{Input, Named};
use super::problem::Problem;
use crate::handle::HandleError;

/// The body of `PUT /groups/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Members {
    members: Vec<String>,
}

fn group(id: &str) -> Result<String, Problem> {
    if id.starts_with('#') {
        let detail = "a group is named without its `#` here";
        return Err(Problem::unprocessable(detail).field("id").with("value", id));
    }
    Ok(format!("#{id}"))
}

/// Which of the names a refusal means.
fn refused(error: HandleError) -> Problem {
    let field = match &error {
        HandleError::Name { what: "user", .. } => "user",
        _ => "id",
    };
    Problem::of(field, error)
}

fn missing(id: &str) -> Problem {
    Problem::not_found("there is no such group")
        .field("id")
        .with("value", id)
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Named(id): Named<String>,
    input: Input<Members>,
) -> Result<Json<Value>, Problem> {
    let members = input.value.members;
    if members.is_empty() {
        let detail = "a group has members; remove it with DELETE";
        return Err(Problem::unprocessable(detail).field("members"));
    }
    let group = group(&id)?;
    let set = api.handle.set_group(&group, &members).await;
    set.map_err(|error| match &error {
        HandleError::Name { what: "user", .. } => Problem::of("members", error),
        _ => refused(error),
    })?;
    Ok(Json(json!({ "id": id, "count": members.len() })))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Named(id): Named<String>,
) -> Result<Json<Value>, Problem> {
    let members = api.handle.group(&group(&id)?).await.map_err(refused)?;
    let members = members.ok_or_else(|| missing(&id))?;
    let names: Vec<&str> = members.iter().map(|name| &**name).collect();
    Ok(Json(
        json!({ "id": id, "count": names.len(), "members": names }),
    ))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    let group = group(&id)?;
    let known = api.handle.group(&group).await.map_err(refused)?;
    known.ok_or_else(|| missing(&id))?;
    api.handle.remove_group(&group).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Named((id, user)): Named<(String, String)>,
) -> Result<StatusCode, Problem> {
    let added = api.handle.add_member(&group(&id)?, &user).await;
    match added.map_err(refused)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing(&id)),
    }
}

pub(super) async fn leave(
    State(api): State<Arc<Api>>,
    Named((id, user)): Named<(String, String)>,
) -> Result<StatusCode, Problem> {
    let removed = api.handle.remove_member(&group(&id)?, &user).await;
    match removed.map_err(refused)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("there is no such member")
            .field("user")
            .with("value", user)),
    }
}
