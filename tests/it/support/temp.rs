//! Scratch directories.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that removes itself with all that is in it, read-only or not.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// In memory where the system offers that: nothing there waits for a disk.
    pub(crate) fn fast() -> Self {
        match memory() {
            Some(dir) => Self::below(dir),
            None => Self::new(),
        }
    }

    /// Two directories on different file systems, if there are two.
    pub(crate) fn apart() -> Option<(Self, Self)> {
        let (a, b) = (Self::new(), Self::below(memory()?));
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

fn memory() -> Option<&'static Path> {
    Some(Path::new("/dev/shm")).filter(|dir| {
        let probe =
            dir.join(format!("backstop-it-probe-{}-{:?}", std::process::id(), std::thread::current().id()));
        fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).is_ok()
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
