//! Going back to a restore point: plan, journal, apply; and what follows a cut: resume, abort; and undo.
//!
//! **Invariants.** A plan is a value, made without changing anything; what the dry run prints is what runs. Every
//! byte that is written was verified first. What is replaced or removed is moved to `displaced_TS/`, never
//! deleted (I4). No cargo is started and no manifest of the workspace is opened (I5). At every instant the
//! workspace is old, or new, or [`resume`] and [`abort`] each make it one of them (I6). Files whose content does
//! not change keep their time; files whose content does get the present, so that the next build is right (I7).

mod across;
mod after;
mod alone;
mod apart;
mod apply;
mod backward;
mod builds;
mod forward;
mod journal;
mod kept;
mod leftovers;
mod lockfile;
mod obstacles;
mod options;
mod plan;
mod requirements;
mod restore;
mod sources;
mod stage;
mod steps;
mod trees;
mod undo;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use crate::backup::backup_present;
use crate::check::Finding;
use crate::clock::rfc3339;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::live_tree::{LiveTree, Look};
use crate::manifest::{Entry, Id, Kind, Manifest, RootName};
use crate::path::show_path;
use crate::select::ProtectedSet;
use crate::store::{Listed, Log, Store, StoreLock, write_private};
use alone::Part;
use apart::{Target, refuse_targets_in_store};
use apply::{Identity, Seen, Stopped, Transaction};
pub use journal::{Action, Journal, Origin, Purpose, Verb};
pub use kept::check_kept;
use obstacles::refuse_obstacles;
pub use options::RollbackOptions;
pub use plan::{Counts, RollbackPlan};
pub(crate) use restore::{Likeness, extract};
pub use restore::{RestoreReport, restore_to};
pub use undo::{last_rollback, plan_undo};
pub(crate) use undo::{restore_points_of, rollbacks};

/// Plans a rollback to a restore point.
///
/// # Errors
/// `CutOff` where an earlier rollback was interrupted. `Damaged` where a file that it needs verifies in no allowed copy.
/// `Usage` where `--only` or `-p` name nothing. Nothing was changed.
pub fn plan(
    store: &Store,
    listed: &Listed,
    options: &RollbackOptions,
    context: &Context<'_>,
) -> Result<RollbackPlan> {
    store.refuse_cut_off()?;
    let manifest = store.manifest(listed)?;
    let own = manifest.own_roots();
    let reached = |root: &RootName| options.outside || own.contains(root);
    let targets = manifest.entries.iter().filter(|e| reached(&e.root)).map(|e| Target {
        root: &e.root,
        path: &e.path,
        is_directory: e.kind == Kind::Directory,
    });
    refuse_targets_in_store(store, &manifest.roots, targets)?;
    let present = LiveTree::look(store, &manifest, |_| true, Look::Whole, context)?;
    refuse_missing_roots(&present, reached)?;
    let outside_differences = differences(&manifest, &present, |root| !reached(root));
    let present = present.only_roots(reached);
    let part = Part::new(store, listed, &present, options, &outside_differences, context);
    let plan = part.plan(manifest)?;
    refuse_obstacles(store, &plan)?;
    Ok(plan)
}

fn refuse_missing_roots(present: &LiveTree, reached: impl Fn(&RootName) -> bool) -> Result<()> {
    let gone = present.missing_roots.iter().filter(|r| reached(&r.root.name));
    let gone: Vec<String> = gone.map(|r| format!("{}: {}", r.root.name, show_path(&r.directory))).collect();
    if gone.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Workspace, "a directory outside the workspace is missing; nothing was changed")
        .with_details(gone)
        .with_help("make the directory (it may be empty), then roll back again"))
}

/// What differs in some of the roots, for the report.
fn differences(manifest: &Manifest, present: &LiveTree, of: impl Fn(&RootName) -> bool) -> Vec<String> {
    let known = manifest.entries.iter().filter(|e| of(&e.root) && present.differs(e)).map(Entry::shown);
    let added = present.added.iter().filter(|(at, t)| of(&at.root) && !t.is_directory());
    known.chain(added.map(|(at, _)| at.shown())).collect()
}

/// What a rollback or an undo did.
#[derive(Debug, Clone)]
pub struct RollbackOutcome {
    /// Its own id, by which its displaced files and its log are known.
    pub id: Id,
    /// What it was for.
    pub purpose: Purpose,
    /// The restore point of the present that was made first.
    pub pre_rollback: Option<Id>,
    /// How many of what was done.
    pub counts: Counts,
    /// How many of the changes were read back and are right.
    pub verified: u64,
    /// What was changed again by somebody while it was read back.
    pub mismatches: Vec<String>,
    /// What cargo will say of the workspace now, if anything.
    pub findings: Vec<Finding>,
    /// What could not be read for the restore point of the present; it is among the displaced where it had to go.
    pub unreadable: Vec<String>,
    /// Where what was replaced or removed is kept; absent where nothing was.
    pub displaced: Option<PathBuf>,
    /// The log.
    pub log: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

impl RollbackOutcome {
    fn and(mut self, findings: Vec<Finding>) -> Self {
        self.findings.splice(0..0, findings);
        self
    }
}

/// Carries out a plan.
///
/// # Errors
/// `Changed` where something moved since the plan: every such path is named, and the workspace is as it was.
/// `Interrupted` before the commit: nothing was changed. `CutOff` where it stopped partly rolled back: resume or
/// abort it. Others before the commit: nothing was changed.
pub fn apply(lock: &StoreLock<'_>, plan: RollbackPlan, context: &Context<'_>) -> Result<RollbackOutcome> {
    let started = context.clock.now();
    lock.store().refuse_cut_off()?;
    lock.mend(context.observer)?;
    let mut pre_rollback = None;
    let mut unreadable = Vec::new();
    if let Some(set) = &plan.keep {
        let report = keep_present(lock, set, &plan, context)?;
        pre_rollback = Some(report.manifest.id);
        unreadable = report.unreadable;
    }
    let id = lock.next_id(context.clock.now(), false, context.observer)?;
    let log = Log::open(lock.store(), "rollback", &id, context.clock, context.observer);
    log.line(&format!("{:?} {}: {} actions", plan.purpose, plan.target, plan.actions.len()));
    for (path, why) in &plan.left_alone {
        log.line(&format!("left alone: {path}: {why}"));
    }
    let journal = Journal {
        id,
        purpose: plan.purpose,
        pre_rollback,
        created: rfc3339(started),
        roots: plan.roots,
        unlock: plan.unlock,
        touch: plan.touch,
        actions: plan.actions,
    };
    let context = context.with(&*log);
    let result = Transaction::open(lock, &journal, &context)
        .and_then(|transaction| carry_out(&transaction, Reached::Nothing))
        .map(|verified| outcome(lock, &journal, plan.counts, verified, unreadable, &log, started, &context))
        .map(|outcome| outcome.and(plan.findings));
    log.end(&result, |o| format!("{} changes verified, {} mismatches", o.verified, o.mismatches.len()));
    result
}

fn keep_present(
    lock: &StoreLock<'_>,
    set: &ProtectedSet,
    plan: &RollbackPlan,
    context: &Context<'_>,
) -> Result<crate::backup::BackupReport> {
    let what = match &plan.purpose {
        Purpose::Rollback { to } => format!("before the rollback to {to}"),
        Purpose::Undo { of } => format!("before rollback {of} was undone"),
    };
    backup_present(lock, set, what, context)
}

/// How far a transaction had come.
enum Reached {
    Nothing,
    Journal,
    Commit,
}

/// What is left of journal, stage, check, commit, move, verify, close.
fn carry_out(transaction: &Transaction<'_>, reached: Reached) -> Result<Seen> {
    let prepared = match reached {
        Reached::Nothing => transaction.begin().and_then(|()| prepare(transaction)),
        Reached::Journal => prepare(transaction),
        Reached::Commit => return finish(transaction, transaction.forward(&[]), false),
    };
    match prepared {
        Ok(seen) => finish(transaction, transaction.forward(&seen), true),
        Err(e) => Err(give_up(transaction, e)),
    }
}

/// Ends a rollback that touched nothing of the workspace.
fn give_up(transaction: &Transaction<'_>, e: Error) -> Error {
    match transaction.forget() {
        Err(second) if transaction.store().is_cut_off() => {
            let text = "the rollback failed before it changed anything, and so did ending it";
            cut_off(transaction, text, e, Some(&second))
        }
        // What is left in the store, the next writer clears.
        _ => e,
    }
}

/// Everything up to the commit.
fn prepare(transaction: &Transaction<'_>) -> Result<Vec<Option<Identity>>> {
    transaction.stage()?;
    let seen = transaction.recheck()?;
    transaction.context.interrupt.check()?;
    transaction.commit()?;
    Ok(seen)
}

/// What follows the moves: verify and close, or take back.
fn finish(transaction: &Transaction<'_>, moved: Result<(), Stopped>, take_back: bool) -> Result<Seen> {
    match moved {
        Ok(()) => transaction
            .verify()
            .and_then(|verified| transaction.close().map(|()| verified))
            .map_err(|e| cut_off(transaction, "the rollback is done but for its end", e, None)),
        Err(Stopped::Interrupted) => Err(stopped(transaction, "the rollback was stopped halfway")),
        Err(Stopped::Failed(e)) if take_back => {
            match transaction.backward().and_then(|()| transaction.forget()) {
                Ok(()) => Err(taken_back(e)),
                // Everything was put back, and only the journal's directory could not be cleared.
                Err(_) if !transaction.store().is_cut_off() => Err(e),
                Err(second) => {
                    let text = "the rollback failed, and so did taking it back";
                    Err(cut_off(transaction, text, e, Some(&second)))
                }
            }
        }
        Err(Stopped::Failed(e)) => Err(cut_off(transaction, "the rollback could not be finished", e, None)),
    }
}

fn taken_back(e: Error) -> Error {
    let helped = e.help().is_some();
    let e = e.and("everything was put back, and the workspace is as it was");
    if helped { e } else { e.with_help("fix the cause, then roll back again") }
}

fn cut_off(transaction: &Transaction<'_>, text: &str, e: Error, second: Option<&Error>) -> Error {
    let mut details = vec![e.to_string()];
    details.extend(e.details().iter().cloned());
    details.extend(second.map(ToString::to_string));
    stopped(transaction, text).with_details(details).with_source(e)
}

fn stopped(transaction: &Transaction<'_>, text: &str) -> Error {
    match transaction.store().refuse_cut_off() {
        Err(e) => Error::new(ErrorKind::CutOff, text).with_help(e.help().unwrap_or_default()),
        Ok(()) => Error::new(ErrorKind::Io, text),
    }
}

#[allow(clippy::too_many_arguments, reason = "it only puts together what its callers know")]
fn outcome(
    lock: &StoreLock<'_>,
    journal: &Journal,
    counts: Counts,
    (verified, mismatches, findings): Seen,
    unreadable: Vec<String>,
    log: &Log<'_>,
    started: std::time::SystemTime,
    context: &Context<'_>,
) -> RollbackOutcome {
    let layout = lock.store().layout();
    let displaced = layout.displaced(&journal.id);
    let outcome = RollbackOutcome {
        id: journal.id.clone(),
        purpose: journal.purpose.clone(),
        pre_rollback: journal.pre_rollback.clone(),
        counts,
        verified,
        mismatches,
        findings,
        unreadable,
        displaced: displaced.exists().then_some(displaced),
        log: log.path().clone(),
        elapsed: context.clock.now().duration_since(started).unwrap_or_default(),
    };
    // The report repeats what the journal and the log say; a rollback that is done is not failed for it.
    if let Err(e) = write_report(lock.store(), &outcome) {
        context.note(format!("the report was not written: {e}"));
    }
    outcome
}

fn write_report(store: &Store, outcome: &RollbackOutcome) -> Result<()> {
    let (purpose, target) = match &outcome.purpose {
        Purpose::Rollback { to } => ("rollback", to),
        Purpose::Undo { of } => ("undo", of),
    };
    let report = serde_json::json!({
        "format": crate::manifest::FORMAT,
        "id": outcome.id,
        "purpose": purpose,
        "target": target,
        "pre_rollback": outcome.pre_rollback,
        "counts": outcome.counts,
        "verified": outcome.verified,
        "mismatches": outcome.mismatches,
        "unreadable": outcome.unreadable,
    });
    let path = store.layout().rollback_report(&outcome.id);
    write_private(store.fs(), &path, format!("{report:#}\n").as_bytes())
}

/// Finishes a rollback that was interrupted. `None` where there is none.
///
/// # Errors
/// `CutOff` where it still cannot be finished; `Damaged` where the journal is; before the commit, as [`apply`].
pub fn resume(lock: &StoreLock<'_>, context: &Context<'_>) -> Result<Option<RollbackOutcome>> {
    let started = context.clock.now();
    let Some((journal, committed)) = open_journal(lock, context)? else { return Ok(None) };
    let log = Log::open(lock.store(), "rollback", &journal.id, context.clock, context.observer);
    log.line(if committed { "resumed after its commit" } else { "resumed before its commit" });
    let inner = context.with(&*log);
    let transaction = Transaction::open(lock, &journal, &inner)?;
    let reached = if committed { Reached::Commit } else { Reached::Journal };
    let result = carry_out(&transaction, reached).and_then(|verified| {
        let counts = plan::count(&journal.actions, 0, 0);
        let outcome = outcome(lock, &journal, counts, verified, Vec::new(), &log, started, &inner);
        Ok(Some(outcome.and(leftovers::findings_now(lock.store(), &journal, &inner)?)))
    });
    log.end(&result, |_| "resumed and done".into());
    result
}

/// What an abort did.
#[derive(Debug, Clone, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AbortOutcome {
    /// The rollback that was taken back.
    pub id: Id,
    /// How many changes it had planned.
    pub actions: u64,
    /// Whether it had begun to change the workspace.
    pub had_begun: bool,
    /// What cargo will say of the workspace that was not so before the rollback.
    pub findings: Vec<Finding>,
    /// The log.
    #[serde(serialize_with = "crate::text::serialize_path")]
    pub log: PathBuf,
}

/// Takes back a rollback that was interrupted. `None` where there is none.
///
/// # Errors
/// `CutOff` where it cannot be taken back; `Damaged` where the journal is.
pub fn abort(lock: &StoreLock<'_>, context: &Context<'_>) -> Result<Option<AbortOutcome>> {
    let Some((journal, committed)) = open_journal(lock, context)? else { return Ok(None) };
    if committed && undoes_interrupted(lock.store(), &journal) {
        // Before it the workspace was between two trees; the one before both is where it leads.
        let done = resume(lock, context)?;
        let (actions, done) = (journal.actions.len() as u64, done.map(|done| (done.findings, done.log)));
        return Ok(done.map(|(findings, log)| AbortOutcome {
            id: journal.id,
            actions,
            had_begun: true,
            findings,
            log,
        }));
    }
    let log = Log::open(lock.store(), "rollback", &journal.id, context.clock, context.observer);
    log.line("taken back");
    let inner = context.with(&*log);
    let transaction = Transaction::open(lock, &journal, &inner)?;
    let taken_back = if committed { transaction.backward() } else { Ok(()) };
    let result = taken_back
        .and_then(|()| transaction.forget())
        .map_err(|e| cut_off(&transaction, "the rollback could not be taken back", e, None));
    let result = result.and_then(|()| {
        Ok(Some(AbortOutcome {
            id: journal.id.clone(),
            actions: journal.actions.len() as u64,
            had_begun: committed,
            findings: leftovers::findings_before(lock.store(), &journal, &journal.purpose, &[], &inner)?
                .into_iter()
                .chain(transaction.stale_builds())
                .collect(),
            log: log.path().clone(),
        }))
    });
    log.end(&result, |_| "taken back: the workspace is as it was".into());
    result
}

/// Whether a script wrote this to take back what it had been interrupted in.
fn undoes_interrupted(store: &Store, journal: &Journal) -> bool {
    let Purpose::Undo { of } = &journal.purpose else { return false };
    let layout = store.layout();
    layout.displaced_list(of).exists() && !layout.closed_journal(of).exists()
}

/// The journal of a rollback that was interrupted. Where there is none, a guard's mark that was left is cleared.
fn open_journal(lock: &StoreLock<'_>, context: &Context<'_>) -> Result<Option<(Journal, bool)>> {
    if !lock.store().is_cut_off() {
        lock.mend(context.observer)?;
        return Ok(None);
    }
    let path = lock.store().layout().journal();
    // Neither way out can be taken: that is still a cut-off rollback, and not "nothing was changed".
    let (journal, committed) = Journal::read(&path).map_err(|e| match e.kind() {
        ErrorKind::UnknownVersion => e.with_kind(ErrorKind::CutOff),
        _ => e.with_kind(ErrorKind::CutOff).with_help(format!(
            "what it moved is in {}/displaced_*; to give the rollback up, move `{}` away, then roll back anew",
            show_path(&lock.store().layout().rollback_dir()),
            show_path(&path)
        )),
    })?;
    context.observer.on(&Event::Phase {
        verb: "Reading",
        what: format!("the journal of rollback {}", journal.id),
        total: 0,
    });
    Ok(Some((journal, committed)))
}

/// Whether a journal's bytes parse; for tests of the format.
#[doc(hidden)]
pub fn read_journal(path: &std::path::Path) -> Result<(Journal, bool)> {
    std::fs::symlink_metadata(path).during("look at", path)?;
    Journal::read(path)
}
