//! A walk over the package: which files are its own, and which paths Cargo is told to watch so that it sees all of
//! them. A directory is watched as a whole, so that new files in it are seen, where nothing in it is to stay out;
//! otherwise what is in it is watched one by one.

use std::fs;
use std::path::{Path, PathBuf};

use super::ignore::Ignored;

/// What a walk gives.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// What to watch.
    pub(super) watch: Vec<PathBuf>,
    /// The package's files and links.
    pub(super) files: Vec<PathBuf>,
}

/// Walks over a package. `never` are places that stay out although nothing may stand there yet: the store, and the
/// directory that the build writes into.
pub(super) fn walk(package: &Path, never: &[PathBuf]) -> Walked {
    let mut walker = Walker { never, ignored: Ignored::above(package), files: Vec::new() };
    let mut watch = Vec::new();
    if walker.visit(package, false, &mut watch) {
        watch = vec![package.to_path_buf()];
    }
    watch.sort();
    walker.files.sort();
    Walked { watch, files: walker.files }
}

struct Walker<'a> {
    never: &'a [PathBuf],
    ignored: Ignored,
    files: Vec<PathBuf>,
}

impl Walker<'_> {
    /// Whether the directory can be watched as a whole; else `watch` got what of it can be. In an ignored directory
    /// only what git tracks counts.
    fn visit(&mut self, dir: &Path, ignored: bool, watch: &mut Vec<PathBuf>) -> bool {
        let mut whole = !self.never.iter().any(|path| path.starts_with(dir));
        let before = self.ignored.enter(dir);
        let mut own = Vec::new();
        let mut entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            let ignored = ignored || self.ignored.ignores(&path, kind.is_dir());
            // A link that stays out of the watch is one of the package's all the same.
            if kind.is_symlink() && !ignored {
                self.files.push(path.clone());
            }
            if self.stays_out(&path, kind) || (ignored && !self.ignored.tracks(&path, kind.is_dir())) {
                whole = false;
            } else if kind.is_dir() {
                let mut below = Vec::new();
                if self.visit(&path, ignored, &mut below) {
                    own.push(path);
                } else {
                    own.append(&mut below);
                    whole = false;
                }
            } else if kind.is_file() || kind.is_symlink() {
                if kind.is_file() || ignored {
                    self.files.push(path.clone());
                }
                own.push(path);
            }
        }
        self.ignored.leave(before);
        if !whole {
            watch.append(&mut own);
        }
        whole
    }

    fn stays_out(&self, path: &Path, kind: fs::FileType) -> bool {
        let name = path.file_name().unwrap_or_default();
        let out = |path: &Path| self.never.iter().any(|never| path == never);
        if [".git", ".jj", ".hg", ".svn"].iter().any(|vcs| name == *vcs) || out(path) {
            return true;
        }
        if kind.is_symlink() {
            // Cargo follows links. One that leads to the store or to what the build writes, or above them, would be new
            // after every build; one that leads nowhere has no time to compare.
            return match super::place::canonical(path) {
                Some(target) => {
                    self.never.iter().any(|never| never.starts_with(&target) || target.starts_with(never))
                }
                None => true,
            };
        }
        kind.is_dir() && (is_target(path) || path.join("Cargo.toml").exists() || super::place::is_store(path))
    }
}

/// Whether a build tool's output stands there.
fn is_target(dir: &Path) -> bool {
    dir.join("CACHEDIR.TAG").exists()
        || dir.join(".rustc_info.json").exists()
        || (dir.ends_with("target") && dir.with_file_name("Cargo.toml").exists())
}
