//! What `checkpoint` prints.

use std::fmt::Write;

use serde_json::json;

use super::{Case, object};
use crate::checkpoint::{CheckpointReport, Checkpoints, CheckpointsReport};
use crate::cli::args::Format;
use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, YELLOW, cut, sentences, text_columns};
use crate::clock::show_duration;
use crate::path::{show_path, show_text};

/// How many findings of one checkpoint are shown; the report on disk has all.
const SHOWN: usize = 10;

/// A table, and the verdict.
pub(in crate::cli) fn checkpoint(term: &Term, report: &CheckpointsReport) -> String {
    let mut out = String::new();
    report.checkpoints.iter().for_each(|one| line(&mut out, term, one));
    let (passed, all) = (report.passed_count(), report.checkpoints.len());
    let style = if report.passed() { GREEN } else { RED };
    let verdict = term.out(style, format!("{passed}/{all} checkpoints passed"));
    let _ = writeln!(out, "{verdict} in {}", show_duration(report.elapsed));
    if let Some(file) = report.file.as_ref().filter(|_| !report.passed()) {
        let _ = writeln!(out, "All findings: {}", show_path(file));
    }
    out
}

fn line(out: &mut String, term: &Term, one: &CheckpointReport) {
    let verdict = if one.passed() { term.out(GREEN, "passed") } else { term.out(RED, "FAILED") };
    let checked = &one.checked;
    let name = cut(&show_text(&one.name), NAME);
    let room = NAME.saturating_sub(text_columns(&name));
    let unit = if checked.checked == 1 { checked.unit.trim_end_matches('s') } else { &checked.unit };
    let _ = writeln!(
        out,
        "{}  {name}{:room$}  {verdict}  {} {} in {}",
        term.out(BOLD, &one.id),
        "",
        checked.checked,
        show_text(unit),
        show_duration(one.elapsed)
    );
    if let Some(command) = &checked.command {
        let _ = writeln!(out, "       {}", term.out(DIM, sentences(7, &show_text(command))));
    }
    for finding in checked.findings.iter().take(SHOWN) {
        let text = show_text(&format!("{}: {}", finding.place, finding.problem));
        let _ = writeln!(out, "       {}", sentences(7, &text));
    }
    if checked.findings.len() > SHOWN {
        let _ = writeln!(out, "       … and {} more", checked.findings.len() - SHOWN);
    }
    for note in &checked.notes {
        let _ = writeln!(out, "       {} {}", term.out(YELLOW, "note:"), sentences(13, &show_text(note)));
    }
    if let Some(remedy) = checked.remedy.as_ref().filter(|_| !one.passed()) {
        let text = format!("help: {}", sentences(13, &show_text(remedy)));
        let _ = writeln!(out, "       {}", term.out(DIM, text));
    }
}

/// The width of the names' column.
const NAME: usize = 24;

/// The names alone.
pub(in crate::cli) fn checkpoint_list(term: &Term, format: Format, checkpoints: &Checkpoints) -> String {
    if format == Format::Json {
        let all: Vec<_> = checkpoints.iter().map(|c| json!({ "id": c.id(), "name": c.name() })).collect();
        return object("checkpoint", 0, json!({ "listed": all }));
    }
    let mut out = String::new();
    for checkpoint in checkpoints.iter() {
        let _ = writeln!(out, "{}  {}", term.out(BOLD, checkpoint.id()), show_text(checkpoint.name()));
    }
    out
}

/// For CI systems.
pub(in crate::cli) fn checkpoint_cases(report: &CheckpointsReport) -> Vec<Case> {
    let case = |one: &CheckpointReport| Case {
        group: "checkpoints",
        name: format!("{} {}", one.id, one.name),
        passed: one.passed(),
        seconds: one.elapsed.as_secs_f64(),
        findings: one.checked.findings.clone(),
        remedy: one.checked.remedy.clone(),
    };
    report.checkpoints.iter().map(case).collect()
}

/// For programs.
pub(in crate::cli) fn checkpoint_json(report: &CheckpointsReport, code: u8) -> String {
    let all: Vec<_> = report.checkpoints.iter().map(CheckpointReport::to_json).collect();
    let fields = json!({
        "passed": report.passed(),
        "checkpoints": all,
        "report": report.file.as_deref().map(show_path),
        "log": show_path(&report.log),
        "seconds": report.elapsed.as_secs_f64(),
    });
    object("checkpoint", code, fields)
}
