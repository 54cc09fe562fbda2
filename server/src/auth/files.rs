//! Files that are read again when they change.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often files are looked at.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(2);

type Stamp = Option<(SystemTime, u64)>;

/// Some files, and how they looked when they were read last.
#[derive(Debug)]
pub(crate) struct Watched {
    files: Vec<(PathBuf, Stamp)>,
}

impl Watched {
    /// Call it before reading them: what changes between is then seen at the next look.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Watched {
        let files = paths.into_iter().map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        });
        Watched {
            files: files.collect(),
        }
    }

    /// True if any of them looks different from the last time.
    pub(crate) fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, before) in &mut self.files {
            let now = stamp(path);
            changed |= now != *before;
            *before = now;
        }
        changed
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}
