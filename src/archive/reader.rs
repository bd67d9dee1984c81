//! An archive that a manifest describes: the one way to what is in its members.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::member::{Section, Start, Stop, Visit, walk};
use crate::digest::digest_of;
use crate::error::{Error, Result};
use crate::event::Context;
use crate::manifest::{ArchiveInfo, Entry, MANIFEST_FILE, Manifest, Member};
use crate::order;

/// What is wrong with a member of an archive.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The compressed bytes are not those that were written, cannot be read, or are no tar stream.
    Member(String),
    /// One entry is not what the manifest says: its index, and what is wrong.
    Entry(usize, String),
    /// The caller's own error, from its visit.
    Visit(Error),
}

/// [`Visit`], from several threads.
type SharedVisit<'v> = dyn Fn(usize, Option<&mut dyn Read>) -> Result<()> + Sync + 'v;

/// An open archive and its manifest.
pub(crate) struct Reader<'m> {
    file: File,
    entries: &'m [Entry],
    info: &'m ArchiveInfo,
}

impl<'m> Reader<'m> {
    /// Opens the archive at `path`. `None` if the manifest describes none.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(crate) fn open(path: &Path, manifest: &'m Manifest) -> io::Result<Option<Self>> {
        let Some(info) = &manifest.archive else { return Ok(None) };
        Ok(Some(Reader { file: crate::fsx::open_plain(path)?, entries: &manifest.entries, info }))
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Reads every member that holds entries, several at a time. `visit` gets the index of each entry, and its content
    /// if it is a file; `fault` decides what a damaged member means.
    ///
    /// # Errors
    /// The first that `fault` gives; `Interrupted`.
    pub(crate) fn all(
        &self,
        context: &Context<'_>,
        visit: &SharedVisit<'_>,
        fault: &(dyn Fn(&Member, Fault) -> Result<()> + Sync),
    ) -> Result<()> {
        let members = &self.info.members[..self.info.members.len().saturating_sub(1)];
        crate::parallel::each(members.len(), |i| {
            context.interrupt.check()?;
            self.member(&members[i], &mut |index, content| visit(index, content))
                .or_else(|e| fault(&members[i], e))
        })
    }

    /// Reads the members that hold what is wanted, several at a time, and gives `visit` that. A member that is damaged
    /// further on still gives the files before the damage.
    ///
    /// # Errors
    /// The visitor's own; `Interrupted`.
    pub(crate) fn take(
        &self,
        wanted: &order::Set<usize>,
        context: &Context<'_>,
        visit: &(dyn Fn(usize, &mut dyn Read) -> Result<()> + Sync),
    ) -> Result<()> {
        let members: Vec<&Member> = self.holding(wanted).collect();
        crate::parallel::each(members.len(), |i| {
            context.interrupt.check()?;
            self.take_from(members[i], wanted, &mut |index, content| visit(index, content))
        })
    }

    /// As [`Reader::take`], one after the other.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn take_in_order(
        &self,
        wanted: &order::Set<usize>,
        context: &Context<'_>,
        visit: &mut dyn FnMut(usize, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        self.holding(wanted).try_for_each(|member| {
            context.interrupt.check()?;
            self.take_from(member, wanted, visit)
        })
    }

    /// The manifest that the last member holds.
    ///
    /// # Errors
    /// What is wrong with that member: the end of a sentence.
    pub(crate) fn manifest(&self, limit: u64) -> Result<Vec<u8>, String> {
        let last = self.info.members.last().ok_or("is not there")?;
        let mut section = Section::of(&self.file, last).hashed();
        let mut bytes = Vec::new();
        {
            let decoder = MultiGzDecoder::new(BufReader::new(&mut section));
            let mut tar = tar::Archive::new(decoder.take(limit));
            let mut entries = tar.entries().map_err(|e| e.to_string())?;
            let mut entry = entries.next().ok_or("is empty")?.map_err(|e| e.to_string())?;
            if entry.path_bytes().as_ref() != MANIFEST_FILE.as_bytes() {
                return Err("does not hold the manifest".into());
            }
            entry.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        }
        match section.finish() {
            Ok(found) if found == last.sha256 => Ok(bytes),
            Ok(_) => Err("has other bytes than were written".into()),
            Err(e) => Err(e.to_string()),
        }
    }

    fn holding(&self, wanted: &order::Set<usize>) -> impl Iterator<Item = &'m Member> {
        let end = |m: &Member| m.first.saturating_add(m.entries);
        self.info.members.iter().filter(move |m| wanted.has_any(&m.first, &end(m)))
    }

    fn take_from(
        &self,
        member: &Member,
        wanted: &order::Set<usize>,
        visit: &mut dyn FnMut(usize, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let read = self.member(member, &mut |index, content| match content {
            Some(content) if wanted.contains(&index) => visit(index, content),
            _ => Ok(()),
        });
        match read {
            Err(Fault::Visit(e)) => Err(e),
            _ => Ok(()),
        }
    }

    /// Reads one member, all of it.
    fn member(&self, member: &Member, visit: &mut Visit<'_, Error>) -> Result<(), Fault> {
        let wrong = |text: String| Fault::Member(text);
        let Some(end) = member.first.checked_add(member.entries).filter(|end| *end <= self.entries.len())
        else {
            return Err(wrong("names entries that are not there".into()));
        };
        let entries = &self.entries[..end];
        let mut section = Section::of(&self.file, member).hashed();
        let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, &mut section));
        let walked =
            walk(&mut decoder, entries, &Start::At(member.first), SLACK, visit).map_err(
                |stop| match stop {
                    Stop::Read(_, e) => wrong(e.to_string()),
                    Stop::Entry(index, text) => Fault::Entry(index, text),
                    Stop::Extra(_) => wrong("has an entry that the manifest does not have".into()),
                    Stop::Visit(e) => Fault::Visit(e),
                },
            )?;
        if let Some(entry) = entries.get(walked.next) {
            return Err(wrong(format!("ends before {}", entry.shown())));
        }
        match section.finish() {
            Ok(found) if found == member.sha256 => Ok(()),
            Ok(_) => Err(wrong("has other bytes than were written".into())),
            Err(e) => Err(wrong(e.to_string())),
        }
    }
}

/// Whether a gzip member is, byte for byte, what the manifest says.
pub(crate) fn member_is_right(file: &File, member: &Member) -> bool {
    digest_of(&mut Section::of(file, member), member.size).is_ok_and(|found| found == Some(member.sha256))
}

/// What an entry may take beyond what its manifest says.
const SLACK: u64 = 4096;
