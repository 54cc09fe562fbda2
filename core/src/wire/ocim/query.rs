//! The query of a request: `packet`, `t`, and ours: `token`, `ack`.

use crate::limits;
use crate::secret::Secret;

/// What a query says. `t`, the old pages' cache buster, and unknown parameters are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The packet's JSON, decoded.
    pub packet: Option<String>,
    /// The session token.
    pub token: Option<Secret>,
    /// Up to which number the polled packets arrived.
    pub ack: Option<u64>,
}

/// Why a query cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too long.
    #[error("the query has {bytes} bytes; at most {max} are taken: send long packets by POST", max = limits::OCIM_QUERY_BYTES_MAX)]
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
    /// Too many parameters.
    #[error("the query has more than {max} parameters: send `packet`, `t`, `token` and `ack`", max = limits::OCIM_QUERY_PARAMETERS_MAX)]
    TooMany,
    /// `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("parameter `{0}` is not URL-encoded UTF-8")]
    Encoding(&'static str),
    /// `ack` is not a number.
    #[error("parameter `ack` is not a number in decimal")]
    Ack,
    /// A parameter stands there twice.
    #[error("parameter `{0}` stands there twice")]
    Twice(&'static str),
}

/// Reads a query, as HTML forms write it: `+` is a blank.
///
/// # Errors
/// Says which rule it breaks.
pub fn parse_query(query: &str) -> Result<Query, QueryError> {
    let bytes = query.len();
    if bytes > limits::OCIM_QUERY_BYTES_MAX {
        return Err(QueryError::TooLong { bytes });
    }
    let mut found = Query::default();
    for (at, pair) in query.split('&').enumerate() {
        if at >= limits::OCIM_QUERY_PARAMETERS_MAX {
            return Err(QueryError::TooMany);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "packet" => once("packet", &mut found.packet, unescape("packet", value)?)?,
            "token" => {
                let token = Secret::from(unescape("token", value)?);
                once("token", &mut found.token, token)?;
            }
            "ack" => {
                let ack = value.parse().map_err(|_| QueryError::Ack)?;
                once("ack", &mut found.ack, ack)?;
            }
            _ => {}
        }
    }
    Ok(found)
}

fn once<T>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), QueryError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(QueryError::Twice(name)),
    }
}

fn unescape(name: &'static str, value: &str) -> Result<String, QueryError> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high << 4 | low) as u8,
                    _ => return Err(QueryError::Encoding(name)),
                }
            }
            other => other,
        });
    }
    String::from_utf8(out).map_err(|_| QueryError::Encoding(name))
}
