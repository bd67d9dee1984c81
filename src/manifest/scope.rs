//! What a rollback may touch, as it was when the restore point was made; and how that one came about.

use serde::{Deserialize, Serialize};

use super::{Label, PRE_ROLLBACK, RootName};
use crate::path::RelPath;

/// How a restore point came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Origin {
    /// Somebody asked for it.
    Backup,
    /// A rollback made it of the present before it changed anything.
    PreRollback,
    /// A tool made it on its own.
    Automatic,
    /// Somebody asked for it while cargo could not load the workspace: what it holds follows from the restore point
    /// before it and from git.
    BrokenManifest,
}

impl Origin {
    /// That of a restore point whose manifest does not say: its label tells.
    pub(crate) fn of(label: &Label) -> Self {
        if label.as_str() == PRE_ROLLBACK { Origin::PreRollback } else { Origin::Backup }
    }

    /// The one that a word on disk stands for.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [Origin::Backup, Origin::PreRollback, Origin::Automatic, Origin::BrokenManifest];
        all.into_iter().find(|origin| origin.name() == name)
    }

    /// The word that stands for it on disk.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Backup => "backup",
            Origin::PreRollback => "pre_rollback",
            Origin::Automatic => "automatic",
            Origin::BrokenManifest => "broken_manifest",
        }
    }
}

/// What a rollback may touch: written at backup time, so that no later change of rules or settings moves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Scope {
    /// Whether the whole workspace is the scope (`scope = "workspace"`), not its packages.
    #[serde(default)]
    pub whole_workspace: bool,
    /// Whether git's rules judged the files then. Where they did, what git cannot judge later stays.
    pub git: bool,
    /// The directories in the scope: packages, `.cargo`, `.config`, what a build script watches; `None` as path for the root
    /// itself.
    pub directories: Vec<Place>,
    /// What git ignored then, directories collapsed.
    pub ignored: Vec<Place>,
    /// The directories that held a `Cargo.toml` and were not protected.
    pub foreign_packages: Vec<Place>,
    /// All unprotected and unignored directories of the workspace that existed then.
    pub unprotected_directories: Vec<RelPath>,
    /// The names at the workspace root then.
    pub root_entries: Vec<RelPath>,
    /// Patterns of the settings that kept files out, with the root and directory that they count from.
    pub excluded: Vec<Pattern>,
    /// Patterns of the settings that brought files in: one that they name later is an addition. Absent in older ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<Pattern>,
    /// The directories of vendored sources: they are taken whole, whatever git or a name says of what is in them. Absent in
    /// older ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whole: Vec<Place>,
    /// The tops of working trees with a repository of their own that were looked into: one that stands anywhere else later
    /// is another's. Absent in older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkouts: Option<Vec<Checkout>>,
}

impl Scope {
    /// Whether the working tree of `repository` that stands at a place now is not the one that stood there then. `None`
    /// where nobody wrote down which there were.
    pub(crate) fn came_since(&self, root: &RootName, path: &RelPath, repository: Repository) -> Option<bool> {
        let known = self.checkouts.as_ref()?.iter().find(|c| c.root == *root && c.path == *path);
        // What was a submodule has its repository elsewhere; a clone in its place brings its own.
        let replaced = |then: Repository| then == Repository::Elsewhere && repository == Repository::Own;
        Some(known.is_none_or(|c| replaced(c.repository)))
    }
}

/// A working tree with a repository of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Checkout {
    /// The root that it lies in.
    #[serde(default, skip_serializing_if = "RootName::is_workspace")]
    pub root: RootName,
    /// Its top, below that root.
    pub path: RelPath,
    /// Where its repository lay.
    pub repository: Repository,
}

/// Where the repository of a working tree lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Repository {
    /// In the tree's own top directory: a clone.
    Own,
    /// Elsewhere, for this tree alone: most often a submodule.
    Elsewhere,
    /// Elsewhere, for several trees (`git worktree add`, and what other systems have like it).
    Shared,
    /// Nowhere: what leads to it leads to nothing.
    Gone,
}

impl Repository {
    /// The word that stands for it on disk.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Repository::Own => "own",
            Repository::Elsewhere => "elsewhere",
            Repository::Shared => "shared",
            Repository::Gone => "gone",
        }
    }
}

/// A place below a root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Place {
    /// The root.
    #[serde(default, skip_serializing_if = "RootName::is_workspace")]
    pub root: RootName,
    /// The path below it; `None` for the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RelPath>,
}

impl Place {
    /// Whether `path` of root `root` is this place or lies below it.
    pub fn holds(&self, root: &RootName, path: &RelPath) -> bool {
        self.root == *root && self.path.as_ref().is_none_or(|p| path.is_in(p))
    }
}

/// A glob of the settings and the directory that it counts from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pattern {
    /// Where the pattern starts.
    pub base: Place,
    /// The glob: `*`, `**`, `?`, `[…]`, `{…}`.
    pub glob: String,
}
