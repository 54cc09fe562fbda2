//! Keys that verify tokens, from PEM and key files and from JSON Web Key Sets.

use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use tidings_core::limits;

use crate::auth::crypt;
use crate::auth::settings::JwtAlgorithm;

/// HS256 keys below this can be tried out until one fits a token that somebody has seen; RFC 7518 §3.2
/// demands it.
const SHARED_KEY_BYTES_MIN: usize = 32;

/// Some keys of one algorithm.
#[derive(Default)]
pub(in crate::auth) struct KeySet {
    keys: Vec<(Option<String>, DecodingKey)>,
}

impl KeySet {
    pub(in crate::auth) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have signed a token that names `kid`: that one, and those without a name.
    /// All, if it names none.
    pub(super) fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &DecodingKey> {
        let fits = move |name: &Option<String>| match (name.as_deref(), kid) {
            (Some(name), Some(kid)) => name == kid,
            _ => true,
        };
        let keys = self.keys.iter().filter(move |(name, _)| fits(name));
        keys.map(|(_, key)| key)
    }

    fn push(&mut self, kid: Option<String>, key: DecodingKey) {
        if self.keys.len() < limits::TOKEN_KEYS_MAX {
            self.keys.push((kid, key));
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let fault = |e: std::io::Error| format!("{}: cannot be read: {e}", path.display());
    let length = std::fs::metadata(path).map_err(fault)?.len();
    if length > limits::TOKEN_KEY_FILE_BYTES_MAX as u64 {
        let max = limits::TOKEN_KEY_FILE_BYTES_MAX;
        return Err(format!(
            "{}: has {length} bytes; keys have {max} at most",
            path.display()
        ));
    }
    std::fs::read(path).map_err(fault)
}

/// The keys of `auth.jwt.key_file` and `old_key_file`.
pub(super) fn from_files(files: &[PathBuf], algorithm: JwtAlgorithm) -> Result<KeySet, String> {
    let mut keys = KeySet::default();
    for path in files {
        let bytes = read(path)?;
        let fault = |problem: String| format!("{}: {problem}", path.display());
        if algorithm == JwtAlgorithm::Hs256 {
            let key = shared(&bytes).map_err(fault)?;
            keys.push(None, DecodingKey::from_secret(key));
        } else {
            public(&bytes, algorithm, &mut keys).map_err(fault)?;
        }
    }
    Ok(keys)
}

/// The bytes are the key, one trailing newline cut off.
fn shared(bytes: &[u8]) -> Result<&[u8], String> {
    let key = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if key.is_empty() {
        return Err("is empty".to_owned());
    }
    // A public key is public: whoever has it could sign tokens if it were taken for a shared one.
    let public = |marker: &[u8]| key.windows(marker.len()).any(|w| w == marker);
    if public(b"PUBLIC KEY-----") || public(b"BEGIN CERTIFICATE-----") {
        return Err(
            "is a public key, and auth.jwt.algorithm is HS256, which takes a shared secret: \
                    set the algorithm to that of the key"
                .to_owned(),
        );
    }
    if key.len() < SHARED_KEY_BYTES_MIN {
        return Err(format!(
            "has {} bytes; a key of HS256 has {SHARED_KEY_BYTES_MIN} at least, or it can be guessed: \
             make one with `openssl rand -hex 32`",
            key.len()
        ));
    }
    Ok(key)
}

/// All public keys of a PEM file.
fn public(bytes: &[u8], algorithm: JwtAlgorithm, keys: &mut KeySet) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not PEM".to_owned())?;
    let mut count = 0;
    for block in text.split("-----BEGIN ").skip(1) {
        let block = format!("-----BEGIN {block}");
        let key = match algorithm {
            JwtAlgorithm::Rs256 => DecodingKey::from_rsa_pem(block.as_bytes()),
            JwtAlgorithm::Es256 => DecodingKey::from_ec_pem(block.as_bytes()),
            _ => DecodingKey::from_ed_pem(block.as_bytes()),
        };
        let key = key.map_err(|error| {
            format!("is not a public key for auth.jwt.algorithm, or not as PEM: {error}")
        })?;
        keys.push(None, key);
        count += 1;
    }
    match count {
        0 => Err("holds no public key as PEM (-----BEGIN PUBLIC KEY-----)".to_owned()),
        _ => Ok(()),
    }
}

/// The keys of a set in a file.
pub(super) fn from_set_file(path: &Path, algorithm: JwtAlgorithm) -> Result<KeySet, String> {
    from_set(&read(path)?, algorithm).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether it is a shared key that can be guessed.
fn is_short(jwk: &Jwk) -> bool {
    match &jwk.algorithm {
        AlgorithmParameters::OctetKey(key) => {
            crypt::from_base64(&key.value).is_some_and(|key| key.len() < SHARED_KEY_BYTES_MIN)
        }
        _ => false,
    }
}

/// Those keys of a set that verify signatures of this algorithm; others are passed over.
pub(super) fn from_set(bytes: &[u8], algorithm: JwtAlgorithm) -> Result<KeySet, String> {
    // One key that we do not understand must not cost those that we do.
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|_| "is not JSON".to_owned())?;
    let members = value.get("keys").and_then(serde_json::Value::as_array);
    let members = members.ok_or("is not a key set: it has no `keys`")?;
    let family = match algorithm {
        JwtAlgorithm::Hs256 => AlgorithmFamily::Hmac,
        JwtAlgorithm::Rs256 => AlgorithmFamily::Rsa,
        JwtAlgorithm::Es256 => AlgorithmFamily::Ec,
        JwtAlgorithm::EdDsa => AlgorithmFamily::Ed,
    };
    let mut keys = KeySet::default();
    for member in members {
        let one = serde_json::json!({ "keys": [member] });
        let Ok(JwkSet { keys: one }) = serde_json::from_value(one) else {
            continue;
        };
        for jwk in one {
            if is_short(&jwk) {
                let kid = jwk.common.key_id.as_deref().unwrap_or_default();
                tracing::error!(
                    kid,
                    "a shared key of the set is passed over: it has fewer than \
                    {SHARED_KEY_BYTES_MIN} bytes and can be guessed"
                );
                continue;
            }
            let other_use = jwk.common.public_key_use == Some(PublicKeyUse::Encryption);
            match DecodingKey::from_jwk(&jwk) {
                Ok(key) if key.family() == family && !other_use => {
                    keys.push(jwk.common.key_id.clone(), key);
                }
                _ => {}
            }
        }
    }
    match keys.is_empty() {
        true => Err("has no key for auth.jwt.algorithm".to_owned()),
        false => Ok(keys),
    }
}
