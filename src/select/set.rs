//! What selection gives: the protected set, and what is not in it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::inputs::Reader;
use crate::manifest::{FileKind, GitState, Package, Reason, Root, RootName, RootedPath, Scope};
use crate::path::RelPath;

/// The files that a restore point is to hold.
#[derive(Debug, Clone)]
pub struct ProtectedSet {
    /// The directories that the files come from, the workspace (with an empty name) first.
    pub roots: Vec<RootDirectory>,
    /// The packages.
    pub packages: Vec<Package>,
    /// What is protected, sorted by root and path, each once. Every directory above an entry is an entry too.
    pub entries: Vec<Candidate>,
    /// The directories of the packages that the xtask is built from, as [`Manifest::xtask`](crate::manifest::Manifest)
    /// has them.
    pub xtask: Option<Vec<String>>,
    /// What a later rollback may touch.
    pub scope: Scope,
    /// Where cargo builds: relative to the workspace root, or absolute where that lies outside it; escaped.
    pub target_directories: Vec<String>,
    /// Where git stands; `None` without git.
    pub git: Option<GitState>,
    /// Versions of the tools.
    pub tools: BTreeMap<String, String>,
    /// What was found in the protected directories and is not protected, with the reason.
    pub skipped: Vec<Skipped>,
    /// What else in the workspace is not protected, directories collapsed.
    pub unprotected: Vec<Unprotected>,
    /// What a build read and the set does not hold.
    pub unprotected_inputs: Vec<UnprotectedInput>,
    /// Protected files that look as if they held secrets: root and path.
    pub secrets: Vec<RootedPath>,
    /// What the user should know: that git does not work, that a clock is off.
    pub notes: Vec<String>,
}

/// Something that a build read and that is not protected: after a rollback it is what it happens to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnprotectedInput {
    /// The file, absolute.
    pub path: PathBuf,
    /// Who read it.
    pub reader: Reader,
    /// Why it is not protected.
    pub why: InputGap,
}

/// Why an input of the build is not protected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum InputGap {
    /// A pattern of the settings keeps it out.
    Excluded(String),
    /// It lies outside the workspace and every path dependency. The directory is what the setting `outside` would
    /// have to name, relative to the workspace root; `None` where no setting reaches it.
    Outside(Option<PathBuf>),
}

/// A root and where it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDirectory {
    /// As the manifest records it.
    pub root: Root,
    /// The absolute directory, without symbolic links.
    pub directory: PathBuf,
}

/// One file, directory or symbolic link that is to be protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The root that it lies in.
    pub root: RootName,
    /// Where it lies below its root.
    pub path: RelPath,
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes when it was found; 0 for what is not a regular file.
    pub size: u64,
    /// The package that it belongs to.
    pub package: Option<String>,
    /// Why it is protected; at least one.
    pub reasons: Vec<Reason>,
}

impl Candidate {
    /// As [`Entry::stored_path`](crate::manifest::Entry::stored_path).
    pub(crate) fn stored_path(&self) -> RelPath {
        crate::manifest::stored_path(&self.root, &self.path)
    }
}

/// Something that is not protected although it lies in a protected directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// The root that it lies in.
    pub root: RootName,
    /// Where it lies; a directory stands for all that is in it.
    pub path: RelPath,
    /// Why.
    pub why: SkipReason,
}

/// Why something is not protected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is a target directory.
    TargetDirectory,
    /// It is cargo's own state, in a directory that is `CARGO_HOME`.
    CargoHome,
    /// An editor says by it that somebody has a file open.
    Editor,
    /// It belongs to a version control system.
    VersionControl,
    /// It is a store of restore points.
    Store,
    /// It belongs to the working tree of another repository: a linked worktree, or a clone that is no submodule and
    /// holds no package of the workspace.
    OtherCheckout,
    /// It is a root of its own: the workspace, met below a package outside it.
    OtherRoot,
    /// Git ignores it.
    Ignored,
    /// A pattern of the settings keeps it out.
    Excluded(String),
    /// It is a pipe, a socket or a device.
    Special(&'static str),
    /// Its name has a NUL byte or is otherwise impossible to keep.
    Unnameable,
}

/// Something in the workspace outside every protected directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unprotected {
    /// A file, or a directory that holds nothing protected.
    pub path: RelPath,
    /// How many regular files it stands for.
    pub files: u64,
    /// Whether it is a directory.
    pub directory: bool,
}
