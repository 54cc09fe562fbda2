//! How many connections one address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::auth::network;

/// Counts connections by address. Bounded by the number of connections.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    max: Arc<AtomicU32>,
    counts: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<(Gate, IpAddr)>);

impl Gate {
    /// `max` connections for each address; 0 is no limit.
    pub(crate) fn new(max: u32) -> Gate {
        Gate {
            max: Arc::new(AtomicU32::new(max)),
            counts: Arc::default(),
        }
    }

    /// For connections from now on; those that are there stay.
    pub(crate) fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// A place for one more connection, if there is one. This machine itself is not counted.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
        let max = self.max.load(Ordering::Relaxed);
        if max == 0 || address.to_canonical().is_loopback() {
            return Some(Place(None));
        }
        let address = network(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(address).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place(Some((self.clone(), address))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((gate, address)) = self.0.take() else {
            return;
        };
        let mut counts = gate.counts.lock();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_and_one_past_it() {
        let gate = Gate::new(2);
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let there: IpAddr = "192.0.2.2".parse().unwrap();
        let one = gate.enter(here).unwrap();
        let _two = gate.enter(here).unwrap();
        assert!(gate.enter(here).is_none());
        let other = gate.enter(there).unwrap();
        drop(one);
        let _three = gate.enter(here).unwrap();
        assert!(gate.enter(here).is_none());
        drop(other);
        assert_eq!(gate.counts.lock().len(), 1);
        gate.set_max(3);
        let _four = gate.enter(here).unwrap();
        assert!(gate.enter(here).is_none());
    }

    #[test]
    fn loopback_and_no_limit() {
        let gate = Gate::new(1);
        let loopback: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let places: Vec<_> = (0..10).map(|_| gate.enter(loopback)).collect();
        assert!(places.iter().all(Option::is_some));
        let gate = Gate::new(0);
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        let places: Vec<_> = (0..10).map(|_| gate.enter(here)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(gate.counts.lock().is_empty());
    }
}
