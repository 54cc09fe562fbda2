//! The HTTP port: health for now; the API moves in here.

use std::sync::Arc;

use axum::Router as Routes;
use axum::http::StatusCode;
use axum::routing::get;
use axum::serve::Listener;

use crate::router::Router;

/// Serves HTTP until the future is dropped.
pub(crate) async fn serve<L>(router: Arc<Router>, listener: L)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let ready = move || {
        let router = router.clone();
        async move {
            if router.is_stopping() {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
            } else if let Some(reason) = router.trouble() {
                tracing::debug!(reason, "not ready");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the store cannot be written; see the log\n",
                )
            } else {
                (StatusCode::OK, "ready\n")
            }
        }
    };
    let routes = Routes::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready));
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "the HTTP listener ended");
    }
}
