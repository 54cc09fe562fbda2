//! What an operator asks: where a message is, who is known, whether the server takes messages.

use std::sync::Arc;

use tidings_core::ids::{self, Name, SERVER};
use tidings_core::limits;
use tidings_core::message::MessageRef;

use super::{Handle, HandleError, check_group, check_user, name_error};
use crate::metrics::Snapshot;
use crate::retention;
use crate::router::Deliveries;
use crate::store::{Checked, Profile, Receipt, Search, Store};

/// Whether the server takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// The last commit failed; the log says why.
    Trouble,
    /// It stops or has stopped.
    Stopping,
}

impl Handle {
    /// What the server counts, at this moment.
    ///
    /// # Errors
    /// If the store cannot be asked for its size.
    pub async fn stats(&self) -> Result<Snapshot, HandleError> {
        let store = self.router()?.store().clone();
        let size = self.router()?.blocking(move || store.size()).await?;
        Ok(self.router()?.stats(size))
    }

    /// Whether the server takes messages.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        match self.router() {
            Ok(router) if router.is_stopping() => Readiness::Stopping,
            Ok(router) if router.is_in_trouble() => Readiness::Trouble,
            Ok(_) => Readiness::Ready,
            Err(_) => Readiness::Stopping,
        }
    }

    /// The messages with an id, of whatever sender and receiver, the newest first. If `between`
    /// names sender and receiver, it is found however old it is; otherwise only in the newest part
    /// of the store, or around the time that an id made by this server names.
    ///
    /// # Errors
    /// If the id is none, or the store cannot be read.
    pub async fn find(
        &self,
        id: &str,
        between: Option<(&str, &str)>,
    ) -> Result<Vec<MessageRef>, HandleError> {
        ids::check_stored_id(id).map_err(|problem| name_error("id", id, problem))?;
        let search = Search {
            id: id.into(),
            between: between.map(|(from, to)| (from.into(), to.into())),
        };
        let store = self.router()?.store().clone();
        Ok(self.router()?.blocking(move || store.find(&search)).await?)
    }

    /// How far each device of a user is in the conversation of a message.
    ///
    /// # Errors
    /// If `user` is no user id, or the store cannot be read.
    pub async fn receipts(
        &self,
        user: &str,
        message: &MessageRef,
    ) -> Result<Vec<Receipt>, HandleError> {
        if user != SERVER {
            check_user(user)?;
        }
        let (store, user) = (self.router()?.store().clone(), user.to_owned());
        let message = message.clone();
        let read = move || store.receipts(&user, &message);
        Ok(self.router()?.blocking(read).await?)
    }

    /// When a message was sent to which sessions, and acknowledged by them; `None` if that is not
    /// remembered: of the newest [`TRAIL_MESSAGES_MAX`](limits::TRAIL_MESSAGES_MAX) only, and only
    /// since the server started.
    #[must_use]
    pub fn deliveries(&self, message: &MessageRef) -> Option<Deliveries> {
        self.router().ok()?.deliveries(message)
    }

    /// A page of the users who have ever logged in, by name, above `after` (empty: from the first).
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn users(&self, after: &str, limit: usize) -> Result<Vec<Name>, HandleError> {
        let (store, after) = (self.router()?.store().clone(), after.to_owned());
        let read = move || {
            // One more, in case that the server's own session is among them.
            let mut found = store.users(&after, limit.saturating_add(1))?;
            found.retain(|name| **name != *SERVER);
            found.truncate(limit);
            Ok(found)
        };
        Ok(self.router()?.blocking(read).await?)
    }

    /// A page of the groups, by name with their `#`, above `after` (empty: from the first), each with
    /// how many members it has.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn groups(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(Name, usize)>, HandleError> {
        let (store, after) = (self.store()?, after.to_owned());
        let read = move || store.groups(&after, limit);
        Ok(self.router()?.blocking(read).await?)
    }

    /// Looks whether everything in the store is what was written: takes as long as reading it all.
    ///
    /// # Errors
    /// If the store is none of ours, or cannot be read at all. What is found to be wrong is no error.
    pub async fn check(&self) -> Result<Checked, HandleError> {
        let store = self.store()?;
        Ok(self.router()?.blocking(move || store.check()).await?)
    }

    /// Removes messages older than this now, but none that a device seen in the last 90 days has not
    /// acknowledged; returns how many went.
    ///
    /// # Errors
    /// If `days` are fewer than [`RETENTION_DAYS_MIN`](limits::RETENTION_DAYS_MIN), or it cannot be
    /// stored.
    pub async fn retain(&self, days: u32) -> Result<u64, HandleError> {
        if days < limits::RETENTION_DAYS_MIN {
            return Err(HandleError::RetentionDays(days));
        }
        let router = self.router()?;
        let pass = router.clone();
        Ok(router
            .blocking(move || retention::pass(&pass, days))
            .await?)
    }

    /// The store of the running server.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, HandleError> {
        Ok(self.router()?.store().clone())
    }

    /// What is known of a user; `None` if he never logged in.
    ///
    /// # Errors
    /// If `user` is no user id, or the store cannot be read.
    pub async fn profile(&self, user: &str) -> Result<Option<Profile>, HandleError> {
        check_user(user)?;
        let (store, user) = (self.router()?.store().clone(), user.to_owned());
        Ok(self
            .router()?
            .blocking(move || store.profile(&user))
            .await?)
    }

    /// Adds a member to a group, at once also if he is online; `false` if there is no such group.
    /// Nothing happens if he is a member.
    ///
    /// # Errors
    /// If a name is none, the group is full, or it cannot be stored.
    pub async fn add_member(&self, group: &str, user: &str) -> Result<bool, HandleError> {
        self.change_member(group, user, true).await
    }

    /// Removes a member from a group; `false` if there is no such group, or he is no member. With
    /// its last member the group is removed.
    ///
    /// # Errors
    /// If a name is none, or it cannot be stored.
    pub async fn remove_member(&self, group: &str, user: &str) -> Result<bool, HandleError> {
        self.change_member(group, user, false).await
    }

    async fn change_member(
        &self,
        group: &str,
        user: &str,
        member: bool,
    ) -> Result<bool, HandleError> {
        check_group(group)?;
        check_user(user)?;
        if self.router()?.is_stopping() {
            return Err(HandleError::Stopped);
        }
        let user = Name::from(user);
        self.router()?
            .change_member(Name::from(group), user, member)
            .await
    }
}
