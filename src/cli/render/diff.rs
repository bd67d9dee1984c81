//! What `diff` prints.

use std::fmt::Write;

use anstyle::Style;
use serde::Serialize;

use crate::cli::term::{BOLD, CYAN, DIM, GREEN, RED, Term, YELLOW, padded, plural, sentences, shell};
use crate::diff::{Change, ChangeKind, Diff};
use crate::digest::Digest;
use crate::live_tree::{FileState, LeftAlone};
use crate::manifest::{Mode, RootName};
use crate::order;
use crate::path::LinkTarget;
use crate::store::{Listed, Store};

/// Two sides and what differs. A side that is no restore point is the workspace as it is now.
pub(in crate::cli) struct DiffView<'a> {
    pub(in crate::cli) store: &'a Store,
    pub(in crate::cli) diff: &'a Diff,
    pub(in crate::cli) a: Option<&'a Listed>,
    pub(in crate::cli) b: Option<&'a Listed>,
    pub(in crate::cli) names: [String; 2],
}

/// Not more names than a person reads are shown of what is not compared.
const LEFT: usize = 10;

fn mark(kind: ChangeKind) -> (Style, &'static str, &'static str) {
    match kind {
        ChangeKind::Added => (GREEN, "A", "added"),
        ChangeKind::Removed => (RED, "D", "removed"),
        ChangeKind::Content => (YELLOW, "M", "changed"),
        ChangeKind::Mode => (CYAN, "P", "mode changed"),
        ChangeKind::Type => (YELLOW, "T", "type changed"),
    }
}

const KINDS: [ChangeKind; 5] =
    [ChangeKind::Content, ChangeKind::Added, ChangeKind::Removed, ChangeKind::Mode, ChangeKind::Type];

#[cfg(test)]
pub(in crate::cli) fn change_words() -> [&'static str; 5] {
    KINDS.map(|kind| mark(kind).2)
}

/// A line a path, by package, and the sums.
pub(in crate::cli) fn diff(term: &Term, view: &DiffView<'_>) -> String {
    let mut out = head(term, view);
    let mut package: Option<&Option<String>> = None;
    let mut changes: Vec<&Change> = view.diff.changes.iter().collect();
    order::sort_by(&mut changes, |a, b| (&a.package, &a.root, &a.path).cmp(&(&b.package, &b.root, &b.path)));
    for change in changes {
        if package != Some(&change.package) {
            let name = change.package.as_deref().unwrap_or("outside every package");
            let _ = writeln!(out, "{}", term.out(BOLD, crate::path::show_text(name)));
            package = Some(&change.package);
        }
        let (style, letter, _) = mark(change.kind);
        let _ = writeln!(out, "  {} {}{}", term.out(style, letter), change.shown(), more(change));
    }
    sums(&mut out, term, view);
    hint(&mut out, term, view);
    out
}

fn head(term: &Term, view: &DiffView<'_>) -> String {
    let name =
        |name: &str| if name == "live" { "the workspace as it is now".into() } else { name.to_owned() };
    let text = format!("From {} to {}", name(&view.names[0]), name(&view.names[1]));
    format!("{}\n", term.out(DIM, sentences(0, &text)))
}

/// What a person wants to know behind the path.
fn more(change: &Change) -> String {
    let noun = |t: &Option<FileState>| t.as_ref().map_or("nothing", FileState::noun);
    let mode =
        |t: &Option<FileState>| t.as_ref().and_then(FileState::mode).map_or(String::new(), |m| m.to_string());
    match change.kind {
        ChangeKind::Mode => format!("  {} → {}", mode(&change.before), mode(&change.after)),
        ChangeKind::Type => format!("  {} → {}", noun(&change.before), noun(&change.after)),
        ChangeKind::Added | ChangeKind::Removed | ChangeKind::Content => {
            let modes = (mode(&change.before), mode(&change.after));
            match change.after.as_ref().or(change.before.as_ref()) {
                Some(FileState::File { .. }) if change.kind == ChangeKind::Content && modes.0 != modes.1 => {
                    format!("  {} → {}", modes.0, modes.1)
                }
                Some(FileState::File { .. }) | None => String::new(),
                Some(thing) => format!("  ({})", thing.noun()),
            }
        }
    }
}

fn counts(diff: &Diff) -> Vec<String> {
    let count = |kind| (diff.count(kind), mark(kind).2);
    KINDS.map(count).iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect()
}

fn sums(out: &mut String, term: &Term, view: &DiffView<'_>) {
    let diff = view.diff;
    for root in &diff.missing_roots {
        let _ = writeln!(
            out,
            "{} the directory outside the workspace is missing: {root}",
            term.out(YELLOW, "note:")
        );
    }
    for (path, why) in diff.left_alone.iter().take(LEFT) {
        let _ = writeln!(
            out,
            "  {} {path}  {}",
            term.out(DIM, "-"),
            term.out(DIM, format!("not compared: {why}"))
        );
    }
    if diff.left_alone.len() > LEFT {
        let _ = writeln!(out, "  … and {} more not compared", diff.left_alone.len() - LEFT);
    }
    let same = plural(diff.unchanged, "path is the same", "paths are the same");
    let _ = match counts(diff) {
        counts if counts.is_empty() => writeln!(out, "{}", term.out(GREEN, same)),
        counts => writeln!(out, "{} · {same}", counts.join(", ")),
    };
}

/// How the contents are compared, for the first file that changed.
fn hint(out: &mut String, term: &Term, view: &DiffView<'_>) {
    let content =
        |c: &&Change| c.kind == ChangeKind::Content && matches!(c.after, Some(FileState::File { .. }));
    let Some(change) = view.diff.changes.iter().find(content) else { return };
    let place = |side: Option<&Listed>| match side {
        Some(listed) => {
            let stored = crate::manifest::stored_path(&change.root, &change.path);
            Some(view.store.layout().session(&listed.id).join(stored))
        }
        // Where a root outside lies is nothing that a diff knows.
        None if change.root.is_workspace() => Some(view.store.root().join(&change.path)),
        None => None,
    };
    if let (Some(a), Some(b)) = (place(view.a), place(view.b)) {
        let _ = writeln!(out, "{}", term.out(DIM, "What changed in a file, such as the first:"));
        let _ = writeln!(out, "{}", term.out(DIM, format!("  diff -u {} {}", shell(&a), shell(&b))));
    }
}

/// The names alone, one a line.
pub(in crate::cli) fn diff_names(view: &DiffView<'_>) -> String {
    view.diff.changes.iter().map(|change| change.shown() + "\n").collect()
}

/// The sums by package.
pub(in crate::cli) fn diff_stat(term: &Term, view: &DiffView<'_>) -> String {
    let mut out = head(term, view);
    let mut packages: order::Map<Option<&String>, order::Map<ChangeKind, u64>> = order::Map::new();
    for change in &view.diff.changes {
        *packages.entry(change.package.as_ref()).or_default().entry(change.kind).or_default() += 1;
    }
    for (package, kinds) in packages {
        let name = package.map_or("outside every package", String::as_str);
        let said: Vec<String> = kinds.iter().map(|(kind, n)| format!("{n} {}", mark(*kind).2)).collect();
        let name = padded(&crate::path::show_text(name), 24);
        let _ = writeln!(out, "  {name}  {}", said.join(", "));
    }
    sums(&mut out, term, view);
    out
}

/// What stands at a path.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct State<'a> {
    kind: StateKind,
    /// Its permission bits; null if it has none of its own.
    mode: Option<Mode>,
    /// The size of a file in bytes.
    size: Option<u64>,
    /// The digest of a file's content; null if it cannot be read.
    sha256: Option<Digest>,
    /// What a link points at.
    target: Option<&'a LinkTarget>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum StateKind {
    File,
    Directory,
    Symlink,
    /// A pipe, a socket or a device.
    Special,
}

impl<'a> From<&'a FileState> for State<'a> {
    fn from(state: &'a FileState) -> Self {
        let (kind, size, sha256, target) = match state {
            FileState::File { size, sha256, .. } => (StateKind::File, Some(*size), *sha256, None),
            FileState::Directory { .. } => (StateKind::Directory, None, None, None),
            FileState::Symlink { target } => (StateKind::Symlink, None, None, Some(target)),
            FileState::Special => (StateKind::Special, None, None, None),
        };
        State { kind, mode: state.mode(), size, sha256, target }
    }
}

/// A path that is left as it is, and why.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Left<'a> {
    path: &'a str,
    /// For people.
    reason: String,
}

pub(super) fn left(list: &[(String, LeftAlone)]) -> Vec<Left<'_>> {
    list.iter().map(|(path, why)| Left { path, reason: why.to_string() }).collect()
}

/// What `diff` found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct DiffReport<'a> {
    /// A backup id, or `live`.
    from: &'a str,
    /// A backup id, or `live`.
    to: &'a str,
    /// By root and path.
    changes: Vec<Changed<'a>>,
    /// Files and links that are the same.
    unchanged: u64,
    /// What stands in the workspace and is not compared.
    not_compared: Vec<Left<'a>>,
    /// Directories outside the workspace that are missing.
    missing_roots: &'a [RootName],
}

/// A path that differs.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Changed<'a> {
    path: String,
    /// The package that it lies in.
    package: Option<&'a str>,
    /// How it differs.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::ChangeWord"))]
    change: &'static str,
    /// What stands on the first side; null: nothing.
    before: Option<State<'a>>,
    /// What stands on the second side; null: nothing.
    after: Option<State<'a>>,
}

impl<'a> From<&'a DiffView<'_>> for DiffReport<'a> {
    fn from(view: &'a DiffView<'_>) -> Self {
        let changed = |c: &'a Change| Changed {
            path: c.shown(),
            package: c.package.as_deref(),
            change: mark(c.kind).2,
            before: c.before.as_ref().map(State::from),
            after: c.after.as_ref().map(State::from),
        };
        DiffReport {
            from: &view.names[0],
            to: &view.names[1],
            changes: view.diff.changes.iter().map(changed).collect(),
            unchanged: view.diff.unchanged,
            not_compared: left(&view.diff.left_alone),
            missing_roots: &view.diff.missing_roots,
        }
    }
}
