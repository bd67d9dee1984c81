//! One pass over a group of entries: each is read once, for digest, copy and archive.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

use super::spool::Spool;
use crate::archive::MemberWriter;
use crate::clock::Mtime;
use crate::digest::{Measure, digest_of};
use crate::error::Error;
use crate::event::{Context, Event, Meter};
use crate::fsx::{Cursor, FileWriter, mode_of, mtime_of};
use crate::manifest::{Attributes, Entry, FileKind, Kind, Manifest, Mode, shown};
use crate::path::RelPath;
use crate::select::Candidate;
use crate::store::Store;

/// Where a backup reads to, shared by its passes.
pub(super) struct Target<'a> {
    pub(super) store: &'a Store,
    pub(super) parent: Option<&'a Manifest>,
    /// The session that is put together; without one the files are only measured.
    pub(super) staging: Option<&'a Path>,
    pub(super) context: &'a Context<'a>,
    pub(super) meter: Meter<'a>,
}

/// How a file came into the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Linked,
    Copied,
    Other,
}

/// Why one file could not be kept.
pub(super) struct Fault {
    pub(super) changed: bool,
    pub(super) text: String,
}

/// Why reading one entry did not work.
pub(super) enum Trouble {
    /// It is not what it was a moment ago.
    Changed(&'static str),
    /// It cannot be read.
    Io(&'static str, io::Error),
    /// Its copy, or its part of the archive, cannot be written.
    Store(Error),
}

impl Trouble {
    /// The final verdict on an entry; `None` where it is worth another attempt.
    pub(super) fn into_fault(self, candidate: &Candidate, last: bool) -> Option<Fault> {
        let name = shown(&candidate.root, &candidate.path);
        match self {
            Trouble::Changed(_) if !last => None,
            Trouble::Changed(what) => Some(Fault { changed: true, text: format!("{name}: {what}") }),
            Trouble::Io(during, e) => Some(Fault { changed: false, text: format!("{name}: {during}: {e}") }),
            Trouble::Store(e) => Some(Fault { changed: false, text: format!("{name}: {e}") }),
        }
    }
}

/// One pass over a group.
pub(super) struct Pass<'a, 'b> {
    target: &'b Target<'a>,
    /// What the entries are archived in; none where the parent's member is hoped to do.
    member: Option<MemberWriter<Spool>>,
    attempt: u32,
    buffer: Vec<u8>,
}

impl<'a, 'b> Pass<'a, 'b> {
    pub(super) fn new(target: &'b Target<'a>, member: Option<MemberWriter<Spool>>, attempt: u32) -> Self {
        Pass { target, member, attempt, buffer: vec![0; 128 * 1024] }
    }

    /// Whether the parent's archive is to do: then the first file that differs ends the pass.
    pub(super) fn relies_on_parent(&self) -> bool {
        self.member.is_none() && self.target.staging.is_some()
    }

    /// Ends the gzip member.
    pub(super) fn finish(self) -> io::Result<Option<Spool>> {
        self.member.map(|member| member.finish(false)).transpose()
    }

    /// Reads one entry: stages its copy or a link to the parent's, and archives it.
    pub(super) fn read(
        &mut self,
        candidate: &Candidate,
        cursor: &mut Cursor<'_>,
    ) -> Result<(Entry, How), Trouble> {
        let (stat, attributes) = match cursor.look(&candidate.path) {
            Ok(Some(found)) => found,
            Ok(None) => return Err(Trouble::Changed("was removed while the backup ran")),
            Err(e) => return Err(Trouble::Io("cannot be looked at", e)),
        };
        let mtime = mtime_of(&stat);
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        let entry = |kind: Kind, attributes: Attributes, mtime: Mtime| Entry {
            root: candidate.root.clone(),
            path: candidate.path.clone(),
            kind,
            attributes,
            mtime,
            package: candidate.package.clone(),
            reasons: candidate.reasons.clone(),
        };
        let stored = candidate.stored_path();
        let archived = |e| unwritten(&stored, e);
        match candidate.kind {
            FileKind::Directory if kind.is_dir() => {
                if let Some(member) = &mut self.member {
                    member.directory(&stored, attributes.mode, mtime).map_err(archived)?;
                }
                Ok((entry(Kind::Directory, attributes, mtime), How::Other))
            }
            FileKind::Symlink if kind.is_symlink() => {
                let target =
                    cursor.read_link(&candidate.path).map_err(|e| Trouble::Io("cannot be read", e))?;
                if let Some(staging) = self.target.staging {
                    let path = staging.join(&stored);
                    self.clear(&path)?;
                    let fs = self.target.store.fs();
                    fs.symlink(target.as_os_str(), &path)
                        .and_then(|()| fs.set_mtime(&path, mtime))
                        .map_err(|e| uncopied(&path, e))?;
                }
                if let Some(member) = &mut self.member {
                    member.symlink(&stored, &target, mtime).map_err(archived)?;
                }
                Ok((entry(Kind::Symlink { target }, Mode::new(0o777).into(), mtime), How::Other))
            }
            FileKind::File if kind.is_file() => {
                let (found, how) = self.read_file(candidate, cursor, &stat)?;
                Ok((entry(found, attributes, mtime), how))
            }
            _ => Err(Trouble::Changed("became something else while the backup ran")),
        }
    }

    /// `before` is what was seen of the file before it was opened.
    fn read_file(
        &mut self,
        candidate: &Candidate,
        cursor: &mut Cursor<'_>,
        before: &rustix::fs::Stat,
    ) -> Result<(Kind, How), Trouble> {
        let unreadable = |e| Trouble::Io("cannot be read", e);
        let file = match cursor.open(&candidate.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Trouble::Changed("was removed while the backup ran"));
            }
            Err(e) => return Err(unreadable(e)),
        };
        let (mode, mtime) = (mode_of(before), mtime_of(before));
        let size = u64::try_from(before.st_size).unwrap_or(0);
        let stored = candidate.stored_path();
        let twin = self.twin(candidate, size, mode, mtime);
        if self.relies_on_parent() && twin.is_none() {
            return Err(Trouble::Changed("is not what the parent has"));
        }

        let mut copy = match (self.target.staging, twin) {
            (Some(staging), None) => {
                let path = staging.join(&stored);
                self.clear(&path)?;
                Some(self.target.store.fs().create_file(&path).map_err(|e| uncopied(&path, e))?)
            }
            _ => None,
        };
        let mut tee = Tee {
            file: (&file).take(size),
            measure: Measure::new(),
            copy: copy.as_mut(),
            buffer: &mut self.buffer,
            ready: 0..0,
            unreadable: false,
            target: self.target,
        };
        match &mut self.member {
            Some(member) if self.target.staging.is_some() => {
                let kept = member.file(&stored, mode, mtime, size, &mut tee);
                kept.map_err(|e| if tee.unreadable { unreadable(e) } else { unwritten(&stored, e) })?;
            }
            _ => drop(io::copy(&mut tee, &mut io::sink()).map_err(unreadable)?),
        }
        let (sha256, read, lines) = tee.measure.finish();
        let grew = (&file).read(&mut [0; 1]).map_err(unreadable)? != 0;
        let after = rustix::fs::fstat(&file).map_err(|e| unreadable(e.into()))?;
        if grew || read != size || !same(before, &after) {
            return Err(Trouble::Changed("changed each time it was read"));
        }
        let kind = Kind::File { size, lines, sha256 };
        let Some(staging) = self.target.staging else { return Ok((kind, How::Other)) };
        let path = staging.join(&stored);
        let name = shown(&candidate.root, &candidate.path);
        let how = match (copy, twin) {
            (None, Some(twin)) if twin.sha256() == Some(sha256) && self.link(twin, &path)? => How::Linked,
            (None, _) => {
                // It looked like the parent's copy and is not, or that one cannot be linked.
                self.copy_again(candidate, cursor, &path, (sha256, size), (mode, mtime))?;
                How::Copied
            }
            (Some(copy), _) => {
                copy.finish(&mode.stored().into(), mtime).map_err(|e| uncopied(&path, e))?;
                How::Copied
            }
        };
        let action = if how == How::Linked { "linked" } else { "copied" };
        let detail = format!("{size} bytes {sha256}");
        self.target.context.observer.on(&Event::File { action, path: name, detail });
        Ok((kind, how))
    }

    /// The parent's entry that this file seems to be: same size, time and stored mode. Its content is compared
    /// when it is known.
    fn twin(&self, candidate: &Candidate, size: u64, mode: Mode, mtime: Mtime) -> Option<&'a Entry> {
        let entry = self.target.parent?.find(&candidate.root, &candidate.path)?;
        let same = entry.is_file()
            && entry.size() == size
            && entry.mtime == mtime
            && entry.mode().stored() == mode.stored();
        same.then_some(entry)
    }

    /// Links the parent's copy after reading it back. `false` where it is damaged or cannot be linked to.
    fn link(&self, twin: &Entry, path: &Path) -> Result<bool, Trouble> {
        let Some(parent) = self.target.parent else { return Ok(false) };
        let original = self.target.store.layout().session(&parent.id).join(twin.stored_path());
        let sound = std::fs::symlink_metadata(&original).is_ok_and(|meta| {
            use std::os::unix::fs::MetadataExt;
            meta.is_file()
                && Mode::new(meta.mode()) == twin.mode().stored()
                && (meta.mtime(), meta.mtime_nsec()) == (twin.mtime.seconds, i64::from(twin.mtime.nanos))
        }) && std::fs::File::open(&original)
            .and_then(|mut f| digest_of(&mut f, twin.size()))
            .is_ok_and(|d| d == twin.sha256());
        if !sound {
            self.target.context.note(format!(
                "restore point {} is damaged at {}: this one gets a copy of its own",
                parent.id,
                twin.shown()
            ));
            return Ok(false);
        }
        self.clear(path)?;
        match self.target.store.fs().hard_link(&original, path) {
            Ok(()) => Ok(true),
            // Too many links, or a file system without any: a copy does as well.
            Err(_) => Ok(false),
        }
    }

    fn copy_again(
        &mut self,
        candidate: &Candidate,
        cursor: &mut Cursor<'_>,
        path: &Path,
        (sha256, size): (crate::digest::Digest, u64),
        (mode, mtime): (Mode, Mtime),
    ) -> Result<(), Trouble> {
        self.clear(path)?;
        let mut copy = self.target.store.fs().create_file(path).map_err(|e| uncopied(path, e))?;
        let file = cursor.open(&candidate.path).map_err(|e| Trouble::Io("cannot be read", e))?;
        let mut tee = Tee {
            file: (&file).take(size + 1),
            measure: Measure::new(),
            copy: Some(&mut copy),
            buffer: &mut self.buffer,
            ready: 0..0,
            unreadable: false,
            target: self.target,
        };
        io::copy(&mut tee, &mut io::sink()).map_err(|e| match tee.unreadable {
            true => Trouble::Io("cannot be read", e),
            false => uncopied(path, e),
        })?;
        if tee.measure.finish().0 != sha256 {
            return Err(Trouble::Changed("changed each time it was read"));
        }
        copy.finish(&mode.stored().into(), mtime).map_err(|e| uncopied(path, e))
    }

    /// Removes what an earlier attempt left.
    fn clear(&self, path: &Path) -> Result<(), Trouble> {
        if self.attempt == 1 && self.target.parent.is_none() {
            return Ok(());
        }
        self.target.store.fs().remove_file_if_there(path).map_err(|e| uncopied(path, e))
    }
}

fn uncopied(path: &Path, e: io::Error) -> Trouble {
    Trouble::Store(Error::io("write", path, e))
}

fn unwritten(stored: &RelPath, e: io::Error) -> Trouble {
    Trouble::Store(Error::io("write to the archive", stored.as_path(), e))
}

/// Whether nothing happened to a file between two looks at it.
fn same(a: &rustix::fs::Stat, b: &rustix::fs::Stat) -> bool {
    (a.st_ino, a.st_size, a.st_mode) == (b.st_ino, b.st_size, b.st_mode)
        && (a.st_mtime, a.st_mtime_nsec, a.st_ctime, a.st_ctime_nsec)
            == (b.st_mtime, b.st_mtime_nsec, b.st_ctime, b.st_ctime_nsec)
}

/// Reads a file, and measures and copies what it reads.
struct Tee<'a> {
    file: io::Take<&'a std::fs::File>,
    measure: Measure,
    copy: Option<&'a mut FileWriter>,
    /// Read and copied in large pieces, whatever the pieces that are asked for.
    buffer: &'a mut [u8],
    ready: Range<usize>,
    /// Whether the last error came from the file that is read.
    unreadable: bool,
    target: &'a Target<'a>,
}

impl Read for Tee<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() {
            self.unreadable = true;
            if self.target.context.interrupt.is_set() {
                return Err(io::Error::other("stopped on request"));
            }
            let n = self.file.read(self.buffer)?;
            self.unreadable = false;
            self.target.meter.add(n as u64);
            self.measure.update(&self.buffer[..n]);
            if let Some(copy) = &mut self.copy {
                copy.write_all(&self.buffer[..n])?;
            }
            self.ready = 0..n;
        }
        let n = self.ready.len().min(out.len());
        out[..n].copy_from_slice(&self.buffer[self.ready.start..][..n]);
        self.ready.start += n;
        Ok(n)
    }
}
