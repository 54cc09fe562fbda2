//! A connection's socket, plain or with TLS around it.
//!
//! Any thread may send and one task reads, so the TLS session lives under a lock of its own, beside
//! the outbox's. It is taken for one record's work or one system call, never while the router's
//! lock is held.

use std::io::{self, IoSlice, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Encrypted at once, so that what waits encrypted for a full socket stays small: one record.
const RECORD_BYTES: usize = 16 << 10;

/// A TCP connection as a link uses it.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    /// After the handshake.
    Tls(TcpStream, Box<Tls>),
}

/// The TLS session of a connection.
#[derive(Debug)]
pub(crate) struct Tls {
    session: Mutex<ServerConnection>,
    /// Encrypted bytes wait for the socket.
    owes: AtomicBool,
    /// Bytes may have been decrypted during the handshake, of which the socket tells nothing.
    fresh: AtomicBool,
    said_goodbye: AtomicBool,
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Socket {
        Socket::Plain(stream)
    }
}

impl Socket {
    /// A connection whose handshake is done.
    pub(crate) fn tls(stream: TcpStream, mut session: ServerConnection) -> Socket {
        // What we send waits in the outbox, which has a bound of its own.
        session.set_buffer_limit(None);
        let owes = AtomicBool::new(session.wants_write());
        let tls = Tls {
            session: Mutex::new(session),
            owes,
            fresh: AtomicBool::new(true),
            said_goodbye: AtomicBool::new(false),
        };
        Socket::Tls(stream, Box::new(tls))
    }

    /// The connection below, to wait for it or to end it.
    pub(crate) fn stream(&self) -> &TcpStream {
        match self {
            Socket::Plain(stream) | Socket::Tls(stream, _) => stream,
        }
    }

    /// Sends as much as the connection takes; returns how much that was, and whether it still
    /// lives. With TLS some of it may wait inside: see [`Socket::owes`].
    pub(crate) fn send(&self, bytes: &[u8]) -> (usize, io::Result<()>) {
        match self {
            Socket::Plain(stream) => send_plain(stream, bytes),
            Socket::Tls(stream, tls) => {
                let mut session = tls.session.lock();
                let outcome = send_encrypted(stream, &mut session, bytes);
                tls.owes.store(session.wants_write(), Ordering::Release);
                outcome
            }
        }
    }

    /// True if encrypted bytes wait for the connection to take more.
    pub(crate) fn owes(&self) -> bool {
        match self {
            Socket::Plain(_) => false,
            Socket::Tls(_, tls) => tls.owes.load(Ordering::Acquire),
        }
    }

    /// True, once, if there may be something to read of which the connection tells nothing.
    pub(crate) fn is_fresh(&self) -> bool {
        match self {
            Socket::Plain(_) => false,
            Socket::Tls(_, tls) => tls.fresh.swap(false, Ordering::Relaxed),
        }
    }

    /// Reads what is there. After it [`Socket::owes`] may be true: TLS answers by itself.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(stream) => receive(stream, buffer),
            Socket::Tls(stream, tls) => {
                let mut session = tls.session.lock();
                let outcome = read_encrypted(stream, &mut session, buffer);
                tls.owes.store(session.wants_write(), Ordering::Release);
                outcome
            }
        }
    }

    /// TLS says that nothing follows, so that nobody can cut a conversation short unnoticed.
    /// Returns true, once, if there is something to send for that.
    pub(crate) fn say_goodbye(&self) -> bool {
        let Socket::Tls(_, tls) = self else {
            return false;
        };
        if tls.said_goodbye.swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut session = tls.session.lock();
        session.send_close_notify();
        tls.owes.store(session.wants_write(), Ordering::Release);
        session.wants_write()
    }
}

/// Reads what is there. If that is less than would fit, there is no more: the connection counts as
/// not readable without asking the system a second time. (As tokio's `poll_read` does it, for which
/// the stream would have to be borrowed alone.)
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut received = None;
    let outcome = stream.try_io(Interest::READABLE, || {
        let count = (&*socket2::SockRef::from(stream)).read(buffer)?;
        received = Some(count);
        match count {
            0 => Ok(()),
            _ if count == buffer.len() => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    });
    received.map_or_else(|| outcome.map(|()| 0), Ok)
}

fn send_plain(stream: &TcpStream, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.try_write(&bytes[sent..]) {
            Ok(0) => return (sent, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => sent += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return (sent, Ok(())),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (sent, Err(e)),
        }
    }
    (sent, Ok(()))
}

fn send_encrypted(
    stream: &TcpStream,
    session: &mut ServerConnection,
    bytes: &[u8],
) -> (usize, io::Result<()>) {
    let mut sent = 0;
    loop {
        while session.wants_write() {
            match session.write_tls(&mut Wire(stream)) {
                Ok(0) => return (sent, Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return (sent, Ok(())),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (sent, Err(e)),
            }
        }
        if sent == bytes.len() {
            return (sent, Ok(()));
        }
        let end = bytes.len().min(sent + RECORD_BYTES);
        match session.writer().write(&bytes[sent..end]) {
            Ok(n) => sent += n,
            Err(e) => return (sent, Err(e)),
        }
    }
}

fn read_encrypted(
    stream: &TcpStream,
    session: &mut ServerConnection,
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        match session.reader().read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
        if session.read_tls(&mut Wire(stream))? == 0 {
            return Ok(0);
        }
        session
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
}

/// The connection as the TLS session writes to it and reads from it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self.0, buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
