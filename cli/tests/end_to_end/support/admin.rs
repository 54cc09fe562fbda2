//! `tidings admin`.

use std::path::Path;
use std::process::Output;

use super::server::tidings;

/// Runs `tidings admin --data DIR …`.
pub(crate) fn admin(data: &Path, arguments: &[&str]) -> Output {
    let mut command = tidings();
    command.args(["admin", "--data"]).arg(data).args(arguments);
    command.output().unwrap()
}

/// What it prints; it must succeed.
pub(crate) fn says(data: &Path, arguments: &[&str]) -> String {
    let output = admin(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that says why it failed.
pub(crate) fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = admin(data, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(words.lines().count(), 1, "{words}");
    words
}
