//! The server's end of connections: outboxes, back-pressure, closing.
//!
//! A link carries frames between a transport and the router and decides nothing. It holds no read
//! buffer and, while nothing waits, no write buffer. Whoever has something to send appends to the
//! outbox and sends it himself; only a full socket leaves work to a task. Created by `transport`,
//! written to by `router`.

mod datagram;
mod encode;
mod local;
mod socket;
mod stream;

pub(crate) use datagram::Datagrams;
pub(crate) use encode::Encoder;
pub use local::LocalEvent;
pub(crate) use local::{Custody, LocalEnd, LocalRef};
pub(crate) use socket::Socket;
pub(crate) use stream::{Framing, Next, StreamLink};

use std::net::SocketAddr;
use std::sync::Arc;

/// Where a shard's link leads.
#[derive(Debug, Clone)]
pub(crate) enum LinkEnd {
    /// A TCP or WebSocket connection.
    Stream(Arc<StreamLink>),
    /// An address behind the UDP socket.
    /// Boxed: the other kinds are far smaller.
    Datagram(Box<(Arc<Datagrams>, SocketAddr)>),
    /// A reader inside this process.
    Local(LocalRef),
}

impl LinkEnd {
    /// Its session is somebody's.
    pub(crate) fn admit(&self) {
        if let LinkEnd::Stream(link) = self {
            link.admit();
        }
    }

    /// Where the other side is; `None` inside this process.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            LinkEnd::Stream(link) => link.peer(),
            LinkEnd::Datagram(to) => Some(to.1),
            LinkEnd::Local(_) => None,
        }
    }
}
