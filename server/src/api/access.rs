//! Who may call what: the key after `Authorization: Bearer`, what it permits, and how often.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tidings_core::limits;
use xxhash_rust::xxh3::xxh3_128;

use super::Api;
use super::extract::drain;
use super::problem::Problem;
use crate::auth::Scope;
use crate::clock::Clock;

/// What is known of the caller behind a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// A hash of his key: tells callers apart, opens nothing.
    pub(super) key: u128,
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
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Before every call under `/api/v1` that needs a key.
pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let checked = match bearer(request.headers()) {
        None => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "a key is needed: Authorization: Bearer KEY",
        )
        .field("Authorization")),
        Some(key) => match api.keys.check(key) {
            None => Err(
                Problem::new(StatusCode::UNAUTHORIZED, "there is no such key")
                    .field("Authorization"),
            ),
            Some(scope) => Ok((scope, xxh3_128(key.as_bytes()))),
        },
    };
    let (scope, key) = match checked {
        Ok(known) => known,
        Err(problem) => {
            drain(request.into_body()).await;
            return problem.into_response();
        }
    };
    let needed = needed(request.method());
    let forbidden = (!scope.permits(needed)).then(|| beyond(scope, needed));
    request.extensions_mut().insert(Caller { key });
    admit(&api, key, forbidden, request, next).await
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
    let spent = api.rates.take(key);
    let mut response = if spent.wait_ms > 0 {
        drain(request.into_body()).await;
        let detail = "too many calls with this key; see Retry-After";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
            .with("limit", limits::API_BURST_MAX)
            .into_response()
    } else if let Some(problem) = forbidden {
        drain(request.into_body()).await;
        problem.into_response()
    } else {
        next.run(request).await
    };
    spent.tell(response.headers_mut());
    response
}

/// One bucket for each key.
#[derive(Debug)]
pub(super) struct Rates {
    clock: Clock,
    buckets: Mutex<Buckets>,
}

/// When the bucket of each key is full again, in milliseconds: all that need be remembered of it.
/// Two generations bound it; a key forgotten is a bucket that is full.
#[derive(Debug, Default)]
struct Buckets {
    young: std::collections::HashMap<u128, u64>,
    old: std::collections::HashMap<u128, u64>,
}

/// What one call left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spent {
    wait_ms: u64,
    remaining: u64,
    reset_ms: u64,
}

const ALLOWED_MS: u64 = limits::API_REFILL_MS * limits::API_BURST_MAX as u64;

impl Rates {
    pub(super) fn new() -> Rates {
        Rates {
            clock: Clock::start(),
            buckets: Mutex::default(),
        }
    }

    fn take(&self, key: u128) -> Spent {
        self.buckets.lock().take(self.clock.now().mono.0, key)
    }
}

impl Buckets {
    fn take(&mut self, now: u64, key: u128) -> Spent {
        let known = self.young.get(&key).or_else(|| self.old.get(&key));
        let full_at = known.copied().unwrap_or(now).max(now);
        let next = full_at + limits::API_REFILL_MS;
        let wait_ms = next.saturating_sub(now + ALLOWED_MS);
        // A refused call costs nothing: whoever asks too often gets his rate, not silence.
        let full_at = if wait_ms > 0 { full_at } else { next };
        if self.young.len() >= limits::API_KEYS_SEEN_MAX && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, full_at);
        let used_ms = full_at - now;
        Spent {
            wait_ms,
            remaining: ALLOWED_MS.saturating_sub(used_ms) / limits::API_REFILL_MS,
            reset_ms: used_ms,
        }
    }
}

impl Spent {
    fn tell(self, headers: &mut HeaderMap) {
        let seconds = |ms: u64| ms.div_ceil(1000);
        headers.insert("ratelimit-limit", HeaderValue::from(limits::API_BURST_MAX));
        headers.insert("ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("ratelimit-reset", HeaderValue::from(seconds(self.reset_ms)));
        if self.wait_ms > 0 {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(seconds(self.wait_ms)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_and_one_past_it() {
        let mut buckets = Buckets::default();
        let burst = u64::from(limits::API_BURST_MAX);
        for call in 1..=burst {
            let spent = buckets.take(1000, 7);
            assert_eq!((spent.wait_ms, spent.remaining), (0, burst - call));
        }
        assert_eq!(buckets.take(1000, 7).wait_ms, limits::API_REFILL_MS);
        assert_eq!(
            buckets.take(1000, 8).wait_ms,
            0,
            "another key is not concerned"
        );
        assert_eq!(buckets.take(1000 + limits::API_REFILL_MS, 7).wait_ms, 0);
    }

    #[test]
    fn scopes() {
        assert!(Scope::Read < Scope::Send && Scope::Send < Scope::Admin);
        assert_eq!(needed(&Method::GET), Scope::Read);
        assert_eq!(needed(&Method::POST), Scope::Send);
        assert_eq!(needed(&Method::DELETE), Scope::Admin);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut buckets = Buckets::default();
        for key in 0..3 * limits::API_KEYS_SEEN_MAX as u128 {
            buckets.take(1, key);
        }
        assert!(buckets.young.len() + buckets.old.len() <= 2 * limits::API_KEYS_SEEN_MAX);
    }
}
