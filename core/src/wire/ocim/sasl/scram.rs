//! SCRAM-SHA-256 without channel binding (RFC 5802 §5–7, RFC 7677).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Longest nonce of a client, in bytes.
const NONCE_BYTES_MAX: usize = 256;
/// Bytes over which HMAC-SHA-256 pads its key.
const BLOCK_BYTES: usize = 64;

/// What a server keeps of a password (RFC 5802 §3). Enough to verify, not enough to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Random, one for each password.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2; at least 4096 (RFC 7677 §4).
    pub iterations: u32,
    /// SHA-256 of the client's key.
    pub stored_key: [u8; 32],
    /// With what the server proves that it knows them, too.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramKeys")
    }
}

impl ScramKeys {
    /// From the salted password: PBKDF2-HMAC-SHA-256 of password, salt and iterations, 32 bytes,
    /// which the caller computes because it takes long.
    #[must_use]
    pub fn derive(salted_password: &[u8; 32], salt: Vec<u8>, iterations: u32) -> ScramKeys {
        ScramKeys {
            salt,
            iterations,
            stored_key: Sha256::digest(hmac(salted_password, b"Client Key")).into(),
            server_key: hmac(salted_password, b"Server Key"),
        }
    }
}

/// Why an exchange fails; [`ScramError::message`] is what the server answers (RFC 5802 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// Not a message of SCRAM.
    #[error("a message is not what RFC 5802 describes")]
    Encoding,
    /// A user name with a wrong escape, or none.
    #[error("the user name is not escaped as RFC 5802 says, or empty")]
    UsernameEncoding,
    /// An extension that must be understood (`m=`).
    #[error("an extension is demanded; none is known here")]
    Extensions,
    /// The client demands channel binding.
    #[error("channel binding is demanded; it is not offered")]
    ChannelBindingNotSupported,
    /// The channel binding of the second message is not that of the first.
    #[error("the channel binding does not match")]
    ChannelBindings,
    /// The nonce is not the one of this exchange.
    #[error("the nonce is another one")]
    Nonce,
    /// The proof is wrong: so is the password.
    #[error("the proof is wrong")]
    Proof,
}

impl ScramError {
    /// The server's answer: `e=` and a word of RFC 5802 §7.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            ScramError::Encoding => "e=invalid-encoding",
            ScramError::UsernameEncoding => "e=invalid-username-encoding",
            ScramError::Extensions => "e=extensions-not-supported",
            ScramError::ChannelBindingNotSupported => "e=channel-binding-not-supported",
            ScramError::ChannelBindings => "e=channel-bindings-dont-match",
            ScramError::Nonce => "e=other-error",
            ScramError::Proof => "e=invalid-proof",
        }
    }
}

/// The client's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// Who he says he is, unescaped.
    pub user: String,
    /// The header before the message proper, as it stands there.
    gs2: String,
    /// The message without that header.
    bare: String,
    nonce: String,
}

/// A server that has answered with a challenge and waits for the proof.
#[derive(Debug, Clone)]
pub struct Waiting {
    keys: ScramKeys,
    gs2: String,
    nonce: String,
    message: String,
    /// Both first messages, which the proof covers.
    said: String,
}

/// Reads the client's first message: `n,,n=USER,r=NONCE`.
///
/// # Errors
/// What the server must answer.
pub fn parse_first(message: &[u8]) -> Result<ClientFirst, ScramError> {
    let text = std::str::from_utf8(message).map_err(|_| ScramError::Encoding)?;
    let mut parts = text.splitn(3, ',');
    let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(ScramError::Encoding);
    };
    match flag {
        // `y`: the client could bind, and knows that we do not offer it.
        "n" | "y" => {}
        _ if flag.starts_with("p=") => return Err(ScramError::ChannelBindingNotSupported),
        _ => return Err(ScramError::Encoding),
    }
    let mut attributes = bare.split(',');
    let first = attributes.next().unwrap_or_default();
    if first.starts_with("m=") {
        return Err(ScramError::Extensions);
    }
    let user = unescape(first.strip_prefix("n=").ok_or(ScramError::Encoding)?)?;
    let nonce = attributes.next().and_then(|r| r.strip_prefix("r="));
    let nonce = nonce
        .filter(|n| is_nonce(n) && n.len() <= NONCE_BYTES_MAX)
        .ok_or(ScramError::Encoding)?
        .to_owned();
    let acts_for_another = match authzid.strip_prefix("a=") {
        Some(name) => unescape(name)? != user,
        None => !authzid.is_empty(),
    };
    if acts_for_another {
        return Err(ScramError::Encoding);
    }
    Ok(ClientFirst {
        user,
        gs2: format!("{flag},{authzid},"),
        bare: bare.to_owned(),
        nonce,
    })
}

impl ClientFirst {
    /// What has a first message for the client and waits for his second. `nonce` is random and printable
    /// ASCII without a comma. For a user who is not there, give keys that nobody's password fits.
    #[must_use]
    pub fn challenge(self, keys: ScramKeys, nonce: &str) -> Waiting {
        let nonce = format!("{}{nonce}", self.nonce);
        let salt = STANDARD.encode(&keys.salt);
        let message = format!("r={nonce},s={salt},i={}", keys.iterations);
        Waiting {
            keys,
            gs2: self.gs2,
            said: format!("{},{message}", self.bare),
            message,
            nonce,
        }
    }
}

impl Waiting {
    /// The server's first message: the challenge.
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.message
    }

    /// Verifies the client's second message, `c=…,r=NONCE,p=PROOF`; answers the server's last.
    ///
    /// # Errors
    /// What the server must answer.
    pub fn finish(self, message: &[u8]) -> Result<String, ScramError> {
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Encoding)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Encoding)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|c| c.strip_prefix("c="));
        let nonce = attributes.next().and_then(|r| r.strip_prefix("r="));
        let (Some(binding), Some(nonce)) = (binding, nonce) else {
            return Err(ScramError::Encoding);
        };
        if binding != STANDARD.encode(&self.gs2) {
            return Err(ScramError::ChannelBindings);
        }
        if nonce != self.nonce {
            return Err(ScramError::Nonce);
        }
        let proof: [u8; 32] = STANDARD
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or(ScramError::Encoding)?;
        let said = format!("{},{without_proof}", self.said);
        let signature = hmac(&self.keys.stored_key, said.as_bytes());
        let mut client_key = proof;
        for (byte, mask) in client_key.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        let stored: [u8; 32] = Sha256::digest(client_key).into();
        if !equal(&stored, &self.keys.stored_key) {
            return Err(ScramError::Proof);
        }
        let signature = hmac(&self.keys.server_key, said.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)))
    }
}

/// Printable ASCII without a comma (RFC 5802 §7).
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

/// A name in which `=2C` is a comma and `=3D` an equals sign (RFC 5802 §5.1).
fn unescape(name: &str) -> Result<String, ScramError> {
    let mut out = String::with_capacity(name.len());
    let mut parts = name.split('=');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (c, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError::UsernameEncoding),
        };
        out.push(c);
        out.push_str(rest);
    }
    match out.is_empty() || out.len() > crate::limits::NAME_BYTES_MAX {
        true => Err(ScramError::UsernameEncoding),
        false => Ok(out),
    }
}

/// Compares without telling by its time where the difference is.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y));
    std::hint::black_box(differences) == 0
}

/// HMAC-SHA-256 (RFC 2104) with a key of at most one block.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut padded = [0; BLOCK_BYTES];
    let length = key.len().min(BLOCK_BYTES);
    padded[..length].copy_from_slice(&key[..length]);
    let inner = Sha256::new()
        .chain_update(padded.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new()
        .chain_update(padded.map(|byte| byte ^ 0x5c))
        .chain_update(inner);
    outer.finalize().into()
}
