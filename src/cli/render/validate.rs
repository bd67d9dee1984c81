//! What `validate` prints.

use std::fmt::Write;

use serde::Serialize;

use super::checks::{Layout, checks};
use super::drill::Drill;
use crate::check::{Check, passed_count};
use crate::cli::term::{BOLD, GREEN, RED, Term, YELLOW, plural};
use crate::clock::show_duration;
use crate::digest::Digest;
use crate::drill::DrillReport;
use crate::manifest::Id;
use crate::path::show_path;
use crate::repair::{Mended, RepairReport};
use crate::validate::ValidationReport;

const LAYOUT: Layout = Layout {
    name: |_, check| format!("  {:<18} ", check.id),
    sum: |check| {
        let verb = if check.unit == "checks" { "made" } else { "checked" };
        let found = check.findings.len() as u64;
        let findings =
            if found > 0 { format!(", {}", plural(found, "finding", "findings")) } else { String::new() };
        format!("{} {verb}{findings}", check.amount())
    },
    command: 6,
    indent: 6,
    shown: 25,
    others: ": the log has all",
    broken: false,
};

/// The report for people.
pub(in crate::cli) fn validate(
    term: &Term,
    reports: &[ValidationReport],
    kept: Option<&Check>,
    cut_off: bool,
) -> String {
    let mut out = String::new();
    for report in reports {
        let _ = one(&mut out, term, report);
    }
    if let Some(kept) = kept {
        let _ = writeln!(out, "{}", term.out(BOLD, "Earlier rollbacks"));
        checks(&mut out, term, std::slice::from_ref(kept), &LAYOUT);
    }
    if reports.len() > 1 {
        let good = reports.iter().filter(|r| r.passed()).count();
        let _ = writeln!(out, "\n{good}/{} restore points passed", reports.len());
    }
    if cut_off {
        let _ = writeln!(
            out,
            "{} a rollback was interrupted: `rollback --resume` or `rollback --abort`",
            term.out(YELLOW, "note:")
        );
    }
    out
}

fn one(out: &mut String, term: &Term, report: &ValidationReport) -> std::fmt::Result {
    writeln!(out, "{}", term.out(BOLD, &report.backup_id))?;
    checks(out, term, &report.checks, &LAYOUT);
    let passed = passed_count(&report.checks);
    let verdict = format!("{passed}/{} validations passed", report.checks.len());
    let style = if report.passed() { GREEN } else { RED };
    write!(out, "  {} in {}", term.out(style, verdict), show_duration(report.elapsed))?;
    match report.root_hash {
        Some(hash) => writeln!(out, "\n  Root hash: {hash}"),
        None => writeln!(out),
    }
}

/// What `validate` found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ValidateReport<'a> {
    /// Oldest first.
    restore_points: Vec<ValidatedPoint<'a>>,
    /// With --all, what is kept of earlier rollbacks; null without it, and if there was none.
    rollbacks: Option<&'a Check>,
    /// What --repair did to the store itself; null without it.
    store_repair: Option<&'a Mended>,
}

/// One restore point.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ValidatedPoint<'a> {
    /// Which.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    backup_id: &'a str,
    /// Which, by its instant alone.
    id: &'a Id,
    /// The hash over all entries; null if no manifest is sound.
    root_hash: Option<Digest>,
    /// Whether all six validations passed.
    passed: bool,
    /// The six.
    validations: &'a [Check],
    /// What --repair did; null without it.
    repair: Option<&'a Mended>,
    /// Null if none was asked for.
    drill: Option<Drill<'a>>,
    /// How long it took.
    seconds: f64,
    /// The log of this run.
    log: String,
}

impl<'a> ValidateReport<'a> {
    pub(in crate::cli) fn new(
        reports: &'a [ValidationReport],
        repaired: Option<&'a RepairReport>,
        kept: Option<&'a Check>,
        drills: &'a [DrillReport],
    ) -> Self {
        let point = |r: &'a ValidationReport| ValidatedPoint {
            backup_id: &r.backup_id,
            id: &r.id,
            root_hash: r.root_hash,
            passed: r.passed(),
            validations: &r.checks,
            repair: repaired.and_then(|all| all.points.iter().find(|p| p.id == r.id)).map(|p| &p.mended),
            drill: drills.iter().find(|d| d.id == r.id).map(Drill::from),
            seconds: r.elapsed.as_secs_f64(),
            log: show_path(&r.log),
        };
        ValidateReport {
            restore_points: reports.iter().map(point).collect(),
            rollbacks: kept,
            store_repair: repaired.map(|all| &all.store),
        }
    }
}
