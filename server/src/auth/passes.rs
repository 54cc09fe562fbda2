//! Passes: what a session of a protocol without logins of its own is known by from one request to
//! the next. A customer who comes back with his pass is the same customer.
//!
//! A pass says who, as what and until when, signed by the key of the visitors' tokens: nothing is
//! stored, and it stays valid when the server is restarted with the same data directory. It looks
//! random and is secret.

use tidings_core::ids::{self, Name};
use tidings_core::limits;
use tidings_core::wire::code;

use super::visitors::Visitors;
use super::{Role, Secret, crypt};

/// What a pass begins with: bytes that make two passes differ, seconds until it ends, the role.
const NONCE_BYTES: usize = 16;
const HEAD_BYTES: usize = NONCE_BYTES + 8 + 1;
const MAC_BYTES: usize = 32;

/// What a pass says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Who.
    pub user: Name,
    /// As what he logged in.
    pub role: Role,
    /// Until when, in seconds since 1970 UTC.
    pub expires_s: i64,
}

impl Visitors {
    /// A pass; it lasts as long as a visitor's token.
    pub(super) fn pass(&self, user: &str, role: Role, now_s: i64) -> Secret {
        let expires_s = now_s.saturating_add(self.valid_s());
        let mut bytes = crypt::random::<NONCE_BYTES>().to_vec();
        bytes.extend_from_slice(&expires_s.to_be_bytes());
        bytes.push(match role {
            Role::User => 0,
            Role::Agent => 1,
            Role::Admin => 2,
        });
        bytes.extend_from_slice(user.as_bytes());
        let signature = self.key().sign(&[b"pass", &bytes]);
        bytes.extend_from_slice(&signature);
        Secret::from(crypt::to_base64(&bytes))
    }

    /// What a pass says, or the code of a refusal.
    pub(super) fn passed(&self, token: &str, now_s: i64) -> Result<Passed, i32> {
        const REFUSED: i32 = code::REFUSED_TOKEN;
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(REFUSED);
        }
        let bytes = crypt::from_base64(token).ok_or(REFUSED)?;
        let signed = bytes.len().checked_sub(MAC_BYTES).ok_or(REFUSED)?;
        let (said, signature) = bytes.split_at(signed);
        if !crypt::equal(&self.key().sign(&[b"pass", said]), signature) {
            return Err(REFUSED);
        }
        let (head, user) = said.split_at_checked(HEAD_BYTES).ok_or(REFUSED)?;
        let expires_s = head[NONCE_BYTES..].first_chunk().ok_or(REFUSED)?;
        let expires_s = i64::from_be_bytes(*expires_s);
        let role = match head.last() {
            Some(0) => Role::User,
            Some(1) => Role::Agent,
            Some(2) => Role::Admin,
            _ => return Err(REFUSED),
        };
        let user = std::str::from_utf8(user).map_err(|_| REFUSED)?;
        ids::check_user(user.strip_prefix('~').unwrap_or(user)).map_err(|_| REFUSED)?;
        if now_s >= expires_s {
            return Err(code::REFUSED_EXPIRED);
        }
        Ok(Passed {
            user: Name::from(user),
            role,
            expires_s,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;
    const DAY: i64 = 24 * 60 * 60;

    #[test]
    fn a_pass_says_who_until_it_ends() {
        let visitors = Visitors::in_memory(30);
        for (user, role) in [
            ("alice", Role::User),
            ("~x", Role::User),
            ("王", Role::Agent),
        ] {
            let pass = visitors.pass(user, role, NOW);
            let passed = visitors.passed(pass.expose(), NOW + 30 * DAY - 1).unwrap();
            assert_eq!((&*passed.user, passed.role), (user, role));
            let late = visitors.passed(pass.expose(), NOW + 30 * DAY);
            assert_eq!(late, Err(code::REFUSED_EXPIRED));
        }
        let one = visitors.pass("alice", Role::User, NOW);
        assert_ne!(one, visitors.pass("alice", Role::User, NOW));
    }

    #[test]
    fn no_change_goes_unnoticed() {
        let visitors = Visitors::in_memory(30);
        let pass = visitors.pass("alice", Role::User, NOW);
        let bytes = crypt::from_base64(pass.expose()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = visitors.passed(&crypt::to_base64(&changed), NOW);
            assert_eq!(changed, Err(code::REFUSED_TOKEN));
            let cut = visitors.passed(&crypt::to_base64(&bytes[..at]), NOW);
            assert_eq!(cut, Err(code::REFUSED_TOKEN));
        }
        let other = Visitors::in_memory(30);
        assert!(other.passed(pass.expose(), NOW).is_err());
        // A visitor's token is signed by the same key and is no pass.
        let visitor = visitors.issue(NOW);
        assert!(visitors.passed(visitor.token.expose(), NOW).is_err());
        let long = "A".repeat(limits::TOKEN_BYTES_MAX + 1);
        assert!(visitors.passed(&long, NOW).is_err());
    }
}
