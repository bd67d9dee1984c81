//! Writing every new file to the store before anything in the workspace moves.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use super::apply::Transaction;
use super::journal::{Action, Origin, Purpose};
use crate::archive::Reader;
use crate::clock::Mtime;
use crate::digest::copy;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Meter};
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
            placed.iter().map(|(_, action)| size_of(action)).sum(),
        );
        let meter = Meter::new(self.context.observer);
        let from_archive = placed.iter().any(|(_, action)| action.origin == Origin::Archive);
        let source = SourceReader::open(self.store, &self.journal.purpose, from_archive)?;
        let mut from_archive = Vec::new();
        for (index, action) in placed {
            self.context.interrupt.check()?;
            match (&action.origin, &action.after) {
                (_, Some(FileState::Symlink { target })) => {
                    let path = self.staged(index);
                    self.fs().symlink(target.as_os_str(), &path).during("create", &path)?;
                }
                (Origin::Archive, _) => from_archive.push((index, action)),
                _ => self.stage_file(index, action, &mut meter.over(source.open_plain(action)?))?,
            }
        }
        if !from_archive.is_empty() {
            source.each_archived(&self.context, &from_archive, |index, action, content| {
                self.stage_file(index, action, &mut meter.over(content))
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
        file.finish(attributes, Mtime::from_system(self.context.clock.now())).during("finish", &path)
    }
}

/// The text of each file that says to cargo what it is to build with, and that actions put in place: manifests, the lockfile,
/// configuration, what vendored sources are held against. Nothing is staged for it.
pub(super) fn manifests_of<'a>(
    store: &Store,
    purpose: &Purpose,
    actions: &'a [Action],
    context: &Context<'_>,
) -> Result<Vec<(&'a Action, Vec<u8>)>> {
    let wanted = |a: &&Action| {
        let steers =
            ["Cargo.toml", "Cargo.lock", ".cargo-checksum.json"].iter().any(|n| a.path.file_name() == *n)
                || a.path.parent().is_some_and(|dir| dir.file_name() == ".cargo");
        steers && a.after.as_ref().is_some_and(is_file)
    };
    let (archived, plain): (Vec<&Action>, Vec<&Action>) =
        actions.iter().filter(|a| a.places()).filter(wanted).partition(|a| a.origin == Origin::Archive);
    let source = SourceReader::open(store, purpose, !archived.is_empty())?;
    let mut out = Vec::new();
    let mut read = |action, content: &mut dyn Read| {
        let mut text = Vec::new();
        content
            .read_to_end(&mut text)
            .map_err(|e| Error::new(ErrorKind::Io, "failed to read").with_source(e))?;
        out.push((action, text));
        Ok(())
    };
    for action in plain {
        read(action, &mut source.open_plain(action)?)?;
    }
    if !archived.is_empty() {
        let archived: Vec<(usize, &Action)> = archived.into_iter().enumerate().collect();
        source.each_archived(context, &archived, |_, action, content| read(action, content))?;
    }
    Ok(out)
}

fn size_of(action: &Action) -> u64 {
    if let Some(FileState::File { size, .. }) = action.after { size } else { 0 }
}

fn is_file(state: &FileState) -> bool {
    matches!(state, FileState::File { .. })
}

/// Where staged content is read from.
struct SourceReader {
    session: PathBuf,
    displaced: PathBuf,
    manifest: Option<(Manifest, PathBuf)>,
}

impl SourceReader {
    fn open(store: &Store, purpose: &Purpose, from_archive: bool) -> Result<Self> {
        let layout = store.layout();
        let (to, of): (&Id, &Id) = match purpose {
            Purpose::Rollback { to } => (to, to),
            Purpose::Undo { of } => (of, of),
        };
        let catalogue = if from_archive { Some(store.catalogue()?) } else { None };
        let listed = catalogue.as_ref().and_then(|c| c.all().iter().find(|l| l.id == *to));
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
    fn each_archived<'a>(
        &self,
        context: &Context<'_>,
        wanted: &[(usize, &'a Action)],
        mut take: impl FnMut(usize, &'a Action, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let lost =
            || Error::new(ErrorKind::Damaged, "the archive that the rollback reads is missing or damaged");
        let (manifest, path) = self.manifest.as_ref().ok_or_else(lost)?;
        let reader = Reader::open(path, manifest).during("open", path)?.ok_or_else(lost)?;
        let mut by_entry = order::Map::new();
        for (index, action) in wanted {
            let entry = manifest.index_of(&action.root, &action.path).ok_or_else(lost)?;
            by_entry.insert(entry, (*index, *action));
        }
        let entries = order::gather(by_entry.keys().copied());
        // The files that are wanted are checked one by one; damage behind them is none of theirs.
        reader.take_in_order(&entries, context, &mut |entry, content| match by_entry.remove(&entry) {
            Some((index, action)) => take(index, action, content),
            None => Ok(()),
        })?;
        if by_entry.is_empty() { Ok(()) } else { Err(lost()) }
    }
}
