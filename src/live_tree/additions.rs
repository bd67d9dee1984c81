//! What stands in the recorded scope and not in the restore point: what may be displaced, and what stays, and why.

use std::path::PathBuf;

use crate::error::Result;
use crate::manifest::{FileKind, Manifest, Place, RootName};
use crate::order;
use crate::path::RelPath;
use crate::select::gather::{look_again, look_whole};
use crate::select::git::{GitAnswer, Rules};
use crate::select::report::collapsed;
use crate::select::walk::{Found, Walk, look};
use crate::select::{RootDirectory, SkipReason, Unprotected, repository_of};
use crate::store::Store;

/// Why something that was added stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LeftAlone {
    /// Git ignores it now.
    Ignored,
    /// Git ignored it when the restore point was made.
    IgnoredThen,
    /// Git does not work here, so nobody can say whether it is ignored; what git says, where it does.
    Unjudged(String),
    /// A pattern of the settings kept it out of the restore point.
    Excluded,
    /// It belongs to a package that was there and not protected.
    ForeignPackage,
    /// It is the working tree of another repository.
    OtherCheckout,
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
            LeftAlone::Unjudged(why) if why.is_empty() => "git does not work here, so it cannot be judged",
            LeftAlone::Unjudged(why) => {
                return write!(f, "git does not work here, so it cannot be judged: {why}");
            }
            LeftAlone::Excluded => "the settings excluded it",
            LeftAlone::ForeignPackage => "it belongs to a package that was not protected",
            LeftAlone::OtherCheckout => "it is another repository's working tree",
            LeftAlone::Special => "it is no file",
            LeftAlone::KeptNew => "--keep-new",
            LeftAlone::Unreadable(why) => return write!(f, "it cannot be read: {why}"),
        })
    }
}

/// What was added below one root.
#[derive(Default)]
pub(super) struct Additions {
    pub(super) movable: Vec<RelPath>,
    pub(super) left: Vec<(RelPath, LeftAlone)>,
    pub(super) staying: Vec<RelPath>,
    pub(super) born: Vec<Option<RelPath>>,
    /// What of the workspace a restore point of it does not hold.
    pub(super) unprotected: Vec<Unprotected>,
}

impl Additions {
    /// A directory that was added around what stays, and holds nothing else, stays for it: that is no change of ours.
    fn keep_occupied(&mut self, pruned: &[(RelPath, SkipReason)]) {
        let occupied: order::Set<RelPath> =
            order::gather(pruned.iter().flat_map(|(path, _)| path.ancestors()));
        let filled: order::Set<RelPath> = order::gather(
            self.movable.iter().filter(|path| !occupied.contains(*path)).flat_map(RelPath::ancestors),
        );
        let stays = |path: &RelPath| occupied.contains(path) && !filled.contains(path);
        let (staying, movable) = std::mem::take(&mut self.movable).into_iter().partition(stays);
        self.movable = movable;
        self.staying.extend::<Vec<RelPath>>(staying);
    }
}

/// Finds what stands in the scope and not in the restore point.
pub(super) fn additions(store: &Store, root: &RootDirectory, manifest: &Manifest) -> Result<Additions> {
    let name = &root.root.name;
    let scope = &manifest.scope;
    let rules = Rules::ask(&root.directory);
    let (rules, unjudged) = match rules.answer {
        GitAnswer::Working => (rules, None),
        // As it was judged when the restore point was made: a rule from above was not meant for the workspace.
        GitAnswer::Swallowed if !scope.git => (rules.set_aside(), None),
        GitAnswer::Swallowed => (rules, Some(String::new())),
        GitAnswer::Broken(ref why) => {
            let why = why.clone();
            (rules, Some(why))
        }
        // The repository is missing: what it ignored in the meantime, nobody can say.
        GitAnswer::NoRepository => (rules, scope.git.then(String::new)),
    };
    let mut skip = vec![(store.layout().dir().to_path_buf(), SkipReason::Store)];
    skip.extend(manifest.target_directories_of(store.root()).map(|dir| (dir, SkipReason::TargetDirectory)));
    for other in manifest.roots.iter().filter(|other| other.name != *name) {
        // A root in this one is looked at by itself.
        let directory = store.root_directory(other)?;
        if directory.starts_with(&root.directory) {
            skip.push((directory, SkipReason::OtherRoot));
        }
    }
    let packages: Vec<PathBuf> = scope
        .directories
        .iter()
        .filter(|place| place.root == *name)
        .filter_map(|place| Some(root.directory.join(place.path.as_ref()?)))
        .collect();
    let walk = Walk {
        root: &root.directory,
        skip: &skip,
        ask_embedded: true,
        whole: false,
        packages: &packages,
        against: Some((manifest, name)),
    };
    let mut walked = walk.run(None, rules);
    for package in manifest.packages.iter().filter(|package| package.root == *name) {
        let Some(directory) = &package.directory else { continue };
        let reached = walked.found.binary_search_by(|found| found.path.cmp(directory)).is_ok();
        let there =
            || look(&root.directory, directory.clone()).is_some_and(|d| d.kind == Ok(FileKind::Directory));
        if !reached && there() {
            look_again(&walk, &mut walked, directory, &mut Vec::new());
        }
    }
    for place in scope.whole.iter().filter(|place| place.root == *name) {
        if let Some(directory) = place.path.as_ref().filter(|dir| walk.since_above(dir).is_none()) {
            look_whole(&walk, &mut walked, directory);
        }
    }

    let mut out = Additions::default();
    let born = born_packages(name, &walked.found, manifest);
    let scoped = Scoped::new(name, manifest, &born, &walked.found);
    let mut unprotected = Vec::new();
    for found in &walked.found {
        let path = &found.path;
        if manifest.find(name, path).is_some() {
            continue;
        }
        if !scoped.holds(found) {
            out.staying.push(path.clone());
            unprotected.push(found);
            continue;
        }
        let why = if scoped.was_ignored(path) {
            Some(LeftAlone::IgnoredThen)
        } else if scope.excluded.iter().any(|p| crate::glob::matches(p, name, path)) {
            Some(LeftAlone::Excluded)
        } else if scoped.is_foreign(path) {
            Some(LeftAlone::ForeignPackage)
        } else if let Some(why) = unjudged
            .as_ref()
            .or_else(|| walked.unjudged.iter().find(|(dir, _)| path.is_in(dir)).map(|(_, why)| why))
        {
            Some(LeftAlone::Unjudged(why.clone()))
        } else if found.kind.is_err() {
            Some(LeftAlone::Special)
        } else {
            None
        };
        match why {
            None => out.movable.push(path.clone()),
            Some(why) => {
                out.staying.push(path.clone());
                if matches!(why, LeftAlone::ForeignPackage | LeftAlone::Unjudged(_)) {
                    unprotected.push(found);
                }
                if found.kind != Ok(FileKind::Directory) {
                    out.left.push((path.clone(), why));
                }
            }
        }
    }
    if name.is_workspace() {
        let leading: order::Set<RelPath> = order::gather(out.movable.iter().flat_map(RelPath::ancestors));
        let is_protected = |path: &RelPath| manifest.find(name, path).is_some() || leading.contains(path);
        out.unprotected = collapsed(unprotected.into_iter(), is_protected);
    }
    out.keep_occupied(&walked.pruned);
    for (path, why) in walked.pruned {
        if why == SkipReason::Ignored && scoped.holds_path(&path) && manifest.find(name, &path).is_none() {
            out.left.push((path.clone(), LeftAlone::Ignored));
        }
        if why == SkipReason::OtherCheckout && repository_of(&root.directory.join(&path)).is_some() {
            out.left.push((path.clone(), LeftAlone::OtherCheckout));
        }
        out.staying.push(path);
    }
    for (path, text) in walked.errors {
        out.left.push((path.clone(), LeftAlone::Unreadable(text)));
        out.staying.push(path);
    }
    out.born = born;
    Ok(out)
}

/// The directories of packages that did not exist when the restore point was made: they hold a `Cargo.toml` now,
/// and were neither packages nor directories then.
fn born_packages(root: &RootName, found: &[Found], manifest: &Manifest) -> Vec<Option<RelPath>> {
    let scope = &manifest.scope;
    let mut born: Vec<Option<RelPath>> = Vec::new();
    let unprotected: order::Set<&RelPath> = order::gather(&scope.unprotected_directories);
    for manifest_file in found.iter().filter(|f| f.path.file_name() == "Cargo.toml") {
        let Some(dir) = manifest_file.path.parent() else { continue };
        let inside = |places: &[Place]| places.iter().any(|p| p.holds(root, &dir));
        let existed = manifest.find(root, &dir).is_some()
            || (root.is_workspace()
                && (unprotected.contains(&dir) || scope.root_entries.binary_search(&dir).is_ok()));
        if !existed && !inside(&scope.directories) && !inside(&scope.ignored) {
            born.push(Some(dir));
        }
    }
    order::sort(&mut born);
    born
}

/// What a rollback may touch below one root.
struct Scoped<'a> {
    name: &'a RootName,
    manifest: &'a Manifest,
    born: &'a [Option<RelPath>],
    /// What git ignored below this root then, and the directories that were not protected: there may be as many as
    /// there are files, so each file looks for its own ancestors in them.
    ignored: order::Set<&'a RelPath>,
    /// Git ignored the root itself.
    ignored_whole: bool,
    unprotected: order::Set<&'a RelPath>,
    /// The directories above what a pattern of the settings brings in now.
    leading: order::Set<RelPath>,
}

impl<'a> Scoped<'a> {
    fn new(name: &'a RootName, manifest: &'a Manifest, born: &'a [Option<RelPath>], found: &[Found]) -> Self {
        let scope = &manifest.scope;
        let ignored = scope.ignored.iter().filter(|place| place.root == *name);
        let ignored_whole = ignored.clone().any(|place| place.path.is_none());
        let ignored = order::gather(ignored.filter_map(|place| place.path.as_ref()));
        let unprotected = order::gather(&scope.unprotected_directories);
        let leading = order::Set::new();
        let mut scoped = Scoped { name, manifest, born, ignored, ignored_whole, unprotected, leading };
        let included =
            found.iter().filter(|f| f.kind != Ok(FileKind::Directory) && scoped.is_included(&f.path));
        scoped.leading = order::gather(included.flat_map(|f| f.path.ancestors()));
        scoped
    }

    fn holds(&self, found: &Found) -> bool {
        // A plain file at the workspace root is a workspace file.
        let at_root = self.name.is_workspace() && found.path.parent().is_none();
        (at_root && found.kind != Ok(FileKind::Directory))
            || self.holds_path(&found.path)
            || self.is_new_manifest(&found.path)
    }

    fn holds_path(&self, path: &RelPath) -> bool {
        let scope = &self.manifest.scope;
        scope.directories.iter().any(|p| p.holds(self.name, path))
            || self.born.iter().flatten().any(|dir| path.is_in(dir))
            || self.leads_to_born(path)
            || self.is_included(path)
    }

    /// Whether a pattern of the settings brings it in.
    fn is_included(&self, path: &RelPath) -> bool {
        self.manifest.scope.included.iter().any(|pattern| crate::glob::matches(pattern, self.name, path))
    }

    /// A new directory above a package born since, or above what a pattern brings in.
    fn leads_to_born(&self, path: &RelPath) -> bool {
        let scope = &self.manifest.scope;
        let leads = self.born.iter().flatten().any(|dir| dir.is_in(path)) || self.leading.contains(path);
        leads && !self.unprotected.contains(&path) && scope.root_entries.binary_search(path).is_err()
    }

    /// A `Cargo.toml` that appeared in a directory that was there and was no package.
    fn is_new_manifest(&self, path: &RelPath) -> bool {
        let Some(dir) = path.parent() else { return false };
        self.name.is_workspace()
            && path.file_name() == "Cargo.toml"
            && self.unprotected.contains(&&dir)
            && !self.is_foreign(path)
    }

    /// Whether git ignored it then; a rule from above a package was not made for the package's files.
    fn was_ignored(&self, path: &RelPath) -> bool {
        let packages = self.manifest.packages.iter().filter(|package| package.root == *self.name);
        let around = packages.filter_map(|p| p.directory.as_ref()).filter(|dir| path.is_in(dir));
        if self.manifest.scope.whole.iter().any(|place| place.holds(self.name, path)) {
            return false;
        }
        let of_package = |above: &RelPath| around.clone().any(|dir| dir.is_in(above));
        let mut aboves = std::iter::once(path.clone()).chain(path.ancestors());
        aboves.any(|above| self.ignored.contains(&&above) && !of_package(&above))
            || (self.ignored_whole && around.clone().next().is_none())
    }

    fn is_foreign(&self, path: &RelPath) -> bool {
        let foreign = &self.manifest.scope.foreign_packages;
        foreign.iter().any(|p| p.path.is_some() && p.holds(self.name, path))
    }
}
