//! Backstop's own checkpoints, CP001 to CP005.

use super::report::COMPILES;
use super::{CheckError, CheckpointsReport, Surroundings, environment, roads};
use crate::check::Check;
use crate::compile::{Answer, Cargo};
use crate::diff::{ChangeKind, diff_live};
use crate::error::{IoContext, Result};
use crate::live_tree::Look;
use crate::path::show_path;
use crate::store::{Compiled, Selector, Wait};
use crate::validate::{InodeCache, validate};

type Own = fn(&Surroundings<'_>) -> Result<Check, CheckError>;

pub(super) const ALL: [(&str, &str, Own); 5] = [
    ("CP001", "Backup integrity", |at| Ok(integrity(at)?)),
    ("CP002", "Rollback scripts", |at| Ok(roads::restore_by_all(at)?)),
    ("CP003", "File checksums", |at| Ok(checksums(at)?)),
    ("CP004", "System functionality", |at| Ok(functionality(at)?)),
    ("CP005", "Environment", |at| Ok(environment::look(at)?)),
];
/// The newest restore point passes all six validations.
fn integrity(at: &Surroundings<'_>) -> Result<Check> {
    let catalogue = at.store.catalogue()?;
    let listed = catalogue.select(&Selector::Latest)?;
    let cache = at.executable.map(InodeCache::of_program).and_then(Result::ok).unwrap_or_default();
    let report = validate(at.store, listed, &cache, at.context)?;
    let mut checked = Check::counted(report.checks.len() as u64, "validations");
    for check in report.checks.iter().filter(|c| c.failed()) {
        let name = check.id.as_str();
        if check.findings.is_empty() {
            checked.find(name, "checked nothing");
        }
        for finding in &check.findings {
            checked.find(format!("{name} {}", finding.place), finding.problem.clone());
        }
        checked.remedy = checked.remedy.take().or_else(|| check.remedy.clone());
    }
    Ok(checked)
}

/// The workspace is what the newest restore point holds.
fn checksums(at: &Surroundings<'_>) -> Result<Check> {
    let catalogue = at.store.catalogue()?;
    let listed = catalogue.select(&Selector::Latest)?;
    let diff = diff_live(at.store, listed, Look::Whole, at.context)?;
    let compared = diff.changes.iter().filter(|c| c.kind != ChangeKind::Added).count() as u64;
    let mut checked = Check::counted(diff.unchanged + compared, "paths");
    for change in &diff.changes {
        checked.find(
            change.shown(),
            match change.kind {
                ChangeKind::Added => "was added since the newest restore point",
                ChangeKind::Removed => "is missing since the newest restore point",
                ChangeKind::Content => "has other content than in the newest restore point",
                ChangeKind::Mode => "has another mode than in the newest restore point",
                ChangeKind::Type => "is of another kind than in the newest restore point",
            },
        );
    }
    for root in &diff.missing_roots {
        checked.find(root.to_string(), "the directory outside the workspace is missing");
    }
    Ok(checked.with_remedy("make a new restore point with `backup`, or go back to this one with `rollback`"))
}

/// The workspace compiles: all targets, or what the settings ask for; its tests too, where they ask for that.
fn functionality(at: &Surroundings<'_>) -> Result<Check> {
    let lockfile = at.workspace.root.join("Cargo.lock");
    let locked = lockfile.exists();
    let checked = compiled(at, locked);
    // Cargo makes one where it is missing, and nobody asked for that.
    if !locked && lockfile.exists() {
        at.store.fs().remove_file(&lockfile).during("remove", &lockfile)?;
    }
    checked
}

fn compiled(at: &Surroundings<'_>, locked: bool) -> Result<Check> {
    let cargo = Cargo {
        program: at.cargo,
        directory: &at.workspace.root,
        target: None,
        locked,
        offline: false,
        time_limit: None,
        env: &[],
    };
    let build = &at.workspace.settings.build;
    at.context.note(format!("{COMPILES} runs `{}`", cargo.check_command(build)));
    let answer = cargo.check(build, at.context)?;
    let units = answer.compiled + answer.fresh;
    let mut checked = answered(Check::counted(units, "units"), answer);
    let mut remedy = "make the workspace compile before you change it further";
    if build.test.is_some() && checked.findings.is_empty() {
        at.context.note(format!("{COMPILES} runs `{}`", cargo.test_command(build)));
        let answer = cargo.test(build, at.context)?;
        let passed = answer.tests_passed;
        let command = checked.command.take().unwrap_or_default();
        let nothing = answer.ok && passed == 0;
        checked = answered(Check::counted(passed, "tests"), answer);
        if nothing {
            checked.find("cargo test", "ran no test, which proves nothing");
        }
        checked.command = checked.command.map(|test| format!("{command} && {test}"));
        remedy = "make the tests pass before you change the workspace further";
    }
    if !cargo.locked {
        checked.notes.push("there is no Cargo.lock: versions were chosen anew".into());
    }
    Ok(checked.with_remedy(remedy))
}

fn answered(mut checked: Check, answer: Answer) -> Check {
    checked.command = Some(answer.command);
    checked.findings = answer.findings;
    checked
}

/// Keeps for drills whether the workspace compiled while it was what the newest restore point holds.
pub(super) fn record(report: &CheckpointsReport, at: &Surroundings<'_>) {
    let Some(passed) = report.compiled() else { return };
    let context = at.context;
    let recorded = at.store.catalogue().and_then(|catalogue| {
        let listed = catalogue.select(&Selector::Latest)?;
        let lock = at.store.lock(Wait::No, context.interrupt, context.observer)?;
        let compiled = Compiled { at: context.clock.now(), passed };
        lock.update_status(listed, |status| status.compiled = Some(compiled))
    });
    if let Err(e) = recorded {
        let dir = show_path(at.store.layout().dir());
        context.note(format!("whether it compiled is not recorded in `{dir}`: {e}"));
    }
}
