//! Short names for what people do to files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Writes a file, the directories above it too.
#[track_caller]
pub(crate) fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Writes a program, the directories above it too. Another process writes it: a child that a test beside this one
/// starts meanwhile would inherit the handle, and what is open for writing cannot be run.
#[track_caller]
pub(crate) fn program(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let write = ["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"];
    let mut child = Command::new("sh").args(write).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_ref()).unwrap();
    assert!(child.wait().unwrap().success(), "{}", path.display());
}

/// Copies a program with its mode, by another process for the same reason.
#[track_caller]
pub(crate) fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").args(["-p", "--"]).args([from, to]).status().unwrap().success());
}

#[track_caller]
pub(crate) fn mkdir(path: impl AsRef<Path>) {
    fs::create_dir_all(path.as_ref()).unwrap();
}

#[track_caller]
pub(crate) fn chmod(path: impl AsRef<Path>, mode: u32) {
    let path = path.as_ref();
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

#[track_caller]
pub(crate) fn link(target: impl AsRef<Path>, at: impl AsRef<Path>) {
    std::os::unix::fs::symlink(target, at).unwrap();
}

/// Removes a file, a link, or a directory with all that is in it.
pub(crate) fn remove(path: impl AsRef<Path>) {
    super::temp::remove_tree(path.as_ref());
}

/// Changes a file of the store or a read-only one: its mode stands in the way of its owner.
#[track_caller]
pub(crate) fn overwrite(path: impl AsRef<Path>, change: impl FnOnce(&mut Vec<u8>)) {
    let path = path.as_ref();
    let meta = path.symlink_metadata().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    chmod(path, 0o600);
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(meta.modified().unwrap()).unwrap();
    chmod(path, meta.mode() & 0o7777);
}

/// Opens a directory for a while.
pub(crate) fn opened(dir: impl AsRef<Path>, work: impl FnOnce()) {
    let dir = dir.as_ref();
    let mode = dir.metadata().unwrap().mode() & 0o7777;
    chmod(dir, 0o700);
    work();
    chmod(dir, mode);
}

#[track_caller]
pub(crate) fn set_mtime(path: impl AsRef<Path>, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 123_456_789);
    fs::File::open(path.as_ref()).unwrap().set_modified(time).unwrap();
}

/// Whether permission bits bind this process.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self")
        .map_or_else(|_| super::TempDir::new().path().metadata().unwrap().uid() == 0, |m| m.uid() == 0)
}
