//! The commit: decide, write in one transaction, publish. Nothing is published before it is
//! durable, and what may or may not be durable is read back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tidings_core::custody::{Cursor, Draft, Record, Verdict};
use tidings_core::ids::Name;
use tidings_core::message::MessageRef;

use super::super::StoreError;
use super::super::chain::Head;
use super::super::people::User;
use super::super::plan::{self, Below, Plan};
use super::super::tail::{Tail, same_key};
use super::Inner;
use super::files::{self, Presence};
use super::log::{self, Reader};
use super::sums;
use std::sync::atomic::Ordering;

/// Cursors wait for each other so long, at most…
const CURSORS_EVERY: Duration = Duration::from_millis(500);
/// …or until there are so many.
const CURSORS_WAITING_MAX: usize = 10_000;
/// How often a commit looks whether the files are still there.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Cursors written by one transaction.
const CURSORS_PER_COMMIT_MAX: usize = 20_000;
/// Memberships kept in memory, all groups together.
const MEMBERSHIPS_CACHED_MAX: usize = 1_000_000;
/// Rows of the log read at once to bring the tail up to date.
const RECOVER_BATCH: usize = 10_000;

type Members = Arc<HashMap<Name, u64>>;

/// What only the committing thread has.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` after a commit whose outcome is unknown.
    connection: Option<Connection>,
    next_device: u64,
    cursors_written: Instant,
    groups: HashMap<Name, Option<Members>>,
    memberships: usize,
    files_looked_at: Option<Instant>,
    #[cfg(test)]
    pub(super) fault: Option<Fault>,
}

/// Where a test lets a commit fail.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// After the rows were written, before the commit.
    InMidBatch,
    /// The commit succeeded, and nobody heard of it.
    AfterCommit,
}

/// What the planner may ask: the log and the index, and groups from memory.
struct Known<'a> {
    inner: &'a Inner,
    reader: &'a Reader<'a>,
    groups: &'a HashMap<Name, Option<Members>>,
}

impl Below for Known<'_> {
    fn find(&self, hash: u64, draft: &Draft) -> Result<Option<MessageRef>, StoreError> {
        let found = self.inner.keys.read().find(hash);
        let positions = found.map_err(|e| self.inner.paths.io_error(&self.inner.paths.keys, &e))?;
        for position in positions {
            if let Some(row) = self.reader.row(position)?
                && !row.removed
                && same_key(&row.message, draft)
            {
                return Ok(Some(row.message));
            }
        }
        Ok(None)
    }

    fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let Some((_, head)) = self.reader.indexed(key)? else {
            return Ok(None);
        };
        match self.reader.row(head.position)? {
            Some(row) => Ok(Some(self.reader.head_at(&row)?)),
            None => Err(StoreError::Corrupt {
                path: self.inner.paths.index.display().to_string(),
                reason: format!("it names position {}, which is not there", head.position),
            }),
        }
    }

    fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.reader.user(name)
    }

    fn member(&self, group: &str, name: &str) -> Result<Option<bool>, StoreError> {
        if let Some(known) = self.groups.get(group) {
            return Ok(known.as_ref().map(|members| members.contains_key(name)));
        }
        let members = self.reader.members(group)?;
        Ok((!members.is_empty()).then(|| members.iter().any(|(member, _)| &**member == name)))
    }

    fn heads_of(&self, user: &str, tail: &Tail) -> Result<Vec<(u64, u64)>, StoreError> {
        let all = self.inner.conversations_of(self.reader, tail, user)?;
        Ok(all
            .into_iter()
            .map(|(conversation, place)| (conversation, place.head.seq))
            .collect())
    }
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Writer {
        Writer {
            connection: Some(connection),
            next_device: 1,
            cursors_written: Instant::now(),
            groups: HashMap::new(),
            memberships: 0,
            files_looked_at: None,
            #[cfg(test)]
            fault: None,
        }
    }

    /// Makes memory what the disk is: takes over what is above the tail.
    pub(super) fn recover(&mut self, inner: &Inner) -> Result<(), StoreError> {
        if self.connection.is_none() {
            // Not another log, made where this one lay.
            inner.presence.lock().look()?;
            self.connection = Some(files::reopen_log(&inner.paths, inner.options.durability)?);
            *inner.presence.lock() = Presence::of(&inner.paths)?;
        }
        let recovered = self.read_back(inner);
        if recovered.is_err() {
            self.connection = None;
        }
        recovered
    }

    /// Everything is as it should be: what closes the log last may copy it back.
    pub(super) fn copy_back_at_the_end(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let never = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        let connection = self.usable(inner)?;
        let set = connection.set_db_config(never, false);
        set.map(drop).map_err(|error| inner.paths.log_error(error))
    }

    fn read_back(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let reader = inner.readers.get()?;
        let device = "SELECT value FROM meta WHERE name = 'next_device'";
        let device: i64 = reader.read(|c| c.query_row(device, [], |row| row.get(0)))?;
        self.next_device = device as u64;
        inner.changes.store(reader.changes()?, Ordering::Release);
        loop {
            let from = inner.tail.read().last();
            let rows = reader.rows_after(from, RECOVER_BATCH)?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut tail = inner.tail.write();
            for row in rows {
                let message = &row.message;
                let known = tail.entry(message.conversation.0).is_some();
                if known {
                    tail.extend(message.conversation.0, message.position);
                } else {
                    tail.know(&row.conversation_key(), reader.head_at(&row)?);
                }
                if row.removed {
                    tail.pad(message.position);
                } else {
                    let hash = tail.hash(&message.from, &message.to, &message.id);
                    tail.append(row.message, hash);
                }
            }
        }
    }

    fn usable(&mut self, inner: &Inner) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() {
            self.recover(inner)?;
        }
        let none = || StoreError::Unavailable("the log is not open".into());
        self.connection.as_mut().ok_or_else(none)
    }

    /// Runs a transaction. An error before its commit changes nothing and is told as it is. One of
    /// the commit itself leaves the outcome unknown, but for a full disk: then the frame that makes a
    /// commit was not written, as it is the last. Whatever it is, everything is read back before
    /// anything else is written.
    pub(super) fn transact<T>(
        &mut self,
        inner: &Inner,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        let fault = self.fault.take();
        inner.look_at_files(&mut self.files_looked_at)?;
        let connection = self.usable(inner)?;
        let begun = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
        let transaction = begun.map_err(|error| inner.paths.log_error(error))?;
        let done = write(&transaction).map_err(|error| inner.paths.log_error(error))?;
        #[cfg(test)]
        if fault == Some(Fault::InMidBatch) {
            return Err(StoreError::Unavailable("a test wanted it".into()));
        }
        let committed = transaction.commit();
        #[cfg(test)]
        let committed = match fault {
            Some(_) => Err(rusqlite::Error::ExecuteReturnedResults),
            None => committed,
        };
        let Err(error) = committed else {
            return Ok(done);
        };
        self.connection = None;
        let before = inner.tail.read().last();
        let read_back = self.recover(inner);
        if let Err(again) = &read_back {
            tracing::error!(error = %again, "the log cannot be read back; it is tried again");
        }
        let is_full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
        if is_full && read_back.is_ok() && inner.tail.read().last() == before {
            return Err(inner.paths.full());
        }
        Err(StoreError::OutcomeUnknown {
            path: inner.paths.dir.display().to_string(),
            reason: error.to_string(),
        })
    }

    /// Reads the groups that a batch sends to, once.
    fn learn_groups(&mut self, batch: &[Record], reader: &Reader<'_>) -> Result<(), StoreError> {
        for record in batch {
            let Record::Message(draft) = record else {
                continue;
            };
            if !draft.to.starts_with('#') || self.groups.contains_key(&draft.to) {
                continue;
            }
            if self.memberships > MEMBERSHIPS_CACHED_MAX {
                self.forget_groups();
            }
            let members = match reader.members(&draft.to) {
                // The planner refuses what goes to this group.
                Err(StoreError::Corrupt { .. }) => continue,
                members => members?,
            };
            self.memberships += members.len() + 1;
            let members = (!members.is_empty()).then(|| Arc::new(members.into_iter().collect()));
            self.groups.insert(Name::clone(&draft.to), members);
        }
        Ok(())
    }

    /// Groups changed.
    pub(super) fn forget_groups(&mut self) {
        self.groups.clear();
        self.memberships = 0;
    }

    #[cfg(test)]
    pub(super) fn with_connection(&self, with: impl FnOnce(&Connection)) {
        if let Some(connection) = &self.connection {
            with(connection);
        }
    }

    fn cursors_are_due(&self, waiting: usize) -> bool {
        waiting > 0
            && (waiting >= CURSORS_WAITING_MAX || self.cursors_written.elapsed() >= CURSORS_EVERY)
    }
}

impl Inner {
    /// See [`super::super::Store::commit`].
    pub(super) fn commit(
        &self,
        batch: &[Record],
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let done = self.decide_and_write(batch, verdicts);
        self.failing.store(done.is_err(), Ordering::Relaxed);
        self.signal.wake_head();
        done
    }

    /// Whether a commit can be written, as far as that can be known without one.
    pub(super) fn can_write(&self) -> Result<(), StoreError> {
        self.presence.lock().look()?;
        self.space.look()?;
        if self.failing.load(Ordering::Relaxed) {
            let tried = self.paths.try_write();
            tried.map_err(|error| self.paths.io_error(&self.paths.dir, &error))?;
        }
        Ok(())
    }

    /// Looks now and then whether the log is still where it was.
    fn look_at_files(&self, looked: &mut Option<Instant>) -> Result<(), StoreError> {
        if looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.presence.lock().look()?;
        *looked = Some(Instant::now());
        Ok(())
    }

    fn decide_and_write(
        &self,
        batch: &[Record],
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(), StoreError> {
        // What was given up for cleaning up is not for messages.
        self.space.look()?;
        let mut writer = self.writer.lock();
        let mut plan = self.plan(&mut writer, batch)?;
        let waiting = self.dirty.lock().len();
        let mut moved = Vec::new();
        if writer.cursors_are_due(waiting) {
            moved = self.dirty.lock().some(CURSORS_PER_COMMIT_MAX);
        }
        let nothing = plan.rows.is_empty() && plan.users.is_empty() && plan.cursors.is_empty();
        if !nothing || !moved.is_empty() {
            let devices = (plan.next_device != writer.next_device).then_some(plan.next_device);
            writer.transact(self, |transaction| {
                log::insert(transaction, &plan.rows)?;
                if !plan.users.is_empty() {
                    log::count_change(transaction)?;
                }
                write_plan(transaction, &plan, devices)?;
                write_cursors(transaction, moved.iter().map(|(cursor, _)| cursor))
            })?;
        }
        if !plan.users.is_empty() {
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
        writer.next_device = plan.next_device;
        if !moved.is_empty() {
            writer.cursors_written = Instant::now();
            self.dirty.lock().written(&moved);
        }
        verdicts.append(&mut plan.verdicts);
        self.publish(plan);
        drop(writer);
        self.follow_up();
        Ok(())
    }

    fn plan(&self, writer: &mut Writer, batch: &[Record]) -> Result<Plan, StoreError> {
        writer.usable(self)?;
        let reader = self.readers.get()?;
        writer.learn_groups(batch, &reader)?;
        let known = Known {
            inner: self,
            reader: &reader,
            groups: &writer.groups,
        };
        plan::plan(batch, &self.tail.read(), &known, writer.next_device)
    }

    fn publish(&self, plan: Plan) {
        let added = plan.rows.len();
        let watermark = self.watermark.load(Ordering::Acquire);
        let mut bytes = 0;
        let mut tail = self.tail.write();
        for row in &plan.rows {
            bytes += row.message.body.len() as u64 + 160;
        }
        tail.publish(plan.rows, plan.unknown);
        // Twice as much as came, so that it shrinks after a lag without a long pause.
        for _ in 0..2 * added {
            if tail.bytes() <= self.options.tail_bytes_max || tail.first() > watermark {
                break;
            }
            tail.drop_oldest(true);
        }
        drop(tail);
        self.signal
            .wrote(bytes + 8192, self.space.checkpoint_bytes());
    }

    /// After a commit, without its lock.
    fn follow_up(&self) {
        if !self.should_follow() {
            return;
        }
        if self.options.background && !self.must_follow() {
            self.signal.wake_indexer();
        } else if let Err(error) = self.follow() {
            tracing::warn!(%error, "the indexes cannot follow; it is tried again");
        }
    }

    /// Writes the cursors that wait.
    pub(super) fn write_cursors(&self) -> Result<(), StoreError> {
        loop {
            let mut writer = self.writer.lock();
            let moved = self.dirty.lock().some(CURSORS_PER_COMMIT_MAX);
            if moved.is_empty() {
                return Ok(());
            }
            writer.transact(self, |transaction| {
                write_cursors(transaction, moved.iter().map(|(cursor, _)| cursor))
            })?;
            writer.cursors_written = Instant::now();
            self.dirty.lock().written(&moved);
            self.signal.wrote(
                moved.len() as u64 * 64 + 8192,
                self.space.checkpoint_bytes(),
            );
        }
    }

    /// See [`super::super::Store::set_group`].
    pub(super) fn set_group(&self, group: &str, members: &[Name]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        writer.usable(self)?;
        let reader = self.readers.get()?;
        let head = match self.tail.read().entry_by_key(group) {
            Some(entry) => entry.head.seq(),
            None => reader.indexed(group)?.map_or(0, |(_, head)| head.seq),
        };
        // Set again and again from the configuration: that writes nothing, and needs no room.
        let known = reader.members(group);
        if known.is_ok_and(|known| is_same(&known, members)) {
            return Ok(());
        }
        writer.transact(self, |transaction| {
            let before: HashMap<Name, u64> = match log::members(transaction, group) {
                Ok(before) => before.into_iter().collect(),
                // Nobody knows since when: from now on.
                Err(error) if is_damaged(&error) => HashMap::new(),
                Err(error) => return Err(error),
            };
            log::count_change(transaction)?;
            transaction.execute("DELETE FROM groups WHERE name = ?1", [group])?;
            let mut insert = transaction.prepare_cached(
                "INSERT OR IGNORE INTO groups (name, member, joined, checksum)
                 VALUES (?1, ?2, ?3, ?4)",
            )?;
            for member in members {
                let joined = before.get(member).copied().unwrap_or(head) as i64;
                let sum = sums::member(group, member, joined);
                insert.execute(params![group, &**member, joined, sum])?;
            }
            Ok(())
        })?;
        self.changes.fetch_add(1, Ordering::AcqRel);
        writer.forget_groups();
        Ok(())
    }
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(sums::DAMAGED) || sums::is_conversion(error)
}

fn is_same(known: &[(Name, u64)], members: &[Name]) -> bool {
    let wanted: HashSet<&Name> = members.iter().collect();
    known.len() == wanted.len() && known.iter().all(|(name, _)| wanted.contains(name))
}

fn write_plan(
    transaction: &Transaction<'_>,
    plan: &Plan,
    next_device: Option<u64>,
) -> rusqlite::Result<()> {
    for device in &plan.forgotten {
        transaction
            .prepare_cached("DELETE FROM cursors WHERE device = ?1")?
            .execute([device.0 as i64])?;
    }
    for (name, user) in &plan.users {
        let record = serde_json::to_string(user)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        transaction
            .prepare_cached(
                "INSERT INTO users (name, record, checksum) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET record = excluded.record,
                 checksum = excluded.checksum",
            )?
            .execute(params![&**name, record, sums::user(name, &record)])?;
    }
    if let Some(next_device) = next_device {
        transaction
            .prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'next_device'")?
            .execute([next_device as i64])?;
    }
    write_cursors(transaction, plan.cursors.iter())
}

fn write_cursors<'a>(
    transaction: &Transaction<'_>,
    cursors: impl Iterator<Item = &'a Cursor>,
) -> rusqlite::Result<()> {
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let mut statement = transaction.prepare_cached(
        "INSERT INTO cursors (device, conversation, acked, sparse, unanswered, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (device, conversation) DO UPDATE SET acked = excluded.acked,
         sparse = excluded.sparse, unanswered = excluded.unanswered, checksum = excluded.checksum",
    )?;
    for cursor in cursors {
        let sparse = match cursor.sparse.is_empty() {
            true => None,
            false => Some(serde_json::to_string(&cursor.sparse).map_err(json)?),
        };
        let unanswered = match cursor.unanswered.is_empty() {
            true => None,
            false => {
                Some(crate::store::cursors::unanswered_json(&cursor.unanswered).map_err(json)?)
            }
        };
        let key = (cursor.device.0 as i64, cursor.conversation.0 as i64);
        let acked = cursor.acked as i64;
        let (sparse, unanswered) = (sparse.as_deref(), unanswered.as_deref());
        let sum = sums::cursor(key.0, key.1, acked, sparse, unanswered);
        statement.execute(params![key.0, key.1, acked, sparse, unanswered, sum])?;
    }
    Ok(())
}

/// A user as the log keeps him.
pub(super) fn user_of(connection: &Connection, name: &str) -> rusqlite::Result<Option<User>> {
    let sql = "SELECT record, checksum FROM users WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let record = statement.query_row([name], |row| {
        let record = row.get_ref(0)?.as_str()?;
        let user = match row.get::<_, u32>(1)? == sums::user(name, record) {
            true => serde_json::from_str(record).ok(),
            false => None,
        };
        let words = || format!("the row of user {name} is not what was written");
        user.ok_or_else(|| sums::damaged(words()))
    });
    record.optional()
}
