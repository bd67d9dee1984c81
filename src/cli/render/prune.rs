//! What `prune`, `pin` and `unpin` print.

use std::fmt::Write;
use std::time::SystemTime;

use serde_json::json;

use super::envelope;
use crate::cli::global::Format;
use crate::cli::term::{BOLD, DIM, GREEN, Term, YELLOW, bytes, fill, listed, plural};
use crate::clock::{rfc3339_seconds, show_age};
use crate::retention::{PruneOutcome, PrunePlan};
use crate::store::{Pin, Store, Trashed};

/// A plan, and what came of it where it was carried out.
pub(in crate::cli) struct PruneView<'a> {
    pub(in crate::cli) store: &'a Store,
    pub(in crate::cli) plan: &'a PrunePlan,
    pub(in crate::cli) outcome: Option<&'a PruneOutcome>,
    pub(in crate::cli) now: SystemTime,
}

/// Each restore point with the reason why it stays, oldest first; then the sums.
pub(in crate::cli) fn prune(term: &Term, view: &PruneView<'_>) -> String {
    let (plan, mut out) = (view.plan, String::new());
    let _ = writeln!(out, "{}", term.out(DIM, format!("The rule: {}", plan.rule)));
    for point in &plan.points {
        let age = view.now.duration_since(point.created).map_or("in the future".into(), show_age);
        let verdict =
            if point.reasons.is_empty() { term.out(YELLOW, "goes ") } else { term.out(GREEN, "stays") };
        let head = format!("{verdict}  {}  {age:>12}", term.out(BOLD, &point.listed.id));
        let _ = writeln!(out, "{head}  {}", fill(INDENT, listed(&point.reasons)));
    }
    for rollback in plan.rollbacks.iter().filter(|r| r.reasons.is_empty()) {
        let _ = writeln!(
            out,
            "{}  what rollback {} displaced: it cannot be undone then",
            term.out(YELLOW, "goes "),
            rollback.id
        );
    }
    let (leaving, all) = (plan.leaving().count(), plan.points.len());
    let what = plural(leaving as u64, "restore point", "restore points");
    let expired = plural(plan.expired.len() as u64, "thing", "things");
    match view.outcome {
        None => {
            let _ = writeln!(out, "Dry run, nothing was changed. {what} of {all} would go to the trash");
            if !plan.expired.is_empty() {
                let _ = writeln!(out, "and {expired} past the grace time would be deleted from there");
            }
        }
        Some(outcome) if plan.is_empty() && outcome.pruned.is_empty() => {
            let _ = writeln!(out, "Nothing to prune: all {all} stay");
        }
        Some(outcome) => {
            let moved = plural(outcome.pruned.len() as u64, "restore point", "restore points");
            let _ = writeln!(out, "{}: {moved} of {all} moved to the trash", term.out(GREEN, "Pruned"));
            if !outcome.rollbacks.is_empty() {
                let ids = outcome.rollbacks.iter().map(|id| format!("rollback_{id}")).collect::<Vec<_>>();
                let _ = writeln!(out, "and what old rollbacks displaced:\n  {}", fill(2, listed(&ids)));
            }
            if outcome.deleted > 0 {
                let things = plural(outcome.deleted, "thing", "things");
                let _ = writeln!(out, "Deleted for good, past the grace time: {things}");
            }
            let _ =
                writeln!(out, "Bring one back: prune --restore TS; free the room now: prune --empty-trash");
        }
    }
    if leaving > 0 {
        let _ = writeln!(out, "Room that this frees when the trash is emptied: {}", bytes(plan.freed));
    }
    let _ = writeln!(
        out,
        "{}",
        term.out(DIM, format!("in {}", crate::path::show_path(view.store.layout().dir())))
    );
    out
}

/// The column in which the reasons begin.
const INDENT: usize = 38;

/// For programs.
pub(in crate::cli) fn prune_json(view: &PruneView<'_>) -> String {
    let plan = view.plan;
    let points: Vec<_> = plan
        .points
        .iter()
        .map(|p| json!({ "id": p.listed.id, "backup_id": p.listed.backup_id(), "reasons": p.reasons }))
        .collect();
    let rollbacks: Vec<_> =
        plan.rollbacks.iter().map(|r| json!({ "id": r.id, "reasons": r.reasons })).collect();
    let fields = json!({
        "dry_run": view.outcome.is_none(),
        "rule": plan.rule.to_string(),
        "restore_points": points,
        "rollbacks": rollbacks,
        "pruned": view.outcome.map(|o| &o.pruned),
        "deleted": view.outcome.map_or(plan.expired.len() as u64, |o| o.deleted),
        "freed_bytes": plan.freed,
    });
    envelope::json("prune", 0, &fields)
}

/// One that came back from the trash.
pub(in crate::cli) fn restored(term: &Term, format: Format, store: &Store, restored: &Trashed) -> String {
    let name = restored.shown();
    if format == Format::Json {
        return envelope::json("prune", 0, &json!({ "restored": name }));
    }
    let done = term.out(GREEN, "Brought back");
    match restored.label {
        Some(_) => format!("{done} {name}: it is listed again\n"),
        None => {
            let displaced = crate::path::show_path(&store.layout().displaced(&restored.id));
            format!("{done} {name}\nWhat it displaced lies in {displaced}\n")
        }
    }
}

/// The trash was emptied.
pub(in crate::cli) fn emptied(format: Format, deleted: u64) -> String {
    if format == Format::Json {
        return envelope::json("prune", 0, &json!({ "emptied": deleted }));
    }
    match deleted {
        0 => "The trash is empty already\n".to_owned(),
        n => format!("Deleted {} for good\n", plural(n, "thing in the trash", "things in the trash")),
    }
}

/// A pin was set or taken off.
pub(in crate::cli) fn pinned(
    format: Format,
    command: &str,
    backup_id: &str,
    before: bool,
    pin: Option<&Pin>,
) -> String {
    if format == Format::Json {
        let fields = json!({
            "backup_id": backup_id,
            "pinned": pin.is_some(),
            "was_pinned": before,
            "message": pin.and_then(|p| p.message.as_ref()),
            "at": pin.and_then(|p| p.at).map(rfc3339_seconds),
        });
        return envelope::json(command, 0, &fields);
    }
    match (pin, before) {
        (Some(_), false) => format!("Pinned {backup_id}: prune leaves it alone until it is unpinned\n"),
        (Some(_), true) => format!("Pinned {backup_id} anew\n"),
        (None, true) => format!("Unpinned {backup_id}: prune judges it as any other\n"),
        (None, false) => format!("{backup_id} was not pinned\n"),
    }
}
