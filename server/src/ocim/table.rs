//! The sessions of customers: one for each user, the newest login's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tidings_core::ids::Name;
use tidings_core::limits;

use crate::gate::{Counted, PerAddress};

/// Why nobody else is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    /// All together.
    #[error("{max} sessions are open, which is the limit: try again later", max = limits::OCIM_SESSIONS_MAX)]
    Total,
    /// One address.
    #[error("{0} sessions are open from your address, which is ocim.sessions_per_address")]
    Address(u32),
}

/// See the module. `S` is a session.
#[derive(Debug)]
pub(super) struct Table<S> {
    sessions: Mutex<HashMap<Name, Arc<S>>>,
    /// Seats that are taken, agents' included.
    taken: Arc<AtomicUsize>,
    addresses: PerAddress,
    per_address: u32,
}

/// One session's seat, counted in all and for its address; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    taken: Arc<AtomicUsize>,
    _place: Counted,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<S> Table<S> {
    pub(super) fn new(per_address: u32) -> Table<S> {
        Table {
            sessions: Mutex::default(),
            taken: Arc::default(),
            addresses: PerAddress::new(per_address),
            per_address,
        }
    }

    /// A seat for one more session of a customer or an agent.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Seat, Full> {
        let place = self.addresses.enter(address);
        let place = place.ok_or(Full::Address(self.per_address))?;
        let before = self.taken.fetch_add(1, Ordering::AcqRel);
        let seat = Seat {
            taken: self.taken.clone(),
            _place: place,
        };
        match before < limits::OCIM_SESSIONS_MAX {
            true => Ok(seat),
            false => Err(Full::Total),
        }
    }

    /// The session of a user. Looking does not remove it.
    pub(super) fn get(&self, user: &str) -> Option<Arc<S>> {
        self.sessions.lock().get(user).cloned()
    }

    /// Everybody's.
    pub(super) fn all(&self) -> Vec<Arc<S>> {
        self.sessions.lock().values().cloned().collect()
    }

    /// Puts a session in, and returns the one that it replaces.
    pub(super) fn insert(&self, user: Name, session: Arc<S>) -> Option<Arc<S>> {
        self.sessions.lock().insert(user, session)
    }

    /// Takes a session out, unless another has taken its place.
    pub(super) fn remove(&self, user: &str, session: &Arc<S>) -> bool {
        let mut sessions = self.sessions.lock();
        let is_it = |held: &Arc<S>| Arc::ptr_eq(held, session);
        let found = sessions.get(user).is_some_and(is_it);
        if found {
            sessions.remove(user);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_session_cannot_remove_a_newer_one() {
        let table = Table::new(0);
        let (old, new) = (Arc::new(1), Arc::new(2));
        let user = Name::from("alice");
        assert!(table.insert(user.clone(), old.clone()).is_none());
        assert_eq!(table.insert(user.clone(), new.clone()), Some(old.clone()));
        assert!(!table.remove("alice", &old));
        assert_eq!(table.get("alice"), Some(new.clone()));
        assert_eq!(table.get("alice"), Some(new.clone()));
        assert!(table.remove("alice", &new));
        assert_eq!(table.get("alice"), None);
    }

    #[test]
    fn all_together_have_a_bound() {
        let table: Table<()> = Table::new(0);
        let address = "192.0.2.1".parse().unwrap();
        table
            .taken
            .store(limits::OCIM_SESSIONS_MAX - 1, Ordering::Release);
        let last = table.enter(address).unwrap();
        assert_eq!(table.enter(address).unwrap_err(), Full::Total);
        drop(last);
        assert!(table.enter(address).is_ok());
    }

    #[test]
    fn one_address_has_a_share() {
        let table: Table<()> = Table::new(2);
        let address = "192.0.2.1".parse().unwrap();
        let one = table.enter(address).unwrap();
        let _two = table.enter(address).unwrap();
        assert_eq!(table.enter(address).unwrap_err(), Full::Address(2));
        assert!(table.enter("192.0.2.2".parse().unwrap()).is_ok());
        drop(one);
        assert!(table.enter(address).is_ok());
    }
}
