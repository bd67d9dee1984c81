//! What `list` prints.

use std::fmt::Write;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::envelope;
use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, YELLOW, bytes, cut, plural};
use crate::clock::{parse_rfc3339, rfc3339_seconds, show_age};
use crate::manifest::Origin;
use crate::path::{show_path, show_text};
use crate::store::{DrillLevel, PointStatus, Store, Summary};

fn state(summary: &Summary) -> Option<&'static str> {
    match (summary.listed.session, summary.listed.archive, summary.head.is_some()) {
        (_, _, false) => Some("damaged"),
        (false, _, _) => Some("session lost"),
        (_, false, _) => Some("archive lost"),
        _ => None,
    }
}

/// For people: newest last, so that it stands above the prompt; those that rollbacks made set apart. Two lines each:
/// which one it is and what is known of it, then what it holds and why it was made.
pub(in crate::cli) fn list(
    term: &Term,
    store: &Store,
    summaries: &[Summary],
    all: usize,
    now: SystemTime,
) -> String {
    let mut out = String::new();
    let (of_rollbacks, of_people): (Vec<&Summary>, Vec<&Summary>) =
        summaries.iter().partition(|s| s.listed.is_pre_rollback());
    if !of_rollbacks.is_empty() {
        let _ = writeln!(out, "{}", term.out(DIM, "made by rollbacks, of the state before"));
        of_rollbacks.iter().for_each(|one| lines(&mut out, term, one, now));
        let _ = writeln!(out);
    }
    of_people.iter().for_each(|one| lines(&mut out, term, one, now));
    let count = plural(of_people.len() as u64, "restore point", "restore points");
    let hidden = all.saturating_sub(summaries.len());
    let older = if hidden == 0 { String::new() } else { format!(", {hidden} older not shown,") };
    let _ = writeln!(out, "{count}{older} in {}", show_path(store.layout().dir()));
    if hidden == 0 && !summaries.is_empty() {
        let total: u64 = summaries.iter().map(|s| s.share).sum();
        let _ = writeln!(out, "{} on disk in all; what each would free stands with it", bytes(total));
    }
    if store.is_cut_off() {
        let text = "a rollback was cut off: `rollback --resume` or `rollback --abort`";
        let _ = writeln!(out, "{} {text}", term.out(RED, "warning:"));
    }
    out
}

fn lines(out: &mut String, term: &Term, one: &Summary, now: SystemTime) {
    // Ids run ahead of the clock where several were given within a second.
    let made = one.head.as_ref().and_then(|h| parse_rfc3339(&h.created));
    let age = now.duration_since(made.unwrap_or_else(|| one.listed.id.instant()));
    let age = age.map_or("in the future".into(), show_age);
    let words = words(one);
    let taken: usize = 31 + words.iter().map(|(_, word)| word.chars().count() + 2).sum::<usize>();
    let label = cut(one.listed.label.as_str(), term.columns.saturating_sub(taken).max(8));
    let _ = write!(out, "{}  {age:>12}  {label}", term.out(BOLD, &one.listed.id));
    for (style, word) in words {
        let _ = write!(out, "  {}", term.out(style, word));
    }
    let room = format!("{} on disk", bytes(one.freed));
    let Some(head) = &one.head else {
        let _ = writeln!(out, "\n    {room}");
        return;
    };
    let t = head.totals;
    let holds = [plural(t.files, "file", "files"), plural(t.lines, "line", "lines"), bytes(t.bytes), room]
        .join(" · ");
    let _ = write!(out, "\n    {holds}");
    if let Some(message) = &head.message {
        let left = term.columns.saturating_sub(4 + holds.chars().count() + 2);
        let _ = write!(out, "  {}", cut(&show_text(message), left.max(10)));
    }
    out.push('\n');
}

/// What is known of a restore point, in one or two words each.
fn words(one: &Summary) -> Vec<(anstyle::Style, String)> {
    let mut out = Vec::new();
    if let Some(state) = state(one) {
        out.push((YELLOW, state.to_owned()));
    }
    match one.status.validated {
        Some(v) if v.passed => out.push((GREEN, "validated".into())),
        Some(_) => out.push((RED, "validation failed".into())),
        None => {}
    }
    if let Some(drilled) = one.status.drilled {
        out.push((if drilled.passed() { GREEN } else { RED }, drilled.shown()));
    }
    if one.status.compiled.is_some_and(|compiled| !compiled.passed) {
        out.push((YELLOW, "did not compile".into()));
    }
    if one.listed.origin == Origin::BrokenManifest {
        out.push((YELLOW, "broken manifest".into()));
    }
    if one.status.pinned.is_some() {
        out.push((BOLD, "pinned".into()));
    }
    out
}

/// What is known of a restore point, for programs.
pub(super) fn status_json(status: &PointStatus) -> Value {
    json!({
        "validated": status.validated.map(|v| json!({ "at": rfc3339_seconds(v.at), "passed": v.passed })),
        "drilled": status.drilled.map(|d| json!({
            "at": rfc3339_seconds(d.at),
            "level": d.level.map(DrillLevel::name),
            "failed": d.failed.map(DrillLevel::name),
        })),
        "pinned": status.pinned.as_ref().map(|p| json!({
            "at": p.at.map(rfc3339_seconds),
            "message": p.message,
        })),
        "workspace_compiled": status.compiled.map(|c| c.passed),
    })
}

/// For programs.
pub(in crate::cli) fn list_json(store: &Store, summaries: &[Summary]) -> String {
    let points: Vec<_> = summaries
        .iter()
        .map(|one| {
            let h = one.head.as_ref();
            json!({
                "id": one.listed.id,
                "backup_id": one.listed.backup_id(),
                "label": one.listed.label,
                "pre_rollback": one.listed.is_pre_rollback(),
                "origin": one.listed.origin,
                "created": h.map(|h| &h.created),
                "message": h.and_then(|h| h.message.as_ref()),
                "root_hash": h.map(|h| h.root_hash),
                "totals": h.map(|h| h.totals),
                "disk_bytes": one.freed,
                "status": status_json(&one.status),
                "state": state(one).unwrap_or("whole"),
            })
        })
        .collect();
    let store_dir = show_path(store.layout().dir());
    envelope::json(
        "list",
        0,
        &json!({ "store": store_dir, "cut_off": store.is_cut_off(), "restore_points": points }),
    )
}
