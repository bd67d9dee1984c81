//! What `backup` prints.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::BringBack;
use crate::backup::BackupOutcome;
use crate::cli::term::{BOLD, DIM, GREEN, Term, YELLOW, bytes, fill, listed, plural};
use crate::clock::show_duration;
use crate::digest::Digest;
use crate::manifest::{Id, Label, Origin, RootedPath, Totals, shown};
use crate::order;
use crate::path::{show_path, show_text};
use crate::quote::toml_string;
use crate::select::{InputGap, ProtectedSet, Reader, SkipReason, Skipped, Unprotected, UnprotectedInput};
use crate::store::Store;

/// The column in which the status lines' text begins.
const INDENT: usize = 14;
/// How many names a list shows before it counts the rest.
const NAMED: usize = 8;

/// The report for people.
pub(in crate::cli) fn backup(term: &Term, report: &Backup<'_>) -> String {
    let mut out = String::new();
    protects(&mut out, term, report.totals);
    let _ = if report.made { made(&mut out, term, report) } else { unchanged(&mut out, term, report) };
    out
}

fn unchanged(out: &mut String, term: &Term, report: &Backup<'_>) -> std::fmt::Result {
    writeln!(out, "Nothing changed since {}: no restore point was made", report.backup_id)?;
    writeln!(out, "Root hash: {}", report.root_hash)?;
    writeln!(out, "Bring it back: {}", term.out(BOLD, &report.bring_back))
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

fn made(out: &mut String, term: &Term, report: &Backup<'_>) -> std::fmt::Result {
    let files = report.totals.files;
    skipped(out, term, &report.skipped);
    if let (Some(linked @ 1..), Some(parent)) = (report.linked, report.parent) {
        let copied = files - linked;
        writeln!(
            out,
            "{} {linked} unchanged since {parent}, {copied} copied",
            term.out(GREEN, "       Linked")
        )?;
    }
    unprotected(out, term, &report.unprotected)?;
    unprotected_inputs(out, term, &report.unprotected_inputs)?;
    secrets(out, term, &report.secrets)?;
    writeln!(out)?;
    writeln!(out, "{}", term.out(GREEN, "ALL FILES VERIFIED SUCCESSFULLY"))?;
    writeln!(out, "Backup ID: {}", term.out(BOLD, report.backup_id))?;
    if report.origin == Some(Origin::BrokenManifest) {
        let text = "Cargo could not load the workspace: `latest` passes over this restore point";
        writeln!(out, "{}", term.out(YELLOW, text))?;
    }
    writeln!(out, "Total files: {files}")?;
    writeln!(out, "Successful backups: {}/{files}", report.verified.unwrap_or_default())?;
    writeln!(out, "Root hash: {}", report.root_hash)?;
    writeln!(
        out,
        "Time taken: {}",
        show_duration(Duration::from_secs_f64(report.seconds.unwrap_or_default()))
    )?;
    writeln!(out, "Bring it back: {}", term.out(BOLD, &report.bring_back))?;
    match &report.without_cargo {
        Some(other) if *other != report.bring_back => {
            writeln!(out, "Without cargo: {}", term.out(BOLD, other))
        }
        _ => Ok(()),
    }
}

fn skipped(out: &mut String, term: &Term, skipped: &[SkippedPath]) {
    let mut groups: order::Map<&str, Vec<&str>> = order::Map::new();
    for s in skipped {
        groups.entry(s.reason.as_str()).or_default().push(&s.path);
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
        SkipReason::Editor => "editors' locks".into(),
        SkipReason::VersionControl => "version control".into(),
        SkipReason::Store => "restore points".into(),
        SkipReason::Ignored => "ignored by git".into(),
        SkipReason::Excluded(pattern) => format!("excluded by `{}`", show_text(pattern)),
        SkipReason::Special(kind) => format!("{kind}s"),
        SkipReason::OtherCheckout => "other repositories' working trees".into(),
        SkipReason::OtherRoot => "kept under another root".into(),
        SkipReason::Unnameable => "impossible names".into(),
    }
}

/// The first of a list, in pieces.
fn some(names: &[impl std::fmt::Display]) -> Vec<String> {
    let mut pieces = listed(&names[..names.len().min(NAMED)]);
    pieces.extend((names.len() > NAMED).then(|| format!("and {} more", names.len() - NAMED)));
    pieces
}

fn unprotected(out: &mut String, term: &Term, all: &[UnprotectedPath]) -> std::fmt::Result {
    let Some(first) = all.iter().find(|u| u.directory).or(all.first()) else { return Ok(()) };
    let name = |u: &UnprotectedPath| match u.directory {
        true => format!("{}/ ({})", u.path, plural(u.files, "file", "files")),
        false => u.path.clone(),
    };
    let names: Vec<String> = all.iter().map(name).collect();
    writeln!(out, "{} {}", term.out(YELLOW, "Not protected"), fill(INDENT, some(&names)))?;
    let path = crate::glob::literal(&first.path);
    let pattern = toml_string(&if first.directory { format!("{path}/**") } else { path });
    let lines = [
        "to protect it, in [workspace.metadata.backstop]:".to_owned(),
        format!("  include = [{pattern}]"),
        "or all that git does not ignore: scope = \"workspace\"".to_owned(),
    ];
    lines.iter().try_for_each(|line| writeln!(out, "{:INDENT$}{}", "", term.out(DIM, line)))
}

/// What the build read and the restore point does not hold, and the setting that would change that.
fn unprotected_inputs(out: &mut String, term: &Term, all: &[UnprotectedRead<'_>]) -> std::fmt::Result {
    let mut groups: order::Map<(String, String), Vec<String>> = order::Map::new();
    for input in all {
        let what = match (&input.why, input.setting) {
            (Gap::Excluded, Some(glob)) => {
                format!("the build reads, and `{}` excludes:", show_text(glob))
            }
            _ => "the build reads, outside every package:".to_owned(),
        };
        let path = format!("{} ({})", input.path, input.reader.noun());
        groups.entry((what, input.remedy())).or_default().push(path);
    }
    for ((what, remedy), names) in groups {
        let pieces = std::iter::once(what).chain(some(&names));
        writeln!(out, "{} {}", term.out(YELLOW, "Not protected"), fill(INDENT, pieces))?;
        writeln!(out, "{:INDENT$}{}", "", term.out(DIM, remedy))?;
    }
    Ok(())
}

fn secrets(out: &mut String, term: &Term, names: &[String]) -> std::fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    let pieces =
        std::iter::once("by their names; the store, which only you can read, holds a copy:".to_owned());
    writeln!(out, "{} {}", term.out(YELLOW, "      Secrets"), fill(INDENT, pieces.chain(some(names))))
}

/// What `backup` did: a restore point that was made and read back; or, with --skip-unchanged, the newest, which holds the
/// same content. Then what there is to tell of the making is null.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Backup<'a> {
    /// Whether one was made.
    made: bool,
    /// The restore point.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    backup_id: &'a str,
    /// The restore point, by its instant alone.
    id: &'a Id,
    label: Option<&'a Label>,
    /// What the user said of it.
    message: Option<&'a str>,
    /// How it came about.
    origin: Option<Origin>,
    /// When it was made.
    #[cfg_attr(test, schemars(with = "Option<crate::cli::schema::Instant>"))]
    created: Option<&'a str>,
    /// The restore point that unchanged files were linked from.
    parent: Option<&'a Id>,
    /// The hash over all entries.
    root_hash: Digest,
    /// Sums over what it holds.
    totals: Totals,
    /// Files that were read back and are right.
    verified: Option<u64>,
    /// Files that are unchanged since the parent.
    linked: Option<u64>,
    /// Bytes of file content that were written.
    written_bytes: Option<u64>,
    /// How long it took.
    seconds: Option<f64>,
    /// The store's directory.
    store: String,
    /// The log of this run.
    log: Option<String>,
    /// Whether the executable was copied into the store.
    executable_copied: bool,
    /// The scripts that were written there.
    scripts_written: Vec<&'static str>,
    /// The command that brings this state back, for a shell.
    bring_back: String,
    /// The one that does so without cargo; null if the store has no executable.
    without_cargo: Option<String>,
    /// What lies in a package's directory and is not protected.
    skipped: Vec<SkippedPath>,
    /// What lies outside every package and is not protected.
    unprotected: Vec<UnprotectedPath>,
    /// What a build read and the restore point does not hold.
    unprotected_inputs: Vec<UnprotectedRead<'a>>,
    /// Protected files whose names are those of secrets.
    secrets: Vec<String>,
    /// For people.
    notes: &'a [String],
}

/// What is not protected, and why.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SkippedPath {
    /// A file, or a directory with all that is in it.
    path: String,
    /// For people.
    reason: String,
}

/// What is not protected.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UnprotectedPath {
    /// A file, or a directory with all that is in it.
    path: String,
    directory: bool,
    /// How many files it holds; 1 for a file.
    files: u64,
}

/// A file that a build read and the restore point does not hold.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct UnprotectedRead<'a> {
    /// The file, absolute.
    path: String,
    /// Who read it.
    reader: Reader,
    /// Why it is not protected.
    why: Gap,
    /// The pattern in `exclude`, or the directory for `outside`; null if no setting reaches it.
    setting: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Gap {
    /// A pattern keeps it out.
    Excluded,
    /// It lies outside every root.
    Outside,
}

pub(in crate::cli) fn inputs(set: &ProtectedSet) -> Vec<UnprotectedRead<'_>> {
    fn one(input: &UnprotectedInput) -> UnprotectedRead<'_> {
        let (why, setting) = match &input.why {
            InputGap::Excluded(glob) => (Gap::Excluded, Some(glob.as_str())),
            InputGap::Outside(dir) => (Gap::Outside, dir.as_deref().and_then(Path::to_str)),
        };
        UnprotectedRead { path: show_path(&input.path), reader: input.reader, why, setting }
    }
    set.unprotected_inputs.iter().map(one).collect()
}

impl UnprotectedRead<'_> {
    /// What would change that.
    fn remedy(&self) -> String {
        match (&self.why, self.setting) {
            (Gap::Excluded, _) => "to protect it, take the pattern out of `exclude`".to_owned(),
            (Gap::Outside, Some(dir)) => {
                format!("to protect its directory: outside = [{}]", toml_string(dir))
            }
            (Gap::Outside, None) => "no setting reaches it: keep it in the workspace".to_owned(),
        }
    }

    /// One line for people.
    pub(in crate::cli) fn note(&self) -> String {
        let (path, reader) = (&self.path, self.reader.noun());
        match (&self.why, self.setting) {
            (Gap::Excluded, Some(glob)) => {
                format!("{reader} reads `{path}`, which `{}` of `exclude` keeps out", show_text(glob))
            }
            _ => format!("{reader} reads `{path}`, which is not protected; {}", self.remedy()),
        }
    }
}

impl<'a> Backup<'a> {
    pub(in crate::cli) fn new(
        set: &'a ProtectedSet,
        store: &Store,
        outcome: &'a BackupOutcome,
        bring_back: &BringBack,
        (executable_copied, scripts_written): (bool, Vec<&'static str>),
    ) -> Self {
        let (made, backup_id, id, root_hash, totals) = match outcome {
            BackupOutcome::Made(report) => {
                let m = &report.manifest;
                (Some(&**report), &m.backup_id, &m.id, m.root_hash, m.totals)
            }
            BackupOutcome::Unchanged { backup_id, id, root_hash, totals } => {
                (None, backup_id, id, *root_hash, *totals)
            }
        };
        let manifest = made.map(|report| &report.manifest);
        let what = format!("rollback -t {id}");
        let skipped = |s: &Skipped| SkippedPath { path: shown(&s.root, &s.path), reason: reason(&s.why) };
        let unprotected = |u: &Unprotected| UnprotectedPath {
            path: u.path.to_string(),
            directory: u.directory,
            files: u.files,
        };
        Backup {
            made: made.is_some(),
            backup_id,
            id,
            label: manifest.map(|m| &m.label),
            message: manifest.and_then(|m| m.message.as_deref()),
            origin: manifest.and_then(|m| m.origin),
            created: manifest.map(|m| m.created.as_str()),
            parent: manifest.and_then(|m| m.parent.as_ref()),
            root_hash,
            totals,
            verified: made.map(|report| report.verified),
            linked: made.map(|report| report.linked),
            written_bytes: made.map(|report| report.written),
            seconds: made.map(|report| report.elapsed.as_secs_f64()),
            store: show_path(store.layout().dir()),
            log: made.map(|report| show_path(&report.log)),
            executable_copied,
            scripts_written,
            bring_back: bring_back.command(&what),
            without_cargo: bring_back.without_cargo(&what),
            skipped: set.skipped.iter().map(skipped).collect(),
            unprotected: set.unprotected.iter().map(unprotected).collect(),
            unprotected_inputs: inputs(set),
            secrets: set.secrets.iter().map(RootedPath::shown).collect(),
            notes: &set.notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::term::on_a_terminal;

    #[test]
    fn a_backups_report_is_the_same_on_every_terminal_and_breaks_lists_of_wide_names() {
        let (id, parent): (Id, Id) = ("20261201_000002".parse().unwrap(), "20261201_000001".parse().unwrap());
        let ignored = |n| SkippedPath {
            path: format!("src/漢字漢字漢字漢字/{n}"),
            reason: "ignored by git".into(),
        };
        let report = Backup {
            made: true,
            backup_id: "ws_backup_20261201_000002",
            id: &id,
            label: None,
            message: None,
            origin: Some(Origin::Backup),
            created: None,
            parent: Some(&parent),
            root_hash: Digest::of(b""),
            totals: Totals { files: 3, lines: 10, bytes: 2048, packages: 1, ..Totals::default() },
            verified: Some(3),
            linked: Some(2),
            written_bytes: Some(1),
            seconds: Some(1.5),
            store: "/w/backup".into(),
            log: None,
            executable_copied: false,
            scripts_written: Vec::new(),
            bring_back: "cargo xtask rollback -t 20261201_000002".into(),
            without_cargo: Some("backup/scripts/backstop rollback -t 20261201_000002".into()),
            skipped: (0..12).map(ignored).collect(),
            unprotected: vec![UnprotectedPath { path: "no\u{308}tes".into(), directory: true, files: 2 }],
            unprotected_inputs: vec![
                UnprotectedRead {
                    path: "/ws/a".into(),
                    reader: Reader::Compiler,
                    why: Gap::Excluded,
                    setting: Some("a"),
                },
                UnprotectedRead {
                    path: "/x/b".into(),
                    reader: Reader::Cargo,
                    why: Gap::Outside,
                    setting: Some("../x"),
                },
                UnprotectedRead {
                    path: "/c".into(),
                    reader: Reader::BuildScript,
                    why: Gap::Outside,
                    setting: None,
                },
            ],
            secrets: vec![".env".into()],
            notes: &[],
        };
        let text = on_a_terminal(80, |term| backup(term, &report));
        assert_eq!(text, on_a_terminal(120, |term| backup(term, &report)));
        for part in [
            "    Protected 3 files · 10 lines · 2.0 KiB · 1 package\n",
            "       Linked 2 unchanged since 20261201_000001, 1 copied\n",
            "and 4 more\n",
            "Not protected no\u{308}tes/ (2 files)\n",
            "  include = [\"no\u{308}tes/**\"]\n",
            "the build reads, and `a` excludes: /ws/a (rustc)\n",
            "outside every package: /x/b (cargo)\n              to protect its directory: outside = [\"../x\"]\n",
            "/c (a build script)\n              no setting reaches it",
            "\nALL FILES VERIFIED SUCCESSFULLY\nBackup ID: ws_backup_20261201_000002\nTotal files: 3\n",
            "Successful backups: 3/3\nRoot hash: e3b0c4",
            "Time taken: 1.5",
            "Bring it back: cargo xtask rollback -t 20261201_000002\nWithout cargo: backup/scripts/backstop",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        let unchanged = Backup { made: false, ..report };
        let text = on_a_terminal(80, |term| backup(term, &unchanged));
        assert!(
            text.contains("Nothing changed since ws_backup_20261201_000002: no restore point was made\n"),
            "{text}"
        );
    }
}
