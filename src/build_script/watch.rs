//! What Cargo is told to watch. Cargo runs a build script again for ever where a path that it is to watch is
//! missing, and most of what the guard waits for is missing at first: a store that is not born yet.
//!
//! So the guard keeps a directory of symbolic links in `OUT_DIR` and has Cargo watch that. Cargo follows links in a
//! directory and passes over those that lead nowhere; when something appears at the other end, it is newer than the
//! build script's last run. For a rollback the link leads to its journal, which is there from its begin to its end:
//! the birth of the store alone makes nothing run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Puts together what is watched.
pub(super) struct Watch<'a> {
    /// The package as Cargo names it; relative paths count from there.
    package: &'a Path,
    root: &'a Path,
    out_dir: &'a Path,
    /// Whether `..` from the package leads where it seems to.
    plain: bool,
    paths: Vec<String>,
    links: Vec<(&'static str, PathBuf)>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(named: &'a Path, package: &'a Path, root: &'a Path, out_dir: &'a Path) -> Self {
        Watch { package, root, out_dir, plain: named == package, paths: Vec::new(), links: Vec::new() }
    }

    /// Watches something that is there. Below the workspace root it is named relative to the package, so that a
    /// workspace that was moved has nothing to rebuild.
    pub(super) fn path(&mut self, path: &Path) {
        let near = path.starts_with(self.root) && self.package.starts_with(self.root);
        let shown = match near && (self.plain || path.starts_with(self.package)) {
            true => relative(self.package, path),
            false => path.to_path_buf(),
        };
        // What has no printable name is left to the watch over its directory.
        if let Some(text) = printable(&shown) {
            self.paths.push(text.to_owned());
        }
    }

    /// Watches for a rollback's begin. `link` is a name for it of its own.
    pub(super) fn state(&mut self, store: &Path, link: &'static str) {
        let state = store.join("state");
        match (state.is_file(), printable(&state)) {
            (true, Some(_)) => self.path(&state),
            (true, None) => self.links.push((link, state)),
            (false, _) => self.links.push((link, store.join("rollback/journal"))),
        }
    }

    /// Watches something of the store, born or not.
    pub(super) fn file(&mut self, store: &Path, name: &'static str) {
        let path = store.join(name);
        match path.exists() && printable(&path).is_some() {
            true => self.path(&path),
            false => self.links.push((name, path)),
        }
    }

    /// All paths, each once.
    pub(super) fn finish(mut self) -> Vec<String> {
        if !self.links.is_empty() {
            let dir = self.out_dir.join("backstop-watch");
            if self.link(&dir).is_ok()
                && let Some(text) = dir.to_str()
            {
                self.paths.push(text.to_owned());
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        self.paths.retain(|path| seen.insert(path.clone()));
        self.paths
    }

    /// Makes the directory of links what it is to be, and old: what the script itself makes is newer than its start,
    /// from which Cargo counts.
    #[expect(clippy::disallowed_methods, reason = "the guard writes here alone, in OUT_DIR")]
    fn link(&self, dir: &Path) -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)?.flatten() {
            fs::remove_file(entry.path())?;
        }
        for (name, to) in &self.links {
            // Relative where both move together.
            let to = if self.out_dir.starts_with(self.root) && to.starts_with(self.root) {
                relative(dir, to)
            } else {
                to.clone()
            };
            #[cfg(unix)]
            std::os::unix::fs::symlink(to, dir.join(name))?;
            #[cfg(not(unix))]
            let _ = (to, name);
        }
        fs::File::open(dir)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
    }
}

/// The text of a path, where Cargo can read it from a line.
fn printable(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| !text.contains(['\n', '\r']))
}

/// The way from a directory to a path; both are absolute and without links.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let same = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(same).map(|_| std::path::Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(same)).collect();
    if way.as_os_str().is_empty() { ".".into() } else { way }
}
