//! A driver of a few lines: carries actions out at once, unless it is told to wait.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::store::Store;
use crate::custody::Record;
use crate::ids::{LinkId, Name};
use crate::session::Transport;
use crate::shard::{Action, CloseReason, Config, Event, Input, Shard};
use crate::time::{Now, Time};
use crate::wire::code;
use crate::wire::mobileimsdk::login::{Declared, Login, encode_login};
use crate::wire::mobileimsdk::{self, Form, Frame};

pub(super) const WALL_MS: i64 = 1_790_000_000_000;

/// What left on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    Control(i32, String),
    Ack {
        id: String,
        from: String,
        to: String,
        seq: u64,
    },
    Message {
        id: String,
        seq: u64,
        again: bool,
    },
}

pub(super) struct Rig {
    pub(super) shard: Shard,
    pub(super) ms: u64,
    pub(super) store: Store,
    pub(super) out: Vec<(LinkId, Out)>,
    pub(super) closed: Vec<(LinkId, CloseReason)>,
    pub(super) events: Vec<Event>,
    pub(super) paused: Vec<LinkId>,
    pub(super) commits: VecDeque<Record>,
    pub(super) reads: VecDeque<Action>,
    pub(super) verifies: VecDeque<Action>,
    pub(super) hold_commits: bool,
    pub(super) hold_reads: bool,
    pub(super) hold_verifies: bool,
    /// Until when whoever is verified may stay.
    pub(super) verified_until: Time,
    pub(super) frames: Vec<(LinkId, Frame<'static>)>,
    /// How each message was written.
    pub(super) forms: Vec<(LinkId, Form)>,
    /// Everything that was to be done.
    pub(super) actions: Vec<Action>,
}

pub(super) fn declared(device: &str, class: &str, own: bool) -> Option<Declared> {
    Some(Declared {
        device: device.to_owned(),
        class: class.to_owned(),
        caps: if own {
            vec!["own".to_owned()]
        } else {
            Vec::new()
        },
    })
}

impl Rig {
    pub(super) fn new() -> Rig {
        Rig::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Rig {
        Rig {
            shard: Shard::new(config),
            ms: 1_000,
            store: Store::default(),
            out: Vec::new(),
            closed: Vec::new(),
            events: Vec::new(),
            paused: Vec::new(),
            commits: VecDeque::new(),
            reads: VecDeque::new(),
            verifies: VecDeque::new(),
            hold_commits: false,
            hold_reads: false,
            hold_verifies: false,
            verified_until: Time(u64::MAX),
            frames: Vec::new(),
            forms: Vec::new(),
            actions: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono: Time(self.ms),
            wall_ms: WALL_MS + self.ms as i64,
        }
    }

    pub(super) fn feed(&mut self, input: Input<'_>) {
        let mut actions = Vec::new();
        self.shard.on(self.now(), input, &mut actions);
        for action in actions {
            self.carry_out(action);
        }
        self.gather();
    }

    fn gather(&mut self) {
        let records: Vec<Record> = self.shard.records().drain(..).collect();
        for record in records {
            self.commits.push_back(record);
            if !self.hold_commits {
                self.commit();
            }
        }
    }

    /// Several inputs at once; returns what came of them, which is carried out as well.
    pub(super) fn feed_all<'a>(
        &mut self,
        inputs: impl IntoIterator<Item = Input<'a>>,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        self.shard.on_all(self.now(), inputs, &mut actions);
        for action in actions.clone() {
            self.carry_out(action);
        }
        self.gather();
        actions
    }

    fn carry_out(&mut self, action: Action) {
        self.actions.push(action.clone());
        match action {
            Action::Send { link, frame } => {
                let data = frame.data.clone().unwrap_or_default().into_owned();
                self.out.push((link, Out::Control(frame.kind, data)));
                self.frames.push((link, *frame));
            }
            Action::Acknowledge {
                link,
                id,
                from,
                to,
                seq,
                ..
            } => {
                let (id, from, to) = (id.to_string(), from.to_string(), to.to_string());
                self.out.push((link, Out::Ack { id, from, to, seq }));
            }
            Action::Deliver {
                link,
                message,
                again,
                form,
            } => {
                self.forms.push((link, form));
                let (id, seq) = (message.id.to_string(), message.seq);
                self.out.push((link, Out::Message { id, seq, again }));
            }
            Action::Close { link, reason } => self.closed.push((link, reason)),
            Action::Remember(cursor) => {
                self.store
                    .cursors
                    .insert((cursor.device, cursor.conversation), cursor);
            }
            Action::Verify { .. } => {
                self.verifies.push_back(action);
                if !self.hold_verifies {
                    self.verify();
                }
            }
            Action::ReadBacklog { .. } | Action::Load { .. } => {
                self.reads.push_back(action);
                if !self.hold_reads {
                    self.read();
                }
            }
            Action::Pause { link } => self.paused.push(link),
            Action::Resume { link } => self.paused.retain(|l| *l != link),
            Action::Tell(event) => self.events.push(event),
            Action::Ask { .. } | Action::Submitted { .. } | Action::Acknowledged { .. } => {}
        }
    }

    /// Gives the oldest held record its verdict.
    pub(super) fn commit(&mut self) {
        if let Some(record) = self.commits.pop_front() {
            let verdict = self.store.commit(&record);
            self.feed(Input::Verdict(verdict));
        }
    }

    pub(super) fn fail_commits(&mut self) {
        let count = self.commits.len();
        self.commits.clear();
        self.feed(Input::CommitFailed {
            count,
            reason: "the disk is full",
        });
    }

    pub(super) fn verify(&mut self) {
        if let Some(Action::Verify { link, token, .. }) = self.verifies.pop_front() {
            let code = if token.expose() == "good" { 0 } else { 1025 };
            let until = self.verified_until;
            self.feed(Input::Verified { link, code, until });
        }
    }

    /// Answers the oldest held read.
    pub(super) fn read(&mut self) {
        match self.reads.pop_front() {
            Some(Action::ReadBacklog { link, user, device }) => {
                let backlog = Some(self.store.backlog(&user, device));
                self.feed(Input::Backlog { link, backlog });
            }
            Some(Action::Load {
                link,
                wants,
                messages_max,
            }) => {
                let loaded = Some(self.store.load(&wants, messages_max));
                self.feed(Input::Loaded {
                    link,
                    wants,
                    loaded,
                });
            }
            _ => {}
        }
    }

    pub(super) fn open(&mut self, transport: Transport) -> LinkId {
        self.shard.open(self.now(), transport)
    }

    pub(super) fn tcp(&mut self, user: &str) -> LinkId {
        let link = self.open(Transport::Tcp);
        self.login(link, user, 0, None);
        link
    }

    pub(super) fn udp(&mut self, user: &str) -> LinkId {
        let link = self.open(Transport::Udp);
        self.login(link, user, 0, None);
        link
    }

    /// A device of ours.
    pub(super) fn ours(&mut self, user: &str, device: &str, class: &str, own: bool) -> LinkId {
        let link = self.open(Transport::WebSocket);
        self.login(link, user, 0, declared(device, class, own));
        link
    }

    pub(super) fn login(
        &mut self,
        link: LinkId,
        user: &str,
        presented: i64,
        tidings: Option<Declared>,
    ) {
        self.login_with(link, user, "good", presented, tidings);
    }

    pub(super) fn login_with(
        &mut self,
        link: LinkId,
        user: &str,
        token: &str,
        presented: i64,
        tidings: Option<Declared>,
    ) {
        let data = encode_login(&Login {
            user: Some(user.to_owned()),
            token: Some(token.to_owned()),
            extra: None,
            first_login_time: presented,
            tidings,
        });
        self.frame(link, code::LOGIN, user, "0", Some(&data), None, false);
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn frame(
        &mut self,
        link: LinkId,
        kind: i32,
        from: &str,
        to: &str,
        data: Option<&str>,
        fp: Option<&str>,
        qos: bool,
    ) {
        let frame = Frame {
            kind,
            data: data.map(Cow::Borrowed),
            from: Some(Cow::Borrowed(from)),
            to: Some(Cow::Borrowed(to)),
            fp: fp.map(Cow::Borrowed),
            qos,
            typeu: -1,
            sm: -1,
            ..Frame::default()
        };
        let mut bytes = Vec::new();
        mobileimsdk::encode(&frame, &mut bytes);
        self.feed(Input::Frame {
            link,
            frame,
            bytes: bytes.len(),
        });
    }

    /// A message with QoS.
    pub(super) fn say(&mut self, link: LinkId, to: &str, id: &str) {
        self.frame(
            link,
            code::COMMON_DATA,
            "whoever",
            to,
            Some(id),
            Some(id),
            true,
        );
    }

    pub(super) fn say_body(&mut self, link: LinkId, to: &str, id: &str, body: &str) {
        self.frame(
            link,
            code::COMMON_DATA,
            "whoever",
            to,
            Some(body),
            Some(id),
            true,
        );
    }

    pub(super) fn ack(&mut self, link: LinkId, id: &str, sender: &str) {
        self.frame(
            link,
            code::RECEIVED,
            "whoever",
            sender,
            Some(id),
            None,
            false,
        );
    }

    pub(super) fn beat(&mut self, link: LinkId) {
        self.frame(
            link,
            code::KEEPALIVE,
            "whoever",
            "0",
            Some("{}"),
            None,
            false,
        );
    }

    /// Time passes, with a tick whenever the machine asks for one.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.ms + ms;
        while let Some(next) = self.shard.next_deadline().filter(|next| next.0 <= end) {
            self.ms = self.ms.max(next.0);
            self.feed(Input::Tick);
        }
        self.ms = end;
    }

    /// Time passes, and the client on this link sends a heartbeat every 5 s.
    pub(super) fn pass_beating(&mut self, link: LinkId, ms: u64) {
        for _ in 0..ms / 5_000 {
            self.pass(5_000);
            self.beat(link);
        }
    }

    /// What left on a link since this was last asked.
    pub(super) fn take(&mut self, link: LinkId) -> Vec<Out> {
        let (his, rest) = std::mem::take(&mut self.out)
            .into_iter()
            .partition(|(l, _)| *l == link);
        self.out = rest;
        let his: Vec<(LinkId, Out)> = his;
        his.into_iter().map(|(_, out)| out).collect()
    }

    /// Ids of the messages that left on a link, repetitions marked.
    pub(super) fn messages(&mut self, link: LinkId) -> Vec<String> {
        let text = |out| match out {
            Out::Message {
                id, again: true, ..
            } => Some(format!("{id} again")),
            Out::Message { id, .. } => Some(id),
            _ => None,
        };
        self.take(link).into_iter().filter_map(text).collect()
    }

    /// Ids that were acknowledged on a link.
    pub(super) fn acks(&mut self, link: LinkId) -> Vec<String> {
        let text = |out| match out {
            Out::Ack { id, .. } => Some(id),
            _ => None,
        };
        self.take(link).into_iter().filter_map(text).collect()
    }

    /// The codes of the refusals on a link.
    pub(super) fn refusals(&mut self, link: LinkId) -> Vec<i32> {
        let number = |out| match out {
            Out::Control(code::ERROR, data) => mobileimsdk::login::decode_error(&data).ok(),
            _ => None,
        };
        self.take(link)
            .into_iter()
            .filter_map(number)
            .map(|notice| notice.code)
            .collect()
    }

    /// The answers to logins on a link: code and `firstLoginTime`.
    pub(super) fn answers(&mut self, link: LinkId) -> Vec<(i32, i64)> {
        let number = |out| match out {
            Out::Control(code::LOGIN_ANSWER, data) => {
                mobileimsdk::login::decode_login_answer(&data).ok()
            }
            _ => None,
        };
        let answers = self.take(link).into_iter().filter_map(number);
        answers
            .map(|answer| (answer.code, answer.first_login_time))
            .collect()
    }

    /// Kinds of the control frames on a link, in order.
    pub(super) fn kinds(&mut self, link: LinkId) -> Vec<i32> {
        let kind = |out| match out {
            Out::Control(kind, _) => Some(kind),
            _ => None,
        };
        self.take(link).into_iter().filter_map(kind).collect()
    }

    pub(super) fn reason(&self, link: LinkId) -> Option<CloseReason> {
        self.closed
            .iter()
            .find(|(l, _)| *l == link)
            .map(|(_, reason)| *reason)
    }

    pub(super) fn user_on(&self, link: LinkId) -> Option<Name> {
        self.shard.user_of(link).cloned()
    }
}
