//! Anonymous visitors: a random name that nobody else has (`~…`), and a token that proves it.
//!
//! The token is signed by a key in the data directory and expires; nothing is stored about a
//! visitor, but the version of his identity, which rises when he is blocked: what he had before is
//! void, as is everything after another `auth.mode` was set. Whoever comes with a valid token gets one
//! that lasts longer.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use tidings_core::ids::Name;
use tidings_core::wire::code;

use super::Secret;
use super::crypt::{self, MacKey};
use super::registry::restrict;

/// The key's name in the data directory.
pub(crate) const FILE: &str = "visitors.key";
const KEY_BYTES: usize = 32;
const VERSION: &str = "v2";

/// A visitor's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// His name: `~` and 22 random characters.
    pub user: Name,
    /// What he logs in with.
    pub token: Secret,
    /// Until when, in seconds since 1970 UTC.
    pub expires_s: i64,
}

/// What a token is bound to beside its user: the version of his identity, and the epoch of
/// `auth.mode`.
pub(super) type Bound = (i64, i64);

fn seconds(days: u32) -> i64 {
    i64::from(days) * 24 * 60 * 60
}

/// Issues and verifies.
#[derive(Debug)]
pub(super) struct Visitors {
    key: MacKey,
    valid_s: AtomicI64,
}

impl Visitors {
    /// With the key in the data directory, made if it is not there.
    pub(super) fn open(dir: &Path, days: u32) -> io::Result<Visitors> {
        let path = dir.join(FILE);
        let key = match std::fs::read(&path) {
            Ok(key) if key.len() == KEY_BYTES => key,
            Ok(_) => {
                let reason = "does not hold 32 bytes: remove it, and visitors get new names";
                return Err(io::Error::other(reason));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = crypt::random::<KEY_BYTES>().to_vec();
                // Under its name only when it is whole.
                let new = dir.join(format!("{FILE}.new"));
                std::fs::write(&new, [])?;
                restrict(&new)?;
                std::fs::write(&new, &key)?;
                std::fs::File::open(&new)?.sync_all()?;
                std::fs::rename(&new, &path)?;
                key
            }
            Err(error) => return Err(error),
        };
        Ok(Visitors::with(&key, days))
    }

    /// With a key that ends with the process.
    pub(super) fn in_memory(days: u32) -> Visitors {
        Visitors::with(&crypt::random::<KEY_BYTES>(), days)
    }

    fn with(key: &[u8], days: u32) -> Visitors {
        Visitors {
            key: MacKey::new(key),
            valid_s: AtomicI64::new(seconds(days)),
        }
    }

    /// For tokens from now on.
    pub(super) fn set_days(&self, days: u32) {
        self.valid_s.store(seconds(days), Ordering::Relaxed);
    }

    /// What signs everything that is issued here; each kind begins what it signs with its own word.
    pub(super) fn key(&self) -> &MacKey {
        &self.key
    }

    /// For how long what is issued is valid, in seconds.
    pub(super) fn valid_s(&self) -> i64 {
        self.valid_s.load(Ordering::Relaxed)
    }

    /// A new visitor.
    pub(super) fn issue(&self, bound: Bound, now_s: i64) -> Visitor {
        let name = format!("~{}", crypt::to_base64(&crypt::random::<16>()));
        self.sign(Name::from(name), bound, now_s)
    }

    /// The same visitor with a token that lasts longer, if his is valid.
    pub(super) fn renew(
        &self,
        user: &str,
        token: &str,
        bound: Bound,
        now_s: i64,
    ) -> Result<Visitor, i32> {
        match self.verify(user, token, bound, now_s) {
            code::OK => Ok(self.sign(Name::from(user), bound, now_s)),
            refused => Err(refused),
        }
    }

    /// The code for a login.
    pub(super) fn verify(&self, user: &str, token: &str, bound: Bound, now_s: i64) -> i32 {
        let mut parts = token.split('.');
        let (Some(VERSION), Some(expires), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return code::REFUSED_TOKEN;
        };
        let right = self.signature(user, expires, bound);
        let given = crypt::from_base64(signature).unwrap_or_default();
        if !crypt::equal(&right, &given) {
            return code::REFUSED_TOKEN;
        }
        match expires.parse::<i64>() {
            Ok(expires) if now_s < expires => code::OK,
            Ok(_) => code::REFUSED_EXPIRED,
            Err(_) => code::REFUSED_TOKEN,
        }
    }

    fn sign(&self, user: Name, bound: Bound, now_s: i64) -> Visitor {
        let expires_s = now_s.saturating_add(self.valid_s.load(Ordering::Relaxed));
        let signature = self.signature(&user, &expires_s.to_string(), bound);
        let token = format!("{VERSION}.{expires_s}.{}", crypt::to_base64(&signature));
        Visitor {
            user,
            token: Secret::from(token),
            expires_s,
        }
    }

    fn signature(&self, user: &str, expires: &str, (version, epoch): Bound) -> crypt::Digest {
        let (version, epoch) = (version.to_be_bytes(), epoch.to_be_bytes());
        let parts = [
            b"visitor",
            VERSION.as_bytes(),
            user.as_bytes(),
            expires.as_bytes(),
            &version,
            &epoch,
        ];
        self.key.sign(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;
    const DAY: i64 = 24 * 60 * 60;
    const BOUND: Bound = (0, 1);

    #[test]
    fn a_visitor_is_who_we_said_until_he_expires() {
        let visitors = Visitors::in_memory(30);
        let one = visitors.issue(BOUND, NOW);
        let two = visitors.issue(BOUND, NOW);
        assert_ne!(one.user, two.user);
        tidings_core::ids::check_user(&one.user[1..]).unwrap();
        let verify = |user: &str, token: &str, now| visitors.verify(user, token, BOUND, now);
        let token = one.token.expose();
        assert_eq!(verify(&one.user, token, NOW), code::OK);
        assert_eq!(verify(&one.user, token, NOW + 30 * DAY - 1), code::OK);
        assert_eq!(
            verify(&one.user, token, NOW + 30 * DAY),
            code::REFUSED_EXPIRED
        );
        assert_eq!(verify(&two.user, token, NOW), code::REFUSED_TOKEN);
        let longer = token.replace(&one.expires_s.to_string(), "9999999999");
        assert_eq!(verify(&one.user, &longer, NOW), code::REFUSED_TOKEN);
        for wrong in [
            "",
            "v2",
            "v2.9999999999.",
            "v2.9999999999.AAAA",
            &token[..30],
        ] {
            assert_eq!(verify(&one.user, wrong, NOW), code::REFUSED_TOKEN);
        }
        for bound in [(1, 1), (0, 2)] {
            let verdict = visitors.verify(&one.user, token, bound, NOW);
            assert_eq!(verdict, code::REFUSED_TOKEN);
        }
        let other = Visitors::in_memory(30);
        assert_eq!(
            other.verify(&one.user, token, BOUND, NOW),
            code::REFUSED_TOKEN
        );
    }

    #[test]
    fn it_can_be_renewed_while_it_is_valid() {
        let visitors = Visitors::in_memory(1);
        let visitor = visitors.issue(BOUND, NOW);
        let token = visitor.token.expose();
        let renewed = visitors
            .renew(&visitor.user, token, BOUND, NOW + DAY / 2)
            .unwrap();
        assert_eq!(renewed.user, visitor.user);
        assert_eq!(renewed.expires_s, NOW + DAY / 2 + DAY);
        let late = visitors.renew(&visitor.user, token, BOUND, NOW + DAY);
        assert_eq!(late, Err(code::REFUSED_EXPIRED));
    }

    #[test]
    fn the_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        let visitor = Visitors::open(dir.path(), 1).unwrap().issue(BOUND, NOW);
        let again = Visitors::open(dir.path(), 1).unwrap();
        let token = visitor.token.expose();
        assert_eq!(again.verify(&visitor.user, token, BOUND, NOW), code::OK);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let meta = std::fs::metadata(dir.path().join(FILE)).unwrap();
            assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(dir.path().join(FILE), "short").unwrap();
        assert!(Visitors::open(dir.path(), 1).is_err());
    }
}
