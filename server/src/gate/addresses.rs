//! How many of something one address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::auth::network;

/// Counts by address, up to a limit. Bounded by what is counted.
#[derive(Debug, Clone)]
pub(crate) struct PerAddress {
    max: Arc<AtomicU32>,
    counts: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// One place of an address; free again when dropped.
#[derive(Debug)]
pub(crate) struct Counted(Option<Box<(PerAddress, IpAddr)>>);

impl PerAddress {
    /// `max` for each address; 0 is no limit.
    pub(crate) fn new(max: u32) -> PerAddress {
        PerAddress {
            max: Arc::new(AtomicU32::new(max)),
            counts: Arc::default(),
        }
    }

    /// For places from now on; those that are taken stay.
    pub(crate) fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// One more place, if there is one. This machine itself is not counted.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Counted> {
        let max = self.max.load(Ordering::Relaxed);
        if max == 0 || address.to_canonical().is_loopback() {
            return Some(Counted(None));
        }
        let address = network(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(address).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Counted(Some(Box::new((self.clone(), address)))))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(place) = self.0.take() else {
            return;
        };
        let (all, address) = *place;
        let mut counts = all.counts.lock();
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
        let all = PerAddress::new(2);
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let there: IpAddr = "192.0.2.2".parse().unwrap();
        let one = all.enter(here).unwrap();
        let _two = all.enter(here).unwrap();
        assert!(all.enter(here).is_none());
        let other = all.enter(there).unwrap();
        drop(one);
        let _three = all.enter(here).unwrap();
        assert!(all.enter(here).is_none());
        drop(other);
        assert_eq!(all.counts.lock().len(), 1);
        all.set_max(3);
        let _four = all.enter(here).unwrap();
        assert!(all.enter(here).is_none());
    }

    #[test]
    fn loopback_and_no_limit() {
        let all = PerAddress::new(1);
        let loopback: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let places: Vec<_> = (0..10).map(|_| all.enter(loopback)).collect();
        assert!(places.iter().all(Option::is_some));
        let all = PerAddress::new(0);
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        let places: Vec<_> = (0..10).map(|_| all.enter(here)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(all.counts.lock().is_empty());
    }
}
