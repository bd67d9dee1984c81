//! What `checkpoint` prints.

use std::fmt::Write;

use serde::Serialize;

use super::checks::{Layout, checks};
use crate::check::Check;
use crate::checkpoint::{Checkpoint, Checkpoints, CheckpointsReport};
use crate::cli::term::{BOLD, GREEN, RED, Term, cut, padded};
use crate::clock::show_duration;
use crate::path::{show_path, show_text};

const LAYOUT: Layout = Layout {
    name: |term, check| {
        let name = cut(&show_text(&check.title), NAME);
        format!("{}  {}  ", term.out(BOLD, &check.id), padded(&name, NAME))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::term::on_a_terminal;

    #[test]
    fn verdicts_stand_in_one_column_whatever_the_names_and_long_findings_are_broken() {
        let check = |id: &str, title: &str| {
            let mut check = Check::counted(2, "files").with_remedy("set it right, ".repeat(12).trim());
            (check.id, check.title) = (id.into(), title.into());
            check
        };
        let mut bad = check("CP007", "e\u{301}te\u{301}");
        bad.find("src/漢字.rs", "漢字漢字 ".repeat(20).trim());
        bad.notes.push("a note ".repeat(20).trim().to_owned());
        let report = CheckpointsReport {
            id: "20261201_000000".parse().unwrap(),
            checkpoints: vec![check("CP001", "plain"), check("CP006", &"漢字".repeat(10)), bad],
            file: Some("/w/backup/checkpoints/x.json".into()),
            log: "/w/backup/logs/x.log".into(),
            elapsed: std::time::Duration::from_secs(1),
        };
        let text = on_a_terminal(80, |term| checkpoint(term, &report));
        assert_eq!(text, on_a_terminal(120, |term| checkpoint(term, &report)));
        let verdict = |line: &str| {
            Some(crate::cli::term::text_columns(&line[..line.find("passed  ").or(line.find("FAILED  "))?]))
        };
        let columns: Vec<usize> = text.lines().filter(|l| l.starts_with("CP")).filter_map(verdict).collect();
        assert_eq!(columns, [33; 3], "{text}");
        assert!(
            text.contains("2/3 checkpoints passed in ") && text.contains("\nAll findings: /w/backup/"),
            "{text}"
        );
    }
}
