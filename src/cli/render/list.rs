//! What `list` prints.

use std::fmt::Write;
use std::time::SystemTime;

use serde::Serialize;

use crate::cli::term::{BOLD, DIM, GREEN, RED, Term, YELLOW, bytes, cut, plural, text_columns};
use crate::clock::{parse_rfc3339, show_age};
use crate::digest::Digest;
use crate::manifest::{Id, Label, Origin, Totals};
use crate::path::{show_path, show_text};
use crate::store::{PointStatus, Store, Summary};

/// What `list` found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ListReport<'a> {
    /// The store's directory.
    store: String,
    /// Whether a rollback was interrupted.
    cut_off: bool,
    /// How many older ones --last leaves out.
    not_shown: usize,
    /// Oldest first.
    restore_points: Vec<Point<'a>>,
}

/// A restore point.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Point<'a> {
    /// Which, by its instant alone.
    pub(super) id: &'a Id,
    /// Which.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    pub(super) backup_id: String,
    label: &'a Label,
    /// Whether a rollback made it, of the state before.
    pre_rollback: bool,
    /// How it came about.
    origin: Origin,
    /// When it was made; null if no manifest is sound.
    #[cfg_attr(test, schemars(with = "Option<crate::cli::schema::Instant>"))]
    created: Option<&'a str>,
    /// What the user said of it.
    pub(super) message: Option<&'a str>,
    /// The hash over all entries; null if no manifest is sound.
    root_hash: Option<Digest>,
    /// Sums over what it holds; null if no manifest is sound.
    totals: Option<Totals>,
    /// What deleting it would free: its archive, and files that no other shares.
    disk_bytes: u64,
    /// Its part of what all take on disk: a file that several share is divided between them.
    share_bytes: u64,
    /// What is known about it besides.
    pub(super) status: &'a PointStatus,
    /// What of it is there.
    pub(super) state: PointState,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) enum PointState {
    #[serde(rename = "whole")]
    Whole,
    /// No manifest can be read.
    #[serde(rename = "damaged")]
    Damaged,
    #[serde(rename = "session lost")]
    SessionLost,
    #[serde(rename = "archive lost")]
    ArchiveLost,
}

impl<'a> ListReport<'a> {
    /// `all` counts those that are not among the summaries as well.
    pub(in crate::cli) fn new(store: &Store, summaries: &'a [Summary], all: usize) -> Self {
        ListReport {
            store: show_path(store.layout().dir()),
            cut_off: store.is_cut_off(),
            not_shown: all.saturating_sub(summaries.len()),
            restore_points: summaries.iter().map(Point::from).collect(),
        }
    }
}

impl<'a> From<&'a Summary> for Point<'a> {
    fn from(one: &'a Summary) -> Self {
        let (listed, head) = (&one.listed, one.head.as_ref());
        Point {
            id: &listed.id,
            backup_id: listed.backup_id(),
            label: &listed.label,
            pre_rollback: listed.is_pre_rollback(),
            origin: listed.origin,
            created: head.map(|h| h.created.as_str()),
            message: head.and_then(|h| h.message.as_deref()),
            root_hash: head.map(|h| h.root_hash),
            totals: head.map(|h| h.totals),
            disk_bytes: one.freed,
            share_bytes: one.share,
            status: &one.status,
            state: match (listed.session, listed.archive, head.is_some()) {
                (_, _, false) => PointState::Damaged,
                (false, _, _) => PointState::SessionLost,
                (_, false, _) => PointState::ArchiveLost,
                _ => PointState::Whole,
            },
        }
    }
}

impl Point<'_> {
    pub(super) fn age(&self, now: SystemTime) -> String {
        // Ids run ahead of the clock where several were given within a second.
        let made = self.created.and_then(parse_rfc3339).unwrap_or_else(|| self.id.instant());
        now.duration_since(made).map_or("in the future".into(), show_age)
    }
}

/// For people: newest last, so that it stands above the prompt; those that rollbacks made set apart. Two lines each:
/// which one it is and what is known about it, then what it holds and why it was made.
pub(in crate::cli) fn list(term: &Term, report: &ListReport<'_>, now: SystemTime) -> String {
    let mut out = String::new();
    let points = &report.restore_points;
    let (of_rollbacks, of_people): (Vec<&Point<'_>>, _) = points.iter().partition(|p| p.pre_rollback);
    if !of_rollbacks.is_empty() {
        let _ = writeln!(out, "{}", term.out(DIM, "made by rollbacks, of the state before"));
        of_rollbacks.iter().for_each(|one| lines(&mut out, term, one, now));
        let _ = writeln!(out);
    }
    of_people.iter().for_each(|one| lines(&mut out, term, one, now));
    let count = plural(of_people.len() as u64, "restore point", "restore points");
    let hidden = report.not_shown;
    let older = if hidden == 0 { String::new() } else { format!(", {hidden} older not shown,") };
    let _ = writeln!(out, "{count}{older} in {}", report.store);
    if hidden == 0 && !points.is_empty() {
        let total: u64 = points.iter().map(|p| p.share_bytes).sum();
        let _ = writeln!(out, "{} on disk in all; each line shows what pruning it would free", bytes(total));
    }
    if report.cut_off {
        let text = "a rollback was interrupted: `rollback --resume` or `rollback --abort`";
        let _ = writeln!(out, "{} {text}", term.out(RED, "warning:"));
    }
    out
}

fn lines(out: &mut String, term: &Term, one: &Point<'_>, now: SystemTime) {
    let age = one.age(now);
    let words = words(one);
    let taken: usize = 31 + words.iter().map(|(_, word)| text_columns(word) + 2).sum::<usize>();
    let label = cut(one.label.as_str(), term.columns.saturating_sub(taken).max(8));
    let _ = write!(out, "{}  {age:>12}  {label}", term.out(BOLD, one.id));
    for (style, word) in words {
        let _ = write!(out, "  {}", term.out(style, word));
    }
    let room = format!("{} on disk", bytes(one.disk_bytes));
    let Some(t) = one.totals else {
        let _ = writeln!(out, "\n    {room}");
        return;
    };
    let holds = [plural(t.files, "file", "files"), plural(t.lines, "line", "lines"), bytes(t.bytes), room]
        .join(" · ");
    let _ = write!(out, "\n    {holds}");
    if let Some(message) = one.message {
        let left = term.columns.saturating_sub(4 + text_columns(&holds) + 2);
        let _ = write!(out, "  {}", cut(&show_text(message), left.max(10)));
    }
    out.push('\n');
}

/// What is known of a restore point, in one or two words each.
fn words(one: &Point<'_>) -> Vec<(anstyle::Style, String)> {
    let mut out = Vec::new();
    match one.state {
        PointState::Whole => {}
        PointState::Damaged => out.push((YELLOW, "damaged".to_owned())),
        PointState::SessionLost => out.push((YELLOW, "session lost".into())),
        PointState::ArchiveLost => out.push((YELLOW, "archive lost".into())),
    }
    match one.status.validated {
        Some(v) if v.passed => out.push((GREEN, "validated".into())),
        Some(_) => out.push((RED, "validation failed".into())),
        None => {}
    }
    if let Some(drilled) = one.status.drilled {
        out.push((if drilled.passed() { GREEN } else { RED }, drilled.shown()));
    }
    if one.status.compiled.is_some_and(|compiled| !compiled.passed) {
        out.push((YELLOW, "did not compile".into()));
    }
    if one.origin == Origin::BrokenManifest {
        out.push((YELLOW, "broken manifest".into()));
    }
    if one.status.pinned.is_some() {
        out.push((BOLD, "pinned".into()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::term::on_a_terminal;

    #[test]
    fn a_list_fits_the_terminal_and_a_wider_one_shows_more_of_the_messages() {
        let ids: Vec<Id> = (1..=4).map(|n| format!("20261201_00000{n}").parse().unwrap()).collect();
        let messages = ["plain", &"漢字".repeat(30), &"e\u{301}".repeat(70), &"か\u{3099}".repeat(40)];
        let (label, status) = (Label::from_text(&"long-label".repeat(6)), PointStatus::default());
        let point = |(id, message)| Point {
            id,
            backup_id: crate::manifest::backup_id(&label, id),
            label: &label,
            pre_rollback: id == &ids[0],
            origin: Origin::BrokenManifest,
            created: None,
            message: Some(message),
            root_hash: None,
            totals: Some(Totals { files: 12, lines: 345, bytes: 6789, ..Totals::default() }),
            disk_bytes: 1 << 20,
            share_bytes: 1 << 19,
            status: &status,
            state: PointState::ArchiveLost,
        };
        let report = ListReport {
            store: "/w/backup".into(),
            cut_off: true,
            not_shown: 0,
            restore_points: ids.iter().zip(messages).map(point).collect(),
        };
        let now = ids[3].instant() + std::time::Duration::from_secs(60);
        let [narrow, wide] = [80, 120].map(|columns| on_a_terminal(columns, |term| list(term, &report, now)));
        assert!(narrow.starts_with("made by rollbacks, of the state before\n20261201_000001  "), "{narrow}");
        assert!(narrow.contains("archive lost  broken manifest") && narrow.contains("  plain\n"), "{narrow}");
        assert!(narrow.contains("3 restore points in /w/backup\n2.0 MiB on disk in all"), "{narrow}");
        assert!(narrow.contains("warning: a rollback was interrupted"), "{narrow}");
        let most = |text: &str, c: char| text.lines().map(|l| l.matches(c).count()).max().unwrap();
        for (c, n) in [('漢', 6), ('\u{301}', 25), ('\u{3099}', 12)] {
            assert!(most(&wide, c) > most(&narrow, c) && most(&narrow, c) == n, "{c:?} in {narrow}\n{wide}");
        }
    }
}
