//! JSON to packets: lenient about everything but the words of the protocol.

use std::borrow::Cow;

use super::{Body, BodyType, Identity, Packet, PacketType, Party, Transport};
use crate::limits;
use crate::wire::json::{DecodeError, Reader, Token};

/// Why bytes are no packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Not the JSON of an object.
    #[error(transparent)]
    Json(#[from] DecodeError),
    /// The whole packet, or one of its members, is above its limit.
    #[error("`{what}` has {bytes} bytes; at most {max} are taken: send less")]
    TooLong {
        /// Which.
        what: &'static str,
        /// Its length, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// A word that the protocol does not know.
    #[error("`{what}` is none of the protocol's words: they are upper-case names, or ordinals")]
    Unknown {
        /// In which member.
        what: &'static str,
    },
    /// A member that must be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
}

/// Reads a packet: one JSON object of at most [`limits::OCIM_PACKET_BYTES_MAX`] bytes. Unknown
/// members are ignored, `ttc` and `tmc` too; null is absent.
///
/// # Errors
/// If it is not an object, a word is unknown, a member is too long or of the wrong type, or `type`
/// is missing.
pub fn decode(bytes: &[u8]) -> Result<Packet, PacketError> {
    check("packet", bytes.len(), limits::OCIM_PACKET_BYTES_MAX)?;
    let text = std::str::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    let mut reader = Reader::new(text);
    reader.open_object()?;
    let mut kind = None;
    let mut packet = Packet::new(PacketType::Ping);
    let mut first = true;
    while let Some(name) = reader.next_name(first)? {
        first = false;
        let value = reader.value()?;
        match &*name {
            "type" => kind = word("type", &value, PacketType::ALL, PacketType::from_name)?,
            "ts" => packet.ts = word("ts", &value, Transport::ALL, Transport::from_name)?,
            "from" => packet.from = party("from", &mut reader, &value)?,
            "to" => packet.to = party("to", &mut reader, &value)?,
            "body" => packet.body = body(&mut reader, &value)?,
            "pid" => packet.pid = text_of("pid", value, limits::MESSAGE_ID_BYTES_MAX)?,
            "cid" => packet.cid = text_of("cid", value, limits::OCIM_NAME_BYTES_MAX)?,
            "datetime" => {
                packet.datetime = text_of("datetime", value, limits::OCIM_NAME_BYTES_MAX)?;
            }
            "ver" => packet.ver = text_of("ver", value, limits::OCIM_NAME_BYTES_MAX)?,
            "timestamp" => packet.timestamp = number("timestamp", &value)?,
            _ => reader.skip_open(&value)?,
        }
    }
    reader.end()?;
    packet.kind = kind.ok_or(PacketError::Missing("type"))?;
    Ok(packet)
}

fn check(what: &'static str, bytes: usize, max: usize) -> Result<(), PacketError> {
    if bytes > max {
        return Err(PacketError::TooLong { what, bytes, max });
    }
    Ok(())
}

fn wrong(name: &'static str, problem: &'static str) -> PacketError {
    PacketError::Json(DecodeError::BadField { name, problem })
}

/// A name, or a number as an ordinal.
fn word<T: Copy>(
    what: &'static str,
    value: &Token<'_>,
    all: &[T],
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, PacketError> {
    let found = match value {
        Token::Null => return Ok(None),
        Token::Text(name) => from_name(name),
        Token::Number(ordinal) => {
            let at = ordinal.parse::<usize>().ok();
            at.and_then(|at| all.get(at)).copied()
        }
        _ => None,
    };
    found.map(Some).ok_or(PacketError::Unknown { what })
}

fn text_of(
    what: &'static str,
    value: Token<'_>,
    max: usize,
) -> Result<Option<String>, PacketError> {
    let text: Cow<'_, str> = match value {
        Token::Null => return Ok(None),
        Token::Text(text) => text,
        Token::Number(text) | Token::Bare(text) => Cow::Borrowed(text),
        Token::Bool(_) => return Err(wrong(what, "is a boolean instead of a string")),
        Token::Object | Token::Array => {
            return Err(wrong(what, "is an object or array instead of a string"));
        }
    };
    check(what, text.len(), max)?;
    Ok(Some(text.into_owned()))
}

fn number(what: &'static str, value: &Token<'_>) -> Result<Option<i64>, PacketError> {
    let text = match value {
        Token::Null => return Ok(None),
        Token::Number(text) => text,
        Token::Text(text) => &**text,
        _ => return Err(wrong(what, "is not a number")),
    };
    let value = text.parse();
    value.map(Some).map_err(|_| wrong(what, "is not a number"))
}

fn party(
    what: &'static str,
    reader: &mut Reader<'_>,
    value: &Token<'_>,
) -> Result<Option<Party>, PacketError> {
    match value {
        Token::Null => return Ok(None),
        Token::Object => {}
        _ => return Err(wrong(what, "is not an object")),
    }
    let mut party = Party::default();
    let mut first = true;
    while let Some(name) = reader.next_name(first)? {
        first = false;
        let value = reader.value()?;
        match &*name {
            "uid" => party.uid = text_of("uid", value, limits::NAME_BYTES_MAX)?,
            "name" => party.name = text_of("name", value, limits::OCIM_NAME_BYTES_MAX)?,
            "idy" => party.idy = word("idy", &value, Identity::ALL, Identity::from_name)?,
            _ => reader.skip_open(&value)?,
        }
    }
    Ok(Some(party))
}

fn body(reader: &mut Reader<'_>, value: &Token<'_>) -> Result<Option<Body>, PacketError> {
    match value {
        Token::Null => return Ok(None),
        Token::Object => {}
        _ => return Err(wrong("body", "is not an object")),
    }
    let (mut kind, mut content) = (None, None);
    let mut first = true;
    while let Some(name) = reader.next_name(first)? {
        first = false;
        let value = reader.value()?;
        match &*name {
            "type" => kind = word("body.type", &value, BodyType::ALL, BodyType::from_name)?,
            "content" => content = text_of("content", value, limits::OCIM_PACKET_BYTES_MAX)?,
            _ => reader.skip_open(&value)?,
        }
    }
    match (kind, content) {
        (Some(kind), content) => Ok(Some(Body { kind, content })),
        // BIND and others come with an empty body.
        (None, None) => Ok(None),
        (None, Some(_)) => Err(PacketError::Missing("body.type")),
    }
}
