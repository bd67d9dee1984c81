//! What `Cargo.lock` says of who depends on whom. It names no kinds of dependency: one for tests counts too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::place::Manifest;

/// Whether the lockfile in a directory has a local package of that name.
pub(super) fn names(dir: &Path, package: &str) -> bool {
    Lockfile::read(dir).packages().iter().any(|locked| locked.is_local(package))
}

/// An xtask that depends on a package, or is it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Xtask {
    pub(super) name: String,
    /// The lockfile that says so.
    pub(super) lockfile: PathBuf,
}

/// The xtask that depends on the package, or is it. An xtask is the package named `xtask`, and the one that the
/// alias `xtask` of a `.cargo/config.toml` runs; it may be a workspace of its own. The lockfiles that are asked are
/// the workspace's, that of the alias's manifest, and that of the workspace that builds into `out_dir`.
pub(super) fn xtask_above(root: &Path, out_dir: &Path, package: &str) -> Option<Xtask> {
    let alias = Alias::read(root);
    let elsewhere = alias.manifest.as_deref().and_then(Path::parent);
    let mut xtasks = vec!["xtask".to_owned()];
    xtasks.extend(alias.package);
    xtasks.extend(elsewhere.and_then(|dir| Some(Manifest::read(dir).string("package", "name")?.to_owned())));
    let locked = |dir: &Path| dir.ancestors().find(|dir| dir.join(LOCKFILE).is_file()).map(Path::to_path_buf);
    let mut dirs = vec![root.to_path_buf()];
    dirs.extend(elsewhere.and_then(locked));
    dirs.extend(locked(out_dir));
    dirs.into_iter().find_map(|dir| {
        let lockfile = Lockfile::read(&dir);
        let packages = lockfile.packages();
        let name = xtasks.iter().find(|xtask| reaches(&packages, xtask, package))?.clone();
        Some(Xtask { name, lockfile: dir.join(LOCKFILE) })
    })
}

const LOCKFILE: &str = "Cargo.lock";

/// The text of a lockfile.
struct Lockfile(String);

/// A package in it.
#[derive(Debug, Default)]
struct Locked<'a> {
    name: &'a str,
    version: &'a str,
    /// Whether it lies in the file system, as what has no source does.
    local: bool,
    /// The name, and where several packages have it, the version and the source behind it.
    dependencies: Vec<&'a str>,
}

impl Locked<'_> {
    fn is_local(&self, name: &str) -> bool {
        self.local && self.name == name
    }
}

impl Lockfile {
    /// Nothing stands in one that cannot be read.
    fn read(dir: &Path) -> Self {
        Lockfile(fs::read_to_string(dir.join(LOCKFILE)).unwrap_or_default())
    }

    fn packages(&self) -> Vec<Locked<'_>> {
        self.0.split("[[package]]").skip(1).map(package).collect()
    }
}

fn package(block: &str) -> Locked<'_> {
    let mut out = Locked { local: true, ..Locked::default() };
    let mut inside = false;
    for line in block.lines().map(str::trim) {
        match line {
            "dependencies = [" => inside = true,
            "]" => inside = false,
            _ if inside => out.dependencies.push(line.trim_matches(['"', ','])),
            _ if line.starts_with("source = ") => out.local = false,
            _ => {
                let value = |key| Some(line.strip_prefix(key)?.trim_matches('"'));
                out.name = value("name = ").unwrap_or(out.name);
                out.version = value("version = ").unwrap_or(out.version);
            }
        }
    }
    out
}

/// Whether the local package `to` is the local package `from`, or what it depends on, through whatever lies between:
/// a package from a registry depends on a local one where `[patch]` says so.
fn reaches(packages: &[Locked<'_>], from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<usize> = (0..packages.len()).filter(|i| packages[*i].is_local(from)).collect();
    while let Some(i) = todo.pop() {
        if !seen.insert(i) {
            continue;
        }
        if packages[i].is_local(to) {
            return true;
        }
        for dependency in &packages[i].dependencies {
            let mut words = dependency.split(' ');
            let (name, version) = (words.next(), words.next());
            let is_it = |p: &Locked<'_>| Some(p.name) == name && version.is_none_or(|v| v == p.version);
            todo.extend((0..packages.len()).filter(|i| is_it(&packages[*i])));
        }
    }
    false
}

/// What `cargo xtask` runs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Alias {
    package: Option<String>,
    manifest: Option<PathBuf>,
}

impl Alias {
    /// The nearest at or above a directory, as Cargo takes it. A path in it counts from where Cargo is called, which
    /// for one that works is that directory.
    fn read(root: &Path) -> Self {
        let configs =
            root.ancestors().flat_map(|dir| ["config.toml", "config"].map(|n| dir.join(".cargo").join(n)));
        let texts = configs.filter_map(|path| fs::read_to_string(path).ok());
        let mut alias = texts.filter_map(|text| Alias::parse(&text)).next().unwrap_or_default();
        alias.manifest = alias.manifest.map(|path| super::place::clean(&root.join(path)));
        alias
    }

    /// A string, or an array of them on one line or several.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let mut value = lines.find_map(|line| {
            let key = line.strip_prefix("alias.").unwrap_or(line).strip_prefix("xtask")?;
            Some(key.trim_start().strip_prefix('=')?.trim_start().to_owned())
        })?;
        while value.starts_with('[')
            && !value.contains(']')
            && let Some(line) = lines.next()
        {
            value = value + " " + line;
        }
        let words: Vec<&str> =
            value.split([' ', '=', '"', '\'', ',', '[', ']']).filter(|word| !word.is_empty()).collect();
        let behind = |option: &[&str]| {
            words.windows(2).find(|pair| option.contains(&pair[0])).map(|pair| pair[1].to_owned())
        };
        Some(Alias {
            package: behind(&["--package", "-p"]),
            manifest: behind(&["--manifest-path"]).map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_read_in_each_of_its_forms() {
        let alias = |text: &str| Alias::parse(text).map(|a| (a.package, a.manifest));
        let some = |package: &str| Some((Some(package.to_owned()), None));
        assert_eq!(alias("[alias]\nxtask = \"run --package chores --\"\n"), some("chores"));
        assert_eq!(alias("alias.xtask=['run', '-p', 'chores']"), some("chores"));
        let elsewhere = Some((None, Some("tools/x/Cargo.toml".into())));
        assert_eq!(
            alias("[alias]\nxtask = [\n  \"run\",\n  \"--manifest-path=tools/x/Cargo.toml\",\n]\n"),
            elsewhere
        );
        assert_eq!(alias("xtask = \"run --manifest-path tools/x/Cargo.toml --\""), elsewhere);
        assert_eq!(alias("[alias]\nxtask-old = \"run -p old\"\nb = \"run -p xtask\"\n"), None);
    }

    #[test]
    fn the_way_to_a_package_may_lead_through_a_registry_and_keeps_versions_apart() {
        let text = "[[package]]\nname = \"xtask\"\nversion = \"0.1.0\"\ndependencies = [\n \"far 1.0.0\",\n]\n\n\
             [[package]]\nname = \"far\"\nversion = \"1.0.0\"\nsource = \"registry\"\ndependencies = [\n \"near\",\n]\n\n\
             [[package]]\nname = \"far\"\nversion = \"2.0.0\"\nsource = \"registry\"\ndependencies = [\n \"other\",\n]\n\n\
             [[package]]\nname = \"near\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"other\"\nversion = \"0.1.0\"\n";
        let lockfile = Lockfile(text.to_owned());
        let reached = |to: &str| reaches(&lockfile.packages(), "xtask", to);
        assert_eq!(["xtask", "near", "far", "other"].map(reached), [true, true, false, false]);
    }
}
