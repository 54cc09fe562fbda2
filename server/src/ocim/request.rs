//! What a request says, read and bounded before anybody decides about it.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;
use tidings_core::limits;
use tidings_core::secret::Secret;
use tidings_core::wire::ocim::{Identity, Packet, PacketType, QueryError, decode, parse_query};

use super::answer::Answer;
use crate::transport::http::Peer;
use crate::transport::watched::Connection;

/// Whose request it is. Each side has a cookie of its own: both pages can be open in one browser,
/// and a login of one does not disturb the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Customer,
    Agent,
}

impl Side {
    /// The name of the cookie with the session's token.
    pub(super) fn cookie(self) -> &'static str {
        match self {
            Side::Customer => "tidings-customer",
            Side::Agent => "tidings-agent",
        }
    }

    /// Agents say so, and only when they log in: nothing else of theirs is a request by HTTP.
    fn of(packet: &Packet) -> Side {
        match (packet.kind, packet.from_idy()) {
            (PacketType::Auth, Some(Identity::Waiter)) => Side::Agent,
            _ => Side::Customer,
        }
    }
}

/// Between the token and an agent's status in his cookie: a character of no token.
pub(super) const STATUS_MARK: char = '!';

/// One request.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) address: IpAddr,
    /// Of which it is to be known when somebody has shown who he is.
    pub(super) connection: Connection,
    /// What becomes of the connection, if the client wants to leave HTTP.
    pub(super) upgrade: Option<OnUpgrade>,
    pub(super) packet: Packet,
    pub(super) side: Side,
    /// The packet stood in the URL.
    pub(super) packet_in_url: bool,
    pub(super) ack: Option<u64>,
    /// A token in the query, in the header, in the cookie: the first that there is counts.
    pub(super) tokens: Tokens,
}

/// Where a session's token can stand.
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) query: Option<Secret>,
    pub(super) bearer: Option<Secret>,
    pub(super) cookie: Option<Secret>,
    /// The status with which an agent logged in, as his cookie remembers it.
    pub(super) status: Option<String>,
}

impl Asked {
    /// Reads head and body. Of somebody whose token is not `known` less is read.
    pub(super) async fn read(
        request: Request,
        peer: Peer,
        known: impl FnOnce(&Secret) -> bool,
    ) -> Result<Asked, Answer> {
        let (mut head, body) = request.into_parts();
        if head.method != Method::GET && head.method != Method::POST {
            let refused = Answer::refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET, POST and OPTIONS are taken here",
            );
            let allow = axum::http::HeaderValue::from_static("GET, POST, OPTIONS");
            return Err(refused.header(header::ALLOW, allow));
        }
        let query = head.uri.query().unwrap_or_default();
        let query = parse_query(query).map_err(|error| {
            let status = match error {
                QueryError::TooLong { .. } => StatusCode::URI_TOO_LONG,
                _ => StatusCode::UNAUTHORIZED,
            };
            Answer::refuse(status, &error.to_string())
        })?;
        // Only an agent's AUTH goes by another cookie, and that is short.
        let mut tokens = Tokens {
            query: query.token,
            bearer: bearer(&head.headers),
            ..Tokens::default()
        };
        tokens.take_cookie(&head.headers, Side::Customer);
        let admitted = tokens.first().is_some_and(known);
        if admitted {
            peer.connection.admit();
        }
        let bytes_max = match admitted {
            true => limits::OCIM_PACKET_BYTES_MAX,
            false => limits::UNADMITTED_BODY_BYTES_MAX,
        };
        let body = read_body(body, bytes_max).await?;
        let unreadable = |reason: &str| Answer::refuse(StatusCode::UNAUTHORIZED, reason);
        let (json, packet_in_url) = match (&body[..], &query.packet) {
            ([], Some(packet)) => (packet.as_bytes(), true),
            ([], None) => return Err(unreadable("there is no `packet`")),
            (body, _) => (body, false),
        };
        let packet = decode(json).map_err(|error| unreadable(&error.to_string()))?;
        let side = Side::of(&packet);
        if side != Side::Customer {
            tokens.take_cookie(&head.headers, side);
        }
        Ok(Asked {
            method: head.method,
            version: head.version,
            upgrade: head.extensions.remove(),
            headers: head.headers,
            address: peer.address.ip(),
            connection: peer.connection,
            packet,
            side,
            packet_in_url,
            ack: query.ack,
            tokens,
        })
    }

    /// True if a password or token stands in the URL.
    pub(super) fn has_credentials_in_url(&self) -> bool {
        let is_auth = self.packet.kind == PacketType::Auth;
        self.tokens.query.is_some()
            || (self.packet_in_url && is_auth && !self.packet.content().is_empty())
    }

    /// The session's token.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.tokens.first()
    }
}

impl Tokens {
    /// Takes the token of one side from its cookie.
    fn take_cookie(&mut self, headers: &HeaderMap, side: Side) {
        (self.cookie, self.status) = cookie(headers, side.cookie())
            .map(|value| match value.split_once(STATUS_MARK) {
                Some((token, status)) => (Some(Secret::from(token)), Some(status.to_owned())),
                None => (Some(Secret::from(value)), None),
            })
            .unwrap_or_default();
    }

    fn first(&self) -> Option<&Secret> {
        let given = self.query.as_ref().or(self.bearer.as_ref());
        given.or(self.cookie.as_ref())
    }
}

/// The whole body; one that is too long is refused as soon as that is known.
async fn read_body(mut body: Body, max: usize) -> Result<Vec<u8>, Answer> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            let reason = "the body was cut off";
            return Err(Answer::refuse(StatusCode::BAD_REQUEST, reason));
        };
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
        if bytes.len() > max {
            let before = match max < limits::OCIM_PACKET_BYTES_MAX {
                true => " before it is known who sends it",
                false => "",
            };
            let reason = format!("the packet has more than {max} bytes{before}: send less");
            return Err(Answer::refuse(StatusCode::PAYLOAD_TOO_LARGE, &reason));
        }
    }
    Ok(bytes)
}

fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())?;
    Some(Secret::from(token))
}

/// The first cookie of this name.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let found = cookies(headers).find(|(found, _)| *found == name);
    found.map(|(_, value)| value)
}

/// Names and values of all cookies.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let all = headers.get_all(header::COOKIE).into_iter();
    let pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim(), value.trim()))
}
