//! `/desk`: the support desks over HTTP.
//!
//! - `access`: who calls: a key, an administrator, an agent or supervisor by his account
//! - `items`, with `team`, `hours`, `agent`: what is set up, in words
//! - `live`: who waits, who is there, figures; `conversations`: what was and is; `acts`: doing
//!   something for an agent; `reports`, `csv`; `customers`: export and erasure; `audit`
//!
//! Everything is done through [`Desks`](crate::desk::Desks), which an embedding application has too.

mod access;
mod acts;
mod agent;
mod audit;
mod conversations;
mod csv;
mod customers;
mod hours;
mod items;
mod live;
mod reports;
mod team;

use std::sync::Arc;

use axum::Router as Routes;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};

use super::Api;
use crate::desk::directory;
use items::Item;

pub(super) fn routes(api: &Arc<Api>) -> Routes<Arc<Api>> {
    let tenant = Routes::new()
        .route("/teams", get(items::list::<directory::Team>))
        .route("/teams/{name}", item::<directory::Team>())
        .route("/skills", get(items::list::<directory::Skill>))
        .route("/skills/{name}", item::<directory::Skill>())
        .route("/agents", get(agent::list))
        .route(
            "/agents/{name}",
            get(items::show::<directory::Agent>)
                .put(agent::put)
                .delete(items::remove::<directory::Agent>),
        )
        .route("/replies", get(items::list::<directory::Reply>))
        .route("/replies/{name}", item::<directory::Reply>())
        .route("/queue", get(live::queue))
        .route("/figures", get(live::figures))
        .route("/conversations", get(conversations::search))
        .route("/conversations/{episode}", get(conversations::show))
        .route("/conversations/{episode}/take-over", post(acts::take_over))
        .route("/conversations/{episode}/transfer", post(acts::transfer))
        .route("/conversations/{episode}/close", post(acts::close))
        .route("/conversations/{episode}/messages", post(acts::message))
        .route("/conversations/{episode}/notes", post(acts::note))
        .route("/conversations/{episode}/recall", post(acts::recall))
        .route("/reports/{report}", get(reports::show))
        .route("/audit", get(audit::list));
    Routes::new()
        .route("/desk/tenants", get(items::tenants))
        .route(
            "/desk/tenants/{tenant}",
            get(items::show_tenant)
                .put(items::put_tenant)
                .delete(items::remove_tenant),
        )
        .nest("/desk/tenants/{tenant}", tenant)
        .route("/desk/customers/{user}", delete(customers::erase))
        .route("/desk/customers/{user}/export", get(customers::export))
        .route_layer(from_fn_with_state(api.clone(), access::guard))
}

fn item<T: Item>() -> MethodRouter<Arc<Api>> {
    get(items::show::<T>)
        .put(items::put::<T>)
        .delete(items::remove::<T>)
}
