//! Mending what belongs to no restore point: the store's own files and directories, the executable, the scripts.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Hand;
use crate::digest::Digest;
use crate::error::{IoContext, Result};
use crate::manifest::Mode;
use crate::store::{DIRECTORIES, EXECUTABLE, Listed, SCRIPTS, read_strict};

impl Hand<'_> {
    /// The directories, `store.json` and `.gitignore`. What `state` says, the next step sets right.
    pub(super) fn store(&mut self) -> Result<()> {
        let layout = self.layout().clone();
        let dirs =
            std::iter::once(layout.dir().to_path_buf()).chain(DIRECTORIES.map(|d| layout.dir().join(d)));
        for dir in dirs {
            match dir.symlink_metadata() {
                Ok(meta) if meta.is_dir() => {
                    if meta.mode() & 0o7777 != 0o700 {
                        self.fs().set_mode(&dir, Mode::new(0o700)).during("change the mode of", &dir)?;
                        self.did(&dir, "has mode 0700 again");
                    }
                    continue;
                }
                Ok(_) => self.set_aside(&dir)?,
                Err(_) => {}
            }
            self.fs().create_dir(&dir, 0o700).during("create directory", &dir)?;
            self.did(&dir, "was lost and is made again");
        }
        if layout.trash().is_symlink() {
            self.set_aside(&layout.trash())?;
        }
        self.readable(&layout.store_file())?;
        if read_strict(&layout).is_err() {
            let path = layout.store_file();
            if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
                self.set_aside(&path)?;
            }
            self.lock.update_info(|_| {})?;
            self.did(&path, "was lost or damaged and is written again");
        }
        let ignore = layout.dir().join(".gitignore");
        let keeps_out =
            crate::fsx::read_plain(&ignore).is_ok_and(|b| b.split(|b| *b == b'\n').any(|line| line == b"*"));
        if !keeps_out {
            let new = self.temporary("ignore")?;
            let mut file = self.fs().create_file(&new).during("create", &new)?;
            file.write_all(b"*\n").during("write", &new)?;
            drop(file);
            self.put(&new, &ignore)?;
            self.did(&ignore, "keeps the store out of git again");
        }
        let state = layout.state();
        if state.symlink_metadata().is_ok_and(|m| !m.is_file()) {
            self.set_aside(&state)?;
        }
        if state.symlink_metadata().is_err() {
            self.did(&state, "was lost and is written again");
        }
        self.modes(&[(layout.store_file(), false, 0o600), (state, false, 0o600), (ignore, false, 0o600)])
    }

    /// The executable, from the running program, and the scripts, from the texts in it. What is as it was recorded
    /// stays, also where another version wrote it.
    pub(super) fn executable(&mut self, running: Option<&Path>, listed: &[Listed]) -> Result<()> {
        // Who repairs without being a program has no copy to give.
        let Some(running) = running else { return Ok(()) };
        let layout = self.layout().clone();
        let info = self.lock.store().info()?;
        let intact = |name: &str| {
            let path = layout.scripts().join(name);
            let recorded = info.scripts.get(name).copied();
            recorded.is_some()
                && path.symlink_metadata().is_ok_and(|m| m.is_file() && m.mode() & 0o100 != 0)
                && crate::fsx::read_plain(&path).is_ok_and(|bytes| Some(Digest::of(&bytes)) == recorded)
        };
        // A restore point that a dry run can go back to.
        let whole = listed.iter().rev().find(|l| self.lock.store().manifest(l).is_ok());
        let Some(id) = whole.map(|l| l.id.clone()) else { return Ok(()) };
        for name in std::iter::once(EXECUTABLE).chain(SCRIPTS.iter().map(|s| s.name)) {
            let path = layout.scripts().join(name);
            if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
                self.set_aside(&path)?;
            }
        }
        if !intact(EXECUTABLE) {
            let path = layout.executable();
            match self.lock.keep_executable(running, &id) {
                Ok(_) => self.did(&path, "is written again from the running program"),
                Err(e) => self.could_not(&path, e.to_string()),
            }
        }
        if !SCRIPTS.iter().all(|script| intact(script.name)) {
            match self.lock.keep_scripts() {
                Ok(written) => written.into_iter().for_each(|name| {
                    self.did(&layout.scripts().join(name), "is written again from the running program")
                }),
                Err(e) => self.could_not(&layout.scripts(), e.to_string()),
            }
        }
        Ok(())
    }
}
