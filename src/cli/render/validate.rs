//! What `validate` prints.

use std::fmt::Write;

use serde_json::json;

use super::drill::drill_json;
use super::object;
use super::recover::mended_json;
use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, YELLOW, plural, sentences};
use crate::clock::show_duration;
use crate::drill::DrillReport;
use crate::path::show_path;
use crate::repair::RepairReport;
use crate::validate::{Check, ValidationReport};

/// How many findings of one validation are shown; the log has all.
const SHOWN: usize = 25;

/// The report for people.
pub(in crate::cli) fn validate(term: &Term, reports: &[ValidationReport], cut_off: bool) -> String {
    let mut out = String::new();
    for report in reports {
        let _ = one(&mut out, term, report);
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
    for check in &report.checks {
        let verdict = if check.passed() { term.out(GREEN, "passed") } else { term.out(RED, "FAILED") };
        let v = check.validation;
        write!(out, "  {:<18} {verdict}  {}", v.name(), looked(check))?;
        if check.findings.is_empty() {
            writeln!(out)?;
        } else {
            writeln!(out, ", {}", plural(check.findings.len() as u64, "finding", "findings"))?;
        }
        findings(out, term, check)?;
    }
    let passed = report.checks.iter().filter(|c| c.passed()).count();
    let verdict = format!("{passed}/{} validations passed", report.checks.len());
    let style = if report.passed() { GREEN } else { RED };
    write!(out, "  {} in {}", term.out(style, verdict), show_duration(report.elapsed))?;
    match report.root_hash {
        Some(hash) => writeln!(out, "\n  Root hash: {hash}"),
        None => writeln!(out),
    }
}

/// `1 file checked`, `4 checks made`.
fn looked(check: &Check) -> String {
    let many = check.validation.unit();
    let one = if many == "entries" { "entry" } else { many.trim_end_matches('s') };
    let verb = if many == "checks" { "made" } else { "checked" };
    format!("{} {verb}", plural(check.checked, one, many))
}

fn findings(out: &mut String, term: &Term, check: &Check) -> std::fmt::Result {
    for finding in check.findings.iter().take(SHOWN) {
        writeln!(out, "      {}: {}", finding.place, finding.problem)?;
    }
    if check.findings.len() > SHOWN {
        writeln!(out, "      … and {} more: the log has all", check.findings.len() - SHOWN)?;
    }
    for note in &check.notes {
        writeln!(out, "      {} {}", term.out(YELLOW, "note:"), sentences(12, note))?;
    }
    if !check.passed() {
        let help = sentences(12, check.validation.remedy());
        writeln!(out, "      {}", term.out(DIM, format!("help: {help}")))?;
    }
    Ok(())
}

/// The report for programs.
pub(in crate::cli) fn validate_json(
    reports: &[ValidationReport],
    repaired: Option<&RepairReport>,
    drills: &[DrillReport],
    code: u8,
) -> String {
    let reports: Vec<_> = reports
        .iter()
        .map(|r| {
            let checks: Vec<_> = r
                .checks
                .iter()
                .map(|c| {
                    let findings: Vec<_> = c
                        .findings
                        .iter()
                        .map(|f| json!({ "place": f.place, "problem": f.problem }))
                        .collect();
                    json!({
                        "validation": c.validation.name(),
                        "passed": c.passed(),
                        "checked": c.checked,
                        "unit": c.validation.unit(),
                        "findings": findings,
                        "notes": c.notes,
                        "remedy": if c.passed() { None } else { Some(c.validation.remedy()) },
                        "seconds": c.elapsed.as_secs_f64(),
                    })
                })
                .collect();
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
    object("validate", code, json!({ "restore_points": reports, "store_repair": store }))
}
