//! Mending the files of a session from the archive, or from another session that has the same.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::manifest::Proven;
use super::{Hand, rebuild};
use crate::archive::{Flaw, Reader, salvageable};
use crate::error::{ErrorKind, IoContext, Result};
use crate::event::{Meter, plural};
use crate::manifest::{Entry, Kind, Manifest, Mode};
use crate::order;
use crate::store::{Listed, frame};
use crate::validate::{InodeCache, Subject};

/// Where the new content of a file was found.
type Fetched = order::Map<usize, (PathBuf, String)>;

impl<'a> Hand<'a> {
    /// Repairs the session. Says whether it is whole now.
    pub(super) fn session(&mut self, listed: &Listed, proven: &Proven) -> Result<bool> {
        let session = self.layout().session(&listed.id);
        match session.symlink_metadata() {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                self.set_aside(&session)?;
                return self.rebuild_session(listed, proven);
            }
            Err(_) => return self.rebuild_session(listed, proven),
        }
        let manifest = &proven.manifest;
        self.directories(&session, manifest)?;
        let before = self.mended.failures.len();
        let judged = self.faults_of_session(listed, manifest)?;
        let mut bad = order::Map::new();
        for (index, verdict) in judged.into_iter().enumerate() {
            match verdict {
                Ok(false) => {}
                Ok(true) => self.drifted(&session, &manifest.entries[index])?,
                Err(problem) => drop(bad.insert(index, problem)),
            }
        }
        self.replace(listed, proven, &session, &bad)?;
        let cache = InodeCache::default();
        for (path, _) in self.subject(listed, manifest, &cache).unknown(manifest, &session) {
            self.open_parents(&path)?;
            self.set_aside(&path)?;
        }
        Ok(self.mended.failures.len() == before)
    }

    fn subject<'s>(&self, listed: &'s Listed, manifest: &'s Manifest, cache: &'s InodeCache) -> Subject<'s>
    where
        'a: 's,
    {
        let (store, context) = (self.store_handle(), self.context);
        Subject { store, listed, manifest: Some(manifest), cache, context }
    }

    /// What is wrong with each entry of a session; `Ok` where its content is right, `Ok(true)` where its mode or time
    /// is not.
    pub(super) fn faults_of_session(
        &self,
        listed: &Listed,
        manifest: &Manifest,
    ) -> Result<Vec<Result<bool, String>>> {
        let (session, cache) = (self.layout().session(&listed.id), InodeCache::default());
        let (subject, meter) = (self.subject(listed, manifest, &cache), Meter::new(self.context.observer));
        crate::parallel::map(manifest.entries.len(), |i| {
            self.context.interrupt.check()?;
            let entry = &manifest.entries[i];
            Ok(subject.file(entry, &session.join(entry.stored_path()), &meter))
        })
    }

    fn rebuild_session(&mut self, listed: &Listed, proven: &Proven) -> Result<bool> {
        let session = self.layout().session(&listed.id);
        let archive = self.layout().archive(&listed.label, &listed.id);
        if archive.symlink_metadata().is_err() {
            self.could_not(&session, "is lost, and so is its archive");
            return Ok(false);
        }
        self.readable(&archive)?;
        match rebuild::session(self.lock, &proven.manifest, &proven.bytes, self.context) {
            Ok(verified) => {
                let files = plural(verified, "file", "files");
                self.did(&session, format!("is rebuilt from its archive, {files} verified"));
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::Damaged => {
                let flaw = Flaw { text: e.to_string(), manifest: Some(Box::new(proven.manifest.clone())) };
                let text = self.archive_flaw(&archive, &flaw)?;
                self.could_not(&session, format!("is lost, and its archive cannot give it back: {text}"));
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// What is wrong with an archive, and how many files it still holds.
    pub(super) fn archive_flaw(&self, archive: &Path, flaw: &Flaw) -> Result<String> {
        let Some(manifest) = &flaw.manifest else { return Ok(flaw.text.clone()) };
        let whole = salvageable(archive, manifest, self.context.interrupt)?;
        Ok(format!("{}; it still holds {whole} of {} files", flaw.text, manifest.totals.files))
    }

    /// Directories first: what lies behind a link in place of one is not the session's.
    fn directories(&mut self, session: &Path, manifest: &Manifest) -> Result<()> {
        let above = frame(manifest.roots.iter().map(|r| &r.name)).into_iter().map(|dir| session.join(dir));
        let entries = manifest.entries.iter().filter(|e| e.kind == Kind::Directory);
        let wanted = std::iter::once(session.to_path_buf())
            .chain(above)
            .chain(entries.map(|e| session.join(e.stored_path())));
        for dir in wanted {
            match dir.symlink_metadata() {
                Ok(meta) if meta.is_dir() => {
                    if Mode::new(meta.mode()) != Mode::new(0o500) {
                        self.open(&dir)?;
                        self.did(&dir, "has mode 0500 again");
                    }
                    continue;
                }
                Ok(_) => {
                    self.open_parents(&dir)?;
                    self.set_aside(&dir)?;
                }
                Err(_) => self.open_parents(&dir)?,
            }
            self.fs().create_dir(&dir, 0o700).during("create directory", &dir)?;
            self.opened.insert(dir.clone());
            self.did(&dir, "is made again");
        }
        Ok(())
    }

    /// Content is right, the stored mode or the time is not.
    fn drifted(&mut self, session: &Path, entry: &Entry) -> Result<()> {
        if !entry.is_file() {
            // A directory: closed at the end.
            return Ok(());
        }
        let path = session.join(entry.stored_path());
        let mode = entry.mode().stored();
        if Mode::new(path.symlink_metadata().during("look at", &path)?.mode()) != mode {
            self.fs().set_mode(&path, mode).during("change the mode of", &path)?;
        }
        self.fs().set_mtime(&path, entry.mtime).during("change the time of", &path)?;
        self.did(&path, format!("has mode {mode} and its time again"));
        Ok(())
    }

    /// Puts new files in place of bad ones, for every session that shared them.
    fn replace(
        &mut self,
        listed: &Listed,
        proven: &Proven,
        session: &Path,
        bad: &order::Map<usize, String>,
    ) -> Result<()> {
        if bad.is_empty() {
            return Ok(());
        }
        let manifest = &proven.manifest;
        let wanted: order::Set<usize> =
            order::gather(bad.keys().copied().filter(|i| manifest.entries[*i].is_file()));
        let mut fetched = self.fetch_from_archive(listed, manifest, &wanted)?;
        self.fetch_from_sessions(listed, manifest, &wanted, &mut fetched)?;
        self.fs().barrier(self.layout().dir()).during("sync", self.layout().dir())?;
        let inodes = bad.keys().filter_map(|i| {
            let meta = session.join(manifest.entries[*i].stored_path()).symlink_metadata().ok()?;
            (meta.is_file() && meta.nlink() > 1).then_some((meta.dev(), meta.ino()))
        });
        let sharers = self.sharers(listed, &inodes.collect())?;
        for (index, problem) in bad {
            let entry = &manifest.entries[*index];
            let path = session.join(entry.stored_path());
            self.open_parents(&path)?;
            match (&entry.kind, fetched.get(index)) {
                (Kind::Symlink { target }, _) => {
                    let new = self.temporary("link")?;
                    self.fs().symlink(target.as_os_str(), &new).during("create link", &new)?;
                    self.fs().set_mtime(&new, entry.mtime).during("change the time of", &new)?;
                    self.put(&new, &path)?;
                    self.did(&path, "is made again");
                }
                (Kind::File { .. }, Some((new, from))) => {
                    self.relink(entry, &path, new, &sharers)?;
                    self.put(new, &path)?;
                    self.did(&path, format!("{problem}: it is written again from {from}"));
                }
                _ => self.could_not(&path, format!("{problem}, and no other copy of it is whole")),
            }
        }
        Ok(())
    }

    /// Writes wanted files as the archive has them, each checked by its digest.
    fn fetch_from_archive(
        &mut self,
        listed: &Listed,
        manifest: &Manifest,
        wanted: &order::Set<usize>,
    ) -> Result<Fetched> {
        let path = self.layout().archive(&listed.label, &listed.id);
        self.readable(&path)?;
        let plain = path.symlink_metadata().is_ok_and(|m| m.is_file());
        let (true, Ok(Some(reader))) = (plain, Reader::open(&path, manifest)) else {
            return Ok(Fetched::new());
        };
        let store = self.store_handle();
        let fetched = Mutex::new(Fetched::new());
        let place = self.temporary("files")?;
        self.fs().create_dir(&place, 0o700).during("create directory", &place)?;
        reader.take(wanted, self.context, &|index, content| {
            let new = place.join(index.to_string());
            match rebuild::write(store, &manifest.entries[index], content, &new) {
                Ok(()) => {
                    if let Ok(mut fetched) = fetched.lock() {
                        fetched.insert(index, (new, "the archive".into()));
                    }
                    Ok(())
                }
                Err(e) if e.kind() == ErrorKind::Damaged => {
                    store.fs().remove_file_if_there(&new).during("remove", &new)
                }
                Err(e) => Err(e),
            }
        })?;
        Ok(fetched.into_inner().unwrap_or_default())
    }

    /// Adds what another restore point's session has with the same content.
    fn fetch_from_sessions(
        &mut self,
        listed: &Listed,
        manifest: &Manifest,
        wanted: &order::Set<usize>,
        fetched: &mut Fetched,
    ) -> Result<()> {
        if wanted.iter().all(|i| fetched.contains_key(i)) {
            return Ok(());
        }
        let store = self.store_handle();
        let place = self.layout().repairing().join("files");
        self.fs().create_dir_all(&place, 0o700).during("create directory", &place)?;
        for other in store.catalogue()?.all().iter().filter(|l| l.session && l.id != listed.id) {
            let Ok(theirs) = store.manifest(other) else { continue };
            for index in wanted {
                let entry = &manifest.entries[*index];
                let twin = theirs.find(&entry.root, &entry.path).filter(|t| t.sha256() == entry.sha256());
                let (Some(twin), false) = (twin, fetched.contains_key(index)) else { continue };
                let path = store.layout().session(&other.id).join(twin.stored_path());
                let plain = path.symlink_metadata().is_ok_and(|m| m.is_file() && m.len() == entry.size());
                let (true, Ok(mut file)) = (plain, File::open(&path)) else { continue };
                let new = place.join(index.to_string());
                match rebuild::write(store, entry, &mut file, &new) {
                    Ok(()) => drop(fetched.insert(*index, (new, format!("session_{}", other.id)))),
                    Err(e) if e.kind() == ErrorKind::Damaged => {
                        store.fs().remove_file_if_there(&new).during("remove", &new)?;
                    }
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }

    /// Opens the directories of a session above `path` that have to be written to.
    pub(super) fn open_parents(&mut self, path: &Path) -> Result<()> {
        match path.parent() {
            Some(parent) if parent != self.layout().dir() => self.open(parent),
            _ => Ok(()),
        }
    }
}
