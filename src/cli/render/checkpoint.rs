//! What `checkpoint` prints.

use std::fmt::Write;

use serde::Serialize;

use super::checks::{Layout, checks};
use crate::check::Check;
use crate::checkpoint::{Checkpoint, Checkpoints, CheckpointsReport};
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

/// With --list: the checkpoints; none was run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CheckpointList<'a> {
    /// In the order in which they run.
    listed: Vec<CheckpointName<'a>>,
}

/// A checkpoint that was not run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct CheckpointName<'a> {
    /// `CP` and three digits.
    id: &'a str,
    /// For people.
    name: &'a str,
}

impl<'a> CheckpointList<'a> {
    pub(in crate::cli) fn new(checkpoints: &'a Checkpoints) -> Self {
        let name = |c: &'a Checkpoint| CheckpointName { id: c.id(), name: c.name() };
        CheckpointList { listed: checkpoints.iter().map(name).collect() }
    }

    /// The names alone.
    pub(in crate::cli) fn human(&self, term: &Term) -> String {
        let line = |c: &CheckpointName<'_>| format!("{}  {}\n", term.out(BOLD, c.id), show_text(c.name));
        self.listed.iter().map(line).collect()
    }
}

/// What the checkpoints found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CheckpointReport<'a> {
    /// Whether all passed.
    passed: bool,
    /// In the order in which they ran.
    checkpoints: &'a [Check],
    /// The report on disk; null if it was not written.
    report: Option<String>,
    /// The log of this run.
    log: String,
    /// How long it took.
    seconds: f64,
}

impl<'a> From<&'a CheckpointsReport> for CheckpointReport<'a> {
    fn from(report: &'a CheckpointsReport) -> Self {
        CheckpointReport {
            passed: report.passed(),
            checkpoints: &report.checkpoints,
            report: report.file.as_deref().map(show_path),
            log: show_path(&report.log),
            seconds: report.elapsed.as_secs_f64(),
        }
    }
}
