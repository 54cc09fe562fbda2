//! One connection of the load generator: a user, his socket, what waits to be sent.

use std::borrow::Cow;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::{TcpStream, UdpSocket};
use socket2::{Domain, Protocol, Socket, Type};
use tidings_core::limits;
use tidings_core::wire::mobileimsdk::tcp;
use tidings_core::wire::websocket::{Decoder, Event, Opcode, Role, encode_frame};

use crate::bench::args::{Endpoint, PORTS_PER_SOURCE, Scheme};

/// What the kernel may buffer for a UDP socket; a burst from the server must fit.
const DATAGRAM_BUFFER_BYTES: usize = 1 << 20;

/// A frame, if one is whole, and how many bytes it took; an empty one is nothing to look at.
type NextFrame<'b> = (Option<Cow<'b, [u8]>>, usize);

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Phase {
    Connecting,
    /// WebSocket: the request is sent.
    Upgrading,
    /// The LOGIN is sent.
    Entering,
    Online,
    Closed,
}

#[derive(Debug)]
pub(super) enum Io {
    Stream(TcpStream),
    Datagram(UdpSocket),
}

/// One connection.
#[derive(Debug)]
pub(in crate::bench) struct Client {
    pub(in crate::bench) user: String,
    pub(in crate::bench) phase: Phase,
    /// What the server answered to the login.
    pub(in crate::bench) first_login_time: i64,
    /// When it began to connect, nanoseconds of the worker's clock.
    pub(in crate::bench) opened_ns: u64,
    /// Tells this connection from others that had the same index.
    pub(super) number: usize,
    pub(super) io: Io,
    scheme: Scheme,
    decoder: Option<Box<Decoder>>,
    /// Bytes that were read and are no whole frame yet.
    pub(super) rest: Vec<u8>,
    /// Bytes that wait to be sent; datagrams with their length in front.
    out: Vec<u8>,
    /// Already in the list of connections to flush.
    pub(super) dirty: bool,
    /// When the last heartbeat or LOGIN was sent.
    pub(super) beat_ns: u64,
    /// For masks.
    random: u64,
}

impl Client {
    /// Begins to connect; `number`, of its own, spreads connections over source addresses.
    pub(super) fn connect(
        endpoint: &Endpoint,
        user: String,
        number: usize,
        random: u64,
    ) -> io::Result<Client> {
        let scheme = endpoint.scheme;
        let is_udp = scheme == Scheme::Udp;
        let (kind, protocol) = match is_udp {
            true => (Type::DGRAM, Protocol::UDP),
            false => (Type::STREAM, Protocol::TCP),
        };
        let domain = Domain::for_address(endpoint.address);
        let socket = Socket::new(domain, kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        if let Some(source) = source(endpoint.address, number) {
            socket.bind(&source.into())?;
        }
        if is_udp {
            // Less is slower under bursts, not wrong.
            let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES);
        } else {
            socket.set_tcp_nodelay(true)?;
        }
        match socket.connect(&endpoint.address.into()) {
            Ok(()) => {}
            Err(error) if is_in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        let io = match is_udp {
            true => Io::Datagram(UdpSocket::from_std(socket.into())),
            false => Io::Stream(TcpStream::from_std(socket.into())),
        };
        Ok(Client {
            user,
            phase: Phase::Connecting,
            first_login_time: 0,
            opened_ns: 0,
            number,
            io,
            scheme,
            decoder: None,
            rest: Vec::new(),
            out: Vec::new(),
            dirty: false,
            beat_ns: 0,
            random,
        })
    }

    pub(super) fn is_datagram(&self) -> bool {
        matches!(self.io, Io::Datagram(_))
    }

    /// True once the connection stands; an error if it cannot.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        let Io::Stream(stream) = &self.io else {
            return Ok(true);
        };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// From here on what is read are frames.
    pub(super) fn is_open(&mut self) {
        if self.scheme == Scheme::WebSocket {
            let decoder = Decoder::new(Role::Client, limits::WEBSOCKET_MESSAGE_BYTES_MAX);
            self.decoder = Some(Box::new(decoder));
        }
    }

    /// Appends a frame; the worker sends it at the end of its turn.
    pub(super) fn push(&mut self, frame: &[u8]) {
        match self.scheme {
            Scheme::WebSocket => self.push_websocket(Opcode::Text, frame),
            Scheme::Tcp | Scheme::Udp => {
                let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
                self.out.extend_from_slice(&length.to_be_bytes());
                self.out.extend_from_slice(frame);
            }
        }
    }

    fn push_websocket(&mut self, opcode: Opcode, payload: &[u8]) {
        // xorshift: a mask must differ from frame to frame, here it need not be a secret.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let [a, b, c, d, ..] = self.random.to_le_bytes();
        encode_frame(opcode, true, Some([a, b, c, d]), payload, &mut self.out);
    }

    /// Appends bytes as they are: the request for a WebSocket.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sends what waits, as far as the socket takes it; the rest waits for it to be writable.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let outcome = loop {
            let rest = &self.out[sent..];
            if rest.is_empty() {
                break Ok(());
            }
            let step = match &mut self.io {
                Io::Stream(stream) => stream.write(rest),
                Io::Datagram(socket) => send_one(socket, rest),
            };
            match step {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if sent == self.out.len() {
            self.out.clear();
            if self.out.capacity() > 16 << 10 {
                self.out = Vec::new();
            }
        } else {
            self.out.drain(..sent);
        }
        outcome
    }

    /// Reads what is there. `Ok(0)`: the other side has closed.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.io {
            Io::Stream(stream) => stream.read(buffer),
            Io::Datagram(socket) => socket.recv(buffer),
        }
    }

    /// The next frame at the front of what was read, if it is whole, and how many bytes to skip.
    pub(super) fn next_frame<'b>(&mut self, bytes: &'b mut [u8]) -> Result<NextFrame<'b>, String> {
        match self.scheme {
            Scheme::Udp if bytes.is_empty() => Ok((None, 0)),
            Scheme::Udp => {
                let length = bytes.len();
                Ok((Some(Cow::Borrowed(bytes)), length))
            }
            Scheme::Tcp => match tcp::next(bytes, limits::WEBSOCKET_MESSAGE_BYTES_MAX) {
                Ok(tcp::Step::Frame { body, used }) => Ok((Some(Cow::Borrowed(body)), used)),
                Ok(tcp::Step::Need(_)) => Ok((None, 0)),
                Err(error) => Err(error.to_string()),
            },
            Scheme::WebSocket => self.next_message(bytes),
        }
    }

    fn next_message<'b>(&mut self, bytes: &'b mut [u8]) -> Result<NextFrame<'b>, String> {
        let Some(decoder) = &mut self.decoder else {
            return Err("frames before the WebSocket is open".to_owned());
        };
        let (event, used) = decoder.next(bytes).map_err(|error| error.to_string())?;
        let mut pong = None;
        let frame = match event {
            None => return Ok((None, used)),
            Some(Event::Text(Cow::Borrowed(text))) => Cow::Borrowed(text.as_bytes()),
            Some(Event::Text(Cow::Owned(text))) => Cow::Owned(text.into_bytes()),
            Some(Event::Ping(payload)) => {
                pong = Some(payload.to_vec());
                Cow::Borrowed(&[][..])
            }
            Some(Event::Pong(_)) => Cow::Borrowed(&[][..]),
            Some(Event::Binary(_)) => return Err("a binary WebSocket message".to_owned()),
            Some(Event::Close { code, reason }) => {
                let code = code.map_or("none".to_owned(), |code| code.to_string());
                return Err(format!("closed by the server: code {code}, `{reason}`"));
            }
        };
        if let Some(payload) = pong {
            self.push_websocket(Opcode::Pong, &payload);
        }
        Ok((Some(frame), used))
    }
}

/// One datagram from the front of `out`; answers how many bytes it took there.
fn send_one(socket: &UdpSocket, out: &[u8]) -> io::Result<usize> {
    let Some((prefix, rest)) = out.split_first_chunk::<4>() else {
        return Ok(out.len());
    };
    let length = u32::from_be_bytes(*prefix) as usize;
    socket.send(rest.get(..length).unwrap_or(rest))?;
    Ok(4 + length)
}

fn is_in_progress(error: &io::Error) -> bool {
    // EINPROGRESS of Linux and of the BSDs: the standard library's kind for it is not stable.
    error.kind() == io::ErrorKind::WouldBlock || matches!(error.raw_os_error(), Some(115 | 36))
}

/// The address to connect from. Loopback has 2²⁴ of them, so thousands of connections after one
/// another or at once never run out of ports; elsewhere the kernel chooses.
fn source(server: SocketAddr, number: usize) -> Option<SocketAddr> {
    let SocketAddr::V4(server) = server else {
        return None;
    };
    let block = number / PORTS_PER_SOURCE % 250;
    if !server.ip().is_loopback() || block == 0 {
        return None;
    }
    let last = u8::try_from(block + 1).unwrap_or(1);
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    Some(SocketAddr::new(address, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_use_many_loopback_addresses() {
        let server = SocketAddr::from(([127, 0, 0, 1], 8901));
        assert_eq!(source(server, 0), None);
        assert_eq!(source(server, 19_999), None);
        assert_eq!(source(server, 20_000), Some(([127, 0, 0, 2], 0).into()));
        assert_eq!(source(server, 45_000), Some(([127, 0, 0, 3], 0).into()));
        let remote = SocketAddr::from(([192, 0, 2, 1], 8901));
        assert_eq!(source(remote, 45_000), None);
    }
}
