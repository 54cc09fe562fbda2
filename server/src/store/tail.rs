//! The newest part of the log, in memory: what reads look at first, and what makes them right
//! while the indexes follow behind. With nothing behind it, it is the whole memory store.
//!
//! Positions are contiguous; a slot is empty where retention took its message. Nothing here is
//! iterated in the order of a hash map, so that equal histories give equal answers.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use tidings_core::custody::{Draft, Loaded, Want};
use tidings_core::ids::{Name, conversation_members};
use tidings_core::message::{Message, MessageRef};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::chain::Head;
use super::merge;

/// Hashes numbers that are hashes already, or that are ours.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(value ^ self.0) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// A map from numbers.
pub(crate) type Numbered<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// The hash of a message's key. Seeded, so that nobody can choose ids that meet.
pub(crate) fn key_hash(seed: u64, from: &str, to: &str, id: &str) -> u64 {
    let mut bytes = [0u8; 3 * 128 + 2];
    let mut at = 0;
    for part in [from, to, id] {
        let end = at + part.len();
        if end >= bytes.len() {
            // Longer than any checked name; still has to have one hash.
            return xxh3_64_with_seed(format!("{from}\n{to}\n{id}").as_bytes(), seed);
        }
        bytes[at..end].copy_from_slice(part.as_bytes());
        bytes[end] = b'\n';
        at = end + 1;
    }
    xxh3_64_with_seed(&bytes[..at - 1], seed)
}

/// True if `message` is the one that `draft` names, whatever its content.
pub(crate) fn same_key(message: &Message, draft: &Draft) -> bool {
    message.id == draft.id && message.from == draft.from && message.to == draft.to
}

/// A conversation of the tail.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Name,
    pub(crate) head: Head,
    /// Positions of its messages in the tail; their numbers end at the head, without gaps.
    recent: VecDeque<u64>,
}

impl Entry {
    /// The lowest number that the tail has; above the head if it has none.
    pub(crate) fn first_recent(&self) -> u64 {
        self.head.seq() + 1 - self.recent.len() as u64
    }

    /// The position of a number, if the tail has it.
    pub(crate) fn position_of(&self, seq: u64) -> Option<u64> {
        let at = seq.checked_sub(self.first_recent())?;
        self.recent.get(usize::try_from(at).ok()?).copied()
    }
}

/// A message that a batch adds.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) message: MessageRef,
    pub(crate) prev: u64,
    pub(crate) jump: u64,
    pub(crate) hash: u64,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    seed: u64,
    first: u64,
    slots: VecDeque<Option<MessageRef>>,
    bytes: usize,
    keys: Numbered<u64, u64>,
    /// Further positions of a hash that two keys share.
    twins: BTreeSet<(u64, u64)>,
    conversations: Numbered<u64, Entry>,
    by_key: HashMap<Name, u64>,
    by_user: BTreeMap<Name, BTreeSet<u64>>,
}

/// What a message counts for beside its text: three allocations, a slot, a key, a place in its
/// conversation.
const MESSAGE_OVERHEAD_BYTES: usize = 200;

fn cost(message: &Message) -> usize {
    message.body.len() + message.id.len() + MESSAGE_OVERHEAD_BYTES
}

impl Tail {
    /// An empty tail of a log whose last position is `last`.
    pub(crate) fn new(seed: u64, last: u64) -> Tail {
        Tail {
            seed,
            first: last + 1,
            slots: VecDeque::new(),
            bytes: 0,
            keys: Numbered::default(),
            twins: BTreeSet::new(),
            conversations: Numbered::default(),
            by_key: HashMap::new(),
            by_user: BTreeMap::new(),
        }
    }

    /// The last position in the log.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.slots.len() as u64 - 1
    }

    /// The lowest position that the tail has.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// How many messages it holds, with empty slots.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// About how much memory the messages take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The hash of a key in this store.
    pub(crate) fn hash(&self, from: &str, to: &str, id: &str) -> u64 {
        key_hash(self.seed, from, to, id)
    }

    /// A message by position.
    pub(crate) fn message(&self, position: u64) -> Option<&MessageRef> {
        let at = position.checked_sub(self.first)?;
        self.slots.get(usize::try_from(at).ok()?)?.as_ref()
    }

    /// The stored message with the key of this draft.
    pub(crate) fn find(&self, hash: u64, draft: &Draft) -> Option<&MessageRef> {
        let first = self.message(*self.keys.get(&hash)?)?;
        if same_key(first, draft) {
            return Some(first);
        }
        let twins = self.twins.range((hash, 0)..=(hash, u64::MAX));
        twins
            .filter_map(|(_, position)| self.message(*position))
            .find(|message| same_key(message, draft))
    }

    /// A conversation by number.
    pub(crate) fn entry(&self, conversation: u64) -> Option<&Entry> {
        self.conversations.get(&conversation)
    }

    /// A conversation by key.
    pub(crate) fn entry_by_key(&self, key: &str) -> Option<&Entry> {
        self.conversations.get(self.by_key.get(key)?)
    }

    /// The numbers of the pair conversations of a user that the tail knows, ascending.
    pub(crate) fn of_user(&self, user: &str) -> impl Iterator<Item = u64> + '_ {
        self.by_user.get(user).into_iter().flatten().copied()
    }

    /// Makes a conversation known, with nothing of it in the tail.
    pub(crate) fn know(&mut self, key: &Name, head: Head) {
        let conversation = head.conversation;
        let entry = Entry {
            key: Name::clone(key),
            head,
            recent: VecDeque::new(),
        };
        if self.conversations.insert(conversation, entry).is_none() {
            self.by_key.insert(Name::clone(key), conversation);
            if let (low, Some(high)) = conversation_members(key) {
                for name in [low, high] {
                    self.of_user_mut(name).insert(conversation);
                }
            }
        }
    }

    fn of_user_mut(&mut self, name: &str) -> &mut BTreeSet<u64> {
        if !self.by_user.contains_key(name) {
            self.by_user.insert(Name::from(name), BTreeSet::new());
        }
        self.by_user.entry(Name::from(name)).or_default()
    }

    /// Takes what a committed batch stored. `unknown` are the conversations that it touched and
    /// this tail did not know, as they were before.
    pub(crate) fn publish(&mut self, rows: Vec<NewRow>, unknown: Vec<(Name, Head)>) {
        for (key, head) in unknown {
            self.know(&key, head);
        }
        for row in rows {
            self.bytes += cost(&row.message);
            if let Some(entry) = self.conversations.get_mut(&row.message.conversation.0) {
                entry.head.push(row.message.position);
                entry.recent.push_back(row.message.position);
            }
            self.put(row.message, row.hash);
        }
    }

    /// A row of a known conversation was found at the end of the log.
    pub(crate) fn extend(&mut self, conversation: u64, position: u64) {
        if let Some(entry) = self.conversations.get_mut(&conversation) {
            entry.head.push(position);
        }
    }

    /// Positions up to this one are given, whatever became of their messages.
    pub(crate) fn pad(&mut self, upto: u64) {
        while self.last() < upto {
            self.slots.push_back(None);
        }
    }

    /// Puts one message at the end; its conversation is known already.
    pub(crate) fn append(&mut self, message: MessageRef, hash: u64) {
        self.bytes += cost(&message);
        if let Some(entry) = self.conversations.get_mut(&message.conversation.0) {
            entry.recent.push_back(message.position);
        }
        self.put(message, hash);
    }

    fn put(&mut self, message: MessageRef, hash: u64) {
        self.pad(message.position - 1);
        match self.keys.get(&hash) {
            Some(_) => {
                self.twins.insert((hash, message.position));
            }
            None => {
                self.keys.insert(hash, message.position);
            }
        }
        self.slots.push_back(Some(message));
    }

    /// Drops the oldest message, and its conversation if `forget` and it was the last of it here.
    pub(crate) fn drop_oldest(&mut self, forget: bool) {
        if let Some(Some(message)) = self.slots.front().cloned() {
            self.remove(&message, forget);
        }
        if !self.slots.is_empty() && self.slots[0].is_none() {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// Puts another content in a message's place, if the tail has it.
    pub(crate) fn replace(&mut self, message: MessageRef) {
        let at = message.position.checked_sub(self.first);
        let slot = at.and_then(|at| self.slots.get_mut(at as usize));
        if let Some(Some(slot)) = slot {
            self.bytes = self.bytes.saturating_sub(cost(slot)) + cost(&message);
            *slot = message;
        }
    }

    /// Removes the first message that the tail has of its conversation.
    pub(crate) fn remove(&mut self, message: &Message, forget: bool) {
        let Some(slot) = message
            .position
            .checked_sub(self.first)
            .and_then(|at| self.slots.get_mut(at as usize))
        else {
            return;
        };
        if slot.take().is_none() {
            return;
        }
        self.bytes = self.bytes.saturating_sub(cost(message));
        let hash = key_hash(self.seed, &message.from, &message.to, &message.id);
        self.remove_key(hash, message.position);
        let conversation = message.conversation.0;
        if let Some(entry) = self.conversations.get_mut(&conversation) {
            debug_assert_eq!(entry.recent.front(), Some(&message.position));
            entry.recent.pop_front();
            if forget && entry.recent.is_empty() {
                self.forget(conversation);
            }
        }
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    fn remove_key(&mut self, hash: u64, position: u64) {
        if self.twins.remove(&(hash, position)) {
            return;
        }
        if self.keys.get(&hash) != Some(&position) {
            return;
        }
        self.keys.remove(&hash);
        let twin = self
            .twins
            .range((hash, 0)..=(hash, u64::MAX))
            .next()
            .copied();
        if let Some(twin) = twin {
            self.twins.remove(&twin);
            self.keys.insert(hash, twin.1);
        }
    }

    fn forget(&mut self, conversation: u64) {
        let Some(entry) = self.conversations.remove(&conversation) else {
            return;
        };
        self.by_key.remove(&entry.key);
        if let (low, Some(high)) = conversation_members(&entry.key) {
            for name in [low, high] {
                if let Some(known) = self.by_user.get_mut(name) {
                    known.remove(&conversation);
                    if known.is_empty() {
                        self.by_user.remove(name);
                    }
                }
            }
        }
    }

    /// Loads from memory. What the tail does not have counts as removed if `whole`; else the
    /// answer is `None`.
    pub(crate) fn load(
        &self,
        wants: &[Want],
        messages_max: usize,
        bytes_max: usize,
        whole: bool,
    ) -> Option<Loaded> {
        let mut parts = Vec::with_capacity(wants.len());
        for want in wants {
            let Some(entry) = self.entry(want.conversation.0) else {
                if whole || want.after >= want.upto {
                    parts.push((None, 1, 0));
                    continue;
                }
                return None;
            };
            let upto = want.upto.min(entry.head.seq());
            let from = want.after.saturating_add(1);
            if !whole && from <= upto && from < entry.first_recent() {
                return None;
            }
            parts.push((Some(entry), from.max(entry.first_recent()), upto));
        }
        let source = parts.into_iter().map(|(entry, from, upto)| {
            (from..=upto).map_while(move |seq| self.message(entry?.position_of(seq)?).cloned())
        });
        Some(merge::by_position(
            source.collect(),
            messages_max,
            bytes_max,
        ))
    }

    /// Messages `from..=upto` of a conversation, as far as the tail has them.
    pub(crate) fn range(&self, entry: &Entry, from: u64, upto: u64) -> Vec<MessageRef> {
        let from = from.max(entry.first_recent());
        (from..=upto.min(entry.head.seq()))
            .map_while(|seq| self.message(entry.position_of(seq)?).cloned())
            .collect()
    }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
