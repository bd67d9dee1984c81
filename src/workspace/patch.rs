//! The packages that cargo takes in another one's stead: `[patch]`, `[replace]`, and `paths` of its configuration.

use std::path::{Path, PathBuf};

use super::configuration::{ConfigFile, PATCHES, scalars_in};

/// The directories that the root manifest and the configuration name.
pub(super) fn paths(root: &Path, configuration: &[ConfigFile]) -> Vec<PathBuf> {
    const IN_MANIFEST: [&[&str]; 2] = [&["patch", "*", "*", "path"], &["replace", "*", "path"]];
    let manifest = scalars_in(&root.join("Cargo.toml"));
    let manifest = manifest.iter().flatten().filter(|s| IN_MANIFEST.iter().any(|keys| s.is_at(keys)));
    let mut out: Vec<PathBuf> = manifest.filter(|s| s.is_string).map(|s| root.join(&s.text)).collect();
    for file in configuration {
        let named = file.scalars.iter().filter(|s| PATCHES.iter().any(|keys| s.is_at(keys)));
        out.extend(named.filter(|s| s.is_string).map(|s| file.base().join(&s.text)));
    }
    out
}
