//! The directories that a transaction works in, each held open.

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::fsx::Tree;
use crate::live_tree::FileState;
use crate::manifest::{Root, RootName};
use crate::order;
use crate::path::RelPath;
use crate::store::Store;

/// The trees of a journal's roots.
pub(super) struct Trees(order::Map<RootName, Tree>);

impl Trees {
    pub(super) fn open(store: &Store, roots: &[Root]) -> Result<Self> {
        let mut trees = order::Map::new();
        for root in roots {
            let directory = store.root_directory(root)?;
            let tree = Tree::open(&directory, store.fs()).during("open directory", &directory)?;
            trees.insert(root.name.clone(), tree);
        }
        Ok(Trees(trees))
    }

    pub(super) fn of(&self, root: &RootName) -> Result<&Tree> {
        self.0
            .get(root)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("the journal names no root `{root}`")))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&RootName, &Tree)> {
        self.0.iter()
    }

    /// What stands at a path now.
    pub(super) fn look(&self, root: &RootName, path: &RelPath) -> Result<Option<FileState>> {
        let tree = self.of(root)?;
        FileState::at(&mut tree.cursor(), path).during("read", tree.path().join(path))
    }
}
