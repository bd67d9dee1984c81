//! The tree as it would stand after a plan: what stands on disk, with the plan's actions laid over it. Read as cargo reads
//! it: links are followed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::journal::{Action, Purpose};
use super::stage::manifests_of;
use crate::error::Result;
use crate::event::Context;
use crate::live_tree::FileState;
use crate::manifest::{Root, RootName, RootedPath};
use crate::order;
use crate::path::{RelPath, clean};
use crate::store::Store;

/// The tree after some actions; with none, the tree as it is.
pub(super) struct After<'a> {
    pub(super) workspace: PathBuf,
    roots: order::Map<RootName, PathBuf>,
    /// By absolute path, sorted.
    changed: Vec<(PathBuf, &'a Action)>,
    /// Cargo's own directory.
    pub(super) cargo_home: Option<PathBuf>,
    /// The manifests, and what else steers cargo, that are put in place.
    manifests: order::Map<PathBuf, Vec<u8>>,
}

impl<'a> After<'a> {
    pub(super) fn new(
        store: &Store,
        roots: &[Root],
        purpose: &Purpose,
        actions: &'a [Action],
        context: &Context<'_>,
    ) -> Result<Self> {
        let mut directories = order::Map::new();
        for root in roots {
            directories.insert(root.name.clone(), clean(&store.root_directory(root)?));
        }
        let full = |action: &Action| {
            directories.get(&action.root).map_or_else(PathBuf::new, |dir| dir.join(&action.path))
        };
        let mut changed: Vec<(PathBuf, &Action)> = actions.iter().map(|a| (full(a), a)).collect();
        order::sort_by(&mut changed, |a, b| a.0.cmp(&b.0));
        let mut manifests = order::Map::new();
        for (action, text) in manifests_of(store, purpose, actions, context)? {
            manifests.insert(full(action), text);
        }
        let workspace = store.root().to_path_buf();
        Ok(After {
            workspace,
            roots: directories,
            changed,
            cargo_home: context.cargo.home.clone(),
            manifests,
        })
    }

    /// The root that holds an absolute path, the deepest where several do.
    pub(super) fn root_of(&self, path: &Path) -> Option<(&RootName, &Path)> {
        let holding = self.roots.iter().filter(|(_, dir)| path.starts_with(dir));
        holding.map(|(name, dir)| (name, dir.as_path())).max_by_key(|(_, dir)| dir.as_os_str().len())
    }

    /// The directory of a root.
    pub(super) fn directory_of(&self, root: &RootName) -> Option<&Path> {
        self.roots.get(root).map(PathBuf::as_path)
    }

    /// The manifest that a trouble's place is, or the one of the directory that it is.
    pub(super) fn manifest_at(&self, place: &Path) -> Option<RootedPath> {
        let is_manifest = place.file_name().is_some_and(|name| name == "Cargo.toml");
        let place = if is_manifest { place.to_path_buf() } else { place.join("Cargo.toml") };
        let (root, base) = self.root_of(&place)?;
        Some(RootedPath::new(root, &RelPath::strip(base, &place)?))
    }

    fn action(&self, path: &Path) -> Option<&'a Action> {
        let at = self.changed.binary_search_by(|(at, _)| at.as_path().cmp(path)).ok()?;
        Some(self.changed[at].1)
    }

    /// What the plan puts at a path: `None` where it changes nothing there, `Some(None)` where nothing is to stand there.
    fn planned(&self, path: &Path) -> Option<Option<&FileState>> {
        if let Some(action) = self.action(path) {
            return Some(action.after.as_ref());
        }
        let above = path.ancestors().skip(1).take_while(|dir| self.root_of(dir).is_some());
        let goes = |dir: &Path| {
            self.action(dir).is_some_and(|a| !a.after.as_ref().is_some_and(FileState::is_directory))
        };
        above.into_iter().any(goes).then_some(None)
    }

    fn is(&self, path: &Path, planned: impl Fn(&FileState) -> bool, found: fn(&Path) -> bool) -> bool {
        match self.planned(path) {
            Some(Some(FileState::Symlink { target })) => {
                found(&path.parent().unwrap_or(path).join(target.as_os_str()))
            }
            Some(state) => state.is_some_and(planned),
            None => found(path),
        }
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.is(path, FileState::is_directory, Path::is_dir)
    }

    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.is(path, |state| matches!(state, FileState::File { .. }), Path::is_file)
    }

    /// The text of a manifest or of what else steers cargo; `None` where none stands there.
    pub(super) fn manifest(&self, path: &Path) -> Option<Vec<u8>> {
        match self.manifests.get(path) {
            Some(text) => Some(text.clone()),
            None if self.is_file(path) => Some(std::fs::read(path).unwrap_or_default()),
            None => None,
        }
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, dir: &Path) -> Vec<OsString> {
        let live = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let first = self.changed.partition_point(|(path, _)| path.as_path() < dir);
        let below =
            self.changed[first..].iter().map(|(path, _)| path).take_while(|path| path.starts_with(dir));
        let placed = below.filter(|path| path.parent() == Some(dir)).filter_map(|path| path.file_name());
        let placed = placed.map(ToOwned::to_owned);
        let mut names: Vec<OsString> = live.chain(placed).collect();
        order::sort(&mut names);
        names.dedup();
        names
    }

    /// The directories that a pattern of `members` names, below the workspace root; the path itself where it matches
    /// nothing at all, as cargo has it. The second is whether the pattern found them by a wildcard.
    pub(super) fn expand(&self, pattern: &str) -> (Vec<PathBuf>, bool) {
        let mut found = vec![if pattern.starts_with('/') { "/".into() } else { self.workspace.clone() }];
        let mut wild = false;
        for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
            found = match part {
                "**" => found.iter().flat_map(|dir| self.below(dir)).collect(),
                part if part.contains(['*', '?', '[']) => {
                    let glob = as_glob(part);
                    found.iter().flat_map(|dir| self.matching(dir, &glob)).collect()
                }
                part => found.iter().map(|dir| clean(&dir.join(part))).collect(),
            };
            wild |= part.contains(['*', '?', '[']);
            found.retain(|path| self.is_dir(path) || self.is_file(path));
        }
        if found.is_empty() {
            return (vec![clean(&self.workspace.join(pattern))], false);
        }
        found.retain(|path| self.is_dir(path));
        order::sort(&mut found);
        found.dedup();
        (found, wild)
    }

    fn matching(&self, dir: &Path, glob: &str) -> Vec<PathBuf> {
        // Cargo passes over names that are no UTF-8.
        let fits = |name: &OsString| name.to_str().is_some_and(|name| fast_glob::glob_match(glob, name));
        self.names(dir).into_iter().filter(fits).map(|name| dir.join(name)).collect()
    }

    /// A directory and all below it, links not followed.
    fn below(&self, dir: &Path) -> Vec<PathBuf> {
        let mut out = vec![dir.to_path_buf()];
        let mut next = 0;
        while let Some(dir) = out.get(next).cloned() {
            let children = self.names(&dir).into_iter().map(|name| dir.join(name));
            out.extend(children.filter(|path| self.is_dir(path) && !path.is_symlink()));
            next += 1;
        }
        out
    }
}

/// One component of a pattern as cargo reads it, which knows `*`, `?` and `[…]` alone, for our own matcher.
fn as_glob(part: &str) -> String {
    let escaped = |(i, c): (usize, char)| {
        let escape = matches!(c, '{' | '}' | '\\') || (c == '!' && i == 0);
        escape.then_some('\\').into_iter().chain([c])
    };
    part.char_indices().flat_map(escaped).collect()
}
