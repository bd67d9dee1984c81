//! Cargo's configuration: the files at and above the workspace with what they include, and what they name.

use std::path::{Path, PathBuf};

use crate::toml::{Scalar, scalars};

/// A file of cargo's configuration.
#[derive(Debug, Clone)]
pub(crate) struct ConfigFile {
    /// Where it lies, as it was asked for.
    pub(crate) path: PathBuf,
    /// What stands in it; nothing where it is no TOML.
    pub(super) scalars: Vec<Scalar>,
}

/// Nobody nests includes deeper; a bound for circles.
const DEEPEST: usize = 16;

const NAMES: [&str; 2] = ["config.toml", "config"];

impl ConfigFile {
    /// The directory that relative paths in it count from: the one that holds its own directory.
    pub(super) fn base(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(Path::new("/"))
    }

    /// What it names by relative paths, packages among it, as far as that exists.
    pub(crate) fn names_relatively(&self, root: &Path) -> Vec<PathBuf> {
        let of = |scalar: &Scalar| {
            let mut paths = named(self, scalar, root);
            if SOURCES.iter().chain(&PATCHES).any(|keys| scalar.is_at(keys)) {
                paths.push(crate::path::clean(&self.base().join(&scalar.text)));
            }
            let is_relative = |path: &Path| path.to_str().is_none_or(|path| !scalar.text.contains(path));
            paths.retain(|path| is_relative(path) && path.symlink_metadata().is_ok());
            paths
        };
        self.scalars.iter().filter(|s| s.is_string).flat_map(of).collect()
    }
}

/// Where directories of vendored sources are named.
const SOURCES: [&[&str]; 2] = [&["source", "*", "directory"], &["source", "*", "local-registry"]];
/// Where packages are named.
pub(super) const PATCHES: [&[&str]; 2] = [&["patch", "*", "*", "path"], &["paths", ""]];

/// The files that cargo reads in a workspace, the nearest first, each with what it includes.
pub(super) fn files(root: &Path) -> Vec<ConfigFile> {
    in_directories(root.ancestors().map(|dir| dir.join(".cargo")))
}

/// Those of them that lie above the workspace, and not in cargo's own directory, which counts everywhere.
pub(crate) fn files_above(root: &Path, home: &Path) -> Vec<ConfigFile> {
    let home = crate::path::resolved(home);
    let above = root.ancestors().skip(1).map(|dir| dir.join(".cargo"));
    let mut out = in_directories(above.filter(|dir| crate::path::resolved(dir) != home));
    out.retain(|file| !file.path.starts_with(root));
    out
}

fn in_directories(directories: impl Iterator<Item = PathBuf>) -> Vec<ConfigFile> {
    let mut out = Vec::new();
    for dir in directories {
        NAMES.iter().for_each(|name| read(dir.join(name), 0, &mut out));
    }
    out
}

/// The scalars of a TOML file; `None` where it cannot be read, or is none.
pub(super) fn scalars_in(path: &Path) -> Option<Vec<Scalar>> {
    scalars(&std::fs::read(path).ok()?)
}

/// Where the configuration of a workspace has cargo build now; `home` is cargo's own directory.
pub(crate) fn target_directories(root: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    const KEYS: [&[&str]; 2] = [&["build", "target-dir"], &["build", "build-dir"]];
    let mut files = files(root);
    if let Some(home) = home {
        NAMES.iter().for_each(|name| read(home.join(name), 0, &mut files));
    }
    let mut out = Vec::new();
    for file in files {
        let named = file.scalars.iter().filter(|s| s.is_string && KEYS.iter().any(|keys| s.is_at(keys)));
        let inside = |text: &str| text.replace("{workspace-root}", &root.to_string_lossy());
        out.extend(named.map(|s| crate::path::clean(&file.base().join(inside(&s.text)))));
    }
    out
}

fn read(path: PathBuf, depth: usize, out: &mut Vec<ConfigFile>) {
    // Only a file: a pipe of that name would block for ever.
    if depth > DEEPEST || !path.is_file() || out.iter().any(|file| file.path == path) {
        return;
    }
    let scalars = scalars_in(&path).unwrap_or_default();
    const INCLUDE: [&[&str]; 2] = [&["include", ""], &["include", "", "path"]];
    let included = scalars.iter().filter(|s| s.is_string && INCLUDE.iter().any(|keys| s.is_at(keys)));
    let dir = path.parent().unwrap_or(Path::new("/"));
    let included: Vec<PathBuf> = included.map(|s| crate::path::clean(&dir.join(&s.text))).collect();
    out.push(ConfigFile { path, scalars });
    included.into_iter().for_each(|path| read(path, depth + 1, out));
}

/// What the configuration of a workspace consists of and names, apart from packages, and the toolchain's file above
/// it: absolute, only what exists.
pub(super) fn steering(root: &Path, files: &[ConfigFile]) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    for file in files {
        for scalar in file.scalars.iter().filter(|s| s.is_string) {
            out.extend(named(file, scalar, root).into_iter().filter(|path| path.exists()));
        }
    }
    let toolchain = |dir: &Path| ["rust-toolchain", "rust-toolchain.toml"].map(|name| dir.join(name));
    out.extend(
        root.ancestors().map(toolchain).find_map(|names| names.into_iter().find(|path| path.is_file())),
    );
    out
}

/// The directories of vendored sources that exist.
pub(super) fn sources(files: &[ConfigFile]) -> Vec<PathBuf> {
    let of = |file: &ConfigFile| {
        let named = file.scalars.iter().filter(|s| s.is_string && SOURCES.iter().any(|keys| s.is_at(keys)));
        named
            .map(|s| crate::path::clean(&file.base().join(&s.text)))
            .filter(|dir| dir.is_dir())
            .collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

/// What one value may name. Programs and flags are of many shapes (`tools/wrap`, `-Clink-arg=-Ttools/link.x`): what is
/// no file is none of them.
fn named(file: &ConfigFile, scalar: &Scalar, root: &Path) -> Vec<PathBuf> {
    let keys: Vec<&str> = scalar.path.iter().map(String::as_str).collect();
    if scalar.is_at(&["paths", ""]) {
        return vec![crate::path::clean(&file.base().join(&scalar.text))];
    }
    match keys[..] {
        // Commands of cargo, where it puts things, and what was taken already.
        [
            "alias" | "include" | "patch" | "install" | "term" | "net" | "http" | "registries" | "source",
            ..,
        ]
        | ["build", "target-dir" | "build-dir" | "artifact-dir"] => return Vec::new(),
        ["env", name, "value"] => {
            let relative = |s: &Scalar| s.is_at(&["env", name, "relative"]) && s.text == "true";
            let path = crate::path::clean(&file.base().join(&scalar.text));
            return file.scalars.iter().any(relative).then_some(path).into_iter().collect();
        }
        ["env", ..] => return Vec::new(),
        _ => {}
    }
    let words = scalar.text.split_whitespace().chain([scalar.text.as_str()]);
    let tails = words.flat_map(|word| {
        let starts = word.match_indices(['=', ',', ':']).map(|(at, _)| at + 1).chain([0]);
        starts.map(|at| &word[at..]).collect::<Vec<_>>()
    });
    let plain = tails.map(|tail| match tail.strip_prefix('-') {
        // `-Tscript`, `-Ldirectory`.
        Some(flag) => flag.get(1..).unwrap_or_default(),
        None => tail.trim_start_matches('@'),
    });
    // A name without a slash is looked for among the machine's programs.
    let plain = plain.filter(|name| name.contains('/') || name.ends_with(".json"));
    let places = plain.flat_map(|name| [file.base().join(name), root.join(name)]);
    places
        .filter(|path| path.is_file())
        .map(|path| crate::path::clean(&path))
        .filter(|p| !is_cargos(p))
        .collect()
}

/// Whether a program is one that cargo installed: the machine's.
fn is_cargos(path: &Path) -> bool {
    path.ancestors().any(|dir| dir.ends_with(".cargo") && dir.join("registry").is_dir())
}
