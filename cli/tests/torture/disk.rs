//! A disk in memory that does what real ones do: it forgets what was not synced, fills up, becomes
//! read-only, fails syncs. Names are forgotten, too, until their directory is synced.
//!
//! What lies here is the disk itself; `fuse` shows it to the system.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use fuser::{Errno, FileType};

use crate::support::dice::Dice;

/// What is written, kept or forgotten as a whole.
pub(crate) const PAGE_BYTES: usize = 4096;
/// The directory that everything lies in.
pub(crate) const ROOT: u64 = 1;

type Page = Arc<[u8; PAGE_BYTES]>;

/// What a file or directory holds.
#[derive(Debug, Clone, Default)]
struct Content {
    pages: HashMap<u64, Page>,
    bytes: u64,
    names: BTreeMap<OsString, u64>,
}

/// A file or directory.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: FileType,
    pub(crate) permissions: u16,
    now: Content,
    synced: Content,
    dirty: BTreeSet<u64>,
    /// Syncs that failed: each open file is told of each once.
    failed: u64,
}

impl Node {
    fn new(kind: FileType, permissions: u16) -> Node {
        Node {
            kind,
            permissions,
            now: Content::default(),
            synced: Content::default(),
            dirty: BTreeSet::new(),
            failed: 0,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.now.bytes
    }
}

/// What the disk does wrong just now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trouble {
    /// Nothing more fits.
    pub(crate) full: bool,
    /// Nothing can be changed.
    pub(crate) read_only: bool,
    /// Nothing can be read.
    pub(crate) unreadable: bool,
    /// So many syncs fail; what they should have kept is forgotten unless it is written again.
    pub(crate) failing_syncs: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Disk {
    nodes: HashMap<u64, Node>,
    next: u64,
    /// Open files: which, and how many of its failed syncs this one was told of.
    open: HashMap<u64, (u64, u64)>,
    pub(crate) trouble: Trouble,
}

type Done<T> = Result<T, Errno>;

impl Disk {
    pub(crate) fn new() -> Disk {
        let root = Node::new(FileType::Directory, 0o755);
        Disk {
            nodes: HashMap::from([(ROOT, root)]),
            next: ROOT + 1,
            open: HashMap::new(),
            trouble: Trouble::default(),
        }
    }

    pub(crate) fn node(&self, ino: u64) -> Done<&Node> {
        self.nodes.get(&ino).ok_or(Errno::ENOENT)
    }

    fn node_mut(&mut self, ino: u64) -> Done<&mut Node> {
        self.nodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    fn writable(&self) -> Done<()> {
        match self.trouble.read_only {
            true => Err(Errno::EROFS),
            false => Ok(()),
        }
    }

    pub(crate) fn lookup(&self, parent: u64, name: &OsStr) -> Done<u64> {
        let found = self.node(parent)?.now.names.get(name);
        found.copied().ok_or(Errno::ENOENT)
    }

    /// Names in a directory.
    pub(crate) fn list(&self, ino: u64) -> Done<Vec<(u64, FileType, OsString)>> {
        let names = &self.node(ino)?.now.names;
        let entry =
            |(name, ino): (&OsString, &u64)| Ok((*ino, self.node(*ino)?.kind, name.clone()));
        names.iter().map(entry).collect()
    }

    pub(crate) fn make(
        &mut self,
        parent: u64,
        name: &OsStr,
        kind: FileType,
        permissions: u16,
    ) -> Done<u64> {
        self.writable()?;
        if self.trouble.full {
            return Err(Errno::ENOSPC);
        }
        if self.lookup(parent, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let ino = self.next;
        self.next += 1;
        self.nodes.insert(ino, Node::new(kind, permissions));
        self.node_mut(parent)?
            .now
            .names
            .insert(name.to_owned(), ino);
        Ok(ino)
    }

    pub(crate) fn remove(&mut self, parent: u64, name: &OsStr) -> Done<()> {
        self.writable()?;
        let ino = self.lookup(parent, name)?;
        if !self.node(ino)?.now.names.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.node_mut(parent)?.now.names.remove(name);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Done<()> {
        self.writable()?;
        let ino = self.lookup(from.0, from.1)?;
        self.node_mut(from.0)?.now.names.remove(from.1);
        self.node_mut(to.0)?.now.names.insert(to.1.to_owned(), ino);
        Ok(())
    }

    pub(crate) fn open(&mut self, ino: u64) -> Done<u64> {
        let failed = self.node(ino)?.failed;
        let handle = self.next;
        self.next += 1;
        self.open.insert(handle, (ino, failed));
        Ok(handle)
    }

    pub(crate) fn close(&mut self, handle: u64) {
        self.open.remove(&handle);
    }

    pub(crate) fn read(&self, ino: u64, offset: u64, size: usize) -> Done<Vec<u8>> {
        if self.trouble.unreadable {
            return Err(Errno::EIO);
        }
        let content = &self.node(ino)?.now;
        let end = content.bytes.min(offset + size as u64);
        let mut found = Vec::with_capacity(size);
        let mut at = offset;
        while at < end {
            let within = (at % PAGE_BYTES as u64) as usize;
            let length = (PAGE_BYTES - within).min((end - at) as usize);
            match content.pages.get(&(at / PAGE_BYTES as u64)) {
                Some(page) => found.extend_from_slice(&page[within..within + length]),
                None => found.resize(found.len() + length, 0),
            }
            at += length as u64;
        }
        Ok(found)
    }

    pub(crate) fn write(&mut self, ino: u64, offset: u64, data: &[u8]) -> Done<()> {
        self.writable()?;
        let full = self.trouble.full;
        let node = self.node_mut(ino)?;
        let pages =
            offset / PAGE_BYTES as u64..(offset + data.len() as u64).div_ceil(PAGE_BYTES as u64);
        if full
            && pages
                .clone()
                .any(|page| !node.now.pages.contains_key(&page))
        {
            return Err(Errno::ENOSPC);
        }
        for number in pages {
            let start = number * PAGE_BYTES as u64;
            let from = offset.max(start);
            let upto = (offset + data.len() as u64).min(start + PAGE_BYTES as u64);
            let page = node.now.pages.entry(number);
            let page = Arc::make_mut(page.or_insert_with(|| Arc::new([0; PAGE_BYTES])));
            let part = &data[(from - offset) as usize..(upto - offset) as usize];
            page[(from - start) as usize..(upto - start) as usize].copy_from_slice(part);
            node.dirty.insert(number);
        }
        node.now.bytes = node.now.bytes.max(offset + data.len() as u64);
        Ok(())
    }

    pub(crate) fn truncate(&mut self, ino: u64, bytes: u64) -> Done<()> {
        self.writable()?;
        let node = self.node_mut(ino)?;
        let first = bytes.div_ceil(PAGE_BYTES as u64);
        node.now.pages.retain(|page, _| *page < first);
        node.dirty.retain(|page| *page < first);
        let within = (bytes % PAGE_BYTES as u64) as usize;
        if within > 0
            && let Some(page) = node.now.pages.get_mut(&(bytes / PAGE_BYTES as u64))
        {
            Arc::make_mut(page)[within..].fill(0);
            node.dirty.insert(bytes / PAGE_BYTES as u64);
        }
        node.now.bytes = bytes;
        Ok(())
    }

    pub(crate) fn permit(&mut self, ino: u64, permissions: u16) -> Done<()> {
        self.writable()?;
        self.node_mut(ino)?.permissions = permissions;
        Ok(())
    }

    /// Makes the content of a file durable; one that fails tells so to everybody who has it open.
    pub(crate) fn sync(&mut self, handle: u64) -> Done<()> {
        let (ino, told) = *self.open.get(&handle).ok_or(Errno::EBADF)?;
        let fails = self.trouble.failing_syncs > 0;
        if fails {
            self.trouble.failing_syncs -= 1;
        }
        let node = self.node_mut(ino)?;
        match fails {
            true => {
                node.failed += 1;
                node.dirty.clear();
            }
            false => {
                let Content { pages, bytes, .. } = &mut node.synced;
                *bytes = node.now.bytes;
                pages.retain(|page, _| node.now.pages.contains_key(page));
                for page in std::mem::take(&mut node.dirty) {
                    if let Some(now) = node.now.pages.get(&page) {
                        pages.insert(page, now.clone());
                    }
                }
            }
        }
        let failed = node.failed;
        if failed > told {
            self.open.insert(handle, (ino, failed));
            return Err(Errno::EIO);
        }
        Ok(())
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_names(&mut self, ino: u64) -> Done<()> {
        if self.trouble.failing_syncs > 0 {
            self.trouble.failing_syncs -= 1;
            return Err(Errno::EIO);
        }
        let node = self.node_mut(ino)?;
        node.synced.names = node.now.names.clone();
        Ok(())
    }

    /// The power fails: of what was not synced each page is there or not, as chance has it; names of a
    /// directory that was not synced are all as they were, or all as they are.
    pub(crate) fn cut(&mut self, dice: &mut Dice) {
        self.open.clear();
        self.trouble = Trouble::default();
        let keep_all = dice.below(4) == 0;
        // In the order of their numbers, so that a seed does the same each time.
        let mut all: Vec<u64> = self.nodes.keys().copied().collect();
        all.sort_unstable();
        for ino in all {
            let Some(node) = self.nodes.get_mut(&ino) else {
                continue;
            };
            for page in std::mem::take(&mut node.dirty) {
                if !keep_all && dice.below(2) == 0 {
                    continue;
                }
                if let Some(now) = node.now.pages.get(&page) {
                    node.synced.pages.insert(page, now.clone());
                    let end = node.now.bytes.min((page + 1) * PAGE_BYTES as u64);
                    node.synced.bytes = node.synced.bytes.max(end);
                }
            }
            if dice.below(2) == 0 {
                node.synced.names = node.now.names.clone();
            }
            node.now = node.synced.clone();
            node.failed = 0;
        }
        self.forget_nameless();
    }

    fn forget_nameless(&mut self) {
        let mut named = HashSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(ino) = open.pop() {
            let names = self.nodes.get(&ino).map(|node| &node.now.names);
            for child in names.into_iter().flat_map(BTreeMap::values) {
                if named.insert(*child) {
                    open.push(*child);
                }
            }
        }
        self.nodes.retain(|ino, _| named.contains(ino));
    }
}
