//! The HTTP port: REST under `/api/v1`, its documentation, health and metrics.
//!
//! - one file per resource: `messages`, `users`, `conversations`, `groups`, `stats`
//! - `desk`: what is set up, who waits, conversations, reports, customers' data
//! - `access`: keys, what they permit, how often; `idempotency`: the same call again
//! - `extract`, `problem`: what a call says, and what is wrong with it
//! - what begins with `/ws.io` or `/poll.io` is handed to `ocim`
//! - `openapi`, `docs`: the description that the calls are checked against, and a page to try them
//!
//! Handlers are thin: everything is done through the public [`Handle`](crate::Handle), which an
//! embedding application has too. Called by `Server`; never imported by `router` or `store`.

mod access;
mod conversations;
mod desk;
mod docs;
mod extract;
mod groups;
mod health;
mod idempotency;
mod messages;
mod openapi;
mod problem;
mod stats;
mod users;

pub use openapi::document;
pub(crate) use users::session as shown_session;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router as Routes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};

use crate::auth::Access;
use crate::config::Settings;
use crate::desk::Desks;
use crate::handle::Handle;
use crate::ocim::{self, Ocim};
use crate::origins::Origins;
use crate::transport::http::Peer;
use idempotency::Answers;
use problem::Problem;

/// What every call may use.
pub(crate) struct Api {
    handle: Handle,
    desks: Desks,
    access: Access,
    ocim: Arc<Ocim>,
    rates: access::Rates,
    answers: Answers,
    origins: Origins,
    /// `/metrics` needs no key from this machine.
    metrics_open: bool,
}

/// Everything that the HTTP port answers.
pub(crate) fn service(
    handle: Handle,
    (access, desks): (Access, Desks),
    ocim: Arc<Ocim>,
    settings: &Settings,
) -> Routes {
    routes(Arc::new(Api {
        origins: Origins::of_http(settings),
        metrics_open: settings.web.metrics_open,
        handle,
        desks,
        access,
        ocim,
        rates: access::Rates::new(),
        answers: Answers::default(),
    }))
}

fn routes(api: Arc<Api>) -> Routes {
    let guarded = Routes::new()
        .route("/messages", post(messages::send))
        .route("/messages/batch", post(messages::send_batch))
        .route("/messages/{id}", get(messages::find))
        .route("/users", get(users::list))
        .route("/users/{id}", get(users::show))
        .route("/users/{id}/sessions", delete(users::kick))
        .route("/users/{id}/conversations", get(conversations::list))
        .route(
            "/users/{id}/conversations/{peer}/messages",
            get(conversations::messages),
        )
        .route(
            "/groups/{id}",
            put(groups::put).get(groups::show).delete(groups::remove),
        )
        .route(
            "/groups/{id}/members/{user}",
            put(groups::add).delete(groups::leave),
        )
        .route("/stats", get(stats::show))
        .route(
            "/users/{id}/block",
            put(users::block).delete(users::unblock),
        )
        .route_layer(from_fn_with_state(api.clone(), access::guard));
    let open = Routes::new().route("/openapi.json", get(docs::openapi));
    Routes::new()
        .nest("/api/v1", guarded.merge(open).merge(desk::routes(&api)))
        .merge(health::routes())
        .merge(docs::routes())
        .merge(stats::routes())
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(api.clone(), access::pages))
        .with_state(api)
}

/// What has no path of its own: OCIM's paths are prefixes (`docs/ocim.md`).
async fn nowhere(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    if ocim::is_path(request.uri().path()) {
        let address = api.access.peer(peer.address.ip(), request.headers());
        let address = SocketAddr::new(address, peer.address.port());
        return api.ocim.answer(request, Peer { address, ..peer }).await;
    }
    let problem = Problem::not_found("there is nothing here; see /docs/");
    problem.with("value", request.uri().path()).into_response()
}

async fn not_so(method: Method) -> Problem {
    let detail = "this path does not take this method; see the Allow header";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).with("value", method.as_str())
}
