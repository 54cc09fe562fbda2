//! Removal of what is old and owed to nobody, in bounded steps in the order of the log.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::{Page, Retained, StoreError};
use super::Inner;
use super::log::{self, LogRow, Reader};

/// Rows that one step looks at.
const STEP_ROWS: usize = 2_000;

/// How far the pass that is under way has come.
#[derive(Debug, Default)]
pub(super) struct Pass {
    at: u64,
}

/// What a step removes.
#[derive(Default)]
struct Removal {
    /// Rows that go.
    gone: Vec<LogRow>,
    /// Heads: their messages go, their rows stay, so that numbers go on.
    blank: Vec<LogRow>,
    positions: HashSet<u64>,
}

impl Inner {
    /// See [`super::super::Store::retain`].
    pub(super) fn retain(
        &self,
        before_ms: i64,
        devices_since_ms: i64,
    ) -> Result<Retained, StoreError> {
        let mut pass = self.pass.lock();
        if pass.at == 0 {
            while self.follow()? {}
        }
        // Nothing is committed meanwhile, so that a head is one.
        let mut writer = self.writer.lock();
        let reader = self.readers.get()?;
        let mut rows = reader.rows_after(pass.at, STEP_ROWS)?;
        let full = rows.len() == STEP_ROWS;
        // What is not indexed yet is needed whole.
        let watermark = self.watermark.load(Ordering::Acquire);
        // A row without a message is no reason to stop, whatever its age: clocks go back.
        let old = |row: &LogRow| {
            (row.removed || row.message.time_ms < before_ms) && row.message.position <= watermark
        };
        rows.truncate(rows.iter().take_while(|row| old(row)).count());
        let more = full && rows.len() == STEP_ROWS;
        let next = rows.last().map_or(0, |row| row.message.position);
        let removal = self.choose(&reader, rows, devices_since_ms)?;
        if !removal.positions.is_empty() {
            writer.transact(self, |transaction| {
                log::count_change(transaction)?;
                let mut delete =
                    transaction.prepare_cached("DELETE FROM log WHERE position = ?1")?;
                for row in &removal.gone {
                    delete.execute([row.message.position as i64])?;
                }
                for row in &removal.blank {
                    log::blank(transaction, row)?;
                }
                Ok(())
            })?;
            self.changes.fetch_add(1, Ordering::AcqRel);
            let mut tail = self.tail.write();
            for row in removal.gone.iter().chain(&removal.blank) {
                tail.remove(&row.message, true);
            }
            let bytes = removal.positions.len() as u64 * 300;
            self.signal.wrote(bytes, self.space.checkpoint_bytes());
            self.signal.scrub();
        }
        pass.at = if more { next } else { 0 };
        // A head's row that had stayed goes without a message.
        let messages = removal.gone.iter().chain(&removal.blank);
        let removed = messages.filter(|row| !row.removed).count() as u64;
        Ok(Retained { removed, more })
    }

    /// See [`super::super::Store::redact`].
    pub(super) fn redact(
        &self,
        conversation_key: &str,
        seq: u64,
        instead: Option<&str>,
    ) -> Result<bool, StoreError> {
        // One by one with commits and retention.
        let mut writer = self.writer.lock();
        let page = Page::After(seq.saturating_sub(1), 1);
        let found = self.history(conversation_key, page)?;
        let Some(message) = found.into_iter().find(|message| message.seq == seq) else {
            return Ok(false);
        };
        let reader = self.readers.get()?;
        let Some(row) = reader.row(message.position)? else {
            return Ok(false);
        };
        let message = super::super::redacted(&row.message, instead);
        writer.transact(self, |transaction| {
            log::count_change(transaction)?;
            log::rewrite(transaction, &row, &message)
        })?;
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.tail.write().replace(Arc::new(message));
        self.signal.scrub();
        Ok(true)
    }

    fn choose(
        &self,
        reader: &Reader<'_>,
        rows: Vec<LogRow>,
        devices_since_ms: i64,
    ) -> Result<Removal, StoreError> {
        let mut removal = Removal::default();
        let mut acked: HashMap<u64, (u64, u64)> = HashMap::new();
        for row in rows {
            if super::super::is_needed(&row.message) {
                continue;
            }
            let conversation = row.message.conversation.0;
            let (acked, head) = match acked.get(&conversation) {
                Some(known) => *known,
                None => {
                    let key = row.conversation_key();
                    let owed = self.acked_by_all(reader, &key, conversation, devices_since_ms)?;
                    let head = self.head_position(reader, conversation)?;
                    acked.insert(conversation, (owed, head));
                    (owed, head)
                }
            };
            let is_head = row.message.position >= head;
            if row.removed && is_head || !row.removed && row.message.seq > acked {
                continue;
            }
            // Only prefixes go.
            let first = removal.positions.contains(&row.prev)
                || reader.row(row.prev)?.is_none_or(|prev| prev.removed);
            if first || row.removed {
                removal.positions.insert(row.message.position);
                match is_head {
                    true => removal.blank.push(row),
                    false => removal.gone.push(row),
                }
            }
        }
        Ok(removal)
    }
}
