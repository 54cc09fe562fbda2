//! A store of a few lines: enough to give verdicts, backlogs and loads.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::custody::{
    Backlog, Behind, Cursor, Draft, Grant, Loaded, LoginRecord, Record, Refusal, Verdict, Want,
};
use crate::ids::{Address, ConversationId, DeviceId, Name, conversation_key, conversation_members};
use crate::message::{Message, MessageRef};

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) log: Vec<MessageRef>,
    keys: Vec<String>,
    devices: Vec<(Name, Name)>,
    pub(super) cursors: BTreeMap<(DeviceId, ConversationId), Cursor>,
    issued: Vec<(Name, Name, i64)>,
    pub(super) groups: BTreeMap<String, Vec<String>>,
    pub(super) full: bool,
}

impl Store {
    pub(super) fn commit(&mut self, record: &Record) -> Verdict {
        match record {
            Record::Message(draft) => self.take(draft),
            Record::Login(login) => Verdict::Login(self.grant(login)),
        }
    }

    fn take(&mut self, draft: &Draft) -> Verdict {
        let same = |m: &&MessageRef| m.from == draft.from && m.to == draft.to && m.id == draft.id;
        if let Some(found) = self.log.iter().find(same) {
            let equal = found.body == draft.body && found.typeu == draft.typeu;
            return if equal {
                Verdict::Duplicate(found.clone())
            } else {
                Verdict::Conflict
            };
        }
        if self.full {
            return Verdict::Refused(Refusal::Full {
                limit: "messages",
                max: 1,
            });
        }
        if draft.to.starts_with('#') {
            match self.groups.get(&*draft.to) {
                None => return Verdict::Refused(Refusal::NoGroup),
                Some(members) if !members.iter().any(|m| **m == *draft.from) => {
                    return Verdict::Refused(Refusal::NotMember);
                }
                Some(_) => {}
            }
        }
        let key = conversation_key(&draft.from, Address::parse(&draft.to).unwrap());
        let known = self.keys.iter().position(|k| *k == key);
        let conversation = known.unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        let conversation = ConversationId(conversation as u64);
        let message = Arc::new(Message {
            conversation,
            seq: self.head(conversation) + 1,
            position: self.log.len() as u64 + 1,
            time_ms: draft.time_ms,
            from: draft.from.clone(),
            to: draft.to.clone(),
            id: draft.id.clone(),
            typeu: draft.typeu,
            body: draft.body.clone(),
        });
        self.log.push(message.clone());
        Verdict::New(message)
    }

    fn head(&self, conversation: ConversationId) -> u64 {
        self.log
            .iter()
            .filter(|m| m.conversation == conversation)
            .count() as u64
    }

    fn grant(&mut self, login: &LoginRecord) -> Grant {
        let name = (login.user.clone(), login.device.clone());
        let known = self.devices.iter().position(|d| *d == name);
        let device = known.unwrap_or_else(|| {
            self.devices.push(name);
            self.devices.len() - 1
        });
        let value = (login.user.clone(), login.class.clone(), login.presented);
        let issued_before = self.issued.contains(&value);
        let last = self
            .issued
            .iter()
            .filter(|i| i.0 == login.user)
            .map(|i| i.2)
            .max();
        let first_login_time = match issued_before {
            true => login.presented,
            false => login.now_ms.max(last.unwrap_or(0) + 1),
        };
        if !issued_before {
            self.issued
                .push((login.user.clone(), login.class.clone(), first_login_time));
        }
        Grant {
            device: DeviceId(device as u64),
            first_login_time,
            issued_before,
        }
    }

    /// Every device starts at 0 here.
    pub(super) fn backlog(&self, user: &str, device: DeviceId) -> Backlog {
        let groups: Vec<Name> = self
            .groups
            .iter()
            .filter(|(_, members)| members.iter().any(|m| m == user))
            .map(|(name, _)| Name::from(&**name))
            .collect();
        let mut behind = Vec::new();
        for (at, key) in self.keys.iter().enumerate() {
            let mine = match conversation_members(key) {
                (low, Some(high)) => low == user || high == user,
                (group, None) => groups.iter().any(|g| **g == *group),
            };
            let conversation = ConversationId(at as u64);
            let cursor = self
                .cursors
                .get(&(device, conversation))
                .cloned()
                .unwrap_or(Cursor {
                    device,
                    conversation,
                    acked: 0,
                    sparse: Vec::new(),
                    unanswered: Vec::new(),
                });
            let above = |m: &&MessageRef| m.conversation == conversation && m.seq > cursor.acked;
            if let (true, Some(next)) = (mine, self.log.iter().find(above)) {
                let (head, next) = (self.head(conversation), next.position);
                behind.push(Behind { cursor, head, next });
            }
        }
        behind.sort_by_key(|b| b.next);
        Backlog {
            behind,
            groups,
            upto: self.log.len() as u64,
        }
    }

    pub(super) fn load(&self, wants: &[Want], messages_max: usize) -> Loaded {
        let wanted = |m: &&MessageRef| {
            wants
                .iter()
                .any(|w| w.conversation == m.conversation && m.seq > w.after && m.seq <= w.upto)
        };
        let all: Vec<MessageRef> = self.log.iter().filter(wanted).cloned().collect();
        let (messages, rest) = all.split_at(all.len().min(messages_max));
        let next = |w: &Want| {
            let first = rest.iter().find(|m| m.conversation == w.conversation);
            first.map(|m| m.position)
        };
        Loaded {
            messages: messages.to_vec(),
            next: wants.iter().map(next).collect(),
        }
    }
}
