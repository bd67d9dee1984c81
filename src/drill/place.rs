//! Where a drill works: a directory for each store below the scratch directory.
//!
//! ```text
//! SCRATCH/STORE_ID/lock          one drill at a time
//! SCRATCH/STORE_ID/copy/…        the restored workspace, and what lies outside it at the same relative place, with
//!                                what counts for it above it; always at the same path, because cargo takes a package
//!                                at another path for another package
//! SCRATCH/STORE_ID/target/       what the copy is built in; stays for the next drill
//! ```

use std::ffi::OsString;
use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use walkdir::WalkDir;

use super::around::{Around, shut_off, toolchain};
use crate::check::Finding;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::fsx::{Fs, LockFile};
use crate::manifest::{GitState, Kind, Manifest, Mode, RootName, RootedPath};
use crate::order;
use crate::path::{clean, resolved, show_path};
use crate::store::{DrillLevel, Store, unescape_root};

/// A scratch place, locked.
#[derive(Debug)]
pub(super) struct Place {
    fs: Fs,
    copy: PathBuf,
    /// When `copy` was made, by its file system's clock.
    begun: SystemTime,
    target: PathBuf,
    workspace: CopiedRoot,
    outside: Vec<CopiedRoot>,
    around: Around,
    _lock: LockFile,
}

/// A directory that is restored.
#[derive(Debug)]
pub(super) struct CopiedRoot {
    pub(super) name: RootName,
    /// Where it lies, without links.
    pub(super) original: PathBuf,
    /// Where it lies in the copy.
    pub(super) copy: PathBuf,
}

/// The scratch directory without links, whether it is there yet or not.
///
/// # Errors
/// Kind `Usage` where it lies in one of the `roots` or in the store.
pub fn outside(scratch: &Path, roots: &[PathBuf], store: &Path) -> Result<PathBuf> {
    let scratch = resolved(&clean(scratch));
    let roots = roots.iter().map(|root| (root.as_path(), "the workspace"));
    for (directory, what) in roots.chain([(store, "the store")]) {
        if scratch.starts_with(resolved(directory)) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("the scratch directory `{}` lies in {what}", show_path(&scratch)),
            )
            .with_help("scratch copies have to lie outside: name another with --scratch DIR"));
        }
    }
    Ok(scratch)
}

/// The same for a restore point, whose roots may lie outside the workspace too.
pub(crate) fn outside_all(scratch: &Path, store: &Store, manifest: &Manifest) -> Result<PathBuf> {
    let roots = manifest.roots.iter().map(|root| store.root_directory(root)).collect::<Result<Vec<_>>>()?;
    outside(scratch, &roots, store.layout().dir())
}

impl Place {
    /// Makes and locks the place, and clears what a drill that was interrupted left.
    pub(super) fn prepare(
        store: &Store,
        manifest: &Manifest,
        scratch: &Path,
        cargo_home: &Path,
        level: DrillLevel,
        context: &Context<'_>,
    ) -> Result<Self> {
        let fs = store.fs().clone();
        let scratch = outside_all(scratch, store, manifest)?;
        let base = own_base(&fs, &scratch, &store.info()?.store_id)?;
        if level >= DrillLevel::Compiles {
            refuse_noexec(&base)?;
        }
        let path = base.join("lock");
        let lock = fs.lock_file(&path).during("open", &path)?;
        wait_for(&lock, &path, context)?;
        let copy = base.join("copy");
        fs.remove_tree(&copy).during("remove", &copy)?;
        let around = Around::look(store.root(), cargo_home, manifest.git.as_ref());
        let (workspace, outside) = arrange(store, manifest, &copy, around.depth(store.root()))?;
        fs.create_dir(&copy, 0o700).during("create directory", &copy)?;
        let begun = copy.metadata().and_then(|meta| meta.modified()).during("look at", &copy)?;
        let target = base.join("target");
        Ok(Place { fs, copy, begun, target, workspace, outside, around, _lock: lock })
    }

    /// Puts what counts for the workspace and lies above it around the restored copy. Gives the variables for what is
    /// run there.
    pub(super) fn surround(&self, git: Option<&GitState>) -> Result<Vec<(OsString, OsString)>> {
        let place = |path: &Path| {
            let mut pairs = self.workspace.original.ancestors().zip(self.workspace.copy.ancestors());
            let (above, copied) = pairs.find(|(above, _)| path.starts_with(above))?;
            let rest = path.strip_prefix(above).ok()?;
            Some(if rest.as_os_str().is_empty() { copied.into() } else { copied.join(rest) })
                .filter(|place: &PathBuf| place.starts_with(&self.copy))
        };
        let occupied =
            |place: &Path| self.roots().any(|r| place.starts_with(&r.copy) || r.copy.starts_with(place));
        self.around.put(&self.fs, git, place, occupied)?;
        let mut env = shut_off(&self.copy);
        env.extend(toolchain(&self.workspace.original, &self.workspace.copy));
        Ok(env)
    }

    /// The restored workspace root.
    pub(super) fn workspace(&self) -> &Path {
        &self.workspace.copy
    }

    /// The target directory of the drill's own.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// When the copy was begun, by its file system's clock.
    pub(super) fn begun(&self) -> SystemTime {
        self.begun
    }

    /// Every restored directory, the workspace first.
    pub(super) fn roots(&self) -> impl Iterator<Item = &CopiedRoot> {
        std::iter::once(&self.workspace).chain(&self.outside)
    }

    /// Whether a path without links lies in the workspace itself.
    pub(super) fn is_original(&self, path: &Path) -> bool {
        !path.starts_with(&self.copy) && self.roots().any(|root| path.starts_with(&root.original))
    }

    /// The names of the packages that are restored, and so never taken from somewhere else.
    pub(super) fn local_crates<'m>(&self, manifest: &'m Manifest) -> Vec<&'m str> {
        manifest.packages.iter().map(|p| p.name.as_str()).collect()
    }

    /// Removes the copy.
    pub(super) fn clear(&self) -> Result<()> {
        self.fs.remove_tree(&self.copy).during("remove", &self.copy)
    }

    /// Holds the copy against the manifest: kinds, modes and links, nothing missing and nothing more. Contents were
    /// read back when they were written. Links that were `turned` lead into the copy instead.
    pub(super) fn compare(
        &self,
        manifest: &Manifest,
        turned: &[(RootedPath, PathBuf)],
    ) -> Result<Vec<Finding>> {
        let mut expected: order::Map<PathBuf, &crate::manifest::Entry> = order::Map::new();
        for entry in &manifest.entries {
            expected.insert(self.root(&entry.root).join(&entry.path), entry);
        }
        let mut findings = Vec::new();
        let mut find = |place: String, problem: &str| {
            findings.push(Finding { place, problem: problem.into() });
        };
        let roots: Vec<&PathBuf> = self.roots().map(|root| &root.copy).collect();
        for root in &roots {
            // A root may lie in another one, and is looked at by itself.
            let own = |entry: &walkdir::DirEntry| !roots.iter().any(|other| other.as_path() == entry.path());
            for found in WalkDir::new(root).min_depth(1).follow_links(false).into_iter().filter_entry(own) {
                let found = found.map_err(|e| {
                    Error::new(ErrorKind::Io, format!("failed to look through `{}`", show_path(root)))
                        .with_source(e)
                })?;
                let meta = found.path().symlink_metadata().during("look at", found.path())?;
                let shown = show_path(found.path().strip_prefix(root).unwrap_or(found.path()));
                let Some(entry) = expected.remove(found.path()) else {
                    find(shown, "stands in the copy and not in the manifest");
                    continue;
                };
                let right = match &entry.kind {
                    Kind::File { size, .. } => meta.is_file() && meta.len() == *size,
                    Kind::Directory => meta.is_dir(),
                    Kind::Symlink { target } => {
                        let turned = turned.iter().find(|(at, _)| *at == entry.place());
                        let target = turned.map_or(target.as_os_str(), |(_, to)| to.as_os_str());
                        std::fs::read_link(found.path()).is_ok_and(|found| found.as_os_str() == target)
                    }
                };
                if !right {
                    find(entry.shown(), "is not what the manifest says");
                } else if !meta.is_symlink() && Mode::new(meta.mode()) != entry.mode() {
                    find(entry.shown(), "has another mode than the manifest says");
                }
            }
        }
        for entry in expected.values() {
            find(entry.shown(), "is missing in the copy");
        }
        Ok(findings)
    }

    fn root(&self, name: &RootName) -> &Path {
        self.roots().find(|root| root.name == *name).map_or(self.workspace(), |root| &root.copy)
    }
}

/// The directory of the store below the scratch directory, made where it is missing. Another user's is left alone.
fn own_base(fs: &Fs, scratch: &Path, id: &str) -> Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let make = |base: PathBuf| {
        fs.create_dir_all(&base, 0o700).during("create directory", &base)?;
        let owner = base.symlink_metadata().during("look at", &base)?.uid();
        Ok((base, owner == user))
    };
    let named = |e: Error| e.with_help("name a directory of your own with --scratch DIR");
    let (base, own) = make(scratch.join(id)).map_err(named)?;
    if own {
        return Ok(base);
    }
    match make(scratch.join(format!("{id}-{user}"))).map_err(named)? {
        (base, true) => Ok(base),
        (base, false) => {
            let text = format!("`{}` belongs to another user", show_path(&base));
            Err(named(Error::new(ErrorKind::Io, text)))
        }
    }
}

/// Where nothing may be executed, a build says nothing of the restore point.
fn refuse_noexec(base: &Path) -> Result<()> {
    let stat = rustix::fs::statvfs(base).map_err(|e| Error::io("look at", base, e.into()))?;
    if !stat.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC) {
        return Ok(());
    }
    let text = format!("`{}` is mounted noexec: no build can run there", show_path(base));
    Err(Error::new(ErrorKind::Io, text).with_help("name a directory elsewhere with --scratch DIR"))
}

/// Where the workspace stands in the copy, so that what lies outside it stays in there too: as deep as the longest
/// way up that a root's path takes, and at least `above`.
fn arrange(
    store: &Store,
    manifest: &Manifest,
    copy: &Path,
    above: usize,
) -> Result<(CopiedRoot, Vec<CopiedRoot>)> {
    let root = store.root();
    let mut ways = Vec::new();
    for outside in manifest.roots.iter().filter(|r| !r.name.is_workspace()) {
        ways.push((outside, unescape_root(&outside.path)?));
    }
    let up = |path: &Path| path.components().filter(|c| matches!(c, Component::ParentDir)).count();
    let depth = ways.iter().map(|(_, path)| up(path)).max().unwrap_or(0).max(above);
    let mut workspace = copy.to_path_buf();
    // The directories on the way have the names that they have around the workspace: a path dependency may come back
    // down through them.
    let above: Vec<_> = root.ancestors().skip(1).take(depth).filter_map(Path::file_name).collect();
    let missing = depth.saturating_sub(above.len());
    (0..missing).for_each(|_| workspace.push("root"));
    above.iter().rev().for_each(|name| workspace.push(name));
    workspace.push(root.file_name().unwrap_or("workspace".as_ref()));
    let outside = ways.into_iter().map(|(root, way)| {
        let (name, original) = (root.name.clone(), resolved(&store.root_directory(root)?));
        Ok(CopiedRoot { name, original, copy: clean(&workspace.join(way)) })
    });
    let outside = outside.collect::<Result<_>>()?;
    let workspace = CopiedRoot { name: RootName::Workspace, original: root.to_path_buf(), copy: workspace };
    Ok((workspace, outside))
}

fn wait_for(lock: &LockFile, path: &Path, context: &Context<'_>) -> Result<()> {
    let mut told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", path, e)),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    context
                        .observer
                        .on(&Event::Waiting { holder: "another drill in the same scratch directory".into() });
                    told = true;
                }
                context.interrupt.check()?;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}
