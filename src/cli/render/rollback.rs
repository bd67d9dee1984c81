//! What `rollback` prints. A person who reads it is frightened: every line is true, short, and says what is next.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::plan::{NAMED, Plan, counted};
use crate::check::Finding;
use crate::cli::term::{BOLD, GREEN, RED, Term, YELLOW, fill, plural};
use crate::clock::show_duration;
use crate::manifest::{Id, RootName, RootedPath};
use crate::path::show_path;
use crate::rollback::{AbortOutcome, Counts, Purpose, RestoreReport, RollbackOutcome, RollbackPlan};

/// What cargo will say of the workspace, for people.
pub(in crate::cli) fn findings(term: &Term, findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        // What cargo says stays on one line: people search for it.
        let mut quoted = false;
        let words = finding.problem.split(|c: char| {
            quoted ^= c == '"';
            c == ' ' && !quoted
        });
        let text = fill(9, std::iter::once(finding.place.as_str()).chain(words));
        let _ = writeln!(out, "{} {text}", term.out(YELLOW, "warning:"));
    }
    out
}

/// What was done, for people.
pub(in crate::cli) fn outcome(term: &Term, o: &RollbackOutcome, undo_command: &str) -> String {
    let mut out = String::new();
    let _ = finished(&mut out, term, o, undo_command);
    out
}

fn finished(out: &mut String, term: &Term, o: &RollbackOutcome, undo_command: &str) -> std::fmt::Result {
    let word = match o.purpose {
        Purpose::Rollback { .. } => "Rolled back:",
        Purpose::Undo { .. } => "Undone:",
    };
    let (files, directories) = counted(o.counts);
    writeln!(out, "{} {files}", term.out(GREEN, word))?;
    if let Some(directories) = directories {
        writeln!(out, "{directories}")?;
    }
    let total = plural(o.verified + o.mismatches.len() as u64, "change", "changes");
    writeln!(out, "Verified: {}/{total} read back in {}", o.verified, show_duration(o.elapsed))?;
    if !o.mismatches.is_empty() {
        let text = plural(o.mismatches.len() as u64, "path was", "paths were");
        writeln!(out, "{} {text} changed again by something else right away:", term.out(RED, "warning:"))?;
        o.mismatches.iter().take(NAMED).try_for_each(|path| writeln!(out, "  {path}"))?;
    }
    write!(out, "{}", findings(term, &o.findings))?;
    for path in &o.unreadable {
        writeln!(out, "{} not in the restore point of the state before: {path}", term.out(YELLOW, "note:"))?;
    }
    if let Some(id) = &o.pre_rollback {
        writeln!(out, "State before: {id} (pre_rollback)")?;
    }
    if let Some(dir) = &o.displaced {
        writeln!(out, "Displaced to: {}", show_path(dir))?;
    }
    writeln!(out, "Undo this: {}", term.out(BOLD, undo_command))
}

/// What an abort did, for people.
pub(in crate::cli) fn abort(term: &Term, o: &AbortOutcome) -> String {
    let head = term.out(GREEN, "Taken back:");
    let text = if o.had_begun {
        format!("{head} rollback {} and its changes;\nthe workspace is as it was before it.\n", o.id)
    } else {
        format!("{head} rollback {} had changed nothing yet;\nthe workspace is as it was.\n", o.id)
    };
    text + &findings(term, &o.findings)
}

/// What a restore elsewhere did, for people.
pub(in crate::cli) fn restore(term: &Term, r: &RestoreReport) -> String {
    let what = [
        plural(r.files, "file", "files"),
        plural(r.symlinks, "link", "links"),
        plural(r.directories, "directory", "directories"),
        crate::cli::term::bytes(r.bytes),
    ]
    .join(" · ");
    let mut out = format!("{} {what}\n", term.out(GREEN, "Restored:"));
    let _ = writeln!(out, "Of: {}", r.backup_id);
    let _ = writeln!(out, "To: {}", show_path(&r.directory));
    for (root, directory) in &r.outside {
        let _ = writeln!(out, "Outside: {root} to {}", show_path(directory));
    }
    for (at, target) in &r.turned {
        let _ = writeln!(
            out,
            "{} {}: the link leads to `{}` in the copy, no longer into the workspace",
            term.out(YELLOW, "note:"),
            at.shown(),
            show_path(target)
        );
    }
    for (at, original) in &r.naming {
        let _ = writeln!(
            out,
            "{} {} names `{}`: what is built from the copy reads the workspace itself there;\n{:9}use a relative path, or \
             correct it in the copy",
            term.out(RED, "warning:"),
            at.shown(),
            show_path(original),
            ""
        );
    }
    out.push_str("Nothing else was touched.\n");
    out
}

/// A rollback, an undo or a resumed rollback that was carried out and read back.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct RollbackDone<'a> {
    /// True.
    done: bool,
    /// False.
    dry_run: bool,
    /// The rollback's own id.
    id: &'a Id,
    /// What it was for.
    purpose: &'a Purpose,
    /// Null if a rollback was resumed.
    plan: Option<Plan<'a>>,
    /// The restore point of the state before.
    pre_rollback: Option<&'a Id>,
    counts: Counts,
    /// Changes that were read back and are right.
    verified: u64,
    /// Paths that something else changed right away.
    mismatches: &'a [String],
    /// What cargo will say of the workspace now.
    findings: &'a [Finding],
    /// Paths that the restore point of the state before does not hold.
    unreadable: &'a [String],
    /// Where what was displaced is kept; null if nothing was.
    displaced: Option<String>,
    /// The log of this run.
    log: String,
    /// How long it took.
    seconds: f64,
}

impl<'a> RollbackDone<'a> {
    pub(in crate::cli) fn new(plan: Option<&'a RollbackPlan>, o: &'a RollbackOutcome) -> Self {
        RollbackDone {
            done: true,
            dry_run: false,
            id: &o.id,
            purpose: &o.purpose,
            plan: plan.map(Plan::from),
            pre_rollback: o.pre_rollback.as_ref(),
            counts: o.counts,
            verified: o.verified,
            mismatches: &o.mismatches,
            findings: &o.findings,
            unreadable: &o.unreadable,
            displaced: o.displaced.as_deref().map(show_path),
            log: show_path(&o.log),
            seconds: o.elapsed.as_secs_f64(),
        }
    }
}

/// With --abort: a rollback that was interrupted was taken back.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct RollbackAborted<'a> {
    /// True.
    done: bool,
    aborted: &'a AbortOutcome,
}

impl<'a> RollbackAborted<'a> {
    pub(in crate::cli) fn new(aborted: &'a AbortOutcome) -> Self {
        RollbackAborted { done: true, aborted }
    }
}

/// With --resume or --abort: no rollback was interrupted.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct RollbackNothing {
    /// False.
    done: bool,
    /// What was asked for: `resume` or `abort`.
    nothing_to: &'static str,
}

impl RollbackNothing {
    pub(in crate::cli) fn new(nothing_to: &'static str) -> Self {
        RollbackNothing { done: false, nothing_to }
    }

    pub(in crate::cli) fn human(&self, _: &Term) -> String {
        format!("Nothing to {}: no rollback was interrupted.\n", self.nothing_to)
    }
}

/// With --to: what was restored elsewhere.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct RollbackRestored<'a> {
    /// True.
    done: bool,
    restored: Restored<'a>,
}

/// What a restore elsewhere did.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Restored<'a> {
    /// The restore point.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    backup_id: &'a str,
    /// Where it was restored to.
    directory: String,
    /// Where roots outside the workspace went.
    outside: Vec<RestoredRoot<'a>>,
    /// Files that were written and read back.
    files: u64,
    /// Links that were made.
    symlinks: u64,
    /// Directories that were made.
    directories: u64,
    /// Bytes of file content that were written.
    bytes: u64,
    /// Links that led into the workspace itself, and what they point at in the copy.
    turned: Vec<Turned>,
    /// Manifests and configurations that name the workspace itself by an absolute path; any makes the exit code 1.
    naming: Vec<Naming>,
}

/// Where a root outside the workspace went.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RestoredRoot<'a> {
    root: &'a RootName,
    directory: String,
}

/// A link that leads elsewhere in the copy.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Turned {
    path: String,
    target: String,
}

/// A file that names the workspace itself.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Naming {
    path: String,
    /// What it names.
    directory: String,
}

impl<'a> From<&'a RestoreReport> for RollbackRestored<'a> {
    fn from(r: &'a RestoreReport) -> Self {
        let outside = |(root, directory): &'a (RootName, PathBuf)| RestoredRoot {
            root,
            directory: show_path(directory),
        };
        let turned =
            |(at, target): &(RootedPath, PathBuf)| Turned { path: at.shown(), target: show_path(target) };
        let naming = |(at, directory): &(RootedPath, PathBuf)| Naming {
            path: at.shown(),
            directory: show_path(directory),
        };
        let restored = Restored {
            backup_id: &r.backup_id,
            directory: show_path(&r.directory),
            outside: r.outside.iter().map(outside).collect(),
            files: r.files,
            symlinks: r.symlinks,
            directories: r.directories,
            bytes: r.bytes,
            turned: r.turned.iter().map(turned).collect(),
            naming: r.naming.iter().map(naming).collect(),
        };
        RollbackRestored { done: true, restored }
    }
}
