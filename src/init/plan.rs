//! What `init` would do to a workspace.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::config::config_path;
use super::existing::{Alias, Xtask};
use super::planner::{Planner, read_text, read_toml};
use super::texts::{self, Inherited};
use super::{ByHand, Change, Dependency, Expected, InitOptions, InitPlan};
use crate::error::{Error, ErrorKind, Result};
use crate::path::{canonical, show_path};
use crate::workspace::{LoadOptions, metadata};

/// Asks cargo what the workspace is, and computes what has to be made and added.
///
/// # Errors
/// Where there is no workspace, the dependency is not known or is no backstop, something else stands in the xtask's
/// place, or a manifest or the configuration cannot be understood.
pub fn plan(options: &InitOptions, load: &LoadOptions) -> Result<InitPlan> {
    let answer = metadata(load, &load.directory, load.manifest_path.as_deref(), &["--no-deps"])?;
    let root = canonical(answer.workspace_root.as_std_path())?;
    let manifest = read_toml(&root, Path::new("Cargo.toml"))?.ok_or_else(|| {
        Error::new(ErrorKind::Workspace, format!("no Cargo.toml in `{}`", show_path(&root)))
    })?;
    let mut planner = Planner {
        options,
        load,
        metadata: &answer,
        manifest,
        in_place: Vec::new(),
        by_hand: Vec::new(),
        notes: Vec::new(),
        root,
    };
    planner.all()
}

impl Planner<'_> {
    fn all(&mut self) -> Result<InitPlan> {
        let config = config_path(&self.root);
        let old_config = read_toml(&self.root, config)?;
        let alias = Alias::read(old_config.as_ref());
        let xtask = self.find_xtask(&alias, config)?;
        let directory = xtask.directory(&self.root);

        let mut files = match &xtask {
            Xtask::Missing { main } => self.new_xtask(*main)?,
            Xtask::Unlisted => Vec::new(),
            Xtask::InPlace { .. } => {
                self.in_place.push(format!("`{}` runs backstop", self.below(&directory)));
                Vec::new()
            }
            Xtask::Foreign { manifest, main, asks, .. } => {
                self.lines_for(manifest, main, *asks)?;
                Vec::new()
            }
        };
        let config_change = self.config(config, old_config.as_ref(), &alias, &xtask)?;
        let ci = self.ci()?;
        let becomes_member = matches!(xtask, Xtask::Missing { .. } | Xtask::Unlisted);
        let made: Vec<&Path> = config_change.iter().chain(&ci).map(|c| c.path.as_path()).collect();
        let joins = becomes_member && !self.takes_by_glob("xtask");
        let root_change = self.root_manifest(&made, joins)?;
        if becomes_member {
            self.notes_on_members();
        }
        // Whatever cuts this short: cargo never sees a member that is not there, nor takes for one what is none.
        let mut changes = Vec::new();
        changes.extend(root_change.clone().filter(|_| !joins));
        changes.extend(config_change);
        changes.append(&mut files);
        changes.extend(root_change.filter(|_| joins));
        changes.extend(ci);
        self.notes_on_git(&changes);
        Ok(InitPlan {
            expected: Expected {
                load: LoadOptions {
                    manifest_path: Some(self.root.join("Cargo.toml")),
                    directory: self.root.clone(),
                    cargo: self.load.cargo.clone(),
                    env: self.load.env.clone(),
                },
                members: self.members().map(|p| p.manifest_path.clone().into()).collect(),
                xtask: becomes_member.then(|| self.root.join("xtask/Cargo.toml")),
            },
            root: self.root.clone(),
            changes,
            by_hand: std::mem::take(&mut self.by_hand),
            in_place: std::mem::take(&mut self.in_place),
            notes: std::mem::take(&mut self.notes),
        })
    }

    // ---- the xtask

    fn new_xtask(&mut self, main_is_there: bool) -> Result<Vec<Change>> {
        let dependency = self.dependency(&self.root.join("xtask"))?;
        let manifest = texts::xtask_manifest(&self.inherited(), &dependency);
        let new = |path: &str, after: String| Change { path: path.into(), before: None, after };
        let mut files = vec![new("xtask/src/main.rs", texts::MAIN.into())];
        if main_is_there {
            files.clear();
        }
        // Last: a directory without it is no package.
        files.push(new("xtask/Cargo.toml", manifest));
        Ok(files)
    }

    /// As `cargo new` does it, the xtask inherits from the workspace; not its `rust-version`, which is not the xtask's.
    fn inherited(&self) -> Inherited {
        let of_workspace =
            |key: &str| self.manifest.get(&["workspace", "package", key]).and_then(Json::as_str);
        let mut out =
            Inherited { lints: self.manifest.get(&["workspace", "lints"]).is_some(), ..Inherited::default() };
        match of_workspace("edition") {
            // There a path to another crate needs `extern crate`.
            None | Some("2015") => {
                let newest = self.members().map(|p| p.edition.as_str().to_owned()).max();
                out.edition = Some(newest.filter(|e| e != "2015").unwrap_or_else(|| "2021".into()));
            }
            Some(_) => out.keys.push("edition"),
        }
        if of_workspace("license").is_some() {
            out.keys.push("license");
        }
        out
    }

    /// The line that asks for backstop in a manifest in `directory`.
    fn dependency(&self, directory: &Path) -> Result<String> {
        let text = match &self.options.dependency {
            None if self.manifest.get(&["workspace", "dependencies", "backstop"]).is_some() => {
                return Ok(texts::DEPENDENCY_OF_WORKSPACE.into());
            }
            None => {
                let message = "where the xtask gets backstop from is not known";
                return Err(Error::new(ErrorKind::Usage, message)
                    .with_help("name it: --path DIR, --git URL or --version V"));
            }
            Some(Dependency::Path(path)) => {
                texts::dependency(&Dependency::Path(self.path_to_backstop(path, directory)?))
            }
            Some(other) => texts::dependency(other),
        };
        Ok(text)
    }

    /// The path as the manifest in `directory` has to say it: relative where it was given so or lies in the workspace.
    fn path_to_backstop(&self, given: &Path, directory: &Path) -> Result<PathBuf> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::Usage, format!("{what} in `{}`", show_path(given)))
                .with_help("--path names the directory that holds backstop's Cargo.toml")
        };
        let full =
            canonical(&self.load.directory.join(given)).map_err(|e| wrong("no package").with_source(e))?;
        let manifest = read_toml(&full, Path::new("Cargo.toml"))?.ok_or_else(|| wrong("no Cargo.toml"))?;
        if manifest.get(&["package", "name"]).and_then(Json::as_str) != Some("backstop") {
            return Err(wrong("no package `backstop`"));
        }
        let path = if given.is_relative() || full.starts_with(&self.root) {
            relative(directory, &full)
        } else {
            full
        };
        if path.to_str().is_none() {
            return Err(wrong("a manifest can only name what is UTF-8: no package"));
        }
        Ok(path)
    }

    /// What a person has to add to an xtask that has code of its own.
    fn lines_for(&mut self, manifest: &Path, main: &Path, asks: bool) -> Result<()> {
        if !asks {
            let directory = manifest.parent().unwrap_or(&self.root).to_path_buf();
            let line = self.dependency(&directory)?;
            self.by_hand.push(ByHand {
                path: manifest.strip_prefix(&self.root).unwrap_or(manifest).into(),
                place: "under [dependencies]".into(),
                lines: format!("{line}\n"),
            });
        }
        self.by_hand.push(ByHand {
            path: main.strip_prefix(&self.root).unwrap_or(main).into(),
            place: "as the new `main`; the present one becomes `xtask_main`".into(),
            lines: texts::MAIN_BY_HAND.into(),
        });
        Ok(())
    }

    // ---- CI

    fn ci(&mut self) -> Result<Vec<Change>> {
        let mut out = Vec::new();
        let below = |store: &&str| !store.starts_with('/') && !store.split('/').any(|part| part == "..");
        let store = Some(self.store()).filter(below).unwrap_or("backup").to_owned();
        for ci in &self.options.ci {
            let (path, text) = texts::ci(*ci, &store);
            match read_text(&self.root, path)? {
                None => out.push(Change { path: path.into(), before: None, after: text }),
                Some(there) if there == text || there.contains("xtask backup") => {
                    self.in_place.push(format!("`{}` is there", show_path(path)));
                }
                Some(_) => self.by_hand.push(ByHand {
                    path: path.into(),
                    place: "the job; the file is somebody else's".into(),
                    lines: text,
                }),
            }
        }
        Ok(out)
    }
}

/// `to` as seen from the directory `from`; both absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Path::new(".."), from.len() - common);
    up.chain(to[common..].iter().map(|c| Path::new(c.as_os_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_seen_from_where_it_is_written() {
        for (from, to, path) in [
            ("/a/b", "/a/c", "../c"),
            ("/a/b", "/a/b/c", "c"),
            ("/a/b", "/", "../.."),
            ("/a", "/b/c", "../b/c"),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(path));
        }
    }
}
