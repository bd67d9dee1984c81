//! The present tree, as far as a restore point's recorded scope reaches. Read without cargo; git is asked where it
//! works, and what it cannot judge is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::journal::RootPath;
use super::thing::Thing;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::fsx::{Cursor, Tree};
use crate::manifest::{Entry, GitState, Manifest, Package, Place, Reason};
use crate::path::{RelPath, show_path};
use crate::select::git::{GitAnswer, Rules};
use crate::select::walk::{Found, FoundKind, Walk};
use crate::select::{Candidate, CandidateKind, ProtectedSet, RootDirectory, SkipReason};
use crate::store::Store;

/// Why something that was added stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LeftAlone {
    /// Git ignores it now.
    Ignored,
    /// Git ignored it when the restore point was made.
    IgnoredThen,
    /// Git does not work here, so nobody can say whether it is ignored.
    Unjudged,
    /// A pattern of the settings kept it out of the restore point.
    Excluded,
    /// It belongs to a package that was there and not protected.
    ForeignPackage,
    /// It is a pipe, a socket or a device.
    Special,
    /// `--keep-new` was given.
    KeptNew,
    /// It cannot be read or searched.
    Unreadable(String),
}

impl std::fmt::Display for LeftAlone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LeftAlone::Ignored => "git ignores it",
            LeftAlone::IgnoredThen => "git ignored it then",
            LeftAlone::Unjudged => "git does not work here, so it cannot be judged",
            LeftAlone::Excluded => "the settings excluded it",
            LeftAlone::ForeignPackage => "it belongs to a package that was not protected",
            LeftAlone::Special => "it is no file",
            LeftAlone::KeptNew => "--keep-new",
            LeftAlone::Unreadable(why) => return write!(f, "it cannot be read: {why}"),
        })
    }
}

/// How closely the workspace is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Every file is read: what may be displaced, or is told as a verdict.
    Whole,
    /// A file whose size and times say that nobody wrote to it since is not read.
    Glance,
}

/// The present.
#[derive(Debug)]
pub(crate) struct Present {
    /// The roots that exist now, the workspace first.
    pub(crate) roots: Vec<RootDirectory>,
    /// Roots of the restore point that are gone.
    pub(crate) missing_roots: Vec<RootDirectory>,
    /// What stands at the restore point's paths.
    pub(crate) known: BTreeMap<RootPath, Thing>,
    /// What was added in the scope and may be displaced.
    pub(crate) added: BTreeMap<RootPath, Thing>,
    /// What was added and stays.
    pub(crate) left: BTreeMap<RootPath, LeftAlone>,
    /// Everything that a directory would have to be emptied of before it can go, and that stays.
    pub(crate) staying: BTreeSet<RootPath>,
    /// Packages born since, by directory.
    pub(crate) born: Vec<Place>,
    /// Where git stands now.
    pub(crate) git: Option<GitState>,
}

impl Present {
    /// Looks. Only roots that `reach` allows are looked at.
    pub(crate) fn look(
        store: &Store,
        manifest: &Manifest,
        reach: impl Fn(&str) -> bool,
        how: Look,
        context: &Context<'_>,
    ) -> Result<Present> {
        let what = "the workspace with the restore point".to_owned();
        context.observer.on(&Event::Phase { verb: "Comparing", what, total: manifest.totals.bytes });
        let mut present = Present {
            roots: Vec::new(),
            missing_roots: Vec::new(),
            known: BTreeMap::new(),
            added: BTreeMap::new(),
            left: BTreeMap::new(),
            staying: BTreeSet::new(),
            born: Vec::new(),
            git: crate::select::git::state(store.root()),
        };
        for root in manifest.roots.iter().filter(|r| reach(&r.name)) {
            let directory = store.root_directory(root)?;
            let there = directory.symlink_metadata().is_ok_and(|m| m.is_dir()) || root.name.is_empty();
            let root = RootDirectory { root: root.clone(), directory };
            if there { present.roots.push(root) } else { present.missing_roots.push(root) }
        }
        for root in present.roots.clone() {
            let tree = Tree::open(&root.directory, store.fs()).during("open directory", &root.directory)?;
            present.look_at_known(&root.root.name, &tree, manifest, how, context)?;
            let additions = additions(store, &root, manifest);
            present.take_additions(&root.root.name, &tree, additions, context)?;
        }
        Ok(present)
    }

    /// Whether the content that an entry asks for does not stand at its place; the mode does not count.
    pub(crate) fn differs(&self, entry: &Entry) -> bool {
        let wanted = Thing::wanted(&entry.kind, entry.mode);
        let now = self.known.get(&(entry.root.clone(), entry.path.clone()));
        !now.is_some_and(|now| now.same_content(&wanted))
    }

    /// The same without the roots outside the workspace.
    pub(crate) fn without_outside(mut self) -> Present {
        self.roots.retain(|r| r.root.name.is_empty());
        self.known.retain(|(root, _), _| root.is_empty());
        self.added.retain(|(root, _), _| root.is_empty());
        self.left.retain(|(root, _), _| root.is_empty());
        self.staying.retain(|(root, _)| root.is_empty());
        self
    }

    fn look_at_known(
        &mut self,
        root: &str,
        tree: &Tree,
        manifest: &Manifest,
        how: Look,
        context: &Context<'_>,
    ) -> Result<()> {
        let entries: Vec<_> = manifest.entries.iter().filter(|e| e.root == root).collect();
        let made = match how {
            Look::Whole => None,
            Look::Glance => manifest.made_at(),
        };
        let things = look_at_all(
            tree,
            &entries,
            |e| &e.path,
            context,
            |cursor, entry| match made {
                Some(made) => Thing::glance(cursor, entry, made),
                None => Thing::at(cursor, &entry.path),
            },
        )?;
        for (entry, thing) in entries.iter().zip(things) {
            if let Some(thing) = thing {
                self.known.insert((root.to_owned(), entry.path.clone()), thing);
            }
        }
        Ok(())
    }

    fn take_additions(
        &mut self,
        root: &str,
        tree: &Tree,
        additions: Additions,
        context: &Context<'_>,
    ) -> Result<()> {
        let paths: Vec<&RelPath> = additions.movable.iter().collect();
        let things = look_at_all(tree, &paths, |path| path, context, Thing::at)?;
        for (path, thing) in additions.movable.iter().zip(things) {
            if let Some(thing) = thing {
                self.added.insert((root.to_owned(), path.clone()), thing);
            }
        }
        self.left.extend(additions.left.into_iter().map(|(path, why)| ((root.to_owned(), path), why)));
        self.staying.extend(additions.staying.into_iter().map(|path| (root.to_owned(), path)));
        self.born.extend(additions.born.into_iter().map(|path| Place { root: root.into(), path }));
        Ok(())
    }

    /// The present as a set to protect: what the restore point of the present holds.
    pub(crate) fn protected_set(&self, manifest: &Manifest) -> ProtectedSet {
        let mut entries: BTreeMap<RootPath, Candidate> = BTreeMap::new();
        let mut add = |key: &RootPath, thing: &Thing| {
            let kind = match thing {
                Thing::File { .. } => CandidateKind::File,
                Thing::Directory { .. } => CandidateKind::Directory,
                Thing::Symlink { .. } => CandidateKind::Symlink,
                Thing::Special => return,
            };
            let size = if let Thing::File { size, .. } = thing { *size } else { 0 };
            let known = manifest.find(&key.0, &key.1);
            let candidate = Candidate {
                root: key.0.clone(),
                path: key.1.clone(),
                kind,
                size,
                package: known.and_then(|e| e.package.clone()),
                reasons: known.map_or_else(|| vec![Reason::Present], |e| e.reasons.clone()),
            };
            entries.insert(key.clone(), candidate);
        };
        self.known.iter().chain(&self.added).for_each(|(key, thing)| add(key, thing));
        let keys: Vec<RootPath> = entries.keys().cloned().collect();
        for (root, path) in keys {
            for parent in path.ancestors() {
                entries.entry((root.clone(), parent.clone())).or_insert_with(|| Candidate {
                    root: root.clone(),
                    path: parent,
                    kind: CandidateKind::Directory,
                    size: 0,
                    package: None,
                    reasons: vec![Reason::Parent],
                });
            }
        }
        let mut scope = manifest.scope.clone();
        scope.directories.extend(self.born.iter().cloned());
        scope.directories.sort();
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
            scope,
            git: self.git.clone(),
            tools: BTreeMap::from([("backstop".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
            skipped: Vec::new(),
            unprotected: Vec::new(),
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
    look: impl Fn(&mut Cursor<'_>, &T) -> std::io::Result<Option<Thing>> + Sync,
) -> Result<Vec<Option<Thing>>> {
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

/// What was added below one root.
#[derive(Default)]
struct Additions {
    movable: Vec<RelPath>,
    left: Vec<(RelPath, LeftAlone)>,
    staying: Vec<RelPath>,
    born: Vec<Option<RelPath>>,
}

/// Finds what stands in the scope and not in the restore point.
fn additions(store: &Store, root: &RootDirectory, manifest: &Manifest) -> Additions {
    let name = root.root.name.as_str();
    let scope = &manifest.scope;
    let rules = Rules::ask(&root.directory);
    let (rules, unjudged) = match rules.answer {
        GitAnswer::Working => (rules, false),
        // As it was judged when the restore point was made: a rule from above was not meant for the workspace.
        GitAnswer::Swallowed if !scope.git => (rules.set_aside(), false),
        GitAnswer::Swallowed | GitAnswer::Broken(_) => (rules, true),
        // The repository is gone: what it ignored in the meantime, nobody can say.
        GitAnswer::NoRepository => (rules, scope.git),
    };
    let skip: [(PathBuf, SkipReason); 1] = [(store.layout().dir().to_path_buf(), SkipReason::Store)];
    let walk = Walk { root: &root.directory, skip: &skip, ask_embedded: true };
    let walked = walk.run(None, rules);

    let mut out = Additions::default();
    let born = born_packages(name, &walked.found, manifest);
    let scoped = Scoped { name, manifest, born: &born };
    for found in &walked.found {
        let path = &found.path;
        if manifest.find(name, path).is_some() {
            continue;
        }
        if !scoped.holds(found) {
            out.staying.push(path.clone());
            continue;
        }
        let why = if scope.ignored.iter().any(|p| p.holds(name, path)) {
            Some(LeftAlone::IgnoredThen)
        } else if scope.excluded.iter().any(|p| crate::glob::matches(p, name, path)) {
            Some(LeftAlone::Excluded)
        } else if scoped.is_foreign(path) {
            Some(LeftAlone::ForeignPackage)
        } else if unjudged || walked.unjudged.iter().any(|(dir, _)| path.is_in(dir)) {
            Some(LeftAlone::Unjudged)
        } else if matches!(found.kind, FoundKind::Special(_)) {
            Some(LeftAlone::Special)
        } else {
            None
        };
        match why {
            None => out.movable.push(path.clone()),
            Some(why) => {
                out.staying.push(path.clone());
                if found.kind != FoundKind::Directory {
                    out.left.push((path.clone(), why));
                }
            }
        }
    }
    for (path, why) in walked.pruned {
        if why == SkipReason::Ignored && scoped.holds_path(&path) && manifest.find(name, &path).is_none() {
            out.left.push((path.clone(), LeftAlone::Ignored));
        }
        out.staying.push(path);
    }
    for (path, text) in walked.errors {
        out.left.push((path.clone(), LeftAlone::Unreadable(text)));
        out.staying.push(path);
    }
    out.born = born;
    out
}

/// The directories of packages that did not exist when the restore point was made: they hold a `Cargo.toml` now,
/// and were neither packages nor directories then.
fn born_packages(root: &str, found: &[Found], manifest: &Manifest) -> Vec<Option<RelPath>> {
    let scope = &manifest.scope;
    let mut born: Vec<Option<RelPath>> = Vec::new();
    for manifest_file in found.iter().filter(|f| f.path.file_name() == "Cargo.toml") {
        let Some(dir) = manifest_file.path.parent() else { continue };
        let inside = |places: &[Place]| places.iter().any(|p| p.holds(root, &dir));
        let existed = manifest.find(root, &dir).is_some()
            || (root.is_empty()
                && (scope.unprotected_directories.contains(&dir)
                    || scope.root_entries.binary_search(&dir).is_ok()));
        if !existed && !inside(&scope.directories) && !inside(&scope.ignored) {
            born.push(Some(dir));
        }
    }
    born.sort();
    born
}

/// What a rollback may touch below one root.
struct Scoped<'a> {
    name: &'a str,
    manifest: &'a Manifest,
    born: &'a [Option<RelPath>],
}

impl Scoped<'_> {
    fn holds(&self, found: &Found) -> bool {
        // A plain file at the workspace root is a workspace file.
        let at_root = self.name.is_empty() && found.path.parent().is_none();
        (at_root && found.kind != FoundKind::Directory)
            || self.holds_path(&found.path)
            || self.is_new_manifest(&found.path)
    }

    fn holds_path(&self, path: &RelPath) -> bool {
        let scope = &self.manifest.scope;
        scope.directories.iter().any(|p| p.holds(self.name, path))
            || self.born.iter().flatten().any(|dir| path.is_in(dir))
            || self.leads_to_born(path)
    }

    /// A new directory above a package born since.
    fn leads_to_born(&self, path: &RelPath) -> bool {
        let scope = &self.manifest.scope;
        let existed =
            scope.unprotected_directories.contains(path) || scope.root_entries.binary_search(path).is_ok();
        !existed && self.born.iter().flatten().any(|dir| dir.is_in(path))
    }

    /// A `Cargo.toml` that appeared in a directory that was there and was no package.
    fn is_new_manifest(&self, path: &RelPath) -> bool {
        let Some(dir) = path.parent() else { return false };
        let scope = &self.manifest.scope;
        self.name.is_empty()
            && path.file_name() == "Cargo.toml"
            && scope.unprotected_directories.contains(&dir)
            && !self.is_foreign(path)
    }

    fn is_foreign(&self, path: &RelPath) -> bool {
        let foreign = &self.manifest.scope.foreign_packages;
        foreign.iter().any(|p| p.path.is_some() && p.holds(self.name, path))
    }
}
