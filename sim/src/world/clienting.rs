//! What clients do: log in, keep alive, send, acknowledge, come back.

use std::borrow::Cow;

use tidings_core::ids::{Address, conversation_key};
use tidings_core::session::Transport;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::login::{
    Login, decode_error, decode_login_answer, encode_login,
};
use tidings_core::wire::mobileimsdk::{self, Extended, Frame};

use super::client::State;
use super::{Event, World, encode};

const TICK_MS: u64 = 250;
const LOGIN_WAIT_MS: u64 = 6_000;
const SCAN_MS: u64 = 5_000;
const JUST_NOW_MS: u64 = 3_000;

/// A frame from a client, as MobileIMSDK writes it.
pub(super) fn frame<'a>(
    kind: i32,
    from: &'a str,
    to: &'a str,
    data: Option<&'a str>,
    id: Option<&'a str>,
) -> Frame<'a> {
    Frame {
        kind,
        data: data.map(Cow::Borrowed),
        from: Some(Cow::Borrowed(from)),
        to: Some(Cow::Borrowed(to)),
        fp: id.map(Cow::Borrowed),
        qos: id.is_some(),
        typeu: -1,
        sm: -1,
        ..Frame::default()
    }
}

impl World {
    pub(super) fn client_tick(&mut self, client: usize) {
        self.after(TICK_MS, Event::ClientTick { client });
        if self.clients[client].app.is_some() {
            return self.app_tick(client);
        }
        let now = self.now;
        match self.clients[client].state {
            State::Off { again } | State::Kicked { again } => {
                if self.clients[client].enabled && now >= again {
                    self.enter(client);
                }
            }
            State::Entering { since } => {
                if now >= since + LOGIN_WAIT_MS {
                    self.come_back(client, 0);
                }
            }
            State::Online => self.online_tick(client),
        }
    }

    fn online_tick(&mut self, client: usize) {
        let now = self.now;
        let me = &mut self.clients[client];
        let interval = me.plan.keepalive_ms;
        let patience = match me.plan.transport {
            Transport::Udp => interval * 2 + 4_000,
            _ => interval + 5_000,
        };
        if now >= me.last_answer + interval + patience {
            let ms = self.pause_ms(client);
            self.log(format_args!("client {client} hears nothing any more"));
            return self.come_back(client, ms);
        }
        if now >= me.last_keepalive + interval {
            me.last_keepalive = now;
            let user = me.plan.user.clone();
            let keepalive = frame(code::KEEPALIVE, &user, "0", Some("{}"), None);
            self.client_sends(client, &keepalive);
        }
        let me = &mut self.clients[client];
        if now >= me.last_scan + SCAN_MS {
            me.last_scan = now;
            self.scan_outbox(client);
        }
    }

    fn pause_ms(&self, client: usize) -> u64 {
        match self.clients[client].plan.transport {
            Transport::Udp => 2_000,
            _ => 3_000,
        }
    }

    /// Gives up the connection and logs in again after a while.
    pub(super) fn come_back(&mut self, client: usize, ms: u64) {
        if self.clients[client].app.is_some() {
            return self.app_lost(client);
        }
        if let Some(conn) = self.clients[client].conn.take() {
            self.hang_up(conn, false);
        }
        self.clients[client].state = State::Off {
            again: self.now + ms,
        };
    }

    fn enter(&mut self, client: usize) {
        let conn = self.connect(client);
        self.clients[client].conn = Some(conn);
        self.clients[client].state = State::Entering { since: self.now };
        self.log(format_args!("client {client} connects, conn {conn}"));
        if !self.conns[conn].is_stream() {
            self.client_connected(conn);
        }
    }

    /// The connection stands: the login goes out.
    pub(super) fn client_connected(&mut self, conn: usize) {
        let client = self.conns[conn].client;
        if self.clients[client].conn != Some(conn) {
            return;
        }
        if self.clients[client].app.is_some() {
            return self.app_connected(client);
        }
        self.send_login(client);
    }

    pub(super) fn send_login(&mut self, client: usize) {
        let me = &self.clients[client];
        let user = me.plan.user.clone();
        let login = Login {
            user: Some(user.to_string()),
            token: Some("good".to_owned()),
            extra: None,
            first_login_time: me.first_login_time,
            tidings: None,
        };
        let data = encode_login(&login);
        self.client_sends(client, &frame(code::LOGIN, &user, "0", Some(&data), None));
    }

    pub(super) fn client_sends(&mut self, client: usize, frame: &Frame<'_>) {
        if let Some(conn) = self.clients[client].conn {
            self.transmit(conn, true, encode::plain(frame));
        }
    }

    pub(super) fn client_lost(&mut self, conn: usize) {
        let client = self.conns[conn].client;
        if self.clients[client].conn != Some(conn) {
            return;
        }
        self.log(format_args!("client {client} lost conn {conn}"));
        if self.clients[client].app.is_some() {
            return self.app_lost(client);
        }
        let ms = match self.clients[client].state {
            State::Entering { .. } => self.pause_ms(client),
            _ => 0,
        };
        let ms = ms.max(self.clients[client].refused_until.saturating_sub(self.now));
        self.come_back(client, ms);
    }

    pub(super) fn client_receives(&mut self, conn: usize, bytes: &[u8]) {
        let client = self.conns[conn].client;
        if self.conns[conn].cut || self.clients[client].conn != Some(conn) {
            return;
        }
        let Ok((frame, extended)) = mobileimsdk::decode_extended(bytes) else {
            return self
                .check
                .fail("the server sent what is no frame".to_owned());
        };
        if self.clients[client].app.is_some() {
            if frame.kind == code::COMMON_DATA {
                self.client_gets(client, conn, &frame, extended);
            }
            return self.app_receives(client, &frame, extended);
        }
        let data = frame.data.as_deref().unwrap_or("");
        match frame.kind {
            code::LOGIN_ANSWER => self.login_answered(client, data),
            code::KEEPALIVE_ANSWER => self.clients[client].last_answer = self.now,
            code::ERROR => self.client_refused(client, data),
            code::KICKOUT => self.client_kicked(client),
            code::RECEIVED => self.client_acknowledged(client, &frame, extended),
            code::COMMON_DATA => self.client_gets(client, conn, &frame, extended),
            _ => {}
        }
    }

    fn login_answered(&mut self, client: usize, data: &str) {
        let Ok(answer) = decode_login_answer(data) else {
            return self
                .check
                .fail("an unreadable answer to a login".to_owned());
        };
        if answer.code != code::OK {
            // A streaming client learns the rest from the end of its connection.
            let ms = self.pause_ms(client);
            self.clients[client].refused_until = self.now + ms;
            return;
        }
        let now = self.now;
        let me = &mut self.clients[client];
        if me.first_login_time == 0 {
            me.first_login_time = answer.first_login_time;
        }
        if !matches!(me.state, State::Entering { .. }) {
            return;
        }
        me.state = State::Online;
        (me.last_answer, me.last_keepalive, me.last_scan) = (now, now, now);
    }

    /// They give up after two repetitions.
    fn scan_outbox(&mut self, client: usize) {
        let now = self.now;
        let me = &mut self.clients[client];
        me.outbox
            .retain(|out| out.sends < 3 || now < out.first_sent + JUST_NOW_MS);
        for at in 0..self.clients[client].outbox.len() {
            let out = &self.clients[client].outbox[at];
            if now >= out.first_sent + JUST_NOW_MS {
                self.send_out(client, at);
            }
        }
    }

    pub(super) fn send_out(&mut self, client: usize, at: usize) {
        let now = self.now;
        let out = &mut self.clients[client].outbox[at];
        out.sends += 1;
        out.last_sent = now;
        let out = out.clone();
        let user = self.clients[client].plan.user.clone();
        let mut message = frame(
            code::COMMON_DATA,
            &user,
            &out.to,
            Some(&out.body),
            Some(&out.id),
        );
        message.typeu = out.typeu;
        self.client_sends(client, &message);
    }

    fn client_refused(&mut self, client: usize, data: &str) {
        let Ok(notice) = decode_error(data) else {
            return;
        };
        if notice.code == code::NOT_LOGGED_IN {
            if self.clients[client].state == State::Online {
                let ms = self.clients[client].plan.keepalive_ms.min(5_000);
                self.come_back(client, ms);
            }
            return;
        }
        let lasting = matches!(
            notice.code,
            code::REFUSED_CONFLICT
                | code::REFUSED_TOO_LARGE
                | code::REFUSED_ADDRESS
                | code::REFUSED_NOT_MEMBER
        );
        if let (true, Some(rest)) = (lasting, notice.message.strip_prefix("message ")) {
            let id = rest.split([' ', ':']).next().unwrap_or("");
            self.clients[client].outbox.retain(|out| out.id != id);
        }
    }

    fn client_kicked(&mut self, client: usize) {
        self.log(format_args!("client {client} is kicked"));
        let again = self.now + self.rng.client.range(3_000, 40_000);
        if let Some(conn) = self.clients[client].conn.take() {
            self.hang_up(conn, false);
        }
        let me = &mut self.clients[client];
        me.first_login_time = 0;
        me.outbox.clear();
        me.state = State::Kicked { again };
    }

    fn client_acknowledged(
        &mut self,
        client: usize,
        frame: &Frame<'_>,
        extended: Option<Extended>,
    ) {
        let id = frame.data.as_deref().unwrap_or("");
        let me = &mut self.clients[client];
        let at = me
            .outbox
            .iter()
            .position(|out| out.id == id && frame.from.as_deref() == Some(out.to.as_str()));
        let Some(at) = at else {
            return;
        };
        let out = me.outbox.remove(at);
        let seq = extended.map(|e| e.seq);
        self.check
            .sender_told(&me.plan.user, &out, seq, &me.poisoned);
    }

    fn client_gets(
        &mut self,
        client: usize,
        conn: usize,
        frame: &Frame<'_>,
        extended: Option<Extended>,
    ) {
        let now = self.now;
        let from = frame.from.as_deref().unwrap_or("");
        let to = frame.to.as_deref().unwrap_or("");
        let id = frame.fp.as_deref().unwrap_or("");
        if frame.typeu == code::NOTICE_WAITING || !frame.qos {
            return self
                .check
                .unnumbered(&self.clients[client].plan, conn, frame);
        }
        if self.clients[client]
            .plan
            .dies_of(frame.data.as_deref().unwrap_or(""))
        {
            self.log(format_args!("client {client} dies of {id}"));
            self.check.died(client, from, id, self.crashes);
            let ms = self.rng.client.range(200, 5_000);
            return self.come_back(client, ms);
        }
        let address = Address::parse(to).unwrap_or(Address::Server);
        let conversation = conversation_key(from, address);
        let me = &mut self.clients[client];
        self.check.received(me, frame, &conversation, extended);
        if me.app.is_some() {
            return; // its machine decides what is shown and acknowledged
        }
        let known = !me.shows(now, id);
        if known {
            self.trace
                .line(now, format_args!("client {client} knows {id} already"));
        }
        let me = &self.clients[client];
        if me.plan.mute {
            return;
        }
        let (ack_from, ack_to) = if me.plan.sloppy {
            ("x", "y")
        } else {
            (to, from)
        };
        let acknowledgement = encode::acknowledgement(id, ack_from, ack_to, None);
        self.transmit(conn, true, acknowledgement);
    }
}
