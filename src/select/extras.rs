//! What is protected wherever it lies: what the settings include, what a manifest names, the lockfile, and the
//! links that lead to packages.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::area::{Area, by_directory, choose, locate, owners};
use super::gather::never_above;
use super::git;
use super::repository::repository_of;
use super::walk::{Walk, look};
use crate::glob;
use crate::manifest::{FileKind, Pattern, Reason};
use crate::path::{RelPath, canonical, show_path, show_text};
use crate::workspace::Workspace;

/// Protects what a pattern names, ignored or not; whether there was anything.
pub(super) fn take_included(areas: &mut [Area<'_>], pattern: &Pattern, exclude: &[Pattern]) -> bool {
    let Some(area) = areas.iter_mut().find(|area| area.name == pattern.base.root) else { return false };
    let (directory, skip, ours) = (area.directory.clone(), area.skip.clone(), area.package_directories());
    let walk = Walk { packages: &ours, ..Walk::new(&directory, &skip) };
    let mut start = pattern.base.path.clone();
    for part in glob::literal_prefix(&pattern.glob).0 {
        let next = start.as_ref().map_or_else(|| RelPath::new(part), |dir| dir.join(part));
        let Some(found) = next.ok().and_then(|path| look(&directory, path)) else { return false };
        if walk.never(&directory.join(&found.path), found.kind == Ok(FileKind::Directory)).is_some() {
            return false;
        }
        // Here nobody knows of submodules; those that are ours are chosen by now.
        let full = directory.join(&found.path);
        if repository_of(&full).is_some()
            && !area.chosen.contains_key(&found.path)
            && !walk.reaches(&full, &full)
        {
            return false;
        }
        start = Some(found.path);
    }
    let mut walked = walk.run(start.as_ref(), git::Rules::none());
    walked.found.retain(|found| glob::matches(pattern, &area.name, &found.path));
    let packages = area.packages.clone();
    let by_directory = by_directory(&packages);
    for found in &walked.found {
        let package = owners(&by_directory, &found.path).last().map(|p| p.name.clone());
        choose(area, found, package, [Reason::Include(pattern.glob.clone())], exclude);
    }
    area.gathered.walked.errors.extend(walked.errors);
    !walked.found.is_empty()
}

/// Libraries often let git ignore their `Cargo.lock`; it decides all the same what the next build is made of.
pub(super) fn take_lockfile(areas: &mut [Area<'_>], exclude: &[Pattern]) {
    let Some(area) = areas.first_mut() else { return };
    let found = RelPath::new("Cargo.lock").ok().and_then(|path| look(&area.directory, path));
    if let Some(found) = found.filter(|found| found.kind == Ok(FileKind::File)) {
        let package = area.packages.iter().find(|(path, _)| path.is_none()).map(|(_, p)| p.name.clone());
        choose(area, &found, package, [Reason::WorkspaceFile], exclude);
    }
}

/// Protects the links inside the workspace that lead to a package.
pub(super) fn take_links(
    areas: &mut [Area<'_>],
    workspace: &Workspace,
    exclude: &[Pattern],
    resolved: &mut Resolved,
) {
    for package in workspace.packages.iter().filter(|package| package.listed != package.directory) {
        for step in package.listed.ancestors() {
            if !step.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
                continue;
            }
            if let Some((index, path)) = place_of(areas, step, resolved)
                && let Some(found) = look(&areas[index].directory, path)
            {
                choose(&mut areas[index], &found, None, [Reason::Parent], exclude);
            }
        }
    }
}

/// The directories that were resolved already: the sources of a package lie in few of them.
pub(super) type Resolved = HashMap<PathBuf, Option<PathBuf>>;

/// Where a path stands whose last component may be a link.
pub(super) fn place_of(areas: &[Area<'_>], path: &Path, resolved: &mut Resolved) -> Option<(usize, RelPath)> {
    let (parent, name) = (path.parent()?, path.file_name()?);
    if !resolved.contains_key(parent) {
        resolved.insert(parent.into(), canonical(parent).ok());
    }
    let (index, path) = locate(areas, &resolved.get(parent)?.as_ref()?.join(name))?;
    Some((index, path?))
}

/// Protects what a manifest names outside its package's directory: readme, licence file, the source of a target.
pub(super) fn take_package_files(
    areas: &mut [Area<'_>],
    workspace: &Workspace,
    exclude: &[Pattern],
    resolved: &mut Resolved,
    notes: &mut Vec<String>,
) {
    for package in &workspace.packages {
        for file in package.files.iter().chain(&package.crate_roots) {
            let Some(place) = place_of(areas, file, resolved) else {
                if file.symlink_metadata().is_ok() {
                    notes.push(format!(
                        "`{}`, which package `{}` names, lies outside every package and is not protected",
                        show_path(file),
                        show_text(&package.name)
                    ));
                }
                continue;
            };
            let area = &mut areas[place.0];
            if area.directory.join(&place.1).starts_with(&package.directory) {
                continue;
            }
            let (directory, skip) = (area.directory.clone(), area.skip.clone());
            let walk = Walk::new(&directory, &skip);
            if never_above(&walk, &place.1).is_some() {
                continue;
            }
            if let Some(found) =
                look(&directory, place.1).filter(|found| found.kind != Ok(FileKind::Directory))
            {
                choose(area, &found, Some(package.name.clone()), [Reason::PackageFile], exclude);
            }
        }
    }
}
