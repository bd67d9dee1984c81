//! Reading the protected files: each once, for digest, copy and archive, several at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::Duration;

use super::spool::Spool;
use crate::archive::{MemberWriter, digest_of, groups};
use crate::clock::Mtime;
use crate::digest::Measure;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::fsx::{Cursor, FileWriter, Tree};
use crate::manifest::{Entry, Kind, Manifest, Mode, shown};
use crate::path::RelPath;
use crate::select::{Candidate, CandidateKind, ProtectedSet};
use crate::store::Store;

/// How often a file that changes while it is read is read again.
const ATTEMPTS: u32 = 4;

/// What to do with files that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Name them all and make no restore point.
    Fail,
    /// Name them all and leave them out.
    Skip,
}

/// What reading gave.
pub(super) struct ReadResult {
    pub(super) entries: Vec<Entry>,
    /// The indices in `entries` of files that were linked.
    pub(super) linked: BTreeSet<usize>,
    pub(super) written: u64,
    pub(super) unreadable: Vec<String>,
}

/// One group of entries as read.
struct Group {
    index: usize,
    entries: Vec<(Entry, How)>,
    member: Spool,
    faults: Vec<Fault>,
    /// The store could not be written to: nothing that is left out helps.
    failed: Option<Error>,
}

/// How a file came into the session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Linked,
    Copied,
    Other,
}

/// Why one file could not be kept.
struct Fault {
    changed: bool,
    text: String,
}

/// Reads a protected set.
pub(super) struct Job<'a> {
    store: &'a Store,
    set: &'a ProtectedSet,
    trees: &'a BTreeMap<String, Tree>,
    parent: Option<&'a Manifest>,
    staging: Option<&'a Path>,
    unreadable: Unreadable,
    context: &'a Context<'a>,
    done: AtomicU64,
}

impl<'a> Job<'a> {
    /// Without `staging` nothing is written: the files are only measured.
    pub(super) fn new(
        store: &'a Store,
        set: &'a ProtectedSet,
        trees: &'a BTreeMap<String, Tree>,
        parent: Option<&'a Manifest>,
        staging: Option<&'a Path>,
        unreadable: Unreadable,
        context: &'a Context<'a>,
    ) -> Self {
        Job { store, set, trees, parent, staging, unreadable, context, done: AtomicU64::new(0) }
    }

    /// Reads every file for its digest alone.
    pub(super) fn measure(&self) -> Result<Vec<Entry>> {
        let result = self.run(|_, _| Ok(()))?;
        Ok(result.entries)
    }

    /// Reads everything. `archive` gets the finished gzip members in order, each with the number of its entries.
    pub(super) fn run(
        &self,
        mut archive: impl FnMut(Box<dyn Read + Send>, usize) -> Result<()>,
    ) -> Result<ReadResult> {
        let total = self.set.entries.iter().map(|e| e.size).sum();
        let verb = if self.staging.is_some() { "Copying" } else { "Comparing" };
        let what =
            format!("{} files", self.set.entries.iter().filter(|e| e.kind == CandidateKind::File).count());
        self.context.observer.on(&Event::Phase { verb, what, total });
        let groups = groups(self.set.entries.iter().map(|e| e.size));
        let turn = Turn::default();
        let stop = AtomicBool::new(false);
        let mut out = ReadResult {
            entries: Vec::with_capacity(self.set.entries.len()),
            linked: BTreeSet::new(),
            written: 0,
            unreadable: Vec::new(),
        };
        let mut changed = false;
        let finished = std::thread::scope(|scope| -> Result<()> {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..crate::parallel::threads().min(groups.len()) {
                let sender = sender.clone();
                let (groups, turn, stop) = (&groups, &turn, &stop);
                scope.spawn(move || {
                    while let Some(index) = turn.take(groups.len(), stop) {
                        let group = self.read_group(index, groups[index].clone());
                        if sender.send(group).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut take = |group: Group| -> Result<()> {
                if let Some(e) = group.failed {
                    return Err(e);
                }
                changed |= group.faults.iter().any(|f| f.changed);
                out.unreadable.extend(group.faults.into_iter().map(|f| f.text));
                let count = group.entries.len();
                for (entry, how) in group.entries {
                    match how {
                        How::Linked => drop(out.linked.insert(out.entries.len())),
                        How::Copied => out.written += entry.size(),
                        How::Other => {}
                    }
                    out.entries.push(entry);
                }
                let bytes = group.member.into_reader().during("read back", self.store.layout().dir())?;
                // After a fault there is no archive to make; go on only to name every other fault.
                if out.unreadable.is_empty() || self.unreadable == Unreadable::Skip {
                    archive(bytes, count)?;
                }
                Ok(())
            };
            let result = in_order(&receiver, &turn, &mut take);
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
                turn.wake();
            }
            result
        });
        finished?;
        self.context.interrupt.check()?;
        if !out.unreadable.is_empty() && self.unreadable == Unreadable::Fail {
            return Err(self.failed(out.unreadable, changed));
        }
        Ok(out)
    }

    fn failed(&self, texts: Vec<String>, changed: bool) -> Error {
        let n = texts.len();
        let files = if n == 1 { "1 file" } else { &format!("{n} files") };
        let error = if changed {
            Error::new(
                ErrorKind::Changed,
                format!("{files} could not be kept, some of which changed while they were read"),
            )
            .with_help("stop what writes to them, or keep them out with `exclude`, and run it again")
        } else {
            Error::new(ErrorKind::Workspace, format!("{files} could not be read")).with_help(
                "make them readable, or keep them out with `exclude` in [workspace.metadata.backstop]",
            )
        };
        error.with_details(texts)
    }

    /// Reads one group; the whole group again where a file changed, since its place in the archive is spoilt.
    fn read_group(&self, index: usize, range: Range<usize>) -> Group {
        let mut skip: BTreeMap<usize, Fault> = BTreeMap::new();
        let mut attempt = 1;
        loop {
            let spool_dir = self.staging.unwrap_or(Path::new(""));
            let spool = Spool::new(self.store.fs(), spool_dir.join(format!(".member_{index}")));
            let mut pass =
                Pass { job: self, member: MemberWriter::new(spool), attempt, buffer: vec![0; 128 * 1024] };
            let mut entries = Vec::with_capacity(range.len());
            let mut cursor: Option<(&str, Cursor<'_>)> = None;
            let mut again = false;
            for i in range.clone() {
                if skip.contains_key(&i) || self.context.interrupt.is_set() {
                    continue;
                }
                let candidate = &self.set.entries[i];
                if cursor.as_ref().is_none_or(|(root, _)| *root != candidate.root) {
                    cursor = self.trees.get(&candidate.root).map(|t| (candidate.root.as_str(), t.cursor()));
                }
                let Some((_, cursor)) = cursor.as_mut() else { continue };
                match pass.read(candidate, cursor) {
                    Ok(entry) => entries.push(entry),
                    Err(Trouble::Store(e)) => return self.lost_group(index, e),
                    Err(trouble) => {
                        again = true;
                        let last = attempt == ATTEMPTS;
                        if let Some(fault) = trouble.into_fault(candidate, last) {
                            skip.insert(i, fault);
                        }
                    }
                }
            }
            if !again {
                let faults = skip.into_values().collect();
                return match pass.member.finish(false) {
                    Ok(member) => Group { index, entries, member, faults, failed: None },
                    Err(e) => {
                        let path = self.staging.unwrap_or(Path::new(""));
                        self.lost_group(index, Error::io("write a part of the archive below", path, e))
                    }
                };
            }
            if skip.is_empty() {
                std::thread::sleep(Duration::from_millis(20 << attempt));
            }
            attempt = (attempt + 1).min(ATTEMPTS);
        }
    }

    fn lost_group(&self, index: usize, e: Error) -> Group {
        let member = Spool::new(self.store.fs(), Path::new("").into());
        Group { index, entries: Vec::new(), member, faults: Vec::new(), failed: Some(e) }
    }

    fn progress(&self, size: u64) {
        let done = self.done.fetch_add(size, Ordering::Relaxed) + size;
        self.context.observer.on(&Event::Progress { done });
    }
}

/// Hands groups on in their order, and lets the readers run on only so far ahead.
fn in_order(
    receiver: &mpsc::Receiver<Group>,
    turn: &Turn,
    take: &mut impl FnMut(Group) -> Result<()>,
) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for group in receiver {
        waiting.insert(group.index, group);
        while let Some(group) = waiting.remove(&next) {
            take(group)?;
            next += 1;
            turn.written(next);
        }
    }
    Ok(())
}

/// Which group is read next, and how far writing has come. Bounds what waits in memory.
#[derive(Default)]
struct Turn {
    state: Mutex<(usize, usize)>,
    moved: Condvar,
}

impl Turn {
    fn take(&self, count: usize, stop: &AtomicBool) -> Option<usize> {
        let window = crate::parallel::threads() * 4;
        let mut state = self.state.lock().ok()?;
        loop {
            if state.0 >= count || stop.load(Ordering::Relaxed) {
                return None;
            }
            if state.0 < state.1 + window {
                state.0 += 1;
                return Some(state.0 - 1);
            }
            state = self.moved.wait(state).ok()?;
        }
    }

    fn written(&self, count: usize) {
        if let Ok(mut state) = self.state.lock() {
            state.1 = count;
        }
        self.wake();
    }

    fn wake(&self) {
        self.moved.notify_all();
    }
}

/// Why reading one entry did not work.
enum Trouble {
    /// It is not what it was a moment ago.
    Changed(&'static str),
    /// It cannot be read.
    Io(&'static str, io::Error),
    /// Its copy, or its part of the archive, cannot be written.
    Store(Error),
}

impl Trouble {
    /// The final verdict on an entry; `None` where it is worth another attempt.
    fn into_fault(self, candidate: &Candidate, last: bool) -> Option<Fault> {
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
struct Pass<'a, 'b> {
    job: &'b Job<'a>,
    member: MemberWriter<Spool>,
    attempt: u32,
    buffer: Vec<u8>,
}

impl<'a> Pass<'a, '_> {
    fn read(&mut self, candidate: &Candidate, cursor: &mut Cursor<'_>) -> Result<(Entry, How), Trouble> {
        let stat = match cursor.stat(&candidate.path) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Err(Trouble::Changed("was removed while the backup ran")),
            Err(e) => return Err(Trouble::Io("cannot be looked at", e)),
        };
        let (mode, mtime) = (Mode::new(stat.st_mode), mtime_of(&stat));
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        let entry = |kind: Kind, mode: Mode, mtime: Mtime| Entry {
            root: candidate.root.clone(),
            path: candidate.path.clone(),
            kind,
            mode,
            mtime,
            package: candidate.package.clone(),
            reasons: candidate.reasons.clone(),
        };
        let stored = super::stored_path(candidate);
        let archived = |e| unwritten(&stored, e);
        match candidate.kind {
            CandidateKind::Directory if kind.is_dir() => {
                self.member.directory(&stored, mode, mtime).map_err(archived)?;
                Ok((entry(Kind::Directory, mode, mtime), How::Other))
            }
            CandidateKind::Symlink if kind.is_symlink() => {
                let target =
                    cursor.read_link(&candidate.path).map_err(|e| Trouble::Io("cannot be read", e))?;
                if let Some(staging) = self.job.staging {
                    let path = staging.join(&stored);
                    self.clear(&path)?;
                    let fs = self.job.store.fs();
                    fs.symlink(target.as_os_str(), &path)
                        .and_then(|()| fs.set_mtime(&path, mtime))
                        .map_err(|e| uncopied(&path, e))?;
                }
                self.member.symlink(&stored, &target, mtime).map_err(archived)?;
                Ok((entry(Kind::Symlink { target }, Mode::new(0o777), mtime), How::Other))
            }
            CandidateKind::File if kind.is_file() => {
                let (found, mode, mtime, how) = self.read_file(candidate, cursor)?;
                self.job.progress(candidate.size);
                Ok((entry(found, mode, mtime), how))
            }
            _ => Err(Trouble::Changed("became something else while the backup ran")),
        }
    }

    fn read_file(
        &mut self,
        candidate: &Candidate,
        cursor: &mut Cursor<'_>,
    ) -> Result<(Kind, Mode, Mtime, How), Trouble> {
        let unreadable = |e| Trouble::Io("cannot be read", e);
        let file = match cursor.open(&candidate.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Trouble::Changed("was removed while the backup ran"));
            }
            Err(e) => return Err(unreadable(e)),
        };
        let before = rustix::fs::fstat(&file).map_err(|e| unreadable(e.into()))?;
        let (mode, mtime) = (Mode::new(before.st_mode), mtime_of(&before));
        let size = u64::try_from(before.st_size).unwrap_or(0);
        let stored = super::stored_path(candidate);
        let twin = self.twin(candidate, size, mode, mtime);

        let mut copy = match (self.job.staging, twin) {
            (Some(staging), None) => {
                let path = staging.join(&stored);
                self.clear(&path)?;
                Some(self.job.store.fs().create_file(&path).map_err(|e| uncopied(&path, e))?)
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
            interrupt: self.job.context.interrupt,
        };
        if self.job.staging.is_some() {
            let kept = self.member.file(&stored, mode, mtime, size, &mut tee);
            kept.map_err(|e| if tee.unreadable { unreadable(e) } else { unwritten(&stored, e) })?;
        } else {
            io::copy(&mut tee, &mut io::sink()).map_err(unreadable)?;
        }
        let (sha256, read, lines) = tee.measure.finish();
        let grew = (&file).read(&mut [0; 1]).map_err(unreadable)? != 0;
        let after = rustix::fs::fstat(&file).map_err(|e| unreadable(e.into()))?;
        if grew || read != size || !same(&before, &after) {
            return Err(Trouble::Changed("changed each time it was read"));
        }
        let kind = Kind::File { size, lines, sha256 };
        let Some(staging) = self.job.staging else { return Ok((kind, mode, mtime, How::Other)) };
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
                copy.finish(mode.stored(), mtime).map_err(|e| uncopied(&path, e))?;
                How::Copied
            }
        };
        let action = if how == How::Linked { "linked" } else { "copied" };
        let detail = format!("{size} bytes {sha256}");
        self.job.context.observer.on(&Event::File { action, path: name, detail });
        Ok((kind, mode, mtime, how))
    }

    /// The parent's entry that this file seems to be: same size, time and stored mode. Its content is compared
    /// when it is known.
    fn twin(&self, candidate: &Candidate, size: u64, mode: Mode, mtime: Mtime) -> Option<&'a Entry> {
        let entry = self.job.parent?.find(&candidate.root, &candidate.path)?;
        let same = entry.is_file()
            && entry.size() == size
            && entry.mtime == mtime
            && entry.mode.stored() == mode.stored();
        same.then_some(entry)
    }

    /// Links the parent's copy after reading it back. `false` where it is damaged or cannot be linked to.
    fn link(&self, twin: &Entry, path: &Path) -> Result<bool, Trouble> {
        let Some(parent) = self.job.parent else { return Ok(false) };
        let original = self.job.store.layout().session(&parent.id).join(twin.stored_path());
        let sound = std::fs::symlink_metadata(&original).is_ok_and(|meta| {
            use std::os::unix::fs::MetadataExt;
            meta.is_file()
                && Mode::new(meta.mode()) == twin.mode.stored()
                && (meta.mtime(), meta.mtime_nsec()) == (twin.mtime.seconds, i64::from(twin.mtime.nanos))
        }) && std::fs::File::open(&original)
            .and_then(|mut f| digest_of(&mut f, twin.size()))
            .is_ok_and(|d| d == twin.sha256());
        if !sound {
            self.job.context.note(format!(
                "restore point {} is damaged at {}: this one gets a copy of its own",
                parent.id,
                twin.shown()
            ));
            return Ok(false);
        }
        self.clear(path)?;
        match self.job.store.fs().hard_link(&original, path) {
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
        let mut copy = self.job.store.fs().create_file(path).map_err(|e| uncopied(path, e))?;
        let file = cursor.open(&candidate.path).map_err(|e| Trouble::Io("cannot be read", e))?;
        let mut tee = Tee {
            file: (&file).take(size + 1),
            measure: Measure::new(),
            copy: Some(&mut copy),
            buffer: &mut self.buffer,
            ready: 0..0,
            unreadable: false,
            interrupt: self.job.context.interrupt,
        };
        io::copy(&mut tee, &mut io::sink()).map_err(|e| match tee.unreadable {
            true => Trouble::Io("cannot be read", e),
            false => uncopied(path, e),
        })?;
        if tee.measure.finish().0 != sha256 {
            return Err(Trouble::Changed("changed each time it was read"));
        }
        copy.finish(mode.stored(), mtime).map_err(|e| uncopied(path, e))
    }

    /// Removes what an earlier attempt left.
    fn clear(&self, path: &Path) -> Result<(), Trouble> {
        if self.attempt == 1 && self.job.parent.is_none() {
            return Ok(());
        }
        match self.job.store.fs().remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(uncopied(path, e)),
            _ => Ok(()),
        }
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

/// The modification time in a `stat`.
#[allow(
    clippy::useless_conversion,
    clippy::unnecessary_fallible_conversions,
    reason = "types differ by platform"
)]
pub(crate) fn mtime_of(stat: &rustix::fs::Stat) -> Mtime {
    Mtime { seconds: stat.st_mtime.into(), nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) }
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
    interrupt: &'a crate::event::Interrupt,
}

impl Read for Tee<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() {
            self.unreadable = true;
            if self.interrupt.is_set() {
                return Err(io::Error::other("stopped on request"));
            }
            let n = self.file.read(self.buffer)?;
            self.unreadable = false;
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
