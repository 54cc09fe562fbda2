//! Which UDP address has which link: the numbers of links alone, by the hash of the address that
//! each leads to, because there are many that say nothing for hours.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use hashbrown::HashTable;
use tidings_core::ids::LinkId;

use super::{LinkEntry, end_of};
use crate::link::LinkEnd;

/// See the module. Every link in it is registered, and leads to an address.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    table: HashTable<LinkId>,
    hash: RandomState,
}

fn address_of(links: &[Option<LinkEntry>], link: LinkId) -> Option<SocketAddr> {
    end_of(links, link).and_then(LinkEnd::address)
}

impl Addresses {
    /// The link that leads to an address.
    pub(super) fn find(&self, to: SocketAddr, links: &[Option<LinkEntry>]) -> Option<LinkId> {
        let leads_there = |link: &LinkId| address_of(links, *link) == Some(to);
        self.table
            .find(self.hash.hash_one(to), leads_there)
            .copied()
    }

    /// Adds a link that is registered; there is none for its address.
    pub(super) fn insert(&mut self, to: SocketAddr, link: LinkId, links: &[Option<LinkEntry>]) {
        let hash = &self.hash;
        let rehash = |link: &LinkId| hash.hash_one(address_of(links, *link).unwrap_or(to));
        self.table.insert_unique(hash.hash_one(to), link, rehash);
    }

    /// Removes the link of an address, before it is unregistered.
    pub(super) fn remove(&mut self, to: SocketAddr, links: &[Option<LinkEntry>]) {
        let leads_there = |link: &LinkId| address_of(links, *link) == Some(to);
        if let Ok(entry) = self.table.find_entry(self.hash.hash_one(to), leads_there) {
            entry.remove();
        }
    }
}
