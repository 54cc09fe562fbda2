//! SASL, the server's side: PLAIN (RFC 4616) and SCRAM-SHA-256 (RFC 5802, RFC 7677).
//!
//! Here: what is said and what must be answered. Not here: passwords, salts and nonces, which the
//! caller brings; the packets around the messages. Called by the server's listener for desktop
//! agents.

mod plain;
mod scram;
#[cfg(test)]
mod tests;

pub use plain::{Plain, parse_plain};
pub use scram::{ClientFirst, ScramError, ScramKeys, Waiting, parse_first};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::content::members;
use super::read::PacketError;
use crate::limits;

/// The mechanisms that there are, as their names stand in a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself.
    Plain,
    /// A proof that the client knows the password.
    ScramSha256,
}

/// What an AUTH/LOGIN asks for on TCP: `{"mechanism":"PLAIN","data":BASE64}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Start {
    /// How.
    pub mechanism: Mechanism,
    /// The client's first message, decoded.
    pub data: Vec<u8>,
}

/// Why a step of an exchange cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The content is not what a login says.
    #[error("the login is not {{\"mechanism\":…,\"data\":BASE64}}: {0}")]
    Form(#[from] PacketError),
    /// A mechanism that there is not.
    #[error("the mechanism is unknown: PLAIN and SCRAM-SHA-256 are spoken here")]
    Mechanism,
    /// Not base64.
    #[error("the message is not base64")]
    Base64,
    /// Too long.
    #[error("the message has {bytes} bytes; at most {max} are taken", max = limits::SASL_MESSAGE_BYTES_MAX)]
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
}

impl Start {
    /// Reads the content of an AUTH/LOGIN.
    ///
    /// # Errors
    /// If it is not such an object, or names another mechanism.
    pub fn parse(content: &str) -> Result<Start, SaslError> {
        let (mut mechanism, mut data) = (None, None);
        members(content, |name, text| {
            match name {
                "mechanism" => mechanism = Some(text),
                "data" => data = Some(text),
                _ => {}
            }
            Ok(())
        })?;
        let mechanism = match mechanism.as_deref() {
            Some("PLAIN") => Mechanism::Plain,
            Some("SCRAM-SHA-256") => Mechanism::ScramSha256,
            _ => return Err(SaslError::Mechanism),
        };
        let data = decode(data.as_deref().unwrap_or_default())?;
        Ok(Start { mechanism, data })
    }
}

/// Reads the base64 of one message.
///
/// # Errors
/// If it is none, or longer than [`limits::SASL_MESSAGE_BYTES_MAX`].
pub fn decode(text: &str) -> Result<Vec<u8>, SaslError> {
    let bytes = STANDARD.decode(text).map_err(|_| SaslError::Base64)?;
    match bytes.len() {
        length if length > limits::SASL_MESSAGE_BYTES_MAX => {
            Err(SaslError::TooLong { bytes: length })
        }
        _ => Ok(bytes),
    }
}

/// Base64 of one message.
#[must_use]
pub fn encode(message: &str) -> String {
    STANDARD.encode(message)
}
