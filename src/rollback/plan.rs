//! The plan of a rollback: a value, made without changing anything, that the dry run prints and `apply` consumes.

use super::journal::{Action, Origin, Purpose, Verb};
use super::leftovers::Leftovers;
use super::options::RollbackOptions;
use crate::check::Finding;
use crate::error::Result;
use crate::event::Context;
use crate::live_tree::{FileState, LeftAlone, LiveTree, PathFilter};
use crate::manifest::{GitState, Id, Manifest, Mode, Reason, Root, RootName, RootedPath};
use crate::order;
use crate::path::RelPath;
use crate::store::Store;
use crate::validate::{Source, VerifiedSession};

/// How many of what a plan does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counts {
    /// Files and links that appear.
    pub created: u64,
    /// Files and links that are replaced.
    pub replaced: u64,
    /// Files and directories whose mode changes.
    pub mode_changed: u64,
    /// Files and links that are displaced.
    pub displaced: u64,
    /// Directories that appear.
    pub directories_created: u64,
    /// Empty directories that go.
    pub directories_removed: u64,
    /// What was added and stays.
    pub left_alone: u64,
    /// Files and links that are as the restore point has them.
    pub unchanged: u64,
}

/// What a rollback would do.
#[derive(Debug, Clone)]
pub struct RollbackPlan {
    /// What it is for.
    pub purpose: Purpose,
    /// The target's backup id, or what is undone, for people.
    pub target: String,
    /// When the target was made, RFC 3339.
    pub target_created: String,
    /// What the user said of the target.
    pub message: Option<String>,
    /// What is done, in the order of root and path.
    pub actions: Vec<Action>,
    /// Files that are touched so that Cargo looks at their package again.
    pub touch: Vec<RootedPath>,
    /// Read-only directories that have to be opened for a while.
    pub unlock: Vec<(RootedPath, Mode)>,
    /// What was added and stays, with the reason.
    pub left_alone: Vec<(String, LeftAlone)>,
    /// Differences in roots outside the workspace that are not written, for want of `--outside`.
    pub outside_differences: Vec<String>,
    /// What cargo will say of the workspace after it, if anything.
    pub findings: Vec<Finding>,
    /// The manifests that each of those is about.
    pub(crate) concerned: Vec<Vec<RootedPath>>,
    /// How many of what.
    pub counts: Counts,
    /// Where git stood then.
    pub git_then: Option<GitState>,
    /// Where git stands now.
    pub git_now: Option<GitState>,
    /// The roots that it may touch.
    pub roots: Vec<Root>,
    /// The present, for the restore point that is made first.
    pub(crate) keep: Option<crate::select::ProtectedSet>,
}

impl RollbackPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The restore point that it goes back to, if it goes back to one.
    pub fn restore_point(&self) -> Option<&Id> {
        match &self.purpose {
            Purpose::Rollback { to } => Some(to),
            Purpose::Undo { .. } => None,
        }
    }
}

/// The entries whose content will be written: those that differ and are asked for.
pub(crate) fn needed(manifest: &Manifest, present: &LiveTree, selection: &PathFilter) -> Vec<usize> {
    let reached: order::Set<&str> = order::gather(present.roots.iter().map(|r| r.root.name.as_str()));
    (0..manifest.entries.len())
        .filter(|i| {
            let e = &manifest.entries[*i];
            let asked = selection.holds(&e.root, &e.path) && !present.is_others(&e.root, &e.path);
            reached.contains(e.root.as_str()) && asked && present.differs(e)
        })
        .collect()
}

/// Makes the whole plan; changes nothing. `outside_differences` is what differs where `present` does not reach.
pub(crate) fn plan(
    store: &Store,
    verified: &VerifiedSession,
    present: &LiveTree,
    selection: &PathFilter,
    options: &RollbackOptions,
    outside_differences: Vec<String>,
    context: &Context<'_>,
) -> Result<RollbackPlan> {
    let manifest = verified.manifest();
    let mut actions: order::Map<RootedPath, Action> = order::Map::new();
    let mut unchanged = 0;
    for (index, entry) in manifest.entries.iter().enumerate() {
        let key = entry.place();
        let reached = present.roots.iter().any(|r| r.root.name == entry.root);
        if !reached || present.is_others(&entry.root, &entry.path) {
            continue;
        }
        let asked = selection.holds(&entry.root, &entry.path);
        let wanted = FileState::wanted(entry);
        let now = present.known.get(&key);
        let on_the_way = !asked
            && selection.leads_to(&entry.root, &entry.path)
            && wanted.is_directory()
            && !now.is_some_and(FileState::is_directory);
        if !asked && !on_the_way {
            continue;
        }
        // A directory that stands above protected files only keeps the mode that it has.
        let parent_only = entry.reasons == [Reason::Parent] && wanted.is_directory();
        if now == Some(&wanted) || (parent_only && now.is_some_and(FileState::is_directory)) {
            unchanged += u64::from(!wanted.is_directory());
            continue;
        }
        let origin = match verified.source(index) {
            Some(Source::Session) => Origin::Session,
            Some(Source::Archive) => Origin::Archive,
            None => Origin::None,
        };
        let action = Action {
            root: entry.root.clone(),
            path: entry.path.clone(),
            before: now.cloned(),
            after: Some(wanted),
            origin,
        };
        let origin = if action.verb() == Verb::ChangeMode { Origin::None } else { action.origin.clone() };
        actions.insert(key, Action { origin, ..action });
    }
    let mut left: order::Map<RootedPath, LeftAlone> = present.left.clone();
    left.retain(|at, _| selection.holds(&at.root, &at.path));
    let leftovers = Leftovers { store, manifest, present, selection, options, context };
    leftovers.make_room(&in_the_way(&actions), &mut actions, &mut left)?;
    plan_removals(present, selection, options, &mut actions, &mut left);
    let (findings, concerned) = leftovers.clear(&mut actions, &mut left)?.into_iter().unzip();
    let actions: Vec<Action> = actions.into_values().collect();
    let touch = not_placed(crate_roots_to_touch(&actions, manifest, present), &actions);
    let unlock = read_only_parents(&actions, |at| {
        // What goes out whole is no addition: its action alone knows it.
        let action = actions.binary_search_by(|a| (&a.root, &a.path).cmp(&(&at.root, &at.path)));
        let going = || action.ok().and_then(|i| actions[i].before.as_ref());
        Ok(present.known.get(at).or_else(|| present.added.get(at)).or_else(going).cloned())
    })?;
    let counts = count(&actions, left.len() as u64, unchanged);
    Ok(RollbackPlan {
        purpose: Purpose::Rollback { to: manifest.id.clone() },
        target: manifest.backup_id.clone(),
        target_created: manifest.created.clone(),
        message: manifest.message.clone(),
        touch,
        unlock,
        left_alone: left.into_iter().map(|(at, why)| (at.shown(), why)).collect(),
        outside_differences,
        findings,
        concerned,
        counts,
        git_then: manifest.git.clone(),
        git_now: present.git.clone(),
        roots: present.roots.iter().map(|r| r.root.clone()).collect(),
        actions,
        keep: Some(present.protected_set(manifest)),
    })
}

/// Directories that have to make way for a file or a link.
fn in_the_way(actions: &order::Map<RootedPath, Action>) -> Vec<RootedPath> {
    let is_dir = |t: &Option<FileState>| t.as_ref().is_some_and(FileState::is_directory);
    actions
        .iter()
        .filter(|(_, a)| is_dir(&a.before) && !is_dir(&a.after))
        .map(|(key, _)| key.clone())
        .collect()
}

/// Adds what is displaced: what was added.
fn plan_removals(
    present: &LiveTree,
    selection: &PathFilter,
    options: &RollbackOptions,
    actions: &mut order::Map<RootedPath, Action>,
    left: &mut order::Map<RootedPath, LeftAlone>,
) {
    let out = actions.iter().filter(|(_, action)| action.after.is_none());
    let out: order::Set<RootedPath> = order::gather(out.map(|(at, _)| at.clone()));
    // A directory goes only where nothing in it stays.
    let mut occupied: order::Set<RootedPath> = order::Set::new();
    let mut occupy = |root: &RootName, path: &RelPath| {
        occupied.extend(path.ancestors().map(|dir| RootedPath::new(root, &dir)));
    };
    let staying = present.staying.iter().filter(|at| !out.contains(*at));
    staying.for_each(|RootedPath { root, path }| occupy(root, path));
    let goes = |root: &RootName, path: &RelPath| {
        (selection.holds(root, path) && !options.keep_new) || out.contains(&RootedPath::new(root, path))
    };
    for (RootedPath { root, path }, state) in &present.added {
        if !goes(root, path) {
            occupy(root, path);
            if !state.is_directory() && selection.holds(root, path) {
                left.insert(RootedPath::new(root, path), LeftAlone::KeptNew);
            }
        }
    }
    for (key @ RootedPath { root, path }, state) in &present.added {
        if goes(root, path) && !(state.is_directory() && occupied.contains(key)) {
            actions.insert(
                key.clone(),
                Action {
                    root: root.clone(),
                    path: path.clone(),
                    before: Some(state.clone()),
                    after: None,
                    origin: Origin::None,
                },
            );
        }
    }
}

/// Cargo sees new content of a module by its time. Anything else somebody may have read who tells nobody: a procedural
/// macro or a build script reads data, lists directories, takes tables of manifests for settings. That one reader of a
/// file is known does not say that there is no other. All that cargo looks at for those is their users' crate roots.
fn crate_roots_to_touch(
    actions: &[Action],
    manifest: &Manifest,
    present: &LiveTree,
) -> order::Set<RootedPath> {
    let roots = manifest
        .packages
        .iter()
        .flat_map(|package| package.crate_roots.iter().map(|path| RootedPath::new(&package.root, path)));
    let roots: Vec<RootedPath> = roots.collect();
    let is_file = |state: &Option<FileState>| matches!(state, Some(FileState::File { .. }));
    let is_module = |action: &Action| {
        let below = |at: &RootedPath| {
            at.root == action.root && at.path.parent().is_some_and(|dir| action.path.is_in(&dir))
        };
        action.path.as_path().extension().is_some_and(|e| e == "rs") && roots.iter().any(below)
    };
    let seen = |action: &Action| {
        action.verb() == Verb::ChangeMode
            || (is_file(&action.before) && is_file(&action.after) && is_module(action))
    };
    if actions.iter().all(seen) {
        return order::Set::new();
    }
    let stands = |at: &RootedPath| {
        matches!(present.known.get(at), Some(FileState::File { .. }))
            && !present.is_others(&at.root, &at.path)
    };
    order::gather(roots.into_iter().filter(stands))
}

/// The files to touch without those that are replaced or go: what is placed gets its time then.
pub(super) fn not_placed(mut touch: order::Set<RootedPath>, actions: &[Action]) -> Vec<RootedPath> {
    for action in actions.iter().filter(|a| a.places() || a.displaces()) {
        touch.remove(&action.place());
    }
    touch.into_iter().collect()
}

/// Directories that exist, forbid their owner to write, and hold something that changes. `now` says what stands where.
pub(super) fn read_only_parents(
    actions: &[Action],
    now: impl Fn(&RootedPath) -> Result<Option<FileState>>,
) -> Result<Vec<(RootedPath, Mode)>> {
    let mut unlock = order::Map::new();
    for action in actions.iter().filter(|a| a.verb() != Verb::ChangeMode) {
        let Some(path) = action.path.parent() else { continue };
        let parent = RootedPath { root: action.root.clone(), path };
        if let Some(state) = now(&parent)?
            && let (true, Some(mode)) = (state.is_read_only(), state.mode())
        {
            unlock.insert(parent, mode);
        }
    }
    Ok(unlock.into_iter().collect())
}

/// Counts what actions do.
pub(crate) fn count(actions: &[Action], left_alone: u64, unchanged: u64) -> Counts {
    let mut counts = Counts { left_alone, unchanged, ..Counts::default() };
    for action in actions {
        let slot = match action.verb() {
            Verb::Create => &mut counts.created,
            Verb::Replace => &mut counts.replaced,
            Verb::ChangeMode => &mut counts.mode_changed,
            Verb::Displace => &mut counts.displaced,
            Verb::CreateDirectory => &mut counts.directories_created,
            Verb::RemoveDirectory => &mut counts.directories_removed,
        };
        *slot += 1;
    }
    counts
}
