//! Logins that an application decides: each is a POST to its URL.
//!
//! What was let in is let in again for a while without asking. While the application is down one
//! login a second finds out whether it still is; the others get what the policy says, at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tidings_core::limits;
use tidings_core::time::Time;
use tidings_core::wire::code;

use super::Credentials;
use super::http::Http;
use super::memo::Memo;
use super::requests::{Requests, Turn};
use super::settings::{self, WhenDown, shown};
use super::turns::Source;

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
    /// Until then it counts as down; 0 if it does not.
    down_until: AtomicU64,
}

impl Webhook {
    pub(super) fn new(settings: &settings::Webhook) -> Webhook {
        Webhook {
            http: Http::new(Duration::from_millis(settings.timeout_ms)),
            settings: settings.clone(),
            memo: Memo::new(limits::WEBHOOK_REMEMBERED_MAX),
            down_until: AtomicU64::new(0),
        }
    }

    /// The code for a login, which waits for its turn.
    pub(super) async fn verify(
        &self,
        credentials: &Credentials,
        (requests, source): (&Requests, Source),
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
        let was_up = self.down_until.load(Ordering::Relaxed) == 0;
        if !self.may_ask(clock()) {
            return self.when_down(known);
        }
        let Some(turn) = requests.turn(source, &credentials.user).await else {
            return code::REFUSED_BUSY;
        };
        // Those who waited for their turn while it went down do not all find out by themselves.
        if was_up && !self.may_ask(clock()) {
            turn.forgive();
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
                    let (url, when_down) = (shown(&self.settings.url), self.settings.when_down);
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

    /// One request. The turn is given back when the request ends, even if nobody waits any more; a no
    /// counts as a guess.
    async fn ask(&self, credentials: &Credentials, turn: Turn) -> Result<i32, String> {
        let body = json!({
            "user": &*credentials.user,
            "token": credentials.token.expose(),
            "extra": credentials.extra,
            "address": credentials.address.map(|a| a.to_canonical().to_string()),
        })
        .to_string();
        let (http, url) = (self.http.clone(), self.settings.url.clone());
        let request = move || {
            let answer = http.post(&url, body.as_bytes(), limits::WEBHOOK_ANSWER_BYTES_MAX);
            let answer: Result<Answer, String> = answer.and_then(|bytes| {
                let no_code = |_| "its answer is not JSON with a number `code`".to_owned();
                serde_json::from_slice(&bytes).map_err(no_code)
            });
            if !matches!(&answer, Ok(answer) if answer.code != code::OK) {
                turn.forgive();
            }
            answer
        };
        let answer = tokio::task::spawn_blocking(request)
            .await
            .map_err(|e| e.to_string())??;
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
