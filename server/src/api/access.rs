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
use tidings_core::time::Time;
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
    /// Calls a second.
    pub(super) rate: u32,
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
    request.extensions_mut().insert(caller.clone());
    admit(&api, &caller, forbidden, request, next).await
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
            rate,
            ..
        }) => {
            let (key, name) = (xxh3_128(key.as_bytes()), user);
            let rate = rate.unwrap_or(limits::API_CALLS_PER_S);
            Ok((scope, Caller { key, name, rate }))
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
    caller: &Caller,
    forbidden: Option<Problem>,
    request: Request,
    next: Next,
) -> Response {
    let spent = api.rates.spend(caller.key, caller.rate);
    let mut response = if spent.wait_ms > 0 {
        let detail = format!(
            "too many calls with this key, which may make {} a second; see Retry-After, send \
             several messages in one call, or make a key with a higher --rate",
            caller.rate
        );
        Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
            .with("limit", burst(caller.rate))
            .into_response()
    } else if let Some(problem) = forbidden {
        problem.into_response()
    } else {
        next.run(request).await
    };
    tell(caller.rate, spent, response.headers_mut());
    response
}

/// One bucket for each key.
#[derive(Debug)]
pub(super) struct Rates {
    clock: Clock,
    buckets: Mutex<Buckets<u128>>,
}

/// Calls in a row.
fn burst(per_s: u32) -> u32 {
    per_s.saturating_mul(2)
}

/// In microseconds: a millisecond is longer than the time between calls of a fast key.
fn rate(per_s: u32) -> Rate {
    Rate {
        burst: burst(per_s),
        refill_ms: 1_000_000 / u64::from(per_s.max(1)),
    }
}

impl Rates {
    pub(super) fn new() -> Rates {
        Rates {
            clock: Clock::start(),
            buckets: Mutex::new(Buckets::new(
                rate(limits::API_CALLS_PER_S),
                limits::API_KEYS_SEEN_MAX,
            )),
        }
    }

    /// Its times are in microseconds.
    fn spend(&self, key: u128, per_s: u32) -> Spent {
        let now = Time(self.clock.now().mono.0.saturating_mul(1000));
        self.buckets.lock().spend_at(now, key, rate(per_s))
    }
}

/// Every answer says what is left.
fn tell(per_s: u32, spent: Spent, headers: &mut HeaderMap) {
    let seconds = |us: u64| us.div_ceil(1_000_000);
    headers.insert("ratelimit-limit", HeaderValue::from(burst(per_s)));
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
    use super::*;

    #[test]
    fn at_the_limit_and_one_past_it() {
        for per_s in [1, limits::API_CALLS_PER_S, limits::API_CALLS_PER_S_MAX] {
            let rate = rate(per_s);
            let mut buckets = Buckets::new(rate, limits::API_KEYS_SEEN_MAX);
            let burst = u64::from(burst(per_s));
            for call in 1..=burst {
                let spent = buckets.spend_at(Time(1000), 7, rate);
                assert_eq!((spent.wait_ms, spent.left), (0, burst - call));
            }
            let mut wait = |us, key| buckets.spend_at(Time(us), key, rate).wait_ms;
            assert_eq!(wait(1000, 7), rate.refill_ms);
            assert_eq!(wait(1000, 8), 0, "another key is not concerned");
            assert_eq!(wait(1000 + rate.refill_ms, 7), 0);
        }
    }

    #[test]
    fn scopes() {
        assert!(Scope::Read < Scope::Send && Scope::Send < Scope::Admin);
        assert_eq!(needed(&Method::GET), Scope::Read);
        assert_eq!(needed(&Method::POST), Scope::Send);
        assert_eq!(needed(&Method::DELETE), Scope::Admin);
    }
}
