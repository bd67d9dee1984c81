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
    let locked = |dir: &Path| directory(dir).map(Path::to_path_buf);
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

/// The nearest directory at or above a path that has a lockfile: the workspace that builds there.
pub(super) fn directory(path: &Path) -> Option<&Path> {
    path.ancestors().find(|dir| dir.join(LOCKFILE).is_file())
}

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
        let texts: Vec<String> = configs.filter_map(|path| fs::read_to_string(path).ok()).collect();
        let Some(mut alias) = Alias::of(&texts) else { return Alias::default() };
        alias.manifest = alias.manifest.map(|path| super::place::clean(&root.join(path)));
        if alias == Alias::default() {
            // A bare `run` runs the root package.
            alias.package = Manifest::read(root).string("package", "name").map(str::to_owned);
        }
        alias
    }

    fn of(texts: &[String]) -> Option<Self> {
        let mut words = words(texts, "xtask")?;
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
        Some(Alias { package, manifest: behind(&["--manifest-path"]).map(PathBuf::from) })
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
            let value = key.and_then(|key| super::place::value(key, alias));
            if let Some(value) = value {
                let found = super::place::strings(&text[at..]);
                let array = value.starts_with('[');
                return Some(if array {
                    found
                } else {
                    found.iter().take(1).flat_map(|s| s.split_whitespace().map(str::to_owned)).collect()
                });
            }
            at += line.len();
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_read_in_each_of_its_forms() {
        let alias = |text: &str| Alias::of(&[text.to_owned()]).map(|found| (found.package, found.manifest));
        let some = |package: &str| Some((Some(package.to_owned()), None));
        for text in ["", "[alias]\nxtask =", "[alias]\nxtask = [", "[alias]\nxtask = \"\"", "xtask = \"run\""]
        {
            assert!(alias(text).is_none_or(|found| found == (None, None)), "{text}");
        }
        for text in [
            "[alias]\n\"xtask\" = \"run -q -p chores --\"",
            "[alias]\nxtask = \"chores\"\nchores = \"run -q -p chores --\"",
            "[alias]\nxtask = \"run -q --bin chores -- -p other\"",
            "[alias]\nxtask = \"run -p chores@0.1.0\"",
            "[alias]\nxtask = \"run -pchores\"",
            "[env]\nxtask = \"x\"\n[alias]\nxtask = \"run -q -p chores --\"",
            "[alias]\nxtask = [ # [a]\n  \"run\", '-p',\n  \"chores\",\n]\n",
        ] {
            assert_eq!(alias(text), some("chores"), "{text}");
        }
        let blank = "[alias]\nxtask = [\"run\", \"--manifest-path\", \"my tools/Cargo.toml\", \"--\"]";
        assert_eq!(alias(blank), Some((None, Some("my tools/Cargo.toml".into()))));
        assert_eq!(alias("[alias]\nxtask = \"run --package chores --\"\n"), some("chores"));
        assert_eq!(alias("alias.xtask=['run', '-p', 'chores']"), some("chores"));
        let elsewhere = Some((None, Some("tools/x/Cargo.toml".into())));
        assert_eq!(
            alias("[alias]\nxtask = [\n  \"run\",\n  \"--manifest-path=tools/x/Cargo.toml\",\n]\n"),
            elsewhere
        );
        assert_eq!(alias("[alias]\nxtask = \"run --manifest-path tools/x/Cargo.toml --\""), elsewhere);
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
