//! What the API, the console and an embedding application ask of the door.

use super::{Command, Credentials, Door, Fault, Role, Scope, Secret, Visitor};

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

/// Accounts, keys, blocks and visitors of a running server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(pub(crate) Door);

impl Access {
    /// The API's keys.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys(self.0.clone())
    }

    /// What the account is, if the password is its own; the code of a refusal otherwise, after a
    /// delay if many were wrong. For the console and for agents, in every `auth.mode`.
    ///
    /// # Errors
    /// The code of the refusal.
    pub async fn role(&self, credentials: &Credentials) -> Result<Role, i32> {
        self.0.inner.role(credentials).await
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
