//! MobileIMSDK over WebSocket: `mobileimsdk-protocol.md` §1.3, and `/echo` for conformance suites.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::ids::LinkId;
use tidings_core::limits;
use tidings_core::session::Transport;
use tidings_core::wire::mobileimsdk;
use tidings_core::wire::websocket::handshake::{self, parse_upgrade};
use tidings_core::wire::websocket::{Decoder, Event, Opcode, Role};

use super::stream::{self, End};
use crate::link::{Framing, Socket, StreamLink};
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
pub(crate) async fn serve(router: Arc<Router>, socket: Socket, echo: bool) {
    let link = StreamLink::new(socket, Framing::WebSocket);
    let Ok(Some((purpose, rest))) = Box::pin(tokio::time::timeout(
        UPGRADE_WITHIN,
        upgrade(&router, &link, echo),
    ))
    .await
    else {
        link.close_raw();
        return Box::pin(link.linger()).await;
    };
    link.flush();
    match purpose {
        Purpose::Messages(id) => messages(&router, &link, id, rest).await,
        Purpose::Echo => echo_back(&router, &link, rest).await,
    }
    Box::pin(link.linger()).await;
}

/// Reads the request and answers it. `None`: the connection ends. Also returns what the client sent
/// behind its request without waiting for the answer.
async fn upgrade(
    router: &Arc<Router>,
    link: &Arc<StreamLink>,
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
    let mut decoder = Decoder::new(Role::Server, limits::WEBSOCKET_MESSAGE_BYTES_MAX);
    let end = stream::read_after(router, link, rest, |bytes| {
        let mut used = 0;
        let mut outcome = Ok(());
        // Frames borrow from the buffer, so each message is handed on before the next is decoded.
        loop {
            let (event, n) = match decoder.next(&mut bytes[used..]) {
                Ok(step) => step,
                Err(error) => {
                    link.close(error.code(), &error.to_string());
                    outcome = Err(End::Closing);
                    break;
                }
            };
            used += n;
            match event {
                None => break,
                Some(Event::Text(text)) => match mobileimsdk::decode_str(&text) {
                    Ok(frame) => {
                        router.arrived(id, vec![Arrival::Frame(frame, text.len())]);
                    }
                    Err(error) => {
                        router.arrived(id, vec![Arrival::Unreadable(error.to_string())]);
                    }
                },
                Some(Event::Binary(_)) => {
                    link.close(1003, "frames are text");
                    outcome = Err(End::Closing);
                    break;
                }
                Some(Event::Ping(payload)) => {
                    link.push_websocket(Opcode::Pong, payload);
                    link.flush();
                    router.arrived(id, vec![Arrival::Heard]);
                }
                Some(Event::Pong(_)) => router.arrived(id, vec![Arrival::Heard]),
                Some(Event::Close { code, .. }) => {
                    link.close_with(code);
                    outcome = Err(End::Closing);
                    break;
                }
            }
        }
        outcome.map(|()| used)
    })
    .await;
    router.closed(id);
    if end == End::Gone {
        link.close(1000, "");
    }
}

/// Every message back as it came: the same reading, outbox and closing as above.
async fn echo_back(router: &Router, link: &Arc<StreamLink>, rest: Vec<u8>) {
    let mut decoder = Decoder::new(Role::Server, limits::ECHO_MESSAGE_BYTES_MAX);
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
