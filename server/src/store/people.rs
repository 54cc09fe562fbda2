//! What is remembered of a user: devices, and the logins that were issued.
//!
//! Pure; the stores decide where it is kept.

use serde::{Deserialize, Serialize};
use tidings_core::custody::{Grant, LoginRecord};
use tidings_core::ids::DeviceId;
use tidings_core::limits;

/// A device seen again is written again only after so long: logins that change nothing else then
/// write nothing.
const SEEN_AGAIN_MS: i64 = 24 * 3600 * 1000;

/// One installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) class: String,
    pub(crate) created_ms: i64,
    pub(crate) seen_ms: i64,
}

/// The `firstLoginTime`s issued to one class of devices, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Issued {
    pub(crate) class: String,
    pub(crate) times: Vec<i64>,
}

/// Everything about one user. Kept as JSON in one row, so that a login is one read and one write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    /// The greatest value ever issued.
    pub(crate) last_issued: i64,
    pub(crate) issued: Vec<Issued>,
    pub(crate) devices: Vec<Device>,
}

/// What a login did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LoggedIn {
    pub(crate) grant: Grant,
    /// The user has to be written.
    pub(crate) changed: bool,
    /// A further device of a user who had one: it starts at the heads.
    pub(crate) starts_at_heads: bool,
    /// A device that had to make room; its cursors go with it.
    pub(crate) forgotten: Option<DeviceId>,
}

impl User {
    /// Arbitrates a login. `next_device` is the number that a new device gets.
    pub(crate) fn login(&mut self, record: &LoginRecord, next_device: u64) -> LoggedIn {
        let (first_login_time, issued_before) = self.arbitrate(record);
        let mut done = LoggedIn {
            grant: Grant {
                device: DeviceId(next_device),
                first_login_time,
                issued_before,
            },
            changed: !issued_before,
            starts_at_heads: false,
            forgotten: None,
        };
        let known = self.devices.iter_mut().find(|d| *d.name == *record.device);
        if let Some(device) = known {
            done.grant.device = DeviceId(device.id);
            let stale = record.now_ms.saturating_sub(device.seen_ms) > SEEN_AGAIN_MS;
            if stale || *device.class != *record.class || !issued_before {
                device.seen_ms = device.seen_ms.max(record.now_ms);
                device.class = record.class.to_string();
                done.changed = true;
            }
            return done;
        }
        done.changed = true;
        done.starts_at_heads = !self.devices.is_empty();
        if self.devices.len() >= limits::DEVICES_PER_USER_MAX {
            done.forgotten = self.forget_a_device();
        }
        self.devices.push(Device {
            id: next_device,
            name: record.device.to_string(),
            class: record.class.to_string(),
            created_ms: record.now_ms,
            seen_ms: record.now_ms,
        });
        done
    }

    fn forget_a_device(&mut self) -> Option<DeviceId> {
        let oldest = self.devices.iter().min_by_key(|d| (d.seen_ms, d.id))?.id;
        self.devices.retain(|d| d.id != oldest);
        Some(DeviceId(oldest))
    }

    fn arbitrate(&mut self, record: &LoginRecord) -> (i64, bool) {
        let class = self.issued.iter().position(|i| *i.class == *record.class);
        let known = class.is_some_and(|at| self.issued[at].times.contains(&record.presented));
        if known && record.presented > 0 {
            return (record.presented, true);
        }
        // Ours, above all that came before it, and never 0 or less, which means "none".
        let value = record.now_ms.max(self.last_issued.saturating_add(1)).max(1);
        self.last_issued = value;
        let at = class.unwrap_or_else(|| {
            if self.issued.len() >= limits::SESSIONS_PER_USER_MAX {
                self.forget_a_class();
            }
            self.issued.push(Issued {
                class: record.class.to_string(),
                times: Vec::new(),
            });
            self.issued.len() - 1
        });
        let times = &mut self.issued[at].times;
        if times.len() >= limits::ISSUED_LOGINS_MAX {
            times.remove(0);
        }
        times.push(value);
        (value, false)
    }

    fn forget_a_class(&mut self) {
        let last = |issued: &Issued| issued.times.last().copied();
        let oldest = (0..self.issued.len()).min_by_key(|at| last(&self.issued[*at]));
        if let Some(at) = oldest {
            self.issued.remove(at);
        }
    }
}
