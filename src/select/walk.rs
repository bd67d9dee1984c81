//! One look at the files below a directory, without what is never protected.
//!
//! **Invariant (I2):** no walk enters a store, a target directory, a version control system's directory, or the
//! working tree of another repository; nor does it enter what git ignores. What git tracks inside a target directory is
//! found all the same. Links are never followed.
//!
//! A walk knows nothing of cargo: a rollback looks at the present tree with it.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::SkipReason;
use super::git::{GitAnswer, Rules};
use super::repository::{is_version_control, repository_of};
use crate::manifest::{FileKind, Manifest, Repository, RootName};
use crate::order;
use crate::path::{RelPath, show_path};

const CACHEDIR_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
/// No store's header is longer; more is not read of a file that happens to have its name.
const STORE_HEADER_LIMIT: u64 = 64 * 1024;

/// What a walk found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) path: RelPath,
    /// Of what is no file, directory or link: what it is, for people.
    pub(crate) kind: Result<FileKind, &'static str>,
    pub(crate) meta: Metadata,
    /// Git tracks it although a rule ignores it, or it lies in a target directory.
    pub(crate) tracked: bool,
}

/// What a walk brought back.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Sorted by path.
    pub(crate) found: Vec<Found>,
    /// What was not entered or not taken, and why.
    pub(crate) pruned: Vec<(RelPath, SkipReason)>,
    /// What could not be read: path and message.
    pub(crate) errors: Vec<(RelPath, String)>,
    /// What git ignores by the rules that were met, directories collapsed.
    pub(crate) ignored: Vec<RelPath>,
    /// The tops of working trees with a repository of their own that were entered.
    pub(crate) checkouts: Vec<(RelPath, Repository)>,
    /// Embedded repositories that git cannot judge, and why.
    pub(crate) unjudged: Vec<(RelPath, String)>,
}

/// What to walk and what to leave out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a> {
    /// The absolute root, without links; all paths count from it.
    pub(crate) root: &'a Path,
    /// Absolute directories that are never entered, and what they are.
    pub(crate) skip: &'a [(PathBuf, SkipReason)],
    /// Whether nothing in it is taken for what a build or cargo made: cargo holds vendored sources against their digests.
    pub(crate) whole: bool,
    /// Whether embedded repositories are asked for their own rules.
    pub(crate) ask_embedded: bool,
    /// Absolute directories of packages: what a repository that is no submodule holds of them is ours all the same.
    pub(crate) packages: &'a [PathBuf],
    /// The restore point that the root is held against: a submodule of which it holds nothing is not ours either.
    pub(crate) against: Option<(&'a Manifest, &'a RootName)>,
}

/// Whose working tree a directory with a repository of its own is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkout {
    /// A submodule, or a clone that is a package.
    Ours,
    /// Another repository's, with packages of ours in it.
    Partly,
    /// Another repository's.
    Others,
}

struct Level {
    /// The depth of the directory that the rules count from.
    depth: usize,
    /// How many bytes of a path below the root stand before what the rules know.
    cut: usize,
    rules: Rules,
    /// The working tree of another repository that it lies in: only the packages in there are ours.
    of_others: Option<PathBuf>,
}

impl<'a> Walk<'a> {
    /// A walk that asks no repository, knows no package, and is not held against anything.
    pub(crate) fn new(root: &'a Path, skip: &'a [(PathBuf, SkipReason)]) -> Self {
        Walk { root, skip, whole: false, ask_embedded: false, packages: &[], against: None }
    }

    /// Walks everything below `start` (`None`: the root), which itself is entered whatever it is. `rules` are
    /// those of `start`.
    pub(crate) fn run(&self, start: Option<&RelPath>, rules: Rules) -> Walked {
        let mut out = Walked::default();
        let base = start.map_or_else(|| self.root.to_path_buf(), |path| self.root.join(path));
        let cut = start.map_or(0, |path| path.as_bytes().len() + 1);
        let root_length = self.root.as_os_str().len();
        let root_length = if self.root.as_os_str() == "/" { root_length } else { root_length + 1 };
        note_ignored(&rules, start, &mut out);
        let mut levels = vec![Level { depth: 0, cut, rules, of_others: None }];
        let mut hollow: Vec<RelPath> = Vec::new();

        let mut walk = WalkDir::new(&base).follow_links(false).follow_root_links(false).into_iter();
        while let Some(next) = walk.next() {
            let entry = match next {
                Ok(entry) => entry,
                Err(error) => {
                    record_error(self.root, &error, &mut out);
                    continue;
                }
            };
            let bytes = entry.path().as_os_str().as_bytes();
            let Ok(path) = RelPath::from_bytes(bytes.get(root_length..).unwrap_or_default()) else {
                // The root itself; every name below it is a good component.
                continue;
            };
            if start == Some(&path) {
                push(&entry, path, false, &mut out);
                continue;
            }
            while levels.len() > 1 && levels.last().is_some_and(|l| entry.depth() <= l.depth) {
                levels.pop();
            }
            let Some(level) = levels.last() else { break };
            let below = &path.as_bytes()[level.cut..];
            let is_dir = entry.file_type().is_dir();
            let tracked = |file: bool| level.rules.tracks(below) && (!file || entry.file_type().is_file());
            let never = self.never(entry.path(), is_dir);
            // A file that git tracks is no build output, whatever its name.
            let never = never.filter(|why| *why != SkipReason::TargetDirectory || !tracked(true));
            let state = || {
                let why = state_of(entry.path(), is_dir).filter(|_| !self.whole)?;
                (!tracked(false) && level.rules.tracked_below(below).next().is_none()).then_some(why)
            };
            if let Some(why) = never.or_else(state) {
                if is_dir {
                    walk.skip_current_dir();
                }
                if why == SkipReason::TargetDirectory {
                    self.take_tracked(level, &path, below, &mut out);
                }
                out.pruned.push((path, why));
                continue;
            }
            let checkout = if is_dir { self.checkout(entry.path(), &path, level, below) } else { None };
            let others = checkout.is_some_and(|(_, whose)| whose == Checkout::Others)
                || (level.of_others.as_ref().is_some_and(|tree| !self.reaches(tree, entry.path())));
            if others || level.rules.ignores(below) {
                if is_dir {
                    walk.skip_current_dir();
                }
                let why = if others { SkipReason::OtherCheckout } else { SkipReason::Ignored };
                out.pruned.push((path, why));
                continue;
            }
            if is_dir && level.rules.is_hollow(below) {
                hollow.push(path.clone());
            }
            let tracked = level.rules.tracks_though_ignored(below);
            if let Some((repository, _)) = checkout {
                out.checkouts.push((path.clone(), repository));
            }
            if let Some((_, checkout)) = checkout.filter(|_| self.ask_embedded) {
                let rules = Rules::ask(entry.path());
                if let GitAnswer::Broken(why) = &rules.answer {
                    out.unjudged.push((path.clone(), why.clone()));
                }
                note_ignored(&rules, Some(&path), &mut out);
                let of_others = match checkout {
                    Checkout::Partly => Some(entry.path().to_path_buf()),
                    _ => level.of_others.clone(),
                };
                levels.push(Level { depth: entry.depth(), cut: path.as_bytes().len() + 1, rules, of_others });
            }
            push(&entry, path, tracked, &mut out);
        }
        finish(&mut out, &hollow);
        out
    }

    /// Why a path is never taken, whatever git says of it.
    pub(crate) fn never(&self, path: &Path, is_dir: bool) -> Option<SkipReason> {
        let name = path.file_name()?;
        // `.git` is a file in submodules and worktrees.
        if is_version_control(path) {
            return Some(SkipReason::VersionControl);
        }
        if let Some((_, why)) = self.skip.iter().find(|(skip, _)| skip == path) {
            return Some(why.clone());
        }
        if is_dir && is_store(path) {
            return Some(SkipReason::Store);
        }
        if self.whole {
            return None;
        }
        // Maybe a link to another disk.
        let beside_manifest =
            name == "target" && path.with_file_name("Cargo.toml").symlink_metadata().is_ok();
        (beside_manifest || (is_dir && starts_with(&path.join("CACHEDIR.TAG"), CACHEDIR_SIGNATURE)))
            .then_some(SkipReason::TargetDirectory)
    }

    /// Whether a path lies in a package in `tree`, or leads to one.
    pub(crate) fn reaches(&self, tree: &Path, path: &Path) -> bool {
        let mut in_it = self.packages.iter().filter(|package| package.starts_with(tree));
        in_it.any(|package| path.starts_with(package) || package.starts_with(path))
    }

    /// Whose working tree a directory is, and where its repository lies; `None` where it has none of its own.
    fn checkout(
        &self,
        full: &Path,
        path: &RelPath,
        level: &Level,
        below: &[u8],
    ) -> Option<(Repository, Checkout)> {
        let repository = repository_of(full)?;
        Some((repository, self.whose(repository, full, path, level, below)))
    }

    fn whose(
        &self,
        repository: Repository,
        full: &Path,
        path: &RelPath,
        level: &Level,
        below: &[u8],
    ) -> Checkout {
        if self.came_since(path, repository) == Some(true) {
            return Checkout::Others;
        }
        if self.packages.iter().any(|package| package == full) {
            return Checkout::Ours;
        }
        let partly = self.packages.iter().any(|package| package.starts_with(full));
        let judged = level.rules.answer == GitAnswer::Working;
        let tracked_in_it = || level.rules.tracked_below(below).next().is_some();
        let ours = level.rules.tracks(below)
            || match repository {
                Repository::Shared => false,
                Repository::Own => tracked_in_it(),
                // Where nobody can say whether it is a submodule, it is taken for one: a clone has its own.
                Repository::Elsewhere => !judged || tracked_in_it(),
                Repository::Gone => true,
            };
        let held = self.against.is_none_or(|(manifest, root)| manifest.holds_below(root, path));
        match (ours && held, partly) {
            (true, _) => Checkout::Ours,
            (false, true) => Checkout::Partly,
            (false, false) => Checkout::Others,
        }
    }

    /// Whether a working tree came since the restore point that the root is held against, where anybody can say.
    fn came_since(&self, path: &RelPath, repository: Repository) -> Option<bool> {
        let (manifest, root) = self.against?;
        manifest.scope.came_since(root, path, repository)
    }

    /// The working tree that holds `path`, or is it, and came since the restore point.
    pub(crate) fn since_above(&self, path: &RelPath) -> Option<RelPath> {
        let since = |dir: &RelPath| {
            let repository = repository_of(&self.root.join(dir));
            repository.is_some_and(|repository| self.came_since(dir, repository) == Some(true))
        };
        std::iter::once(path.clone()).chain(path.ancestors()).find(since)
    }

    /// Finds what git tracks inside a target directory.
    fn take_tracked(&self, level: &Level, directory: &RelPath, below: &[u8], out: &mut Walked) {
        for tracked in level.rules.tracked_below(below) {
            let tail = &tracked[below.len() + 1..];
            let path = [directory.as_bytes(), b"/", tail].concat();
            let Ok(path) = RelPath::from_bytes(&path) else { continue };
            let full = self.root.join(&path);
            let stores = self.skip.iter().filter(|(_, why)| *why == SkipReason::Store);
            if stores.into_iter().any(|(store, _)| full.starts_with(store)) {
                continue;
            }
            // What is in the index may be gone, and a submodule is a directory.
            let Some(found) = look(self.root, path.clone()) else { continue };
            if found.kind == Ok(FileKind::Directory) {
                continue;
            }
            out.found.push(Found { tracked: true, ..found });
            let parents = path.ancestors().take_while(|parent| parent.is_in(directory));
            out.found.extend(parents.filter_map(|parent| look(self.root, parent)));
        }
    }
}

/// What stands at `path` now, if anything does; a path through a link is not followed.
pub(crate) fn look(root: &Path, path: RelPath) -> Option<Found> {
    for parent in path.ancestors() {
        if !root.join(&parent).symlink_metadata().ok()?.is_dir() {
            return None;
        }
    }
    let meta = root.join(&path).symlink_metadata().ok()?;
    Some(Found { path, kind: kind_of(&meta), meta, tracked: false })
}

/// Whose state a path is that git does not track: an editor's, or cargo's, which keeps its tools, caches and tokens in a
/// `.cargo` that is `CARGO_HOME` too, of which only the configuration is the workspace's, or in all of a `CARGO_HOME` of
/// another name.
fn state_of(path: &Path, is_dir: bool) -> Option<SkipReason> {
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    if !is_dir && is_editors(path, name) {
        return Some(SkipReason::Editor);
    }
    if path.parent().and_then(Path::file_name).is_some_and(|above| above == ".cargo") {
        let settings = name.starts_with(b"config") || name.ends_with(b".toml");
        let cargos = is_dir || !settings || name.starts_with(b".") || name.starts_with(b"credentials");
        return cargos.then_some(SkipReason::CargoHome);
    }
    let has = |name: &&str| path.join(name).symlink_metadata().is_ok_and(|meta| meta.is_file());
    let home = is_dir && name != b".cargo" && [".package-cache", ".global-cache"].iter().any(has);
    home.then_some(SkipReason::CargoHome)
}

/// Whether an editor says by it that somebody has a file open: Emacs by a link that leads nowhere, Vim by a file that begins
/// with its name, office programs by a name alone. It comes and goes with the editor.
fn is_editors(path: &Path, name: &[u8]) -> bool {
    (name.starts_with(b".#") && path.is_symlink() && !path.exists())
        || (name.starts_with(b".")
            && name.rsplit(|b| *b == b'.').next().is_some_and(|end| end.starts_with(b"sw"))
            && starts_with(path, b"b0VIM "))
        || (name.starts_with(b".~lock.") && name.ends_with(b"#"))
}

fn kind_of(meta: &Metadata) -> Result<FileKind, &'static str> {
    let kind = meta.file_type();
    if kind.is_file() {
        Ok(FileKind::File)
    } else if kind.is_dir() {
        Ok(FileKind::Directory)
    } else if kind.is_symlink() {
        Ok(FileKind::Symlink)
    } else if kind.is_fifo() {
        Err("named pipe")
    } else if kind.is_socket() {
        Err("socket")
    } else {
        Err("device")
    }
}

fn push(entry: &walkdir::DirEntry, path: RelPath, tracked: bool, out: &mut Walked) {
    match entry.metadata() {
        Ok(meta) => out.found.push(Found { path, kind: kind_of(&meta), meta, tracked }),
        // Gone since its directory was read: as if it had never been there.
        Err(e) if e.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) => {}
        Err(e) => out.errors.push((path, message(&e))),
    }
}

fn record_error(root: &Path, error: &walkdir::Error, out: &mut Walked) {
    if error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        return;
    }
    let at = error.path().unwrap_or(root);
    let path = RelPath::strip(root, at).or_else(|| RelPath::new(show_path(at).trim_start_matches('/')).ok());
    out.errors.extend(path.map(|path| (path, message(error))));
}

fn message(error: &walkdir::Error) -> String {
    error.io_error().map_or_else(|| "its links form a loop".into(), ToString::to_string)
}

fn note_ignored(rules: &Rules, base: Option<&RelPath>, out: &mut Walked) {
    let prefix = base.map_or_else(Vec::new, |base| [base.as_bytes(), b"/"].concat());
    out.ignored.extend(rules.ignored().filter_map(|p| RelPath::from_bytes(&[&prefix, p].concat()).ok()));
}

fn finish(out: &mut Walked, hollow: &[RelPath]) {
    order::sort_by(&mut out.found, |a, b| a.path.cmp(&b.path).then(b.tracked.cmp(&a.tracked)));
    out.found.dedup_by(|a, b| a.path == b.path);
    // A directory whose whole content is ignored comes and goes with it: a cache of some tool.
    let empty = |dir: &RelPath| {
        let prefix = [dir.as_bytes(), b"/"].concat();
        let from = out.found.partition_point(|f| f.path.as_bytes() < prefix.as_slice());
        out.found[from..]
            .iter()
            .take_while(|f| f.path.as_bytes().starts_with(&prefix))
            .all(|f| f.kind == Ok(FileKind::Directory))
    };
    let gone: Vec<&RelPath> = hollow.iter().filter(|dir| empty(dir)).collect();
    out.found.retain(|f| f.kind != Ok(FileKind::Directory) || !gone.iter().any(|dir| f.path.is_in(dir)));
    order::sort(&mut out.pruned);
    order::sort(&mut out.errors);
    order::sort(&mut out.ignored);
    out.ignored.dedup();
}

fn starts_with(path: &Path, signature: &[u8]) -> bool {
    // Looking first keeps a pipe of that name from blocking the walk.
    if !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
        return false;
    }
    let mut start = vec![0; signature.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == signature
}

/// Whether a directory holds a store of restore points: any, not only the one in use.
fn is_store(directory: &Path) -> bool {
    let header = directory.join("store.json");
    if !header.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
        return false;
    }
    let mut text = Vec::new();
    File::open(header).is_ok_and(|file| file.take(STORE_HEADER_LIMIT).read_to_end(&mut text).is_ok())
        && text.windows(STORE_KEY.len()).any(|window| window == STORE_KEY)
}

/// The key that makes a `store.json` that of a store.
const STORE_KEY: &[u8] = b"\"backstop_store\"";
