//! Rebuilding what was lost from archives alone: each holds a restore point whole, its manifest included. Also into
//! an empty store, on another machine.
//!
//! **An archive is believed where its bytes bear it out**: every entry is found in its place, with the content that
//! the manifest in it says, or nothing is rebuilt. So is a session of which a sweep left nothing else. A restore point is put together beside its place and renamed; its
//! manifest's second copy is written last, and with it the restore point is listed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Hand, Mended, mend_point, mend_store};
use crate::archive::{salvageable, survey};
use crate::digest::Hasher;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event};
use crate::manifest::{Id, Manifest, Mode};
use crate::path::show_path;
use crate::store::{Listed, Log, StoreLock, room};

/// What became of one restore point.
#[derive(Debug, Clone, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Recovered {
    /// Its backup id.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    pub backup_id: String,
    /// Its id.
    pub id: Id,
    /// Files that it holds; 0 where it could not be recovered.
    pub files: u64,
    /// Whether it is whole now.
    #[serde(rename = "recovered")]
    pub whole: bool,
    /// What was done, and what could not be.
    #[serde(rename = "repair")]
    pub mended: Mended,
}

/// What a recovery did.
#[derive(Debug, Clone)]
pub struct RecoverReport {
    /// The restore points of which something was lost, oldest first.
    pub points: Vec<Recovered>,
    /// How many were whole already, and were left alone.
    pub whole: u64,
    /// The log.
    pub log: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

impl RecoverReport {
    /// How many were recovered.
    pub fn recovered(&self) -> u64 {
        self.points.iter().filter(|p| p.whole).count() as u64
    }
}

/// Rebuilds every restore point of the store whose session or manifest is lost and whose archive is there; or with
/// `archive` the one that it holds, which is copied into the store where it lies elsewhere.
///
/// # Errors
/// `CutOff` where a rollback was interrupted; `Damaged` where the archive that was named cannot give all back; `Usage`
/// where the store has another restore point with that id; `Interrupted`; `Io`.
pub fn recover(lock: &StoreLock<'_>, archive: Option<&Path>, context: &Context<'_>) -> Result<RecoverReport> {
    let store = lock.store();
    store.refuse_cut_off()?;
    // The directories themselves may be gone.
    mend_store(lock, context)?;
    lock.mend(context.observer)?;
    let started = context.clock.now();
    let log = Log::open(store, "repair", &Id::at(started), context.clock, context.observer);
    let inner = context.with(&*log);
    let result = run(lock, archive, &inner).map(|(points, whole)| RecoverReport {
        points,
        whole,
        log: log.path().clone(),
        elapsed: context.clock.now().duration_since(started).unwrap_or_default(),
    });
    log.end(&result, |r| format!("{} recovered, {} were whole", r.recovered(), r.whole));
    result
}

fn run(lock: &StoreLock<'_>, archive: Option<&Path>, context: &Context<'_>) -> Result<(Vec<Recovered>, u64)> {
    let listed = match archive {
        Some(path) => match take_in(lock, path, context)? {
            Some(listed) => vec![listed],
            None => return Ok((Vec::new(), 1)),
        },
        None => lock.store().catalogue()?.all().to_vec(),
    };
    let (mut points, mut whole) = (Vec::new(), 0);
    for listed in &listed {
        context.interrupt.check()?;
        if is_whole(lock, listed) {
            // A recovery that was interrupted may have been at its last step.
            let mut hand = Hand::new(lock, context);
            let linked = hand.newest_link(listed);
            hand.end()?;
            linked?;
            whole += 1;
        } else if listed.archive || (listed.session && !listed.metadata) {
            points.push(one(lock, listed, context)?);
        }
    }
    lock.update_guard()?;
    Ok((points, whole))
}

/// Nothing of it is lost. Whether its files are right, a validation says.
fn is_whole(lock: &StoreLock<'_>, listed: &Listed) -> bool {
    listed.session && listed.metadata && listed.archive && lock.store().manifest(listed).is_ok()
}

fn one(lock: &StoreLock<'_>, listed: &Listed, context: &Context<'_>) -> Result<Recovered> {
    let mended = mend_point(lock, listed, context)?;
    let catalogue = lock.store().catalogue()?;
    let now = catalogue.all().iter().find(|l| l.id == listed.id).filter(|l| is_whole(lock, l));
    let manifest = now.and_then(|l| lock.store().manifest(l).ok()).filter(|_| mended.failures.is_empty());
    if manifest.is_some() {
        context.observer.on(&Event::RestorePoint { id: listed.id.clone() });
    }
    Ok(Recovered {
        backup_id: listed.backup_id(),
        id: listed.id.clone(),
        files: manifest.as_ref().map_or(0, |m| m.totals.files),
        whole: manifest.is_some(),
        mended,
    })
}

/// Brings an archive into the store, where it is not there already. `None` where the restore point is whole there.
fn take_in(lock: &StoreLock<'_>, path: &Path, context: &Context<'_>) -> Result<Option<Listed>> {
    let store = lock.store();
    context.observer.on(&Event::Phase { verb: "Reading", what: show_path(path), total: 0 });
    let manifest = match survey(path, room(store), context.interrupt)? {
        Ok(manifest) => manifest,
        Err(flaw) => {
            let error =
                Error::new(ErrorKind::Damaged, format!("the archive `{}` {}", show_path(path), flaw.text));
            let help = "another copy of the archive may be whole; `tar -xzf` reads what is left of this one";
            return Err(match flaw.manifest {
                Some(manifest) => {
                    let whole = salvageable(path, &manifest, context.interrupt)?;
                    error.with_details([format!("it still holds {whole} of {} files", manifest.totals.files)])
                }
                None => error,
            }
            .with_help(help));
        }
    };
    let listed = Listed { archive: true, ..Listed::named(manifest.label.clone(), manifest.id.clone()) };
    if store.trash().iter().any(|t| t.id == manifest.id && t.label.is_some()) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("{} lies in the trash of the store", manifest.backup_id),
        )
        .with_help(format!("bring it back: prune --restore {}", manifest.id)));
    }
    let catalogue = store.catalogue()?;
    if let Some(known) = catalogue.all().iter().find(|l| l.id == manifest.id) {
        let same = known.label == manifest.label
            && store.manifest(known).map_or(!known.session, |m| m.root_hash == manifest.root_hash);
        if !same {
            return Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "the store has another restore point with the id {}: {}",
                    manifest.id,
                    known.backup_id()
                ),
            )
            .with_help("recover into a store of its own: --store DIR"));
        }
        if is_whole(lock, known) {
            return Ok(None);
        }
    }
    copy_in(lock, path, &manifest)?;
    let catalogue = store.catalogue()?;
    Ok(Some(catalogue.all().iter().find(|l| l.id == manifest.id).cloned().unwrap_or(listed)))
}

/// Copies an archive to its place under a hidden name, holds its digest against what was read, and renames it.
fn copy_in(lock: &StoreLock<'_>, path: &Path, manifest: &Manifest) -> Result<()> {
    let (fs, layout) = (lock.store().fs(), lock.store().layout());
    let to = layout.archive(&manifest.label, &manifest.id);
    if crate::path::canonical(path)? == to {
        return Ok(());
    }
    let new = crate::fsx::temporary_sibling(&to);
    fs.remove_file_if_there(&new).during("remove", &new)?;
    let mut from = File::open(path).during("open", path)?;
    let mut file = fs.create_file(&new).during("create", &new)?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 128 * 1024]);
    loop {
        let n = from.read(&mut buffer).during("read", path)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        file.write_all(&buffer[..n]).during("write", &new)?;
    }
    if Some(hasher.finish()) != manifest.archive.as_ref().map(|a| a.sha256) {
        fs.remove_file(&new).during("remove", &new)?;
        return Err(Error::new(
            ErrorKind::Changed,
            format!("`{}` changed while it was copied", show_path(path)),
        )
        .with_help("stop what writes to it, then recover again"));
    }
    file.set_mode(Mode::new(0o400)).during("change the mode of", &new)?;
    file.sync().during("sync", &new)?;
    fs.rename(&new, &to).during("rename into place", &to)?;
    let dir = layout.dir().join("archives");
    fs.sync(&dir).during("sync", &dir)
}
