//! What `diff` prints.

use std::fmt::Write;

use anstyle::Style;
use serde_json::{Value, json};

use super::envelope;
use crate::cli::term::{BOLD, CYAN, DIM, GREEN, RED, Term, YELLOW, plural, sentences, shell};
use crate::diff::{Change, ChangeKind, Diff};
use crate::live_tree::FileState;
use crate::order;
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
            "{} the directory outside the workspace is gone: {root}",
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
        let _ = writeln!(out, "  {:<24}  {}", crate::path::show_text(name), said.join(", "));
    }
    sums(&mut out, term, view);
    out
}

fn thing(thing: &Option<FileState>) -> Value {
    match thing {
        None => Value::Null,
        Some(t) => {
            let (size, sha256) = match t {
                FileState::File { size, sha256, .. } => (Some(*size), sha256.map(|d| d.to_string())),
                _ => (None, None),
            };
            let target = match t {
                FileState::Symlink { target } => Some(crate::path::show_path(target.as_os_str().as_ref())),
                _ => None,
            };
            json!({
                "kind": t.noun(),
                "mode": t.mode().map(|m| m.to_string()),
                "size": size,
                "sha256": sha256,
                "target": target,
            })
        }
    }
}

/// For programs.
pub(in crate::cli) fn diff_json(view: &DiffView<'_>, code: u8) -> String {
    let diff = view.diff;
    let changes: Vec<_> = diff
        .changes
        .iter()
        .map(|c| {
            json!({
                "path": c.shown(),
                "package": c.package,
                "change": mark(c.kind).2,
                "before": thing(&c.before),
                "after": thing(&c.after),
            })
        })
        .collect();
    let left: Vec<_> = diff
        .left_alone
        .iter()
        .map(|(path, why)| json!({ "path": path, "reason": why.to_string() }))
        .collect();
    let fields = json!({
        "from": view.names[0],
        "to": view.names[1],
        "changes": changes,
        "unchanged": diff.unchanged,
        "not_compared": left,
        "missing_roots": diff.missing_roots,
    });
    envelope::json("diff", code, &fields)
}
