//! What differs between two restore points, or between one and the workspace as it is now. Asks no cargo; the
//! workspace is looked at by the scope that the restore point recorded, as a rollback does.

use crate::error::Result;
use crate::event::Context;
use crate::live_tree::{Asked, FileState, LeftAlone, LiveTree, Look, PathFilter};
use crate::manifest::{Entry, Manifest, Package, Reason, RootName, RootedPath, shown};
use crate::order;
use crate::path::RelPath;
use crate::store::{Listed, Store};

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It stands on the second side only.
    Added,
    /// It stands on the first side only.
    Removed,
    /// The content of a file, or what a link points at.
    Content,
    /// The permission bits alone.
    Mode,
    /// A file became a directory or a link, or the other way round.
    Type,
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The root that it lies in.
    pub root: RootName,
    /// The path below it.
    pub path: RelPath,
    /// How it differs.
    pub kind: ChangeKind,
    /// What stands on the first side.
    pub before: Option<FileState>,
    /// What stands on the second side.
    pub after: Option<FileState>,
    /// The package that it lies in.
    pub package: Option<String>,
}

impl Change {
    /// The path as it is shown: `ROOT:path` outside the workspace.
    pub fn shown(&self) -> String {
        shown(&self.root, &self.path)
    }
}

/// What differs, from the first side to the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Sorted by root and path. A directory that came or went stands for itself only where it is empty: what is in it
    /// is named.
    pub changes: Vec<Change>,
    /// Files and links that are the same on both sides.
    pub unchanged: u64,
    /// What stands in the workspace and is not compared, with the reason.
    pub left_alone: Vec<(String, LeftAlone)>,
    /// Roots outside the workspace that are missing.
    pub missing_roots: Vec<RootName>,
}

impl Diff {
    /// Whether both sides are the same, as far as they were compared.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.missing_roots.is_empty()
    }

    /// What cannot be read was not compared.
    fn set_unreadable_apart(&mut self) {
        let closed = |t: &Option<FileState>| matches!(t, Some(FileState::File { sha256: None, .. }));
        let (apart, rest): (Vec<Change>, Vec<Change>) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|c| c.kind == ChangeKind::Content && closed(&c.after));
        self.changes = rest;
        let why = || LeftAlone::Unreadable("permission denied".into());
        self.left_alone.extend(apart.iter().map(|c| (c.shown(), why())));
        order::sort(&mut self.left_alone);
    }

    /// The other way round.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        for change in &mut self.changes {
            std::mem::swap(&mut change.before, &mut change.after);
            change.kind = match change.kind {
                ChangeKind::Added => ChangeKind::Removed,
                ChangeKind::Removed => ChangeKind::Added,
                other => other,
            };
        }
        self
    }

    /// How many changes of one kind there are.
    pub fn count(&self, kind: ChangeKind) -> u64 {
        self.changes.iter().filter(|change| change.kind == kind).count() as u64
    }
}

type Side = order::Map<RootedPath, FileState>;

/// From a restore point to the workspace as it is now.
///
/// # Errors
/// Kind `Damaged` where no copy of the manifest is sound; `Io` and `Workspace` where the workspace cannot be read.
pub fn diff_live(store: &Store, listed: &Listed, how: Look, context: &Context<'_>) -> Result<Diff> {
    diff_live_part(store, listed, &Asked::default(), how, context)
}

/// As [`diff_live`], of the part that is asked for.
///
/// # Errors
/// As [`diff_live`]; `Usage` if what is asked for stands on neither side.
pub fn diff_live_part(
    store: &Store,
    listed: &Listed,
    asked: &Asked,
    how: Look,
    context: &Context<'_>,
) -> Result<Diff> {
    let manifest = store.manifest(listed)?;
    let present = LiveTree::look(store, &manifest, |_| true, how, context)?;
    let live: Vec<_> = present.added.keys().collect();
    let packages = if asked.packages.is_empty() { Vec::new() } else { present.packages() };
    let filter = PathFilter::new(asked, store.root(), &[&manifest], &live, &packages, true)?;
    let left = present.left.iter().filter(|(RootedPath { root, path }, _)| filter.holds(root, path));
    let left_alone = left.map(|(at, why)| (at.shown(), why.clone())).collect();
    let mut missing: Vec<RootName> = present.missing_roots.iter().map(|r| r.root.name.clone()).collect();
    let mut before = side(&manifest, &filter);
    before.retain(|at, _| !missing.contains(&at.root));
    missing.retain(|root| filter.reaches(root));
    let after = present.known.into_iter().chain(present.added);
    let after: Side = after.filter(|(RootedPath { root, path }, _)| filter.holds(root, path)).collect();
    // A directory above protected files was never compared, only what is in it.
    let loose = manifest.entries.iter().filter(|e| e.reasons == [Reason::Parent]);
    let loose = loose.map(Entry::place).collect();
    let mut diff = compare(before, after, &loose, &manifest.packages);
    diff.left_alone = left_alone;
    diff.set_unreadable_apart();
    diff.missing_roots = missing;
    Ok(diff)
}

/// From one restore point to another.
///
/// # Errors
/// Kind `Damaged` where no copy of a manifest is sound.
pub fn diff_points(store: &Store, a: &Listed, b: &Listed) -> Result<Diff> {
    diff_points_part(store, a, b, &Asked::default())
}

/// As [`diff_points`], of the part that is asked for.
///
/// # Errors
/// As [`diff_points`]; `Usage` if what is asked for stands on neither side.
pub fn diff_points_part(store: &Store, a: &Listed, b: &Listed, asked: &Asked) -> Result<Diff> {
    let (a, b) = (store.manifest(a)?, store.manifest(b)?);
    let filter = PathFilter::new(asked, store.root(), &[&a, &b], &[], &[], true)?;
    let packages: Vec<Package> = a.packages.iter().chain(&b.packages).cloned().collect();
    let parents = |m: &Manifest| {
        let only = m.entries.iter().filter(|e| e.reasons == [Reason::Parent]);
        order::gather::<order::Set<_>, _>(only.map(Entry::place))
    };
    let mut loose = parents(&a);
    loose.extend(parents(&b));
    Ok(compare(side(&a, &filter), side(&b, &filter), &loose, &packages))
}

fn side(manifest: &Manifest, filter: &PathFilter) -> Side {
    let entries = manifest.entries.iter().filter(|e| filter.holds(&e.root, &e.path));
    entries.map(|e| (e.place(), FileState::wanted(e))).collect()
}

fn compare(before: Side, mut after: Side, loose: &order::Set<RootedPath>, packages: &[Package]) -> Diff {
    let mut changes = Vec::new();
    let mut unchanged = 0;
    let mut push = |RootedPath { root, path }: RootedPath, kind, before, after| {
        let package = owner(packages, &root, &path);
        changes.push(Change { root, path, kind, before, after, package });
    };
    for (key, old) in before {
        match after.remove(&key) {
            None => push(key, ChangeKind::Removed, Some(old), None),
            Some(new) => match kind(&old, &new) {
                None => unchanged += u64::from(!new.is_directory()),
                Some(ChangeKind::Mode) if loose.contains(&key) => {}
                Some(kind) => push(key, kind, Some(old), Some(new)),
            },
        }
    }
    for (key, new) in after {
        push(key, ChangeKind::Added, None, Some(new));
    }
    order::sort_by(&mut changes, |a, b| (&a.root, &a.path).cmp(&(&b.root, &b.path)));
    drop_implied(&mut changes);
    Diff { changes, unchanged, left_alone: Vec::new(), missing_roots: Vec::new() }
}

fn kind(old: &FileState, new: &FileState) -> Option<ChangeKind> {
    use FileState::{Directory, File, Special, Symlink};
    match (old, new) {
        _ if old == new => None,
        _ if old.same_content(new) => Some(ChangeKind::Mode),
        (File { .. }, File { .. }) | (Symlink { .. }, Symlink { .. }) => Some(ChangeKind::Content),
        (Directory { .. }, Directory { .. }) => Some(ChangeKind::Mode),
        (File { .. } | Directory { .. } | Symlink { .. } | Special, _) => Some(ChangeKind::Type),
    }
}

/// A directory that came or went with something in it is told by what is in it.
fn drop_implied(changes: &mut Vec<Change>) {
    let comes_or_goes = |c: &Change| matches!(c.kind, ChangeKind::Added | ChangeKind::Removed);
    let is_dir = |c: &Change| c.before.as_ref().or(c.after.as_ref()).is_some_and(FileState::is_directory);
    let inhabited: order::Set<RootedPath> = changes
        .iter()
        .flat_map(|c| c.path.ancestors().map(|dir| RootedPath::new(&c.root, &dir)).collect::<Vec<_>>())
        .collect();
    changes.retain(|c| {
        !(comes_or_goes(c) && is_dir(c) && inhabited.contains(&RootedPath::new(&c.root, &c.path)))
    });
}

/// The innermost package that a path lies in.
fn owner(packages: &[Package], root: &RootName, path: &RelPath) -> Option<String> {
    let holds = |p: &&Package| p.root == *root && p.directory.as_ref().is_none_or(|dir| path.is_in(dir));
    let depth = |p: &&Package| p.directory.as_ref().map_or(0, |dir| dir.as_bytes().len());
    packages.iter().filter(holds).max_by_key(depth).map(|p| p.name.clone())
}
