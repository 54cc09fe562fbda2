//! What the tests of the embedding library share: a server without sockets, and a listener that
//! writes down what it hears.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_server::config::Settings;
use tidings_server::core::ids::Name;
use tidings_server::core::message::MessageRef;
use tidings_server::hooks::{Asks, Before, Ended, LoginRequest, NotNow, Proposed, SessionInfo};
use tidings_server::store::Durability;
use tidings_server::{Listener, Running, Server};
use tokio::sync::{Notify, mpsc};

/// So long may anything take that must happen: only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// In memory, no sockets.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.listen.tcp = None;
    settings.listen.udp = None;
    settings.listen.ws = None;
    settings.listen.http = None;
    settings.listen.agents = None;
    settings.delivery.durability = Durability::Memory;
    settings
}

/// A call of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Verify(String, String, Option<String>),
    BeforeServer(String),
    BeforeClient(String),
    ToServer(String, u64),
    In(String, String),
    Out(
        String,
        i32,
        Option<tidings_server::core::shard::CloseReason>,
    ),
    Relayed(String, u64),
    NotNow(String, u64),
    Acknowledged(String, String),
    Lost(String, String),
    SetAside(String, String),
    Missed(u64),
}

type Verify = dyn Fn(&LoginRequest) -> Option<i32> + Send + Sync;
type Decide = dyn Fn(&Proposed) -> Option<Before> + Send + Sync;
type Take = dyn Fn(&MessageRef) -> Option<bool> + Send + Sync;

/// Writes down every call; what it answers can be set. An answer of `None` never comes.
pub(crate) struct Recorder {
    heard: mpsc::UnboundedSender<Heard>,
    pub(crate) verify: Mutex<Arc<Verify>>,
    pub(crate) before: Mutex<Arc<Decide>>,
    pub(crate) take: Mutex<Arc<Take>>,
    pub(crate) asks: Asks,
    /// Logins wait here while it is set.
    pub(crate) gate: Mutex<Option<Arc<Notify>>>,
}

/// What a recorder heard.
pub(crate) struct Ear(pub(crate) mpsc::UnboundedReceiver<Heard>);

impl Ear {
    pub(crate) async fn next(&mut self) -> Heard {
        tokio::time::timeout(PATIENCE, self.0.recv())
            .await
            .expect("the listener was not called")
            .expect("the listener is gone")
    }

    /// The next call for which `pick` says something.
    pub(crate) async fn find<T>(&mut self, pick: impl Fn(&Heard) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(&self.next().await) {
                return found;
            }
        }
    }

    pub(crate) async fn until(&mut self, wanted: &Heard) -> Vec<Heard> {
        let mut before = Vec::new();
        loop {
            let heard = self.next().await;
            if heard == *wanted {
                return before;
            }
            before.push(heard);
        }
    }

    /// Everything so far.
    pub(crate) fn drain(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

pub(crate) fn recorder() -> (Arc<Recorder>, Ear) {
    let (heard, ear) = mpsc::unbounded_channel();
    let recorder = Recorder {
        heard,
        verify: Mutex::new(Arc::new(|_| Some(0))),
        before: Mutex::new(Arc::new(|_| Some(Before::Take))),
        take: Mutex::new(Arc::new(|_| Some(true))),
        asks: Asks::ALL,
        gate: Mutex::new(None),
    };
    (Arc::new(recorder), Ear(ear))
}

impl Recorder {
    fn hear(&self, heard: Heard) {
        let _ = self.heard.send(heard);
    }
}

/// `Listener` for a recorder that the test keeps a hand on.
pub(crate) struct Shared(pub(crate) Arc<Recorder>);

async fn or_never<T>(answer: Option<T>) -> T {
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

impl Listener for Shared {
    async fn verify_login(&self, login: &LoginRequest) -> i32 {
        self.0.hear(Heard::Verify(
            login.user.to_string(),
            login.token.clone(),
            login.extra.clone(),
        ));
        let verify = self.0.verify.lock().clone();
        or_never(verify(login)).await
    }

    async fn before_client_to_server(&self, message: &Proposed) -> Before {
        self.0.hear(Heard::BeforeServer(message.text.to_string()));
        let before = self.0.before.lock().clone();
        or_never(before(message)).await
    }

    async fn before_client_to_client(&self, message: &Proposed) -> Before {
        self.0.hear(Heard::BeforeClient(message.text.to_string()));
        let before = self.0.before.lock().clone();
        or_never(before(message)).await
    }

    fn asks(&self) -> Asks {
        self.0.asks
    }

    async fn message_to_server(&self, message: &MessageRef) -> Result<(), NotNow> {
        let heard = Heard::ToServer(message.body.to_string(), message.seq);
        self.0.hear(heard);
        let take = self.0.take.lock().clone();
        let taken = or_never(take(message)).await;
        if taken { Ok(()) } else { Err(NotNow) }
    }

    async fn logged_in(&self, session: &Arc<SessionInfo>) {
        let (user, device) = (session.user.to_string(), session.device.to_string());
        self.0.hear(Heard::In(user, device));
        let gate = self.0.gate.lock().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
    }

    async fn logged_out(&self, session: &Arc<SessionInfo>, ended: Ended) {
        let user = session.user.to_string();
        self.0.hear(Heard::Out(user, ended.kick_code, ended.reason));
    }

    async fn message_relayed(&self, message: &MessageRef) {
        self.0
            .hear(Heard::Relayed(message.body.to_string(), message.seq));
    }

    async fn not_deliverable_now(&self, message: &MessageRef) {
        self.0
            .hear(Heard::NotNow(message.body.to_string(), message.seq));
    }

    async fn acknowledged(&self, message: &MessageRef, user: &Name) {
        self.0.hear(Heard::Acknowledged(
            message.body.to_string(),
            user.to_string(),
        ));
    }

    async fn lost(&self, message: &MessageRef, user: &Name) {
        self.0
            .hear(Heard::Lost(message.body.to_string(), user.to_string()));
    }

    async fn set_aside(&self, message: &MessageRef, user: &Name) {
        self.0
            .hear(Heard::SetAside(message.body.to_string(), user.to_string()));
    }

    async fn missed(&self, notices: u64) {
        self.0.hear(Heard::Missed(notices));
    }
}

/// A server with a recorder.
pub(crate) async fn start(settings: Settings) -> (Running, Arc<Recorder>, Ear) {
    let (recorder, ear) = recorder();
    let running = Server::builder(settings)
        .listener(Shared(recorder.clone()))
        .start()
        .await
        .unwrap();
    (running, recorder, ear)
}
