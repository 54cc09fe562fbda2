//! One frame in one datagram.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tidings_core::wire::mobileimsdk::{self, Frame};
use tokio::io::Interest;
use tokio::net::{UdpSocket, lookup_host};

use super::{Heard, Target};

/// The longest datagram there is.
const DATAGRAM_BYTES: usize = 65536;

pub(crate) struct Udp {
    socket: UdpSocket,
    input: Vec<u8>,
    heard: Option<Heard>,
    output: VecDeque<Vec<u8>>,
}

impl Udp {
    /// Connects the socket, so that nobody but the server is heard.
    pub(super) async fn open(target: &Target) -> io::Result<Udp> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for server in lookup_host(target.address()).await? {
            match connect(server).await {
                Ok(socket) => {
                    return Ok(Udp {
                        socket,
                        input: vec![0; DATAGRAM_BYTES],
                        heard: None,
                        output: VecDeque::new(),
                    });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Refused and unreachable are answers that some host on the way gave to one datagram: the
    /// link is not over because of them, the login's or heartbeat's limit decides.
    pub(super) async fn turn(&mut self, reading: bool) -> io::Result<()> {
        let reading = reading && self.heard.is_none();
        let interest = match (reading, self.output.is_empty()) {
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (true, true) => Interest::READABLE,
            (false, false) => Interest::WRITABLE,
            (false, true) => return std::future::pending().await,
        };
        let ready = self.socket.ready(interest).await?;
        if ready.is_writable()
            && let Some(datagram) = self.output.front()
        {
            match self.socket.try_send(datagram) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => drop(self.output.pop_front()),
            }
        }
        if reading && ready.is_readable() {
            self.read();
        }
        Ok(())
    }

    fn read(&mut self) {
        let Ok(length) = self.socket.try_recv(&mut self.input) else {
            return;
        };
        let datagram = self.input.get(..length).unwrap_or_default();
        // A datagram that is no frame is dropped: it closes nothing.
        if let Ok((frame, extended)) = mobileimsdk::decode_extended(datagram) {
            self.heard = Some(Heard::Frame(frame.into_owned(), extended));
        }
    }

    pub(super) fn next(&mut self) -> Option<Heard> {
        self.heard.take()
    }

    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        let mut datagram = Vec::new();
        mobileimsdk::encode(frame, &mut datagram);
        self.output.push_back(datagram);
    }

    pub(super) fn unsent(&self) -> usize {
        self.output.iter().map(Vec::len).sum()
    }
}

async fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    Ok(socket)
}
