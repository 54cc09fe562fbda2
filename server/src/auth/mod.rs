//! Who may come in. One admission for every door: `admit(door, peer, what it presents)` says who that
//! is and until when, or why not. Blocks of users and addresses, the pace of guesses, who is staff and
//! what ends when something changes are decided here and nowhere else.
//!
//! - `admission`: the one function, and what it knows; `access`: the same for other folders
//! - `jwt`, `webhook`, `accounts`, `visitors`, `passes`: what can be presented, and whether it is right
//! - `turns`, with `requests`: in which order, and how fast, what costs something is verified
//! - `registry`: accounts, keys, blocks and versions of credentials, on disk; `hosts`: who ends the
//!   sessions of those whose credential was revoked
//! - `proxies`: from where a request comes
//!
//! Not here: what the answer means to a session (`core::shard`), who holds which address (`transport`).
//! Called by the router, off its lock, by `ocim`, `desk`, `api` and `admin`.

mod access;
mod accounts;
mod admission;
mod crypt;
pub(crate) mod files;
mod hosts;
mod http;
mod jwt;
mod memo;
mod passes;
mod proxies;
pub mod registry;
mod requests;
pub mod settings;
mod turns;
mod visitors;
mod webhook;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use tidings_core::ids::Name;

pub use access::{Access, Keys, ScramError, ScramUser};
pub(crate) use admission::{Admission, Renewed, check_not_an_agents};
pub(crate) use hosts::Host;
pub(crate) use registry::demo::ACCOUNTS as DEMO_ACCOUNTS;
pub use registry::{Command, Fault, Network, Registry, Role, Scope};
pub(crate) use registry::{FILE as ACCOUNTS_FILE, Revoked, Whose, restrict};
pub use tidings_core::secret::Secret;
pub(crate) use turns::network;
pub(crate) use visitors::FILE as VISITORS_FILE;
pub use visitors::Visitor;

use crate::config::Settings;
use crate::store::{Durability, StoreError};
use jwt::Jwt;
use settings::AuthMode;

macro_rules! doors {
    ($($(#[$doc:meta])+ $door:ident,)+) => {
        /// Every way in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Door {
            $($(#[$doc])+ $door,)+
        }

        impl Door {
            /// All of them.
            pub const ALL: &[Door] = &[$(Door::$door),+];
        }
    };
}

doors! {
    /// LOGIN over TCP.
    Tcp,
    /// LOGIN over UDP.
    Udp,
    /// LOGIN over WebSocket.
    WebSocket,
    /// LOGIN of a link inside this process that brings a token.
    Local,
    /// AUTH of a customer, on `/poll.io` and `/ws.io`.
    OcimCustomer,
    /// AUTH of an agent, on `/ws.io`.
    OcimAgent,
    /// OCIM's session token, with every request.
    OcimToken,
    /// A desktop agent's SASL PLAIN.
    SaslPlain,
    /// A desktop agent's SASL SCRAM-SHA-256.
    SaslScram,
    /// `Authorization: Bearer` of the API.
    ApiKey,
    /// `Authorization: Basic` of the API.
    ApiBasic,
    /// An agent whom an application signs in.
    Desk,
    /// `admin.sock`: whoever can open it.
    AdminSocket,
}

impl Door {
    /// Only agents and administrators come in here.
    fn is_for_staff(self) -> bool {
        matches!(
            self,
            Door::OcimAgent | Door::SaslPlain | Door::SaslScram | Door::Desk
        )
    }
}

/// What somebody presents.
#[derive(Debug)]
pub enum Presented<'a> {
    /// A user and whatever `auth.mode` asks for; of agents and administrators their password.
    Login {
        /// Who he says he is.
        user: Name,
        /// His proof.
        token: Secret,
        /// Whatever the application sends along.
        extra: Option<String>,
    },
    /// The password of an account, whatever `auth.mode` says.
    Password {
        /// Whose.
        user: Name,
        /// It.
        password: Secret,
    },
    /// The proof of SCRAM that was compared with what [`Access::scram`] gave.
    Proof {
        /// Whose.
        user: Name,
        /// What it was compared with.
        with: &'a ScramUser,
        /// It fits.
        right: bool,
    },
    /// A session token that we issued.
    Pass(&'a str),
    /// A key of the API.
    Key(&'a str),
    /// Nothing: a new anonymous visitor.
    Nobody,
    /// He could open the socket.
    Socket,
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Who; of a key `key` and its number.
    pub user: Name,
    /// As what.
    pub role: Role,
    /// What a key permits; `None` for everybody else.
    pub scope: Option<Scope>,
    /// Calls of the API a second, if it is a key with a rate of its own.
    pub rate: Option<u32>,
    /// Until when, in seconds since 1970 UTC; `None`: until it is revoked.
    pub until_s: Option<i64>,
    /// Of his credential.
    pub(crate) version: i64,
}

/// Who was let in, or the code of a refusal.
pub type Verdict = Result<Admitted, i32>;

/// A verdict to come.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// What comes of a try.
pub(crate) enum Decision {
    /// Known at once.
    Now(Verdict),
    /// It takes a while: a hash, a request.
    Later(Answer),
}

impl Decision {
    /// Waits for it.
    pub(crate) async fn verdict(self) -> Verdict {
        match self {
            Decision::Now(verdict) => verdict,
            Decision::Later(answer) => answer.await,
        }
    }
}

/// What a LOGIN carried, and from where.
#[derive(Debug, Clone)]
struct Credentials {
    user: Name,
    token: Secret,
    extra: Option<String>,
    /// `None` for a link inside this process.
    address: Option<IpAddr>,
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
