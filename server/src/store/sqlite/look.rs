//! What people ask: messages by id, users, receipts, sizes. Nothing here is on a message's way.

use rusqlite::{OptionalExtension, params};
use tidings_core::custody::Draft;
use tidings_core::ids::{DeviceId, Name, conversation_members};
use tidings_core::limits;
use tidings_core::message::{Message, MessageRef};

use super::super::look::{self, Profile, Receipt, Search, Size};
use super::super::tail::same_key;
use super::super::{StoreError, cursors};
use super::Inner;
use super::log::{self, Reader};

/// How far the clock of whoever made an id may be from ours, or ours may have gone back.
const CLOCKS_DIFFER_MS: i64 = 60_000;

impl Reader<'_> {
    /// The first position at or above one, and when that message came.
    fn time_from(&self, position: u64) -> Result<Option<(u64, i64)>, StoreError> {
        let sql =
            "SELECT position, time_ms FROM log WHERE position >= ?1 ORDER BY position LIMIT 1";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?));
            statement.query_row([position as i64], row).optional()
        })
    }

    /// The first position whose message came at this time or later.
    fn position_at(&self, time_ms: i64, last: u64) -> Result<u64, StoreError> {
        let (mut low, mut high) = (self.first_position()?, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.time_from(middle)? {
                Some((at, time)) if time < time_ms => low = at + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Positions with this id in a part of the log, the newest first.
    fn with_id(&self, id: &str, from: u64, upto: u64) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT position FROM log WHERE position >= ?1 AND position <= ?2 AND id = ?3
                   ORDER BY position DESC LIMIT ?4";
        let max = limits::SEARCH_FOUND_MAX as i64;
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let part = params![from as i64, upto as i64, id, max];
            let found = statement.query_map(part, |row| Ok(row.get::<_, i64>(0)? as u64))?;
            found.collect()
        })
    }
}

impl Inner {
    /// See [`super::super::Store::find`].
    pub(super) fn find(&self, search: &Search) -> Result<Vec<MessageRef>, StoreError> {
        if let Some(draft) = search.draft() {
            return Ok(self.find_exactly(&draft)?.into_iter().collect());
        }
        let reader = self.readers.get()?;
        let last = reader.last_position()?;
        let max = limits::SEARCH_MESSAGES_MAX as u64;
        let mut positions = reader.with_id(&search.id, last.saturating_sub(max - 1), last)?;
        if positions.is_empty()
            && let Some(time_ms) = search.time_ms()
        {
            let from = reader.position_at(time_ms.saturating_sub(CLOCKS_DIFFER_MS), last)?;
            positions = reader.with_id(&search.id, from, from.saturating_add(max))?;
        }
        let mut found = Vec::new();
        for position in positions {
            let row = reader.row(position)?.filter(|row| !row.removed);
            found.extend(row.map(|row| row.message));
        }
        Ok(found)
    }

    fn find_exactly(&self, draft: &Draft) -> Result<Option<MessageRef>, StoreError> {
        let hash = {
            let tail = self.tail.read();
            let hash = tail.hash(&draft.from, &draft.to, &draft.id);
            if let Some(message) = tail.find(hash, draft) {
                return Ok(Some(MessageRef::clone(message)));
            }
            hash
        };
        let found = self.keys.read().find(hash);
        let positions = found.map_err(|error| self.paths.io_error(&self.paths.keys, &error))?;
        let reader = self.readers.get()?;
        for position in positions {
            if let Some(row) = reader.row(position)?
                && !row.removed
                && same_key(&row.message, draft)
            {
                return Ok(Some(row.message));
            }
        }
        Ok(None)
    }

    /// See [`super::super::Store::users`].
    pub(super) fn users(&self, after: &str, limit: usize) -> Result<Vec<Name>, StoreError> {
        let sql = "SELECT name FROM users WHERE name > ?1 ORDER BY name LIMIT ?2";
        self.readers.get()?.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let name = |row: &rusqlite::Row<'_>| Ok(Name::from(row.get_ref(0)?.as_str()?));
            let found = statement.query_map(params![after, limit as i64], name)?;
            found.collect()
        })
    }

    /// See [`super::super::Store::groups`].
    pub(super) fn groups(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(Name, usize)>, StoreError> {
        let sql = "SELECT name, count(*) FROM groups WHERE name > ?1
                   GROUP BY name ORDER BY name LIMIT ?2";
        self.readers.get()?.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let sized =
                |row: &rusqlite::Row<'_>| Ok((row.get_ref(0)?.as_str()?.into(), row.get(1)?));
            let found = statement.query_map(params![after, limit as i64], sized)?;
            found.collect()
        })
    }

    /// See [`super::super::Store::profile`].
    pub(super) fn profile(&self, user: &str) -> Result<Option<Profile>, StoreError> {
        let user = self.readers.get()?.user(user)?;
        Ok(user.map(|user| Profile {
            devices: user.devices.iter().map(look::Device::from).collect(),
        }))
    }

    /// See [`super::super::Store::receipts`].
    pub(super) fn receipts(
        &self,
        user: &str,
        message: &Message,
    ) -> Result<Vec<Receipt>, StoreError> {
        let reader = self.readers.get()?;
        let key = log::key_of(message);
        let joined = match conversation_members(&key) {
            (_, Some(_)) => 0,
            (group, None) => reader.joined(group, user)?.unwrap_or(0),
        };
        let devices = reader.user(user)?.unwrap_or_default().devices;
        let mut receipts = Vec::with_capacity(devices.len());
        for device in &devices {
            let cursor = self.cursor(&reader, DeviceId(device.id), message.conversation.0)?;
            let cursor = cursors::since_joined(cursor, joined);
            receipts.push(look::receipt(device, &cursor, message.seq));
        }
        Ok(receipts)
    }

    /// See [`super::super::Store::size`].
    pub(super) fn size(&self) -> Result<Size, StoreError> {
        let reader = self.readers.get()?;
        let (first, last) = (reader.first_position()?, reader.last_position()?);
        let mut bytes = 0;
        for folder in [&self.paths.dir, &self.paths.keys] {
            let files = std::fs::read_dir(folder);
            let files = files.map_err(|error| self.paths.io_error(folder, &error))?;
            // A file that is gone meanwhile takes no room.
            let sizes = files.filter_map(|file| file.ok()?.metadata().ok());
            bytes += sizes.filter(|m| m.is_file()).map(|m| m.len()).sum::<u64>();
        }
        Ok(Size {
            messages: if last == 0 { 0 } else { last + 1 - first },
            bytes,
        })
    }
}

impl Reader<'_> {
    /// The number from which a member of a group takes part.
    fn joined(&self, group: &str, user: &str) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT joined FROM groups WHERE name = ?1 AND member = ?2";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let joined = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(0)? as u64);
            statement.query_row([group, user], joined).optional()
        })
    }
}
