//! What an `init` that was killed left in the workspace under the names that it writes to first.
//!
//! **Invariant.** Only what a run has provably written is removed: the start of one of the very files that are to be
//! written now. Anything else under such a name is somebody's own, and the run is refused before it changes anything.

use std::path::Path;

use walkdir::WalkDir;

use super::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::fsx::temporary_sibling;
use crate::path::show_path;

/// Looks at every temporary name that the changes will use, and at `staged` if the xtask is put together there.
///
/// # Errors
/// Kind `Workspace` if something stands there that no earlier run left.
pub(super) fn refuse_others(changes: &[Change], root: &Path, staged: &Path) -> Result<()> {
    for change in changes {
        let full = root.join(&change.path);
        // What a link points at is what is written.
        let new = temporary_sibling(&crate::path::canonical(&full).unwrap_or(full));
        if exists(&new) && !is_start_of(&new, &change.after) {
            return Err(occupied(&new));
        }
    }
    let makes_xtask = changes.iter().any(|c| c.path.starts_with("xtask")) && !root.join("xtask").exists();
    if makes_xtask && exists(staged) && !is_part_of_xtask(staged, changes) {
        return Err(occupied(staged));
    }
    Ok(())
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether `path` is a file that holds the first bytes of `text`, and nothing more.
fn is_start_of(path: &Path, text: &str) -> bool {
    let is_no_longer = |meta: std::fs::Metadata| meta.is_file() && meta.len() <= text.len() as u64;
    path.symlink_metadata().is_ok_and(is_no_longer)
        && std::fs::read(path).is_ok_and(|bytes| text.as_bytes().starts_with(&bytes))
}

/// Whether a directory holds nothing but what the changes put below `xtask/`, as far as a run came with it.
fn is_part_of_xtask(staged: &Path, changes: &[Change]) -> bool {
    let files: Vec<_> =
        changes.iter().filter_map(|c| Some((c.path.strip_prefix("xtask").ok()?, &c.after))).collect();
    WalkDir::new(staged).follow_links(false).into_iter().all(|found| {
        let Ok(found) = found else { return false };
        let Ok(place) = found.path().strip_prefix(staged) else { return false };
        if found.file_type().is_dir() {
            return files.iter().any(|(file, _)| file.starts_with(place) && *file != place);
        }
        files.iter().any(|(file, text)| {
            (place == *file || place == temporary_sibling(file)) && is_start_of(found.path(), text)
        })
    })
}

fn occupied(path: &Path) -> Error {
    let path = show_path(path);
    Error::new(
        ErrorKind::Workspace,
        format!("`{path}` stands where a new file is written first; nothing was changed"),
    )
    .with_help("move it away, then run `init` again")
}
