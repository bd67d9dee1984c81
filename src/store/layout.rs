//! Where everything stands in a store. The one place that knows the names; `FORMAT.md` describes them.

use std::path::{Path, PathBuf};

use crate::manifest::{Id, Label, MANIFEST_FILE, archive_name, backup_id};

/// The name of the file that makes a directory a store.
pub const STORE_FILE: &str = "store.json";
/// The name of the copied executable in `scripts/`.
pub const EXECUTABLE: &str = "backstop";
/// The name of the rollback script for bash in `scripts/`.
pub const ROLLBACK_SH: &str = "rollback.sh";
/// The name of the rollback script for Python in `scripts/`.
pub const ROLLBACK_PY: &str = "rollback.py";

/// The paths of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
}

/// The directories that every store has, and all are 0700.
pub(crate) const DIRECTORIES: [&str; 8] =
    ["metadata", "checksums", "archives", "rollback", "scripts", "checkpoints", "logs", "cache"];

impl Layout {
    /// The layout of the store at `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Layout { dir: dir.into() }
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `store.json`.
    pub fn store_file(&self) -> PathBuf {
        self.dir.join(STORE_FILE)
    }

    /// The file whose lock a writer holds.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// The one line that says whether a rollback is under way.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// What the build's guard reads.
    pub fn guard(&self) -> PathBuf {
        self.dir.join("guard")
    }

    /// What a person types who has neither the program nor its documentation.
    pub fn restore_text(&self) -> PathBuf {
        self.dir.join("RESTORE.txt")
    }

    /// A session's directory.
    pub fn session(&self, id: &Id) -> PathBuf {
        self.dir.join(format!("session_{id}"))
    }

    /// Where a session is put together before it is renamed.
    pub fn staging(&self, id: &Id) -> PathBuf {
        self.dir.join(format!(".session_{id}.staging"))
    }

    /// The manifest in a session.
    pub fn session_manifest(&self, id: &Id) -> PathBuf {
        self.session(id).join(MANIFEST_FILE)
    }

    /// The link to the newest restore point's files.
    pub fn files_link(&self, label: &Label) -> PathBuf {
        self.dir.join(format!("{label}_files"))
    }

    /// The directory of the manifests' second copies.
    pub fn metadata_dir(&self) -> PathBuf {
        self.dir.join("metadata")
    }

    /// The manifest's second copy, written last.
    pub fn metadata(&self, label: &Label, id: &Id) -> PathBuf {
        self.metadata_dir().join(format!("{}.json", backup_id(label, id)))
    }

    /// What is known of a restore point besides what it holds.
    pub fn status(&self, label: &Label, id: &Id) -> PathBuf {
        self.metadata_dir().join(format!("{}.status", backup_id(label, id)))
    }

    /// The checksum list.
    pub fn checksums(&self, label: &Label, id: &Id) -> PathBuf {
        self.dir.join("checksums").join(format!("{}.sha256", backup_id(label, id)))
    }

    /// The archive.
    pub fn archive(&self, label: &Label, id: &Id) -> PathBuf {
        self.dir.join("archives").join(archive_name(label, id))
    }

    /// What the scripts of former versions read: nothing writes it now, and it goes where its restore point goes.
    pub fn former_list(&self, label: &Label, id: &Id) -> PathBuf {
        self.rollback_dir().join(format!("{}.conf", backup_id(label, id)))
    }

    /// What a rollback script needs to know.
    pub fn list(&self, label: &Label, id: &Id) -> PathBuf {
        self.rollback_dir().join(format!("{}.list", backup_id(label, id)))
    }

    /// The directory of everything that rollbacks keep.
    pub fn rollback_dir(&self) -> PathBuf {
        self.dir.join("rollback")
    }

    /// The journal of a rollback that has begun and not ended.
    pub fn journal(&self) -> PathBuf {
        self.rollback_dir().join("journal")
    }

    /// The journal of a rollback that has ended: what `--undo` reads.
    pub fn closed_journal(&self, id: &Id) -> PathBuf {
        self.rollback_dir().join(format!("rollback_{id}.journal"))
    }

    /// The report of a rollback.
    pub fn rollback_report(&self, id: &Id) -> PathBuf {
        self.rollback_dir().join(format!("rollback_{id}.json"))
    }

    /// Where a rollback moves what it replaces or removes.
    pub fn displaced(&self, id: &Id) -> PathBuf {
        self.rollback_dir().join(format!("displaced_{id}"))
    }

    /// The record of a script's rollback: each path's first state before it, over all runs that were interrupted.
    pub fn displaced_list(&self, id: &Id) -> PathBuf {
        self.rollback_dir().join(format!("displaced_{id}.list"))
    }

    /// Where a rollback puts new files before it moves them into place.
    pub fn rollback_stage(&self, id: &Id) -> PathBuf {
        self.rollback_dir().join(format!("stage_{id}"))
    }

    /// Where a repair writes what has no place yet.
    pub(crate) fn repairing(&self) -> PathBuf {
        self.dir.join(".repairing")
    }

    /// Where a repair moves what stands in the wrong place.
    pub fn set_aside(&self, id: &Id) -> PathBuf {
        self.dir.join(format!("set_aside_{id}"))
    }

    /// What was pruned, for a while; made when there is something.
    pub fn trash(&self) -> PathBuf {
        self.dir.join("trash")
    }

    /// The names in the trash.
    pub(super) fn trash_names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.trash()).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).collect()
    }

    /// The ids of what lies in the trash, whole or under way.
    pub(super) fn trashed_ids(&self) -> Vec<Id> {
        let names = self.trash_names();
        names.iter().filter_map(|n| n.strip_prefix("rollback_").unwrap_or(n).parse().ok()).collect()
    }

    /// Whether a restore point was pruned.
    pub(super) fn is_trashed(&self, id: &Id) -> bool {
        self.trash().join(id.as_str()).is_dir()
    }

    /// The directory of the executable and the scripts.
    pub fn scripts(&self) -> PathBuf {
        self.dir.join("scripts")
    }

    /// The copied executable.
    pub fn executable(&self) -> PathBuf {
        self.scripts().join(EXECUTABLE)
    }

    /// The report of a run of checkpoints.
    pub fn checkpoints(&self, id: &Id) -> PathBuf {
        self.dir.join("checkpoints").join(format!("checkpoints_{id}.json"))
    }

    /// The log of one run: `backup`, `validation`, `checkpoints` or `rollback`.
    pub fn log(&self, what: &str, id: &Id) -> PathBuf {
        self.dir.join("logs").join(format!("{what}_{id}.log"))
    }
}
