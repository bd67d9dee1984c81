//! The six validations of a restore point, and the proof that a rollback needs before it may write.
//!
//! **Invariant:** only this module makes a [`VerifiedSession`], and a rollback plan takes nothing else.

mod checks;
mod scripts;
mod verified;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::digest::Digest;
use crate::error::{IoContext, Result};
use crate::event::Context;
use crate::manifest::{Id, Manifest};
use crate::store::{Listed, Log, Store, StoreLock, Validated};
pub(crate) use checks::{Subject, point_places};
pub(crate) use verified::verify_sources;
pub use verified::{From, Source, VerifiedSession};

/// One of the six questions that are asked of a restore point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Validation {
    /// Every directory and file of the layout is there, with its mode.
    BackupStructure,
    /// The manifest parses, its copies agree, root hash and totals are right, its paths are safe.
    BackupManifest,
    /// Every file has its content, size and kind, and nothing else is there.
    FileIntegrity,
    /// The checksum list parses, is complete, and agrees with the manifest and the files.
    Checksums,
    /// The archive has its digest, and every member and entry is what the manifest says.
    ArchiveIntegrity,
    /// What brings the workspace back is there, unaltered and runs.
    RollbackScripts,
}

impl Validation {
    /// All six, in the order in which they are asked.
    pub const ALL: [Validation; 6] = [
        Validation::BackupStructure,
        Validation::BackupManifest,
        Validation::FileIntegrity,
        Validation::Checksums,
        Validation::ArchiveIntegrity,
        Validation::RollbackScripts,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Validation::BackupStructure => "BACKUP_STRUCTURE",
            Validation::BackupManifest => "BACKUP_MANIFEST",
            Validation::FileIntegrity => "FILE_INTEGRITY",
            Validation::Checksums => "CHECKSUMS",
            Validation::ArchiveIntegrity => "ARCHIVE_INTEGRITY",
            Validation::RollbackScripts => "ROLLBACK_SCRIPTS",
        }
    }

    /// What it counts.
    pub fn unit(self) -> &'static str {
        match self {
            Validation::BackupStructure => "paths",
            Validation::BackupManifest | Validation::ArchiveIntegrity => "entries",
            Validation::FileIntegrity => "files",
            Validation::Checksums => "lines",
            Validation::RollbackScripts => "checks",
        }
    }

    /// What to do where it finds something.
    pub fn remedy(self) -> &'static str {
        match self {
            Validation::BackupStructure => {
                "`validate --repair` sets modes right and makes again what is lost"
            }
            Validation::BackupManifest => {
                "`validate --repair` takes the copy that proves itself; until then do not trust this one alone"
            }
            Validation::FileIntegrity => {
                "where the archive passes, `validate --repair` mends the files from there, and a rollback takes them"
            }
            Validation::Checksums => {
                "`validate --repair` writes the list anew; only `sha256sum -c` needs it, a rollback does not"
            }
            Validation::ArchiveIntegrity => {
                "where the session passes, `validate --repair` makes the archive again; a rollback goes on without"
            }
            Validation::RollbackScripts => {
                "`validate --repair`, or the next `backup`, writes what is wrong in scripts/ anew"
            }
        }
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory, as it is shown.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What one validation found.
#[derive(Debug, Clone)]
pub struct Check {
    /// Which one.
    pub validation: Validation,
    /// How many things it looked at. None is a failure.
    pub checked: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is worth knowing and no fault.
    pub notes: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Check {
    fn new(validation: Validation) -> Self {
        Check { validation, checked: 0, findings: Vec::new(), notes: Vec::new(), elapsed: Duration::ZERO }
    }

    fn find(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.findings.push(Finding { place: place.into(), problem: problem.into() });
    }

    /// Whether it looked at something and found nothing wrong.
    pub fn passed(&self) -> bool {
        self.checked > 0 && self.findings.is_empty()
    }
}

/// What the validations of one restore point found.
#[derive(Debug, Clone)]
pub struct ValidationReport {
    /// Its backup id.
    pub backup_id: String,
    /// Its id.
    pub id: Id,
    /// Its root hash; absent where no copy of the manifest is sound.
    pub root_hash: Option<Digest>,
    /// The six, in order.
    pub checks: Vec<Check>,
    /// The log.
    pub log: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

impl ValidationReport {
    /// Whether all six passed.
    pub fn passed(&self) -> bool {
        self.checks.len() == Validation::ALL.len() && self.checks.iter().all(Check::passed)
    }
}

/// What several validations share: digests of files by device and inode, so that a file that many restore points
/// share is hashed once; and which program it is that asks.
#[derive(Debug, Default)]
pub struct InodeCache {
    digests: Mutex<HashMap<(u64, u64), Option<Digest>>>,
    running: Option<Digest>,
    /// Scripts that a dry run has shown to work: what each restore point has for them is compared byte for byte.
    proven: Mutex<BTreeSet<&'static str>>,
}

impl InodeCache {
    /// For the program at `running`: a copy of it in the store is proven by a dry run, another program is not run.
    ///
    /// # Errors
    /// Kind `Io` where it cannot be read.
    pub fn of_program(running: &std::path::Path) -> Result<Self> {
        let bytes = std::fs::read(running).during("read", running)?;
        Ok(InodeCache { running: Some(Digest::of(&bytes)), ..InodeCache::default() })
    }

    fn is_proven(&self, script: &str) -> bool {
        self.proven.lock().is_ok_and(|proven| proven.contains(script))
    }

    fn prove(&self, script: &'static str) {
        if let Ok(mut proven) = self.proven.lock() {
            proven.insert(script);
        }
    }
}

/// Asks the six validations of one restore point. Whoever validates several gives the same `cache` to each.
///
/// # Errors
/// `Interrupted`, or `Io` where the store itself cannot be read. What is wrong with the restore point is in the
/// report.
pub fn validate(
    store: &Store,
    listed: &Listed,
    cache: &InodeCache,
    context: &Context<'_>,
) -> Result<ValidationReport> {
    let started = context.clock.now();
    let log = Log::open(store, "validation", &Id::at(started), context.clock, context.observer);
    log.line(&format!("validation of {}", listed.backup_id()));
    let inner = context.with(&*log);
    let result = run(store, listed, cache, &inner, log.path().clone(), started);
    if let Ok(report) = &result {
        for check in &report.checks {
            let verdict = if check.passed() { "passed" } else { "failed" };
            let v = check.validation;
            log.line(&format!("{} {verdict}: {} {}", v.name(), check.checked, v.unit()));
            for finding in &check.findings {
                log.line(&format!("finding: {} {}: {}", v.name(), finding.place, finding.problem));
            }
            for note in &check.notes {
                log.line(&format!("note: {} {note}", v.name()));
            }
        }
    }
    log.end(&result, |r| if r.passed() { "all passed".into() } else { "findings".to_owned() });
    result
}

/// Records what a validation said in the restore point's status.
///
/// # Errors
/// Kind `Io`. A restore point that is gone by now is no error.
pub fn record(lock: &StoreLock<'_>, report: &ValidationReport, context: &Context<'_>) -> Result<()> {
    let catalogue = lock.store().catalogue()?;
    let Some(listed) = catalogue.all().iter().find(|l| l.id == report.id) else { return Ok(()) };
    let validated = Validated { at: context.clock.now(), passed: report.passed() };
    lock.update_status(listed, |status| status.validated = Some(validated))
}

fn run(
    store: &Store,
    listed: &Listed,
    cache: &InodeCache,
    context: &Context<'_>,
    log: PathBuf,
    started: std::time::SystemTime,
) -> Result<ValidationReport> {
    let manifest: Option<Manifest> = store.manifest(listed).ok();
    let subject = checks::Subject { store, listed, manifest: manifest.as_ref(), cache, context };
    let mut checks = Vec::new();
    for validation in Validation::ALL {
        context.interrupt.check()?;
        let begun = context.clock.now();
        let mut check = Check::new(validation);
        subject.ask(&mut check)?;
        check.findings.sort_by(|a, b| (&a.place, &a.problem).cmp(&(&b.place, &b.problem)));
        check.elapsed = context.clock.now().duration_since(begun).unwrap_or_default();
        checks.push(check);
    }
    Ok(ValidationReport {
        backup_id: listed.backup_id(),
        id: listed.id.clone(),
        root_hash: manifest.map(|m| m.root_hash),
        checks,
        log,
        elapsed: context.clock.now().duration_since(started).unwrap_or_default(),
    })
}
