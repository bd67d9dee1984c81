//! Pictures of directory trees: taken, compared and copied.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use backstop::path::show_path;

use super::edit::is_root;

/// What stands at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) what: What,
    /// Permission bits; 0 for links.
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Where it was asked for.
    pub(crate) mtime: Option<(i64, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    File(Vec<u8>),
    Directory,
    Link(PathBuf),
    Special,
}

/// A tree at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Picture(pub(crate) BTreeMap<PathBuf, Node>);

impl Picture {
    /// Everything below `root` but `.git` and the given directories. Times are left out.
    pub(crate) fn take(root: &Path, without: &[&Path]) -> Self {
        Self::taken(root, without, false)
    }

    /// The same with modification times, those of directories too.
    pub(crate) fn with_times(root: &Path, without: &[&Path]) -> Self {
        Self::taken(root, without, true)
    }

    fn taken(root: &Path, without: &[&Path], times: bool) -> Self {
        let mut out = Picture::default();
        out.add(root, Path::new(""), without, times);
        out
    }

    fn add(&mut self, root: &Path, below: &Path, without: &[&Path], times: bool) {
        let dir = root.join(below);
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let entry = entry.unwrap();
            let (path, full) = (below.join(entry.file_name()), entry.path());
            if entry.file_name() == ".git" || without.contains(&full.as_path()) {
                continue;
            }
            let meta = full.symlink_metadata().unwrap();
            let what = if meta.is_dir() {
                What::Directory
            } else if meta.is_symlink() {
                What::Link(fs::read_link(&full).unwrap())
            } else if meta.is_file() {
                What::File(fs::read(&full).unwrap())
            } else {
                What::Special
            };
            let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o7777 };
            let mtime = times.then(|| (meta.mtime(), meta.mtime_nsec()));
            let is_dir = meta.is_dir();
            self.0.insert(path.clone(), Node { what, mode, owner: (meta.uid(), meta.gid()), mtime });
            if is_dir {
                self.add(root, &path, without, times);
            }
        }
    }

    /// The part at and below `path`.
    pub(crate) fn below(&self, path: &str) -> Self {
        Picture(
            self.0.iter().filter(|(p, _)| p.starts_with(path)).map(|(p, n)| (p.clone(), n.clone())).collect(),
        )
    }

    /// What differs, one line a path; empty where nothing does.
    pub(crate) fn diff(&self, other: &Picture) -> String {
        let mut out = String::new();
        let paths: BTreeSet<&PathBuf> = self.0.keys().chain(other.0.keys()).collect();
        for path in paths {
            let (a, b) = (self.0.get(path), other.0.get(path));
            if a != b {
                let _ = writeln!(out, "  {}: {} -> {}", show_path(path), show(a), show(b));
            }
        }
        out
    }
}

fn show(node: Option<&Node>) -> String {
    let Some(node) = node else { return "nothing".into() };
    let what = match &node.what {
        What::File(bytes) => format!(
            "file of {} bytes {:?}",
            bytes.len(),
            String::from_utf8_lossy(&bytes[..bytes.len().min(24)])
        ),
        What::Directory => "directory".into(),
        What::Link(to) => format!("link to {}", show_path(to)),
        What::Special => "special".into(),
    };
    format!("{what} {:04o} {:?} {:?}", node.mode, node.owner, node.mtime)
}

/// Fails with what differs.
#[track_caller]
pub(crate) fn assert_same(found: &Picture, expected: &Picture, when: &str) {
    let diff = expected.diff(found);
    assert!(diff.is_empty(), "{when}: the tree differs (expected -> found):\n{diff}");
}

/// Copies a tree with modes, owners and times. Hard links become files of their own.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap_or_else(|e| panic!("{}: {e}", to.display()));
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_tree(&source, &target);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source).unwrap(), &target).unwrap();
            let (a, b) = (source.symlink_metadata().unwrap(), target.symlink_metadata().unwrap());
            if is_root() && (a.uid(), a.gid()) != (b.uid(), b.gid()) {
                std::os::unix::fs::lchown(&target, Some(a.uid()), Some(a.gid())).unwrap();
            }
        } else if kind.is_file() {
            // With its permission bits.
            if source.metadata().unwrap().mode() & 0o111 == 0 {
                fs::copy(&source, &target).unwrap();
            } else {
                super::edit::copy_program(&source, &target);
            }
            like(&source, &target);
        } else {
            assert!(kind.is_fifo() || kind.is_socket(), "{}", source.display());
        }
    }
    like(from, to);
}

fn like(source: &Path, target: &Path) {
    let meta = source.metadata().unwrap();
    // A read-only file takes no times through a handle that writes; a handle that reads does as well.
    let file = fs::File::open(target).unwrap();
    file.set_modified(meta.modified().unwrap()).unwrap();
    let copied = target.metadata().unwrap();
    if is_root() && (copied.uid(), copied.gid()) != (meta.uid(), meta.gid()) {
        std::os::unix::fs::lchown(target, Some(meta.uid()), Some(meta.gid())).unwrap();
    }
    if copied.mode() != meta.mode() || copied.uid() != meta.uid() {
        fs::set_permissions(target, fs::Permissions::from_mode(meta.mode() & 0o7777)).unwrap();
    }
}
