//! What a run of checkpoints said.

use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Check, all_passed, passed_count};
use crate::manifest::Id;

/// The two whose verdicts together say whether what the newest restore point holds compiles.
const SAME: &str = "CP003";
pub(super) const COMPILES: &str = "CP004";

/// What all of them said.
#[derive(Debug, Clone)]
pub struct CheckpointsReport {
    /// By which the report is known on disk.
    pub id: Id,
    /// One for each, in order.
    pub checkpoints: Vec<Check>,
    /// The report on disk; absent where the store cannot be written to.
    pub file: Option<PathBuf>,
    /// The log.
    pub log: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

impl CheckpointsReport {
    /// How many passed.
    pub fn passed_count(&self) -> usize {
        passed_count(&self.checkpoints)
    }

    /// Whether what the newest restore point holds compiles, where both were asked: that the workspace is the same, and
    /// that it compiles.
    pub fn compiled(&self) -> Option<bool> {
        let verdict = |id| self.checkpoints.iter().find(|c| c.id == id).map(Check::passed);
        verdict(COMPILES).filter(|_| verdict(SAME) == Some(true))
    }

    /// Whether one passed and none failed.
    pub fn passed(&self) -> bool {
        all_passed(&self.checkpoints)
    }
}
