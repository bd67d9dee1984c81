//! One row of the scenario table: data, and the words to write it with.

use super::road::Road;
use crate::cli::Cli;
use crate::support::World;

/// What the workspace is to be afterwards.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tree {
    /// As it was backed up.
    Back,
    /// As it was backed up, but these paths, and what is below them, as they were before the run.
    BackBut(&'static [&'static str]),
    /// As it was before the run.
    Untouched,
    /// As it was before the run, but these paths, and what is below them, as they were backed up.
    UntouchedBut(&'static [&'static str]),
    /// As it was before the run, but these files have these contents.
    With(&'static [(&'static str, &'static str)]),
}

/// A scenario.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) fixture: &'static str,
    /// What the workspace has beyond the fixture when it is backed up.
    pub(super) furnish: fn(&World),
    /// What happens to workspace and store afterwards. It has to do the same each time that it is called.
    pub(super) edit: fn(&World),
    /// The command lines, and how each ends.
    pub(super) runs: Vec<(&'static [&'static str], i32)>,
    pub(super) tree: Tree,
    /// What the last run says, on whichever stream, wherever its lines are broken.
    pub(super) says: Vec<&'static str>,
    pub(super) start: fn(Cli, &World) -> Cli,
    /// Where the workspace stands after the edit, beside its old place.
    pub(super) moved: Option<&'static str>,
    /// Where the store stands, beside the workspace.
    pub(super) store: Option<&'static str>,
    /// The store stands on another file system than the workspace.
    pub(super) apart: bool,
    /// Everything belongs to somebody whom permission bits bind, and he runs it.
    pub(super) bound: bool,
    /// Whether a rollback is interrupted afterwards.
    pub(super) cut_off: bool,
    /// Each road says it in its own way.
    pub(super) own_words: bool,
    /// Roads that lack what they would need, and may say so with exit code 3, nothing changed.
    pub(super) may_refuse: &'static [Road],
    /// The newest closed journal was damaged by the row.
    pub(super) journal_lost: bool,
    /// Roads that end otherwise here, which a test of their own says.
    pub(super) without: &'static [Road],
    /// How a road that does less ends instead of the row's way: with this exit code, and nothing changed.
    pub(super) instead: Option<(&'static [Road], i32)>,
    /// What `rollback.sh` leaves as it was before the run, and names, beyond what the others leave.
    pub(super) left_by_bash: &'static [&'static str],
}

/// What the scripts of few flags do not take.
pub(super) const DROPPED: &[&str] = &[
    "--only",
    "--keep-new",
    "--outside",
    "--no-wait",
    "--resume",
    "--abort",
    "--store",
    "--manifest-path",
    "--quiet",
    "--verbose",
    "-q",
    "-v",
];

/// The scripts of few flags.
pub(super) const SHORT: &[Road] = &[Road::Bash, Road::Python];

pub(super) const BACK: &[&str] = &["-t", "latest", "-f"];

/// A rollback to the newest restore point of the fixture `virtual` that brings everything back.
pub(super) fn row(name: &'static str, edit: fn(&World)) -> Row {
    Row {
        name,
        fixture: "virtual",
        furnish: |_| {},
        edit,
        runs: vec![(BACK, 0)],
        tree: Tree::Back,
        says: Vec::new(),
        start: |cli, _| cli,
        moved: None,
        store: None,
        apart: false,
        bound: false,
        cut_off: false,
        own_words: false,
        may_refuse: &[],
        journal_lost: false,
        without: &[],
        instead: None,
        left_by_bash: &[],
    }
}

impl Row {
    pub(super) fn with(self, furnish: fn(&World)) -> Self {
        Row { furnish, ..self }
    }

    pub(super) fn fixture(self, fixture: &'static str) -> Self {
        Row { fixture, ..self }
    }

    /// The one command line, and how it ends.
    pub(super) fn runs(self, args: &'static [&'static str], code: i32) -> Self {
        Row { runs: vec![(args, code)], ..self }
    }

    /// One more command line.
    pub(super) fn then(mut self, args: &'static [&'static str], code: i32) -> Self {
        self.runs.push((args, code));
        self
    }

    pub(super) fn leaves(self, tree: Tree) -> Self {
        Row { tree, ..self }
    }

    /// It is refused with this exit code, and nothing changes.
    pub(super) fn refused(mut self, code: i32) -> Self {
        if let Some(last) = self.runs.last_mut() {
            last.1 = code;
        }
        self.leaves(Tree::Untouched)
    }

    pub(super) fn says(mut self, text: &'static str) -> Self {
        self.says.push(text);
        self
    }

    pub(super) fn started(self, start: fn(Cli, &World) -> Cli) -> Self {
        Row { start, ..self }
    }

    pub(super) fn moved(self, to: &'static str) -> Self {
        Row { moved: Some(to), ..self }
    }

    pub(super) fn stored(self, at: &'static str) -> Self {
        Row { store: Some(at), ..self }
    }

    pub(super) fn stored_on_another_file_system(self) -> Self {
        Row { apart: true, ..self }
    }

    pub(super) fn bound_by_permissions(self) -> Self {
        Row { bound: true, ..self }
    }

    pub(super) fn cut_off(self) -> Self {
        Row { cut_off: true, ..self }
    }

    pub(super) fn leaves_a_damaged_journal(self) -> Self {
        Row { journal_lost: true, ..self }
    }

    pub(super) fn may_be_refused_by(self, roads: &'static [Road]) -> Self {
        Row { may_refuse: roads, ..self }
    }

    pub(super) fn without(self, roads: &'static [Road]) -> Self {
        Row { without: roads, ..self }
    }

    pub(super) fn refused_by(self, roads: &'static [Road], code: i32) -> Self {
        Row { instead: Some((roads, code)), ..self }
    }

    pub(super) fn left_by_bash(self, paths: &'static [&'static str]) -> Self {
        Row { left_by_bash: paths, ..self }
    }

    pub(super) fn in_its_own_words(self) -> Self {
        Row { own_words: true, ..self }
    }
}
