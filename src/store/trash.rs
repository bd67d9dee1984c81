//! The trash: restore points and rollbacks that were pruned, for a while.
//!
//! `trash/TS/` is made first, and with it the restore point `TS` is not listed any more; then everything that belongs
//! to it is renamed there. A cut in between leaves a part outside: the next writer moves that too. What is deleted or
//! brought back is renamed to a hidden name first, and what was interrupted on the way is swept.
//!
//! ```text
//! trash/TS/pruned                        when, and the backup id
//! trash/TS/session/ …                    the session's directory
//! trash/TS/metadata/ archives/ checksums/ rollback/      its other files, under their names
//! trash/rollback_TS/                     a rollback's journal, report and what it displaced
//! ```

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Layout, Listed, Store, StoreLock};
use crate::clock::{parse_rfc3339, rfc3339_seconds};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Event, Observer};
use crate::manifest::{Id, Label};
use crate::order;

/// The file that says when something was pruned, and what it was.
const MARK: &str = "pruned";
/// Under this name lies what is being made.
const BUILDING: &str = ".new_";
/// Under this name lies what is being deleted.
const DELETING: &str = ".deleting_";

/// Something in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// The id of the restore point or of the rollback.
    pub id: Id,
    /// The restore point's label; `None` for a rollback.
    pub label: Option<Label>,
    /// When it was pruned; `None` where the trash does not say it readably.
    pub pruned: Option<SystemTime>,
}

impl Trashed {
    /// The backup id of a restore point; `rollback_TS` for a rollback.
    pub fn shown(&self) -> String {
        match &self.label {
            Some(label) => crate::manifest::backup_id(label, &self.id),
            None => self.name(),
        }
    }

    fn name(&self) -> String {
        if self.label.is_some() { self.id.to_string() } else { format!("rollback_{}", self.id) }
    }
}

/// What belongs to a restore point: where it stands, and where in its directory of the trash.
fn parts(layout: &Layout, label: &Label, id: &Id) -> Vec<(PathBuf, PathBuf)> {
    let below = |dir: &str, path: PathBuf| {
        let to = Path::new(dir).join(path.file_name().unwrap_or_default());
        (path, to)
    };
    vec![
        // What stands in metadata/ is complete: it goes first, and comes back last.
        below("metadata", layout.metadata(label, id)),
        below("metadata", layout.status(label, id)),
        (layout.session(id), "session".into()),
        below("archives", layout.archive(label, id)),
        below("checksums", layout.checksums(label, id)),
        below("rollback", layout.former_list(label, id)),
        below("rollback", layout.list(label, id)),
    ]
}

/// What belongs to a rollback.
fn rollback_parts(layout: &Layout, id: &Id) -> Vec<(PathBuf, PathBuf)> {
    let paths = [
        layout.closed_journal(id),
        layout.rollback_report(id),
        layout.displaced_list(id),
        layout.displaced(id),
    ];
    paths.map(|path| (path.clone(), PathBuf::from(path.file_name().unwrap_or_default()))).to_vec()
}

impl Store {
    /// What lies in the trash, oldest first.
    pub fn trash(&self) -> Vec<Trashed> {
        let layout = self.layout();
        let mut out: Vec<Trashed> = layout
            .trash_names()
            .iter()
            .filter_map(|name| {
                let text = std::fs::read_to_string(layout.trash().join(name).join(MARK)).unwrap_or_default();
                let mut lines = text.lines();
                let pruned = lines.next().and_then(parse_rfc3339);
                let label =
                    lines.next().and_then(|id| id.rsplit_once("_backup_")).map(|(l, _)| Label::from_text(l));
                match name.strip_prefix("rollback_") {
                    Some(id) => Some(Trashed { id: id.parse().ok()?, label: None, pruned }),
                    None => {
                        let label = label.unwrap_or_else(|| Label::from_text("unknown"));
                        Some(Trashed { id: name.parse().ok()?, label: Some(label), pruned })
                    }
                }
            })
            .collect();
        order::sort_by(&mut out, |a, b| (&a.id, &a.label).cmp(&(&b.id, &b.label)));
        out
    }
}

impl StoreLock<'_> {
    /// Moves a restore point to the trash. From the first call on it is not listed.
    pub(crate) fn trash_point(&self, listed: &Listed, now: SystemTime) -> Result<()> {
        let layout = self.store().layout();
        let place = self.trash_place(listed.id.as_str(), &listed.backup_id(), now)?;
        self.move_parts(&parts(layout, &listed.label, &listed.id), &place)?;
        self.relink(&listed.label)
    }

    /// Moves what a rollback left to the trash: then it cannot be undone.
    pub(crate) fn trash_rollback(&self, id: &Id, now: SystemTime) -> Result<()> {
        let name = format!("rollback_{id}");
        let place = self.trash_place(&name, &name, now)?;
        self.move_parts(&rollback_parts(self.store().layout(), id), &place)
    }

    /// Makes the directory in the trash: whole, or not there.
    fn trash_place(&self, name: &str, what: &str, now: SystemTime) -> Result<PathBuf> {
        let (fs, trash) = (self.store().fs(), self.store().layout().trash());
        fs.create_dir_all(&trash, 0o700).during("create directory", &trash)?;
        let place = trash.join(name);
        if place.is_dir() {
            return Ok(place);
        }
        let building = trash.join(format!("{BUILDING}{name}"));
        fs.remove_tree(&building).during("remove", &building)?;
        fs.create_dir(&building, 0o700).during("create directory", &building)?;
        for dir in ["metadata", "archives", "checksums", "rollback"] {
            let dir = building.join(dir);
            fs.create_dir(&dir, 0o700).during("create directory", &dir)?;
        }
        let text = format!("{}\n{what}\n", rfc3339_seconds(now));
        super::write_private(fs, &building.join(MARK), text.as_bytes())?;
        fs.barrier(&building).during("sync", &building)?;
        fs.rename(&building, &place).during("rename", &place)?;
        fs.sync(&trash).during("sync", &trash)?;
        Ok(place)
    }

    fn move_parts(&self, parts: &[(PathBuf, PathBuf)], place: &Path) -> Result<()> {
        let fs = self.store().fs();
        for (from, to) in parts {
            let to = place.join(to);
            if from.symlink_metadata().is_ok() && to.symlink_metadata().is_err() {
                fs.rename(from, &to).during("move to the trash", from)?;
            }
        }
        fs.barrier(self.store().layout().dir()).during("sync", self.store().layout().dir())
    }

    /// Brings a restore point back from the trash.
    ///
    /// # Errors
    /// Kind `Damaged` if something stands in its place.
    pub(crate) fn untrash(&self, trashed: &Trashed) -> Result<()> {
        let (fs, layout) = (self.store().fs(), self.store().layout());
        let place = layout.trash().join(trashed.name());
        let parts = match &trashed.label {
            Some(label) => parts(layout, label, &trashed.id),
            None => rollback_parts(layout, &trashed.id),
        };
        for (to, from) in parts.iter().rev() {
            let from = place.join(from);
            if to.symlink_metadata().is_ok() && from.symlink_metadata().is_ok() {
                let shown = crate::path::show_path(to);
                return Err(Error::new(
                    ErrorKind::Damaged,
                    format!("`{shown}` stands where it would come back to"),
                )
                .with_help("move that away, then restore again"));
            }
            if from.symlink_metadata().is_ok() {
                fs.rename(&from, to).during("bring back", to)?;
            }
        }
        fs.barrier(layout.dir()).during("sync", layout.dir())?;
        // Without its directory in the trash it is listed again.
        self.delete_trashed(trashed)?;
        match &trashed.label {
            Some(label) => self.relink(label),
            None => Ok(()),
        }
    }

    /// Deletes something in the trash for good.
    pub(crate) fn delete_trashed(&self, trashed: &Trashed) -> Result<()> {
        let (fs, trash) = (self.store().fs(), self.store().layout().trash());
        let (place, hidden) =
            (trash.join(trashed.name()), trash.join(format!("{DELETING}{}", trashed.name())));
        fs.remove_tree(&hidden).during("remove", &hidden)?;
        fs.rename(&place, &hidden).during("rename", &place)?;
        fs.sync(&trash).during("sync", &trash)?;
        fs.remove_tree(&hidden).during("remove", &hidden)
    }

    /// Finishes what was interrupted: what belongs to something in the trash is moved there, and what was being deleted
    /// is deleted.
    pub(super) fn mend_trash(&self, observer: &dyn Observer) -> Result<()> {
        let (fs, layout) = (self.store().fs(), self.store().layout());
        for name in layout.trash_names() {
            let id = [BUILDING, DELETING].iter().find_map(|kind| name.strip_prefix(kind));
            if id.is_some_and(|id| id.strip_prefix("rollback_").unwrap_or(id).parse::<Id>().is_ok()) {
                let path = layout.trash().join(&name);
                fs.remove_tree(&path).during("remove", &path)?;
            }
        }
        for trashed in self.store().trash() {
            let place = layout.trash().join(trashed.name());
            let parts = match &trashed.label {
                Some(label) => parts(layout, label, &trashed.id),
                None => rollback_parts(layout, &trashed.id),
            };
            if parts.iter().any(|(from, to)| {
                from.symlink_metadata().is_ok() && place.join(to).symlink_metadata().is_err()
            }) {
                self.move_parts(&parts, &place)?;
                if let Some(label) = &trashed.label {
                    self.relink(label)?;
                }
                observer.on(&Event::Note {
                    text: format!("finished moving {} to the trash, which was interrupted", trashed.name()),
                });
            }
        }
        Ok(())
    }

    /// Points `LABEL_files` at the newest restore point with that label; removes it where there is none. The link is
    /// for people: one that cannot be made is no reason to fail.
    fn relink(&self, label: &Label) -> Result<()> {
        let catalogue = self.store().catalogue()?;
        let newest = catalogue.all().iter().rev().find(|l| l.label == *label && l.session);
        let _ = match newest {
            Some(listed) => super::link_newest(self.store(), label, &listed.id).map(drop),
            None => {
                let link = self.store().layout().files_link(label);
                match super::stand::leads_to_session(&link) {
                    true => self.store().fs().remove_file_if_there(&link),
                    false => Ok(()),
                }
            }
        };
        Ok(())
    }
}
