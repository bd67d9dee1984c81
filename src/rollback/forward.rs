//! Moving everything into place. Each step looks at how far it had come, so that all of it can be begun again.

use std::io;
use std::path::Path;

use super::apply::{Identity, Stopped, Transaction, changed_error, identity};
use super::journal::Action;
use super::steps::{Step, StepKind};
use crate::error::{Error, IoContext, Result};
use crate::event::Event;
use crate::fsx::Tree;
use crate::live_tree::FileState;
use crate::manifest::Mode;
use crate::path::RelPath;

impl Transaction<'_> {
    /// Moves everything into place. May be begun again after a cut; then `seen` is empty.
    pub(super) fn forward(&self, seen: &[Option<Identity>]) -> Result<(), Stopped> {
        self.count_changes("Rolling back");
        self.open_directories()?;
        if seen.is_empty() {
            self.drop_parts()?;
        }
        let mut done = 0;
        for step in self.journal.steps() {
            let Step { kind, action, index } = step;
            match kind {
                StepKind::MoveOut => self.move_out(index, action, seen)?,
                StepKind::RemoveDirectory => self.remove_directory(action)?,
                StepKind::CreateDirectory => self.create_directory(action)?,
                StepKind::Place => self.place(index, action, seen)?,
                StepKind::ChangeMode => self.change_mode(action, action.after.as_ref())?,
            }
            if step.is_last() {
                done += 1;
                self.context.observer.on(&Event::Progress { done });
                self.tell(action, action.verb().past());
            }
            if self.context.interrupt.is_set() {
                return Err(Stopped::Interrupted);
            }
        }
        self.touch_placed()?;
        Ok(self.settle(|a| a.after.as_ref())?)
    }

    /// Moves the old content of a target out, unless that was done before.
    fn move_out(&self, index: usize, action: &Action, seen: &[Option<Identity>]) -> Result<()> {
        let to = self.displaced(action);
        let tree = self.tree(&action.root)?;
        let stands = tree.stat(&action.path).during("look at", tree.path().join(&action.path))?.is_some();
        match (Self::exists(&to), stands) {
            (true, false) => return Ok(()),
            (false, false) => return Err(changed_error(vec![format!("{}: is missing", action.shown())])),
            // A copy across file systems was interrupted before the original went.
            (true, true) if self.is_copy_of(tree, action, &to)? => {
                return tree.remove_file(&action.path).map_err(|e| self.failed("remove", action, e));
            }
            (true, true) => {
                // An action that also makes a directory was done before; anything else is somebody's new file.
                let now = FileState::at(&mut tree.cursor(), &action.path).during("look at", tree.path())?;
                let made = now.is_some_and(|t| t.is_directory())
                    && action.after.as_ref().is_some_and(FileState::is_directory);
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
            Err(e) => return Err(self.failed("displace", action, e)),
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

    pub(super) fn is_copy_of(&self, tree: &Tree, action: &Action, to: &Path) -> Result<bool> {
        let now = FileState::at(&mut tree.cursor(), &action.path).during("look at", tree.path())?;
        let copy = self.thing_in_store(to)?;
        Ok(matches!((now, copy), (Some(a), Some(b)) if a.same_content(&b)))
    }

    fn thing_in_store(&self, path: &Path) -> Result<Option<FileState>> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let Ok(tree) = Tree::open(dir, self.fs()) else { return Ok(None) };
        let Ok(name) = RelPath::new(name) else { return Ok(None) };
        FileState::at(&mut tree.cursor(), &name).during("look at", path)
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
            FileState::at(&mut tree.cursor(), &action.path).map_err(|e| self.failed("look at", action, e))?;
        match now {
            // Made before a cut.
            Some(FileState::Directory { .. }) => {}
            Some(_) => return Err(changed_error(vec![action.shown()])),
            None => {
                let bits = action.after.as_ref().and_then(FileState::mode).map_or(0o755, Mode::bits);
                // Open for its owner until everything in it stands; then it gets its own mode.
                tree.create_dir(&action.path, Mode::new(bits | 0o700))
                    .map_err(|e| self.failed("create", action, e))?;
            }
        }
        self.give_to_owner(tree, &action.path, None)
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
            FileState::at(&mut tree.cursor(), &action.path).map_err(|e| self.failed("look at", action, e))?;
        let done = now.is_some_and(|now| action.after.as_ref().is_some_and(|after| now.same_content(after)))
            && (!action.displaces() || Self::exists(&self.displaced(action)));
        if done {
            self.fs().remove_file(staged).during("remove", staged)?;
        }
        Ok(done)
    }

    /// Gives what was put in place the present as its time. Only now: a build that ran meanwhile has an older mark
    /// than that.
    fn touch_placed(&self) -> Result<()> {
        for action in self.journal.actions.iter().filter(|a| a.places()) {
            if let Some(FileState::File { .. }) = &action.after {
                let tree = self.tree(&action.root)?;
                tree.touch(&action.path, self.present()).map_err(|e| self.failed("touch", action, e))?;
            }
        }
        Ok(())
    }
}
