//! PLAIN: `[authzid] NUL authcid NUL passwd` (RFC 4616).

use crate::limits;
use crate::secret::Secret;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Whose password it is.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Reads the one message. Acting for somebody else (an `authzid` that is not the `authcid`) is not
/// offered.
///
/// # Errors
/// For people: what is wrong.
pub fn parse_plain(message: &[u8]) -> Result<Plain, &'static str> {
    let text = std::str::from_utf8(message).map_err(|_| "PLAIN: the message is not UTF-8")?;
    let parts: Vec<&str> = text.splitn(4, '\0').collect();
    let [authzid, user, password] = parts[..] else {
        return Err("PLAIN: the message is not [authzid] NUL authcid NUL passwd");
    };
    if user.is_empty() || password.is_empty() {
        return Err("PLAIN: user or password is empty");
    }
    if user.len() > limits::NAME_BYTES_MAX || password.len() > limits::PASSWORD_BYTES_MAX {
        return Err("PLAIN: user or password is too long: 64 and 1024 bytes are taken");
    }
    if !authzid.is_empty() && authzid != user {
        return Err("PLAIN: nobody can act for somebody else: leave the authzid empty");
    }
    Ok(Plain {
        user: user.to_owned(),
        password: Secret::from(password),
    })
}
