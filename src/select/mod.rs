//! Which files a restore point protects, each with the reasons why.
//!
//! **Invariant (I2):** the store is never protected, nor are target directories and version control's own; what git
//! tracks inside a target directory is.

mod area;
mod assemble;
mod chosen;
mod extras;
pub(crate) mod gather;
pub(crate) mod git;
pub(crate) mod inputs;
pub(crate) mod read;
pub(crate) mod report;
mod repository;
mod secrets;
mod set;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

use std::path::Path;

use crate::error::Result;
use crate::workspace::Workspace;

pub use inputs::Reader;
pub(crate) use repository::{is_version_control, repository_of};
pub use set::{
    Candidate, InputGap, ProtectedSet, RootDirectory, SkipReason, Skipped, Unprotected, UnprotectedInput,
};

/// Decides what of `workspace` is protected, with the store at `store` (which need not exist yet).
///
/// # Errors
/// Where something that is to be protected cannot be read, all of it by name; and where nothing is protected.
pub fn select(workspace: &Workspace, store: &Path) -> Result<ProtectedSet> {
    assemble::assemble(workspace, store)
}
