//! HTTP over sockets: hyper, with a time for everything and bounds on what a peer can make it hold.
//! What a request means is `api`'s business.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidings_core::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tower_service::Service as _;

use super::accept;
use super::tls::Tls;
use super::watched::{Connection, Watched};
use crate::gate::{Door, Place};

/// Where a request comes from, and over which connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) connection: Connection,
}

/// Serves `routes` until the future is dropped, and with it every connection. Each request carries
/// its [`Peer`] as [`ConnectInfo`]. A connection on which nothing arrives for `first_data` is closed.
pub(crate) async fn serve(
    listener: TcpListener,
    door: Door,
    tls: Option<Tls>,
    first_data: Duration,
    routes: axum::Router,
) {
    let (sender, mut tasks) = tokio::sync::mpsc::unbounded_channel();
    let accepting = accept(listener, door, |stream, peer, place| {
        let stranger = place.stranger();
        let (tls, routes) = (tls.clone(), routes.clone());
        let task = async move { connection(stream, peer, place, tls, first_data, routes).await };
        let _ = sender.send((stranger, task)); // received below, for as long as this runs
    });
    let mut accepting = std::pin::pin!(accepting);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut accepting => return,
            Some((stranger, task)) = tasks.recv() => {
                let task = connections.spawn(task);
                stranger.closes(false, move || task.abort());
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    tls: Option<Tls>,
    first_data: Duration,
    routes: axum::Router,
) {
    let connection = Connection::new(Some(place));
    let peer = Peer {
        address: peer,
        connection: connection.clone(),
    };
    match tls {
        None => {
            // Silence costs no buffer.
            let first = tokio::time::timeout(first_data, stream.readable()).await;
            if matches!(first, Ok(Ok(()))) {
                let io = Watched::new(stream, connection, first_data);
                Box::pin(requests(io, peer, routes)).await;
            }
        }
        Some(tls) => {
            let stream = Box::pin(tls.handshake(stream, peer.address.ip())).await;
            if let Some(stream) = stream {
                let io = Watched::new(stream, connection, first_data);
                Box::pin(requests(io, peer, routes)).await;
            }
        }
    }
}

/// Every request of one connection.
async fn requests<I>(io: Watched<I>, peer: Peer, routes: axum::Router)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        peer.connection.asked();
        let (peer, mut routes) = (peer.clone(), routes.clone());
        async move {
            let mut request = request.map(|body| Body::new(Timed::new(body)));
            let connection = peer.connection.clone();
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer: Result<Response, Infallible> = routes.call(request).await;
            let upgraded =
                matches!(&answer, Ok(a) if a.status() == StatusCode::SWITCHING_PROTOCOLS);
            connection.answered(upgraded);
            answer
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of HTTP ended");
    }
}

/// A body that must be there in time.
#[derive(Debug)]
struct Timed {
    body: Incoming,
    /// From when it is first asked for.
    until: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    fn new(body: Incoming) -> Timed {
        Timed { body, until: None }
    }
}

/// Why a body is not read on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the body was not there within HTTP_BODY_MS_MAX = {} ms",
    limits::HTTP_BODY_MS_MAX
)]
struct TooSlow;

impl hyper::body::Body for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        let within = Duration::from_millis(limits::HTTP_BODY_MS_MAX);
        let until = self
            .until
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        ready!(until.as_mut().poll(cx));
        Poll::Ready(Some(Err(axum::Error::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
