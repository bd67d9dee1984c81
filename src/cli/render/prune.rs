//! What `prune`, `pin` and `unpin` print.

use std::fmt::Write;
use std::time::SystemTime;

use serde::Serialize;

use crate::cli::term::{BOLD, DIM, GREEN, Term, YELLOW, bytes, fill, listed, plural};
use crate::clock::show_age;
use crate::manifest::Id;
use crate::path::show_path;
use crate::retention::{PlannedPoint, PlannedRollback, PruneOutcome, PrunePlan};
use crate::store::{Store, Trashed};

/// The plan, and what came of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct PruneReport<'a> {
    /// The store's directory.
    store: String,
    /// Whether nothing was changed.
    dry_run: bool,
    /// For people.
    rule: String,
    /// Every one, oldest first.
    restore_points: Vec<JudgedPoint<'a>>,
    /// What rollbacks displaced, oldest first.
    rollbacks: &'a [PlannedRollback],
    /// What went to the trash, by backup id; null in a dry run.
    pruned: Option<&'a [String]>,
    /// The rollbacks of which what they displaced went to the trash; null in a dry run.
    pruned_rollbacks: Option<&'a [Id]>,
    /// How many things past their grace time were deleted, or would be.
    deleted: u64,
    /// What is freed when what goes is deleted from the trash.
    freed_bytes: u64,
}

/// A restore point, and why it stays.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JudgedPoint<'a> {
    /// Which, by its instant alone.
    id: &'a Id,
    /// Which.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    backup_id: String,
    /// When it was made.
    #[serde(serialize_with = "crate::clock::serialize_second")]
    #[cfg_attr(test, schemars(with = "crate::cli::schema::Second"))]
    created: SystemTime,
    /// Why it stays; none if it goes.
    reasons: &'a [String],
}

impl<'a> PruneReport<'a> {
    /// The plan, and what came of it if it was carried out.
    pub(in crate::cli) fn new(store: &Store, plan: &'a PrunePlan, outcome: Option<&'a PruneOutcome>) -> Self {
        let judged = |p: &'a PlannedPoint| JudgedPoint {
            id: &p.listed.id,
            backup_id: p.listed.backup_id(),
            created: p.created,
            reasons: &p.reasons,
        };
        PruneReport {
            store: show_path(store.layout().dir()),
            dry_run: outcome.is_none(),
            rule: plan.rule.to_string(),
            restore_points: plan.points.iter().map(judged).collect(),
            rollbacks: &plan.rollbacks,
            pruned: outcome.map(|o| o.pruned.as_slice()),
            pruned_rollbacks: outcome.map(|o| o.rollbacks.as_slice()),
            deleted: outcome.map_or(plan.expired.len() as u64, |o| o.deleted),
            freed_bytes: plan.freed,
        }
    }
}

/// Each restore point with the reason why it stays, oldest first; then the sums.
pub(in crate::cli) fn prune(term: &Term, report: &PruneReport<'_>, now: SystemTime) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", term.out(DIM, format!("The rule: {}", report.rule)));
    for point in &report.restore_points {
        let age = now.duration_since(point.created).map_or("in the future".into(), show_age);
        let verdict =
            if point.reasons.is_empty() { term.out(YELLOW, "goes ") } else { term.out(GREEN, "stays") };
        let head = format!("{verdict}  {}  {age:>12}", term.out(BOLD, point.id));
        let _ = writeln!(out, "{head}  {}", fill(INDENT, listed(point.reasons)));
    }
    for rollback in report.rollbacks.iter().filter(|r| r.reasons.is_empty()) {
        let _ = writeln!(
            out,
            "{}  what rollback {} displaced: it cannot be undone then",
            term.out(YELLOW, "goes "),
            rollback.id
        );
    }
    let _ = sums(&mut out, term, report);
    let _ = writeln!(out, "{}", term.out(DIM, format!("in {}", report.store)));
    out
}

fn sums(out: &mut String, term: &Term, report: &PruneReport<'_>) -> std::fmt::Result {
    let all = report.restore_points.len();
    let leaving = report.restore_points.iter().filter(|p| p.reasons.is_empty()).count() as u64;
    let points = |n| plural(n, "restore point", "restore points");
    let deleted = plural(report.deleted, "thing", "things");
    match (report.pruned, report.pruned_rollbacks) {
        (Some([]), Some([])) if report.deleted == 0 => writeln!(out, "Nothing to prune: all {all} stay")?,
        (Some(pruned), rollbacks) => {
            let moved = points(pruned.len() as u64);
            writeln!(out, "{}: {moved} of {all} moved to the trash", term.out(GREEN, "Pruned"))?;
            let ids: Vec<String> =
                rollbacks.into_iter().flatten().map(|id| format!("rollback_{id}")).collect();
            if !ids.is_empty() {
                writeln!(out, "and what old rollbacks displaced:\n  {}", fill(2, listed(&ids)))?;
            }
            if report.deleted > 0 {
                writeln!(out, "Deleted for good, past the grace time: {deleted}")?;
            }
            writeln!(out, "Bring one back: prune --restore TS; free the room now: prune --empty-trash")?;
        }
        (None, _) => {
            let what = points(leaving);
            writeln!(out, "Dry run, nothing was changed. {what} of {all} would go to the trash")?;
            if report.deleted > 0 {
                writeln!(out, "and {deleted} past the grace time would be deleted from there")?;
            }
        }
    }
    if leaving > 0 {
        writeln!(out, "Room that this frees when the trash is emptied: {}", bytes(report.freed_bytes))?;
    }
    Ok(())
}

/// The column in which the reasons begin.
const INDENT: usize = 38;

/// With --restore: what came back from the trash.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct PruneRestored {
    /// A backup id, or `rollback_TS` for what a rollback displaced.
    pub(in crate::cli) restored: String,
}

/// One that came back from the trash.
pub(in crate::cli) fn restored(term: &Term, store: &Store, restored: &Trashed) -> String {
    let (name, done) = (restored.shown(), term.out(GREEN, "Brought back"));
    match restored.label {
        Some(_) => format!("{done} {name}: it is listed again\n"),
        None => {
            let displaced = show_path(&store.layout().displaced(&restored.id));
            format!("{done} {name}\nWhat it displaced lies in {displaced}\n")
        }
    }
}

/// With --empty-trash.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct PruneEmptied {
    /// How many things were deleted for good.
    pub(in crate::cli) emptied: u64,
}

impl PruneEmptied {
    pub(in crate::cli) fn human(&self, _: &Term) -> String {
        match self.emptied {
            0 => "The trash is empty already\n".to_owned(),
            n => format!("Deleted {} for good\n", plural(n, "thing in the trash", "things in the trash")),
        }
    }
}

/// What `pin` or `unpin` did.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct PinReport<'a> {
    /// The restore point.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    pub(in crate::cli) backup_id: String,
    /// Whether it is pinned now.
    pub(in crate::cli) pinned: bool,
    /// Whether it was before.
    pub(in crate::cli) was_pinned: bool,
    /// What the user said of it.
    pub(in crate::cli) message: Option<&'a str>,
    /// When it was pinned.
    #[serde(serialize_with = "crate::clock::serialize_second")]
    #[cfg_attr(test, schemars(with = "Option<crate::cli::schema::Second>"))]
    pub(in crate::cli) at: Option<SystemTime>,
}

impl PinReport<'_> {
    pub(in crate::cli) fn human(&self, _: &Term) -> String {
        let backup_id = &self.backup_id;
        match (self.pinned, self.was_pinned) {
            (true, false) => format!("Pinned {backup_id}: prune leaves it alone until it is unpinned\n"),
            (true, true) => format!("Pinned {backup_id} anew\n"),
            (false, true) => format!("Unpinned {backup_id}: prune judges it as any other\n"),
            (false, false) => format!("{backup_id} was not pinned\n"),
        }
    }
}
