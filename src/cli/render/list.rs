//! What `list` and `show` print.

use std::fmt::Write;
use std::time::SystemTime;

use serde_json::json;

use super::object;
use crate::cli::term::{BOLD, DIM, RED, Term, YELLOW, brief, bytes, fill, listed, plural};
use crate::clock::{parse_rfc3339, show_age};
use crate::error::Result;
use crate::manifest::{Entry, Kind, Manifest, Reason};
use crate::path::{show_path, show_text};
use crate::store::{Listed, Store};

/// One restore point, and its manifest where one is sound.
pub(in crate::cli) struct Row {
    listed: Listed,
    manifest: Option<Manifest>,
}

/// Reads what `list` shows.
pub(in crate::cli) fn list_rows(store: &Store) -> Result<Vec<Row>> {
    let catalogue = store.catalogue()?;
    let rows = catalogue
        .all()
        .iter()
        .map(|listed| Row { listed: listed.clone(), manifest: store.manifest(listed).ok() });
    Ok(rows.collect())
}

fn state(row: &Row) -> Option<&'static str> {
    match (row.listed.session, row.listed.archive, row.manifest.is_some()) {
        (_, _, false) => Some("damaged"),
        (false, _, _) => Some("session lost"),
        (_, false, _) => Some("archive lost"),
        _ => None,
    }
}

/// For people: newest last, so that it stands above the prompt; those that rollbacks made set apart.
pub(in crate::cli) fn list(term: &Term, store: &Store, rows: &[Row], now: SystemTime) -> String {
    let mut out = String::new();
    let (of_rollbacks, of_people): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|r| r.listed.is_pre_rollback());
    if !of_rollbacks.is_empty() {
        let _ = writeln!(out, "{}", term.out(DIM, "made by rollbacks, of the state before"));
        of_rollbacks.iter().for_each(|row| line(&mut out, term, row, now));
        let _ = writeln!(out);
    }
    of_people.iter().for_each(|row| line(&mut out, term, row, now));
    let count = plural(of_people.len() as u64, "restore point", "restore points");
    let _ = writeln!(out, "{count} in {}", show_path(store.layout().dir()));
    if store.is_cut_off() {
        let text = "a rollback was cut off: `rollback --resume` or `rollback --abort`";
        let _ = writeln!(out, "{} {text}", term.out(RED, "warning:"));
    }
    out
}

fn line(out: &mut String, term: &Term, row: &Row, now: SystemTime) {
    let id = term.out(BOLD, &row.listed.id);
    // Ids run ahead of the clock where several were given within a second.
    let made = row.manifest.as_ref().and_then(|m| parse_rfc3339(&m.created));
    let age = now.duration_since(made.unwrap_or_else(|| row.listed.id.instant()));
    let age = age.map_or("in the future".into(), show_age);
    let label = row.listed.label.to_string();
    let _ = match &row.manifest {
        Some(m) => {
            let n = m.totals.files;
            let files = if n == 1 { "file " } else { "files" };
            write!(out, "{id}  {age:>12}  {n:>6} {files}  {:>9}  {label}", bytes(m.totals.bytes))
        }
        None => write!(out, "{id}  {age:>12}  {:>27}  {label}", ""),
    };
    if let Some(state) = state(row) {
        let _ = write!(out, "  {}", term.out(YELLOW, state));
    }
    if let Some(message) = row.manifest.as_ref().and_then(|m| m.message.as_ref()) {
        let _ = write!(out, "  {}", brief(message));
    }
    out.push('\n');
}

/// For programs.
pub(in crate::cli) fn list_json(store: &Store, rows: &[Row]) -> String {
    let points: Vec<_> = rows
        .iter()
        .map(|row| {
            let m = row.manifest.as_ref();
            json!({
                "id": row.listed.id,
                "backup_id": row.listed.backup_id(),
                "label": row.listed.label,
                "pre_rollback": row.listed.is_pre_rollback(),
                "created": m.map(|m| &m.created),
                "message": m.and_then(|m| m.message.as_ref()),
                "root_hash": m.map(|m| m.root_hash),
                "totals": m.map(|m| m.totals),
                "state": state(row).unwrap_or("whole"),
            })
        })
        .collect();
    let store_dir = show_path(store.layout().dir());
    object("list", 0, json!({ "store": store_dir, "cut_off": store.is_cut_off(), "restore_points": points }))
}

/// One restore point for people.
pub(in crate::cli) fn show(term: &Term, store: &Store, m: &Manifest, verbose: bool) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: String| {
        let _ = writeln!(out, "{:>12}  {value}", name);
    };
    field("Backup ID", term.out(BOLD, &m.backup_id));
    field("Made", m.created.clone());
    if let Some(message) = &m.message {
        field("Message", fill(14, show_text(message).split(' ')));
    }
    let t = m.totals;
    let what = [
        plural(t.files, "file", "files"),
        plural(t.lines, "line", "lines"),
        bytes(t.bytes),
        plural(t.directories, "directory", "directories"),
        plural(t.symlinks, "link", "links"),
    ];
    field("Holds", what.join(" · "));
    field("Root hash", m.root_hash.to_string());
    if let Some(git) = &m.git {
        field("Git", super::rollback::git(git));
    }
    if let Some(parent) = &m.parent {
        field("Parent", parent.to_string());
    }
    let tools: Vec<_> =
        m.tools.iter().map(|(name, version)| show_text(&format!("{name} {version}"))).collect();
    field("Tools", fill(14, listed(&tools)));
    field("Files", show_path(&store.layout().session(&m.id).join("files")));
    field("Archive", show_path(&store.layout().archive(&m.label, &m.id)));
    for root in m.roots.iter().filter(|r| !r.name.is_empty()) {
        field("Outside", format!("{}: {}", root.name, show_text(&root.path)));
    }
    for package in &m.packages {
        let dir = package.directory.as_ref().map_or_else(|| ".".into(), ToString::to_string);
        let root = if package.root.is_empty() { String::new() } else { format!("{}:", package.root) };
        field("Package", format!("{} {} in {root}{dir}", package.name, package.version));
    }
    if verbose {
        m.entries.iter().for_each(|e| entry(&mut out, e));
    } else {
        let _ = writeln!(out, "{:>12}  `show -v` names every entry with its reasons", "");
    }
    out
}

fn entry(out: &mut String, e: &Entry) {
    let what = match &e.kind {
        Kind::File { size, .. } => bytes(*size),
        Kind::Directory => "directory".into(),
        Kind::Symlink { .. } => "link".into(),
    };
    let reasons: Vec<String> = e.reasons.iter().map(reason).collect();
    let _ = writeln!(out, "{} {what:>10}  {}  ({})", e.mode, e.shown(), reasons.join(", "));
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Include(pattern) => format!("include `{}`", show_text(pattern)),
        other => {
            serde_json::to_value(other).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
        }
    }
}

/// One restore point for programs: its manifest.
pub(in crate::cli) fn show_json(m: &Manifest) -> String {
    object("show", 0, json!({ "manifest": m }))
}
