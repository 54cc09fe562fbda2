//! What an application does with a running server: send, kick, ask who is online, read history,
//! keep groups, connect from inside the process.
//!
//! - `send`: messages from the server
//! - `local`: clients inside the process
//! - `look`: where a message is, who is known
//!
//! Holds nothing but the router: whatever can be done here is done by it and the store. Called by
//! applications; `api` and `console` use the same.

mod local;
mod look;
mod send;

pub use local::{Connect, ConnectError, LocalLink, LocalSend, LocalSendError};
pub use look::Readiness;
pub(crate) use send::new_id;
pub use send::{Send, SendError, Sent};

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tidings_core::ids::{self, Address, Name, NameError, SERVER};
use tidings_core::limits;
use tidings_core::message::MessageRef;
use tidings_core::shard::Input;
use tidings_core::wire::code;

use crate::router::{OnlineSession, Router};
use crate::store::{Conversation, Page, StoreError};

/// A running server in the hand of the application. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Weak: a handle that is kept must not keep the data directory of a server that has stopped.
    router: Weak<Router>,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// A name that is none.
    #[error("{what} `{name}` {problem}")]
    Name {
        /// What it should have been.
        what: &'static str,
        /// As it was given.
        name: String,
        /// Which rule it breaks.
        problem: NameError,
    },
    /// Too many of something.
    #[error("{count} members; a group has at most {max}")]
    TooManyMembers {
        /// As many were given.
        count: usize,
        /// So many may be given.
        max: usize,
    },
    /// A kick code that means something else.
    #[error("kick code {0}: use 2 (by an administrator) or one above 100")]
    KickCode(i32),
    /// A retention that would outlive its own keys: what is sent again must be known again.
    #[error(
        "retention of {0} days: RETENTION_DAYS_MIN = {min} is the least",
        min = limits::RETENTION_DAYS_MIN
    )]
    RetentionDays(u32),
    /// The server stops or has stopped.
    #[error("the server has stopped")]
    Stopped,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user who is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserOnline {
    /// Who.
    pub user: Name,
    /// On which sessions, the oldest first.
    pub sessions: Vec<OnlineSession>,
}

impl Handle {
    pub(crate) fn new(router: &Arc<Router>) -> Handle {
        let router = Arc::downgrade(router);
        Handle { router }
    }

    fn router(&self) -> Result<Arc<Router>, HandleError> {
        self.router.upgrade().ok_or(HandleError::Stopped)
    }

    /// Sends a message to a user or a `#group`, from `0` unless [`Send::from`] says otherwise. Await
    /// it: with QoS, the default, the answer comes once the message is in custody, and then it
    /// reaches its receivers whatever dies.
    ///
    /// No before-hook is asked: the application sends it itself.
    pub fn send(&self, to: impl Into<Name>, text: impl Into<String>) -> Send {
        Send::new(self.clone(), to.into(), text.into())
    }

    /// The same message to many, each in his own conversation; answers in the order of `to`. Give
    /// each an id with [`Send::id`] and [`Handle::send_all`] if you need it to be idempotent.
    pub async fn send_many<N: Into<Name>>(
        &self,
        to: impl IntoIterator<Item = N>,
        text: &str,
    ) -> Vec<Result<Sent, SendError>> {
        self.send_all(to.into_iter().map(|to| self.send(to, text)))
            .await
    }

    /// Several messages, taken in their order; answers in the same.
    pub async fn send_all(
        &self,
        messages: impl IntoIterator<Item = Send>,
    ) -> Vec<Result<Sent, SendError>> {
        let mut outcomes = Vec::new();
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            // So many together share a commit; more would only wait in memory.
            let together = messages.by_ref().take(limits::UNDECIDED_PER_SESSION_MAX);
            outcomes.extend(Send::run_all(together.collect()).await);
        }
        outcomes
    }

    /// Ends all sessions of a user; returns how many there were. `code` is 2 (by an administrator)
    /// or one of the application's above 100; the clients are told code and reason and do not come
    /// back by themselves. The listener gets one `logged_out` for each.
    ///
    /// # Errors
    /// If `user` is no user id, or the code is reserved.
    pub fn kick(&self, user: &str, code: i32, reason: Option<&str>) -> Result<usize, HandleError> {
        check_user(user)?;
        if code != code::KICK_BY_ADMIN && code <= code::KICK_RESERVED_MAX {
            return Err(HandleError::KickCode(code));
        }
        let router = self.router()?;
        let count = router.online(Some(user)).len();
        router.feed(Input::Kick { user, code, reason });
        Ok(count)
    }

    /// Everybody who is online, by name. A snapshot.
    #[must_use]
    pub fn online(&self) -> Vec<UserOnline> {
        let mut users: BTreeMap<Name, Vec<OnlineSession>> = BTreeMap::new();
        let sessions = self.router().map(|router| router.online(None));
        for session in sessions.unwrap_or_default() {
            if *session.user != *SERVER {
                users.entry(session.user.clone()).or_default().push(session);
            }
        }
        let users = users.into_iter().map(|(user, mut sessions)| {
            sessions.sort_by_key(|session| session.since_ms);
            UserOnline { user, sessions }
        });
        users.collect()
    }

    /// The sessions of one user; empty if he is not online.
    #[must_use]
    pub fn sessions(&self, user: &str) -> Vec<OnlineSession> {
        if user == SERVER {
            return Vec::new();
        }
        let sessions = self.router().map(|router| router.online(Some(user)));
        sessions.unwrap_or_default()
    }

    /// A page of the conversation of `user` with `peer`: another user, a `#group`, or `0`. Ascending
    /// by number; go on from the first or last number of a page. It is held in memory, so say how
    /// long it may be: the API takes up to [`HISTORY_PAGE_MAX`](limits::HISTORY_PAGE_MAX).
    ///
    /// # Errors
    /// If a name is none, or the store cannot be read.
    pub async fn history(
        &self,
        user: &str,
        peer: &str,
        page: Page,
    ) -> Result<Vec<MessageRef>, HandleError> {
        if user != SERVER {
            check_user(user)?;
        }
        let address = Address::parse(peer).map_err(|problem| name_error("peer", peer, problem))?;
        let key = ids::conversation_key(user, address);
        let router = self.router()?;
        let store = router.store().clone();
        let read = move || store.history(&key, page);
        Ok(router.blocking(read).await?)
    }

    /// A page of the conversations of a user, those with the newest message first, each with its
    /// head and how far his furthest device has acknowledged it. The first page is that before
    /// `u64::MAX`, the next one that before the `last.position` of a page's last conversation. A
    /// conversation that is written in meanwhile moves to the front.
    ///
    /// # Errors
    /// If `user` is no user id, or the store cannot be read.
    pub async fn conversations(
        &self,
        user: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Conversation>, HandleError> {
        if user != SERVER {
            check_user(user)?;
        }
        let router = self.router()?;
        let (store, user) = (router.store().clone(), user.to_owned());
        let read = move || store.conversations(&user, before, limit);
        Ok(router.blocking(read).await?)
    }

    /// Makes a group have exactly these members, at once also for those who are online. New members
    /// see what is sent from now on. Without members it is as [`Handle::remove_group`].
    ///
    /// # Errors
    /// If a name is none, there are too many members, or it cannot be stored.
    pub async fn set_group<N: AsRef<str>>(
        &self,
        group: &str,
        members: &[N],
    ) -> Result<(), HandleError> {
        check_group(group)?;
        if members.len() > limits::GROUP_MEMBERS_MAX {
            return Err(HandleError::TooManyMembers {
                count: members.len(),
                max: limits::GROUP_MEMBERS_MAX,
            });
        }
        let mut names: Vec<Name> = Vec::with_capacity(members.len());
        for member in members {
            check_user(member.as_ref())?;
            names.push(Name::from(member.as_ref()));
        }
        let router = self.router()?;
        if router.is_stopping() {
            return Err(HandleError::Stopped);
        }
        Ok(router.set_group(Name::from(group), names).await?)
    }

    /// The members of a `#group`; `None` if there is no such group.
    ///
    /// # Errors
    /// If the name is none, or the store cannot be read.
    pub async fn group(&self, group: &str) -> Result<Option<Vec<Name>>, HandleError> {
        check_group(group)?;
        let router = self.router()?;
        let (store, group) = (router.store().clone(), group.to_owned());
        let read = move || store.group(&group);
        Ok(router.blocking(read).await?)
    }

    /// Removes a group: nobody can send to it. Its messages stay.
    ///
    /// # Errors
    /// If the name is none, or it cannot be stored.
    pub async fn remove_group(&self, group: &str) -> Result<(), HandleError> {
        self.set_group::<&str>(group, &[]).await
    }

    /// Logs in from inside this process: a client without sockets, through the same shard, window
    /// and store. Await it, after setting what it should declare.
    pub fn connect(&self, user: impl Into<Name>) -> Connect {
        Connect::new(self.router.clone(), user.into())
    }

    /// Notices that the listener missed because it was too slow, since the start.
    #[must_use]
    pub fn notices_missed(&self) -> u64 {
        self.router().map_or(0, |router| router.notices_missed())
    }
}

fn name_error(what: &'static str, name: &str, problem: NameError) -> HandleError {
    HandleError::Name {
        what,
        name: name.to_owned(),
        problem,
    }
}

/// A user, or a visitor that we named.
fn check_user(user: &str) -> Result<(), HandleError> {
    let plain = user.strip_prefix('~').unwrap_or(user);
    ids::check_user(plain).map_err(|problem| name_error("user", user, problem))
}

fn check_group(group: &str) -> Result<(), HandleError> {
    match Address::parse(group) {
        Ok(Address::Group(_)) => Ok(()),
        Ok(_) => Err(name_error("group (`#name`)", group, NameError::Reserved)),
        Err(problem) => Err(name_error("group (`#name`)", group, problem)),
    }
}
