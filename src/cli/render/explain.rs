//! What `explain` prints.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::term::{BOLD, CYAN, DIM, GREEN, Term, YELLOW, fill};
use crate::explain::{Explanation, Rule};
use crate::path::show_path;

/// For people: each path as it was given, the verdict, and the rules below it.
pub(in crate::cli) fn explain(term: &Term, root: &Path, explained: &[(&PathBuf, &Explanation)]) -> String {
    let mut out = String::new();
    for (given, e) in explained {
        let (color, verdict) = match (e.exists, e.protected) {
            (true, true) => (GREEN, "protected"),
            (true, false) => (YELLOW, "not protected"),
            (false, true) => (GREEN, "does not exist; it would be protected"),
            (false, false) => (YELLOW, "does not exist; it would not be protected"),
        };
        let _ = writeln!(out, "{}: {}", term.out(BOLD, show_path(given)), term.out(color, verdict));
        for rule in &e.rules {
            let _ = writeln!(out, "  {}", fill(2, rule.text.split(' ').map(str::to_owned)));
            if let Some(place) = place(rule, root) {
                let _ = writeln!(out, "    {}", term.out(DIM, place));
            }
        }
        if let Some(remedy) = &e.remedy {
            let _ = writeln!(out, "  {} {remedy}", term.out(CYAN, "to change that:"));
        }
    }
    out
}

/// `FILE:LINE`, the file from the workspace root on where it lies there.
fn place(rule: &Rule, root: &Path) -> Option<String> {
    let file = rule.file.as_deref()?;
    let file = show_path(file.strip_prefix(root).unwrap_or(file));
    Some(rule.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
}

/// Why `explain` says that paths are protected or not.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ExplainReport<'a> {
    /// In the order in which they were given.
    pub(in crate::cli) paths: &'a [Explanation],
}
