//! A desk and its storage listeners as they stand, kept beside the log, so that a start or a rebuild
//! costs what came since and not what ever was. One that cannot be used costs time, nothing else:
//! the log is the truth.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidings_core::desk::{AgentId, Desk, EpisodeId, Snapshot};
use tidings_core::ids::{ConversationId, Name};
use tidings_core::limits;

use super::Tenant;
use super::driver::{Chat, Driver};
use super::recall::Recalled;
use super::row::log_key;
use crate::router::Router;
use crate::store::{Page, StoreError};

/// The last row of a tenant's log that something stands behind: its number and id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct At {
    pub(super) row: u64,
    pub(super) id: String,
}

/// What was kept of `what`, if the log still has the row behind which it stood.
pub(super) async fn load<T: DeserializeOwned + Send + 'static>(
    tenant: &Tenant,
    router: &Arc<Router>,
    what: &'static str,
) -> Result<Option<(At, T)>, StoreError> {
    let (directory, name) = (tenant.directory.clone(), tenant.name.clone());
    let read = move || {
        directory.read(|db| {
            let sql = "SELECT row, row_id, body FROM snapshot WHERE tenant = ?1 AND what = ?2";
            let found = db.query_row(sql, params![&*name, what], |row| {
                let (number, id) = (row.get(0)?, row.get(1)?);
                Ok((At { row: number, id }, row.get::<_, String>(2)?))
            });
            found.optional()
        })
    };
    let found = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Ok(unusable(tenant, what, &error)),
        Err(error) => return Ok(unusable(tenant, what, &error)),
    };
    let Some((at, body)) = found else {
        return Ok(None);
    };
    let (store, key, row) = (router.store().clone(), log_key(&tenant.name), at.row);
    let page = Page::After(row.saturating_sub(1), 1);
    let there = router.blocking(move || store.history(&key, page)).await?;
    let is_it = |m: &tidings_core::message::MessageRef| m.seq == at.row && *m.id == *at.id;
    if !there.first().is_some_and(is_it) {
        return Ok(unusable(tenant, what, &"it is of another log"));
    }
    let parsed = tokio::task::spawn_blocking(move || serde_json::from_str(&body)).await;
    match parsed {
        Ok(Ok(kept)) => Ok(Some((at, kept))),
        Ok(Err(error)) => Ok(unusable(tenant, what, &error)),
        Err(error) => Ok(unusable(tenant, what, &error)),
    }
}

fn unusable<T>(tenant: &Tenant, what: &str, why: &dyn std::fmt::Display) -> Option<T> {
    tracing::warn!(tenant = %tenant.name, what, %why, "a snapshot is not used: all of the log is read");
    None
}

/// Keeps it, in place of the one before.
pub(super) async fn keep<T: Serialize + Send + 'static>(
    tenant: &Tenant,
    what: &'static str,
    at: &At,
    kept: T,
) {
    let (directory, name, at) = (tenant.directory.clone(), tenant.name.clone(), at.clone());
    let write = move || -> Result<(), String> {
        let body = serde_json::to_string(&kept).map_err(|e| e.to_string())?;
        let sql = "INSERT OR REPLACE INTO snapshot (tenant, what, row, row_id, body)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![&*name, what, at.row, at.id, body];
        let written = directory.with(|db| db.execute(sql, values));
        written.map(drop).map_err(|e| e.to_string())
    };
    let written = tokio::task::spawn_blocking(write).await;
    if let Err(problem) = written.map_err(|e| e.to_string()).flatten() {
        tracing::warn!(tenant = %tenant.name, what, problem, "a snapshot was not kept: the next start takes longer");
    }
}

/// A desk and what its driver knows beside it.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// As [`super::row::Row::upto`].
    upto: u64,
    desk: Snapshot,
    chats: Vec<KeptChat>,
    /// Who served a conversation last, the one that was served longest ago first.
    former: Vec<(ConversationId, AgentId)>,
    /// Up to where agents have their episodes' messages.
    read: Vec<(EpisodeId, AgentId, u64)>,
    unredacted: Vec<Recalled>,
}

#[derive(Serialize, Deserialize)]
struct KeptChat {
    episode: EpisodeId,
    conversation: ConversationId,
    customer: Box<str>,
    /// With its `@`.
    team: Box<str>,
}

const WHAT: &str = "desk";

impl Driver {
    /// Keeps the desk as it stands, if enough has happened since.
    pub(super) async fn keep_now_and_then(&mut self) {
        if self.at.row >= self.kept_row + limits::DESK_SNAPSHOT_ROWS {
            self.keep().await;
        }
    }

    /// Keeps the desk as it stands.
    pub(super) async fn keep(&mut self) {
        if self.at.row == self.kept_row {
            return;
        }
        self.forget_ended();
        let chats = self.chats.iter().map(|(episode, chat)| KeptChat {
            episode: *episode,
            conversation: chat.conversation,
            customer: (*chat.customer).into(),
            team: (*chat.address).into(),
        });
        let read = self.read.iter();
        let kept = Kept {
            upto: self.upto,
            desk: self.desk.snapshot(),
            chats: chats.collect(),
            former: self.former.all(),
            read: read.map(|((e, a), seq)| (*e, *a, *seq)).collect(),
            unredacted: self.unredacted.messages.clone(),
        };
        keep(&self.tenant, WHAT, &self.at, kept).await;
        // One that could not be kept is tried again after as many rows.
        self.kept_row = self.at.row;
    }

    /// Takes up what was kept.
    pub(super) async fn take_up(&mut self) -> Result<(), StoreError> {
        let found = load::<Kept>(&self.tenant, &self.router, WHAT).await?;
        let Some((at, kept)) = found else {
            return Ok(());
        };
        match Desk::restore(kept.desk, []) {
            Ok(desk) => self.desk = desk,
            Err(why) => {
                let _: Option<()> = unusable(&self.tenant, WHAT, &why);
                return Ok(());
            }
        }
        for known in kept.chats {
            let chat = Chat {
                conversation: known.conversation,
                customer: Name::from(known.customer),
                address: Name::from(known.team),
            };
            if self.desk.stage(known.episode).is_some() {
                let open = self.customers.entry(chat.customer.clone()).or_default();
                open.push(chat.conversation);
                self.tenant.meet(&chat.customer);
            }
            self.chats.insert(known.episode, chat);
        }
        for (conversation, agent) in kept.former {
            self.former.set(conversation, agent);
        }
        let read = kept.read.into_iter();
        self.read = read.map(|(e, a, seq)| ((e, a), seq)).collect();
        for message in kept.unredacted {
            self.unredacted.add(message);
        }
        self.upto = kept.upto;
        self.kept_row = at.row;
        self.at = at;
        Ok(())
    }
}
