//! What `init`, `completions` and `man` print.

use std::fmt::Write;

use serde::Serialize;

use crate::cli::term::{CYAN, GREEN, RED, Term, YELLOW, plural, sentences};
use crate::init::{ByHand, Change, InitPlan};
use crate::path::{show_path, show_text};

/// For people: what was or would be made, with each line where it is not yet; then what is left to do.
pub(in crate::cli) fn init(term: &Term, plan: &InitPlan, dry_run: bool) -> String {
    let mut out = String::new();
    for change in &plan.changes {
        let verb = match (dry_run, change.before.is_some()) {
            (true, false) => "create",
            (true, true) => "change",
            (false, false) => "Created",
            (false, true) => "Changed",
        };
        let _ = writeln!(out, "{}  {}", term.out(GREEN, format!("{verb:>12}")), show_path(&change.path));
        if dry_run {
            listing(&mut out, term, change);
        }
    }
    for lines in &plan.by_hand {
        let place = format!("Add to {}, {}:", show_path(&lines.path), show_text(&lines.place));
        let _ = writeln!(out, "\n{}", term.out(YELLOW, sentences(0, &place)));
        lines.lines.lines().for_each(|line| {
            let _ = writeln!(out, "{}", format!("    {}", show_text(line)).trim_end());
        });
    }
    if !plan.changes.is_empty() || !plan.by_hand.is_empty() {
        out.push('\n');
    }
    for note in &plan.notes {
        let _ = writeln!(out, "{} {}", term.out(CYAN, "note:"), sentences(6, note));
    }
    let _ = writeln!(out, "{}", sentences(0, &last_line(plan, dry_run)));
    out
}

fn last_line(plan: &InitPlan, dry_run: bool) -> String {
    let created = plan.changes.iter().filter(|c| c.before.is_none()).count() as u64;
    let counts: Vec<String> = [(created, "created"), (plan.changes.len() as u64 - created, "changed")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", plural(n, "file", "files")))
        .collect();
    let mut out = match (counts.is_empty(), dry_run) {
        (true, _) if plan.by_hand.is_empty() => "Nothing to do: backstop is in the workspace".to_owned(),
        (true, _) => "Nothing was changed: what is missing is code of yours, to be added by hand".to_owned(),
        (false, true) => format!("Dry run, nothing was changed. It would be: {}", counts.join(", ")),
        (false, false) => format!("Done: {}", counts.join(", ")),
    };
    if dry_run && !counts.is_empty() {
        return out;
    }
    if !plan.by_hand.is_empty() {
        out += "\nAnd then: `cargo xtask backup`";
    } else if !counts.is_empty() {
        out += "\nTry it: `cargo xtask backup` (Cargo.lock gains the xtask's dependencies)";
    }
    out
}

/// The lines that are new, with those around them.
fn listing(out: &mut String, term: &Term, change: &Change) {
    const AROUND: usize = 2;
    let old: Vec<&str> = change.before.as_deref().unwrap_or_default().lines().collect();
    let new: Vec<&str> = change.after.lines().collect();
    let lines = compare(&old, &new);
    let near = |i: usize| {
        let (from, to) = (i.saturating_sub(AROUND), (i + AROUND).min(lines.len() - 1));
        lines[from..=to].iter().any(|(sign, _)| *sign != ' ')
    };
    let mut gap = false;
    for (i, (sign, line)) in lines.iter().enumerate() {
        if !near(i) {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && i > 0 {
            let _ = writeln!(out, "    …");
        }
        let text = format!("  {sign} {}", show_text(line));
        let text = text.trim_end();
        let _ = match sign {
            '+' => writeln!(out, "{}", term.out(GREEN, text)),
            '-' => writeln!(out, "{}", term.out(RED, text)),
            _ => writeln!(out, "{text}"),
        };
    }
}

/// The lines of both, each with a sign: `+` where only the new text has it, `-` where only the old one has.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[start..], &new[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    // The longest common subsequence; what is between the first and the last change is short.
    let mut longest = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] = if a[i] == b[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let mut out: Vec<(char, &str)> = new[..start].iter().map(|l| (' ', *l)).collect();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push((' ', b[j]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || longest[i + 1][j] >= longest[i][j + 1]) {
            out.push(('-', a[i]));
            i += 1;
        } else {
            out.push(('+', b[j]));
            j += 1;
        }
    }
    out.extend(new[new.len() - end..].iter().map(|l| (' ', *l)));
    out
}

/// What `init` did, or with --dry-run would do, to a workspace.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct InitReport<'a> {
    /// Whether nothing was changed.
    dry_run: bool,
    /// The workspace's root.
    root: String,
    /// The files that were made or added to, in that order.
    changes: Vec<ChangedFile<'a>>,
    /// What a person has to add.
    by_hand: &'a [ByHand],
    /// What was there already, for people.
    in_place: &'a [String],
    /// For people.
    notes: &'a [String],
}

/// A file that was made or added to.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ChangedFile<'a> {
    /// Below the root.
    path: String,
    /// Whether there was none.
    created: bool,
    /// The whole file.
    content: &'a str,
}

impl<'a> InitReport<'a> {
    pub(in crate::cli) fn new(plan: &'a InitPlan, dry_run: bool) -> Self {
        let changed = |c: &'a Change| ChangedFile {
            path: show_path(&c.path),
            created: c.before.is_none(),
            content: &c.after,
        };
        InitReport {
            dry_run,
            root: show_path(&plan.root),
            changes: plan.changes.iter().map(changed).collect(),
            by_hand: &plan.by_hand,
            in_place: &plan.in_place,
            notes: &plan.notes,
        }
    }
}

/// A file for `completions` or `man`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct TextReport<'a> {
    /// The file: what a shell reads, or roff.
    pub(in crate::cli) text: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_compared_with_what_is_around_them() {
        let (old, new) = (["a", "b", "c", "d"], ["a", "x", "b", "d", "e"]);
        let signs: String = compare(&old, &new).iter().map(|(s, l)| format!("{s}{l} ")).collect();
        assert_eq!(signs, " a +x  b -c  d +e ");
        assert_eq!(compare(&[], &["a"]), [('+', "a")]);
        assert_eq!(compare(&["a"], &["a"]), [(' ', "a")]);
    }
}
