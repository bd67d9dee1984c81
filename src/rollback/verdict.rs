//! What cargo will say of a workspace: the part of `cargo metadata` that a rollback can break, computed without cargo (I5).
//! A directory under a glob without a manifest, two packages of one name, a path that leads nowhere.

use std::path::{Path, PathBuf};

use super::after::After;
use super::lockfile::without_sources;
use super::requirements::{Dependency, dependencies, is_dependencies};
use super::sources::{TARGET_KINDS, TargetKind};
use crate::order;
use crate::path::{clean, relative, show_path, show_text};
use crate::toml::Document;

/// Why cargo will refuse the workspace, or build something else than it did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    /// The directories and manifests that it is about, absolute; the first is where it shows.
    pub(super) places: Vec<PathBuf>,
    /// What is wrong, what cargo says of it, and what to do.
    pub(super) problem: String,
}

/// The members as cargo would find them, and what it would refuse.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Directory, manifest, and the pattern that made it a member, if one did.
    pub(super) members: Vec<Member>,
    pub(super) troubles: Vec<Trouble>,
}

/// A member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) directory: PathBuf,
    /// By what it is one: for people.
    pub(super) by: String,
    manifest: Document,
}

impl Member {
    /// What to say of one that was none when the restore point was made, and that stays.
    pub(super) fn came_since(&self) -> Trouble {
        let problem = format!(
            "{} and came since the restore point: cargo will take it for a member; move the directory away",
            self.by
        );
        Trouble { places: vec![self.directory.clone()], problem }
    }

    /// The name of the package.
    pub(super) fn name(&self) -> Option<&str> {
        self.manifest.strings(&["package", "name"]).next()
    }
}

/// Judges a tree. A root manifest that cannot be read is all that there is to say.
pub(super) fn judge(after: &After<'_>) -> Verdict {
    let root = after.workspace.clone();
    let mut judge = Judge {
        after,
        root: Document::default(),
        seen: order::Set::new(),
        needs: Vec::new(),
        out: Verdict::default(),
    };
    let place = root.join("Cargo.toml");
    match after.manifest(&place).map(|text| Document::read(&text)) {
        None => judge.trouble(
            [place],
            "is missing: cargo finds no workspace here; restore it with `--only Cargo.toml`".into(),
        ),
        Some(None) => judge.trouble([place], "is no TOML that cargo can read; fix it".into()),
        Some(Some(document)) => {
            judge.root = document;
            judge.workspace(&root);
        }
    }
    judge.out
}

struct Judge<'a, 'b> {
    after: &'a After<'b>,
    root: Document,
    seen: order::Set<PathBuf>,
    /// Which member's directory needs which to be built first.
    needs: Vec<(PathBuf, PathBuf)>,
    out: Verdict,
}

impl Judge<'_, '_> {
    fn trouble(&mut self, places: impl IntoIterator<Item = PathBuf>, problem: String) {
        self.out.troubles.push(Trouble { places: places.into_iter().collect(), problem });
    }

    fn list(&self, key: &str) -> Vec<String> {
        self.root.strings(&["workspace", key, ""]).map(str::to_owned).collect()
    }

    fn workspace(&mut self, root: &Path) {
        if self.root.has(&["package"]) {
            self.member(root.to_path_buf(), "the root package".into());
        }
        if !self.root.has(&["workspace"]) {
            self.claimed_from_above(root);
        }
        let mut named = Vec::new();
        for pattern in self.list("members") {
            let (found, wild) = self.after.expand(&pattern);
            let by = if wild { "matches" } else { "is listed as" };
            for directory in found {
                named.push(directory.clone());
                self.member(directory, format!("{by} `{}` of `members`", show_text(&pattern)));
            }
        }
        for pattern in self.list("default-members") {
            for directory in self.after.expand(&pattern).0 {
                let is_member = self.out.members.iter().any(|m| m.directory == directory);
                if !is_member && !named.contains(&directory) {
                    let pattern = show_text(&pattern);
                    self.trouble(
                        [directory, root.join("Cargo.toml")],
                        format!(
                            "is named by `{pattern}` of `default-members` and no member: cargo will say that it \"is \
                             listed in default-members but is not a member\"; move it away, or correct \
                             `default-members`"
                        ),
                    );
                }
            }
        }
        for replaced in self.root.clone().strings(&["patch", "*", "*", "path"]) {
            self.path_dependency(root, &Dependency::patch(clean(&root.join(replaced))));
        }
        self.names();
        self.circles();
        if let Some((places, problem)) = without_sources(self.after) {
            self.trouble(places, problem);
        }
    }

    /// Whether `exclude` keeps a directory out: by the path's start, and `members` beats it where it names the path.
    fn is_excluded(&self, directory: &Path) -> bool {
        let below = |key: &str| {
            self.list(key).iter().any(|path| directory.starts_with(clean(&self.after.workspace.join(path))))
        };
        below("exclude") && !below("members")
    }

    fn member(&mut self, directory: PathBuf, by: String) {
        if self.is_excluded(&directory) || !self.seen.insert(directory.clone()) {
            return;
        }
        let place = directory.join("Cargo.toml");
        let Some(text) = self.after.manifest(&place) else {
            return self.trouble(
                [directory.clone(), self.after.workspace.join("Cargo.toml")],
                format!(
                    "{by} and has no Cargo.toml: cargo will refuse the whole workspace with \"failed to load manifest for \
                     workspace member\"; {}",
                    if self.after.is_dir(&directory) {
                        "move the directory away"
                    } else {
                        "restore it, or take it out of `members`"
                    }
                ),
            );
        };
        let Some(manifest) = Document::read(&text) else {
            return self.trouble([place], format!("{by} and is no TOML that cargo can read; fix it"));
        };
        let is_root = directory == self.after.workspace;
        let problem = if manifest.has(&["workspace"]) && !is_root {
            "has a `[workspace]` of its own: cargo will say \"multiple workspace roots found\""
        } else if !manifest.has(&["package"]) && !manifest.has(&["project"]) {
            "has no `[package]`: cargo will say \"failed to load manifest for workspace member\""
        } else if self.has_no_target(&directory, &manifest) {
            "has no source: cargo will say \"no targets specified in the manifest\""
        } else {
            ""
        };
        if !problem.is_empty() {
            self.trouble(
                [place.clone()],
                format!("{by} and {problem}; move the directory away, or correct it"),
            );
        }
        self.out.members.push(Member { directory: directory.clone(), by, manifest: manifest.clone() });
        for (what, source) in self.missing_sources(&directory, &manifest) {
            let source = show_path(&relative(&self.after.workspace, &source));
            self.trouble(
                [place.clone()],
                format!("names `{source}` as {what}, which is missing: cargo will say \"can't find\" it; restore it, or correct the manifest"),
            );
        }
        self.dependencies_of(&directory, &manifest, true);
    }

    /// The sources that a manifest names and that are not there.
    fn missing_sources(&self, directory: &Path, manifest: &Document) -> Vec<(String, PathBuf)> {
        let mut out = Vec::new();
        let mut named = |what: String, keys: &[&str]| {
            let paths = manifest.strings(keys).map(|path| clean(&directory.join(path)));
            out.extend(paths.filter(|path| !self.after.is_file(path)).map(|path| (what.clone(), path)));
        };
        named("the build script".into(), &["package", "build"]);
        named("the library".into(), &["lib", "path"]);
        for kind in &TARGET_KINDS {
            named(kind.one(), &[kind.table, "", "path"]);
        }
        for kind in &TARGET_KINDS {
            let TargetKind { table, directory: dir, .. } = kind;
            // Which name and which path belong together does not stand here: where some have one, nothing is said.
            if manifest.strings(&[table, "", "path"]).next().is_some() {
                continue;
            }
            for name in manifest.strings(&[table, "", "name"]) {
                let mut places = vec![format!("{dir}/{name}.rs"), format!("{dir}/{name}/main.rs")];
                if *table == "bin" {
                    places.extend(["src/main.rs".to_owned(), format!("src/{name}.rs")]);
                }
                if !places.iter().any(|place| self.after.is_file(&directory.join(place))) {
                    out.push((kind.one(), directory.join(&places[0])));
                }
            }
        }
        out
    }

    fn has_no_target(&self, directory: &Path, manifest: &Document) -> bool {
        let told = manifest.has(&["lib"]) || TARGET_KINDS.iter().any(|kind| manifest.has(&[kind.table]));
        let files = ["src/lib.rs", "src/main.rs"];
        !told
            && !files.iter().any(|file| self.after.is_file(&directory.join(file)))
            && !TARGET_KINDS.iter().any(|kind| self.after.is_dir(&directory.join(kind.directory)))
    }

    /// What a manifest in `directory` depends on by a path. What lies in the workspace is a member by it.
    fn path_dependency(&mut self, directory: &Path, dependency: &Dependency) {
        let Dependency { name, path, .. } = dependency;
        let place = directory.join("Cargo.toml");
        let there = path.join("Cargo.toml");
        let shown = show_path(&relative(&self.after.workspace, path));
        let Some(text) = self.after.manifest(&there) else {
            return self.trouble(
                [place, path.clone()],
                format!(
                    "names {} in `{shown}`, where no Cargo.toml is: cargo will say \"failed to load\"; restore that, or \
                     correct the manifest",
                    match name {
                        None => "a `[patch]`".into(),
                        Some(name) => format!("the dependency `{}`", show_text(name)),
                    }
                ),
            );
        };
        let found = Document::read(&text).unwrap_or_default();
        if let (Some(found), Some(name)) = (found.strings(&["package", "name"]).next(), name)
            && found != name
        {
            let (name, found) = (show_text(name), show_text(found));
            return self.trouble(
                [place, there],
                format!(
                    "names the dependency `{name}` in `{shown}`, and the package there is `{found}`: cargo will say \"no \
                     matching package found\"; roll back both, or correct the manifest"
                ),
            );
        }
        let is_member = path.starts_with(&self.after.workspace) && name.is_some() && !self.is_excluded(path);
        let root = if is_member { self.root.clone() } else { self.root_of(path, &found).1 };
        for problem in dependency.misfits(&found, &root) {
            self.trouble([place.clone(), there.clone()], problem);
        }
        if is_member {
            let by =
                format!("is a path dependency of `{}`", show_path(&relative(&self.after.workspace, &place)));
            self.member(path.clone(), by);
        } else if self.seen.insert(path.clone()) {
            self.dependencies_of(path, &found, false);
        }
    }

    /// What a package inherits, and what it depends on by a path: that has to be there, and to fit. Cargo looks at
    /// development dependencies of members alone.
    fn dependencies_of(&mut self, directory: &Path, manifest: &Document, member: bool) {
        let (base, root) = match member {
            true => (self.after.workspace.clone(), self.root.clone()),
            false => self.root_of(directory, manifest),
        };
        self.inherited(&directory.join("Cargo.toml"), manifest, &base, &root);
        for dependency in dependencies(manifest, &root, directory, &base) {
            if dependency.dev && !member {
                continue;
            }
            if !dependency.dev {
                self.needs.push((directory.to_path_buf(), dependency.path.clone()));
            }
            self.path_dependency(directory, &dependency);
        }
    }

    /// The workspace that a package which is no member belongs to: its directory, and its manifest.
    fn root_of(&self, directory: &Path, manifest: &Document) -> (PathBuf, Document) {
        let named = manifest.strings(&["package", "workspace"]).next().map(|dir| clean(&directory.join(dir)));
        let above = directory.ancestors().filter(|_| named.is_none()).map(Path::to_path_buf);
        let mut read = named.iter().cloned().chain(above).filter_map(|dir| {
            let document = Document::read(&self.after.manifest(&dir.join("Cargo.toml"))?)?;
            document.has(&["workspace"]).then_some((dir, document))
        });
        read.next().unwrap_or_else(|| (directory.to_path_buf(), manifest.clone()))
    }

    /// What a member takes from the root manifest has to stand there.
    fn inherited(&mut self, place: &Path, manifest: &Document, base: &Path, root: &Document) {
        let mut missing = order::Set::new();
        for scalar in manifest.scalars.iter().filter(|s| s.text == "true" && !s.is_string) {
            let keys: Vec<&str> = scalar.path.iter().map(String::as_str).collect();
            match keys.as_slice() {
                ["package", key, "workspace"] if !root.has(&["workspace", "package", key]) => {
                    missing.insert(format!("workspace.package.{key}"));
                }
                ["lints", "workspace"] if !root.has(&["workspace", "lints"]) => {
                    missing.insert("workspace.lints".to_owned());
                }
                [.., table, name, "workspace"]
                    if is_dependencies(table) && !root.has(&["workspace", "dependencies", name]) =>
                {
                    missing.insert(format!("workspace.dependencies.{name}"));
                }
                _ => {}
            }
        }
        for key in missing.iter() {
            let key = show_text(key);
            self.trouble(
                [place.to_path_buf(), base.join("Cargo.toml")],
                format!(
                    "inherits `{key}`, which the root manifest does not have: cargo will say \"error inheriting\"; roll back \
                     both manifests, or correct one"
                ),
            );
        }
    }

    /// No two members have one name.
    fn names(&mut self) {
        let mut names: order::Map<String, PathBuf> = order::Map::new();
        let mut twice = Vec::new();
        for member in &self.out.members {
            let Some(name) = member.name() else { continue };
            match names.get(name) {
                Some(first) => twice.push((name.to_owned(), first.clone(), member.directory.clone())),
                None => drop(names.insert(name.to_owned(), member.directory.clone())),
            }
        }
        for (name, first, second) in twice {
            let (name, first_shown) = (show_text(&name), show_path(&relative(&self.after.workspace, &first)));
            let problem = format!(
                "and `{first_shown}` both hold a package `{name}`: cargo will say \"two packages named `{name}` in this \
                 workspace\"; move one of them away"
            );
            self.trouble([second, first], problem);
        }
    }

    /// No package needs itself, whatever lies between.
    fn circles(&mut self) {
        loop {
            let before = self.needs.len();
            let waiting: order::Set<PathBuf> = order::gather(self.needs.iter().map(|(from, _)| from.clone()));
            self.needs.retain(|(_, to)| waiting.contains(to));
            if self.needs.is_empty() {
                return;
            }
            if self.needs.len() == before {
                break;
            }
        }
        let places: Vec<PathBuf> = self.needs.iter().map(|(from, _)| from.join("Cargo.toml")).collect();
        let problem = "and what it depends on need each other: cargo will say \"cyclic package dependency\"; roll back \
                       both sides, or correct a manifest";
        self.trouble(places, problem.into());
    }

    /// Without `[workspace]` of its own, the package belongs to the next workspace above that does not exclude it.
    fn claimed_from_above(&mut self, root: &Path) {
        for above in root.ancestors().skip(1) {
            let place = above.join("Cargo.toml");
            let Ok(text) = std::fs::read(&place) else { continue };
            let document = Document::read(&text);
            if document.as_ref().is_some_and(|d| !d.has(&["workspace"])) {
                continue;
            }
            let excluded = document.iter().any(|d| {
                let mut out = d.strings(&["workspace", "exclude", ""]);
                out.any(|path| root.starts_with(clean(&above.join(path))))
            });
            if !excluded {
                self.trouble(
                    [place],
                    "lies above the workspace, and cargo takes it for its root: it will say \"current package believes it's \
                     in a workspace when it's not\", or build there; move it away, or add an empty `[workspace]` to this \
                     workspace's Cargo.toml"
                        .into(),
                );
            }
            return;
        }
    }
}
