//! What a list of restore points shows: the head of each manifest, its status, and the room that it really takes.
//! This judges nothing: `validate` does.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Listed, PointStatus, Store};
use crate::digest::Digest;
use crate::error::Result;
use crate::manifest::{Id, Totals};

/// A restore point in a list.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What its directories show.
    pub listed: Listed,
    /// The head of its manifest; `None` where no copy can be read.
    pub head: Option<Head>,
    /// What is known about it besides.
    pub status: PointStatus,
    /// Bytes that deleting it would free: its archive, and the files that no other restore point shares.
    pub freed: u64,
    /// Its part of the bytes on disk: a file that several restore points share is divided between them, so that the
    /// parts of all add up to what they take.
    pub share: u64,
}

/// The head of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// Its id.
    pub id: Id,
    /// When it was made, RFC 3339.
    pub created: String,
    /// What the user said of it.
    #[serde(default)]
    pub message: Option<String>,
    /// The hash over its entries.
    pub root_hash: Digest,
    /// The sums.
    pub totals: Totals,
    /// Read over, so that a file that is interrupted is not taken for a manifest.
    #[serde(rename = "entries")]
    _entries: IgnoredEntries,
}

/// Entries, of which a list shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct IgnoredEntries;

impl<'de> Deserialize<'de> for IgnoredEntries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| IgnoredEntries)
    }
}

impl Store {
    /// The restore points with what a list shows of them, oldest first; only the newest `last` where that is given.
    ///
    /// # Errors
    /// Kind `Io` where the store cannot be read.
    pub fn summaries(&self, last: Option<usize>) -> Result<Vec<Summary>> {
        let catalogue = self.catalogue()?;
        let all = catalogue.all();
        let shown = &all[all.len().saturating_sub(last.unwrap_or(all.len()))..];
        crate::parallel::map(shown.len(), |i| Ok(self.summary(&shown[i])))
    }

    /// The head of a manifest, from whichever copy can be read.
    pub fn head(&self, listed: &Listed) -> Option<Head> {
        let layout = self.layout();
        let copies = [layout.metadata(&listed.label, &listed.id), layout.session_manifest(&listed.id)];
        copies.iter().find_map(|path| {
            let head: Head = serde_json::from_slice(&crate::fsx::read_plain(path).ok()?).ok()?;
            (head.id == listed.id).then_some(head)
        })
    }

    /// One restore point with what a list shows of it.
    pub fn summary(&self, listed: &Listed) -> Summary {
        let layout = self.layout();
        let head = self.head(listed);
        let archive = layout.archive(&listed.label, &listed.id);
        let mut room = Room::default();
        for path in [archive, layout.session(&listed.id)] {
            if let Ok(meta) = path.symlink_metadata() {
                room.add(&path, &meta);
            }
        }
        let (freed, share) = (room.freed, room.share);
        Summary { listed: listed.clone(), head, status: self.status(listed), freed, share }
    }
}

/// Bytes on disk of files and directories. What cannot be read counts for nothing.
#[derive(Default)]
struct Room {
    freed: u64,
    share: u64,
}

impl Room {
    fn add(&mut self, path: &Path, meta: &std::fs::Metadata) {
        use std::os::unix::fs::MetadataExt;
        /// The unit of `st_blocks`, whatever the file system's own.
        const BLOCK: u64 = 512;
        let bytes = meta.blocks() * BLOCK;
        if !meta.is_dir() {
            self.freed += if meta.nlink() == 1 { bytes } else { 0 };
            self.share += bytes / meta.nlink().max(1);
            return;
        }
        self.freed += bytes;
        self.share += bytes;
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            if let Ok(meta) = entry.metadata() {
                self.add(&entry.path(), &meta);
            }
        }
    }
}
