//! What is there already: an alias, an xtask, members by globs.

use std::path::{Path, PathBuf};

use cargo_metadata::Package;
use serde_json::Value as Json;
use walkdir::WalkDir;

use super::Change;
use super::edit::Toml;
use super::planner::{Planner, is_older, read_toml};
use super::texts;
use crate::error::{Error, ErrorKind, Result};
use crate::order;
use crate::path::show_path;
use crate::select::git::is_ignored;

/// The alias `xtask`.
pub(super) enum Alias {
    Missing,
    Words(Vec<String>),
}

impl Alias {
    pub(super) fn read(config: Option<&Toml>) -> Alias {
        match config.and_then(|c| c.get(&["alias", "xtask"])) {
            None => Alias::Missing,
            Some(Json::Array(words)) => {
                Alias::Words(words.iter().filter_map(Json::as_str).map(str::to_owned).collect())
            }
            Some(other) => {
                Alias::Words(other.as_str().unwrap_or("").split_whitespace().map(str::to_owned).collect())
            }
        }
    }

    /// What stands behind one of these flags.
    fn value(&self, flags: &[&str]) -> Option<&str> {
        let Alias::Words(words) = self else { return None };
        let own = words.iter().take_while(|w| *w != "--");
        own.zip(words.iter().skip(1).map(Some).chain([None])).find_map(|(word, next)| {
            let joined = word.split_once('=').filter(|(flag, _)| flags.contains(flag)).map(|(_, v)| v);
            joined.or_else(|| flags.contains(&word.as_str()).then_some(next?.as_str()))
        })
    }

    pub(super) fn has_profile(&self) -> bool {
        self.value(&["--profile"]).is_some()
            || matches!(self, Alias::Words(w) if w.iter().any(|w| w == "--release"))
    }
}

/// The xtask.
pub(super) enum Xtask {
    /// There is none; `main` is there where an `init` was interrupted.
    Missing { main: bool },
    /// One that runs backstop, and is no member yet.
    Unlisted,
    /// One that runs backstop.
    InPlace { package: String, manifest: PathBuf },
    /// Somebody's own. It may `ask` for backstop already.
    Foreign { package: Option<String>, manifest: PathBuf, main: PathBuf, asks: bool, member: bool },
}

impl Xtask {
    pub(super) fn directory(&self, root: &Path) -> PathBuf {
        match self {
            Xtask::InPlace { manifest, .. } | Xtask::Foreign { manifest, .. } => {
                manifest.parent().unwrap_or(root).to_path_buf()
            }
            Xtask::Missing { .. } | Xtask::Unlisted => root.join("xtask"),
        }
    }

    pub(super) fn package(&self) -> Option<&str> {
        match self {
            Xtask::InPlace { package, .. } => Some(package),
            Xtask::Foreign { package, .. } => package.as_deref(),
            Xtask::Missing { .. } | Xtask::Unlisted => None,
        }
    }
}

impl Planner<'_> {
    /// The package that the alias runs, or else one that is called xtask, or else a directory of that name.
    pub(super) fn find_xtask(&self, alias: &Alias, config: &Path) -> Result<Xtask> {
        if let Some(manifest) = alias.value(&["--manifest-path"]) {
            return self.apart(self.root.join(manifest));
        }
        let name = alias.value(&["-p", "--package"]).unwrap_or("xtask");
        if let Some(package) = self.members().find(|p| p.name == name) {
            return Ok(self.member(package));
        }
        if let Alias::Words(words) = alias
            && name != "xtask"
        {
            let message =
                format!("the alias `xtask` in `{}` runs no package of this workspace", show_path(config));
            return Err(Error::new(ErrorKind::Settings, message)
                .with_details([format!("xtask = {}", crate::path::show_text(&words.join(" ")))])
                .with_help("give that alias another name, or correct it"));
        }
        let directory = self.root.join("xtask");
        let Ok(meta) = directory.symlink_metadata() else { return Ok(Xtask::Missing { main: false }) };
        let strange = |what: &str| {
            let message = format!("`{}` is there, and {what}", show_path(&directory));
            Err(Error::new(ErrorKind::Workspace, message)
                .with_help("move it out of the way, or make a package of it"))
        };
        if !meta.is_dir() {
            return strange("is no directory");
        }
        let main = directory.join("src/main.rs");
        if directory.join("Cargo.toml").exists() {
            return match self.apart(directory.join("Cargo.toml"))? {
                Xtask::InPlace { .. } => Ok(Xtask::Unlisted),
                other => Ok(other),
            };
        }
        match std::fs::read(&main) {
            Ok(text) if text == super::texts::MAIN.as_bytes() => Ok(Xtask::Missing { main: true }),
            Ok(_) => strange("has code and no Cargo.toml"),
            Err(_) => Ok(Xtask::Missing { main: false }),
        }
    }

    fn member(&self, package: &Package) -> Xtask {
        let asks = package.dependencies.iter().any(|d| d.name == "backstop");
        let main =
            package.targets.iter().find(|t| t.is_bin()).map(|t| t.src_path.clone().into_std_path_buf());
        let manifest = package.manifest_path.clone().into_std_path_buf();
        let main = main.unwrap_or_else(|| manifest.with_file_name("src").join("main.rs"));
        if asks && mentions_backstop(&main) {
            return Xtask::InPlace { package: package.name.to_string(), manifest };
        }
        Xtask::Foreign { package: Some(package.name.to_string()), manifest, main, asks, member: true }
    }

    /// An xtask that is no member of this workspace.
    fn apart(&self, manifest: PathBuf) -> Result<Xtask> {
        let directory = manifest.parent().unwrap_or(&self.root);
        let toml = read_toml(directory, Path::new(manifest.file_name().unwrap_or_default()))?;
        let asks = toml.is_some_and(|t| t.get(&["dependencies", "backstop"]).is_some());
        let main = directory.join("src/main.rs");
        if asks && mentions_backstop(&main) {
            return Ok(Xtask::InPlace { package: "xtask".into(), manifest });
        }
        Ok(Xtask::Foreign { package: None, manifest, main, asks, member: false })
    }

    // ---- the members

    /// Whether a glob of `members` takes a directory of this name at the root, and `exclude` does not keep it out.
    pub(super) fn takes_by_glob(&self, directory: &str) -> bool {
        let clean = |p: &str| p.trim_start_matches("./").trim_end_matches('/').to_owned();
        let excluded = self.manifest.strings(&["workspace", "exclude"]);
        if excluded.iter().any(|e| clean(e) == clean(directory)) {
            return false;
        }
        let members = self.manifest.strings(&["workspace", "members"]);
        let mut globs = members.iter().map(|m| clean(m)).filter(|m| m.contains(['*', '?', '[']));
        globs.any(|glob| fast_glob::glob_match(&glob, clean(directory)))
    }

    /// The root manifest with the xtask among its members, where it `joins` them, and out of them what is none.
    pub(super) fn root_manifest(&mut self, made: &[&Path], joins: bool) -> Result<Option<Change>> {
        let was_alone = joins && self.manifest.get(&["workspace"]).is_none();
        let mut exclude: Vec<String> = Vec::new();
        if was_alone {
            exclude.extend(self.packages_of_their_own());
        }
        if let Some(path) = self.backstop_below_root()
            && read_toml(&self.root.join(&path), Path::new("Cargo.toml"))?
                .is_some_and(|t| t.get(&["workspace"]).is_some())
        {
            exclude.push(path.to_string_lossy().into_owned());
        }
        let directories =
            made.iter().filter_map(|p| p.iter().next()?.to_str()).filter(|d| !d.contains(".yml"));
        let at_root: Vec<&str> = directories.chain([self.store()]).collect();
        for directory in at_root {
            if self.takes_by_glob(directory) {
                exclude.push(directory.to_owned());
            }
        }
        order::sort(&mut exclude);
        exclude.dedup();
        let known = self.manifest.strings(&["workspace", "exclude"]);
        exclude.retain(|e| !known.contains(&e.as_str()));

        let clean = |m: &&str| m.trim_start_matches("./").trim_end_matches('/') == "xtask";
        let named = self.manifest.strings(&["workspace", "members"]).iter().any(clean);
        let members = if named || !joins { vec![] } else { vec![("members", "xtask".to_owned())] };
        let additions: Vec<_> =
            members.into_iter().chain(exclude.into_iter().map(|e| ("exclude", e))).collect();
        let mut edited: Option<Toml> = None;
        for (key, value) in additions {
            let base = edited.as_ref().unwrap_or(&self.manifest);
            let new = base.with_string("workspace", key, &value).ok_or_else(|| {
                let message =
                    format!("no way to add to `{key}` in `{}`", show_path(&self.root.join("Cargo.toml")));
                Error::new(ErrorKind::Workspace, message).with_help(format!(
                    "add it yourself, and run `init` again: `{key} = [\"{value}\"]` in [workspace]"
                ))
            })?;
            edited = Some(new);
        }
        let base = edited.as_ref().unwrap_or(&self.manifest);
        let settled =
            [&["workspace", "metadata", "backstop", "keep"][..], &["package", "metadata", "backstop"]];
        if joins && settled.iter().all(|path| base.get(path).is_none()) {
            match base.with_end(texts::KEEP, texts::add_keep) {
                Some(new) => edited = Some(new),
                None => self.note(
                    "no retention rule was added: `keep` in [workspace.metadata.backstop] names what a backup keeps"
                        .into(),
                ),
            }
        }
        Ok(edited.map(|new| Change {
            path: "Cargo.toml".into(),
            before: Some(self.manifest.text().to_owned()),
            after: new.text().to_owned(),
        }))
    }

    /// The packages below a package that was no workspace: they stay what they are, each for itself. Where the sources
    /// of dependencies are vendored, their common directory.
    fn packages_of_their_own(&self) -> Vec<String> {
        let walk = WalkDir::new(&self.root).sort_by_file_name().into_iter().filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0
                || (entry.file_type().is_dir()
                    && !name.starts_with('.')
                    && name != "target"
                    && name != "node_modules"
                    && !crate::store::is_store(entry.path())
                    && !(entry.depth() == 1 && name == "xtask"))
        });
        let mut out: Vec<PathBuf> = Vec::new();
        for entry in walk.flatten().filter(|e| e.depth() > 0) {
            let directory = entry.path();
            if out.iter().any(|found| directory.starts_with(found)) {
                continue;
            }
            let Ok(Some(toml)) = read_toml(directory, Path::new("Cargo.toml")) else { continue };
            let has_workspace =
                toml.get(&["workspace"]).is_some() || toml.get(&["package", "workspace"]).is_some();
            if has_workspace {
                continue;
            }
            let vendored = directory.join(".cargo-checksum.json").exists();
            out.push(
                if vendored { directory.parent().unwrap_or(directory) } else { directory }.to_path_buf(),
            );
        }
        out.iter().filter_map(|d| d.strip_prefix(&self.root).ok()?.to_str().map(str::to_owned)).collect()
    }

    // ---- notes

    pub(super) fn notes_on_members(&mut self) {
        let default = self.manifest.get(&["workspace", "default-members"]).is_some();
        if self.manifest.get(&["package"]).is_none() && !default {
            self.note(
                "`cargo build` at the root builds the xtask too; `default-members` in [workspace] names what it \
                 is to build instead"
                    .into(),
            );
        }
        let oldest = self.members().filter_map(|p| p.rust_version.as_ref()).min().map(ToString::to_string);
        if let Some(oldest) = oldest.filter(|v| is_older(v, env!("CARGO_PKG_RUST_VERSION"))) {
            self.note(format!(
                "the xtask needs Rust {}, packages of the workspace say {oldest}: where that is checked, leave the \
                 xtask out (`--exclude xtask`)",
                env!("CARGO_PKG_RUST_VERSION")
            ));
        }
    }

    pub(super) fn notes_on_git(&mut self, changes: &[Change]) {
        if !self.root.ancestors().any(|dir| dir.join(".git").symlink_metadata().is_ok()) {
            let store = self.store();
            self.note(format!(
                "there is no git here: `cargo package` would take `{store}/` into the package; `store` in \
                 [workspace.metadata.backstop] keeps it elsewhere"
            ));
            return;
        }
        let mut ignored = Vec::new();
        for change in changes.iter().filter(|c| c.before.is_none()) {
            match is_ignored(&self.root, &change.path) {
                Ok(true) => ignored.push(format!("`{}`", show_path(&change.path))),
                Ok(false) => {}
                Err(why) => {
                    self.note(format!(
                        "git does not say what it ignores in `{}`: {why}",
                        show_path(&self.root)
                    ));
                    return;
                }
            }
        }
        if !ignored.is_empty() {
            self.note(format!("git ignores {}: others will not get it", ignored.join(", ")));
        }
    }
}

fn mentions_backstop(source: &Path) -> bool {
    std::fs::read(source).is_ok_and(|text| String::from_utf8_lossy(&text).contains("backstop::"))
}
