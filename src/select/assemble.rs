//! From what the walks found to the protected set: which files, for which reasons, and what else is there.

use std::path::{Path, PathBuf};

use super::area::{Area, areas, by_directory, choose, locate, owners};
use super::chosen::{Chosen, reasons_of};
use super::extras::{Resolved, place_of, take_included, take_links, take_lockfile, take_package_files};
use super::read::take_inputs;
use super::{Candidate, ProtectedSet, RootDirectory};
use super::{git, report, secrets};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{FileKind, Package, Pattern, Place, Reason, Root};
use crate::order;
use crate::path::{RelPath, path_to_text, relative, show_path, show_text};
use crate::settings::{PathPattern, ScopeSetting};
use crate::workspace::Workspace;

pub(super) fn assemble(workspace: &Workspace, store: &Path) -> Result<ProtectedSet> {
    let (mut areas, state) = std::thread::scope(|scope| {
        let state = scope.spawn(|| git::state(&workspace.root));
        (areas(workspace, store), state.join().unwrap_or_default())
    });
    let mut notes = workspace.notes.clone();
    let include = patterns(&areas, &workspace.settings.include, &mut notes);
    let exclude = patterns(&areas, &workspace.settings.exclude, &mut notes);

    for area in &mut areas {
        notes.append(&mut area.gathered.notes);
        classify(area, workspace, &exclude);
    }
    for pattern in &include {
        if !take_included(&mut areas, pattern, &exclude) {
            notes.push(format!("the include pattern `{}` names nothing", show_text(&pattern.glob)));
        }
    }
    take_lockfile(&mut areas, &exclude);
    let mut resolved = Resolved::new();
    take_links(&mut areas, workspace, &exclude, &mut resolved);
    take_package_files(&mut areas, workspace, &exclude, &mut resolved, &mut notes);
    let unprotected_inputs = take_inputs(&mut areas, workspace, &exclude, &mut resolved, &mut notes);
    let mut unreadable = Vec::new();
    for area in &mut areas {
        take_parents(area);
        report::finish_skipped(area);
        report::unreadable(area, workspace, &exclude, &mut unreadable, &mut notes);
    }
    if !unreadable.is_empty() {
        return Err(Error::new(ErrorKind::Workspace, "failed to read what is to be protected")
            .with_details(unreadable)
            .with_help("make it readable, or keep it out with `exclude` in the settings"));
    }

    let whole = workspace.settings.scope == ScopeSetting::Workspace;
    // The workspace's area comes first: its name is empty.
    let unprotected = areas.first().map(|area| report::unprotected(area, &exclude)).unwrap_or_default();
    let scope = report::scope(&areas, whole, exclude, include);
    let packages = recorded_packages(&areas, &mut resolved);
    let roots = areas.iter().map(|area| recorded_root(workspace, area)).collect();
    let mut entries = Vec::new();
    let mut skipped = Vec::new();
    for area in areas {
        skipped.extend(area.skipped);
        entries.extend(area.chosen.into_iter().map(|(path, chosen)| Candidate {
            root: area.name.clone(),
            path,
            kind: chosen.kind,
            size: chosen.size,
            package: chosen.package,
            reasons: chosen.reasons.into_iter().collect(),
        }));
    }
    if !entries.iter().any(|entry| entry.kind == FileKind::File) {
        let message = format!("nothing to protect in `{}`", show_path(&workspace.root));
        return Err(Error::new(ErrorKind::Workspace, message)
            .with_help("an `exclude` pattern of the settings may take everything"));
    }
    let secrets = secrets::among(&entries);
    let tools = workspace.tools.clone();
    Ok(ProtectedSet {
        roots,
        packages,
        entries,
        xtask: Some(recorded_xtask(workspace)),
        scope,
        target_directories: target_directories(workspace),
        git: state,
        tools,
        skipped,
        unprotected,
        unprotected_inputs,
        secrets,
        notes,
    })
}

fn target_directories(workspace: &Workspace) -> Vec<String> {
    let shown = |dir: &PathBuf| match dir.strip_prefix(&workspace.root) {
        Ok(inside) if !inside.as_os_str().is_empty() => path_to_text(inside),
        _ => path_to_text(dir),
    };
    workspace.target_directories.iter().map(shown).collect()
}

fn patterns(areas: &[Area<'_>], list: &[PathPattern], notes: &mut Vec<String>) -> Vec<Pattern> {
    let mut out = Vec::new();
    for PathPattern { directory, glob } in list {
        match locate(areas, directory) {
            Some((index, path)) => {
                let base = Place { root: areas[index].name.clone(), path };
                out.push(Pattern { base, glob: glob.clone() });
            }
            None => notes.push(format!(
                "the pattern `{}` of `{}` names nothing",
                show_text(glob),
                show_path(directory)
            )),
        }
    }
    out
}

fn classify(area: &mut Area<'_>, workspace: &Workspace, exclude: &[Pattern]) {
    let found = std::mem::take(&mut area.gathered.walked.found);
    let packages = area.packages.clone();
    let by_directory = by_directory(&packages);
    for item in &found {
        let owners = owners(&by_directory, &item.path);
        let is_dir = item.kind == Ok(FileKind::Directory);
        let mut reasons = reasons_of(workspace, area.place(), &item.path, is_dir, &owners);
        if reasons.is_empty() {
            continue;
        }
        if item.tracked && !is_dir {
            reasons.insert(Reason::Tracked);
        }
        choose(area, item, owners.last().map(|p| p.name.clone()), reasons, exclude);
    }
    area.gathered.walked.found = found;
}

/// Every directory above an entry is an entry.
fn take_parents(area: &mut Area<'_>) {
    let parents: order::Set<RelPath> = order::gather(area.chosen.keys().flat_map(RelPath::ancestors));
    let by_directory = by_directory(&area.packages);
    for path in parents {
        let package = owners(&by_directory, &path).last().map(|p| p.name.clone());
        let reasons = order::gather([Reason::Parent]);
        let parent = Chosen { kind: FileKind::Directory, size: 0, package, reasons };
        area.chosen.entry(path).or_insert(parent);
    }
}

fn recorded_root(workspace: &Workspace, area: &Area<'_>) -> RootDirectory {
    let path = path_to_text(&relative(&workspace.root, &area.directory));
    RootDirectory { root: Root { name: area.name.clone(), path }, directory: area.directory.clone() }
}

fn recorded_xtask(workspace: &Workspace) -> Vec<String> {
    workspace.xtask.iter().map(|directory| path_to_text(&relative(&workspace.root, directory))).collect()
}

fn recorded_packages(areas: &[Area<'_>], resolved: &mut Resolved) -> Vec<Package> {
    let mut packages = Vec::new();
    for area in areas {
        for (path, package) in &area.packages {
            let mut below = |file: &PathBuf| {
                let (index, path) = place_of(areas, file, resolved)?;
                (areas[index].name == area.name).then_some(path)
            };
            packages.push(Package {
                name: package.name.clone(),
                version: package.version.clone(),
                root: area.name.clone(),
                directory: path.clone(),
                crate_roots: package.crate_roots.iter().filter_map(&mut below).collect(),
            });
        }
    }
    packages
}
