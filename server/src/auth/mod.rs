//! Who may come in. DESIGN §8.
//!
//! Here: deciding whether the credentials of a LOGIN are right. Not here: what the answer means to
//! a session (`core::shard`), who holds which address (`transport`). Called by the router, off its
//! lock.

pub(crate) mod files;
mod guess;
mod http;
mod jwt;
pub mod settings;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use tidings_core::ids::Name;
use tidings_core::wire::code;

pub use tidings_core::secret::Secret;

use crate::clock::Clock;
use crate::config::Settings;
use guess::Guesses;
pub(crate) use guess::network;
use jwt::Jwt;
use settings::AuthMode;

/// What a LOGIN carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who he says he is.
    pub user: Name,
    /// His proof.
    pub token: Secret,
    /// Whatever the application sends along.
    pub extra: Option<String>,
    /// Where he comes from; `None` for a link inside this process.
    pub address: Option<IpAddr>,
}

/// An answer that takes a while: a hash, a request.
pub(crate) type Answer = Pin<Box<dyn Future<Output = i32> + Send>>;

/// The answer to a LOGIN: 0, or the code of a refusal.
pub(crate) enum Decision {
    /// Known at once.
    Now(i32),
    /// It will come.
    Later(Answer),
}

/// Why the door could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The keys for tokens cannot be used.
    #[error("keys for tokens: {0}")]
    Keys(String),
}

#[derive(Debug)]
enum Mode {
    Open,
    Jwt(Arc<Jwt>),
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    guesses: Guesses,
    clock: Clock,
}

/// Decides logins.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    inner: Arc<Inner>,
}

impl Door {
    /// Reads keys and accounts; blocks.
    pub(crate) fn open(settings: &Settings) -> Result<Door, AuthError> {
        let mode = match settings.auth.mode {
            AuthMode::Jwt => Mode::Jwt(Arc::new(Jwt::open(&settings.auth.jwt)?)),
            _ => Mode::Open,
        };
        Ok(Door {
            inner: Arc::new(Inner {
                mode,
                guesses: Guesses::new(),
                clock: Clock::start(),
            }),
        })
    }

    /// Never blocks. In `open` mode whoever can reach the server is who he says he is.
    pub(crate) fn verify(&self, credentials: Credentials) -> Decision {
        if let Mode::Open = self.inner.mode {
            return Decision::Now(code::OK);
        }
        let inner = self.inner.clone();
        Decision::Later(Box::pin(async move {
            let answer = inner.ask(&credentials).await;
            inner.answer(&credentials, answer).await
        }))
    }

    /// Reads files again that changed. Runs until it is dropped.
    pub(crate) async fn keep_fresh(self) {
        let mut interval = tokio::time::interval(files::LOOK_AGAIN);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let inner = self.inner.clone();
            let _ = tokio::task::spawn_blocking(move || inner.look_again()).await;
        }
    }
}

impl Inner {
    async fn ask(&self, credentials: &Credentials) -> i32 {
        let token = credentials.token.expose();
        match &self.mode {
            Mode::Open => code::OK,
            Mode::Jwt(jwt) => {
                // `as`: exact until the year 285,000.
                let now_s = || self.clock.now().wall_ms as f64 / 1000.0;
                jwt.verify(&credentials.user, token, now_s).await
            }
        }
    }

    /// Holds a refusal back, if there were many.
    async fn answer(&self, credentials: &Credentials, answer: i32) -> i32 {
        if answer != code::OK {
            tracing::debug!(user = %credentials.user, code = answer, "login refused");
        }
        if answer == code::REFUSED_TOKEN {
            let now = self.clock.now().mono;
            let (address, user) = (credentials.address, &credentials.user);
            if let Some(delay) = self.guesses.failed(now, address, user) {
                delay.pass().await;
            }
        }
        answer
    }

    fn look_again(&self) {
        match &self.mode {
            Mode::Jwt(jwt) => jwt.look_again(),
            Mode::Open => {}
        }
    }
}
