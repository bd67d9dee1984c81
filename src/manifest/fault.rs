//! What makes a manifest one that is not to be trusted.

use super::{Entry, FORMAT, Id, Kind, Manifest, backup_id, root_hash, totals};
use crate::order;

/// Why a copy of a manifest is not to be trusted.
pub(crate) fn fault(manifest: &Manifest, id: &Id) -> Option<String> {
    if manifest.format > FORMAT {
        return Some(format!("has format {}; this version reads {FORMAT}", manifest.format));
    }
    if manifest.id != *id || manifest.backup_id != backup_id(&manifest.label, &manifest.id) {
        return Some("names another restore point".into());
    }
    if let Some(pair) =
        manifest.entries.windows(2).find(|pair| pair[0].cmp_place(&pair[1].root, &pair[1].path).is_ge())
    {
        return Some(format!("has entries out of order or twice: {}", pair[1].shown()));
    }
    if let Some(entry) = manifest.entries.iter().find(|e| !manifest.roots.iter().any(|r| r.name == e.root)) {
        return Some(format!("has an entry of an unknown root: {}", entry.shown()));
    }
    if let Some(fault) = nesting_fault(manifest) {
        return Some(fault);
    }
    if manifest.roots.first().is_none_or(|r| !r.name.is_workspace())
        || !manifest.roots.iter().all(|r| r.name.is_safe())
        || order::gather::<order::Set<_>, _>(manifest.roots.iter().map(|r| &r.name)).len()
            != manifest.roots.len()
    {
        return Some("has malformed roots".into());
    }
    if root_hash(&manifest.entries) != manifest.root_hash {
        return Some("has entries that do not give its root hash".into());
    }
    if totals(&manifest.entries, manifest.packages.len()) != manifest.totals {
        return Some("has totals that its entries do not give".into());
    }
    None
}

/// Every entry stands in a directory that is an entry too, so that no path leads through a file or a link; and
/// none stands in a version control directory.
fn nesting_fault(manifest: &Manifest) -> Option<String> {
    let mut directories: Vec<&Entry> = Vec::new();
    for entry in &manifest.entries {
        while directories.last().is_some_and(|dir| dir.root != entry.root || !entry.path.is_in(&dir.path)) {
            directories.pop();
        }
        let inside = directories.last().map(|dir| &dir.path);
        if entry.path.parent().as_ref() != inside {
            // Siblings such as `a-b` sort between `a` and `a/b`: look the parent up before calling it missing.
            let parent = entry.path.parent();
            let found = parent
                .as_ref()
                .is_none_or(|p| manifest.find(&entry.root, p).is_some_and(|e| e.kind == Kind::Directory));
            if !found {
                return Some(format!("has an entry whose directory is none: {}", entry.shown()));
            }
        }
        if crate::path::runs_programs(&entry.path) {
            return Some(format!("has an entry of a version control system: {}", entry.shown()));
        }
        if entry.kind == Kind::Directory {
            directories.push(entry);
        }
    }
    None
}
