//! Taking back what was moved into place. Each step looks at how far it had come, so that all of it can be begun
//! again.

use std::io;
use std::path::PathBuf;

use super::apply::{Transaction, changed_error};
use super::journal::Action;
use super::steps::{Step, StepKind};
use crate::error::{IoContext, Result};
use crate::live_tree::FileState;
use crate::manifest::{Mode, stored_path};
use crate::path::show_path;

impl Transaction<'_> {
    /// Takes back whatever [`Transaction::forward`] did. May be begun again after a cut.
    pub(super) fn backward(&self) -> Result<()> {
        self.count_changes("Taking back");
        self.open_directories()?;
        self.drop_parts()?;
        for Step { kind, action, index } in self.journal.steps().into_iter().rev() {
            match kind {
                StepKind::MoveOut => self.put_back(index, action)?,
                StepKind::RemoveDirectory => self.make_directory_again(action)?,
                StepKind::CreateDirectory => self.remove_created_directory(action)?,
                StepKind::Place => {
                    self.take_back(index, action)?;
                    self.put_back(index, action)?;
                }
                StepKind::ChangeMode => self.change_mode_back(action)?,
            }
        }
        // A build may have looked meanwhile, so the crate roots are touched here too.
        self.settle(|a| a.before.as_ref())
    }

    fn change_mode_back(&self, action: &Action) -> Result<()> {
        match self.change_mode(action, action.before.as_ref()) {
            Err(e) if e.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => {
                self.context.note(format!("{} was removed since", action.shown()));
                Ok(())
            }
            other => other,
        }
    }

    fn make_directory_again(&self, action: &Action) -> Result<()> {
        let tree = self.tree(&action.root)?;
        match tree.create_dir(&action.path, Mode::new(0o700)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(self.failed("create", action, e)),
            _ => self.give_to_owner(tree, &action.path, None),
        }
    }

    /// Moves a file that was put in place back to the stage.
    fn take_back(&self, index: usize, action: &Action) -> Result<()> {
        let staged = self.staged(index);
        let tree = self.tree(&action.root)?;
        let now =
            FileState::at(&mut tree.cursor(), &action.path).map_err(|e| self.failed("look at", action, e))?;
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
        if action.before.as_ref().is_some_and(FileState::is_directory) && now.is_directory() {
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

    /// Where a file goes that somebody wrote after the rollback was interrupted, and that has to make way.
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

    /// Moves what was displaced back to where it stood, with the present as its time: a build may have looked meanwhile.
    fn put_back(&self, index: usize, action: &Action) -> Result<()> {
        let from = self.displaced(action);
        // Where a directory made way, what stands there is the store's own directory of what was in it.
        if !action.displaces() || !Self::exists(&from) {
            return Ok(());
        }
        let tree = self.tree(&action.root)?;
        if self.is_copy_of(tree, action, &from)? {
            // A copy across file systems was interrupted between its end and the removal of what was copied.
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
        if let Some(FileState::File { .. }) = &action.before {
            tree.touch(&action.path, self.present()).map_err(|e| self.failed("touch", action, e))?;
        }
        Ok(())
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
}
