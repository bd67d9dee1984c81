//! Nothing that is written or moved lies in the store: a restore point that was made with the store elsewhere, or an
//! archive of ill will, may hold what would replace the executable that people are told to run.

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Root, RootName, shown};
use crate::path::{RelPath, canonical, show_path};
use crate::store::Store;

/// One path that a plan is about, and whether a directory is to stand there.
pub(super) struct Target<'a> {
    pub(super) root: &'a RootName,
    pub(super) path: &'a RelPath,
    pub(super) is_directory: bool,
}

/// Refuses targets in the store, and those that would stand in place of a directory above it. Places are compared
/// as they really are, without links.
///
/// # Errors
/// Kind `Workspace`, with every such path.
pub(super) fn refuse_targets_in_store<'a>(
    store: &Store,
    roots: &[Root],
    targets: impl Iterator<Item = Target<'a>>,
) -> Result<()> {
    let store_dir = canonical(store.layout().dir())?;
    let mut places = Vec::new();
    for root in roots {
        // A root that is missing has nothing of the store in it.
        let Ok(directory) = canonical(&store.root_directory(root)?) else { continue };
        if directory.starts_with(&store_dir) {
            places.push((&root.name, None));
        } else if let Some(place) = RelPath::strip(&directory, &store_dir) {
            places.push((&root.name, Some(place)));
        }
    }
    let is_in_store = |target: &Target<'_>| {
        places.iter().any(|(root, place)| {
            *root == target.root
                && place.as_ref().is_none_or(|place| {
                    target.path.is_in(place) || (!target.is_directory && place.is_in(target.path))
                })
        })
    };
    let refused: Vec<String> =
        targets.filter(is_in_store).map(|target| shown(target.root, target.path)).collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Workspace,
        format!(
            "files of the restore point lie in the store `{}`; nothing was changed",
            show_path(&store_dir)
        ),
    )
    .with_details(refused)
    .with_help("restore it to an empty directory instead: `rollback -t ID --to DIR`"))
}
