//! What the tests of OCIM share: a server with a desk, pages that poll, pages with a WebSocket,
//! desktop agents, all over real sockets.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // in a test a panic is the report

pub(crate) mod page;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tidings_server::config::Settings;
use tidings_server::core::wire::websocket::{Decoder, Event, Opcode, Role, encode_frame};
use tidings_server::{Running, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::desk;

/// So long may anything take that must happen: only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// In memory, HTTP and agents on free ports, everything that old pages need.
pub(crate) fn settings() -> Settings {
    let mut settings = desk::settings(None);
    settings.listen.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.listen.agents = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.ocim.compat.credentials_in_url = true;
    settings.ocim.compat.send_by_get = true;
    settings.ocim.compat.any_origin = true;
    settings.web.hosts = vec!["im.example".to_owned()];
    settings.shutdown_ms = 2_000;
    settings
}

/// A server with the tenant `demo` of the desk's tests.
pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Running {
    let running = start_bare(change).await;
    desk::furnish(&running).await;
    running
}

/// Without it.
pub(crate) async fn start_bare(change: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = settings();
    change(&mut settings);
    Server::start(settings).await.unwrap()
}

pub(crate) fn http(running: &Running) -> SocketAddr {
    running.addresses().http.unwrap()
}

/// An answer by HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Bytes that came behind the answer.
    pub(crate) rest: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[track_caller]
    pub(crate) fn is_ok(&self) {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.json(), json!({"ret": "ok"}));
    }

    /// The session cookie that is set, `name=value`.
    pub(crate) fn cookie(&self) -> Option<String> {
        let cookie = self.header("set-cookie")?;
        Some(cookie.split(';').next().unwrap().to_owned())
    }
}

/// One request on a connection of its own.
pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    send_request(&mut stream, method, target, headers, body).await;
    answer(&mut stream).await.expect("no answer")
}

pub(crate) async fn send_request(
    stream: &mut TcpStream,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: im.example\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).await.unwrap();
}

/// Reads one answer; `None` if the connection ends without one. Every answer must say its length.
pub(crate) async fn answer(stream: &mut TcpStream) -> Option<Answer> {
    let read = async {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer {
            status: status.unwrap(),
            headers,
            body: Vec::new(),
            rest: bytes.split_off(end + 4),
        };
        assert_eq!(answer.header("transfer-encoding"), None, "chunked");
        let length = match answer.status {
            101 | 204 => 0,
            _ => answer
                .header("content-length")
                .expect("no length")
                .parse()
                .unwrap(),
        };
        while answer.rest.len() < length {
            assert!(stream.read_buf(&mut answer.rest).await.ok()? > 0, "cut off");
        }
        let rest = answer.rest.split_off(length);
        answer.body = std::mem::replace(&mut answer.rest, rest);
        Some(answer)
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("no answer in time")
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// URL-encoded.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// `/poll.io?packet=…&t=…`, as the demo page asks.
pub(crate) fn poll_io(packet: &Value) -> String {
    format!(
        "/poll.io?packet={}&t=1700000000000",
        encoded(&packet.to_string())
    )
}

pub(crate) fn ws_io(packet: &Value) -> String {
    format!(
        "/ws.io?packet={}&t=1700000000000",
        encoded(&packet.to_string())
    )
}

pub(crate) fn auth(ts: &str, uid: &str) -> Value {
    let mut from = json!({"idy": "CUSTOMER"});
    if !uid.is_empty() {
        from["uid"] = json!(uid);
    }
    json!({"type": "AUTH", "ts": ts, "from": from, "body": {"type": "LOGIN"}})
}

/// An agent's login on WebSocket.
pub(crate) fn agent_auth(user: &str, password: &str, status: &str) -> Value {
    let content = STANDARD.encode(format!("{user} {password} {status}"));
    json!({
        "type": "AUTH", "ts": "WEBSOCKET", "from": {"idy": "WAITER"},
        "body": {"type": "LOGIN", "content": content},
    })
}

/// A page that polls.
#[derive(Debug, Clone)]
pub(crate) struct Poller {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Poller {
    /// Logs in; `uid` empty is an anonymous visitor.
    pub(crate) async fn log_in(address: SocketAddr, uid: &str) -> Poller {
        let answer = request(address, "GET", &poll_io(&auth("POLLING", uid)), &[], "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        assert_eq!(json["ret"], "ok");
        Poller {
            address,
            token: json["token"].as_str().unwrap().to_owned(),
        }
    }

    /// Logs in again with the token that it has.
    pub(crate) async fn log_in_again(&mut self) {
        let answer = self.ask("POST", &auth("POLLING", "")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.token = answer.json()["token"].as_str().unwrap().to_owned();
    }

    /// A packet by POST or GET, with the token in a header.
    pub(crate) async fn ask(&self, method: &str, packet: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", &*bearer)];
        match method {
            "POST" => {
                request(
                    self.address,
                    "POST",
                    "/poll.io",
                    &headers,
                    &packet.to_string(),
                )
                .await
            }
            _ => request(self.address, "GET", &poll_io(packet), &headers, "").await,
        }
    }

    pub(crate) async fn poll(&self) -> Answer {
        self.ask("GET", &json!({"type": "POLL", "ts": "POLLING"}))
            .await
    }

    pub(crate) async fn poll_ack(&self, ack: u64) -> Answer {
        let packet = json!({"type": "POLL", "ts": "POLLING"});
        let target = format!("{}&ack={ack}", poll_io(&packet));
        let bearer = format!("Bearer {}", self.token);
        request(
            self.address,
            "GET",
            &target,
            &[("Authorization", &bearer)],
            "",
        )
        .await
    }

    pub(crate) async fn say(&self, pid: &str, text: &str) -> Answer {
        self.ask("POST", &message(pid, text)).await
    }

    /// Polls until a packet satisfies `wanted`; returns it, and drops those before.
    pub(crate) async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let answer = self.poll().await;
            assert_eq!(answer.status, 200, "{answer:?}");
            for packet in answer.json().as_array().into_iter().flatten() {
                if wanted(packet) {
                    return packet.clone();
                }
            }
        }
    }
}

pub(crate) fn message(pid: &str, text: &str) -> Value {
    json!({"type": "MESSAGE", "ts": "POLLING", "pid": pid, "body": {"type": "TEXT", "content": text}})
}

/// `type` or `type/body.type` of a packet.
pub(crate) fn kind(packet: &Value) -> String {
    let kind = packet["type"].as_str().unwrap_or("?");
    match packet["body"]["type"].as_str() {
        Some(body) => format!("{kind}/{body}"),
        None => kind.to_owned(),
    }
}

/// What a WebSocket brought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    Packet(Value),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    End,
}

/// A page, or an agent, with a WebSocket.
pub(crate) struct Ws {
    stream: TcpStream,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Pings are answered, as browsers do.
    pub(crate) pongs: bool,
    pub(crate) cookie: String,
}

impl Ws {
    /// Opens one; the refusal's answer otherwise.
    pub(crate) async fn try_open(
        address: SocketAddr,
        packet: &Value,
        headers: &[(&str, &str)],
    ) -> Result<Ws, Answer> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut all = vec![
            ("Upgrade", "websocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        all.extend(headers);
        send_request(&mut stream, "GET", &ws_io(packet), &all, "").await;
        let answer = answer(&mut stream).await.expect("no answer");
        if answer.status != 101 {
            return Err(answer);
        }
        assert_eq!(
            answer.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        let cookie = answer.cookie().expect("no cookie");
        Ok(Ws {
            stream,
            decoder: Decoder::new(Role::Client, 1 << 20),
            buffer: answer.rest,
            pongs: true,
            cookie,
        })
    }

    pub(crate) async fn open(address: SocketAddr, packet: &Value) -> Ws {
        match Ws::try_open(address, packet, &[]).await {
            Ok(ws) => ws,
            Err(answer) => panic!("{answer:?}"),
        }
    }

    pub(crate) async fn customer(address: SocketAddr, uid: &str) -> Ws {
        Ws::open(address, &auth("WEBSOCKET", uid)).await
    }

    /// An agent, bound.
    pub(crate) async fn agent(address: SocketAddr, user: &str) -> Ws {
        let mut ws = Ws::open(address, &agent_auth(user, desk::PASSWORD, "1")).await;
        ws.send(&json!({"type": "BIND", "body": {}})).await;
        let bound = ws.until("BIND/SUCCESS").await;
        let content: Value =
            serde_json::from_str(bound["body"]["content"].as_str().unwrap()).unwrap();
        assert_eq!(content["waiterCode"], user);
        ws
    }

    pub(crate) async fn send(&mut self, packet: &Value) {
        self.frame(Opcode::Text, true, packet.to_string().as_bytes())
            .await;
    }

    pub(crate) async fn say(&mut self, pid: &str, text: &str) {
        let mut packet = message(pid, text);
        packet["ts"] = json!("WEBSOCKET");
        self.send(&packet).await;
    }

    pub(crate) async fn frame(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) {
        self.try_frame(opcode, fin, payload).await.unwrap();
    }

    async fn try_frame(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        encode_frame(opcode, fin, Some([1, 2, 3, 4]), payload, &mut out);
        self.stream.write_all(&out).await
    }

    /// The next thing that comes; pings too.
    pub(crate) async fn next(&mut self) -> Frame {
        let read = async {
            loop {
                let (event, used) = self.decoder.next(&mut self.buffer).unwrap();
                let frame = event.map(|event| match event {
                    Event::Text(text) => Frame::Packet(serde_json::from_str(&text).unwrap()),
                    Event::Ping(payload) => Frame::Ping(payload.to_vec()),
                    Event::Pong(payload) => Frame::Pong(payload.to_vec()),
                    Event::Close { code, .. } => Frame::Close(code),
                    Event::Binary(_) => panic!("binary"),
                });
                self.buffer.drain(..used);
                if let Some(frame) = frame {
                    return frame;
                }
                if matches!(self.stream.read_buf(&mut self.buffer).await, Ok(0) | Err(_)) {
                    return Frame::End;
                }
            }
        };
        let frame = tokio::time::timeout(PATIENCE, read)
            .await
            .expect("nothing came");
        if let (Frame::Ping(payload), true) = (&frame, self.pongs) {
            // The server may be closing.
            let _ = self.try_frame(Opcode::Pong, true, payload).await;
        }
        frame
    }

    /// The next packet.
    pub(crate) async fn packet(&mut self) -> Value {
        loop {
            match self.next().await {
                Frame::Packet(packet) => return packet,
                Frame::Ping(_) | Frame::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next packet of this kind (`TYPE/BODY`), passing over others.
    pub(crate) async fn until(&mut self, wanted: &str) -> Value {
        loop {
            let packet = self.packet().await;
            if kind(&packet) == wanted {
                return packet;
            }
        }
    }

    /// The next text of somebody.
    pub(crate) async fn text(&mut self) -> String {
        let packet = self.until("MESSAGE/TEXT").await;
        packet["body"]["content"].as_str().unwrap().to_owned()
    }

    /// Lets everything that came be confirmed: with the first answer all that came before is read and
    /// confirmed, and the second is to something sent after that.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..2 {
            self.send(&json!({"type": "PING"})).await;
            self.until("PONG/TEXT").await;
        }
    }
}

/// The JSON in a packet's body.
pub(crate) fn content(packet: &Value) -> Value {
    serde_json::from_str(packet["body"]["content"].as_str().unwrap()).unwrap()
}

pub(crate) fn text(text: &str) -> Value {
    json!({"type": "TEXT", "content": text})
}

/// A packet of an agent to a customer.
pub(crate) fn to(customer: &str, kind: &str, pid: &str, body: Value) -> Value {
    json!({"type": kind, "pid": pid, "to": {"uid": customer, "idy": "CUSTOMER"}, "body": body})
}

/// An agent who serves a customer: both, and the `cid`.
pub(crate) async fn served(running: &Running, agent: &str, customer: &str) -> (Ws, Ws, Value) {
    let mut agent = Ws::agent(http(running), agent).await;
    let mut alice = Ws::customer(http(running), customer).await;
    alice.say("first", "hello").await;
    let cid = agent.until("BUILD_CHAT/SUCCESS").await["cid"].clone();
    agent.until("MESSAGE/TEXT").await;
    (agent, alice, cid)
}

pub(crate) async fn status(agent: &mut Ws, code: &str) {
    agent
        .send(&json!({"type": "CHANGE_STATUS", "body": text(code)}))
        .await;
    agent.settle().await;
}
