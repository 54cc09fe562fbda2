//! Connections from the client's side: a WebSocket, the agents' port, and HTTP requests.
//!
//! What is awaited here can be given up between two awaits without losing a byte: bytes that were
//! read or are to be written stay where they are.

use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tidings_core::limits;
use tidings_core::wire::mobileimsdk::tcp;
use tidings_core::wire::ocim::sasl;
use tidings_core::wire::ocim::{
    BodyType, Identity, Packet, PacketType, Party, Transport, decode, encode,
};
use tidings_core::wire::websocket::handshake::{parse_response, write_request};
use tidings_core::wire::websocket::{Decoder, Event, Opcode, Role, encode_frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::super::args::random;

/// A server's address.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    host: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.host)
    }
}

/// Reads `http://HOST:PORT`.
pub(super) fn parse_url(url: &str) -> Result<Target, String> {
    let rest = url.strip_prefix("http://");
    let host = rest.ok_or("expected http://HOST:PORT")?;
    let host = host.trim_end_matches('/');
    let mut addresses = host
        .to_socket_addrs()
        .map_err(|error| format!("`{host}` is no HOST:PORT that resolves: {error}"))?;
    let address = addresses.next();
    Ok(Target {
        address: address.ok_or_else(|| format!("`{host}` has no address"))?,
        host: host.to_owned(),
    })
}

/// AUTH of a customer or an agent; with credentials only in a body.
pub(super) fn auth(idy: Identity, ts: Transport, content: &str) -> Packet {
    Packet {
        from: Some(Party {
            idy: Some(idy),
            ..Party::default()
        }),
        ts: Some(ts),
        ..Packet::new(PacketType::Auth).body(BodyType::Login, content)
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.reserve(1024);
    ensure!(stream.read_buf(buffer).await? > 0, "the server closed it");
    Ok(())
}

async fn write(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        let count = stream.write(bytes).await?;
        ensure!(count > 0, "the server takes nothing");
        bytes.drain(..count);
    }
    Ok(())
}

enum Framing {
    WebSocket(Decoder),
    /// A length in four bytes, then a packet.
    Length,
}

/// A connection on which packets go both ways.
pub(super) struct Link {
    stream: TcpStream,
    framing: Framing,
    read: Vec<u8>,
    write: Vec<u8>,
}

impl Link {
    /// Opens a WebSocket with the session of this token, or a new one. Also the token to come back
    /// with.
    pub(super) async fn open(
        target: &Target,
        idy: Identity,
        token: Option<&str>,
    ) -> anyhow::Result<(Link, String)> {
        let mut stream = connect(target.address).await?;
        let mut packet = Vec::new();
        encode(&auth(idy, Transport::WebSocket, ""), &mut packet);
        let path = format!("/ws.io?packet={}", escaped(&packet));
        let key = sasl::encode(&format!("{:016x}", random()));
        let mut head = Vec::new();
        write_request(&target.host, &path, &key, &mut head);
        if let Some(token) = token {
            head.truncate(head.len() - "\r\n".len());
            let line = format!("authorization: Bearer {token}\r\n\r\n");
            head.extend_from_slice(line.as_bytes());
        }
        write(&mut stream, &mut head).await?;
        let mut bytes = Vec::new();
        let used = loop {
            read(&mut stream, &mut bytes).await?;
            if let Some(used) = parse_response(&bytes, &key)? {
                break used;
            }
        };
        let token = cookie(&String::from_utf8_lossy(&bytes[..used]));
        bytes.drain(..used);
        let link = Link {
            stream,
            framing: Framing::WebSocket(Decoder::new(Role::Client, limits::OCIM_PACKET_BYTES_MAX)),
            read: bytes,
            write: Vec::new(),
        };
        Ok((link, token.context("the server gave no token")?))
    }

    /// Logs an agent in on the agents' port, by SASL PLAIN.
    pub(super) async fn desktop(
        address: SocketAddr,
        user: &str,
        password: &str,
    ) -> anyhow::Result<Link> {
        let mut link = Link {
            stream: connect(address).await?,
            framing: Framing::Length,
            read: Vec::new(),
            write: Vec::new(),
        };
        let data = sasl::encode(&format!("\0{user}\0{password}"));
        let login = serde_json::json!({ "mechanism": "PLAIN", "data": data });
        link.queue(&Packet::new(PacketType::Auth).body(BodyType::Login, login.to_string()));
        let answer = link.next().await?;
        let is_in = answer.body_kind() == Some(BodyType::Success);
        ensure!(is_in, "{user} is not let in: {}", answer.content());
        Ok(link)
    }

    /// Will be written by the next [`Link::next`].
    pub(super) fn queue(&mut self, packet: &Packet) {
        match self.framing {
            Framing::WebSocket(_) => {
                let mut json = Vec::new();
                encode(packet, &mut json);
                self.frame(Opcode::Text, &json);
            }
            Framing::Length => {
                tcp::put(&mut self.write, |out| encode(packet, out));
            }
        }
    }

    fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let mask = (random() as u32).to_be_bytes();
        encode_frame(opcode, true, Some(mask), payload, &mut self.write);
    }

    /// Writes what is queued.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        write(&mut self.stream, &mut self.write).await
    }

    /// The next packet. Writes what is queued, and answers pings.
    pub(super) async fn next(&mut self) -> anyhow::Result<Packet> {
        loop {
            if let Some(packet) = self.take()? {
                return Ok(packet);
            }
            self.flush().await?;
            read(&mut self.stream, &mut self.read).await?;
        }
    }

    /// A packet that has arrived.
    fn take(&mut self) -> anyhow::Result<Option<Packet>> {
        let Framing::WebSocket(decoder) = &mut self.framing else {
            let (packet, used) = match tcp::next(&self.read, limits::OCIM_PACKET_BYTES_MAX)? {
                tcp::Step::Frame { body, used } => (decode(body)?, used),
                tcp::Step::Need(_) => return Ok(None),
            };
            self.read.drain(..used);
            return Ok(Some(packet));
        };
        let (mut used, mut packet, mut pong) = (0, None, None);
        while packet.is_none() {
            let (event, more) = decoder.next(&mut self.read[used..])?;
            used += more;
            match event {
                None => break,
                Some(Event::Text(text)) => packet = Some(decode(text.as_bytes())?),
                // A ping confirms everything before it: only the last one counts.
                Some(Event::Ping(payload)) => pong = Some(payload.to_vec()),
                Some(Event::Close { reason, .. }) => bail!("the server closed it: {reason}"),
                Some(Event::Binary(_) | Event::Pong(_)) => {}
            }
        }
        self.read.drain(..used);
        if let Some(payload) = pong {
            self.frame(Opcode::Pong, &payload);
        }
        Ok(packet)
    }
}

/// A connection for one request after the other.
pub(super) struct Http {
    stream: TcpStream,
    host: String,
}

impl Http {
    pub(super) async fn connect(target: &Target) -> anyhow::Result<Http> {
        Ok(Http {
            stream: connect(target.address).await?,
            host: target.host.clone(),
        })
    }

    /// Posts a packet; the body of the answer, if that is 200.
    pub(super) async fn post(
        &mut self,
        path: &str,
        token: Option<&str>,
        packet: &Packet,
    ) -> anyhow::Result<Value> {
        let mut body = Vec::new();
        encode(packet, &mut body);
        let bearer = token.map_or(String::new(), |token| {
            format!("authorization: Bearer {token}\r\n")
        });
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\n{bearer}content-length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        write(&mut self.stream, &mut request).await?;
        let mut bytes = Vec::new();
        let head = loop {
            read(&mut self.stream, &mut bytes).await?;
            if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break String::from_utf8_lossy(&bytes[..end]).into_owned();
            }
        };
        let start = head.len() + 4;
        let length = header(&head, "content-length").and_then(|text| text.parse().ok());
        let length: usize = length.unwrap_or(0);
        while bytes.len() < start + length {
            read(&mut self.stream, &mut bytes).await?;
        }
        let answer = &bytes[start..start + length];
        let is_ok = head.split(' ').nth(1) == Some("200");
        let said = String::from_utf8_lossy(answer);
        ensure!(is_ok, "the server says {}: {said}", first_line(&head));
        Ok(serde_json::from_slice(answer)?)
    }
}

/// The packets in the answer to a poll.
pub(super) fn packets(answer: &Value) -> anyhow::Result<Vec<Packet>> {
    let items = answer.as_array().into_iter().flatten();
    let packets = items.map(|item| Ok(decode(item.to_string().as_bytes())?));
    packets.collect()
}

fn first_line(head: &str) -> &str {
    head.lines().next().unwrap_or_default()
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// The token in the cookie that a head sets, without an agent's status behind it.
fn cookie(head: &str) -> Option<String> {
    let (_, set) = header(head, "set-cookie")?.split_once('=')?;
    Some(set.split([';', '!']).next().unwrap_or(set).to_owned())
}

/// As a value in a query.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(*byte)),
            other => out.push_str(&format!("%{other:02x}")),
        }
    }
    out
}
