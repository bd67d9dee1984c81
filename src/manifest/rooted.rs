//! Which directory a path counts from.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::path::RelPath;

/// A directory that paths count from. As text, in JSON and in the records of a store, the workspace has no name.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootName {
    /// The workspace.
    #[default]
    Workspace,
    /// A directory outside it, by its name below `outside/`.
    Outside(String),
}

impl RootName {
    /// The name as text; empty for the workspace.
    pub fn as_str(&self) -> &str {
        match self {
            RootName::Workspace => "",
            RootName::Outside(name) => name,
        }
    }

    /// Whether it is the workspace.
    pub fn is_workspace(&self) -> bool {
        matches!(self, RootName::Workspace)
    }

    /// Whether it names a directory right below the one that it is joined to: what comes from outside may not.
    pub(crate) fn is_safe(&self) -> bool {
        match self {
            RootName::Workspace => true,
            RootName::Outside(name) => RelPath::new(name).is_ok_and(|path| path.parent().is_none()),
        }
    }
}

impl From<String> for RootName {
    fn from(name: String) -> Self {
        if name.is_empty() { RootName::Workspace } else { RootName::Outside(name) }
    }
}

impl From<&str> for RootName {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl AsRef<[u8]> for RootName {
    fn as_ref(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl fmt::Display for RootName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RootName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for RootName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RootName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A path of a root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootedPath {
    /// The directory that it counts from.
    pub root: RootName,
    /// The path below that.
    pub path: RelPath,
}

impl RootedPath {
    /// `path` of `root`.
    pub fn new(root: &RootName, path: &RelPath) -> Self {
        RootedPath { root: root.clone(), path: path.clone() }
    }

    /// The path as it is shown: below the workspace root, or `ROOT:path` outside it.
    pub fn shown(&self) -> String {
        shown(&self.root, &self.path)
    }
}

/// As [`RootedPath::shown`].
pub(crate) fn shown(root: &RootName, path: &RelPath) -> String {
    if root.is_workspace() { path.to_string() } else { format!("{root}:{path}") }
}
