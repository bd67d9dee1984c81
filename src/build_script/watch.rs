//! What Cargo is told to watch. Cargo runs a build script again for ever if a path that it is to watch is missing, and
//! a store is missing at first. So the guard keeps a directory of symbolic links in `OUT_DIR` and has Cargo watch that:
//! Cargo follows links in a directory and passes over those that lead nowhere; what appears at the other end is newer
//! than the build script's last run.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::store::{is_package, is_target, real};

/// The directives to watch the package without the places `never`, where it is to be watched, and files: each with
/// what is waited for where it does not exist.
pub(super) fn watch(
    [package, out_dir, root]: [&Path; 3],
    never: Option<&[PathBuf]>,
    files: &[(PathBuf, PathBuf)],
) -> Vec<String> {
    let (mut paths, mut links) = (Vec::new(), Vec::new());
    if never.is_some_and(|never| visit(package, true, never, &mut paths)) {
        paths = vec![package.to_path_buf()];
    }
    // Below the workspace root relative to the package: a workspace that was moved has nothing to rebuild. A name that
    // Cargo cannot read from a line is left to the watch over its directory.
    let shown = |path: &PathBuf| {
        let path = near(package, path, root);
        path.to_str().filter(|text| !text.contains(['\n', '\r'])).map(|t| format!("rerun-if-changed={t}"))
    };
    for (path, instead) in files {
        match path.is_file() {
            true if shown(path).is_some() => paths.push(path.clone()),
            true => links.push(path),
            false => links.push(instead),
        }
    }
    let dir = out_dir.join("backstop-watch");
    if !links.is_empty() && link(&dir, root, &links).is_ok() {
        paths.push(dir);
    }
    paths.iter().filter_map(shown).collect()
}

/// Makes the directory of links what it is to be, and old: what the script itself makes is newer than its start, from
/// which Cargo counts.
#[expect(clippy::disallowed_methods, reason = "the guard writes here alone, in OUT_DIR")]
fn link(dir: &Path, root: &Path, links: &[&PathBuf]) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)?.flatten() {
        fs::remove_file(entry.path())?;
    }
    for (number, to) in links.iter().enumerate() {
        #[cfg(unix)]
        std::os::unix::fs::symlink(near(dir, to, root), dir.join(number.to_string()))?;
        #[cfg(not(unix))]
        let _ = (to, number, root);
    }
    fs::File::open(dir)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
}

/// Whether a directory can be watched as a whole, as nothing in it stays out; otherwise `out` gets what of it can.
fn visit(dir: &Path, top: bool, never: &[PathBuf], out: &mut Vec<PathBuf>) -> bool {
    let (mut whole, mut own) = (!never.iter().any(|path| path.starts_with(dir)), Vec::new());
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        let hidden = top && entry.file_name().as_encoded_bytes().starts_with(b".");
        // Cargo follows links, and those that lead nowhere have no time to compare.
        let leads_out = |to: &Path| never.iter().any(|never| never.starts_with(to) || to.starts_with(never));
        let stays_out = never.contains(&path)
            || (kind.is_dir() && (hidden || is_target(&path) || is_package(&path)))
            || (kind.is_symlink() && (!path.exists() || leads_out(&real(&path))));
        if !stays_out && (!kind.is_dir() || visit(&path, false, never, &mut own)) {
            own.push(path);
        } else {
            whole = false;
        }
    }
    if !whole {
        own.sort();
        out.append(&mut own);
    }
    whole
}

/// The path, relative where it and the directory are below the root. All are absolute and without links.
fn near(from: &Path, to: &Path, root: &Path) -> PathBuf {
    if !from.starts_with(root) || !to.starts_with(root) {
        return to.to_path_buf();
    }
    let same = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(same).map(|_| Component::ParentDir);
    // Never empty.
    [Component::CurDir].into_iter().chain(up).chain(to.components().skip(same)).collect()
}
