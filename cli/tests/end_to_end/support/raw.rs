//! Raw sockets that speak the wire protocol with none of the product's code: what goes over the
//! wire here is what a foreign client would send.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::server::Addresses;

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    Ws,
}

/// All of them.
pub(crate) const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Ws];

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    /// The JSON of a frame.
    Frame(String),
    /// A WebSocket control frame: opcode and payload.
    Control(u8, Vec<u8>),
    /// The end of the stream, or a reset.
    End,
    /// Nothing within the time.
    Nothing,
}

/// One connection.
pub(crate) struct Raw {
    pub(crate) transport: Transport,
    socket: Socket,
    /// Bytes that came and belong to no frame yet.
    buffer: Vec<u8>,
}

enum Socket {
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

impl Raw {
    /// Connects; on WebSocket upgrades, too.
    pub(crate) fn connect(transport: Transport, at: &Addresses) -> Raw {
        Raw::try_connect(transport, at).unwrap()
    }

    /// Connects, unless nobody is there.
    pub(crate) fn try_connect(transport: Transport, at: &Addresses) -> std::io::Result<Raw> {
        let address = match transport {
            Transport::Tcp => at.tcp,
            Transport::Udp => at.udp,
            Transport::Ws => at.ws,
        };
        let address: SocketAddr = address.expect("the listener is on");
        let socket = if transport == Transport::Udp {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(address)?;
            Socket::Datagrams(socket)
        } else {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Socket::Stream(stream)
        };
        let mut raw = Raw {
            transport,
            socket,
            buffer: Vec::new(),
        };
        if transport == Transport::Ws {
            raw.upgrade()?;
        }
        Ok(raw)
    }

    fn upgrade(&mut self) -> std::io::Result<()> {
        let request = "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        self.try_send_bytes(request.as_bytes())?;
        let head = self.read_head()?;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Ok(())
    }

    /// Reads up to the empty line of an HTTP answer.
    pub(crate) fn read_head(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.fill(PATIENCE)? {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }

    /// Sends one frame.
    pub(crate) fn send(&mut self, json: &str) {
        self.try_send(json).unwrap();
    }

    /// Sends one frame, unless the connection is gone.
    pub(crate) fn try_send(&mut self, json: &str) -> std::io::Result<()> {
        let bytes = encode(self.transport, json.as_bytes());
        self.try_send_bytes(&bytes)
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).unwrap();
    }

    /// Sends bytes as they are, unless the connection is gone.
    pub(crate) fn try_send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.socket {
            Socket::Stream(stream) => stream.write_all(bytes),
            Socket::Datagrams(socket) => socket.send(bytes).map(drop),
        }
    }

    /// The next thing that comes.
    pub(crate) fn next(&mut self) -> Got {
        self.next_within(PATIENCE)
    }

    /// The next thing that comes, if it comes within this time.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Got {
        let until = Instant::now() + patience;
        loop {
            if let Some(got) = self.parse() {
                return got;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Got::Nothing;
            }
            match self.fill(left) {
                Ok(true) => {}
                Ok(false) => return Got::Nothing,
                // A closed port of a server that is gone; datagrams know no end.
                Err(_) => return Got::End,
            }
        }
    }

    /// The next frame's JSON; fails on anything else.
    pub(crate) fn frame(&mut self) -> String {
        match self.next() {
            Got::Frame(json) => json,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    /// Reads more; false if nothing came within the time.
    fn fill(&mut self, patience: Duration) -> std::io::Result<bool> {
        let mut chunk = [0; 65536];
        let patience = Some(patience.max(Duration::from_millis(1)));
        let result = match &mut self.socket {
            Socket::Stream(stream) => {
                stream.set_read_timeout(patience)?;
                stream.read(&mut chunk)
            }
            Socket::Datagrams(socket) => {
                socket.set_read_timeout(patience)?;
                socket.recv(&mut chunk)
            }
        };
        match result {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                self.buffer.extend_from_slice(&chunk[..bytes]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes one whole thing from the buffer.
    fn parse(&mut self) -> Option<Got> {
        let (got, used) = match self.transport {
            // Each datagram is read and parsed before the next one is read.
            Transport::Udp if self.buffer.is_empty() => return None,
            Transport::Udp => (Got::Frame(text(&self.buffer)), self.buffer.len()),
            Transport::Tcp => {
                let prefix: [u8; 4] = self.buffer.get(..4)?.try_into().ok()?;
                let end = 4 + u32::from_be_bytes(prefix) as usize;
                (Got::Frame(text(self.buffer.get(4..end)?)), end)
            }
            Transport::Ws => {
                let (&[first, second], rest) = self.buffer.split_first_chunk::<2>()?;
                assert_eq!(first & 0x70, 0, "reserved bits");
                assert_eq!(first & 0x80, 0x80, "the server does not fragment");
                assert_eq!(second & 0x80, 0, "the server does not mask");
                let (length, header) = match second {
                    126 => (
                        u16::from_be_bytes(rest.get(..2)?.try_into().ok()?).into(),
                        4,
                    ),
                    127 => (u64::from_be_bytes(rest.get(..8)?.try_into().ok()?), 10),
                    short => (u64::from(short), 2),
                };
                let end = header + length as usize;
                let payload = self.buffer.get(header..end)?;
                let got = match first & 0x0f {
                    1 => Got::Frame(text(payload)),
                    opcode => Got::Control(opcode, payload.to_vec()),
                };
                (got, end)
            }
        };
        self.buffer.drain(..used);
        Some(got)
    }

    /// Logs in and returns the answer.
    pub(crate) fn login(&mut self, user: &str) -> String {
        self.send(&login(user, 0));
        let answer = self.frame();
        assert!(answer.contains(r#"\"code\":0,"#), "{answer}");
        answer
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("frames are UTF-8")
}

/// A frame as it goes over the wire from a client.
pub(crate) fn encode(transport: Transport, json: &[u8]) -> Vec<u8> {
    match transport {
        Transport::Udp => json.to_vec(),
        Transport::Tcp => {
            let mut bytes = (json.len() as u32).to_be_bytes().to_vec();
            bytes.extend_from_slice(json);
            bytes
        }
        Transport::Ws => websocket_frame(0x81, json),
    }
}

/// A masked WebSocket frame with this first byte.
pub(crate) fn websocket_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [0x5a, 0x17, 0xc3, 0x88];
    bytes.extend_from_slice(&mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// A string as JSON.
pub(crate) fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A LOGIN as the Java client writes it. On UDP its answer may not be longer than itself: a token
/// of a usual length makes room.
pub(crate) fn login(user: &str, first_login_time: i64) -> String {
    login_with(user, first_login_time, "")
}

/// A LOGIN that declares our extension with this device.
pub(crate) fn login_extended(user: &str, device: &str) -> String {
    let declared = format!(
        r#","tidings":{{"device":{},"class":"test"}}"#,
        quote(device)
    );
    login_with(user, 0, &declared)
}

fn login_with(user: &str, first_login_time: i64, more: &str) -> String {
    let data = format!(
        r#"{{"loginUserId":{},"loginToken":"tok","firstLoginTime":{first_login_time}{more}}}"#,
        quote(user)
    );
    format!(
        r#"{{"bridge":false,"type":0,"dataContent":{},"from":{},"to":"0","QoS":false,"typeu":-1,"sm":-1}}"#,
        quote(&data),
        quote(user)
    )
}

/// A message with QoS.
pub(crate) fn message(from: &str, to: &str, id: &str, body: &str) -> String {
    let [from, to, id, body] = [from, to, id, body].map(quote);
    format!(
        r#"{{"bridge":false,"type":2,"dataContent":{body},"from":{from},"to":{to},"fp":{id},"QoS":true,"typeu":-1,"sm":-1}}"#
    )
}

/// A message without QoS.
pub(crate) fn message_without_qos(from: &str, to: &str, id: &str, body: &str) -> String {
    message(from, to, id, body).replace("\"QoS\":true", "\"QoS\":false")
}

/// An acknowledgement of `id`, from its receiver to its sender.
pub(crate) fn acknowledgement(from: &str, to: &str, id: &str) -> String {
    let [from, to, id] = [from, to, id].map(quote);
    format!(
        r#"{{"bridge":false,"type":4,"dataContent":{id},"from":{from},"to":{to},"QoS":false,"typeu":-1,"sm":-1}}"#
    )
}

/// A heartbeat.
pub(crate) fn keepalive(from: &str) -> String {
    let from = quote(from);
    format!(
        r#"{{"bridge":false,"type":1,"dataContent":"{{}}","from":{from},"to":"0","QoS":false,"typeu":-1,"sm":-1}}"#
    )
}

/// Reads a frame's JSON.
pub(crate) fn json(frame: &str) -> serde_json::Value {
    serde_json::from_str(frame).unwrap_or_else(|error| panic!("{error}: {frame}"))
}
