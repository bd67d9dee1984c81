//! The proof that a rollback needs: every byte that it will write was read and found right.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use crate::archive::Reader;
use crate::digest::digest_of;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Context, Event, Meter, plural};
use crate::manifest::{Entry, Kind, Manifest};
use crate::order;
use crate::path::RelPath;
use crate::store::{Listed, Store, frame};

/// Which copy of a restore point a rollback takes files from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    /// Each file from whichever copy verifies, the session first.
    #[default]
    Auto,
    /// The session directory alone.
    Session,
    /// The archive alone.
    Archive,
}

/// Where one file's content was found right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the session directory.
    Session,
    /// In the archive.
    Archive,
}

/// A restore point whose files, as far as they are needed, were read and found right.
#[derive(Debug)]
pub struct VerifiedSession {
    manifest: Manifest,
    sources: order::Map<usize, Source>,
}

impl VerifiedSession {
    /// What it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the content of the entry with that index was found right. `None` where it was not asked for, or is
    /// no file.
    pub fn source(&self, index: usize) -> Option<Source> {
        self.sources.get(&index).copied()
    }
}

/// Verifies the files with the given indices in the manifest's entries.
///
/// # Errors
/// Kind `Damaged`, with every file that no allowed copy holds right.
pub(crate) fn verify_sources(
    store: &Store,
    listed: &Listed,
    manifest: Manifest,
    wanted: &[usize],
    from: From,
    context: &Context<'_>,
) -> Result<VerifiedSession> {
    let files: Vec<usize> =
        wanted.iter().copied().filter(|i| matches!(manifest.entries[*i].kind, Kind::File { .. })).collect();
    context.observer.on(&Event::Phase {
        verb: "Verifying",
        what: format!("{} of {}", plural(files.len() as u64, "file", "files"), manifest.backup_id),
        total: files.iter().map(|i| manifest.entries[*i].size()).sum(),
    });
    let meter = Meter::new(context.observer);
    let mut sources = order::Map::new();
    if from != From::Archive {
        let session = store.layout().session(&listed.id);
        let led_away = led_away(&session, &manifest);
        let good = crate::parallel::map(files.len(), |i| {
            context.interrupt.check()?;
            let entry = &manifest.entries[files[i]];
            let path = session.join(entry.stored_path());
            let plain = std::fs::symlink_metadata(&path)
                .is_ok_and(|m| m.is_file() && m.len() == entry.size())
                && (led_away.is_empty() || !entry.stored_path().ancestors().any(|d| led_away.contains(&d)));
            let digest = if plain {
                File::open(&path).and_then(|f| digest_of(&mut meter.over(f), entry.size())).ok().flatten()
            } else {
                None
            };
            Ok(digest.is_some() && digest == entry.sha256())
        })?;
        sources.extend(files.iter().zip(good).filter(|(_, good)| *good).map(|(i, _)| (*i, Source::Session)));
    }
    let missing: Vec<usize> = files.iter().copied().filter(|i| !sources.contains_key(i)).collect();
    if from != From::Session && !missing.is_empty() {
        let found = verify_in_archive(store, &manifest, &missing, (context, &meter))?;
        if from == From::Auto && !found.is_empty() {
            let files = plural(found.len() as u64, "file is", "files are");
            context.note(format!("{files} damaged in the session and taken from the archive"));
        }
        sources.extend(found.into_iter().map(|i| (i, Source::Archive)));
    }
    let lost: Vec<String> =
        files.iter().filter(|i| !sources.contains_key(i)).map(|i| manifest.entries[*i].shown()).collect();
    if !lost.is_empty() {
        let wher = match from {
            From::Auto => "in both copies",
            From::Session => "in the session",
            From::Archive => "in the archive",
        };
        let error = Error::new(
            ErrorKind::Damaged,
            format!(
                "{} damaged {wher} of {}; nothing was changed",
                plural(lost.len() as u64, "file is", "files are"),
                manifest.backup_id
            ),
        );
        let help = if from == From::Auto {
            "`validate --repair` may repair it; or roll back to another (`list`), or take what is whole: --only PATH"
        } else {
            "leave out --from: each file is then taken from whichever copy is whole"
        };
        return Err(error.with_details(lost).with_help(help));
    }
    Ok(VerifiedSession { manifest, sources })
}

/// The directories of a session that are none: what lies behind a link in place of one is not the session's.
fn led_away(session: &Path, manifest: &Manifest) -> order::Set<RelPath> {
    let frame = frame(manifest.roots.iter().map(|root| &root.name));
    let above = frame.iter().filter_map(|dir| RelPath::new(dir).ok());
    let entries = manifest.entries.iter().filter(|e| e.kind == Kind::Directory).map(Entry::stored_path);
    let is_directory = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    order::gather(above.chain(entries).filter(|dir| !is_directory(&session.join(dir))))
}

/// Which of the wanted files the archive holds right.
fn verify_in_archive(
    store: &Store,
    manifest: &Manifest,
    wanted: &[usize],
    (context, meter): (&Context<'_>, &Meter<'_>),
) -> Result<Vec<usize>> {
    let path = store.layout().archive(&manifest.label, &manifest.id);
    let Ok(Some(reader)) = Reader::open(&path, manifest) else { return Ok(Vec::new()) };
    let good = Mutex::new(Vec::new());
    reader.take(&order::gather(wanted.iter().copied()), context, &|index, content| {
        let entry = &manifest.entries[index];
        // What cannot be read is not right.
        if digest_of(&mut meter.over(content), entry.size())
            .is_ok_and(|found| found.is_some() && found == entry.sha256())
            && let Ok(mut good) = good.lock()
        {
            good.push(index);
        }
        Ok(())
    })?;
    let mut good = good.into_inner().unwrap_or_default();
    good.retain(|i| wanted.binary_search(i).is_ok());
    order::sort(&mut good);
    Ok(good)
}
