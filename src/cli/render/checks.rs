//! Lists of checks for people.

use std::fmt::Write;

use crate::check::{Check, Verdict};
use crate::cli::term::{DIM, GREEN, RED, Term, YELLOW, sentences};
use crate::path::show_text;

/// How a list is laid out.
pub(super) struct Layout {
    /// What stands left of the verdict.
    pub(super) name: fn(&Term, &Check) -> String,
    /// What stands right of it.
    pub(super) sum: fn(&Check) -> String,
    /// Where the command begins.
    pub(super) command: usize,
    /// Where findings, notes and the remedy begin.
    pub(super) indent: usize,
    /// How many findings of one check are shown.
    pub(super) shown: usize,
    /// Where the others are, behind `and 3 more`.
    pub(super) others: &'static str,
    /// Whether findings are broken between words.
    pub(super) broken: bool,
}

/// A line for each check, and below it what there is to say.
pub(super) fn checks(out: &mut String, term: &Term, checks: &[Check], layout: &Layout) {
    for check in checks {
        let verdict = match check.verdict() {
            Verdict::Passed => term.out(GREEN, "passed"),
            Verdict::Failed => term.out(RED, "FAILED"),
            Verdict::NotTried => term.out(YELLOW, "not tried"),
        };
        let _ = writeln!(out, "{}{verdict}  {}", (layout.name)(term, check), (layout.sum)(check));
        details(out, term, check, layout);
    }
}

fn details(out: &mut String, term: &Term, check: &Check, layout: &Layout) {
    let mut line = |indent: usize, text: &str| {
        let _ = writeln!(out, "{:indent$}{text}", "");
    };
    let (indent, hanging) = (layout.indent, layout.indent + "note: ".len());
    if let Some(command) = &check.command {
        line(layout.command, &term.out(DIM, sentences(layout.command, &show_text(command))));
    }
    for finding in check.findings.iter().take(layout.shown) {
        let text = show_text(&format!("{}: {}", finding.place, finding.problem));
        line(indent, &if layout.broken { sentences(indent, &text) } else { text });
    }
    if check.findings.len() > layout.shown {
        line(indent, &format!("… and {} more{}", check.findings.len() - layout.shown, layout.others));
    }
    for note in check.notes.iter().chain(&check.not_tried) {
        line(indent, &format!("{} {}", term.out(YELLOW, "note:"), sentences(hanging, &show_text(note))));
    }
    if let Some(remedy) = check.needed_remedy() {
        line(indent, &term.out(DIM, format!("help: {}", sentences(hanging, &show_text(remedy)))));
    }
}
