//! MobileIMSDK over WebSocket: `docs/protocol.md` §1, and `/echo` for conformance suites.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::ids::LinkId;
use tidings_core::limits;
use tidings_core::session::Transport;
use tidings_core::wire::mobileimsdk;
use tidings_core::wire::websocket::handshake::{self, parse_upgrade};
use tidings_core::wire::websocket::{Decoder, Event, Opcode, ProtocolError, Role};

use super::stream::{self, End};
use crate::link::StreamLink;
use crate::origins::{Origins, Page};
use crate::router::{Arrival, Router};

/// Where MobileIMSDK's clients connect.
pub(crate) const PATH: &str = "/websocket";
/// Sends back what it gets; only with `serve --echo`.
pub(crate) const ECHO_PATH: &str = "/echo";
/// The upgrade must be there after so long.
const UPGRADE_WITHIN: Duration = Duration::from_millis(limits::LOGIN_MS_MAX);

/// What a connection is upgraded to.
enum Purpose {
    Messages(LinkId),
    Echo,
}

/// Serves one connection until it ends.
pub(crate) async fn serve(
    router: Arc<Router>,
    link: Arc<StreamLink>,
    origins: Arc<Origins>,
    echo: bool,
) {
    let Ok(Some((purpose, rest))) = Box::pin(tokio::time::timeout(
        UPGRADE_WITHIN,
        upgrade(&router, &link, &origins, echo),
    ))
    .await
    else {
        link.close_raw();
        drop(router);
        return Box::pin(link.linger()).await;
    };
    link.flush();
    match purpose {
        Purpose::Messages(id) => messages(&router, &link, id, rest).await,
        Purpose::Echo => echo_back(&router, &link, rest).await,
    }
    drop(router); // a server that stops need not wait for the peer
    Box::pin(link.linger()).await;
}

/// Reads the request and answers it. `None`: the connection ends. Also returns what the client sent
/// behind its request without waiting for the answer.
async fn upgrade(
    router: &Arc<Router>,
    link: &Arc<StreamLink>,
    origins: &Origins,
    echo: bool,
) -> Option<(Purpose, Vec<u8>)> {
    let mut result = None;
    stream::read(router, link, |bytes| {
        let (upgrade, used) = match parse_upgrade(bytes) {
            Ok(Some(upgrade)) => upgrade,
            Ok(None) => return Ok(0),
            Err(refusal) => {
                refuse(link, refusal.status, refusal.reason);
                return Err(End::Closing);
            }
        };
        let is_echo = echo && upgrade.path == ECHO_PATH;
        if !is_echo && upgrade.path != PATH {
            refuse(link, 404, "the WebSocket is at /websocket");
            return Err(End::Closing);
        }
        let page = Page {
            host: upgrade.host,
            origin: upgrade.origin,
            browser: upgrade.cookie.is_some(),
        };
        if let Err(refused) = origins.check(page) {
            tracing::debug!(?page, %refused, "no upgrade");
            refuse(link, 403, &refused.to_string());
            return Err(End::Closing);
        }
        let mut answer = Vec::new();
        handshake::write_101(upgrade.key, &mut answer);
        link.push_raw(&answer);
        let purpose = if is_echo {
            Purpose::Echo
        } else {
            Purpose::Messages(router.open_stream(link, Transport::WebSocket))
        };
        result = Some((purpose, bytes[used..].to_vec()));
        Err(End::Closing)
    })
    .await;
    result
}

fn refuse(link: &StreamLink, status: u16, text: &str) {
    let mut answer = Vec::new();
    handshake::write_refusal(status, text, &mut answer);
    link.push_raw(&answer);
}

async fn messages(router: &Arc<Router>, link: &Arc<StreamLink>, id: LinkId, rest: Vec<u8>) {
    let mut decoder = Decoder::new(Role::Server, limits::UNADMITTED_FRAME_BYTES_MAX);
    let end = stream::read_after(router, link, rest, |bytes| {
        let total = bytes.len();
        let mut rest = bytes;
        while !link.is_admitted() {
            // One by one: what follows a login waits in its bytes for the outcome.
            let before = rest.len();
            let used = {
                let mut arrivals = Vec::new();
                let outcome = gather_one(link, &mut decoder, rest, &mut arrivals);
                if !arrivals.is_empty() {
                    router.arrived(id, arrivals);
                }
                outcome?
            };
            rest = &mut rest[used..];
            if rest.len() == before || rest.is_empty() || link.is_held_back() {
                return Ok(total - rest.len());
            }
        }
        decoder.set_max_message(limits::WEBSOCKET_MESSAGE_BYTES_MAX);
        let behind = rest.len();
        let mut arrivals = Vec::with_capacity(behind / stream::FRAME_BYTES + 1);
        let outcome = gather(link, &mut decoder, rest, &mut arrivals);
        if !arrivals.is_empty() {
            router.arrived(id, arrivals);
        }
        outcome.map(|used| total - behind + used)
    })
    .await;
    router.closed(id);
    if end == End::Gone {
        link.close(1000, "");
    }
}

fn broken(link: &Arc<StreamLink>, error: &ProtocolError) -> End {
    link.close(error.code(), &error.to_string());
    End::Closing
}

/// Takes the next frame, or the part of one, that is there. Returns how many bytes were used.
fn gather_one<'b>(
    link: &Arc<StreamLink>,
    decoder: &mut Decoder,
    bytes: &'b mut [u8],
    arrivals: &mut Vec<Arrival<'b>>,
) -> Result<usize, End> {
    let next = decoder.next(bytes);
    let (event, used) = next.map_err(|error| broken(link, &error))?;
    if let Some(event) = event {
        arrivals.extend(take(link, event)?);
    }
    Ok(used)
}

/// Takes every frame that is there, so that they are decided together. Returns how many bytes
/// were used.
fn gather<'b>(
    link: &Arc<StreamLink>,
    decoder: &mut Decoder,
    bytes: &'b mut [u8],
    arrivals: &mut Vec<Arrival<'b>>,
) -> Result<usize, End> {
    let total = bytes.len();
    let mut rest = bytes;
    loop {
        if let Some(cut) = decoder.whole_frame(rest) {
            let (frame, behind) = rest.split_at_mut(cut);
            rest = behind;
            let next = decoder.next(frame);
            if let (Some(event), _) = next.map_err(|error| broken(link, &error))? {
                arrivals.extend(take(link, event)?);
            }
            continue;
        }
        let next = decoder.next(rest);
        let (event, used) = next.map_err(|error| broken(link, &error))?;
        let arrival = match event {
            None => None,
            // Put together from parts; what it says cannot stay in the buffer.
            Some(Event::Text(text)) => Some(owned_arrival(&text)),
            Some(event) => {
                take(link, event)?;
                None
            }
        };
        let is_last = arrival.is_none();
        arrivals.extend(arrival);
        rest = &mut rest[used..];
        if is_last {
            return Ok(total - rest.len());
        }
    }
}

fn arrival(text: &str) -> Arrival<'_> {
    match mobileimsdk::decode_str(text) {
        Ok(frame) => Arrival::Frame(frame, text.len()),
        Err(error) => Arrival::Unreadable(error.to_string()),
    }
}

fn owned_arrival(text: &str) -> Arrival<'static> {
    match mobileimsdk::decode_str(text) {
        Ok(frame) => Arrival::Frame(frame.into_owned(), text.len()),
        Err(error) => Arrival::Unreadable(error.to_string()),
    }
}

/// What one WebSocket event means to the session.
fn take<'b>(link: &Arc<StreamLink>, event: Event<'b>) -> Result<Option<Arrival<'b>>, End> {
    match event {
        Event::Text(Cow::Borrowed(text)) => Ok(Some(arrival(text))),
        Event::Text(Cow::Owned(text)) => Ok(Some(owned_arrival(&text))),
        Event::Binary(_) => {
            link.close(1003, "frames are text");
            Err(End::Closing)
        }
        Event::Ping(payload) => {
            link.push_websocket(Opcode::Pong, payload);
            link.flush();
            Ok(Some(Arrival::Heard))
        }
        Event::Pong(_) => Ok(Some(Arrival::Heard)),
        Event::Close { code, .. } => {
            link.close_with(code);
            Err(End::Closing)
        }
    }
}

/// Every message back as it came: the same reading, outbox and closing as above.
async fn echo_back(router: &Router, link: &Arc<StreamLink>, rest: Vec<u8>) {
    let mut decoder = Decoder::new(Role::Server, limits::ECHO_MESSAGE_BYTES_MAX);
    link.admit(); // whoever starts a server with `--echo` wants this
    stream::read_after(router, link, rest, |bytes| {
        let mut used = 0;
        loop {
            let (event, n) = decoder.next(&mut bytes[used..]).map_err(|error| {
                link.close(error.code(), &error.to_string());
                End::Closing
            })?;
            used += n;
            match event {
                None => break,
                Some(Event::Text(text)) => {
                    link.push_websocket(Opcode::Text, text.as_bytes());
                }
                Some(Event::Binary(bytes)) => {
                    link.push_websocket(Opcode::Binary, &bytes);
                }
                Some(Event::Ping(payload)) => {
                    link.push_websocket(Opcode::Pong, payload);
                }
                Some(Event::Pong(_)) => {}
                Some(Event::Close { code, .. }) => {
                    link.close_with(code);
                    return Err(End::Closing);
                }
            }
        }
        link.flush();
        Ok(used)
    })
    .await;
}
