//! The alias and its profile in cargo's configuration.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::edit::Toml;
use super::existing::{Alias, Xtask};
use super::planner::{Planner, broken};
use super::{ByHand, Change, texts};
use crate::error::Result;
use crate::path::show_path;
use crate::quote::toml_string;

/// The configuration that cargo reads: the old name wins where both are there.
pub(super) fn config_path(root: &Path) -> &'static Path {
    let old = Path::new(".cargo/config");
    if root.join(old).is_file() { old } else { Path::new(".cargo/config.toml") }
}

impl Planner<'_> {
    /// The configuration with what it lacks of both.
    pub(super) fn config(
        &mut self,
        path: &Path,
        old: Option<&Toml>,
        alias: &Alias,
        xtask: &Xtask,
    ) -> Result<Option<Change>> {
        let apart = matches!(xtask, Xtask::Foreign { member: false, .. });
        let renamed = xtask.package().is_some_and(|name| name != "xtask");
        if old.is_none() && !apart && !renamed && !self.manifest_has_profile() {
            return Ok(Some(Change { path: path.into(), before: None, after: texts::CONFIG.into() }));
        }
        let empty = Toml::parse("").map_err(broken(path))?;
        let base = old.unwrap_or(&empty);
        let with_alias = self.with_alias(path, base, alias, xtask);
        let with_profile = self.with_profile(path, with_alias.as_ref().unwrap_or(base));
        Ok(with_profile.or(with_alias).map(|new| Change {
            path: path.into(),
            before: old.map(|old| old.text().to_owned()),
            after: new.text().to_owned(),
        }))
    }

    fn with_alias(&mut self, path: &Path, base: &Toml, alias: &Alias, xtask: &Xtask) -> Option<Toml> {
        if let Alias::Words(words) = alias {
            if alias.has_profile() {
                self.in_place.push(format!("the alias is `{}`", words.join(" ")));
            } else {
                self.note(format!(
                    "the alias `xtask` in `{}` is kept; with `--profile xtask` behind its `run`, backstop hashes \
                     and compresses many times faster",
                    show_path(path)
                ));
            }
            return None;
        }
        let (value, apart) = match xtask {
            Xtask::Foreign { member: false, manifest, .. } => {
                (format!("run --profile xtask --manifest-path {} --", self.below(manifest)), true)
            }
            _ => {
                let package = xtask.package().unwrap_or("xtask");
                (texts::ALIAS.replace("--package xtask", &format!("--package {package}")), false)
            }
        };
        let text = toml_string(&value);
        // From a subdirectory, such an alias finds no manifest: whoever has one knows why.
        let edited = if apart { None } else { base.with_entry("alias", "xtask", &text, &Json::from(value)) };
        if edited.is_none() {
            self.by_hand.push(ByHand {
                path: path.into(),
                place: "in [alias]".into(),
                lines: format!("xtask = {text}\n"),
            });
        }
        edited
    }

    fn with_profile(&mut self, path: &Path, base: &Toml) -> Option<Toml> {
        if base.get(&["profile", "xtask"]).is_some() || self.manifest_has_profile() {
            self.in_place.push("there is a profile `xtask`".into());
            return None;
        }
        let own = Toml::parse(texts::profile()).ok();
        let own = own.as_ref().and_then(|t| t.get(&["profile", "xtask"])).cloned();
        let edited = base.with_end(texts::profile(), |meaning| {
            let root = meaning.as_object_mut()?;
            let profiles = root.entry("profile").or_insert_with(|| Json::Object(Map::new()));
            profiles.as_object_mut()?.insert("xtask".into(), own?);
            Some(())
        });
        if edited.is_none() {
            self.by_hand.push(ByHand {
                path: path.into(),
                place: "the profile, which makes backstop fast".into(),
                lines: texts::profile().into(),
            });
        }
        edited
    }

    fn manifest_has_profile(&self) -> bool {
        self.manifest.get(&["profile", "xtask"]).is_some()
    }
}
