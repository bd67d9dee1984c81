//! Carrying out a journalled plan.
//!
//! Steps: the intent is journalled and synced; new files are staged in the store and synced; every target is
//! looked at once more; the journal is committed; files are moved; everything is synced and read back; the
//! journal is closed. Before the commit the workspace is untouched. After it, [`Transaction::forward`] and
//! [`Transaction::backward`] can each be begun again wherever they were interrupted: what stands in the stage, at the
//! target and among the displaced says how far each action had come.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::apart::{Target, refuse_targets_in_store};
use super::journal::{Action, COMMITTED, Journal};
use super::trees::Trees;
use crate::check::Finding;
use crate::clock::Mtime;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::fsx::{Fs, Tree};
use crate::live_tree::FileState;
use crate::manifest::{Mode, RootName, RootedPath, stored_path};
use crate::order;
use crate::path::RelPath;
use crate::store::{Layout, STATE_IDLE, Store, StoreLock};

/// Device, inode, size and time of a target, as it was looked at last before the commit.
pub(super) type Identity = (u64, i64, i64, i64);

/// A rollback under way.
pub(super) struct Transaction<'a> {
    pub(super) store: &'a Store,
    pub(super) journal: &'a Journal,
    pub(super) trees: Trees,
    pub(super) context: Context<'a>,
    /// When the last build of the known target directories was, as they say.
    pub(super) last_build: OnceLock<Option<Mtime>>,
    /// Read once: a manifest is proven whenever it is read.
    pub(super) known: OnceLock<Known>,
}

/// What the restore points of a rollback know of builds.
pub(super) struct Known {
    /// Packages, by root and name.
    pub(super) packages: Vec<(RootName, String)>,
    /// Where cargo built then.
    pub(super) targets: Vec<PathBuf>,
}

/// What a look at what was done found.
pub(super) type Seen = (u64, Vec<String>, Vec<Finding>);

/// How an attempt to go forward ended.
pub(super) enum Stopped {
    /// The user asked to stop; nothing was taken back.
    Interrupted,
    /// Something went wrong.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(e: Error) -> Self {
        Stopped::Failed(e)
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn open(lock: &StoreLock<'a>, journal: &'a Journal, context: &Context<'a>) -> Result<Self> {
        let store = lock.store();
        let changed = journal.actions.iter().map(|a| Target {
            root: &a.root,
            path: &a.path,
            is_directory: a.after.as_ref().is_some_and(FileState::is_directory),
        });
        let opened = journal.unlock.iter().map(|(key, _)| key).chain(&journal.touch);
        let opened = opened.map(|RootedPath { root, path }| Target { root, path, is_directory: true });
        refuse_targets_in_store(store, &journal.roots, changed.chain(opened))?;
        let trees = Trees::open(store, &journal.roots)?;
        Ok(Transaction {
            store,
            journal,
            trees,
            context: *context,
            last_build: OnceLock::new(),
            known: OnceLock::new(),
        })
    }

    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    pub(super) fn layout(&self) -> &'a Layout {
        self.store.layout()
    }

    pub(super) fn fs(&self) -> &'a Fs {
        self.store.fs()
    }

    pub(super) fn tree(&self, root: &RootName) -> Result<&Tree> {
        self.trees.of(root)
    }

    pub(super) fn staged(&self, index: usize) -> PathBuf {
        self.layout().rollback_stage(&self.journal.id).join(index.to_string())
    }

    pub(super) fn displaced(&self, action: &Action) -> PathBuf {
        self.layout().displaced(&self.journal.id).join(stored_path(&action.root, &action.path))
    }

    /// Says to the build's guard that the workspace is about to change, and journals the intent.
    pub(super) fn begin(&self) -> Result<()> {
        let (fs, layout) = (self.fs(), self.layout());
        let state = format!("rollback {}\n", self.journal.id);
        fs.replace_file(&layout.state(), state.as_bytes(), 0o600).during("write", layout.state())?;
        fs.sync(layout.dir()).during("sync", layout.dir())?;
        let path = layout.journal();
        fs.replace_file(&path, &self.journal.encode(), 0o600).during("write", &path)?;
        fs.sync(&layout.rollback_dir()).during("sync", layout.rollback_dir())
    }

    /// Looks at every target once more. What moved since the plan is refused by name.
    pub(super) fn recheck(&self) -> Result<Vec<Option<Identity>>> {
        self.phase("Checking", "that nothing moved since".into(), 0);
        let actions = &self.journal.actions;
        let changed = std::sync::Mutex::new(Vec::new());
        let identities = crate::parallel::map(actions.len(), |i| {
            let action = &actions[i];
            let tree = self.tree(&action.root)?;
            let mut cursor = tree.cursor();
            let now =
                FileState::at(&mut cursor, &action.path).during("read", tree.path().join(&action.path))?;
            if now != action.before
                && let Ok(mut changed) = changed.lock()
            {
                changed.push(action.shown());
            }
            let stat = cursor.stat(&action.path).during("look at", tree.path().join(&action.path))?;
            Ok(stat.as_ref().map(identity))
        })?;
        let mut changed = changed.into_inner().unwrap_or_default();
        if changed.is_empty() {
            return Ok(identities);
        }
        order::sort(&mut changed);
        Err(changed_error(changed))
    }

    /// From here on the rollback is finished forwards, or taken back file by file. The whole journal is replaced:
    /// a mark that is written behind what an earlier attempt left of one would be read as none.
    pub(super) fn commit(&self) -> Result<()> {
        let (fs, layout) = (self.fs(), self.layout());
        let path = layout.journal();
        let bytes = [&self.journal.encode(), COMMITTED].concat();
        fs.replace_file(&path, &bytes, 0o600).during("write", &path)?;
        fs.sync(&layout.rollback_dir()).during("sync", layout.rollback_dir())
    }

    /// Opens directories that forbid writing: those that stood there, and those that this rollback made before it was
    /// interrupted, which may have their final mode already.
    pub(super) fn open_directories(&self) -> Result<()> {
        let made =
            self.journal.actions.iter().filter(|a| a.after.as_ref().is_some_and(FileState::is_read_only));
        let made = made.filter_map(|a| Some((a.place(), a.after.as_ref()?.mode()?)));
        for (RootedPath { root, path }, mode) in self.journal.unlock.iter().cloned().chain(made) {
            let tree = self.tree(&root)?;
            let full = tree.path().join(&path);
            let stat = tree.stat(&path).during("look at", &full)?;
            let kind = stat.map(|s| rustix::fs::FileType::from_raw_mode(s.st_mode));
            if kind.is_some_and(|k| k.is_dir()) {
                let open = Mode::new(mode.bits() | 0o700);
                tree.set_mode(&path, open).during("change the mode of", &full)?;
            }
        }
        Ok(())
    }

    /// Ends a walk through the steps: directories get the mode that they are to have, the deepest first, Cargo is made
    /// to look, and all of it becomes durable.
    pub(super) fn settle(&self, side: impl Fn(&Action) -> Option<&FileState>) -> Result<()> {
        let mut modes: order::Map<RootedPath, Mode> = order::gather(self.journal.unlock.iter().cloned());
        for action in &self.journal.actions {
            let key = action.place();
            match side(action) {
                Some(FileState::Directory { mode }) => drop(modes.insert(key, *mode)),
                _ => drop(modes.remove(&key)),
            }
        }
        for (RootedPath { root, path }, mode) in modes.into_iter().rev() {
            let tree = self.tree(&root)?;
            let full = tree.path().join(&path);
            let now = FileState::at(&mut tree.cursor(), &path).during("look at", &full)?;
            if now.as_ref().and_then(FileState::mode).is_some_and(|now| now != mode) {
                tree.set_mode(&path, mode).during("change the mode of", &full)?;
            }
        }
        self.touch_crate_roots()?;
        self.outdate_others();
        self.sync()
    }

    /// Gives crate roots whose own content stays the present as their time.
    fn touch_crate_roots(&self) -> Result<()> {
        for RootedPath { root, path } in &self.journal.touch {
            let tree = self.tree(root)?;
            match tree.touch(path, self.present()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("touch", &tree.path().join(path), e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn exists(path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    /// Running as root keeps the owner of what is replaced; what is new gets its directory's. Everybody else keeps the
    /// group, where he is in it; what is new in a setgid directory has that one's.
    pub(super) fn give_to_owner(&self, tree: &Tree, path: &RelPath, action: Option<&Action>) -> Result<()> {
        let full = tree.path().join(path);
        // Where a directory made way, what stands there is the store's own directory of what was in it.
        let replaced = action.filter(|a| a.displaces()).map(|a| self.displaced(a));
        let old = replaced.and_then(|p| rustix::fs::lstat(&p).ok());
        let parent = match path.parent() {
            Some(parent) => tree.stat(&parent).during("look at", &full)?,
            None => rustix::fs::stat(tree.path()).ok(),
        };
        let parent = parent.filter(|dir| crate::fsx::is_root() || dir.st_mode & 0o2000 != 0);
        let (Some(owner), Some(now)) = (old.or(parent), tree.stat(path).during("look at", &full)?) else {
            return Ok(());
        };
        if (owner.st_uid, owner.st_gid) != (now.st_uid, now.st_gid) {
            if crate::fsx::is_root() {
                tree.set_owner(path, owner.st_uid, owner.st_gid).during("change the owner of", &full)?;
            } else if owner.st_gid == now.st_gid
                || !tree.try_set_group(path, owner.st_gid).during("change the group of", &full)?
            {
                return Ok(());
            }
            let kind = rustix::fs::FileType::from_raw_mode(now.st_mode);
            // Changing the owner clears the set-id bits.
            if !kind.is_symlink() && now.st_mode & 0o6000 != 0 {
                tree.set_mode(path, crate::fsx::mode_of(&now)).during("change the mode of", &full)?;
            }
        }
        Ok(())
    }

    pub(super) fn change_mode(&self, action: &Action, to: Option<&FileState>) -> Result<()> {
        // A directory's mode is set at the end, when nothing more is put into it.
        let Some(FileState::File { attributes, .. }) = to else { return Ok(()) };
        let tree = self.tree(&action.root)?;
        tree.set_attributes(&action.path, attributes)
            .map_err(|e| self.failed("change the mode of", action, e))
    }

    /// Makes both sides durable, directories too, before anything says that it is done.
    pub(super) fn sync(&self) -> Result<()> {
        for (root, tree) in self.trees.iter() {
            let changed: Vec<RelPath> =
                self.journal.actions.iter().filter(|a| a.root == *root).map(|a| a.path.clone()).collect();
            tree.barrier(&changed).during("sync", tree.path())?;
        }
        self.fs().barrier(self.layout().dir()).during("sync", self.layout().dir())
    }

    /// Reads back everything that was put in place. Gives how many were right, what is not, and which builds cargo will
    /// take for newer than they are.
    pub(super) fn verify(&self) -> Result<Seen> {
        let actions = &self.journal.actions;
        self.phase("Verifying", crate::event::plural(actions.len() as u64, "change", "changes"), 0);
        let wrong = crate::parallel::map(actions.len(), |i| {
            let action = &actions[i];
            let tree = self.tree(&action.root)?;
            let now = FileState::at(&mut tree.cursor(), &action.path)
                .map_err(|e| self.failed("read", action, e))?;
            Ok((now != action.after).then(|| action.shown()))
        })?;
        let wrong: Vec<String> = wrong.into_iter().flatten().collect();
        Ok(((actions.len() - wrong.len()) as u64, wrong, self.stale_builds()))
    }

    /// Ends the rollback: the journal gets its final name, and the build's guard hears of it.
    pub(super) fn close(&self) -> Result<()> {
        let (fs, layout) = (self.fs(), self.layout());
        let closed = layout.closed_journal(&self.journal.id);
        fs.rename(&layout.journal(), &closed).during("rename", &closed)?;
        self.end();
        Ok(())
    }

    /// Forgets the rollback: the workspace is as it was.
    pub(super) fn forget(&self) -> Result<()> {
        let journal = self.layout().journal();
        let displaced = self.layout().displaced(&self.journal.id);
        // What was put back left empty directories; a file that is still there is somebody's, and stays.
        self.fs().remove_empty_directories(&displaced).during("clear", &displaced)?;
        // A script's record of a rollback that was taken back would be undone as if it stood.
        let record = self.layout().displaced_list(&self.journal.id);
        self.fs().remove_file_if_there(&record).during("remove", &record)?;
        self.fs().remove_file_if_there(&journal).during("remove", &journal)?;
        self.end();
        Ok(())
    }

    /// Without its journal it has ended, whatever becomes of the rest: the next writer clears that.
    pub(super) fn end(&self) {
        if let Err(e) = self.clear_up() {
            let cause = e.io_error().map(ToString::to_string).unwrap_or_default();
            self.context.note(format!("{e}: {cause}; the next command that writes clears that up"));
        }
    }

    pub(super) fn clear_up(&self) -> Result<()> {
        let (fs, layout) = (self.fs(), self.layout());
        fs.sync(&layout.rollback_dir()).during("sync", layout.rollback_dir())?;
        fs.replace_file(&layout.state(), STATE_IDLE.as_bytes(), 0o600).during("write", layout.state())?;
        fs.sync(layout.dir()).during("sync", layout.dir())?;
        let stage = layout.rollback_stage(&self.journal.id);
        fs.remove_tree(&stage).during("remove", &stage)?;
        // An edit of everything below the workspace is not to reach what an undo needs.
        let displaced = layout.displaced(&self.journal.id);
        fs.set_directory_modes(&displaced, Mode::new(0o500)).during("change the mode of", &displaced)
    }

    /// Announces a walk through all changes.
    pub(super) fn count_changes(&self, verb: &'static str) {
        let n = self.journal.actions.len() as u64;
        self.phase(verb, crate::event::plural(n, "change", "changes"), n);
    }

    pub(super) fn phase(&self, verb: &'static str, what: String, total: u64) {
        self.context.observer.on(&Event::Phase { verb, what, total });
    }

    pub(super) fn tell(&self, action: &Action, done: &'static str) {
        let digest = |t: &Option<FileState>| match t {
            Some(FileState::File { sha256: Some(d), .. }) => d.to_string(),
            Some(other) => other.noun().to_owned(),
            None => "nothing".to_owned(),
        };
        let detail = format!("{} -> {}", digest(&action.before), digest(&action.after));
        self.context.observer.on(&Event::File { action: done, path: action.shown(), detail });
    }

    pub(super) fn failed(&self, what: &str, action: &Action, e: io::Error) -> Error {
        let links = [rustix::io::Errno::LOOP, rustix::io::Errno::NOTDIR];
        if rustix::io::Errno::from_io_error(&e).is_some_and(|e| links.contains(&e)) {
            let text = format!("{}: a directory above it became a link or a file", action.shown());
            return changed_error(vec![text]).with_source(e);
        }
        let tree = self.trees.of(&action.root).map_or(Path::new(""), Tree::path);
        Error::io(what, &tree.join(&action.path), e)
    }
}

pub(super) fn changed_error(paths: Vec<String>) -> Error {
    let n = paths.len();
    let (files, verb) = if n == 1 { ("1 path", "has") } else { (&*format!("{n} paths"), "have") };
    Error::new(ErrorKind::Changed, format!("{files} {verb} changed since the plan was made"))
        .with_details(paths)
        .with_help("stop what writes to the workspace (an editor, a build), then roll back again")
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "types differ by platform")]
pub(super) fn identity(stat: &rustix::fs::Stat) -> Identity {
    (stat.st_ino as u64, stat.st_size as i64, stat.st_mtime as i64, stat.st_mtime_nsec as i64)
}
