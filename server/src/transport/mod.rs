//! Sockets to frames and back, nothing else: what a frame means is the shard's business.
//!
//! One file per transport. Each accepts, reads what is there into a buffer that its thread shares
//! among all connections, hands whole frames to the router, and keeps only the beginning of a frame
//! that is not whole. Called by `Server`.

pub(crate) mod certificate;
pub(crate) mod gate;
mod stream;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod udp;
pub(crate) mod watched;
pub(crate) mod websocket;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::link::Socket;
use gate::Gate;
use tls::Tls;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;
/// After `accept` failed (usually: no file descriptor left), so that the log is not flooded.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds a listener.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What becomes of an accepted connection: counted, dressed in TLS if that is on, served.
pub(crate) fn greet<S, F>(
    gate: Gate,
    tls: Option<Tls>,
    serve: S,
) -> impl FnMut(TcpStream, SocketAddr)
where
    S: Fn(Socket) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    move |stream, peer| {
        let Some(place) = gate.enter(peer.ip()) else {
            tracing::debug!(address = %peer.ip(), "too many connections from one address");
            return;
        };
        let serve = serve.clone();
        // Two tasks, so that a plain connection does not carry the size of a handshake.
        match tls.clone() {
            None => tokio::spawn(async move {
                let _place = place;
                serve(Socket::from(stream)).await;
            }),
            Some(tls) => tokio::spawn(async move {
                let _place = place;
                if let Some(socket) = Box::pin(tls.accept(stream)).await {
                    serve(socket).await;
                }
            }),
        };
    }
}

/// Accepts for ever; the caller drops the future to stop.
pub(crate) async fn accept(listener: TcpListener, mut serve: impl FnMut(TcpStream, SocketAddr)) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                serve(stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
