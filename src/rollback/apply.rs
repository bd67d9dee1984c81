//! Carrying out a journalled plan.
//!
//! Steps: the intent is journalled and synced; new files are staged in the store and synced; every target is
//! looked at once more; the journal is committed; files are moved; everything is synced and read back; the
//! journal is closed. Before the commit the workspace is untouched. After it, [`Transaction::forward`] and
//! [`Transaction::backward`] can each be begun again wherever they were cut off: what stands in the stage, at the
//! target and among the displaced says how far each action had come.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::journal::{Action, COMMITTED, Journal, Origin, Purpose, Verb};
use super::thing::Thing;
use crate::archive;
use crate::clock::Mtime;
use crate::digest::Hasher;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::fsx::{Fs, Tree};
use crate::manifest::{Id, Manifest, Mode, stored_path};
use crate::path::{RelPath, show_path};
use crate::store::{Layout, STATE_IDLE, Store, StoreLock};

/// Device, inode, size and time of a target, as it was looked at last before the commit.
pub(super) type Identity = (u64, i64, i64, i64);

/// A rollback under way.
pub(super) struct Transaction<'a> {
    store: &'a Store,
    journal: &'a Journal,
    trees: BTreeMap<String, Tree>,
    context: Context<'a>,
}

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
        let mut trees = BTreeMap::new();
        for root in &journal.roots {
            let directory = store.root_directory(root)?;
            let tree = Tree::open(&directory, store.fs()).during("open directory", &directory)?;
            trees.insert(root.name.clone(), tree);
        }
        Ok(Transaction { store, journal, trees, context: *context })
    }

    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    fn layout(&self) -> &'a Layout {
        self.store.layout()
    }

    fn fs(&self) -> &'a Fs {
        self.store.fs()
    }

    fn tree(&self, root: &str) -> Result<&Tree> {
        self.trees
            .get(root)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("the journal names no root `{root}`")))
    }

    fn staged(&self, index: usize) -> PathBuf {
        self.layout().rollback_stage(&self.journal.id).join(index.to_string())
    }

    fn displaced(&self, action: &Action) -> PathBuf {
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

    /// Writes every new file to the stage, whatever an earlier attempt left there.
    pub(super) fn stage(&self) -> Result<()> {
        let dir = self.layout().rollback_stage(&self.journal.id);
        self.fs().remove_tree(&dir).during("remove", &dir)?;
        self.fs().create_dir(&dir, 0o700).during("create directory", &dir)?;
        let placed: Vec<(usize, &Action)> =
            self.journal.actions.iter().enumerate().filter(|(_, a)| a.places()).collect();
        self.phase("Staging", format!("{} files", placed.len()), placed.len() as u64);
        let source = SourceReader::open(self.store, &self.journal.purpose)?;
        let mut from_archive = Vec::new();
        for (done, (index, action)) in placed.into_iter().enumerate() {
            self.context.interrupt.check()?;
            match (&action.origin, &action.after) {
                (_, Some(Thing::Symlink { target })) => {
                    let path = self.staged(index);
                    self.fs().symlink(target.as_os_str(), &path).during("create", &path)?;
                }
                (Origin::Archive, _) => from_archive.push((index, action)),
                _ => self.stage_file(index, action, &mut source.open_plain(action)?)?,
            }
            self.context.observer.on(&Event::Progress { done: done as u64 + 1 });
        }
        if !from_archive.is_empty() {
            source.each_archived(self, &from_archive, |index, action, content| {
                self.stage_file(index, action, content)
            })?;
        }
        let dir = self.layout().dir();
        self.fs().barrier(dir).during("sync", dir)
    }

    fn stage_file(&self, index: usize, action: &Action, content: &mut dyn Read) -> Result<()> {
        let path = self.staged(index);
        let Some(Thing::File { mode, sha256, .. }) = &action.after else {
            return Err(Error::new(ErrorKind::Damaged, format!("{} is to be no file", action.shown())));
        };
        let mut file = self.fs().create_file(&path).during("create", &path)?;
        let digest = copy(content, &mut file).during("write", &path)?;
        if Some(digest) != *sha256 {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("{} was damaged while it was copied", action.shown()),
            ));
        }
        file.finish(*mode, self.present()).during("finish", &path)
    }

    fn present(&self) -> Mtime {
        Mtime::from_system(self.context.clock.now())
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
            let now = Thing::at(&mut cursor, &action.path).during("read", tree.path().join(&action.path))?;
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
        changed.sort();
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

    /// Moves everything into place. May be begun again after a cut; then `seen` is empty.
    pub(super) fn forward(&self, seen: &[Option<Identity>]) -> Result<(), Stopped> {
        let actions = &self.journal.actions;
        self.phase("Rolling back", format!("{} changes", actions.len()), actions.len() as u64);
        let mut done = 0;
        let mut step = |action: &Action| -> Result<(), Stopped> {
            done += 1;
            self.context.observer.on(&Event::Progress { done });
            self.tell(action, action.verb().past());
            if self.context.interrupt.is_set() { Err(Stopped::Interrupted) } else { Ok(()) }
        };
        self.unlock()?;
        if seen.is_empty() {
            self.drop_parts()?;
        }
        let is_dir = |t: &Option<Thing>| t.as_ref().is_some_and(Thing::is_directory);
        for (i, action) in actions.iter().enumerate().filter(|(_, a)| a.displaces() && !a.places()) {
            self.move_out(i, action, seen)?;
            step(action)?;
        }
        for action in actions.iter().rev().filter(|a| is_dir(&a.before) && !is_dir(&a.after)) {
            self.remove_directory(action)?;
            if !action.places() {
                step(action)?;
            }
        }
        for action in actions.iter().filter(|a| !is_dir(&a.before) && is_dir(&a.after)) {
            self.create_directory(action)?;
            step(action)?;
        }
        for (i, action) in actions.iter().enumerate().filter(|(_, a)| a.places()) {
            self.place(i, action, seen)?;
            step(action)?;
        }
        for action in actions.iter().filter(|a| a.verb() == Verb::ChangeMode) {
            self.change_mode(action, action.after.as_ref())?;
            step(action)?;
        }
        self.lock_again(|a| a.after.as_ref())?;
        self.touch()?;
        self.sync()?;
        Ok(())
    }

    /// Takes back whatever [`Transaction::forward`] did. May be begun again after a cut.
    pub(super) fn backward(&self) -> Result<()> {
        let actions = &self.journal.actions;
        self.phase("Taking back", format!("{} changes", actions.len()), actions.len() as u64);
        let is_dir = |t: &Option<Thing>| t.as_ref().is_some_and(Thing::is_directory);
        self.unlock()?;
        self.unlock_created()?;
        self.drop_parts()?;
        for action in actions.iter().filter(|a| a.verb() == Verb::ChangeMode) {
            match self.change_mode(action, action.before.as_ref()) {
                Err(e) if e.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => {
                    self.context.note(format!("{} was removed since", action.shown()));
                }
                other => other?,
            }
        }
        for (i, action) in actions.iter().enumerate().filter(|(_, a)| a.places()) {
            self.take_back(i, action)?;
        }
        for action in actions.iter().rev().filter(|a| !is_dir(&a.before) && is_dir(&a.after)) {
            self.remove_created_directory(action)?;
        }
        for action in actions.iter().filter(|a| is_dir(&a.before) && !is_dir(&a.after)) {
            let tree = self.tree(&action.root)?;
            match tree.create_dir(&action.path, Mode::new(0o700)) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(self.failed("create", action, e));
                }
                _ => self.give_to_owner(tree, &action.path, None)?,
            }
        }
        for (i, action) in actions.iter().enumerate().filter(|(_, a)| a.displaces()) {
            self.put_back(i, action)?;
        }
        self.lock_again(|a| a.before.as_ref())?;
        self.sync()
    }

    /// Opens directories that forbid writing.
    fn unlock(&self) -> Result<()> {
        for ((root, path), mode) in &self.journal.unlock {
            self.open_directory(root, path, *mode)?;
        }
        Ok(())
    }

    /// Opens the directories that this rollback made, which may already have their final mode.
    fn unlock_created(&self) -> Result<()> {
        for action in &self.journal.actions {
            if let (Some(Thing::Directory { mode }), true) =
                (&action.after, mode_forbids(action.after.as_ref()))
            {
                self.open_directory(&action.root, &action.path, *mode)?;
            }
        }
        Ok(())
    }

    fn open_directory(&self, root: &str, path: &RelPath, mode: Mode) -> Result<()> {
        let tree = self.tree(root)?;
        let stat = tree.stat(path).during("look at", tree.path().join(path))?;
        let kind = stat.map(|s| rustix::fs::FileType::from_raw_mode(s.st_mode));
        if kind.is_some_and(|k| k.is_dir()) {
            let open = Mode::new(mode.bits() | 0o700);
            tree.set_mode(path, open).during("change the mode of", tree.path().join(path))?;
        }
        Ok(())
    }

    /// Gives directories the mode that they are to have, the deepest first.
    fn lock_again(&self, side: impl Fn(&Action) -> Option<&Thing>) -> Result<()> {
        let mut modes: BTreeMap<(&str, &RelPath), Mode> =
            self.journal.unlock.iter().map(|((root, path), mode)| ((root.as_str(), path), *mode)).collect();
        for action in &self.journal.actions {
            let key = (action.root.as_str(), &action.path);
            match side(action) {
                Some(Thing::Directory { mode }) => drop(modes.insert(key, *mode)),
                _ => drop(modes.remove(&key)),
            }
        }
        for ((root, path), mode) in modes.into_iter().rev() {
            let tree = self.tree(root)?;
            let full = tree.path().join(path);
            let now = Thing::at(&mut tree.cursor(), path).during("look at", &full)?;
            if now.as_ref().and_then(Thing::mode).is_some_and(|now| now != mode) {
                tree.set_mode(path, mode).during("change the mode of", &full)?;
            }
        }
        Ok(())
    }

    fn exists(path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    /// Moves the old content of a target out, unless that was done before.
    fn move_out(&self, index: usize, action: &Action, seen: &[Option<Identity>]) -> Result<()> {
        let to = self.displaced(action);
        let tree = self.tree(&action.root)?;
        let stands = tree.stat(&action.path).during("look at", tree.path().join(&action.path))?.is_some();
        match (Self::exists(&to), stands) {
            (true, false) => return Ok(()),
            (false, false) => return Err(changed_error(vec![format!("{}: is gone", action.shown())])),
            // A copy across file systems was cut off before the original went.
            (true, true) if self.is_copy_of(tree, action, &to)? => {
                return tree.remove_file(&action.path).map_err(|e| self.failed("remove", action, e));
            }
            (true, true) => {
                // An action that also makes a directory was done before; anything else is somebody's new file.
                let now = Thing::at(&mut tree.cursor(), &action.path).during("look at", tree.path())?;
                let made = now.is_some_and(|t| t.is_directory())
                    && action.after.as_ref().is_some_and(Thing::is_directory);
                return if made { Ok(()) } else { Err(changed_error(vec![action.shown()])) };
            }
            (false, true) => {}
        }
        if let Some(parent) = to.parent() {
            self.fs().create_dir_all(parent, 0o700).during("create directory", parent)?;
        }
        match tree.move_out(&action.path, &to) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                return self.copy_out(tree, action, &to, seen.get(index).copied().flatten());
            }
            Err(e) => return Err(self.failed("move out", action, e)),
        }
        // Somebody may have put another file there since the last look. It is safe where it is now; but the plan
        // was made for another.
        if let Some(Some(expected)) = seen.get(index) {
            let moved = rustix::fs::lstat(&to).map_err(|e| Error::io("look at", &to, e.into()))?;
            if identity(&moved) != *expected {
                return Err(changed_error(vec![action.shown()]));
            }
        }
        Ok(())
    }

    fn is_copy_of(&self, tree: &Tree, action: &Action, to: &Path) -> Result<bool> {
        let now = Thing::at(&mut tree.cursor(), &action.path).during("look at", tree.path())?;
        let copy = self.thing_in_store(to)?;
        Ok(matches!((now, copy), (Some(a), Some(b)) if a.same_content(&b)))
    }

    fn thing_in_store(&self, path: &Path) -> Result<Option<Thing>> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let Ok(tree) = Tree::open(dir, self.fs()) else { return Ok(None) };
        let Ok(name) = RelPath::new(name) else { return Ok(None) };
        Thing::at(&mut tree.cursor(), &name).during("look at", path)
    }

    /// Where store and workspace lie on different file systems: copy, verify, sync, then remove the original, if
    /// it is still the one that was looked at.
    fn copy_out(&self, tree: &Tree, action: &Action, to: &Path, expected: Option<Identity>) -> Result<()> {
        // Not beside its target: a name may be as long as names can be.
        let part = self.layout().rollback_stage(&self.journal.id).join("part");
        let _ = self.fs().remove_file(&part);
        let mut cursor = tree.cursor();
        let failed = |e| self.failed("copy out", action, e);
        let give = |stat: &rustix::fs::Stat| match crate::fsx::is_root() {
            true => self.fs().set_owner(&part, stat.st_uid, stat.st_gid).during("change the owner of", &part),
            false => Ok(()),
        };
        let Some(stat) = cursor.stat(&action.path).map_err(failed)? else {
            return Err(changed_error(vec![action.shown()]));
        };
        let seen = expected.unwrap_or_else(|| identity(&stat));
        if identity(&stat) != seen {
            return Err(changed_error(vec![action.shown()]));
        }
        let mtime = crate::backup::mtime_of(&stat);
        match &action.before {
            Some(Thing::Symlink { .. }) => {
                let target = cursor.read_link(&action.path).map_err(failed)?;
                self.fs().symlink(target.as_os_str(), &part).during("create", &part)?;
                give(&stat)?;
                self.fs().set_mtime(&part, mtime).during("touch", &part)?;
            }
            Some(Thing::File { .. }) => {
                let mut from = cursor.open(&action.path).map_err(failed)?;
                let mut file = self.fs().create_file(&part).during("create", &part)?;
                let digest = copy(&mut from, &mut file).during("write", &part)?;
                file.sync().during("sync", &part)?;
                give(&stat)?;
                file.finish(Mode::new(stat.st_mode), mtime).during("finish", &part)?;
                let size = part.metadata().during("look at", &part)?.len();
                let back = archive::digest_of(&mut File::open(&part).during("open", &part)?, size);
                if back.during("read back", &part)? != Some(digest) {
                    return Err(Error::new(ErrorKind::Io, format!("{} was copied wrongly", action.shown())));
                }
            }
            _ => return Err(failed(io::ErrorKind::CrossesDevices.into())),
        }
        let now = cursor.stat(&action.path).map_err(failed)?;
        if now.as_ref().map(identity) != Some(seen) {
            return Err(changed_error(vec![action.shown()]));
        }
        self.fs().rename(&part, to).during("rename into place", to)?;
        if let Some(parent) = to.parent() {
            self.fs().sync(parent).during("sync", parent)?;
        }
        tree.remove_file(&action.path).map_err(failed)
    }

    fn remove_directory(&self, action: &Action) -> Result<()> {
        let tree = self.tree(&action.root)?;
        let stat = tree.stat(&action.path).map_err(|e| self.failed("look at", action, e))?;
        // Gone, or already replaced by what is to stand there.
        if !stat.is_some_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode).is_dir()) {
            return Ok(());
        }
        match tree.remove_dir(&action.path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Err(changed_error(vec![format!("{}: something appeared in it", action.shown())]))
            }
            Err(e) => Err(self.failed("remove", action, e)),
        }
    }

    fn create_directory(&self, action: &Action) -> Result<()> {
        let tree = self.tree(&action.root)?;
        let now =
            Thing::at(&mut tree.cursor(), &action.path).map_err(|e| self.failed("look at", action, e))?;
        match now {
            // Made before a cut.
            Some(Thing::Directory { .. }) => self.give_to_owner(tree, &action.path, None)?,
            Some(_) => return Err(changed_error(vec![action.shown()])),
            None => {
                let bits = action.after.as_ref().and_then(Thing::mode).map_or(0o755, Mode::bits);
                // Open for its owner until everything in it stands; then it gets its own mode.
                tree.create_dir(&action.path, Mode::new(bits | 0o700))
                    .map_err(|e| self.failed("create", action, e))?;
                self.give_to_owner(tree, &action.path, None)?;
            }
        }
        Ok(())
    }

    /// Puts the staged file or link in place, the old one out of the way first.
    fn place(&self, index: usize, action: &Action, seen: &[Option<Identity>]) -> Result<()> {
        let staged = self.staged(index);
        let tree = self.tree(&action.root)?;
        let before_a_cut =
            !Self::exists(&staged) || (seen.is_empty() && self.finish_cut_place(tree, action, &staged)?);
        if before_a_cut {
            return self.give_to_owner(tree, &action.path, Some(action));
        }
        if action.displaces() {
            self.move_out(index, action, seen)?;
        }
        match tree.move_in(&staged, &action.path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                self.copy_in(tree, index, action, &staged, None)?
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(changed_error(vec![format!("{}: something appeared there", action.shown())]));
            }
            Err(e) => return Err(self.failed("put in place", action, e)),
        }
        self.give_to_owner(tree, &action.path, Some(action))
    }

    /// After a cut: whether a copy across file systems had come to its end, and only what was staged is left.
    fn finish_cut_place(&self, tree: &Tree, action: &Action, staged: &Path) -> Result<bool> {
        let now =
            Thing::at(&mut tree.cursor(), &action.path).map_err(|e| self.failed("look at", action, e))?;
        let done = now.is_some_and(|now| action.after.as_ref().is_some_and(|after| now.same_content(after)))
            && (!action.displaces() || Self::exists(&self.displaced(action)));
        if done {
            self.fs().remove_file(staged).during("remove", staged)?;
        }
        Ok(done)
    }

    /// The name beside the target that a copy across file systems is written to first.
    fn part(&self, index: usize, action: &Action) -> Result<RelPath> {
        let name = format!(".backstop-{}-{index}", self.journal.id);
        let path = match action.path.parent() {
            Some(parent) => parent.join(name),
            None => RelPath::new(name),
        };
        path.map_err(|e| Error::new(ErrorKind::Io, "failed to name a part").with_source(e))
    }

    /// After a cut: clears copies across file systems that were under way.
    fn drop_parts(&self) -> Result<()> {
        for (index, action) in self.journal.actions.iter().enumerate() {
            let tree = self.tree(&action.root)?;
            let part = self.part(index, action)?;
            if tree.stat(&part).map_err(|e| self.failed("look at", action, e))?.is_some() {
                tree.remove_file(&part).map_err(|e| self.failed("clear", action, e))?;
            }
        }
        Ok(())
    }

    fn copy_in(
        &self,
        tree: &Tree,
        index: usize,
        action: &Action,
        staged: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<()> {
        let part = self.part(index, action)?;
        let failed = |e| self.failed("put in place", action, e);
        let give = || owner.map_or(Ok(()), |(uid, gid)| tree.set_owner(&part, uid, gid)).map_err(failed);
        match &action.after {
            Some(Thing::Symlink { target }) => {
                tree.symlink(target, &part).map_err(failed)?;
                give()?;
            }
            Some(Thing::File { mode, sha256, .. }) => {
                let mut from = File::open(staged).during("open", staged)?;
                let mut file = tree.create_file(&part).map_err(failed)?;
                let digest = copy(&mut from, &mut file).map_err(failed)?;
                if Some(digest) != *sha256 {
                    return Err(Error::new(ErrorKind::Io, format!("{} was copied wrongly", action.shown())));
                }
                file.sync().map_err(failed)?;
                give()?;
                file.finish(*mode, self.present()).map_err(failed)?;
            }
            _ => return Ok(()),
        }
        tree.rename(&part, &action.path).map_err(failed)?;
        self.fs().remove_file(staged).during("remove", staged)
    }

    /// Running as root keeps the owner of what is replaced; what is new gets its directory's.
    fn give_to_owner(&self, tree: &Tree, path: &RelPath, action: Option<&Action>) -> Result<()> {
        if !crate::fsx::is_root() {
            return Ok(());
        }
        let full = tree.path().join(path);
        // Where a directory made way, what stands there is the store's own directory of what was in it.
        let replaced = action.filter(|a| a.displaces()).map(|a| self.displaced(a));
        let old = replaced.and_then(|p| rustix::fs::lstat(&p).ok());
        let parent = match path.parent() {
            Some(parent) => tree.stat(&parent).during("look at", &full)?,
            None => rustix::fs::stat(tree.path()).ok(),
        };
        let (Some(owner), Some(now)) = (old.or(parent), tree.stat(path).during("look at", &full)?) else {
            return Ok(());
        };
        if (owner.st_uid, owner.st_gid) != (now.st_uid, now.st_gid) {
            tree.set_owner(path, owner.st_uid, owner.st_gid).during("change the owner of", &full)?;
            let kind = rustix::fs::FileType::from_raw_mode(now.st_mode);
            // Changing the owner clears the set-id bits.
            if !kind.is_symlink() && now.st_mode & 0o6000 != 0 {
                tree.set_mode(path, Mode::new(now.st_mode)).during("change the mode of", &full)?;
            }
        }
        Ok(())
    }

    fn change_mode(&self, action: &Action, to: Option<&Thing>) -> Result<()> {
        let Some(mode) = to.and_then(Thing::mode) else { return Ok(()) };
        let tree = self.tree(&action.root)?;
        // A directory's mode is set at the end, when nothing more is put into it.
        if to.is_some_and(Thing::is_directory) {
            return Ok(());
        }
        tree.set_mode(&action.path, mode).map_err(|e| self.failed("change the mode of", action, e))
    }

    /// Moves a file that was put in place back to the stage.
    fn take_back(&self, index: usize, action: &Action) -> Result<()> {
        let staged = self.staged(index);
        let tree = self.tree(&action.root)?;
        let now =
            Thing::at(&mut tree.cursor(), &action.path).map_err(|e| self.failed("look at", action, e))?;
        let Some(now) = now else { return Ok(()) };
        let displaced = Self::exists(&self.displaced(action));
        if Self::exists(&staged) {
            // Not put in place yet, or copied across file systems and not cleared: the copy goes.
            let is_ours = action.after.as_ref().is_some_and(|after| now.same_content(after));
            if is_ours && (displaced || !action.displaces()) {
                tree.remove_file(&action.path).map_err(|e| self.failed("take back", action, e))?;
            }
            return Ok(());
        }
        if action.displaces() && !displaced {
            // Everything was put back before a cut.
            return Ok(());
        }
        if action.before.as_ref().is_some_and(Thing::is_directory) && now.is_directory() {
            return Ok(());
        }
        let ours = action.after.as_ref().is_some_and(|after| now.same_content(after));
        let to = if ours { staged } else { self.edited_since(action)? };
        match tree.move_out(&action.path, &to) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                let old = Action { before: Some(now), ..action.clone() };
                self.copy_out(tree, &old, &to, None)
            }
            Err(e) => Err(self.failed("take back", action, e)),
        }
    }

    /// Where a file goes that somebody wrote after the rollback was cut off, and that has to make way.
    fn edited_since(&self, action: &Action) -> Result<PathBuf> {
        let base = self.layout().displaced(&self.journal.id).join("edited_since");
        let to = base.join(stored_path(&action.root, &action.path));
        if let Some(parent) = to.parent() {
            self.fs().create_dir_all(parent, 0o700).during("create directory", parent)?;
        }
        self.context.note(format!(
            "{} was written since; that is kept in {}",
            action.shown(),
            show_path(&to)
        ));
        Ok(to)
    }

    /// Moves a displaced file back to where it stood, with the present as its time: a build may have looked
    /// meanwhile.
    fn put_back(&self, index: usize, action: &Action) -> Result<()> {
        let from = self.displaced(action);
        if !Self::exists(&from) {
            return Ok(());
        }
        let tree = self.tree(&action.root)?;
        if self.is_copy_of(tree, action, &from)? {
            // A copy across file systems was cut off between its end and the removal of what was copied.
            return self.fs().remove_file(&from).during("remove", &from);
        }
        match tree.move_in(&from, &action.path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                self.copy_back(tree, index, action, &from)?
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(changed_error(vec![format!("{}: something appeared there", action.shown())])
                    .with_help(format!("its old content is in {}", show_path(&from))));
            }
            Err(e) => return Err(self.failed("put back", action, e)),
        }
        if let Some(Thing::File { .. }) = &action.before {
            tree.set_mtime(&action.path, self.present()).map_err(|e| self.failed("touch", action, e))?;
        }
        Ok(())
    }

    fn copy_back(&self, tree: &Tree, index: usize, action: &Action, from: &Path) -> Result<()> {
        let after = action.before.clone();
        let back = Action { after, ..action.clone() };
        let stat = rustix::fs::lstat(from).map_err(|e| Error::io("look at", from, e.into()))?;
        let owner = crate::fsx::is_root().then_some((stat.st_uid, stat.st_gid));
        self.copy_in(tree, index, &back, from, owner)
    }

    fn remove_created_directory(&self, action: &Action) -> Result<()> {
        let tree = self.tree(&action.root)?;
        let stat = tree.stat(&action.path).map_err(|e| self.failed("look at", action, e))?;
        if !stat.is_some_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode).is_dir()) {
            return Ok(());
        }
        match tree.remove_dir(&action.path) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
                self.context.note(format!("{} stays: something appeared in it meanwhile", action.shown()));
                Ok(())
            }
            other => other.map_err(|e| self.failed("remove", action, e)),
        }
    }

    /// Gives what was put in place, and the crate roots that have to be looked at again, the present as their
    /// time. Only now: a build that ran meanwhile has an older mark than that.
    fn touch(&self) -> Result<()> {
        for action in self.journal.actions.iter().filter(|a| a.places()) {
            if let Some(Thing::File { .. }) = &action.after {
                let tree = self.tree(&action.root)?;
                tree.set_mtime(&action.path, self.present()).map_err(|e| self.failed("touch", action, e))?;
            }
        }
        for (root, path) in &self.journal.touch {
            let tree = self.tree(root)?;
            match tree.set_mtime(path, self.present()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("touch", &tree.path().join(path), e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes both sides durable, directories too, before anything says that it is done.
    fn sync(&self) -> Result<()> {
        for (root, tree) in &self.trees {
            let changed: Vec<RelPath> =
                self.journal.actions.iter().filter(|a| a.root == *root).map(|a| a.path.clone()).collect();
            tree.barrier(&changed).during("sync", tree.path())?;
        }
        self.fs().barrier(self.layout().dir()).during("sync", self.layout().dir())
    }

    /// Reads back everything that was put in place. Gives how many were right, and what is not.
    pub(super) fn verify(&self) -> Result<(u64, Vec<String>)> {
        let actions = &self.journal.actions;
        self.phase("Verifying", format!("{} changes", actions.len()), 0);
        let wrong = crate::parallel::map(actions.len(), |i| {
            let action = &actions[i];
            let tree = self.tree(&action.root)?;
            let now =
                Thing::at(&mut tree.cursor(), &action.path).map_err(|e| self.failed("read", action, e))?;
            Ok((now != action.after).then(|| action.shown()))
        })?;
        let wrong: Vec<String> = wrong.into_iter().flatten().collect();
        Ok(((actions.len() - wrong.len()) as u64, wrong))
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
        match self.fs().remove_file(&journal) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &journal, e)),
            _ => {}
        }
        self.end();
        Ok(())
    }

    /// Without its journal it has ended, whatever becomes of the rest: the next writer clears that.
    fn end(&self) {
        if let Err(e) = self.clear_up() {
            let cause = e.io_error().map(ToString::to_string).unwrap_or_default();
            self.context.note(format!("{e}: {cause}; the next command that writes clears that up"));
        }
    }

    fn clear_up(&self) -> Result<()> {
        let (fs, layout) = (self.fs(), self.layout());
        fs.sync(&layout.rollback_dir()).during("sync", layout.rollback_dir())?;
        fs.replace_file(&layout.state(), STATE_IDLE.as_bytes(), 0o600).during("write", layout.state())?;
        fs.sync(layout.dir()).during("sync", layout.dir())?;
        let stage = layout.rollback_stage(&self.journal.id);
        fs.remove_tree(&stage).during("remove", &stage)
    }

    fn phase(&self, verb: &'static str, what: String, total: u64) {
        self.context.observer.on(&Event::Phase { verb, what, total });
    }

    fn tell(&self, action: &Action, done: &'static str) {
        let digest = |t: &Option<Thing>| match t {
            Some(Thing::File { sha256: Some(d), .. }) => d.to_string(),
            Some(other) => other.noun().to_owned(),
            None => "nothing".to_owned(),
        };
        let detail = format!("{} -> {}", digest(&action.before), digest(&action.after));
        self.context.observer.on(&Event::File { action: done, path: action.shown(), detail });
    }

    fn failed(&self, what: &str, action: &Action, e: io::Error) -> Error {
        let links = [rustix::io::Errno::LOOP, rustix::io::Errno::NOTDIR];
        if rustix::io::Errno::from_io_error(&e).is_some_and(|e| links.contains(&e)) {
            let text = format!("{}: a directory above it became a link or a file", action.shown());
            return changed_error(vec![text]).with_source(e);
        }
        let tree = self.trees.get(&action.root).map_or(Path::new(""), Tree::path);
        Error::io(what, &tree.join(&action.path), e)
    }
}

fn mode_forbids(thing: Option<&Thing>) -> bool {
    thing.and_then(Thing::mode).is_some_and(|m| m.bits() & 0o300 != 0o300)
}

fn changed_error(paths: Vec<String>) -> Error {
    let n = paths.len();
    let (files, verb) = if n == 1 { ("1 path", "has") } else { (&*format!("{n} paths"), "have") };
    Error::new(ErrorKind::Changed, format!("{files} {verb} changed since the plan was made"))
        .with_details(paths)
        .with_help("stop what writes to the workspace (an editor, a build), then roll back again")
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "types differ by platform")]
fn identity(stat: &rustix::fs::Stat) -> Identity {
    (stat.st_ino as u64, stat.st_size as i64, stat.st_mtime as i64, stat.st_mtime_nsec as i64)
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<crate::digest::Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                to.write_all(&buffer[..n])?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Where staged content is read from.
struct SourceReader {
    session: PathBuf,
    displaced: PathBuf,
    manifest: Option<(Manifest, PathBuf)>,
}

impl SourceReader {
    fn open(store: &Store, purpose: &Purpose) -> Result<Self> {
        let layout = store.layout();
        let (to, of): (&Id, &Id) = match purpose {
            Purpose::Rollback { to } => (to, to),
            Purpose::Undo { of } => (of, of),
        };
        let catalogue = store.catalogue()?;
        let listed = catalogue.all().iter().find(|l| l.id == *to);
        let manifest = listed.and_then(|l| {
            let archive = layout.archive(&l.label, &l.id);
            Some((store.manifest(l).ok()?, archive))
        });
        Ok(SourceReader { session: layout.session(to), displaced: layout.displaced(of), manifest })
    }

    fn open_plain(&self, action: &Action) -> Result<File> {
        let base = if action.origin == Origin::Displaced { &self.displaced } else { &self.session };
        let path = base.join(stored_path(&action.root, &action.path));
        // The store is ours, but a link in it is not followed all the same.
        let meta = path.symlink_metadata().during("open", &path)?;
        if !meta.is_file() {
            return Err(Error::new(ErrorKind::Damaged, format!("`{}` is no file", show_path(&path))));
        }
        File::open(&path).during("open", &path)
    }

    /// Gives the content of files that are taken from the archive.
    fn each_archived(
        &self,
        transaction: &Transaction<'_>,
        wanted: &[(usize, &Action)],
        mut take: impl FnMut(usize, &Action, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let lost =
            || Error::new(ErrorKind::Damaged, "the archive that the rollback reads is gone or damaged");
        let (manifest, path) = self.manifest.as_ref().ok_or_else(lost)?;
        let info = manifest.archive.as_ref().ok_or_else(lost)?;
        let file = File::open(path).during("open", path)?;
        let mut by_entry = BTreeMap::new();
        for (index, action) in wanted {
            let entry = manifest.index_of(&action.root, &action.path).ok_or_else(lost)?;
            by_entry.insert(entry, (*index, *action));
        }
        for member in &info.members {
            if by_entry.range(member.first..member.first + member.entries).next().is_none() {
                continue;
            }
            transaction.context.interrupt.check()?;
            let mut visit =
                |entry: usize, content: Option<&mut dyn Read>| match (content, by_entry.remove(&entry)) {
                    (Some(content), Some((index, action))) => take(index, action, content),
                    _ => Ok(()),
                };
            // The files that are wanted are checked one by one; damage behind them is none of theirs.
            if let Err(archive::Fault::Visit(e)) =
                archive::read_member(&file, member, &manifest.entries, &mut visit)
            {
                return Err(e);
            }
        }
        if by_entry.is_empty() { Ok(()) } else { Err(lost()) }
    }
}
