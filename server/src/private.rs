//! What lies in the data directory is nobody else's business: the directory is its owner's alone (0700),
//! and so is every file that the server keeps there (0600), however old. What is made later is made so
//! by `serve`, which sets the umask; who embeds the server is kept safe by the directory.

use std::path::Path;

/// Names of ours, but for databases with what SQLite puts beside them.
const NAMES: [&str; 7] = [
    "keys",
    "lock",
    "head",
    "reserve",
    "trial",
    "visitors.key",
    "visitors.key.new",
];

fn is_ours(name: &str) -> bool {
    NAMES.contains(&name)
        || name
            .split_once(".db")
            .is_some_and(|(stem, _)| !stem.is_empty())
}

/// Takes from others what they may do with the data directory and the files in it. Says so in the log
/// if that was more than nothing, and goes on if it cannot be changed: the files may be somebody
/// else's on purpose.
#[cfg(unix)]
pub(crate) fn tighten(dir: &Path) {
    let mut open = 0;
    if let Err(error) = walk(dir, &mut open, 0) {
        tracing::warn!(dir = %dir.display(), %error,
            "who else may read the data directory could not be changed: chmod -R go= it");
    }
    if open > 0 {
        tracing::warn!(dir = %dir.display(), count = open,
            "files of the data directory could be read by others on this machine; now by their owner alone");
    }
}

/// Closes one file or directory; counts it if it was open.
#[cfg(unix)]
fn close(path: &Path, mode: u32, open: &mut usize) -> std::io::Result<()> {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    let found = fs::symlink_metadata(path)?;
    if !found.is_symlink() && found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        *open += 1;
    }
    Ok(())
}

#[cfg(unix)]
fn walk(dir: &Path, open: &mut usize, depth: usize) -> std::io::Result<()> {
    close(dir, 0o700, open)?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let ours = depth > 0 || entry.file_name().to_str().is_some_and(is_ours);
        let done = match (kind.is_file(), kind.is_dir()) {
            _ if !ours => Ok(()),
            (true, _) => close(&path, 0o600, open),
            (_, true) if depth == 0 => walk(&path, open, depth + 1),
            _ => Ok(()),
        };
        match done {
            // Something that came and went meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn tighten(_dir: &Path) {}
