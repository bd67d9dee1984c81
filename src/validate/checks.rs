//! How each validation looks.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::InodeCache;
use crate::archive::{Fault, Reader};
use crate::check::{Check, Finding};
use crate::digest::{Digest, digest_of};
use crate::error::{Error, Result};
use crate::event::{Context, Event, Meter};
use crate::manifest::{Entry, Id, Kind, Label, MANIFEST_FILE, Manifest, Mode};
use crate::order;
use crate::path::{RelPath, show_path};
use crate::store::{DIRECTORIES, Layout, Listed, Store, checksum_list, parse_checksum_list, read_manifest};

/// What is looked at.
pub(crate) struct Subject<'a> {
    pub(crate) store: &'a Store,
    pub(crate) listed: &'a Listed,
    pub(crate) manifest: Option<&'a Manifest>,
    pub(crate) cache: &'a InodeCache,
    pub(crate) context: &'a Context<'a>,
}

/// What belongs to a restore point: the path, whether it is a directory, and the widest mode that it may have.
pub(crate) fn point_places(layout: &Layout, label: &Label, id: &Id) -> Vec<(PathBuf, bool, u32)> {
    vec![
        (layout.session(id), true, 0o500),
        (layout.session(id).join("files"), true, 0o500),
        (layout.session_manifest(id), false, 0o400),
        (layout.metadata(label, id), false, 0o400),
        (layout.checksums(label, id), false, 0o400),
        (layout.archive(label, id), false, 0o400),
    ]
}

pub(super) const UNKNOWN: &str = "cannot be judged: no copy of the manifest is sound";

impl Subject<'_> {
    pub(super) fn shown(&self, path: &Path) -> String {
        show_path(path.strip_prefix(self.store.layout().dir()).unwrap_or(path))
    }

    pub(super) fn structure(&self, check: &mut Check) -> Result<()> {
        let layout = self.store.layout();
        let (label, id) = (&self.listed.label, &self.listed.id);
        let mut wanted: Vec<(PathBuf, bool, u32)> = vec![
            (layout.dir().into(), true, 0o700),
            (layout.store_file(), false, 0o600),
            (layout.state(), false, 0o600),
            (layout.dir().join(".gitignore"), false, 0o600),
        ];
        wanted.extend(DIRECTORIES.iter().map(|d| (layout.dir().join(d), true, 0o700)));
        wanted.extend(point_places(layout, label, id));
        if self.manifest.is_none_or(|manifest| self.store.needs_list(manifest)) {
            wanted.push((layout.list(label, id), false, 0o400));
        }
        for (path, directory, most) in wanted {
            check.checked += 1;
            let shown = self.shown(&path);
            match std::fs::symlink_metadata(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => check.find(shown, "is missing"),
                Err(e) => check.find(shown, format!("cannot be looked at: {e}")),
                Ok(meta) if meta.is_dir() != directory || meta.is_symlink() => {
                    check.find(shown, if directory { "is no directory" } else { "is no file" });
                }
                Ok(meta) => {
                    let mode = Mode::new(meta.mode());
                    // Tighter than promised is fine, wider is not.
                    if mode.bits() & !most != 0 {
                        check.find(shown, format!("has mode {mode}, wider than {}", Mode::new(most)));
                    }
                }
            }
        }
        if let Err((_, e)) = crate::store::read_strict(layout) {
            check.find(self.shown(&layout.store_file()), format!("{e}; the next `backup` writes it anew"));
        }
        let newest_ignores = crate::fsx::read_plain(layout.dir().join(".gitignore"));
        if newest_ignores.is_ok_and(|bytes| !bytes.split(|b| *b == b'\n').any(|l| l == b"*")) {
            check.find(".gitignore", "does not keep the store out of git: it needs a line `*`");
        }
        Ok(())
    }

    pub(super) fn manifest(&self, check: &mut Check) -> Result<()> {
        let layout = self.store.layout();
        let (label, id) = (&self.listed.label, &self.listed.id);
        let copies = [layout.session_manifest(id), layout.metadata(label, id)];
        let read: Vec<_> = copies.iter().map(|path| read_manifest(path, self.listed)).collect();
        for (path, copy) in copies.iter().zip(&read) {
            match copy {
                Ok((manifest, _)) => check.checked = check.checked.max(manifest.entries.len() as u64),
                Err(fault) => check.find(self.shown(path), fault.clone()),
            }
        }
        if let [Ok((a, a_digest)), Ok((b, b_digest))] = read.as_slice()
            && (a != b || a_digest != b_digest)
        {
            let right = self.manifest_line();
            let (wrong, text) = match right {
                Some(d) if d == *a_digest => (
                    &copies[1],
                    "differs from the session's copy, which is the one that the checksum list names",
                ),
                Some(d) if d == *b_digest => (
                    &copies[0],
                    "differs from the copy in metadata/, which is the one that the checksum list names",
                ),
                _ => (&copies[0], "differs from the copy in metadata/"),
            };
            check.find(self.shown(wrong), text);
        }
        if let Some(manifest) = self.manifest {
            self.archived_manifest(manifest, check);
        }
        Ok(())
    }

    /// The copy that the archive holds says the same, but for the archive itself.
    fn archived_manifest(&self, manifest: &Manifest, check: &mut Check) {
        let path = self.store.layout().archive(&manifest.label, &manifest.id);
        let Ok(Some(reader)) = Reader::open(&path, manifest) else { return };
        if manifest.archive.as_ref().is_none_or(|info| info.members.is_empty()) {
            return;
        }
        let expected = Manifest { archive: None, ..manifest.clone() }.to_json();
        match reader.manifest(expected.len() as u64 + 8192) {
            Ok(bytes) if bytes == expected => {}
            Ok(_) => check.find(self.shown(&path), "holds another manifest"),
            // The damage itself is ARCHIVE_INTEGRITY's.
            Err(fault) => check.notes.push(format!("the manifest in the archive {fault}")),
        }
    }

    fn manifest_line(&self) -> Option<Digest> {
        let path = self.store.layout().checksums(&self.listed.label, &self.listed.id);
        let list = parse_checksum_list(&crate::fsx::read_plain(path).ok()?).ok()?;
        list.get(MANIFEST_FILE.as_bytes()).copied()
    }

    pub(super) fn files(&self, check: &mut Check) -> Result<()> {
        let session = self.store.layout().session(&self.listed.id);
        let Some(manifest) = self.manifest else {
            check.find(self.shown(&session), UNKNOWN);
            return Ok(());
        };
        self.phase(
            "Checking",
            &crate::event::plural(manifest.totals.files, "file", "files"),
            manifest.totals.bytes,
        );
        let findings = Mutex::new(Vec::new());
        let (checked, drifted) = (AtomicU64::new(0), AtomicU64::new(0));
        let meter = Meter::new(self.context.observer);
        crate::parallel::each(manifest.entries.len(), |i| {
            self.context.interrupt.check()?;
            let entry = &manifest.entries[i];
            let path = session.join(entry.stored_path());
            match self.file(entry, &path, &meter) {
                Ok(drift) => drop(drifted.fetch_add(u64::from(drift), Ordering::Relaxed)),
                Err(problem) => {
                    if let Ok(mut findings) = findings.lock() {
                        findings.push(Finding { place: self.shown(&path), problem });
                    }
                }
            }
            if entry.is_file() {
                checked.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })?;
        check.checked = checked.into_inner();
        check.findings = findings.into_inner().unwrap_or_default();
        self.extras(manifest, &session, check);
        let drifted = drifted.into_inner();
        if drifted > 0 {
            check
                .notes
                .push(format!("{drifted} stored modes or modification times drifted; content is untouched"));
        }
        Ok(())
    }

    /// `Ok(true)` where only stored mode or time drifted.
    pub(crate) fn file(&self, entry: &Entry, path: &Path, meter: &Meter<'_>) -> Result<bool, String> {
        let meta = std::fs::symlink_metadata(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "is missing".to_owned(),
            _ => format!("cannot be looked at: {e}"),
        })?;
        match &entry.kind {
            Kind::Directory => {
                if !meta.is_dir() {
                    return Err("is no directory".into());
                }
                Ok(Mode::new(meta.mode()).bits() != 0o500)
            }
            Kind::Symlink { target } => {
                if !meta.is_symlink() {
                    return Err("is no symbolic link".into());
                }
                let found = std::fs::read_link(path).map_err(|e| format!("cannot be read: {e}"))?;
                if found.as_os_str() != target.as_os_str() {
                    return Err(format!("points at {}", show_path(&found)));
                }
                Ok(false)
            }
            Kind::File { size, sha256, .. } => {
                if !meta.is_file() {
                    return Err("is no regular file".into());
                }
                if meta.len() != *size {
                    return Err(format!("has {} bytes, not {size}", meta.len()));
                }
                match self.digest(path, &meta, meter).map_err(|e| format!("cannot be read: {e}"))? {
                    Some(found) if found == *sha256 => {}
                    _ => return Err("has other content than was backed up".into()),
                }
                let mtime = (meta.mtime(), meta.mtime_nsec());
                Ok(Mode::new(meta.mode()) != entry.mode().stored()
                    || mtime != (entry.mtime.seconds, i64::from(entry.mtime.nanos)))
            }
        }
    }

    fn digest(
        &self,
        path: &Path,
        meta: &std::fs::Metadata,
        meter: &Meter<'_>,
    ) -> std::io::Result<Option<Digest>> {
        let key = (meta.dev(), meta.ino());
        if let Some(known) = self.cache.digests.lock().ok().and_then(|c| c.get(&key).copied()) {
            meter.add(meta.len());
            return Ok(known);
        }
        let digest = digest_of(&mut meter.over(File::open(path)?), meta.len())?;
        if let Ok(mut cache) = self.cache.digests.lock() {
            cache.insert(key, digest);
        }
        Ok(digest)
    }

    /// What stands in the session and not in the manifest.
    fn extras(&self, manifest: &Manifest, session: &Path, check: &mut Check) {
        for (path, problem) in self.unknown(manifest, session) {
            check.find(self.shown(&path), problem);
        }
    }

    /// What stands in a session and not in its manifest, and what cannot be searched; a directory stands for all that
    /// is in it.
    pub(crate) fn unknown(&self, manifest: &Manifest, session: &Path) -> Vec<(PathBuf, &'static str)> {
        let mut known: order::Set<RelPath> = order::gather(manifest.entries.iter().map(Entry::stored_path));
        known.extend(["files", MANIFEST_FILE].iter().filter_map(|p| RelPath::new(p).ok()));
        if manifest.roots.len() > 1 {
            known.extend(RelPath::new("outside"));
            let names = manifest.roots[1..].iter();
            known.extend(names.filter_map(|r| RelPath::new(format!("outside/{}", r.name)).ok()));
        }
        let mut out = Vec::new();
        let mut walk = walkdir::WalkDir::new(session).min_depth(1).into_iter();
        while let Some(found) = walk.next() {
            match found {
                Err(e) => out.push((e.path().unwrap_or(session).to_path_buf(), "cannot be searched")),
                Ok(found) => {
                    let known = RelPath::strip(session, found.path()).is_some_and(|p| known.contains(&p));
                    if !known {
                        out.push((found.path().to_path_buf(), "is not in the manifest"));
                        if found.file_type().is_dir() {
                            walk.skip_current_dir();
                        }
                    }
                }
            }
        }
        out
    }

    pub(super) fn checksums(&self, check: &mut Check) -> Result<()> {
        let path = self.store.layout().checksums(&self.listed.label, &self.listed.id);
        let place = self.shown(&path);
        let read = crate::fsx::read_plain(&path).map_err(|e| (place.clone(), format!("cannot be read: {e}")));
        let parsed = read.and_then(|bytes| match parse_checksum_list(&bytes) {
            Ok(list) => Ok((bytes, list)),
            Err((line, fault)) => Err((format!("{place}:{line}"), fault.to_string())),
        });
        let (bytes, list) = match parsed {
            Ok(parsed) => parsed,
            Err((place, problem)) => {
                check.find(place, problem);
                return Ok(());
            }
        };
        check.checked = list.len() as u64;
        let Some(manifest) = self.manifest else {
            check.find(place, UNKNOWN);
            return Ok(());
        };
        for entry in manifest.entries.iter().filter(|e| e.is_file()) {
            let stored = entry.stored_path();
            match list.get(&stored) {
                None => check.find(&place, format!("does not name {stored}")),
                Some(digest) if Some(*digest) != entry.sha256() => {
                    check.find(&place, format!("has another digest for {stored} than the manifest"));
                }
                Some(_) => {}
            }
        }
        let known: order::Set<RelPath> = order::gather(manifest.entries.iter().map(Entry::stored_path));
        for path in list.keys().filter(|p| !known.contains(*p) && p.as_bytes() != MANIFEST_FILE.as_bytes()) {
            check.find(&place, format!("names {path}, which the manifest does not have"));
        }
        let session = self.store.layout().session(&self.listed.id);
        let json = crate::fsx::read_plain(session.join(MANIFEST_FILE)).unwrap_or_default();
        match list.get(MANIFEST_FILE.as_bytes()) {
            Some(digest) if *digest == Digest::of(&json) => {}
            Some(_) if Digest::of(&manifest.to_json()) == Digest::of(&json) => {
                check.find(&place, format!("has another digest for {MANIFEST_FILE}"));
            }
            Some(_) => {
                check.find(self.shown(&session.join(MANIFEST_FILE)), "is not the file that the list names")
            }
            None => check.find(&place, format!("does not name {MANIFEST_FILE}")),
        }
        // Whatever is not found above, in bytes that carry no meaning to the parser.
        if check.findings.is_empty() && bytes != checksum_list(manifest, Digest::of(&json)) {
            check.find(&place, "has other bytes than were written");
        }
        self.listed_files(&list, &session, check);
        Ok(())
    }

    /// The files themselves against the list, from the digests that FILE_INTEGRITY has taken.
    fn listed_files(&self, list: &order::Map<RelPath, Digest>, session: &Path, check: &mut Check) {
        let meter = Meter::new(&crate::event::Silent);
        for (path, digest) in list.iter().filter(|(p, _)| p.as_bytes() != MANIFEST_FILE.as_bytes()) {
            let file = session.join(path);
            let found = std::fs::symlink_metadata(&file).and_then(|meta| self.digest(&file, &meta, &meter));
            if !found.is_ok_and(|d| d == Some(*digest)) {
                check.find(self.shown(&file), "is not the file that the list names");
            }
        }
    }

    pub(super) fn archive(&self, check: &mut Check) -> Result<()> {
        let path = self.store.layout().archive(&self.listed.label, &self.listed.id);
        let place = self.shown(&path);
        if let Err(e) = crate::fsx::open_plain(&path) {
            check.find(place, format!("cannot be opened: {e}"));
            return Ok(());
        }
        let Some(manifest) = self.manifest else {
            check.find(place, UNKNOWN);
            return Ok(());
        };
        let (Some(info), Ok(Some(reader))) = (&manifest.archive, Reader::open(&path, manifest)) else {
            check.find(place, "is not described in the manifest");
            return Ok(());
        };
        let file = reader.file();
        self.phase("Checking", "the archive", info.size + manifest.totals.bytes);
        let meter = Meter::new(self.context.observer);
        let whole = file.metadata().and_then(|meta| {
            (meta.len() == info.size)
                .then(|| digest_of(&mut meter.over(file), info.size))
                .transpose()
                .map(Option::flatten)
        });
        match whole {
            Ok(Some(found)) if found == info.sha256 => {}
            Ok(_) => check.find(&place, "has another size or digest than the manifest says"),
            Err(e) => check.find(&place, format!("cannot be read: {e}")),
        }
        let covered: usize = info.members.iter().map(|m| m.entries).sum();
        if covered != manifest.entries.len() || info.members.last().is_none_or(|m| m.entries != 0) {
            check.find(&place, "is cut into members that do not hold every entry once");
        }
        let (findings, checked) = (Mutex::new(Vec::new()), AtomicU64::new(0));
        self.archive_members(&reader, manifest, &findings, (&checked, &meter))?;
        if !info.members.is_empty() {
            let limit = 64 * 1024 + manifest.to_json().len() as u64;
            if let Err(fault) = reader.manifest(limit) {
                check.find(&place, format!("member {} {fault}", info.members.len()));
            }
        }
        check.checked = checked.into_inner();
        for (entry, problem) in findings.into_inner().unwrap_or_default() {
            check.find(entry.map_or_else(|| place.clone(), |e: String| format!("{place}: {e}")), problem);
        }
        Ok(())
    }

    fn archive_members(
        &self,
        reader: &Reader<'_>,
        manifest: &Manifest,
        findings: &Mutex<Vec<(Option<String>, String)>>,
        (checked, meter): (&AtomicU64, &Meter<'_>),
    ) -> Result<()> {
        let report = |entry: Option<String>, text: String| {
            if let Ok(mut findings) = findings.lock() {
                findings.push((entry, text));
            }
        };
        let visit = |index: usize, content: Option<&mut dyn std::io::Read>| {
            let entry = &manifest.entries[index];
            checked.fetch_add(1, Ordering::Relaxed);
            if let (Some(content), Some(expected)) = (content, entry.sha256()) {
                match digest_of(&mut meter.over(content), entry.size()) {
                    Ok(Some(found)) if found == expected => {}
                    Ok(_) => report(Some(entry.shown()), "has other content than was backed up".into()),
                    Err(e) => {
                        return Err(Error::new(crate::ErrorKind::Damaged, format!("{}: {e}", entry.shown())));
                    }
                }
            }
            Ok(())
        };
        reader.all(self.context, &visit, &|member, fault| {
            match fault {
                Fault::Member(text) => report(None, format!("the part at byte {} {text}", member.offset)),
                Fault::Entry(index, text) => report(Some(manifest.entries[index].shown()), text),
                Fault::Visit(e) => report(None, e.to_string()),
            }
            Ok(())
        })
    }

    fn phase(&self, verb: &'static str, what: &str, total: u64) {
        self.context.observer.on(&Event::Phase { verb, what: what.into(), total });
    }
}
