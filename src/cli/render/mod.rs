//! What the commands print: text for people, one JSON object for programs. Every function makes a string of values
//! that it is given; none prints. The JSON is described in `src/cli/output.schema.json`.

mod backup;
mod checkpoint;
mod checks;
mod ci;
mod diff;
mod drill;
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

use serde_json::{Value, json};

pub(super) use backup::{BackupView, backup, backup_json, unprotected_input};
pub(super) use checkpoint::{checkpoint, checkpoint_json, checkpoint_list};
pub(super) use ci::{Checkout, Group, for_ci};
pub(super) use diff::{DiffView, diff, diff_json, diff_names, diff_stat};
pub(super) use drill::drill;
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
use crate::error::Error;

/// The version of the JSON output; rises when a field changes its meaning or goes.
const OUTPUT: u32 = 1;

/// An object that every command's JSON begins as, and `fields` behind it.
fn object(command: &str, code: u8, fields: Value) -> String {
    let mut map = serde_json::Map::new();
    map.insert("output".into(), json!(OUTPUT));
    map.insert("command".into(), json!(command));
    map.insert("exit_code".into(), json!(code));
    if let Value::Object(fields) = fields {
        map.extend(fields);
    }
    let mut out = String::new();
    // JSON leaves DEL, C1 and what reorders text as they are; a terminal may take them for orders.
    for c in format!("{:#}\n", Value::Object(map)).chars() {
        if c == '\u{7f}' || crate::text::is_deceptive(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// An error as JSON.
pub(super) fn error_json(command: &str, error: &Error, code: u8) -> String {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        causes.push(e.to_string());
        cause = e.source();
    }
    let fields = json!({ "error": {
        "kind": super::exit::name(error.kind()),
        "message": error.to_string(),
        "details": error.details(),
        "causes": causes,
        "help": error.help(),
    }});
    object(command, code, fields)
}

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
