//! Undoing the last rollback: another transaction, planned from its journal and fed by what it displaced. It can
//! be undone in turn.

use super::journal::{Action, Journal, Origin, Purpose};
use super::leftovers::findings_before;
use super::obstacles::refuse_obstacles;
use super::plan::{RollbackPlan, count, not_placed, read_only_parents};
use super::trees::Trees;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::Context;
use crate::fsx::Tree;
use crate::live_tree::{FileState, LeftAlone, LiveTree, Look};
use crate::manifest::{Id, Manifest, RootName, RootedPath, stored_path};
use crate::order;
use crate::store::Store;

/// Plans the undoing of the newest rollback that ended.
///
/// # Errors
/// `NoRestorePoint` where no rollback was ever made here; `Damaged` where what it displaced is missing.
pub fn plan_undo(store: &Store, context: &Context<'_>) -> Result<RollbackPlan> {
    store.refuse_cut_off()?;
    let of = newest(store)?.ok_or_else(|| {
        Error::new(ErrorKind::NoRestorePoint, "no rollback was made here, so there is none to undo")
            .with_help("`list` shows the restore points")
    })?;
    let journal = ended(store, &of)?;
    let mut undo = Undo::open(store, &journal)?;
    for action in &journal.actions {
        context.interrupt.check()?;
        undo.take(action)?;
    }
    if !undo.lost.is_empty() {
        return Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "{} gone that rollback {of} displaced; nothing was changed",
                crate::event::plural(undo.lost.len() as u64, "file is", "files are")
            ),
        )
        .with_details(undo.lost)
        .with_help("its restore point of the present may hold them: see `list`, label pre_rollback"));
    }
    let keep = present_set(store, &journal, context)?;
    let age = context.clock.now().duration_since(of.instant()).unwrap_or_default();
    let plan = undo.into_plan(keep, crate::select::git::state(store.root()), age)?;
    let findings = findings_before(store, &journal, &plan.purpose, &plan.actions, context)?;
    let plan = RollbackPlan { findings, ..plan };
    refuse_obstacles(store, &plan)?;
    Ok(plan)
}

/// What a rollback that ended did. Where a script went on after it was interrupted, its last journal alone does not
/// tell the tree before the first of its runs: its record does.
pub(super) fn ended(store: &Store, id: &Id) -> Result<Journal> {
    let (journal, _) = Journal::read(&store.layout().closed_journal(id))?;
    let record = Journal::read_record(&store.layout().displaced_list(id))?;
    Ok(record.map_or(journal.clone(), |record| Journal { touch: journal.touch, ..record }))
}

/// The newest rollback that ended, and the restore point that it brought the workspace to; `None` where that was an
/// undo, or there was none.
pub fn last_rollback(store: &Store) -> Option<(Id, Id)> {
    let id = newest(store).ok()??;
    match Journal::read(&store.layout().closed_journal(&id)).ok()?.0.purpose {
        Purpose::Rollback { to } => Some((id, to)),
        Purpose::Undo { .. } => None,
    }
}

/// The newest rollback whose journal was closed.
fn newest(store: &Store) -> Result<Option<Id>> {
    Ok(rollbacks(store)?.pop())
}

/// The rollbacks that ended, oldest first.
pub(crate) fn rollbacks(store: &Store) -> Result<Vec<Id>> {
    let dir = store.layout().rollback_dir();
    let entries = std::fs::read_dir(&dir).during("read directory", &dir)?;
    let ids = entries.flatten().filter_map(|e| {
        let name = e.file_name().into_string().ok()?;
        name.strip_prefix("rollback_")?.strip_suffix(".journal")?.parse::<Id>().ok()
    });
    let mut ids: Vec<Id> = ids.collect();
    order::sort(&mut ids);
    Ok(ids)
}

/// The restore points that undoing a rollback reads: that of the present, and the one that it went back to.
pub(crate) fn restore_points_of(store: &Store, rollback: &Id) -> Vec<Id> {
    let Ok((journal, _)) = Journal::read(&store.layout().closed_journal(rollback)) else { return Vec::new() };
    let to = match journal.purpose {
        Purpose::Rollback { to } => Some(to),
        Purpose::Undo { .. } => None,
    };
    journal.pre_rollback.into_iter().chain(to).collect()
}

/// The present by the scope of the restore point that was rolled back to. `None` where that is missing: then what is
/// replaced is kept displaced only.
fn present_set(
    store: &Store,
    journal: &Journal,
    context: &Context<'_>,
) -> Result<Option<crate::select::ProtectedSet>> {
    let Some(manifest) = scope_of(store, journal)? else { return Ok(None) };
    let reach = |root: &RootName| journal.roots.iter().any(|r| r.name == *root);
    let present = LiveTree::look(store, &manifest, reach, Look::Whole, context)?;
    Ok(Some(present.protected_set(&manifest)))
}

fn scope_of(store: &Store, journal: &Journal) -> Result<Option<Manifest>> {
    let catalogue = store.catalogue()?;
    let point = journal.pre_rollback.as_ref().or(match &journal.purpose {
        Purpose::Rollback { to } => Some(to),
        Purpose::Undo { .. } => None,
    });
    let listed = point.and_then(|id| catalogue.all().iter().find(|l| l.id == *id));
    Ok(listed.and_then(|l| store.manifest(l).ok()))
}

/// What a rollback displaced from there, as it is kept.
pub(super) fn displaced(store: &Store, id: &Id, done: &Action) -> Result<Option<FileState>> {
    let dir = store.layout().displaced(id);
    let Ok(tree) = Tree::open(&dir, store.fs()) else { return Ok(None) };
    let path = stored_path(&done.root, &done.path);
    FileState::at(&mut tree.cursor(), &path).during("read", dir.join(&path))
}

/// Why what is kept of one action's `before` cannot be brought back, where that is so.
pub(super) fn lost(done: &Action, kept: Option<&FileState>) -> Option<&'static str> {
    match (kept, &done.before) {
        (None, Some(_)) if done.displaces() => Some("is missing"),
        (
            Some(FileState::File { sha256: found, .. }),
            Some(FileState::File { sha256: then @ Some(_), .. }),
        ) => (found != then).then_some("was changed after it was displaced"),
        _ => None,
    }
}

struct Undo<'a> {
    store: &'a Store,
    journal: &'a Journal,
    trees: Trees,
    actions: Vec<Action>,
    left: Vec<(String, LeftAlone)>,
    lost: Vec<String>,
    /// What was changed after the rollback.
    edited: Vec<String>,
    unchanged: u64,
}

impl<'a> Undo<'a> {
    fn open(store: &'a Store, journal: &'a Journal) -> Result<Self> {
        Ok(Undo {
            store,
            journal,
            trees: Trees::open(store, &journal.roots)?,
            actions: Vec::new(),
            left: Vec::new(),
            lost: Vec::new(),
            edited: Vec::new(),
            unchanged: 0,
        })
    }

    /// Plans the inverse of one action.
    fn take(&mut self, done: &Action) -> Result<()> {
        let now = self.trees.look(&done.root, &done.path)?;
        let moved_out = done.displaces();
        let id = &self.journal.id;
        let wanted = if moved_out { displaced(self.store, id, done)? } else { done.before.clone() };
        if let Some(why) = lost(done, wanted.as_ref()) {
            self.lost.push(format!("{}: {why}", done.shown()));
            return Ok(());
        }
        if now == wanted {
            self.unchanged += 1;
            return Ok(());
        }
        if now != done.after {
            self.edited.push(done.shown());
        }
        let unmovable = match &wanted {
            Some(FileState::Special) => Some(LeftAlone::Special),
            Some(FileState::File { sha256: None, .. }) => {
                let place = self.store.layout().displaced(&self.journal.id);
                Some(LeftAlone::Unreadable(format!("it stays in {}", crate::path::show_path(&place))))
            }
            _ => None,
        };
        if let Some(why) = unmovable {
            self.left.push((done.shown(), why));
            return Ok(());
        }
        let action = Action {
            root: done.root.clone(),
            path: done.path.clone(),
            before: now,
            after: wanted,
            origin: Origin::None,
        };
        let origin = if action.places() { Origin::Displaced } else { Origin::None };
        self.actions.push(Action { origin, ..action });
        Ok(())
    }

    fn into_plan(
        mut self,
        keep: Option<crate::select::ProtectedSet>,
        git_now: Option<crate::manifest::GitState>,
        age: std::time::Duration,
    ) -> Result<RollbackPlan> {
        self.keep_occupied_directories()?;
        let message = self.since(age);
        let target = match &self.journal.purpose {
            Purpose::Rollback { to } => format!("the state before the rollback to {to}"),
            Purpose::Undo { of } => format!("the state before the undo of {of}"),
        };
        Ok(RollbackPlan {
            purpose: Purpose::Undo { of: self.journal.id.clone() },
            target,
            target_created: self.journal.created.clone(),
            message: Some(message),
            counts: count(&self.actions, self.left.len() as u64, self.unchanged),
            touch: not_placed(self.journal.touch.iter().cloned().collect(), &self.actions),
            unlock: read_only_parents(&self.actions, |at| self.trees.look(&at.root, &at.path))?,
            actions: self.actions,
            left_alone: self.left,
            outside_differences: Vec::new(),
            findings: Vec::new(),
            concerned: Vec::new(),
            git_then: None,
            git_now,
            roots: self.journal.roots.clone(),
            keep,
        })
    }

    /// How old the rollback is, and what of that which it changed was edited after it.
    fn since(&self, age: std::time::Duration) -> String {
        const NAMED: usize = 5;
        let age = crate::clock::show_age(age);
        let named: Vec<&str> = self.edited.iter().take(NAMED).map(String::as_str).collect();
        let more = match self.edited.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        match named.is_empty() {
            true => format!("made {age}; nothing that it changed was edited since"),
            false => {
                format!("made {age}; edited since and displaced by the undo: {}{more}", named.join(", "))
            }
        }
    }

    /// A directory that the rollback made goes only where everything in it goes.
    fn keep_occupied_directories(&mut self) -> Result<()> {
        let going: order::Set<RootedPath> =
            self.actions.iter().filter(|a| a.after.is_none()).map(Action::place).collect();
        let mut kept: Vec<RootedPath> = Vec::new();
        for action in self.actions.iter().rev() {
            let leaves =
                action.before.as_ref().is_some_and(FileState::is_directory) && action.after.is_none();
            if !leaves {
                continue;
            }
            let tree = self.trees.of(&action.root)?;
            let full = tree.path().join(&action.path);
            let occupied = std::fs::read_dir(&full).during("read directory", &full)?.flatten().any(|entry| {
                let path = action.path.join(entry.file_name()).ok();
                path.is_none_or(|p| {
                    let key = RootedPath::new(&action.root, &p);
                    !going.contains(&key) || kept.contains(&key)
                })
            });
            if occupied {
                kept.push(action.place());
            }
        }
        self.actions.retain(|a| !(a.after.is_none() && kept.contains(&a.place())));
        Ok(())
    }
}
