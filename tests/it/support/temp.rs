//! Scratch directories.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that removes itself with all that is in it, read-only or not.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// In `TMPDIR` if that is set, else in memory if the system offers that: nothing there waits for a disk.
    pub(crate) fn new() -> Self {
        match memory() {
            Some(dir) if std::env::var_os("TMPDIR").is_none() => Self::below(dir),
            _ => Self::on_disk(),
        }
    }

    fn on_disk() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// Two directories on different file systems, if there are two.
    pub(crate) fn apart() -> Option<(Self, Self)> {
        let (a, b) = (Self::on_disk(), Self::below(memory()?));
        let device = |dir: &TempDir| fs::metadata(dir.path()).unwrap().dev();
        (device(&a) != device(&b)).then_some((a, b))
    }

    fn below(parent: &Path) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("backstop-it-{}-{number}", std::process::id()));
        remove_tree(&dir);
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        TempDir(dir.canonicalize().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// A file system in memory in which programs run and builds have room. A container often gives it 64 MiB.
fn memory() -> Option<&'static Path> {
    static MEMORY: OnceLock<Option<&Path>> = OnceLock::new();
    *MEMORY.get_or_init(|| {
        let dir = Path::new("/dev/shm");
        let probe = dir.join(format!("backstop-it-probe-{}", std::process::id()));
        let text = "set -e; printf '#!/bin/sh\n' >\"$0\"; chmod +x \"$0\"; \"$0\"; df -Pk \"$0\"";
        let answer = Command::new("sh").args(["-c", text]).arg(&probe).output().ok()?;
        let _ = fs::remove_file(probe);
        let table = String::from_utf8(answer.stdout).ok()?;
        let free: u64 = table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
        (answer.status.success() && free >= 2 << 20).then_some(dir)
    })
}

impl Drop for TempDir {
    fn drop(&mut self) {
        remove_tree(&self.0);
    }
}

/// Removes a tree; opens read-only directories first.
pub(crate) fn remove_tree(path: &Path) {
    let Ok(meta) = path.symlink_metadata() else { return };
    if !meta.is_dir() {
        let _ = fs::remove_file(path);
        return;
    }
    if meta.mode() & 0o700 != 0o700 {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        remove_tree(&entry.path());
    }
    let _ = fs::remove_dir(path);
}
