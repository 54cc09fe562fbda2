//! One frame in one WebSocket text message.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidings_core::limits;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{self, Frame};
use tidings_core::wire::websocket::{
    Decoder, Event, Opcode, Role, encode_close, encode_frame, handshake,
};
use uuid::Uuid;

use super::stream::Stream;
use super::{Heard, Target, invalid, read_frame};

/// Close code: all is done.
const NORMAL: u16 = 1000;

pub(crate) struct WebSocket {
    pub(super) stream: Stream,
    decoder: Decoder,
}

/// What a message from the server asks for.
enum Asked {
    Heard(io::Result<Heard>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl WebSocket {
    pub(super) async fn open(target: &Target) -> io::Result<WebSocket> {
        let mut stream = Stream::open(target).await?;
        let key = STANDARD.encode(Uuid::new_v4().as_bytes());
        handshake::write_request(&target.authority(), &target.path, &key, stream.output());
        loop {
            stream.turn(true).await?;
            let answer = handshake::parse_response(stream.input(), &key);
            if let Some(used) = answer.map_err(|error| invalid(error.to_string()))? {
                stream.consume(used);
                break;
            }
        }
        let decoder = Decoder::new(Role::Client, limits::WEBSOCKET_MESSAGE_BYTES_MAX);
        Ok(WebSocket { stream, decoder })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Heard>> {
        let (event, used) = match self.decoder.next(self.stream.input_mut()) {
            Ok(read) => read,
            Err(error) => {
                let reason = error.to_string();
                encode_close(Some(error.code()), &reason, mask(), self.stream.output());
                return Err(invalid(format!("the server broke the WebSocket: {reason}")));
            }
        };
        let asked = match event {
            None => None,
            Some(Event::Text(text)) => Some(Asked::Heard(read_frame(text.as_bytes()))),
            Some(Event::Binary(bytes)) => Some(Asked::Heard(read_frame(&bytes))),
            Some(Event::Pong(_)) => Some(Asked::Heard(Ok(Heard::Sign))),
            Some(Event::Ping(payload)) => Some(Asked::Pong(payload.to_vec())),
            Some(Event::Close { code, reason }) => Some(Asked::Close(code, reason.to_owned())),
        };
        self.stream.consume(used);
        match asked {
            None => Ok(None),
            Some(Asked::Heard(heard)) => heard.map(Some),
            Some(Asked::Pong(payload)) => {
                encode_frame(Opcode::Pong, true, mask(), &payload, self.stream.output());
                Ok(Some(Heard::Sign))
            }
            Some(Asked::Close(code, reason)) => {
                let code = code.map_or_else(String::new, |code| format!(": {code} {reason}"));
                Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the server closed the WebSocket{code}"),
                ))
            }
        }
    }

    /// A sign of life goes out as a ping, too, for whatever stands between and knows only those.
    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        let mut body = Vec::new();
        mobileimsdk::encode(frame, &mut body);
        encode_frame(Opcode::Text, true, mask(), &body, self.stream.output());
        if frame.kind == code::KEEPALIVE {
            encode_frame(Opcode::Ping, true, mask(), b"", self.stream.output());
        }
    }

    pub(super) fn push_close(&mut self) {
        encode_close(Some(NORMAL), "", mask(), self.stream.output());
    }
}

/// A fresh mask; the first bytes of such a UUID are all chance.
fn mask() -> Option<[u8; 4]> {
    let random = Uuid::new_v4();
    random.as_bytes().first_chunk::<4>().copied()
}
