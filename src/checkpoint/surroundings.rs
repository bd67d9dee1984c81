//! What a checkpoint is given, and what it gives back.

use crate::check::Check;
use crate::event::Context;
use crate::store::Store;
use crate::workspace::Workspace;

/// What a checkpoint looks at.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The workspace, as cargo metadata describes it.
    pub workspace: &'a Workspace,
    /// Its store.
    pub store: &'a Store,
    /// The cargo to run.
    pub cargo: &'a std::ffi::OsStr,
    /// The running program.
    pub executable: Option<&'a std::path::Path>,
    /// A directory outside every workspace for scratch copies, made where it is missing.
    pub scratch: &'a std::path::Path,
    /// The time, the wish to stop, and who watches.
    pub context: &'a Context<'a>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Surroundings of {}", crate::path::show_path(&self.workspace.root))
    }
}

/// What a checkpoint found. Its id, title and time are filled in by whoever runs it.
pub type Checked = Check;

/// The error of a checkpoint that could not look: it counts as failed.
pub type CheckError = Box<dyn std::error::Error + Send + Sync>;
