//! From what the walks found to the protected set: which files, for which reasons, and what else is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::area::{Area, areas, by_directory, locate, owners};
use super::extras::{Resolved, place_of, take_included, take_links, take_lockfile, take_package_files};
use super::read::take_inputs;
use super::walk::{Found, FoundKind};
use super::{Candidate, CandidateKind, ProtectedSet, RootDirectory, SkipReason, Skipped};
use super::{git, report, secrets};
use crate::error::{Error, ErrorKind, Result};
use crate::glob;
use crate::manifest::{Package, Pattern, Place, Reason, Root};
use crate::path::{RelPath, path_to_text, relative, show_path, show_text};
use crate::settings::{PathPattern, ScopeSetting};
use crate::workspace::{LocalPackage, Workspace};

/// The directories at the workspace root that steer the build.
pub(super) const STEERING: [&str; 2] = [".cargo", ".config"];

/// Why something is protected, and what it is.
pub(super) struct Chosen {
    kind: CandidateKind,
    size: u64,
    package: Option<String>,
    reasons: BTreeSet<Reason>,
}

impl Chosen {
    pub(super) fn is_directory(&self) -> bool {
        self.kind == CandidateKind::Directory
    }
}

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
    let unprotected_inputs = take_inputs(&mut areas, workspace, &exclude, &mut resolved);
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
    let scope = report::scope(&areas, whole, exclude);
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
    if !entries.iter().any(|entry| entry.kind == CandidateKind::File) {
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

/// The reasons that a path has by where it lies. The root comes with the setting that made it one, if one did.
pub(super) fn reasons_of(
    workspace: &Workspace,
    (root, outside): (&str, Option<&str>),
    path: &RelPath,
    is_dir: bool,
    owners: &[&LocalPackage],
) -> BTreeSet<Reason> {
    let reason = |p: &&LocalPackage| if p.member { Reason::Member } else { Reason::PathDependency };
    let mut reasons: BTreeSet<Reason> = owners.iter().map(reason).collect();
    if root.is_empty() {
        let mut components = path.components();
        let first = components.next();
        let steers = first.is_some_and(|name| STEERING.iter().any(|dir| name == *dir));
        if steers || (!is_dir && components.next().is_none()) {
            reasons.insert(Reason::WorkspaceFile);
        }
        if workspace.settings.scope == ScopeSetting::Workspace {
            reasons.insert(Reason::Scope);
        }
    } else if let Some(setting) = outside {
        reasons.insert(Reason::Include(setting.to_owned()));
    }
    reasons
}

fn classify(area: &mut Area<'_>, workspace: &Workspace, exclude: &[Pattern]) {
    let found = std::mem::take(&mut area.gathered.walked.found);
    let packages = area.packages.clone();
    let by_directory = by_directory(&packages);
    for item in &found {
        let owners = owners(&by_directory, &item.path);
        let is_dir = item.kind == FoundKind::Directory;
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
    let (kind, size) = match found.kind {
        FoundKind::File => (CandidateKind::File, found.meta.len()),
        FoundKind::Directory => (CandidateKind::Directory, 0),
        FoundKind::Symlink => (CandidateKind::Symlink, 0),
        FoundKind::Special(what) => return skip(SkipReason::Special(what)),
    };
    let new = || Chosen { kind, size, package, reasons: BTreeSet::new() };
    area.chosen.entry(found.path.clone()).or_insert_with(new).reasons.extend(reasons);
}

/// Every directory above an entry is an entry.
fn take_parents(area: &mut Area<'_>) {
    let parents: BTreeSet<RelPath> = area.chosen.keys().flat_map(RelPath::ancestors).collect();
    let by_directory = by_directory(&area.packages);
    for path in parents {
        let package = owners(&by_directory, &path).last().map(|p| p.name.clone());
        let reasons = BTreeSet::from([Reason::Parent]);
        let parent = Chosen { kind: CandidateKind::Directory, size: 0, package, reasons };
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
