//! Logins that an application decides: each is a POST to its URL.
//!
//! What was let in is let in again for a while without asking. While the application is down one
//! login a second finds out whether it still is; the others get what the policy says, at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tidings_core::limits;
use tidings_core::time::Time;
use tidings_core::wire::code;
use tokio::sync::Semaphore;

use super::Credentials;
use super::http::Http;
use super::memo::Memo;
use super::settings::{self, WhenDown};

/// What the application answers; what else it says is of no concern here.
#[derive(Deserialize)]
struct Answer {
    code: i32,
}

/// Asks the application.
#[derive(Debug)]
pub(super) struct Webhook {
    settings: settings::Webhook,
    http: Http,
    memo: Memo,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Until then it counts as down; 0 if it does not.
    down_until: AtomicU64,
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Webhook {
    pub(super) fn new(settings: &settings::Webhook) -> Webhook {
        Webhook {
            http: Http::new(Duration::from_millis(settings.timeout_ms)),
            settings: settings.clone(),
            memo: Memo::new(limits::WEBHOOK_REMEMBERED_MAX),
            turns: Arc::new(Semaphore::new(limits::WEBHOOK_CONCURRENCY_MAX)),
            waiting: AtomicUsize::new(0),
            down_until: AtomicU64::new(0),
        }
    }

    /// The code for a login.
    pub(super) async fn verify(
        &self,
        credentials: &Credentials,
        suspicious: bool,
        clock: impl Fn() -> Time,
    ) -> i32 {
        let token = credentials.token.expose();
        if token.len() > limits::TOKEN_BYTES_MAX {
            return code::REFUSED_TOKEN;
        }
        let extra = credentials.extra.as_deref().unwrap_or_default();
        let parts = [
            credentials.user.as_bytes(),
            token.as_bytes(),
            extra.as_bytes(),
        ];
        let fingerprint = self.memo.fingerprint(&parts);
        let seen = self.memo.seen(0, &fingerprint);
        let age = seen.map(|at| clock().since_ms(at));
        if age.is_some_and(|age| age < self.settings.cache_s * 1000) {
            return code::OK;
        }
        let known = age.is_some_and(|age| age < limits::WEBHOOK_KNOWN_MS);
        if !self.may_ask(clock()) {
            return self.when_down(known);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        let max = match suspicious {
            true => limits::WEBHOOK_WAITING_SUSPICIOUS_MAX,
            false => limits::WEBHOOK_WAITING_MAX,
        };
        if before >= max {
            return code::REFUSED_BUSY;
        }
        let Ok(turn) = self.turns.clone().acquire_owned().await else {
            return code::REFUSED_BUSY;
        };
        // Those who waited for their turn while it went down do not all find out by themselves.
        if before >= limits::WEBHOOK_CONCURRENCY_MAX && !self.may_ask(clock()) {
            return self.when_down(known);
        }
        let answer = self.ask(credentials, turn).await;
        match answer {
            Ok(code) => {
                self.down_until.store(0, Ordering::Relaxed);
                match code {
                    code::OK => self.memo.remember(0, clock(), fingerprint),
                    _ => self.memo.forget(&fingerprint),
                }
                code
            }
            Err(error) => {
                let until = clock() + limits::WEBHOOK_DOWN_RETRY_MS;
                if self.down_until.swap(until.0, Ordering::Relaxed) == 0 {
                    let (url, when_down) = (&self.settings.url, self.settings.when_down);
                    tracing::error!(url, %error, ?when_down, "the login webhook is down");
                }
                self.when_down(known)
            }
        }
    }

    /// False while it counts as down; true for the one who finds out whether it still is.
    fn may_ask(&self, now: Time) -> bool {
        let until = self.down_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let next = (now + limits::WEBHOOK_DOWN_RETRY_MS).0;
        let relaxed = Ordering::Relaxed;
        now.0 >= until
            && self
                .down_until
                .compare_exchange(until, next, relaxed, relaxed)
                .is_ok()
    }

    fn when_down(&self, known: bool) -> i32 {
        match self.settings.when_down {
            WhenDown::AllowKnown if known => code::OK,
            _ => code::REFUSED_BUSY,
        }
    }

    /// One request. The turn is given back when the request ends, even if nobody waits any more.
    async fn ask(
        &self,
        credentials: &Credentials,
        turn: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<i32, String> {
        let body = json!({
            "user": &*credentials.user,
            "token": credentials.token.expose(),
            "extra": credentials.extra,
            "address": credentials.address.map(|a| a.to_canonical().to_string()),
        })
        .to_string();
        let (http, url) = (self.http.clone(), self.settings.url.clone());
        let request = move || {
            let _turn = turn;
            http.post(&url, body.as_bytes(), limits::WEBHOOK_ANSWER_BYTES_MAX)
        };
        let bytes = tokio::task::spawn_blocking(request)
            .await
            .map_err(|e| e.to_string())??;
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|_| "its answer is not JSON with a number `code`".to_owned())?;
        Ok(match answer.code {
            code::OK => code::OK,
            code if code >= code::APPLICATION_CODE_MIN => code,
            code => {
                tracing::warn!(
                    code,
                    "the login webhook answers with a code below 1025; clients are told 321"
                );
                code::REFUSED_TOKEN
            }
        })
    }
}
