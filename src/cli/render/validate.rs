//! What `validate` prints.

use std::fmt::Write;

use serde_json::json;

use super::checks::{Layout, checks};
use super::drill::drill_json;
use super::envelope;
use super::recover::mended_json;
use crate::check::{Check, passed_count};
use crate::cli::term::{BOLD, GREEN, RED, Term, YELLOW, plural};
use crate::clock::show_duration;
use crate::drill::DrillReport;
use crate::path::show_path;
use crate::repair::RepairReport;
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
            "{} a rollback was cut off: `rollback --resume` or `rollback --abort`",
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

/// The report for programs.
pub(in crate::cli) fn validate_json(
    reports: &[ValidationReport],
    repaired: Option<&RepairReport>,
    kept: Option<&Check>,
    drills: &[DrillReport],
    code: u8,
) -> String {
    let asked = |c: &Check| c.to_json(json!({ "validation": c.id, "remedy": c.needed_remedy() }));
    let reports: Vec<_> = reports
        .iter()
        .map(|r| {
            let checks: Vec<_> = r.checks.iter().map(asked).collect();
            json!({
                "backup_id": r.backup_id,
                "id": r.id,
                "root_hash": r.root_hash,
                "passed": r.passed(),
                "validations": checks,
                "repair": repaired
                    .and_then(|all| all.points.iter().find(|p| p.id == r.id))
                    .map(|p| mended_json(&p.mended)),
                "drill": drills.iter().find(|d| d.id == r.id).map(drill_json),
                "seconds": r.elapsed.as_secs_f64(),
                "log": show_path(&r.log),
            })
        })
        .collect();
    let store = repaired.map(|all| mended_json(&all.store));
    envelope::json(
        "validate",
        code,
        &json!({ "restore_points": reports, "rollbacks": kept.map(asked), "store_repair": store }),
    )
}
