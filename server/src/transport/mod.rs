//! Sockets to frames and back, nothing else: what a frame means is the shard's business.
//!
//! One file per transport. Each accepts, reads what is there into a buffer that its thread shares
//! among all connections, hands whole frames to the router, and keeps only the beginning of a frame
//! that is not whole. Called by `Server`.

pub(crate) mod certificate;
pub(crate) mod http;
mod stream;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod udp;
pub(crate) mod watched;
pub(crate) mod websocket;
mod written;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::gate::{Door, Place};
use crate::link::{Framing, Socket, StreamLink};
use tls::Tls;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;
/// After `accept` failed (usually: no file descriptor left).
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

/// What becomes of an accepted connection: dressed in TLS if that is on, served.
pub(crate) fn greet<S, F>(
    tls: Option<Tls>,
    framing: Framing,
    serve: S,
) -> impl FnMut(TcpStream, SocketAddr, Place)
where
    S: Fn(Arc<StreamLink>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    move |stream, peer, place| {
        // Two tasks, and the first is little more than what serves the connection: there are many.
        match tls.clone() {
            None => {
                let link = StreamLink::new(Socket::from(stream), framing, place);
                tokio::spawn(serve(link));
            }
            Some(tls) => {
                let serve = serve.clone();
                serve_or_close(place, move |place| async move {
                    if let Some(socket) = Box::pin(tls.accept(stream, peer.ip())).await {
                        // Its own task: the link closes it from now on.
                        tokio::spawn(serve(StreamLink::new(socket, framing, place)));
                    }
                });
            }
        }
    }
}

/// Serves a connection in a task that ends when its place at the gate is another's.
pub(crate) fn serve_or_close<F>(place: Place, serve: impl FnOnce(Place) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let stranger = place.stranger();
    let task = tokio::spawn(serve(place)).abort_handle();
    stranger.closes(false, move || task.abort());
}

/// Accepts until the server stops.
pub(crate) async fn accept(
    listener: TcpListener,
    door: Door,
    mut serve: impl FnMut(TcpStream, SocketAddr, Place),
) {
    while door.room().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = door.closed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                if let Some(place) = door.enter(peer.ip()) {
                    serve(stream, peer, place);
                }
            }
            Err(error) => {
                door.accept_failed(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
