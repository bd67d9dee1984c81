//! Making a restore point.
//!
//! **Order of writing.** The id is reserved and marked as under way; archive, checksum list, the scripts' fields
//! and the staged session are written and read back; one barrier; the session is renamed into place; one barrier;
//! the manifest's second copy is written, and with it the restore point is listed. A cut before the rename leaves
//! what the next writer sweeps, a cut after it what the next writer completes.

pub(crate) mod archive_file;
mod pass;
mod read;
mod reuse;
pub(crate) mod spool;

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::rfc3339;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::fsx::Tree;
use crate::live_tree::{LiveTree, Look};
use crate::manifest::{
    Entry, FORMAT, FileKind, Id, Label, Manifest, MemberGlobs, Origin, RootName, Totals, backup_id,
    root_hash, totals,
};
use crate::order;
use crate::select::{Candidate, ProtectedSet};
use crate::store::{
    Log, Staging, Store, StoreLock, checksum_list, keep_restore_text, link_newest, write_private,
};
use crate::text::size;
use archive_file::ArchiveFile;
use read::{Job, Unreadable};

/// How a restore point is made.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// Its label.
    pub label: Label,
    /// What the user says of it.
    pub message: Option<String>,
    /// Makes none where the newest holds the same content.
    pub skip_unchanged: bool,
}

/// What came of a backup.
#[derive(Debug, Clone)]
pub enum BackupOutcome {
    /// A restore point was made.
    Made(Box<BackupReport>),
    /// The newest restore point holds the same content, and none was made.
    Unchanged {
        /// That restore point's backup id.
        backup_id: String,
        /// Its id.
        id: Id,
        /// Its root hash, and the present's.
        root_hash: Digest,
        /// The sums that both share.
        totals: Totals,
    },
}

/// What a backup did.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// The new restore point's manifest.
    pub manifest: Manifest,
    /// How many files were read back after writing and found right.
    pub verified: u64,
    /// How many of them are hard links to the parent's files.
    pub linked: u64,
    /// Bytes of file content that were written, the archive apart.
    pub written: u64,
    /// What could not be read and was left out. Only a rollback's restore point of the present leaves out.
    pub unreadable: Vec<String>,
    /// The log.
    pub log: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

/// Makes a restore point of `set`.
///
/// # Errors
/// `CutOff` where a rollback was interrupted. `Workspace` where files cannot be read, and `Changed` where they change
/// while they are read: every one is named in the details, and no restore point is made. `Interrupted`, `Io`.
pub fn backup(
    lock: &StoreLock<'_>,
    set: &ProtectedSet,
    options: &BackupOptions,
    context: &Context<'_>,
) -> Result<BackupOutcome> {
    asked_for(lock, set, options, Origin::Backup, context)
}

/// Makes a restore point of a workspace that cargo cannot load: of what the newest restore point holds, as it is now,
/// and of what came since in its scope. It is marked so, and `latest` passes over it. Gives the set as well.
///
/// # Errors
/// As [`backup`]; `NoRestorePoint` if there is no earlier one to go by.
pub fn backup_unloaded(
    lock: &StoreLock<'_>,
    options: &BackupOptions,
    context: &Context<'_>,
) -> Result<(ProtectedSet, BackupOutcome)> {
    let store = lock.store();
    store.refuse_cut_off()?;
    let catalogue = store.catalogue()?;
    let earlier = catalogue.all().iter().rev().filter(|listed| !listed.is_pre_rollback());
    let Some(manifest) = earlier.filter_map(|listed| store.manifest(listed).ok()).next() else {
        return Err(Error::new(ErrorKind::NoRestorePoint, "there is no earlier restore point to go by"));
    };
    let present = LiveTree::look(store, &manifest, |_| true, Look::Whole, context)?;
    let mut set = present.protected_set(&manifest);
    set.notes.push(format!("its files are those of {} and what came since in its scope", manifest.backup_id));
    let outcome = asked_for(lock, &set, options, Origin::BrokenManifest, context)?;
    Ok((set, outcome))
}

fn asked_for(
    lock: &StoreLock<'_>,
    set: &ProtectedSet,
    options: &BackupOptions,
    origin: Origin,
    context: &Context<'_>,
) -> Result<BackupOutcome> {
    if options.label.as_str() == crate::manifest::PRE_ROLLBACK {
        // `latest` would pass over it.
        return Err(Error::new(ErrorKind::Usage, "the label `pre_rollback` is for what rollbacks make")
            .with_help("give another: -l LABEL, or `label` in [workspace.metadata.backstop]"));
    }
    lock.store().refuse_cut_off()?;
    lock.mend(context.observer)?;
    if let Err(e) = lock.keep_lists() {
        // They are about older restore points: no reason not to make another.
        context.note(format!("the scripts' lists of older restore points were not written: {e}"));
    }
    if options.skip_unchanged
        && let Some(unchanged) = unchanged(lock.store(), set, origin, context)?
    {
        return Ok(unchanged);
    }
    let made =
        make(lock, set, options, origin, Unreadable::Fail, context).map_err(|e| name_largest(e, set))?;
    Ok(BackupOutcome::Made(Box::new(made)))
}

/// Where room ran out, says what would take the most of it.
fn name_largest(e: Error, set: &ProtectedSet) -> Error {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if !e.io_error().is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge)) {
        return e;
    }
    let mut files: Vec<&Candidate> = set.entries.iter().filter(|c| c.size > 0).collect();
    order::sort_by(&mut files, |a, b| (b.size, &a.root, &a.path).cmp(&(a.size, &b.root, &b.path)));
    let named = files.iter().take(5);
    let named = named.map(|c| format!("{}: {}", crate::manifest::shown(&c.root, &c.path), size(c.size)));
    e.with_details(named).with_help(
        "no restore point was made; make room, or keep the largest files out with `exclude = [\"PATH\"]` \
         in [workspace.metadata.backstop]",
    )
}

/// Makes a restore point of the present before a rollback changes it. What cannot be read is left out and named.
pub(crate) fn backup_present(
    lock: &StoreLock<'_>,
    set: &ProtectedSet,
    message: String,
    context: &Context<'_>,
) -> Result<BackupReport> {
    let label = Label::from_text(crate::manifest::PRE_ROLLBACK);
    let options = BackupOptions { label, message: Some(message), skip_unchanged: false };
    make(lock, set, &options, Origin::PreRollback, Unreadable::Skip, context)
}

/// Compares the content with the newest restore point's of the same origin, by reading every file once.
fn unchanged(
    store: &Store,
    set: &ProtectedSet,
    origin: Origin,
    context: &Context<'_>,
) -> Result<Option<BackupOutcome>> {
    let catalogue = store.catalogue()?;
    let newest = catalogue.all().iter().rev().find(|listed| listed.origin == origin);
    let Some(latest) = newest else { return Ok(None) };
    let Ok(newest) = store.manifest(latest) else { return Ok(None) };
    let same_places = newest.entries.len() == set.entries.len()
        && newest.entries.iter().zip(&set.entries).all(|(a, b)| a.root == b.root && a.path == b.path);
    if !same_places || !latest.session || !latest.archive {
        return Ok(None);
    }
    let trees = open_trees(store, set)?;
    let job = Job::new(store, set, &trees, None, None, Unreadable::Fail, context);
    let entries = job.measure()?;
    Ok((root_hash(&entries) == newest.root_hash).then(|| BackupOutcome::Unchanged {
        backup_id: newest.backup_id.clone(),
        id: newest.id.clone(),
        root_hash: newest.root_hash,
        totals: newest.totals,
    }))
}

fn open_trees(store: &Store, set: &ProtectedSet) -> Result<order::Map<RootName, Tree>> {
    set.roots
        .iter()
        .map(|r| {
            let tree = Tree::open(&r.directory, store.fs()).during("open directory", &r.directory)?;
            Ok((r.root.name.clone(), tree))
        })
        .collect()
}

fn make(
    lock: &StoreLock<'_>,
    set: &ProtectedSet,
    options: &BackupOptions,
    origin: Origin,
    unreadable: Unreadable,
    context: &Context<'_>,
) -> Result<BackupReport> {
    let started = context.clock.now();
    let id = lock.next_id(started, true, context.observer)?;
    let log = Log::open(lock.store(), "backup", &id, context.clock, context.observer);
    log.line(&format!("backup {} of {} entries", backup_id(&options.label, &id), set.entries.len()));
    for skipped in &set.skipped {
        log.line(&format!(
            "skipped: {} {:?}",
            crate::manifest::shown(&skipped.root, &skipped.path),
            skipped.why
        ));
    }
    let run = Run {
        lock,
        set,
        options,
        id: &id,
        origin,
        unreadable,
        context: context.with(&*log),
        log: log.path().clone(),
    };
    let result = run.make(started);
    if result.is_err() {
        // The error that counts is the first. What is left now, the next writer completes or sweeps.
        let _ = lock.give_up(&options.label, &id);
    }
    log.end(&result, |r| {
        format!(
            "{}: {} files verified, {} linked, root hash {}",
            r.manifest.backup_id, r.verified, r.linked, r.manifest.root_hash
        )
    });
    result
}

struct Run<'a> {
    lock: &'a StoreLock<'a>,
    set: &'a ProtectedSet,
    options: &'a BackupOptions,
    id: &'a Id,
    origin: Origin,
    unreadable: Unreadable,
    context: Context<'a>,
    log: PathBuf,
}

impl Run<'_> {
    fn store(&self) -> &Store {
        self.lock.store()
    }

    fn staging(&self) -> Staging<'_> {
        Staging::new(self.lock.store(), self.id)
    }

    fn make(&self, started: std::time::SystemTime) -> Result<BackupReport> {
        let (layout, label) = (self.store().layout(), &self.options.label);
        let parent = self.parent()?;
        self.stage_directories()?;
        let trees = open_trees(self.store(), self.set)?;
        let staging = self.staging().path();
        let job = Job::new(
            self.store(),
            self.set,
            &trees,
            parent.as_ref(),
            Some(&staging),
            self.unreadable,
            &self.context,
        );
        let mut archive = ArchiveFile::create(self.store(), label, self.id)?;
        let read = job.run(|member, entries| archive.member(member, entries))?;
        self.unstage_vanished(&read.entries)?;

        let mut manifest = self.manifest(started, parent.as_ref(), read.entries);
        manifest.archive = Some(archive.finish(&manifest)?);
        self.stage_texts(&manifest)?;
        self.context.interrupt.check()?;
        let verified = self.staging().read_back(&manifest, &read.linked, &self.context)?;
        crate::archive::read_back(&layout.archive(label, self.id), &manifest, &self.context)?;
        self.staging().seal(&manifest)?;
        self.context.interrupt.check()?;
        self.publish(&manifest)?;
        Ok(BackupReport {
            verified,
            linked: read.linked.len() as u64,
            written: read.written,
            unreadable: read.unreadable,
            log: self.log.clone(),
            elapsed: self.context.clock.now().duration_since(started).unwrap_or_default(),
            manifest,
        })
    }

    /// The newest restore point of all: its files are what unchanged ones are linked to.
    fn parent(&self) -> Result<Option<Manifest>> {
        let catalogue = self.store().catalogue()?;
        let newest = catalogue.all().iter().rev().find(|l| l.session);
        Ok(newest.and_then(|l| self.store().manifest(l).ok()))
    }

    fn stage_directories(&self) -> Result<()> {
        let directories = self.set.entries.iter().filter(|e| e.kind == FileKind::Directory);
        let roots = self.set.roots.iter().map(|r| &r.root.name);
        self.staging().directories(roots, directories.map(Candidate::stored_path))
    }

    /// Takes the directories away again that could not be kept, the deepest first.
    fn unstage_vanished(&self, kept: &[Entry]) -> Result<()> {
        let staging = self.store().layout().staging(self.id);
        let vanished = self.set.entries.iter().rev().filter(|c| {
            c.kind == FileKind::Directory && kept.binary_search_by(|e| e.cmp_place(&c.root, &c.path)).is_err()
        });
        vanished
            .map(|c| staging.join(c.stored_path()))
            .try_for_each(|dir| self.store().fs().remove_dir(&dir).during("remove", &dir))
    }

    fn manifest(
        &self,
        started: std::time::SystemTime,
        parent: Option<&Manifest>,
        entries: Vec<Entry>,
    ) -> Manifest {
        let (set, label) = (self.set, &self.options.label);
        Manifest {
            format: FORMAT,
            backup_id: backup_id(label, self.id),
            id: self.id.clone(),
            label: label.clone(),
            created: rfc3339(started),
            message: self.options.message.clone(),
            parent: parent.map(|p| p.id.clone()),
            tools: set.tools.clone(),
            git: set.git.clone(),
            root_hash: root_hash(&entries),
            totals: totals(&entries, set.packages.len()),
            roots: set.roots.iter().map(|r| r.root.clone()).collect(),
            packages: set.packages.clone(),
            xtask: set.xtask.clone(),
            scope: set.scope.clone(),
            origin: Some(self.origin),
            members: self.members(&entries),
            target_directories: set.target_directories.clone(),
            entries,
            archive: None,
        }
    }

    /// The patterns of members in the root manifest that was just kept.
    fn members(&self, entries: &[Entry]) -> Option<MemberGlobs> {
        let manifest =
            entries.iter().find(|e| e.root.is_workspace() && e.path.as_bytes() == b"Cargo.toml")?;
        let path = self.staging().path().join(manifest.stored_path());
        MemberGlobs::read(&std::fs::read(path).ok().filter(|_| manifest.is_file())?)
    }

    /// Manifest, checksum list and what the scripts read.
    fn stage_texts(&self, manifest: &Manifest) -> Result<()> {
        let (layout, fs) = (self.store().layout(), self.store().fs());
        if let Err(e) = keep_restore_text(self.store()) {
            let path = self.store().layout().restore_text();
            self.context.note(format!("{} was not written: {e}", crate::path::show_path(&path)));
        }
        let json = manifest.to_json();
        let list = checksum_list(manifest, Digest::of(&json));
        self.staging().manifest(&json)?;
        write_private(fs, &layout.checksums(&manifest.label, self.id), &list)?;
        let list = self.store().script_list(manifest)?;
        write_private(fs, &layout.list(&manifest.label, self.id), &list)
    }

    fn publish(&self, manifest: &Manifest) -> Result<()> {
        self.staging().place(&self.context)?;
        self.lock.complete(manifest)?;
        if !manifest.is_pre_rollback()
            && let Err(e) = self.lock.update_guard()
        {
            self.context.note(format!("the build's guard does not know of it: {e}"));
        }
        // Last: a package that embeds the backup id is built again when this has changed.
        self.lock.clear_pending()?;
        if self.origin == Origin::Backup
            && let Err(e) = link_newest(self.store(), &self.options.label, self.id)
        {
            // For people: one that cannot be made is no reason to fail.
            let link = self.store().layout().files_link(&self.options.label);
            self.context.note(format!("the link {} was not made: {e}", crate::path::show_path(&link)));
        }
        self.context.observer.on(&Event::RestorePoint { id: self.id.clone() });
        Ok(())
    }
}
