//! What `checkpoint` prints.

use std::fmt::Write;

use serde_json::json;

use super::checks::{Layout, checks};
use super::envelope;
use crate::checkpoint::{Checkpoints, CheckpointsReport, check_json};
use crate::cli::global::Format;
use crate::cli::term::{BOLD, GREEN, RED, Term, cut, text_columns};
use crate::clock::show_duration;
use crate::path::{show_path, show_text};

const LAYOUT: Layout = Layout {
    name: |term, check| {
        let name = cut(&show_text(&check.title), NAME);
        let room = NAME.saturating_sub(text_columns(&name));
        format!("{}  {name}{:room$}  ", term.out(BOLD, &check.id), "")
    },
    sum: |check| format!("{} in {}", show_text(&check.amount()), show_duration(check.elapsed)),
    command: 7,
    indent: 7,
    shown: 10,
    // The report on disk is named below the table.
    others: "",
    broken: true,
};

/// A table, and the verdict.
pub(in crate::cli) fn checkpoint(term: &Term, report: &CheckpointsReport) -> String {
    let mut out = String::new();
    checks(&mut out, term, &report.checkpoints, &LAYOUT);
    let (passed, all) = (report.passed_count(), report.checkpoints.len());
    let style = if report.passed() { GREEN } else { RED };
    let verdict = term.out(style, format!("{passed}/{all} checkpoints passed"));
    let _ = writeln!(out, "{verdict} in {}", show_duration(report.elapsed));
    if let Some(file) = report.file.as_ref().filter(|_| !report.passed()) {
        let _ = writeln!(out, "All findings: {}", show_path(file));
    }
    out
}

/// The width of the names' column.
const NAME: usize = 24;

/// The names alone.
pub(in crate::cli) fn checkpoint_list(term: &Term, format: Format, checkpoints: &Checkpoints) -> String {
    if format == Format::Json {
        let all: Vec<_> = checkpoints.iter().map(|c| json!({ "id": c.id(), "name": c.name() })).collect();
        return envelope::json("checkpoint", 0, &json!({ "listed": all }));
    }
    let mut out = String::new();
    for checkpoint in checkpoints.iter() {
        let _ = writeln!(out, "{}  {}", term.out(BOLD, checkpoint.id()), show_text(checkpoint.name()));
    }
    out
}

/// For programs.
pub(in crate::cli) fn checkpoint_json(report: &CheckpointsReport, code: u8) -> String {
    let all: Vec<_> = report.checkpoints.iter().map(check_json).collect();
    let fields = json!({
        "passed": report.passed(),
        "checkpoints": all,
        "report": report.file.as_deref().map(show_path),
        "log": show_path(&report.log),
        "seconds": report.elapsed.as_secs_f64(),
    });
    envelope::json("checkpoint", code, &fields)
}
