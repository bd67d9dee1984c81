//! The workspace as cargo metadata describes it, with the path dependencies outside it.
//!
//! Only `--no-deps` is asked: it needs no lockfile, registry or network, and writes nothing. It names neither the
//! path packages outside the workspace, which are followed from manifest to manifest, nor the packages of a
//! `[patch]` table: only where one names a package that is not known, or where a dependency's own workspace is not
//! whole, is the full form run, with `--locked`: what cargo builds with, it answers for.

mod cargo;
mod collector;
pub(crate) mod configuration;
mod package;
mod patch;
mod xtask;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::Metadata;

use crate::error::{Error, ErrorKind, Result};
use crate::order;
use crate::path::{canonical, show_text};
use crate::settings::{self, Settings};
pub use cargo::LoadOptions;
pub(crate) use cargo::metadata;
use cargo::tool_versions;
use collector::Collector;
pub use package::LocalPackage;

/// A workspace: where it is, what belongs to it, and what its settings say.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The root, without symbolic links.
    pub root: PathBuf,
    /// Where cargo puts what it builds; without symbolic links where they exist.
    pub target_directories: Vec<PathBuf>,
    /// The members and the path dependencies, sorted by directory.
    pub packages: Vec<LocalPackage>,
    /// Directories outside the root that the settings protect: without symbolic links, and as the settings call
    /// them. None holds another one or the root.
    pub outside: Vec<(PathBuf, String)>,
    /// What cargo's configuration consists of and names, the toolchain's file, and the manifests that path
    /// dependencies inherit from: absolute.
    pub steering: Vec<PathBuf>,
    /// The directories of vendored sources, absolute.
    pub sources: Vec<PathBuf>,
    /// The directories of the xtask and of the local packages that it is built from, sorted.
    pub xtask: Vec<PathBuf>,
    /// What the manifests ask for.
    pub settings: Settings,
    /// Versions of the tools: `backstop`, `cargo`, `rustc`, `git`.
    pub tools: BTreeMap<String, String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Workspace {
    /// What is known of a workspace that cargo cannot load: where it is, and where it built. Without packages and
    /// settings.
    pub fn unloaded(root: PathBuf, target_directories: Vec<PathBuf>) -> Self {
        Workspace {
            root,
            target_directories,
            packages: Vec::new(),
            outside: Vec::new(),
            steering: Vec::new(),
            sources: Vec::new(),
            xtask: Vec::new(),
            settings: Settings::default(),
            tools: BTreeMap::new(),
            notes: Vec::new(),
        }
    }
}

/// Asks cargo what the workspace is.
///
/// # Errors
/// Where cargo metadata fails, a path dependency is missing, or the settings are wrong.
pub fn load(options: &LoadOptions) -> Result<Workspace> {
    let (metadata, tools) = std::thread::scope(|scope| {
        let tools = scope.spawn(|| tool_versions(options));
        let metadata =
            metadata(options, &options.directory, options.manifest_path.as_deref(), &["--no-deps"]);
        (metadata, tools.join().unwrap_or_default())
    });
    let metadata = metadata?;
    let root = canonical(metadata.workspace_root.as_std_path())?;
    let mut settings = read_settings(&metadata, &root)?;

    let mut collector = Collector::new(options, &root);
    collector.add_all(&metadata)?;
    collector.targets(&metadata);
    collector.follow()?;
    let mut notes = Vec::new();
    let files = configuration::files(&root, options.env.home.as_deref());
    collector.patched(&files, &mut notes)?;
    let mut steering = configuration::steering(
        &root,
        &files,
        &configuration::by_environment(&options.env, &options.directory),
    );
    steering.extend(collector.inherited());
    // Each may be a link into what is no package.
    let manifests = collector.packages.iter().map(|package| package.listed.join("Cargo.toml"));
    steering.extend(
        manifests
            .chain(["Cargo.toml", "Cargo.lock"].map(|name| root.join(name)))
            .filter(|file| file.is_symlink()),
    );
    let sources = configuration::sources(&files);
    let xtask = collector.xtask(&root);

    let root_owns_all = metadata.workspace_metadata.get("backstop").is_none();
    for (package, value) in collector.packages.iter().zip(&collector.tables) {
        let is_root = package.member && package.directory == root;
        if let Some(value) = value
            && !(is_root && root_owns_all)
        {
            let manifest = package.directory.join("Cargo.toml");
            let source = settings::Source { table: settings::PACKAGE_TABLE, manifest: &manifest };
            settings::read_package(value, source, &package.directory, package.member, &mut settings)?;
        }
    }
    let mut packages = collector.packages;
    order::sort_by(&mut packages, |a, b| a.directory.cmp(&b.directory));
    let mut target_directories = collector.target_directories;
    order::sort(&mut target_directories);
    target_directories.dedup();
    let outside = outside(&root, &settings, &mut notes)?;
    Ok(Workspace {
        root,
        target_directories,
        packages,
        outside,
        steering,
        sources,
        xtask,
        settings,
        tools,
        notes,
    })
}

/// The directories that the setting `outside` names.
fn outside(root: &Path, settings: &Settings, notes: &mut Vec<String>) -> Result<Vec<(PathBuf, String)>> {
    let mut out: Vec<(PathBuf, String)> = Vec::new();
    for text in &settings.outside {
        let Ok(directory) = canonical(&root.join(text)) else {
            notes.push(format!("`outside` names `{}`, which does not exist", show_text(text)));
            continue;
        };
        let refused = |why: &str, help: &str| {
            Error::new(ErrorKind::Settings, format!("`outside` names `{}`, which {why}", show_text(text)))
                .with_help(help)
        };
        if !directory.is_dir() {
            return Err(refused("is no directory", "name the directory that it lies in"));
        }
        if directory.starts_with(root) {
            return Err(refused("lies in the workspace", "name it in `include`"));
        }
        if directory.ancestors().any(crate::store::is_store) {
            return Err(refused("is a store of restore points", "a store is never backed up: take it out"));
        }
        if root.starts_with(&directory) {
            return Err(refused("holds the workspace", "name the directories in it that the build reads"));
        }
        out.push((directory, text.clone()));
    }
    // Sorted, a directory comes after those that hold it.
    order::sort(&mut out);
    let all = out.clone();
    out.retain(|(dir, _)| !all.iter().any(|(other, _)| other != dir && dir.starts_with(other)));
    out.dedup_by(|a, b| a.0 == b.0);
    Ok(out)
}

/// The keys of the whole workspace: from its own table, or else from the root package's.
pub(crate) fn read_settings(metadata: &Metadata, root: &Path) -> Result<Settings> {
    let mut settings = Settings::default();
    let manifest = root.join("Cargo.toml");
    let root_package = || {
        let listed = metadata.workspace_root.join("Cargo.toml");
        metadata.packages.iter().find(|package| package.manifest_path == listed)
    };
    if let Some(value) = metadata.workspace_metadata.get("backstop") {
        let source = settings::Source { table: settings::WORKSPACE_TABLE, manifest: &manifest };
        settings::read_all(value, source, root, &mut settings)?;
    } else if let Some(value) = root_package().and_then(|package| package.metadata.get("backstop")) {
        let source = settings::Source { table: settings::PACKAGE_TABLE, manifest: &manifest };
        settings::read_all(value, source, root, &mut settings)?;
    }
    Ok(settings)
}
