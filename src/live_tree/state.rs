//! What stands at a path, as far as a rollback cares.

use std::io;

use crate::digest::{Digest, digest_of};
use crate::event::{Meter, Silent};
use crate::fsx::Cursor;
use crate::manifest::{Attributes, Entry, Kind, Mode};
use crate::path::{LinkTarget, RelPath};

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// A regular file.
    File {
        /// What it has beside its content.
        attributes: Attributes,
        /// Its size in bytes.
        size: u64,
        /// Its content's digest; `None` where it cannot be read.
        sha256: Option<Digest>,
    },
    /// A directory.
    Directory {
        /// Its permission bits.
        mode: Mode,
    },
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: LinkTarget,
    },
    /// A pipe, a socket or a device.
    Special,
}

impl FileState {
    /// What a restore point's entry asks for.
    pub(crate) fn wanted(entry: &Entry) -> FileState {
        match &entry.kind {
            Kind::File { size, sha256, .. } => {
                FileState::File { attributes: entry.attributes.clone(), size: *size, sha256: Some(*sha256) }
            }
            Kind::Directory => FileState::Directory { mode: entry.mode() },
            Kind::Symlink { target } => FileState::Symlink { target: target.clone() },
        }
    }

    /// Looks at a path; follows nothing.
    pub(crate) fn at(cursor: &mut Cursor<'_>, path: &RelPath) -> io::Result<Option<FileState>> {
        FileState::read(cursor, path, &Meter::new(&Silent))
    }

    /// [`FileState::at`], counting what is read.
    pub(crate) fn read(
        cursor: &mut Cursor<'_>,
        path: &RelPath,
        meter: &Meter<'_>,
    ) -> io::Result<Option<FileState>> {
        let Some((stat, attributes)) = cursor.look(path)? else { return Ok(None) };
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        Ok(Some(if kind.is_dir() {
            FileState::Directory { mode: attributes.mode }
        } else if kind.is_symlink() {
            match cursor.read_link(path) {
                Ok(target) => FileState::Symlink { target },
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            }
        } else if kind.is_file() {
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            let sha256 = match cursor.open(path).and_then(|f| digest_of(&mut meter.over(f), size)) {
                Ok(digest) => digest,
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => None,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            };
            FileState::File { attributes, size, sha256 }
        } else {
            FileState::Special
        }))
    }

    /// Looks at a path where a restore point that was made at `made` (seconds since 1970) has an entry. A file of the
    /// recorded size and modification time, whose inode last changed before the restore point was begun, is what was
    /// read then and is not read again: no program can set the inode's change time back.
    pub(crate) fn glance(
        cursor: &mut Cursor<'_>,
        entry: &Entry,
        made: i64,
        meter: &Meter<'_>,
    ) -> io::Result<Option<FileState>> {
        // A second for the clocks' grain, one for the restore point's own time, which is rounded.
        const MARGIN_SECONDS: i64 = 2;
        if let Kind::File { size, sha256, .. } = entry.kind
            && let Some((stat, attributes)) = cursor.look(&entry.path)?
            && rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file()
            && u64::try_from(stat.st_size).is_ok_and(|now| now == size)
            && crate::fsx::mtime_of(&stat) == entry.mtime
            && crate::fsx::ctime_seconds_of(&stat).saturating_add(MARGIN_SECONDS) < made
        {
            meter.add(size);
            return Ok(Some(FileState::File { attributes, size, sha256: Some(sha256) }));
        }
        FileState::read(cursor, &entry.path, meter)
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, FileState::Directory { .. })
    }

    /// Whether it is a directory whose owner may not change what is in it.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, FileState::Directory { mode } if mode.bits() & 0o300 != 0o300)
    }

    /// Its permission bits, where it has any of its own.
    pub fn mode(&self) -> Option<Mode> {
        match self {
            FileState::File { attributes, .. } => Some(attributes.mode),
            FileState::Directory { mode } => Some(*mode),
            FileState::Symlink { .. } | FileState::Special => None,
        }
    }

    /// Whether content and kind are the same; the mode may differ.
    pub(crate) fn same_content(&self, other: &FileState) -> bool {
        match (self, other) {
            (FileState::File { sha256: Some(a), .. }, FileState::File { sha256: Some(b), .. }) => a == b,
            (FileState::Directory { .. }, FileState::Directory { .. }) => true,
            (FileState::Symlink { target: a }, FileState::Symlink { target: b }) => a == b,
            _ => false,
        }
    }

    /// For people: `file`, `directory`, `link`, `special file`.
    pub fn noun(&self) -> &'static str {
        match self {
            FileState::File { .. } => "file",
            FileState::Directory { .. } => "directory",
            FileState::Symlink { .. } => "link",
            FileState::Special => "special file",
        }
    }
}
