//! A session while it is put together beside its place: made by a backup from the workspace, or by a recovery from
//! an archive. Whoever makes one does it in this order: directories, files, texts, reading back, sealing, placing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::stand::leads_to_session;
use super::{Store, write_private};
use crate::digest::digest_of;
use crate::error::{IoContext, Result, miswritten};
use crate::event::{Context, Event, Meter};
use crate::manifest::{Id, Kind, MANIFEST_FILE, Manifest, Mode, RootName};
use crate::order;
use crate::path::RelPath;

/// The directories of a session above its entries: `files`, and for roots outside `outside` and one for each.
pub(crate) fn frame<'n>(roots: impl Iterator<Item = &'n RootName>) -> Vec<PathBuf> {
    let mut frame = vec![PathBuf::from("files")];
    for root in roots {
        let RootName::Outside(name) = root else { continue };
        if frame.len() == 1 {
            frame.push("outside".into());
        }
        frame.push(Path::new("outside").join(name));
    }
    frame
}

/// A session that is being put together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staging<'a> {
    store: &'a Store,
    id: &'a Id,
}

impl<'a> Staging<'a> {
    pub(crate) fn new(store: &'a Store, id: &'a Id) -> Self {
        Staging { store, id }
    }

    /// Where it is put together.
    pub(crate) fn path(&self) -> PathBuf {
        self.store.layout().staging(self.id)
    }

    /// Makes its directories anew: those of the roots, and the entries' in their order.
    pub(crate) fn directories<'n>(
        &self,
        roots: impl Iterator<Item = &'n RootName>,
        directories: impl Iterator<Item = RelPath>,
    ) -> Result<()> {
        let (staging, fs) = (self.path(), self.store.fs());
        fs.remove_tree(&staging).during("remove", &staging)?;
        let make = |dir: &Path| fs.create_dir(dir, 0o700).during("create directory", dir);
        make(&staging)?;
        frame(roots).iter().try_for_each(|dir| make(&staging.join(dir)))?;
        directories.map(|dir| staging.join(dir)).try_for_each(|dir| make(&dir))
    }

    /// Writes its manifest.
    pub(crate) fn manifest(&self, json: &[u8]) -> Result<()> {
        write_private(self.store.fs(), &self.path().join(MANIFEST_FILE), json)
    }

    /// Reads back what was written, and gives the number of files that are right: all. `linked` were read back when
    /// they were linked.
    pub(crate) fn read_back(
        &self,
        manifest: &Manifest,
        linked: &order::Set<usize>,
        context: &Context<'_>,
    ) -> Result<u64> {
        let (staging, total) = (self.path(), manifest.totals.bytes);
        context.observer.on(&Event::Phase { verb: "Verifying", what: "what was written".into(), total });
        let (meter, verified) = (Meter::new(context.observer), AtomicU64::new(0));
        crate::parallel::each(manifest.entries.len(), |index| {
            context.interrupt.check()?;
            let entry = &manifest.entries[index];
            let path = staging.join(entry.stored_path());
            if let (Some(expected), false) = (entry.sha256(), linked.contains(&index)) {
                let file = File::open(&path).during("open", &path)?;
                let found = digest_of(&mut meter.over(file), entry.size()).during("read back", &path)?;
                if found != Some(expected) {
                    return Err(miswritten(&entry.shown()));
                }
            } else {
                meter.add(entry.size());
            }
            verified.fetch_add(u64::from(entry.is_file()), Ordering::Relaxed);
            Ok(())
        })?;
        Ok(verified.into_inner())
    }

    /// Takes away the right to write from its directories, the deepest first.
    pub(crate) fn seal(&self, manifest: &Manifest) -> Result<()> {
        let staging = self.path();
        let directories = manifest.entries.iter().rev().filter(|e| e.kind == Kind::Directory);
        let mut sealed: Vec<PathBuf> = directories.map(|e| staging.join(e.stored_path())).collect();
        let frame = frame(manifest.roots.iter().map(|r| &r.name));
        sealed.extend(frame.iter().rev().map(|dir| staging.join(dir)));
        sealed.push(staging);
        let fs = self.store.fs();
        sealed.iter().try_for_each(|dir| fs.set_mode(dir, Mode::new(0o500)).during("change the mode of", dir))
    }

    /// Makes everything durable and gives the session its name.
    pub(crate) fn place(&self, context: &Context<'_>) -> Result<()> {
        let (layout, fs) = (self.store.layout(), self.store.fs());
        context.observer.on(&Event::Phase { verb: "Syncing", what: "to disk".into(), total: 0 });
        fs.barrier(layout.dir()).during("sync", layout.dir())?;
        let session = layout.session(self.id);
        fs.rename(&self.path(), &session).during("rename into place", &session)
    }
}

/// Writes what a person types who has neither the program nor its documentation, unless it is there already.
pub(crate) fn keep_restore_text(store: &Store) -> std::io::Result<()> {
    const TEXT: &[u8] = include_bytes!("RESTORE.txt");
    let path = store.layout().restore_text();
    if crate::fsx::read_plain(&path).is_ok_and(|found| found == TEXT) {
        return Ok(());
    }
    store.fs().replace_file(&path, TEXT, 0o400)
}

/// Points `LABEL_files`, for people, at a session. Says whether it pointed elsewhere.
pub(crate) fn link_newest(store: &Store, label: &crate::manifest::Label, id: &Id) -> std::io::Result<bool> {
    let (link, fs) = (store.layout().files_link(label), store.fs());
    let target = format!("session_{id}/files");
    if std::fs::read_link(&link).is_ok_and(|found| found == Path::new(&target)) {
        return Ok(false);
    }
    let new = crate::fsx::temporary_sibling(&link);
    for path in [&link, &new] {
        if path.symlink_metadata().is_ok() && !leads_to_session(path) {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
    }
    fs.remove_file_if_there(&new)?;
    fs.symlink(&target, &new)?;
    fs.rename(&new, &link)?;
    Ok(true)
}
