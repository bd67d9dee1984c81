//! Restoring to another directory: everything as it was, modification times included, and nothing else touched.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::plan::RollbackOptions;
use crate::archive::Reader;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event, plural};
use crate::fsx::Fs;
use crate::live_tree::PathFilter;
use crate::manifest::{Entry, Id, Kind, RootName};
use crate::order;
use crate::path::show_path;
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
    let result = extract(store, listed, directory, options, Times::Kept, &context.with(&*log));
    log.end(&result, |r| format!("{} files, {} links, {} directories", r.files, r.symlinks, r.directories));
    result
}

/// Which modification times restored files get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Those that were recorded.
    Kept,
    /// The present's: cargo has to look at every one of them.
    Present,
}

/// [`restore_to`] without a log of its own.
pub(crate) fn extract(
    store: &Store,
    listed: &Listed,
    directory: &Path,
    options: &RollbackOptions,
    times: Times,
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
    let selection = PathFilter::new(&options.asked, store.root(), &[&manifest], &[], false)?;
    if !options.outside {
        selection.refuse_outside()?;
    }
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
    let restore = Restore { store, listed, verified: &verified, directory, times, context };
    restore.refuse_occupied(options.outside)?;
    restore.run(&wanted).map_err(|e| restore.partial(e, &wanted))
}

struct Restore<'a> {
    store: &'a Store,
    listed: &'a Listed,
    verified: &'a VerifiedSession,
    directory: &'a Path,
    times: Times,
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
        };
        let total = wanted.iter().map(|i| manifest.entries[*i].size()).sum();
        self.context.observer.on(&Event::Phase {
            verb: "Restoring",
            what: plural(wanted.len() as u64, "entry", "entries"),
            total,
        });
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
                    self.fs().symlink(target.as_os_str(), &path).during("create", &path)?;
                    if self.times == Times::Kept {
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
                        let mut file = File::open(&from).during("open", &from)?;
                        self.write(entry, &path, &mut file)?;
                    }
                }
            }
        }
        self.write_archived(&archived)?;
        self.set_directory_modes(wanted)?;
        self.fs().barrier(self.directory).during("sync", self.directory)?;
        Ok(report)
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
        match self.times {
            Times::Kept => file.finish(&entry.attributes, entry.mtime).during("finish", path),
            Times::Present => file.set_attributes(&entry.attributes).during("finish", path),
        }
    }

    fn write_archived(&self, wanted: &[usize]) -> Result<()> {
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
            self.write(entry, &self.root_directory(&entry.root)?.join(&entry.path), content)
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
                if self.times == Times::Kept {
                    self.fs().set_mtime(&path, entry.mtime).during("touch", &path)?;
                }
            }
        }
        Ok(())
    }
}
