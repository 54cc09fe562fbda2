//! The second step: packets that travel by polling: POLL, MESSAGE, PING, CLOSE, and what
//! a customer does to his chat. Everything else with `ts` POLLING is refused, the rest handed on.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use parking_lot::Mutex;
use tidings_core::wire::ocim::{Packet, PacketType, Transport, encode_poll};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Ocim;
use super::answer::Answer;
use super::authorization::{Known, Who};
use super::chain::Step;
use super::line::{Done, Item, Line};
use super::session::{Entry, Session, relogin};
use crate::auth::{Admitted, Role};
use crate::transport::watched::Written;

/// An answer with packets that is being written.
#[derive(Debug)]
pub(super) struct Polled {
    session: Arc<Session>,
    upto: u64,
}

impl Polled {
    /// The answer goes out over this connection and is written once so many bytes were.
    pub(super) fn answered(self, written: Written, bytes: u64) {
        let last = Last {
            upto: self.upto,
            written,
            bytes,
        };
        self.session.polls.state.lock().last = Some(last);
    }
}

/// The last answer with packets.
#[derive(Debug)]
struct Last {
    upto: u64,
    written: Written,
    bytes: u64,
}

#[derive(Debug)]
struct State {
    /// Who waits for something to say, and his number.
    held: Option<(u64, oneshot::Sender<()>)>,
    polls: u64,
    last: Option<Last>,
    heard: Instant,
}

/// The polls of one session. Its clock is Tokio's, which a test can turn.
#[derive(Debug)]
pub(super) struct Polls {
    state: Mutex<State>,
}

impl Polls {
    /// The session begins now.
    pub(super) fn new() -> Polls {
        Polls {
            state: Mutex::new(State {
                held: None,
                polls: 0,
                last: None,
                heard: Instant::now(),
            }),
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

    /// There is something to say: the poll that waits is answered.
    pub(super) fn wake(&self) {
        if let Some((_, held)) = self.state.lock().held.take() {
            let _ = held.send(()); // its connection may be gone
        }
    }

    /// A poll: confirms what came before, gets everything that waits, or waits for it for `hold`.
    /// Empty if nothing came or another poll took its place. `done` gets what was confirmed.
    pub(super) async fn poll(
        &self,
        line: &Line,
        ack: Option<u64>,
        hold: Duration,
        done: impl Fn(Done),
    ) -> Vec<Item> {
        let (number, waiting) = {
            let mut state = self.state.lock();
            state.heard = Instant::now();
            state.polls += 1;
            // The one before is answered with nothing: its place is taken.
            let (sender, waiting) = oneshot::channel();
            let number = state.polls;
            state.held = Some((number, sender));
            let last = state.last.take();
            let written = last.filter(|last| last.written.bytes() >= last.bytes);
            let confirmed = ack.or(written.map(|last| last.upto));
            drop(state);
            for item in confirmed.map(|upto| line.confirm(upto)).unwrap_or_default() {
                done(item);
            }
            (number, waiting)
        };
        if !line.is_waiting() && !line.is_closed() {
            let _ = tokio::time::timeout(hold, waiting).await;
        }
        let mut state = self.state.lock();
        if state.polls != number {
            return Vec::new();
        }
        state.held = None;
        drop(state);
        line.unconfirmed()
    }
}

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
    if !session.is_of(known.asked.token()) {
        // Another login of the same customer took over, and this page does not know it yet.
        let told = relogin(ocim.wall_ms());
        return Step::Answer((Answer::json(array(&[(0, &told)])), None));
    }
    if session.entry != Entry::Polling {
        let reason = "the session has a WebSocket: packets come there";
        return refuse(StatusCode::BAD_REQUEST, reason);
    }
    let hold = Duration::from_millis(ocim.settings.poll_hold_ms);
    let done = |done| session.done(&done);
    let items = session
        .polls
        .poll(&session.line, known.asked.ack, hold, done);
    let items = items.await;
    let Some(newest) = items.last() else {
        return Step::Answer((Answer::ok(), None));
    };
    let upto = newest.seq;
    let numbered: Vec<(u64, &Packet)> = items.iter().map(|i| (i.seq, &i.packet)).collect();
    let answer = Answer::json(array(&numbered));
    Step::Answer((answer, Some(Polled { session, upto })))
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
        Ok(()) => Step::Answer((Answer::ok(), None)),
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
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(60);

    fn push(line: &Line, polls: &Polls) {
        line.push(Packet::new(PacketType::Message), Done::Nothing);
        polls.wake();
    }

    fn numbers(items: &[Item]) -> Vec<u64> {
        items.iter().map(|item| item.seq).collect()
    }

    struct Rig {
        line: Line,
        polls: Polls,
    }

    fn rig() -> Arc<Rig> {
        Arc::new(Rig {
            line: Line::default(),
            polls: Polls::new(),
        })
    }

    impl Rig {
        async fn poll(&self, ack: Option<u64>) -> Vec<u64> {
            let items = self.polls.poll(&self.line, ack, HOLD, |_| {}).await;
            numbers(&items)
        }

        fn answered(&self, upto: u64, bytes: u64) {
            let written = Written::default();
            let last = Last {
                upto,
                written,
                bytes,
            };
            self.polls.state.lock().last = Some(last);
        }
    }

    /// Time is virtual in these tests: it jumps to the next deadline when nothing else can happen.
    #[tokio::test(start_paused = true)]
    async fn a_poll_is_held_for_its_time_and_no_longer() {
        let rig = rig();
        let start = Instant::now();
        assert!(rig.poll(None).await.is_empty());
        assert_eq!(start.elapsed(), HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn data_wakes_a_held_poll_at_once() {
        let rig = rig();
        let start = Instant::now();
        let held = tokio::spawn({
            let rig = rig.clone();
            async move { rig.poll(None).await }
        });
        tokio::time::sleep(Duration::from_secs(7)).await;
        push(&rig.line, &rig.polls);
        assert_eq!(held.await.unwrap(), [1]);
        assert_eq!(start.elapsed(), Duration::from_secs(7));
        // The hold timer of the poll that was answered does nothing more.
        assert!(rig.polls.state.lock().held.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_comes_in_one_array_in_order() {
        let rig = rig();
        let start = Instant::now();
        for _ in 0..3 {
            push(&rig.line, &rig.polls);
        }
        assert_eq!(rig.poll(None).await, [1, 2, 3]);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_poll_takes_the_place_of_the_first() {
        let rig = rig();
        let start = Instant::now();
        let first = tokio::spawn({
            let rig = rig.clone();
            async move { rig.poll(None).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = tokio::spawn({
            let rig = rig.clone();
            async move { rig.poll(None).await }
        });
        assert!(first.await.unwrap().is_empty());
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        push(&rig.line, &rig.polls);
        assert_eq!(second.await.unwrap(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn ack_confirms_and_the_rest_comes_again() {
        let rig = rig();
        for _ in 0..3 {
            push(&rig.line, &rig.polls);
        }
        assert_eq!(rig.poll(None).await, [1, 2, 3]);
        assert_eq!(rig.poll(Some(2)).await, [3]);
        // What was never handed out cannot be confirmed.
        push(&rig.line, &rig.polls);
        assert_eq!(rig.poll(Some(99)).await, [4]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_ack_an_answer_counts_once_it_was_written_in_full() {
        let rig = rig();
        push(&rig.line, &rig.polls);
        assert_eq!(rig.poll(None).await, [1]);
        rig.answered(1, 10);
        assert_eq!(rig.poll(None).await, [1], "10 bytes were not written");
        rig.answered(1, 0);
        push(&rig.line, &rig.polls);
        assert_eq!(rig.poll(None).await, [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_lasts_72_seconds_from_the_last_poll() {
        let rig = rig();
        let (start, life) = (Instant::now(), Duration::from_secs(72));
        let silence = tokio::spawn({
            let rig = rig.clone();
            async move { rig.polls.silence(life).await }
        });
        // A login alone counts as the first sign of life, and each poll as another.
        tokio::time::sleep(Duration::from_secs(70)).await;
        rig.poll(None).await;
        assert_eq!(start.elapsed(), Duration::from_secs(130));
        // Twelve seconds after the longest hold there was none.
        silence.await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(142));
    }
}
