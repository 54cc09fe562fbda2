//! The UDP socket as all its sessions share it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

/// Bytes of datagrams that may wait for the socket; what comes on top is dropped, and sent again
/// in its time like everything that a network loses.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Datagrams that were encoded together, in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    parts: Vec<(SocketAddr, usize)>,
}

impl Outgoing {
    pub(crate) fn push(&mut self, to: SocketAddr, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.parts.push((to, frame.len()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<(SocketAddr, Box<[u8]>)>,
    bytes: usize,
    /// A task waits for the socket to take more.
    busy: bool,
}

/// The sending half of the UDP transport.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    runtime: Handle,
    waiting: Mutex<Waiting>,
}

impl Datagrams {
    /// Must be called on a runtime.
    pub(crate) fn new(socket: UdpSocket) -> Arc<Datagrams> {
        let runtime = Handle::current();
        Arc::new(Datagrams {
            socket,
            runtime,
            waiting: Mutex::new(Waiting::default()),
        })
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends datagrams, after those that wait already. Never blocks.
    pub(crate) fn send(self: &Arc<Self>, outgoing: &Outgoing) {
        let mut rest = outgoing.bytes.as_slice();
        let mut parts = outgoing.parts.iter();
        let mut waiting = self.waiting.lock();
        if !waiting.busy {
            drop(waiting);
            loop {
                let Some((to, length)) = parts.as_slice().first() else {
                    return;
                };
                match self.socket.try_send_to(&rest[..*length], *to) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    // Anything else concerns this address alone; it will time out.
                    _ => {}
                }
                rest = &rest[*length..];
                parts.next();
            }
            waiting = self.waiting.lock();
        }
        for (to, length) in parts {
            if waiting.bytes + length <= WAITING_BYTES_MAX {
                waiting.bytes += length;
                waiting.queue.push_back((*to, Box::from(&rest[..*length])));
            }
            rest = &rest[*length..];
        }
        if !waiting.busy {
            waiting.busy = true;
            drop(waiting);
            let link = self.clone();
            self.runtime.spawn(async move { link.drain().await });
        }
    }

    async fn drain(self: Arc<Self>) {
        while self.socket.writable().await.is_ok() {
            let mut waiting = self.waiting.lock();
            while let Some((to, frame)) = waiting.queue.pop_front() {
                match self.socket.try_send_to(&frame, to) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        waiting.queue.push_front((to, frame));
                        break;
                    }
                    _ => waiting.bytes -= frame.len(),
                }
            }
            if waiting.queue.is_empty() {
                waiting.busy = false;
                return;
            }
        }
    }
}
