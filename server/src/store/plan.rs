//! Decides what becomes of a batch: the verdict per record, the rows to write, and what memory
//! takes over once they are durable. Shared by the stores that number messages in this process.
//!
//! Changes nothing: if the write fails the plan is dropped, and nothing has happened.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidings_core::custody::{Cursor, Draft, LoginRecord, Record, Refusal, Verdict};
use tidings_core::ids::{Address, ConversationId, DeviceId, Name, SERVER, conversation_key};
use tidings_core::message::{Message, MessageRef};

use super::StoreError;
use super::chain::{Head, Pointers};
use super::people::User;
use super::tail::{Entry, NewRow, Numbered, Tail, same_key};

/// What a store knows below the tail. Called while the tail is locked, hence the tail as argument.
pub(crate) trait Below {
    /// The stored message with the key of this draft, if it is older than the tail.
    fn find(&self, hash: u64, draft: &Draft) -> Result<Option<MessageRef>, StoreError>;
    /// The head of a conversation that the tail does not know.
    fn head(&self, key: &str) -> Result<Option<Head>, StoreError>;
    /// A user who has logged in before.
    fn user(&self, name: &str) -> Result<Option<User>, StoreError>;
    /// Whether somebody is a member; `None` if there is no such group.
    fn member(&self, group: &str, name: &str) -> Result<Option<bool>, StoreError>;
    /// Number and head of each conversation and group of a user, the tail's included.
    fn heads_of(&self, user: &str, tail: &Tail) -> Result<Vec<(u64, u64)>, StoreError>;
}

/// The outcome of a batch, to be written and then published.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) rows: Vec<NewRow>,
    /// Conversations that the tail did not know, as they were before the batch.
    pub(crate) unknown: Vec<(Name, Head)>,
    pub(crate) users: BTreeMap<Name, User>,
    /// Where further devices start.
    pub(crate) cursors: Vec<Cursor>,
    /// Devices that made room.
    pub(crate) forgotten: Vec<DeviceId>,
    /// The number that the next new device gets.
    pub(crate) next_device: u64,
}

struct Planner<'a, B: Below> {
    tail: &'a Tail,
    below: &'a B,
    plan: Plan,
    /// Rows of this batch by the hash of their key.
    keys: Numbered<u64, usize>,
    /// Further rows whose hash is that of another key.
    twins: Vec<(u64, usize)>,
    /// What this batch appends to conversations that it touched.
    touched: Numbered<u64, Touched>,
    /// The conversations among `plan.unknown`, by key.
    unknown: HashMap<Name, u64>,
    /// The last conversation that the tail knows, and who wrote to whom in it: most messages come
    /// in bursts from one to another.
    last: Option<(Name, Name, u64)>,
}

/// A conversation in a batch. Most are touched once, which needs no copy of the head.
enum Touched {
    Once { position: u64, seq: u64 },
    Head(Head),
}

impl Touched {
    /// Appends once more; `base` is the head before the batch.
    fn push(&mut self, base: &Head, position: u64) -> Pointers {
        if let Touched::Once { position, .. } = self {
            let mut head = base.clone();
            head.push(*position);
            *self = Touched::Head(head);
        }
        match self {
            Touched::Head(head) => head.push(position),
            Touched::Once { .. } => base.next(position),
        }
    }

    fn seq(&self) -> u64 {
        match self {
            Touched::Once { seq, .. } => *seq,
            Touched::Head(head) => head.seq(),
        }
    }
}

/// Decides a batch.
pub(crate) fn plan<B: Below>(
    batch: &[Record],
    tail: &Tail,
    below: &B,
    next_device: u64,
) -> Result<Plan, StoreError> {
    let mut planner = Planner {
        tail,
        below,
        plan: Plan {
            next_device,
            ..Plan::default()
        },
        keys: Numbered::default(),
        twins: Vec::new(),
        touched: Numbered::default(),
        unknown: HashMap::new(),
        last: None,
    };
    planner.plan.verdicts.reserve(batch.len());
    planner.plan.rows.reserve(batch.len());
    planner.keys.reserve(batch.len());
    for record in batch {
        let decided = match record {
            Record::Message(draft) => planner.message(draft),
            Record::Login(login) => planner.login(login),
        };
        let verdict = match decided {
            // Of one conversation or user: the others of the batch do not pay for it.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "refused, what is stored is damaged: see `tidings admin check`");
                Verdict::Refused(Refusal::Damaged)
            }
            decided => decided?,
        };
        planner.plan.verdicts.push(verdict);
    }
    Ok(planner.plan)
}

impl<'a, B: Below> Planner<'a, B> {
    fn message(&mut self, draft: &Draft) -> Result<Verdict, StoreError> {
        let hash = self.tail.hash(&draft.from, &draft.to, &draft.id);
        // Before membership: what was acknowledged once is acknowledged again, whoever left since.
        if let Some(stored) = self.find(hash, draft)? {
            return Ok(repeat(stored, draft));
        }
        if draft.to.starts_with('#') && &*draft.from != SERVER {
            match self.below.member(&draft.to, &draft.from)? {
                None => return Ok(Verdict::Refused(Refusal::NoGroup)),
                Some(false) => return Ok(Verdict::Refused(Refusal::NotMember)),
                Some(true) => {}
            }
        } else if draft.to.starts_with('#') && self.below.member(&draft.to, SERVER)?.is_none() {
            return Ok(Verdict::Refused(Refusal::NoGroup));
        }
        let position = self.tail.last() + 1 + self.plan.rows.len() as u64;
        let (conversation, pointers) = self.append(draft, position)?;
        let message: MessageRef = Arc::new(Message {
            conversation: ConversationId(conversation),
            seq: pointers.seq,
            position,
            time_ms: draft.time_ms,
            from: Name::clone(&draft.from),
            to: Name::clone(&draft.to),
            id: Name::clone(&draft.id),
            typeu: draft.typeu,
            body: draft.body.clone(),
        });
        let at = self.plan.rows.len();
        match self.keys.entry(hash) {
            Slot::Vacant(slot) => drop(slot.insert(at)),
            Slot::Occupied(_) => self.twins.push((hash, at)),
        }
        self.plan.rows.push(NewRow {
            message: Arc::clone(&message),
            prev: pointers.prev,
            jump: pointers.jump,
            hash,
        });
        Ok(Verdict::New(message))
    }

    fn find(&self, hash: u64, draft: &Draft) -> Result<Option<MessageRef>, StoreError> {
        let twins = self.twins.iter().filter(|(twin, _)| *twin == hash);
        for at in self
            .keys
            .get(&hash)
            .into_iter()
            .chain(twins.map(|(_, at)| at))
        {
            let message = &self.plan.rows[*at].message;
            if same_key(message, draft) {
                return Ok(Some(Arc::clone(message)));
            }
        }
        match self.tail.find(hash, draft) {
            Some(message) => Ok(Some(Arc::clone(message))),
            None => self.below.find(hash, draft),
        }
    }

    /// Appends to the draft's conversation. A new one has the number of its first position.
    fn append(&mut self, draft: &Draft, position: u64) -> Result<(u64, Pointers), StoreError> {
        if let Some(entry) = self.repeated(draft) {
            return Ok(self.append_known(entry, position));
        }
        let to = Address::parse(&draft.to).unwrap_or(Address::User(&draft.to));
        let key = conversation_key(&draft.from, to);
        if let Some(entry) = self.tail.entry_by_key(&key) {
            let (from, to) = (Name::clone(&draft.from), Name::clone(&draft.to));
            self.last = Some((from, to, entry.head.conversation));
            return Ok(self.append_known(entry, position));
        }
        let (conversation, base) = match self.unknown.get(key.as_str()) {
            Some(conversation) => (*conversation, None),
            None => {
                let head = self
                    .below
                    .head(&key)?
                    .unwrap_or_else(|| Head::empty(position));
                (head.conversation, Some(head))
            }
        };
        if let Some(base) = base {
            let key: Name = key.into();
            self.unknown.insert(Name::clone(&key), conversation);
            self.plan.unknown.push((key, base.clone()));
            self.touched.insert(conversation, Touched::Head(base));
        }
        match self.touched.get_mut(&conversation) {
            Some(Touched::Head(head)) => Ok((conversation, head.push(position))),
            _ => Err(StoreError::Unavailable("a head went missing".into())),
        }
    }

    /// The conversation of this draft, if it is that of the draft before.
    fn repeated(&self, draft: &Draft) -> Option<&'a Entry> {
        let (from, to, conversation) = self.last.as_ref()?;
        let same = *from == draft.from && *to == draft.to;
        same.then(|| self.tail.entry(*conversation)).flatten()
    }

    /// Appends to a conversation of the tail.
    fn append_known(&mut self, entry: &Entry, position: u64) -> (u64, Pointers) {
        let conversation = entry.head.conversation;
        let pointers = match self.touched.entry(conversation) {
            Slot::Vacant(slot) => {
                let pointers = entry.head.next(position);
                let seq = pointers.seq;
                slot.insert(Touched::Once { position, seq });
                pointers
            }
            Slot::Occupied(mut slot) => slot.get_mut().push(&entry.head, position),
        };
        (conversation, pointers)
    }

    fn login(&mut self, record: &LoginRecord) -> Result<Verdict, StoreError> {
        let mut user = match self.plan.users.get(&record.user) {
            Some(user) => user.clone(),
            None => self.below.user(&record.user)?.unwrap_or_default(),
        };
        let done = user.login(record, self.plan.next_device);
        if done.grant.device.0 == self.plan.next_device {
            self.plan.next_device += 1;
        }
        if done.starts_at_heads {
            self.start_at_heads(&record.user, done.grant.device)?;
        }
        if let Some(device) = done.forgotten {
            self.plan.cursors.retain(|cursor| cursor.device != device);
            self.plan.forgotten.push(device);
        }
        if done.changed {
            self.plan.users.insert(Name::clone(&record.user), user);
        }
        Ok(Verdict::Login(done.grant))
    }

    fn start_at_heads(&mut self, user: &str, device: DeviceId) -> Result<(), StoreError> {
        let mut heads: BTreeMap<u64, u64> =
            self.below.heads_of(user, self.tail)?.into_iter().collect();
        // What this batch stored before the login came before it.
        let unknown = self
            .unknown
            .iter()
            .map(|(key, conversation)| (*conversation, key));
        let keys: HashMap<u64, &Name> = unknown.collect();
        for (conversation, touched) in &self.touched {
            let known = || self.tail.entry(*conversation).map(|entry| &entry.key);
            let Some(key) = keys.get(conversation).copied().or_else(known) else {
                continue;
            };
            let his = match key.split_once('\n') {
                Some((low, high)) => low == user || high == user,
                None => self.below.member(key, user)? == Some(true),
            };
            if his {
                heads.insert(*conversation, touched.seq());
            }
        }
        let cursors = heads.into_iter().map(|(conversation, acked)| Cursor {
            device,
            conversation: ConversationId(conversation),
            acked,
            sparse: Vec::new(),
            unanswered: Vec::new(),
        });
        self.plan.cursors.extend(cursors);
        Ok(())
    }
}

/// What a sender is told about a message that is stored already.
fn repeat(stored: MessageRef, draft: &Draft) -> Verdict {
    if stored.typeu == draft.typeu && stored.body == draft.body {
        Verdict::Duplicate(stored)
    } else {
        Verdict::Conflict
    }
}
