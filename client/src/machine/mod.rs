//! The client without sockets, disk or clock: one struct, driven by `on(now, input, &mut actions)`.
//!
//! Here: login, back-off, signs of life ([`Machine`]), what is on its way (`outbox`), what came in
//! (`inbox`). Not here: bytes, sockets, files. Driven by `driver` over real links, and by the
//! simulation over a model network.

mod config;
mod frames;
mod inbox;
mod outbox;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use tidings_core::ids::{self, Name};
use tidings_core::time::Time;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::login;
use tidings_core::wire::mobileimsdk::{Extended, Frame};

pub use config::{Action, Config, Input, Outgoing, Record, Restored};
pub use inbox::Seen;

use crate::error::SendError;
use crate::event::{Event, Incoming};
use inbox::{Due, Inbox, Known};
use outbox::{Outbox, Overdue};

/// Where a login stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No login is wanted.
    Ended(&'static str),
    /// The next attempt is made then.
    Resting(Time),
    /// A link is coming up, until then.
    Connecting(Time),
    /// The login was sent.
    LoggingIn { until: Time, again: Option<Time> },
    /// Logged in.
    Online { since: Time, beat: Time },
}

/// What waits for a record to be on disk.
enum After {
    Nothing,
    Accept { ticket: u64, order: u64 },
    Acknowledge(Frame<'static>),
}

/// One user's client on one server.
pub struct Machine {
    config: Config,
    phase: Phase,
    /// Attempts to log in since the last login that held.
    attempts: u32,
    random: u64,
    first_login_time: i64,
    heard: Time,
    inbox: Inbox,
    outbox: Outbox,
    /// Records under way to the disk, oldest first.
    journal: VecDeque<(u64, After)>,
    next_record: u64,
    /// The application takes no events.
    deaf: bool,
}

impl Machine {
    /// A machine that waits for [`Input::LogIn`]. `random` is all the chance it uses.
    #[must_use]
    pub fn new(config: Config, random: u64, restored: Restored) -> Machine {
        Machine {
            phase: Phase::Ended("not started"),
            attempts: 0,
            random,
            first_login_time: 0,
            heard: Time::default(),
            inbox: Inbox::new(restored.seen, config.remembered_max),
            outbox: Outbox::new(restored.queued, &config),
            journal: VecDeque::new(),
            next_record: 1,
            deaf: false,
            config,
        }
    }

    /// Whether the link may be read: not while the application is behind with its events.
    #[must_use]
    pub fn reading(&self) -> bool {
        self.inbox.open() < self.config.events_max
    }

    /// Whether the login has ended and only [`Input::LogIn`] can bring it back.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// When the next attempt to log in begins, while the client rests after a failed one.
    #[must_use]
    pub fn resting_until(&self) -> Option<Time> {
        match self.phase {
            Phase::Resting(until) => Some(until),
            _ => None,
        }
    }

    /// Messages that are not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.outbox.len()
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Ended(_) => None,
            // Its end would be one more event that nobody takes.
            Phase::Resting(_) if !self.reading() => None,
            Phase::Resting(until) | Phase::Connecting(until) => Some(until),
            Phase::LoggingIn { until, .. } if !self.reading() => Some(until),
            Phase::LoggingIn { until, again } => {
                Some(again.map_or(until, |again| again.min(until)))
            }
            Phase::Online { beat, .. } if !self.reading() => Some(beat),
            Phase::Online { beat, .. } => {
                let silence = self.heard + self.config.loss_ms;
                let first = beat.min(silence);
                let resend = self.outbox.deadline();
                Some(resend.map_or(first, |resend| resend.min(first)))
            }
        }
    }

    /// Takes one input; appends what is to be done.
    pub fn on(&mut self, now: Time, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::LogIn { token } => self.log_in(now, token),
            Input::LogOut => self.log_out(actions),
            Input::Connected => self.connected(now, actions),
            Input::Frame(frame, extended) => self.frame(now, frame, extended, actions),
            Input::Heard => self.heard = now,
            Input::Closed(reason) => self.closed(now, reason, actions),
            Input::Send { ticket, message } => self.send(ticket, message, actions),
            Input::Taken(number) => self.taken(now, number, actions),
            Input::Deaf => {
                self.deaf = true;
                self.inbox.abandon();
            }
            Input::Journaled(number) => self.journaled(number, None, actions),
            Input::JournalFailed(number, error) => self.journaled(number, Some(error), actions),
            Input::Tick => {}
        }
        self.tick(now, actions);
    }

    fn log_in(&mut self, now: Time, token: Option<String>) {
        if token.is_some() {
            self.config.token = token;
        }
        if self.ended() {
            self.first_login_time = 0;
            self.attempts = 0;
            self.phase = Phase::Resting(now);
        }
    }

    fn log_out(&mut self, actions: &mut Vec<Action>) {
        if let Phase::Online { .. } = self.phase {
            actions.push(Action::Transmit(frames::logout(&self.config)));
        }
        self.end("logged out", actions);
    }

    /// The login is over; what is unacknowledged stays for the next one.
    fn end(&mut self, why: &'static str, actions: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Ended(_) | Phase::Resting(_)) {
            actions.push(Action::Close);
        }
        self.phase = Phase::Ended(why);
        self.outbox.rewind(&self.config);
    }

    fn connected(&mut self, now: Time, actions: &mut Vec<Action>) {
        if let Phase::Connecting(_) = self.phase {
            self.phase = Phase::LoggingIn {
                until: now + self.config.login_ms,
                again: self.config.login_resend_ms.map(|wait| now + wait),
            };
            self.heard = now;
            self.transmit_login(actions);
        }
    }

    fn transmit_login(&self, actions: &mut Vec<Action>) {
        let frame = frames::login(&self.config, self.first_login_time);
        actions.push(Action::Transmit(frame));
    }

    fn closed(&mut self, now: Time, reason: String, actions: &mut Vec<Action>) {
        let held = match self.phase {
            Phase::Ended(_) | Phase::Resting(_) => return,
            Phase::Connecting(_) | Phase::LoggingIn { .. } => false,
            Phase::Online { since, .. } => now.since_ms(since) >= self.config.backoff_ms_max,
        };
        if held {
            self.attempts = 0;
        }
        let rest = self.rest_ms();
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Resting(now + rest);
        self.outbox.rewind(&self.config);
        self.tell(Event::LinkLost { reason }, actions);
    }

    /// The machine itself gives the link up.
    fn lose(&mut self, now: Time, reason: &str, actions: &mut Vec<Action>) {
        actions.push(Action::Close);
        self.closed(now, reason.to_owned(), actions);
    }

    /// Doubles with every attempt; half of it is chance, so that clients that lost the same server
    /// don't come back together.
    fn rest_ms(&mut self) -> u64 {
        let whole = 250_u64 << self.attempts.min(16);
        let whole = whole.min(self.config.backoff_ms_max).max(1);
        whole / 2 + self.chance() % (whole / 2 + 1)
    }

    /// SplitMix64.
    fn chance(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn tell(&mut self, event: Event, actions: &mut Vec<Action>) {
        if !self.deaf {
            let number = self.inbox.show(None);
            actions.push(Action::Event(number, event));
        }
    }

    fn tick(&mut self, now: Time, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Resting(until) if until <= now && self.reading() => {
                self.phase = Phase::Connecting(now + self.config.connect_ms);
                actions.push(Action::Connect);
            }
            Phase::Connecting(until) if until <= now => {
                self.lose(now, "no connection in time", actions);
            }
            Phase::LoggingIn { until, .. } if until <= now => {
                self.lose(now, "no answer to the login", actions);
            }
            Phase::LoggingIn { until, again } if again.is_some_and(|again| again <= now) => {
                let again = self.config.login_resend_ms.map(|wait| now + wait);
                self.phase = Phase::LoggingIn { until, again };
                self.transmit_login(actions);
            }
            Phase::Online { since, beat } => self.tick_online(now, since, beat, actions),
            _ => {}
        }
    }

    fn tick_online(&mut self, now: Time, since: Time, beat: Time, actions: &mut Vec<Action>) {
        if self.reading() {
            if now.since_ms(self.heard) >= self.config.loss_ms {
                self.lose(now, "nothing heard from the server", actions);
                return;
            }
            self.resend(now, actions);
        }
        if beat <= now {
            let beat = now + self.config.heartbeat_ms;
            self.phase = Phase::Online { since, beat };
            actions.push(Action::Transmit(frames::keepalive(&self.config)));
        }
        while let Some(message) = self.outbox.next(now, &self.config) {
            let frame = frames::message(&self.config, &message);
            actions.push(Action::Transmit(frame));
        }
    }

    fn resend(&mut self, now: Time, actions: &mut Vec<Action>) {
        for overdue in self.outbox.overdue(now, &self.config) {
            match overdue {
                Overdue::Resend(message) => {
                    let frame = frames::message(&self.config, &message);
                    actions.push(Action::Transmit(frame));
                }
                Overdue::GaveUp(order, message) => {
                    self.finish(order, actions);
                    let id = message.id.clone();
                    self.tell(Event::Lost { id }, actions);
                }
            }
        }
    }

    /// Takes a message out of the outbox and its journal.
    fn finish(&mut self, order: u64, actions: &mut Vec<Action>) {
        if self.outbox.remove(order, &self.config).is_some() {
            self.record(Record::Done { order }, After::Nothing, actions);
        }
    }

    // ---- what the application does

    fn send(&mut self, ticket: u64, message: Outgoing, actions: &mut Vec<Action>) {
        if let Err(error) = self.check(&message) {
            actions.push(Action::Rejected(ticket, error));
            return;
        }
        if !message.qos {
            let frame = frames::message(&self.config, &message);
            actions.push(Action::Transmit(frame));
            actions.push(Action::Accepted(ticket));
            return;
        }
        let order = self.outbox.insert(message.clone());
        let record = Record::Queued { order, message };
        self.record(record, After::Accept { ticket, order }, actions);
    }

    fn check(&self, message: &Outgoing) -> Result<(), SendError> {
        if let Phase::Ended(why) = self.phase {
            return Err(SendError::Ended(why));
        }
        ids::Address::parse(&message.to).map_err(SendError::Address)?;
        ids::check_message_id(&message.id).map_err(SendError::Id)?;
        let bytes = frames::encoded_len(&frames::message(&self.config, message));
        let limit = self.config.frame_bytes_max;
        if bytes > limit {
            return Err(SendError::TooLong { bytes, limit });
        }
        if message.qos {
            return self.outbox.admit(message, &self.config);
        }
        match self.phase {
            Phase::Online { .. } => Ok(()),
            _ => Err(SendError::NotLoggedIn),
        }
    }

    fn taken(&mut self, now: Time, number: u64, actions: &mut Vec<Action>) {
        let was_reading = self.reading();
        for due in self.inbox.take(number) {
            self.record(Record::Seen(due.key), After::Acknowledge(due.ack), actions);
        }
        if !was_reading && self.reading() {
            // What the server said meanwhile lies unread: nothing is late yet.
            self.heard = now;
            self.outbox.postpone(now, &self.config);
        }
    }

    // ---- the journal

    /// Writes a record, if there is a journal; what hangs on it happens once it is on disk.
    fn record(&mut self, record: Record, after: After, actions: &mut Vec<Action>) {
        if !self.config.durable {
            self.proceed(after, actions);
            return;
        }
        let number = self.next_record;
        self.next_record += 1;
        self.journal.push_back((number, after));
        actions.push(Action::Journal(number, record));
    }

    fn proceed(&mut self, after: After, actions: &mut Vec<Action>) {
        match after {
            After::Nothing => {}
            After::Accept { ticket, order } => {
                self.outbox.release(order, &self.config);
                actions.push(Action::Accepted(ticket));
            }
            After::Acknowledge(ack) => {
                // Without a link it is left out: the server sends the message again, and it is
                // known then.
                if let Phase::LoggingIn { .. } | Phase::Online { .. } = self.phase {
                    actions.push(Action::Transmit(ack));
                }
            }
        }
    }

    fn journaled(&mut self, upto: u64, error: Option<String>, actions: &mut Vec<Action>) {
        while let Some((number, _)) = self.journal.front()
            && *number <= upto
        {
            let Some((_, after)) = self.journal.pop_front() else {
                break;
            };
            match (&error, after) {
                (None, after) => self.proceed(after, actions),
                (Some(error), After::Accept { ticket, order }) => {
                    self.outbox.remove(order, &self.config);
                    let error = SendError::Disk(error.clone());
                    actions.push(Action::Rejected(ticket, error));
                }
                // Not acknowledged: the server sends it again.
                (Some(_), After::Acknowledge(_) | After::Nothing) => {}
            }
        }
    }

    // ---- what the server says

    fn frame(
        &mut self,
        now: Time,
        frame: Frame<'static>,
        extended: Option<Extended>,
        actions: &mut Vec<Action>,
    ) {
        self.heard = now;
        match (frame.kind, self.phase) {
            (_, Phase::Ended(_) | Phase::Resting(_) | Phase::Connecting(_)) => {}
            (code::LOGIN_ANSWER, _) => self.login_answer(now, &frame, actions),
            (code::KICKOUT, _) => self.kicked(&frame, actions),
            (code::ERROR, _) => self.error(now, &frame, actions),
            // On UDP they may overtake the answer to the login.
            (code::COMMON_DATA, _) => self.message(&frame, extended, actions),
            (code::RECEIVED, _) => self.acknowledged(&frame, extended, actions),
            (_, Phase::Online { .. }) => self.acknowledge_control(&frame, actions),
            _ => {}
        }
    }

    /// Any frame with QoS is acknowledged, as servers before 6.0 expect of login answers.
    fn acknowledge_control(&self, frame: &Frame<'static>, actions: &mut Vec<Action>) {
        if frame.qos
            && let Some(ack) = frames::acknowledgement(frame)
        {
            actions.push(Action::Transmit(ack));
        }
    }

    fn login_answer(&mut self, now: Time, frame: &Frame<'static>, actions: &mut Vec<Action>) {
        let Phase::LoggingIn { .. } = self.phase else {
            // The answer to a repeated login: the first one counted.
            return;
        };
        let answer = login::decode_login_answer(frame.data.as_deref().unwrap_or_default());
        let Ok(answer) = answer else {
            self.lose(now, "the answer to the login cannot be read", actions);
            return;
        };
        match answer.code {
            code::OK => {}
            code::NOT_LOGGED_IN | code::REFUSED_STORE | code::REFUSED_FULL => {
                self.lose(now, "the server cannot log in anybody now", actions);
                return;
            }
            code => {
                self.end("the login was refused", actions);
                self.tell(Event::Refused { code }, actions);
                return;
            }
        }
        if self.first_login_time <= 0 {
            self.first_login_time = answer.first_login_time.max(0);
        }
        self.phase = Phase::Online {
            since: now,
            beat: now + self.config.heartbeat_ms,
        };
        self.acknowledge_control(frame, actions);
        let extended = answer.tidings;
        self.tell(Event::LoggedIn { extended }, actions);
    }

    fn kicked(&mut self, frame: &Frame<'static>, actions: &mut Vec<Action>) {
        let kick = login::decode_kickout(frame.data.as_deref().unwrap_or_default());
        let kick = kick.unwrap_or_default();
        self.end("kicked out by the server", actions);
        let (code, reason) = (kick.code, kick.reason);
        self.tell(Event::Kicked { code, reason }, actions);
    }

    fn error(&mut self, now: Time, frame: &Frame<'static>, actions: &mut Vec<Action>) {
        let notice = login::decode_error(frame.data.as_deref().unwrap_or_default());
        let notice = notice.unwrap_or_default();
        if notice.code == code::NOT_LOGGED_IN {
            self.lose(now, "the server does not know this login", actions);
            return;
        }
        let (code, text) = (notice.code, notice.message);
        let refused = match self.refused(frame, &text) {
            Some(order) if frames::is_final(code) => Some(order),
            _ => None,
        };
        self.tell(Event::Error { code, text }, actions);
        if let Some(order) = refused
            && let Some(message) = self.outbox.message(order)
        {
            self.finish(order, actions);
            let id = message.id.clone();
            self.tell(Event::Lost { id }, actions);
        }
    }

    /// The message that an error is about: named by the frame's id or at the start of its words,
    /// or the only one in flight.
    fn refused(&self, frame: &Frame<'static>, text: &str) -> Option<u64> {
        if let Some(id) = frame.fp.as_deref() {
            return self.outbox.find(id);
        }
        let named = text.strip_prefix("message ").and_then(|rest| {
            let id = rest.split([' ', ':']).next()?;
            self.outbox.find(id)
        });
        named.or_else(|| self.outbox.only_in_flight())
    }

    fn acknowledged(
        &mut self,
        frame: &Frame<'static>,
        extended: Option<Extended>,
        actions: &mut Vec<Action>,
    ) {
        let id = frame.data.as_deref().unwrap_or_default();
        let Some(order) = self.outbox.find(id) else {
            // Acknowledged before, or never sent.
            return;
        };
        let id = Name::from(id);
        self.finish(order, actions);
        let seq = frames::seq(extended);
        self.tell(Event::Acknowledged { id, seq }, actions);
    }

    fn message(
        &mut self,
        frame: &Frame<'static>,
        extended: Option<Extended>,
        actions: &mut Vec<Action>,
    ) {
        if self.deaf {
            return;
        }
        let incoming = frames::incoming(frame, extended);
        let ack = frames::acknowledgement(frame).filter(|_| frame.qos);
        let Some(ack) = ack else {
            self.tell(Event::Message(incoming), actions);
            return;
        };
        let key = Seen {
            from: incoming.from.clone(),
            to: incoming.to.clone(),
            id: incoming.id.clone(),
        };
        match self.inbox.known(&key) {
            Known::New => self.show(incoming, Due { key, ack }, actions),
            // Its acknowledgement is on its way, or follows once it was taken.
            Known::Pending => {}
            Known::Taken if self.waits_for_disk(&ack) => {}
            Known::Taken => actions.push(Action::Transmit(ack)),
        }
    }

    fn show(&mut self, incoming: Incoming, due: Due, actions: &mut Vec<Action>) {
        let number = self.inbox.show(Some(due));
        actions.push(Action::Event(number, Event::Message(incoming)));
    }

    fn waits_for_disk(&self, ack: &Frame<'static>) -> bool {
        let same = |after: &After| matches!(after, After::Acknowledge(waiting) if waiting == ack);
        self.journal.iter().any(|(_, after)| same(after))
    }
}
