//! What the last builds read: rustc's dep-info files, and what build scripts asked cargo to watch. A supplement to
//! the walk and never the walk itself: modules that are configured away, and tests that were not built, stand in
//! none of them.
//!
//! - `[TRIPLE/]PROFILE/{deps,examples}/*.d` and `build/PACKAGE-HASH/*.d`: a line `path:` for each file that rustc read. Paths of
//!   members count from the workspace root and are not normalised; others are absolute. Only a space is escaped.
//! - `build/PACKAGE-HASH/output`: `cargo::rerun-if-changed=PATH`, and the same with one colon. Paths count from the
//!   package; a directory stands for all that is in it. `rustc-link-search=KIND=PATH` is read like it.
//!
//! With cargo's new layout of the build directory: `build/PACKAGE/HASH/out/*.d` and `build/PACKAGE/HASH/run/stdout`.
//!
//! Files of earlier builds linger there: what does not exist any more is dropped.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::clock::Mtime;
use crate::order;
use crate::workspace::Workspace;

/// Who read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Reader {
    /// rustc, as its dep-info says.
    #[serde(rename = "rustc")]
    Compiler,
    /// A build script, as its `rerun-if-changed` says.
    BuildScript,
    /// cargo itself: its configuration, what that names, the toolchain's file, and a manifest that another inherits from.
    Cargo,
}

impl Reader {
    /// For people: `rustc`, `a build script`, `cargo`.
    pub fn noun(self) -> &'static str {
        match self {
            Reader::Compiler => "rustc",
            Reader::BuildScript => "a build script",
            Reader::Cargo => "cargo",
        }
    }
}

/// Where it is said that a file was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Evidence {
    pub(crate) reader: Reader,
    /// The dep-info file, or the build script's output.
    pub(crate) file: PathBuf,
    /// The line, counted from 1.
    pub(crate) line: usize,
}

/// What was read, and one piece of evidence for each. Absolute, without `.` and `..`; other links are not resolved.
pub(crate) type Inputs = order::Map<PathBuf, Evidence>;

/// Reads what the builds in the workspace's target directories left, and drops what is missing. Nothing readable is no
/// error.
pub(crate) fn inputs(workspace: &Workspace) -> Inputs {
    let mut out = said(workspace);
    out.retain(|path, _| path.symlink_metadata().is_ok());
    out
}

/// The same with what does not exist (any more): it would be read where it did.
pub(crate) fn said(workspace: &Workspace) -> Inputs {
    let crates: order::Set<String> =
        order::gather(workspace.packages.iter().flat_map(|p| &p.targets).map(|name| name.replace('-', "_")));
    let mut packages: HashMap<&str, Vec<&Path>> = HashMap::new();
    // What a build script asked for that is missing from its package, nobody asks for.
    for package in workspace.packages.iter().filter(|p| p.has_build_script()) {
        packages.entry(&package.name).or_default().push(&package.directory);
    }
    let mut files = Vec::new();
    for profile in workspace.target_directories.iter().flat_map(|dir| profiles(dir)) {
        for path in ["deps", "examples"].iter().flat_map(|dir| entries(&profile.join(dir))) {
            let name = path.file_name().map(OsStr::as_bytes).and_then(|n| n.strip_suffix(b".d"));
            if name.is_some_and(|n| without_hash(n).is_some_and(|n| crates.contains(n))) {
                files.push(Source { path, kind: Reader::Compiler, bases: vec![workspace.root.as_path()] });
            }
        }
        // With cargo's new layout each unit has a directory of its own below its package's.
        for unit in entries(&profile.join("build")).iter().flat_map(|dir| entries(dir)) {
            for path in entries(&unit.join("out")) {
                let name = path.file_name().map(OsStr::as_bytes).and_then(|n| n.strip_suffix(b".d"));
                if name
                    .is_some_and(|n| without_hash(n).is_some_and(|n| crates.contains(&n.replace('-', "_"))))
                {
                    files.push(Source {
                        path,
                        kind: Reader::Compiler,
                        bases: vec![workspace.root.as_path()],
                    });
                }
            }
            let package = unit.parent().and_then(Path::file_name).and_then(OsStr::to_str);
            if let Some(bases) = package.and_then(|name| packages.get(name)) {
                let path = unit.join("run/stdout");
                files.push(Source { path, kind: Reader::BuildScript, bases: bases.clone() });
            }
        }
        for dir in entries(&profile.join("build")) {
            let name = dir.file_name().map(OsStr::as_bytes).and_then(without_hash);
            let Some(bases) = name.and_then(|name| packages.get(name)) else { continue };
            for path in entries(&dir) {
                if path.extension().is_some_and(|e| e == "d") {
                    files.push(Source {
                        path,
                        kind: Reader::Compiler,
                        bases: vec![workspace.root.as_path()],
                    });
                } else if path.file_name().is_some_and(|n| n == "output") {
                    files.push(Source { path, kind: Reader::BuildScript, bases: bases.clone() });
                }
            }
        }
    }
    let read = crate::parallel::map(files.len(), |i| Ok(files[i].read())).unwrap_or_default();
    let mut out = Inputs::new();
    // The same few names stand in many of them: each is looked for once.
    for (path, evidence) in read.into_iter().flatten() {
        out.entry(path).or_insert(evidence);
    }
    out
}

/// What the builds since `since` read, of any package and by the target directory alone; relative paths count from
/// `base`. Their time is that of the file system that `target` lies in.
pub(crate) fn read_since(target: &Path, base: &Path, since: std::time::SystemTime) -> Inputs {
    let mut out = Inputs::new();
    for profile in profiles(target) {
        let units = ["deps", "examples"].iter().flat_map(|dir| entries(&profile.join(dir)));
        let scripts = entries(&profile.join("build")).into_iter().flat_map(|dir| entries(&dir));
        for path in units.chain(scripts) {
            let kind = match (path.extension(), path.file_name()) {
                (Some(extension), _) if extension == "d" => Reader::Compiler,
                (_, Some(name)) if name == "output" => Reader::BuildScript,
                _ => continue,
            };
            if path.metadata().and_then(|meta| meta.modified()).is_ok_and(|made| made >= since) {
                let source = Source { path, kind, bases: vec![base] };
                out.extend(source.read());
            }
        }
    }
    out
}

/// Whether a directory that a build script watches is one of those that the walk is for: its package, or what holds
/// the workspace. It says nothing then of what git ignores in there.
pub(crate) fn is_the_walks(workspace: &Workspace, path: &Path) -> bool {
    workspace.root.starts_with(path) || workspace.packages.iter().any(|p| p.directory == path)
}

/// Whether a file belongs to the machine, not to the workspace: the system's, the toolchain's, or a cache such as
/// cargo's of downloaded packages. What lies beside a workspace at `root` is not the system's, wherever that is.
pub(crate) fn is_the_machines(path: &Path, root: &Path) -> bool {
    const SYSTEM: [&str; 12] = [
        "/usr",
        "/lib",
        "/lib64",
        "/opt",
        "/etc",
        "/nix",
        "/proc",
        "/dev",
        "/sys",
        "/System",
        "/Library",
        "/Applications",
    ];
    let shared = path.components().zip(root.components()).take_while(|(a, b)| a == b).count();
    let beside = |dir: &str| root.starts_with(dir) && shared > Path::new(dir).components().count();
    SYSTEM.iter().any(|dir| path.starts_with(dir) && !beside(dir))
        || path.ancestors().any(|dir| dir.ends_with("lib/rustlib"))
        || path.ancestors().skip(1).any(|dir| dir.join("CACHEDIR.TAG").symlink_metadata().is_ok())
}

/// What cargo holds sources against: only what is newer than its mark is built again.
#[derive(Debug)]
pub(crate) struct Mark {
    /// The package that was built.
    pub(crate) package: String,
    pub(crate) path: PathBuf,
    pub(crate) time: Mtime,
}

/// The marks in some target directories.
pub(crate) fn marks(targets: &[PathBuf]) -> Vec<Mark> {
    let mut out = Vec::new();
    let mut add = |dir: &Path, path: PathBuf| {
        let time = path.symlink_metadata().ok().and_then(|meta| meta.modified().ok()).map(Mtime::from_system);
        let package = dir.file_name().map(OsStr::as_bytes).and_then(without_hash).unwrap_or_default();
        out.extend(time.map(|time| Mark { package: package.to_owned(), path, time }));
    };
    let is_mark = |path: &PathBuf| path.file_name().is_some_and(|n| n.as_bytes().starts_with(b"dep-"));
    for profile in targets.iter().flat_map(|dir| profiles(dir)) {
        for unit in entries(&profile.join(".fingerprint")) {
            entries(&unit).into_iter().filter(is_mark).for_each(|path| add(&unit, path));
        }
        for package in entries(&profile.join("build")) {
            add(&package, package.join("output"));
            for unit in entries(&package) {
                add(&package, unit.join("run/stdout"));
                let marks = entries(&unit.join("fingerprint")).into_iter().filter(is_mark);
                marks.for_each(|path| add(&package, path));
            }
        }
    }
    out
}

/// The directories of a target directory that hold `deps` or `build`: one a profile, and one a target triple's.
fn profiles(target: &Path) -> Vec<PathBuf> {
    let holds = |dir: &PathBuf| dir.join("deps").is_dir() || dir.join("build").is_dir();
    let (found, others): (Vec<_>, Vec<_>) =
        entries(target).into_iter().filter(|path| path.is_dir()).partition(holds);
    let below = others.iter().flat_map(|dir| entries(dir)).filter(|path| path.is_dir()).filter(holds);
    found.into_iter().chain(below).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    order::sort(&mut paths);
    paths
}

/// `serde_json-0a1b2c3d4e5f6071` without its hash.
fn without_hash(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    Some(name.rsplit_once('-').filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name))
}

/// One file that says what was read.
struct Source<'a> {
    path: PathBuf,
    kind: Reader,
    /// The directories that its relative paths may count from.
    bases: Vec<&'a Path>,
}

impl Source<'_> {
    fn read(&self) -> Vec<(PathBuf, Evidence)> {
        // A pipe of that name would block for ever.
        if !self.path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            return Vec::new();
        }
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        let mut out = Vec::new();
        for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let named = match self.kind {
                Reader::BuildScript => watched(line),
                _ => dependency(line),
            };
            let Some(named) = named else { continue };
            let evidence = Evidence { reader: self.kind, file: self.path.clone(), line: index + 1 };
            for base in &self.bases {
                out.push((without_dots(&base.join(OsStr::from_bytes(&named))), evidence.clone()));
            }
        }
        out
    }
}

/// The path without `.` and `..`. What `..` leads to behind a link only the file system knows.
fn without_dots(path: &Path) -> PathBuf {
    let climbs = path.components().any(|c| c == std::path::Component::ParentDir);
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if climbs => match crate::path::canonical(parent) {
            Ok(parent) => parent.join(name),
            Err(_) => crate::path::clean(path),
        },
        _ => crate::path::clean(path),
    }
}

/// The path of a `path:` line of a dep-info file. The rules above them have their dependencies on the same line.
fn dependency(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let path = line.strip_suffix(b":").filter(|path| !path.is_empty() && !path.starts_with(b"#"))?;
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.next_if_eq(&b' ').is_some() => out.push(b' '),
            b' ' => return None,
            byte => out.push(byte),
        }
    }
    Some(out)
}

/// The path that a line of a build script's output asks cargo to watch, or has the linker search.
fn watched(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.trim_ascii();
    let rest = line.strip_prefix(b"cargo::").or_else(|| line.strip_prefix(b"cargo:"))?;
    let path = match rest.strip_prefix(b"rustc-link-search=") {
        // The kind may stand before it.
        Some(path) => path.iter().position(|b| *b == b'=').map_or(path, |at| &path[at + 1..]),
        None => rest.strip_prefix(b"rerun-if-changed=")?,
    };
    (!path.is_empty()).then(|| path.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dep_info_lines_give_their_paths() {
        let path = |line: &str| dependency(line.as_bytes()).map(|p| String::from_utf8(p).unwrap());
        assert_eq!(path("src/lib.rs:").as_deref(), Some("src/lib.rs"));
        assert_eq!(path("mem/src/../../shared/a\\ b.txt:").as_deref(), Some("mem/src/../../shared/a b.txt"));
        assert_eq!(path("back\\slash.rs:").as_deref(), Some("back\\slash.rs"));
        for line in ["/t/libx.rmeta: src/lib.rs src/a.rs", "", "# env-dep:OUT_DIR=/t", "/t/x.d: src/a.rs:"] {
            assert_eq!(path(line), None, "{line}");
        }
    }

    #[test]
    fn both_spellings_of_rerun_if_changed_are_read() {
        let path = |line: &str| watched(line.as_bytes()).map(|p| String::from_utf8(p).unwrap());
        assert_eq!(path("cargo:rerun-if-changed=build.rs").as_deref(), Some("build.rs"));
        assert_eq!(path("cargo::rerun-if-changed=../a b\r").as_deref(), Some("../a b"));
        assert_eq!(path("  cargo:rerun-if-changed=lead  ").as_deref(), Some("lead"));
        assert_eq!(path("cargo:rustc-link-search=native=/x/lib").as_deref(), Some("/x/lib"));
        assert_eq!(path("cargo::rustc-link-search=lib").as_deref(), Some("lib"));
        for line in ["cargo:rerun-if-env-changed=X", "rerun-if-changed=x", "cargo::rerun-if-changed="] {
            assert_eq!(path(line), None, "{line}");
        }
    }

    #[test]
    fn what_belongs_to_the_machine_is_told_from_what_belongs_to_somebody() {
        for path in ["/usr/include/x.h", "/home/a/.rustup/toolchains/t/lib/rustlib/src/lib.rs"] {
            for root in ["/home/a/work", "/usr/src/app"] {
                assert!(is_the_machines(Path::new(path), Path::new(root)), "{path} from {root}");
            }
        }
        assert!(!is_the_machines(Path::new("/home/a/shared/x.rs"), Path::new("/home/a/work")));
        assert!(!is_the_machines(Path::new("/usr/src/shared/x.rs"), Path::new("/usr/src/app")));
    }
}
