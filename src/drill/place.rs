//! Where a drill works: a directory for each store below the scratch directory.
//!
//! ```text
//! SCRATCH/STORE_ID/lock          one drill at a time
//! SCRATCH/STORE_ID/copy/…        the restored workspace, and what lies outside it at the same relative place; always
//!                                at the same path, because cargo takes a package at another path for another package
//! SCRATCH/STORE_ID/target/       what the copy is built in; stays for the next drill
//! ```

use std::fs::TryLockError;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use walkdir::WalkDir;

use crate::check::Finding;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::fsx::{Fs, LockFile};
use crate::manifest::{Kind, Manifest, Mode, RootName};
use crate::order;
use crate::path::{clean, resolved, show_path};
use crate::store::{Store, unescape_root};

/// A scratch place, locked.
#[derive(Debug)]
pub(super) struct Place {
    fs: Fs,
    copy: PathBuf,
    workspace: PathBuf,
    target: PathBuf,
    /// The outside roots: name and directory in the copy.
    outside: Vec<(RootName, PathBuf)>,
    _lock: LockFile,
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
    /// Makes and locks the place, and clears what a drill that was cut off left.
    pub(super) fn prepare(
        store: &Store,
        manifest: &Manifest,
        scratch: &Path,
        context: &Context<'_>,
    ) -> Result<Self> {
        let fs = store.fs().clone();
        let scratch = outside_all(scratch, store, manifest)?;
        let base = scratch.join(store.info()?.store_id);
        fs.create_dir_all(&base, 0o700).during("create directory", &base)?;
        let path = base.join("lock");
        let lock = fs.lock_file(&path).during("open", &path)?;
        wait_for(&lock, &path, context)?;
        let copy = base.join("copy");
        fs.remove_tree(&copy).during("remove", &copy)?;
        let (workspace, outside) = arrange(store.root(), manifest, &copy)?;
        Ok(Place { fs, copy, workspace, target: base.join("target"), outside, _lock: lock })
    }

    /// The restored workspace root.
    pub(super) fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The target directory of the drill's own.
    pub(super) fn target(&self) -> &Path {
        &self.target
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
    /// read back when they were written.
    pub(super) fn compare(&self, manifest: &Manifest) -> Result<Vec<Finding>> {
        let mut expected: order::Map<PathBuf, &crate::manifest::Entry> = order::Map::new();
        for entry in &manifest.entries {
            expected.insert(self.root(&entry.root).join(&entry.path), entry);
        }
        let mut findings = Vec::new();
        let mut find = |place: String, problem: &str| {
            findings.push(Finding { place, problem: problem.into() });
        };
        let roots = std::iter::once(&self.workspace).chain(self.outside.iter().map(|(_, dir)| dir));
        for root in roots {
            for found in WalkDir::new(root).min_depth(1).follow_links(false) {
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
                    Kind::Symlink { target } => std::fs::read_link(found.path())
                        .is_ok_and(|found| found.as_os_str() == target.as_os_str()),
                };
                use std::os::unix::fs::MetadataExt;
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
        let outside = self.outside.iter().find(|(root, _)| root == name);
        outside.map_or(&self.workspace, |(_, directory)| directory)
    }
}

/// Where the workspace stands in the copy, so that what lies outside it stays in there too: as deep as the longest
/// way up that a root's path takes.
fn arrange(root: &Path, manifest: &Manifest, copy: &Path) -> Result<(PathBuf, Vec<(RootName, PathBuf)>)> {
    let mut ways = Vec::new();
    for root in manifest.roots.iter().filter(|r| !r.name.is_workspace()) {
        ways.push((root.name.clone(), unescape_root(&root.path)?));
    }
    let up = |path: &Path| path.components().filter(|c| matches!(c, Component::ParentDir)).count();
    let depth = ways.iter().map(|(_, path)| up(path)).max().unwrap_or(0);
    let mut workspace = copy.to_path_buf();
    // The directories on the way have the names that they have around the workspace: a path dependency may come back
    // down through them.
    let above: Vec<_> = root.ancestors().skip(1).take(depth).filter_map(Path::file_name).collect();
    let missing = depth.saturating_sub(above.len());
    (0..missing).for_each(|_| workspace.push("root"));
    above.iter().rev().for_each(|name| workspace.push(name));
    workspace.push(root.file_name().unwrap_or("workspace".as_ref()));
    let outside = ways.into_iter().map(|(name, way)| (name, clean(&workspace.join(way)))).collect();
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
