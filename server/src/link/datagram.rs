//! The UDP socket as all its sessions share it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

/// Bytes of datagrams that may wait for the socket; what comes on top is dropped, and sent again
/// in its time like everything that a network loses.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Datagrams on their way out, in one buffer: in the order in which the shard decided them, which
/// is why one queue serves all addresses and all threads.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    parts: Vec<(SocketAddr, usize)>,
    /// Somebody sends, or a task waits for the socket to take more.
    busy: bool,
}

/// The sending half of the UDP transport.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    runtime: Handle,
    outbox: Mutex<Outbox>,
}

impl Datagrams {
    /// Must be called on a runtime.
    pub(crate) fn new(socket: UdpSocket) -> Arc<Datagrams> {
        let runtime = Handle::current();
        Arc::new(Datagrams {
            socket,
            runtime,
            outbox: Mutex::new(Outbox::default()),
        })
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Appends a datagram. The caller must flush, off any lock.
    pub(crate) fn push(&self, to: SocketAddr, frame: &[u8]) {
        let mut outbox = self.outbox.lock();
        if outbox.bytes.len() + frame.len() <= WAITING_BYTES_MAX {
            outbox.bytes.extend_from_slice(frame);
            outbox.parts.push((to, frame.len()));
        }
    }

    /// Sends what waits, as far as the socket takes it. Never blocks.
    pub(crate) fn flush(self: &Arc<Self>) {
        let mut outbox = self.outbox.lock();
        if outbox.busy {
            return; // whoever sends will see the new datagrams
        }
        outbox.busy = true;
        while !outbox.parts.is_empty() {
            let mut bytes = std::mem::take(&mut outbox.bytes);
            let mut parts = std::mem::take(&mut outbox.parts);
            drop(outbox);
            let (sent, sent_bytes) = self.send(&bytes, &parts);
            outbox = self.outbox.lock();
            if sent < parts.len() {
                bytes.drain(..sent_bytes);
                parts.drain(..sent);
                bytes.append(&mut outbox.bytes);
                parts.append(&mut outbox.parts);
                outbox.bytes = bytes;
                outbox.parts = parts;
                drop(outbox);
                return self.flush_when_writable();
            }
        }
        outbox.busy = false;
    }

    /// Returns how many datagrams, and bytes, the socket took.
    fn send(&self, bytes: &[u8], parts: &[(SocketAddr, usize)]) -> (usize, usize) {
        let mut at = 0;
        for (count, (to, length)) in parts.iter().enumerate() {
            match self.socket.try_send_to(&bytes[at..at + length], *to) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return (count, at),
                // Anything else concerns this address alone; it will time out.
                _ => at += length,
            }
        }
        (parts.len(), at)
    }

    /// The socket is full: a task goes on. (`busy` stays set, so nobody else sends meanwhile.)
    fn flush_when_writable(self: &Arc<Self>) {
        let link = self.clone();
        self.runtime.spawn(async move {
            let writable = link.socket.writable().await.is_ok();
            link.outbox.lock().busy = false;
            if writable {
                link.flush();
            }
        });
    }
}
