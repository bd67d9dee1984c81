//! What a rollback would leave behind where cargo looks for members. A directory that appeared since and that cargo would
//! take for a member goes out whole, with what git ignores in it; where it cannot, or cargo refuses the workspace for
//! another reason, that is a finding (I13).

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::after::After;
use super::journal::{Action, Journal, Origin, Purpose};
use super::options::RollbackOptions;
use super::sources::{Stray, strays};
use super::trees::Trees;
use super::verdict::{Member, Trouble, Verdict, judge};
use crate::check::Finding;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::Context;
use crate::fsx::Change;
use crate::live_tree::{FileState, LeftAlone, LiveTree, PathFilter};
use crate::manifest::{Entry, Manifest, Package, Place, Reason, Root, RootName, RootedPath, shown};
use crate::order;
use crate::path::{RelPath, clean, relative, show_path, show_text};
use crate::select::walk::Walk;
use crate::select::{SkipReason, is_version_control, repository_of};
use crate::store::Store;

/// The actions of a plan under way.
pub(super) type Actions = order::Map<RootedPath, Action>;

/// What a plan is made from.
pub(super) struct Leftovers<'a> {
    pub(super) store: &'a Store,
    pub(super) manifest: &'a Manifest,
    pub(super) present: &'a LiveTree,
    pub(super) selection: &'a PathFilter,
    pub(super) options: &'a RollbackOptions,
    pub(super) context: &'a Context<'a>,
}

impl Leftovers<'_> {
    /// Adds to `actions` what goes out whole, takes that from `left`, and gives what cargo will still say, each with the
    /// manifests that it is about.
    pub(super) fn clear(
        &self,
        actions: &mut Actions,
        left: &mut order::Map<RootedPath, LeftAlone>,
    ) -> Result<Vec<(Finding, Vec<RootedPath>)>> {
        let roots = self.roots();
        let purpose = Purpose::Rollback { to: self.manifest.id.clone() };
        let mut stays: order::Map<PathBuf, String> = order::Map::new();
        loop {
            let planned: Vec<Action> = actions.values().cloned().collect();
            let after = After::new(self.store, &roots, &purpose, &planned, self.context)?;
            let verdict = judge(&after);
            let found = verdict.members.iter().map(|m| m.directory.clone());
            let found = found.chain(verdict.troubles.iter().filter_map(|t| t.places.first().cloned()));
            let mut cleared = false;
            for directory in found.collect::<Vec<_>>() {
                if stays.contains_key(&directory) || !after.is_dir(&directory) {
                    continue;
                }
                let Some(place) = self.born_since(&after, &directory) else { continue };
                let taken = match self.why_kept(&place) {
                    Some(why) => Err(why),
                    None => self.take_whole(&place, left)?,
                };
                match taken {
                    Ok(taken) => {
                        left.retain(|at, _| at.root != place.root || !at.path.is_in(&place.path));
                        taken.into_iter().for_each(|action| drop(actions.insert(action.place(), action)));
                        self.take_emptied(&place, actions)?;
                        cleared = true;
                    }
                    Err(why) => drop(stays.insert(directory, why)),
                }
            }
            let sources = strays(&after, self.manifest, &self.recorded());
            let mut kept = Vec::new();
            for stray in sources {
                match self.take_stray(&stray, left)? {
                    Taken::Went(actions_of_it) => {
                        left.remove(&stray.at);
                        actions_of_it.into_iter().for_each(|a| drop(actions.insert(a.place(), a)));
                        cleared = true;
                    }
                    Taken::Stays(why) => kept.push(came_since(&stray, &why)),
                    Taken::Meant => {}
                }
            }
            if !cleared {
                let Verdict { members, mut troubles } = verdict;
                let recorded = self.recorded();
                if self.selection.is_everything() && !self.options.keep_new {
                    let held = |m: &&Member| {
                        let at = after.manifest_at(&m.directory);
                        at.is_some_and(|at| self.manifest.find(&at.root, &at.path).is_some())
                    };
                    let since = members.iter().filter(|m| !recorded.contains(&m.directory) && !held(m));
                    troubles.extend(since.map(Member::came_since));
                    troubles.extend(left.iter().filter_map(|(at, why)| steers(&after.workspace, at, why)));
                }
                troubles.extend(self.occupied(&after));
                troubles.extend(kept);
                for (directory, package) in recorded.iter().zip(&self.manifest.packages) {
                    if self.was_member(package)
                        && self.options.asked.packages.contains(&package.name)
                        && !members.iter().any(|m| m.directory == *directory)
                    {
                        let place = after.workspace.join("Cargo.toml");
                        let directory = show_path(&relative(&after.workspace, directory));
                        troubles.push(Trouble {
                            places: vec![place],
                            problem: format!(
                                "does not name `{directory}` in `members`: cargo will not know the package `{}` there; add \
                                 `--only Cargo.toml`, or add it to `members`",
                                show_text(&package.name)
                            ),
                        });
                    }
                }
                let manifests = |t: &Trouble| t.places.iter().filter_map(|p| after.manifest_at(p)).collect();
                return Ok(troubles
                    .iter()
                    .map(|t| (finding(&after.workspace, t, &stays), manifests(t)))
                    .collect());
            }
        }
    }

    /// Adds what a directory holds that has to make way. Where a link stood, it holds what came since, or came in through
    /// the link: all of that goes, whatever git says of it. Where a file stood, what may not be moved stays.
    pub(super) fn make_room(
        &self,
        places: &[RootedPath],
        actions: &mut Actions,
        left: &mut order::Map<RootedPath, LeftAlone>,
    ) -> Result<()> {
        let mut blocked = Vec::new();
        for place in places {
            let link =
                matches!(actions.get(place).and_then(|a| a.after.as_ref()), Some(FileState::Symlink { .. }));
            let inside = |at: &&RootedPath| at.root == place.root && at.path.is_in(&place.path);
            let staying = self.present.staying.iter().filter(inside).filter(|_| !link);
            let before = blocked.len();
            blocked.extend(staying.map(|at| {
                format!("{}: would have to make way, and is not the rollback's to move", at.shown())
            }));
            if blocked.len() > before {
                continue;
            }
            match self.take_whole(place, &order::Map::new())? {
                Ok(taken) => {
                    let inside = taken.into_iter().filter(|action| action.place() != *place);
                    inside.for_each(|action| drop(actions.insert(action.place(), action)));
                    left.retain(|at, _| at.root != place.root || !at.path.is_in(&place.path));
                }
                Err(why) => blocked.push(format!("{}: {why}", place.shown())),
            }
        }
        if blocked.is_empty() {
            return Ok(());
        }
        let text = "a directory stands where the restore point has a file, and holds what must stay; nothing was changed";
        Err(Error::new(ErrorKind::Workspace, text)
            .with_details(blocked)
            .with_help("move these out of the directory yourself, then roll back again"))
    }

    /// Working trees of other repositories that stand where the restore point has something.
    fn occupied(&self, after: &After<'_>) -> Vec<Trouble> {
        let asked = |at: &&RootedPath| {
            self.selection.holds(&at.root, &at.path) || self.selection.leads_to(&at.root, &at.path)
        };
        let full = |at: &RootedPath| Some(after.directory_of(&at.root)?.join(&at.path));
        let places = self.present.occupied.iter().filter(asked).filter_map(full);
        let problem = "is the working tree of another repository since the restore point: it stays as it is, and what \
                       the restore point has there does not go back; move it away, then roll back again";
        places.map(|place| Trouble { places: vec![place], problem: problem.into() }).collect()
    }

    /// The directories of the packages that the restore point knows.
    fn recorded(&self) -> Vec<PathBuf> {
        let roots = &self.present.roots;
        let of = |name: &RootName| roots.iter().find(|r| r.root.name == *name).map(|r| clean(&r.directory));
        let directory = |p: &Package| {
            let root = of(&p.root).unwrap_or_default();
            p.directory.as_ref().map_or_else(|| root.clone(), |directory| root.join(directory))
        };
        self.manifest.packages.iter().map(directory).collect()
    }

    fn was_member(&self, package: &Package) -> bool {
        let own = |e: &&Entry| {
            e.root == package.root && package.directory.as_ref().is_none_or(|dir| e.path.is_in(dir))
        };
        self.manifest.entries.iter().filter(own).any(|e| e.reasons.contains(&Reason::Member))
    }

    /// Where a directory lies that was not there when the restore point was made, as far as that is known.
    fn born_since(&self, after: &After<'_>, directory: &Path) -> Option<RootedPath> {
        let (root, base) = after.root_of(directory)?;
        let path = RelPath::strip(base, directory)?;
        let (manifest, scope) = (self.manifest, &self.manifest.scope);
        let was_there = self.recorded().iter().any(|package| package == directory)
            || manifest.find(root, &path).is_some()
            || manifest.holds_below(root, &path)
            || (root.is_workspace()
                && (scope.root_entries.contains(&path) || scope.unprotected_directories.contains(&path)));
        (!was_there).then(|| RootedPath::new(root, &path))
    }

    /// Why a directory that came since is not looked into.
    fn why_kept(&self, at: &RootedPath) -> Option<String> {
        let scope = &self.manifest.scope;
        let holds = |places: &[Place]| places.iter().any(|p| p.path.is_some() && p.holds(&at.root, &at.path));
        if holds(&scope.ignored) || holds(&scope.foreign_packages) {
            Some(
                "nobody can say whether it was there then: git ignored it, or its package was not protected"
                    .into(),
            )
        } else if self.options.keep_new {
            Some("--keep-new keeps it".into())
        } else if !self.selection.holds(&at.root, &at.path) {
            Some(format!("add `--only {}` to move it out", at.shown()))
        } else {
            None
        }
    }

    /// The actions that move a directory out with all that is in it, or why it has to stay.
    fn take_whole(
        &self,
        place: &RootedPath,
        left: &order::Map<RootedPath, LeftAlone>,
    ) -> Result<Result<Vec<Action>, String>> {
        let inside = |at: &&RootedPath| at.root == place.root && at.path.is_in(&place.path);
        for (at, why) in left.iter().filter(|(at, _)| inside(at)) {
            if !matches!(why, LeftAlone::Ignored) {
                return Ok(Err(blocked(at, &why.to_string())));
            }
        }
        let trees = Trees::open(self.store, &self.roots())?;
        let tree = trees.of(&place.root)?;
        let mut paths = Vec::new();
        for entry in WalkDir::new(tree.path().join(&place.path)).follow_links(false).follow_root_links(false)
        {
            self.context.interrupt.check()?;
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => return Ok(Err(blocked(place, &format!("it cannot be read: {e}")))),
            };
            let Some(path) = RelPath::strip(tree.path(), entry.path()) else { continue };
            let at = RootedPath::new(&place.root, &path);
            if let Some(why) = self.foreign(&at, entry.path(), entry.file_type().is_dir()) {
                return Ok(Err(blocked(&at, &why)));
            }
            paths.push(path);
        }
        let taken = crate::parallel::map(paths.len(), |i| {
            let (path, full) = (&paths[i], tree.path().join(&paths[i]));
            let before = FileState::at(&mut tree.cursor(), path).during("read", &full)?;
            let obstacle = tree.obstacle(path, Change::Move).during("look at", &full)?;
            let root = place.root.clone();
            Ok((Action { root, path: path.clone(), before, after: None, origin: Origin::None }, obstacle))
        })?;
        let mut actions = Vec::new();
        for (action, obstacle) in taken {
            match (&action.before, obstacle) {
                (None, _) => {}
                (_, Some(why)) => return Ok(Err(blocked(&action.place(), why))),
                (Some(FileState::Special), _) => return Ok(Err(blocked(&action.place(), "it is no file"))),
                (Some(FileState::File { sha256: None, .. }), _) => {
                    return Ok(Err(blocked(&action.place(), "it cannot be read")));
                }
                _ => actions.push(action),
            }
        }
        Ok(Ok(actions))
    }

    /// A source that a build takes, and that came since as far as anybody can say: out with it, as with all that came since,
    /// though git ignores it.
    fn take_stray(&self, stray: &Stray, left: &order::Map<RootedPath, LeftAlone>) -> Result<Taken> {
        let at = &stray.at;
        if self.present.is_others(&at.root, &at.path) {
            return Ok(Taken::Meant);
        }
        let above = std::iter::once(at.path.clone()).chain(at.path.ancestors());
        let why = above.into_iter().find_map(|path| left.get(&RootedPath::new(&at.root, &path)));
        let kept = self.why_kept(at);
        // What may have been there, what somebody wants to keep or did not ask for, is meant to be built.
        match (why, kept) {
            (Some(LeftAlone::Ignored), None) => Ok(match self.take_whole(at, left)? {
                Ok(actions) => Taken::Went(actions),
                Err(why) => Taken::Stays(why),
            }),
            (Some(why), None) => Ok(Taken::Stays(why.to_string())),
            (_, Some(why)) if stray.breaks => Ok(Taken::Stays(why)),
            _ => Ok(Taken::Meant),
        }
    }

    fn roots(&self) -> Vec<Root> {
        self.present.roots.iter().map(|r| r.root.clone()).collect()
    }

    /// Why something is not the rollback's to move, although it came since.
    fn foreign(&self, at: &RootedPath, full: &Path, is_dir: bool) -> Option<String> {
        let excluded = &self.manifest.scope.excluded;
        if excluded.iter().any(|pattern| crate::glob::matches(pattern, &at.root, &at.path)) {
            return Some(LeftAlone::Excluded.to_string());
        }
        if is_version_control(full) || (is_dir && repository_of(full).is_some()) {
            return Some(LeftAlone::OtherCheckout.to_string());
        }
        let skip = [(self.store.layout().dir().to_path_buf(), SkipReason::Store)];
        let is_root = self.present.roots.iter().any(|root| root.directory == full);
        let builds = self.manifest.target_directories_of(self.store.root()).any(|dir| dir == full);
        let is_store = Walk::new(full, &skip).never(full, is_dir) == Some(SkipReason::Store);
        (is_root || builds || is_store).then(|| "it is no directory of the workspace's own".to_owned())
    }

    /// New directories above go with it, where nothing else is left in them.
    fn take_emptied(&self, place: &RootedPath, actions: &mut Actions) -> Result<()> {
        let trees = Trees::open(self.store, &self.roots())?;
        let tree = trees.of(&place.root)?;
        let mut above = place.path.parent();
        while let Some(path) = above {
            let at = RootedPath::new(&place.root, &path);
            let Some(state) = self.present.added.get(&at).filter(|state| state.is_directory()) else { break };
            let full = tree.path().join(&path);
            let mut inside = std::fs::read_dir(&full).during("read directory", &full)?.flatten();
            let goes = |name: std::ffi::OsString| {
                let child = path.join(name).ok().map(|child| RootedPath::new(&place.root, &child));
                child.is_some_and(|child| actions.get(&child).is_some_and(|a| a.after.is_none()))
            };
            if !inside.all(|entry| goes(entry.file_name())) {
                break;
            }
            let (root, before) = (place.root.clone(), Some(state.clone()));
            let action = Action { root, path: path.clone(), before, after: None, origin: Origin::None };
            actions.insert(at, action);
            above = path.parent();
        }
        Ok(())
    }
}

/// What becomes of a source that came since.
enum Taken {
    Went(Vec<Action>),
    Stays(String),
    Meant,
}

fn came_since(stray: &Stray, why: &str) -> Trouble {
    let problem = format!(
        "came since the restore point and stays ({why}): {}; move it away for the build as it was",
        stray.effect
    );
    Trouble { places: vec![stray.place.clone()], problem }
}

/// A file that came since, stays because git ignores it, and steers every build.
fn steers(workspace: &Path, at: &RootedPath, why: &LeftAlone) -> Option<Trouble> {
    const STEERING: [&str; 5] =
        [".cargo", ".cargo/config", ".cargo/config.toml", "rust-toolchain", "rust-toolchain.toml"];
    let path = at.path.as_path();
    let steers = at.root.is_workspace() && STEERING.iter().any(|name| path == Path::new(name));
    let config = |name: &str| workspace.join(path).join(name).exists();
    let steers = steers && (path != Path::new(".cargo") || config("config") || config("config.toml"));
    (steers && *why == LeftAlone::Ignored).then(|| Trouble {
        places: vec![workspace.join(path)],
        problem: format!(
            "came since the restore point and stays ({why}): cargo reads it, and builds by it; move it away for the \
             build as it was"
        ),
    })
}

fn blocked(at: &RootedPath, why: &str) -> String {
    format!("it stays for `{}`: {why}", shown(&at.root, &at.path))
}

/// A trouble for people, with what keeps the rollback from ending it.
fn finding(workspace: &Path, trouble: &Trouble, stays: &order::Map<PathBuf, String>) -> Finding {
    let place = trouble.places.first();
    let shown = place.map_or_else(String::new, |place| show_path(&relative(workspace, place)));
    let holding = stays.iter().find(|(dir, _)| place.is_some_and(|place| place.starts_with(dir)));
    let why = holding.map_or_else(String::new, |(_, why)| format!(" ({why})"));
    Finding { place: shown, problem: format!("{}{why}", trouble.problem) }
}

/// What cargo will say of a tree.
pub(super) fn findings_of(after: &After<'_>) -> Vec<Finding> {
    let troubles = judge(after).troubles;
    troubles.iter().map(|t| finding(&after.workspace, t, &order::Map::new())).collect()
}

/// What cargo will say of the workspace as a rollback left it; after an undo, what was not so before.
pub(super) fn findings_now(store: &Store, journal: &Journal, context: &Context<'_>) -> Result<Vec<Finding>> {
    match journal.purpose {
        Purpose::Rollback { .. } => {
            Ok(findings_of(&After::new(store, &journal.roots, &journal.purpose, &[], context)?))
        }
        Purpose::Undo { .. } => findings_before(store, journal, &journal.purpose, &[], context),
    }
}

/// What cargo will say of the workspace when `actions` have brought back what was before the rollback of `journal`, and
/// did not say then: what stands in the restore point of that present, or was changed by the rollback, was there.
pub(super) fn findings_before(
    store: &Store,
    journal: &Journal,
    purpose: &Purpose,
    actions: &[Action],
    context: &Context<'_>,
) -> Result<Vec<Finding>> {
    let after = After::new(store, &journal.roots, purpose, actions, context)?;
    let mut troubles = judge(&after).troubles;
    if troubles.is_empty() {
        return Ok(Vec::new());
    }
    let catalogue = store.catalogue()?;
    let listed = catalogue.all().iter().find(|l| Some(&l.id) == journal.pre_rollback.as_ref());
    let before = listed.and_then(|l| store.manifest(l).ok());
    let was_there = |place: &PathBuf| {
        let Some((root, base)) = after.root_of(place) else { return true };
        let Some(path) = RelPath::strip(base, place) else { return true };
        let changed = |a: &Action| a.root == *root && a.path.is_in(&path);
        before.as_ref().is_some_and(|m| m.find(root, &path).is_some()) || journal.actions.iter().any(changed)
    };
    troubles.retain(|trouble| !trouble.places.iter().all(was_there));
    Ok(troubles.iter().map(|t| finding(&after.workspace, t, &order::Map::new())).collect())
}
