//! A store without a disk: the tail alone, bounded, lost at exit. It serves `durability = memory`,
//! and as the model that other stores are compared with.
//!
//! Deterministic: no clock, nothing random; the same calls give the same answers.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use parking_lot::RwLock;
use tidings_core::custody::{Backlog, Behind, Cursor, Draft, Loaded, Record, Verdict, Want};
use tidings_core::ids::{ConversationId, DeviceId, Name, conversation_members};
use tidings_core::limits;
use tidings_core::message::{Message, MessageRef};

use super::chain::Head;
use super::people::User;
use super::plan::{self, Below, Plan};
use super::tail::{Entry, Tail};
use super::{
    Conversation, Page, Profile, Receipt, Retained, Search, Size, Store, StoreError, cursors, look,
};

/// How much a memory store holds. Beyond, the oldest messages are dropped; numbers go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Messages, all conversations together.
    pub messages_max: usize,
    /// About how many bytes of memory for them.
    pub bytes_max: usize,
}

impl Default for MemoryOptions {
    fn default() -> MemoryOptions {
        MemoryOptions {
            messages_max: 1_000_000,
            bytes_max: 256 << 20,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct MemoryStore {
    options: MemoryOptions,
    state: RwLock<State>,
}

/// Members by name, each with the group's head when he joined.
type Members = BTreeMap<Name, u64>;

#[derive(Debug, Clone)]
struct State {
    tail: Tail,
    people: People,
}

#[derive(Debug, Clone)]
struct People {
    users: BTreeMap<Name, User>,
    groups: BTreeMap<Name, Members>,
    memberships: BTreeMap<Name, BTreeMap<Name, u64>>,
    cursors: BTreeMap<(DeviceId, ConversationId), Cursor>,
    next_device: u64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(options: MemoryOptions) -> MemoryStore {
        MemoryStore {
            options,
            state: RwLock::new(State {
                tail: Tail::new(0, 0),
                people: People {
                    users: BTreeMap::new(),
                    groups: BTreeMap::new(),
                    memberships: BTreeMap::new(),
                    cursors: BTreeMap::new(),
                    next_device: 1,
                },
            }),
        }
    }

    /// An independent store with the same content: what a disk had at this moment.
    #[must_use]
    pub fn fork(&self) -> MemoryStore {
        MemoryStore {
            options: self.options,
            state: RwLock::new(self.state.read().clone()),
        }
    }
}

impl Below for People {
    fn find(&self, _hash: u64, _draft: &Draft) -> Result<Option<MessageRef>, StoreError> {
        Ok(None)
    }
    fn head(&self, _key: &str) -> Result<Option<Head>, StoreError> {
        Ok(None)
    }
    fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        Ok(self.users.get(name).cloned())
    }
    fn member(&self, group: &str, name: &str) -> Result<Option<bool>, StoreError> {
        Ok(self
            .groups
            .get(group)
            .map(|members| members.contains_key(name)))
    }
    fn heads_of(&self, user: &str, tail: &Tail) -> Result<Vec<(u64, u64)>, StoreError> {
        let mine = self.entries(user, tail);
        Ok(mine
            .map(|(entry, _)| (entry.head.conversation, entry.head.seq()))
            .collect())
    }
}

impl People {
    /// The conversations of a user, each with the number from which he takes part in it.
    fn entries<'a>(
        &'a self,
        user: &'a str,
        tail: &'a Tail,
    ) -> impl Iterator<Item = (&'a Entry, u64)> {
        let pairs = tail
            .of_user(user)
            .filter_map(|conversation| Some((tail.entry(conversation)?, 0)));
        let groups = self.memberships.get(user).into_iter().flatten();
        pairs.chain(groups.filter_map(|(group, joined)| Some((tail.entry_by_key(group)?, *joined))))
    }

    fn cursor(&self, device: DeviceId, conversation: u64, joined: u64) -> Cursor {
        let known = self.cursors.get(&(device, ConversationId(conversation)));
        let cursor = known
            .cloned()
            .unwrap_or_else(|| cursors::fresh(device, conversation, 0));
        cursors::since_joined(cursor, joined)
    }

    /// The lowest number that every recently seen device of everybody concerned has acknowledged.
    fn acked_by_all(&self, entry: &Entry, devices_since_ms: i64) -> u64 {
        let members: Vec<(&str, u64)> = match conversation_members(&entry.key) {
            (low, Some(high)) => vec![(low, 0), (high, 0)],
            (group, None) => {
                let members = self.groups.get(group).into_iter().flatten();
                members.map(|(name, joined)| (&**name, *joined)).collect()
            }
        };
        let mut acked = u64::MAX;
        for (name, joined) in members {
            let devices = self.users.get(name).map_or(&[][..], |user| &user.devices);
            for device in devices.iter().filter(|d| d.seen_ms >= devices_since_ms) {
                let cursor = self.cursor(DeviceId(device.id), entry.head.conversation, joined);
                acked = acked.min(cursor.acked);
            }
        }
        acked
    }

    fn apply(&mut self, plan: &mut Plan) {
        for device in &plan.forgotten {
            self.cursors.retain(|(owner, _), _| owner != device);
        }
        // Not `append`, which builds the whole map anew.
        self.users.extend(std::mem::take(&mut plan.users));
        self.acknowledge(&mut plan.cursors);
        self.next_device = plan.next_device;
    }

    fn acknowledge(&mut self, cursors: &mut Vec<Cursor>) {
        for cursor in cursors.drain(..) {
            self.cursors
                .insert((cursor.device, cursor.conversation), cursor);
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: &[Record], verdicts: &mut Vec<Verdict>) -> Result<(), StoreError> {
        let mut state = self.state.write();
        let State { tail, people } = &mut *state;
        let mut plan = plan::plan(batch, tail, people, people.next_device)?;
        people.apply(&mut plan);
        tail.publish(plan.rows, plan.unknown);
        while tail.len() > self.options.messages_max || tail.bytes() > self.options.bytes_max {
            tail.drop_oldest(false);
        }
        verdicts.append(&mut plan.verdicts);
        Ok(())
    }

    fn acknowledge(&self, cursors: &mut Vec<Cursor>) {
        self.state.write().people.acknowledge(cursors);
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn backlog(&self, user: &str, device: DeviceId) -> Result<Backlog, StoreError> {
        let state = self.state.read();
        let State { tail, people } = &*state;
        let mut behind = Vec::new();
        for (entry, joined) in people.entries(user, tail) {
            let cursor = people.cursor(device, entry.head.conversation, joined);
            let head = entry.head.seq();
            let first = entry.first_recent().max(cursor.acked.saturating_add(1));
            if let Some(next) = entry.position_of(first) {
                behind.push(Behind { cursor, head, next });
            }
        }
        behind.sort_by_key(|behind| behind.next);
        let groups = people.memberships.get(user);
        Ok(Backlog {
            behind,
            groups: groups
                .into_iter()
                .flatten()
                .map(|(name, _)| Name::clone(name))
                .collect(),
            upto: tail.last(),
        })
    }

    fn load(
        &self,
        wants: &[Want],
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Loaded, StoreError> {
        let loaded = self.load_recent(wants, messages_max, bytes_max);
        Ok(loaded.unwrap_or_default())
    }

    fn load_recent(&self, wants: &[Want], messages_max: usize, bytes_max: usize) -> Option<Loaded> {
        self.state
            .read()
            .tail
            .load(wants, messages_max, bytes_max, true)
    }

    fn history(&self, conversation_key: &str, page: Page) -> Result<Vec<MessageRef>, StoreError> {
        let state = self.state.read();
        let Some(entry) = state.tail.entry_by_key(conversation_key) else {
            return Ok(Vec::new());
        };
        let (from, upto) = page.range(entry.first_recent(), entry.head.seq());
        Ok(state.tail.range(entry, from, upto))
    }

    fn conversations(
        &self,
        user: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Conversation>, StoreError> {
        let state = self.state.read();
        let State { tail, people } = &*state;
        let devices = people.users.get(user).map_or(&[][..], |user| &user.devices);
        let mut found = Vec::new();
        for (entry, joined) in people.entries(user, tail) {
            let Some(last) = tail.message(entry.head.position()) else {
                continue;
            };
            if last.position >= before {
                continue;
            }
            let conversation = entry.head.conversation;
            let acked = devices.iter().map(|device| {
                people
                    .cursor(DeviceId(device.id), conversation, joined)
                    .acked
            });
            found.push(Conversation {
                peer: super::peer(&entry.key, user),
                head: entry.head.seq(),
                acked: acked.max().unwrap_or(joined),
                last: Arc::clone(last),
            });
        }
        found.sort_by_key(|conversation| std::cmp::Reverse(conversation.last.position));
        found.truncate(limit);
        Ok(found)
    }

    fn set_group(&self, group: &str, members: &[Name]) -> Result<(), StoreError> {
        let mut state = self.state.write();
        let State { tail, people } = &mut *state;
        let head = tail.entry_by_key(group).map_or(0, |entry| entry.head.seq());
        let group: Name = group.into();
        let before = people.groups.remove(&group).unwrap_or_default();
        for name in before.keys() {
            if let Some(groups) = people.memberships.get_mut(name) {
                groups.remove(&group);
            }
        }
        let mut after = Members::new();
        for name in members {
            let joined = before.get(name).copied().unwrap_or(head);
            after.insert(Name::clone(name), joined);
            let groups = people.memberships.entry(Name::clone(name)).or_default();
            groups.insert(Name::clone(&group), joined);
        }
        if !after.is_empty() {
            people.groups.insert(group, after);
        }
        Ok(())
    }

    fn group(&self, group: &str) -> Result<Option<Vec<Name>>, StoreError> {
        let state = self.state.read();
        let members = state.people.groups.get(group);
        Ok(members.map(|members| members.keys().cloned().collect()))
    }

    fn groups(&self, after: &str, limit: usize) -> Result<Vec<(Name, usize)>, StoreError> {
        let state = self.state.read();
        let above = state
            .people
            .groups
            .range::<str, _>((Excluded(after), Unbounded));
        let sized = above.map(|(name, members)| (name.clone(), members.len()));
        Ok(sized.take(limit).collect())
    }

    fn retain(&self, before_ms: i64, devices_since_ms: i64) -> Result<Retained, StoreError> {
        let mut state = self.state.write();
        let State { tail, people } = &mut *state;
        let mut old = Vec::new();
        for position in tail.first()..=tail.last() {
            match tail.message(position) {
                Some(message) if message.time_ms >= before_ms => break,
                Some(message) => old.push(Arc::clone(message)),
                None => {}
            }
        }
        let mut acked: BTreeMap<u64, u64> = BTreeMap::new();
        let mut retained = Retained::default();
        for message in old {
            if super::is_needed(&message) {
                continue;
            }
            let conversation = message.conversation.0;
            let Some(entry) = tail.entry(conversation) else {
                continue;
            };
            let acked = *acked
                .entry(conversation)
                .or_insert_with(|| people.acked_by_all(entry, devices_since_ms));
            if message.seq == entry.first_recent() && message.seq <= acked {
                tail.remove(&message, false);
                retained.removed += 1;
            }
        }
        Ok(retained)
    }

    fn redact(
        &self,
        conversation_key: &str,
        seq: u64,
        instead: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state.write();
        let tail = &mut state.tail;
        let entry = tail.entry_by_key(conversation_key);
        let position = entry.and_then(|entry| entry.position_of(seq));
        let message = position.and_then(|position| tail.message(position));
        let Some(message) = message.map(|message| super::redacted(message, instead)) else {
            return Ok(false);
        };
        tail.replace(Arc::new(message));
        Ok(true)
    }

    fn find(&self, search: &Search) -> Result<Vec<MessageRef>, StoreError> {
        let state = self.state.read();
        let tail = &state.tail;
        if let Some(draft) = search.draft() {
            let hash = tail.hash(&draft.from, &draft.to, &draft.id);
            return Ok(tail.find(hash, &draft).cloned().into_iter().collect());
        }
        let newest = (tail.first()..=tail.last()).rev();
        let newest = newest.take(limits::SEARCH_MESSAGES_MAX);
        let with_id = newest
            .filter_map(|position| tail.message(position))
            .filter(|message| message.id == search.id);
        Ok(with_id.take(limits::SEARCH_FOUND_MAX).cloned().collect())
    }

    fn users(&self, after: &str, limit: usize) -> Result<Vec<Name>, StoreError> {
        let state = self.state.read();
        let above = (Excluded(after), Unbounded);
        let users = state.people.users.range::<str, _>(above);
        Ok(users.take(limit).map(|(name, _)| name.clone()).collect())
    }

    fn profile(&self, user: &str) -> Result<Option<Profile>, StoreError> {
        let state = self.state.read();
        Ok(state.people.users.get(user).map(|user| Profile {
            devices: user.devices.iter().map(look::Device::from).collect(),
        }))
    }

    fn receipts(&self, user: &str, message: &Message) -> Result<Vec<Receipt>, StoreError> {
        let people = &self.state.read().people;
        let groups = people.memberships.get(user);
        let joined = groups.and_then(|groups| groups.get(&message.to)).copied();
        let devices = people.users.get(user).map_or(&[][..], |user| &user.devices);
        let conversation = message.conversation.0;
        let receipt = |device: &super::people::Device| {
            let cursor = people.cursor(DeviceId(device.id), conversation, joined.unwrap_or(0));
            look::receipt(device, &cursor, message.seq)
        };
        Ok(devices.iter().map(receipt).collect())
    }

    fn size(&self) -> Result<Size, StoreError> {
        let state = self.state.read();
        Ok(Size {
            messages: state.tail.len() as u64,
            bytes: state.tail.bytes() as u64,
        })
    }

    fn is_immediate(&self) -> bool {
        true
    }
}

impl Page {
    /// The numbers that a page may hold, in a conversation that has `first..=head`.
    pub(crate) fn range(self, first: u64, head: u64) -> (u64, u64) {
        match self {
            Page::Before(_, 0) | Page::After(_, 0) => (1, 0),
            Page::Before(below, limit) => {
                let upto = below.saturating_sub(1).min(head);
                let from = (upto + 1).saturating_sub(limit as u64).max(first);
                (from, upto)
            }
            Page::After(above, limit) => {
                let from = above.saturating_add(1).max(first);
                (from, from.saturating_add(limit as u64 - 1).min(head))
            }
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
