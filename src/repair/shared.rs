//! Files that several sessions share: a bad one is replaced for all of them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Hand;
use crate::error::{IoContext, Result};
use crate::manifest::Entry;
use crate::order;
use crate::store::Listed;

/// Device and inode.
type Inode = (u64, u64);

/// Where each inode stands in other sessions, with what their manifests say of it.
pub(super) type Sharers = order::Map<Inode, Vec<(PathBuf, Entry)>>;

impl Hand<'_> {
    /// Finds the files of other sessions with these inodes.
    pub(super) fn sharers(&self, listed: &Listed, inodes: &order::Set<Inode>) -> Result<Sharers> {
        let mut out = Sharers::new();
        if inodes.is_empty() {
            return Ok(out);
        }
        let store = self.store_handle();
        for other in store.catalogue()?.all().iter().filter(|l| l.session && l.id != listed.id) {
            // One without a sound manifest says nothing of its files: it is repaired by itself.
            let Ok(manifest) = store.manifest(other) else { continue };
            let session = store.layout().session(&other.id);
            for entry in manifest.entries.iter().filter(|e| e.is_file()) {
                self.context.interrupt.check()?;
                let path = session.join(entry.stored_path());
                let Ok(meta) = path.symlink_metadata() else { continue };
                let inode = (meta.dev(), meta.ino());
                if meta.is_file() && inodes.contains(&inode) {
                    out.entry(inode).or_default().push((path, entry.clone()));
                }
            }
        }
        Ok(out)
    }

    /// Links the new file in place of the bad one in every other session that has that, and wants the same.
    pub(super) fn relink(&mut self, entry: &Entry, path: &Path, new: &Path, sharers: &Sharers) -> Result<()> {
        let Ok(meta) = path.symlink_metadata() else { return Ok(()) };
        for (theirs, wanted) in sharers.get(&(meta.dev(), meta.ino())).into_iter().flatten() {
            let same = wanted.kind == entry.kind
                && wanted.mtime == entry.mtime
                && wanted.mode().stored() == entry.mode().stored();
            if !same {
                continue;
            }
            let link = self.temporary("shared")?;
            if self.fs().hard_link(new, &link).is_err() {
                // No more links to be had: that session is repaired by itself.
                continue;
            }
            self.open_parents(theirs)?;
            self.fs().rename(&link, theirs).during("rename into place", theirs)?;
            self.did(theirs, "shared the damaged file and is linked to the new one");
        }
        Ok(())
    }
}
