//! Reading the protected files: each once, for digest, copy and archive, several at a time.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::Duration;

use super::pass::{Fault, How, Pass, Target, Trouble};
use super::reuse::ParentMember;
use super::spool::Spool;
use crate::archive::{MemberWriter, Section, groups};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event, Meter};
use crate::fsx::{Cursor, Tree};
use crate::manifest::{Entry, FileKind, Manifest, RootName};
use crate::order;
use crate::select::ProtectedSet;
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
    pub(super) linked: order::Set<usize>,
    pub(super) written: u64,
    pub(super) unreadable: Vec<String>,
}

/// One group of entries as read.
struct Group {
    index: usize,
    entries: Vec<(Entry, How)>,
    member: MemberBytes,
    faults: Vec<Fault>,
    /// The store could not be written to: nothing that is left out helps.
    failed: Option<Error>,
}

/// A finished gzip member.
enum MemberBytes {
    /// Just compressed.
    Spool(Spool),
    /// The parent's own.
    Parent(Section<std::fs::File>),
}

impl MemberBytes {
    fn into_reader(self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            MemberBytes::Spool(spool) => spool.into_reader(),
            MemberBytes::Parent(bytes) => Ok(Box::new(bytes)),
        }
    }
}

/// What a pass read, and what it did not, by index in the protected set.
type Passed = (Vec<(Entry, How)>, Vec<(usize, Trouble)>);

/// Reads a protected set.
pub(super) struct Job<'a> {
    target: Target<'a>,
    set: &'a ProtectedSet,
    trees: &'a order::Map<RootName, Tree>,
    unreadable: Unreadable,
}

impl<'a> Job<'a> {
    /// Without `staging` nothing is written: the files are only measured.
    pub(super) fn new(
        store: &'a Store,
        set: &'a ProtectedSet,
        trees: &'a order::Map<RootName, Tree>,
        parent: Option<&'a Manifest>,
        staging: Option<&'a Path>,
        unreadable: Unreadable,
        context: &'a Context<'a>,
    ) -> Self {
        let target = Target { store, parent, staging, context, meter: Meter::new(context.observer) };
        Job { target, set, trees, unreadable }
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
        let verb = if self.target.staging.is_some() { "Copying" } else { "Comparing" };
        let files = self.set.entries.iter().filter(|e| e.kind == FileKind::File).count();
        let what = crate::event::plural(files as u64, "file", "files");
        self.target.context.observer.on(&Event::Phase { verb, what, total });
        let groups = groups(self.set.entries.iter().map(|e| (e.path.as_bytes(), e.size)));
        let turn = Turn::default();
        let stop = AtomicBool::new(false);
        let mut out = ReadResult {
            entries: Vec::with_capacity(self.set.entries.len()),
            linked: order::Set::new(),
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
                let bytes =
                    group.member.into_reader().during("read back", self.target.store.layout().dir())?;
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
        self.target.context.interrupt.check()?;
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
        if let Some(group) = self.reuse(index, &range) {
            return group;
        }
        let mut skip: order::Map<usize, Fault> = order::Map::new();
        let mut attempt = 1;
        loop {
            let spool_dir = self.target.staging.unwrap_or(Path::new(""));
            let spool = Spool::new(self.target.store.fs(), spool_dir.join(format!(".member_{index}")));
            let mut pass = Pass::new(&self.target, Some(MemberWriter::new(spool)), attempt);
            let (entries, troubles) = self.pass(&mut pass, range.clone(), &skip);
            if troubles.is_empty() {
                let faults = skip.into_values().collect();
                let finished = pass.finish().map(|spool| spool.map(MemberBytes::Spool));
                return match finished {
                    Ok(Some(member)) => Group { index, entries, member, faults, failed: None },
                    Ok(None) => {
                        self.lost_group(index, Error::new(ErrorKind::Io, "a part of the archive is lost"))
                    }
                    Err(e) => {
                        let path = self.target.staging.unwrap_or(Path::new(""));
                        self.lost_group(index, Error::io("write a part of the archive below", path, e))
                    }
                };
            }
            for (i, trouble) in troubles {
                let last = attempt == ATTEMPTS;
                match trouble {
                    Trouble::Store(e) => return self.lost_group(index, e),
                    trouble => {
                        let fault = trouble.into_fault(&self.set.entries[i], last);
                        skip.extend(fault.map(|fault| (i, fault)));
                    }
                }
            }
            if skip.is_empty() {
                std::thread::sleep(Duration::from_millis(20 << attempt));
            }
            attempt = (attempt + 1).min(ATTEMPTS);
        }
    }

    /// One pass over a group: what was read, and what was not.
    fn pass(&self, pass: &mut Pass<'_, '_>, range: Range<usize>, skip: &order::Map<usize, Fault>) -> Passed {
        let (mut entries, mut troubles) = (Vec::with_capacity(range.len()), Vec::new());
        let mut cursor: Option<(&RootName, Cursor<'_>)> = None;
        for i in range {
            if skip.contains_key(&i) || self.target.context.interrupt.is_set() {
                continue;
            }
            let candidate = &self.set.entries[i];
            if cursor.as_ref().is_none_or(|(root, _)| **root != candidate.root) {
                cursor = self.trees.get(&candidate.root).map(|t| (&candidate.root, t.cursor()));
            }
            let Some((_, cursor)) = cursor.as_mut() else { continue };
            match pass.read(candidate, cursor) {
                Ok(entry) => entries.push(entry),
                Err(trouble) => troubles.push((i, trouble)),
            }
            if pass.relies_on_parent() && !troubles.is_empty() {
                break;
            }
        }
        (entries, troubles)
    }

    /// A group that holds just what a member of the parent's archive holds: its files are read and linked, and the
    /// member's bytes are taken as they are. `None` where anything differs: then the group is read as if there
    /// were no parent's archive.
    fn reuse(&self, index: usize, range: &Range<usize>) -> Option<Group> {
        let (_, parent) = (self.target.staging?, self.target.parent?);
        let found = ParentMember::find(self.target.store, parent, &self.set.entries[range.clone()])?;
        let mut pass = Pass::new(&self.target, None, 1);
        let (entries, troubles) = self.pass(&mut pass, range.clone(), &order::Map::new());
        let read = entries.iter().map(|(entry, how)| (entry, *how == How::Copied));
        let same = troubles.is_empty() && found.holds(read);
        let member = if same { found.into_bytes() } else { None };
        let Some(member) = member else {
            // It will be read again, and counted again.
            let size = entries.iter().map(|(entry, _)| entry.size()).sum::<u64>();
            self.target.meter.back(size);
            return None;
        };
        Some(Group { index, entries, member: MemberBytes::Parent(member), faults: Vec::new(), failed: None })
    }

    fn lost_group(&self, index: usize, e: Error) -> Group {
        let member = MemberBytes::Spool(Spool::new(self.target.store.fs(), Path::new("").into()));
        Group { index, entries: Vec::new(), member, faults: Vec::new(), failed: Some(e) }
    }
}

/// Hands groups on in their order, and lets the readers run on only so far ahead.
fn in_order(
    receiver: &mpsc::Receiver<Group>,
    turn: &Turn,
    take: &mut impl FnMut(Group) -> Result<()>,
) -> Result<()> {
    let mut waiting = order::Map::new();
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
