//! `--only` and `-p`: the part of a restore point and of the workspace that is asked for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Manifest, Package, Place, RootName, RootedPath};
use crate::path::{RelPath, show_path, show_text};

/// What the user names. Paths and packages add up; where nothing is named, all is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Paths, each with all that is below it: below [`Asked::here`], absolute, or `ROOT:path` outside the workspace.
    pub only: Vec<PathBuf>,
    /// Packages, by name.
    pub packages: Vec<String>,
    /// The directory of the workspace that relative paths count from; `None` for the root.
    pub here: Option<RelPath>,
}

/// Which paths are asked for. Paths are compared as they are on disk, never as they are shown.
#[derive(Debug)]
pub(crate) struct PathFilter(Option<Vec<Place>>);

impl PathFilter {
    /// Reads what is asked for of `sides`: one restore point, or the two that are compared. It may also name what the
    /// workspace at `workspace` has in `live`. A package is asked for where it was and where it is now, as `packages`
    /// tells. A name that nobody knows is an error.
    pub(crate) fn new(
        asked: &Asked,
        workspace: &Path,
        sides: &[&Manifest],
        live: &[&RootedPath],
        packages: &[(String, Place)],
        comparing: bool,
    ) -> Result<Self> {
        if asked.only.is_empty() && asked.packages.is_empty() {
            return Ok(PathFilter(None));
        }
        let mut places = Vec::new();
        for path in &asked.only {
            let place = place(path, asked.here.as_ref(), workspace, sides)?;
            let known = sides.iter().flat_map(|m| &m.entries).any(|e| place.holds(&e.root, &e.path))
                || live.iter().any(|at| place.holds(&at.root, &at.path));
            if !known {
                return Err(unknown_path(&place, sides, comparing));
            }
            places.push(place);
        }
        for name in &asked.packages {
            let recorded = sides.iter().flat_map(|m| &m.packages);
            let found: Vec<&Package> = recorded.filter(|p| p.name == *name).collect();
            let now = packages.iter().filter(|(package, _)| package == name).map(|(_, place)| place);
            if found.is_empty() {
                return Err(unknown_package(name, now.clone().next(), sides, comparing));
            }
            places.extend(found.iter().map(|p| Place { root: p.root.clone(), path: p.directory.clone() }));
            places.extend(now.cloned());
        }
        Ok(PathFilter(Some(places)))
    }

    /// Whether all is asked for.
    pub(crate) fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a path is asked for.
    pub(crate) fn holds(&self, root: &RootName, path: &RelPath) -> bool {
        self.0.as_ref().is_none_or(|places| places.iter().any(|place| place.holds(root, path)))
    }

    /// Whether anything of a root is asked for.
    pub(crate) fn reaches(&self, root: &RootName) -> bool {
        self.0.as_ref().is_none_or(|places| places.iter().any(|place| place.root == *root))
    }

    /// Whether a path below this one is asked for: a missing directory on the way has to be made.
    pub(crate) fn leads_to(&self, root: &RootName, path: &RelPath) -> bool {
        let leads = |place: &Place| place.root == *root && place.path.as_ref().is_some_and(|p| p.is_in(path));
        self.0.as_ref().is_some_and(|places| places.iter().any(leads))
    }

    /// What lies outside the workspace is not asked for by name alone.
    ///
    /// # Errors
    /// Kind `Usage`, if a place in a root is named that is not reached.
    pub(crate) fn refuse_outside(&self, reached: impl Fn(&RootName) -> bool) -> Result<()> {
        match self.0.iter().flatten().find(|place| !reached(&place.root)) {
            Some(place) => {
                Err(Error::new(ErrorKind::Usage, format!("`{}` lies outside the workspace", place.root))
                    .with_help("add --outside to write there too"))
            }
            None => Ok(()),
        }
    }
}

/// The place that `--only` names.
fn place(path: &Path, here: Option<&RelPath>, workspace: &Path, sides: &[&Manifest]) -> Result<Place> {
    // A variable that a script forgot to set must not widen a rollback to everything.
    if path.components().all(|c| c == Component::RootDir) {
        return Err(Error::new(ErrorKind::Usage, format!("--only `{}` names no path", show_path(path)))
            .with_help("give a path below the workspace root; `.` is all of it"));
    }
    let bytes = path.as_os_str().as_bytes();
    let outside = sides.iter().flat_map(|m| &m.roots).filter(|r| !r.name.is_workspace()).find_map(|root| {
        let rest = bytes.strip_prefix(root.name.as_str().as_bytes())?.strip_prefix(b":")?;
        Some((root.name.clone(), rest))
    });
    let below = match &outside {
        Some((_, rest)) => tidy(Path::new(OsStr::from_bytes(rest))),
        None => match (path.strip_prefix(workspace), here) {
            (Ok(rest), _) => tidy(rest),
            (Err(_), Some(here)) if path.is_relative() => tidy(&here.as_path().join(path)),
            (Err(_), _) => tidy(path),
        },
    };
    let path = if below.as_os_str().is_empty() {
        None
    } else {
        Some(RelPath::new(&below).map_err(|e| {
            Error::new(ErrorKind::Usage, format!("--only {}: {e}", show_path(path)))
                .with_help("give a path below the workspace root")
        })?)
    };
    Ok(Place { root: outside.map(|(root, _)| root).unwrap_or_default(), path })
}

/// Takes `.` out, and `..` together with the directory before it. One that leads out stays, and is refused later.
fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

fn unknown_path(place: &Place, sides: &[&Manifest], comparing: bool) -> Error {
    let path = place.path.as_ref().map_or_else(|| ".".to_owned(), ToString::to_string);
    let text = if place.root.is_workspace() { path } else { format!("{}:{path}", place.root) };
    match sides {
        [manifest] if !comparing => {
            Error::new(ErrorKind::Usage, format!("--only {text}: {} holds no such path", manifest.backup_id))
                .with_help("`show` lists what a restore point holds; paths count from the workspace root")
        }
        _ => Error::new(ErrorKind::Usage, format!("--only {text}: neither side holds such a path"))
            .with_help("paths count from the workspace root; `show -v` names all that is held"),
    }
}

fn unknown_package(name: &str, now: Option<&Place>, sides: &[&Manifest], comparing: bool) -> Error {
    let name = show_text(name);
    let manifest = match sides {
        [manifest] if !comparing => manifest,
        _ => {
            return Error::new(ErrorKind::Usage, format!("neither side has a package `{name}`"))
                .with_help("`show` lists the packages");
        }
    };
    let error = Error::new(ErrorKind::Usage, format!("{} has no package `{name}`", manifest.backup_id));
    if let Some(Place { root, path: Some(path) }) = now {
        let shown = crate::manifest::shown(root, path);
        let there = manifest.packages.iter().find(|p| p.root == *root && p.directory.as_ref() == Some(path));
        return match there {
            Some(then) => error.with_help(format!(
                "it stands in `{shown}`, where the restore point has the package `{0}`: -p {0}",
                show_text(&then.name)
            )),
            None => error.with_help(format!("it came since, in `{shown}`: `--only {shown}` moves it out")),
        };
    }
    let near = manifest.packages.iter().map(|p| (strsim::jaro_winkler(&p.name, &name), &p.name));
    match near.filter(|(score, _)| *score > 0.7).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, near)) => error.with_help(format!("did you mean `{near}`?")),
        None => error.with_help("`show` lists its packages"),
    }
}
