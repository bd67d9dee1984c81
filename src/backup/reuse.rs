//! Taking members of the parent's archive as they are, where they hold just what would be compressed again.

use std::fs::File;

use crate::archive::{Section, member_is_right};
use crate::manifest::{Entry, Manifest, Member};
use crate::select::Candidate;
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
            entry.kind.file_kind() == candidate.kind
                && (!entry.is_file() || entry.size() == candidate.size)
                && entry.root == candidate.root
                && entry.path == candidate.path
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
                !copied && old.kind == new.kind && old.mode() == new.mode() && old.mtime == new.mtime
            })
    }

    /// Its compressed bytes, which were read and have the digest that the parent's manifest gives.
    pub(super) fn into_bytes(self) -> Option<Section<File>> {
        member_is_right(&self.archive, &self.member).then(|| Section::of(self.archive, &self.member))
    }
}
