//! Clients inside this process.

use std::borrow::Cow;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Weak;
use std::time::Duration;

use tidings_core::ids::{self, LinkId, Name, NameError};
use tidings_core::message::MessageRef;
use tidings_core::shard::{CloseReason, Input};
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;
use tidings_core::wire::mobileimsdk::login::{Declared, Login, encode_login};

use super::send::{Sent, new_id};
use crate::link::{LocalEvent, LocalRef};
use crate::router::{Arrival, Router};

/// As long as MobileIMSDK's clients wait before they report a message lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// A login under way from inside this process; await it. See [`Handle::connect`](super::Handle).
#[derive(Debug)]
#[must_use = "a login is made when it is awaited"]
pub struct Connect {
    router: Weak<Router>,
    user: Name,
    device: String,
    class: String,
    desk: bool,
    token: Option<String>,
    extra: Option<String>,
}

/// Why a login from inside was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// User, device or class is no name.
    #[error("{what} `{name}` {problem}")]
    Name {
        /// Which of them.
        what: &'static str,
        /// As it was given.
        name: String,
        /// Which rule it breaks.
        problem: NameError,
    },
    /// The answer to the login was this code.
    #[error("the login was refused with code {0}")]
    Refused(i32),
    /// The server stops or has stopped, or the store failed.
    #[error("the server closed the link")]
    Closed,
}

impl Connect {
    pub(super) fn new(router: Weak<Router>, user: Name) -> Connect {
        Connect {
            router,
            user,
            device: "default".to_owned(),
            class: "default".to_owned(),
            desk: false,
            token: None,
            extra: None,
        }
    }

    /// Its device; `default` otherwise. A user's devices have each their own cursor.
    pub fn device(mut self, device: impl Into<String>) -> Connect {
        self.device = device.into();
        self
    }

    /// Its class; `default` otherwise. A second login of a class replaces the first, unless
    /// `session.second_login` says otherwise.
    pub fn class(mut self, class: impl Into<String>) -> Connect {
        self.class = class.into();
        self
    }

    /// Gets what a desk tells beside its messages, too (`typeu` 400).
    pub fn desk(mut self, desk: bool) -> Connect {
        self.desk = desk;
        self
    }

    /// Verified with this token, as a login from outside is. Without one, the application vouches
    /// for the user and nobody is asked.
    pub fn token(mut self, token: impl Into<String>) -> Connect {
        self.token = Some(token.into());
        self
    }

    /// For the listener, beside the token.
    pub fn extra(mut self, extra: impl Into<String>) -> Connect {
        self.extra = Some(extra.into());
        self
    }

    async fn run(self) -> Result<LocalLink, ConnectError> {
        let plain = self.user.strip_prefix('~').unwrap_or(&self.user);
        let names = [
            ("user", plain),
            ("device", &self.device),
            ("class", &self.class),
        ];
        for (what, name) in names {
            ids::check_user(name).map_err(|problem| ConnectError::Name {
                what,
                name: name.to_owned(),
                problem,
            })?;
        }
        let router = self.router.upgrade().ok_or(ConnectError::Closed)?;
        let (link, end) = router.open_local().ok_or(ConnectError::Closed)?;
        // From here on the link is closed when this is dropped.
        let local = LocalLink {
            end,
            link,
            user: self.user,
            router: self.router,
        };
        let answer = local.end.expect_login();
        let caps: &[&str] = if self.desk { &["desk"] } else { &[] };
        match self.token {
            None => router.feed(Input::Enter {
                link,
                user: &local.user,
                device: &self.device,
                class: &self.class,
                caps,
            }),
            Some(token) => {
                let login = encode_login(&Login {
                    user: Some(local.user.to_string()),
                    token: Some(token),
                    extra: self.extra,
                    first_login_time: 0,
                    tidings: Some(Declared {
                        device: self.device,
                        class: self.class,
                        caps: caps.iter().map(|&cap| cap.to_owned()).collect(),
                    }),
                });
                local.frame(code::LOGIN, login.into(), ids::SERVER, None, -1);
            }
        }
        drop(router);
        match answer.await {
            Ok(code::OK) => Ok(local),
            Ok(refused) => Err(ConnectError::Refused(refused)),
            Err(_) => Err(ConnectError::Closed),
        }
    }
}

impl IntoFuture for Connect {
    type Output = Result<LocalLink, ConnectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A session inside this process. Dropping it logs out.
///
/// The rules are those of every session: at most 64 messages or 256 KiB are under way to it
/// unacknowledged, what is not acknowledged comes again, and a reader that acknowledges nothing for
/// 20 seconds while something is under way is closed; nothing is lost by that. Messages without QoS
/// are dropped while 256 events wait to be read. It needs no heartbeat.
#[derive(Debug)]
pub struct LocalLink {
    end: LocalRef,
    link: LinkId,
    user: Name,
    router: Weak<Router>,
}

impl LocalLink {
    /// Who it is logged in as.
    #[must_use]
    pub fn user(&self) -> &Name {
        &self.user
    }

    /// Sends a message to a user, a `#group` or `0`; await it. With QoS, the default, the answer
    /// comes once it is in custody.
    pub fn send<'a>(&'a self, to: &'a str, text: &'a str) -> LocalSend<'a> {
        LocalSend {
            link: self,
            to,
            text,
            id: None,
            typeu: -1,
            qos: true,
        }
    }

    /// What comes next; `None` once the link is closed and everything is read.
    pub async fn recv(&mut self) -> Option<LocalEvent> {
        self.end.next().await
    }

    /// The next message, passing over everything else.
    pub async fn message(&mut self) -> Option<MessageRef> {
        loop {
            if let LocalEvent::Message(message) = self.recv().await? {
                return Some(message);
            }
        }
    }

    /// Says that a message need not come again on this device. Nothing for one without QoS.
    pub fn acknowledge(&self, message: &MessageRef) {
        if message.seq > 0 {
            let id = Cow::Borrowed(&*message.id);
            self.frame(code::RECEIVED, id, &message.from, None, -1);
        }
    }

    /// As [`LocalLink::recv`], for a link that is shared; for one reader at a time.
    pub(crate) async fn next(&self) -> Option<LocalEvent> {
        self.end.next().await
    }

    /// Says that whoever is behind this link is there although he is silent: what is under way to
    /// him does not close it.
    pub(crate) fn vouch(&self) {
        if let Some(router) = self.router.upgrade() {
            router.arrived(self.link, vec![Arrival::Heard]);
        }
    }

    /// Why it was closed; `None` while it is open, or if the server stopped.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.end.reason()
    }

    fn frame(&self, kind: i32, data: Cow<'_, str>, to: &str, fp: Option<&str>, typeu: i32) {
        let bytes = data.len();
        let frame = Frame {
            kind,
            data: Some(data),
            from: Some(Cow::Borrowed(&self.user)),
            to: Some(Cow::Borrowed(to)),
            fp: fp.map(Cow::Borrowed),
            qos: fp.is_some(),
            typeu,
            ..Frame::default()
        };
        let arrival = Arrival::Frame(frame, bytes);
        if let Some(router) = self.router.upgrade() {
            router.arrived(self.link, vec![arrival]);
        }
    }
}

impl Drop for LocalLink {
    fn drop(&mut self) {
        if let Some(router) = self.router.upgrade() {
            router.closed(self.link);
        }
        self.end.close(None);
    }
}

/// A message under way from a [`LocalLink`]; await it.
#[derive(Debug)]
#[must_use = "a message is sent when it is awaited"]
pub struct LocalSend<'a> {
    link: &'a LocalLink,
    to: &'a str,
    text: &'a str,
    id: Option<Name>,
    typeu: i32,
    qos: bool,
}

/// Why a message from inside was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalSendError {
    /// Refused, by us or the application.
    #[error("refused with code {code}: {text}")]
    Refused {
        /// A number of `tidings_core::wire::code`, or the application's.
        code: i32,
        /// For people.
        text: String,
    },
    /// Nobody answered within 15 seconds: a before-hook dropped it, or the store hangs. Sent again
    /// with the same id it is stored once.
    #[error("not answered")]
    NotAnswered,
    /// The link is closed; whether the message was taken is unknown. Sent again with the same id it
    /// is stored once.
    #[error("the link is closed")]
    Closed,
}

impl LocalSend<'_> {
    /// The message's id, a new one otherwise.
    pub fn id(mut self, id: impl Into<Name>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Application-defined type (`typeu`); −1 otherwise.
    pub fn typeu(mut self, typeu: i32) -> Self {
        self.typeu = typeu;
        self
    }

    /// To whoever is online, now or never: neither stored nor answered.
    pub fn without_qos(mut self) -> Self {
        self.qos = false;
        self
    }

    async fn run(self) -> Result<Sent, LocalSendError> {
        let link = self.link;
        let router = link.router.upgrade().ok_or(LocalSendError::Closed)?;
        router.room().await;
        drop(router);
        if !link.end.room().await {
            return Err(LocalSendError::Closed);
        }
        let id = self.id.unwrap_or_else(new_id);
        let text = Cow::Borrowed(self.text);
        if !self.qos {
            link.frame(code::COMMON_DATA, text, self.to, None, self.typeu);
            return Ok(Sent {
                id,
                seq: 0,
                time_ms: -1,
                duplicate: false,
            });
        }
        let fate = link.end.expect(&id);
        link.frame(code::COMMON_DATA, text, self.to, Some(&id), self.typeu);
        match tokio::time::timeout(ANSWER_WITHIN, fate).await {
            Ok(Ok(Ok(custody))) => Ok(Sent {
                id,
                seq: custody.seq,
                time_ms: custody.time_ms,
                duplicate: false,
            }),
            Ok(Ok(Err(refused))) => Err(LocalSendError::Refused {
                code: refused.code,
                text: refused.text,
            }),
            Ok(Err(_)) => Err(LocalSendError::Closed),
            Err(_) => {
                link.end.forget(&id);
                Err(LocalSendError::NotAnswered)
            }
        }
    }
}

impl<'a> IntoFuture for LocalSend<'a> {
    type Output = Result<Sent, LocalSendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
