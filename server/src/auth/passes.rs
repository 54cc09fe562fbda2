//! Passes: what a session of a protocol without logins of its own is known by from one request to
//! the next. A customer who comes back with his pass is the same customer.
//!
//! A pass says who, as what and until when, signed by the key of the visitors' tokens: nothing is
//! stored, and it stays valid when the server is restarted with the same data directory. It is bound
//! to the version of its holder's credential, to the epoch of `auth.mode` and to the end of what it was
//! issued for, which renewing it does not pass. It looks random and is secret.

use tidings_core::ids::{self, Name};
use tidings_core::limits;
use tidings_core::wire::code;

use super::visitors::Visitors;
use super::{Admitted, Role, Secret, crypt};

/// What a pass begins with: bytes that make two passes differ; until when it is valid, and until when
/// it may be renewed, in seconds; the version; the epoch; the role.
const NONCE_BYTES: usize = 16;
const HEAD_BYTES: usize = NONCE_BYTES + 4 * 8 + 1;
const MAC_BYTES: usize = 32;
/// What the signature begins with: another word than that of passes that say less.
const WORD: &[u8] = b"pass 2";

/// What a pass says. Whether it holds is decided by whoever knows the versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) user: Name,
    pub(super) role: Role,
    /// Until when what it was issued for is valid, in seconds since 1970 UTC.
    pub(super) until_s: Option<i64>,
    pub(super) version: i64,
    pub(super) epoch: i64,
}

impl Visitors {
    /// A pass; it lasts as long as a visitor's token, and no longer than what it is issued for.
    pub(super) fn pass(&self, to: &Admitted, epoch: i64, now_s: i64) -> Secret {
        let ends_s = to.until_s.unwrap_or(i64::MAX);
        let expires_s = now_s.saturating_add(self.valid_s()).min(ends_s);
        let mut bytes = crypt::random::<NONCE_BYTES>().to_vec();
        for number in [expires_s, ends_s, to.version, epoch] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.push(match to.role {
            Role::User => 0,
            Role::Agent => 1,
            Role::Admin => 2,
        });
        bytes.extend_from_slice(to.user.as_bytes());
        let signature = self.key().sign(&[WORD, &bytes]);
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
        if !crypt::equal(&self.key().sign(&[WORD, said]), signature) {
            return Err(REFUSED);
        }
        let (head, user) = said.split_at_checked(HEAD_BYTES).ok_or(REFUSED)?;
        let mut numbers = head[NONCE_BYTES..].chunks_exact(8).map(|bytes| {
            let bytes = bytes.try_into().unwrap_or_default();
            i64::from_be_bytes(bytes)
        });
        let mut number = || numbers.next().ok_or(REFUSED);
        let (expires_s, ends_s, version, epoch) = (number()?, number()?, number()?, number()?);
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
            until_s: (ends_s != i64::MAX).then_some(ends_s),
            version,
            epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;
    const DAY: i64 = 24 * 60 * 60;

    fn admitted(user: &str, role: Role, until_s: Option<i64>) -> Admitted {
        Admitted {
            user: user.into(),
            role,
            scope: None,
            rate: None,
            until_s,
            version: 7,
        }
    }

    #[test]
    fn a_pass_says_who_until_it_ends() {
        let visitors = Visitors::in_memory(30);
        for (user, role) in [
            ("alice", Role::User),
            ("~x", Role::User),
            ("王", Role::Agent),
        ] {
            let to = admitted(user, role, None);
            let pass = visitors.pass(&to, 3, NOW);
            let passed = visitors.passed(pass.expose(), NOW + 30 * DAY - 1).unwrap();
            assert_eq!((&*passed.user, passed.role), (user, role));
            assert_eq!((passed.version, passed.epoch, passed.until_s), (7, 3, None));
            let late = visitors.passed(pass.expose(), NOW + 30 * DAY);
            assert_eq!(late, Err(code::REFUSED_EXPIRED));
        }
        let to = admitted("alice", Role::User, None);
        let one = visitors.pass(&to, 3, NOW);
        assert_ne!(one, visitors.pass(&to, 3, NOW));
    }

    #[test]
    fn s4_a_pass_ends_with_what_it_was_issued_for() {
        let visitors = Visitors::in_memory(30);
        let to = admitted("alice", Role::User, Some(NOW + 2));
        let pass = visitors.pass(&to, 3, NOW);
        let passed = visitors.passed(pass.expose(), NOW + 1).unwrap();
        assert_eq!(passed.until_s, Some(NOW + 2));
        let again = admitted("alice", Role::User, passed.until_s);
        let again = visitors.pass(&again, 3, NOW + 1);
        for pass in [pass, again] {
            let late = visitors.passed(pass.expose(), NOW + 2);
            assert_eq!(late, Err(code::REFUSED_EXPIRED));
        }
    }

    #[test]
    fn no_change_goes_unnoticed() {
        let visitors = Visitors::in_memory(30);
        let to = admitted("alice", Role::User, None);
        let pass = visitors.pass(&to, 3, NOW);
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
        let visitor = visitors.issue((0, 0), NOW);
        assert!(visitors.passed(visitor.token.expose(), NOW).is_err());
        let long = "A".repeat(limits::TOKEN_BYTES_MAX + 1);
        assert!(visitors.passed(&long, NOW).is_err());
    }
}
