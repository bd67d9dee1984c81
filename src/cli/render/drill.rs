//! What a drill prints.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, YELLOW, sentences};
use crate::clock::show_duration;
use crate::drill::{DrillReport, Rung};
use crate::path::{show_path, show_text};
use crate::store::DrillLevel;

/// For people: a line for each rung, then how far it came.
pub(in crate::cli) fn drill(term: &Term, report: &DrillReport) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", term.out(BOLD, format!("Drill of {}", report.backup_id)));
    for rung in &report.rungs {
        let verdict = if rung.passed() { term.out(GREEN, "passed") } else { term.out(RED, "FAILED") };
        let _ = writeln!(
            out,
            "  {:<10} {verdict}  {} in {}",
            rung.level,
            counted(rung),
            show_duration(rung.elapsed)
        );
        if let Some(command) = &rung.command {
            let _ = writeln!(out, "             {}", term.out(DIM, sentences(13, &show_text(command))));
        }
        for finding in rung.findings.iter().take(SHOWN) {
            let text = format!("{}: {}", finding.place, finding.problem);
            let _ = writeln!(out, "      {}", sentences(6, &text));
        }
        if rung.findings.len() > SHOWN {
            let _ = writeln!(out, "      … and {} more: the log has all", rung.findings.len() - SHOWN);
        }
        for note in &rung.notes {
            let _ = writeln!(out, "      {} {}", term.out(YELLOW, "note:"), sentences(12, note));
        }
    }
    let _ = match (report.reached(), report.failed()) {
        (Some(level), None) => {
            writeln!(
                out,
                "  {} in {}",
                term.out(GREEN, format!("drill: {level}")),
                show_duration(report.elapsed)
            )
        }
        (reached, _) => {
            let reached = reached.map_or("nothing", |level| level.name());
            let text = format!("drill: {reached}, short of {}", report.wanted);
            writeln!(out, "  {} in {}", term.out(RED, text), show_duration(report.elapsed))
        }
    };
    if let Some(help) = help(report) {
        let _ = writeln!(out, "  {}", term.out(DIM, format!("help: {}", sentences(8, &help))));
    }
    out
}

const SHOWN: usize = 10;

fn counted(rung: &Rung) -> String {
    let one = match (rung.checked, rung.unit) {
        (1, "entries") => "entry",
        (1, "units compiled") => "unit compiled",
        (1, many) => many.trim_end_matches('s'),
        (_, many) => many,
    };
    format!("{} {one}", rung.checked)
}

/// What to do about a drill that failed.
pub(super) fn help(report: &DrillReport) -> Option<String> {
    let failed = report.failed()?;
    let says = |text: &str| failed.findings.iter().any(|f| f.problem.contains(text));
    let broken = report.compiled_then == Some(false) && failed.level >= DrillLevel::Compiles;
    let text = if broken {
        "the workspace itself did not compile when this was made: it is a faithful copy of a broken tree"
    } else if says("--locked was passed") {
        "Cargo.lock is not in step with the manifests: `cargo update --workspace` in the workspace, then make a new \
         restore point"
    } else if says("--offline") {
        "not all dependencies are on this machine: `cargo fetch --locked` in the workspace, then drill again"
    } else if says("stable release channel") {
        "some targets need a nightly toolchain: narrow what has to compile in the settings, such as\n          \
         check = [\"--workspace\", \"--lib\", \"--bins\", \"--tests\", \"--examples\"]"
    } else if failed.level == DrillLevel::Tests {
        "do the tests pass in the workspace itself? Then the restore point lacks something that they read: `explain \
         PATH` says why a file is not in it; mend the settings and make a new one"
    } else if failed.level >= DrillLevel::Resolves {
        "does the workspace itself pass? Then the restore point lacks something that the build reads: \
         `explain PATH` says why a file is not in it; mend the settings and make a new one"
    } else {
        "mend it with `validate --repair`, or make a new one with `backup`"
    };
    Some(text.to_owned())
}

/// For programs.
pub(super) fn drill_json(report: &DrillReport) -> Value {
    let rungs: Vec<_> = report
        .rungs
        .iter()
        .map(|r| {
            let findings: Vec<_> =
                r.findings.iter().map(|f| json!({ "place": f.place, "problem": f.problem })).collect();
            json!({
                "level": r.level.name(),
                "passed": r.passed(),
                "checked": r.checked,
                "unit": r.unit,
                "command": r.command,
                "findings": findings,
                "notes": r.notes,
                "seconds": r.elapsed.as_secs_f64(),
            })
        })
        .collect();
    json!({
        "wanted": report.wanted.name(),
        "reached": report.reached().map(crate::store::DrillLevel::name),
        "passed": report.passed(),
        "workspace_compiled": report.compiled_then,
        "rungs": rungs,
        "seconds": report.elapsed.as_secs_f64(),
        "log": show_path(&report.log),
    })
}
