//! What was built before a rollback, and must not be taken for newer than what it puts back. Cargo builds anew what is newer
//! than its mark of the last build, not what is new: a mark that is dated ahead of the clock is dated back, and where that
//! cannot be, files are dated after it. What a package reads that the rollback may not touch, nobody knows: its marks are
//! dated back to the beginning, so that it is built anew.
//!
//! **Invariant.** Below a target directory nothing but times of cargo's marks changes.

use std::path::PathBuf;

use super::apply::{Known, Transaction};
use super::journal::Purpose;
use super::undo::ended;
use crate::check::Finding;
use crate::clock::Mtime;
use crate::live_tree::FileState;
use crate::manifest::{Manifest, RootName};
use crate::order;
use crate::path::show_text;
use crate::select::inputs::{Mark, marks};
use crate::workspace::configuration;

/// Older than every source.
const BEGINNING: Mtime = Mtime { seconds: 1, nanos: 0 };

impl Transaction<'_> {
    fn now(&self) -> Mtime {
        Mtime::from_system(self.context.clock.now())
    }

    /// The time that a file gets whose content changes: the present, or right after the last build, where that is dated
    /// ahead of this machine's clock and stays so.
    pub(super) fn present(&self) -> Mtime {
        let now = self.now();
        match self.last_build.get_or_init(|| self.last_build(now)) {
            Some(last) if *last >= now => Mtime { seconds: last.seconds + 1, nanos: 0 },
            _ => now,
        }
    }

    /// Dates marks back that are ahead of the clock. Gives the newest of those that are left.
    fn last_build(&self, now: Mtime) -> Option<Mtime> {
        let targets = self.target_directories();
        let mut found = marks(&targets);
        let ahead: Vec<&Mark> = found.iter().filter(|mark| mark.time >= now).collect();
        if !ahead.is_empty() {
            let back = Mtime { seconds: now.seconds - 1, nanos: 0 };
            for mark in ahead {
                // Where it cannot be, the files are dated after it.
                let _ = self.fs().set_mtime(&mark.path, back);
            }
            found = marks(&targets);
        }
        let last = found.iter().map(|mark| mark.time).max();
        if last.is_some_and(|last| last.seconds > now.seconds + 1) {
            self.context.note(
                "the last build is dated ahead of the clock: restored files are dated after it, and cargo builds them \
                 again until the clock has caught up"
                    .to_owned(),
            );
        }
        last
    }

    /// Dates the marks of packages back that the rollback does not write to, where somebody may have read what changed.
    pub(super) fn outdate_others(&self) {
        for mark in self.others() {
            let _ = self.fs().set_mtime(&mark.path, BEGINNING);
        }
    }

    /// The marks of packages in roots that the rollback leaves alone. A time that cargo does not look at is no reason to
    /// build them: without files to touch there is nothing that anybody may have read.
    fn others(&self) -> Vec<Mark> {
        if self.journal.touch.is_empty() {
            return Vec::new();
        }
        let is_reached = |name: &RootName| self.journal.roots.iter().any(|root| root.name == *name);
        let apart = self.known().packages.iter().filter(|(root, _)| !is_reached(root));
        let names: order::Set<&str> = order::gather(apart.map(|(_, name)| name.as_str()));
        if names.is_empty() {
            return Vec::new();
        }
        let mut found = marks(&self.target_directories());
        found.retain(|mark| names.contains(mark.package.as_str()));
        found
    }

    /// The packages that cargo will take for built although what they read has changed.
    pub(super) fn stale_builds(&self) -> Vec<Finding> {
        let mut stale: order::Set<String> = order::Set::new();
        stale.extend(self.others().into_iter().filter(|mark| mark.time > BEGINNING).map(|mark| mark.package));
        if let Some(Some(last)) = self.last_build.get()
            && self.oldest_written().is_some_and(|time| time <= *last)
        {
            let packages = self.known().packages.iter();
            let named: order::Set<&str> = order::gather(packages.map(|(_, name)| name.as_str()));
            let ahead = marks(&self.target_directories()).into_iter().filter(|mark| mark.time >= *last);
            stale.extend(ahead.map(|mark| mark.package).filter(|name| named.contains(name.as_str())));
        }
        let finding = |name: String| {
            let name = show_text(&name);
            Finding {
                problem: format!(
                    "was built as of a time that its sources cannot be dated after: run `cargo clean -p {name}` before the \
                     next build"
                ),
                place: name,
            }
        };
        stale.into_iter().map(finding).collect()
    }

    /// The oldest time among the files that were put in place: a file system may not hold the time that it was given.
    fn oldest_written(&self) -> Option<Mtime> {
        let is_file = |state: &Option<FileState>| matches!(state, Some(FileState::File { .. }));
        let placed =
            self.journal.actions.iter().filter(|a| a.places() && is_file(&a.after)).map(|a| a.place());
        let written = placed.chain(self.journal.touch.iter().cloned());
        let stat = written.filter_map(|at| self.trees.of(&at.root).ok()?.stat(&at.path).ok()?);
        stat.map(|stat| crate::fsx::mtime_of(&stat)).min()
    }

    fn known(&self) -> &Known {
        self.known.get_or_init(|| {
            let manifests = self.manifests();
            let packages = manifests.iter().flat_map(|manifest| &manifest.packages);
            let targets = manifests.iter().flat_map(|m| m.target_directories_of(self.store.root()));
            Known {
                packages: packages.map(|p| (p.root.clone(), p.name.clone())).collect(),
                targets: targets.collect(),
            }
        })
    }

    /// The restore points of this rollback, or of the one that it undoes: that of a present knows no more than what was
    /// reached.
    fn manifests(&self) -> Vec<Manifest> {
        let (mut id, mut purpose) = (self.journal.id.clone(), self.journal.purpose.clone());
        let to = loop {
            purpose = match purpose {
                Purpose::Rollback { to } => break Some(to),
                Purpose::Undo { of } => match ended(self.store, &of) {
                    // Each undoes an older one.
                    Ok(journal) if of < id => {
                        id = of;
                        journal.purpose
                    }
                    _ => break None,
                },
            };
        };
        let catalogue = self.store.catalogue().ok();
        let known = [to.as_ref(), self.journal.pre_rollback.as_ref()].into_iter().flatten();
        let listed = known.filter_map(|id| catalogue.as_ref()?.all().iter().find(|l| l.id == *id));
        listed.filter_map(|listed| self.store.manifest(listed).ok()).collect()
    }

    /// Where cargo builds, as the restore points of this rollback, the configuration and the environment know it.
    fn target_directories(&self) -> Vec<PathBuf> {
        let root = self.store.root();
        let cargo = self.context.cargo;
        let mut out = self.known().targets.clone();
        out.extend(configuration::target_directories(root, cargo.home.as_deref()));
        out.extend(cargo.target_directories.iter().cloned());
        out.push(root.join("target"));
        order::sort(&mut out);
        out.dedup();
        out
    }
}
