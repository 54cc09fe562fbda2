//! A small file system, where the system permits it.

use std::path::Path;
use std::process::Command;

/// A small file system of its own, gone when dropped.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    pub(crate) fn mount(at: &Path) -> Result<SmallDisk<'_>, String> {
        SmallDisk::of_mebibytes(at, 4)
    }

    pub(crate) fn of_mebibytes(at: &Path, mebibytes: u32) -> Result<SmallDisk<'_>, String> {
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(at)
            .output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(SmallDisk(at)),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
