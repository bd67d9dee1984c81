//! The settings in the manifests: `[workspace.metadata.backstop]` and `[package.metadata.backstop]`.
//!
//! An unknown key is an error that names it and the nearest known one: a misspelt `exclude` that is silently
//! passed over would be found out only when the restore point is needed.

mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::level::DrillLevel;
pub(crate) use read::{PACKAGE_TABLE, Source, WORKSPACE_TABLE, read_all, read_package};

/// The checkpoints up to this number are backstop's own.
const LAST_OWN_CHECKPOINT: u32 = 5;

/// What the manifests of a workspace ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The label of new restore points.
    pub label: Option<String>,
    /// Where the store lies; relative to the workspace root, or absolute.
    pub store: Option<PathBuf>,
    /// How much of the workspace is protected.
    pub scope: ScopeSetting,
    /// Patterns that protect more, also what git ignores.
    pub include: Vec<PathPattern>,
    /// Patterns that keep files out; they beat every reason.
    pub exclude: Vec<PathPattern>,
    /// Directories outside the workspace that are protected as roots of their own; relative to the workspace root,
    /// or absolute.
    pub outside: Vec<String>,
    /// Which restore points a prune keeps.
    pub keep: Option<KeepSetting>,
    /// The workspace's own checkpoints, in the order of the manifest.
    pub checkpoints: Vec<CheckpointSetting>,
    /// How cargo is asked whether the workspace compiles.
    pub build: BuildSetting,
    /// How far a drill climbs where nobody says it.
    pub drill: Option<DrillLevel>,
}

/// How cargo is asked whether a workspace compiles, by CP004 and by drills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSetting {
    /// The arguments of `cargo check`: `--workspace --all-targets` where nothing is set.
    pub check: Vec<String>,
    /// The arguments of `cargo test`; `None` where CP004 is to run no tests.
    pub test: Option<Vec<String>>,
}

impl Default for BuildSetting {
    fn default() -> Self {
        BuildSetting { check: vec!["--workspace".into(), "--all-targets".into()], test: None }
    }
}

/// How much of the workspace is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScopeSetting {
    /// The local packages and the files at the workspace root.
    #[default]
    Packages,
    /// All that git does not ignore.
    Workspace,
}

/// A glob and the directory that it counts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    /// The absolute directory of the manifest that holds the pattern.
    pub directory: PathBuf,
    /// The glob; a directory that it matches stands for all that is in it.
    pub glob: String,
}

/// Which restore points a prune keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeepSetting {
    /// The newest.
    pub last: Option<u32>,
    /// The newest of each of so many hours.
    pub hourly: Option<u32>,
    /// The newest of each of so many days.
    pub daily: Option<u32>,
    /// The newest of each of so many weeks.
    pub weekly: Option<u32>,
    /// The newest of each of so many months.
    pub monthly: Option<u32>,
    /// The newest of each of so many years.
    pub yearly: Option<u32>,
    /// All that are younger than this, as text such as `28d`.
    pub within: Option<String>,
    /// How long what was pruned stays in the trash, as text such as `7d`.
    pub grace: Option<String>,
}

/// A checkpoint of the workspace's own: a command that has to succeed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointSetting {
    /// `CP006` or above.
    pub id: String,
    /// What it asks, for people.
    pub name: String,
    /// The program and its arguments; no shell is involved.
    pub run: Vec<String>,
    /// After how many seconds it counts as failed.
    pub timeout: Option<u64>,
    /// The directory that it runs in, relative to the workspace root.
    pub cwd: Option<PathBuf>,
    /// Variables that are set for it.
    pub env: BTreeMap<String, String>,
}

/// Whether a workspace may call a checkpoint of its own so.
pub(crate) fn is_checkpoint_id(id: &str) -> bool {
    let number = id.strip_prefix("CP").filter(|d| d.len() == 3 && d.bytes().all(|b| b.is_ascii_digit()));
    number.and_then(|digits| digits.parse().ok()).is_some_and(|n: u32| n > LAST_OWN_CHECKPOINT)
}
