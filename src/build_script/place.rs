//! Where the package, its workspace and the store are. A build script is told only of its package; the rest is
//! found by looking, and no manifest has to parse for it.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether the package was unpacked by Cargo (a registry, a git checkout, `cargo vendor`, the verification of
/// `cargo package` and `cargo publish`): nobody rolls that back.
pub(super) fn is_unpacked(package: &Path) -> bool {
    ["Cargo.toml.orig", ".cargo-checksum.json"].iter().any(|name| package.join(name).exists())
        || package.ancestors().any(|dir| dir.join(".cargo-ok").exists())
}

/// The workspace root: the package itself where its manifest has a `[workspace]`, the one that it names, the nearest
/// directory above with a `[workspace]`; for a package beside the workspace that builds it, the one that holds
/// `out_dir`; else the package alone.
pub(super) fn workspace_root(package: &Path, name: &str, out_dir: &Path) -> PathBuf {
    let manifest = Manifest::read(package);
    if let Some(named) = manifest.string("package", "workspace")
        && let Some(root) = canonical(&package.join(named))
    {
        return root;
    }
    if let Some(root) = package.ancestors().find(|dir| Manifest::read(dir).has_workspace()) {
        return root.to_path_buf();
    }
    let holds_output = |dir: &&Path| super::lockfile::names(dir, name);
    out_dir.ancestors().find(holds_output).unwrap_or(package).to_path_buf()
}

/// The store, whether anything stands there yet or not: what `BACKSTOP_STORE` says, what the build script says, what
/// the root manifest says, the one below the root that serves it, `backup`.
pub(super) fn store(root: &Path, environment: Option<&Path>, script: Option<&Path>) -> PathBuf {
    if let Some(named) = environment.or(script) {
        return clean(&root.join(named));
    }
    let manifest = Manifest::read(root);
    let setting = manifest
        .string("workspace.metadata.backstop", "store")
        .or_else(|| manifest.string("workspace.metadata", "backstop.store"));
    if let Some(setting) = setting {
        return clean(&root.join(setting));
    }
    let default = root.join("backup");
    if is_store(&default) {
        return default;
    }
    let mut below: Vec<PathBuf> =
        fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    below.sort();
    below
        .into_iter()
        .find(|dir| is_store(dir) && workspace_of(dir).as_deref() == Some(root))
        .unwrap_or(default)
}

/// Whether a directory is a store: its `store.json` says so, or everything else does.
pub(super) fn is_store(dir: &Path) -> bool {
    field(dir, "backstop_store").is_some()
        || (dir.join("state").is_file() && dir.join("metadata").is_dir() && dir.join("rollback").is_dir())
}

/// The format of the store.
pub(super) fn format(store: &Path) -> Option<u32> {
    field(store, "backstop_store")?.parse().ok()
}

/// The workspace that a store says it serves, where that is there.
pub(super) fn workspace_of(store: &Path) -> Option<PathBuf> {
    let way = field(store, "root")?;
    let way = way.strip_prefix('"')?.strip_suffix('"')?;
    canonical(&canonical(store)?.join(way))
}

/// A field of `store.json`, which has one a line.
fn field(store: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(store.join("store.json")).ok()?;
    let key = format!("\"{name}\":");
    let value = text.lines().find_map(|line| line.trim().strip_prefix(&key))?;
    Some(value.trim().trim_end_matches(',').to_owned())
}

/// The path without links; `None` where nothing is there.
#[expect(
    clippy::disallowed_methods,
    reason = "`crate::path` belongs to the engine, and no error is made of this"
)]
pub(super) fn canonical(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

/// Resolves `.` and `..` by name.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => drop(out.pop()),
            std::path::Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// What is read of a manifest: tables and keys that stand on lines of their own.
pub(super) struct Manifest(String);

impl Manifest {
    pub(super) fn read(dir: &Path) -> Self {
        Manifest(fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default())
    }

    /// The lines with the table that each stands in.
    fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut table = "";
        self.0.lines().map(str::trim).map(move |line| {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                table = name.trim_matches(['[', ' ', '\t']);
            }
            (table, line)
        })
    }

    fn has_workspace(&self) -> bool {
        self.lines().any(|(table, line)| {
            table == "workspace"
                || table.starts_with("workspace.")
                || (table.is_empty() && (line.starts_with("workspace.") || line.starts_with("workspace =")))
        })
    }

    /// A string without escapes.
    pub(super) fn string(&self, table: &str, key: &str) -> Option<&str> {
        let value = self.lines().filter(|(within, _)| *within == table).find_map(|(_, line)| {
            line.strip_prefix(key)?.trim_start().strip_prefix('=').map(str::trim_start)
        })?;
        let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
        let text = value[1..].split(quote).next()?;
        Some(text).filter(|text| !text.is_empty() && !text.contains('\\'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_says_is_read_where_it_stands_on_lines() {
        let manifest = |text: &str| Manifest(text.to_owned());
        for text in [
            "[workspace]",
            " [workspace.package]\n",
            "[package]\na = 1\n[workspace]",
            "workspace.members = []",
        ] {
            assert!(manifest(text).has_workspace(), "{text}");
        }
        let member = manifest("[package]\nversion.workspace = true\nworkspace = \"../root\" # there\n");
        assert!(!member.has_workspace());
        assert_eq!(member.string("package", "workspace"), Some("../root"));
        let root =
            manifest("[workspace]\nstore = \"no\"\n[workspace.metadata.backstop]\nstore='points' # here\n");
        assert_eq!(root.string("workspace.metadata.backstop", "store"), Some("points"));
        assert_eq!(manifest("[a]\nstore_dir = \"x\"").string("a", "store"), None);
    }
}
