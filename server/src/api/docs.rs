//! The description of the API, and Swagger UI at `/docs/` to read and try it. The files are in the
//! binary; nothing is fetched from elsewhere.

use std::sync::Arc;

use axum::Router as Routes;
use axum::http::header;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;

use super::Api;

const PAGE: &str = include_str!("../../assets/docs.html");
const START: &str = include_str!("../../assets/docs.js");
const SCRIPT: &[u8] = include_bytes!("../../assets/swagger-ui/swagger-ui-bundle.js");
const STYLE: &[u8] = include_bytes!("../../assets/swagger-ui/swagger-ui.css");
const ICON: &[u8] = include_bytes!("../../assets/swagger-ui/favicon-32x32.png");
/// Scripts from here alone. Swagger UI sets styles from its script and shows pictures as data.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new()
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route(
            "/docs/",
            get(|| async { file("text/html; charset=utf-8", PAGE) }),
        )
        .route(
            "/docs/docs.js",
            get(|| async { file("text/javascript", START) }),
        )
        .route(
            "/docs/swagger-ui-bundle.js",
            get(|| async { file("text/javascript", SCRIPT) }),
        )
        .route(
            "/docs/swagger-ui.css",
            get(|| async { file("text/css", STYLE) }),
        )
        .route(
            "/docs/favicon-32x32.png",
            get(|| async { file("image/png", ICON) }),
        )
}

fn file(kind: &'static str, content: impl IntoResponse) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, content)
}

pub(super) async fn openapi() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        super::document(),
    )
}
