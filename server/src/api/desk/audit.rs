//! Who changed what, who took over, exported and erased.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::limits;

use super::access::Who;
use crate::api::Api;
use crate::api::extract::{Asked, Named, page};
use crate::api::problem::Problem;

/// Of the trail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    before: Option<i64>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Who>,
    Named(tenant): Named<String>,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = page(which.limit, limits::API_PAGE_MAX)?;
    who.supervises(&api.desks.directory().roster(), &tenant)?;
    let before = which.before.unwrap_or(i64::MAX);
    let read = move |db: &rusqlite::Connection| {
        let sql = "SELECT id, time_ms, who, what, name, body FROM audit
            WHERE (tenant = ?1 OR tenant = '' AND name = ?1) AND id < ?2
            ORDER BY id DESC LIMIT ?3";
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(rusqlite::params![tenant, before, limit], |row| {
            let body: String = row.get(5)?;
            Ok(json!({
                "id": row.get::<_, i64>(0)?,
                "time_ms": row.get::<_, i64>(1)?,
                "who": row.get::<_, String>(2)?,
                "what": row.get::<_, String>(3)?,
                "name": row.get::<_, String>(4)?,
                "became": serde_json::from_str::<Value>(&body).unwrap_or(Value::Null),
            }))
        })?;
        rows.collect::<rusqlite::Result<Vec<Value>>>()
    };
    let found = api.desks.read(read).await?;
    let next = found.last().filter(|_| found.len() == limit);
    let next = next.map(|entry| entry["id"].clone());
    Ok(Json(json!({ "entries": found, "before": next })))
}
