//! The admission for other folders and for an embedding application.

use std::net::IpAddr;

use axum::http::HeaderMap;
use tidings_core::ids::Name;
use tidings_core::wire::code;
use tidings_core::wire::ocim::sasl::ScramKeys;

use super::accounts::Right;
use super::registry::scram;
use super::{
    Admission, Admitted, Command, Decision, Door, Fault, Presented, Registry, Role, Scope, Secret,
    Verdict, Visitor,
};

/// The API's keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keys(Access);

impl Keys {
    /// What the key after `Authorization: Bearer` permits; `None` if there is no such key. Does not
    /// block, and takes the same time for all that are wrong.
    #[must_use]
    pub fn check(&self, bearer: &str) -> Option<Scope> {
        let inner = &self.0.0.inner;
        inner.registry.key_of(bearer).map(|key| key.scope)
    }
}

/// What SCRAM needs of a user, who may not exist.
#[derive(Debug)]
pub struct ScramUser {
    /// What his proof is compared with.
    pub keys: ScramKeys,
    /// `None` if he does not exist.
    known: Option<Right>,
}

impl ScramUser {
    /// What he is, if he is somebody.
    pub(super) fn right(&self) -> Option<Right> {
        self.known
    }
}

/// Why SCRAM cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The password was set by a version that kept nothing for SCRAM.
    #[error("SCRAM-SHA-256 needs the password to be set again once; PLAIN over TLS works")]
    Older,
    /// Accounts cannot be read now.
    #[error("accounts cannot be read now; try again")]
    Busy,
}

/// Accounts, keys, blocks and visitors of a running server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(pub(crate) Admission);

impl Access {
    /// Who comes in by `door` from `peer` with what he presents, as what and until when. What costs
    /// something to verify waits for its turn, and guesses wait longer.
    ///
    /// # Errors
    /// The code of the refusal.
    pub async fn admit(
        &self,
        door: Door,
        peer: Option<IpAddr>,
        presented: Presented<'_>,
    ) -> Verdict {
        self.0.admit(door, peer, presented).verdict().await
    }

    /// The same for what is known at once: a pass, a key, a new visitor. Does not block.
    pub(crate) fn admit_now(
        &self,
        door: Door,
        peer: Option<IpAddr>,
        presented: Presented<'_>,
    ) -> Verdict {
        match self.0.admit(door, peer, presented) {
            Decision::Now(verdict) => verdict,
            Decision::Later(_) => Err(code::REFUSED_BUSY),
        }
    }

    /// Whether what somebody was let in with still holds: see [`Access::admit`]. Does not block.
    #[must_use]
    pub fn holds(&self, admitted: &Admitted, peer: Option<IpAddr>) -> bool {
        self.0.holds(admitted, peer)
    }

    /// Until when a session lasts that begins with this, in seconds since 1970 UTC.
    pub(crate) fn session_until_s(&self, admitted: &Admitted) -> Option<i64> {
        self.0.session_until_s(admitted)
    }

    /// From where a request comes whose connection comes from `socket`: whom `X-Forwarded-For` says,
    /// if that is one of `auth.trusted_proxies`.
    #[must_use]
    pub fn peer(&self, socket: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.0.peer(socket, headers)
    }

    /// The API's keys.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys(self.clone())
    }

    /// Where they are kept.
    #[cfg(unix)]
    pub(crate) fn registry(&self) -> &Registry {
        &self.0.inner.registry
    }

    /// What SCRAM-SHA-256 needs of a user's password. For a user who is not there it is what
    /// nobody's password fits, the same at each call: that he is not there is not told.
    ///
    /// # Errors
    /// If his password was set before such things were kept, he is blocked, or accounts cannot be
    /// read.
    pub async fn scram(&self, user: &Name) -> Result<ScramUser, ScramError> {
        let inner = self.0.inner.clone();
        let name = user.clone();
        let find = move || {
            // In this order: what changes meanwhile makes it void.
            let version = inner.registry.version_of(&name);
            let role = inner.registry.standing(&name).map(|account| account.role);
            let known = role.map(|role| Right { role, version });
            inner.registry.scram(&name).map(|keys| (keys, known))
        };
        let (keys, known) = match tokio::task::spawn_blocking(find).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::error!(%error, "a login could not be verified");
                return Err(ScramError::Busy);
            }
            Err(_) => return Err(ScramError::Busy),
        };
        match keys {
            scram::Known::Keys(keys) => Ok(ScramUser { keys, known }),
            scram::Known::Older => Err(ScramError::Older),
            scram::Known::Nobody => {
                let of = |what: &[u8]| self.0.inner.visitors.key().sign(&[what, user.as_bytes()]);
                let salt = of(b"scram salt")[..16].to_vec();
                let keys = ScramKeys::derive(&of(b"scram nobody"), salt, scram::ROUNDS);
                Ok(ScramUser { keys, known: None })
            }
        }
    }

    /// A pass: what a session is known by from one request to the next. It lasts
    /// `auth.visitor_days`, but no longer than what he was let in with, survives a restart with the
    /// same data directory, and is void once his credential changes, he is blocked, gets another role
    /// or the server another `auth.mode`.
    #[must_use]
    pub fn pass(&self, to: &Admitted) -> Secret {
        self.0.inner.pass(to)
    }

    /// A new anonymous visitor. The caller limits how many.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        self.0.inner.visitor()
    }

    /// The same visitor with a token that lasts longer.
    ///
    /// # Errors
    /// The code of the refusal, if his token is not valid.
    pub fn renew_visitor(&self, user: &str, token: &Secret) -> Result<Visitor, i32> {
        let inner = &self.0.inner;
        if inner.registry.is_user_blocked(user) {
            return Err(code::REFUSED_BLOCKED);
        }
        let bound = inner.bound(inner.registry.version_of(user));
        inner
            .visitors
            .renew(user, token.expose(), bound, inner.now_s())
    }

    /// The agents of the demo, with passwords that everybody knows, as far as there are no such
    /// accounts; from now on they can log in. Blocks.
    pub(crate) fn demo_accounts(&self, now_ms: i64) -> Result<(), Fault> {
        self.0.inner.registry.demo_accounts(now_ms)
    }

    /// What an account is; `None` if there is none. Does not block.
    pub(crate) fn account_role(&self, user: &str) -> Option<Role> {
        let account = self.0.inner.registry.standing(user);
        account.map(|account| account.role)
    }

    /// Changes or lists accounts, keys and blocks; blocks. Whose password is changed, whose account
    /// is removed or gets another role, who is blocked: his sessions end at once, everywhere, and
    /// what was issued to him is void.
    ///
    /// # Errors
    /// If it cannot be done; nothing has changed then.
    pub fn execute(&self, command: Command) -> Result<serde_json::Value, Fault> {
        self.execute_by(command, "application")
    }

    /// The same in somebody's name, for the audit trail.
    ///
    /// # Errors
    /// If it cannot be done; nothing has changed then.
    pub fn execute_by(&self, command: Command, by: &str) -> Result<serde_json::Value, Fault> {
        self.0.execute(command, by)
    }
}
