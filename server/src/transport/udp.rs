//! MobileIMSDK over UDP: `docs/protocol.md` §1, with the holes of MobileIMSDK's closed (§9).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tidings_core::limits;
use tidings_core::wire::mobileimsdk;
use tokio::net::UdpSocket;

use crate::link::Datagrams;
use crate::router::Router;

/// Datagrams decided together at most.
const BATCH: usize = 64;
/// Asked of the kernel for each direction: a burst must not be lost while we decide.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// One more than is allowed, to tell a datagram that is too long from one that fits.
const READ_BYTES: usize = limits::DATAGRAM_BYTES_MAX + 1;

/// Binds the socket.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // The kernel gives what its own limit allows; less is slower under bursts, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Serves all datagrams until the server stops.
pub(crate) async fn serve(router: Arc<Router>, socket: UdpSocket) {
    let datagrams = Datagrams::new(socket);
    let mut buffer = vec![0u8; BATCH * READ_BYTES];
    loop {
        if datagrams.socket().readable().await.is_err() || router.is_stopping() {
            return;
        }
        let mut parts: Vec<(SocketAddr, usize)> = Vec::new();
        for chunk in buffer.chunks_exact_mut(READ_BYTES) {
            match datagrams.socket().try_recv_from(chunk) {
                Ok((length, from)) => parts.push((from, length)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP answer to something that we sent; it concerns nobody else.
                Err(_) => break,
            }
        }
        let mut arrivals = Vec::with_capacity(parts.len());
        for ((from, length), chunk) in parts.iter().zip(buffer.chunks_exact(READ_BYTES)) {
            // Too long or unreadable: dropped. Anybody can send such a thing in anybody's name.
            if *length > limits::DATAGRAM_BYTES_MAX {
                tracing::debug!(%from, length, "datagram too long");
                continue;
            }
            match mobileimsdk::decode(&chunk[..*length]) {
                Ok(frame) => arrivals.push((*from, frame, *length)),
                Err(error) => tracing::debug!(%from, %error, "unreadable datagram"),
            }
        }
        if !arrivals.is_empty() {
            router.datagrams(&datagrams, arrivals);
        }
    }
}
