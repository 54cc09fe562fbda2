//! The server's end of connections: outboxes, back-pressure, closing.
//!
//! A link carries frames between a transport and the router and decides nothing. It holds no read
//! buffer and, while nothing waits, no write buffer. Whoever has something to send appends to the
//! outbox and sends it himself; only a full socket leaves work to a task. Created by `transport`,
//! written to by `router`.

mod datagram;
mod encode;
mod socket;
mod stream;

pub(crate) use datagram::Datagrams;
pub(crate) use encode::Encoder;
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
    Datagram(Arc<Datagrams>, SocketAddr),
}
