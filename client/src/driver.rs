//! Brings the machine together with a link, a journal, the clock and the application.
//!
//! One task for each client, and no decisions: it passes on what happens and does what it is told.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tidings_core::time::Time;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::SendError;
use crate::event::Event;
use crate::journal::Journal;
use crate::link::{Heard, Link, Target};
use crate::machine::{Action, Input, Machine, Outgoing};

/// Longest time for a last word, such as a logout, on a link that is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// What handles ask for.
pub(crate) enum Command {
    Send(Outgoing, oneshot::Sender<Result<(), SendError>>),
    LogIn(Option<String>),
    LogOut,
    /// Answered by dropping, when all is done.
    Close(oneshot::Sender<()>),
}

type Opening = Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>;

enum State {
    None,
    Opening(Opening),
    Open(Box<Link>),
}

/// What the link did.
enum Progress {
    Opened(io::Result<Box<Link>>),
    Moved(io::Result<()>),
}

impl State {
    /// May be dropped and called again at any time.
    async fn progress(&mut self, reading: bool) -> Progress {
        match self {
            State::None => std::future::pending().await,
            State::Opening(opening) => Progress::Opened(opening.await.map(Box::new)),
            State::Open(link) => Progress::Moved(link.turn(reading).await),
        }
    }
}

pub(crate) struct Driver {
    pub(crate) machine: Machine,
    pub(crate) target: Target,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::UnboundedSender<(u64, Event)>,
    pub(crate) taken: watch::Receiver<u64>,
    pub(crate) next_attempt: watch::Sender<Option<Instant>>,
    pub(crate) journal: Option<Journal>,
}

struct Running {
    driver: Driver,
    state: State,
    started: Instant,
    tickets: HashMap<u64, oneshot::Sender<Result<(), SendError>>>,
    next_ticket: u64,
    farewell: Option<JoinHandle<()>>,
    /// Handles are left.
    handled: bool,
    /// The application takes events.
    heard: bool,
    closing: Option<oneshot::Sender<()>>,
}

impl Driver {
    pub(crate) async fn run(self) {
        let mut running = Running {
            driver: self,
            state: State::None,
            started: Instant::now(),
            tickets: HashMap::new(),
            next_ticket: 1,
            farewell: None,
            handled: true,
            heard: true,
            closing: None,
        };
        running.input(Input::LogIn { token: None });
        while running.handled || running.heard {
            running.turn().await;
            if running.closing.is_some() {
                break;
            }
        }
        running.finish().await;
    }
}

impl Running {
    fn now(&self) -> Time {
        let passed = self.started.elapsed().as_millis();
        Time(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn instant(&self, time: Time) -> Instant {
        self.started + Duration::from_millis(time.0)
    }

    async fn turn(&mut self) {
        let deadline = self.driver.machine.deadline();
        let wake = deadline.map(|time| self.instant(time));
        let reading = self.driver.machine.reading();
        let driver = &mut self.driver;
        tokio::select! {
            command = driver.commands.recv(), if self.handled => self.command(command),
            changed = driver.taken.changed(), if self.heard => match changed {
                Ok(()) => {
                    let number = *self.driver.taken.borrow_and_update();
                    self.input(Input::Taken(number));
                }
                Err(_) => {
                    self.heard = false;
                    self.input(Input::Deaf);
                }
            },
            input = journal_answer(&mut driver.journal) => self.input(input),
            progress = self.state.progress(reading) => self.progress(progress),
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                self.input(Input::Tick);
            }
        }
        self.read();
    }

    fn command(&mut self, command: Option<Command>) {
        match command {
            None => self.handled = false,
            Some(Command::Send(message, answer)) => {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                self.tickets.insert(ticket, answer);
                self.input(Input::Send { ticket, message });
            }
            Some(Command::LogIn(token)) => self.input(Input::LogIn { token }),
            Some(Command::LogOut) => self.input(Input::LogOut),
            Some(Command::Close(done)) => self.closing = Some(done),
        }
    }

    fn progress(&mut self, progress: Progress) {
        match progress {
            Progress::Opened(Ok(link)) => {
                self.state = State::Open(link);
                self.input(Input::Connected);
            }
            Progress::Moved(Ok(())) => {}
            Progress::Opened(Err(error)) | Progress::Moved(Err(error)) => {
                // What was whole before the end still counts.
                self.read();
                self.lost(&error.to_string());
            }
        }
    }

    fn lost(&mut self, reason: &str) {
        if !matches!(self.state, State::None) {
            self.state = State::None;
            self.input(Input::Closed(reason.to_owned()));
        }
    }

    /// Hands what came in to the machine, as far as it wants to read.
    fn read(&mut self) {
        while self.driver.machine.reading()
            && let State::Open(link) = &mut self.state
        {
            match link.next() {
                Ok(Some(Heard::Frame(frame, extended))) => {
                    self.input(Input::Frame(frame, extended));
                }
                Ok(Some(Heard::Sign)) => self.input(Input::Heard),
                Ok(None) => break,
                Err(error) => self.lost(&error.to_string()),
            }
        }
        if let State::Open(link) = &self.state
            && link.is_stuck()
        {
            self.lost("the server does not read");
        }
    }

    fn input(&mut self, input: Input) {
        let mut actions = Vec::new();
        let now = self.now();
        self.driver.machine.on(now, input, &mut actions);
        self.tell_next_attempt();
        let mut records = Vec::new();
        for action in actions {
            match action {
                Action::Connect => {
                    let target = self.driver.target.clone();
                    self.state = State::Opening(Box::pin(Link::open(target)));
                }
                Action::Close => self.close(),
                Action::Transmit(frame) => {
                    if let State::Open(link) = &mut self.state {
                        link.push(&frame);
                    }
                }
                // Nobody listens any more: that is about to be noticed.
                Action::Event(number, event) => drop(self.driver.events.send((number, event))),
                Action::Journal(number, record) => records.push((number, record)),
                Action::Accepted(ticket) => self.answer(ticket, Ok(())),
                Action::Rejected(ticket, error) => self.answer(ticket, Err(error)),
            }
        }
        if let Some(journal) = &self.driver.journal
            && !records.is_empty()
        {
            journal.write(records);
        }
    }

    /// Before the events of the same input: whoever hears of a lost link can ask for it.
    fn tell_next_attempt(&self) {
        let until = self.driver.machine.resting_until();
        let until = until.map(|time| self.instant(time));
        self.driver.next_attempt.send_if_modified(|told| {
            let news = *told != until;
            *told = until;
            news
        });
    }

    fn answer(&mut self, ticket: u64, outcome: Result<(), SendError>) {
        if let Some(answer) = self.tickets.remove(&ticket) {
            // A caller that no longer waits knows that the outcome is unknown to him.
            let _ = answer.send(outcome);
        }
    }

    fn close(&mut self) {
        let state = std::mem::replace(&mut self.state, State::None);
        if let State::Open(link) = state {
            self.farewell = Some(tokio::spawn(async move {
                // A farewell that does not get through is none.
                let _ = timeout(FAREWELL, link.finish()).await;
            }));
        }
    }

    async fn finish(mut self) {
        let number = *self.driver.taken.borrow_and_update();
        self.input(Input::Taken(number));
        // What is on its way to the disk is waited for; its acknowledgements go out with the rest.
        if let Some(journal) = &mut self.driver.journal {
            journal.finish();
        }
        while self.driver.journal.is_some() {
            let input = journal_answer(&mut self.driver.journal).await;
            self.input(input);
        }
        self.input(Input::LogOut);
        if let Some(farewell) = self.farewell.take() {
            // It cannot fail but by a panic, which has told of itself.
            let _ = farewell.await;
        }
        drop(self.closing);
    }
}

/// The journal's next answer; it is gone after its last.
async fn journal_answer(journal: &mut Option<Journal>) -> Input {
    match journal {
        None => std::future::pending().await,
        Some(running) => match running.answer().await {
            Some(input) => input,
            None => {
                *journal = None;
                Input::Tick
            }
        },
    }
}
