//! Which copy of a manifest proves itself.

use std::path::Path;

use super::Hand;
use crate::archive::{Flaw, survey};
use crate::digest::Digest;
use crate::error::Result;
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::store::{Listed, parse_checksum_list, read_manifest, room};

/// A manifest that more than its own copy vouches for.
pub(super) struct Proven {
    pub(super) manifest: Manifest,
    /// Its text, to the byte.
    pub(super) bytes: Vec<u8>,
}

/// A copy that is sound by itself.
struct Copy {
    manifest: Manifest,
    bytes: Vec<u8>,
}

impl From<Copy> for Proven {
    fn from(copy: Copy) -> Self {
        Proven { manifest: copy.manifest, bytes: copy.bytes }
    }
}

fn sound(path: &Path, listed: &Listed) -> Result<Copy, String> {
    if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
        return Err("is no file".into());
    }
    let (manifest, digest) = read_manifest(path, listed)?;
    let bytes = crate::fsx::read_plain(path).map_err(|e| format!("cannot be read: {e}"))?;
    if Digest::of(&bytes) != digest {
        return Err("changes while it is read".into());
    }
    Ok(Copy { manifest, bytes })
}

impl Hand<'_> {
    /// The manifest of a restore point, where a copy of it proves itself: the twins agree to the byte; or the checksum
    /// list names one; or the archive, which is whole by its own account, holds it; or nothing else is left, and every
    /// file of the session is what it says.
    pub(super) fn prove(&mut self, listed: &Listed) -> Result<Option<Proven>> {
        let layout = self.layout();
        let paths = [layout.session_manifest(&listed.id), layout.metadata(&listed.label, &listed.id)];
        for path in &paths {
            self.readable(path)?;
        }
        let [first, second] = paths.each_ref().map(|path| sound(path, listed));
        let named = crate::fsx::read_plain(layout.checksums(&listed.label, &listed.id))
            .ok()
            .and_then(|bytes| parse_checksum_list(&bytes).ok())
            .and_then(|list| list.get(MANIFEST_FILE.as_bytes()).copied());
        let mut faults = Vec::new();
        let mut copies = Vec::new();
        for (path, copy) in paths.iter().zip([first, second]) {
            match copy {
                Ok(copy) => copies.push(copy),
                Err(fault) => faults.push((path, fault)),
            }
        }
        if let [a, b] = copies.as_slice()
            && a.bytes == b.bytes
        {
            return Ok(copies.pop().map(Proven::from));
        }
        if let Some(at) = copies.iter().position(|c| Some(Digest::of(&c.bytes)) == named) {
            return Ok(Some(copies.swap_remove(at).into()));
        }
        let archive = layout.archive(&listed.label, &listed.id);
        self.readable(&archive)?;
        // A sweep leaves sessions alone: then every file bears the manifest beside it out.
        let swept = named.is_none() && archive.symlink_metadata().is_err();
        if let ([session], [(path, _)], true) = (copies.as_slice(), faults.as_slice(), swept)
            && **path == paths[1]
            && self.faults_of_session(listed, &session.manifest)?.iter().all(Result::is_ok)
        {
            return Ok(copies.pop().map(Proven::from));
        }
        let archived = match archive.symlink_metadata() {
            Ok(meta) if meta.is_file() => {
                survey(&archive, room(self.store_handle()), self.context.interrupt)?
            }
            _ => Err(Flaw { text: "is lost".into(), manifest: None }),
        };
        match archived {
            Ok(manifest) if manifest.id == listed.id && manifest.label == listed.label => {
                let other = copies.iter().any(|c| c.manifest.root_hash != manifest.root_hash);
                if !other {
                    let bytes = manifest.to_json();
                    return Ok(Some(Proven { manifest, bytes }));
                }
                self.could_not(&archive, "holds another restore point than the manifests say");
            }
            Ok(_) => self.could_not(&archive, "holds another restore point than its name says"),
            Err(flaw) => self.could_not(&archive, self.archive_flaw(&archive, &flaw)?),
        }
        for (path, fault) in faults {
            let why = match copies.len() {
                0 => "no copy of the manifest is left",
                _ => "nothing vouches for the other copy",
            };
            self.could_not(path, format!("{fault}, and {why}"));
        }
        if copies.len() == 2 {
            self.could_not(&paths[0], "differs from the copy in metadata/, and nothing says which is right");
        }
        Ok(None)
    }
}
