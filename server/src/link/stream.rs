//! One TCP or WebSocket connection.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::limits;
use tidings_core::wire::websocket::{self, Opcode};
use tokio::runtime::Handle;

use super::socket::Socket;
use crate::gate::Place;

/// How long a closing link may take to send its last bytes and to hear the other side's end.
const LINGER: Duration = Duration::from_secs(3);

/// How frames stand in the byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Four bytes of length, then the frame.
    Length,
    /// One WebSocket text frame each.
    WebSocket,
}

thread_local! {
    /// Emptied outboxes' memory, for the next ones that are filled: an idle link holds none.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}
/// Buffers that a thread keeps…
const SPARE_MAX: usize = 16;
/// …if they are no larger.
const SPARE_BYTES_MAX: usize = 64 << 10;

fn spare() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn keep_spare(mut bytes: Vec<u8>) {
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&bytes.capacity()) {
            bytes.clear();
            spare.push(bytes);
        }
    });
}

/// What the reading task should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Bytes have arrived.
    Read,
    /// The link is closing: read only to hear the other side's end.
    Linger,
}

/// Bytes on their way out, and what the reading task must know.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// Bytes taken by whoever is sending them now.
    sending: usize,
    /// Somebody sends, or a task waits for the socket to take more.
    busy: bool,
    /// No frame may follow; when the outbox is empty, the sending direction ends.
    closing: bool,
    /// The sending direction has ended.
    ended: bool,
    /// The shard asked not to read on.
    paused: bool,
    /// The reading task waits for room, not for bytes.
    held_back: bool,
    /// Its session is somebody's.
    admitted: bool,
    reader: Option<Waker>,
}

impl Outbox {
    fn is_full(&self) -> bool {
        let max = match self.admitted {
            true => limits::OUTBOX_BYTES_MAX,
            false => limits::UNADMITTED_OUTBOX_BYTES_MAX,
        };
        self.bytes.len() + self.sending > max
    }

    fn must_wait(&self) -> bool {
        self.paused || self.is_full()
    }

    /// Wakes the reading task if it waited for room and there is some. (It is not woken for every
    /// frame that is sent: most of the time it waits for bytes.)
    fn room(&mut self) {
        if self.held_back && !self.must_wait() {
            self.wake_reader();
        }
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The server's end of one connection. Owns the socket: the descriptor dies with the last
/// reference, never before somebody who still sends.
#[derive(Debug)]
pub(crate) struct StreamLink {
    socket: Socket,
    peer: Option<SocketAddr>,
    framing: Framing,
    /// For the rare task; flushing happens on threads that are not the runtime's.
    runtime: Handle,
    outbox: Mutex<Outbox>,
    /// Already in the list of links to flush.
    dirty: AtomicBool,
    place: Place,
}

impl StreamLink {
    /// Must be called on a runtime.
    pub(crate) fn new(socket: Socket, framing: Framing, place: Place) -> Arc<StreamLink> {
        let outbox = Mutex::new(Outbox::default());
        let runtime = Handle::current();
        let peer = socket.stream().peer_addr().ok();
        let stranger = place.stranger();
        let link = Arc::new(StreamLink {
            socket,
            framing,
            peer,
            runtime,
            outbox,
            dirty: AtomicBool::new(false),
            place,
        });
        let closed = Arc::downgrade(&link);
        stranger.closes(true, move || {
            if let Some(link) = closed.upgrade() {
                tracing::debug!(peer = ?link.peer, "closed before a login: its time or place is over");
                link.abort();
            }
        });
        link
    }

    /// Its session is somebody's: the usual limits count from now on.
    pub(crate) fn admit(&self) {
        self.place.admit();
        let mut outbox = self.outbox.lock();
        outbox.admitted = true;
        outbox.room();
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.place.is_admitted()
    }

    /// The other side's address.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Appends a frame. Returns true if the caller must see to it that `flush` is called.
    pub(crate) fn push(&self, frame: &[u8]) -> bool {
        self.append(|framing, out| match framing {
            Framing::Length => {
                let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(frame);
            }
            Framing::WebSocket => {
                websocket::encode_frame(Opcode::Text, true, None, frame, out);
            }
        })
    }

    /// Appends a WebSocket frame that is no message of ours: a pong, an echo.
    pub(crate) fn push_websocket(&self, opcode: Opcode, payload: &[u8]) -> bool {
        self.append(|_, out| websocket::encode_frame(opcode, true, None, payload, out))
    }

    /// Appends bytes as they are: the answer to an upgrade.
    pub(crate) fn push_raw(&self, bytes: &[u8]) -> bool {
        self.append(|_, out| out.extend_from_slice(bytes))
    }

    fn append(&self, write: impl FnOnce(Framing, &mut Vec<u8>)) -> bool {
        let mut outbox = self.outbox.lock();
        if outbox.closing {
            return false;
        }
        if outbox.bytes.capacity() == 0 {
            outbox.bytes = spare();
        }
        write(self.framing, &mut outbox.bytes);
        drop(outbox);
        !self.dirty.swap(true, Ordering::AcqRel)
    }

    /// True if frames that nobody would send again should not be added.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.lock().is_full()
    }

    /// True if it is not read now: the shard asked for it, or too much waits to be sent.
    pub(crate) fn is_held_back(&self) -> bool {
        let outbox = self.outbox.lock();
        outbox.must_wait()
    }

    /// True if something waits to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        let outbox = self.outbox.lock();
        outbox.busy || outbox.sending + outbox.bytes.len() > 0
    }

    /// Do not read, or read again.
    pub(crate) fn pause(&self, paused: bool) {
        let mut outbox = self.outbox.lock();
        outbox.paused = paused;
        outbox.room();
    }

    /// Ends the link once everything before is sent. For WebSocket `code` and `reason` go into the
    /// close frame. The caller must flush.
    pub(crate) fn close(self: &Arc<Self>, code: u16, reason: &str) {
        let mut outbox = self.outbox.lock();
        if outbox.closing {
            return;
        }
        if self.framing == Framing::WebSocket {
            websocket::encode_close(Some(code), reason, None, &mut outbox.bytes);
        }
        outbox.closing = true;
        outbox.wake_reader();
    }

    /// Ends the link without a close frame: before a WebSocket is open.
    pub(crate) fn close_raw(&self) {
        let mut outbox = self.outbox.lock();
        outbox.closing = true;
        outbox.wake_reader();
    }

    /// Answers the other side's close frame.
    pub(crate) fn close_with(self: &Arc<Self>, code: Option<u16>) {
        let mut outbox = self.outbox.lock();
        if !outbox.closing {
            websocket::encode_close(code, "", None, &mut outbox.bytes);
            outbox.closing = true;
            outbox.wake_reader();
        }
    }

    /// Sends what waits, as far as the socket takes it. Never blocks.
    pub(crate) fn flush(self: &Arc<Self>) {
        self.dirty.store(false, Ordering::Release);
        let mut outbox = self.outbox.lock();
        if outbox.busy {
            return; // whoever sends will see the new bytes
        }
        outbox.busy = true;
        loop {
            if outbox.bytes.is_empty() && !self.socket.owes() {
                // Last of all the goodbye of TLS.
                if !outbox.closing || outbox.ended || !self.socket.say_goodbye() {
                    break;
                }
            }
            let mut bytes = std::mem::take(&mut outbox.bytes);
            outbox.sending = bytes.len();
            drop(outbox);
            let (sent, outcome) = self.socket.send(&bytes);
            let is_done = sent == bytes.len() && !self.socket.owes();
            if outcome.is_err() || is_done {
                keep_spare(std::mem::take(&mut bytes));
            }
            outbox = self.outbox.lock();
            outbox.sending = 0;
            if outcome.is_ok() && !is_done {
                bytes.drain(..sent);
                bytes.append(&mut outbox.bytes);
                outbox.bytes = bytes;
                drop(outbox);
                return self.flush_when_writable();
            }
            if outcome.is_err() {
                // The peer is gone; the reading task will notice.
                outbox.bytes = Vec::new();
                outbox.closing = true;
                outbox.wake_reader();
                break;
            }
        }
        outbox.busy = false;
        if outbox.closing && !outbox.ended {
            outbox.ended = true;
            let _ = self.below().shutdown(std::net::Shutdown::Write);
        }
        outbox.room();
    }

    /// The socket is full: a task, which exists only as long as it is, goes on. (`busy` stays set,
    /// so nobody else sends meanwhile.)
    fn flush_when_writable(self: &Arc<Self>) {
        let link = self.clone();
        self.runtime.spawn(async move {
            if link.socket.stream().writable().await.is_ok() {
                link.outbox.lock().busy = false;
                link.flush();
            }
        });
    }

    /// Waits until the reading task has something to do. Bytes are only waited for while the shard
    /// and the outbox have room for what they would cause.
    pub(crate) async fn next(&self) -> Next {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_room(&self, cx: &Context<'_>) -> Poll<Next> {
        let mut outbox = self.outbox.lock();
        if outbox.closing {
            return Poll::Ready(Next::Linger);
        }
        if !outbox
            .reader
            .as_ref()
            .is_some_and(|w| w.will_wake(cx.waker()))
        {
            outbox.reader = Some(cx.waker().clone());
        }
        outbox.held_back = outbox.must_wait();
        match outbox.held_back {
            true => Poll::Pending,
            false => Poll::Ready(Next::Read),
        }
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Next::Linger = std::task::ready!(self.poll_room(cx)) {
            return Poll::Ready(Next::Linger);
        }
        if self.socket.is_fresh() {
            return Poll::Ready(Next::Read);
        }
        let ready = self.socket.stream().poll_read_ready(cx);
        ready.map(|_| Next::Read)
    }

    /// Waits until more may be caused by what was read before.
    pub(crate) async fn room(&self) -> Next {
        std::future::poll_fn(|cx| self.poll_room(cx)).await
    }

    /// Reads what is there.
    pub(crate) fn try_read(self: &Arc<Self>, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = self.socket.try_read(buffer);
        if self.socket.owes() {
            self.flush(); // TLS has something to say of its own: an alert, a new key
        }
        outcome
    }

    fn below(&self) -> socket2::SockRef<'_> {
        socket2::SockRef::from(self.socket.stream())
    }

    /// After closing: reads and discards until the other side has ended too, so that unread bytes
    /// do not make the kernel reset the connection and take our last frame with them.
    pub(crate) async fn linger(self: &Arc<Self>) {
        self.flush();
        let wait = async {
            let mut sink = vec![0u8; 4096];
            let stream = self.socket.stream();
            loop {
                if stream.readable().await.is_err() {
                    return;
                }
                match stream.try_read(&mut sink) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        let _ = tokio::time::timeout(LINGER, wait).await;
        self.abort();
    }

    /// Ends both directions at once.
    pub(crate) fn abort(&self) {
        let mut outbox = self.outbox.lock();
        outbox.closing = true;
        outbox.ended = true;
        outbox.bytes = Vec::new();
        outbox.wake_reader();
        let _ = self.below().shutdown(std::net::Shutdown::Both);
    }

    /// True once the last byte is sent and the sending direction has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.outbox.lock().ended
    }
}
