//! What is not protected: for the user's eyes, and for the recorded scope of a later rollback.

use super::area::{Area, by_directory, owners};
use super::chosen::{STEERING, reasons_of};
use super::walk::Found;
use super::{SkipReason, Skipped, Unprotected};
use crate::glob;
use crate::manifest::{Checkout, FileKind, Pattern, Place, Scope, shown};
use crate::order;
use crate::path::RelPath;
use crate::workspace::Workspace;

/// Adds what the walks pruned in the protected directories, and drops what turned out to be protected.
pub(super) fn finish_skipped(area: &mut Area<'_>) {
    let by_directory = by_directory(&area.packages);
    for (path, why) in &area.gathered.walked.pruned {
        // What a name says of a part does not count where all is taken.
        if area.whole.iter().any(|dir| path.is_in(dir)) {
            continue;
        }
        let at_top = area.name.is_workspace() && path.parent().is_none();
        let steers = path.components().next().is_some_and(|name| STEERING.iter().any(|dir| name == *dir));
        let other = *why == SkipReason::OtherCheckout;
        let in_protected = at_top || steers || other || !owners(&by_directory, path).is_empty();
        // A directory of which only a part is protected stays in the list: the rest of it is skipped.
        if in_protected && area.chosen.get(path).is_none_or(|chosen| chosen.is_directory()) {
            area.skipped.insert(Skipped { root: area.name.clone(), path: path.clone(), why: why.clone() });
        }
    }
    // An excluded directory stands for all that is in it.
    let directories: order::Set<RelPath> = area
        .skipped
        .iter()
        .filter(|skipped| matches!(skipped.why, SkipReason::Excluded(_)))
        .map(|skipped| skipped.path.clone())
        .collect();
    area.skipped.retain(|skipped| !skipped.path.ancestors().any(|dir| directories.contains(&dir)));
}

/// Sorts what could not be read into what had to be protected and what the user should merely know.
pub(super) fn unreadable(
    area: &Area<'_>,
    workspace: &Workspace,
    exclude: &[Pattern],
    fatal: &mut Vec<String>,
    notes: &mut Vec<String>,
) {
    let by_directory = by_directory(&area.packages);
    // A pattern's walk meets again what the first walk met.
    let errors: order::Set<_> = order::gather(&area.gathered.walked.errors);
    for (path, why) in errors {
        if exclude.iter().any(|pattern| glob::matches(pattern, &area.name, path)) {
            continue;
        }
        let line = format!("{}: {why}", shown(&area.name, path));
        let owners = owners(&by_directory, path);
        let wanted = !reasons_of(workspace, area.place(), path, true, &owners).is_empty();
        if wanted || area.chosen.contains_key(path) { fatal.push(line) } else { notes.push(line) }
    }
}

/// What a later rollback may touch.
pub(super) fn scope(
    areas: &[Area<'_>],
    whole_workspace: bool,
    excluded: Vec<Pattern>,
    included: Vec<Pattern>,
) -> Scope {
    let mut scope = Scope { whole_workspace, excluded, included, ..Scope::default() };
    let mut checkouts = order::Set::new();
    for area in areas {
        let place = |path: Option<RelPath>| Place { root: area.name.clone(), path };
        let is_workspace = area.name.is_workspace();
        if is_workspace {
            scope.git = area.gathered.git;
            if whole_workspace {
                scope.directories.push(place(None));
            }
            // Also where there is none: one that is born later steers the build all the same.
            let steering = STEERING.iter().filter_map(|dir| RelPath::new(dir).ok());
            scope.directories.extend(steering.map(|dir| place(Some(dir))));
            scope.root_entries = root_entries(area);
        }
        if area.setting.is_some() {
            scope.directories.push(place(None));
        }
        scope.directories.extend(area.packages.iter().map(|(path, _)| place(path.clone())));
        scope.directories.extend(area.steering.iter().map(|dir| place(Some(dir.clone()))));
        scope.whole.extend(area.whole.iter().map(|dir| place(Some(dir.clone()))));
        let walked = &area.gathered.walked;
        checkouts.extend(walked.checkouts.iter().map(|(path, repository)| Checkout {
            root: area.name.clone(),
            path: path.clone(),
            repository: *repository,
        }));
        let ignored = walked.ignored.iter().filter(|path| {
            // What is protected although it is ignored is judged by its entry.
            area.chosen.get(*path).is_none_or(|chosen| chosen.is_directory())
        });
        scope.ignored.extend(ignored.map(|path| place(Some(path.clone()))));
        for found in &walked.found {
            if area.chosen.contains_key(&found.path) {
                continue;
            }
            if found.kind == Ok(FileKind::Directory) && is_workspace {
                scope.unprotected_directories.push(found.path.clone());
            } else if found.kind == Ok(FileKind::File) && found.path.file_name() == "Cargo.toml" {
                scope.foreign_packages.push(place(found.path.parent()));
            }
        }
    }
    order::sort(&mut scope.directories);
    scope.directories.dedup();
    order::sort(&mut scope.ignored);
    order::sort(&mut scope.foreign_packages);
    scope.checkouts = Some(checkouts.into_iter().collect());
    scope
}

/// All names at the workspace root, ignored ones among them.
fn root_entries(area: &Area<'_>) -> Vec<RelPath> {
    let entries = std::fs::read_dir(&area.directory).into_iter().flatten().flatten();
    let mut names: Vec<RelPath> = entries.filter_map(|e| RelPath::new(e.file_name()).ok()).collect();
    order::sort(&mut names);
    names
}

/// What in the workspace is neither protected nor ignored nor excluded.
pub(super) fn unprotected(area: &Area<'_>, exclude: &[Pattern]) -> Vec<Unprotected> {
    let is_chosen = |path: &RelPath| area.chosen.contains_key(path);
    let excluded = |found: &Found| exclude.iter().any(|p| glob::matches(p, &area.name, &found.path));
    let found = area.gathered.walked.found.iter();
    collapsed(found.filter(|found| !is_chosen(&found.path) && !excluded(found)), is_chosen)
}

/// Files and links that are not protected, in the topmost directories that hold nothing protected.
pub(crate) fn collapsed<'f>(
    found: impl Iterator<Item = &'f Found>,
    is_protected: impl Fn(&RelPath) -> bool,
) -> Vec<Unprotected> {
    let mut out: order::Map<RelPath, (u64, bool)> = order::Map::new();
    for found in found.filter(|f| matches!(f.kind, Ok(FileKind::File) | Ok(FileKind::Symlink))) {
        let ancestors: Vec<RelPath> = found.path.ancestors().collect();
        // Every directory above an entry is an entry, so one that is none holds nothing protected.
        let top = ancestors.into_iter().rev().find(|dir| !is_protected(dir));
        let directory = top.is_some();
        let counted = out.entry(top.unwrap_or_else(|| found.path.clone())).or_insert((0, directory));
        counted.0 += u64::from(found.kind == Ok(FileKind::File));
    }
    let found = out.into_iter();
    found.map(|(path, (files, directory))| Unprotected { path, files, directory }).collect()
}
