//! Whether the database's write-ahead log breaks off where nothing can have broken it off.
//!
//! SQLite reads such a log up to the first frame whose checksum is wrong and takes that for its end, as
//! it is after a power cut. One flipped bit looks the same, and everything behind it would be gone
//! without a word. But a commit is synced before the next one is written, so what a power cut leaves
//! never has a frame that follows upon a commit behind its first wrong one.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const PAGE_BYTES_MAX: usize = 65_536;

/// Where a log breaks off, and what lies behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Break {
    /// The byte at which what cannot be read begins.
    pub(super) at: u64,
    /// Commits behind it, as far as they can be told.
    pub(super) commits: u64,
}

/// A checksum of SQLite's, which goes on from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

impl Sum {
    fn of(bytes: &[u8], at: usize) -> Sum {
        Sum(word(bytes, at), word(bytes, at + 4))
    }

    fn add(mut self, bytes: &[u8], is_big_endian: bool) -> Sum {
        let native = |at: usize| match is_big_endian {
            true => word(bytes, at),
            false => word(bytes, at).swap_bytes(),
        };
        for at in (0..bytes.len()).step_by(8) {
            self.0 = self.0.wrapping_add(native(at)).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(native(at + 4)).wrapping_add(self.0);
        }
        self
    }
}

/// Looks through a write-ahead log. `None` if it ends as it may, or is not there.
pub(super) fn look(path: &Path) -> io::Result<Option<Break>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER_BYTES];
    // Shorter, or never written: nothing was ever committed to it.
    if !whole(&mut reader, &mut header)? || header == [0; HEADER_BYTES] {
        return Ok(None);
    }
    let is_big_endian = word(&header, 0) & 1 == 1;
    let page_bytes = word(&header, 8) as usize;
    let sum = Sum(0, 0).add(&header[..24], is_big_endian);
    let is_right = word(&header, 0) & !1 == MAGIC
        && (512..=PAGE_BYTES_MAX).contains(&page_bytes)
        && sum == Sum::of(&header, 24);
    if !is_right {
        return Ok(Some(Break { at: 0, commits: 0 }));
    }
    frames(&mut reader, page_bytes, is_big_endian, &header[16..24], sum)
}

fn frames(
    reader: &mut BufReader<File>,
    page_bytes: usize,
    is_big_endian: bool,
    salts: &[u8],
    mut stored: Sum,
) -> io::Result<Option<Break>> {
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let mut at = HEADER_BYTES as u64;
    let mut broken: Option<Break> = None;
    let mut follows = false;
    // Whether the frame before ends a commit of this log's.
    let mut after_commit = false;
    while whole(reader, &mut frame)? {
        let sum = stored.add(&frame[..8], is_big_endian);
        let sum = sum.add(&frame[FRAME_HEADER_BYTES..], is_big_endian);
        let is_ours = frame[8..16] == *salts;
        let is_right = is_ours && sum == Sum::of(&frame, 16);
        match &mut broken {
            None if !is_right => broken = Some(Break { at, commits: 0 }),
            Some(_) if is_right && after_commit => follows = true,
            _ => {}
        }
        let is_commit = is_ours && word(&frame, 4) != 0;
        if let Some(broken) = &mut broken {
            broken.commits += u64::from(is_commit);
        }
        after_commit = is_commit;
        stored = Sum::of(&frame, 16);
        at += frame.len() as u64;
    }
    Ok(broken.filter(|_| follows))
}

/// Fills the buffer; false at the end.
fn whole(reader: &mut BufReader<File>, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}
