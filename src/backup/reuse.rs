//! Taking members of the parent's archive as they are, where they hold just what would be compressed again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::digest::digest_of;
use crate::manifest::{Entry, Kind, Manifest, Member};
use crate::select::{Candidate, CandidateKind};
use crate::store::Store;

/// A member of the parent's archive that holds the same entries as a group, as far as their names tell.
pub(super) struct ParentMember<'a> {
    entries: &'a [Entry],
    member: Member,
    archive: File,
}

impl<'a> ParentMember<'a> {
    /// Finds it: it starts with the same entry, and has the same names and kinds behind it.
    pub(super) fn find(store: &Store, parent: &'a Manifest, group: &[Candidate]) -> Option<Self> {
        let info = parent.archive.as_ref()?;
        let start = group.first()?;
        let first = parent.index_of(&start.root, &start.path)?;
        let member = info.members[info.members.binary_search_by_key(&first, |m| m.first).ok()?];
        let entries = parent.entries.get(member.first..member.first.checked_add(member.entries)?)?;
        let alike = |(entry, candidate): (&Entry, &Candidate)| {
            let kind = match entry.kind {
                Kind::File { size, .. } if size == candidate.size => CandidateKind::File,
                Kind::File { .. } => return false,
                Kind::Directory => CandidateKind::Directory,
                Kind::Symlink { .. } => CandidateKind::Symlink,
            };
            kind == candidate.kind && entry.root == candidate.root && entry.path == candidate.path
        };
        if entries.len() != group.len() || !entries.iter().zip(group).all(alike) {
            return None;
        }
        let archive = File::open(store.layout().archive(&parent.label, &parent.id)).ok()?;
        Some(ParentMember { entries, member, archive })
    }

    /// Whether what was read is what the member holds: content, links, modes and times. `read` gives each entry
    /// and whether it had to be copied.
    pub(super) fn holds<'e>(&self, read: impl ExactSizeIterator<Item = (&'e Entry, bool)>) -> bool {
        read.len() == self.entries.len()
            && self.entries.iter().zip(read).all(|(old, (new, copied))| {
                !copied && old.kind == new.kind && old.mode == new.mode && old.mtime == new.mtime
            })
    }

    /// Its compressed bytes, which were read and have the digest that the parent's manifest gives.
    pub(super) fn into_bytes(self) -> Option<ParentBytes> {
        let bytes = |file: File| ParentBytes { file, at: self.member.offset, left: self.member.size };
        let mut read = bytes(self.archive.try_clone().ok()?);
        let digest = digest_of(&mut read, self.member.size).ok()??;
        (digest == self.member.sha256).then(|| bytes(self.archive))
    }
}

/// A member's bytes in the parent's archive.
pub(super) struct ParentBytes {
    file: File,
    at: u64,
    left: u64,
}

impl Read for ParentBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}
