//! Cursors that moved and are not written yet. Reads look here first.

use std::collections::HashMap;

use tidings_core::custody::Cursor;
use tidings_core::ids::{ConversationId, DeviceId};

/// See the module. Bounded by the number of cursors that move between two writes.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    devices: HashMap<DeviceId, HashMap<ConversationId, (Cursor, u64)>>,
    count: usize,
    moves: u64,
}

impl Dirty {
    /// Takes cursors over; the last one wins.
    pub(super) fn put(&mut self, cursors: &mut Vec<Cursor>) {
        for cursor in cursors.drain(..) {
            self.moves += 1;
            let device = self.devices.entry(cursor.device).or_default();
            if device
                .insert(cursor.conversation, (cursor, self.moves))
                .is_none()
            {
                self.count += 1;
            }
        }
    }

    /// How many cursors wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// One cursor.
    pub(super) fn get(&self, device: DeviceId, conversation: ConversationId) -> Option<&Cursor> {
        Some(&self.devices.get(&device)?.get(&conversation)?.0)
    }

    /// All cursors of a device.
    pub(super) fn of_device(&self, device: DeviceId) -> Vec<Cursor> {
        let found = self.devices.get(&device).into_iter().flatten();
        found.map(|(_, (cursor, _))| cursor.clone()).collect()
    }

    /// A copy of some, to be written, in the order of their table.
    pub(super) fn some(&self, limit: usize) -> Vec<(Cursor, u64)> {
        let all = self.devices.values().flat_map(HashMap::values);
        let mut some: Vec<_> = all.take(limit).cloned().collect();
        some.sort_unstable_by_key(|(cursor, _)| (cursor.device, cursor.conversation));
        some
    }

    /// These are on disk; those that moved again meanwhile stay.
    pub(super) fn written(&mut self, written: &[(Cursor, u64)]) {
        for (cursor, at) in written {
            let Some(device) = self.devices.get_mut(&cursor.device) else {
                continue;
            };
            if device
                .get(&cursor.conversation)
                .is_some_and(|(_, now)| now == at)
            {
                device.remove(&cursor.conversation);
                self.count -= 1;
            }
            if device.is_empty() {
                self.devices.remove(&cursor.device);
            }
        }
    }
}
