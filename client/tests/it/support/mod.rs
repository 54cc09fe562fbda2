//! A server that does what the test says, over real sockets on loopback.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::borrow::Cow;
use std::net::SocketAddr;

use tidings_client::{Client, Event, Events};
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::login::{self, Login};
use tidings_core::wire::mobileimsdk::tcp::{self, Step};
use tidings_core::wire::mobileimsdk::{self, Extended, Frame};
use tidings_core::wire::websocket::{
    Decoder, Event as WsEvent, Opcode, Role, encode_frame, handshake,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// The server's end of one connection; on UDP, of whoever spoke last.
pub trait Peer {
    async fn receive_bytes(&mut self) -> Option<Vec<u8>>;
    async fn send_bytes(&mut self, body: &[u8]);

    /// The next frame; none once the client closed the connection.
    async fn receive(&mut self) -> Option<Frame<'static>> {
        let body = self.receive_bytes().await?;
        Some(mobileimsdk::decode(&body).unwrap().into_owned())
    }

    async fn send(&mut self, frame: &Frame<'_>) {
        let mut body = Vec::new();
        mobileimsdk::encode(frame, &mut body);
        self.send_bytes(&body).await;
    }

    async fn send_extended(&mut self, frame: &Frame<'_>, seq: u64, time_ms: i64) {
        let mut body = Vec::new();
        mobileimsdk::encode_extended(frame, seq, time_ms, &mut body);
        self.send_bytes(&body).await;
    }

    /// The next frame that is not a sign of life; those are answered.
    async fn expect(&mut self, kind: i32) -> Frame<'static> {
        loop {
            let frame = self.receive().await.expect("the client closed");
            if frame.kind == code::KEEPALIVE && kind != code::KEEPALIVE {
                self.send(&answer(code::KEEPALIVE_ANSWER, &frame, "{}"))
                    .await;
                continue;
            }
            assert_eq!(frame.kind, kind, "{frame:?}");
            return frame;
        }
    }

    /// Takes a login and answers it.
    async fn log_in(&mut self, code: i32, first_login_time: i64, tidings: bool) -> Login {
        let frame = self.expect(code::LOGIN).await;
        let payload = login::encode_login_answer(code, first_login_time, tidings);
        self.send(&answer(code::LOGIN_ANSWER, &frame, &payload))
            .await;
        login::decode_login(frame.data.as_deref().unwrap()).unwrap()
    }

    /// Takes a message and acknowledges it; returns its text.
    async fn take_message(&mut self) -> String {
        let frame = self.expect(code::COMMON_DATA).await;
        self.send(&ack(&frame)).await;
        frame.data.unwrap().into_owned()
    }
}

pub struct TcpPeer {
    pub socket: TcpStream,
    input: Vec<u8>,
}

impl Peer for TcpPeer {
    async fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Step::Frame { body, used } = tcp::next(&self.input, 1 << 20).unwrap() {
                let body = body.to_vec();
                self.input.drain(..used);
                return Some(body);
            }
            match self.socket.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn send_bytes(&mut self, body: &[u8]) {
        let mut bytes = Vec::new();
        tcp::put(&mut bytes, |out| out.extend_from_slice(body));
        self.socket.write_all(&bytes).await.unwrap();
    }
}

impl TcpPeer {
    /// Sends to a client that may be gone.
    pub async fn try_send(&mut self, frame: &Frame<'_>) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        tcp::put(&mut bytes, |out| mobileimsdk::encode(frame, out));
        self.socket.write_all(&bytes).await
    }
}

pub struct WsPeer {
    tcp: TcpPeer,
    decoder: Decoder,
    pub pings: usize,
}

impl WsPeer {
    /// Answers the opening handshake.
    pub async fn upgrade(mut tcp: TcpPeer) -> WsPeer {
        let used = loop {
            if let Some((upgrade, used)) = handshake::parse_upgrade(&tcp.input).unwrap() {
                assert_eq!(upgrade.path, "/websocket");
                let mut answer = Vec::new();
                handshake::write_101(upgrade.key, &mut answer);
                tcp.socket.write_all(&answer).await.unwrap();
                break used;
            }
            tcp.socket.read_buf(&mut tcp.input).await.unwrap();
        };
        tcp.input.drain(..used);
        let decoder = Decoder::new(Role::Server, 1 << 20);
        let pings = 0;
        WsPeer {
            tcp,
            decoder,
            pings,
        }
    }

    pub async fn send_frame(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) {
        let mut bytes = Vec::new();
        encode_frame(opcode, fin, None, payload, &mut bytes);
        self.tcp.socket.write_all(&bytes).await.unwrap();
    }

    /// What comes next, as text for data and pongs.
    pub async fn receive_any(&mut self) -> Option<(Opcode, Vec<u8>)> {
        loop {
            let (event, used) = self.decoder.next(&mut self.tcp.input).unwrap();
            let found = event.map(|event| match event {
                WsEvent::Text(text) => (Opcode::Text, text.as_bytes().to_vec()),
                WsEvent::Binary(bytes) => (Opcode::Binary, bytes.to_vec()),
                WsEvent::Ping(payload) => (Opcode::Ping, payload.to_vec()),
                WsEvent::Pong(payload) => (Opcode::Pong, payload.to_vec()),
                WsEvent::Close { .. } => (Opcode::Close, Vec::new()),
            });
            self.tcp.input.drain(..used);
            if found.is_some() {
                return found;
            }
            match self.tcp.socket.read_buf(&mut self.tcp.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

impl Peer for WsPeer {
    async fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.receive_any().await? {
                (Opcode::Text, body) => return Some(body),
                (Opcode::Ping, payload) => {
                    self.pings += 1;
                    self.send_frame(Opcode::Pong, true, &payload).await;
                }
                (Opcode::Pong, _) => {}
                (Opcode::Close, _) => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn send_bytes(&mut self, body: &[u8]) {
        self.send_frame(Opcode::Text, true, body).await;
    }
}

pub struct UdpPeer {
    pub socket: UdpSocket,
    pub client: Option<SocketAddr>,
}

impl UdpPeer {
    pub async fn bind() -> (UdpPeer, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let url = format!("udp://{}", socket.local_addr().unwrap());
        let client = None;
        (UdpPeer { socket, client }, url)
    }
}

impl Peer for UdpPeer {
    async fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        let mut body = vec![0; 65536];
        let (length, client) = self.socket.recv_from(&mut body).await.unwrap();
        self.client = Some(client);
        body.truncate(length);
        Some(body)
    }

    async fn send_bytes(&mut self, body: &[u8]) {
        let client = self.client.expect("nobody spoke yet");
        self.socket.send_to(body, client).await.unwrap();
    }
}

pub struct TcpServer {
    listener: TcpListener,
}

impl TcpServer {
    pub async fn bind() -> (TcpServer, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        (TcpServer { listener }, url)
    }

    pub async fn accept(&self) -> TcpPeer {
        let (socket, _) = self.listener.accept().await.unwrap();
        let input = Vec::new();
        TcpPeer { socket, input }
    }
}

/// A frame from the server about `asked`.
pub fn answer(kind: i32, asked: &Frame<'static>, payload: &str) -> Frame<'static> {
    Frame {
        kind,
        data: Some(Cow::Owned(payload.to_owned())),
        from: Some("0".into()),
        to: asked.from.clone(),
        typeu: -1,
        sm: -1,
        ..Frame::default()
    }
}

/// The acknowledgement of a message, from its receiver, as servers make it.
pub fn ack(message: &Frame<'static>) -> Frame<'static> {
    Frame {
        from: message.to.clone(),
        ..answer(code::RECEIVED, message, message.fp.as_deref().unwrap())
    }
}

/// A message with QoS.
pub fn message(from: &str, to: &str, id: &str, text: &str) -> Frame<'static> {
    Frame {
        kind: code::COMMON_DATA,
        data: Some(Cow::Owned(text.to_owned())),
        from: Some(Cow::Owned(from.to_owned())),
        to: Some(Cow::Owned(to.to_owned())),
        fp: Some(Cow::Owned(id.to_owned())),
        qos: true,
        typeu: -1,
        sm: 1_700_000_000_000,
        ..Frame::default()
    }
}

/// The numbers that a server adds for a client of ours.
pub fn extended(seq: u64) -> Extended {
    let time_ms = 1_700_000_000_000;
    Extended { seq, time_ms }
}

/// A client as alice.
pub async fn alice(url: &str) -> (Client, Events) {
    let builder = Client::builder(url).user("alice").token("t");
    builder.connect().await.unwrap()
}

/// The next message, whatever else happens before.
pub async fn next_text(events: &mut Events) -> String {
    loop {
        match events.next().await.expect("the client ended") {
            Event::Message(message) => return message.text,
            Event::Refused { .. } | Event::Kicked { .. } => panic!("the login ended"),
            _ => {}
        }
    }
}
