//! What the commands print. Each has a report, a value: programs get it as JSON in one envelope, people get a text that is
//! made of it or of what it is made of. Nothing here prints. `src/cli/output.schema.json` describes the JSON; a test makes it
//! from the types.

mod backup;
mod checkpoint;
mod checks;
mod ci;
mod diff;
mod drill;
mod envelope;
mod explain;
#[cfg(feature = "install")]
mod init;
mod list;
mod plan;
mod preflight;
mod prune;
mod recover;
mod rollback;
mod show;
mod validate;

use std::path::PathBuf;

pub(super) use backup::{Backup, backup, inputs};
pub(super) use checkpoint::{CheckpointList, CheckpointReport, checkpoint};
pub(super) use ci::{Checkout, Group, for_ci};
#[cfg(test)]
pub(super) use diff::change_words;
pub(super) use diff::{DiffReport, DiffView, diff, diff_names, diff_stat};
pub(super) use drill::drill;
#[cfg(test)]
pub(super) use envelope::{Envelope, VERSION};
pub(super) use envelope::{ErrorReport, error_json, json};
pub(super) use explain::{ExplainReport, explain};
#[cfg(feature = "install")]
pub(super) use init::{InitReport, TextReport, init};
pub(super) use list::{ListReport, list};
pub(super) use plan::{RollbackPlanned, plan, plan_end};
pub(super) use preflight::{
    PreflightReport, PreflightView, StatusReport, preflight, preflight_groups, status, status_without_store,
};
pub(super) use prune::{PinReport, PruneEmptied, PruneReport, PruneRestored, prune, restored};
pub(super) use recover::{Recovery, recover, repair};
pub(super) use rollback::{
    RollbackAborted, RollbackDone, RollbackNothing, RollbackRestored, abort, findings, outcome, restore,
};
pub(super) use show::{ShowEntries, ShowReport, show, show_entries};
pub(super) use validate::{ValidateReport, validate};

use super::env::PROGRAM;
use super::term::shell;

/// How a state is brought back, as a person would type it.
pub(super) struct BringBack {
    /// What the person called the program: see [`called`](super::env::called).
    pub(super) program: &'static str,
    /// The copied executable, as seen from the current directory.
    pub(super) executable: Option<PathBuf>,
}

impl BringBack {
    /// The command that was used, or else the copied executable's.
    pub(super) fn command(&self, what: &str) -> String {
        match &self.executable {
            Some(path) if self.program == PROGRAM => format!("{} {what}", shell(path)),
            _ => format!("{} {what}", self.program),
        }
    }

    /// The one that needs no cargo.
    pub(super) fn without_cargo(&self, what: &str) -> Option<String> {
        self.executable.as_ref().map(|path| format!("{} {what}", shell(path)))
    }
}
