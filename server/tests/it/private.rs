//! What lies in the data directory is nobody else's business.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tidings_server::store::Durability;

use crate::support::TestServer;

/// A directory, and everything in it.
fn all(dir: &Path, found: &mut Vec<PathBuf>) {
    found.push(dir.to_owned());
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all(&path, found),
            false => found.push(path),
        }
    }
}

fn open_to_others(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    all(dir, &mut found);
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open = found.iter().filter(|path| mode(path) & 0o077 != 0);
    open.map(|path| format!("{} {:o}", path.display(), mode(path)))
        .collect()
}

#[test]
fn s13_files_are_their_owners_alone_also_those_that_existed() {
    let on_disk = |settings: &mut tidings_server::config::Settings| {
        settings.delivery.durability = Durability::Os;
    };
    let mut server = TestServer::start(on_disk);
    assert_eq!(open_to_others(server.data.path()), [""; 0]);
    let running = server.running.take().unwrap();
    server.runtime.block_on(running.stop());
    // As an earlier version left them, and beside them something that is not ours.
    let data = std::mem::replace(&mut server.data, tempfile::tempdir().unwrap());
    let mut found = Vec::new();
    all(data.path(), &mut found);
    assert!(found.iter().any(|path| path.ends_with("tidings.db")));
    for path in &found {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let foreign = data.path().join("notes.txt");
    fs::write(&foreign, "of somebody").unwrap();
    fs::set_permissions(&foreign, Permissions::from_mode(0o640)).unwrap();
    let again = TestServer::try_start(data, on_disk).unwrap();
    let open = open_to_others(again.data.path());
    assert_eq!(
        open,
        [format!(
            "{} 640",
            again.data.path().join("notes.txt").display()
        )]
    );
}
