//! Connections of the HTTP port as they are watched: what must arrive within which time, how much was
//! really written, and whether anybody has shown who he is.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tidings_core::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::gate::Place;

pub(crate) use super::written::Written;

/// What a connection is about.
mod phase {
    /// Nothing was asked yet.
    pub(super) const NEW: u8 = 0;
    /// A request was read, and its answer is being made.
    pub(super) const SERVING: u8 = 1;
    /// The answer is made; the next request may come.
    pub(super) const IDLE: u8 = 2;
    /// HTTP is over: whoever has the connection watches it himself.
    pub(super) const UPGRADED: u8 = 3;
}

/// One connection, as its requests see it.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Option<Place>,
    phase: AtomicU8,
    written: Written,
}

impl Connection {
    pub(crate) fn new(place: Option<Place>) -> Connection {
        Connection(Arc::new(Inner {
            place,
            phase: AtomicU8::new(phase::NEW),
            written: Written::default(),
        }))
    }

    /// Somebody has shown who he is.
    pub(crate) fn admit(&self) {
        if let Some(place) = &self.0.place {
            place.admit();
        }
    }

    pub(crate) fn written(&self) -> Written {
        self.0.written.clone()
    }

    /// A request was read to the end of its head.
    pub(crate) fn asked(&self) {
        self.0.phase.store(phase::SERVING, Ordering::Release);
    }

    /// Its answer is made.
    pub(crate) fn answered(&self, upgraded: bool) {
        let next = if upgraded {
            phase::UPGRADED
        } else {
            phase::IDLE
        };
        self.0.phase.store(next, Ordering::Release);
        if let Some(place) = &self.0.place {
            place.renew();
        }
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The first byte of a connection.
    First,
    /// The rest of a head of which something is there.
    Head,
    /// The next request.
    Next,
}

/// Until when.
#[derive(Debug)]
struct Deadline {
    awaited: Awaited,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(awaited: Awaited, within: Duration) -> Deadline {
        let sleep = Box::pin(tokio::time::sleep(within));
        Deadline { awaited, sleep }
    }
}

/// One watched connection.
#[derive(Debug)]
pub(crate) struct Watched<I> {
    io: I,
    connection: Connection,
    reading: Option<Deadline>,
    /// While the other side does not take what it is sent.
    writing: Option<Pin<Box<Sleep>>>,
    lingering: Lingering,
}

/// The end of a connection: what still comes is read and dropped for a moment, or the other side may
/// lose the last answer.
#[derive(Debug)]
enum Lingering {
    Not,
    /// Until then, and for so many bytes.
    Until(Pin<Box<Sleep>>, usize),
    Done,
}

const HEAD: Duration = Duration::from_millis(limits::HTTP_HEAD_MS_MAX);
const IDLE: Duration = Duration::from_millis(limits::HTTP_IDLE_MS_MAX);
const WRITE: Duration = Duration::from_millis(limits::HTTP_WRITE_MS_MAX);
const LINGER: Duration = Duration::from_millis(limits::HTTP_LINGER_MS_MAX);

impl<I> Drop for Watched<I> {
    fn drop(&mut self) {
        self.connection.0.written.over();
    }
}

impl<I> Watched<I> {
    /// A connection on which nothing arrives for `first_data` is closed.
    pub(crate) fn new(io: I, connection: Connection, first_data: Duration) -> Watched<I> {
        Watched {
            io,
            connection,
            reading: Some(Deadline::new(Awaited::First, first_data)),
            writing: None,
            lingering: Lingering::Not,
        }
    }

    /// Nothing came: is that too long by now?
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self.connection.0.phase.load(Ordering::Acquire) {
            phase::SERVING | phase::UPGRADED => {
                self.reading = None;
                return Poll::Pending;
            }
            phase::IDLE if self.reading.is_none() => {
                self.reading = Some(Deadline::new(Awaited::Next, IDLE));
            }
            _ => {}
        }
        let Some(deadline) = &mut self.reading else {
            return Poll::Pending;
        };
        ready!(deadline.sleep.as_mut().poll(cx));
        let reason = match deadline.awaited {
            Awaited::First => "nothing arrived within ocim.first_data_ms",
            Awaited::Head => "a request's head was not there within HTTP_HEAD_MS_MAX",
            Awaited::Next => "no request came within HTTP_IDLE_MS_MAX",
        };
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, reason))
    }

    /// Something came.
    fn heard(&mut self) {
        let serving = matches!(
            self.connection.0.phase.load(Ordering::Acquire),
            phase::SERVING | phase::UPGRADED
        );
        match &mut self.reading {
            _ if serving => self.reading = None,
            Some(deadline) if deadline.awaited == Awaited::Head => {}
            Some(deadline) => {
                deadline.awaited = Awaited::Head;
                deadline.sleep.as_mut().reset(Instant::now() + HEAD);
            }
            None => self.reading = Some(Deadline::new(Awaited::Head, HEAD)),
        }
    }
}

/// Reads what is there, and lets it be known how the connection is.
fn look<I: AsyncRead + Unpin>(
    io: &mut I,
    written: &Written,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let (look, before) = (written.looks(), buf.filled().len());
    let polled = Pin::new(io).poll_read(cx, buf);
    let end = buf.filled().len() == before && buf.remaining() > 0;
    written.read(look, cx, &polled, end);
    polled
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let before = buf.filled().len();
        match look(&mut me.io, &me.connection.0.written, cx, buf) {
            Poll::Pending => me.poll_deadline(cx).map(Err),
            Poll::Ready(Ok(())) => {
                if buf.filled().len() > before {
                    me.heard();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl<I: AsyncWrite + Unpin> Watched<I> {
    /// Counts what was taken. What is not taken in time ends the connection: it is not read, or too
    /// slowly.
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.connection.0.written.wrote(&polled);
        if polled.is_pending() {
            let writing = &mut self.writing;
            let sleep = writing.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE)));
            ready!(sleep.as_mut().poll(cx));
            let reason = "an answer was not taken within HTTP_WRITE_MS_MAX";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)));
        }
        polled
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if flushed.is_ready() {
            self.writing = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if let Lingering::Not = me.lingering {
            if let Err(error) = ready!(Pin::new(&mut me.io).poll_shutdown(cx)) {
                me.lingering = Lingering::Done;
                return Poll::Ready(Err(error));
            }
            let sleep = Box::pin(tokio::time::sleep(LINGER));
            me.lingering = Lingering::Until(sleep, limits::HTTP_LINGER_BYTES_MAX);
        }
        let Lingering::Until(sleep, left) = &mut me.lingering else {
            return Poll::Ready(Ok(()));
        };
        let mut dropped = [0; 4096];
        while sleep.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut dropped);
            match look(&mut me.io, &me.connection.0.written, cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => break,
            }
            match left.checked_sub(buf.filled().len()) {
                Some(less) => *left = less,
                None => break,
            }
        }
        me.lingering = Lingering::Done;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    fn watched(io: DuplexStream) -> (Watched<DuplexStream>, Connection) {
        let connection = Connection::new(None);
        let first_data = Duration::from_secs(5);
        (Watched::new(io, connection.clone(), first_data), connection)
    }

    async fn gives_up(near: &mut Watched<DuplexStream>) -> Duration {
        let start = Instant::now();
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        start.elapsed()
    }

    /// Time is virtual: it jumps to the next deadline when nothing else can happen.
    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_given_up() {
        let (near, _far) = tokio::io::duplex(64);
        let (mut near, _) = watched(near);
        assert_eq!(gives_up(&mut near).await, Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_however_often_a_byte_comes() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut near, _) = watched(near);
        let start = Instant::now();
        let slow = tokio::spawn(async move {
            while far.write_u8(b'a').await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let error = loop {
            match near.read_u8().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), HEAD);
        drop(near);
        slow.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_its_time_and_the_next_request_must_come() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut near, connection) = watched(near);
        far.write_all(b"a").await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'a');
        connection.asked();
        let held = tokio::time::timeout(Duration::from_secs(600), near.read_u8());
        assert!(held.await.is_err(), "a poll is held");
        connection.answered(false);
        near.write_all(b"12345").await.unwrap();
        assert_eq!(connection.written().bytes(), 5);
        assert_eq!(gives_up(&mut near).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_read_ends_the_connection_even_drop_by_drop() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut near, _) = watched(near);
        let start = Instant::now();
        let slow = tokio::spawn(async move {
            while far.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let error = near.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= WRITE && start.elapsed() < 2 * WRITE);
        drop(near);
        slow.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_what_still_comes() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut near, _) = watched(near);
        let more = tokio::spawn(async move {
            far.write_all(&[0; 1000]).await.unwrap();
            far.shutdown().await.unwrap();
            far.read_to_end(&mut Vec::new()).await.unwrap()
        });
        near.write_all(b"401").await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(more.await.unwrap(), 3);
        // …but not for ever.
        let (near, _far) = tokio::io::duplex(64);
        let (mut near, _) = watched(near);
        let start = Instant::now();
        near.shutdown().await.unwrap();
        assert_eq!(start.elapsed(), LINGER);
    }
}
