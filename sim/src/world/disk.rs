//! The store: what the process sees, and what a crash leaves of it.

use tidings_core::custody::{Backlog, Cursor, Loaded, Record, Verdict, Want};
use tidings_core::ids::{DeviceId, Name};
use tidings_core::message::MessageRef;
use tidings_server::store::{MemoryOptions, MemoryStore, Page, Store};

/// Bytes that one load returns.
const LOAD_BYTES_MAX: usize = 256 << 10;

/// A store with a volatile and a durable half.
#[derive(Debug)]
pub(crate) struct Disk {
    volatile: MemoryStore,
    durable: MemoryStore,
}

impl Disk {
    pub(crate) fn new() -> Disk {
        let volatile = MemoryStore::new(MemoryOptions::default());
        let durable = volatile.fork();
        Disk { volatile, durable }
    }

    /// Everything up to now survives.
    pub(crate) fn sync(&mut self) {
        self.durable = self.volatile.fork();
    }

    /// The process died.
    pub(crate) fn fall_back(&mut self) {
        self.volatile = self.durable.fork();
    }

    /// Commits; durable with the next [`Disk::sync`].
    pub(crate) fn commit(&self, batch: &[Record]) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        match self.volatile.commit(batch, &mut verdicts) {
            Ok(()) => verdicts,
            Err(_) => Vec::new(),
        }
    }

    pub(crate) fn acknowledge(&self, cursor: Cursor) {
        self.volatile.acknowledge(&mut vec![cursor]);
    }

    pub(crate) fn backlog(&self, user: &str, device: DeviceId) -> Option<Backlog> {
        self.volatile.backlog(user, device).ok()
    }

    pub(crate) fn load(&self, wants: &[Want], messages_max: usize) -> Option<Loaded> {
        self.volatile.load(wants, messages_max, LOAD_BYTES_MAX).ok()
    }

    pub(crate) fn set_group(&self, group: &str, members: &[Name]) {
        // A memory store cannot fail here; what it did is checked through the messages.
        drop(self.volatile.set_group(group, members));
    }

    /// A whole conversation, as a crash would leave it.
    pub(crate) fn durable_log(&self, conversation: &str) -> Vec<MessageRef> {
        let mut log: Vec<MessageRef> = Vec::new();
        loop {
            let page = Page::After(log.last().map_or(0, |m| m.seq), 200);
            let more = self.durable.history(conversation, page).unwrap_or_default();
            if more.is_empty() {
                return log;
            }
            log.extend(more);
        }
    }
}
