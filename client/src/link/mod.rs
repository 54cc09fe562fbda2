//! Sockets and framing, nothing else: what a frame means is the machine's business.
//!
//! Each transport moves bytes between a socket and two buffers ([`Link::turn`]), makes frames of
//! what came in ([`Link::next`]) and bytes of what goes out ([`Link::push`]). Called by `driver`.

mod stream;
mod tcp;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod udp;
mod ws;

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use tidings_core::limits;
use tidings_core::wire::mobileimsdk::{self, Extended, Frame};

use crate::error::ConnectError;
use tls::Trust;

/// Bytes that may wait to be sent. The machine's window keeps them far below; a server that sends
/// and never reads gets cut here.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    WebSocket,
}

/// A server's address.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) transport: Transport,
    /// With TLS, which believes these servers.
    tls: Option<Arc<ClientConfig>>,
    host: String,
    port: u16,
    /// Path of the WebSocket, with its slash.
    path: String,
}

impl Target {
    /// Reads `scheme://host:port[/path]`; the port may be left out for MobileIMSDK's.
    pub(crate) fn parse(url: &str, trust: &Trust) -> Result<Target, ConnectError> {
        let bad = || ConnectError::Url(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let (transport, usual_port, is_tls) = match scheme {
            "tcp" => (Transport::Tcp, 8901, false),
            "tls" | "tcps" => (Transport::Tcp, 8901, true),
            "udp" => (Transport::Udp, 7901, false),
            "ws" => (Transport::WebSocket, 3000, false),
            "wss" => (Transport::WebSocket, 3000, true),
            _ => return Err(bad()),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let plain = |path: &str| path.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain(rest) || (transport != Transport::WebSocket && !matches!(path, "" | "/")) {
            return Err(bad());
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (authority, usual_port),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || (bare.is_none() && host.contains(':')) {
            return Err(bad());
        }
        Ok(Target {
            transport,
            tls: is_tls.then(|| trust.config()).transpose()?,
            host: host.to_owned(),
            port,
            path: if path.is_empty() { "/websocket" } else { path }.to_owned(),
        })
    }

    fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Host and port as a URL has them.
    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The longest frame that goes through.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        match self.transport {
            Transport::Tcp => limits::FRAME_BYTES_MAX,
            Transport::WebSocket => limits::WEBSOCKET_MESSAGE_BYTES_MAX,
            Transport::Udp => limits::DATAGRAM_BYTES_MAX,
        }
    }
}

/// Something that came in.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Frame(Frame<'static>, Option<Extended>),
    /// A sign of life below frames.
    Sign,
}

pub(crate) enum Link {
    Tcp(tcp::Tcp),
    Udp(udp::Udp),
    WebSocket(Box<ws::WebSocket>),
}

impl Link {
    pub(crate) async fn open(target: Target) -> io::Result<Link> {
        Ok(match target.transport {
            Transport::Tcp => Link::Tcp(tcp::Tcp::open(&target).await?),
            Transport::Udp => Link::Udp(udp::Udp::open(&target).await?),
            Transport::WebSocket => Link::WebSocket(Box::new(ws::WebSocket::open(&target).await?)),
        })
    }

    /// Waits until the socket can be written, if anything waits for that, or read, if `reading`,
    /// and does it once. May be dropped and called again at any time.
    pub(crate) async fn turn(&mut self, reading: bool) -> io::Result<()> {
        match self {
            Link::Tcp(tcp) => tcp.stream.turn(reading).await,
            Link::Udp(udp) => udp.turn(reading).await,
            Link::WebSocket(ws) => ws.stream.turn(reading).await,
        }
    }

    /// The next of what came in; none if nothing whole is there.
    pub(crate) fn next(&mut self) -> io::Result<Option<Heard>> {
        match self {
            Link::Tcp(tcp) => tcp.next(),
            Link::Udp(udp) => Ok(udp.next()),
            Link::WebSocket(ws) => ws.next(),
        }
    }

    /// Queues a frame.
    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        match self {
            Link::Tcp(tcp) => tcp.push(frame),
            Link::Udp(udp) => udp.push(frame),
            Link::WebSocket(ws) => ws.push(frame),
        }
    }

    fn unsent(&self) -> usize {
        match self {
            Link::Tcp(tcp) => tcp.stream.unsent(),
            Link::Udp(udp) => udp.unsent(),
            Link::WebSocket(ws) => ws.stream.unsent(),
        }
    }

    /// Whether the other side has stopped reading.
    pub(crate) fn is_stuck(&self) -> bool {
        self.unsent() > OUTPUT_BYTES_MAX
    }

    /// Sends what is queued, says farewell and closes.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        if let Link::WebSocket(ws) = &mut self {
            ws.push_close();
        }
        self.sent().await?;
        match &mut self {
            Link::Tcp(tcp) => tcp.stream.say_goodbye(),
            Link::WebSocket(ws) => ws.stream.say_goodbye(),
            Link::Udp(_) => {}
        }
        self.sent().await
    }

    async fn sent(&mut self) -> io::Result<()> {
        while self.unsent() > 0 {
            self.turn(false).await?;
        }
        Ok(())
    }
}

fn invalid(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.into())
}

/// Reads a frame of a stream, where one that cannot be read means that the server is not one.
fn read_frame(body: &[u8]) -> io::Result<Heard> {
    let (frame, extended) = mobileimsdk::decode_extended(body)
        .map_err(|error| invalid(format!("the server sent a bad frame: {error}")))?;
    Ok(Heard::Frame(frame.into_owned(), extended))
}
