//! The list of a restore point: all that a rollback script needs to know of it. It is made of the manifest and of
//! where the workspace lies, and can be made again from them byte for byte; the fields stand in `FORMAT.md`.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::nul::{FieldReader, Fields};
use super::{Listed, Store, StoreLock};
use crate::digest::Digest;
use crate::error::{IoContext, Result};
use crate::manifest::{Manifest, MemberGlobs, Origin, Pattern, Place, kind_fields};
use crate::path::{RelPath, path_from_text, show_text};

/// The version of the list that this library writes.
const VERSION: &str = "2";

impl Store {
    /// What the list of a restore point has to say.
    ///
    /// # Errors
    /// Kind `NoStore` where `store.json` is unreadable.
    pub(crate) fn script_list(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        let recorded = manifest.origin.is_some();
        let members = match &manifest.members {
            None if !recorded => self.members_of_older(manifest),
            members => members.clone(),
        };
        Ok(list(manifest, &self.info()?.root, &members.unwrap_or_default()))
    }

    /// What is wrong with the bytes of a list, as a sentence's end.
    ///
    /// # Errors
    /// See [`Store::script_list`].
    pub(crate) fn list_fault(&self, manifest: &Manifest, bytes: &[u8]) -> Result<Option<String>> {
        let whole = self.script_list(manifest)?;
        // One that was written before there were the last fields says all that it can.
        let says = |list: &[u8]| FieldReader::sealed(list).map(|(fields, _)| fields.rest().to_vec());
        let older = says(bytes).zip(says(&whole)).is_some_and(|(old, whole)| {
            whole.strip_prefix(&old[..]).is_some_and(|more| more.starts_with(b"included\0"))
        });
        if bytes == whole || older {
            return Ok(None);
        }
        // Only a whole one is believed to be of another version.
        let fields = FieldReader::sealed(bytes).map(|(mut f, _)| (f.text(), f.text()));
        Ok(Some(match fields {
            Some((Some("backstop-list"), Some(version))) if version != VERSION => {
                let version = show_text(version);
                format!("has version {version}, not {VERSION}; the next `backup` writes it anew")
            }
            _ => "does not say what the manifest says".into(),
        }))
    }

    /// Whether a restore point has to have its list: those that were made before there were lists get theirs from
    /// the next backup.
    pub(crate) fn needs_list(&self, manifest: &Manifest) -> bool {
        manifest.origin.is_some()
            || self.layout().list(&manifest.label, &manifest.id).symlink_metadata().is_ok()
    }

    /// The patterns that a manifest without them left in the session: read where the content is the recorded one.
    fn members_of_older(&self, manifest: &Manifest) -> Option<MemberGlobs> {
        let entry =
            manifest.entries.iter().find(|e| e.root.is_workspace() && e.path.as_bytes() == b"Cargo.toml")?;
        let path = self.layout().session(&manifest.id).join(entry.stored_path());
        let bytes =
            crate::fsx::read_plain(path).ok().filter(|bytes| Some(Digest::of(bytes)) == entry.sha256())?;
        MemberGlobs::read(&bytes)
    }
}

/// The fields. `root` is the workspace's, relative to the store, as `store.json` says it.
fn list(manifest: &Manifest, root: &str, members: &MemberGlobs) -> Vec<u8> {
    let mut f = Fields::new();
    f.push("backstop-list").push(VERSION);
    identity(&mut f, manifest);
    f.push("root").push(root);
    f.push("origin").push(manifest.origin.unwrap_or_else(|| Origin::of(&manifest.label)).name());
    f.push("archive").push(manifest.archive.as_ref().map_or("", |a| a.name.as_str()));
    roots(&mut f, manifest);
    scope_rules(&mut f, manifest);
    entries(&mut f, manifest);
    scope_places(&mut f, manifest);
    for (name, globs) in [("members", &members.members), ("member-exclude", &members.exclude)] {
        f.push(name).push(globs.len().to_string());
        globs.iter().for_each(|glob| {
            f.push(glob);
        });
    }
    let targets: Vec<_> = manifest.target_directories.iter().filter_map(|t| path_from_text(t).ok()).collect();
    f.push("target-directories").push(targets.len().to_string());
    for target in &targets {
        f.push(target.as_os_str().as_bytes());
    }
    packages(&mut f, manifest);
    added_later(&mut f, manifest);
    f.seal()
}

/// Fields that older lists lack: readers take a list without them.
fn added_later(f: &mut Fields, manifest: &Manifest) {
    let Some(checkouts) = &manifest.scope.checkouts else { return };
    patterns(f, "included", &manifest.scope.included);
    f.push("checkouts").push(checkouts.len().to_string());
    for checkout in checkouts {
        f.push(&checkout.root).push(checkout.path.as_bytes()).push(checkout.repository.name());
    }
}

fn patterns(f: &mut Fields, name: &str, patterns: &[Pattern]) {
    f.push(name).push(patterns.len().to_string());
    for pattern in patterns {
        f.push(&pattern.base.root).push(pattern.base.path.as_ref().map_or(&b""[..], RelPath::as_bytes));
        f.push(&pattern.glob);
    }
}

fn identity(f: &mut Fields, manifest: &Manifest) {
    f.push(&manifest.backup_id).push(manifest.id.as_str()).push(manifest.label.as_str());
    f.push(manifest.root_hash.to_string());
}

fn roots(f: &mut Fields, manifest: &Manifest) {
    f.push("roots").push(manifest.roots.len().to_string());
    for root in &manifest.roots {
        f.push(&root.name).push(&root.path);
    }
}

fn entries(f: &mut Fields, manifest: &Manifest) {
    f.push("entries").push(manifest.entries.len().to_string());
    for entry in &manifest.entries {
        let (kind, size, content) = kind_fields(&entry.kind);
        f.push(&entry.root).push(entry.path.as_bytes()).push(kind).push(entry.mode().to_string());
        f.push(size).push(content).push(entry.mtime.to_string());
    }
}

fn scope_rules(f: &mut Fields, manifest: &Manifest) {
    let scope = &manifest.scope;
    f.push("scope").push(u8::from(scope.whole_workspace).to_string()).push(u8::from(scope.git).to_string());
}

/// The places and patterns of the scope.
fn scope_places(f: &mut Fields, manifest: &Manifest) {
    let scope = &manifest.scope;
    let mut places = |name: &str, places: &[Place]| {
        f.push(name).push(places.len().to_string());
        for place in places {
            f.push(&place.root).push(place.path.as_ref().map_or(&b""[..], RelPath::as_bytes));
        }
    };
    places("directories", &scope.directories);
    places("ignored", &scope.ignored);
    places("foreign-packages", &scope.foreign_packages);
    for (name, paths) in
        [("unprotected-directories", &scope.unprotected_directories), ("root-entries", &scope.root_entries)]
    {
        f.push(name).push(paths.len().to_string());
        for path in paths {
            f.push(path.as_bytes());
        }
    }
    patterns(f, "excluded", &scope.excluded);
}

fn packages(f: &mut Fields, manifest: &Manifest) {
    f.push("packages").push(manifest.packages.len().to_string());
    for package in &manifest.packages {
        f.push(&package.root).push(package.directory.as_ref().map_or(&b""[..], RelPath::as_bytes));
        f.push(package.crate_roots.len().to_string());
        for path in &package.crate_roots {
            f.push(path.as_bytes());
        }
    }
}

impl StoreLock<'_> {
    /// Writes the lists that restore points lack, or that are of another version or say that the workspace lies
    /// elsewhere. What a list holds otherwise, a validation judges. Gives how many were written.
    ///
    /// # Errors
    /// Kind `Io` where one cannot be written.
    pub(crate) fn keep_lists(&self) -> Result<usize> {
        let store = self.store();
        let root = store.info()?.root;
        let mut written = 0;
        for listed in store.catalogue()?.all() {
            let path = store.layout().list(&listed.label, &listed.id);
            if is_current(&path, listed, &root) {
                continue;
            }
            // One without a sound manifest is for a repair.
            let Ok(manifest) = store.manifest(listed) else { continue };
            // Nor is anything but a file made way for here.
            if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
                continue;
            }
            let bytes = store.script_list(&manifest)?;
            store.fs().replace_file(&path, &bytes, 0o400).during("write", &path)?;
            written += 1;
        }
        Ok(written)
    }
}

impl Store {
    /// How a restore point came about, as its list says; by its label if there is none.
    pub(super) fn origin(&self, listed: &Listed) -> Origin {
        // Nine fields of bounded length, and the root.
        const HEAD: u64 = 8192;
        let mut head = Vec::new();
        let path = self.layout().list(&listed.label, &listed.id);
        let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
        let read = is_file.then(|| File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head)));
        let origin = match read {
            Some(Ok(_)) => {
                head.split(|byte| *byte == 0).nth(9).and_then(|word| std::str::from_utf8(word).ok())
            }
            _ => None,
        };
        origin.and_then(Origin::from_name).unwrap_or_else(|| Origin::of(&listed.label))
    }
}

/// Whether the list begins as one of this version does, and with this workspace root.
fn is_current(path: &Path, listed: &Listed, root: &str) -> bool {
    let backup_id = listed.backup_id();
    let is_file = path.symlink_metadata().is_ok_and(|m| m.is_file());
    let mut head = Vec::new();
    // Seven fields of bounded length and the root.
    let most = 512 + backup_id.len() + root.len();
    let mut read = || File::open(path)?.take(most as u64).read_to_end(&mut head);
    if !is_file || read().is_err() {
        return false;
    }
    let mut fields = head.split(|b| *b == 0);
    let starts = [fields.next(), fields.next(), fields.next()];
    let [_id, _label, _root_hash] = [fields.next(), fields.next(), fields.next()];
    starts == [Some(&b"backstop-list"[..]), Some(VERSION.as_bytes()), Some(backup_id.as_bytes())]
        && [fields.next(), fields.next()] == [Some(&b"root"[..]), Some(root.as_bytes())]
}
