//! Entries ⇄ a deterministic `.tar.gz`.
//!
//! The tar stream is cut at entry boundaries into groups of about 256 KiB, and each group is a gzip member
//! of its own: any tar reads the whole, and one file is read without the rest. The last member holds the manifest.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use crate::clock::Mtime;
use crate::digest::{Hasher, digest_of};
use crate::manifest::{Entry, Kind, MANIFEST_FILE, Member, Mode};
use crate::path::{LinkTarget, RelPath};

mod read_back;
mod salvage;
mod survey;

pub(crate) use read_back::read_back;
pub(crate) use salvage::salvageable;
pub(crate) use survey::{Flaw, survey};

/// No group ends before it has so many bytes of tar stream …
const GROUP_LEAST: u64 = 128 * 1024;
/// … and none goes on with more.
const GROUP_MOST: u64 = 512 * 1024;

/// Level 5 is half as fast again as 6, for 1 % more bytes.
const LEVEL: u32 = 5;

/// Cuts entries, each a path and a size, into groups of about 256 KiB. Between the two bounds a group ends at every
/// eighth path, told by the path alone: where a file comes, goes or grows, the groups behind it soon fall together
/// with those of the last archive again, and can be taken from there.
pub(crate) fn groups<'e>(entries: impl Iterator<Item = (&'e [u8], u64)>) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let (mut start, mut end, mut bytes) = (0, 0, 0_u64);
    for (path, size) in entries {
        bytes = bytes.saturating_add(size.next_multiple_of(512)).saturating_add(512);
        end += 1;
        if bytes >= GROUP_MOST || (bytes >= GROUP_LEAST && fnv(path).is_multiple_of(8)) {
            out.push(start..end);
            (start, bytes) = (end, 0);
        }
    }
    if start < end {
        out.push(start..end);
    }
    out
}

/// The Fowler–Noll–Vo hash (FNV-1a, 64 bits), its halves folded: the low bits alone are weak.
fn fnv(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

/// Writes one gzip member.
pub(crate) struct MemberWriter<W: Write> {
    tar: tar::Builder<Endless<GzEncoder<W>>>,
}

impl<W: Write> MemberWriter<W> {
    pub(crate) fn new(sink: W) -> Self {
        // No name, no time, no system: the same bytes for the same files.
        let gz = GzBuilder::new().write(sink, Compression::new(LEVEL));
        MemberWriter { tar: tar::Builder::new(Endless { inner: gz, open: true }) }
    }

    fn header(kind: tar::EntryType, mode: Mode, mtime: Mtime, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode.bits());
        // tar has no way to say a time before 1970 that every reader knows; the manifest has the truth.
        header.set_mtime(u64::try_from(mtime.seconds).unwrap_or(0));
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    pub(crate) fn directory(&mut self, path: &RelPath, mode: Mode, mtime: Mtime) -> io::Result<()> {
        let mut bytes = path.as_bytes().to_vec();
        bytes.push(b'/');
        let mut header = Self::header(tar::EntryType::Directory, mode, mtime, 0);
        self.tar.append_data(&mut header, Path::new(std::ffi::OsStr::from_bytes(&bytes)), io::empty())
    }

    pub(crate) fn symlink(&mut self, path: &RelPath, target: &LinkTarget, mtime: Mtime) -> io::Result<()> {
        let mut header = Self::header(tar::EntryType::Symlink, Mode::new(0o777), mtime, 0);
        // `append_link` takes the target apart and puts it together again: `a//b` would come out as `a/b`.
        let target = target.as_os_str().as_bytes();
        if header.set_link_name_literal(target).is_err() {
            let mut long = Self::header(tar::EntryType::GNULongLink, Mode::new(0o644), mtime, 0);
            long.set_path("././@LongLink")?;
            long.set_size(target.len() as u64 + 1);
            long.set_mtime(0);
            long.set_cksum();
            self.tar.append(&long, target.chain(&b"\0"[..]))?;
        }
        self.tar.append_data(&mut header, path, io::empty())
    }

    /// Adds a file of exactly `size` bytes. Where `content` has fewer, the member is malformed and has to be
    /// given up: the caller counts.
    pub(crate) fn file(
        &mut self,
        path: &RelPath,
        mode: Mode,
        mtime: Mtime,
        size: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let mut header = Self::header(tar::EntryType::Regular, mode, mtime, size);
        self.tar.append_data(&mut header, path, content)
    }

    /// Ends the gzip member; `last` ends the tar stream too.
    pub(crate) fn finish(mut self, last: bool) -> io::Result<W> {
        self.tar.get_mut().open = last;
        self.tar.into_inner()?.inner.finish()
    }
}

/// tar's builder ends its stream when it is done. In all members but the last that end is left out.
struct Endless<W> {
    inner: W,
    open: bool,
}

impl<W: Write> Write for Endless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open { self.inner.write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What is wrong with a member of an archive.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The compressed bytes are not those that were written, cannot be read, or are no tar stream.
    Member(String),
    /// One entry is not what the manifest says: its index, and what is wrong.
    Entry(usize, String),
    /// The caller's own error, from its visit.
    Visit(crate::Error),
}

/// Called for each entry of a member: its index, and its content where it is a file.
pub(crate) type Visit<'v> = dyn FnMut(usize, Option<&mut dyn Read>) -> Result<(), crate::Error> + 'v;

/// Reads one member and holds every entry against the manifest: name, kind, mode, size, time, link target. The
/// content is the visitor's to check. What the archive says is never acted on.
pub(crate) fn read_member(
    archive: &File,
    member: &Member,
    entries: &[Entry],
    visit: &mut Visit<'_>,
) -> Result<(), Fault> {
    let wrong = |text: String| Fault::Member(text);
    let Some(expected) =
        member.first.checked_add(member.entries).and_then(|end| entries.get(member.first..end))
    else {
        return Err(wrong("names entries that are not there".into()));
    };
    let mut section = Section { file: archive, at: member.offset, left: member.size, hasher: Hasher::new() };
    let limit = stream_limit(expected);
    {
        let decoder = MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, &mut section));
        let mut tar = tar::Archive::new(decoder.take(limit));
        let mut read = tar.entries().map_err(|e| wrong(e.to_string()))?;
        for (i, entry) in expected.iter().enumerate() {
            let index = member.first + i;
            let mut found = match read.next() {
                None => return Err(wrong(format!("ends before {}", entry.shown()))),
                Some(Err(e)) => return Err(wrong(e.to_string())),
                Some(Ok(found)) => found,
            };
            if let Some(text) = header_fault(&found, entry) {
                return Err(Fault::Entry(index, text));
            }
            let content: Option<&mut dyn Read> = if entry.is_file() { Some(&mut found) } else { None };
            visit(index, content).map_err(Fault::Visit)?;
        }
        match read.next() {
            None => {}
            Some(Ok(_)) => return Err(wrong("has an entry that the manifest does not have".into())),
            Some(Err(e)) => return Err(wrong(e.to_string())),
        }
    }
    io::copy(&mut section, &mut io::sink()).map_err(|e| wrong(e.to_string()))?;
    if section.hasher.finish() != member.sha256 {
        return Err(wrong("has other bytes than were written".into()));
    }
    Ok(())
}

/// The most bytes of tar stream that `entries` can take: what a damaged member could unpack to is bounded by it.
fn stream_limit(entries: &[Entry]) -> u64 {
    entries.iter().map(entry_limit).fold(4096, u64::saturating_add)
}

/// The most bytes of tar stream that one entry can take.
fn entry_limit(entry: &Entry) -> u64 {
    let link = if let Kind::Symlink { target } = &entry.kind { target.as_os_str().len() as u64 } else { 0 };
    let headers = 8 * 512 + entry.path.as_bytes().len() as u64 + link;
    entry.size().checked_next_multiple_of(512).unwrap_or(u64::MAX).saturating_add(headers)
}

fn header_fault(found: &tar::Entry<'_, impl Read>, entry: &Entry) -> Option<String> {
    let path = found.path_bytes();
    let name = path.strip_suffix(b"/").unwrap_or(&path);
    if name != entry.stored_path().as_bytes() {
        return Some(format!("the archive has `{}` in its place", crate::path::show_bytes(name)));
    }
    let header = found.header();
    let kind_fits = match &entry.kind {
        Kind::File { size, .. } => header.entry_type().is_file() && found.size() == *size,
        Kind::Directory => header.entry_type().is_dir() && found.size() == 0,
        Kind::Symlink { target } => {
            header.entry_type().is_symlink()
                && found.link_name_bytes().as_deref() == Some(target.as_os_str().as_bytes())
        }
    };
    if !kind_fits {
        return Some("the archive has another kind, size or link target".into());
    }
    let mtime = u64::try_from(entry.mtime.seconds).unwrap_or(0);
    if header.mode().ok() != Some(entry.mode.bits()) || header.mtime().ok() != Some(mtime) {
        return Some("the archive has another mode or modification time".into());
    }
    None
}

/// The manifest that the archive's last member holds.
pub(crate) fn read_manifest_member(archive: &File, member: &Member, limit: u64) -> Result<Vec<u8>, String> {
    let mut section = Section { file: archive, at: member.offset, left: member.size, hasher: Hasher::new() };
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
    io::copy(&mut section, &mut io::sink()).map_err(|e| e.to_string())?;
    if section.hasher.finish() != member.sha256 {
        return Err("has other bytes than were written".into());
    }
    Ok(bytes)
}

/// A range of a file, read by position so that several threads share the file, and hashed as it is read.
struct Section<'a> {
    file: &'a File,
    at: u64,
    left: u64,
    hasher: Hasher,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(&mut buffer[..most], self.at)?;
        self.hasher.update(&buffer[..n]);
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// A gzip member as it stands in the archive.
pub(crate) fn member_bytes<'f>(file: &'f File, member: &Member) -> impl Read + use<'f> {
    Section { file, at: member.offset, left: member.size, hasher: Hasher::new() }
}

/// Whether a gzip member is, byte for byte, what the manifest says.
pub(crate) fn member_is_right(file: &File, member: &Member) -> bool {
    digest_of(&mut member_bytes(file, member), member.size).is_ok_and(|found| found == Some(member.sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_every_entry_once_and_keep_their_bounds() {
        let names: Vec<String> = (0..500).map(|i| format!("src/file_{i}.rs")).collect();
        let entries = || names.iter().map(|n| (n.as_bytes(), 9_000));
        let cut = groups(entries());
        assert_eq!(cut.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
        let sizes: Vec<u64> = cut.iter().map(|r| r.len() as u64 * 9_728).collect();
        let (last, whole) = sizes.split_last().unwrap();
        assert!(whole.iter().all(|s| (GROUP_LEAST..=GROUP_MOST + 9_728).contains(s)), "{sizes:?}");
        assert!(*last <= GROUP_MOST + 9_728);
        assert_eq!(groups([].into_iter()), []);
        assert_eq!(groups([(&b"a"[..], GROUP_MOST * 9), (b"b", 1)].into_iter()), [0..1, 1..2]);
    }

    #[test]
    fn behind_a_change_groups_fall_together_again() {
        let names: Vec<String> = (0..500).map(|i| format!("src/file_{i}.rs")).collect();
        let ends = |grown: usize| -> std::collections::BTreeSet<usize> {
            let entries = names
                .iter()
                .enumerate()
                .map(|(i, n)| (n.as_bytes(), if i == grown { 70_000 } else { 9_000 }));
            groups(entries).into_iter().map(|r| r.end).collect()
        };
        let (before, after) = (ends(usize::MAX), ends(100));
        let same = before.intersection(&after).count();
        assert!(same * 10 > before.len() * 7, "{same} of {} boundaries survived", before.len());
    }
}
