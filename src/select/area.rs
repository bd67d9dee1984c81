//! The roots: the workspace, and each package outside it; and which of them holds a path.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::chosen::Chosen;
use super::gather::{Gathered, gather};
use super::walk::{Found, Walk};
use super::{SkipReason, Skipped};
use crate::glob;
use crate::manifest::{FileKind, Label, Pattern, Reason, RootName};
use crate::order;
use crate::path::{RelPath, resolved};
use crate::workspace::{LocalPackage, Workspace};

/// A root, what lies below it, and what of that is protected.
pub(super) struct Area<'a> {
    pub(super) name: RootName,
    pub(super) directory: PathBuf,
    pub(super) packages: Vec<(Option<RelPath>, &'a LocalPackage)>,
    pub(super) skip: Vec<(PathBuf, SkipReason)>,
    pub(super) gathered: Gathered,
    pub(super) chosen: order::Map<RelPath, Chosen>,
    pub(super) skipped: order::Set<Skipped>,
    /// Directories that cargo's configuration names, or a build script watches.
    pub(super) steering: Vec<RelPath>,
    /// Those of them that are taken whole.
    pub(super) whole: Vec<RelPath>,
    /// What the setting `outside` calls it, where that is why it is a root.
    pub(super) setting: Option<String>,
}

impl Area<'_> {
    /// The directories of its packages, absolute.
    pub(super) fn package_directories(&self) -> Vec<PathBuf> {
        self.packages.iter().map(|(_, package)| package.directory.clone()).collect()
    }

    /// Its name, and the setting that made it a root.
    pub(super) fn place(&self) -> (&RootName, Option<&str>) {
        (&self.name, self.setting.as_deref())
    }
}

/// The roots with what lies below them: the workspace, then the packages outside it by name.
pub(super) fn areas<'a>(workspace: &'a Workspace, store: &Path) -> Vec<Area<'a>> {
    let mut outside: Vec<&Path> = workspace.outside.iter().map(|(dir, _)| dir.as_path()).collect();
    // Sorted by directory, a package comes after those that hold it.
    for package in &workspace.packages {
        let dir = package.directory.as_path();
        if !dir.starts_with(&workspace.root) && !outside.iter().any(|root| dir.starts_with(root)) {
            outside.push(dir);
        }
    }
    let mut names = order::Set::new();
    let mut roots = vec![(RootName::Workspace, workspace.root.as_path())];
    for dir in outside {
        let base = dir.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let base = Label::from_text(&base).as_str().to_owned();
        let mut name = base.clone();
        let mut number = 2;
        while !names.insert(name.clone()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        roots.push((name.into(), dir));
    }
    order::sort(&mut roots);

    let mut skip: Vec<(PathBuf, SkipReason)> = vec![(resolved(store), SkipReason::Store)];
    skip.extend(workspace.target_directories.iter().map(|dir| (dir.clone(), SkipReason::TargetDirectory)));
    let directories: Vec<&Path> = roots.iter().map(|(_, dir)| *dir).collect();
    roots
        .iter()
        .map(|(name, directory)| {
            let mine =
                |package: &&LocalPackage| deepest(&directories, &package.directory) == Some(*directory);
            let packages: Vec<_> = workspace
                .packages
                .iter()
                .filter(mine)
                .map(|package| (RelPath::strip(directory, &package.directory), package))
                .collect();
            let mut skip = skip.clone();
            let others =
                directories.iter().filter(|other| *other != directory && other.starts_with(directory));
            skip.extend(others.map(|other| (other.to_path_buf(), SkipReason::OtherRoot)));
            let ours: Vec<PathBuf> = packages.iter().map(|(_, package)| package.directory.clone()).collect();
            let walk = Walk { ask_embedded: true, packages: &ours, ..Walk::new(directory, &skip) };
            let paths: Vec<_> = packages.iter().map(|(path, _)| path.clone()).collect();
            let gathered = gather(&walk, &paths);
            // No pattern and no build's word brings them in either.
            skip.extend(gathered.other_checkouts(directory).map(|dir| (dir, SkipReason::OtherCheckout)));
            let (chosen, skipped) = (order::Map::new(), order::Set::new());
            let (steering, whole) = (Vec::new(), Vec::new());
            let directory = directory.to_path_buf();
            let setting = workspace.outside.iter().find(|(dir, _)| *dir == directory);
            let setting = setting.map(|(_, text)| text.clone());
            Area {
                name: name.clone(),
                directory,
                packages,
                skip,
                gathered,
                chosen,
                skipped,
                steering,
                whole,
                setting,
            }
        })
        .collect()
}

fn deepest<'p>(directories: &[&'p Path], path: &Path) -> Option<&'p Path> {
    directories.iter().copied().filter(|dir| path.starts_with(dir)).max_by_key(|dir| dir.components().count())
}

/// The area that holds an absolute path without links, and the path below it (`None`: the area itself).
pub(super) fn locate(areas: &[Area<'_>], path: &Path) -> Option<(usize, Option<RelPath>)> {
    let directories: Vec<&Path> = areas.iter().map(|area| area.directory.as_path()).collect();
    let directory = deepest(&directories, path)?;
    let index = areas.iter().position(|area| area.directory == directory)?;
    Some((index, RelPath::strip(directory, path)))
}

/// The packages whose directory is `path` or holds it; the deepest last.
pub(super) fn owners<'a>(
    by_directory: &HashMap<&[u8], &'a LocalPackage>,
    path: &RelPath,
) -> Vec<&'a LocalPackage> {
    let bytes = path.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i);
    [0].into_iter()
        .chain(ends)
        .chain([bytes.len()])
        .filter_map(|end| by_directory.get(&bytes[..end]).copied())
        .collect()
}

pub(super) fn by_directory<'m, 'a>(
    packages: &'m [(Option<RelPath>, &'a LocalPackage)],
) -> HashMap<&'m [u8], &'a LocalPackage> {
    packages.iter().map(|(path, p)| (path.as_ref().map_or(&b""[..], RelPath::as_bytes), *p)).collect()
}

/// Protects what was found, unless a pattern keeps it out or it cannot be kept at all.
pub(super) fn choose(
    area: &mut Area<'_>,
    found: &Found,
    package: Option<String>,
    reasons: impl IntoIterator<Item = Reason>,
    exclude: &[Pattern],
) {
    let mut skip = |why| {
        area.skipped.insert(Skipped { root: area.name.clone(), path: found.path.clone(), why });
    };
    if let Some(pattern) = exclude.iter().find(|p| glob::matches(p, &area.name, &found.path)) {
        return skip(SkipReason::Excluded(pattern.glob.clone()));
    }
    let kind = match found.kind {
        Ok(kind) => kind,
        Err(what) => return skip(SkipReason::Special(what)),
    };
    let size = if kind == FileKind::File { found.meta.len() } else { 0 };
    let new = || Chosen { kind, size, package, reasons: order::Set::new() };
    area.chosen.entry(found.path.clone()).or_insert_with(new).reasons.extend(reasons);
}
