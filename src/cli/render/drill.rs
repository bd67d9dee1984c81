//! What a drill prints.

use std::fmt::Write;

use serde_json::{Value, json};

use super::checks::{Layout, checks};
use crate::check::{Check, Obstacle};
use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, sentences};
use crate::clock::show_duration;
use crate::drill::DrillReport;
use crate::path::show_path;
use crate::store::DrillLevel;

const LAYOUT: Layout = Layout {
    name: |_, rung| format!("  {:<10} ", rung.id),
    sum: |rung| format!("{} in {}", rung.amount(), show_duration(rung.elapsed)),
    command: 13,
    indent: 6,
    shown: 10,
    others: ": the log has all",
    broken: true,
};

/// For people: a line for each rung, then how far it came.
pub(in crate::cli) fn drill(term: &Term, report: &DrillReport) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", term.out(BOLD, format!("Drill of {}", report.backup_id)));
    checks(&mut out, term, &report.rungs, &LAYOUT);
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

/// What to do about a drill that failed.
pub(super) fn help(report: &DrillReport) -> Option<String> {
    let (level, failed) = report.failed()?;
    let broken = report.compiled_then == Some(false) && level >= DrillLevel::Compiles;
    let text = match (failed.obstacle, level) {
        _ if broken => {
            "the workspace itself did not compile when this was made: it is a faithful copy of a broken tree"
        }
        (Some(Obstacle::Lockfile), _) => {
            "Cargo.lock is not in step with the manifests: `cargo update --workspace` in the workspace, then make a \
             new restore point"
        }
        (Some(Obstacle::Offline), _) => {
            "not all dependencies are on this machine: `cargo fetch --locked` in the workspace, then drill again"
        }
        (Some(Obstacle::Nightly), _) => {
            "some targets need a nightly toolchain: narrow what has to compile in the settings, such as\n          \
             check = [\"--workspace\", \"--lib\", \"--bins\", \"--tests\", \"--examples\"]"
        }
        (_, DrillLevel::Tests) => {
            "do the tests pass in the workspace itself? Then the restore point lacks something that they read: \
             `explain PATH` says why a file is not in it; mend the settings and make a new one"
        }
        (_, DrillLevel::Resolves | DrillLevel::Compiles) => {
            "does the workspace itself pass? Then the restore point lacks something that the build reads: \
             `explain PATH` says why a file is not in it; mend the settings and make a new one"
        }
        _ => "mend it with `validate --repair`, or make a new one with `backup`",
    };
    Some(text.to_owned())
}

/// For programs.
pub(super) fn drill_json(report: &DrillReport) -> Value {
    let own = |rung: &Check| json!({ "level": rung.id, "command": rung.command });
    let rungs: Vec<_> = report.rungs.iter().map(|rung| rung.to_json(own(rung))).collect();
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
