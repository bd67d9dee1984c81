//! Writing: entries cut into groups, each a gzip member of its own.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use crate::clock::Mtime;
use crate::manifest::Mode;
use crate::path::{LinkTarget, RelPath};

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
