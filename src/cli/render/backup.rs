//! What `backup` prints.

use std::fmt::Write;

use serde_json::json;

use super::{BringBack, envelope};
use crate::backup::{BackupOutcome, BackupReport};
use crate::cli::term::{BOLD, DIM, GREEN, Term, YELLOW, bytes, fill, listed, plural};
use crate::clock::show_duration;
use crate::manifest::{Origin, RootedPath, Totals, shown};
use crate::order;
use crate::path::show_path;
use crate::quote::toml_string;
use crate::select::{InputGap, ProtectedSet, Reader, SkipReason, Skipped};
use crate::store::Store;

/// What there is to tell of a backup.
pub(in crate::cli) struct BackupView<'a> {
    pub(in crate::cli) set: &'a ProtectedSet,
    pub(in crate::cli) store: &'a Store,
    pub(in crate::cli) outcome: &'a BackupOutcome,
    pub(in crate::cli) bring_back: BringBack,
    pub(in crate::cli) executable_copied: bool,
    pub(in crate::cli) scripts_written: Vec<&'static str>,
}

/// The column in which the status lines' text begins.
const INDENT: usize = 14;
/// How many names a list shows before it counts the rest.
const NAMED: usize = 8;

/// The report for people.
pub(in crate::cli) fn backup(term: &Term, view: &BackupView<'_>) -> String {
    let mut out = String::new();
    let _ = match view.outcome {
        BackupOutcome::Made(report) => made(&mut out, term, view, report),
        BackupOutcome::Unchanged { backup_id, totals, root_hash, id } => {
            protects(&mut out, term, *totals);
            let command = view.bring_back.command(&format!("rollback -t {id}"));
            writeln!(out, "Nothing changed since {backup_id}: no restore point was made")
                .and_then(|()| writeln!(out, "Root hash: {root_hash}"))
                .and_then(|()| writeln!(out, "Bring it back: {}", term.out(BOLD, command)))
        }
    };
    out
}

fn protects(out: &mut String, term: &Term, t: Totals) {
    let line = [
        plural(t.files, "file", "files"),
        plural(t.lines, "line", "lines"),
        bytes(t.bytes),
        plural(t.packages, "package", "packages"),
    ]
    .join(" · ");
    let links =
        if t.symlinks > 0 { format!(" · {}", plural(t.symlinks, "link", "links")) } else { String::new() };
    let _ = writeln!(out, "{} {line}{links}", term.out(GREEN, "    Protected"));
}

fn made(out: &mut String, term: &Term, view: &BackupView<'_>, report: &BackupReport) -> std::fmt::Result {
    let t = report.manifest.totals;
    protects(out, term, t);
    skipped(out, term, &view.set.skipped);
    let linked = report.linked;
    if linked > 0 {
        let parent = report.manifest.parent.as_ref().map_or(String::new(), ToString::to_string);
        let copied = t.files - linked;
        writeln!(
            out,
            "{} {linked} unchanged since {parent}, {copied} copied",
            term.out(GREEN, "       Linked")
        )?;
    }
    unprotected(out, term, view.set)?;
    unprotected_inputs(out, term, view.set)?;
    secrets(out, term, view.set)?;
    writeln!(out)?;
    writeln!(out, "{}", term.out(GREEN, "ALL FILES VERIFIED SUCCESSFULLY"))?;
    writeln!(out, "Backup ID: {}", term.out(BOLD, &report.manifest.backup_id))?;
    if report.manifest.origin == Some(Origin::BrokenManifest) {
        let text = "Cargo could not load the workspace: `latest` passes over this restore point";
        writeln!(out, "{}", term.out(YELLOW, text))?;
    }
    writeln!(out, "Total files: {}", t.files)?;
    writeln!(out, "Successful backups: {}/{}", report.verified, t.files)?;
    writeln!(out, "Root hash: {}", report.manifest.root_hash)?;
    writeln!(out, "Time taken: {}", show_duration(report.elapsed))?;
    let what = format!("rollback -t {}", report.manifest.id);
    let command = view.bring_back.command(&what);
    writeln!(out, "Bring it back: {}", term.out(BOLD, &command))?;
    match view.bring_back.without_cargo(&what) {
        Some(other) if other != command => writeln!(out, "Without cargo: {}", term.out(BOLD, other)),
        _ => Ok(()),
    }
}

fn skipped(out: &mut String, term: &Term, skipped: &[Skipped]) {
    let mut groups: order::Map<String, Vec<String>> = order::Map::new();
    for s in skipped {
        groups.entry(reason(&s.why)).or_default().push(shown(&s.root, &s.path));
    }
    for (why, names) in groups {
        let pieces = std::iter::once(format!("{why}:")).chain(some(&names));
        let _ = writeln!(out, "{} {}", term.out(DIM, "      Skipped"), fill(INDENT, pieces));
    }
}

fn reason(why: &SkipReason) -> String {
    match why {
        SkipReason::TargetDirectory => "target directories".into(),
        SkipReason::CargoHome => "cargo's own state".into(),
        SkipReason::VersionControl => "version control".into(),
        SkipReason::Store => "restore points".into(),
        SkipReason::Ignored => "ignored by git".into(),
        SkipReason::Excluded(pattern) => format!("excluded by `{}`", crate::path::show_text(pattern)),
        SkipReason::Special(kind) => format!("{kind}s"),
        SkipReason::OtherCheckout => "other repositories' working trees".into(),
        SkipReason::OtherRoot => "kept under another root".into(),
        SkipReason::Unnameable => "impossible names".into(),
    }
}

/// The first of a list, in pieces.
fn some(names: &[String]) -> Vec<String> {
    let mut pieces = listed(&names[..names.len().min(NAMED)]);
    if names.len() > NAMED {
        pieces.push(format!("and {} more", names.len() - NAMED));
    }
    pieces
}

fn unprotected(out: &mut String, term: &Term, set: &ProtectedSet) -> std::fmt::Result {
    if set.unprotected.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = set
        .unprotected
        .iter()
        .map(|u| match u.directory {
            true => format!("{}/ ({})", u.path, plural(u.files, "file", "files")),
            false => u.path.to_string(),
        })
        .collect();
    writeln!(out, "{} {}", term.out(YELLOW, "Not protected"), fill(INDENT, some(&names)))?;
    let first = set.unprotected.iter().find(|u| u.directory).or(set.unprotected.first());
    let pattern = first.map_or(String::new(), |u| {
        let path = crate::glob::literal(&u.path.to_string());
        if u.directory { format!("{path}/**") } else { path }
    });
    let pattern = toml_string(&pattern);
    let lines = [
        "to protect it, in [workspace.metadata.backstop]:".to_owned(),
        format!("  include = [{pattern}]"),
        "or all that git does not ignore: scope = \"workspace\"".to_owned(),
    ];
    lines.iter().try_for_each(|line| writeln!(out, "{:INDENT$}{}", "", term.out(DIM, line)))
}

/// What the build read and the restore point does not hold, and the setting that would change that.
fn unprotected_inputs(out: &mut String, term: &Term, set: &ProtectedSet) -> std::fmt::Result {
    let mut groups: order::Map<(String, String), Vec<String>> = order::Map::new();
    for input in &set.unprotected_inputs {
        let path = format!("{} ({})", show_path(&input.path), input.reader.noun());
        let key = match &input.why {
            InputGap::Excluded(glob) => {
                let remedy = "to protect it, take the pattern out of `exclude`".to_owned();
                (format!("the build reads, and `{}` excludes:", crate::path::show_text(glob)), remedy)
            }
            InputGap::Outside(dir) => {
                ("the build reads, outside every package:".to_owned(), outside_remedy(dir.as_deref()))
            }
        };
        groups.entry(key).or_default().push(path);
    }
    for ((what, remedy), names) in groups {
        let pieces = std::iter::once(what).chain(some(&names));
        writeln!(out, "{} {}", term.out(YELLOW, "Not protected"), fill(INDENT, pieces))?;
        writeln!(out, "{:INDENT$}{}", "", term.out(DIM, remedy))?;
    }
    Ok(())
}

/// The setting that protects an input outside the workspace.
fn outside_remedy(directory: Option<&std::path::Path>) -> String {
    match directory.and_then(std::path::Path::to_str) {
        Some(dir) => format!("to protect its directory: outside = [{}]", toml_string(dir)),
        None => "no setting reaches it: keep it in the workspace".to_owned(),
    }
}

/// One line for each input of the build that is not protected.
pub(in crate::cli) fn unprotected_input(input: &crate::select::UnprotectedInput) -> String {
    let (path, reader) = (show_path(&input.path), input.reader.noun());
    match &input.why {
        InputGap::Excluded(glob) => {
            format!(
                "{reader} reads `{path}`, which `{}` of `exclude` keeps out",
                crate::path::show_text(glob)
            )
        }
        InputGap::Outside(dir) => {
            format!("{reader} reads `{path}`, which is not protected; {}", outside_remedy(dir.as_deref()))
        }
    }
}

fn secrets(out: &mut String, term: &Term, set: &ProtectedSet) -> std::fmt::Result {
    if set.secrets.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = set.secrets.iter().map(RootedPath::shown).collect();
    let pieces =
        std::iter::once("by their names; the store, which only you can read, holds a copy:".to_owned());
    writeln!(out, "{} {}", term.out(YELLOW, "      Secrets"), fill(INDENT, pieces.chain(some(&names))))
}

/// What the build read and the set does not hold, for programs.
pub(super) fn inputs_json(set: &ProtectedSet) -> Vec<serde_json::Value> {
    let one = |input: &crate::select::UnprotectedInput| {
        let (why, setting) = match &input.why {
            InputGap::Excluded(glob) => ("excluded", Some(glob.clone())),
            InputGap::Outside(dir) => ("outside", dir.as_deref().map(show_path)),
        };
        let reader = match input.reader {
            Reader::Compiler => "rustc",
            Reader::BuildScript => "build-script",
            Reader::Cargo => "cargo",
        };
        json!({ "path": show_path(&input.path), "reader": reader, "why": why, "setting": setting })
    };
    set.unprotected_inputs.iter().map(one).collect()
}

/// The report for programs.
pub(in crate::cli) fn backup_json(view: &BackupView<'_>) -> String {
    let set = view.set;
    let skipped: Vec<_> = set
        .skipped
        .iter()
        .map(|s| json!({ "path": shown(&s.root, &s.path), "reason": reason(&s.why) }))
        .collect();
    let unprotected: Vec<_> = set
        .unprotected
        .iter()
        .map(|u| json!({ "path": u.path.to_string(), "directory": u.directory, "files": u.files }))
        .collect();
    let inputs = inputs_json(set);
    let secrets: Vec<_> = set.secrets.iter().map(RootedPath::shown).collect();
    let fields = match view.outcome {
        BackupOutcome::Made(report) => {
            let m = &report.manifest;
            json!({
                "made": true,
                "backup_id": m.backup_id,
                "id": m.id,
                "label": m.label,
                "message": m.message,
                "origin": m.origin,
                "created": m.created,
                "parent": m.parent,
                "root_hash": m.root_hash,
                "totals": m.totals,
                "verified": report.verified,
                "linked": report.linked,
                "written_bytes": report.written,
                "seconds": report.elapsed.as_secs_f64(),
                "store": show_path(view.store.layout().dir()),
                "log": show_path(&report.log),
                "executable_copied": view.executable_copied,
                "scripts_written": view.scripts_written,
                "bring_back": view.bring_back.command(&format!("rollback -t {}", m.id)),
                "skipped": skipped,
                "unprotected": unprotected,
                "unprotected_inputs": inputs,
                "secrets": secrets,
                "notes": set.notes,
            })
        }
        BackupOutcome::Unchanged { backup_id, id, root_hash, totals } => json!({
            "made": false,
            "backup_id": backup_id,
            "id": id,
            "root_hash": root_hash,
            "totals": totals,
            "store": show_path(view.store.layout().dir()),
            "bring_back": view.bring_back.command(&format!("rollback -t {id}")),
            "skipped": skipped,
            "unprotected": unprotected,
            "unprotected_inputs": inputs,
            "secrets": secrets,
            "notes": set.notes,
        }),
    };
    envelope::json("backup", 0, &fields)
}
