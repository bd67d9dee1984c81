//! The xtask, and the local packages that it is built from: the build's guard stays out of their way.
//!
//! The xtask is the package named `xtask`, the one that the alias `xtask` of a `.cargo/config.toml` runs, or one that
//! depends on backstop other than for its build script. It may be a workspace of its own. A package that a `[patch]`
//! table names counts as one that it is built from: what lies between, in a registry, is not known here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::order;
use crate::path::canonical;

/// Which directories each package is built from, by its own; its tests apart.
pub(super) type Edges = HashMap<PathBuf, Vec<PathBuf>>;

/// The directories and all that they are built from, without symbolic links, sorted.
pub(super) fn built_from(mut from: Vec<PathBuf>, edges: &Edges) -> Vec<PathBuf> {
    let mut out = order::Set::new();
    while let Some(directory) = from.pop() {
        let Ok(directory) = canonical(&directory) else { continue };
        from.extend(
            edges.get(&directory).filter(|_| !out.contains(&directory)).into_iter().flatten().cloned(),
        );
        out.insert(directory);
    }
    out.into_iter().collect()
}

/// What is found of an xtask without cargo metadata.
pub(super) struct Found {
    alias: Alias,
    /// The manifests of xtasks that may be workspaces of their own.
    manifests: order::Set<PathBuf>,
}

impl Found {
    /// Looks at the alias, and at the manifests of packages named `xtask` straight below the root.
    pub(super) fn read(root: &Path) -> Self {
        let alias = Alias::read(root);
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let is_xtask = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines().filter_map(|line| value(line.trim(), "name")).any(|name| strings(name) == ["xtask"])
        };
        let manifests = entries.map(|entry| entry.path().join("Cargo.toml")).filter(is_xtask);
        let manifests = manifests.chain(alias.manifest.clone()).collect();
        Found { alias, manifests }
    }

    /// Whether a package or a target with that name is the xtask.
    pub(super) fn names(&self, name: &str) -> bool {
        name == "xtask" || self.alias.package.as_deref() == Some(name)
    }

    /// Whether the root package is.
    pub(super) fn is_root_package(&self) -> bool {
        self.alias.is_bare
    }

    /// The manifests of those that may be workspaces of their own.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &Path> {
        self.manifests.iter().map(PathBuf::as_path)
    }
}

/// What `cargo xtask` runs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Alias {
    package: Option<String>,
    manifest: Option<PathBuf>,
    /// It is a `run` that names neither: the root package.
    is_bare: bool,
}

impl Alias {
    /// The nearest at or above a directory, as Cargo takes it. A path in it counts from where Cargo is called, which
    /// for one that works is that directory.
    fn read(root: &Path) -> Self {
        let configs =
            root.ancestors().flat_map(|dir| ["config.toml", "config"].map(|n| dir.join(".cargo").join(n)));
        let texts: Vec<String> = configs.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        let mut alias = Alias::of(&texts);
        alias.manifest = alias.manifest.map(|path| root.join(path));
        alias
    }

    fn of(texts: &[String]) -> Self {
        let Some(mut words) = words(texts, "xtask") else { return Alias::default() };
        // An alias of an alias; Cargo ends where they lead in a circle.
        for _ in 0..8 {
            let Some(more) = words.first().and_then(|first| self::words(texts, first)) else { break };
            words.splice(..1, more);
        }
        // What stands behind `--` is the xtask's own.
        let words: Vec<&str> = words.iter().map(String::as_str).take_while(|word| *word != "--").collect();
        let behind = |options: &[&str]| {
            words.iter().enumerate().find_map(|(i, word)| {
                options.iter().find_map(|option| match word.strip_prefix(option)? {
                    "" => words.get(i + 1).map(|next| (*next).to_owned()),
                    rest if option.starts_with("--") => rest.strip_prefix('=').map(str::to_owned),
                    rest => Some(rest.trim_start_matches('=').to_owned()),
                })
            })
        };
        // A binary has its package's name where nobody gave it another. `name@version`, or an address with `#name`.
        let package = behind(&["--package", "-p"]).or_else(|| behind(&["--bin"])).map(|spec| {
            let name = spec.rsplit_once('#').map_or(spec.as_str(), |(_, name)| name);
            name.split(['@', ':']).next().unwrap_or(name).to_owned()
        });
        let manifest = behind(&["--manifest-path"]).map(PathBuf::from);
        let is_bare =
            package.is_none() && manifest.is_none() && words.iter().any(|w| *w == "run" || *w == "r");
        Alias { package, manifest, is_bare }
    }
}

/// The words of an alias, in the first file that has it: a string is split at its blanks, an array is not.
fn words(texts: &[String], alias: &str) -> Option<Vec<String>> {
    texts.iter().find_map(|text| {
        let (mut table, mut at) = (String::new(), 0);
        for line in text.split_inclusive('\n') {
            let trimmed = line.trim();
            if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                name.trim().clone_into(&mut table);
            }
            let key = match table.as_str() {
                "alias" => Some(trimmed),
                "" => trimmed.strip_prefix("alias."),
                _ => None,
            };
            if let Some(first) = key.and_then(|key| value(key, alias)) {
                let found = strings(text[at..].split_once('=').map_or("", |(_, rest)| rest));
                let blank = |s: &String| s.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                let array = first.starts_with('[');
                return Some(if array { found } else { found.iter().take(1).flat_map(blank).collect() });
            }
            at += line.len();
        }
        None
    })
}

/// What stands behind a key and its `=`.
fn value<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let quoted = [format!("\"{key}\""), format!("'{key}'")];
    let rest =
        quoted.iter().find_map(|key| line.strip_prefix(key.as_str())).or_else(|| line.strip_prefix(key))?;
    rest.trim_start().strip_prefix('=').map(str::trim_start)
}

/// The strings of a value: of an array all, on one line or several; else the one. Escapes are none.
fn strings(value: &str) -> Vec<String> {
    let text = value.trim_start();
    let array = text.starts_with('[');
    let (mut out, mut chars) = (Vec::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' => {
                out.push(chars.by_ref().take_while(|end| *end != c).collect());
                if !array {
                    break;
                }
            }
            '#' => drop(chars.by_ref().find(|c| *c == '\n')),
            ']' => break,
            '\n' if !array => break,
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_read_in_each_of_its_forms() {
        let alias = |text: &str| Alias::of(&[text.to_owned()]);
        for text in ["", "[alias]\nxtask =", "[alias]\nxtask = [", "[alias]\nxtask = \"\"", "xtask = \"run\""]
        {
            assert_eq!(alias(text), Alias::default(), "{text}");
        }
        let bare = Alias { is_bare: true, ..Alias::default() };
        assert_eq!(alias("[alias]\nxtask = \"run --quiet -- x\""), bare);
        for text in [
            "[alias]\n\"xtask\" = \"run -q -p chores --\"",
            "[alias]\nxtask = \"chores\"\nchores = \"run -q -p chores --\"",
            "[alias]\nxtask = \"run -q --bin chores -- -p other\"",
            "[alias]\nxtask = \"run -p chores@0.1.0\"",
            "[alias]\nxtask = \"run -pchores\"",
            "[env]\nxtask = \"x\"\n[alias]\nxtask = \"run -q -p chores --\"",
            "[alias]\nxtask = [ # [a]\n  \"run\", '-p',\n  \"chores\",\n]\n",
            "[alias]\nxtask = \"run --package chores --\"\n",
            "alias.xtask=['run', '-p', 'chores']",
        ] {
            assert_eq!(alias(text).package.as_deref(), Some("chores"), "{text}");
        }
        for (text, manifest) in [
            (
                "[alias]\nxtask = [\"run\", \"--manifest-path\", \"my tools/Cargo.toml\", \"--\"]",
                "my tools/Cargo.toml",
            ),
            (
                "[alias]\nxtask = [\n  \"run\",\n  \"--manifest-path=tools/x/Cargo.toml\",\n]\n",
                "tools/x/Cargo.toml",
            ),
            ("[alias]\nxtask = \"run --manifest-path tools/x/Cargo.toml --\"", "tools/x/Cargo.toml"),
        ] {
            let found = alias(text);
            assert_eq!((found.package, found.manifest), (None, Some(manifest.into())), "{text}");
        }
        assert_eq!(alias("[alias]\nxtask-old = \"run -p old\"\nb = \"run -p xtask\"\n"), Alias::default());
    }
}
