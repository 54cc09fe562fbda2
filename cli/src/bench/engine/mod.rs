//! The load generator's loop: many connections on one thread, no task and no allocation per
//! message.
//!
//! Here: connecting, logging in, heartbeats, reading and sending in batches. Not here: what the
//! frames mean to a benchmark, which is its [`Scenario`]. One [`Worker`] per thread; what a
//! scenario must know of another thread goes through `stage`.

mod client;
mod fault;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Registry, Token};
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{self, Frame};
use tidings_core::wire::websocket::handshake;

use client::Io;
pub(super) use client::{Client, Phase};
pub(super) use fault::Faults;

use super::args::{Dialing, random};
use super::template::mix;

/// Read at once from one connection.
const READ_BYTES: usize = 128 << 10;
/// Connections that a worker opens at the same time, unless a benchmark says otherwise.
const OPENING_MAX: usize = 64;
/// A connection must be online after so long.
const ONLINE_WITHIN_NS: u64 = 30_000_000_000;
/// A LOGIN by datagram is sent again after so long.
const LOGIN_AGAIN_NS: u64 = 1_000_000_000;
/// How often heartbeats and time-outs are looked after.
const SCAN_NS: u64 = 250_000_000;
/// Longest sleep: how late a worker notices what another thread wants.
const SLEEP: Duration = Duration::from_millis(10);

/// What a benchmark does with its connections. `who` is a connection's index in [`Net`].
pub(super) trait Scenario {
    /// A connection is logged in.
    fn online(&mut self, net: &mut Net, who: usize);

    /// A frame arrived; false leaves it to the decoder, which calls [`Scenario::decoded`].
    fn raw(&mut self, _net: &mut Net, _who: usize, _frame: &[u8], _now: u64) -> bool {
        false
    }

    /// A message or acknowledgement that `raw` did not recognise.
    fn decoded(&mut self, _net: &mut Net, _who: usize, _frame: &Frame<'_>, _now: u64) {}

    /// After each batch of events, and at least every few milliseconds. True ends the worker.
    fn turn(&mut self, net: &mut Net, now: u64) -> bool;

    /// A connection that was online is gone; false counts it as a fault.
    fn closed(&mut self, _net: &mut Net, _who: usize) -> bool {
        false
    }
}

/// The connections of one worker.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) clients: Vec<Client>,
    pub(super) faults: Faults,
    /// Connections that a worker opens at the same time.
    pub(super) opening_max: usize,
    dialing: Dialing,
    registry: Registry,
    /// Users who are to be logged in, in order.
    to_open: VecDeque<(String, i64)>,
    opening: usize,
    opened: usize,
    dirty: Vec<usize>,
    origin: Instant,
    random: u64,
    fatal: Option<anyhow::Error>,
    /// Reused.
    scratch: Vec<u8>,
}

impl Net {
    /// Nanoseconds since the benchmark's origin.
    pub(super) fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Logs `user` in, as soon as not too many are on their way; the connections get their indices
    /// in this order.
    pub(super) fn log_in(&mut self, user: String) {
        self.to_open.push_back((user, 0));
    }

    /// Spreads this worker's connections over other source addresses than another's.
    pub(super) fn number_from(&mut self, number: usize) {
        self.opened = number;
    }

    /// Connects `who` anew; `first_login_time` as the server gave it, or 0. What waits to be sent
    /// on the old connection is sent before it ends.
    pub(super) fn reopen(&mut self, who: usize, user: String, first_login_time: i64) {
        // A connection that is going away may refuse it.
        let _ = self.clients[who].flush();
        match self.connect(who, user, first_login_time) {
            Ok(client) => self.clients[who] = client,
            Err(error) => self.fail(error),
        }
    }

    /// Queues a frame.
    pub(super) fn push(&mut self, who: usize, frame: &[u8]) {
        self.clients[who].push(frame);
        self.soil(who);
    }

    /// Queues a LOGOUT, if the connection is online.
    pub(super) fn log_out(&mut self, who: usize) {
        let client = &mut self.clients[who];
        if client.phase == Phase::Online {
            client.phase = Phase::Closed;
            let user = client.user.clone();
            self.push_control(who, code::LOGOUT, &user, None);
        }
    }

    /// Queues a LOGOUT on all connections that are online.
    pub(super) fn log_out_all(&mut self) {
        for who in 0..self.clients.len() {
            self.log_out(who);
        }
    }

    /// Ends the worker with an error.
    pub(super) fn fail(&mut self, error: anyhow::Error) {
        self.fatal.get_or_insert(error);
    }

    fn soil(&mut self, who: usize) {
        let client = &mut self.clients[who];
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(who);
        }
    }

    fn push_control(&mut self, who: usize, kind: i32, from: &str, data: Option<&str>) {
        let frame = Frame {
            kind,
            data: data.map(Into::into),
            from: Some(from.into()),
            to: Some("0".into()),
            typeu: -1,
            sm: -1,
            ..Frame::default()
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        mobileimsdk::encode(&frame, &mut scratch);
        self.push(who, &scratch);
        self.scratch = scratch;
    }

    fn open_more(&mut self) {
        while self.opening < self.opening_max
            && let Some((user, first_login_time)) = self.to_open.pop_front()
        {
            let who = self.clients.len();
            match self.connect(who, user, first_login_time) {
                Ok(client) => self.clients.push(client),
                Err(error) => return self.fail(error),
            }
        }
    }

    fn connect(&mut self, who: usize, user: String, flt: i64) -> anyhow::Result<Client> {
        let endpoint = &self.dialing.endpoint;
        self.random = mix(self.random);
        let mut client = Client::connect(endpoint, user, self.opened, self.random | 1)
            .map_err(|error| fault::connecting(endpoint, &error))?;
        client.first_login_time = flt;
        client.opened_ns = self.origin.elapsed().as_nanos() as u64;
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut client.io {
            Io::Stream(io) => self.registry.register(io, Token(who), interest),
            Io::Datagram(io) => self.registry.register(io, Token(who), interest),
        }?;
        self.opened += 1;
        self.opening += 1;
        Ok(client)
    }

    /// The connection stands: WebSocket asks for its upgrade, the others log in.
    fn connected(&mut self, who: usize) {
        if self.dialing.endpoint.scheme == super::args::Scheme::WebSocket {
            let key = upgrade_key(who);
            let mut request = Vec::new();
            let endpoint = &self.dialing.endpoint;
            handshake::write_request(&endpoint.host, &endpoint.path, &key, &mut request);
            let client = &mut self.clients[who];
            client.phase = Phase::Upgrading;
            client.push_raw(&request);
            self.soil(who);
        } else {
            self.send_login(who);
        }
    }

    fn send_login(&mut self, who: usize) {
        let now = self.now();
        let client = &mut self.clients[who];
        client.is_open();
        client.phase = Phase::Entering;
        client.beat_ns = now;
        let user = client.user.clone();
        let login = self.dialing.login(&user, client.first_login_time);
        self.push_control(who, code::LOGIN, &user, Some(&login));
    }

    /// A connection failed or was closed by the server.
    fn lost(&mut self, who: usize, why: &str) {
        let endpoint = self.dialing.endpoint.to_string();
        let client = &mut self.clients[who];
        let phase = std::mem::replace(&mut client.phase, Phase::Closed);
        let error = match phase {
            Phase::Closed => return,
            Phase::Online => {
                let text = format!("the connection of {} ended: {why}", client.user);
                return self.faults.link_lost(text);
            }
            Phase::Connecting => anyhow::anyhow!("cannot connect to {endpoint}: {why}"),
            Phase::Upgrading => anyhow::anyhow!("{endpoint} opened no WebSocket: {why}"),
            Phase::Entering => anyhow::anyhow!(
                "{endpoint} ended the connection of {} instead of logging it in: {why}",
                client.user
            ),
        };
        self.fail(error);
    }

    /// Heartbeats, datagrams that may have been lost, connections that do not come about.
    fn scan(&mut self, now: u64) {
        for who in 0..self.clients.len() {
            let client = &self.clients[who];
            let since_beat = now.saturating_sub(client.beat_ns);
            match client.phase {
                Phase::Closed => {}
                Phase::Online if since_beat >= self.dialing.heartbeat_ns => {
                    let user = client.user.clone();
                    self.clients[who].beat_ns = now;
                    self.push_control(who, code::KEEPALIVE, &user, Some("{}"));
                }
                Phase::Online => {}
                _ if now.saturating_sub(client.opened_ns) > ONLINE_WITHIN_NS => {
                    self.lost(who, "no answer within 30 s");
                }
                Phase::Entering if client.is_datagram() && since_beat > LOGIN_AGAIN_NS => {
                    self.send_login(who);
                }
                _ => {}
            }
        }
    }
}

/// Any 16 bytes do: the key guards against caches, and there is none between us and the server.
fn upgrade_key(who: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = mix(who as u64 ^ random());
    let mut key = String::with_capacity(24);
    for _ in 0..21 {
        bits = mix(bits);
        key.push(char::from(ALPHABET[(bits & 63) as usize]));
    }
    key.push_str("A==");
    key
}

/// One thread's share of a benchmark.
pub(super) struct Worker<S> {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    pub(super) net: Net,
    pub(super) scenario: S,
}

impl<S: Scenario> Worker<S> {
    /// `origin` is where time begins, for all workers of a benchmark.
    pub(super) fn new(dialing: Dialing, origin: Instant, scenario: S) -> anyhow::Result<Worker<S>> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok(Worker {
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BYTES],
            net: Net {
                clients: Vec::new(),
                faults: Faults::default(),
                opening_max: OPENING_MAX,
                dialing,
                registry,
                to_open: VecDeque::new(),
                opening: 0,
                opened: 0,
                dirty: Vec::new(),
                origin,
                random: random(),
                fatal: None,
                scratch: Vec::new(),
            },
            scenario,
        })
    }

    /// Wakes this worker up from another thread.
    pub(super) fn waker(&self) -> io::Result<mio::Waker> {
        mio::Waker::new(self.poll.registry(), WAKER)
    }

    /// Runs until the scenario ends.
    pub(super) fn run(mut self) -> anyhow::Result<(S, Net)> {
        let mut scanned = 0;
        loop {
            self.net.open_more();
            let now = self.net.now();
            if now - scanned >= SCAN_NS {
                scanned = now;
                self.net.scan(now);
            }
            let end = self.scenario.turn(&mut self.net, now);
            self.flush();
            if let Some(error) = self.net.fatal.take() {
                return Err(error);
            }
            if end {
                return Ok((self.scenario, self.net));
            }
            match self.poll.poll(&mut self.events, Some(SLEEP)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            self.serve();
        }
    }

    fn serve(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == WAKER {
                continue;
            }
            let who = event.token().0;
            if self.net.clients[who].phase == Phase::Connecting {
                match self.net.clients[who].is_connected() {
                    Ok(true) => self.net.connected(who),
                    Ok(false) => continue,
                    Err(error) => {
                        let endpoint = self.net.dialing.endpoint.clone();
                        self.net.fail(fault::connecting(&endpoint, &error));
                    }
                }
            }
            if event.is_writable() {
                self.net.soil(who);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.read(who, event.is_read_closed());
            }
        }
        self.events = events;
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.net.dirty);
        for who in dirty.drain(..) {
            let client = &mut self.net.clients[who];
            client.dirty = false;
            if client.phase == Phase::Connecting {
                continue;
            }
            if let Err(error) = client.flush() {
                self.gone(who, &error.to_string());
            }
        }
        self.net.dirty = dirty;
    }

    /// Reads one connection until nothing is left. A short read of a stream says so by itself,
    /// unless the other side's end stands behind it.
    fn read(&mut self, who: usize, closing: bool) {
        loop {
            let client = &mut self.net.clients[who];
            let held = client.rest.len();
            if self.buffer.len() < held + READ_BYTES {
                self.buffer.resize(held + READ_BYTES, 0);
            }
            self.buffer[..held].copy_from_slice(&client.rest);
            let count = match client.read(&mut self.buffer[held..]) {
                Ok(0) if !client.is_datagram() => return self.gone(who, "closed by the server"),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.gone(who, &error.to_string()),
            };
            let short = held + count < self.buffer.len() && !client.is_datagram();
            let number = client.number;
            if let Err(why) = self.take(who, held + count) {
                return self.gone(who, &why);
            }
            let replaced = self.net.clients[who].number != number;
            if replaced || short && !closing {
                return;
            }
        }
    }

    /// Deals with the frames in the buffer; keeps what is no whole one. A scenario may connect
    /// anew over a frame: what follows it belongs to nobody then.
    fn take(&mut self, who: usize, filled: usize) -> Result<(), String> {
        let mut used = 0;
        let now = self.net.now();
        let number = self.net.clients[who].number;
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = loop {
            if self.net.clients[who].number != number {
                self.buffer = buffer;
                return Ok(());
            }
            let bytes = &mut buffer[used..filled];
            if self.net.clients[who].phase == Phase::Upgrading {
                match self.upgraded(who, bytes) {
                    Ok(Some(count)) => used += count,
                    Ok(None) => break Ok(()),
                    Err(why) => break Err(why),
                }
                continue;
            }
            match self.net.clients[who].next_frame(bytes) {
                Ok((None, count)) => {
                    used += count;
                    break Ok(());
                }
                Ok((Some(frame), count)) => {
                    used += count;
                    if !frame.is_empty()
                        && !self.scenario.raw(&mut self.net, who, &frame, now)
                        && let Err(why) = self.frame(who, &frame, now)
                    {
                        break Err(why);
                    }
                }
                Err(why) => break Err(why),
            }
        };
        let rest = &mut self.net.clients[who].rest;
        if used == filled {
            *rest = Vec::new();
        } else {
            rest.clear();
            rest.extend_from_slice(&buffer[used..filled]);
        }
        self.buffer = buffer;
        outcome
    }

    fn upgraded(&mut self, who: usize, bytes: &[u8]) -> Result<Option<usize>, String> {
        // The key was not kept: an answer to another one is as good to a benchmark.
        match handshake_length(bytes)? {
            Some(length) => {
                self.net.send_login(who);
                Ok(Some(length))
            }
            None => Ok(None),
        }
    }

    /// A frame that the scenario did not recognise as it stood.
    fn frame(&mut self, who: usize, bytes: &[u8], now: u64) -> Result<(), String> {
        let frame = mobileimsdk::decode(bytes).map_err(|error| format!("no frame: {error}"))?;
        let data = frame.data.as_deref().unwrap_or_default();
        match frame.kind {
            code::LOGIN_ANSWER if self.net.clients[who].phase == Phase::Entering => {
                let answer = mobileimsdk::login::decode_login_answer(data)
                    .map_err(|error| format!("its login answer cannot be read: {error}"))?;
                let client = &mut self.net.clients[who];
                if answer.code != code::OK {
                    let refused = fault::refused(&client.user, answer.code);
                    self.net.fail(refused);
                    return Ok(());
                }
                client.phase = Phase::Online;
                client.first_login_time = answer.first_login_time;
                self.net.opening -= 1;
                self.scenario.online(&mut self.net, who);
            }
            code::ERROR => {
                let user = self.net.clients[who].user.clone();
                self.net.faults.refused(&user, data);
            }
            code::KICKOUT => {
                let user = self.net.clients[who].user.clone();
                return Err(format!("{user} was kicked: {data}"));
            }
            code::COMMON_DATA | code::RECEIVED => {
                self.scenario.decoded(&mut self.net, who, &frame, now);
            }
            _ => {}
        }
        Ok(())
    }

    fn gone(&mut self, who: usize, why: &str) {
        let was_online = self.net.clients[who].phase == Phase::Online;
        if was_online && self.scenario.closed(&mut self.net, who) {
            return;
        }
        self.net.lost(who, why);
    }
}

const WAKER: Token = Token(usize::MAX);

/// Bytes of the head of a 101, once it is whole.
fn handshake_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let line = bytes
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    if line.starts_with(b"HTTP/1.1 101") {
        return Ok(Some(end + 4));
    }
    Err(format!("it answered `{}`", String::from_utf8_lossy(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_key_is_sixteen_bytes_in_base64() {
        let mut request = Vec::new();
        handshake::write_request("h:1", "/websocket", &upgrade_key(7), &mut request);
        assert!(handshake::parse_upgrade(&request).expect("valid").is_some());
        assert_ne!(upgrade_key(7), upgrade_key(7));
    }

    #[test]
    fn only_a_101_opens_a_websocket() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nxy";
        assert_eq!(handshake_length(head), Ok(Some(head.len() - 2)));
        assert_eq!(handshake_length(&head[..40]), Ok(None));
        let refused = handshake_length(b"HTTP/1.1 404 Not Found\r\n\r\n").expect_err("refused");
        assert!(refused.contains("404"), "{refused}");
    }
}
