//! The two handles that an application holds.

use std::time::Duration;

use tidings_core::ids::Name;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::builder::Builder;
use crate::driver::Command;
use crate::error::SendError;
use crate::event::Event;
use crate::machine::Outgoing;

/// A message to send, where [`Client::send`] says too little.
#[derive(Debug, Clone)]
#[must_use = "a message does nothing before it is handed to `Client::send_message`"]
pub struct Message(Outgoing);

impl Message {
    /// `text` to the address `to`: a user, `#group`, `@team`, or `0` for the server.
    pub fn new(to: impl AsRef<str>, text: impl Into<String>) -> Message {
        Message(Outgoing {
            id: Uuid::new_v4().to_string().into(),
            to: to.as_ref().into(),
            typeu: -1,
            qos: true,
            text: text.into(),
        })
    }

    /// The application's own type of message.
    pub fn typeu(mut self, typeu: i32) -> Message {
        self.0.typeu = typeu;
        self
    }

    /// An id of the application's choice instead of a random one. Sending the same message with
    /// the same id again does nothing but have it acknowledged again.
    pub fn id(mut self, id: impl AsRef<str>) -> Message {
        self.0.id = id.as_ref().into();
        self
    }

    /// Sent once, never acknowledged, never kept: for what is worthless when it is late.
    pub fn without_qos(mut self) -> Message {
        self.0.qos = false;
        self
    }
}

/// Sends. Cheap to clone; the client runs until all clones and the [`Events`] are dropped.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    next_attempt: watch::Receiver<Option<Instant>>,
}

impl Client {
    /// Begins a client for the server at `tcp://host:port`, `udp://host:port` or
    /// `ws://host:port/websocket`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        next_attempt: watch::Receiver<Option<Instant>>,
    ) -> Client {
        Client {
            commands,
            next_attempt,
        }
    }

    /// How long the client rests before it tries the server again; `None` unless the link is lost
    /// and no attempt is under way.
    #[must_use]
    pub fn next_attempt_in(&self) -> Option<Duration> {
        let until = *self.next_attempt.borrow();
        until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Hands over `text` for the address `to` and returns the message's id, which
    /// [`Event::Acknowledged`] will carry. With an outbox file the message is on disk by then.
    /// It need not be logged in for that. Messages to one receiver keep their order.
    ///
    /// # Errors
    /// If the message can never be sent, or the outbox is full; the error names the limit.
    pub async fn send(&self, to: &str, text: impl Into<String>) -> Result<Name, SendError> {
        self.send_message(Message::new(to, text)).await
    }

    /// [`Client::send`] for a [`Message`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_message(&self, message: Message) -> Result<Name, SendError> {
        let id = message.0.id.clone();
        let (answer, answered) = oneshot::channel();
        self.command(Command::Send(message.0, answer)).await?;
        answered.await.map_err(|_| SendError::Closed)??;
        Ok(id)
    }

    /// Logs in afresh after the login was refused, kicked out or logged out, with a new token if
    /// one is given. What the outbox holds is sent then.
    ///
    /// # Errors
    /// If the client was closed.
    pub async fn log_in(&self, token: Option<String>) -> Result<(), SendError> {
        self.command(Command::LogIn(token)).await
    }

    /// Logs out and stays so until [`Client::log_in`].
    ///
    /// # Errors
    /// If the client was closed.
    pub async fn log_out(&self) -> Result<(), SendError> {
        self.command(Command::LogOut).await
    }

    /// Logs out and ends the client, all its clones too; returns when that is done. What was not
    /// acknowledged stays in the outbox file, if there is one.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.command(Command::Close(done)).await.is_ok() {
            // It is answered by being dropped.
            let _ = closed.await;
        }
    }

    async fn command(&self, command: Command) -> Result<(), SendError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| SendError::Closed)
    }
}

/// What happens, in order.
///
/// A message counts as taken, and is acknowledged to the server, when the next event is asked for
/// or [`Events::confirm`] is called: what an application was handling when it died comes again.
/// While events wait for the application, the socket is not read and nothing is dropped. If
/// `Events` is dropped, incoming messages are left to the server, unacknowledged.
#[derive(Debug)]
pub struct Events {
    events: mpsc::UnboundedReceiver<(u64, Event)>,
    taken: watch::Sender<u64>,
    last: u64,
}

impl Events {
    pub(crate) fn new(
        events: mpsc::UnboundedReceiver<(u64, Event)>,
        taken: watch::Sender<u64>,
    ) -> Events {
        Events {
            events,
            taken,
            last: 0,
        }
    }

    /// Confirms the event before and waits for the next; `None` once the client was closed.
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        self.confirm();
        let (number, event) = self.events.recv().await?;
        self.last = number;
        Some(event)
    }

    /// Says that all events so far were taken.
    pub fn confirm(&mut self) {
        let last = self.last;
        self.taken.send_if_modified(|taken| {
            let news = *taken < last;
            *taken = last;
            news
        });
    }
}
