//! Cargo's configuration: the files at and above the workspace with what they include, and what they name.

use std::path::{Path, PathBuf};

use crate::event::CargoEnv;
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

/// A configuration above the workspace that is larger, in bytes, is none.
const LIMIT_ABOVE: u64 = 1024 * 1024;

const NAMES: [&str; 2] = ["config.toml", "config"];

impl ConfigFile {
    /// The directory that relative paths in it count from: the one that holds its own directory.
    pub(super) fn base(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(Path::new("/"))
    }

    /// The directories that its flags have the linker search (`-L`).
    fn libraries(&self, root: &Path) -> Vec<PathBuf> {
        let flags =
            self.scalars.iter().filter(|s| s.is_string && s.path.iter().any(|key| key == "rustflags"));
        let mut words = flags.flat_map(|scalar| scalar.text.split_whitespace());
        let mut out = Vec::new();
        while let Some(word) = words.next() {
            let Some(named) = word.strip_prefix("-L") else { continue };
            let named = if named.is_empty() { words.next().unwrap_or_default() } else { named };
            let named = named.split_once('=').map_or(named, |(_, path)| path);
            let places = [root.join(named), self.base().join(named)].map(|path| crate::path::clean(&path));
            out.extend(places.into_iter().find(|path| path.is_dir()));
        }
        out
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
pub(super) fn files(root: &Path, home: Option<&Path>) -> Vec<ConfigFile> {
    files_as(root, home, &on_disk)
}

/// The same, as `text` gives what stands at a path.
pub(crate) fn files_as(
    root: &Path,
    home: Option<&Path>,
    text: &dyn Fn(&Path) -> Option<Vec<u8>>,
) -> Vec<ConfigFile> {
    let own = root.ancestors().map(|dir| dir.join(".cargo"));
    in_directories(own.chain(home.map(Path::to_path_buf)), text)
}

/// What variables say of programs and flags, as a file would in the current directory.
pub(super) fn by_environment(env: &CargoEnv, directory: &Path) -> ConfigFile {
    let scalar = |(name, text): &(String, String)| Scalar {
        path: vec![name.to_lowercase().rsplit('_').next().unwrap_or_default().to_owned()],
        // Encoded flags are apart by a control character.
        text: text.replace('\u{1f}', " "),
        is_string: true,
    };
    ConfigFile { path: directory.join(".cargo/env"), scalars: env.inputs.iter().map(scalar).collect() }
}

/// Those of them that lie above the workspace, and not in cargo's own directory, which counts everywhere.
pub(crate) fn files_above(root: &Path, home: &Path) -> Vec<ConfigFile> {
    let home = crate::path::resolved(home);
    let above = root.ancestors().skip(1).map(|dir| dir.join(".cargo"));
    let small = |path: &Path| path.metadata().is_ok_and(|meta| meta.len() <= LIMIT_ABOVE);
    let text = |path: &Path| Some(path).filter(|path| small(path)).and_then(on_disk);
    let mut out = in_directories(above.filter(|dir| crate::path::resolved(dir) != home), &text);
    out.retain(|file| !file.path.starts_with(root));
    out
}

fn in_directories(
    directories: impl Iterator<Item = PathBuf>,
    text: &dyn Fn(&Path) -> Option<Vec<u8>>,
) -> Vec<ConfigFile> {
    let mut out = Vec::new();
    for dir in directories {
        NAMES.iter().for_each(|name| read(dir.join(name), 0, text, &mut out));
    }
    out
}

/// The text of a file; a pipe of its name would block for ever.
fn on_disk(path: &Path) -> Option<Vec<u8>> {
    path.is_file().then(|| std::fs::read(path).unwrap_or_default())
}

/// The directory of vendored sources that stand for the public registry, if any do.
pub(crate) fn vendored(files: &[ConfigFile]) -> Option<PathBuf> {
    let find = |name: &str, key: &str| {
        let keys = ["source", name, key];
        files
            .iter()
            .find_map(|file| Some((file, file.scalars.iter().find(|s| s.is_string && s.is_at(&keys))?)))
    };
    let mut name = "crates-io";
    // No chain of sources is longer.
    for _ in 0..DEEPEST {
        if let Some((file, directory)) = find(name, "directory") {
            return Some(crate::path::clean(&file.base().join(&directory.text)));
        }
        name = &find(name, "replace-with")?.1.text;
    }
    None
}

/// Where the configuration of a workspace has cargo build now; `home` is cargo's own directory.
pub(crate) fn target_directories(root: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    const KEYS: [&[&str]; 2] = [&["build", "target-dir"], &["build", "build-dir"]];
    let mut out = Vec::new();
    for file in files_as(root, home, &on_disk) {
        let named = file.scalars.iter().filter(|s| s.is_string && KEYS.iter().any(|keys| s.is_at(keys)));
        let inside = |text: &str| text.replace("{workspace-root}", &root.to_string_lossy());
        out.extend(named.map(|s| crate::path::clean(&file.base().join(inside(&s.text)))));
    }
    out
}

/// The scalars of a TOML file; `None` where it cannot be read, or is none.
pub(super) fn scalars_in(path: &Path) -> Option<Vec<Scalar>> {
    scalars(&std::fs::read(path).ok()?)
}

fn read(path: PathBuf, depth: usize, text: &dyn Fn(&Path) -> Option<Vec<u8>>, out: &mut Vec<ConfigFile>) {
    if depth > DEEPEST || out.iter().any(|file| file.path == path) {
        return;
    }
    let Some(bytes) = text(&path) else { return };
    let scalars = scalars(&bytes).unwrap_or_default();
    const INCLUDE: [&[&str]; 2] = [&["include", ""], &["include", "", "path"]];
    let included = scalars.iter().filter(|s| s.is_string && INCLUDE.iter().any(|keys| s.is_at(keys)));
    let dir = path.parent().unwrap_or(Path::new("/"));
    let included: Vec<PathBuf> = included.map(|s| crate::path::clean(&dir.join(&s.text))).collect();
    out.push(ConfigFile { path, scalars });
    included.into_iter().for_each(|path| read(path, depth + 1, text, out));
}

/// What the configuration of a workspace consists of and names, apart from packages, and the toolchain's file above
/// it: absolute, only what exists.
pub(super) fn steering(root: &Path, files: &[ConfigFile], by_environment: &ConfigFile) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    for file in files.iter().chain([by_environment]) {
        for scalar in file.scalars.iter().filter(|s| s.is_string) {
            out.extend(named(file, scalar, root).into_iter().filter(|path| path.exists()));
        }
    }
    out.extend(files.iter().chain([by_environment]).flat_map(|file| file.libraries(root)));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test makes what it reads")]

    use super::*;

    #[test]
    fn a_configuration_above_that_is_too_large_is_none() {
        let above = crate::path::resolved(&std::env::temp_dir())
            .join(format!("backstop-configuration-{}", std::process::id()));
        let root = above.join("ws");
        let file = above.join(".cargo/config.toml");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(above.join(".cargo")).unwrap();
        let found = |length: u64| {
            std::fs::File::create(&file).unwrap().set_len(length).unwrap();
            files_above(&root, Path::new("/nowhere")).iter().any(|found| found.path == file)
        };
        assert!(found(LIMIT_ABOVE));
        assert!(!found(LIMIT_ABOVE + 1));
        std::fs::remove_dir_all(&above).unwrap();
    }
}
