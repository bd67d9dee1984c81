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
use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, YELLOW, cut, fill, plural, sentences};
use crate::clock::show_duration;
use crate::diff::Diff;
use crate::drill::DrillReport;
use crate::error::Error;
use crate::manifest::{Id, RootedPath, Totals};
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
            format!("{}/{} rollback roads", passed_count(self.roads), self.roads.len()),
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
        term.out(RED, "Not safe to proceed: mend what FAILED first")
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
        ("rollback roads", view.roads.to_vec()),
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
pub(in crate::cli) struct StatusView<'a> {
    pub(in crate::cli) store: &'a Store,
    pub(in crate::cli) summary: Option<&'a Summary>,
    pub(in crate::cli) diff: Option<&'a Diff>,
    /// A rollback that went past the newest restore point, and where to: the differences are those from there.
    pub(in crate::cli) rolled_back: Option<&'a (Id, Id)>,
    pub(in crate::cli) bring_back: BringBack,
    pub(in crate::cli) now: SystemTime,
}

/// How many packages are named.
const PACKAGES: usize = 8;

/// One screen for people.
pub(in crate::cli) fn status(term: &Term, view: &StatusView<'_>) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: String| {
        let _ = writeln!(out, "{name:>12}  {value}");
    };
    field("Workspace", show_path(view.store.root()));
    let next = |what: &str| term.out(BOLD, view.bring_back.command(what));
    if view.store.is_cut_off() {
        field("Rollback", term.out(RED, "was cut off: the workspace is between two states"));
        field("Next", next("rollback --resume"));
        field("or", next("rollback --abort"));
        return out;
    }
    let Some(summary) = view.summary else {
        field("Newest", term.out(YELLOW, "there is no restore point"));
        field("Next", next("backup"));
        return out;
    };
    let point = Point::from(summary);
    let age = point.age(view.now);
    field("Newest", format!("{}, {age}", term.out(BOLD, &point.backup_id)));
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
    field("Known of it", format!("{validated} · {drilled}{pinned}{compiled}"));
    if let Some(problem) = lost(point.state) {
        field("Damage", term.out(RED, problem));
        field("to mend it", next("validate --repair"));
    }
    if let Some((rollback, to)) = view.rolled_back {
        field("Since then", format!("rolled back to {} by rollback {rollback}", term.out(BOLD, to)));
    }
    let since = if view.rolled_back.is_some() { "and since" } else { "Since then" };
    // What was just left is no way back.
    let back = if view.rolled_back.is_some() { "rollback --undo" } else { "rollback -t latest" };
    let Some(diff) = view.diff else { return out };
    if diff.is_empty() {
        let same = plural(diff.unchanged, "path is the same", "paths are the same");
        field(since, term.out(GREEN, format!("no change: {same}")));
        // A drill that failed is no way back that was shown to be open.
        match status.validated {
            Some(v) if !v.passed => field("Next", next("validate --repair")),
            _ => field("Next", "go on".to_owned()),
        }
        field("to come back", next(back));
        return out;
    }
    let mut packages: order::Map<&str, u64> = order::Map::new();
    for change in &diff.changes {
        *packages.entry(change.package.as_deref().unwrap_or("outside every package")).or_default() += 1;
    }
    let total = plural(diff.changes.len() as u64, "path differs", "paths differ");
    field(since, term.out(YELLOW, format!("{total}, {} the same", diff.unchanged)));
    let mut named: Vec<String> =
        packages.iter().take(PACKAGES).map(|(name, n)| format!("{} {n},", show_text(name))).collect();
    match (packages.len() > PACKAGES, named.last_mut()) {
        (true, _) => named.push(format!("and {} more", packages.len() - PACKAGES)),
        (false, Some(last)) => drop(last.pop()),
        (false, None) => {}
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
pub(in crate::cli) fn status_without_store(term: &Term, e: &Error) -> String {
    let why = term.out(YELLOW, "there is no restore point");
    format!(
        "{:>12}  {why}: {}\n{:>12}  {}\n",
        "Newest",
        sentences(14, &e.to_string()),
        "Next",
        term.out(BOLD, "cargo xtask backup")
    )
}

/// Where things stand.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct StatusReport<'a> {
    /// Null without a store.
    workspace: Option<String>,
    /// Null if there is none.
    store: Option<String>,
    /// Whether a rollback was cut off.
    cut_off: bool,
    /// Null if there is no restore point.
    newest: Option<Point<'a>>,
    /// Null if it was not looked at.
    drift: Option<Drift>,
}

/// How the workspace differs from the newest restore point.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Drift {
    /// Paths that differ.
    changed: usize,
    /// Files and links that are the same.
    unchanged: u64,
}

impl<'a> From<&StatusView<'a>> for StatusReport<'a> {
    fn from(view: &StatusView<'a>) -> Self {
        StatusReport {
            workspace: Some(show_path(view.store.root())),
            store: Some(show_path(view.store.layout().dir())),
            cut_off: view.store.is_cut_off(),
            newest: view.summary.map(Point::from),
            drift: view.diff.map(|d| Drift { changed: d.changes.len(), unchanged: d.unchanged }),
        }
    }
}
