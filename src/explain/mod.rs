//! Why a path is protected or not: the rule, and the file and line that it stands in. Paths that do not exist are
//! judged by what would become of them.

mod rule;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::glob;
use crate::manifest::{Pattern, Place, Reason};
use crate::path::{RelPath, canonical, show_path, show_text};
use crate::quote::toml_string;
use crate::select::inputs::{Evidence, Inputs, Reader, is_the_machines, is_the_walks, said};
use crate::select::read::{chain, outside_setting};
use crate::select::walk::Walk;
use crate::select::{Candidate, ProtectedSet, RootDirectory, SkipReason};
use crate::settings::{PathPattern, ScopeSetting};
use crate::workspace::{LocalPackage, Workspace};

pub use rule::Rule;
use rule::{git_rule, holds, in_settings};

/// What is said of one path.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Explanation {
    /// The path, absolute; links in the directories above it are resolved.
    #[serde(serialize_with = "crate::text::serialize_path")]
    pub path: PathBuf,
    /// Whether anything stands there.
    pub exists: bool,
    /// Whether a restore point that is made now holds it; where it does not exist, whether it would.
    pub protected: bool,
    /// The rules that decide it, the decisive one first. At least one.
    pub rules: Vec<Rule>,
    /// What would change the verdict; absent where it is protected or nothing would.
    pub remedy: Option<String>,
}

/// Explains each of `paths`, which are absolute. `set` is what [`crate::select::select`] gave for the workspace.
pub fn explain(workspace: &Workspace, set: &ProtectedSet, paths: &[PathBuf]) -> Vec<Explanation> {
    let explainer = Explainer { workspace, set, inputs: with_links(said(workspace)) };
    paths.iter().map(|path| explainer.explain(&resolved(path))).collect()
}

/// Adds what a build went through to read a path, and where it came to.
fn with_links(said: Inputs) -> Inputs {
    let (mut out, mut resolved) = (Inputs::new(), HashMap::new());
    for (path, evidence) in said {
        for step in chain(&path, &mut resolved) {
            out.entry(step).or_insert_with(|| evidence.clone());
        }
        out.insert(path, evidence);
    }
    out
}

/// The path without `.`, `..` and links, its last component apart.
fn resolved(path: &Path) -> PathBuf {
    let path = crate::path::clean(path);
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => crate::path::resolved(parent).join(name),
        _ => path,
    }
}

struct Explainer<'a> {
    workspace: &'a Workspace,
    set: &'a ProtectedSet,
    inputs: Inputs,
}

/// A path, and the root that holds it.
struct Placed<'a> {
    full: &'a Path,
    root: &'a RootDirectory,
    path: RelPath,
    exists: bool,
}

impl Explainer<'_> {
    fn explain(&self, full: &Path) -> Explanation {
        let exists = full.symlink_metadata().is_ok();
        let done = |protected, rules, remedy| Explanation {
            path: full.to_path_buf(),
            exists,
            protected,
            rules,
            remedy,
        };
        let holds = |root: &&RootDirectory| full.starts_with(&root.directory);
        let Some(root) = self.set.roots.iter().filter(holds).max_by_key(|r| r.directory.components().count())
        else {
            return self.outside(full, done);
        };
        let Some(path) = RelPath::strip(&root.directory, full) else {
            return done(true, vec![self.root(root)], None);
        };
        let placed = Placed { full, root, path, exists };
        let key = (&placed.root.root.name, &placed.path);
        if let Ok(index) = self.set.entries.binary_search_by(|e| (&e.root, &e.path).cmp(&key)) {
            return done(true, self.protected(&placed, &self.set.entries[index]), None);
        }
        let (protected, rules, remedy) = self.by_rules(&placed);
        done(protected, rules, remedy)
    }

    fn outside(
        &self,
        full: &Path,
        done: impl Fn(bool, Vec<Rule>, Option<String>) -> Explanation,
    ) -> Explanation {
        if let Some(store) = full.ancestors().find(|dir| crate::store::is_store(dir)) {
            let text = format!("`{}` is a store of restore points", show_path(store));
            return done(false, vec![Rule::own(text)], None);
        }
        let mut rules = vec![Rule::own("it lies outside the workspace and every path dependency")];
        rules.extend(self.read_by(full));
        if self.workspace.steering.iter().any(|file| file == full) {
            rules.push(Rule::own("cargo reads it: it lies above the workspace"));
        }
        // The system's files are nobody's to bring back.
        let setting = Some(full).filter(|full| !is_the_machines(full, &self.workspace.root));
        let setting = setting.and_then(|full| outside_setting(self.workspace, full));
        let remedy = setting.as_deref().and_then(Path::to_str);
        let remedy = remedy.map(|dir| format!("outside = [{}] protects its directory", toml_string(dir)));
        done(false, rules, remedy)
    }

    /// Why a directory is one that protected files count from.
    fn root(&self, root: &RootDirectory) -> Rule {
        if root.root.name.is_workspace() {
            return Rule::own("it is the workspace root");
        }
        match self.outside_root(root) {
            Some(rule) => rule,
            None => match self.workspace.packages.iter().find(|p| p.directory == root.directory) {
                Some(package) => named(package, "it is"),
                None => Rule::own("it is a directory that protected files count from"),
            },
        }
    }

    /// The setting `outside` that makes a root of it.
    fn outside_root(&self, root: &RootDirectory) -> Option<Rule> {
        let (_, text) = self.workspace.outside.iter().find(|(dir, _)| *dir == root.directory)?;
        Some(self.outside_setting(text))
    }

    /// Each reason of an entry, with its place; and who read it in the last builds.
    fn protected(&self, at: &Placed<'_>, entry: &Candidate) -> Vec<Rule> {
        let mut rules: Vec<Rule> = entry.reasons.iter().map(|reason| self.reason(at, reason)).collect();
        if !entry.reasons.iter().any(|r| matches!(r, Reason::CompilerRead | Reason::BuildScriptRead)) {
            rules.extend(self.read_by(at.full));
        }
        rules
    }

    fn reason(&self, at: &Placed<'_>, reason: &Reason) -> Rule {
        match reason {
            Reason::Member | Reason::PathDependency => {
                let wanted = *reason == Reason::Member;
                match self.owners(at.full).into_iter().rev().find(|p| p.member == wanted) {
                    Some(package) => named(package, "it lies in"),
                    None => Rule::own("it lies in a package"),
                }
            }
            Reason::WorkspaceFile if at.path.parent().is_none() => {
                Rule::own("it stands at the workspace root")
            }
            Reason::WorkspaceFile if !at.path.as_bytes().starts_with(b".c") => {
                Rule::own("cargo's configuration or a manifest names it, or a directory that it lies in")
            }
            Reason::WorkspaceFile => Rule::own("its directory steers the build of the whole workspace"),
            Reason::Scope => self.scope_setting(),
            Reason::Tracked => match git_rule(at.full, true) {
                Some(rule) => {
                    Rule { text: format!("git tracks it, although a rule ignores it: {}", rule.text), ..rule }
                }
                None => Rule::own("git tracks it"),
            },
            Reason::Include(text) => match self.pattern(&self.workspace.settings.include, text, at) {
                Some(rule) => rule,
                None => self.outside_setting(text),
            },
            Reason::PackageFile => {
                let name = at.path.file_name().to_string_lossy().into_owned();
                let package =
                    self.workspace.packages.iter().find(|p| {
                        p.files.iter().chain(&p.crate_roots).any(|file| resolved(file) == *at.full)
                    });
                match package {
                    Some(package) => {
                        let package_name = show_text(&package.name);
                        let keys = ["readme", "license-file", "build", "path"];
                        let text = format!("the manifest of `{package_name}` names it");
                        let rule = Rule::in_manifest(text, &package.directory, |_, line| {
                            line.split_once('=').is_some_and(|(key, value)| {
                                keys.contains(&key.trim()) && value.contains(&name)
                            })
                        });
                        match rule.line {
                            Some(_) => rule,
                            // Found by cargo at its usual place.
                            None => {
                                Rule { text: format!("a target of `{package_name}` starts at it"), ..rule }
                            }
                        }
                    }
                    None => Rule::own("a manifest names it"),
                }
            }
            Reason::CompilerRead | Reason::BuildScriptRead => {
                self.read_by(at.full).unwrap_or_else(|| Rule::own("a build read it"))
            }
            Reason::Parent => Rule::own("it holds something protected, or leads to it"),
            Reason::Present => Rule::own("it stood there when a rollback began"),
        }
    }

    /// What would become of a path by the rules alone: the first that fits decides, as in a selection.
    fn by_rules(&self, at: &Placed<'_>) -> (bool, Vec<Rule>, Option<String>) {
        let no = |rule: Rule, remedy: Option<String>| (false, vec![rule], remedy);
        if let Some(rule) = self.never(at) {
            return no(rule, None);
        }
        let excludes = |p: &&Pattern| glob::matches(p, &at.root.root.name, &at.path);
        if let Some(pattern) = self.set.scope.excluded.iter().find(excludes) {
            let rule = self.pattern(&self.workspace.settings.exclude, &pattern.glob, at);
            let rule = rule.unwrap_or_else(|| Rule::own("a pattern of the settings excludes it"));
            return no(rule, Some("take the pattern out of `exclude`".into()));
        }
        for include in &self.workspace.settings.include {
            if let Some(rule) = self.pattern(std::slice::from_ref(include), &include.glob, at) {
                return (true, vec![rule], None);
            }
        }
        // A pattern counts from the manifest that it stands in, and reaches only what lies in the same root.
        let include = |path: &str, rest: &str| self.include(at, path, rest);
        let watched = at.full.ancestors().find_map(|dir| self.inputs.get_key_value(dir));
        if let Some((dir, _)) = watched
            && !is_the_walks(self.workspace, dir)
            && !at.exists
        {
            return (true, self.read_by(at.full).into_iter().collect(), None);
        }
        if let Some(rule) = git_rule(at.full, false) {
            let remedy = include(&at.path.to_string(), "");
            return no(Rule { text: format!("git ignores it: {}", rule.text), ..rule }, remedy);
        }
        if let Some(rule) = self.outside_root(at.root) {
            return (true, vec![rule], None);
        }
        let special = self.skipped(at, |why| matches!(why, SkipReason::Special(_) | SkipReason::Unnameable));
        if let Some(why) = special {
            return no(why, None);
        }
        let directory = at.exists && at.full.is_dir();
        if let Some(package) = self.owners(at.full).last() {
            let rule = named(package, "it lies in");
            return match (directory, at.exists) {
                // Only what is in it is protected, and nothing is.
                (true, _) => {
                    no(Rule { text: format!("{}, and holds nothing protected", rule.text), ..rule }, None)
                }
                _ => (true, vec![rule], None),
            };
        }
        if self.workspace.settings.scope == ScopeSetting::Workspace && at.root.root.name.is_workspace() {
            return (true, vec![self.scope_setting()], None);
        }
        if at.root.root.name.is_workspace() && at.path.parent().is_none() && !directory {
            return (true, vec![Rule::own("it stands at the workspace root")], None);
        }
        let top = at.path.ancestors().last().map_or_else(|| at.path.to_string(), |dir| dir.to_string());
        if at.root.root.name.is_workspace() && [".cargo", ".config"].contains(&top.as_str()) && !at.exists {
            return (true, vec![self.reason(at, &Reason::WorkspaceFile)], None);
        }
        let start = if directory { at.path.to_string() } else { top };
        no(Rule::own("it lies in no package of the workspace"), include(&start, "/**"))
    }

    /// The setting that includes a path of the root, where one can.
    fn include(&self, at: &Placed<'_>, path: &str, rest: &str) -> Option<String> {
        let pattern = |path: &str| toml_string(&format!("{}{rest}", glob::literal(path)));
        // A pattern is text.
        at.full.to_str()?;
        if at.root.root.name.is_workspace() {
            return Some(format!("include = [{}]", pattern(path)));
        }
        let package = self.owners(at.full).into_iter().next_back()?;
        let base = RelPath::strip(&at.root.directory, &package.directory);
        let path = base.map_or(Some(path), |base| path.strip_prefix(&format!("{base}/")))?;
        let manifest = show_path(&package.directory.join("Cargo.toml"));
        Some(format!("in [package.metadata.backstop] of {manifest}: include = [{}]", pattern(path)))
    }

    /// What no rule of anybody's brings in: a store, a target directory, version control.
    fn never(&self, at: &Placed<'_>) -> Option<Rule> {
        let mut skip: Vec<(PathBuf, SkipReason)> = Vec::new();
        skip.extend(
            self.workspace.target_directories.iter().map(|d| (d.clone(), SkipReason::TargetDirectory)),
        );
        let walk = Walk::new(&at.root.directory, &skip);
        let mut dirs: Vec<RelPath> = at.path.ancestors().collect();
        dirs.reverse();
        let last = (at.path.clone(), at.full.is_dir());
        for (path, is_dir) in dirs.into_iter().map(|dir| (dir, true)).chain([last]) {
            let full = at.root.directory.join(&path);
            let shown = show_path(&full);
            return Some(match walk.never(&full, is_dir) {
                None => continue,
                Some(SkipReason::VersionControl) => {
                    Rule::own(format!("`{shown}` belongs to a version control system"))
                }
                Some(SkipReason::Store) => Rule::own(format!("`{shown}` is a store of restore points")),
                Some(_) if full.join("CACHEDIR.TAG").is_file() => Rule {
                    text: "it lies in a directory that is marked as a cache".into(),
                    file: Some(full.join("CACHEDIR.TAG")),
                    line: Some(1),
                },
                Some(_) => Rule::own(format!("`{shown}` is a target directory of cargo")),
            });
        }
        self.skipped(at, |why| {
            matches!(
                why,
                SkipReason::Store
                    | SkipReason::OtherRoot
                    | SkipReason::OtherCheckout
                    | SkipReason::CargoHome
                    | SkipReason::Editor
            )
        })
    }

    fn skipped(&self, at: &Placed<'_>, which: impl Fn(&SkipReason) -> bool) -> Option<Rule> {
        let found = self
            .set
            .skipped
            .iter()
            .find(|s| s.root == at.root.root.name && at.path.is_in(&s.path) && which(&s.why))?;
        Some(Rule::own(match &found.why {
            SkipReason::Special(kind) => format!("it is a {kind}"),
            SkipReason::Unnameable => "its name cannot be kept".into(),
            SkipReason::OtherCheckout => {
                format!(
                    "`{}` belongs to another repository's working tree",
                    show_path(&at.root.directory.join(&found.path))
                )
            }
            SkipReason::Editor => "an editor keeps it while somebody has a file open".into(),
            SkipReason::CargoHome => "it is cargo's own state, as in `CARGO_HOME`".into(),
            SkipReason::OtherRoot => "it is kept under another root".into(),
            _ => "it is a store of restore points".into(),
        }))
    }

    fn owners(&self, full: &Path) -> Vec<&LocalPackage> {
        // Sorted by directory, the innermost comes last.
        self.workspace.packages.iter().filter(|p| full.starts_with(&p.directory)).collect()
    }

    /// The pattern `text` of a list, where it fits the path.
    fn pattern(&self, list: &[PathPattern], text: &str, at: &Placed<'_>) -> Option<Rule> {
        let fits = |p: &&PathPattern| {
            let Ok(directory) = canonical(&p.directory) else { return false };
            let root = &at.root.directory;
            if p.glob != text || !(directory.starts_with(root) || root.starts_with(&directory)) {
                return false;
            }
            let path = RelPath::strip(root, &directory);
            let base = Place { root: at.root.root.name.clone(), path };
            glob::matches(&Pattern { base, glob: p.glob.clone() }, &at.root.root.name, &at.path)
        };
        let found = list.iter().find(fits)?;
        let said = format!("the pattern `{}` of the settings names it", show_text(text));
        Some(Rule::in_manifest(said, &found.directory, |table, line| in_settings(table) && holds(line, text)))
    }

    fn outside_setting(&self, text: &str) -> Rule {
        let said = format!("the setting `outside` names `{}`", show_text(text));
        Rule::in_manifest(said, &self.workspace.root, |table, line| in_settings(table) && holds(line, text))
    }

    fn scope_setting(&self) -> Rule {
        let text = "the settings protect all that git does not ignore";
        Rule::in_manifest(text, &self.workspace.root, |table, line| {
            in_settings(table)
                && line
                    .split_once('=')
                    .is_some_and(|(key, value)| key.trim() == "scope" && value.contains("workspace"))
        })
    }

    /// Who read a path, or a directory above it, in the last builds.
    fn read_by(&self, full: &Path) -> Option<Rule> {
        let Evidence { reader, file, line } = full.ancestors().find_map(|dir| self.inputs.get(dir))?;
        let text = match reader {
            Reader::Compiler => "rustc read it in a build",
            Reader::BuildScript => "a build script asked cargo to watch it",
            Reader::Cargo => "cargo reads it",
        };
        Some(Rule { text: text.into(), file: Some(file.clone()), line: Some(*line) })
    }
}

fn named(package: &LocalPackage, how: &str) -> Rule {
    let kind = if package.member { "member" } else { "path dependency" };
    let text = format!("{how} the {kind} `{}`", show_text(&package.name));
    let quoted = format!("\"{}\"", package.name);
    Rule::in_manifest(text, &package.directory, |table, line| {
        table == "package"
            && line
                .split_once('=')
                .is_some_and(|(key, value)| key.trim() == "name" && value.trim().starts_with(&quoted))
    })
}
