//! Whether the server lives and takes messages.

use std::sync::Arc;

use axum::Router as Routes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::Api;
use crate::handle::Readiness;

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
}

async fn ready(State(api): State<Arc<Api>>) -> (StatusCode, &'static str) {
    match api.handle.readiness() {
        Readiness::Ready => (StatusCode::OK, "ready\n"),
        Readiness::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        Readiness::Trouble => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the store cannot be written; see the log\n",
        ),
    }
}
