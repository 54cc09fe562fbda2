//! What the API, the console and an embedding application ask of the door.

use tidings_core::ids::Name;
use tidings_core::wire::code;
use tidings_core::wire::ocim::sasl::ScramKeys;

use super::registry::scram;
use super::{
    Command, Credentials, Decision, Door, Fault, Passed, Registry, Role, Scope, Secret, Visitor,
};

/// The API's keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keys(Door);

impl Keys {
    /// What the key after `Authorization: Bearer` permits; `None` if there is no such key. Does not
    /// block, and takes the same time for all that are wrong.
    #[must_use]
    pub fn check(&self, bearer: &str) -> Option<Scope> {
        self.known(bearer).map(|(scope, _)| scope)
    }

    /// The same with the key's number, for the audit trail.
    pub(crate) fn known(&self, bearer: &str) -> Option<(Scope, i64)> {
        self.0.inner.registry.key_of(bearer)
    }
}

/// What SCRAM needs of a user, who may not exist.
#[derive(Debug)]
pub struct ScramUser {
    /// What his proof is compared with.
    pub keys: ScramKeys,
    exists: bool,
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
pub struct Access(pub(crate) Door);

impl Access {
    /// The API's keys.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys(self.0.clone())
    }

    /// Where they are kept.
    #[cfg(unix)]
    pub(crate) fn registry(&self) -> &Registry {
        &self.0.inner.registry
    }

    /// What the account is, if the password is its own; the code of a refusal otherwise, after a
    /// delay if many were wrong. For the console and for agents, in every `auth.mode`.
    ///
    /// # Errors
    /// The code of the refusal.
    pub async fn role(&self, credentials: &Credentials) -> Result<Role, i32> {
        self.0.inner.role(credentials).await
    }

    /// The code for a login, as a LOGIN with these credentials would get it: 0, or a refusal's.
    pub async fn verify(&self, credentials: Credentials) -> i32 {
        match self.0.verify(credentials) {
            Decision::Now(code) => code,
            Decision::Later(answer) => answer.await,
        }
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
        let find = move || inner.registry.scram(&name);
        let known = match tokio::task::spawn_blocking(find).await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => {
                tracing::error!(%error, "a login could not be verified");
                return Err(ScramError::Busy);
            }
            Err(_) => return Err(ScramError::Busy),
        };
        let (keys, exists) = match known {
            scram::Known::Keys(keys) => (keys, true),
            scram::Known::Older => return Err(ScramError::Older),
            scram::Known::Nobody => {
                let of = |what: &[u8]| self.0.inner.visitors.key().sign(&[what, user.as_bytes()]);
                let salt = of(b"scram salt")[..16].to_vec();
                let keys = ScramKeys::derive(&of(b"scram nobody"), salt, scram::ROUNDS);
                (keys, false)
            }
        };
        Ok(ScramUser { keys, exists })
    }

    /// What the account is, once the proof was right or wrong: the second half of
    /// [`Access::scram`]. A wrong one counts as a wrong password does.
    ///
    /// # Errors
    /// The code of the refusal, after a delay if many were wrong.
    pub async fn scram_role(
        &self,
        credentials: &Credentials,
        user: &ScramUser,
        right: bool,
    ) -> Result<Role, i32> {
        let inner = &self.0.inner;
        let refused = if inner.registry.is_user_blocked(&credentials.user) {
            code::REFUSED_BLOCKED
        } else if !(right && user.exists) {
            code::REFUSED_TOKEN
        } else {
            let (registry, name) = (inner.registry.clone(), credentials.user.clone());
            let find = move || registry.password_hash(&name);
            match tokio::task::spawn_blocking(find).await {
                Ok(Ok(Some((_, role)))) => return Ok(role),
                Ok(Ok(None)) => code::REFUSED_TOKEN,
                _ => code::REFUSED_BUSY,
            }
        };
        Err(inner.answer(credentials, refused).await)
    }

    /// A pass: what a session is known by from one request to the next. It lasts
    /// `auth.visitor_days` and survives a restart with the same data directory.
    #[must_use]
    pub fn pass(&self, user: &str, role: Role) -> Secret {
        let inner = &self.0.inner;
        inner.visitors.pass(user, role, inner.now_s())
    }

    /// What a pass says. Does not block.
    ///
    /// # Errors
    /// The code of the refusal: it is not ours, it has ended, or the user was blocked since.
    pub fn passed(&self, pass: &str) -> Result<Passed, i32> {
        let inner = &self.0.inner;
        let passed = inner.visitors.passed(pass, inner.now_s())?;
        match inner.registry.is_user_blocked(&passed.user) {
            true => Err(code::REFUSED_BLOCKED),
            false => Ok(passed),
        }
    }

    /// A new anonymous visitor. The caller limits how many.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        let inner = &self.0.inner;
        inner.visitors.issue(inner.now_s())
    }

    /// The same visitor with a token that lasts longer.
    ///
    /// # Errors
    /// The code of the refusal, if his token is not valid.
    pub fn renew_visitor(&self, user: &str, token: &Secret) -> Result<Visitor, i32> {
        let inner = &self.0.inner;
        inner.visitors.renew(user, token.expose(), inner.now_s())
    }

    /// An agent of the demo, if there is no such account: with a password that everybody knows.
    /// Blocks.
    pub(crate) fn demo_account(
        &self,
        user: &str,
        password: &str,
        now_ms: i64,
    ) -> Result<(), Fault> {
        let registry = &self.0.inner.registry;
        let insert = registry.account_insert(user, Role::Agent, password, now_ms);
        insert.map(drop)
    }

    /// What an account is; `None` if there is none. Blocks.
    ///
    /// # Errors
    /// If the file does not answer.
    pub(crate) fn account_role(&self, user: &str) -> Result<Option<Role>, Fault> {
        let known = self.0.inner.registry.password_hash(user)?;
        Ok(known.map(|(_, role)| role))
    }

    /// Changes or lists accounts, keys and blocks; blocks. Whoever is blocked and online stays so:
    /// kick him, too.
    ///
    /// # Errors
    /// If it cannot be done; nothing has changed then.
    pub fn execute(&self, command: Command) -> Result<serde_json::Value, Fault> {
        let inner = &self.0.inner;
        inner.registry.execute(command, inner.clock.now().wall_ms)
    }
}
