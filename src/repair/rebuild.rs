//! A session made of its archive.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;

use crate::archive::{Fault, Reader};
use crate::digest::{Hasher, digest_of};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::{Context, Event, Meter, plural};
use crate::fsx::FileWriter;
use crate::manifest::{Entry, Kind, Manifest, Mode};
use crate::order;
use crate::store::{Staging, Store, StoreLock};

/// Makes the session of `manifest` anew from its archive and puts it in its place, where nothing may stand: all of
/// it or nothing. `json` is the manifest's text. Gives how many files were read back and found right.
///
/// # Errors
/// Kind `Damaged` where the archive does not give every entry; nothing is left then.
pub(crate) fn session(
    lock: &StoreLock<'_>,
    manifest: &Manifest,
    json: &[u8],
    context: &Context<'_>,
) -> Result<u64> {
    let store = lock.store();
    let staging = Staging::new(store, &manifest.id);
    let made = stage(store, &staging, manifest, json, context).and_then(|verified| {
        staging.place(context)?;
        Ok(verified)
    });
    if made.is_err() {
        // The error that counts is the first; the next writer sweeps what is left now.
        let _ = store.fs().remove_tree(&staging.path());
    }
    made
}

fn stage(
    store: &Store,
    staging: &Staging<'_>,
    manifest: &Manifest,
    json: &[u8],
    context: &Context<'_>,
) -> Result<u64> {
    let roots = manifest.roots.iter().map(|r| &r.name);
    let directories = manifest.entries.iter().filter(|e| e.kind == Kind::Directory);
    staging.directories(roots, directories.map(Entry::stored_path))?;
    let archive = store.layout().archive(&manifest.label, &manifest.id);
    let reader = Reader::open(&archive, manifest).during("open", &archive)?;
    let twins = Twins::of(store, manifest);
    let linked = Mutex::new(order::Set::new());
    let what = plural(manifest.totals.files, "file", "files");
    context.observer.on(&Event::Phase { verb: "Unpacking", what, total: manifest.totals.bytes });
    let meter = Meter::new(context.observer);
    let members = manifest.archive.as_ref().map_or(&[][..], |info| &info.members);
    let covered: usize = members.iter().map(|m| m.entries).sum();
    let Some(reader) = reader.filter(|_| covered == manifest.entries.len()) else {
        return Err(Error::new(ErrorKind::Damaged, "the manifest does not say where the archive has what"));
    };
    let visit = |index: usize, content: Option<&mut dyn Read>| {
        let entry = &manifest.entries[index];
        let path = staging.path().join(entry.stored_path());
        if let Some(content) = content {
            let content = &mut meter.over(content);
            if twins.link(index, entry, &path) {
                hold_against(entry, content)?;
                if let Ok(mut linked) = linked.lock() {
                    linked.insert(index);
                }
            } else {
                write(store, entry, content, &path)?;
            }
        } else if let Kind::Symlink { target } = &entry.kind {
            let fs = store.fs();
            fs.symlink(target.as_os_str(), &path).during("create link", &path)?;
            fs.set_mtime(&path, entry.mtime).during("change the time of", &path)?;
        }
        Ok(())
    };
    reader.all(context, &visit, &|member, fault| {
        Err(match fault {
            Fault::Visit(e) => e,
            Fault::Member(text) => {
                let text = format!("the archive's part at byte {} {text}", member.offset);
                Error::new(ErrorKind::Damaged, text)
            }
            Fault::Entry(index, text) => {
                Error::new(ErrorKind::Damaged, format!("{}: {text}", manifest.entries[index].shown()))
            }
        })
    })?;
    staging.manifest(json)?;
    let linked = linked.into_inner().unwrap_or_default();
    let verified = staging.read_back(manifest, &linked, context)?;
    staging.seal(manifest)?;
    Ok(verified)
}

/// Writes one file as the archive has it.
pub(crate) fn write(store: &Store, entry: &Entry, content: &mut dyn Read, path: &Path) -> Result<()> {
    let mut file = store.fs().create_file(path).during("create", path)?;
    copy(entry, content, path, &mut file)?;
    file.finish(&entry.mode().stored().into(), entry.mtime).during("change mode and time of", path)
}

fn copy(entry: &Entry, content: &mut dyn Read, path: &Path, file: &mut FileWriter) -> Result<()> {
    let (mut hasher, mut buffer, mut size) = (Hasher::new(), vec![0; 128 * 1024], 0_u64);
    loop {
        // What cannot be read of an archive is damage; what cannot be written is not.
        let n = content.read(&mut buffer).map_err(|e| damaged(entry).with_source(e))?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        file.write_all(&buffer[..n]).during("write", path)?;
        size += n as u64;
    }
    if Some(hasher.finish()) == entry.sha256() && size == entry.size() { Ok(()) } else { Err(damaged(entry)) }
}

fn hold_against(entry: &Entry, content: &mut dyn Read) -> Result<()> {
    let found = digest_of(content, entry.size()).map_err(|e| damaged(entry).with_source(e))?;
    if found == entry.sha256() { Ok(()) } else { Err(damaged(entry)) }
}

fn damaged(entry: &Entry) -> Error {
    Error::new(ErrorKind::Damaged, format!("{} is damaged in the archive", entry.shown()))
}

/// The parent's session, whose files unchanged ones are links to.
struct Twins<'a> {
    store: &'a Store,
    parent: Option<Manifest>,
}

impl<'a> Twins<'a> {
    fn of(store: &'a Store, manifest: &Manifest) -> Self {
        let parent = || {
            let wanted = manifest.parent.as_ref()?;
            let catalogue = store.catalogue().ok()?;
            let listed = catalogue.all().iter().find(|l| l.id == *wanted && l.session)?;
            store.manifest(listed).ok()
        };
        Twins { store, parent: parent() }
    }

    /// Links the parent's file, where that is the same in every way and whole.
    fn link(&self, _index: usize, entry: &Entry, path: &Path) -> bool {
        let Some(parent) = &self.parent else { return false };
        let Some(twin) = parent.find(&entry.root, &entry.path) else { return false };
        if twin.kind != entry.kind
            || twin.mtime != entry.mtime
            || twin.mode().stored() != entry.mode().stored()
        {
            return false;
        }
        let original = self.store.layout().session(&parent.id).join(twin.stored_path());
        is_whole(&original, entry) && self.store.fs().hard_link(&original, path).is_ok()
    }
}

/// Whether the file at `path` is what a session keeps of `entry`: content, mode and time.
pub(crate) fn is_whole(path: &Path, entry: &Entry) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| {
        meta.is_file()
            && meta.len() == entry.size()
            && Mode::new(meta.mode()) == entry.mode().stored()
            && (meta.mtime(), meta.mtime_nsec()) == (entry.mtime.seconds, i64::from(entry.mtime.nanos))
    }) && File::open(path)
        .and_then(|mut f| digest_of(&mut f, entry.size()))
        .is_ok_and(|digest| digest == entry.sha256())
}
