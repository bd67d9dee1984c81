//! Protects what the last builds read, wherever it lies, and names what of that cannot be protected.

use std::path::{Path, PathBuf};

use super::area::{Area, by_directory, choose, owners};
use super::extras::{Resolved, place_of};
use super::inputs::{Reader, inputs, is_the_machines, is_the_walks};
use super::walk::{Found, Walk, look};
use super::{InputGap, SkipReason, UnprotectedInput, git};
use crate::glob;
use crate::manifest::{FileKind, Pattern, Reason};
use crate::order;
use crate::path::{RelPath, canonical, relative, show_path};
use crate::workspace::Workspace;

/// Adds what rustc and build scripts read; gives what they read and the set does not hold.
pub(super) fn take_inputs(
    areas: &mut [Area<'_>],
    workspace: &Workspace,
    exclude: &[Pattern],
    resolved: &mut Resolved,
    notes: &mut Vec<String>,
) -> Vec<UnprotectedInput> {
    let mut gaps = order::Set::new();
    let inputs = inputs(workspace);
    if !inputs.iter().any(|(_, evidence)| evidence.reader == Reader::Compiler) {
        let built = workspace.target_directories.iter().find(|dir| dir.join(".rustc_info.json").exists());
        notes.extend(built.map(|dir| {
            let dir = show_path(dir);
            format!("no dep-info of a build was found in `{dir}`: what builds read outside the packages is not known")
        }));
    }
    for (path, evidence) in inputs {
        for path in chain(&path, resolved) {
            let input = Input { path, reader: evidence.reader, whole: false };
            take(areas, workspace, exclude, resolved, &input, &mut gaps);
        }
    }
    for (paths, whole) in [(&workspace.steering, false), (&workspace.sources, true)] {
        for path in paths.iter().flat_map(|path| chain(path, resolved)).collect::<Vec<_>>() {
            let input = Input { path, reader: Reader::Cargo, whole };
            take(areas, workspace, exclude, resolved, &input, &mut gaps);
        }
    }
    gaps.into_iter().collect()
}

struct Input {
    path: PathBuf,
    reader: Reader,
    /// Whether a directory is taken with whatever is in it.
    whole: bool,
}

/// No chain of links is longer: the system itself follows 40.
const LINKS: usize = 40;

/// What a build goes through to read a path: each link on the way, and what stands at its end.
pub(crate) fn chain(path: &Path, resolved: &mut Resolved) -> Vec<PathBuf> {
    let (mut out, mut next) = (Vec::new(), Some(path.to_path_buf()));
    while let Some(path) = next.take().filter(|path| out.len() < LINKS && !out.contains(path)) {
        // Links among the directories above it; there are none where they are what they are called.
        if let Some(parent) = path.parent() {
            let real = resolved.entry(parent.into()).or_insert_with(|| canonical(parent).ok());
            if let (Some(real), Some(name)) =
                (real.as_deref().filter(|real| *real != parent), path.file_name())
            {
                out.extend(parent.ancestors().filter(|dir| dir.is_symlink()).map(Path::to_path_buf));
                next = Some(real.join(name));
            }
        }
        if let Ok(target) = std::fs::read_link(&path)
            && next.is_none()
        {
            let target = path.parent().unwrap_or(Path::new("/")).join(target);
            next = match (target.parent().map(canonical), target.file_name()) {
                (Some(Ok(parent)), Some(name)) => Some(parent.join(name)),
                _ => canonical(&target).ok(),
            };
        }
        out.push(path);
    }
    out
}

/// The directory that the setting `outside` would have to name, relative to the workspace root. `None` where it cannot
/// name it: it holds the workspace, or it is cargo's own, with what cargo downloaded and the user's tokens.
pub(crate) fn outside_setting(workspace: &Workspace, path: &Path) -> Option<PathBuf> {
    let directory = if path.is_dir() { path } else { path.parent()? };
    let cargo_home = directory.ends_with(".cargo")
        && ["registry", "bin", "credentials.toml"].iter().any(|name| directory.join(name).exists());
    let named = !cargo_home && !workspace.root.starts_with(directory) && directory.to_str().is_some();
    named.then(|| relative(&workspace.root, directory))
}

fn take(
    areas: &mut [Area<'_>],
    workspace: &Workspace,
    exclude: &[Pattern],
    resolved: &mut Resolved,
    input: &Input,
    gaps: &mut order::Set<UnprotectedInput>,
) {
    if is_the_walks(workspace, &input.path) {
        return;
    }
    let mut gap = |path: PathBuf, why| {
        gaps.insert(UnprotectedInput { path, reader: input.reader, why });
    };
    let Some((index, path)) = place_of(areas, &input.path, resolved) else {
        let building = workspace.target_directories.iter().any(|dir| input.path.starts_with(dir));
        if !building && !is_the_machines(&input.path, &workspace.root) {
            gap(input.path.clone(), InputGap::Outside(outside_setting(workspace, &input.path)));
        }
        return;
    };
    let area = &mut areas[index];
    let told = reason(input.reader);
    if let Some(chosen) = area.chosen.get_mut(&path).filter(|chosen| !chosen.is_directory()) {
        chosen.told(&path, told);
        return;
    }
    let (directory, skip, ours) = (area.directory.clone(), area.skip.clone(), area.package_directories());
    let walk = Walk { packages: &ours, whole: input.whole, ..Walk::new(&directory, &skip) };
    let never = |path: &RelPath, is_dir| walk.never(&directory.join(path), is_dir).is_some();
    if let Some(why) = path.ancestors().find_map(|dir| walk.never(&directory.join(dir), true)) {
        if why == SkipReason::OtherCheckout {
            gap(input.path.clone(), InputGap::Outside(None));
        }
        return;
    }
    let Some(found) = look(&directory, path.clone()) else { return };
    let all = input.reader != Reader::Compiler && found.kind == Ok(FileKind::Directory);
    if all && !never(&found.path, true) {
        area.steering.push(found.path.clone());
        area.whole.extend(input.whole.then(|| found.path.clone()));
    }
    let items = match found.kind {
        Ok(FileKind::Directory) if never(&found.path, true) => return,
        Ok(FileKind::Directory) => walk.run(Some(&found.path), git::Rules::none()).found,
        _ => vec![found],
    };
    let packages = area.packages.clone();
    let by_directory = by_directory(&packages);
    let reason = reason(input.reader);
    // What lies in a package below a watched directory is what the walk is for.
    let watched = directory.join(&path);
    let below = |item: &RelPath| {
        owners(&by_directory, item)
            .last()
            .is_some_and(|p| p.directory != watched && p.directory.starts_with(&watched))
    };
    for item in items.iter().filter(|item| item.kind != Ok(FileKind::Directory) && !below(&item.path)) {
        if let Some(chosen) = area.chosen.get_mut(&item.path) {
            chosen.told(&item.path, reason.clone());
            continue;
        }
        if never(&item.path, false) {
            continue;
        }
        if let Some(pattern) = exclude.iter().find(|p| glob::matches(p, &area.name, &item.path)) {
            gap(directory.join(&item.path), InputGap::Excluded(pattern.glob.clone()));
            continue;
        }
        let package = owners(&by_directory, &item.path).last().map(|p| p.name.clone());
        choose(area, &plain(item), package, [reason.clone()], exclude);
    }
}

/// What was read by a build is not also what git tracks.
fn plain(item: &Found) -> Found {
    Found { tracked: false, ..item.clone() }
}

fn reason(reader: Reader) -> Reason {
    match reader {
        Reader::BuildScript => Reason::BuildScriptRead,
        Reader::Compiler => Reason::CompilerRead,
        Reader::Cargo => Reason::WorkspaceFile,
    }
}
