//! The second step: packets that travel by polling: POLL, MESSAGE, PING, CLOSE, and what
//! a customer does to his chat. Everything else with `ts` POLLING is refused, the rest handed on.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use tidings_core::limits;
use tidings_core::wire::ocim::{Packet, PacketType, Transport, encode_poll};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Ocim;
use super::answer::Answer;
use super::authorization::{Known, Who};
use super::chain::Step;
use super::line::{Done, Line};
use super::readers::{Look, ReaderId, Readers, Seen, Told};
use super::request::cookies;
use super::session::{Entry, Session, relogin};
use crate::auth::{Admitted, Role};
use crate::transport::watched::Written;

/// An answer with packets that is being written.
#[derive(Debug)]
pub(super) struct Polled {
    session: Arc<Session>,
    reader: ReaderId,
    upto: u64,
}

impl Polled {
    /// The answer goes out over this connection and is written once so many bytes were.
    pub(super) fn answered(self, written: Written, bytes: u64) {
        let polls = &self.session.polls;
        polls
            .state
            .lock()
            .readers
            .answered(self.reader, self.upto, (written, bytes));
        polls.wake();
    }
}

/// What begins the names of the cookies by which a browser says which answers have come.
const SEEN: &str = "tidings-seen-";

#[derive(Debug)]
struct State {
    readers: Readers,
    heard: Instant,
}

/// The polls of one session. Its clock is Tokio's, which a test can turn.
#[derive(Debug)]
pub(super) struct Polls {
    state: Mutex<State>,
    changed: Notify,
    /// In the values of the cookies: those of other sessions say nothing about this one.
    mark: String,
}

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// A poll, if there is nothing to say.
    pub(super) hold: Duration,
    /// A page that does not poll.
    pub(super) life: Duration,
}

/// What a poll says of what has arrived.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// By the page.
    ack: Option<u64>,
    /// By the browser.
    seen: Seen,
}

/// A poll that is not answered yet.
struct Turn<'p> {
    polls: &'p Polls,
    reader: Option<ReaderId>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader {
            self.polls.state.lock().readers.broken_off(reader);
            self.polls.wake();
        }
    }
}

impl Polls {
    /// The session begins now.
    pub(super) fn new() -> Polls {
        Polls {
            state: Mutex::new(State {
                readers: Readers::new(),
                heard: Instant::now(),
            }),
            changed: Notify::new(),
            mark: crate::handle::new_id().to_string(),
        }
    }

    /// When the last poll came, or the last WebSocket went.
    fn heard(&self) -> Instant {
        self.state.lock().heard
    }

    /// Until nothing was heard for so long.
    pub(super) async fn silence(&self, life: Duration) {
        loop {
            let over = self.heard() + life;
            if over <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(over).await;
        }
    }

    /// The session's time to live begins anew.
    pub(super) fn touch(&self) {
        self.state.lock().heard = Instant::now();
    }

    /// A page has logged in and will poll: it is told `context` first.
    pub(super) fn announce(&self, line: &Line, context: Vec<Packet>) {
        let mut state = self.state.lock();
        state.heard = Instant::now();
        state.readers.announce(line, context);
    }

    /// Something has changed: polls look whether there is something to say.
    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// What a request's cookies say about this session's answers.
    fn seen(&self, headers: &HeaderMap) -> Seen {
        let pairs = cookies(headers);
        let ours = pairs.filter_map(|(name, value)| {
            let slot = name.strip_prefix(SEEN)?.parse().ok()?;
            let (mark, number) = value.split_once('.')?;
            let number = (mark == self.mark).then_some(number)?;
            Some((slot, number.parse().ok()?))
        });
        ours.collect()
    }

    /// The cookie that says that an answer has come.
    fn cookie(&self, slot: usize, upto: u64, secure: bool) -> String {
        let (mark, secure) = (&self.mark, if secure { "; Secure" } else { "" });
        format!("{SEEN}{slot}={mark}.{upto}; Path=/poll.io; HttpOnly; SameSite=Lax{secure}")
    }

    /// A cookie of no reader: whether the browser keeps it is known before there is an answer that
    /// could be lost.
    fn first_cookie(&self, secure: bool) -> Option<String> {
        let asks = self.state.lock().readers.asks_for_cookie();
        asks.then(|| self.cookie(limits::OCIM_TABS_MAX, 0, secure))
    }

    /// A poll: confirms what came before, gets what waits, or waits for it. Empty if nothing came.
    /// `done` gets what was confirmed.
    pub(super) async fn poll(
        &self,
        line: &Line,
        confirms: &Confirms,
        times: Times,
        done: impl Fn(Done),
    ) -> Told {
        let until = Instant::now() + times.hold;
        let taken = {
            let mut state = self.state.lock();
            state.heard = Instant::now();
            state.readers.take(line, times.life, &confirms.seen)
        };
        let Some(reader) = taken else {
            tokio::time::sleep_until(until).await;
            return Told::default();
        };
        let mut turn = Turn {
            polls: self,
            reader: Some(reader),
        };
        self.wake();
        let written = confirms.ack.is_some() || self.written(reader).await;
        let confirmed = {
            let readers = &mut self.state.lock().readers;
            readers.settle(reader, line, confirms.ack, written)
        };
        confirmed.into_iter().for_each(done);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let look = self.state.lock().readers.look(reader, line, until);
            match look {
                Look::Answer(told) => {
                    // It may be somebody else's turn by now.
                    turn.reader = None;
                    self.wake();
                    return told;
                }
                Look::Wait(at) => drop(tokio::time::timeout_at(at, changed).await),
            }
        }
    }

    /// Whether the last answer of a reader was written, as soon as that is known; true if there was
    /// none.
    async fn written(&self, reader: ReaderId) -> bool {
        let known = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                let given = self.state.lock().readers.given(reader);
                match given {
                    None => return true,
                    Some(Some((written, bytes))) => {
                        let arrived = tokio::time::timeout(ANSWER, written.arrived(bytes)).await;
                        return arrived.unwrap_or_else(|_| written.seems_arrived(bytes));
                    }
                    Some(None) => changed.await,
                }
            }
        };
        tokio::time::timeout(2 * ANSWER, known)
            .await
            .unwrap_or(false)
    }
}

/// See [`limits::OCIM_ANSWER_AWAITED_MS_MAX`].
const ANSWER: Duration = Duration::from_millis(limits::OCIM_ANSWER_AWAITED_MS_MAX);

/// Runs the step.
pub(super) async fn step(ocim: &Arc<Ocim>, known: Known) -> Step<Known, (Answer, Option<Polled>)> {
    let packet = &known.asked.packet;
    let is_polling = match packet.ts {
        Some(ts) => ts == Transport::Polling,
        // The old page's PING says nothing about its transport.
        None => !matches!(known.who, Who::Login(_)),
    };
    if !is_polling {
        return Step::Next(known);
    }
    let passed = match (&known.who, packet.kind) {
        (_, PacketType::Ping) => return Step::Answer((Answer::packet(&pong(packet)), None)),
        (Who::Session(passed), _) => passed.clone(),
        _ => return refuse(StatusCode::BAD_REQUEST, "this packet needs a session token"),
    };
    if passed.role != Role::User {
        let reason = "an agent cannot poll: open a WebSocket";
        return refuse(StatusCode::BAD_REQUEST, reason);
    }
    if packet.kind != PacketType::Poll
        && known.asked.method == Method::GET
        && !ocim.settings.compat.send_by_get
    {
        let reason = "what changes something is taken by POST (or see ocim.compat.send_by_get)";
        return refuse(StatusCode::METHOD_NOT_ALLOWED, reason);
    }
    match packet.kind {
        PacketType::Poll => poll(ocim, &known, &passed).await,
        PacketType::Message => say(ocim, &known, &passed).await,
        PacketType::Close => {
            if let Some(session) = ocim.customers.get(&passed.user) {
                session.leave().await;
            }
            Step::Answer((Answer::ok(), None))
        }
        PacketType::CloseChat | PacketType::Evaluate => act(ocim, &known, &passed).await,
        _ => refuse(
            StatusCode::BAD_REQUEST,
            "by polling there are POLL, MESSAGE, PING, CLOSE, CLOSE_CHAT and EVALUATE",
        ),
    }
}

fn refuse<T>(status: StatusCode, reason: &str) -> Step<T, (Answer, Option<Polled>)> {
    Step::Answer((Answer::refuse(status, reason), None))
}

/// The answer to PING: `from` echoed, no body.
fn pong(ping: &Packet) -> Packet {
    Packet {
        from: ping.from.clone(),
        ..Packet::new(PacketType::Pong)
    }
}

async fn poll(
    ocim: &Arc<Ocim>,
    known: &Known,
    passed: &Admitted,
) -> Step<Known, (Answer, Option<Polled>)> {
    let Some(session) = ocim.customers.get(&passed.user) else {
        let reason = "there is no session: it has ended; send AUTH";
        return refuse(StatusCode::BAD_REQUEST, reason);
    };
    let hold = Duration::from_millis(ocim.settings.poll_hold_ms);
    if !session.is_of(known.asked.token()) {
        // Another login of the same customer took over. The page is told so at once, and if it polls
        // on nevertheless, no more often than any other.
        if !session.tells_replaced(known.asked.token()) {
            tokio::time::sleep(hold).await;
        }
        let told = relogin(ocim.wall_ms());
        return Step::Answer((Answer::json(array(&[(0, &told)])), None));
    }
    if session.entry != Entry::Polling {
        let reason = "the session has a WebSocket: packets come there";
        return refuse(StatusCode::BAD_REQUEST, reason);
    }
    let life = Duration::from_millis(ocim.settings.life_ms);
    let confirms = Confirms {
        ack: known.asked.ack,
        seen: session.polls.seen(&known.asked.headers),
    };
    let (line, polls) = (&session.line, &session.polls);
    let done = |done| session.done(&done);
    let told = polls.poll(line, &confirms, Times { hold, life }, done);
    let told = told.await;
    if told.is_empty() {
        return Step::Answer((Answer::ok(), None));
    }
    let context = told.context.iter().map(|packet| (told.before, packet));
    let items = told.items.iter().map(|item| (item.seq, &item.packet));
    let numbered: Vec<(u64, &Packet)> = context.chain(items).collect();
    let cookie = polls.cookie(told.slot, told.upto(), ocim.secure);
    let answer = Answer::json(array(&numbered)).cookie(cookie);
    let polled = Polled {
        reader: told.reader,
        upto: told.upto(),
        session: session.clone(),
    };
    Step::Answer((answer, Some(polled)))
}

fn array(packets: &[(u64, &Packet)]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_poll(packets.iter().copied(), &mut out);
    out
}

async fn say(
    ocim: &Arc<Ocim>,
    known: &Known,
    passed: &Admitted,
) -> Step<Known, (Answer, Option<Polled>)> {
    let found = ocim.customers.get(&passed.user);
    let Some(session) = found.filter(|session| session.is_of(known.asked.token())) else {
        let reason = "there is no session: it has ended; send AUTH";
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, reason);
    };
    match session.say(ocim, &known.asked.packet).await {
        Ok(()) => {
            let cookie = session.polls.first_cookie(ocim.secure).into_iter();
            Step::Answer((cookie.fold(Answer::ok(), Answer::cookie), None))
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// What a customer does to his chat.
async fn act(
    ocim: &Arc<Ocim>,
    known: &Known,
    passed: &Admitted,
) -> Step<Known, (Answer, Option<Polled>)> {
    match ocim.act(&passed.user, &known.asked.packet).await {
        Ok(()) => Step::Answer((Answer::ok(), None)),
        Err(reason) => refuse(StatusCode::BAD_REQUEST, &reason),
    }
}

#[cfg(test)]
mod tests;
