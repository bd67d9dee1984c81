//! Sources that a build takes without being told: what cargo finds by its place in a package, and a module that rustc finds
//! twice. One that came since the restore point, and stays, makes another program of what was put back, or none.

use std::path::{Path, PathBuf};

use super::after::After;
use crate::manifest::{Manifest, RootedPath};
use crate::order;
use crate::path::{RelPath, relative, show_path, show_text};
use crate::toml::Document;

/// A kind of target that a package has any number of.
pub(super) struct TargetKind {
    /// Its table in a manifest.
    pub(super) table: &'static str,
    /// What of `[package]` keeps cargo from finding it by itself.
    switch: &'static str,
    /// Where cargo finds it.
    pub(super) directory: &'static str,
    noun: &'static str,
}

impl TargetKind {
    /// `a program`, `an example`.
    pub(super) fn one(&self) -> String {
        format!("{} {}", if self.noun.starts_with('e') { "an" } else { "a" }, self.noun)
    }
}

const fn kind(
    table: &'static str,
    switch: &'static str,
    directory: &'static str,
    noun: &'static str,
) -> TargetKind {
    TargetKind { table, switch, directory, noun }
}

pub(super) const TARGET_KINDS: [TargetKind; 4] = [
    kind("bin", "autobins", "src/bin", "program"),
    kind("example", "autoexamples", "examples", "example"),
    kind("test", "autotests", "tests", "test"),
    kind("bench", "autobenches", "benches", "bench"),
];

/// A source that the restore point does not hold, in a package that it does.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) at: RootedPath,
    pub(super) place: PathBuf,
    /// What a build makes of it.
    pub(super) effect: String,
    /// Whether there is no build at all while it stands.
    pub(super) breaks: bool,
}

/// Finds them in the packages in `directories`, as the tree stands after a plan.
pub(super) fn strays(after: &After<'_>, manifest: &Manifest, directories: &[PathBuf]) -> Vec<Stray> {
    let place_of = |path: &Path| {
        let (root, base) = after.root_of(path)?;
        let at = RootedPath::new(root, &RelPath::strip(base, path)?);
        manifest.find(&at.root, &at.path).is_none().then_some(at)
    };
    let mut out = Vec::new();
    let mut add = |place: PathBuf, effect: String, breaks| {
        if let Some(at) = place_of(&place) {
            out.push(Stray { at, place, effect, breaks });
        }
    };
    for directory in directories {
        let text = after.manifest(&directory.join("Cargo.toml"));
        let Some(package) = text.and_then(|text| Document::read(&text)) else { continue };
        for (what, path) in found_by_cargo(after, directory, &package) {
            add(path, format!("cargo builds it as {what}"), false);
        }
    }
    let crate_roots: order::Set<RootedPath> = order::gather(
        manifest
            .packages
            .iter()
            .flat_map(|p| p.crate_roots.iter().map(|path| RootedPath::new(&p.root, path))),
    );
    for entry in manifest.entries.iter().filter(|entry| !crate_roots.contains(&entry.place())) {
        let Some(twin) = twin_of(&entry.path) else { continue };
        let Some(base) = after.directory_of(&entry.root) else { continue };
        let (first, second) = (base.join(&entry.path), base.join(&twin));
        if after.is_file(&second) && after.is_file(&first) {
            let first = show_path(&relative(&after.workspace, &first));
            let effect = format!("rustc will say \"file for module found at both\" of it and `{first}`");
            add(second, effect, true);
        }
    }
    out
}

/// The other place of a module's file: `NAME.rs` and `NAME/mod.rs`.
fn twin_of(path: &RelPath) -> Option<RelPath> {
    let name = path.as_path().file_name()?.to_str()?.strip_suffix(".rs")?;
    match (name, path.parent()) {
        ("mod", Some(dir)) => RelPath::from_bytes(&[dir.as_bytes(), b".rs"].concat()).ok(),
        ("mod", None) => None,
        (name, Some(dir)) => dir.join(name).ok()?.join("mod.rs").ok(),
        (name, None) => RelPath::new(Path::new(name).join("mod.rs")).ok(),
    }
}

/// The targets that cargo finds by their place.
fn found_by_cargo(after: &After<'_>, directory: &Path, package: &Document) -> Vec<(String, PathBuf)> {
    let mut out = Vec::new();
    let mut add = |what: String, path: PathBuf| {
        if after.is_file(&path) {
            out.push((what, path));
        }
    };
    let says = |key: &str, text: &str| {
        package.scalars.iter().any(|scalar| scalar.is_at(&["package", key]) && scalar.text == text)
    };
    if !package.has(&["package", "build"]) {
        add("the build script".into(), directory.join("build.rs"));
    }
    if !says("autolib", "false") && !package.has(&["lib", "path"]) {
        add("the library".into(), directory.join("src/lib.rs"));
    }
    let first_edition = !package.has(&["package", "edition"]) || says("edition", "2015");
    for TargetKind { table, switch, directory: dir, noun } in TARGET_KINDS {
        if says(switch, "false") || (first_edition && package.has(&[table])) {
            continue;
        }
        if table == "bin" {
            add("the program of the package's name".into(), directory.join("src/main.rs"));
        }
        let dir = directory.join(dir);
        for name in after.names(&dir) {
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let shown = format!("the {noun} `{}`", show_text(name.strip_suffix(".rs").unwrap_or(name)));
            let path = dir.join(name);
            add(shown, if name.ends_with(".rs") { path } else { path.join("main.rs") });
        }
    }
    out
}
