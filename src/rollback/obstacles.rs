//! What stands in the way of a plan: told with the plan, before anything moves.

use super::journal::{Purpose, Verb};
use super::plan::RollbackPlan;
use super::trees::Trees;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::fsx::Change;
use crate::manifest::{RootedPath, shown};
use crate::store::Store;

/// Refuses a plan that could not be carried out: a mount point, an immutable file, another user's file or directory.
///
/// # Errors
/// Kind `Workspace`, with every such path.
pub(super) fn refuse_obstacles(store: &Store, plan: &RollbackPlan) -> Result<()> {
    let trees = Trees::open(store, &plan.roots)?;
    let changes = plan.actions.iter().map(|action| {
        let change = if action.verb() == Verb::ChangeMode { Change::Mode } else { Change::Move };
        (action.place(), change)
    });
    let changes: Vec<(RootedPath, Change)> =
        changes.chain(plan.touch.iter().map(|at| (at.clone(), Change::Touch))).collect();
    let found = crate::parallel::map(changes.len(), |i| {
        let (RootedPath { root, path }, change) = &changes[i];
        let tree = trees.of(root)?;
        let why = tree.obstacle(path, *change).during("look at", tree.path().join(path))?;
        Ok(why.map(|why| format!("{}: {why}", shown(root, path))))
    })?;
    let found: Vec<String> = found.into_iter().flatten().collect();
    if found.is_empty() {
        return Ok(());
    }
    let help = match plan.purpose {
        Purpose::Rollback { .. } => {
            "clear what is named out of the way, then roll back again; or roll back the rest with --only PATH"
        }
        Purpose::Undo { .. } => "clear what is named out of the way, then undo again",
    };
    Err(Error::new(ErrorKind::Workspace, "something stands in the way of the rollback; nothing was changed")
        .with_details(found)
        .with_help(help))
}
