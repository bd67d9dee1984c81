//! What is asked of a rollback.

use crate::live_tree::Asked;
use crate::validate::From;

/// What part of a restore point is asked for.
#[derive(Debug, Clone, Default)]
pub struct RollbackOptions {
    /// Only these paths and packages.
    pub asked: Asked,
    /// What was added stays.
    pub keep_new: bool,
    /// Which copy the files come from.
    pub from: From,
    /// Roots outside the workspace are written too.
    pub outside: bool,
}
