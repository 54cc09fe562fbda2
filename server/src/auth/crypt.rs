//! Random bits, digests and the hash of passwords, all from one library but the last.

use std::borrow::Cow;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// 256 bits.
pub(crate) type Digest = [u8; 32];

/// Random bytes from the system.
///
/// # Panics
/// If the system has none. Nothing that needs them could go on safely.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("invariant: the system has random bits");
    bytes
}

/// SHA-256. Enough for what is random itself; passwords need [`hash_password`].
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// A key for fingerprints and signatures.
#[derive(Debug)]
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    pub(crate) fn new(key: &[u8]) -> MacKey {
        MacKey(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// One that nobody else has, and that is gone with the process.
    pub(crate) fn random() -> MacKey {
        MacKey::new(&random::<32>())
    }

    /// HMAC-SHA-256 over parts that cannot run into one another.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

/// Compares without telling by its time where the difference is.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Text that can stand in URLs and headers.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A password as it is hashed: what looks the same is the same (Unicode NFC).
pub(crate) fn normal(password: &str) -> Cow<'_, str> {
    match is_nfc(password) {
        true => Cow::Borrowed(password),
        false => Cow::Owned(password.nfc().collect()),
    }
}

/// argon2id with its library's parameters (19 MiB, two passes): slow on purpose, and it blocks.
pub(crate) fn hash_password(password: &str) -> Result<String, String> {
    hash_exactly(&normal(password))
}

/// Without a look at how it is composed.
pub(super) fn hash_exactly(password: &str) -> Result<String, String> {
    let salt = random::<16>();
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|e| e.to_string())
}

/// True if it is the password that was hashed. Blocks, for as long as hashing takes.
pub(crate) fn verify_password(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        tracing::error!("the hash of a password is damaged");
        return false;
    };
    let is = |password: &str| {
        let verified = Argon2::default().verify_password(password.as_bytes(), &hash);
        verified.is_ok()
    };
    let normal = normal(password);
    // What was set by a version that did not normalise may stand there as it was typed.
    is(&normal) || (*normal != *password && is(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_salted_argon2id() {
        let one = hash_password("hunter2").unwrap();
        let two = hash_password("hunter2").unwrap();
        assert!(one.starts_with("$argon2id$v=19$"));
        assert_ne!(one, two);
        assert!(verify_password("hunter2", &one));
        assert!(!verify_password("hunter3", &one));
        assert!(!verify_password("hunter2", "nonsense"));
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        let key = MacKey::new(b"k");
        assert_ne!(key.sign(&[b"ab", b"c"]), key.sign(&[b"a", b"bc"]));
        assert_eq!(key.sign(&[b"ab"]), key.sign(&[b"ab"]));
        assert!(equal(b"a", b"a"));
        assert!(!equal(b"a", b"ab"));
    }
}
