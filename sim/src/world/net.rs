//! The network: streams that keep order, stall and are cut; datagrams that are lost, doubled,
//! delayed and overtake each other.

use std::collections::VecDeque;

use tidings_core::ids::LinkId;
use tidings_core::session::Transport;

use super::{Event, World};
use crate::Mutation;

/// One connection, or on UDP one client address.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) client: usize,
    pub(crate) transport: Transport,
    /// The link at the server, while it has one.
    pub(crate) link: Option<LinkId>,
    /// The link that it had last: for ghosts.
    pub(crate) last_link: Option<LinkId>,
    /// The client holds on to it.
    pub(crate) held: bool,
    /// Nothing passes any more, in neither direction.
    pub(crate) cut: bool,
    /// A stream's server end is closed.
    pub(crate) server_closed: bool,
    /// The server does not read it; what arrives waits here.
    pub(crate) paused: bool,
    pub(crate) waiting: VecDeque<Vec<u8>>,
    /// When the last frame arrives, by direction: streams keep order.
    last_ms: [u64; 2],
    /// The client does not read before this.
    pub(crate) stalled_until: u64,
}

impl Conn {
    pub(crate) fn is_stream(&self) -> bool {
        self.transport != Transport::Udp
    }
}

impl World {
    /// A client opens a connection, or takes a new address.
    pub(super) fn connect(&mut self, client: usize) -> usize {
        let transport = self.clients[client].plan.transport;
        let conn = self.conns.len();
        self.conns.push(Conn {
            client,
            transport,
            link: None,
            last_link: None,
            held: true,
            cut: false,
            server_closed: false,
            paused: false,
            waiting: VecDeque::new(),
            last_ms: [0; 2],
            stalled_until: 0,
        });
        if transport != Transport::Udp {
            let ms = self.latency();
            self.after(ms, Event::Accept { conn });
        }
        conn
    }

    fn latency(&mut self) -> u64 {
        let max = self.plan.latency_ms_max;
        self.rng.net.range(1, max)
    }

    /// Puts bytes on their way.
    pub(super) fn transmit(&mut self, conn: usize, at_server: bool, bytes: Vec<u8>) {
        if self.conns[conn].is_stream() {
            self.transmit_stream(conn, at_server, bytes);
            return;
        }
        let copies = if self.calm {
            1
        } else if self.rng.net.chance(self.plan.udp_loss) {
            0
        } else if self.rng.net.chance(self.plan.udp_double) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut ms = self.latency();
            if !self.calm && self.plan.udp_delay_ms_max > 0 && self.rng.net.chance(300) {
                ms += self.rng.net.below(self.plan.udp_delay_ms_max);
            }
            let bytes = bytes.clone();
            self.after(
                ms,
                Event::Arrive {
                    conn,
                    at_server,
                    bytes,
                },
            );
        }
    }

    fn transmit_stream(&mut self, conn: usize, at_server: bool, bytes: Vec<u8>) {
        let latency = self.latency();
        let overtakes = self.mutation == Some(Mutation::ReorderStream) && self.rng.net.chance(50);
        let end = &mut self.conns[conn];
        let last = &mut end.last_ms[usize::from(at_server)];
        let stalled = if at_server { 0 } else { end.stalled_until };
        let at = if overtakes {
            self.now + 1
        } else {
            (*last).max(self.now + latency).max(stalled)
        };
        *last = at.max(*last);
        self.at(
            at,
            Event::Arrive {
                conn,
                at_server,
                bytes,
            },
        );
    }

    /// One end closes a stream in good order: the other learns it after everything sent before.
    pub(super) fn hang_up(&mut self, conn: usize, by_server: bool) {
        let latency = self.latency();
        let end = &mut self.conns[conn];
        if by_server {
            end.server_closed = true;
        } else {
            end.held = false;
        }
        if !end.is_stream() || end.cut {
            return;
        }
        let at_server = !by_server;
        let at = end.last_ms[usize::from(at_server)].max(self.now + latency);
        self.at(at, Event::Gone { conn, at_server });
    }

    /// A stream breaks: what is under way is lost; each end learns it soon, late or never.
    pub(super) fn cut(&mut self, conn: usize) {
        if self.conns[conn].cut || !self.conns[conn].is_stream() {
            return;
        }
        self.conns[conn].cut = true;
        self.log(format_args!("conn {conn} is cut"));
        for at_server in [true, false] {
            let ms = match self.rng.net.below(3) {
                0 => self.rng.net.below(100),
                1 => self.rng.net.below(20_000),
                _ => continue,
            };
            self.after(ms, Event::Gone { conn, at_server });
        }
    }
}
