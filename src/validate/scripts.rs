//! ROLLBACK_SCRIPTS: whether what brings the workspace back is there, unaltered, and works.
//!
//! **Invariant.** What lies in a store is run only where it is this very program, or a script with the very text that
//! this program has: a store that came with somebody's workspace chooses nothing that runs.

use std::path::Path;

use super::checks::{Subject, UNKNOWN};
use crate::check::Check;
use crate::digest::Digest;
use crate::error::Result;
use crate::store::{EXECUTABLE, SCRIPTS, Script, Trial, is_executable, prove_executable};

impl Subject<'_> {
    pub(super) fn scripts(&self, check: &mut Check) -> Result<()> {
        self.script_list(check);
        let cut_off = self.store.is_cut_off();
        if cut_off {
            check
                .notes
                .push("no dry run while an interrupted rollback is open: it refuses to plan another".into());
        }
        // The bash script takes longer than the others together: they run beside it.
        let parts = crate::parallel::map(1 + SCRIPTS.len(), |road| {
            let mut part = Check::default();
            match road.checked_sub(1) {
                None => self.executable(&mut part, cut_off),
                Some(script) => self.script(&SCRIPTS[script], &mut part, cut_off),
            }
            Ok(part)
        });
        for part in parts.unwrap_or_default() {
            check.absorb(part);
        }
        Ok(())
    }

    /// What the scripts read of this restore point.
    fn script_list(&self, check: &mut Check) {
        let path = self.store.layout().list(&self.listed.label, &self.listed.id);
        if self.manifest.is_some_and(|manifest| !self.store.needs_list(manifest)) {
            return;
        }
        check.checked += 1;
        let problem = match (crate::fsx::read_plain(&path), self.manifest) {
            (Err(e), _) => Some(format!("cannot be read: {e}")),
            (Ok(_), None) => Some(UNKNOWN.into()),
            (Ok(bytes), Some(manifest)) => self
                .store
                .list_fault(manifest, &bytes)
                .unwrap_or_else(|e| Some(format!("cannot be judged: {e}"))),
        };
        if let Some(problem) = problem {
            check.find(self.shown(&path), problem);
        }
    }

    fn recorded(&self, name: &str) -> Option<Digest> {
        self.store.info().ok().and_then(|info| info.scripts.get(name).copied())
    }

    /// Whether a file is the recorded one and may be run; finds what is wrong otherwise.
    fn unaltered(&self, path: &Path, name: &str, check: &mut Check) -> Option<Digest> {
        check.checked += 2;
        let place = self.shown(path);
        let problem =
            match (crate::fsx::read_plain(path).map(|bytes| Digest::of(&bytes)), self.recorded(name)) {
                (Err(e), _) => format!("cannot be read: {e}"),
                (Ok(_), None) => "has no digest on record in store.json".into(),
                // Altered: not run.
                (Ok(found), Some(recorded)) if found != recorded => {
                    "is not the file that store.json records".into()
                }
                _ if !is_executable(path) => "may not be executed".into(),
                (Ok(found), _) => return Some(found),
            };
        check.find(place, problem);
        None
    }

    fn executable(&self, check: &mut Check, cut_off: bool) {
        let path = self.store.layout().executable();
        let Some(found) = self.unaltered(&path, EXECUTABLE, check) else { return };
        if cut_off {
            return;
        }
        if self.cache.running != Some(found) {
            let text =
                "no dry run of backstop: it is not the program that runs now; the next `backup` replaces it";
            return check.notes.push(text.into());
        }
        check.checked += 1;
        match prove_executable(self.store, &path, &self.listed.id) {
            Trial::Proven => {}
            Trial::Untried(why) => check.notes.push(format!("no dry run of {EXECUTABLE}: {why}")),
            Trial::Failed(problem) => check.find(self.shown(&path), problem),
        }
    }

    fn script(&self, script: &Script, check: &mut Check, cut_off: bool) {
        let path = script.path(self.store);
        let missing = path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
        if missing && self.recorded(script.name).is_none() {
            // A store that an earlier version made. It brings the workspace back all the same.
            let text = format!("{} is not there yet: the next `backup` writes it", script.name);
            return check.notes.push(text);
        }
        let Some(found) = self.unaltered(&path, script.name, check) else { return };
        if found != script.digest() {
            let text = format!(
                "no dry run of {}: it is another version's; the next `backup` replaces it",
                script.name
            );
            return check.notes.push(text);
        }
        if cut_off || self.cache.is_proven(script.name) {
            return;
        }
        let trial = script.try_once(self.store, &path, &self.listed.id);
        check.checked += if matches!(trial, Trial::Untried(_)) { 0 } else { 2 };
        match trial {
            Trial::Proven => self.cache.prove(script.name),
            Trial::Untried(why) => check.notes.push(format!("no dry run of {}: {why}", script.name)),
            Trial::Failed(problem) => check.find(self.shown(&path), problem),
        }
    }
}
