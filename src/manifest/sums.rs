//! What is known of many entries at once: their sums, and the hash over them.

use super::{Entry, Kind, Totals};
use crate::digest::{Digest, Hasher};

/// The sums over `entries`.
pub fn totals(entries: &[Entry], packages: usize) -> Totals {
    let mut t = Totals { packages: packages as u64, ..Totals::default() };
    for entry in entries {
        match &entry.kind {
            Kind::File { size, lines, .. } => {
                t.files += 1;
                t.lines += lines;
                t.bytes += size;
            }
            Kind::Directory => t.directories += 1,
            Kind::Symlink { .. } => t.symlinks += 1,
        }
    }
    t
}

/// The hash that a restore point is known by: SHA-256 over the entries in order, each as root, path, kind, mode,
/// size, and digest or link target, every field ended by a NUL byte. Modification times do not count: the hash
/// is the same for the same content.
pub fn root_hash(entries: &[Entry]) -> Digest {
    let mut hasher = Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(bytes);
        hasher.update(&[0]);
    };
    for entry in entries {
        field(entry.root.as_ref());
        field(entry.path.as_bytes());
        let (kind, size, content) = kind_fields(&entry.kind);
        field(kind.as_bytes());
        field(entry.attributes.to_string().as_bytes());
        field(size.as_bytes());
        field(&content);
    }
    hasher.finish()
}

/// Kind, size and content of an entry as the bytes of three fields: `file` with size and digest, `directory`,
/// `symlink` with its target.
pub(crate) fn kind_fields(kind: &Kind) -> (&'static str, String, Vec<u8>) {
    use std::os::unix::ffi::OsStrExt;
    match kind {
        Kind::File { size, sha256, .. } => ("file", size.to_string(), sha256.to_string().into_bytes()),
        Kind::Directory => ("directory", String::new(), Vec::new()),
        Kind::Symlink { target } => ("symlink", String::new(), target.as_os_str().as_bytes().to_vec()),
    }
}
