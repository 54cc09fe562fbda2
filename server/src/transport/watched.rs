//! Connections of the HTTP port as two things need to see them: that something arrives at all
//! within a time, and how much was really written.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes of a connection that the system has taken, since it was accepted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written(Arc<AtomicU64>);

impl Written {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A listener whose connections are watched.
#[derive(Debug)]
pub(crate) struct Watching<L> {
    listener: L,
    first_data: Duration,
}

impl<L> Watching<L> {
    /// A connection on which nothing arrives for `first_data` is closed.
    pub(crate) fn new(listener: L, first_data: Duration) -> Watching<L> {
        Watching {
            listener,
            first_data,
        }
    }
}

impl<L: Listener<Addr = SocketAddr>> Listener for Watching<L> {
    type Io = Watched<L::Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (io, peer) = self.listener.accept().await;
        let first = Some(Box::pin(tokio::time::sleep(self.first_data)));
        let written = Written::default();
        (Watched { io, first, written }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One watched connection.
#[derive(Debug)]
pub(crate) struct Watched<I> {
    io: I,
    /// Until the first byte is there.
    first: Option<Pin<Box<Sleep>>>,
    written: Written,
}

impl<I> Watched<I> {
    pub(crate) fn written(&self) -> Written {
        self.written.clone()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let polled = Pin::new(&mut me.io).poll_read(cx, buf);
        if let Poll::Ready(Err(_)) = &polled {
            // A reset: the other end was gone before it had read what the system took from us.
            me.written.0.store(0, Ordering::Release);
        }
        match (&mut me.first, &polled) {
            (Some(first), Poll::Pending) => {
                ready!(first.as_mut().poll(cx));
                let reason = "nothing arrived within ocim.first_data_ms";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
            }
            _ => {
                if polled.is_ready() {
                    me.first = None;
                }
                polled
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> Watched<I> {
    fn count(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &polled {
            self.written.0.fetch_add(*bytes as u64, Ordering::AcqRel);
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.count(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.count(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn watched(io: tokio::io::DuplexStream) -> Watched<tokio::io::DuplexStream> {
        Watched {
            io,
            first: Some(Box::pin(tokio::time::sleep(Duration::from_secs(5)))),
            written: Written::default(),
        }
    }

    /// Time is virtual: it jumps to the next deadline when nothing else can happen.
    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_given_up() {
        let (near, _far) = tokio::io::duplex(64);
        let start = tokio::time::Instant::now();
        let error = watched(near).read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_first_byte_it_may_be_silent() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = watched(near);
        far.write_all(b"a").await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'a');
        let later = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            far.write_all(b"b").await.unwrap();
            far
        });
        assert_eq!(near.read_u8().await.unwrap(), b'b');
        let _far = later.await.unwrap();
        near.write_all(b"12345").await.unwrap();
        assert_eq!(near.written().bytes(), 5);
    }
}
