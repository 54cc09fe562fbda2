//! The opening handshake (RFC 6455 §4) as text: both ends.
//!
//! Offered extensions and subprotocols are ignored, as MobileIMSDK's server does. Not here: which paths and origins are welcome. Called by the
//! WebSocket transport of the server and by the client library.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httparse::{EMPTY_HEADER, Header, Status};
use sha1::{Digest, Sha1};

use crate::limits;

/// A request to open a WebSocket, checked but for its path, origin and credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade<'h> {
    /// The path asked for, without the query.
    pub path: &'h str,
    /// What follows the `?`, if there is one.
    pub query: Option<&'h str>,
    /// The client's key; give it to [`write_101`].
    pub key: &'h str,
    /// `Host`.
    pub host: Option<&'h str>,
    /// `Origin`: the web page that asks; set by every browser.
    pub origin: Option<&'h str>,
    /// `Authorization`.
    pub authorization: Option<&'h str>,
    /// `Cookie`.
    pub cookie: Option<&'h str>,
    /// `X-Forwarded-For`: to be believed only of trusted proxies.
    pub forwarded_for: Option<&'h str>,
}

/// Why a request is refused; answer with [`write_refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// For people.
    pub reason: &'static str,
}

/// Why a server's answer does not open the WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Not HTTP.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// Longer than [`limits::UPGRADE_HEAD_BYTES_MAX`], or more lines than
    /// [`limits::UPGRADE_HEADERS_MAX`].
    #[error("the answer's head is too long")]
    TooLong,
    /// Not 101.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// A header that must be there is not, or says something else.
    #[error("the answer's header `{0}` is missing or wrong")]
    Header(&'static str),
}

const BAD_REQUEST: u16 = 400;
const UPGRADE_REQUIRED: u16 = 426;

const fn refuse(status: u16, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

/// Server: reads a request to upgrade. `Ok(None)`: the head is not whole yet; otherwise also how
/// many bytes it takes.
///
/// # Errors
/// 400 (not HTTP, bad key), 405 (not GET), 426 (no upgrade asked for, or not version 13), 431
/// (longer than [`limits::UPGRADE_HEAD_BYTES_MAX`]), 505 (not HTTP/1.1).
pub fn parse_upgrade(head: &[u8]) -> Result<Option<(Upgrade<'_>, usize)>, Refusal> {
    const TOO_LONG: Refusal = refuse(431, "the request's head is too long");
    let mut headers = [EMPTY_HEADER; limits::UPGRADE_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let used = match request.parse(head) {
        Ok(Status::Complete(used)) if used <= limits::UPGRADE_HEAD_BYTES_MAX => used,
        Ok(Status::Partial) if head.len() <= limits::UPGRADE_HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(TOO_LONG),
        Err(httparse::Error::Version) => return Err(refuse(505, "HTTP/1.1 is spoken here")),
        Err(_) => return Err(refuse(BAD_REQUEST, "this is not HTTP")),
    };
    if request.method != Some("GET") {
        return Err(refuse(405, "a WebSocket is opened with GET"));
    }
    if request.version != Some(1) {
        return Err(refuse(505, "a WebSocket is opened with HTTP/1.1"));
    }
    let target = request.path.unwrap_or_default();
    let upgrade = check_upgrade(request.headers, target)?;
    Ok(Some((upgrade, used)))
}

fn check_upgrade<'h>(headers: &[Header<'h>], target: &'h str) -> Result<Upgrade<'h>, Refusal> {
    if !lists(headers, "connection", "upgrade") || !lists(headers, "upgrade", "websocket") {
        return Err(refuse(UPGRADE_REQUIRED, "a WebSocket is opened here"));
    }
    if one(headers, "sec-websocket-version") != Some("13") {
        return Err(refuse(
            UPGRADE_REQUIRED,
            "WebSocket version 13 is spoken here",
        ));
    }
    let key = one(headers, "sec-websocket-key").filter(|key| is_key(key));
    let key = key.ok_or(refuse(
        BAD_REQUEST,
        "sec-websocket-key is not 16 bytes in base64",
    ))?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    Ok(Upgrade {
        path,
        query,
        key,
        host: one(headers, "host"),
        origin: one(headers, "origin"),
        authorization: one(headers, "authorization"),
        cookie: one(headers, "cookie"),
        forwarded_for: one(headers, "x-forwarded-for"),
    })
}

fn is_key(key: &str) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// The value of a header that stands there exactly once, without blanks around it.
fn one<'h>(headers: &[Header<'h>], name: &str) -> Option<&'h str> {
    let mut found = values(headers, name);
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

/// Whether any header `name` lists `token`, in any case.
fn lists(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

fn values<'h>(headers: &[Header<'h>], name: &str) -> impl Iterator<Item = &'h str> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .filter_map(|header| std::str::from_utf8(header.value).ok())
        .map(str::trim)
}

/// What a server answers to a client's key (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

/// Server: appends the answer that opens the WebSocket: the three headers that the reference
/// server sends, and no more.
pub fn write_101(key: &str, out: &mut Vec<u8>) {
    put_lines(
        out,
        &[
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n",
            "sec-websocket-accept: ",
            &accept_key(key),
            "\r\n\r\n",
        ],
    );
}

/// Server: appends an answer that says no, with `text` as its body; the connection ends with it.
pub fn write_refusal(status: u16, text: &str, out: &mut Vec<u8>) {
    let (name, extra) = match status {
        400 => ("Bad Request", ""),
        401 => ("Unauthorized", ""),
        403 => ("Forbidden", ""),
        404 => ("Not Found", ""),
        405 => ("Method Not Allowed", "allow: GET\r\n"),
        426 => (
            "Upgrade Required",
            "upgrade: websocket\r\nsec-websocket-version: 13\r\n",
        ),
        429 => ("Too Many Requests", ""),
        431 => ("Request Header Fields Too Large", ""),
        503 => ("Service Unavailable", ""),
        505 => ("HTTP Version Not Supported", ""),
        _ => ("Refused", ""),
    };
    // Of 426 RFC 9110 §7.8 demands that `connection` lists `upgrade`.
    let connection = if status == UPGRADE_REQUIRED {
        "connection: close, upgrade\r\n"
    } else {
        "connection: close\r\n"
    };
    put_lines(
        out,
        &[
            &format!("HTTP/1.1 {status} {name}\r\n"),
            connection,
            extra,
            "content-type: text/plain; charset=utf-8\r\n",
            &format!("content-length: {}\r\n\r\n", text.len()),
            text,
        ],
    );
}

/// Client: appends the request to upgrade. `key` is 16 fresh random bytes in base64. Blanks and
/// control characters in `host` and `path` are left out, so that neither can add a header.
pub fn write_request(host: &str, path: &str, key: &str, out: &mut Vec<u8>) {
    let clean = |text: &str| -> String {
        let inside = |c: &char| !c.is_control() && !c.is_whitespace();
        text.chars().filter(inside).collect()
    };
    put_lines(
        out,
        &[
            "GET ",
            &clean(path),
            " HTTP/1.1\r\nhost: ",
            &clean(host),
            "\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n",
            "sec-websocket-key: ",
            &clean(key),
            "\r\n\r\n",
        ],
    );
}

/// Client: reads the answer to the request that carried `key`. `Ok(None)`: not whole yet;
/// otherwise how many bytes it takes.
///
/// # Errors
/// Everything but a 101 that fits the key and adds nothing that was not asked for (RFC 6455 §4.1).
pub fn parse_response(head: &[u8], key: &str) -> Result<Option<usize>, ResponseError> {
    let mut headers = [EMPTY_HEADER; limits::UPGRADE_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(head) {
        Ok(Status::Complete(used)) if used <= limits::UPGRADE_HEAD_BYTES_MAX => used,
        Ok(Status::Partial) if head.len() <= limits::UPGRADE_HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::TooLong),
        Err(_) => return Err(ResponseError::NotHttp),
    };
    let status = response.code.unwrap_or_default();
    if status != 101 {
        return Err(ResponseError::Status(status));
    }
    let headers = response.headers;
    if !lists(headers, "upgrade", "websocket") {
        return Err(ResponseError::Header("upgrade"));
    }
    if !lists(headers, "connection", "upgrade") {
        return Err(ResponseError::Header("connection"));
    }
    if one(headers, "sec-websocket-accept") != Some(&accept_key(key)) {
        return Err(ResponseError::Header("sec-websocket-accept"));
    }
    for name in ["sec-websocket-extensions", "sec-websocket-protocol"] {
        if values(headers, name).next().is_some() {
            return Err(ResponseError::Header(name));
        }
    }
    Ok(Some(used))
}

fn put_lines(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}
