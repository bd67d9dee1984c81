//! The packages with local sources: the members, and what they are built from, from manifest to manifest.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata};
use serde_json::Value;

use super::cargo::{LoadOptions, directory_of, metadata};
use super::configuration::{ConfigFile, scalars_in};
use super::package::LocalPackage;
use super::{patch, xtask};
use crate::error::{Error, ErrorKind, Result};
use crate::order;
use crate::path::{canonical, show_path, show_text};
use crate::toml::Scalar;

/// Gathers packages, each once, by the directory that they really lie in.
pub(super) struct Collector<'a> {
    options: &'a LoadOptions,
    pub(super) packages: Vec<LocalPackage>,
    /// The settings' table of each package.
    pub(super) tables: Vec<Option<Value>>,
    known: HashSet<PathBuf>,
    /// Packages that an answer named and nobody asked for yet.
    seen: HashMap<PathBuf, cargo_metadata::Package>,
    /// Path dependencies that have to be looked up: the directory, its name, and the package that asks for it.
    wanted: VecDeque<(PathBuf, String, String)>,
    pub(super) target_directories: Vec<PathBuf>,
    /// What each package is built from.
    edges: xtask::Edges,
    /// The packages that are built from backstop, other than their build scripts.
    embeds: HashSet<PathBuf>,
    root: PathBuf,
    /// Directories that stand in another package's stead.
    stead: Vec<PathBuf>,
    /// What cargo says of the whole, with all that it builds with: asked for once, and only where it is needed.
    full: Option<Result<Metadata>>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(options: &'a LoadOptions, root: &Path) -> Self {
        Collector {
            options,
            root: root.into(),
            stead: Vec::new(),
            full: None,
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

    pub(super) fn add_all(&mut self, metadata: &Metadata) -> Result<()> {
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
                } else if !member {
                    // Cargo never looks for these.
                    continue;
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

    pub(super) fn targets(&mut self, metadata: &Metadata) {
        let directories = [Some(&metadata.target_directory), metadata.build_directory.as_ref()];
        for directory in directories.into_iter().flatten() {
            let directory = directory.as_std_path();
            self.target_directories.push(canonical(directory).unwrap_or_else(|_| directory.into()));
        }
    }

    /// Follows the path dependencies until none is left.
    pub(super) fn follow(&mut self) -> Result<()> {
        while let Some((listed, name, asked_by)) = self.wanted.pop_front() {
            let asks = || format!("`{}` asks for `{}`", show_text(&asked_by), show_text(&name));
            let directory = match canonical(&listed) {
                Ok(directory) => directory,
                Err(_) if self.full().is_ok() => continue,
                Err(e) => {
                    let text = format!("no path dependency at `{}`", show_path(&listed));
                    return Err(Error::new(ErrorKind::Workspace, text)
                        .with_details([asks()])
                        .with_help("restore the directory, or correct the `path` of the dependency")
                        .with_source(e));
                }
            };
            if self.known.contains(&directory) {
                continue;
            }
            let first = self.packages.len();
            match self.package_in(&listed, &directory) {
                Ok(Some(package)) => self.add(&package, false)?,
                Ok(None) => continue,
                Err(e) if self.add_by_text(&listed, &directory).is_none() => {
                    return Err(e.with_details([asks()]));
                }
                Err(_) => {}
            }
            // Another package's answer may name the directory without the link that leads to it.
            if let Some(package) = self.packages.get_mut(first) {
                package.listed = listed;
            }
        }
        Ok(())
    }

    /// The package of a path dependency, as its own workspace knows it, or else this one: cargo builds with packages
    /// whose own workspace leaves them out or is not whole. `None` where cargo builds without it.
    fn package_in(&mut self, listed: &Path, directory: &Path) -> Result<Option<cargo_metadata::Package>> {
        let mut refused = None;
        if !self.seen.contains_key(directory) {
            let manifest = listed.join("Cargo.toml");
            match metadata(self.options, &self.options.directory, Some(&manifest), &["--no-deps"]) {
                Ok(metadata) => {
                    self.targets(&metadata);
                    self.see(metadata.packages);
                }
                Err(e) => refused = Some(e),
            }
        }
        if !self.seen.contains_key(directory)
            && let Ok(full) = self.full()
        {
            let local = local_packages(full);
            self.see(local);
        } else if let Some(e) = refused {
            return Err(e);
        }
        match self.seen.remove(directory) {
            None if !self.full().is_ok() => {
                let text = format!("no package in `{}`", show_path(listed));
                Err(Error::new(ErrorKind::Workspace, text))
            }
            found => Ok(found),
        }
    }

    fn see(&mut self, packages: Vec<cargo_metadata::Package>) {
        for package in packages {
            if let Ok(directory) = canonical(&directory_of(&package)) {
                self.seen.insert(directory, package);
            }
        }
    }

    fn full(&mut self) -> &Result<Metadata> {
        let (options, root) = (self.options, &self.root);
        let manifest = root.join("Cargo.toml");
        self.full.get_or_insert_with(|| metadata(options, root, Some(&manifest), &["--offline", "--locked"]))
    }

    /// Adds a package as its manifest alone tells of it: where nobody made a lockfile yet, or not all of it is on this
    /// machine, cargo does not say more.
    fn add_by_text(&mut self, listed: &Path, directory: &Path) -> Option<()> {
        let scalars = scalars_in(&listed.join("Cargo.toml"))?;
        let find =
            |keys: &[&str]| scalars.iter().find(|s| s.is_string && s.is_at(keys)).map(|s| s.text.clone());
        let name = find(&["package", "name"])?;
        const DEPENDENCIES: [&[&str]; 4] = [
            &["dependencies", "*", "path"],
            &["build-dependencies", "*", "path"],
            &["target", "*", "dependencies", "*", "path"],
            &["target", "*", "build-dependencies", "*", "path"],
        ];
        for scalar in scalars.iter().filter(|s| DEPENDENCIES.iter().any(|keys| s.is_at(keys))) {
            let path = listed.join(&scalar.text);
            self.edges.entry(directory.into()).or_default().push(path.clone());
            let dependency = scalar.path.iter().rev().nth(1).cloned().unwrap_or_default();
            self.wanted.push_back((path, dependency, name.clone()));
        }
        let named = [find(&["lib", "path"]), find(&["package", "build"]), find(&["bin", "", "path"])];
        let usual = ["src/lib.rs", "src/main.rs", "build.rs"].map(str::to_owned);
        let crate_roots = usual.into_iter().chain(named.into_iter().flatten()).map(|path| listed.join(path));
        let mut crate_roots: Vec<PathBuf> = crate_roots.filter(|path| path.is_file()).collect();
        order::sort(&mut crate_roots);
        crate_roots.dedup();
        let build_script = listed.join("build.rs").is_file() || find(&["package", "build"]).is_some();
        let files = [find(&["package", "readme"]), find(&["package", "license-file"])];
        self.known.insert(directory.into());
        self.tables.push(None);
        self.packages.push(LocalPackage {
            version: find(&["package", "version"]).unwrap_or_else(|| "0.0.0".into()),
            rust_version: find(&["package", "rust-version"]),
            directory: directory.into(),
            listed: listed.into(),
            crate_roots,
            targets: build_script
                .then(|| "build-script-build".to_owned())
                .into_iter()
                .chain([name.clone()])
                .collect(),
            files: files.into_iter().flatten().map(|file| listed.join(file)).collect(),
            member: false,
            name,
        });
        Some(())
    }

    /// The manifests of workspaces that path dependencies inherit from.
    pub(super) fn inherited(&self) -> Vec<PathBuf> {
        let read = |path: &Path| scalars_in(path).unwrap_or_default();
        let of = |package: &LocalPackage| {
            let own = read(&package.directory.join("Cargo.toml"));
            let inherits = |s: &Scalar| {
                s.text == "true" && s.path.len() > 1 && s.path.ends_with(&["workspace".to_owned()])
            };
            own.iter().find(|s| inherits(s))?;
            if let Some(named) = own.iter().find(|s| s.is_at(&["package", "workspace"])) {
                return Some(package.directory.join(&named.text).join("Cargo.toml"));
            }
            let manifests = package.directory.ancestors().map(|dir| dir.join("Cargo.toml"));
            manifests.into_iter().find(|path| read(path).iter().any(|s| s.path[0] == "workspace"))
        };
        self.packages.iter().filter(|package| !package.member).filter_map(of).collect()
    }

    /// The directories of the xtask and of the packages that it is built from.
    pub(super) fn xtask(&self, root: &Path) -> Vec<PathBuf> {
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
            from.extend(self.stead.iter().cloned());
        }
        xtask::built_from(from, &edges)
    }

    /// Adds the packages that a `[patch]` or `[replace]` table names, if it names any that is not known yet.
    pub(super) fn patched(&mut self, files: &[ConfigFile], notes: &mut Vec<String>) -> Result<()> {
        self.stead = patch::paths(&self.root, files);
        let mut unknown = self.stead.clone();
        unknown.retain(|path| !canonical(path).is_ok_and(|path| self.known.contains(&path)));
        if unknown.is_empty() {
            return Ok(());
        }
        match self.full() {
            Ok(full) => {
                let local = local_packages(full);
                local.iter().try_for_each(|package| self.add(package, false))?;
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

fn local_packages(metadata: &Metadata) -> Vec<cargo_metadata::Package> {
    metadata.packages.iter().filter(|package| package.source.is_none()).cloned().collect()
}

/// What another workspace's package is built from. What does not load there cannot be built either.
fn edges_of_another(options: &LoadOptions, root: &Path, manifest: &Path) -> xtask::Edges {
    let mut collector = Collector::new(options, manifest.parent().unwrap_or(root));
    let directory = manifest.parent().and_then(|dir| canonical(dir).ok());
    if let Ok(metadata) = metadata(options, root, Some(manifest), &["--no-deps"]) {
        let is_meant = |p: &&cargo_metadata::Package| canonical(&directory_of(p)).ok() == directory;
        for package in metadata.packages.iter().filter(is_meant) {
            let _ = collector.add(package, true).and_then(|()| collector.follow());
        }
    }
    collector.edges
}
