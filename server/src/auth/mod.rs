//! Who may come in. `docs/security.md`.
//!
//! Here: deciding whether the credentials of a LOGIN are right (`jwt`, `webhook`, `accounts`,
//! `visitors`), slowing those who guess (`guess`), and what is kept about accounts, keys and blocks
//! (`registry`), what a session is known by between requests (`passes`). Not here: what the answer means to a session (`core::shard`), who holds which
//! address (`transport`). Called by the router, off its lock, and by the API.

mod access;
mod accounts;
mod crypt;
pub(crate) mod files;
mod guess;
mod http;
mod jwt;
mod memo;
mod passes;
pub mod registry;
pub mod settings;
mod visitors;
mod webhook;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::RwLock;
use tidings_core::ids::Name;
use tidings_core::wire::code;

pub use access::{Access, Keys, ScramError, ScramUser};
pub use passes::Passed;
pub use registry::{Command, Fault, Registry, Role, Scope};
pub(crate) use registry::{FILE as ACCOUNTS_FILE, restrict};
pub use tidings_core::secret::Secret;
pub(crate) use visitors::FILE as VISITORS_FILE;
pub use visitors::Visitor;

use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{Durability, StoreError};
use accounts::Accounts;
use guess::Guesses;
pub(crate) use guess::network;
use jwt::Jwt;
use settings::{Auth, AuthMode};
use visitors::Visitors;
use webhook::Webhook;

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

/// The answer to a LOGIN: 0, or the code of a refusal.
pub(crate) enum Decision {
    /// Known at once.
    Now(i32),
    /// It takes a while: a hash, a request.
    Later(Answer),
}

/// Why the door could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The keys for tokens cannot be used.
    #[error("keys for tokens: {0}")]
    Keys(String),
    /// Accounts cannot be read.
    #[error(transparent)]
    Registry(#[from] Fault),
    /// The key for visitors' tokens cannot be read or made.
    #[error("{}: {reason}", path.display())]
    VisitorKey {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

#[derive(Debug)]
enum Mode {
    Open,
    Jwt(Arc<Jwt>),
    Webhook(Box<Webhook>),
    Accounts,
}

impl Mode {
    /// Reads the keys; blocks.
    fn open(settings: &Auth) -> Result<Mode, AuthError> {
        Ok(match settings.mode {
            AuthMode::Open => Mode::Open,
            AuthMode::Jwt => Mode::Jwt(Arc::new(Jwt::open(&settings.jwt)?)),
            AuthMode::Webhook => Mode::Webhook(Box::new(Webhook::new(&settings.webhook))),
            AuthMode::Accounts => Mode::Accounts,
        })
    }
}

/// What new settings make of a door, ready to be put into force.
pub(crate) struct Renewed {
    /// `None` stays as it is.
    mode: Option<Mode>,
    visitor_days: u32,
}

#[derive(Debug)]
struct Inner {
    /// Exchanged as a whole by a reload; a login that is under way ends as it began.
    mode: RwLock<Arc<Mode>>,
    registry: Arc<Registry>,
    accounts: Accounts,
    visitors: Visitors,
    guesses: Guesses,
    clock: Clock,
}

/// An answer to come.
pub(crate) type Answer = Pin<Box<dyn Future<Output = i32> + Send>>;

/// Decides logins.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    inner: Arc<Inner>,
}

/// Random text for a challenge: nobody else gets the same.
pub(crate) fn nonce() -> String {
    crypt::to_base64(&crypt::random::<18>())
}

/// How many keys for tokens there are; asks for a key set at its URL. Blocks.
///
/// # Errors
/// Why there are none.
pub fn check_keys(settings: &Settings) -> Result<usize, AuthError> {
    Jwt::open(&settings.auth.jwt)?
        .load()
        .map_err(AuthError::Keys)
        .map(|keys| keys.len())
}

/// The data directory as a place for accounts, keys and blocks.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Its lock, if the store does not hold it.
    _lock: Option<std::fs::File>,
}

impl Kept {
    /// `None` if nothing is kept: for a server in memory whose data directory nobody has made, or
    /// which another server uses.
    pub(crate) fn take(settings: &Settings) -> Result<Option<Kept>, StoreError> {
        if settings.delivery.durability != Durability::Memory {
            return Ok(Some(Kept { _lock: None }));
        }
        let needed = settings.auth.mode == AuthMode::Accounts;
        if !needed && !settings.data.is_dir() {
            return Ok(None);
        }
        match crate::store::lock_directory(&settings.data) {
            Ok(lock) => Ok(Some(Kept { _lock: Some(lock) })),
            Err(error) if needed => Err(error),
            Err(error) => {
                tracing::warn!(%error, "accounts, keys and blocks are kept in memory only");
                Ok(None)
            }
        }
    }
}

impl Door {
    /// Reads keys and accounts; blocks. What is kept is in the data directory, whose lock the caller
    /// holds.
    pub(crate) fn open(settings: &Settings, is_kept: bool) -> Result<Door, AuthError> {
        let days = settings.auth.visitor_days;
        let (registry, visitors) = if is_kept {
            let visitors = Visitors::open(&settings.data, days);
            let path = settings.data.join(visitors::FILE);
            let visitors = visitors.map_err(|reason| AuthError::VisitorKey { path, reason })?;
            (
                Registry::open_with(&settings.data, settings.accept_loss)?,
                visitors,
            )
        } else {
            (Registry::in_memory()?, Visitors::in_memory(days))
        };
        let registry = Arc::new(registry);
        let clock = Clock::start();
        let mode = RwLock::new(Arc::new(Mode::open(&settings.auth)?));
        let accounts = Accounts::start(registry.clone(), clock).map_err(AuthError::Thread)?;
        Ok(Door {
            inner: Arc::new(Inner {
                mode,
                registry,
                accounts,
                visitors,
                guesses: Guesses::new(),
                clock,
            }),
        })
    }

    /// Reads the keys of new settings, in the mode that is in force; blocks.
    pub(crate) fn prepare(&self, before: &Auth, new: &Auth) -> Result<Renewed, AuthError> {
        // What an application said is remembered for as long as it is the same application.
        let same = new.mode == AuthMode::Webhook && before.webhook == new.webhook;
        Ok(Renewed {
            mode: (!same).then(|| Mode::open(new)).transpose()?,
            visitor_days: new.visitor_days,
        })
    }

    /// Puts new settings into force.
    pub(crate) fn renew(&self, new: Renewed) {
        if let Some(mode) = new.mode {
            *self.inner.mode.write() = Arc::new(mode);
        }
        self.inner.visitors.set_days(new.visitor_days);
    }

    /// Never blocks. In `open` mode whoever can reach the server is who he says he is, but for
    /// agents and administrators, who need their password in every mode.
    pub(crate) fn verify(&self, credentials: Credentials) -> Decision {
        let inner = &self.inner;
        let blocked = inner.registry.is_user_blocked(&credentials.user)
            || credentials
                .address
                .is_some_and(|address| inner.registry.is_address_blocked(address));
        if blocked {
            return Decision::Now(code::REFUSED_BLOCKED);
        }
        let staff = inner.registry.is_staff(&credentials.user);
        if !staff && matches!(*inner.mode(), Mode::Open) {
            return Decision::Now(code::OK);
        }
        let inner = inner.clone();
        Decision::Later(Box::pin(async move {
            let answer = inner.ask(&credentials, staff).await;
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
    fn now_s(&self) -> i64 {
        self.clock.now().wall_ms / 1000
    }

    fn mode(&self) -> Arc<Mode> {
        self.mode.read().clone()
    }

    fn is_suspicious(&self, credentials: &Credentials) -> bool {
        let now = self.clock.now().mono;
        self.guesses.is_suspicious(now, credentials.address)
    }

    async fn ask(&self, credentials: &Credentials, staff: bool) -> i32 {
        let token = credentials.token.expose();
        let suspicious = self.is_suspicious(credentials);
        if staff {
            return self.accounts.verify(credentials, suspicious).await;
        }
        let mode = self.mode();
        if credentials.user.starts_with('~') && !matches!(*mode, Mode::Open) {
            return self.visitors.verify(&credentials.user, token, self.now_s());
        }
        match &*mode {
            Mode::Open => code::OK,
            Mode::Jwt(jwt) => {
                // `as`: exact until the year 285,000.
                let now_s = || self.clock.now().wall_ms as f64 / 1000.0;
                jwt.verify(&credentials.user, token, now_s).await
            }
            Mode::Webhook(webhook) => {
                let clock = || self.clock.now().mono;
                webhook.verify(credentials, suspicious, clock).await
            }
            Mode::Accounts => self.accounts.verify(credentials, suspicious).await,
        }
    }

    async fn role(&self, credentials: &Credentials) -> Result<Role, i32> {
        if self.registry.is_user_blocked(&credentials.user) {
            return Err(code::REFUSED_BLOCKED);
        }
        let suspicious = self.is_suspicious(credentials);
        match self.accounts.role(credentials, suspicious).await {
            Ok(role) => Ok(role),
            Err(refused) => Err(self.answer(credentials, refused).await),
        }
    }

    /// Holds a refusal back, if there were many.
    async fn answer(&self, credentials: &Credentials, answer: i32) -> i32 {
        if answer != code::OK {
            tracing::debug!(user = %credentials.user, code = answer, "login refused");
        }
        // What an application refuses counts as well; "try again" and "expired" are no guesses.
        if answer == code::REFUSED_TOKEN || answer >= code::APPLICATION_CODE_MIN {
            let now = self.clock.now().mono;
            let (address, user) = (credentials.address, &credentials.user);
            if let Some(delay) = self.guesses.failed(now, address, user) {
                delay.pass().await;
            }
        }
        answer
    }

    fn look_again(&self) {
        if let Mode::Jwt(jwt) = &*self.mode() {
            jwt.look_again();
        }
    }
}
