//! Bits that flip in what a killed server left: each is harmless, or it is announced, by the start, by
//! `tidings admin check`, or in the log.

use std::path::{Path, PathBuf};

use tidings_server::store::{Page, SqliteOptions, SqliteStore, Store as _};

use crate::support::admin::admin;
use crate::support::dice::Dice;
use crate::support::server::{Server, serve};

/// Flips in one round.
const FLIPS: usize = 6;
/// What the log says of damage that costs one conversation, one index or nothing.
const ANNOUNCED: [&str; 4] = [
    "damaged",
    "not a complete run",
    "is made again",
    "made again from",
];

/// For each conversation its key and its messages by number.
type Kept = [(String, Vec<(u64, String)>)];

/// Copies files and directories; what is neither (a socket) is left out.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        match entry.metadata().unwrap() {
            meta if meta.is_dir() => files(&entry.path(), found),
            meta if meta.len() > 0 => found.push(entry.path()),
            _ => {}
        }
    }
}

/// Flips bits, one at a time.
pub(crate) fn flip(left: &Path, kept: &Kept, dice: &mut Dice) -> Result<(), String> {
    for _ in 0..FLIPS {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        copy(left, &data);
        let mut all = Vec::new();
        files(&data, &mut all);
        let file = dice.pick(&all);
        let mut bytes = std::fs::read(file).unwrap();
        let (byte, bit) = (dice.below(bytes.len()), dice.below(8));
        bytes[byte] ^= 1 << bit;
        std::fs::write(file, bytes).unwrap();
        let name = file.strip_prefix(&data).unwrap().display().to_string();
        let what = look(dir.path(), kept);
        let what = what.map_err(|words| format!("bit {bit} of byte {byte} of {name}: {words}"))?;
        println!("  bit {bit} of byte {byte} of {name}: {what}");
    }
    Ok(())
}

/// Harmless or announced; an error if neither.
fn look(dir: &Path, kept: &Kept) -> Result<&'static str, String> {
    let server = match Server::run(dir, serve(dir, &[])) {
        Ok(server) => server,
        Err(failed) if failed.code == Some(1) && failed.stderr.contains("tidings: ") => {
            return Ok("announced by the start");
        }
        Err(failed) => return Err(format!("it ended without a word: {failed:?}")),
    };
    let log = server.log_text();
    let announced = ANNOUNCED.iter().any(|words| log.contains(words));
    server.kill();
    let data = dir.join("data");
    let checked = admin(&data, &["check"]);
    if !checked.status.success() {
        return Ok("announced by the check");
    }
    if announced {
        return Ok("announced in the log");
    }
    let store = SqliteStore::open(&data, SqliteOptions::default());
    let store = store.map_err(|error| error.to_string())?;
    for (key, messages) in kept {
        let mut found = Vec::new();
        loop {
            let after = found.last().map_or(0, |(seq, _)| *seq);
            let page = store.history(key, Page::After(after, 1000));
            let page = page.map_err(|error| error.to_string())?;
            if page.is_empty() {
                break;
            }
            found.extend(
                page.iter()
                    .map(|message| (message.seq, message.id.to_string())),
            );
        }
        if found.len() < messages.len() || found[..messages.len()] != messages[..] {
            return Err(format!(
                "{} of {} messages of {} are there, and nobody says a word",
                found.len(),
                messages.len(),
                key.replace('\n', " and ")
            ));
        }
    }
    Ok("harmless")
}
