//! What a drill prints.

use std::fmt::Write;

use serde::Serialize;

use super::checks::{Layout, checks};
use crate::check::{Check, Obstacle};
use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, sentences};
use crate::clock::show_duration;
use crate::drill::{Cause, DrillReport};
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
    let text = match failed.obstacle {
        _ if broken => {
            "the workspace itself did not compile when this was made: it is a faithful copy of a broken tree"
        }
        Some(Obstacle::Lockfile) => {
            "Cargo.lock is not in step with the manifests: `cargo update --workspace` in the workspace, then make a \
             new restore point"
        }
        Some(Obstacle::Offline) => {
            "not all dependencies are on this machine: `cargo fetch --locked` in the workspace, then drill again"
        }
        Some(Obstacle::Nightly) => {
            "some targets need a nightly toolchain: narrow what has to compile in the settings, such as\n          \
             check = [\"--workspace\", \"--lib\", \"--bins\", \"--tests\", \"--examples\"]"
        }
        _ if report.cause.is_some() => {
            return report.cause.as_ref().map(|cause| cause_help(cause, level));
        }
        _ => "repair it with `validate --repair`, or make a new one with `backup`",
    };
    Some(text.to_owned())
}

fn cause_help(cause: &Cause, level: DrillLevel) -> String {
    let what = if level == DrillLevel::Tests { "the tests pass" } else { "it passes" };
    match cause {
        Cause::Lacks(files) => {
            let named = files.iter().take(NAMED).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
            let more = files.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!(
                "the restore point lacks something that the build reads: {what} with the files that the workspace has \
                 beside it, {named}{more}: `explain PATH` says why a file is not in it; change the settings and make \
                 a new one"
            )
        }
        Cause::NotTheFiles => "no file of the workspace is missing from the restore point for this. Does it pass in the \
                               workspace? Then the build depends on where it stands, or on something outside the \
                               workspace"
            .to_owned(),
        Cause::Cargo => "cargo does not run in the scratch directory. A toolchain that is chosen by directory counts \
                         for that directory alone: name it in a rust-toolchain.toml in the workspace, or set \
                         RUSTUP_TOOLCHAIN"
            .to_owned(),
        Cause::Original => "use a path that is relative to the file which names it: a copy of the workspace elsewhere is \
                            built from the original"
            .to_owned(),
        Cause::Unknown => "does it pass in the workspace? Then look for what the build reads and the restore point may \
                           not hold: `explain PATH` says why a file is not in it"
            .to_owned(),
    }
}

/// So many files are named that a build may have missed.
const NAMED: usize = 5;

/// What a drill of one restore point found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Drill<'a> {
    /// How far it was to climb.
    wanted: DrillLevel,
    /// How far it came; null if the first rung failed.
    reached: Option<DrillLevel>,
    /// Whether it came as far as it was to.
    passed: bool,
    /// Whether the workspace itself compiled when the restore point was made; null if nobody tried.
    workspace_compiled: Option<bool>,
    /// What is behind a build of the copy that failed; null if none did.
    cause: Option<&'a Cause>,
    /// In order, each called by its level; only the last may have failed.
    rungs: &'a [Check],
    /// How long it took.
    seconds: f64,
    /// The log of this run.
    log: String,
}

impl<'a> From<&'a DrillReport> for Drill<'a> {
    fn from(report: &'a DrillReport) -> Self {
        Drill {
            wanted: report.wanted,
            reached: report.reached(),
            passed: report.passed(),
            workspace_compiled: report.compiled_then,
            cause: report.cause.as_ref(),
            rungs: &report.rungs,
            seconds: report.elapsed.as_secs_f64(),
            log: show_path(&report.log),
        }
    }
}
