//! Everything of one customer, for whoever wants to have it or to have it gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use tidings_core::desk::Record;
use tidings_core::ids::{Name, pair_key};
use tidings_core::limits;
use tidings_core::message::MessageRef;
use tidings_core::wire::code;

use super::{PART, Part};
use crate::desk::row::{Row, log_key};
use crate::desk::{DeskError, Desks};
use crate::router::Router;
use crate::store::{Conversation, Page, StoreError};

/// Messages that are read at a time.
const PAGE: usize = 500;
/// How often it is asked whether the tables have caught up.
const CATCH_UP_AGAIN: Duration = Duration::from_millis(20);

/// What an erasure took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Erased {
    /// Texts in the history.
    pub(crate) messages: u64,
    /// Texts in the chat record.
    pub(crate) records: usize,
    /// Texts of ratings.
    pub(crate) ratings: usize,
}

/// The parts of a customer's conversations with a tenant.
pub(crate) fn parts(db: &Connection, tenant: &str, user: &str) -> rusqlite::Result<Vec<Part>> {
    let sql = format!("{PART} AND customer = ?2 ORDER BY episode, part");
    let mut statement = db.prepare_cached(&sql)?;
    let parts = statement.query_map(params![tenant, user], Part::read)?;
    parts.collect()
}

fn erase(db: &mut Connection, user: &str) -> rusqlite::Result<Erased> {
    let transaction = db.transaction()?;
    let records = transaction.execute(
        "UPDATE chat_record SET text = '', recalled = 1 WHERE text <> '' AND (tenant, episode) IN
            (SELECT tenant, episode FROM chat WHERE customer = ?1)",
        [user],
    )?;
    let ratings = transaction.execute(
        "UPDATE chat SET suggest = NULL WHERE customer = ?1 AND suggest IS NOT NULL",
        [user],
    )?;
    transaction.commit()?;
    Ok(Erased {
        messages: 0,
        records,
        ratings,
    })
}

impl Desks {
    fn router(&self) -> Result<Arc<Router>, DeskError> {
        self.0.router.upgrade().ok_or(DeskError::Stopped)
    }

    /// A user's conversations with teams, by the team's address.
    pub(crate) async fn of_customer(&self, user: &str) -> Result<Vec<Conversation>, DeskError> {
        let router = self.router()?;
        let (store, user) = (router.store().clone(), user.to_owned());
        let read = move || {
            let (mut found, mut before) = (Vec::new(), u64::MAX);
            loop {
                let page = store.conversations(&user, before, PAGE)?;
                let Some(last) = page.last() else {
                    return Ok(found);
                };
                before = last.last.position;
                // `@team/customer` is an agent's, and about somebody else.
                let teams = page.into_iter();
                found.extend(teams.filter(|t| t.peer.starts_with('@') && !t.peer.contains('/')));
            }
        };
        let found: Result<Vec<Conversation>, StoreError> = router.blocking(read).await;
        let mut found = found.map_err(|error| DeskError::Store(error.to_string()))?;
        found.sort_by(|a, b| a.peer.cmp(&b.peer));
        Ok(found)
    }

    /// Messages of a user with a team, ascending, above a number.
    pub(crate) async fn written(
        &self,
        user: &str,
        team: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<MessageRef>, DeskError> {
        let router = self.router()?;
        let (store, key) = (router.store().clone(), pair_key(user, team));
        let read = move || store.history(&key, Page::After(after, limit));
        let found = router.blocking(read).await;
        found.map_err(|error| DeskError::Store(error.to_string()))
    }

    /// The tenant of a team's address, if it is still there.
    pub(crate) fn tenant_of_team(&self, address: &str) -> Option<Name> {
        let found = self.0.teams.read().get(address).cloned()?;
        Some(found.name.clone())
    }

    /// Takes away what a customer and agents wrote to each other. He has no open conversation.
    pub(crate) async fn erase(&self, user: &str) -> Result<Erased, DeskError> {
        let mut messages = 0;
        for conversation in self.of_customer(user).await? {
            let team = conversation.peer;
            messages += self.erase_talk(user, &team).await?;
            let Some(tenant) = self.tenant_of_team(&team) else {
                continue;
            };
            // Agents on ordinary sessions have copies, from an address for each customer.
            let copies = format!("{team}/{user}");
            for agent in self.staff(&tenant, user).await? {
                self.erase_talk(&agent, &copies).await?;
            }
            self.tables_caught_up(&tenant).await?;
            self.erase_ratings(&tenant, user).await?;
        }
        let (directory, user) = (self.0.directory.clone(), user.to_owned());
        let done = move || {
            let erased = directory.with(|db| erase(db, &user))?;
            directory.scrub()?;
            Ok::<_, rusqlite::Error>(erased)
        };
        let done = tokio::task::spawn_blocking(done)
            .await
            .map_err(|e| e.to_string());
        let done = done.and_then(|done| done.map_err(|e| e.to_string()));
        let erased = done.map_err(DeskError::Store)?;
        Ok(Erased { messages, ..erased })
    }

    /// Whoever may have copies: the tenant's agents, and those who served the customer.
    async fn staff(&self, tenant: &Name, user: &str) -> Result<BTreeSet<String>, DeskError> {
        let (of, name) = (tenant.to_string(), user.to_owned());
        let parts = self.read(move |db| parts(db, &of, &name)).await?;
        let mut staff: BTreeSet<String> = parts.into_iter().filter_map(|part| part.agent).collect();
        let roster = self.0.directory.roster();
        let agents = roster.tenants.get(tenant).map(|of| of.agents.keys());
        staff.extend(agents.into_iter().flatten().map(ToString::to_string));
        Ok(staff)
    }

    /// Takes away the texts between two; says how many there were.
    async fn erase_talk(&self, user: &str, peer: &str) -> Result<u64, DeskError> {
        let (mut erased, mut after) = (0, 0);
        loop {
            let page = self.written(user, peer, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(erased);
            };
            after = last.seq;
            erased += self.redact(user, peer, page).await?;
        }
    }

    /// Takes away what a customer wrote beside his stars, where the tenant's log has it.
    async fn erase_ratings(&self, tenant: &Name, user: &str) -> Result<(), DeskError> {
        let (of, name) = (tenant.to_string(), user.to_owned());
        let parts = self.read(move |db| parts(db, &of, &name)).await?;
        let rated = parts.iter().filter(|part| part.suggest.is_some());
        let rated: BTreeSet<u64> = rated.map(|part| part.episode).collect();
        if rated.is_empty() {
            return Ok(());
        }
        let router = self.router()?;
        let (store, key) = (router.store().clone(), log_key(tenant));
        let redact = move || {
            let mut after = 0;
            loop {
                let page = store.history(&key, Page::After(after, PAGE))?;
                let Some(last) = page.last() else {
                    return Ok(());
                };
                after = last.seq;
                for row in &page {
                    if let Some(without) = without_ratings(&row.body, &rated) {
                        store.redact(&key, row.seq, Some(&without))?;
                    }
                }
            }
        };
        let done = router.blocking(redact).await;
        done.map_err(|error: StoreError| DeskError::Store(error.to_string()))
    }

    async fn redact(
        &self,
        user: &str,
        team: &str,
        page: Vec<MessageRef>,
    ) -> Result<u64, DeskError> {
        let router = self.router()?;
        let (store, key) = (router.store().clone(), pair_key(user, team));
        let texts = page.into_iter();
        let seqs: Vec<u64> = texts.filter(|m| is_text(m.typeu)).map(|m| m.seq).collect();
        let redact = move || {
            let mut redacted = 0;
            for seq in seqs {
                redacted += u64::from(store.redact(&key, seq, None)?);
            }
            Ok(redacted)
        };
        let done = router.blocking(redact).await;
        done.map_err(|error: StoreError| DeskError::Store(error.to_string()))
    }

    /// Waits until the tables have what is in the tenant's log now: what comes later there has no
    /// text any more.
    async fn tables_caught_up(&self, tenant: &str) -> Result<(), DeskError> {
        let known = self.0.tenants.read().get(tenant).cloned();
        let known = known.ok_or(DeskError::NoDesk)?;
        let wanted = *known.rows.borrow();
        let asked = Duration::from_millis(limits::DESK_LOOK_MS_MAX);
        let catch_up = async {
            while self.cursor(tenant).await? < wanted {
                tokio::time::sleep(CATCH_UP_AGAIN).await;
            }
            Ok(())
        };
        tokio::time::timeout(asked, catch_up)
            .await
            .unwrap_or(Err(DeskError::Busy))
    }

    async fn cursor(&self, tenant: &str) -> Result<u64, DeskError> {
        let tenant = tenant.to_owned();
        self.read(move |db| {
            let sql = "SELECT coalesce(max(seq), 0) FROM sink
                WHERE name = 'database' AND tenant = ?1";
            db.query_row(sql, [tenant], |row| row.get(0))
        })
        .await
    }
}

/// A row of a tenant's log without the texts of these episodes' ratings; `None` if it has none.
fn without_ratings(body: &str, rated: &BTreeSet<u64>) -> Option<String> {
    let mut row: Row = serde_json::from_str(body).ok()?;
    let mut changed = false;
    for entry in &mut row.entries {
        if let Record::Rated { episode, text, .. } = &mut entry.record
            && rated.contains(&episode.0)
            && !text.is_empty()
        {
            *text = "".into();
            changed = true;
        }
    }
    changed.then(|| serde_json::to_string(&row).ok()).flatten()
}

/// What somebody wrote, and not what the desk itself says, nor what is gone already.
fn is_text(typeu: i32) -> bool {
    !matches!(
        typeu,
        code::DESK_NOTICE
            | code::DESK_RECALLED
            | code::DESK_TEAM_GREETING
            | code::DESK_AGENT_GREETING
    )
}
