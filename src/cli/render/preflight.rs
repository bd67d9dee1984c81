//! What `preflight` and `status` print.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::backup::{UnprotectedRead, inputs};
use super::drill::{Drill, drill, help};
use super::list::{Point, PointState};
use super::{BringBack, Group, checkpoint};
use crate::check::{Check, all_passed, passed_count};
use crate::checkpoint::CheckpointsReport;
use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, YELLOW, cut, fill, listed, plural, sentences};
use crate::clock::show_duration;
use crate::diff::Diff;
use crate::drill::DrillReport;
use crate::error::Error;
use crate::manifest::{Id, RootName, RootedPath, Totals};
use crate::order;
use crate::path::{show_path, show_text};
use crate::select::ProtectedSet;
use crate::store::{Store, Summary};
use crate::validate::ValidationReport;

/// All that a preflight found.
pub(in crate::cli) struct PreflightView<'a> {
    pub(in crate::cli) store: &'a Store,
    pub(in crate::cli) backup_id: String,
    pub(in crate::cli) totals: Totals,
    pub(in crate::cli) verified: u64,
    pub(in crate::cli) set: &'a ProtectedSet,
    pub(in crate::cli) checkpoints: &'a CheckpointsReport,
    pub(in crate::cli) validation: &'a ValidationReport,
    pub(in crate::cli) drill: &'a DrillReport,
    pub(in crate::cli) roads: &'a [Check],
    pub(in crate::cli) elapsed: Duration,
}

impl PreflightView<'_> {
    /// Whether everything that could be asked holds.
    pub(in crate::cli) fn safe(&self) -> bool {
        self.verified == self.totals.files
            && self.verified > 0
            && self.checkpoints.passed()
            && self.validation.passed()
            && self.drill.passed()
            && all_passed(self.roads)
    }

    fn sums(&self) -> Vec<String> {
        let checks = &self.validation.checks;
        let reached = self.drill.reached().map_or("nothing", |level| level.name());
        vec![
            format!("{}/{} files backed up", self.verified, self.totals.files),
            format!("{}/{} checkpoints", self.checkpoints.passed_count(), self.checkpoints.checkpoints.len()),
            format!("{}/{} validations", passed_count(checks), checks.len()),
            format!("{}/{} rollback tools", passed_count(self.roads), self.roads.len()),
            format!("drill: {reached}"),
        ]
    }
}

/// For people: the parts, the sums, the verdict.
pub(in crate::cli) fn preflight(term: &Term, view: &PreflightView<'_>) -> String {
    let mut out = checkpoint(term, view.checkpoints);
    if !view.validation.passed() {
        out += &super::validate(term, std::slice::from_ref(view.validation), None, false);
    }
    out += &drill(term, view.drill);
    for road in view.roads {
        if let Some(why) = &road.not_tried {
            let text = format!("scripts/{} was not tried: {why}", road.id);
            let _ = writeln!(out, "{} {}", term.out(YELLOW, "note:"), sentences(6, &text));
        }
        for finding in &road.findings {
            let text = format!("{} {}", finding.place, finding.problem);
            let _ = writeln!(out, "{} {}", term.out(RED, "FAILED"), sentences(7, &text));
        }
    }
    let _ = writeln!(out, "\nRestore point: {}", term.out(BOLD, &view.backup_id));
    let sums = view.sums();
    let last = sums.len() - 1;
    let pieces = sums.iter().enumerate().map(|(i, s)| if i < last { format!("{s} ·") } else { s.clone() });
    let _ = writeln!(out, "{}", fill(0, pieces));
    let verdict = if view.safe() {
        term.out(GREEN, "Safe to proceed")
    } else {
        term.out(RED, "Not safe to proceed: fix what FAILED first")
    };
    let _ = writeln!(out, "{verdict} ({})", show_duration(view.elapsed));
    out
}

/// For CI systems.
pub(in crate::cli) fn preflight_groups(view: &PreflightView<'_>) -> [Group; 4] {
    let mut rungs = view.drill.rungs.clone();
    rungs.iter_mut().filter(|rung| !rung.passed()).for_each(|rung| rung.remedy = help(view.drill));
    [
        ("checkpoints", view.checkpoints.checkpoints.clone()),
        ("validations", view.validation.checks.clone()),
        ("drill", rungs),
        ("rollback tools", view.roads.to_vec()),
    ]
}

/// What `preflight` found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct PreflightReport<'a> {
    /// Whether everything holds.
    safe: bool,
    /// The restore point that it asked about.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    backup_id: &'a str,
    /// The store's directory.
    store: String,
    /// Files that the restore point holds.
    files: u64,
    /// How many of them were read back.
    verified: u64,
    /// What a build read and the restore point does not hold.
    unprotected_inputs: Vec<UnprotectedRead<'a>>,
    /// Protected files whose names are those of secrets.
    secrets: Vec<String>,
    /// In the order in which they ran.
    checkpoints: &'a [Check],
    /// The six.
    validations: &'a [Check],
    drill: Drill<'a>,
    /// A dry run by the executable and by each script.
    roads: &'a [Check],
    /// How long it took.
    seconds: f64,
}

impl<'a> From<&'a PreflightView<'_>> for PreflightReport<'a> {
    fn from(view: &'a PreflightView<'_>) -> Self {
        PreflightReport {
            safe: view.safe(),
            backup_id: &view.backup_id,
            store: show_path(view.store.layout().dir()),
            files: view.totals.files,
            verified: view.verified,
            unprotected_inputs: inputs(view.set),
            secrets: view.set.secrets.iter().map(RootedPath::shown).collect(),
            checkpoints: &view.checkpoints.checkpoints,
            validations: &view.validation.checks,
            drill: view.drill.into(),
            roads: view.roads,
            seconds: view.elapsed.as_secs_f64(),
        }
    }
}

/// Where things stand.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct StatusReport<'a> {
    /// Null without a store.
    workspace: Option<String>,
    /// Null if there is none.
    store: Option<String>,
    /// Whether a rollback was interrupted.
    cut_off: bool,
    /// Null if there is no restore point.
    newest: Option<Point<'a>>,
    /// A rollback that went past the newest restore point; told to people alone.
    rolled_back: Option<RolledBack<'a>>,
    /// How the workspace differs from the newest, or from where that rollback went; null if it was not looked at.
    drift: Option<Drift<'a>>,
}

/// A rollback to another restore point than the newest.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RolledBack<'a> {
    rollback: &'a Id,
    /// Where it went.
    to: &'a Id,
}

/// How the workspace differs from a restore point.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Drift<'a> {
    /// Paths that differ.
    changed: usize,
    /// Files and links that are the same.
    unchanged: u64,
    /// Where the paths that differ lie.
    packages: Vec<PackageDrift<'a>>,
    /// Directories outside the workspace that are missing.
    missing_roots: &'a [RootName],
}

/// How a package differs.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PackageDrift<'a> {
    /// Null: outside every package.
    package: Option<&'a str>,
    /// Paths that differ.
    changed: usize,
}

impl<'a> StatusReport<'a> {
    pub(in crate::cli) fn new(
        store: &Store,
        newest: Option<&'a Summary>,
        rolled_back: Option<&'a (Id, Id)>,
        diff: Option<&'a Diff>,
    ) -> Self {
        StatusReport {
            workspace: Some(show_path(store.root())),
            store: Some(show_path(store.layout().dir())),
            cut_off: store.is_cut_off(),
            newest: newest.map(Point::from),
            rolled_back: rolled_back.map(|(rollback, to)| RolledBack { rollback, to }),
            drift: diff.map(Drift::from),
        }
    }
}

impl<'a> From<&'a Diff> for Drift<'a> {
    fn from(diff: &'a Diff) -> Self {
        let mut packages: order::Map<Option<&str>, usize> = order::Map::new();
        for change in &diff.changes {
            *packages.entry(change.package.as_deref()).or_default() += 1;
        }
        let packages = packages.into_iter().map(|(package, changed)| PackageDrift { package, changed });
        Drift {
            changed: diff.changes.len(),
            unchanged: diff.unchanged,
            packages: packages.collect(),
            missing_roots: &diff.missing_roots,
        }
    }
}

/// How many packages are named.
const PACKAGES: usize = 8;

/// One screen for people.
pub(in crate::cli) fn status(
    term: &Term,
    report: &StatusReport<'_>,
    ways: &BringBack,
    now: SystemTime,
) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: String| {
        let _ = writeln!(out, "{name:>12}  {value}");
    };
    field("Workspace", report.workspace.clone().unwrap_or_default());
    let next = |what: &str| term.out(BOLD, ways.command(what));
    if report.cut_off {
        field("Rollback", term.out(RED, "was interrupted: the workspace is partly rolled back"));
        field("Next", next("rollback --resume"));
        field("or", next("rollback --abort"));
        return out;
    }
    let Some(point) = &report.newest else {
        field("Newest", term.out(YELLOW, "there is no restore point"));
        field("Next", next("backup"));
        return out;
    };
    field("Newest", format!("{}, {}", term.out(BOLD, &point.backup_id), point.age(now)));
    if let Some(message) = point.message {
        field("", cut(&show_text(message), 66));
    }
    let status = point.status;
    let validated = match status.validated {
        Some(v) if v.passed => "validated".to_owned(),
        Some(_) => term.out(RED, "validation failed"),
        None => "not validated since it was made".to_owned(),
    };
    let drilled = match status.drilled {
        Some(drilled) if drilled.passed() => drilled.shown(),
        Some(drilled) => term.out(RED, drilled.shown()),
        None => "not drilled".to_owned(),
    };
    let pinned = if status.pinned.is_some() { " · pinned" } else { "" };
    let compiled = status.compiled.is_some_and(|compiled| !compiled.passed);
    let compiled = if compiled { " · did not compile then" } else { "" };
    field("Status", format!("{validated} · {drilled}{pinned}{compiled}"));
    if let Some(problem) = lost(point.state) {
        field("Damage", term.out(RED, problem));
        field("to repair it", next("validate --repair"));
    }
    if let Some(RolledBack { rollback, to }) = report.rolled_back {
        field("Since then", format!("rolled back to {} by rollback {rollback}", term.out(BOLD, to)));
    }
    // What was just left is no way back.
    let (since, back) = match report.rolled_back {
        Some(_) => ("and since", "rollback --undo"),
        None => ("Since then", "rollback -t latest"),
    };
    let Some(drift) = &report.drift else { return out };
    if drift.changed == 0 && drift.missing_roots.is_empty() {
        let same = plural(drift.unchanged, "path is the same", "paths are the same");
        field(since, term.out(GREEN, format!("no change: {same}")));
        // A drill that failed is no way back that was shown to be open.
        match status.validated {
            Some(v) if !v.passed => field("Next", next("validate --repair")),
            _ => field("Next", "go on".to_owned()),
        }
        field("to come back", next(back));
        return out;
    }
    let total = plural(drift.changed as u64, "path differs", "paths differ");
    field(since, term.out(YELLOW, format!("{total}, {} the same", drift.unchanged)));
    let named =
        drift.packages.iter().take(PACKAGES).map(|one| {
            format!("{} {}", show_text(one.package.unwrap_or("outside every package")), one.changed)
        });
    let mut named = listed(&named.collect::<Vec<_>>());
    if let (more @ 1.., Some(last)) = (drift.packages.len().saturating_sub(PACKAGES), named.last_mut()) {
        last.push(',');
        named.push(format!("and {more} more"));
    }
    field("in", fill(14, named));
    field("Next", next("diff"));
    field("to keep it", next("backup"));
    field("to undo it", next(back));
    let _ = writeln!(out, "{:>12}  {}", "", term.out(DIM, "the rollback shows its plan and asks first"));
    out
}

/// What of a restore point is not there or cannot be read.
fn lost(state: PointState) -> Option<&'static str> {
    match state {
        PointState::Whole => None,
        PointState::Damaged => Some("its manifest cannot be read"),
        PointState::SessionLost => Some("its session is lost"),
        PointState::ArchiveLost => Some("its archive is lost"),
    }
}

/// Without a store, to a job that asks for a restore point.
pub(in crate::cli) fn status_without_store(term: &Term, e: &Error, program: &str) -> String {
    let why = term.out(YELLOW, "there is no restore point");
    format!(
        "{:>12}  {why}: {}\n{:>12}  {}\n",
        "Newest",
        sentences(14, &e.to_string()),
        "Next",
        term.out(BOLD, format_args!("{program} backup"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::term::on_a_terminal;
    use crate::manifest::Origin;
    use crate::store::{Listed, PointStatus};

    #[test]
    fn a_status_names_eight_packages_and_fits_whatever_they_are_called() {
        let listed = Listed {
            id: "20261201_000000".parse().unwrap(),
            label: crate::manifest::Label::from_text("ws"),
            session: true,
            metadata: true,
            archive: false,
            origin: Origin::Backup,
        };
        let summary = Summary { listed, head: None, status: PointStatus::default(), freed: 1, share: 1 };
        let names: Vec<String> = (0..10).map(|n| format!("漢字e\u{301}漢字漢字漢字{n}")).collect();
        let packages = names.iter().map(|name| PackageDrift { package: Some(name), changed: 2 }).collect();
        let drift = Drift { changed: 20, unchanged: 3, packages, missing_roots: &[] };
        let mut report = StatusReport {
            workspace: Some("/w".into()),
            newest: Some(Point::from(&summary)),
            drift: Some(drift),
            ..StatusReport::default()
        };
        let now = summary.listed.id.instant() + Duration::from_secs(7200);
        let ways = BringBack { program: "cargo xtask", executable: None };
        let shown = |report: &StatusReport<'_>| on_a_terminal(80, |term| status(term, report, &ways, now));
        let text = shown(&report);
        for part in [
            "  Since then  20 paths differ, 3 the same\n",
            "漢字漢字漢字7 2, and 2 more\n",
            "its manifest cannot be read",
            "to undo it  cargo xtask rollback -t latest\n",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        let (rollback, to) = (summary.listed.id.next(), summary.listed.id.clone());
        report.rolled_back = Some(RolledBack { rollback: &rollback, to: &to });
        report.drift = Some(Drift { changed: 0, unchanged: 1, packages: Vec::new(), missing_roots: &[] });
        let text = shown(&report);
        assert!(text.contains("   and since  no change: 1 path is the same\n"), "{text}");
        assert!(text.contains("rollback --undo\n"), "what was just left is no way back: {text}");
        report.cut_off = true;
        assert!(shown(&report).ends_with("rollback --resume\n          or  cargo xtask rollback --abort\n"));
    }
}
