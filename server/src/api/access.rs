//! Who may call what: the key after `Authorization: Bearer`, what it permits, and how often.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tidings_core::bucket::{Buckets, Rate, Spent};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::wire::code;
use xxhash_rust::xxh3::xxh3_128;

use super::Api;
use super::problem::Problem;
use crate::auth::{Admitted, Door, Presented, Scope};
use crate::clock::Clock;
use crate::ocim;
use crate::origins::{Page, Refused};
use crate::transport::http::Peer;

/// What is known of the caller behind a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// A hash of his key: tells callers apart, opens nothing.
    pub(super) key: u128,
    /// For audit trails: an account, or `key` and its number.
    pub(super) name: Name,
}

/// What a call asks for: looking is `GET`, sending is `POST`, all else changes the server.
pub(super) fn needed(method: &Method) -> Scope {
    match *method {
        Method::GET | Method::HEAD => Scope::Read,
        Method::POST => Scope::Send,
        _ => Scope::Admin,
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_of(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Before everything: a browser must have used one of the server's names, and what it adds by itself, a
/// cookie or a password, is not to be used by another page. (OCIM has pages of its own.)
pub(super) async fn pages(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let basic = text("authorization").is_some_and(|value| bearer_of(value).is_none());
    let cookie = headers.contains_key(header::COOKIE);
    let page = Page {
        host: text("host"),
        origin: text("origin"),
        browser: cookie || headers.contains_key("sec-fetch-site"),
    };
    let checked = match (cookie || basic) && !ocim::is_path(request.uri().path()) {
        true => api.origins.check(page),
        false => api.origins.check_host(page),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            let field = match refused {
                Refused::Host => "Host",
                Refused::Origin => "Origin",
            };
            let problem = Problem::new(StatusCode::FORBIDDEN, refused.to_string());
            problem.field(field).into_response()
        }
    }
}

/// Before every call under `/api/v1` that needs a key.
pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = api.access.peer(peer.address.ip(), request.headers());
    let checked = match bearer(request.headers()) {
        None => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "a key is needed: Authorization: Bearer KEY",
        )
        .field("Authorization")),
        Some(key) => known(&api, address, key),
    };
    let (scope, caller) = match checked {
        Ok(known) => known,
        // At once: the body is not waited for.
        Err(problem) => return problem.into_response(),
    };
    peer.connection.admit();
    let needed = needed(request.method());
    let forbidden = (!scope.permits(needed)).then(|| beyond(scope, needed));
    let key = caller.key;
    request.extensions_mut().insert(caller);
    admit(&api, key, forbidden, request, next).await
}

/// What a key permits that came from `address`.
pub(super) fn known(api: &Api, address: IpAddr, key: &str) -> Result<(Scope, Caller), Problem> {
    let presented = Presented::Key(key);
    let admitted = api.access.admit_now(Door::ApiKey, Some(address), presented);
    let refused = |status, detail| Problem::new(status, detail).field("Authorization");
    match admitted {
        Ok(Admitted {
            user,
            scope: Some(scope),
            ..
        }) => {
            let (key, name) = (xxh3_128(key.as_bytes()), user);
            Ok((scope, Caller { key, name }))
        }
        Err(code::REFUSED_BLOCKED) => Err(blocked()),
        _ => Err(refused(StatusCode::UNAUTHORIZED, "there is no such key")),
    }
}

/// Nobody comes in from there.
pub(super) fn blocked() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "this user or your address is blocked",
    )
}

/// A key that does not permit the call.
pub(super) fn beyond(scope: Scope, needed: Scope) -> Problem {
    let detail = format!("this call needs a key of scope {needed}");
    Problem::new(StatusCode::FORBIDDEN, detail)
        .field("Authorization")
        .with("value", scope.to_string())
}

/// Counts the call for whoever makes it, and carries it out unless it is forbidden.
pub(super) async fn admit(
    api: &Api,
    key: u128,
    forbidden: Option<Problem>,
    request: Request,
    next: Next,
) -> Response {
    let spent = api.rates.spend(key);
    let mut response = if spent.wait_ms > 0 {
        let detail = "too many calls with this key; see Retry-After";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
            .with("limit", limits::API_BURST_MAX)
            .into_response()
    } else if let Some(problem) = forbidden {
        problem.into_response()
    } else {
        next.run(request).await
    };
    tell(spent, response.headers_mut());
    response
}

/// One bucket for each key.
#[derive(Debug)]
pub(super) struct Rates {
    clock: Clock,
    buckets: Mutex<Buckets<u128>>,
}

const RATE: Rate = Rate {
    burst: limits::API_BURST_MAX,
    refill_ms: limits::API_REFILL_MS,
};

impl Rates {
    pub(super) fn new() -> Rates {
        Rates {
            clock: Clock::start(),
            buckets: Mutex::new(Buckets::new(RATE, limits::API_KEYS_SEEN_MAX)),
        }
    }

    fn spend(&self, key: u128) -> Spent {
        self.buckets.lock().spend(self.clock.now().mono, key)
    }
}

/// Every answer says what is left.
fn tell(spent: Spent, headers: &mut HeaderMap) {
    let seconds = |ms: u64| ms.div_ceil(1000);
    headers.insert("ratelimit-limit", HeaderValue::from(limits::API_BURST_MAX));
    headers.insert("ratelimit-remaining", HeaderValue::from(spent.left));
    headers.insert(
        "ratelimit-reset",
        HeaderValue::from(seconds(spent.full_in_ms)),
    );
    if spent.wait_ms > 0 {
        let wait = HeaderValue::from(seconds(spent.wait_ms));
        headers.insert(header::RETRY_AFTER, wait);
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::time::Time;

    use super::*;

    #[test]
    fn at_the_limit_and_one_past_it() {
        let mut buckets = Buckets::new(RATE, limits::API_KEYS_SEEN_MAX);
        let burst = u64::from(limits::API_BURST_MAX);
        for call in 1..=burst {
            let spent = buckets.spend(Time(1000), 7);
            assert_eq!((spent.wait_ms, spent.left), (0, burst - call));
        }
        let mut wait = |ms, key| buckets.spend(Time(ms), key).wait_ms;
        assert_eq!(wait(1000, 7), limits::API_REFILL_MS);
        assert_eq!(wait(1000, 8), 0, "another key is not concerned");
        assert_eq!(wait(1000 + limits::API_REFILL_MS, 7), 0);
    }

    #[test]
    fn scopes() {
        assert!(Scope::Read < Scope::Send && Scope::Send < Scope::Admin);
        assert_eq!(needed(&Method::GET), Scope::Read);
        assert_eq!(needed(&Method::POST), Scope::Send);
        assert_eq!(needed(&Method::DELETE), Scope::Admin);
    }
}
