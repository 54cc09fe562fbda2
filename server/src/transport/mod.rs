//! Sockets to frames and back, nothing else: what a frame means is the shard's business.
//!
//! One file per transport. Each accepts, reads what is there into a buffer that its thread shares
//! among all connections, hands whole frames to the router, and keeps only the beginning of a frame
//! that is not whole. Called by `Server`.

mod stream;
pub(crate) mod tcp;
pub(crate) mod udp;
pub(crate) mod websocket;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

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
