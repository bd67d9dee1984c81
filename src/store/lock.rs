//! The store's lock, and what only its holder may do.

use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Layout, STATE_IDLE, Store, StoreInfo};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Event, Interrupt, Observer};
use crate::fsx::{LockFile, temporary_sibling};
use crate::manifest::{Id, Label, Manifest};
use crate::path::show_path;

/// What to do while another run holds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Wait until it is free.
    Yes,
    /// Fail with an error of kind [`ErrorKind::Busy`].
    No,
}

/// The right to change a store; given back when it is dropped, or when the process dies.
#[derive(Debug)]
pub struct StoreLock<'a> {
    store: &'a Store,
    _held: LockFile,
}

/// The right to read a store while nothing is pruned from it; given back as a [`StoreLock`] is.
#[derive(Debug)]
pub struct SharedLock {
    _held: LockFile,
}

impl Store {
    /// Takes the lock for writing.
    ///
    /// # Errors
    /// Kind `Busy` where another run has it and `wait` says no; `Interrupted`; `Io`.
    pub fn lock(&self, wait: Wait, interrupt: &Interrupt, observer: &dyn Observer) -> Result<StoreLock<'_>> {
        let path = self.layout.lock();
        self.refuse_as_root()?;
        let file = self.fs.lock_file(&path).during("open", &path)?;
        acquire(&file, &self.layout, wait, interrupt, observer, LockFile::try_lock)?;
        Ok(StoreLock { store: self, _held: file })
    }

    /// What root writes into a store that belongs to a user, that user cannot read or replace any more.
    ///
    /// # Errors
    /// Kind `Io`. Where new files belong to the store's owner whoever makes them, none.
    pub(super) fn refuse_as_root(&self) -> Result<()> {
        use std::os::unix::fs::MetadataExt;
        let dir = self.layout.dir();
        let owner = |path: &Path| path.symlink_metadata().map(|meta| meta.uid()).during("look at", path);
        let user = owner(dir)?;
        if user == 0 || !crate::fsx::is_root() {
            return Ok(());
        }
        let trial = dir.join(format!(".owner.{}.new", std::process::id()));
        let made = self.fs.create_file(&trial).during("create", &trial).and_then(|_| owner(&trial));
        self.fs.remove_file_if_there(&trial).during("remove", &trial)?;
        if made? == user {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Io,
            format!("the store `{}` belongs to user {user}, and root is not to write into it", show_path(dir)),
        )
        .with_help(format!(
            "run this as that user (without sudo, or with: sudo -u '#{user}'); or as root with a store of its own: \
             --store DIR"
        )))
    }

    /// The lock's file, where there is none yet; `None` for who may only read.
    fn new_lock_file(&self, path: &Path) -> Result<Option<LockFile>> {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        if self.refuse_as_root().is_err() {
            return Ok(None);
        }
        match self.fs.lock_file(path) {
            Err(e) if [PermissionDenied, ReadOnlyFilesystem].contains(&e.kind()) => Ok(None),
            file => file.during("open", path).map(Some),
        }
    }

    /// Takes the lock for reading, so that nothing is pruned meanwhile. A store on which nobody can have made the
    /// lock's file, for it cannot be written to, has no writers: `None`.
    ///
    /// # Errors
    /// As [`Store::lock`].
    pub fn lock_shared(
        &self,
        wait: Wait,
        interrupt: &Interrupt,
        observer: &dyn Observer,
    ) -> Result<Option<SharedLock>> {
        let path = self.layout.lock();
        let file = match self.fs.existing_lock_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => match self.new_lock_file(&path)? {
                Some(file) => file,
                None => return Ok(None),
            },
            other => other.during("open", &path)?,
        };
        acquire(&file, &self.layout, wait, interrupt, observer, LockFile::try_lock_shared)?;
        Ok(Some(SharedLock { _held: file }))
    }
}

fn acquire(
    file: &LockFile,
    layout: &Layout,
    wait: Wait,
    interrupt: &Interrupt,
    observer: &dyn Observer,
    attempt: fn(&LockFile) -> Result<(), TryLockError>,
) -> Result<()> {
    let mut told = false;
    loop {
        match attempt(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Interrupted => interrupt.check()?,
            Err(TryLockError::Error(e)) => {
                let help = "this is no other run to wait for: the file system has no locks; keep the store on one \
                            that has: --store DIR";
                return Err(Error::io("lock", &layout.lock(), e).with_help(help));
            }
            Err(TryLockError::WouldBlock) if wait == Wait::No => {
                return Err(Error::new(ErrorKind::Busy, "another run holds the store")
                    .with_help("leave out --no-wait to wait for it"));
            }
            Err(TryLockError::WouldBlock) => {
                if !told {
                    observer.on(&Event::Waiting { holder: "another run that holds the store".into() });
                    told = true;
                }
                interrupt.check()?;
                std::thread::sleep(Duration::from_millis(25));
            }
        }
    }
}

impl<'a> StoreLock<'a> {
    /// The store that is locked.
    pub fn store(&self) -> &'a Store {
        self.store
    }

    /// Changes `store.json`.
    pub(crate) fn update_info(&self, change: impl FnOnce(&mut StoreInfo)) -> Result<()> {
        let mut info = self.store.info()?;
        change(&mut info);
        super::info::write(&self.store.fs, &self.store.layout, &info)
    }

    /// Gives the next id: the present second, or the one after the newest id that was ever given.
    /// `making` marks it as a restore point under way.
    pub(crate) fn next_id(&self, now: SystemTime, making: bool, observer: &dyn Observer) -> Result<Id> {
        let newest = self.newest_id()?;
        let present = Id::at(now);
        let id = match newest {
            Some(newest) if newest >= present => newest.next(),
            _ => present.clone(),
        };
        if id.instant() > now + Duration::from_secs(3600) {
            observer.on(&Event::Note {
                text: format!("the clock says {present}, but id {id} follows the newest: the clock was far ahead once, or is behind now"),
            });
        }
        self.update_info(|info| {
            info.last_id = Some(id.clone());
            info.pending = making.then(|| id.clone());
        })?;
        Ok(id)
    }

    /// The newest id that was ever given, also where `store.json` was put back from an older copy, and where a
    /// script gave it: those do not write `store.json`.
    fn newest_id(&self) -> Result<Option<Id>> {
        let newest_listed = self.store.catalogue()?.all().iter().map(|l| l.id.clone()).max();
        let newest_rollback = rollback_ids(&self.store.layout)?.max();
        let newest_pruned = self.store.layout.trashed_ids().into_iter().max();
        Ok(newest_listed.max(newest_rollback).max(newest_pruned).max(self.store.info()?.last_id))
    }

    /// Says that the restore point under way is complete, or given up.
    pub(crate) fn clear_pending(&self) -> Result<()> {
        self.update_info(|info| info.pending = None)
    }

    /// Completes or sweeps what a run that was interrupted left behind. To be called first by every command that
    /// makes restore points.
    pub(crate) fn mend(&self, observer: &dyn Observer) -> Result<()> {
        let (fs, layout) = (&self.store.fs, &self.store.layout);
        // A sweep that was stopped on its way may have left the sessions to git.
        super::keep_frame(layout, fs)?;
        if !self.store.is_cut_off() {
            if crate::fsx::read_plain(layout.state()).ok().as_deref() != Some(STATE_IDLE.as_bytes()) {
                fs.replace_file(&layout.state(), STATE_IDLE.as_bytes(), 0o600)
                    .during("write", layout.state())?;
            }
            self.sweep_rollbacks()?;
            self.sweep_repairs()?;
            self.mend_trash(observer)?;
        }
        let Some(id) = self.store.info()?.pending else { return Ok(()) };
        if let Some(manifest) = whole_session(layout, &id) {
            self.complete(&manifest)?;
            if !manifest.is_pre_rollback() {
                self.update_guard()?;
            }
            observer.on(&Event::Note {
                text: format!("completed restore point {id}, which was interrupted at its end"),
            });
        } else {
            self.sweep(&id)?;
            observer.on(&Event::Note {
                text: format!("swept what was left of restore point {id}, which was interrupted"),
            });
        }
        self.clear_pending()
    }

    /// Writes the second copy of a session's manifest: from then on the restore point is listed.
    pub(crate) fn complete(&self, manifest: &Manifest) -> Result<()> {
        let (fs, layout) = (&self.store.fs, &self.store.layout);
        fs.barrier(layout.dir()).during("sync", layout.dir())?;
        let path = layout.metadata(&manifest.label, &manifest.id);
        fs.replace_file(&path, &manifest.to_json(), 0o400).during("write", &path)?;
        fs.sync(&layout.metadata_dir()).during("sync", layout.metadata_dir())
    }

    /// Removes what a repair or a recovery that was interrupted had not put in its place yet.
    fn sweep_repairs(&self) -> Result<()> {
        let (fs, layout) = (&self.store.fs, &self.store.layout);
        let repairing = layout.repairing();
        fs.remove_tree(&repairing).during("remove", &repairing)?;
        let pending = self.store.info()?.pending;
        let entries = std::fs::read_dir(layout.dir()).during("read directory", layout.dir())?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let id = name
                .to_str()
                .and_then(|n| n.strip_prefix(".session_")?.strip_suffix(".staging")?.parse::<Id>().ok());
            // That of a backup is swept, or completed, with all that belongs to it.
            if id.is_some() && id != pending {
                fs.remove_tree(&entry.path()).during("remove", entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes what rollbacks that have ended, or never began, left of their work.
    fn sweep_rollbacks(&self) -> Result<()> {
        let (fs, layout) = (&self.store.fs, &self.store.layout);
        let dir = layout.rollback_dir();
        for entry in std::fs::read_dir(&dir).during("read directory", &dir)? {
            let entry = entry.during("read directory", &dir)?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix("stage_")?.parse::<Id>().ok());
            if id.is_some() {
                fs.remove_tree(&entry.path()).during("remove", entry.path())?;
            }
        }
        for path in [layout.state(), layout.journal()].map(|p| temporary_sibling(&p)) {
            fs.remove_tree(&path).during("remove", &path)?;
        }
        Ok(())
    }

    /// Takes back a restore point that failed on its way. It is unlisted first; where this is itself interrupted, the
    /// next writer completes what is whole and sweeps what is not.
    pub(crate) fn give_up(&self, label: &Label, id: &Id) -> Result<()> {
        let (fs, layout) = (&self.store.fs, &self.store.layout);
        let metadata = layout.metadata(label, id);
        fs.remove_file_if_there(&metadata).during("remove", &metadata)?;
        let session = layout.session(id);
        if session.symlink_metadata().is_ok() {
            fs.rename(&session, &layout.staging(id)).during("rename", &session)?;
        }
        self.sweep(id)?;
        self.update_guard()?;
        self.clear_pending()
    }

    /// Removes everything of a restore point that was never listed.
    pub(crate) fn sweep(&self, id: &Id) -> Result<()> {
        let (fs, layout) = (&self.store.fs, &self.store.layout);
        let staging = layout.staging(id);
        fs.remove_tree(&staging).during("remove", &staging)?;
        for dir in ["archives", "checksums", "rollback", "metadata"] {
            let dir = layout.dir().join(dir);
            for entry in std::fs::read_dir(&dir).during("read directory", &dir)? {
                let entry = entry.during("read directory", &dir)?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let stem = name.trim_start_matches('.').trim_end_matches(".new");
                let own = [".tar.gz", ".sha256", ".conf", ".list", ".json"]
                    .iter()
                    .any(|ext| stem.strip_suffix(ext).is_some_and(|s| s.ends_with(&format!("_backup_{id}"))));
                if own {
                    fs.remove_file(&entry.path()).during("remove", entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// The ids of rollbacks that left something: a closed journal, a report, what they displaced or staged.
fn rollback_ids(layout: &Layout) -> Result<impl Iterator<Item = Id>> {
    let dir = layout.rollback_dir();
    let entries = std::fs::read_dir(&dir).during("read directory", &dir)?;
    Ok(entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let rest = ["rollback_", "displaced_", "stage_"].iter().find_map(|kind| name.strip_prefix(kind))?;
        rest.split('.').next()?.parse().ok()
    }))
}

/// The manifest of a session directory that was renamed into place: the rename is what makes it whole.
fn whole_session(layout: &Layout, id: &Id) -> Option<Manifest> {
    let bytes = crate::fsx::read_plain(layout.session_manifest(id)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;

    #[test]
    fn a_lock_that_fails_for_another_reason_than_being_held_is_an_error_and_not_waited_for() {
        let path = std::env::temp_dir().join(format!("backstop-no-lock-{}", std::process::id()));
        let file = crate::fsx::Fs::real().lock_file(&path).unwrap();
        let layout = Layout::new("/store");
        let no_locks = |_: &LockFile| Err(TryLockError::Error(rustix::io::Errno::NOLCK.into()));
        for wait in [Wait::Yes, Wait::No] {
            let error = acquire(&file, &layout, wait, &Interrupt::default(), &Silent, no_locks).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.help().is_some_and(|help| help.contains("no other run")), "{error:?}");
        }
        crate::fsx::Fs::real().remove_file(&path).unwrap();
    }
}
