//! One gzip member: its bytes in the archive, and the entries in them. **The one place that reads a tar stream of
//! entries**; what it says is held against a manifest and never acted on.

use std::borrow::Borrow;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use crate::digest::{Digest, Hasher};
use crate::manifest::{Entry, Kind, Member};

/// A range of a file, read by position so that several threads share the file.
pub(crate) struct Section<F> {
    file: F,
    at: u64,
    left: u64,
}

impl<F: Borrow<File>> Section<F> {
    /// The `size` bytes from `at` on.
    pub(crate) fn new(file: F, at: u64, size: u64) -> Self {
        Section { file, at, left: size }
    }

    /// A gzip member as it stands in the archive.
    pub(crate) fn of(file: F, member: &Member) -> Self {
        Self::new(file, member.offset, member.size)
    }

    /// Hashes what is read.
    pub(super) fn hashed(self) -> Hashed<Self> {
        Hashed { inner: self, hasher: Hasher::new() }
    }

    /// Where the next byte is read.
    pub(super) fn position(&self) -> u64 {
        self.at
    }
}

impl<F: Borrow<File>> Read for Section<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.borrow().read_at(&mut buffer[..most], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// What is read of something, and its digest.
pub(super) struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Hashed<R> {
    /// Reads what is left, and gives the digest of everything.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.hasher.finish())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// The index of the first entry of a stream.
pub(super) enum Start<'a> {
    /// This one.
    At(usize),
    /// The one that the first name in the stream tells.
    Find(&'a dyn Fn(&[u8]) -> Option<usize>),
}

/// Why a stream was not read to its end.
pub(super) enum Stop<E> {
    /// It cannot be read, or is no tar stream, where this entry was expected.
    Read(usize, io::Error),
    /// An entry is not what the manifest says.
    Entry(usize, String),
    /// It has an entry that the manifest does not have, with this name.
    Extra(Vec<u8>),
    /// The visitor's own.
    Visit(E),
}

/// Called for each entry: its index, and its content if it is a file.
pub(super) type Visit<'v, E> = dyn FnMut(usize, Option<&mut dyn Read>) -> Result<(), E> + 'v;

/// How far a stream was read.
pub(super) struct Walked {
    /// The index behind the last entry.
    pub(super) next: usize,
    /// Where the last entry ends in the stream, and how many bytes were read.
    pub(super) end: u64,
    pub(super) read: u64,
}

/// Reads entry after entry of a tar stream and holds each against `entries`: name, kind, mode, size, time, link
/// target. The content of a file is the visitor's to check. No entry unpacks to more than the manifest says, but for
/// `slack`.
pub(super) fn walk<E>(
    stream: &mut dyn Read,
    entries: &[Entry],
    start: &Start<'_>,
    slack: u64,
    visit: &mut Visit<'_, E>,
) -> Result<Walked, Stop<E>> {
    let left = Rc::new(Cell::new(slack));
    let mut rationed = Rationed { inner: stream, left: left.clone(), read: 0 };
    let mut at = if let Start::At(first) = start { Some(*first) } else { None };
    let mut end = 0;
    {
        let place = |at: Option<usize>| at.unwrap_or(entries.len());
        let mut tar = tar::Archive::new(&mut rationed);
        let mut tarred = tar.entries().map_err(|e| Stop::Read(place(at), e))?;
        loop {
            // At the end nothing more is there, whatever is allowed.
            let allowed = at.map_or(0, |i| entries.get(i).map_or(slack, entry_limit));
            left.set(allowed.saturating_add(slack));
            let mut found = match tarred.next() {
                None => break,
                Some(found) => found.map_err(|e| Stop::Read(place(at), e))?,
            };
            if let (None, Start::Find(find)) = (at, start) {
                at = find(&found.path_bytes());
                left.set(at.and_then(|i| entries.get(i)).map_or(0, entry_limit).saturating_add(slack));
            }
            let Some((index, entry)) = at.and_then(|i| Some((i, entries.get(i)?))) else {
                return Err(Stop::Extra(found.path_bytes().into_owned()));
            };
            if let Some(text) = header_fault(&found, entry) {
                return Err(Stop::Entry(index, text));
            }
            let content: Option<&mut dyn Read> = if entry.is_file() { Some(&mut found) } else { None };
            visit(index, content).map_err(Stop::Visit)?;
            io::copy(&mut found, &mut io::sink()).map_err(|e| Stop::Read(index, e))?;
            end = found.raw_file_position() + entry.size().next_multiple_of(512);
            at = Some(index + 1);
        }
    }
    // To the checksum of the gzip member.
    let next = at.unwrap_or(0);
    rationed.read(&mut [0]).map_err(|e| Stop::Read(next, e))?;
    Ok(Walked { next, end, read: rationed.read })
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
    if header.mode().ok() != Some(entry.mode().bits()) || header.mtime().ok() != Some(mtime) {
        return Some("the archive has another mode or modification time".into());
    }
    None
}

/// A stream that gives no more than is allowed at a time, so that no entry unpacks to more than its manifest says.
struct Rationed<R> {
    inner: R,
    left: Rc<Cell<u64>>,
    read: u64,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("it unpacks to more than its manifest says"));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(&mut buffer[..most])?;
        self.left.set(left - n as u64);
        self.read += n as u64;
        Ok(n)
    }
}
