//! Applications on the production client: its machine, driven over the model network, with a journal
//! that a crash of the application cuts short.
//!
//! What the application was promised is checked here: what was accepted is delivered or refused for
//! good, and a message that it took for good is not shown to it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidings_client::machine::{Action, Config, Input, Machine, Outgoing, Record, Restored, Seen};
use tidings_client::{Event as Told, Incoming};
use tidings_core::limits;
use tidings_core::session::Transport;
use tidings_core::time::Time;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::login::{Declared, decode_login_answer};
use tidings_core::wire::mobileimsdk::{Extended, Frame};

use super::client::State;
use super::{Event, World};
use crate::plan::ClientPlan;

/// What an application waits for; void if it has started again meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AppEvent {
    /// Its datagram socket is there.
    Connected { conn: usize },
    /// It has dealt with what it was told, up to this number.
    Take(u64),
    /// Its records are on disk, up to this number.
    Synced(u64),
}

/// One application.
pub(crate) struct App {
    machine: Machine,
    epoch: u32,
    /// What is on disk: unanswered messages, and what was taken.
    queued: BTreeMap<u64, Outgoing>,
    seen: Vec<Seen>,
    /// What is on its way there, in order.
    writing: VecDeque<(u64, Record)>,
    /// What was shown since it started, or was taken for good before.
    shown: BTreeSet<(String, String, String)>,
    /// Who waits for the outbox, by ticket: the message's id.
    tickets: BTreeMap<u64, String>,
    next_ticket: u64,
    /// When its user logs in again after its login was ended.
    again: Option<u64>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

fn config(plan: &ClientPlan) -> Config {
    let udp = plan.transport == Transport::Udp;
    let declared = plan.ours.as_ref().map(|ours| Declared {
        device: ours.device.clone(),
        class: ours.class.clone(),
        caps: ours.own.then(|| "own".to_owned()).into_iter().collect(),
    });
    Config {
        user: plan.user.clone(),
        token: Some("good".to_owned()),
        extra: None,
        declared,
        heartbeat_ms: plan.keepalive_ms,
        loss_ms: plan.keepalive_ms * 2 + 5_000,
        connect_ms: 5_000,
        login_ms: 10_000,
        login_resend_ms: udp.then_some(2_000),
        backoff_ms_max: 10_000,
        resend_ms: 3_000,
        retries: None,
        window: 64,
        window_per_receiver: if udp { 1 } else { 64 },
        events_max: 64,
        remembered_max: 4096,
        outbox_messages_max: 10_000,
        outbox_bytes_max: 64 << 20,
        frame_bytes_max: limits::FRAME_BYTES_MAX,
        durable: true,
    }
}

fn key(seen: &Seen) -> (String, String, String) {
    let Seen { from, to, id } = seen;
    (from.to_string(), to.to_string(), id.to_string())
}

impl App {
    pub(crate) fn new(plan: &ClientPlan, random: u64) -> App {
        App {
            machine: Machine::new(config(plan), random, Restored::default()),
            epoch: 0,
            queued: BTreeMap::new(),
            seen: Vec::new(),
            writing: VecDeque::new(),
            shown: BTreeSet::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            again: Some(0),
        }
    }

    /// Messages that its outbox holds.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.machine.unacknowledged()
    }

    /// The application starts again with what is on disk.
    fn restart(&mut self, plan: &ClientPlan, random: u64) {
        self.epoch += 1;
        self.writing.clear();
        self.tickets.clear();
        self.shown = self.seen.iter().map(key).collect();
        let queued = self.queued.clone().into_iter().collect();
        let seen = self.seen.clone();
        self.machine = Machine::new(config(plan), random, Restored { queued, seen });
    }

    fn synced(&mut self, upto: u64) {
        while let Some((number, _)) = self.writing.front()
            && *number <= upto
        {
            match self.writing.pop_front() {
                Some((_, Record::Queued { order, message })) => {
                    self.queued.insert(order, message);
                }
                Some((_, Record::Done { order })) => {
                    self.queued.remove(&order);
                }
                Some((_, Record::Seen(seen))) => self.seen.push(seen),
                None => {}
            }
        }
    }
}

impl World {
    fn app(&mut self, client: usize) -> Option<&mut App> {
        self.clients[client].app.as_deref_mut()
    }

    fn app_later(&mut self, client: usize, ms: u64, event: AppEvent) {
        let Some(epoch) = self.app(client).map(|app| app.epoch) else {
            return;
        };
        self.after(
            ms,
            Event::App {
                client,
                epoch,
                event,
            },
        );
    }

    pub(super) fn app_event(&mut self, client: usize, epoch: u32, event: AppEvent) {
        if self.app(client).is_none_or(|app| app.epoch != epoch) {
            return;
        }
        match event {
            AppEvent::Connected { conn } => {
                if self.clients[client].conn == Some(conn) {
                    self.app_feed(client, Input::Connected);
                }
            }
            AppEvent::Take(number) => self.app_feed(client, Input::Taken(number)),
            AppEvent::Synced(number) => {
                if let Some(app) = self.app(client) {
                    app.synced(number);
                }
                self.app_feed(client, Input::Journaled(number));
            }
        }
    }

    pub(super) fn app_tick(&mut self, client: usize) {
        let now = self.now;
        let enabled = self.clients[client].enabled;
        let mute = self.clients[client].plan.mute;
        let Some(app) = self.app(client) else {
            return;
        };
        if !enabled {
            if !app.machine.ended() {
                self.app_feed(client, Input::LogOut);
            }
            self.clients[client].state = State::Off { again: 0 };
            return;
        }
        if !app.machine.ended() {
            return self.app_feed(client, Input::Tick);
        }
        match app.again {
            Some(at) if now >= at => {
                app.again = None;
                if mute {
                    self.app_feed(client, Input::Deaf);
                }
                self.app_feed(client, Input::LogIn { token: None });
            }
            Some(_) => {}
            None => {
                let again = now + self.rng.client.range(3_000, 40_000);
                self.clients[client].state = State::Kicked { again };
                if let Some(app) = self.app(client) {
                    app.again = Some(again);
                }
            }
        }
    }

    /// The application is killed and started.
    pub(super) fn app_restart(&mut self, client: usize) {
        self.app_hang_up(client);
        let random = self.rng.client.below(u64::MAX);
        let plan = self.clients[client].plan.clone();
        let again = self.now + 1_000;
        let me = &mut self.clients[client];
        me.state = State::Off { again };
        let Some(app) = me.app.as_deref_mut() else {
            return;
        };
        app.restart(&plan, random);
        app.again = Some(again);
        // What was not accepted is nobody's promise.
        let kept: BTreeSet<&str> = app.queued.values().map(|message| &*message.id).collect();
        me.outbox.retain(|out| kept.contains(&*out.id));
    }

    /// Its connection is gone.
    pub(super) fn app_lost(&mut self, client: usize) {
        self.app_hang_up(client);
        self.app_feed(client, Input::Closed("the connection is gone".to_owned()));
    }

    fn app_hang_up(&mut self, client: usize) {
        if let Some(conn) = self.clients[client].conn.take() {
            self.hang_up(conn, false);
        }
        self.clients[client].state = State::Off { again: 0 };
    }

    pub(super) fn app_connected(&mut self, client: usize) {
        self.app_feed(client, Input::Connected);
    }

    /// The application hands over a message.
    pub(super) fn app_says(&mut self, client: usize, at: usize) {
        let out = &self.clients[client].outbox[at];
        let message = Outgoing {
            id: out.id.as_str().into(),
            to: out.to.as_str().into(),
            typeu: out.typeu,
            qos: true,
            text: out.body.clone(),
        };
        let id = out.id.clone();
        let Some(app) = self.app(client) else {
            return;
        };
        let ticket = app.next_ticket;
        app.next_ticket += 1;
        app.tickets.insert(ticket, id);
        self.app_feed(client, Input::Send { ticket, message });
    }

    pub(super) fn app_receives(
        &mut self,
        client: usize,
        frame: &Frame<'_>,
        extended: Option<Extended>,
    ) {
        let data = frame.data.as_deref().unwrap_or("");
        let answer = decode_login_answer(data).map(|answer| answer.code);
        if frame.kind == code::LOGIN_ANSWER && answer == Ok(code::OK) {
            self.clients[client].state = State::Online;
        }
        let input = Input::Frame(frame.clone().into_owned(), extended);
        self.app_feed(client, input);
    }

    fn app_feed(&mut self, client: usize, input: Input) {
        let now = Time(self.now + 1_000);
        let Some(app) = self.app(client) else {
            return;
        };
        let mut actions = Vec::new();
        app.machine.on(now, input, &mut actions);
        for action in actions {
            self.app_does(client, action);
        }
    }

    fn app_does(&mut self, client: usize, action: Action) {
        match action {
            Action::Connect => {
                let conn = self.connect(client);
                self.clients[client].conn = Some(conn);
                self.clients[client].state = State::Entering { since: self.now };
                self.log(format_args!("app {client} connects, conn {conn}"));
                if !self.conns[conn].is_stream() {
                    self.app_later(client, 0, AppEvent::Connected { conn });
                }
            }
            Action::Close => self.app_hang_up(client),
            Action::Transmit(frame) => self.client_sends(client, &frame),
            Action::Event(number, event) => {
                self.app_told(client, event);
                let ms = self.rng.client.below(60);
                self.app_later(client, ms, AppEvent::Take(number));
            }
            Action::Journal(number, record) => {
                if let Some(app) = self.app(client) {
                    app.writing.push_back((number, record));
                }
                let ms = self.rng.client.below(30);
                self.app_later(client, ms, AppEvent::Synced(number));
            }
            Action::Accepted(ticket) => {
                if let Some(app) = self.app(client) {
                    app.tickets.remove(&ticket);
                }
            }
            Action::Rejected(ticket, _) => {
                let id = self.app(client).and_then(|app| app.tickets.remove(&ticket));
                let outbox = &mut self.clients[client].outbox;
                outbox.retain(|out| Some(&out.id) != id.as_ref());
            }
        }
    }

    fn app_told(&mut self, client: usize, event: Told) {
        match event {
            Told::Message(incoming) if !incoming.id.is_empty() => self.app_shown(client, &incoming),
            Told::Acknowledged { id, seq } => {
                let me = &mut self.clients[client];
                let at = me.outbox.iter().position(|out| *out.id == *id);
                if let Some(at) = at {
                    let out = me.outbox.remove(at);
                    self.check
                        .sender_told(&me.plan.user, &out, seq, &me.poisoned);
                }
            }
            Told::Lost { id } => {
                self.clients[client].outbox.retain(|out| *out.id != *id);
            }
            Told::Refused { code } => self.log(format_args!("app {client} is refused: {code}")),
            Told::Kicked { code, .. } => self.log(format_args!("app {client} is kicked: {code}")),
            _ => {}
        }
    }

    /// Shown once, but for what was not yet taken for good when the application was killed.
    fn app_shown(&mut self, client: usize, incoming: &Incoming) {
        if incoming.seq.is_none() {
            return; // sent without QoS
        }
        let key = (
            incoming.from.to_string(),
            incoming.to.to_string(),
            incoming.id.to_string(),
        );
        let user = self.clients[client].plan.user.clone();
        let new = self.app(client).is_none_or(|app| app.shown.insert(key));
        if !new {
            let (from, id) = (&incoming.from, &incoming.id);
            self.check
                .fail(format!("shown twice: {user} gets {id} of {from} again"));
        }
    }
}
