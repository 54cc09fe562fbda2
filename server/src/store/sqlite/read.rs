//! Backlog, load, history, lists. Always memory first and the index after it: what leaves memory
//! is in the index by then, so nothing is missed between the two.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};

use rusqlite::{OptionalExtension, Row, params};
use tidings_core::custody::{Backlog, Behind, Cursor, Loaded, Want};
use tidings_core::ids::{ConversationId, DeviceId, Name, conversation_members};
use tidings_core::message::MessageRef;

use super::super::chain::{Link, jump_seq};
use super::super::people::User;
use super::super::tail::{Entry, Tail};
use super::super::{Conversation, Page, StoreError, cursors, merge};
use super::Inner;
use super::log::{self, LogRow, Reader};
use super::sums;
use super::writer;

/// Messages that a merge reads of each conversation at first; it doubles.
const FIRST_CHUNK: u64 = 8;
/// …up to this.
const CHUNK_MAX: u64 = 128;

/// A conversation as seen from one of its users.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) head: Link,
    /// The number from which he takes part.
    pub(super) joined: u64,
}

fn head_of(entry: &Entry) -> Link {
    Link {
        seq: entry.head.seq(),
        position: entry.head.position(),
    }
}

/// A cursor; one that is not what was written counts as none: what may have been acknowledged is
/// delivered again.
fn cursor_of(row: &Row<'_>, device: DeviceId) -> rusqlite::Result<Cursor> {
    match decode_cursor(row, device) {
        Ok(Some(cursor)) => Ok(cursor),
        Err(error) if !sums::is_conversion(&error) => Err(error),
        _ => {
            let conversation = row.get::<_, i64>(0)? as u64;
            tracing::error!(
                device = device.0,
                conversation,
                "a cursor is damaged: everything there is delivered to this device again"
            );
            Ok(cursors::fresh(device, conversation, 0))
        }
    }
}

fn decode_cursor(row: &Row<'_>, device: DeviceId) -> rusqlite::Result<Option<Cursor>> {
    let (conversation, acked): (i64, i64) = (row.get(0)?, row.get(1)?);
    let sparse = row.get_ref(2)?.as_str_or_null()?;
    let unanswered = row.get_ref(3)?.as_str_or_null()?;
    let sum = sums::cursor(device.0 as i64, conversation, acked, sparse, unanswered);
    if row.get::<_, u32>(4)? != sum {
        return Ok(None);
    }
    let broken = |at: usize, error: serde_json::Error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(at, kind, error.into())
    };
    let mut cursor = cursors::fresh(device, conversation as u64, acked as u64);
    if let Some(sparse) = sparse {
        cursor.sparse = serde_json::from_str(sparse).map_err(|error| broken(2, error))?;
    }
    if let Some(unanswered) = unanswered {
        cursor.unanswered = cursors::unanswered(unanswered).map_err(|error| broken(3, error))?;
    }
    Ok(Some(cursor))
}

impl Reader<'_> {
    /// A user's devices and logins.
    pub(super) fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.read(|connection| writer::user_of(connection, name))
    }

    /// The members of a group.
    pub(super) fn members(&self, group: &str) -> Result<Vec<(Name, u64)>, StoreError> {
        self.read(|connection| log::members(connection, group))
    }

    fn groups(&self, user: &str) -> Result<Vec<(Name, u64)>, StoreError> {
        self.read(|connection| log::groups(connection, user))
    }

    fn cursors(&self, device: DeviceId) -> Result<Vec<Cursor>, StoreError> {
        let sql = "SELECT conversation, acked, sparse, unanswered, checksum FROM cursors WHERE device = ?1";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([device.0 as i64], |row| cursor_of(row, device))?;
            rows.collect()
        })
    }

    fn cursor(&self, device: DeviceId, conversation: u64) -> Result<Option<Cursor>, StoreError> {
        let sql = "SELECT conversation, acked, sparse, unanswered, checksum FROM cursors
                   WHERE device = ?1 AND conversation = ?2";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let key = params![device.0 as i64, conversation as i64];
            statement
                .query_row(key, |row| cursor_of(row, device))
                .optional()
        })
    }
}

impl Inner {
    /// All conversations and groups of a user. `tail` if the caller has it locked already.
    pub(super) fn conversations_of(
        &self,
        reader: &Reader<'_>,
        tail: &Tail,
        user: &str,
    ) -> Result<BTreeMap<u64, Place>, StoreError> {
        let groups = reader.groups(user)?;
        let recent = recent_of(tail, user, &groups);
        self.complete(reader, user, &groups, recent)
    }

    /// The same when nobody holds the tail: it is locked for the look into it only.
    fn places(
        &self,
        reader: &Reader<'_>,
        user: &str,
        groups: &[(Name, u64)],
    ) -> Result<BTreeMap<u64, Place>, StoreError> {
        let recent = recent_of(&self.tail.read(), user, groups);
        self.complete(reader, user, groups, recent)
    }

    fn complete(
        &self,
        reader: &Reader<'_>,
        user: &str,
        groups: &[(Name, u64)],
        recent: (BTreeMap<u64, Place>, Vec<usize>),
    ) -> Result<BTreeMap<u64, Place>, StoreError> {
        let (mut places, unknown) = recent;
        for (conversation, head) in reader.indexed_of(user)? {
            places
                .entry(conversation)
                .or_insert(Place { head, joined: 0 });
        }
        for at in unknown {
            let (group, joined) = &groups[at];
            if let Some((conversation, head)) = reader.indexed(group)? {
                let joined = *joined;
                places.entry(conversation).or_insert(Place { head, joined });
            }
        }
        Ok(places)
    }

    /// See [`super::super::Store::backlog`].
    pub(super) fn backlog(&self, user: &str, device: DeviceId) -> Result<Backlog, StoreError> {
        let reader = self.readers.get()?;
        let groups = reader.groups(user)?;
        let upto = self.tail.read().last();
        let places = self.places(&reader, user, &groups)?;
        let mut known = HashMap::new();
        if !places.is_empty() {
            // Those in memory first: what leaves it meanwhile is on disk by then.
            let moved = self.dirty.lock().of_device(device);
            let stored = reader.cursors(device)?;
            known.extend(
                stored
                    .into_iter()
                    .chain(moved)
                    .map(|c| (c.conversation.0, c)),
            );
        }
        let mut behind = Vec::new();
        for (conversation, Place { head, joined }) in places {
            let fresh = || cursors::fresh(device, conversation, 0);
            let cursor = known.remove(&conversation).unwrap_or_else(fresh);
            let cursor = cursors::since_joined(cursor, joined);
            if head.seq <= cursor.acked {
                continue;
            }
            let first = match self.first_from(&reader, conversation, cursor.acked + 1, head) {
                // This conversation has to wait, the others do not.
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%error, user, "a conversation cannot be delivered");
                    continue;
                }
                first => first?,
            };
            if let Some(Link { position: next, .. }) = first {
                behind.push(Behind {
                    cursor,
                    head: head.seq,
                    next,
                });
            }
        }
        behind.sort_by_key(|behind| behind.next);
        Ok(Backlog {
            behind,
            groups: groups.into_iter().map(|(name, _)| name).collect(),
            upto,
        })
    }

    /// The first message at or above `seq` that is still there.
    fn first_from(
        &self,
        reader: &Reader<'_>,
        conversation: u64,
        seq: u64,
        head: Link,
    ) -> Result<Option<Link>, StoreError> {
        let start = {
            let tail = self.tail.read();
            match tail.entry(conversation) {
                Some(entry) => {
                    if let Some(position) = entry.position_of(seq) {
                        return Ok(Some(Link { seq, position }));
                    }
                    entry.head.nearest(seq)
                }
                None => Some(head),
            }
        };
        let Some(start) = start else { return Ok(None) };
        let row = self.locate(reader, [start, head], seq)?;
        Ok(row.map(|row| Link {
            seq: row.message.seq,
            position: row.message.position,
        }))
    }

    /// The row of the lowest number at or above `seq`, found from one above it,
    /// in `O(log n)` reads: what is there is a suffix, so going too far is noticed.
    fn locate(
        &self,
        reader: &Reader<'_>,
        starts: [Link; 2],
        seq: u64,
    ) -> Result<Option<LogRow>, StoreError> {
        let there = |row: &LogRow| !row.removed;
        // The nearer start, known from memory, may be removed by now; the head is there.
        let start = match reader.row(starts[0].position)?.filter(there) {
            Some(row) => Some(row),
            None => reader.row(starts[1].position)?.filter(there),
        };
        let Some(mut row) = start else {
            return Ok(None);
        };
        while row.message.seq > seq {
            if jump_seq(row.message.seq) >= seq
                && let Some(far) = reader.row(row.jump)?.filter(there)
            {
                row = far;
                continue;
            }
            // Nothing there: retention took all that is older.
            match reader.row(row.prev)?.filter(there) {
                Some(near) => row = near,
                None => break,
            }
        }
        Ok((row.message.seq >= seq).then_some(row))
    }

    /// Up to `count` messages of `from..=upto`, ascending, as far as they are there.
    fn fetch(
        &self,
        reader: &Reader<'_>,
        place: (u64, Link),
        from: u64,
        upto: u64,
        count: u64,
    ) -> Result<Vec<MessageRef>, StoreError> {
        let (conversation, head) = place;
        if from > upto || count == 0 {
            return Ok(Vec::new());
        }
        let mut last = upto.min(from.saturating_add(count - 1));
        let start = {
            let tail = self.tail.read();
            match tail.entry(conversation) {
                Some(entry) if entry.position_of(from).is_some() => {
                    return Ok(tail.range(entry, from, last));
                }
                Some(entry) => entry.head.nearest(last),
                None => Some(head),
            }
        };
        let Some(start) = start else {
            return Ok(Vec::new());
        };
        let Some(row) = self.locate(reader, [start, head], last)? else {
            return Ok(Vec::new());
        };
        if row.message.seq > last {
            // Everything wanted was removed up to here; begin with what is left.
            let from = row.message.seq;
            if from > upto {
                return Ok(Vec::new());
            }
            last = upto.min(from.saturating_add(count - 1));
            if last > from {
                return self.fetch(reader, place, from, upto, count);
            }
        }
        let mut found = VecDeque::from([MessageRef::clone(&row.message)]);
        let mut prev = row.prev;
        while found.front().is_some_and(|first| first.seq > from) {
            let Some(row) = reader.row(prev)?.filter(|row| !row.removed) else {
                break;
            };
            prev = row.prev;
            found.push_front(row.message);
        }
        Ok(found.into())
    }

    fn head(&self, reader: &Reader<'_>, conversation: u64) -> Result<Option<Link>, StoreError> {
        if let Some(entry) = self.tail.read().entry(conversation) {
            return Ok(Some(head_of(entry)));
        }
        reader.indexed_by_id(conversation)
    }

    /// Where a conversation ends; everything counts as its end if it is not known.
    pub(super) fn head_position(
        &self,
        reader: &Reader<'_>,
        conversation: u64,
    ) -> Result<u64, StoreError> {
        Ok(self
            .head(reader, conversation)?
            .map_or(0, |head| head.position))
    }

    /// See [`super::super::Store::load`]; memory did not have all of it.
    pub(super) fn load(
        &self,
        wants: &[Want],
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Loaded, StoreError> {
        let reader = self.readers.get()?;
        let failed = RefCell::new(None);
        let mut sources = Vec::with_capacity(wants.len());
        for want in wants {
            let conversation = want.conversation.0;
            let head = self.head(&reader, conversation)?;
            let none = Link {
                seq: 0,
                position: 0,
            };
            let head = head.unwrap_or(none);
            sources.push(Source {
                inner: self,
                reader: &reader,
                place: (conversation, head),
                from: want.after.saturating_add(1),
                upto: want.upto.min(head.seq),
                chunk: FIRST_CHUNK,
                buffer: VecDeque::new(),
                failed: &failed,
            });
        }
        let loaded = merge::by_position(sources, messages_max, bytes_max);
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(loaded),
        }
    }

    fn place_by_key(
        &self,
        reader: &Reader<'_>,
        key: &str,
    ) -> Result<Option<(u64, Link)>, StoreError> {
        if let Some(entry) = self.tail.read().entry_by_key(key) {
            return Ok(Some((entry.head.conversation, head_of(entry))));
        }
        reader.indexed(key)
    }

    /// See [`super::super::Store::history`].
    pub(super) fn history(&self, key: &str, page: Page) -> Result<Vec<MessageRef>, StoreError> {
        let reader = self.readers.get()?;
        let Some(place) = self.place_by_key(&reader, key)? else {
            return Ok(Vec::new());
        };
        let (from, upto) = page.range(1, place.1.seq);
        match page {
            Page::Before(..) => {
                let count = (upto + 1).saturating_sub(from);
                self.fetch(&reader, place, from, upto, count)
            }
            Page::After(_, count) => {
                let mut found: Vec<MessageRef> = Vec::new();
                // Where retention took the first of them, the page is filled up.
                while found.len() < count {
                    let from = found.last().map_or(from, |last| last.seq + 1);
                    let missing = (count - found.len()) as u64;
                    let more = self.fetch(&reader, place, from, place.1.seq, missing)?;
                    if more.is_empty() {
                        break;
                    }
                    found.extend(more);
                }
                Ok(found)
            }
        }
    }

    /// See [`super::super::Store::conversations`].
    pub(super) fn conversations(
        &self,
        user: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Conversation>, StoreError> {
        let reader = self.readers.get()?;
        let groups = reader.groups(user)?;
        let mut places: Vec<_> = self.places(&reader, user, &groups)?.into_iter().collect();
        places.retain(|(_, place)| place.head.position < before);
        places.sort_by_key(|(_, place)| std::cmp::Reverse(place.head.position));
        let devices = reader.user(user)?.unwrap_or_default().devices;
        let mut found = Vec::new();
        for (conversation, place) in places {
            if found.len() >= limit {
                break;
            }
            let Some(last) = self.message(&reader, place.head.position)? else {
                continue;
            };
            let mut acked = place.joined;
            for device in &devices {
                let cursor = self.cursor(&reader, DeviceId(device.id), conversation)?;
                acked = acked.max(cursor.acked);
            }
            found.push(Conversation {
                peer: super::super::peer(&log::key_of(&last), user),
                head: place.head.seq,
                acked,
                last,
            });
        }
        Ok(found)
    }

    fn message(
        &self,
        reader: &Reader<'_>,
        position: u64,
    ) -> Result<Option<MessageRef>, StoreError> {
        if let Some(message) = self.tail.read().message(position) {
            return Ok(Some(MessageRef::clone(message)));
        }
        let row = reader.row(position)?.filter(|row| !row.removed);
        Ok(row.map(|row| row.message))
    }

    pub(super) fn cursor(
        &self,
        reader: &Reader<'_>,
        device: DeviceId,
        conversation: u64,
    ) -> Result<Cursor, StoreError> {
        let moved = self
            .dirty
            .lock()
            .get(device, ConversationId(conversation))
            .cloned();
        if let Some(cursor) = moved {
            return Ok(cursor);
        }
        let stored = reader.cursor(device, conversation)?;
        Ok(stored.unwrap_or_else(|| cursors::fresh(device, conversation, 0)))
    }

    /// The lowest number that every recently seen device of everybody concerned has acknowledged.
    pub(super) fn acked_by_all(
        &self,
        reader: &Reader<'_>,
        key: &str,
        conversation: u64,
        devices_since_ms: i64,
    ) -> Result<u64, StoreError> {
        let members: Vec<(Name, u64)> = match conversation_members(key) {
            (low, Some(high)) => vec![(low.into(), 0), (high.into(), 0)],
            (group, None) => reader.members(group)?,
        };
        let mut acked = u64::MAX;
        for (name, joined) in members {
            let devices = reader.user(&name)?.unwrap_or_default().devices;
            for device in devices.iter().filter(|d| d.seen_ms >= devices_since_ms) {
                let cursor = self.cursor(reader, DeviceId(device.id), conversation)?;
                acked = acked.min(cursor.acked.max(joined));
            }
        }
        Ok(acked)
    }
}

/// What the tail knows of a user's conversations, and which of his groups it does not.
fn recent_of(
    tail: &Tail,
    user: &str,
    groups: &[(Name, u64)],
) -> (BTreeMap<u64, Place>, Vec<usize>) {
    let pairs = tail
        .of_user(user)
        .filter_map(|conversation| tail.entry(conversation));
    let place = |entry: &Entry, joined| {
        (
            entry.head.conversation,
            Place {
                head: head_of(entry),
                joined,
            },
        )
    };
    let mut places: BTreeMap<u64, Place> = pairs.map(|entry| place(entry, 0)).collect();
    let mut unknown = Vec::new();
    for (at, (group, joined)) in groups.iter().enumerate() {
        match tail.entry_by_key(group) {
            Some(entry) => places.extend([place(entry, *joined)]),
            None => unknown.push(at),
        }
    }
    (places, unknown)
}

/// Reads one conversation ahead in growing chunks.
struct Source<'a> {
    inner: &'a Inner,
    reader: &'a Reader<'a>,
    place: (u64, Link),
    from: u64,
    upto: u64,
    chunk: u64,
    buffer: VecDeque<MessageRef>,
    failed: &'a RefCell<Option<StoreError>>,
}

impl Iterator for Source<'_> {
    type Item = MessageRef;

    fn next(&mut self) -> Option<MessageRef> {
        if self.buffer.is_empty() && self.from <= self.upto {
            let chunk = self.chunk;
            self.chunk = (chunk * 2).min(CHUNK_MAX);
            match self
                .inner
                .fetch(self.reader, self.place, self.from, self.upto, chunk)
            {
                Ok(messages) => {
                    self.from = messages.last().map_or(u64::MAX, |last| last.seq + 1);
                    self.buffer = messages.into();
                }
                Err(error) => {
                    self.from = u64::MAX;
                    self.failed.borrow_mut().get_or_insert(error);
                }
            }
        }
        self.buffer.pop_front()
    }
}
