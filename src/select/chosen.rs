//! What one protected path is, and why it is protected.

use crate::manifest::{FileKind, Reason, RootName};
use crate::order;
use crate::path::RelPath;
use crate::settings::ScopeSetting;
use crate::workspace::{LocalPackage, Workspace};

/// The directories at the workspace root that steer the build.
pub(super) const STEERING: [&str; 2] = [".cargo", ".config"];

/// Why something is protected, and what it is.
pub(super) struct Chosen {
    pub(super) kind: FileKind,
    pub(super) size: u64,
    pub(super) package: Option<String>,
    pub(super) reasons: order::Set<Reason>,
}

impl Chosen {
    /// Notes that a build read what is protected anyway. A rollback has to know it of all that cargo does not watch as a
    /// source: who else may have read that is not known.
    pub(super) fn told(&mut self, path: &RelPath, reason: Reason) {
        if reason != Reason::WorkspaceFile && path.as_path().extension().is_none_or(|e| e != "rs") {
            self.reasons.insert(reason);
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

/// The reasons that a path has by where it lies. The root comes with the setting that made it one, if one did.
pub(super) fn reasons_of(
    workspace: &Workspace,
    (root, outside): (&RootName, Option<&str>),
    path: &RelPath,
    is_dir: bool,
    owners: &[&LocalPackage],
) -> order::Set<Reason> {
    let reason = |p: &&LocalPackage| if p.member { Reason::Member } else { Reason::PathDependency };
    let mut reasons: order::Set<Reason> = order::gather(owners.iter().map(reason));
    if root.is_workspace() {
        let mut components = path.components();
        let first = components.next();
        let steers = first.is_some_and(|name| STEERING.iter().any(|dir| name == *dir));
        if steers || (!is_dir && components.next().is_none()) {
            reasons.insert(Reason::WorkspaceFile);
        }
        if workspace.settings.scope == ScopeSetting::Workspace {
            reasons.insert(Reason::Scope);
        }
    } else if let Some(setting) = outside {
        reasons.insert(Reason::Include(setting.to_owned()));
    }
    reasons
}
