//! Mending a restore point: each lost or damaged copy is made again from the one that survives, where that proves
//! itself.
//!
//! | what is damaged | what it is made from | what proves that |
//! | --- | --- | --- |
//! | a copy of the manifest | its twin, or the manifest in the archive | the twins agree, the checksum list names it, or the archive holds just what it says |
//! | a file of the session | the archive, or the same file of another session | its SHA-256 in the manifest |
//! | a file's stored mode and time | the manifest | |
//! | the archive | the session, once that is whole | every entry is read back; its own SHA-256, see below |
//! | checksum list, fields for the scripts | the manifest | |
//! | `store.json`, `state`, `.gitignore`, directories | what they always say | |
//! | the executable | the running program | a dry run |
//!
//! An archive is packed again member by member as the manifest lists them, and members that are still right are taken
//! as they are. So it has the SHA-256 that the manifest records, unless the version that made it compressed
//! differently. Then the new archive holds the same tar stream in other bytes: it is kept, since a restore point with
//! one copy is worse than one whose archive has another digest than was once noted, and both manifests and the
//! checksum list are written anew to name it. The root hash, which covers the entries alone, stays.
//!
//! **Invariant:** nothing that is right is changed, and nothing is deleted but what is known to be damaged: what
//! stands in the wrong place is moved to `set_aside_TS/`. Each step is a rename; after a cut, another repair goes on.

mod archive;
mod manifest;
mod rebuild;
mod recover;
mod session;
mod shared;
mod store;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::check::Finding;
use crate::error::{IoContext, Result};
use crate::event::{Context, Event};
use crate::manifest::{Id, Mode};
use crate::order;
use crate::path::show_path;
use crate::store::{
    Layout, Listed, Log, Selector, Store, StoreLock, checksum_list, link_newest, temporary_place,
};
use crate::validate::{InodeCache, ValidationReport, point_places, validate};
pub use recover::{RecoverReport, Recovered, recover};

/// One thing that a repair did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Deed {
    /// The file or directory, as it is shown.
    pub place: String,
    /// What was done: the end of a sentence that begins with the place.
    pub what: String,
}

/// What was repaired, and what could not be.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Mended {
    /// What was done.
    #[serde(rename = "repaired")]
    pub deeds: Vec<Deed>,
    /// What stays damaged, and why.
    #[serde(rename = "not_mended")]
    pub failures: Vec<Finding>,
}

/// What became of one restore point.
#[derive(Debug, Clone)]
pub struct PointRepair {
    /// Its backup id.
    pub backup_id: String,
    /// Its id.
    pub id: Id,
    /// What was done to it.
    pub mended: Mended,
    /// What the six validations say of it now.
    pub validation: ValidationReport,
}

/// What a repair did.
#[derive(Debug, Clone)]
pub struct RepairReport {
    /// What was done to the store itself.
    pub store: Mended,
    /// The restore points, oldest first.
    pub points: Vec<PointRepair>,
    /// The log.
    pub log: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

impl RepairReport {
    /// How many things were done.
    pub fn deeds(&self) -> usize {
        self.all().map(|m| m.deeds.len()).sum()
    }

    /// How many things stay damaged.
    pub fn failures(&self) -> usize {
        self.all().map(|m| m.failures.len()).sum()
    }

    /// Whether all six validations pass for every restore point now.
    pub fn passed(&self) -> bool {
        self.points.iter().all(|p| p.validation.passed()) && self.store.failures.is_empty()
    }

    fn all(&self) -> impl Iterator<Item = &Mended> {
        std::iter::once(&self.store).chain(self.points.iter().map(|p| &p.mended))
    }
}

/// Repairs the store and the restore point that is meant, or all of them, and validates again. `running` is the program
/// whose copy stands in for a damaged executable.
///
/// # Errors
/// `CutOff` where a rollback was interrupted, `NoRestorePoint`, `Interrupted`, `Io`. What could not be repaired is in the
/// report.
pub fn repair(
    lock: &StoreLock<'_>,
    which: Option<&Selector>,
    running: Option<&Path>,
    context: &Context<'_>,
) -> Result<RepairReport> {
    let store = lock.store();
    store.refuse_cut_off()?;
    let started = context.clock.now();
    let log = Log::open(store, "repair", &Id::at(started), context.clock, context.observer);
    let inner = context.with(&*log);
    let result = run(lock, which, running, &inner, started, log.path().clone());
    log.end(&result, |r| format!("{} repaired, {} not", r.deeds(), r.failures()));
    result
}

fn run(
    lock: &StoreLock<'_>,
    which: Option<&Selector>,
    running: Option<&Path>,
    context: &Context<'_>,
    started: SystemTime,
    log: PathBuf,
) -> Result<RepairReport> {
    let store = lock.store();
    let mut own = Hand::new(lock, context);
    own.store()?;
    lock.mend(context.observer)?;
    let catalogue = store.catalogue()?;
    let listed = match which {
        Some(selector) => vec![catalogue.select(selector)?.clone()],
        None => {
            if catalogue.all().is_empty() {
                catalogue.select(&Selector::Latest)?;
            }
            catalogue.all().to_vec()
        }
    };
    let mut mended = Vec::new();
    for listed in &listed {
        mended.push(mend_point(lock, listed, context)?);
    }
    // What one could not be repaired from may itself have been repaired since.
    for (listed, mended) in listed.iter().zip(&mut mended).filter(|(_, m)| !m.failures.is_empty()) {
        let again = mend_point(lock, listed, context)?;
        mended.deeds.extend(again.deeds);
        mended.failures = again.failures;
    }
    own.executable(running, &listed)?;
    let store_itself = own.end()?;
    lock.update_guard()?;
    let cache = running.and_then(|r| InodeCache::of_program(r).ok()).unwrap_or_default();
    let catalogue = store.catalogue()?;
    let points = listed.iter().zip(mended).map(|(listed, mended)| {
        let now = catalogue.all().iter().find(|l| l.id == listed.id).unwrap_or(listed);
        let validation = validate(store, now, &cache, context)?;
        Ok(PointRepair { backup_id: listed.backup_id(), id: listed.id.clone(), mended, validation })
    });
    Ok(RepairReport {
        points: points.collect::<Result<_>>()?,
        store: store_itself,
        log,
        elapsed: context.clock.now().duration_since(started).unwrap_or_default(),
    })
}

/// Repairs the store's own directories and files.
pub(crate) fn mend_store(lock: &StoreLock<'_>, context: &Context<'_>) -> Result<Mended> {
    let mut hand = Hand::new(lock, context);
    let result = hand.store();
    let ended = hand.end();
    result.and(ended)
}

/// Repairs one restore point. What its damage leaves no way to repair is in the result.
pub(crate) fn mend_point(lock: &StoreLock<'_>, listed: &Listed, context: &Context<'_>) -> Result<Mended> {
    context.observer.on(&Event::Phase { verb: "Repairing", what: listed.backup_id(), total: 0 });
    let mut hand = Hand::new(lock, context);
    let result = hand.point(listed);
    let ended = hand.end();
    result.and(ended)
}

/// Does the work, keeps count of it, and closes the directories that it opened.
struct Hand<'a> {
    lock: &'a StoreLock<'a>,
    context: &'a Context<'a>,
    mended: Mended,
    opened: order::Set<PathBuf>,
    aside: Option<PathBuf>,
}

impl<'a> Hand<'a> {
    fn new(lock: &'a StoreLock<'a>, context: &'a Context<'a>) -> Self {
        Hand { lock, context, mended: Mended::default(), opened: order::Set::new(), aside: None }
    }

    fn fs(&self) -> &'a crate::fsx::Fs {
        self.lock.store().fs()
    }

    fn layout(&self) -> &'a Layout {
        self.lock.store().layout()
    }

    fn shown(&self, path: &Path) -> String {
        show_path(path.strip_prefix(self.layout().dir()).unwrap_or(path))
    }

    fn did(&mut self, path: &Path, what: impl Into<String>) {
        let deed = Deed { place: self.shown(path), what: what.into() };
        self.context.observer.on(&Event::File {
            action: "repaired",
            path: deed.place.clone(),
            detail: deed.what.clone(),
        });
        self.mended.deeds.push(deed);
    }

    fn could_not(&mut self, path: &Path, problem: impl Into<String>) {
        let finding = Finding { place: self.shown(path), problem: problem.into() };
        self.context.note(format!("{}: {}", finding.place, finding.problem));
        self.mended.failures.push(finding);
    }

    /// Everything of one restore point.
    fn point(&mut self, listed: &Listed) -> Result<()> {
        let (store, layout) = (self.lock.store(), self.layout());
        let Some(mut proven) = self.prove(listed)? else { return Ok(()) };
        if self.session(listed, &proven)? {
            self.archive(listed, &mut proven)?;
        } else {
            self.judge_archive(listed, &proven)?;
        }
        let (label, id) = (&listed.label, &listed.id);
        let session = layout.session(id);
        if session.is_dir() {
            let path = layout.session_manifest(id);
            self.readable(&path)?;
            if !says(&path, &proven.bytes) {
                self.open(&session)?;
            }
            self.text(&path, &proven.bytes)?;
        }
        let list = checksum_list(&proven.manifest, crate::digest::Digest::of(&proven.bytes));
        self.text(&layout.checksums(label, id), &list)?;
        if store.needs_list(&proven.manifest) {
            let list = layout.list(label, id);
            self.text(&list, &store.script_list(&proven.manifest)?)?;
            self.modes(&[(list, false, 0o400)])?;
        }
        // The last: what it names is complete, as far as that can be.
        if session.is_dir() {
            self.text(&layout.metadata(label, id), &proven.bytes)?;
        }
        self.modes(&point_places(layout, label, id))?;
        if store.info()?.last_id.as_ref() < Some(id) {
            self.lock.update_info(|info| info.last_id = Some(id.clone()))?;
        }
        self.newest_link(listed)
    }

    /// The link to the newest files, for people.
    fn newest_link(&mut self, listed: &Listed) -> Result<()> {
        let catalogue = self.lock.store().catalogue()?;
        let newest = catalogue.all().iter().rev().find(|l| l.label == listed.label && l.session);
        if listed.may_be_latest() && newest.is_some_and(|l| l.id == listed.id) {
            let link = self.layout().files_link(&listed.label);
            if link.symlink_metadata().is_ok_and(|m| !m.is_symlink()) {
                self.set_aside(&link)?;
            }
            if link_newest(self.lock.store(), &listed.label, &listed.id).during("make the link", &link)? {
                self.did(&link, "was made again");
            }
        }
        Ok(())
    }

    /// Holds a small file against what it has to say, and replaces it where it says something else.
    fn text(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.readable(path)?;
        if says(path, bytes) {
            return Ok(());
        }
        let lost = path.symlink_metadata().is_err();
        let new = self.temporary("text")?;
        let mut file = self.fs().create_file(&new).during("create", &new)?;
        file.write_all(bytes).during("write", &new)?;
        file.set_mode(Mode::new(0o400)).during("change the mode of", &new)?;
        file.sync().during("sync", &new)?;
        drop(file);
        self.put(&new, path)?;
        self.did(
            path,
            if lost { "was lost and is written again" } else { "was damaged and is written again" },
        );
        Ok(())
    }

    /// Moves a new file to its place, in place of a file that is there; anything else makes way first.
    fn put(&mut self, new: &Path, path: &Path) -> Result<()> {
        if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
            self.set_aside(path)?;
        }
        self.fs().rename(new, path).during("rename into place", path)
    }

    /// A file that its owner may not read cannot be judged.
    fn readable(&mut self, path: &Path) -> Result<()> {
        match path.symlink_metadata() {
            Ok(meta) if meta.is_file() && meta.mode() & 0o400 == 0 => {
                let mode = Mode::new(meta.mode() & 0o100 | 0o400);
                self.fs().set_mode(path, mode).during("change the mode of", path)?;
                self.did(path, "could not be read by its owner: its mode is set right");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Modes that are wider than promised.
    fn modes(&mut self, places: &[(PathBuf, bool, u32)]) -> Result<()> {
        for (path, directory, most) in places {
            let Ok(meta) = path.symlink_metadata() else { continue };
            let right_kind = if *directory { meta.is_dir() } else { meta.is_file() };
            // What is open for now is closed at the end.
            if right_kind && !self.opened.contains(path) && meta.mode() & 0o7777 & !most != 0 {
                self.fs().set_mode(path, Mode::new(*most)).during("change the mode of", path)?;
                self.did(path, format!("has mode {} again", Mode::new(*most)));
            }
        }
        Ok(())
    }

    /// Opens a directory of a session for writing; [`Hand::end`] closes it.
    fn open(&mut self, dir: &Path) -> Result<()> {
        let mode = dir.symlink_metadata().during("look at", dir)?.mode();
        if mode & 0o700 != 0o700 {
            self.fs().set_mode(dir, Mode::new(0o700)).during("change the mode of", dir)?;
        }
        self.opened.insert(dir.into());
        Ok(())
    }

    /// Moves what stands in the wrong place out of the way.
    fn set_aside(&mut self, path: &Path) -> Result<()> {
        let base = match &self.aside {
            Some(base) => base.clone(),
            None => {
                let mut id = Id::at(self.context.clock.now());
                while self.layout().set_aside(&id).symlink_metadata().is_ok() {
                    id = id.next();
                }
                let base = self.layout().set_aside(&id);
                self.aside.insert(base).clone()
            }
        };
        let mut to = base.join(path.strip_prefix(self.layout().dir()).unwrap_or(path));
        // Something that stood in it may have been moved there before.
        while to.symlink_metadata().is_ok() {
            let mut name = to.file_name().unwrap_or_default().to_os_string();
            name.push(".also");
            to.set_file_name(name);
        }
        let parent = to.parent().unwrap_or(&base);
        self.fs().create_dir_all(parent, 0o700).during("create directory", parent)?;
        if path.symlink_metadata().is_ok_and(|m| m.is_dir() && m.mode() & 0o700 != 0o700) {
            // A directory that changes its parent has to be writable.
            self.fs().set_mode(path, Mode::new(0o700)).during("change the mode of", path)?;
        }
        self.fs().rename(path, &to).during("move aside", path)?;
        self.did(path, format!("does not belong there and is now {}", self.shown(&to)));
        Ok(())
    }

    /// Where a new file is written before it gets its place.
    fn temporary(&self, name: &str) -> Result<PathBuf> {
        let place = temporary_place(self.lock.store(), name)?;
        self.fs().remove_tree(&place).during("remove", &place)?;
        Ok(place)
    }

    /// Closes what was opened, the deepest first, and makes everything durable.
    fn end(&mut self) -> Result<Mended> {
        let (fs, layout) = (self.fs(), self.layout());
        for dir in std::mem::take(&mut self.opened).into_iter().rev() {
            // It may have been moved aside since, and something else stand there.
            if dir.symlink_metadata().is_ok_and(|m| m.is_dir()) {
                fs.set_mode(&dir, Mode::new(0o500)).during("change the mode of", &dir)?;
            }
        }
        let temporary = layout.repairing();
        fs.remove_tree(&temporary).during("remove", &temporary)?;
        if !self.mended.deeds.is_empty() {
            fs.barrier(layout.dir()).during("sync", layout.dir())?;
        }
        Ok(std::mem::take(&mut self.mended))
    }

    fn store_handle(&self) -> &'a Store {
        self.lock.store()
    }
}

/// Whether a plain file has just these bytes.
fn says(path: &Path, bytes: &[u8]) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_file())
        && crate::fsx::read_plain(path).is_ok_and(|found| found == bytes)
}
