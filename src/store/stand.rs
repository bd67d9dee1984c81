//! What stands where a store is looked for: a store, what a sweep left of one, something that this user may not read,
//! or nothing of ours. What cannot be read is never taken for absent.

use std::path::{Path, PathBuf};

use super::info::{self, Unreadable};
use super::{DIRECTORIES, Layout, STORE_FILE};
use crate::error::{Error, ErrorKind, Result};
use crate::fsx::read_plain;
use crate::manifest::Id;
use crate::path::{resolved, show_path};

/// What stands at a place where a store may be.
#[derive(Debug)]
pub(crate) enum Standing {
    /// A store; its `store.json` may be lost.
    Store,
    /// Restore points of a store whose own files a sweep took: `git clean`, `git stash -a` and `git worktree remove`
    /// leave what is read-only.
    Swept,
    /// Something that cannot be looked at: the error says it.
    Closed(Error),
    /// Nothing, or nothing of ours.
    Other,
}

/// What stands at `dir`.
pub(crate) fn standing(dir: &Path) -> Standing {
    let layout = Layout::new(dir);
    match info::read_strict(&layout) {
        Ok(_) => Standing::Store,
        Err((Unreadable::Closed, e)) => Standing::Closed(e),
        Err(_) if info::looks_like_store(&layout) => Standing::Store,
        Err(_) if swept_points(dir) > 0 => Standing::Swept,
        Err(_) => Standing::Other,
    }
}

/// Whether a directory is a store: its `store.json` says so, or everything else does.
pub(crate) fn is_store(dir: &Path) -> bool {
    matches!(standing(dir), Standing::Store)
}

/// How many restore points a sweep left in `dir`, if nothing else stands there than a store has: then it may be taken
/// up again.
fn swept_points(dir: &Path) -> usize {
    #[derive(serde::Deserialize)]
    struct Only {
        id: Id,
    }
    let layout = Layout::new(dir);
    let (mut points, Ok(entries)) = (0, std::fs::read_dir(dir)) else { return 0 };
    for entry in entries {
        let Ok(entry) = entry else { return 0 };
        let Ok(name) = entry.file_name().into_string() else { return 0 };
        let session = name.strip_prefix("session_").and_then(|id| id.parse::<Id>().ok());
        if let Some(id) = session {
            let manifest = read_plain(layout.session_manifest(&id)).ok();
            let named = manifest.and_then(|bytes| serde_json::from_slice::<Only>(&bytes).ok());
            points += usize::from(named.is_some_and(|only| only.id == id));
        } else if !is_own_name(&name) && !leads_to_session(&entry.path()) {
            return 0;
        }
    }
    points
}

/// Whether a store may have something of that name at its top, sessions and their links apart.
fn is_own_name(name: &str) -> bool {
    const FILES: [&str; 8] =
        [STORE_FILE, "state", "guard", "lock", "RESTORE.txt", ".gitignore", "trash", ".repairing"];
    let hidden = name.strip_prefix('.').and_then(|n| n.strip_suffix(".new")).unwrap_or(name);
    let numbered = |before: &str, after: &str| {
        name.strip_prefix(before).and_then(|n| n.strip_suffix(after)).is_some_and(|n| n.parse::<Id>().is_ok())
    };
    FILES.contains(&hidden)
        || DIRECTORIES.contains(&name)
        || name == "consolidations"
        || numbered("set_aside_", "")
        || numbered(".session_", ".staging")
}

/// Whether a path is a link to a session's files, as a store has them for people. Anything else of that name is somebody's own.
pub(super) fn leads_to_session(path: &Path) -> bool {
    let target = std::fs::read_link(path).unwrap_or_default();
    let id = target.to_str().and_then(|t| t.strip_prefix("session_")?.strip_suffix("/files"));
    id.is_some_and(|id| id.parse::<Id>().is_ok())
}

/// The directory above a store that `cargo clean` removes, or that is git's own, if there is one: what it is, and whose.
/// One that holds the workspace too is none: nobody cleans it.
fn anothers<'d>(dir: &'d Path, root: &Path, targets: &[PathBuf]) -> Option<(&'d Path, [&'static str; 2])> {
    let is_target = |dir: &Path| {
        targets.iter().any(|target| target == dir)
            || dir.join("CACHEDIR.TAG").is_file()
            || (dir.ends_with("target") && dir.with_file_name("Cargo.toml").is_file())
    };
    dir.ancestors().take_while(|above| !root.starts_with(above)).find_map(|above| match above.file_name() {
        Some(name) if name == ".git" => Some((above, ["the git directory", "which is git's own"])),
        _ => is_target(above).then_some((above, ["the target directory", "which `cargo clean` removes"])),
    })
}

/// A store below a target directory would go with the next `cargo clean`, one in `.git` with the clone. `targets` are
/// those that cargo names.
///
/// # Errors
/// Kind `Usage` where it lies in one.
pub(crate) fn refuse_cleaned(dir: &Path, root: &Path, targets: &[PathBuf]) -> Result<()> {
    let (place, root) = (resolved(dir), resolved(root));
    let Some((above, [what, why])) = anothers(&place, &root, targets) else { return Ok(()) };
    Err(Error::new(
        ErrorKind::Usage,
        format!("the store `{}` lies in {what} `{}`, {why}", show_path(dir), show_path(above)),
    )
    .with_help(
        "keep it elsewhere: `store = \"restore-points\"` in [workspace.metadata.backstop], or --store DIR; \
         a store that is there already may be moved with `mv`",
    ))
}

/// No link is followed where the store's own directories are to be: whoever set one would choose what is written and
/// removed elsewhere.
pub(super) fn refuse_links(layout: &Layout) -> Result<()> {
    for name in DIRECTORIES.iter().copied().chain(["trash"]) {
        let path = layout.dir().join(name);
        if path.is_symlink() {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("`{}` is a link, and no link in a store is followed", show_path(&path)),
            )
            .with_help("replace it by the directory itself, or have it moved aside: `validate --repair`"));
        }
    }
    Ok(())
}
