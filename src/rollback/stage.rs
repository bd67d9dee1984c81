//! Writing every new file to the store before anything in the workspace moves.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use super::apply::Transaction;
use super::journal::{Action, Origin, Purpose};
use crate::archive::Reader;
use crate::digest::copy;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::Event;
use crate::live_tree::FileState;
use crate::manifest::{Id, Manifest, stored_path};
use crate::order;
use crate::path::show_path;
use crate::store::Store;

impl Transaction<'_> {
    /// Writes every new file to the stage, whatever an earlier attempt left there.
    pub(super) fn stage(&self) -> Result<()> {
        let dir = self.layout().rollback_stage(&self.journal.id);
        self.fs().remove_tree(&dir).during("remove", &dir)?;
        self.fs().create_dir(&dir, 0o700).during("create directory", &dir)?;
        let placed: Vec<(usize, &Action)> =
            self.journal.actions.iter().enumerate().filter(|(_, a)| a.places()).collect();
        self.phase(
            "Staging",
            crate::event::plural(placed.len() as u64, "file", "files"),
            placed.len() as u64,
        );
        let source = SourceReader::open(self.store, &self.journal.purpose)?;
        let mut from_archive = Vec::new();
        for (done, (index, action)) in placed.into_iter().enumerate() {
            self.context.interrupt.check()?;
            match (&action.origin, &action.after) {
                (_, Some(FileState::Symlink { target })) => {
                    let path = self.staged(index);
                    self.fs().symlink(target.as_os_str(), &path).during("create", &path)?;
                }
                (Origin::Archive, _) => from_archive.push((index, action)),
                _ => self.stage_file(index, action, &mut source.open_plain(action)?)?,
            }
            self.context.observer.on(&Event::Progress { done: done as u64 + 1 });
        }
        if !from_archive.is_empty() {
            source.each_archived(self, &from_archive, |index, action, content| {
                self.stage_file(index, action, content)
            })?;
        }
        let dir = self.layout().dir();
        self.fs().barrier(dir).during("sync", dir)
    }

    pub(super) fn stage_file(&self, index: usize, action: &Action, content: &mut dyn Read) -> Result<()> {
        let path = self.staged(index);
        let Some(FileState::File { attributes, sha256, .. }) = &action.after else {
            return Err(Error::new(ErrorKind::Damaged, format!("{} is to be no file", action.shown())));
        };
        let mut file = self.fs().create_file(&path).during("create", &path)?;
        let digest = copy(content, &mut file).during("write", &path)?;
        if Some(digest) != *sha256 {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("{} was damaged while it was copied", action.shown()),
            ));
        }
        file.finish(attributes, self.present()).during("finish", &path)
    }
}

/// Where staged content is read from.
struct SourceReader {
    session: PathBuf,
    displaced: PathBuf,
    manifest: Option<(Manifest, PathBuf)>,
}

impl SourceReader {
    fn open(store: &Store, purpose: &Purpose) -> Result<Self> {
        let layout = store.layout();
        let (to, of): (&Id, &Id) = match purpose {
            Purpose::Rollback { to } => (to, to),
            Purpose::Undo { of } => (of, of),
        };
        let catalogue = store.catalogue()?;
        let listed = catalogue.all().iter().find(|l| l.id == *to);
        let manifest = listed.and_then(|l| {
            let archive = layout.archive(&l.label, &l.id);
            Some((store.manifest(l).ok()?, archive))
        });
        Ok(SourceReader { session: layout.session(to), displaced: layout.displaced(of), manifest })
    }

    fn open_plain(&self, action: &Action) -> Result<File> {
        let base = if action.origin == Origin::Displaced { &self.displaced } else { &self.session };
        let path = base.join(stored_path(&action.root, &action.path));
        // The store is ours, but a link in it is not followed all the same.
        let meta = path.symlink_metadata().during("open", &path)?;
        if !meta.is_file() {
            return Err(Error::new(ErrorKind::Damaged, format!("`{}` is no file", show_path(&path))));
        }
        File::open(&path).during("open", &path)
    }

    /// Gives the content of files that are taken from the archive.
    fn each_archived(
        &self,
        transaction: &Transaction<'_>,
        wanted: &[(usize, &Action)],
        mut take: impl FnMut(usize, &Action, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let lost =
            || Error::new(ErrorKind::Damaged, "the archive that the rollback reads is gone or damaged");
        let (manifest, path) = self.manifest.as_ref().ok_or_else(lost)?;
        let reader = Reader::open(path, manifest).during("open", path)?.ok_or_else(lost)?;
        let mut by_entry = order::Map::new();
        for (index, action) in wanted {
            let entry = manifest.index_of(&action.root, &action.path).ok_or_else(lost)?;
            by_entry.insert(entry, (*index, *action));
        }
        let entries = order::gather(by_entry.keys().copied());
        // The files that are wanted are checked one by one; damage behind them is none of theirs.
        reader.take_in_order(&entries, &transaction.context, &mut |entry, content| match by_entry
            .remove(&entry)
        {
            Some((index, action)) => take(index, action, content),
            None => Ok(()),
        })?;
        if by_entry.is_empty() { Ok(()) } else { Err(lost()) }
    }
}
