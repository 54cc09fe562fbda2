//! Which keys differ between two settings, and which of them a running server takes over.

use super::{Settings, keys};

/// A key in the settings.
pub(super) struct Place {
    /// A running server takes a new value over; the others need a restart.
    pub(super) live: bool,
    pub(super) differs: fn(&Settings, &Settings) -> bool,
    pub(super) copy: fn(&mut Settings, &Settings),
}

/// A [`Place`]: `live` or `restart`, and its path.
macro_rules! place {
    (@ $live:literal $($field:ident).+) => {
        $crate::config::reload::Place {
            live: $live,
            differs: |one, other| one.$($field).+ != other.$($field).+,
            copy: |to, from| to.$($field).+.clone_from(&from.$($field).+),
        }
    };
    (live $($field:ident).+) => { place!(@ true $($field).+) };
    (restart $($field:ident).+) => { place!(@ false $($field).+) };
}

/// A key whose value differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Section and name: `log.level`.
    pub key: &'static str,
    /// A running server takes the new value over; otherwise it counts from the next start on.
    pub live: bool,
}

impl Settings {
    /// In which keys `new` differs, in the order of `config/default.toml`.
    #[must_use]
    pub fn changes(&self, new: &Settings) -> Vec<Change> {
        let differ = keys::all().filter(|key| (key.place.differs)(self, new));
        let change = |key: &keys::Key| Change {
            key: key.path,
            live: key.place.live,
        };
        differ.map(change).collect()
    }

    /// Takes over what a running server can.
    pub(crate) fn take_live(&mut self, new: &Settings) {
        for key in keys::all().filter(|key| key.place.live) {
            (key.place.copy)(self, new);
        }
    }
}
