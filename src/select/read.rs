//! Protects what the last builds read, wherever it lies, and names what of that cannot be protected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::area::{Area, by_directory, owners};
use super::assemble::choose;
use super::extras::{Resolved, place_of};
use super::inputs::{Reader, configuration_above, inputs, is_the_machines};
use super::walk::{Found, FoundKind, Walk, look};
use super::{InputGap, UnprotectedInput, git, glob};
use crate::manifest::{Pattern, Reason};
use crate::path::{RelPath, canonical, relative};
use crate::workspace::Workspace;

/// Adds what rustc and build scripts read; gives what they read and the set does not hold.
pub(super) fn take_inputs(
    areas: &mut [Area<'_>],
    workspace: &Workspace,
    exclude: &[Pattern],
    resolved: &mut Resolved,
) -> Vec<UnprotectedInput> {
    let mut gaps = BTreeSet::new();
    for (path, evidence) in inputs(workspace) {
        let mut input = Input { path, reader: evidence.reader };
        // A link is kept, and so is what it leads to.
        for _ in 0..2 {
            take(areas, workspace, exclude, resolved, &input, &mut gaps);
            match canonical(&input.path) {
                Ok(real) if real != input.path && input.path.is_symlink() => input.path = real,
                _ => break,
            }
        }
    }
    for path in configuration_above(&workspace.root) {
        let input = Input { path, reader: Reader::Cargo };
        take(areas, workspace, exclude, resolved, &input, &mut gaps);
    }
    gaps.into_iter().collect()
}

struct Input {
    path: PathBuf,
    reader: Reader,
}

fn take(
    areas: &mut [Area<'_>],
    workspace: &Workspace,
    exclude: &[Pattern],
    resolved: &mut Resolved,
    input: &Input,
    gaps: &mut BTreeSet<UnprotectedInput>,
) {
    // A directory that holds packages is what the walk is for: a build script that watches it says nothing of what
    // git ignores in there.
    if workspace.packages.iter().any(|p| p.directory.starts_with(&input.path)) {
        return;
    }
    let mut gap = |path: PathBuf, why| {
        gaps.insert(UnprotectedInput { path, reader: input.reader, why });
    };
    let Some((index, path)) = place_of(areas, &input.path, resolved) else {
        let building = workspace.target_directories.iter().any(|dir| input.path.starts_with(dir));
        if !building && !is_the_machines(&input.path) {
            let is_dir = input.path.is_dir();
            let directory = if is_dir { Some(input.path.as_path()) } else { input.path.parent() };
            let setting = relative(&workspace.root, directory.unwrap_or(Path::new("/")));
            gap(input.path.clone(), InputGap::Outside(setting));
        }
        return;
    };
    let area = &mut areas[index];
    if area.chosen.get(&path).is_some_and(|chosen| !chosen.is_directory()) {
        return;
    }
    let (directory, skip) = (area.directory.clone(), area.skip.clone());
    let walk = Walk { root: &directory, skip: &skip, ask_embedded: false };
    let never = |path: &RelPath, is_dir| walk.never(&directory.join(path), is_dir).is_some();
    if path.ancestors().any(|dir| never(&dir, true)) {
        return;
    }
    let Some(found) = look(&directory, path) else { return };
    let items = match found.kind {
        FoundKind::Directory if never(&found.path, true) => return,
        FoundKind::Directory => walk.run(Some(&found.path), git::Rules::none()).found,
        _ => vec![found],
    };
    let packages = area.packages.clone();
    let by_directory = by_directory(&packages);
    let reason = reason(input.reader);
    for item in items.iter().filter(|item| item.kind != FoundKind::Directory) {
        if area.chosen.contains_key(&item.path) || never(&item.path, false) {
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
        Reader::Compiler | Reader::Cargo => Reason::CompilerRead,
    }
}
