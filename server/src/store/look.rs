//! What people ask of a store, not the machines: where a message is, what is known of a user.

use serde::Serialize;
use tidings_core::custody::{Cursor, Draft};
use tidings_core::ids::{DeviceId, Name};
use tidings_core::limits;

use super::people;

/// A message looked for by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The sender's id for it.
    pub id: Name,
    /// Sender and receiver, if they are known: found however old it is.
    pub between: Option<(Name, Name)>,
}

/// What is kept of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// His devices, in the order of their first logins.
    pub devices: Vec<Device>,
}

/// One installation of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: Name,
    /// Its class at the last login.
    pub class: Name,
    /// Its first login, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// A login of it, written again after a day: not the last one to the minute.
    pub seen_ms: i64,
}

/// How far a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Which device.
    pub device: Name,
    /// Its number in the store.
    pub id: DeviceId,
    /// Everything up to this number is acknowledged.
    pub acked: u64,
    /// The number asked about is acknowledged, alone or with all below it.
    pub acknowledged: bool,
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Messages, about: those that retention took may count until their place is given back.
    pub messages: u64,
    /// Bytes on disk, or in memory if there is no disk.
    pub bytes: u64,
}

/// What a check of a store found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Checked {
    /// Messages that were looked at.
    pub messages: u64,
    /// In so many conversations.
    pub conversations: u64,
    /// How much is wrong.
    pub faults: u64,
    /// The first [`FAULTS_TOLD_MAX`](limits::FAULTS_TOLD_MAX) of it, in words.
    pub told: Vec<String>,
}

impl Checked {
    /// Something is wrong.
    pub(crate) fn fault(&mut self, words: impl Into<String>) {
        self.faults += 1;
        if self.told.len() < limits::FAULTS_TOLD_MAX {
            self.told.push(words.into());
        }
    }
}

impl Search {
    /// The key that an exact search looks for.
    pub(super) fn draft(&self) -> Option<Draft> {
        let (from, to) = self.between.clone()?;
        Some(Draft {
            from,
            to,
            id: self.id.clone(),
            typeu: 0,
            body: "".into(),
            time_ms: 0,
        })
    }

    /// When the id was made, if it says so: a UUID of version 7.
    pub(super) fn time_ms(&self) -> Option<i64> {
        let id = uuid::Uuid::try_parse(&self.id).ok()?;
        let (seconds, nanos) = id.get_timestamp()?.to_unix();
        let known = id.get_version_num() == 7;
        let ms = i64::try_from(seconds).ok()? * 1000 + i64::from(nanos / 1_000_000);
        known.then_some(ms)
    }
}

impl From<&people::Device> for Device {
    fn from(device: &people::Device) -> Device {
        Device {
            name: device.name.as_str().into(),
            class: device.class.as_str().into(),
            created_ms: device.created_ms,
            seen_ms: device.seen_ms,
        }
    }
}

/// What a device's cursor says about one number.
pub(super) fn receipt(device: &people::Device, cursor: &Cursor, seq: u64) -> Receipt {
    Receipt {
        device: device.name.as_str().into(),
        id: DeviceId(device.id),
        acked: cursor.acked,
        acknowledged: seq <= cursor.acked || cursor.sparse.contains(&seq),
    }
}
