//! Restoring to another directory: everything as it was, modification times included, and nothing else touched.
//!
//! **Invariant.** No link of the copy leads into the workspace itself: what it led to there it leads to in the copy.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::options::RollbackOptions;
use crate::archive::Reader;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event, Meter, plural};
use crate::fsx::Fs;
use crate::live_tree::PathFilter;
use crate::manifest::{Entry, Id, Kind, RootName, RootedPath};
use crate::order;
use crate::path::{canonical, clean, relative, resolved, show_path};
use crate::store::{Listed, Log, Store};
use crate::validate::{Source, VerifiedSession, verify_sources};

/// What a restore to another directory did.
#[derive(Debug, Clone)]
pub struct RestoreReport {
    /// The restore point.
    pub backup_id: String,
    /// Where it was restored to.
    pub directory: PathBuf,
    /// Where roots outside the workspace went: the name of each and its directory.
    pub outside: Vec<(RootName, PathBuf)>,
    /// Files that were written and read back.
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// Links that would have led into the workspace itself, and what they point at in the copy.
    pub turned: Vec<(RootedPath, PathBuf)>,
    /// Manifests and configurations of cargo that name the workspace itself by an absolute path, and which.
    pub naming: Vec<(RootedPath, PathBuf)>,
}

/// Restores into `directory`, which must not exist or be empty. Roots outside the workspace go, with
/// `options.outside`, to the same relative place from there, where nothing may stand either.
///
/// # Errors
/// `Usage` where a target is not empty; `Damaged` where a file verifies in no allowed copy; `Io`.
pub fn restore_to(
    store: &Store,
    listed: &Listed,
    directory: &Path,
    options: &RollbackOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    let started = context.clock.now();
    let log = Log::open(store, "rollback", &Id::at(started), context.clock, context.observer);
    log.line(&format!("restore of {} to {}", listed.backup_id(), show_path(directory)));
    let result = extract(store, listed, directory, options, Likeness::Apart, &context.with(&*log));
    log.end(&result, |r| format!("{} files, {} links, {} directories", r.files, r.symlinks, r.directories));
    result
}

/// What a copy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// It is compared with the restore point: links and times are the recorded ones.
    Exact,
    /// It stands for itself: no link leads to the original.
    Apart,
    /// It is built as well: cargo has to look at every file, so all have the present as their time.
    Built,
}

/// [`restore_to`] without a log of its own.
pub(crate) fn extract(
    store: &Store,
    listed: &Listed,
    directory: &Path,
    options: &RollbackOptions,
    likeness: Likeness,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    let there = directory.ancestors().find_map(|dir| crate::path::canonical(dir).ok());
    if there.is_some_and(|dir| dir.starts_with(store.layout().dir())) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("`{}` lies in the store of restore points", show_path(directory)),
        )
        .with_help("give a directory outside it"));
    }
    let manifest = store.manifest(listed)?;
    let selection = PathFilter::new(&options.asked, store.root(), &[&manifest], &[], &[], false)?;
    selection.refuse_outside(|root| options.outside || root.is_workspace())?;
    let asked = |e: &Entry| {
        selection.holds(&e.root, &e.path)
            || (e.kind == Kind::Directory && selection.leads_to(&e.root, &e.path))
    };
    let wanted: Vec<usize> = (0..manifest.entries.len())
        .filter(|i| manifest.entries[*i].root.is_workspace() || options.outside)
        .filter(|i| asked(&manifest.entries[*i]))
        .collect();
    if wanted.is_empty() {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("{} holds nothing of what was asked for", manifest.backup_id),
        )
        .with_help("`show -v` names all that it holds; what lies outside the workspace needs --outside"));
    }
    let verified = verify_sources(store, listed, manifest, &wanted, options.from, context)?;
    let restore = Restore { store, listed, verified: &verified, directory, likeness, context };
    restore.refuse_occupied(options.outside)?;
    restore.run(&wanted).map_err(|e| restore.partial(e, &wanted))
}

struct Restore<'a> {
    store: &'a Store,
    listed: &'a Listed,
    verified: &'a VerifiedSession,
    directory: &'a Path,
    likeness: Likeness,
    context: &'a Context<'a>,
}

impl Restore<'_> {
    fn fs(&self) -> &Fs {
        self.store.fs()
    }

    fn root_directory(&self, root: &RootName) -> Result<PathBuf> {
        let root = self.verified.manifest().roots.iter().find(|r| r.name == *root);
        match root {
            Some(root) if !root.name.is_workspace() => {
                Ok(crate::path::clean(&self.directory.join(crate::store::unescape_root(&root.path)?)))
            }
            _ => Ok(self.directory.to_path_buf()),
        }
    }

    fn refuse_occupied(&self, outside: bool) -> Result<()> {
        for root in self.verified.manifest().roots.iter().filter(|r| r.name.is_workspace() || outside) {
            let directory = self.root_directory(&root.name)?;
            let occupied = match std::fs::read_dir(&directory) {
                Ok(mut entries) => entries.next().is_some(),
                Err(e) if e.kind() == io::ErrorKind::NotFound && !directory.is_symlink() => false,
                Err(e) if [io::ErrorKind::NotADirectory, io::ErrorKind::NotFound].contains(&e.kind()) => {
                    return Err(Error::new(
                        ErrorKind::Usage,
                        format!("`{}` is no directory", show_path(&directory)),
                    )
                    .with_help("give a directory that is empty or not there yet"));
                }
                Err(e) => return Err(Error::io("read directory", &directory, e)),
            };
            if occupied {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("`{}` is not empty", show_path(&directory)),
                )
                .with_help("give a new directory; a rollback in place needs no --to"));
            }
        }
        Ok(())
    }

    /// The roots outside the workspace that something is written to, and where they go.
    fn outside(&self, wanted: &[usize]) -> Result<Vec<(RootName, PathBuf)>> {
        let entries = &self.verified.manifest().entries;
        let names: order::Set<&RootName> =
            order::gather(wanted.iter().map(|i| &entries[*i].root).filter(|root| !root.is_workspace()));
        names.into_iter().map(|name| Ok((name.clone(), self.root_directory(name)?))).collect()
    }

    /// An error on the way: what is there by then is worth nothing.
    fn partial(&self, e: Error, wanted: &[usize]) -> Error {
        let outside = self.outside(wanted).unwrap_or_default().into_iter().map(|(_, dir)| dir);
        let there: Vec<String> = std::iter::once(self.directory.to_path_buf())
            .chain(outside)
            .filter(|dir| dir.exists())
            .map(|dir| format!("`{}`", show_path(&dir)))
            .collect();
        if there.is_empty() {
            return e;
        }
        let holds = if there.len() == 1 { "holds" } else { "hold" };
        let help = format!("{} {holds} a partial copy, which can be deleted", there.join(" and "));
        let help = e.help().map_or(help.clone(), |first| format!("{first}; {help}"));
        e.with_help(help)
    }

    fn run(&self, wanted: &[usize]) -> Result<RestoreReport> {
        let manifest = self.verified.manifest();
        let mut report = RestoreReport {
            backup_id: manifest.backup_id.clone(),
            directory: self.directory.to_path_buf(),
            outside: self.outside(wanted)?,
            files: 0,
            symlinks: 0,
            directories: 0,
            bytes: 0,
            turned: Vec::new(),
            naming: Vec::new(),
        };
        let total = wanted.iter().map(|i| manifest.entries[*i].size()).sum();
        self.context.observer.on(&Event::Phase {
            verb: "Restoring",
            what: plural(wanted.len() as u64, "entry", "entries"),
            total,
        });
        let meter = Meter::new(self.context.observer);
        self.fs().create_dir_all(self.directory, 0o755).during("create directory", self.directory)?;
        let mut archived = Vec::new();
        for &index in wanted {
            self.context.interrupt.check()?;
            let entry = &manifest.entries[index];
            let path = self.root_directory(&entry.root)?.join(&entry.path);
            if let Some(parent) = path.parent() {
                self.fs().create_dir_all(parent, 0o755).during("create directory", parent)?;
            }
            match &entry.kind {
                Kind::Directory => {
                    self.fs().create_dir_all(&path, 0o755).during("create directory", &path)?;
                    report.directories += 1;
                }
                Kind::Symlink { target } => {
                    let turned = self.turned(&path, Path::new(target.as_os_str()))?;
                    let target = turned.as_deref().unwrap_or(Path::new(target.as_os_str()));
                    self.fs().symlink(target, &path).during("create", &path)?;
                    report.turned.extend(turned.map(|target| (entry.place(), target)));
                    if self.likeness != Likeness::Built {
                        self.fs().set_mtime(&path, entry.mtime).during("touch", &path)?;
                    }
                    report.symlinks += 1;
                }
                Kind::File { .. } => {
                    report.files += 1;
                    report.bytes += entry.size();
                    if self.verified.source(index) == Some(Source::Archive) {
                        archived.push(index);
                    } else {
                        let from = self.store.layout().session(&self.listed.id).join(entry.stored_path());
                        let file = File::open(&from).during("open", &from)?;
                        self.write(entry, &path, &mut meter.over(file))?;
                    }
                }
            }
        }
        self.write_archived(&archived, &meter)?;
        if self.likeness != Likeness::Exact {
            report.naming = self.naming(wanted)?;
        }
        self.set_directory_modes(wanted)?;
        self.fs().barrier(self.directory).during("sync", self.directory)?;
        Ok(report)
    }

    /// The roots of the workspace itself without links, and where each goes.
    fn originals(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let roots = &self.verified.manifest().roots;
        let pair = |root| Ok((resolved(&self.store.root_directory(root)?), self.root_directory(&root.name)?));
        roots.iter().map(pair).collect()
    }

    /// What a link at `path` of the copy has to point at so that it does not lead to the original: where that would
    /// stand in the copy. `None` where it does not lead there.
    fn turned(&self, path: &Path, target: &Path) -> Result<Option<PathBuf>> {
        let (Some(parent), true) = (path.parent(), self.likeness != Likeness::Exact) else { return Ok(None) };
        let parent = resolved(parent);
        // What the link names may be a link itself, which was or is turned by itself.
        let named = parent.join(target);
        let reached = match (named.parent().map(canonical), named.file_name()) {
            (Some(Ok(above)), Some(name)) => above.join(name),
            _ => resolved(&clean(&named)),
        };
        let pairs = self.originals()?;
        if pairs.iter().any(|(_, copy)| reached.starts_with(resolved(copy))) {
            return Ok(None);
        }
        // One root may hold another one.
        let holds = pairs.iter().filter(|(original, _)| reached.starts_with(original));
        let innermost = holds.max_by_key(|(original, _)| original.as_os_str().len());
        Ok(innermost.and_then(|(original, copy)| {
            let rest = reached.strip_prefix(original).ok()?;
            Some(relative(&parent, &clean(&resolved(copy).join(rest))))
        }))
    }

    /// The manifests and configurations in the copy that name the original by an absolute path.
    fn naming(&self, wanted: &[usize]) -> Result<Vec<(RootedPath, PathBuf)>> {
        let originals = self.originals()?;
        let mut out = Vec::new();
        for entry in wanted.iter().map(|i| &self.verified.manifest().entries[*i]) {
            let steers = entry.path.file_name() == "Cargo.toml"
                || entry.path.parent().is_some_and(|dir| dir.file_name() == ".cargo");
            if !steers || !entry.is_file() {
                continue;
            }
            let path = self.root_directory(&entry.root)?.join(&entry.path);
            let text = std::fs::read(&path).unwrap_or_default();
            let named = originals.iter().find(|(original, _)| names(&text, original.as_os_str().as_bytes()));
            out.extend(named.map(|(original, _)| (entry.place(), original.clone())));
        }
        Ok(out)
    }

    fn write(&self, entry: &Entry, path: &Path, content: &mut dyn Read) -> Result<()> {
        let mut file = self.fs().create_file(path).during("create", path)?;
        let digest = crate::digest::copy(content, &mut file).during("write", path)?;
        if Some(digest) != entry.sha256() {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("{} was damaged while it was copied", entry.shown()),
            ));
        }
        // While it may still be read, whatever its mode.
        let written = File::open(path).and_then(|mut f| crate::digest::digest_of(&mut f, entry.size()));
        if written.during("read back", path)? != entry.sha256() {
            return Err(Error::new(
                ErrorKind::Io,
                format!("`{}` does not hold what was written to it", show_path(path)),
            ));
        }
        match self.likeness {
            Likeness::Built => file.set_attributes(&entry.attributes).during("finish", path),
            Likeness::Exact | Likeness::Apart => {
                file.finish(&entry.attributes, entry.mtime).during("finish", path)
            }
        }
    }

    fn write_archived(&self, wanted: &[usize], meter: &Meter<'_>) -> Result<()> {
        let manifest = self.verified.manifest();
        if wanted.is_empty() {
            return Ok(());
        }
        let path = self.store.layout().archive(&self.listed.label, &self.listed.id);
        let Some(reader) = Reader::open(&path, manifest).during("open", &path)? else { return Ok(()) };
        let wanted: order::Set<usize> = order::gather(wanted.iter().copied());
        let mut left = wanted.clone();
        reader.take_in_order(&wanted, self.context, &mut |index, content| {
            // A manifest may name one twice.
            if !left.remove(&index) {
                return Ok(());
            }
            let entry = &manifest.entries[index];
            self.write(entry, &self.root_directory(&entry.root)?.join(&entry.path), &mut meter.over(content))
        })?;
        match left.iter().next() {
            None => Ok(()),
            Some(index) => Err(Error::new(
                ErrorKind::Damaged,
                format!("{} could not be read from the archive", manifest.entries[*index].shown()),
            )),
        }
    }

    /// Last, and the deepest first: a read-only directory takes no more files, and each new file changes the time.
    fn set_directory_modes(&self, wanted: &[usize]) -> Result<()> {
        for entry in wanted.iter().rev().map(|i| &self.verified.manifest().entries[*i]) {
            if entry.kind == Kind::Directory {
                let path = self.root_directory(&entry.root)?.join(&entry.path);
                self.fs().set_mode(&path, entry.mode()).during("change the mode of", &path)?;
                if self.likeness != Likeness::Built {
                    self.fs().set_mtime(&path, entry.mtime).during("touch", &path)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a text names the directory, or what is in it: its path behind a quote.
fn names(text: &[u8], directory: &[u8]) -> bool {
    let length = directory.len() + 2;
    text.windows(length).any(|w| {
        matches!(w[0], b'"' | b'\'')
            && w[1..length - 1] == *directory
            && matches!(w[length - 1], b'"' | b'\'' | b'/')
    })
}
