//! Which store is meant, and which workspace. The commands that must work in a broken workspace open no manifest:
//! a directory is enough.

use std::path::{Path, PathBuf};

use super::Env;
use super::args::Global;
use crate::error::{Error, ErrorKind, Result};
use crate::fsx::Fs;
use crate::path::show_path;
use crate::store::{Store, is_store};

/// The store's name where no setting says otherwise.
pub(super) const DEFAULT_STORE: &str = "backup";

/// Finds and opens the store for a command that never asks cargo: `--store`, `BACKSTOP_STORE`, the directory of
/// `--manifest-path`, the store that the executable lies in, or upwards from the current directory.
pub(super) fn open(global: &Global, env: &Env, fs: &Fs) -> Result<Store> {
    let root = global.manifest_path.as_deref().map(|m| env.absolute(directory_of(m)));
    if let Some(dir) = global.store.as_ref().or(env.store.as_ref()) {
        return Store::open(&env.absolute(dir), root.as_deref(), fs);
    }
    if let Some(root) = &root {
        // A workspace that was moved away from a store outside it is named to that store's executable.
        let dir = store_in(root).or_else(|| env.copied_into());
        let dir = dir.ok_or_else(|| none(&format!("in `{}`", show_path(root))))?;
        return Store::open(&dir, Some(root), fs);
    }
    if let Some(dir) = env.copied_into() {
        return Store::open(&dir, None, fs);
    }
    let here = env.directory.as_deref().ok_or_else(|| none("the current directory is gone"))?;
    let found = here.ancestors().find_map(|dir| if is_store(dir) { Some(dir.into()) } else { store_in(dir) });
    let dir: PathBuf = found.ok_or_else(|| none(&format!("in `{}` or above it", show_path(here))))?;
    Store::open(&dir, None, fs)
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

/// The store directly below a workspace root: `backup`, or whatever the settings called it.
fn store_in(root: &Path) -> Option<PathBuf> {
    let default = root.join(DEFAULT_STORE);
    if is_store(&default) {
        return Some(default);
    }
    let mut stores: Vec<PathBuf> =
        std::fs::read_dir(root).ok()?.flatten().map(|e| e.path()).filter(|p| is_store(p)).collect();
    stores.sort();
    stores.into_iter().next()
}
