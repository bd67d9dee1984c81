//! The workspace as cargo metadata describes it, with the path dependencies outside it.
//!
//! Only `--no-deps` is asked: it needs no lockfile, registry or network, and writes nothing. It names neither the
//! path packages outside the workspace, which are followed from manifest to manifest, nor the packages of a
//! `[patch]` table: only where one names a package that is not known is the full form run, with `--locked`.

mod patch;
mod xtask;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::order;
use crate::path::{canonical, show_path, show_text};
use crate::process;
use crate::settings::{self, Settings};

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
    /// The directories of the xtask and of the local packages that it is built from, sorted.
    pub xtask: Vec<PathBuf>,
    /// What the manifests ask for.
    pub settings: Settings,
    /// Versions of the tools: `backstop`, `cargo`, `rustc`, `git`.
    pub tools: BTreeMap<String, String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A package whose sources are local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPackage {
    /// Its name in its manifest.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The oldest toolchain that it is for, as its manifest says.
    pub rust_version: Option<String>,
    /// Its directory, without symbolic links.
    pub directory: PathBuf,
    /// Its directory as cargo names it: maybe through links.
    pub listed: PathBuf,
    /// The source files that its targets start at, absolute.
    pub crate_roots: Vec<PathBuf>,
    /// The names of its targets, as cargo gives them.
    pub targets: Vec<String>,
    /// Its readme and licence file, absolute; maybe outside its directory, maybe missing.
    pub files: Vec<PathBuf>,
    /// Whether it is a member of the workspace; otherwise a path dependency.
    pub member: bool,
}

impl LocalPackage {
    /// Whether it has a build script: cargo calls that target `build-script-NAME`.
    pub(crate) fn has_build_script(&self) -> bool {
        self.targets.iter().any(|name| name.starts_with("build-script-"))
    }
}

/// What [`load`] needs to know from outside.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// A manifest of the workspace; `None` searches upwards from `directory`.
    pub manifest_path: Option<PathBuf>,
    /// The current directory.
    pub directory: PathBuf,
    /// The cargo to ask: the value of `CARGO`, or `cargo`.
    pub cargo: OsString,
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

    let mut collector = Collector::new(options);
    collector.add_all(&metadata)?;
    collector.targets(&metadata);
    collector.follow()?;
    let mut notes = Vec::new();
    collector.patched(&root, &mut notes)?;
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
    Ok(Workspace { root, target_directories, packages, outside, xtask, settings, tools, notes })
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

/// Gathers packages, each once, by the directory that they really lie in.
struct Collector<'a> {
    options: &'a LoadOptions,
    packages: Vec<LocalPackage>,
    /// The settings' table of each package.
    tables: Vec<Option<Value>>,
    known: HashSet<PathBuf>,
    /// Packages that an answer named and nobody asked for yet.
    seen: HashMap<PathBuf, cargo_metadata::Package>,
    /// Path dependencies that have to be looked up: the directory, its name, and the package that asks for it.
    wanted: VecDeque<(PathBuf, String, String)>,
    target_directories: Vec<PathBuf>,
    /// What each package is built from.
    edges: xtask::Edges,
    /// The packages that are built from backstop, other than their build scripts.
    embeds: HashSet<PathBuf>,
}

impl<'a> Collector<'a> {
    fn new(options: &'a LoadOptions) -> Self {
        Collector {
            options,
            packages: Vec::new(),
            tables: Vec::new(),
            known: HashSet::new(),
            seen: HashMap::new(),
            wanted: VecDeque::new(),
            target_directories: Vec::new(),
            edges: xtask::Edges::new(),
            embeds: HashSet::new(),
        }
    }

    fn add_all(&mut self, metadata: &Metadata) -> Result<()> {
        metadata.packages.iter().try_for_each(|package| self.add(package, true))
    }

    fn add(&mut self, package: &cargo_metadata::Package, member: bool) -> Result<()> {
        let listed = directory_of(package);
        let directory = canonical(&listed)?;
        if !self.known.insert(directory.clone()) {
            return Ok(());
        }
        for dependency in &package.dependencies {
            if dependency.name == env!("CARGO_PKG_NAME") && dependency.kind == DependencyKind::Normal {
                self.embeds.insert(directory.clone());
            }
            if let Some(path) = &dependency.path {
                if dependency.kind != DependencyKind::Development {
                    self.edges.entry(directory.clone()).or_default().push(path.clone().into());
                }
                let wanted = (path.clone().into(), dependency.name.clone(), package.name.to_string());
                self.wanted.push_back(wanted);
            }
        }
        let mut crate_roots: Vec<PathBuf> =
            package.targets.iter().map(|target| target.src_path.clone().into()).collect();
        order::sort(&mut crate_roots);
        crate_roots.dedup();
        let mut targets: Vec<String> = package.targets.iter().map(|target| target.name.clone()).collect();
        order::sort(&mut targets);
        targets.dedup();
        // Cargo gives them relative to the package.
        let files =
            package.readme.iter().chain(&package.license_file).map(|file| listed.join(file)).collect();
        self.tables.push(package.metadata.get("backstop").cloned());
        self.packages.push(LocalPackage {
            name: package.name.to_string(),
            version: package.version.to_string(),
            rust_version: package.rust_version.as_ref().map(ToString::to_string),
            directory,
            listed,
            crate_roots,
            targets,
            files,
            member,
        });
        Ok(())
    }

    fn targets(&mut self, metadata: &Metadata) {
        let directories = [Some(&metadata.target_directory), metadata.build_directory.as_ref()];
        for directory in directories.into_iter().flatten() {
            let directory = directory.as_std_path();
            self.target_directories.push(canonical(directory).unwrap_or_else(|_| directory.into()));
        }
    }

    /// Follows the path dependencies until none is left.
    fn follow(&mut self) -> Result<()> {
        while let Some((listed, name, asked_by)) = self.wanted.pop_front() {
            let asks = || format!("`{}` asks for `{}`", show_text(&asked_by), show_text(&name));
            let directory = canonical(&listed).map_err(|e| {
                Error::new(ErrorKind::Workspace, format!("no path dependency at `{}`", show_path(&listed)))
                    .with_details([asks()])
                    .with_help("restore the directory, or correct the `path` of the dependency")
                    .with_source(e)
            })?;
            if self.known.contains(&directory) {
                continue;
            }
            if !self.seen.contains_key(&directory) {
                let manifest = listed.join("Cargo.toml");
                let metadata =
                    metadata(self.options, &self.options.directory, Some(&manifest), &["--no-deps"])
                        .map_err(|e| e.with_details([asks()]))?;
                self.targets(&metadata);
                for package in metadata.packages {
                    if let Ok(directory) = canonical(&directory_of(&package)) {
                        self.seen.insert(directory, package);
                    }
                }
            }
            let Some(package) = self.seen.remove(&directory) else {
                let message = format!("no package in `{}`", show_path(&listed));
                return Err(Error::new(ErrorKind::Workspace, message).with_details([asks()]));
            };
            let first = self.packages.len();
            self.add(&package, false)?;
            // Another package's answer may name the directory without the link that leads to it.
            if let Some(package) = self.packages.get_mut(first) {
                package.listed = listed;
            }
        }
        Ok(())
    }

    /// The directories of the xtask and of the packages that it is built from.
    fn xtask(&self, root: &Path) -> Vec<PathBuf> {
        let found = xtask::Found::read(root);
        let is_xtask = |package: &&LocalPackage| {
            let mut names = package.targets.iter().chain([&package.name]);
            names.any(|name| found.names(name))
                || self.embeds.contains(&package.directory)
                || (found.is_root_package() && package.directory == root)
        };
        let mut from: Vec<PathBuf> =
            self.packages.iter().filter(is_xtask).map(|package| package.directory.clone()).collect();
        let mut edges = self.edges.clone();
        for manifest in found.manifests() {
            let Ok(directory) = canonical(manifest.parent().unwrap_or(root)) else { continue };
            if !self.known.contains(&directory) {
                edges.extend(edges_of_another(self.options, root, manifest));
            }
            from.push(directory);
        }
        if !from.is_empty() {
            from.extend(patch::paths(root));
        }
        xtask::built_from(from, &edges)
    }

    /// Adds the packages that a `[patch]` or `[replace]` table names, if it names any that is not known yet.
    fn patched(&mut self, root: &Path, notes: &mut Vec<String>) -> Result<()> {
        let mut unknown = patch::paths(root);
        unknown.retain(|path| !canonical(path).is_ok_and(|path| self.known.contains(&path)));
        if unknown.is_empty() {
            return Ok(());
        }
        let manifest = root.join("Cargo.toml");
        match metadata(self.options, root, Some(&manifest), &["--offline", "--locked"]) {
            Ok(full) => {
                let mut local = full.packages.iter().filter(|package| package.source.is_none());
                local.try_for_each(|package| self.add(package, false))?;
            }
            Err(error) => {
                let cause = error.details().first().cloned().unwrap_or_else(|| error.to_string());
                notes.push(format!(
                    "the packages of a `[patch]` or `[replace]` table are taken from its text: cargo metadata \
                     --offline --locked fails: {cause}"
                ));
                let asks = |path| (path, "a local package".to_owned(), "[patch]".to_owned());
                self.wanted.extend(unknown.into_iter().map(asks));
            }
        }
        self.follow()
    }
}

/// What another workspace's package is built from. What does not load there cannot be built either.
fn edges_of_another(options: &LoadOptions, root: &Path, manifest: &Path) -> xtask::Edges {
    let mut collector = Collector::new(options);
    let directory = manifest.parent().and_then(|dir| canonical(dir).ok());
    if let Ok(metadata) = metadata(options, root, Some(manifest), &["--no-deps"]) {
        let is_meant = |p: &&cargo_metadata::Package| canonical(&directory_of(p)).ok() == directory;
        for package in metadata.packages.iter().filter(is_meant) {
            let _ = collector.add(package, true).and_then(|()| collector.follow());
        }
    }
    collector.edges
}

fn directory_of(package: &cargo_metadata::Package) -> PathBuf {
    package.manifest_path.parent().map_or_else(PathBuf::new, |dir| dir.as_std_path().to_path_buf())
}

/// Asks cargo metadata in `dir`.
pub(crate) fn metadata(
    options: &LoadOptions,
    dir: &Path,
    manifest: Option<&Path>,
    more: &[&str],
) -> Result<Metadata> {
    let mut args: Vec<&OsStr> = ["metadata", "--format-version", "1"].map(OsStr::new).to_vec();
    args.extend(more.iter().map(OsStr::new));
    if let Some(manifest) = manifest {
        args.extend([OsStr::new("--manifest-path"), manifest.as_os_str()]);
    }
    let shown = manifest.and_then(Path::parent).map_or_else(|| dir.to_path_buf(), |parent| dir.join(parent));
    // Without a trailing slash.
    let shown: PathBuf = shown.components().collect();
    let failed = || {
        Error::new(ErrorKind::Workspace, format!("cargo metadata fails in `{}`", show_path(&shown)))
            .with_help("mend what cargo names; a rollback needs no cargo and works all the same")
    };
    let answer = process::tool(&options.cargo, dir, &args)
        .map_err(|e| e.with_help("is cargo installed? The variable CARGO names another one"))?;
    if !answer.ok {
        let lines = answer.stderr.lines().map(str::trim_end).filter(|line| !line.is_empty());
        return Err(failed().with_details(lines.map(show_text)));
    }
    String::from_utf8(answer.stdout)
        .map_err(|e| failed().with_source(e))
        .and_then(|text| MetadataCommand::parse(text).map_err(|e| failed().with_source(e)))
}

/// The versions of the tools that answer.
fn tool_versions(options: &LoadOptions) -> BTreeMap<String, String> {
    let cargo = Path::new(&options.cargo);
    let beside = cargo.with_file_name("rustc");
    let rustc = if cargo.is_absolute() && beside.is_file() { beside.into() } else { OsString::from("rustc") };
    let version = |answer: Result<process::Answer>| {
        let answer = answer.ok()?;
        let text = String::from_utf8(answer.stdout).ok().filter(|_| answer.ok)?;
        // `cargo 1.95.0 (…)`, `rustc 1.95.0 (…)`, `git version 2.47.3`.
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(show_text)
    };
    let mut tools: BTreeMap<String, String> =
        order::gather([("backstop".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    std::thread::scope(|scope| {
        let ask =
            |program: &OsStr| version(process::tool(program, &options.directory, &[OsStr::new("--version")]));
        let answers = [
            ("cargo", scope.spawn(move || ask(&options.cargo))),
            ("rustc", scope.spawn(move || ask(&rustc))),
            ("git", scope.spawn(move || version(process::git_version()))),
        ];
        for (name, answer) in answers {
            if let Ok(Some(version)) = answer.join() {
                tools.insert(name.to_owned(), version);
            }
        }
    });
    tools
}
