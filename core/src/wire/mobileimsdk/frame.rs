//! The frame and its decoder.

use std::borrow::Cow;
use std::fmt;

use super::{DecodeError, fast};
use crate::wire::code;
use crate::wire::json::{Reader, Token};

/// One frame (MobileIMSDK: a `Protocal` object), borrowed from the bytes where it can be.
///
/// The default is what the reference server makes of `{}`: 0, false and nothing. `Debug`
/// hides what a LOGIN carries: a token must not reach a log.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Frame<'a> {
    /// Crossed a message broker (`bridge`); false here, copied into acknowledgements.
    pub bridge: bool,
    /// What it is (`type`): a number of [`crate::wire::code`].
    pub kind: i32,
    /// Payload (`dataContent`). Nested JSON is a string, too.
    pub data: Option<Cow<'a, str>>,
    /// Sender's user id; `0` is the server, `-1` nobody.
    pub from: Option<Cow<'a, str>>,
    /// Receiver's address; `0` is the server, `-1` nobody.
    pub to: Option<Cow<'a, str>>,
    /// The sender's id of this frame; demanded of messages with `qos`.
    pub fp: Option<Cow<'a, str>>,
    /// The sender wants it acknowledged and sends it again until it is (`QoS`).
    pub qos: bool,
    /// Application-defined type of message, opaque.
    pub typeu: i32,
    /// Time by the server's clock in milliseconds since 1970 UTC; −1 if unset.
    pub sm: i64,
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = match self.kind {
            code::LOGIN => self.data.as_ref().map(|_| "hidden"),
            _ => self.data.as_deref(),
        };
        f.debug_struct("Frame")
            .field("bridge", &self.bridge)
            .field("kind", &self.kind)
            .field("data", &data)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("fp", &self.fp)
            .field("qos", &self.qos)
            .field("typeu", &self.typeu)
            .field("sm", &self.sm)
            .finish()
    }
}

impl Frame<'_> {
    /// The same frame without a hold on the bytes it was read from.
    #[must_use]
    pub fn into_owned(self) -> Frame<'static> {
        fn own(text: Option<Cow<'_, str>>) -> Option<Cow<'static, str>> {
            text.map(|text| Cow::Owned(text.into_owned()))
        }
        Frame {
            bridge: self.bridge,
            kind: self.kind,
            data: own(self.data),
            from: own(self.from),
            to: own(self.to),
            fp: own(self.fp),
            qos: self.qos,
            typeu: self.typeu,
            sm: self.sm,
        }
    }
}

/// What frames carry besides, to sessions that declared it (`docs/protocol.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extended {
    /// The message's number in its conversation.
    pub seq: u64,
    /// Time of custody, milliseconds since 1970 UTC (`time`).
    pub time_ms: i64,
}

/// A frame and the members of the extension.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wide<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) seq: Option<u64>,
    pub(super) time_ms: Option<i64>,
}

/// Reads a frame as leniently as the reference server does (`docs/protocol.md` §1), and `QoS` as 0 or 1 besides.
/// Takes time linear in the length of `bytes`.
///
/// # Errors
/// Whatever the reference server closes a session for, and invalid UTF-8.
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    decode_str(as_text(bytes)?)
}

/// [`decode`] for text that is known to be UTF-8.
///
/// # Errors
/// As [`decode`].
pub fn decode_str(text: &str) -> Result<Frame<'_>, DecodeError> {
    if let Some(wide) = fast::decode::<false>(text) {
        return Ok(wide.frame);
    }
    lenient(text, false).map(|wide| wide.frame)
}

/// Reads a frame with the members of the extension, as our clients do. They count only together;
/// the member `id` repeats `fp` and is not read.
///
/// # Errors
/// As [`decode`]; also for an ill-typed `seq` or `time`.
pub fn decode_extended(bytes: &[u8]) -> Result<(Frame<'_>, Option<Extended>), DecodeError> {
    let text = as_text(bytes)?;
    let wide = match fast::decode::<true>(text) {
        Some(wide) => wide,
        None => lenient(text, true)?,
    };
    let extended = wide.seq.zip(wide.time_ms);
    let extended = extended.map(|(seq, time_ms)| Extended { seq, time_ms });
    Ok((wide.frame, extended))
}

fn as_text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8 {
        offset: error.valid_up_to(),
    })
}

/// A frame's members as they are read. `extended` says whether `seq` and `time` are known members.
pub(super) fn lenient(text: &str, extended: bool) -> Result<Wide<'_>, DecodeError> {
    let mut reader = Reader::new(text);
    let mut wide = Wide::default();
    let frame = &mut wide.frame;
    reader.open_object()?;
    let mut first = true;
    while let Some(name) = reader.next_name(first)? {
        first = false;
        let value = reader.value()?;
        match &*name {
            "bridge" => set(&mut frame.bridge, boolean("bridge", &value)?),
            "type" => set(&mut frame.kind, int32("type", &value)?),
            "dataContent" => frame.data = string("dataContent", value)?,
            "from" => frame.from = string("from", value)?,
            "to" => frame.to = string("to", value)?,
            "fp" => frame.fp = string("fp", value)?,
            "QoS" => set(&mut frame.qos, boolean("QoS", &value)?),
            "typeu" => set(&mut frame.typeu, int32("typeu", &value)?),
            "sm" => set(&mut frame.sm, int64("sm", &value)?),
            "seq" if extended => set(&mut wide.seq, unsigned("seq", &value)?.map(Some)),
            "time" if extended => set(&mut wide.time_ms, int64("time", &value)?.map(Some)),
            _ => reader.skip_open(&value)?,
        }
    }
    reader.end()?;
    Ok(wide)
}

/// A null leaves a number or boolean as it was.
fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// A string as the reference reads it: numbers and booleans as they are written; null is none.
pub(super) fn string<'a>(
    name: &'static str,
    value: Token<'a>,
) -> Result<Option<Cow<'a, str>>, DecodeError> {
    match value {
        Token::Null => Ok(None),
        Token::Bool(true) => Ok(Some(Cow::Borrowed("true"))),
        Token::Bool(false) => Ok(Some(Cow::Borrowed("false"))),
        Token::Number(text) | Token::Bare(text) => Ok(Some(Cow::Borrowed(text))),
        Token::Text(text) => Ok(Some(text)),
        Token::Object | Token::Array => Err(DecodeError::BadField {
            name,
            problem: "is not a string",
        }),
    }
}

/// A boolean as the reference reads it: any string is one, true if it says `true` in any case.
/// The numbers 0 and 1 are our addition.
fn boolean(name: &'static str, value: &Token<'_>) -> Result<Option<bool>, DecodeError> {
    match value {
        Token::Null => Ok(None),
        Token::Bool(value) => Ok(Some(*value)),
        Token::Number("0") => Ok(Some(false)),
        Token::Number("1") => Ok(Some(true)),
        Token::Bare(text) => Ok(Some(text.eq_ignore_ascii_case("true"))),
        Token::Text(text) => Ok(Some(text.eq_ignore_ascii_case("true"))),
        Token::Number(_) | Token::Object | Token::Array => Err(DecodeError::BadField {
            name,
            problem: "is not a boolean",
        }),
    }
}

fn int32(name: &'static str, value: &Token<'_>) -> Result<Option<i32>, DecodeError> {
    let Some(value) = int64(name, value)? else {
        return Ok(None);
    };
    let value = i32::try_from(value).map_err(|_| DecodeError::BadField {
        name,
        problem: "is not a whole number of 32 bits",
    })?;
    Ok(Some(value))
}

/// A whole number as the reference reads it: `2`, `2.0`, `2e0`, with or without quotes.
pub(super) fn int64(name: &'static str, value: &Token<'_>) -> Result<Option<i64>, DecodeError> {
    let number = match value {
        Token::Null => return Ok(None),
        Token::Number(text) | Token::Bare(text) => whole(text),
        Token::Text(text) => whole(text),
        Token::Bool(_) | Token::Object | Token::Array => None,
    };
    let number = number.ok_or(DecodeError::BadField {
        name,
        problem: "is not a whole number of 64 bits",
    })?;
    Ok(Some(number))
}

fn unsigned(name: &'static str, value: &Token<'_>) -> Result<Option<u64>, DecodeError> {
    if let Token::Number(text) = value
        && let Ok(number) = text.parse()
    {
        return Ok(Some(number));
    }
    let Some(number) = int64(name, value)? else {
        return Ok(None);
    };
    let number = u64::try_from(number).map_err(|_| DecodeError::BadField {
        name,
        problem: "is negative",
    })?;
    Ok(Some(number))
}

fn whole(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let float: f64 = text.parse().ok()?;
    // 2^63 as a float: the first beyond i64. −2^63 itself is within.
    const END: f64 = 9_223_372_036_854_775_808.0;
    let within = (-END..END).contains(&float) && float.fract() == 0.0;
    // An integer that did not parse above but rounds into the range was out of it.
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'-' || b == b'+');
    (within && !plain).then_some(float as i64)
}
