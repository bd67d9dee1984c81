//! What every part of the plan works with: the workspace as it is, and what is to be told.

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, Package};
use serde_json::Value as Json;

use super::edit::Toml;
use super::{ByHand, Dependency, InitOptions};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::path::{canonical, show_path};
use crate::workspace::LoadOptions;

/// What is known of the workspace while the plan is made.
pub(super) struct Planner<'a> {
    pub(super) options: &'a InitOptions,
    pub(super) load: &'a LoadOptions,
    pub(super) metadata: &'a Metadata,
    pub(super) manifest: Toml,
    pub(super) in_place: Vec<String>,
    pub(super) by_hand: Vec<ByHand>,
    pub(super) notes: Vec<String>,
    pub(super) root: PathBuf,
}

impl Planner<'_> {
    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        let is_member = |p: &&Package| self.metadata.workspace_members.contains(&p.id);
        self.metadata.packages.iter().filter(is_member)
    }

    pub(super) fn below(&self, path: &Path) -> String {
        show_path(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// The store's directory, as the settings name it.
    pub(super) fn store(&self) -> &str {
        let of =
            |table: &str| self.manifest.get(&[table, "metadata", "backstop", "store"]).and_then(Json::as_str);
        let plain =
            |s: &&str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)) && !s.is_empty();
        of("workspace").or_else(|| of("package")).filter(plain).unwrap_or("backup")
    }

    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// A path dependency that the xtask gets, below the root.
    pub(super) fn backstop_below_root(&self) -> Option<PathBuf> {
        let Some(Dependency::Path(path)) = &self.options.dependency else { return None };
        let full = canonical(&self.load.directory.join(path)).ok()?;
        full.strip_prefix(&self.root).ok().map(Path::to_path_buf)
    }
}

/// Whether a Rust version is older than another.
pub(super) fn is_older(version: &str, than: &str) -> bool {
    let parts = |v: &str| -> Vec<u32> { v.split('.').map(|n| n.parse().unwrap_or(0)).collect() };
    let (mut a, mut b) = (parts(version), parts(than));
    a.resize(3, 0);
    b.resize(3, 0);
    a < b
}

/// A file below the root that lines may be added to; `None` where there is none.
pub(super) fn read_text(root: &Path, path: &Path) -> Result<Option<String>> {
    let full = root.join(path);
    match std::fs::read(&full) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|e| {
            Error::new(ErrorKind::Workspace, format!("`{}` is not UTF-8", show_path(&full))).with_source(e)
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).during("read", &full),
    }
}

pub(super) fn broken(path: &Path) -> impl Fn(String) -> Error + use<'_> {
    move |e| {
        Error::new(ErrorKind::Workspace, format!("`{}` is not TOML", show_path(path)))
            .with_details(e.lines().map(crate::path::show_text))
    }
}

/// The same, read.
pub(super) fn read_toml(root: &Path, path: &Path) -> Result<Option<Toml>> {
    read_text(root, path)?.map(|text| Toml::parse(&text).map_err(broken(&root.join(path)))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_older("1.9", "1.89") && is_older("1.88.1", "1.89") && !is_older("1.89", "1.89.0"));
        assert!(!is_older("1.100", "1.89"));
    }
}
