//! Which store is meant, and which workspace. The commands that must work in a broken workspace open no manifest:
//! a directory is enough. What is found by looking around is held to more than what is named: it has to belong to
//! the directory that it was found in, and to the user.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::env::Env;
use super::global::Global;
use crate::error::{Error, ErrorKind, Result};
use crate::fsx::Fs;
use crate::order;
use crate::path::show_path;
use crate::store::{Standing, Store, is_store, standing};

/// The store's name where no setting says otherwise.
pub(super) const DEFAULT_STORE: &str = "backup";

/// Finds and opens the store for a command that never asks cargo: `--store`, `BACKSTOP_STORE`, the directory of
/// `--manifest-path`, the store that the executable lies in, or upwards from the current directory.
pub(super) fn open(global: &Global, env: &Env, fs: &Fs) -> Result<Store> {
    opened(global, env, fs).map_err(|e| match swept(global, env) {
        Some((dir, _)) if e.kind() == ErrorKind::NoStore => Error::new(
            ErrorKind::NoStore,
            format!(
                "the store at `{}` was swept: its restore points are left, its own files are missing",
                show_path(&dir)
            ),
        )
        .with_help("take it up again: `recover`; the next `backup` does so too"),
        _ => e,
    })
}

/// What a sweep left of a store, and the workspace that it belongs to, where [`open`] would look for one.
pub(super) fn swept(global: &Global, env: &Env) -> Option<(PathBuf, PathBuf)> {
    let is_swept = |dir: &PathBuf| matches!(standing(dir), Standing::Swept);
    let here = env.directory.clone()?;
    let root = global.manifest_path.as_deref().map(|path| env.absolute(directory_of(path)));
    if let Some(dir) = global.store.as_ref().or(env.store.as_ref()) {
        let dir = env.absolute(dir);
        return is_swept(&dir).then(|| (dir, root.unwrap_or(here)));
    }
    let (start, above) = root.as_ref().map_or((&here, usize::MAX), |root| (root, 1));
    start.ancestors().take(above).find_map(|root| {
        let entries = std::fs::read_dir(root).ok()?.flatten().map(|entry| entry.path());
        let found = entries.filter(|path| path.is_dir()).find(is_swept)?;
        Some((found, root.to_path_buf()))
    })
}

fn opened(global: &Global, env: &Env, fs: &Fs) -> Result<Store> {
    let root = global.manifest_path.as_deref().map(|m| env.absolute(directory_of(m)));
    if let Some(dir) = global.store.as_ref().or(env.store.as_ref()) {
        return Store::open(&env.absolute(dir), root.as_deref(), fs);
    }
    if let Some(root) = &root {
        // A workspace that was moved away from a store elsewhere is named to the executable in that store.
        let dir = match store_of(root)? {
            Some(dir) => dir,
            None => env.copied_into().ok_or_else(|| none(&format!("in `{}`", show_path(root))))?,
        };
        return Store::open(&dir, Some(root), fs);
    }
    if let Some(dir) = env.copied_into() {
        return Store::open(&dir, None, fs);
    }
    let here = env.directory.as_deref().ok_or_else(|| none("the current directory is missing"))?;
    let dir = upwards(here)?;
    refuse_strangers(&dir)?;
    Store::open(&dir, None, fs)
}

/// The nearest store that the current directory, or one above it, is the workspace of.
fn upwards(here: &Path) -> Result<PathBuf> {
    for dir in here.ancestors() {
        if is_store(dir) {
            return Ok(dir.to_path_buf());
        }
        if let Some(store) = store_of(dir)? {
            return Ok(store);
        }
        // A lockfile stands at the root of a workspace: what lies above belongs to another.
        if dir.join("Cargo.lock").symlink_metadata().is_ok() {
            let above = dir.ancestors().skip(1).find(|d| store_of(d).is_ok_and(|s| s.is_some()));
            let error = none(&format!("in `{}`, which is a workspace of its own", show_path(dir)));
            return Err(match above {
                Some(above) => error.with_help(format!(
                    "its store may be elsewhere: --store DIR, or BACKSTOP_STORE=DIR; the store of the workspace above: \
                     --manifest-path {}",
                    super::term::shell(&above.join("Cargo.toml"))
                )),
                None => error,
            });
        }
    }
    Err(none(&format!("in `{}` or above it", show_path(here))))
}

fn none(wher: &str) -> Error {
    Error::new(ErrorKind::NoStore, format!("there is no store of restore points {wher}")).with_help(
        "make a restore point with `backup`; or name the store: --store DIR, or BACKSTOP_STORE=DIR; \
         or run the `scripts/backstop` in it",
    )
}

fn directory_of(manifest: &Path) -> &Path {
    if manifest.is_dir() {
        return manifest;
    }
    match manifest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The store directly below a workspace root, whatever the settings called it: one that says that this is its
/// workspace, or `backup` that cannot say anything because its `store.json` is lost.
fn store_of(root: &Path) -> Result<Option<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(root) else { return Ok(None) };
    let default = root.join(DEFAULT_STORE);
    let (mut stores, mut closed) = (Vec::new(), None);
    for path in entries.flatten().map(|entry| entry.path()) {
        match standing(&path) {
            Standing::Store if crate::store::serves(&path, root).unwrap_or(path == default) => {
                stores.push(path)
            }
            Standing::Closed(e) if path == default && root.join("Cargo.toml").exists() => closed = Some(e),
            _ => {}
        }
    }
    if let (Some(closed), true) = (closed, stores.is_empty()) {
        return Err(closed);
    }
    order::sort(&mut stores);
    if stores.len() > 1 {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("`{}` has {} stores of restore points", show_path(root), stores.len()),
        )
        .with_details(stores.iter().map(|s| show_path(s)))
        .with_help("say which is meant: --store DIR"));
    }
    Ok(stores.pop())
}

/// A store that was found, not named, has to belong to the user: what stands in it decides what is written.
fn refuse_strangers(dir: &Path) -> Result<()> {
    let owner = std::fs::metadata(dir).map(|m| m.uid()).ok();
    if owner.is_some_and(|uid| uid == rustix::process::geteuid().as_raw()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NoStore, format!("the store at `{}` belongs to another user", show_path(dir)))
        .with_help(format!("if you trust it, name it: --store {}", super::term::shell(dir))))
}
