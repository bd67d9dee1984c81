//! The workspace as it stands on disk, held against a restore point's manifest, as far as the recorded scope reaches.
//! Read without cargo; git is asked where it works, and what it cannot judge is left alone.

mod additions;
mod filter;
mod state;

use std::path::Path;

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event, Meter};
use crate::fsx::{Cursor, Tree};
use crate::manifest::{Entry, FileKind, GitState, Manifest, Package, Place, Reason, RootName, RootedPath};
use crate::order;
use crate::path::{RelPath, show_path};
use crate::select::{Candidate, ProtectedSet, RootDirectory, Unprotected};
use crate::store::Store;
use crate::toml::Document;
pub use additions::LeftAlone;
use additions::{Additions, additions};
pub use filter::Asked;
pub(crate) use filter::PathFilter;
pub use state::FileState;

/// How closely the workspace is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Every file is read: what may be displaced, or is told as a verdict.
    Whole,
    /// A file whose size and times say that nobody wrote to it since is not read.
    Glance,
}

/// What stands there.
#[derive(Debug)]
pub(crate) struct LiveTree {
    /// The roots that exist now, the workspace first.
    pub(crate) roots: Vec<RootDirectory>,
    /// Roots of the restore point that are missing.
    pub(crate) missing_roots: Vec<RootDirectory>,
    /// What stands at the restore point's paths.
    pub(crate) known: order::Map<RootedPath, FileState>,
    /// What was added in the scope and may be displaced.
    pub(crate) added: order::Map<RootedPath, FileState>,
    /// What was added and stays.
    pub(crate) left: order::Map<RootedPath, LeftAlone>,
    /// Everything that a directory would have to be emptied of before it can go, and that stays.
    pub(crate) staying: order::Set<RootedPath>,
    /// Working trees of other repositories, where the restore point has something.
    pub(crate) occupied: Vec<RootedPath>,
    /// What of the workspace a restore point of the present does not hold, directories collapsed.
    pub(crate) unprotected: Vec<Unprotected>,
    /// Packages born since, by directory.
    pub(crate) born: Vec<Place>,
    /// Where git stands now.
    pub(crate) git: Option<GitState>,
}

impl LiveTree {
    /// Looks. Only roots that `reach` allows are looked at.
    pub(crate) fn look(
        store: &Store,
        manifest: &Manifest,
        reach: impl Fn(&RootName) -> bool,
        how: Look,
        context: &Context<'_>,
    ) -> Result<LiveTree> {
        let what = "the workspace with the restore point".to_owned();
        context.observer.on(&Event::Phase { verb: "Comparing", what, total: manifest.totals.bytes });
        let meter = Meter::new(context.observer);
        let mut present = LiveTree {
            roots: Vec::new(),
            missing_roots: Vec::new(),
            known: order::Map::new(),
            added: order::Map::new(),
            left: order::Map::new(),
            staying: order::Set::new(),
            occupied: Vec::new(),
            unprotected: Vec::new(),
            born: Vec::new(),
            git: crate::select::git::state(store.root()),
        };
        for root in manifest.roots.iter().filter(|r| reach(&r.name)) {
            let directory = store.root_directory(root)?;
            let there = directory.symlink_metadata().is_ok_and(|m| m.is_dir()) || root.name.is_workspace();
            let root = RootDirectory { root: root.clone(), directory };
            if there { present.roots.push(root) } else { present.missing_roots.push(root) }
        }
        for root in present.roots.clone() {
            let tree = Tree::open(&root.directory, store.fs()).during("open directory", &root.directory)?;
            present.look_at_known(&root.root.name, &tree, manifest, how, (context, &meter))?;
            let additions = additions(store, &root, manifest)?;
            present.take_additions(&root.root.name, &tree, additions, context)?;
        }
        let others = present.left.iter().filter(|(_, why)| **why == LeftAlone::OtherCheckout);
        let held = others.filter(|(at, _)| manifest.holds_below(&at.root, &at.path));
        present.occupied = held.map(|(at, _)| at.clone()).collect();
        Ok(present)
    }

    /// The packages that stand there now, by the name in their manifest.
    pub(crate) fn packages(&self) -> Vec<(String, Place)> {
        let files =
            self.known.iter().chain(&self.added).filter(|(at, _)| at.path.file_name() == "Cargo.toml");
        let package = |(at, state): (&RootedPath, &FileState)| {
            let root = self.roots.iter().find(|r| r.root.name == at.root)?;
            let is_file = matches!(state, FileState::File { .. });
            let text = crate::fsx::read_plain(root.directory.join(&at.path)).ok().filter(|_| is_file)?;
            let name = Document::read(&text)?.strings(&["package", "name"]).next()?.to_owned();
            Some((name, Place { root: at.root.clone(), path: at.path.parent() }))
        };
        files.filter_map(package).collect()
    }

    /// Whether a path lies in the working tree of another repository, whatever the restore point has there.
    pub(crate) fn is_others(&self, root: &RootName, path: &RelPath) -> bool {
        self.occupied.iter().any(|at| at.root == *root && path.is_in(&at.path))
    }

    /// Whether the content that an entry asks for does not stand at its place; the mode does not count.
    pub(crate) fn differs(&self, entry: &Entry) -> bool {
        let wanted = FileState::wanted(entry);
        let now = self.known.get(&entry.place());
        !now.is_some_and(|now| now.same_content(&wanted))
    }

    /// The same with some of the roots alone.
    pub(crate) fn only_roots(mut self, these: impl Fn(&RootName) -> bool) -> LiveTree {
        self.roots.retain(|r| these(&r.root.name));
        self.known.retain(|at, _| these(&at.root));
        self.added.retain(|at, _| these(&at.root));
        self.left.retain(|at, _| these(&at.root));
        self.staying.retain(|at| these(&at.root));
        self.occupied.retain(|at| these(&at.root));
        self.born.retain(|place| these(&place.root));
        self
    }

    fn look_at_known(
        &mut self,
        root: &RootName,
        tree: &Tree,
        manifest: &Manifest,
        how: Look,
        (context, meter): (&Context<'_>, &Meter<'_>),
    ) -> Result<()> {
        let entries: Vec<_> = manifest.entries.iter().filter(|e| e.root == *root).collect();
        let made = match how {
            Look::Whole => None,
            Look::Glance => manifest.made_at(),
        };
        let states = look_at_all(
            tree,
            &entries,
            |e| &e.path,
            context,
            |cursor, entry| match made {
                Some(made) => FileState::glance(cursor, entry, made, meter),
                None => FileState::read(cursor, &entry.path, meter),
            },
        )?;
        for (entry, state) in entries.iter().zip(states) {
            if let Some(state) = state {
                self.known.insert(entry.place(), state);
            }
        }
        Ok(())
    }

    fn take_additions(
        &mut self,
        root: &RootName,
        tree: &Tree,
        additions: Additions,
        context: &Context<'_>,
    ) -> Result<()> {
        let paths: Vec<&RelPath> = additions.movable.iter().collect();
        let states = look_at_all(tree, &paths, |path| path, context, FileState::at)?;
        for (path, state) in additions.movable.iter().zip(states) {
            if let Some(state) = state {
                self.added.insert(RootedPath::new(root, path), state);
            }
        }
        self.left.extend(additions.left.into_iter().map(|(path, why)| (RootedPath::new(root, &path), why)));
        self.staying.extend(additions.staying.iter().map(|path| RootedPath::new(root, path)));
        self.unprotected.extend(additions.unprotected);
        self.born.extend(additions.born.into_iter().map(|path| Place { root: root.clone(), path }));
        Ok(())
    }

    /// The present as a set to protect: what the restore point of the present holds.
    pub(crate) fn protected_set(&self, manifest: &Manifest) -> ProtectedSet {
        let mut entries: order::Map<RootedPath, Candidate> = order::Map::new();
        let mut add = |key: &RootedPath, state: &FileState| {
            let kind = match state {
                FileState::File { .. } => FileKind::File,
                FileState::Directory { .. } => FileKind::Directory,
                FileState::Symlink { .. } => FileKind::Symlink,
                FileState::Special => return,
            };
            let size = if let FileState::File { size, .. } = state { *size } else { 0 };
            let known = manifest.find(&key.root, &key.path);
            let candidate = Candidate {
                root: key.root.clone(),
                path: key.path.clone(),
                kind,
                size,
                package: known.and_then(|e| e.package.clone()),
                reasons: known.map_or_else(|| vec![Reason::Present], |e| e.reasons.clone()),
            };
            entries.insert(key.clone(), candidate);
        };
        let ours = |(at, _): &(&RootedPath, &FileState)| !self.is_others(&at.root, &at.path);
        self.known.iter().chain(&self.added).filter(ours).for_each(|(key, state)| add(key, state));
        let keys: Vec<RootedPath> = entries.keys().cloned().collect();
        for RootedPath { root, path } in keys {
            for parent in path.ancestors() {
                entries.entry(RootedPath::new(&root, &parent)).or_insert_with(|| Candidate {
                    root: root.clone(),
                    path: parent,
                    kind: FileKind::Directory,
                    size: 0,
                    package: None,
                    reasons: vec![Reason::Parent],
                });
            }
        }
        let mut scope = manifest.scope.clone();
        scope.directories.extend(self.born.iter().cloned());
        order::sort(&mut scope.directories);
        scope.directories.dedup();
        ProtectedSet {
            roots: self.roots.clone(),
            packages: manifest
                .packages
                .iter()
                .filter(|p: &&Package| self.roots.iter().any(|r| r.root.name == p.root))
                .cloned()
                .collect(),
            entries: entries.into_values().collect(),
            xtask: None,
            scope,
            target_directories: manifest.target_directories.clone(),
            git: self.git.clone(),
            tools: order::gather([("backstop".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
            skipped: Vec::new(),
            unprotected: self.unprotected.clone(),
            unprotected_inputs: Vec::new(),
            secrets: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Looks at many paths of one root, several at a time.
fn look_at_all<T: Sync>(
    tree: &Tree,
    what: &[&T],
    path: impl Fn(&T) -> &RelPath + Sync,
    context: &Context<'_>,
    look: impl Fn(&mut Cursor<'_>, &T) -> std::io::Result<Option<FileState>> + Sync,
) -> Result<Vec<Option<FileState>>> {
    const CHUNK: usize = 32;
    let chunks: Vec<&[&T]> = what.chunks(CHUNK).collect();
    let found = crate::parallel::map(chunks.len(), |i| {
        context.interrupt.check()?;
        let mut cursor = tree.cursor();
        chunks[i]
            .iter()
            .map(|one| look(&mut cursor, one).map_err(|e| closed(tree, path(one), e)))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// What a directory that may not be searched holds, nobody can plan for: it has to be opened first.
fn closed(tree: &Tree, path: &RelPath, error: std::io::Error) -> Error {
    let full = tree.path().join(path);
    let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
    let error = Error::io("read", &full, error);
    // The outermost directory below which nothing can be looked at.
    let mut above: Vec<&Path> = full.ancestors().take_while(|dir| *dir != tree.path()).collect();
    above.reverse();
    match above.windows(2).find(|pair| pair[1].symlink_metadata().is_err()) {
        Some([dir, _]) if denied => error
            .with_kind(ErrorKind::Workspace)
            .with_help(format!("give it back its mode, then try again: `chmod u+rwx {}`", show_path(dir))),
        _ => error,
    }
}
