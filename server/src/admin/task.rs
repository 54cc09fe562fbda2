//! What an operator has a server do, whether it runs or is started for that alone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::wire::code::KICK_BY_ADMIN;

use super::{AdminError, backup, now_ms};
use crate::api::shown_session;
use crate::auth::Access;
use crate::desk::Desks;
use crate::handle::Handle;
use crate::store::StoreError;

/// Something to do. As JSON: `{"command": "group_show", "group": "crew"}`. Groups are named without
/// their `#`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Task {
    /// Ends all sessions of a user.
    Kick {
        /// Whose.
        user: String,
        /// Told to the client.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Who has ever logged in, by name, [`ADMIN_PAGE_MAX`](limits::ADMIN_PAGE_MAX) at a time.
    UserList {
        /// Above this name; empty: from the first.
        #[serde(default)]
        after: String,
    },
    /// Devices and sessions of a user.
    UserShow {
        /// Whose.
        user: String,
    },
    /// The groups, by name, [`ADMIN_PAGE_MAX`](limits::ADMIN_PAGE_MAX) at a time.
    GroupList {
        /// Above this name; empty: from the first.
        #[serde(default)]
        after: String,
    },
    /// The members of a group.
    GroupShow {
        /// Which.
        group: String,
    },
    /// Makes a group have exactly these members.
    GroupSet {
        /// Which.
        group: String,
        /// Whom; one at least.
        members: Vec<String>,
    },
    /// Adds a member to a group.
    GroupAdd {
        /// Which.
        group: String,
        /// Whom.
        user: String,
    },
    /// Removes a member from a group, or the group.
    GroupRemove {
        /// Which.
        group: String,
        /// Whom; `None` is the group itself.
        #[serde(default)]
        user: Option<String>,
    },
    /// Copies everything into a new directory while messages go on.
    Backup {
        /// Which: an absolute path where nothing is.
        to: PathBuf,
    },
    /// Looks whether everything is what was written.
    Check,
    /// Removes what is old enough, now.
    Retention {
        /// How old, in days; 7 at least.
        days: u32,
    },
}

/// What carries tasks out. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Office {
    pub(super) handle: Handle,
    pub(super) access: Access,
    desks: Desks,
    data: PathBuf,
}

fn refuse<T>(words: impl Into<String>) -> Result<T, AdminError> {
    Err(AdminError::Refused(words.into()))
}

impl Office {
    pub(crate) fn new(handle: Handle, access: Access, desks: Desks, data: PathBuf) -> Office {
        Office {
            handle,
            access,
            desks,
            data,
        }
    }

    /// Does it.
    pub(crate) async fn execute(&self, task: Task) -> Result<Value, AdminError> {
        match task {
            Task::Kick { user, reason } => {
                if let Some(length) = reason.as_ref().map(String::len)
                    && length > limits::REASON_BYTES_MAX
                {
                    let max = limits::REASON_BYTES_MAX;
                    return refuse(format!(
                        "the reason has {length} bytes; REASON_BYTES_MAX = {max} are allowed"
                    ));
                }
                let ended = self.handle.kick(&user, KICK_BY_ADMIN, reason.as_deref())?;
                Ok(json!({ "user": user, "ended": ended }))
            }
            Task::UserList { after } => self.users(&after).await,
            Task::UserShow { user } => self.user(&user).await,
            Task::GroupList { after } => self.groups(&after).await,
            Task::GroupShow { group } => self.group(&group).await,
            Task::GroupSet { group, members } => {
                if members.is_empty() {
                    return refuse("a group has members: remove it instead");
                }
                self.handle.set_group(&hash(&group), &members).await?;
                Ok(json!({ "group": group, "members": members.len() }))
            }
            Task::GroupAdd { group, user } => {
                match self.handle.add_member(&hash(&group), &user).await? {
                    true => Ok(json!({ "group": group, "user": user })),
                    false => refuse(format!("there is no group {group}: set it first")),
                }
            }
            Task::GroupRemove { group, user } => self.remove(&group, user).await,
            Task::Backup { to } => self.backup(to).await,
            Task::Check => {
                let mut checked = self.handle.check().await?;
                let (access, desks) = (self.access.clone(), self.desks.clone());
                let beside = move || -> Result<Vec<String>, AdminError> {
                    let accounts = access.registry().check()?.into_iter();
                    let desk = desks
                        .directory()
                        .check()
                        .map_err(|e| AdminError::Refused(e.to_string()))?;
                    let accounts = accounts.map(|words| format!("accounts.db: {words}"));
                    let desk = desk.into_iter().map(|words| format!("desk.db: {words}"));
                    Ok(accounts.chain(desk).collect())
                };
                let told = tokio::task::spawn_blocking(beside).await;
                for words in told.map_err(|e| StoreError::Unavailable(e.to_string()))?? {
                    checked.fault(words);
                }
                Ok(json!({ "check": checked }))
            }
            Task::Retention { days } => {
                let removed = self.handle.retain(days).await?;
                Ok(json!({ "removed": removed, "days": days }))
            }
        }
    }

    async fn users(&self, after: &str) -> Result<Value, AdminError> {
        let names = self.handle.users(after, limits::ADMIN_PAGE_MAX).await?;
        let next = next(names.last(), names.len());
        let users = names.iter().map(|user| {
            let sessions = self.handle.sessions(user).len();
            json!({ "user": &**user, "sessions": sessions })
        });
        Ok(json!({ "users": users.collect::<Vec<_>>(), "next": next }))
    }

    async fn user(&self, user: &str) -> Result<Value, AdminError> {
        let Some(profile) = self.handle.profile(user).await? else {
            return refuse(format!("{user} has never logged in"));
        };
        let devices = profile.devices.iter().map(|device| {
            json!({
                "device": &*device.name, "class": &*device.class,
                "created_ms": device.created_ms, "seen_ms": device.seen_ms,
            })
        });
        let sessions = self.handle.sessions(user);
        let sessions = sessions.iter().map(shown_session);
        Ok(json!({
            "user": user,
            "devices": devices.collect::<Vec<_>>(),
            "sessions": sessions.collect::<Vec<_>>(),
        }))
    }

    async fn groups(&self, after: &str) -> Result<Value, AdminError> {
        let after = match after {
            "" => String::new(),
            after => hash(after),
        };
        let found = self.handle.groups(&after, limits::ADMIN_PAGE_MAX).await?;
        let next = next(found.last().map(|(group, _)| group), found.len());
        let groups = found.iter().map(|(group, members)| {
            json!({ "group": group.trim_start_matches('#'), "members": members })
        });
        Ok(json!({
            "groups": groups.collect::<Vec<_>>(),
            "next": next.map(|name| name.trim_start_matches('#').to_owned()),
        }))
    }

    async fn group(&self, group: &str) -> Result<Value, AdminError> {
        let Some(members) = self.handle.group(&hash(group)).await? else {
            return refuse(format!("there is no group {group}"));
        };
        let members = members.iter().map(|user| json!({ "user": &**user }));
        Ok(json!({ "group": group, "members": members.collect::<Vec<_>>() }))
    }

    async fn remove(&self, group: &str, user: Option<String>) -> Result<Value, AdminError> {
        let name = hash(group);
        if self.handle.group(&name).await?.is_none() {
            return refuse(format!("there is no group {group}"));
        }
        match &user {
            None => self.handle.remove_group(&name).await?,
            Some(user) => {
                if !self.handle.remove_member(&name, user).await? {
                    return refuse(format!("{user} is no member of {group}"));
                }
            }
        }
        Ok(json!({ "group": group, "user": user }))
    }

    async fn backup(&self, to: PathBuf) -> Result<Value, AdminError> {
        let store = self.handle.store()?;
        let (access, data) = (self.access.clone(), self.data.clone());
        let copy = move || backup::write(&*store, access.registry(), &data, &to, now_ms());
        let done = tokio::task::spawn_blocking(copy).await;
        done.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

/// A group's address.
fn hash(group: &str) -> String {
    format!("#{group}")
}

/// From where the next page goes on; `None` after the last.
fn next(last: Option<&Name>, count: usize) -> Option<&str> {
    last.filter(|_| count >= limits::ADMIN_PAGE_MAX)
        .map(|name| &**name)
}
