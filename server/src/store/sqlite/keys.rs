//! Which ids were stored before: sorted runs of (hash of key, position) in files of their own.
//!
//! A B-tree of random keys costs about a page of log and a page of checkpoint per message once it
//! is large; a run is written once in order, and again in each of the few merges that it goes
//! through. Each run has a filter and every 256th hash in memory, so that a new id costs no read,
//! and a known one a single read. Runs cover adjacent parts of the log, and can be made again.
//!
//! Only a file whose name says from where up to where it goes is a run. It gets that name when its
//! bytes are synced, and is relied on when the name is; what a crash left on the way there is removed.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use super::files;

const MAGIC: u64 = u64::from_le_bytes(*b"TDKEYS01");
const HEADER_BYTES: usize = 48;
const ENTRY_BYTES: usize = 16;
/// Entries between two fences: one page of the file.
const FENCE_EVERY: usize = 256;
/// Runs of one size that are merged into one of the next.
const FAN_IN: usize = 4;
/// Runs of less than this are of the smallest size.
const SMALLEST_ENTRIES: usize = 4096;
/// Where a run is written until it is whole.
const UNFINISHED: &str = "unfinished";
/// How the name of a run ends.
const SUFFIX: &str = ".keys";
/// Runs above this are not merged any more (1 GiB).
const MERGED_ENTRIES_MAX: usize = 64 << 20;

/// The hash of a message's key and where the message is.
pub(super) type Entry = (u64, u64);

/// A blocked Bloom filter: all bits of a key are in one cache line. 12 bits a key and 6 probes let
/// about 1 % of unknown keys through.
#[derive(Debug)]
struct Filter {
    blocks: Vec<[u64; 8]>,
}

impl Filter {
    fn new(keys: usize) -> Filter {
        Filter {
            blocks: vec![[0; 8]; keys * 12 / 512 + 1],
        }
    }

    fn block(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.blocks.len() as u128) >> 64) as usize
    }

    /// Bit positions from a part of the hash that the choice of the block does not use up.
    fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..6).map(move |at| {
            let bit = (mixed >> (at * 9)) & 511;
            ((bit >> 6) as usize, 1 << (bit & 63))
        })
    }

    fn insert(&mut self, hash: u64) {
        let block = self.block(hash);
        for (word, bit) in Filter::bits(hash) {
            self.blocks[block][word] |= bit;
        }
    }

    fn may_have(&self, hash: u64) -> bool {
        let block = &self.blocks[self.block(hash)];
        Filter::bits(hash).all(|(word, bit)| block[word] & bit != 0)
    }
}

/// One file.
#[derive(Debug)]
pub(super) struct Run {
    /// Covers positions above this…
    from: u64,
    /// …up to this one.
    upto: u64,
    count: usize,
    path: PathBuf,
    file: Mutex<File>,
    filter: Filter,
    fences: Vec<u64>,
}

/// All of them, the oldest first.
#[derive(Debug, Clone)]
pub(super) struct Runs {
    dir: PathBuf,
    seed: u64,
    runs: Vec<Arc<Run>>,
    #[cfg(test)]
    steps: Steps,
}

/// Where a test cuts the writing of a run off: so many steps are made, and the next fails.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
struct Steps(Arc<std::sync::atomic::AtomicI64>);

#[cfg(test)]
impl Steps {
    fn next(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        match self.0.fetch_sub(1, Relaxed) {
            1 => Err(io::Error::other("a test wanted it")),
            _ => Ok(()),
        }
    }
}

impl Runs {
    /// Opens what is there. What is damaged, of another seed, or not connected is thrown away, and
    /// `watermark` says from where it has to be made again.
    pub(super) fn open(dir: &Path, seed: u64) -> io::Result<Runs> {
        files::make_directory(dir)?;
        let mut found = Vec::new();
        for file in fs::read_dir(dir)? {
            let file = file?;
            let path = file.path();
            let name = file.file_name();
            let run = match covers(&name.to_string_lossy()) {
                Some(covered) => Run::open(&path, seed, covered)?,
                None if name == UNFINISHED => None,
                None => {
                    tracing::warn!(file = %path.display(), "no file of ours: it stays as it is");
                    continue;
                }
            };
            match run {
                Some(run) => found.push(run),
                None => {
                    tracing::warn!(file = %path.display(), "not a complete run of keys: removed");
                    fs::remove_file(&path)?;
                }
            }
        }
        // The widest first, so that a merged run hides those that it was made from.
        found.sort_by_key(|run| (run.from, std::cmp::Reverse(run.upto)));
        let mut runs: Vec<Arc<Run>> = Vec::new();
        for run in found {
            let end = runs.last().map_or(0, |last| last.upto);
            if run.from == end {
                runs.push(Arc::new(run));
            } else {
                fs::remove_file(&run.path)?;
            }
        }
        // A name that a killed process gave may not be on disk yet, and is relied on from here.
        files::sync_directory(dir)?;
        Ok(Runs {
            dir: dir.to_owned(),
            seed,
            runs,
            #[cfg(test)]
            steps: Steps::default(),
        })
    }

    /// Up to which position keys are known.
    pub(super) fn watermark(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.upto)
    }

    /// How many files.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Where messages with this hash may be, the newest first.
    pub(super) fn find(&self, hash: u64) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for run in self.runs.iter().rev() {
            if run.filter.may_have(hash) {
                run.find(hash, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Adds the keys of the positions above the watermark up to `upto`.
    pub(super) fn add(&mut self, entries: &mut [Entry], upto: u64) -> io::Result<()> {
        entries.sort_unstable();
        let mut writer = Writer::new(self, self.watermark(), upto, entries.len())?;
        for entry in entries.iter() {
            writer.push(*entry)?;
        }
        self.runs.push(Arc::new(writer.finish()?));
        Ok(())
    }

    /// Merges the newest runs if enough of one size came together; keys of positions below `first`
    /// are gone from the log and left out. `true` if there was something to do.
    pub(super) fn merge(&mut self, first: u64) -> io::Result<bool> {
        let Some(start) = self.to_merge() else {
            return Ok(false);
        };
        let old = self.runs.split_off(start);
        match self.merged(&old, first) {
            Ok(run) => self.runs.push(Arc::new(run)),
            Err(error) => {
                self.runs.extend(old);
                return Err(error);
            }
        }
        for run in old {
            #[cfg(test)]
            self.steps.next()?;
            // The merged run hides it; the next start tries again.
            if let Err(error) = fs::remove_file(&run.path) {
                tracing::warn!(%error, file = %run.path.display(), "not removed");
            }
        }
        Ok(true)
    }

    fn to_merge(&self) -> Option<usize> {
        let mut start = self.runs.len();
        let mut found = None;
        let mut same = 0;
        let mut size = 0;
        let mut entries = 0;
        while start > 0 {
            let run = &self.runs[start - 1];
            entries += run.count;
            let of = (run.count / SMALLEST_ENTRIES).max(1).ilog(FAN_IN);
            if entries > MERGED_ENTRIES_MAX {
                break;
            }
            if of > size {
                size = of;
                same = 0;
            }
            same += 1;
            start -= 1;
            if same >= FAN_IN {
                found = Some(start);
            }
        }
        found
    }

    fn merged(&self, old: &[Arc<Run>], first: u64) -> io::Result<Run> {
        let (Some(oldest), Some(newest)) = (old.first(), old.last()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let total = old.iter().map(|run| run.count).sum();
        let mut writer = Writer::new(self, oldest.from, newest.upto, total)?;
        let mut sources = Vec::new();
        for run in old {
            sources.push(Source::open(run)?);
        }
        loop {
            let least = sources
                .iter()
                .enumerate()
                .filter_map(|(at, s)| Some((s.next?, at)))
                .min();
            let Some((entry, at)) = least else { break };
            sources[at].advance()?;
            if entry.1 >= first {
                writer.push(entry)?;
            }
        }
        writer.finish()
    }
}

/// What the name of a run says: above which position, and up to which.
fn covers(name: &str) -> Option<(u64, u64)> {
    let (from, upto) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let covered = (from.parse().ok()?, upto.parse().ok()?);
    (name_of(covered) == name).then_some(covered)
}

fn name_of((from, upto): (u64, u64)) -> String {
    format!("{from:020}-{upto:020}{SUFFIX}")
}

struct Source {
    file: BufReader<File>,
    left: usize,
    next: Option<Entry>,
}

impl Source {
    fn open(run: &Run) -> io::Result<Source> {
        let mut file = File::open(&run.path)?;
        file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
        let mut source = Source {
            file: BufReader::with_capacity(64 << 10, file),
            left: run.count,
            next: None,
        };
        source.advance()?;
        Ok(source)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        if self.left > 0 {
            self.left -= 1;
            let mut bytes = [0; ENTRY_BYTES];
            self.file.read_exact(&mut bytes)?;
            self.next = Some(entry(&bytes));
        }
        Ok(())
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
    u64::from_le_bytes(word)
}

fn entry(bytes: &[u8]) -> Entry {
    (word(bytes, 0), word(bytes, 1))
}

impl Run {
    /// Reads a file through, checks it and makes its filter. `None` if it is not a complete run of
    /// what its name says.
    fn open(path: &Path, seed: u64, covered: (u64, u64)) -> io::Result<Option<Run>> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; HEADER_BYTES];
        if bytes < HEADER_BYTES as u64 {
            return Ok(None);
        }
        reader.read_exact(&mut header)?;
        let [magic, of_seed, from, upto, count, sum] =
            [0, 1, 2, 3, 4, 5].map(|at| word(&header, at));
        let expected = (HEADER_BYTES as u64).checked_add(count.saturating_mul(ENTRY_BYTES as u64));
        let known = magic == MAGIC && of_seed == seed && (from, upto) == covered;
        if !known || from >= upto || expected != Some(bytes) {
            return Ok(None);
        }
        let mut filter = Filter::new(count as usize);
        let mut fences = Vec::new();
        let mut hash = Xxh3::new();
        let mut page = [0; ENTRY_BYTES * FENCE_EVERY];
        let mut left = count as usize;
        while left > 0 {
            let page = &mut page[..left.min(FENCE_EVERY) * ENTRY_BYTES];
            reader.read_exact(page)?;
            hash.update(page);
            fences.push(word(page, 0));
            for bytes in page.chunks_exact(ENTRY_BYTES) {
                filter.insert(word(bytes, 0));
            }
            left -= page.len() / ENTRY_BYTES;
        }
        if hash.digest() != sum {
            return Ok(None);
        }
        Ok(Some(Run {
            from,
            upto,
            count: count as usize,
            path: path.to_owned(),
            file: Mutex::new(reader.into_inner()),
            filter,
            fences,
        }))
    }

    fn find(&self, hash: u64, found: &mut Vec<u64>) -> io::Result<()> {
        // Equal hashes may begin on the page before the first fence that is not below.
        let mut page = self
            .fences
            .partition_point(|fence| *fence < hash)
            .saturating_sub(1);
        let mut bytes = [0; ENTRY_BYTES * FENCE_EVERY];
        while page < self.fences.len() && self.fences[page] <= hash {
            let entries = (self.count - page * FENCE_EVERY).min(FENCE_EVERY);
            let bytes = &mut bytes[..entries * ENTRY_BYTES];
            let at = HEADER_BYTES + page * FENCE_EVERY * ENTRY_BYTES;
            {
                let mut file = self.file.lock();
                file.seek(SeekFrom::Start(at as u64))?;
                file.read_exact(bytes)?;
            }
            let same = bytes
                .chunks_exact(ENTRY_BYTES)
                .map(entry)
                .filter(|entry| entry.0 == hash);
            found.extend(same.map(|entry| entry.1));
            page += 1;
        }
        Ok(())
    }
}

/// Writes a run beside its final name, so that only complete ones have it.
struct Writer {
    out: BufWriter<File>,
    hash: Xxh3,
    seed: u64,
    unfinished: PathBuf,
    run_path: PathBuf,
    dir: PathBuf,
    from: u64,
    upto: u64,
    count: usize,
    filter: Filter,
    fences: Vec<u64>,
    #[cfg(test)]
    steps: Steps,
}

impl Writer {
    fn new(runs: &Runs, from: u64, upto: u64, count: usize) -> io::Result<Writer> {
        #[cfg(test)]
        runs.steps.next()?;
        let unfinished = runs.dir.join(UNFINISHED);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)?;
        let mut out = BufWriter::with_capacity(256 << 10, file);
        out.write_all(&[0; HEADER_BYTES])?;
        Ok(Writer {
            out,
            hash: Xxh3::new(),
            seed: runs.seed,
            unfinished,
            run_path: runs.dir.join(name_of((from, upto))),
            dir: runs.dir.clone(),
            from,
            upto,
            count: 0,
            filter: Filter::new(count),
            fences: Vec::new(),
            #[cfg(test)]
            steps: runs.steps.clone(),
        })
    }

    fn push(&mut self, entry: Entry) -> io::Result<()> {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&entry.0.to_le_bytes());
        bytes[8..].copy_from_slice(&entry.1.to_le_bytes());
        self.hash.update(&bytes);
        self.filter.insert(entry.0);
        if self.count.is_multiple_of(FENCE_EVERY) {
            self.fences.push(entry.0);
        }
        self.count += 1;
        self.out.write_all(&bytes)
    }

    fn finish(self) -> io::Result<Run> {
        let mut file = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let words = [
            MAGIC,
            self.seed,
            self.from,
            self.upto,
            self.count as u64,
            self.hash.digest(),
        ];
        #[cfg(test)]
        self.steps.next()?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&words.map(u64::to_le_bytes).concat())?;
        #[cfg(test)]
        self.steps.next()?;
        file.sync_all()?;
        #[cfg(test)]
        self.steps.next()?;
        fs::rename(&self.unfinished, &self.run_path)?;
        #[cfg(test)]
        self.steps.next()?;
        files::sync_directory(&self.dir)?;
        Ok(Run {
            from: self.from,
            upto: self.upto,
            count: self.count,
            path: self.run_path,
            file: Mutex::new(file),
            filter: self.filter,
            fences: self.fences,
        })
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
