//! What `show` prints.

use std::fmt::Write;

use serde::Serialize;

use crate::cli::term::{BOLD, DIM, Term, bytes, fill, listed, plural};
use crate::clock::rfc3339_seconds;
use crate::manifest::{Entry, Kind, Manifest, Origin, Reason};
use crate::order;
use crate::path::{show_path, show_text};
use crate::store::{PointStatus, Store, Summary};

/// The column in which the fields' text begins.
const INDENT: usize = 14;

/// One restore point for people.
pub(in crate::cli) fn show(
    term: &Term,
    store: &Store,
    m: &Manifest,
    summary: &Summary,
    verbose: bool,
) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: String| {
        let _ = writeln!(out, "{name:>12}  {value}");
    };
    field("Backup ID", term.out(BOLD, &m.backup_id));
    field("Made", m.created.clone());
    if m.origin == Some(Origin::BrokenManifest) {
        field("Note", "cargo could not load the workspace; `latest` passes over it".into());
    }
    if let Some(message) = &m.message {
        field("Message", fill(INDENT, show_text(message).split(' ')));
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
    field("On disk", format!("{}, not counting what other restore points share", bytes(summary.freed)));
    field("Root hash", m.root_hash.to_string());
    status(&mut field, summary);
    if let Some(git) = &m.git {
        field("Git", super::plan::git(git));
    }
    if let Some(parent) = &m.parent {
        field("Parent", parent.to_string());
    }
    let tools: Vec<_> =
        m.tools.iter().map(|(name, version)| show_text(&format!("{name} {version}"))).collect();
    field("Tools", fill(INDENT, listed(&tools)));
    field("Files", show_path(&store.layout().session(&m.id).join("files")));
    field("Archive", show_path(&store.layout().archive(&m.label, &m.id)));
    for root in m.roots.iter().filter(|r| !r.name.is_workspace()) {
        field("Outside", format!("{}: {}", root.name, show_text(&root.path)));
    }
    for package in &m.packages {
        let dir = package.directory.as_ref().map_or_else(|| ".".into(), ToString::to_string);
        let root = if package.root.is_workspace() { String::new() } else { format!("{}:", package.root) };
        let files = m.entries.iter().filter(|e| e.is_file() && e.package.as_deref() == Some(&package.name));
        let (count, size) = files.fold((0, 0), |(n, size), e| (n + 1, size + e.size()));
        let head = format!("{} {} in {root}{dir}", package.name, package.version);
        let pieces = [format!("{head}:"), plural(count, "file", "files") + ",", bytes(size)];
        field("Package", fill(INDENT, pieces));
    }
    let mut reasons: order::Map<String, u64> = order::Map::new();
    for entry in m.entries.iter().filter(|e| e.is_file()) {
        entry.reasons.iter().for_each(|r| *reasons.entry(reason(r)).or_default() += 1);
    }
    let counted: Vec<String> = reasons.iter().map(|(name, n)| format!("{name} {n}")).collect();
    field("Reasons", fill(INDENT, listed(&counted)));
    if verbose {
        m.entries.iter().for_each(|e| entry(&mut out, e));
    } else {
        let _ = writeln!(out, "{:>12}  `show -v` names every entry with its reasons", "");
    }
    out
}

fn status(field: &mut impl FnMut(&str, String), summary: &Summary) {
    let status = &summary.status;
    let said = |passed| if passed { "passed" } else { "failed" };
    match status.validated {
        Some(v) => field("Validated", format!("{}: {}", rfc3339_seconds(v.at), said(v.passed))),
        None => field("Validated", "not since it was made".into()),
    }
    if let Some(d) = status.drilled {
        let level = d.level.map_or("failed at the first rung", |level| level.name());
        let failed = d.failed.map_or(String::new(), |level| format!(", failed at {level}"));
        field("Drilled", format!("{}: {level}{failed}", rfc3339_seconds(d.at)));
    }
    if let Some(c) = status.compiled {
        let text =
            if c.passed { "the workspace compiled then" } else { "the workspace did not compile then" };
        field("Compiled", text.into());
    }
    if let Some(pin) = &status.pinned {
        let at = pin.at.map_or_else(|| "at an unknown time".into(), rfc3339_seconds);
        let message = pin.message.as_ref().map(|m| format!(": {}", show_text(m))).unwrap_or_default();
        field("Pinned", fill(INDENT, format!("{at}{message}").split(' ')));
    }
}

fn what(e: &Entry) -> String {
    match &e.kind {
        Kind::File { size, .. } => bytes(*size),
        Kind::Directory => "directory".into(),
        Kind::Symlink { .. } => "link".into(),
    }
}

fn entry(out: &mut String, e: &Entry) {
    let reasons: Vec<String> = e.reasons.iter().map(reason).collect();
    let _ = writeln!(out, "{} {:>10}  {}  ({})", e.mode(), what(e), e.shown(), reasons.join(", "));
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Include(pattern) => format!("include `{}`", show_text(pattern)),
        other => {
            serde_json::to_value(other).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
        }
    }
}

/// Some entries of a restore point, with all that is recorded of them.
pub(in crate::cli) fn show_entries(term: &Term, store: &Store, m: &Manifest, chosen: &[usize]) -> String {
    let mut out = String::new();
    for e in chosen.iter().map(|i| &m.entries[*i]) {
        let _ = writeln!(out, "{}", term.out(BOLD, e.shown()));
        let mut field = |name: &str, value: String| {
            let _ = writeln!(out, "{name:>12}  {value}");
        };
        match &e.kind {
            Kind::File { size, lines, sha256 } => {
                field("Holds", format!("{}, {}", bytes(*size), plural(*lines, "line", "lines")));
                field("SHA-256", sha256.to_string());
            }
            Kind::Directory => field("Kind", "directory".into()),
            Kind::Symlink { target } => field("Link to", show_path(target.as_os_str().as_ref())),
        }
        field("Mode", e.mode().to_string());
        field("Modified", e.mtime.to_string());
        if let Some(package) = &e.package {
            field("Package", show_text(package));
        }
        let reasons: Vec<String> = e.reasons.iter().map(reason).collect();
        field("Because", fill(INDENT, listed(&reasons)));
        if e.is_file() {
            field("Stored at", show_path(&store.layout().session(&m.id).join(e.stored_path())));
        }
    }
    let _ = writeln!(out, "{}", term.out(DIM, format!("in {}", m.backup_id)));
    out
}

/// With paths: these entries.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ShowEntries<'a> {
    /// The restore point.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    backup_id: &'a str,
    /// In the order in which they were asked for.
    entries: Vec<ShownEntry<'a>>,
}

/// One entry.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ShownEntry<'a> {
    /// As the manifest has it.
    entry: &'a Entry,
    /// Where its copy lies; null if it is no file.
    stored: Option<String>,
}

impl<'a> ShowEntries<'a> {
    pub(in crate::cli) fn new(store: &Store, m: &'a Manifest, chosen: &[usize]) -> Self {
        let session = store.layout().session(&m.id);
        let shown = |i: &usize| {
            let entry = &m.entries[*i];
            let stored = entry.is_file().then(|| show_path(&session.join(entry.stored_path())));
            ShownEntry { entry, stored }
        };
        ShowEntries { backup_id: &m.backup_id, entries: chosen.iter().map(shown).collect() }
    }
}

/// One restore point: its manifest, and what is known about it besides.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ShowReport<'a> {
    /// As FORMAT.md describes it.
    pub(in crate::cli) manifest: &'a Manifest,
    /// What deleting it would free.
    pub(in crate::cli) disk_bytes: u64,
    /// What is known about it besides.
    pub(in crate::cli) status: &'a PointStatus,
}
