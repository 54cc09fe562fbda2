//! What is counted: `/metrics` for Prometheus, `GET /stats` for people and programs.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router as Routes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use super::problem::Problem;
use super::{Api, access};
use crate::auth::Scope;
use crate::metrics::Snapshot;
use crate::transport::http::Peer;

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new().route("/metrics", get(metrics))
}

pub(super) async fn show(State(api): State<Arc<Api>>) -> Result<Json<Value>, Problem> {
    Ok(Json(stats(&api).await?.json()))
}

/// Everything, with the figures of the desks.
async fn stats(api: &Api) -> Result<Snapshot, Problem> {
    let stats = api.handle.stats().await;
    let mut stats = stats.map_err(|error| Problem::of("stats", error))?;
    stats.desks(&api.desks.all_figures().await);
    Ok(stats)
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// With a key; without one from this machine, if that is set.
async fn metrics(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let proxied = ["forwarded", "x-forwarded-for", "x-real-ip"];
    let is_proxied = proxied.iter().any(|name| headers.contains_key(*name));
    let is_here = api.metrics_open && is_loopback(peer.address.ip()) && !is_proxied;
    if !is_here {
        let address = api.access.peer(peer.address.ip(), &headers);
        let key = access::bearer(&headers);
        let known = key.and_then(|key| access::known(&api, address, key).ok());
        if !known.is_some_and(|(scope, _)| scope.permits(Scope::Read)) {
            let detail = "a key is needed: Authorization: Bearer KEY (or see web.metrics_open)";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, detail).field("Authorization"));
        }
    }
    let stats = stats(&api).await?;
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((kind, stats.text()).into_response())
}
