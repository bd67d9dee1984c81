//! What `rollback` prints. A person who reads it is frightened: every line is true, short, and says what is next.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::envelope;
use crate::check::Finding;
use crate::cli::term::{BOLD, CYAN, DIM, GREEN, RED, Term, YELLOW, brief, fill, plural};
use crate::clock::show_duration;
use crate::live_tree::FileState;
use crate::manifest::{GitState, RootedPath};
use crate::path::{show_path, show_text};
use crate::rollback::{
    AbortOutcome, Action, Counts, Purpose, RestoreReport, RollbackOutcome, RollbackPlan, Verb,
};
use crate::store::Store;

/// Below so many changes each one is named.
const NAMED: usize = 200;
/// So many things that stay are named.
const LEFT_NAMED: usize = 20;

/// Where git stood: `main 3fce3b5`.
pub(in crate::cli) fn git(state: &GitState) -> String {
    let branch = state.branch.as_ref().map_or("detached".into(), |b| show_text(b));
    match &state.head {
        Some(head) => format!("{branch} {}", head.get(..9).unwrap_or(head)),
        None => format!("{branch}, no commit yet"),
    }
}

/// The plan for people.
pub(in crate::cli) fn plan(term: &Term, store: &Store, plan: &RollbackPlan, verbose: bool) -> String {
    let mut out = String::new();
    let _ = head(&mut out, term, store, plan);
    if plan.actions.len() < NAMED || verbose {
        plan.actions.iter().for_each(|a| line(&mut out, term, a));
    } else {
        let _ = writeln!(
            out,
            "              {}",
            term.out(DIM, format!("{} changes: -v names each", plan.actions.len()))
        );
    }
    let named = if verbose { usize::MAX } else { LEFT_NAMED };
    for (path, why) in plan.left_alone.iter().take(named) {
        let verb = term.out(DIM, format!("{:>12}", "leave alone"));
        let _ = writeln!(out, "{verb}  {path}  {}", term.out(DIM, format!("({why})")));
    }
    if plan.left_alone.len() > named {
        let more = plan.left_alone.len() - named;
        let _ = writeln!(out, "              {}", term.out(DIM, format!("… and {more} more left alone")));
    }
    outside(&mut out, term, plan);
    out
}

fn head(out: &mut String, term: &Term, store: &Store, plan: &RollbackPlan) -> std::fmt::Result {
    let verb = |text: &str| term.out(CYAN, format!("{text:>12}"));
    writeln!(out, "{}  {}", verb("Workspace"), show_path(store.root()))?;
    match &plan.purpose {
        Purpose::Rollback { .. } => {
            let message = plan.message.as_ref().map_or(String::new(), |m| format!("  \"{}\"", brief(m)));
            let beside = plan.target.chars().count() + message.chars().count() <= 66;
            let message =
                if beside { message } else { format!("\n{}{}", " ".repeat(14), message.trim_start()) };
            writeln!(out, "{}  {}{message}", verb("Back to"), term.out(BOLD, &plan.target))?;
        }
        Purpose::Undo { of } => {
            writeln!(out, "{}  {}", verb("Undo"), term.out(BOLD, format!("rollback {of}")))?;
            writeln!(out, "{}  {}", verb("Back to"), plan.target)?;
            if let Some(message) = &plan.message {
                writeln!(out, "{:>14}{}", "", fill(14, message.split(' ')))?;
            }
        }
    }
    match (&plan.git_then, &plan.git_now) {
        (Some(then), Some(now)) if then == now => writeln!(out, "{}  {}", verb("Git"), git(now)),
        (Some(then), Some(now)) => {
            writeln!(out, "{}  then {}, now {}", verb("Git"), git(then), git(now))?;
            writeln!(out, "{:>14}git itself is not touched", "")
        }
        _ => Ok(()),
    }
}

fn line(out: &mut String, term: &Term, action: &Action) {
    let (word, style) = match action.verb() {
        Verb::Create => ("create", GREEN),
        Verb::CreateDirectory => ("create dir", GREEN),
        Verb::Replace => ("replace", YELLOW),
        Verb::ChangeMode => ("change mode", YELLOW),
        Verb::Displace => ("move out", RED),
        Verb::RemoveDirectory => ("remove dir", RED),
    };
    let word = term.out(style, format!("{word:>12}"));
    let detail = match (action.verb(), &action.before, &action.after) {
        (Verb::ChangeMode, Some(before), Some(after)) => match (before.mode(), after.mode()) {
            (Some(a), Some(b)) => format!("  {a} -> {b}"),
            _ => String::new(),
        },
        (Verb::Replace, Some(before), Some(after)) if before.noun() != after.noun() => {
            format!("  ({} -> {})", before.noun(), after.noun())
        }
        _ => String::new(),
    };
    let _ = writeln!(out, "{word}  {}{}", action.shown(), term.out(DIM, detail));
}

fn outside(out: &mut String, term: &Term, plan: &RollbackPlan) {
    if plan.outside_differences.is_empty() {
        return;
    }
    let n = plan.outside_differences.len() as u64;
    let word = term.out(YELLOW, format!("{:>12}", "outside"));
    let _ = writeln!(
        out,
        "{word}  {} outside the workspace; --outside writes them",
        plural(n, "path differs", "paths differ")
    );
    for path in plan.outside_differences.iter().take(LEFT_NAMED) {
        let _ = writeln!(out, "              {path}");
    }
}

/// `3 created, 1 replaced`, with what is zero left out; the directories by themselves, where there are any.
fn counted(c: Counts) -> (String, Option<String>) {
    let join = |counts: &[(u64, &str)]| {
        let some = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        Some(some.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    let files = join(&[
        (c.created, "created"),
        (c.replaced, "replaced"),
        (c.mode_changed, "mode changed"),
        (c.displaced, "moved out"),
        (c.left_alone, "left alone"),
    ]);
    let directories = join(&[(c.directories_created, "created"), (c.directories_removed, "removed")]);
    let nothing = if directories.is_some() { "no files" } else { "nothing" };
    (files.unwrap_or_else(|| nothing.into()), directories.map(|text| format!("Directories: {text}")))
}

/// The end of a plan that is not carried out.
pub(in crate::cli) fn plan_end(plan: &RollbackPlan) -> String {
    let n = plan.counts.unchanged;
    if plan.is_empty() {
        return format!(
            "Nothing to do: {}.\n",
            plural(n, "file is as the restore point has it", "files are as the restore point has them")
        );
    }
    let (files, directories) = counted(plan.counts);
    let directories = directories.map_or(String::new(), |text| format!("  {text}\n"));
    let right = plural(n, "file is right already", "files are right already");
    format!("Dry run, nothing was changed. It would be:\n  {files}\n{directories}  {right}\n")
}

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
        writeln!(out, "Moved out to: {}", show_path(dir))?;
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

fn thing(thing: Option<&FileState>) -> Value {
    match thing {
        None => Value::Null,
        Some(FileState::File { attributes, size, sha256 }) => {
            json!({ "kind": "file", "mode": attributes.mode, "size": size, "sha256": sha256 })
        }
        Some(FileState::Directory { mode }) => json!({ "kind": "directory", "mode": mode }),
        Some(FileState::Symlink { target }) => json!({ "kind": "symlink", "target": target }),
        Some(FileState::Special) => json!({ "kind": "special" }),
    }
}

fn purpose(purpose: &Purpose) -> Value {
    match purpose {
        Purpose::Rollback { to } => json!({ "kind": "rollback", "to": to }),
        Purpose::Undo { of } => json!({ "kind": "undo", "of": of }),
    }
}

fn plan_fields(plan: &RollbackPlan) -> Value {
    let actions: Vec<_> = plan
        .actions
        .iter()
        .map(|a| {
            json!({
                "action": a.verb().past(),
                "path": a.shown(),
                "before": thing(a.before.as_ref()),
                "after": thing(a.after.as_ref()),
            })
        })
        .collect();
    let left: Vec<_> = plan
        .left_alone
        .iter()
        .map(|(path, why)| json!({ "path": path, "reason": why.to_string() }))
        .collect();
    json!({
        "purpose": purpose(&plan.purpose),
        "target": plan.target,
        "target_created": plan.target_created,
        "message": plan.message,
        "git_then": plan.git_then,
        "git_now": plan.git_now,
        "actions": actions,
        "left_alone": left,
        "outside_differences": plan.outside_differences,
        "findings": found(&plan.findings),
        "counts": plan.counts,
    })
}

fn found(findings: &[Finding]) -> Vec<Value> {
    findings.iter().map(|f| json!({ "place": f.place, "problem": f.problem })).collect()
}

/// A plan that is not carried out, for programs.
pub(in crate::cli) fn plan_json(plan: &RollbackPlan, dry_run: bool) -> String {
    let code = u8::from(!plan.findings.is_empty());
    envelope::json("rollback", code, &json!({ "done": false, "dry_run": dry_run, "plan": plan_fields(plan) }))
}

/// What was done, for programs.
pub(in crate::cli) fn outcome_json(plan: Option<&RollbackPlan>, o: &RollbackOutcome, code: u8) -> String {
    let fields = json!({
        "done": true,
        "dry_run": false,
        "id": o.id,
        "purpose": purpose(&o.purpose),
        "plan": plan.map(plan_fields),
        "pre_rollback": o.pre_rollback,
        "counts": o.counts,
        "verified": o.verified,
        "mismatches": o.mismatches,
        "findings": found(&o.findings),
        "unreadable": o.unreadable,
        "displaced": o.displaced.as_ref().map(|p| show_path(p)),
        "log": show_path(&o.log),
        "seconds": o.elapsed.as_secs_f64(),
    });
    envelope::json("rollback", code, &fields)
}

/// What an abort did, for programs.
pub(in crate::cli) fn abort_json(o: &AbortOutcome, code: u8) -> String {
    let fields = json!({
        "done": true,
        "aborted": {
            "id": o.id,
            "actions": o.actions,
            "had_begun": o.had_begun,
            "findings": found(&o.findings),
            "log": show_path(&o.log),
        },
    });
    envelope::json("rollback", code, &fields)
}

/// Nothing was cut off, for programs.
pub(in crate::cli) fn nothing_json(asked: &str) -> String {
    envelope::json("rollback", 0, &json!({ "done": false, "nothing_to": asked }))
}

/// What a restore elsewhere did, for programs.
pub(in crate::cli) fn restore_json(r: &RestoreReport, code: u8) -> String {
    let pairs = |list: &[(RootedPath, PathBuf)], second: &str| -> Vec<Value> {
        list.iter().map(|(at, other)| json!({ "path": at.shown(), second: show_path(other) })).collect()
    };
    let outside: Vec<_> = r
        .outside
        .iter()
        .map(|(root, directory)| json!({ "root": root, "directory": show_path(directory) }))
        .collect();
    let fields = json!({
        "done": true,
        "restored": {
            "backup_id": r.backup_id,
            "directory": show_path(&r.directory),
            "outside": outside,
            "files": r.files,
            "symlinks": r.symlinks,
            "directories": r.directories,
            "bytes": r.bytes,
            "turned": pairs(&r.turned, "target"),
            "naming": pairs(&r.naming, "directory"),
        },
    });
    envelope::json("rollback", code, &fields)
}
