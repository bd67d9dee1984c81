//! The plan of a rollback: what `rollback` prints before it asks, and with --dry-run.

use std::fmt::Write;

use serde::Serialize;

use super::diff::{Left, State, left};
use crate::check::Finding;
use crate::cli::term::{BOLD, CYAN, DIM, GREEN, RED, Term, YELLOW, brief, fill, plural, text_columns};
use crate::manifest::GitState;
use crate::path::{show_path, show_text};
use crate::rollback::{Action, Counts, Purpose, RollbackPlan, Verb};
use crate::store::Store;

/// Below so many changes each one is named.
pub(super) const NAMED: usize = 200;
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
            let beside = text_columns(&plan.target) + text_columns(&message) <= 66;
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
        Verb::Displace => ("displace", RED),
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
pub(super) fn counted(c: Counts) -> (String, Option<String>) {
    let join = |counts: &[(u64, &str)]| {
        let some = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        Some(some.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    let files = join(&[
        (c.created, "created"),
        (c.replaced, "replaced"),
        (c.mode_changed, "mode changed"),
        (c.displaced, "displaced"),
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

/// What a rollback changes.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Plan<'a> {
    /// What it is for.
    purpose: &'a Purpose,
    /// What it goes back to, for people: a backup id.
    target: &'a str,
    /// When that was made.
    target_created: &'a str,
    /// What the user said of it.
    message: Option<&'a str>,
    /// Where git stood then; null without git.
    git_then: Option<&'a GitState>,
    /// Where it stands now; null without git.
    git_now: Option<&'a GitState>,
    /// In the order of the paths.
    actions: Vec<PlannedAction<'a>>,
    /// What is not in the restore point and stays all the same.
    left_alone: Vec<Left<'a>>,
    /// Paths outside the workspace that differ, and are written only with --outside.
    outside_differences: &'a [String],
    /// What cargo will say of the workspace then.
    findings: &'a [Finding],
    counts: Counts,
}

/// What is done at one path.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PlannedAction<'a> {
    /// In the past tense.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::ActionWord"))]
    action: &'static str,
    path: String,
    /// What stands there before; null: nothing.
    before: Option<State<'a>>,
    /// What stands there after; null: nothing.
    after: Option<State<'a>>,
}

impl<'a> From<&'a RollbackPlan> for Plan<'a> {
    fn from(plan: &'a RollbackPlan) -> Self {
        let planned = |a: &'a Action| PlannedAction {
            action: a.verb().past(),
            path: a.shown(),
            before: a.before.as_ref().map(State::from),
            after: a.after.as_ref().map(State::from),
        };
        Plan {
            purpose: &plan.purpose,
            target: &plan.target,
            target_created: &plan.target_created,
            message: plan.message.as_deref(),
            git_then: plan.git_then.as_ref(),
            git_now: plan.git_now.as_ref(),
            actions: plan.actions.iter().map(planned).collect(),
            left_alone: left(&plan.left_alone),
            outside_differences: &plan.outside_differences,
            findings: &plan.findings,
            counts: plan.counts,
        }
    }
}

/// A plan that was not carried out: a dry run, or there was nothing to do.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct RollbackPlanned<'a> {
    /// False.
    done: bool,
    /// Whether --dry-run was given. False: every file is right already.
    dry_run: bool,
    plan: Plan<'a>,
}

impl<'a> RollbackPlanned<'a> {
    pub(in crate::cli) fn new(plan: &'a RollbackPlan, dry_run: bool) -> Self {
        RollbackPlanned { done: false, dry_run, plan: plan.into() }
    }
}
