//! What `recover` prints, and the part of `validate --repair` that tells what was repaired.

use std::fmt::Write;

use serde::Serialize;

use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, YELLOW, plural, sentences};
use crate::path::show_path;
use crate::repair::{Mended, RecoverReport, Recovered, RepairReport};
use crate::store::Store;

/// What was done is told in full up to so many lines; the log has all.
const SHOWN: usize = 25;

fn mended(out: &mut String, term: &Term, mended: &Mended) {
    for deed in mended.deeds.iter().take(SHOWN) {
        let text = format!("{} {}", deed.place, deed.what);
        let _ = writeln!(out, "  {} {}", term.out(GREEN, "repaired"), sentences(9, &text));
    }
    if mended.deeds.len() > SHOWN {
        let _ = writeln!(out, "  … and {} more: the log has all", mended.deeds.len() - SHOWN);
    }
    for failure in &mended.failures {
        let text = format!("{}: {}", failure.place, failure.problem);
        let _ = writeln!(out, "  {} {}", term.out(RED, "not repaired"), sentences(13, &text));
    }
}

/// For people: what was done to the store and to each restore point. The validations follow.
pub(in crate::cli) fn repair(term: &Term, report: &RepairReport) -> String {
    let mut out = String::new();
    if report.deeds() + report.failures() == 0 {
        return "Nothing to repair\n".into();
    }
    if !report.store.deeds.is_empty() || !report.store.failures.is_empty() {
        let _ = writeln!(out, "{}", term.out(BOLD, "The store"));
        mended(&mut out, term, &report.store);
    }
    for point in &report.points {
        if point.mended.deeds.is_empty() && point.mended.failures.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{}", term.out(BOLD, &point.backup_id));
        mended(&mut out, term, &point.mended);
    }
    let done = plural(report.deeds() as u64, "thing", "things");
    let left = match report.failures() {
        0 => String::new(),
        n => format!(", {} could not be", plural(n as u64, "thing", "things")),
    };
    let _ = writeln!(out, "{done} repaired{left}; validated again:\n");
    out
}

/// What `recover` did.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Recovery<'a> {
    /// The store's directory.
    store: String,
    /// Those of which something was lost, oldest first.
    restore_points: &'a [Recovered],
    /// How many were whole already.
    whole: u64,
    /// The log of this run.
    log: String,
    /// How long it took.
    seconds: f64,
}

impl<'a> Recovery<'a> {
    pub(in crate::cli) fn new(store: &Store, report: &'a RecoverReport) -> Self {
        Recovery {
            store: show_path(store.layout().dir()),
            restore_points: &report.points,
            whole: report.whole,
            log: show_path(&report.log),
            seconds: report.elapsed.as_secs_f64(),
        }
    }
}

/// For people.
pub(in crate::cli) fn recover(term: &Term, report: &Recovery<'_>) -> String {
    let mut out = String::new();
    let all = report.restore_points.len() as u64;
    let recovered = report.restore_points.iter().filter(|point| point.whole).count() as u64;
    for point in report.restore_points {
        let verdict = if point.whole { term.out(GREEN, "recovered") } else { term.out(RED, "NOT RECOVERED") };
        let files = if point.whole {
            format!(": {} verified", plural(point.files, "file", "files"))
        } else {
            String::new()
        };
        let _ = writeln!(out, "{} {verdict}{files}", term.out(BOLD, &point.backup_id));
        mended(&mut out, term, &point.mended);
    }
    let whole = plural(report.whole, "restore point was whole", "restore points were whole");
    let _ = match all {
        0 => writeln!(out, "Nothing to recover in {}: {whole}", report.store),
        _ => {
            let points = plural(all, "restore point", "restore points");
            writeln!(out, "{recovered}/{points} recovered in {}; {whole}", report.store)
        }
    };
    if recovered > 0 {
        let _ = writeln!(out, "{}", term.out(DIM, "Next: validate --all, then rollback -t TS"));
    }
    if recovered < all {
        let _ = writeln!(
            out,
            "{} another copy of an archive may be whole: recover ARCHIVE",
            term.out(YELLOW, "help:")
        );
    }
    out
}
