//! Messages from the server.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use tidings_core::custody::{Draft, Refusal, Verdict};
use tidings_core::ids::{self, Address, ConversationId, Name, NameError, SERVER};
use tidings_core::message::{Message, MessageRef};
use tidings_core::shard::Submission;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{self, Frame};

use super::Handle;
use crate::store::StoreError;

/// A message under way from the application; await it. See [`Handle::send`].
#[derive(Debug)]
#[must_use = "a message is sent when it is awaited"]
pub struct Send {
    handle: Handle,
    from: Name,
    to: Name,
    id: Option<Name>,
    typeu: i32,
    text: String,
    qos: bool,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: Name,
    /// Its number in its conversation; 0 without QoS.
    pub seq: u64,
    /// When it was taken into custody, milliseconds since 1970 UTC; −1 without QoS.
    pub time_ms: i64,
    /// The same message was in custody already: this is its number, and nothing was sent again.
    pub duplicate: bool,
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The receiver's, sender's or message's name is none.
    #[error("{what} `{name}` {problem}")]
    Name {
        /// Which of them.
        what: &'static str,
        /// As it was given.
        name: String,
        /// Which rule it breaks.
        problem: NameError,
    },
    /// Nobody has this address: a team, or `0` as the server's own receiver.
    #[error("nobody has the address `{0}`")]
    NoSuchAddress(Name),
    /// It does not fit a frame.
    #[error("the message would be a frame of {bytes} bytes; the limit is {max}")]
    TooLarge {
        /// So long.
        bytes: usize,
        /// `delivery.frame_bytes_max`.
        max: usize,
    },
    /// This id was used from here to there for other content.
    #[error("this id was used for another content; use a new id for each message")]
    Conflict,
    /// The store's rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be stored. Sending it again with the same id stores it once.
    #[error("not stored: {0}")]
    NotStored(String),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server stops or has stopped; the message was not taken.
    #[error("the server has stopped")]
    Stopped,
}

impl Send {
    pub(super) fn new(handle: Handle, to: Name, text: String) -> Send {
        Send {
            handle,
            from: Name::from(SERVER),
            to,
            id: None,
            typeu: -1,
            text,
            qos: true,
        }
    }

    /// In whose name; `0` otherwise. To a group he must be a member.
    pub fn from(mut self, user: impl Into<Name>) -> Send {
        self.from = user.into();
        self
    }

    /// The message's id, a new one otherwise. Sent again with the same id, receiver and content, it
    /// is stored once; with other content it is refused.
    pub fn id(mut self, id: impl Into<Name>) -> Send {
        self.id = Some(id.into());
        self
    }

    /// Application-defined type (`typeu`); −1 otherwise.
    pub fn typeu(mut self, typeu: i32) -> Send {
        self.typeu = typeu;
        self
    }

    /// To whoever is online, now or never: not stored, not acknowledged.
    pub fn without_qos(mut self) -> Send {
        self.qos = false;
        self
    }

    fn check(&self) -> Result<(), SendError> {
        let wrong = |what, name: &str| {
            let name = name.to_owned();
            move |problem| SendError::Name {
                what,
                name,
                problem,
            }
        };
        match Address::parse(&self.to).map_err(wrong("receiver", &self.to))? {
            // The server is nobody's customer.
            Address::Server | Address::Team(_) if *self.from == *SERVER => {
                return Err(SendError::NoSuchAddress(self.to.clone()));
            }
            _ => {}
        }
        if *self.from != *SERVER {
            let plain = self.from.strip_prefix('~').unwrap_or(&self.from);
            ids::check_user(plain).map_err(wrong("sender", &self.from))?;
        }
        if let Some(id) = &self.id {
            ids::check_message_id(id).map_err(wrong("message id", id))?;
        }
        Ok(())
    }

    async fn run(self) -> Result<Sent, SendError> {
        self.check()?;
        if !self.qos {
            return self.pass().await;
        }
        let router = self.handle.router.upgrade().ok_or(SendError::Stopped)?;
        let draft = self.draft(router.wall_ms());
        let (id, to) = (draft.id.clone(), draft.to.clone());
        outcome(id, to, router.submit(draft).await)
    }

    /// Several, in their order.
    pub(super) async fn run_all(messages: Vec<Send>) -> Vec<Result<Sent, SendError>> {
        let mut outcomes = Vec::with_capacity(messages.len());
        let mut drafts = Vec::new();
        let mut submitted = Vec::new();
        let mut router = None;
        for (at, message) in messages.into_iter().enumerate() {
            if let Err(error) = message.check() {
                outcomes.push(Err(error));
            } else if !message.qos {
                outcomes.push(message.pass().await);
            } else if let Some(known) = message.handle.router.upgrade() {
                let draft = message.draft(known.wall_ms());
                submitted.push((at, draft.id.clone(), draft.to.clone()));
                drafts.push(draft);
                router = Some(known);
                outcomes.push(Err(SendError::Stopped)); // until it is known
            } else {
                outcomes.push(Err(SendError::Stopped));
            }
        }
        if let Some(router) = router {
            let mut decided = router.submit_all(drafts).await.into_iter();
            for (at, id, to) in submitted {
                outcomes[at] = outcome(id, to, decided.next());
            }
        }
        outcomes
    }

    fn draft(self, time_ms: i64) -> Draft {
        Draft {
            from: self.from,
            to: self.to,
            id: self.id.unwrap_or_else(new_id),
            typeu: self.typeu,
            body: self.text.into_boxed_str(),
            time_ms,
        }
    }

    async fn pass(self) -> Result<Sent, SendError> {
        let id = self.id.clone().unwrap_or_else(new_id);
        let router = self.handle.router.upgrade().ok_or(SendError::Stopped)?;
        if router.is_stopping() {
            return Err(SendError::Stopped);
        }
        if self.to.starts_with('#') {
            let (store, group) = (router.store().clone(), self.to.clone());
            let members = router.blocking(move || store.group(&group)).await?;
            let members = members.ok_or(Refusal::NoGroup)?;
            if *self.from != *SERVER && !members.contains(&self.from) {
                return Err(Refusal::NotMember.into());
            }
        }
        let max = router.frame_bytes_max();
        let mut bytes = Vec::new();
        let frame = Frame {
            kind: code::COMMON_DATA,
            data: Some(self.text.as_str().into()),
            from: Some((&*self.from).into()),
            to: Some((&*self.to).into()),
            fp: Some((&*id).into()),
            typeu: self.typeu,
            sm: -1,
            ..Frame::default()
        };
        mobileimsdk::encode(&frame, &mut bytes);
        if bytes.len() > max {
            let bytes = bytes.len();
            return Err(SendError::TooLarge { bytes, max });
        }
        router.pass(MessageRef::new(Message {
            conversation: ConversationId(0),
            seq: 0,
            position: 0,
            time_ms: -1,
            from: self.from,
            to: self.to,
            id: id.clone(),
            typeu: self.typeu,
            body: self.text.into_boxed_str(),
        }));
        Ok(Sent {
            id,
            seq: 0,
            time_ms: -1,
            duplicate: false,
        })
    }
}

/// What the shard says of a message; nothing once the server stops.
fn outcome(id: Name, to: Name, decided: Option<Submission>) -> Result<Sent, SendError> {
    let taken = |seq, time_ms, duplicate| Sent {
        id,
        seq,
        time_ms,
        duplicate,
    };
    match decided.ok_or(SendError::Stopped)? {
        Submission::Decided(Verdict::New(message)) => {
            Ok(taken(message.seq, message.time_ms, false))
        }
        Submission::Decided(Verdict::Duplicate(stored)) => {
            Ok(taken(stored.seq, stored.time_ms, true))
        }
        Submission::Decided(Verdict::Refused(refusal)) => Err(refusal.into()),
        Submission::Decided(Verdict::Conflict | Verdict::Login(_)) => Err(SendError::Conflict),
        Submission::TooLarge { bytes, max } => Err(SendError::TooLarge { bytes, max }),
        Submission::NoSuchAddress => Err(SendError::NoSuchAddress(to)),
        Submission::Failed(reason) => Err(SendError::NotStored(reason)),
    }
}

impl IntoFuture for Send {
    type Output = Result<Sent, SendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + std::marker::Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A new id, ascending in time: kinder to whatever indexes it.
pub(crate) fn new_id() -> Name {
    let mut buffer = [0u8; uuid::fmt::Hyphenated::LENGTH];
    let id: &str = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    Name::from(id)
}
