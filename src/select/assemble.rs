//! From what the walks found to the protected set: which files, for which reasons, and what else is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::gather::{Gathered, gather, never_above};
use super::glob;
use super::settings::{PathPattern, ScopeSetting};
use super::walk::{Found, FoundKind, Walk, look};
use super::{Candidate, CandidateKind, ProtectedSet, RootDirectory, SkipReason, Skipped, git, report};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{self, Label, Package, Pattern, Place, Reason, Root, RootName};
use crate::path::{RelPath, canonical, path_to_text, relative, show_path};
use crate::workspace::{LocalPackage, Workspace};

/// The directories at the workspace root that steer the build.
pub(super) const STEERING: [&str; 2] = [".cargo", ".config"];

/// A root, what lies below it, and what of that is protected.
pub(super) struct Area<'a> {
    pub(super) name: RootName,
    pub(super) directory: PathBuf,
    pub(super) packages: Vec<(Option<RelPath>, &'a LocalPackage)>,
    skip: Vec<(PathBuf, SkipReason)>,
    pub(super) gathered: Gathered,
    pub(super) chosen: BTreeMap<RelPath, Chosen>,
    pub(super) skipped: BTreeSet<Skipped>,
}

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
            notes.push(format!(
                "the include pattern `{}` names nothing",
                crate::path::show_text(&pattern.glob)
            ));
        }
    }
    take_lockfile(&mut areas, &exclude);
    take_links(&mut areas, workspace, &exclude);
    take_package_files(&mut areas, workspace, &exclude, &mut notes);
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
    let scope = report::scope(&areas, whole, exclude);
    let unprotected = report::unprotected(&areas[0]);
    let packages = recorded_packages(&areas);
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
    let tools = workspace.tools.clone();
    Ok(ProtectedSet { roots, packages, entries, scope, git: state, tools, skipped, unprotected, notes })
}

/// The roots with what lies below them: the workspace, then the packages outside it by name.
fn areas<'a>(workspace: &'a Workspace, store: &Path) -> Vec<Area<'a>> {
    let mut outside: Vec<&Path> = Vec::new();
    // Sorted by directory, a package comes after those that hold it.
    for package in &workspace.packages {
        let dir = package.directory.as_path();
        if !dir.starts_with(&workspace.root) && !outside.iter().any(|root| dir.starts_with(root)) {
            outside.push(dir);
        }
    }
    let mut names = BTreeSet::new();
    let mut roots = vec![(RootName::new(), workspace.root.as_path())];
    for dir in outside {
        let base = dir.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let base = Label::from_text(&base).as_str().to_owned();
        let mut name = base.clone();
        let mut number = 2;
        while !names.insert(name.clone()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        roots.push((name, dir));
    }
    roots.sort();

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
            let walk = Walk { root: directory, skip: &skip, ask_embedded: true };
            let paths: Vec<_> = packages.iter().map(|(path, _)| path.clone()).collect();
            let gathered = gather(&walk, &paths);
            let (chosen, skipped) = (BTreeMap::new(), BTreeSet::new());
            let directory = directory.to_path_buf();
            Area { name: name.clone(), directory, packages, skip, gathered, chosen, skipped }
        })
        .collect()
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = canonical(path) {
        return path;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => path.to_path_buf(),
    }
}

fn deepest<'p>(directories: &[&'p Path], path: &Path) -> Option<&'p Path> {
    directories.iter().copied().filter(|dir| path.starts_with(dir)).max_by_key(|dir| dir.components().count())
}

/// The area that holds an absolute path without links, and the path below it (`None`: the area itself).
fn locate(areas: &[Area<'_>], path: &Path) -> Option<(usize, Option<RelPath>)> {
    let directories: Vec<&Path> = areas.iter().map(|area| area.directory.as_path()).collect();
    let directory = deepest(&directories, path)?;
    let index = areas.iter().position(|area| area.directory == directory)?;
    Some((index, RelPath::strip(directory, path)))
}

fn patterns(areas: &[Area<'_>], list: &[PathPattern], notes: &mut Vec<String>) -> Vec<Pattern> {
    let mut out = Vec::new();
    for PathPattern { directory, glob } in list {
        match locate(areas, directory) {
            Some((index, path)) => {
                let base = Place { root: areas[index].name.clone(), path };
                out.push(Pattern { base, glob: glob.clone() });
            }
            None => notes.push(format!("the pattern `{glob}` of `{}` names nothing", show_path(directory))),
        }
    }
    out
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

/// The reasons that a path has by where it lies.
pub(super) fn reasons_of(
    workspace: &Workspace,
    root: &str,
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
        let mut reasons = reasons_of(workspace, &area.name, &item.path, is_dir, &owners);
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
fn choose(
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

/// Protects what a pattern names, ignored or not; whether there was anything.
fn take_included(areas: &mut [Area<'_>], pattern: &Pattern, exclude: &[Pattern]) -> bool {
    let Some(area) = areas.iter_mut().find(|area| area.name == pattern.base.root) else { return false };
    let (directory, skip) = (area.directory.clone(), area.skip.clone());
    let walk = Walk { root: &directory, skip: &skip, ask_embedded: false };
    let mut start = pattern.base.path.clone();
    for part in glob::literal_prefix(&pattern.glob).0 {
        let next = start.as_ref().map_or_else(|| RelPath::new(part), |dir| dir.join(part));
        let Some(found) = next.ok().and_then(|path| look(&directory, path)) else { return false };
        if walk.never(&directory.join(&found.path), found.kind == FoundKind::Directory).is_some() {
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
fn take_lockfile(areas: &mut [Area<'_>], exclude: &[Pattern]) {
    let Some(area) = areas.first_mut() else { return };
    let found = RelPath::new("Cargo.lock").ok().and_then(|path| look(&area.directory, path));
    if let Some(found) = found.filter(|found| found.kind == FoundKind::File) {
        let package = area.packages.iter().find(|(path, _)| path.is_none()).map(|(_, p)| p.name.clone());
        choose(area, &found, package, [Reason::WorkspaceFile], exclude);
    }
}

/// Protects the links inside the workspace that lead to a package.
fn take_links(areas: &mut [Area<'_>], workspace: &Workspace, exclude: &[Pattern]) {
    for package in workspace.packages.iter().filter(|package| package.listed != package.directory) {
        for step in package.listed.ancestors() {
            if !step.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
                continue;
            }
            if let Some((index, path)) = place_of(areas, step)
                && let Some(found) = look(&areas[index].directory, path)
            {
                choose(&mut areas[index], &found, None, [Reason::Parent], exclude);
            }
        }
    }
}

/// Where a path stands whose last component may be a link.
fn place_of(areas: &[Area<'_>], path: &Path) -> Option<(usize, RelPath)> {
    let path = canonical(path.parent()?).ok()?.join(path.file_name()?);
    let (index, path) = locate(areas, &path)?;
    Some((index, path?))
}

/// Protects what a manifest names outside its package's directory: readme, licence file, the source of a target.
fn take_package_files(
    areas: &mut [Area<'_>],
    workspace: &Workspace,
    exclude: &[Pattern],
    notes: &mut Vec<String>,
) {
    for package in &workspace.packages {
        for file in package.files.iter().chain(&package.crate_roots) {
            let Some(place) = place_of(areas, file) else {
                if file.symlink_metadata().is_ok() {
                    notes.push(format!(
                        "`{}`, which package `{}` names, lies outside every package and is not protected",
                        show_path(file),
                        crate::path::show_text(&package.name)
                    ));
                }
                continue;
            };
            let area = &mut areas[place.0];
            if area.directory.join(&place.1).starts_with(&package.directory) {
                continue;
            }
            let (directory, skip) = (area.directory.clone(), area.skip.clone());
            let walk = Walk { root: &directory, skip: &skip, ask_embedded: false };
            if never_above(&walk, &place.1).is_some() {
                continue;
            }
            if let Some(found) = look(&directory, place.1).filter(|found| found.kind != FoundKind::Directory)
            {
                choose(area, &found, Some(package.name.clone()), [Reason::PackageFile], exclude);
            }
        }
    }
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

fn recorded_packages(areas: &[Area<'_>]) -> Vec<Package> {
    let below = |area: &Area<'_>, path: &PathBuf| {
        let (index, path) = place_of(areas, path)?;
        (areas[index].name == area.name).then_some(path)
    };
    let packages = areas.iter().flat_map(|area| {
        area.packages.iter().map(move |(path, package)| manifest::Package {
            name: package.name.clone(),
            version: package.version.clone(),
            root: area.name.clone(),
            directory: path.clone(),
            crate_roots: package.crate_roots.iter().filter_map(|file| below(area, file)).collect(),
        })
    });
    packages.collect()
}
