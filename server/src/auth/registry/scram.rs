//! What is kept of a password for SCRAM-SHA-256 (RFC 5802), beside its argon2id hash.
//!
//! SCRAM demands PBKDF2, which is cheaper to guess against than argon2id: so many rounds that a
//! guess costs about the same time.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::OptionalExtension as _;
use tidings_core::wire::ocim::sasl::ScramKeys;

use super::{Fault, Registry};
use crate::auth::crypt;

/// Rounds for new passwords.
pub(in crate::auth) const ROUNDS: u32 = 600_000;
const MECHANISM: &str = "SCRAM-SHA-256";

/// What is known of an account for SCRAM.
#[derive(Debug)]
pub(in crate::auth) enum Known {
    /// There is no such account.
    Nobody,
    /// Its password was set by a version that kept nothing for SCRAM.
    Older,
    /// These.
    Keys(ScramKeys),
}

impl Registry {
    /// What is kept of an account's password for SCRAM.
    pub(in crate::auth) fn scram(&self, user: &str) -> Result<Known, Fault> {
        let sql = "SELECT scram, demo FROM account WHERE user = ?1";
        let db = self.db.lock();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(Option<String>, bool)> = db.query_row(sql, [user], row).optional()?;
        let found = found.filter(|(_, demo)| self.is_good(user, *demo));
        match found.map(|(scram, _)| scram) {
            None => Ok(Known::Nobody),
            Some(None) => Ok(Known::Older),
            Some(Some(text)) => parse(&text)
                .map(Known::Keys)
                .ok_or_else(|| Fault::Storage(format!("what SCRAM needs of {user} is damaged"))),
        }
    }
}

/// Derives what is kept of a password, as text. Blocks, for as long as hashing takes.
pub(super) fn derive(password: &str) -> String {
    let salt = crypt::random::<16>();
    let mut salted = [0; 32];
    let rounds = NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN);
    let password = crypt::normal(password);
    let password = password.as_bytes();
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        &salt,
        password,
        &mut salted,
    );
    let keys = ScramKeys::derive(&salted, salt.to_vec(), ROUNDS);
    format!(
        "{MECHANISM}${ROUNDS}:{}${}:{}",
        STANDARD.encode(&keys.salt),
        STANDARD.encode(keys.stored_key),
        STANDARD.encode(keys.server_key)
    )
}

fn parse(text: &str) -> Option<ScramKeys> {
    let rest = text.strip_prefix(MECHANISM)?.strip_prefix('$')?;
    let (how, keys) = rest.split_once('$')?;
    let (rounds, salt) = how.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
    Some(ScramKeys {
        salt: STANDARD.decode(salt).ok()?,
        iterations: rounds.parse().ok()?,
        stored_key: key(stored)?,
        server_key: key(server)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::registry::{Command, Role};

    #[test]
    fn kept_with_every_password_that_is_set() {
        let registry = Registry::in_memory().unwrap();
        assert!(matches!(registry.scram("wang"), Ok(Known::Nobody)));
        let add = Command::AccountAdd {
            user: "wang".to_owned(),
            role: Role::Agent,
            password: "correct horse".to_owned(),
        };
        registry.execute(add, 1, "test").unwrap();
        let keys = |registry: &Registry| match registry.scram("wang") {
            Ok(Known::Keys(keys)) => keys,
            other => panic!("{other:?}"),
        };
        let first = keys(&registry);
        assert_eq!((first.iterations, first.salt.len()), (ROUNDS, 16));
        let change = Command::AccountPassword {
            user: "wang".to_owned(),
            password: "battery staple".to_owned(),
        };
        registry.execute(change, 2, "test").unwrap();
        assert!(keys(&registry) != first);
        registry
            .db
            .lock()
            .execute("UPDATE account SET scram = NULL", [])
            .unwrap();
        assert!(matches!(registry.scram("wang"), Ok(Known::Older)));
    }

    #[test]
    fn damaged_text_is_no_key() {
        let text = derive("correct horse");
        assert!(parse(&text).is_some());
        for cut in [0, 5, 20, text.len() - 1] {
            assert!(parse(&text[..cut]).is_none());
        }
    }
}
