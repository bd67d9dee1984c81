//! The six validations of a restore point, and the proof that a rollback needs before it may write.
//!
//! **Invariant:** only this module makes a [`VerifiedSession`], and a rollback plan takes nothing else.

mod cache;
mod checks;
mod scripts;
mod verified;

use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Check, all_passed, timed};
use crate::digest::Digest;
use crate::error::Result;
use crate::event::Context;
use crate::manifest::{Id, Manifest};
use crate::order;
use crate::store::{Listed, Log, Store, StoreLock, Validated};
pub use cache::InodeCache;
pub(crate) use checks::{Subject, point_places};
pub(crate) use verified::verify_sources;
pub use verified::{From, Source, VerifiedSession};

/// One question that is asked of a restore point.
pub(crate) struct Validation {
    pub(crate) id: &'static str,
    unit: &'static str,
    remedy: &'static str,
    ask: fn(&Subject<'_>, &mut Check) -> Result<()>,
}

/// The id of the one that reads every file.
pub(crate) const FILE_INTEGRITY: &str = "FILE_INTEGRITY";

/// All of them, in the order in which they are asked.
pub(crate) const VALIDATIONS: [Validation; 6] = [
    // Every directory and file of the layout is there, with its mode.
    Validation {
        id: "BACKUP_STRUCTURE",
        unit: "paths",
        remedy: "`validate --repair` sets modes right and makes again what is lost",
        ask: |subject, check| subject.structure(check),
    },
    // The manifest parses, its copies agree, root hash and totals are right, its paths are safe.
    Validation {
        id: "BACKUP_MANIFEST",
        unit: "entries",
        remedy: "`validate --repair` takes the copy that proves itself; until then do not trust this one alone",
        ask: |subject, check| subject.manifest(check),
    },
    // Every file has its content, size and kind, and nothing else is there.
    Validation {
        id: FILE_INTEGRITY,
        unit: "files",
        remedy: "where the archive passes, `validate --repair` repairs the files from there, and a rollback takes them",
        ask: |subject, check| subject.files(check),
    },
    // The checksum list parses, is complete, and agrees with the manifest and the files.
    Validation {
        id: "CHECKSUMS",
        unit: "lines",
        remedy: "`validate --repair` writes the list anew; only `sha256sum -c` needs it, a rollback does not",
        ask: |subject, check| subject.checksums(check),
    },
    // The archive has its digest, and every member and entry is what the manifest says.
    Validation {
        id: "ARCHIVE_INTEGRITY",
        unit: "entries",
        remedy: "where the session passes, `validate --repair` makes the archive again; a rollback goes on without",
        ask: |subject, check| subject.archive(check),
    },
    // What brings the workspace back is there, unaltered and runs.
    Validation {
        id: "ROLLBACK_SCRIPTS",
        unit: "checks",
        remedy: "`validate --repair`, or the next `backup`, writes what is wrong in scripts/ anew",
        ask: |subject, check| subject.scripts(check),
    },
];

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
        self.checks.len() == VALIDATIONS.len() && all_passed(&self.checks)
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
        report.checks.iter().for_each(|check| log.check(check));
    }
    log.end(&result, |r| if r.passed() { "all passed".into() } else { "findings".to_owned() });
    result
}

/// Records what a validation said in the restore point's status.
///
/// # Errors
/// Kind `Io`. A restore point that is missing by now is no error.
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
    let subject = Subject { store, listed, manifest: manifest.as_ref(), cache, context };
    let mut checks = Vec::new();
    for Validation { id, unit, remedy, ask } in VALIDATIONS {
        checks.push(timed(id, "", context, || {
            let mut check = Check::counted(0, unit).with_remedy(remedy);
            ask(&subject, &mut check)?;
            order::sort_by(&mut check.findings, |a, b| (&a.place, &a.problem).cmp(&(&b.place, &b.problem)));
            Ok(check)
        })?);
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
