//! What the commands print: text for people, one JSON object for programs. Every function makes a string of values
//! that it is given; none prints. The JSON is described in `src/cli/output.schema.json`.

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
mod preflight;
mod prune;
mod recover;
mod rollback;
mod show;
mod validate;

use std::path::PathBuf;

pub(super) use backup::{BackupView, backup, backup_json, unprotected_input};
pub(super) use checkpoint::{checkpoint, checkpoint_json, checkpoint_list};
pub(super) use ci::{Checkout, Group, for_ci};
pub(super) use diff::{DiffView, diff, diff_json, diff_names, diff_stat};
pub(super) use drill::drill;
pub(super) use envelope::{ErrorReport, error_json};
pub(super) use explain::{explain, explain_json};
#[cfg(feature = "install")]
pub(super) use init::{file_json, init, init_json};
pub(super) use list::{list, list_json};
pub(super) use preflight::{
    PreflightView, StatusView, preflight, preflight_groups, preflight_json, status, status_report_json,
    status_without_store,
};
pub(super) use prune::{PruneView, emptied, pinned, prune, prune_json, restored};
pub(super) use recover::{recover, recover_json, repair};
pub(super) use rollback::{
    abort, abort_json, findings, nothing_json, outcome, outcome_json, plan, plan_end, plan_json, restore,
    restore_json,
};
pub(super) use show::{show, show_entries, show_entries_json, show_json};
pub(super) use validate::{validate, validate_json};

use super::term::shell;

/// How a state is brought back, as a person would type it.
pub(super) struct BringBack {
    /// Whether backstop runs as `cargo xtask`.
    pub(super) through_cargo: bool,
    /// The copied executable, as seen from the current directory.
    pub(super) executable: Option<PathBuf>,
}

impl BringBack {
    /// The command that was used, or else the copied executable's.
    pub(super) fn command(&self, what: &str) -> String {
        match (self.through_cargo, &self.executable) {
            (false, Some(path)) => format!("{} {what}", shell(path)),
            (true, _) => format!("cargo xtask {what}"),
            (false, None) => format!("backstop {what}"),
        }
    }

    /// The one that needs no cargo.
    pub(super) fn without_cargo(&self, what: &str) -> Option<String> {
        self.executable.as_ref().map(|path| format!("{} {what}", shell(path)))
    }
}
