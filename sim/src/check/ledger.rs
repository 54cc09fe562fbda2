//! What is in custody, by the promises alone, and what each device has of it.

use std::collections::{BTreeMap, BTreeSet};

use tidings_core::custody::{Cursor, Draft, LoginRecord, Record, Refusal, Verdict};
use tidings_core::ids::{Address, Name, conversation_key, conversation_members};
use tidings_core::message::MessageRef;
use tidings_core::wire::mobileimsdk::{Extended, Form, Frame};

use super::links::frame_bytes_max;
use crate::world::{Client, Outgoing, encoded_length};

/// A stored message and who said it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) message: MessageRef,
    client: usize,
}

/// What a device is owed and has.
#[derive(Debug, Default)]
pub(crate) struct Device {
    user: String,
    /// Where it started in each conversation; 0 where nothing is said.
    start: BTreeMap<String, u64>,
    got: BTreeMap<String, BTreeSet<u64>>,
    /// Cursors, as far as they were held against what it has.
    acked: BTreeMap<String, u64>,
    /// Cursors as this process last wrote them.
    written: BTreeMap<String, u64>,
    own: bool,
}

type Key = (String, String, String);
type Said = (String, String, String, i32, String);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) logs: BTreeMap<String, Vec<Entry>>,
    pub(crate) last_position: u64,
    keys: BTreeMap<Key, (String, usize)>,
    conversations: BTreeMap<u64, String>,
    said: BTreeMap<Said, usize>,
    devices: BTreeMap<(String, String), Device>,
    device_numbers: BTreeMap<u64, (String, String)>,
    issued: BTreeMap<String, (i64, BTreeSet<(String, i64)>)>,
    /// Members by group, with the head when they joined; `left` remembers who ever was one.
    groups: BTreeMap<String, BTreeMap<String, u64>>,
    left: BTreeSet<(String, String)>,
}

fn key_of(from: &str, to: &str) -> String {
    conversation_key(from, Address::parse(to).unwrap_or(Address::Server))
}

impl Ledger {
    pub(crate) fn stored(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn set_group(&mut self, group: &Name, members: &[Name]) {
        let head = self.logs.get(&**group).map_or(0, |log| log.len() as u64);
        let before = self.groups.remove(&**group).unwrap_or_default();
        for name in before.keys() {
            if !members.iter().any(|m| **m == **name) {
                self.left.insert((group.to_string(), name.clone()));
            }
        }
        let joined = |name: &Name| before.get(&**name).copied().unwrap_or(head);
        let after = members
            .iter()
            .map(|name| (name.to_string(), joined(name)))
            .collect();
        self.groups.insert(group.to_string(), after);
    }

    pub(crate) fn said(&mut self, client: usize, user: &Name, out: &Outgoing) {
        let said = (
            user.to_string(),
            out.to.clone(),
            out.id.clone(),
            out.typeu,
            out.body.clone(),
        );
        self.said.insert(said, client);
    }

    fn entry(&self, from: &str, to: &str, id: &str) -> Option<&Entry> {
        let key = (from.to_owned(), to.to_owned(), id.to_owned());
        let (log, at) = self.keys.get(&key)?;
        self.logs.get(log)?.get(*at)
    }

    pub(crate) fn committed(&mut self, record: &Record, verdict: &Verdict) -> Result<(), String> {
        match record {
            Record::Message(draft) => self.took(draft, verdict),
            Record::Login(login) => self.granted(login, verdict),
        }
    }

    fn took(&mut self, draft: &Draft, verdict: &Verdict) -> Result<(), String> {
        let (from, to, id) = (&*draft.from, &*draft.to, &*draft.id);
        let said = (
            from.to_owned(),
            to.to_owned(),
            id.to_owned(),
            draft.typeu,
            draft.body.to_string(),
        );
        let Some(client) = self.said.get(&said).copied() else {
            return Err(format!("stored, but nobody said it: {from} to {to} {id}"));
        };
        if let Some(entry) = self.entry(from, to, id) {
            let same = entry.message.typeu == draft.typeu && entry.message.body == draft.body;
            let seq = entry.message.seq;
            return match verdict {
                Verdict::Duplicate(told) if same && told.seq == seq => Ok(()),
                Verdict::Conflict if !same => Ok(()),
                other => Err(format!("stored once: {from} to {to} {id} again: {other:?}")),
            };
        }
        if let Some(refusal) = self.refusal(from, to) {
            return match verdict {
                Verdict::Refused(told) if *told == refusal => Ok(()),
                other => Err(format!("{from} to {to} {id}: {other:?}, not {refusal}")),
            };
        }
        let key = key_of(from, to);
        let log = self.logs.entry(key.clone()).or_default();
        let seq = log.len() as u64 + 1;
        match verdict {
            Verdict::New(message)
                if message.seq == seq && message.position > self.last_position =>
            {
                self.last_position = message.position;
                self.conversations
                    .insert(message.conversation.0, key.clone());
                log.push(Entry {
                    message: message.clone(),
                    client,
                });
                let at = log.len() - 1;
                self.keys
                    .insert((from.to_owned(), to.to_owned(), id.to_owned()), (key, at));
                Ok(())
            }
            other => Err(format!("numbered without gaps: {key:?} {seq}: {other:?}")),
        }
    }

    fn refusal(&self, from: &str, to: &str) -> Option<Refusal> {
        if !to.starts_with('#') {
            return None;
        }
        match self.groups.get(to) {
            None => Some(Refusal::NoGroup),
            Some(members) if !members.contains_key(from) => Some(Refusal::NotMember),
            Some(_) => None,
        }
    }

    fn granted(&mut self, login: &LoginRecord, verdict: &Verdict) -> Result<(), String> {
        let Verdict::Login(grant) = verdict else {
            return Err(format!("a login is answered {verdict:?}"));
        };
        let user = login.user.to_string();
        let (last, values) = self.issued.entry(user.clone()).or_default();
        let value = (login.class.to_string(), grant.first_login_time);
        if grant.issued_before {
            if !values.contains(&value) || login.presented != grant.first_login_time {
                return Err(format!(
                    "{user}: {} was never issued",
                    grant.first_login_time
                ));
            }
        } else if grant.first_login_time <= *last {
            return Err(format!(
                "{user}: {} is not above {last}",
                grant.first_login_time
            ));
        } else {
            *last = grant.first_login_time;
            values.insert(value);
        }
        let name = (user.clone(), login.device.to_string());
        self.device_numbers.insert(grant.device.0, name.clone());
        if !self.devices.contains_key(&name) {
            let mut device = Device {
                user: user.clone(),
                ..Device::default()
            };
            if self.devices.keys().any(|(other, _)| *other == user) {
                let heads = self
                    .logs
                    .iter()
                    .map(|(key, log)| (key.clone(), log.len() as u64));
                device.start = heads.collect();
            }
            self.devices.insert(name, device);
        }
        Ok(())
    }

    pub(crate) fn acknowledged(
        &self,
        from: &str,
        to: &str,
        id: &str,
        seq: u64,
    ) -> Result<(), String> {
        match self.entry(from, to, id) {
            Some(entry) if entry.message.seq == seq => Ok(()),
            Some(entry) => Err(format!(
                "{id}: acknowledged as {seq}, is {}",
                entry.message.seq
            )),
            None => Err(format!("acknowledged and not durable: {from} to {to} {id}")),
        }
    }

    pub(crate) fn sender_told(
        &self,
        user: &Name,
        out: &Outgoing,
        seq: Option<u64>,
    ) -> Result<(), String> {
        let Some(entry) = self.entry(user, &out.to, &out.id) else {
            return Err(format!(
                "acknowledged and not durable: {user} to {} {}",
                out.to, out.id
            ));
        };
        if *entry.message.body != *out.body || entry.message.typeu != out.typeu {
            return Err(format!(
                "acknowledged with other content: {user} {}",
                out.id
            ));
        }
        if seq.is_some_and(|seq| seq != entry.message.seq) {
            return Err(format!("{user} is told the number {seq:?} of {}", out.id));
        }
        Ok(())
    }

    pub(crate) fn is_durable(&self, message: &MessageRef) -> Result<(), String> {
        let entry = self.entry(&message.from, &message.to, &message.id);
        match entry {
            Some(entry) if entry.message == *message => Ok(()),
            _ => Err(format!(
                "delivered before it was durable: {} {}",
                message.from, message.id
            )),
        }
    }

    pub(crate) fn received(
        &mut self,
        client: &Client,
        frame: &Frame<'_>,
        conversation: &str,
        extended: Option<Extended>,
    ) -> Result<u64, String> {
        let from = frame.from.as_deref().unwrap_or("");
        let to = frame.to.as_deref().unwrap_or("");
        let id = frame.fp.as_deref().unwrap_or("");
        let Some(entry) = self.entry(from, to, id) else {
            return Err(format!(
                "{} got what is not stored: {from} {id}",
                client.plan.user
            ));
        };
        let message = entry.message.clone();
        if *message.body != *frame.data.as_deref().unwrap_or("") || message.typeu != frame.typeu {
            return Err(format!("{} got other content: {id}", client.plan.user));
        }
        let told = extended.map(|e| (e.seq, e.time_ms));
        let expected = client
            .plan
            .ours
            .as_ref()
            .map(|_| (message.seq, message.time_ms));
        let plan = &client.plan;
        // The time is left out of what is too long with it.
        let untimed = encoded_length(&message, Form::Plain) > frame_bytes_max(plan);
        let sm = if untimed { -1 } else { message.time_ms };
        if told != expected || frame.sm != sm {
            return Err(format!("{} got {told:?} with {id}", client.plan.user));
        }
        let name = (client.plan.user.to_string(), client.device().to_owned());
        let device = self.devices.entry(name).or_default();
        device.own = client.plan.ours.as_ref().is_some_and(|ours| ours.own);
        device
            .got
            .entry(conversation.to_owned())
            .or_default()
            .insert(message.seq);
        Ok(message.seq)
    }

    /// Whether a device is owed a message.
    fn owes(&self, user: &str, own: bool, key: &str, entry: &Entry) -> bool {
        let message = &entry.message;
        if let (group, None) = conversation_members(key) {
            let joined = self.groups.get(group).and_then(|members| members.get(user));
            let was_away = self.left.contains(&(group.to_owned(), user.to_owned()));
            if was_away || joined.is_none_or(|joined| message.seq <= *joined) {
                return false;
            }
        }
        if *message.from == *user && *message.to != *user {
            return own;
        }
        *message.to == *user || message.to.starts_with('#')
    }

    pub(crate) fn remembered(
        &mut self,
        cursor: &Cursor,
        set_aside: &BTreeSet<(Name, u64, u64)>,
    ) -> Result<(), String> {
        let Some(name) = self.device_numbers.get(&cursor.device.0).cloned() else {
            return Err(format!("a cursor of an unknown device: {cursor:?}"));
        };
        let Some(key) = self.conversations.get(&cursor.conversation.0).cloned() else {
            return Err(format!("a cursor in an unknown conversation: {cursor:?}"));
        };
        let (Some(log), Some(device)) = (self.logs.get(&key), self.devices.get(&name)) else {
            return Ok(());
        };
        let start = device.start.get(&key).copied().unwrap_or(0);
        let from = device.acked.get(&key).copied().unwrap_or(0).max(start);
        let nothing = BTreeSet::new();
        let got = device.got.get(&key).unwrap_or(&nothing);
        let aside = |seq: u64| {
            set_aside
                .iter()
                .any(|(u, c, s)| **u == *device.user && *c == cursor.conversation.0 && *s == seq)
        };
        for seq in from + 1..=cursor.acked {
            let Some(entry) = log.get(usize::try_from(seq - 1).unwrap_or(usize::MAX)) else {
                return Err(format!("a cursor beyond the head: {name:?} {key:?} {seq}"));
            };
            // Its own messages may have come from this very device.
            let is_own = *entry.message.from == *device.user && *entry.message.to != *device.user;
            let owed = !is_own && self.owes(&device.user, false, &key, entry);
            if owed && !got.contains(&seq) && !aside(seq) {
                let id = &entry.message.id;
                return Err(format!(
                    "the cursor of {name:?} passes {key:?} {seq} ({id}) unseen"
                ));
            }
        }
        if let Some(device) = self.devices.get_mut(&name) {
            let before = device
                .written
                .insert(key.clone(), cursor.acked)
                .unwrap_or(0);
            if cursor.acked < before {
                let now = cursor.acked;
                return Err(format!(
                    "the cursor of {name:?} in {key:?} goes back: {before}, {now}"
                ));
            }
            device.acked.insert(key, cursor.acked.max(from));
        }
        Ok(())
    }

    /// What a process wrote of cursors may be lost with it.
    pub(crate) fn process_died(&mut self) {
        for device in self.devices.values_mut() {
            device.written.clear();
        }
    }

    /// Whether a client has everything that its device is owed.
    pub(crate) fn complete(
        &self,
        at: usize,
        client: &Client,
        set_aside: &BTreeSet<(Name, u64, u64)>,
    ) -> Result<(), String> {
        let name = (client.plan.user.to_string(), client.device().to_owned());
        let Some(device) = self.devices.get(&name) else {
            return Err(format!("liveness: {name:?} never logged in"));
        };
        let own = client.plan.ours.as_ref().is_some_and(|ours| ours.own);
        let form = match client.plan.ours {
            Some(_) => Form::Extended,
            None => Form::Untimed,
        };
        let max = frame_bytes_max(&client.plan);
        for (key, log) in &self.logs {
            let start = device.start.get(key).copied().unwrap_or(0);
            for entry in log.iter().skip(usize::try_from(start).unwrap_or(0)) {
                let message = &entry.message;
                let is_own = message.from == client.plan.user && message.to != client.plan.user;
                if !self.owes(&client.plan.user, own, key, entry)
                    || (is_own && entry.client == at)
                    || encoded_length(message, form) > max
                    || client.plan.dies_of(&message.body)
                {
                    continue;
                }
                let aside = (
                    client.plan.user.clone(),
                    message.conversation.0,
                    message.seq,
                );
                let has = device
                    .got
                    .get(key)
                    .is_some_and(|got| got.contains(&message.seq));
                if !has && !set_aside.contains(&aside) {
                    let (seq, id) = (message.seq, &message.id);
                    return Err(format!("lost: {name:?} never got {key:?} {seq} ({id})"));
                }
            }
        }
        Ok(())
    }
}
