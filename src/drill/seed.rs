//! Compiled dependencies for a drill's first build, taken from the workspace's target directory: only of packages
//! that are not restored. What is restored is always compiled anew, or the drill would prove nothing.
//!
//! Compiled libraries are hard links: rustc writes them beside their place and renames. Everything that cargo or a
//! linker writes in place is a copy, so that no build of the drill changes what the workspace's own builds rest on.
//! Modification times are kept: cargo's freshness is made of them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::clock::Mtime;
use crate::error::{IoContext, Result};
use crate::event::Context;
use crate::fsx::Fs;
use crate::manifest::Mode;
use crate::order;

/// The profile that `cargo check` builds in.
const PROFILE: &str = "debug";
/// Extensions of what is linked, not copied.
const LINKED: [&str; 2] = ["rlib", "rmeta"];

/// Fills a new target directory from the first of `sources` that holds anything. Gives how many compiled packages
/// were taken; none where the target directory exists already.
pub(super) fn seed(
    fs: &Fs,
    sources: &[PathBuf],
    target: &Path,
    local: &[&str],
    context: &Context<'_>,
) -> Result<u64> {
    let to = target.join(PROFILE);
    if to.exists() {
        return Ok(0);
    }
    let Some(from) =
        sources.iter().map(|dir| dir.join(PROFILE)).find(|dir| dir.join(".fingerprint").is_dir())
    else {
        return Ok(0);
    };
    // A seed that was interrupted would be a target directory that exists: it is filled beside its place.
    let building = target.join(".debug.new");
    fs.remove_tree(&building).during("remove", &building)?;
    fs.create_dir_all(&building, 0o700).during("create directory", &building)?;
    let mut hashes = order::Set::new();
    for part in [".fingerprint", "build"] {
        let (from, to) = (from.join(part), building.join(part));
        fs.create_dir_all(&to, 0o700).during("create directory", &to)?;
        for unit in names(&from) {
            context.interrupt.check()?;
            let Some((package, hash)) = split(&unit) else { continue };
            if !local.contains(&package) {
                hashes.insert(hash.to_owned());
                copy_tree(fs, &from.join(&unit), &to.join(&unit))?;
            }
        }
    }
    let (from, deps) = (from.join("deps"), building.join("deps"));
    fs.create_dir_all(&deps, 0o700).during("create directory", &deps)?;
    for name in names(&from) {
        let stem =
            name.to_str().and_then(|n| n.split_once('.')).map_or(name.to_str(), |(stem, _)| Some(stem));
        if stem.and_then(|s| s.rsplit_once('-')).is_some_and(|(_, hash)| hashes.contains(hash)) {
            take(fs, &from.join(&name), &deps.join(&name))?;
        }
    }
    fs.rename(&building, &to).during("rename into place", &to)?;
    Ok(hashes.len() as u64)
}

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
}

/// `serde_json-0a1b2c3d4e5f6071` as package and hash.
fn split(name: &OsStr) -> Option<(&str, &str)> {
    name.to_str()?.rsplit_once('-').filter(|(_, hash)| hash.len() == 16)
}

fn copy_tree(fs: &Fs, from: &Path, to: &Path) -> Result<()> {
    let meta = from.symlink_metadata().during("look at", from)?;
    if meta.is_dir() {
        fs.create_dir_all(to, 0o700).during("create directory", to)?;
        for name in names(from) {
            copy_tree(fs, &from.join(&name), &to.join(&name))?;
        }
        return fs.set_mtime(to, mtime(&meta)).during("touch", to);
    }
    if meta.is_symlink() {
        let target = std::fs::read_link(from).during("read", from)?;
        return fs.symlink(target, to).during("create", to);
    }
    if meta.is_file() { copy(fs, from, to, &meta).during("copy", from) } else { Ok(()) }
}

fn take(fs: &Fs, from: &Path, to: &Path) -> Result<()> {
    let linked = from.extension().is_some_and(|e| LINKED.iter().any(|l| e.as_bytes() == l.as_bytes()));
    // Across file systems nothing can be linked.
    if linked && fs.hard_link(from, to).is_ok() {
        return Ok(());
    }
    copy_tree(fs, from, to)
}

fn copy(fs: &Fs, from: &Path, to: &Path, meta: &std::fs::Metadata) -> io::Result<()> {
    let mut file = fs.create_file(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    file.finish(&Mode::new(meta.mode()).into(), mtime(meta))
}

fn mtime(meta: &std::fs::Metadata) -> Mtime {
    Mtime { seconds: meta.mtime(), nanos: u32::try_from(meta.mtime_nsec()).unwrap_or(0) }
}
