//! Where store and workspace lie on different file systems, nothing can be renamed from one to the other: copies
//! are made beside their place, verified and synced first.

use std::fs::File;
use std::io;
use std::path::Path;

use super::apply::{Identity, Transaction, changed_error, identity};
use super::journal::Action;
use crate::digest::copy;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::fsx::Tree;
use crate::live_tree::FileState;
use crate::path::RelPath;

impl Transaction<'_> {
    /// Where store and workspace lie on different file systems: copy, verify, sync, then remove the original, if
    /// it is still the one that was looked at.
    pub(super) fn copy_out(
        &self,
        tree: &Tree,
        action: &Action,
        to: &Path,
        expected: Option<Identity>,
    ) -> Result<()> {
        // Not beside its target: a name may be as long as names can be.
        let part = self.layout().rollback_stage(&self.journal.id).join("part");
        let _ = self.fs().remove_file(&part);
        let mut cursor = tree.cursor();
        let failed = |e| self.failed("copy out", action, e);
        let give = |stat: &rustix::fs::Stat| match crate::fsx::is_root() {
            true => self.fs().set_owner(&part, stat.st_uid, stat.st_gid).during("change the owner of", &part),
            false => Ok(()),
        };
        let Some((stat, attributes)) = cursor.look(&action.path).map_err(failed)? else {
            return Err(changed_error(vec![action.shown()]));
        };
        let seen = expected.unwrap_or_else(|| identity(&stat));
        if identity(&stat) != seen {
            return Err(changed_error(vec![action.shown()]));
        }
        let mtime = crate::fsx::mtime_of(&stat);
        match &action.before {
            Some(FileState::Symlink { .. }) => {
                let target = cursor.read_link(&action.path).map_err(failed)?;
                self.fs().symlink(target.as_os_str(), &part).during("create", &part)?;
                give(&stat)?;
                self.fs().set_mtime(&part, mtime).during("touch", &part)?;
            }
            Some(FileState::File { .. }) => {
                let mut from = cursor.open(&action.path).map_err(failed)?;
                let mut file = self.fs().create_file(&part).during("create", &part)?;
                let digest = copy(&mut from, &mut file).during("write", &part)?;
                file.sync().during("sync", &part)?;
                give(&stat)?;
                file.finish(&attributes, mtime).during("finish", &part)?;
                let size = part.metadata().during("look at", &part)?.len();
                let back = crate::digest::digest_of(&mut File::open(&part).during("open", &part)?, size);
                if back.during("read back", &part)? != Some(digest) {
                    return Err(Error::new(ErrorKind::Io, format!("{} was copied wrongly", action.shown())));
                }
            }
            _ => return Err(failed(io::ErrorKind::CrossesDevices.into())),
        }
        let now = cursor.stat(&action.path).map_err(failed)?;
        if now.as_ref().map(identity) != Some(seen) {
            return Err(changed_error(vec![action.shown()]));
        }
        self.fs().rename(&part, to).during("rename into place", to)?;
        if let Some(parent) = to.parent() {
            self.fs().sync(parent).during("sync", parent)?;
        }
        tree.remove_file(&action.path).map_err(failed)
    }

    /// The name beside the target that a copy across file systems is written to first.
    pub(super) fn part(&self, index: usize, action: &Action) -> Result<RelPath> {
        let name = format!(".backstop-{}-{index}", self.journal.id);
        let path = match action.path.parent() {
            Some(parent) => parent.join(name),
            None => RelPath::new(name),
        };
        path.map_err(|e| Error::new(ErrorKind::Io, "failed to name a part").with_source(e))
    }

    /// After a cut: clears copies across file systems that were under way.
    pub(super) fn drop_parts(&self) -> Result<()> {
        for (index, action) in self.journal.actions.iter().enumerate() {
            let tree = self.tree(&action.root)?;
            let part = self.part(index, action)?;
            if tree.stat(&part).map_err(|e| self.failed("look at", action, e))?.is_some() {
                tree.remove_file(&part).map_err(|e| self.failed("clear", action, e))?;
            }
        }
        Ok(())
    }

    pub(super) fn copy_in(
        &self,
        tree: &Tree,
        index: usize,
        action: &Action,
        staged: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<()> {
        let part = self.part(index, action)?;
        let failed = |e| self.failed("put in place", action, e);
        let give = || owner.map_or(Ok(()), |(uid, gid)| tree.set_owner(&part, uid, gid)).map_err(failed);
        match &action.after {
            Some(FileState::Symlink { target }) => {
                tree.symlink(target, &part).map_err(failed)?;
                give()?;
            }
            Some(FileState::File { attributes, sha256, .. }) => {
                let mut from = File::open(staged).during("open", staged)?;
                let mut file = tree.create_file(&part).map_err(failed)?;
                let digest = copy(&mut from, &mut file).map_err(failed)?;
                if Some(digest) != *sha256 {
                    return Err(Error::new(ErrorKind::Io, format!("{} was copied wrongly", action.shown())));
                }
                file.sync().map_err(failed)?;
                give()?;
                file.finish(attributes, self.present()).map_err(failed)?;
            }
            _ => return Ok(()),
        }
        tree.rename(&part, &action.path).map_err(failed)?;
        self.fs().remove_file(staged).during("remove", staged)
    }

    pub(super) fn copy_back(&self, tree: &Tree, index: usize, action: &Action, from: &Path) -> Result<()> {
        let after = action.before.clone();
        let back = Action { after, ..action.clone() };
        let stat = rustix::fs::lstat(from).map_err(|e| Error::io("look at", from, e.into()))?;
        let owner = crate::fsx::is_root().then_some((stat.st_uid, stat.st_gid));
        self.copy_in(tree, index, &back, from, owner)
    }
}
