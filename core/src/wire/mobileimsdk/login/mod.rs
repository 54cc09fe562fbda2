//! Payloads: the JSON inside `dataContent` of login, login answer, error and kick-out (`docs/protocol.md` §3).
//!
//! Not here: what a login means. Called by the session's link and the client.

#[cfg(test)]
mod tests;

use std::fmt;

use super::DecodeError;
use super::frame::{int64, string};
use crate::limits;
use crate::wire::json::{Reader, Token, put_int, put_string};

// The words of the errors below name these limits.
const _: () = assert!(limits::DECLARED_CAPS_MAX == 16 && limits::NAME_BYTES_MAX == 64);

/// Payload of a LOGIN frame. Its `Debug` hides the token.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// Who (`loginUserId`).
    pub user: Option<String>,
    /// His proof (`loginToken`), for the application to verify.
    pub token: Option<String>,
    /// For the application.
    pub extra: Option<String>,
    /// What the first answer of this login gave, milliseconds since 1970 UTC; 0 for a fresh login
    /// and when absent.
    pub first_login_time: i64,
    /// Our extension (`tidings`), if the client declared it.
    pub tidings: Option<Declared>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("first_login_time", &self.first_login_time)
            .field("tidings", &self.tidings)
            .finish_non_exhaustive()
    }
}

/// What a client declares about itself in the member `tidings` of its login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Name of this installation; `default` when absent. At most [`limits::NAME_BYTES_MAX`] bytes.
    pub device: String,
    /// Its class (phone, web…); `default` when absent. At most [`limits::NAME_BYTES_MAX`] bytes.
    pub class: String,
    /// Capabilities, at most [`limits::DECLARED_CAPS_MAX`] of [`limits::NAME_BYTES_MAX`] bytes.
    pub caps: Vec<String>,
}

impl Default for Declared {
    fn default() -> Declared {
        Declared {
            device: "default".to_owned(),
            class: "default".to_owned(),
            caps: Vec::new(),
        }
    }
}

/// Payload of a login answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoginAnswer {
    /// [`crate::wire::code::OK`], or why not.
    pub code: i32,
    /// What to present at the next login of the same session; −1 on failure.
    pub first_login_time: i64,
    /// Whether the server speaks our extensions.
    pub tidings: bool,
}

/// Payload of a type-52 frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorNotice {
    /// `errorCode`.
    pub code: i32,
    /// `errorMsg`; empty when absent.
    pub message: String,
}

/// Payload of a kick-out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kickout {
    /// A kick code of [`crate::wire::code`].
    pub code: i32,
    /// For people; `None` if it is empty or absent.
    pub reason: Option<String>,
}

/// Reads a login's payload, as leniently as a frame.
///
/// # Errors
/// As [`super::decode`]. The member `tidings` is read strictly: an ill-typed or too long value in
/// it is an error that names it; unknown members in it are passed over.
pub fn decode_login(json: &str) -> Result<Login, DecodeError> {
    let mut login = Login::default();
    members(json, |name, value, reader| {
        match name {
            "loginUserId" => login.user = text("loginUserId", value)?,
            "loginToken" => login.token = text("loginToken", value)?,
            "extra" => login.extra = text("extra", value)?,
            "firstLoginTime" => {
                if let Some(time) = int64("firstLoginTime", &value)? {
                    login.first_login_time = time;
                }
            }
            "tidings" => login.tidings = declared(value, reader)?,
            _ => reader.skip_open(&value)?,
        }
        Ok(())
    })?;
    Ok(login)
}

/// Writes a login's payload; what is not set is left out, `firstLoginTime` never.
#[must_use]
pub fn encode_login(login: &Login) -> String {
    let mut out = Writer::new();
    for (name, value) in [
        ("loginUserId", &login.user),
        ("loginToken", &login.token),
        ("extra", &login.extra),
    ] {
        if let Some(value) = value {
            out.name(name).string(value);
        }
    }
    out.name("firstLoginTime").int(login.first_login_time);
    if let Some(declared) = &login.tidings {
        out.name("tidings").open(b'{');
        out.name("device").string(&declared.device);
        out.name("class").string(&declared.class);
        out.name("caps").open(b'[');
        for cap in &declared.caps {
            out.comma().string(cap);
        }
        out.close(b']').close(b'}');
    }
    out.end()
}

/// Writes a login answer's payload. `tidings` says that frames carry our extensions from here on.
#[must_use]
pub fn encode_login_answer(code: i32, first_login_time: i64, tidings: bool) -> String {
    let mut out = Writer::new();
    out.name("code").int(i64::from(code));
    out.name("firstLoginTime").int(first_login_time);
    if tidings {
        out.name("tidings").open(b'{').close(b'}');
    }
    out.end()
}

/// Reads a login answer's payload. Any value of `tidings` but null and false counts as declared.
///
/// # Errors
/// As [`super::decode`].
pub fn decode_login_answer(json: &str) -> Result<LoginAnswer, DecodeError> {
    let mut answer = LoginAnswer::default();
    members(json, |name, value, reader| {
        match name {
            "code" => answer.code = code("code", &value)?,
            "firstLoginTime" => {
                if let Some(time) = int64("firstLoginTime", &value)? {
                    answer.first_login_time = time;
                }
            }
            "tidings" => {
                answer.tidings = !matches!(value, Token::Null | Token::Bool(false));
                reader.skip_open(&value)?;
            }
            _ => reader.skip_open(&value)?,
        }
        Ok(())
    })?;
    Ok(answer)
}

/// Writes the payload of a type-52 frame.
#[must_use]
pub fn encode_error(code: i32, message: &str) -> String {
    let mut out = Writer::new();
    out.name("errorCode").int(i64::from(code));
    out.name("errorMsg").string(message);
    out.end()
}

/// Reads the payload of a type-52 frame.
///
/// # Errors
/// As [`super::decode`].
pub fn decode_error(json: &str) -> Result<ErrorNotice, DecodeError> {
    let mut notice = ErrorNotice::default();
    members(json, |name, value, reader| {
        match name {
            "errorCode" => notice.code = code("errorCode", &value)?,
            "errorMsg" => notice.message = text("errorMsg", value)?.unwrap_or_default(),
            _ => reader.skip_open(&value)?,
        }
        Ok(())
    })?;
    Ok(notice)
}

/// Writes the payload of a kick-out. `reason` is always there, empty if there is none: Flutter's
/// client throws without it.
#[must_use]
pub fn encode_kickout(code: i32, reason: Option<&str>) -> String {
    let mut out = Writer::new();
    out.name("code").int(i64::from(code));
    out.name("reason").string(reason.unwrap_or_default());
    out.end()
}

/// Reads the payload of a kick-out.
///
/// # Errors
/// As [`super::decode`].
pub fn decode_kickout(json: &str) -> Result<Kickout, DecodeError> {
    let mut kickout = Kickout::default();
    members(json, |name, value, reader| {
        match name {
            "code" => kickout.code = code("code", &value)?,
            "reason" => kickout.reason = text("reason", value)?.filter(|r| !r.is_empty()),
            _ => reader.skip_open(&value)?,
        }
        Ok(())
    })?;
    Ok(kickout)
}

/// Calls `each` with every member of the one object in `json`.
fn members<'a>(
    json: &'a str,
    mut each: impl FnMut(&str, Token<'a>, &mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(json);
    reader.open_object()?;
    let mut first = true;
    while let Some(name) = reader.next_name(first)? {
        first = false;
        let value = reader.value()?;
        each(&name, value, &mut reader)?;
    }
    reader.end()
}

fn text(name: &'static str, value: Token<'_>) -> Result<Option<String>, DecodeError> {
    Ok(string(name, value)?.map(|text| text.into_owned()))
}

fn code(name: &'static str, value: &Token<'_>) -> Result<i32, DecodeError> {
    let code = int64(name, value)?.unwrap_or_default();
    i32::try_from(code).map_err(|_| DecodeError::BadField {
        name,
        problem: "is not a whole number of 32 bits",
    })
}

/// The member `tidings`, strictly.
fn declared<'a>(
    value: Token<'a>,
    reader: &mut Reader<'a>,
) -> Result<Option<Declared>, DecodeError> {
    match value {
        Token::Null => return Ok(None),
        Token::Object => {}
        _ => {
            return Err(DecodeError::BadField {
                name: "tidings",
                problem: "is not an object",
            });
        }
    }
    let mut declared = Declared::default();
    let mut first = true;
    while let Some(name) = reader.next_name(first)? {
        first = false;
        let value = reader.value()?;
        match &*name {
            "device" => declared.device = short("tidings.device", value)?,
            "class" => declared.class = short("tidings.class", value)?,
            "caps" => declared.caps = caps(&value, reader)?,
            _ => reader.skip_open(&value)?,
        }
    }
    Ok(Some(declared))
}

fn caps<'a>(value: &Token<'a>, reader: &mut Reader<'a>) -> Result<Vec<String>, DecodeError> {
    const NAME: &str = "tidings.caps";
    if *value != Token::Array {
        return Err(DecodeError::BadField {
            name: NAME,
            problem: "is not an array of strings",
        });
    }
    let mut caps = Vec::new();
    while let Some(cap) = reader.next_element(caps.is_empty())? {
        if caps.len() == limits::DECLARED_CAPS_MAX {
            return Err(DecodeError::BadField {
                name: NAME,
                problem: "has more than 16 elements",
            });
        }
        caps.push(short(NAME, cap)?);
    }
    Ok(caps)
}

fn short(name: &'static str, value: Token<'_>) -> Result<String, DecodeError> {
    let problem = match value {
        Token::Text(text) if text.is_empty() => "is empty",
        Token::Text(text) if text.len() > limits::NAME_BYTES_MAX => "is longer than 64 bytes",
        Token::Text(text) if text.chars().any(char::is_control) => "contains a control character",
        Token::Text(text) => return Ok(text.into_owned()),
        _ => "is not a string",
    };
    Err(DecodeError::BadField { name, problem })
}

/// Writes one JSON object.
struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn new() -> Writer {
        let mut out = Vec::with_capacity(128);
        out.push(b'{');
        Writer { out }
    }

    fn comma(&mut self) -> &mut Writer {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
        self
    }

    fn name(&mut self, name: &str) -> &mut Writer {
        self.comma();
        put_string(name, &mut self.out);
        self.out.push(b':');
        self
    }

    fn string(&mut self, value: &str) -> &mut Writer {
        put_string(value, &mut self.out);
        self
    }

    fn int(&mut self, value: i64) -> &mut Writer {
        put_int(value, &mut self.out);
        self
    }

    fn open(&mut self, bracket: u8) -> &mut Writer {
        self.out.push(bracket);
        self
    }

    fn close(&mut self, bracket: u8) -> &mut Writer {
        self.out.push(bracket);
        self
    }

    fn end(mut self) -> String {
        self.out.push(b'}');
        // Only whole strings and ASCII went in.
        String::from_utf8(self.out).unwrap_or_default()
    }
}
