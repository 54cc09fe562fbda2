//! A customer while he is here. To the rest of the server he is a link inside the process; here is
//! what lies between that and his requests or his WebSocket.
//!
//! A session outlives connections: it ends when the customer says so, when another login of his
//! takes its place, when he has been silent for too long, or with the server.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::message::MessageRef;
use tidings_core::secret::Secret;
use tidings_core::wire::code;
use tidings_core::wire::ocim::{BodyType, Packet, PacketType};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::answer::Answer;
use super::authorization::Login;
use super::line::{Done, Line};
use super::polling::Polls;
use super::table::Seat;
use super::{Ocim, notices};
use crate::handle::{ConnectError, LocalLink, LocalSendError};
use crate::link::LocalEvent;
use crate::store::Page;

/// The device and class of every customer's session: what one page has acknowledged another of the
/// same customer need not get.
const DEVICE: &str = "ocim";
const CLASS: &str = "web";
/// How often a customer who may poll again is vouched for, well below
/// [`tidings_core::limits::SILENCE_IN_FLIGHT_MS_MAX`]: his silence between two polls is no sign that
/// he is gone.
const VOUCH: Duration = Duration::from_secs(8);

/// How a customer is connected; fixed at login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Polling,
    WebSocket,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The customer said so.
    Left,
    /// He was silent for too long.
    Silent,
    /// Another login of his took its place.
    Replaced,
    /// What he was let in with holds no more, or has come to its end.
    Revoked,
    /// The server stops, or does not serve this link any more.
    Closed,
}

/// Why a message of a customer was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SayError {
    /// The session has ended meanwhile.
    #[error("the session has ended; send AUTH")]
    Ended,
    /// Nobody is there to write to.
    #[error("there is no support team: see ocim.team")]
    NoTeam,
    /// A body that customers do not send.
    #[error("a customer's MESSAGE has a body of type TEXT, IMAGE, ORDER, GOODS or LOGISTICS")]
    Body,
    /// The rest of the server says no.
    #[error(transparent)]
    Refused(#[from] LocalSendError),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) user: Name,
    /// Where he comes from.
    pub(super) address: IpAddr,
    /// When what he was let in with ends.
    until: Option<Instant>,
    pub(super) entry: Entry,
    pub(super) line: Line,
    pub(super) polls: Polls,
    /// What he is called, as he says himself; may be empty.
    pub(super) name: String,
    token: Secret,
    /// Tokens of earlier logins whose pages were told that they are replaced.
    replaced: Mutex<VecDeque<Secret>>,
    told: Mutex<notices::Told>,
    link: Mutex<Option<Arc<LocalLink>>>,
    /// A WebSocket is open.
    attached: Mutex<bool>,
    ending: Mutex<Option<End>>,
    end_now: Notify,
    /// Its deadline is another one now.
    look_again: Notify,
    ended: watch::Sender<bool>,
    _seat: Seat,
}

impl Ocim {
    /// A seat for one more session.
    pub(super) fn seat(&self, address: std::net::IpAddr) -> Result<Seat, Answer> {
        self.customers.enter(address).map_err(|full| {
            let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
            Answer::refuse(status, &full.to_string())
        })
    }

    /// A customer's session begins; an older one of his ends.
    pub(super) async fn enter(
        self: &Arc<Self>,
        login: &Login,
        token: Secret,
        seat: Seat,
        entry: Entry,
    ) -> Result<Arc<Session>, ConnectError> {
        let admitted = &login.admitted;
        let user = &admitted.user;
        if let Some(old) = self.customers.get(user) {
            old.end(End::Replaced).await;
        }
        let connect = self.handle.connect(user.clone());
        let link = Arc::new(connect.device(DEVICE).class(CLASS).desk(true).await?);
        let ends_s = self.access.session_until_s(admitted);
        let left_ms = ends_s.map(|end| end.saturating_mul(1000) - self.wall_ms());
        let left = left_ms.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or(0)));
        let session = Arc::new(Session {
            user: user.clone(),
            address: login.address,
            until: left.and_then(|left| Instant::now().checked_add(left)),
            entry,
            line: Line::default(),
            polls: Polls::new(),
            name: login.name.clone(),
            token,
            replaced: Mutex::default(),
            told: Mutex::default(),
            link: Mutex::new(Some(link.clone())),
            attached: Mutex::new(entry == Entry::WebSocket),
            ending: Mutex::new(None),
            end_now: Notify::new(),
            look_again: Notify::new(),
            ended: watch::Sender::new(false),
            _seat: seat,
        });
        session.begins(self).await;
        // Whoever was revoked before the link was there has not been told.
        if !self.access.holds(admitted, Some(login.address)) {
            return Err(ConnectError::Refused(code::REFUSED_TOKEN));
        }
        if entry == Entry::Polling {
            session.polls.announce(&session.line, Vec::new());
        }
        let replaced = self.customers.insert(user.clone(), session.clone());
        // Of two logins at the same time the link arbitrates; this is the one that it kept.
        if let Some(replaced) = replaced {
            replaced.end(End::Replaced).await;
        }
        tokio::spawn(keep(self.clone(), session.clone(), link));
        Ok(session)
    }
}

/// Passes on what the link brings, until the session ends.
async fn keep(ocim: Arc<Ocim>, session: Arc<Session>, link: Arc<LocalLink>) {
    let end = session.watch(&ocim, &link).await;
    tracing::debug!(user = %session.user, ?end, "a session of OCIM ended");
    ocim.customers.remove(&session.user, &session);
    if end == End::Replaced {
        session.line.push(relogin(ocim.wall_ms()), Done::Nothing);
    }
    session.line.close();
    session.polls.wake();
    *session.link.lock() = None;
    drop(link);
    session.ended.send_replace(true);
    if matches!(end, End::Left | End::Silent | End::Revoked) {
        ocim.gone(&session).await;
    }
}

impl Session {
    /// Until it ends, and why.
    async fn watch(&self, ocim: &Ocim, link: &LocalLink) -> End {
        let life = Duration::from_millis(ocim.settings.life_ms);
        loop {
            let attached = *self.attached.lock();
            tokio::select! {
                event = link.next() => match event {
                    Some(LocalEvent::Message(message)) => self.deliver(ocim, &message),
                    Some(LocalEvent::Kicked { code: code::KICK_DUPLICATE_LOGIN, .. }) => {
                        return End::Replaced;
                    }
                    Some(LocalEvent::Kicked { .. }) => return End::Revoked,
                    Some(LocalEvent::Refused { .. }) => {}
                    None => return self.ending.lock().unwrap_or(End::Closed),
                },
                () = self.end_now.notified() => {
                    return self.ending.lock().unwrap_or(End::Closed);
                }
                () = at(self.until) => return End::Revoked,
                () = self.look_again.notified() => {}
                () = self.polls.silence(life), if !attached => return End::Silent,
                () = tokio::time::sleep(VOUCH), if !attached => link.vouch(),
            }
        }
    }

    /// A page that comes in mid-chat, reloaded or after a break, is told who serves its customer.
    async fn begins(&self, ocim: &Ocim) {
        let Some(team) = ocim.team() else {
            return;
        };
        // What is decided later lies behind this message.
        let newest = Page::Before(u64::MAX, 1);
        let newest = ocim.handle.history(&self.user, &team.address, newest).await;
        let behind = match newest.as_deref() {
            Ok([message]) => message.seq,
            Ok(_) => return, // he has not been here before
            Err(error) => {
                return tracing::warn!(user = %self.user, %error, "the history cannot be read");
            }
        };
        match ocim.desks.standing(&self.user, &team).await {
            Ok(Some(chat)) => {
                let packet = notices::standing(ocim, &self.user, &chat);
                self.told.lock().begins(chat.episode, behind, &packet);
                self.push(packet, Done::Nothing);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(user = %self.user, %error, "how his chat stands is not known");
            }
        }
    }

    fn push(&self, packet: Packet, done: Done) {
        self.line.push(packet, done);
        self.polls.wake();
    }

    fn deliver(&self, ocim: &Ocim, message: &MessageRef) {
        if self.line.holds(message) {
            return;
        }
        let done = match message.seq {
            0 => Done::Nothing,
            _ => Done::Message(message.clone()),
        };
        let packet = notices::packet(ocim, &self.user, &mut self.told.lock(), message);
        match packet {
            Some(packet) => {
                let misspelt = notices::misspelt(&packet).filter(|_| ocim.settings.compat.waitting);
                self.push(packet, done);
                if let Some(packet) = misspelt {
                    self.push(packet, Done::Nothing);
                }
            }
            // It means nothing here, and need not come again.
            None => self.done(&done),
        }
    }

    /// A packet is known to have arrived.
    pub(super) fn done(&self, done: &Done) {
        if let (Done::Message(message), Some(link)) = (done, &*self.link.lock()) {
            link.acknowledge(message);
        }
    }

    /// One more page of this session, if its token is this one's: false otherwise.
    pub(super) fn is_joined(&self, token: &Secret) -> bool {
        let joined = self.entry == Entry::Polling && self.token == *token;
        if joined && !self.line.is_closed() {
            let context = self.told.lock().context();
            self.polls.announce(&self.line, context);
            return true;
        }
        false
    }

    /// A page of an earlier login polls: whether it is the first time that it is told so.
    pub(super) fn tells_replaced(&self, token: Option<&Secret>) -> bool {
        let Some(token) = token else {
            return false;
        };
        let mut told = self.replaced.lock();
        if told.contains(token) {
            return false;
        }
        if told.len() == limits::OCIM_REPLACED_TOLD_MAX {
            told.pop_front();
        }
        told.push_back(token.clone());
        true
    }

    /// Whether a token is this login's own, and not that of one that it replaced.
    pub(super) fn is_of(&self, token: Option<&Secret>) -> bool {
        token == Some(&self.token)
    }

    /// The customer says something: in custody when this returns.
    pub(super) async fn say(&self, ocim: &Ocim, packet: &Packet) -> Result<(), SayError> {
        let link = self.link.lock().clone().ok_or(SayError::Ended)?;
        let team = ocim.team().ok_or(SayError::NoTeam)?;
        let typeu = packet.body_kind().and_then(typeu).ok_or(SayError::Body)?;
        let mut send = link.send(&team.address, packet.content()).typeu(typeu);
        if let Some(pid) = packet.pid.as_deref().filter(|pid| !pid.is_empty()) {
            send = send.id(pid);
        }
        send.await?;
        Ok(())
    }

    /// The customer leaves.
    pub(super) async fn leave(&self) {
        self.end(End::Left).await;
    }

    /// Has it end; does not wait for that.
    pub(super) fn end_soon(&self, why: End) {
        self.ending.lock().get_or_insert(why);
        self.end_now.notify_one();
    }

    /// Ends it, and waits until its link is gone: what comes after it can rely on that.
    pub(super) async fn end(&self, why: End) {
        self.end_soon(why);
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// The WebSocket is gone; the session lives on for a while.
    pub(super) fn detach(&self) {
        *self.attached.lock() = false;
        self.polls.touch();
        self.look_again.notify_one();
    }
}

/// Until then; for ever, if there is no end.
async fn at(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// The kind of message that a body makes.
pub(super) fn typeu(body: BodyType) -> Option<i32> {
    match body {
        BodyType::Text => Some(-1),
        BodyType::Image => Some(code::DESK_IMAGE),
        BodyType::Order => Some(code::DESK_ORDER),
        BodyType::Goods => Some(code::DESK_GOODS),
        BodyType::Logistics => Some(code::DESK_LOGISTICS),
        _ => None,
    }
}

/// To whoever is being dropped because the same customer logged in elsewhere.
pub(super) fn relogin(now_ms: i64) -> Packet {
    Packet::new(PacketType::ReLogin)
        .from_sys()
        .body(BodyType::CustomerClose, "会话重复开启")
        .at(now_ms)
}
