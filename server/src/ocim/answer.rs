//! Answers by HTTP: on every one, errors included, the headers that let a page read it, its
//! length, and gzip if that was asked for.

use std::io::Write as _;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use tidings_core::wire::ocim::{Packet, encode};

use super::settings::{Ocim, Origin};
use crate::origins::Origins;

/// Milliseconds of `Access-Control-Max-Age` are seconds there: an hour.
const PREFLIGHT_S: &str = "3600";
/// What hyper adds to every head: `date: ` and 29 characters, and the end of its line.
const DATE_BYTES: u64 = 37;

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Vec<u8>,
    /// The one cookie that is set.
    cookie: Option<String>,
    /// Beside those that every answer has.
    pub(super) headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Answer {
    fn new(status: StatusCode, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            body: body.into(),
            cookie: None,
            headers: Vec::new(),
        }
    }

    /// `{"ret":"ok"}`.
    pub(super) fn ok() -> Answer {
        Answer::new(StatusCode::OK, r#"{"ret":"ok"}"#)
    }

    /// The answer to a login: the session's token, as a cookie too. Tokens are base64: nothing in
    /// them needs an escape.
    pub(super) fn logged_in(token: &str, cookie: String) -> Answer {
        let body = format!(r#"{{"ret":"ok","token":"{token}"}}"#);
        Answer::new(StatusCode::OK, body).cookie(cookie)
    }

    /// JSON that is there already.
    pub(super) fn json(body: Vec<u8>) -> Answer {
        Answer::new(StatusCode::OK, body)
    }

    /// One packet.
    pub(super) fn packet(packet: &Packet) -> Answer {
        let mut body = Vec::new();
        encode(packet, &mut body);
        Answer::json(body)
    }

    /// A refusal, with words for people: `{"ret":"error","reason":"…"}`.
    pub(super) fn refuse(status: StatusCode, reason: &str) -> Answer {
        let body = serde_json::json!({ "ret": "error", "reason": reason });
        Answer::new(status, body.to_string())
    }

    /// Nothing but a status.
    pub(super) fn empty(status: StatusCode) -> Answer {
        Answer::new(status, Vec::new())
    }

    pub(super) fn cookie(mut self, cookie: String) -> Answer {
        self.cookie = Some(cookie);
        self
    }

    pub(super) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Answer {
        self.headers.push((name, value));
        self
    }
}

/// What of a request decides about the form of its answer.
#[derive(Debug, Clone)]
pub(super) struct Form {
    origin: Option<HeaderValue>,
    /// The page may use this server.
    pub(super) allowed: bool,
    /// `Access-Control-Allow-Origin`, if one is said.
    allow: Option<HeaderValue>,
    gzip: bool,
    explorer: bool,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap, settings: &Ocim, origins: &Origins) -> Form {
        let origin = headers.get(header::ORIGIN).cloned();
        let any = settings.compat.any_origin || settings.origin == Origin::Any;
        let (allowed, allow) = match (&origin, &settings.origin) {
            (None, _) if any => (true, Some(HeaderValue::from_static("*"))),
            (None, _) => (true, None),
            (Some(origin), Origin::One(one)) if origin.as_bytes() == one.as_bytes() => {
                (true, Some(origin.clone()))
            }
            (Some(origin), _) if any || allows(origins, origin, headers) => {
                (true, Some(origin.clone()))
            }
            (Some(_), _) => (false, None),
        };
        let text = |name| {
            let value = headers
                .get(name)
                .and_then(|v: &HeaderValue| v.to_str().ok());
            value.unwrap_or_default()
        };
        let agent = text(header::USER_AGENT);
        Form {
            origin,
            allowed,
            allow,
            gzip: accepts_gzip(text(header::ACCEPT_ENCODING)),
            explorer: agent.contains(";MSIE") || agent.contains("Trident/"),
        }
    }

    /// A preflight is answered and nothing is executed.
    pub(super) fn preflight(&self) -> Response {
        let answer = Answer::empty(StatusCode::NO_CONTENT);
        let mut response = self.dress(answer).0;
        if self.allow.is_some() {
            let headers = response.headers_mut();
            let mut put = |name, value| headers.insert(name, HeaderValue::from_static(value));
            put(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS");
            put(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "content-type, authorization",
            );
            put(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_S);
        }
        response
    }

    /// The response, and how many bytes of a connection it takes.
    pub(super) fn dress(&self, answer: Answer) -> (Response, u64) {
        let switching = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        let compressed = match self.gzip && !answer.body.is_empty() {
            true => gzip(&answer.body),
            false => None,
        };
        let zipped = compressed.is_some();
        let body = compressed.unwrap_or(answer.body);
        let mut headers = HeaderMap::new();
        let mut put = |name, value| headers.append(name, value);
        if let Some(allow) = &self.allow {
            put(header::ACCESS_CONTROL_ALLOW_ORIGIN, allow.clone());
            // A browser refuses `*` together with credentials.
            if self.origin.is_some() {
                let yes = HeaderValue::from_static("true");
                put(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
            }
        }
        put(
            header::VARY,
            HeaderValue::from_static("origin, accept-encoding"),
        );
        put(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.explorer {
            put(header::X_XSS_PROTECTION, HeaderValue::from_static("0"));
        }
        if let Some(cookie) = answer.cookie.and_then(|c| HeaderValue::try_from(c).ok()) {
            put(header::SET_COOKIE, cookie);
        }
        if !body.is_empty() {
            put(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        if !switching && answer.status != StatusCode::NO_CONTENT {
            put(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if zipped {
            put(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        for (name, value) in answer.headers {
            put(name, value);
        }
        let head = "HTTP/1.1 200 OK\r\n\r\n".len() as u64 + DATE_BYTES;
        let lines = headers.iter();
        let lines = lines.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
        let bytes = head + lines.sum::<usize>() as u64 + body.len() as u64;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = headers;
        (response, bytes)
    }
}

/// A page of this server, or one of those that may use it.
fn allows(origins: &Origins, origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    origin
        .to_str()
        .is_ok_and(|origin| origins.allows(origin, host))
}

/// Whether `gzip` is among the encodings and not switched off (`gzip;q=0`).
fn accepts_gzip(accept: &str) -> bool {
    accept.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let off = parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        gzip && !off
    })
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn whose_pages_may_use_it() {
        let mut settings = Settings::default().ocim;
        let origins = Origins::of_http(&Settings::default());
        let allow = |settings: &Ocim, pairs: &[_]| {
            let form = Form::of(&headers(pairs), settings, &origins);
            (form.allowed, form.allow)
        };
        let host = ("host", "im.example");
        let own = ("origin", "https://im.example");
        let other = ("origin", "https://shop.example");
        assert_eq!(allow(&settings, &[host]), (true, None));
        assert!(allow(&settings, &[host, own]).0);
        assert_eq!(allow(&settings, &[host, other]), (false, None));
        assert_eq!(allow(&settings, &[host, ("origin", "null")]), (false, None));
        settings.origin = Origin::parse("https://shop.example").unwrap();
        let reflected = Some(HeaderValue::from_static("https://shop.example"));
        assert_eq!(allow(&settings, &[host, other]), (true, reflected.clone()));
        let evil = ("origin", "https://shop.example.evil");
        assert_eq!(allow(&settings, &[host, evil]), (false, None));
        settings.origin = Origin::Same;
        settings.compat.any_origin = true;
        assert_eq!(allow(&settings, &[host, other]), (true, reflected));
        let star = Some(HeaderValue::from_static("*"));
        assert_eq!(allow(&settings, &[host]), (true, star));
    }

    #[test]
    fn who_reads_gzip() {
        for yes in ["gzip", "deflate, GZIP;q=0.5", "br,gzip"] {
            assert!(accepts_gzip(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "x-gzip", "gzip; q=0.0"] {
            assert!(!accepts_gzip(no), "{no}");
        }
    }

    #[test]
    fn origins_in_settings() {
        assert_eq!(Origin::parse("any"), Some(Origin::Any));
        assert_eq!(Origin::parse(""), Some(Origin::Same));
        for wrong in [
            "shop.example",
            "https://",
            "https://a/b",
            "https://a b",
            "*",
        ] {
            assert_eq!(Origin::parse(wrong), None, "{wrong}");
        }
    }
}
