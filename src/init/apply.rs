//! Makes what was planned, or takes back what it made.
//!
//! The order is the plan's: after each step the workspace is one that cargo takes. The xtask's directory appears
//! whole, by a rename, and each file that is added to is old or new. So a cut leaves a workspace that works, and the
//! next `init` does what is missing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Change, Expected, InitPlan, leftovers};
use crate::clock::Mtime;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::Interrupt;
use crate::fsx::{Fs, is_root, temporary_sibling};
use crate::path::show_path;
use crate::workspace::metadata;

/// Writes the files of the plan, and asks cargo whether the workspace is what it is to be.
///
/// # Errors
/// Where a file changed since the plan was made, is read-only or lies outside the workspace, a step fails, or cargo
/// does not take the outcome: then nothing is changed.
pub fn apply(plan: &InitPlan, fs: &Fs, interrupt: &Interrupt) -> Result<()> {
    let mut work = Work { fs, root: &plan.root, like: Like::read(&plan.root)?, made: Vec::new() };
    let done = work.all(plan, interrupt).and_then(|()| check(&plan.expected, &plan.changes));
    done.map_err(|e| work.take_back(e))
}

/// What new files look like: their owner and permission bits are those of the root manifest.
struct Like {
    mode: u32,
    owner: (u32, u32),
}

impl Like {
    fn read(root: &Path) -> Result<Like> {
        let manifest = root.join("Cargo.toml");
        let meta = std::fs::metadata(&manifest).during("read", &manifest)?;
        Ok(Like { mode: meta.mode() & 0o666, owner: (meta.uid(), meta.gid()) })
    }
}

/// What is to be done to take a step back.
enum Made {
    File(PathBuf),
    Directory(PathBuf),
    Tree(PathBuf),
    Replaced { path: PathBuf, text: String, mode: u32, owner: (u32, u32), mtime: Mtime },
}

struct Work<'a> {
    fs: &'a Fs,
    root: &'a Path,
    like: Like,
    made: Vec<Made>,
}

impl Work<'_> {
    fn all(&mut self, plan: &InitPlan, interrupt: &Interrupt) -> Result<()> {
        for change in &plan.changes {
            unchanged(self.root, change)?;
        }
        leftovers::refuse_others(&plan.changes, self.root, &self.staged())?;
        interrupt.check()?;
        let whole = !self.root.join("xtask").exists();
        let (below, apart): (Vec<&Change>, Vec<&Change>) =
            plan.changes.iter().partition(|c| whole && c.path.starts_with("xtask"));
        let mut below = Some(below).filter(|b| !b.is_empty());
        for change in &plan.changes {
            match change.before {
                _ if apart.contains(&change) => self.write(change)?,
                _ => below.take().map_or(Ok(()), |files| self.directory(&files))?,
            }
        }
        for directory in plan.changes.iter().filter_map(|c| c.path.parent()) {
            let directory = self.root.join(directory);
            self.fs.sync(&directory).during("sync", &directory)?;
        }
        Ok(())
    }

    fn write(&mut self, change: &Change) -> Result<()> {
        let full = self.root.join(&change.path);
        let Some(before) = &change.before else {
            self.directories_above(&full)?;
            self.replace(&full, &change.after, self.like.mode)?;
            self.made.push(Made::File(full.clone()));
            return self.own(&full, self.like.owner);
        };
        // What a link points at is what is added to.
        let full = crate::path::canonical(&full)?;
        let meta = std::fs::metadata(&full).during("read", &full)?;
        let (mode, owner) = (meta.mode() & 0o7777, (meta.uid(), meta.gid()));
        self.replace(&full, &change.after, mode)?;
        self.made.push(Made::Replaced {
            path: full.clone(),
            text: before.clone(),
            mode,
            owner,
            mtime: Mtime { seconds: meta.mtime(), nanos: u32::try_from(meta.mtime_nsec()).unwrap_or(0) },
        });
        self.own(&full, owner)
    }

    /// Old or new; nothing stays beside it where it fails.
    fn replace(&self, path: &Path, text: &str, mode: u32) -> Result<()> {
        self.fs.replace_file(path, text.as_bytes(), mode).during("write", path).inspect_err(|_| {
            let _ = self.fs.remove_file_if_there(&temporary_sibling(path));
        })
    }

    fn own(&self, path: &Path, owner: (u32, u32)) -> Result<()> {
        let meta = path.symlink_metadata().during("read", path)?;
        if is_root() && (meta.uid(), meta.gid()) != owner {
            self.fs.set_owner(path, owner.0, owner.1).during("give away", path)?;
        }
        Ok(())
    }

    fn directories_above(&mut self, path: &Path) -> Result<()> {
        let missing: Vec<PathBuf> =
            path.ancestors().skip(1).take_while(|d| !d.exists()).map(Path::to_path_buf).collect();
        for directory in missing.into_iter().rev() {
            self.fs.create_dir(&directory, 0o777).during("create", &directory)?;
            self.made.push(Made::Directory(directory.clone()));
            self.own(&directory, self.like.owner)?;
        }
        Ok(())
    }

    /// Where the xtask's directory is put together.
    fn staged(&self) -> PathBuf {
        let beside = self.root.join(".cargo");
        if beside.is_dir() { beside } else { self.root.to_path_buf() }.join(".xtask.new")
    }

    /// The xtask's directory: put together in `.cargo/`, where no glob looks for members, and then renamed.
    fn directory(&mut self, files: &[&Change]) -> Result<()> {
        let staged = self.staged();
        // What stands there is what an earlier run left: anything else was refused.
        self.fs.remove_tree(&staged).during("remove", &staged)?;
        self.made.push(Made::Tree(staged.clone()));
        for file in files {
            let path = staged.join(file.path.strip_prefix("xtask").unwrap_or(&file.path));
            let parent = path.parent().unwrap_or(&staged);
            self.fs.create_dir_all(parent, 0o777).during("create", parent)?;
            self.replace(&path, &file.after, self.like.mode)?;
            self.own(&path, self.like.owner)?;
        }
        for directory in [staged.clone(), staged.join("src")].iter().filter(|d| d.is_dir()) {
            self.own(directory, self.like.owner)?;
            self.fs.sync(directory).during("sync", directory)?;
        }
        let there = self.root.join("xtask");
        self.fs.rename(&staged, &there).during("rename", &staged)?;
        self.made.push(Made::Tree(there));
        Ok(())
    }

    /// Undoes every step, the last first.
    fn take_back(&mut self, error: Error) -> Error {
        let mut left = Vec::new();
        while let Some(made) = self.made.pop() {
            let (path, undone) = match made {
                Made::File(path) => {
                    let undone = self.fs.remove_file_if_there(&path);
                    (path, undone)
                }
                Made::Directory(path) => {
                    let undone = self.fs.remove_dir(&path);
                    (path, undone)
                }
                Made::Tree(path) => {
                    let undone = self.fs.remove_tree(&path);
                    (path, undone)
                }
                Made::Replaced { path, text, mode, owner, mtime } => {
                    let undone = self.put_back(&path, &text, mode, owner, mtime);
                    (path, undone)
                }
            };
            if let Err(e) = undone {
                left.push(format!("{}: could not be taken back: {e}", show_path(&path)));
            }
        }
        if left.is_empty() {
            return error;
        }
        error.and("and taking back what was done failed").with_details(left)
    }

    fn put_back(
        &self,
        path: &Path,
        text: &str,
        mode: u32,
        owner: (u32, u32),
        mtime: Mtime,
    ) -> std::io::Result<()> {
        self.fs.replace_file(path, text.as_bytes(), mode)?;
        if is_root() {
            self.fs.set_owner(path, owner.0, owner.1)?;
        }
        self.fs.set_mtime(path, mtime)
    }
}

/// A file is what it was when the plan was made.
fn unchanged(root: &Path, change: &Change) -> Result<()> {
    let full = root.join(&change.path);
    let now = match std::fs::read(&full) {
        Ok(bytes) => Some(bytes),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && full.symlink_metadata().is_err() => None,
        Err(e) => return Err(e).during("read", &full),
    };
    if now.as_deref() == change.before.as_ref().map(String::as_bytes) {
        return if now.is_some() { refuse_protected(root, &full) } else { Ok(()) };
    }
    let message = format!("`{}` changed after the plan was made; nothing was done", show_path(&full));
    Err(Error::new(ErrorKind::Changed, message).with_help("run it again"))
}

/// A file may say that it is not to be changed, or lie outside the workspace.
fn refuse_protected(root: &Path, path: &Path) -> Result<()> {
    let target = crate::path::canonical(path)?;
    let read_only = std::fs::metadata(&target).during("read", &target)?.permissions().readonly();
    let what = match (target.starts_with(root), read_only) {
        (false, _) => format!("is a link to `{}`, outside the workspace", show_path(&target)),
        (_, true) => "is read-only".into(),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Workspace, format!("`{}` {what}; nothing was changed", show_path(path)))
        .with_help("make it one that may be changed, or add the lines yourself: `init --dry-run` shows them"))
}

/// Asks cargo.
fn check(expected: &Expected, changes: &[Change]) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let load = &expected.load;
    let refused = |details: Vec<String>| {
        let message = "cargo does not take the workspace as it would be; nothing was changed";
        Err(Error::new(ErrorKind::Workspace, message)
            .with_details(details)
            .with_help("add the lines yourself, where they fit: `init --dry-run` shows them"))
    };
    let answer = match metadata(load, &load.directory, load.manifest_path.as_deref(), &["--no-deps"]) {
        Ok(answer) => answer,
        Err(e) => return refused(e.details().to_vec()),
    };
    let is_member = |p: &&cargo_metadata::Package| answer.workspace_members.contains(&p.id);
    let real = |path: &Path| crate::path::canonical(path).unwrap_or_else(|_| path.to_path_buf());
    let members = answer.packages.iter().filter(is_member);
    let now: Vec<PathBuf> = members.map(|p| real(p.manifest_path.as_std_path())).collect();
    let wanted: Vec<PathBuf> = expected.members.iter().chain(&expected.xtask).map(|p| real(p)).collect();
    let missing = wanted.iter().filter(|m| !now.contains(m)).map(|m| format!("{}: no member", show_path(m)));
    let new = now.iter().filter(|m| !wanted.contains(m)).map(|m| format!("{}: a new member", show_path(m)));
    let problems: Vec<String> = missing.chain(new).collect();
    if problems.is_empty() { Ok(()) } else { refused(problems) }
}
