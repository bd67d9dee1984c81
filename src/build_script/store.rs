//! A store as the guard sees it, and where it is looked for. No manifest has to parse for that.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::guard_file::{GuardFile, Unreadable};

/// A store that may be the package's, whether anything stands there yet or not.
pub(super) struct Store {
    pub(super) dir: PathBuf,
    /// The workspace root.
    pub(super) root: PathBuf,
    /// What its file `guard` says.
    pub(super) file: GuardFile,
    /// Whether it serves another workspace.
    pub(super) is_anothers: bool,
    /// Why nothing is known about it, and what to do about that.
    pub(super) unknown: Option<String>,
}

/// The stores that may be the package's, the likeliest first: those that hold it; then the one of the package itself,
/// where the build writes into it; of the workspaces above; of the workspace that builds it, for a package beside that.
pub(super) fn candidates([named, package, out_dir]: [&Path; 3], store: Option<&Path>) -> Vec<Store> {
    let is_table = |line: &str| line.trim_start_matches(['\u{feff}', ' ', '\t']).starts_with("[workspace");
    let is_workspace = |dir: &&Path| manifest(dir).lines().any(is_table);
    let mut roots: Vec<PathBuf> = out_dir.starts_with(package).then(|| package.into()).into_iter().collect();
    roots.extend(named.ancestors().chain(package.ancestors()).filter(is_workspace).map(real));
    roots.extend(out_dir.ancestors().find(|dir| is_package(dir)).map(Path::to_path_buf));
    roots.push(package.into());
    let mut stores: Vec<Store> = Vec::new();
    for root in &roots {
        let way = store.map(Path::to_path_buf).or_else(|| setting(root));
        let dir = real(&root.join(way.unwrap_or_else(|| "backup".into())));
        if !stores.iter().any(|store| store.dir == dir) {
            stores.push(Store::read(dir, root, &roots));
        }
    }
    stores.sort_by_key(|store| !store.holds(package));
    stores
}

impl Store {
    fn read(dir: PathBuf, root: &Path, roots: &[PathBuf]) -> Self {
        let text = fs::read_to_string(dir.join("guard"));
        let (shown, unborn) = (dir.display().to_string(), text.is_err() && !dir.join("state").exists());
        let none = format!("there is no restore point in `{shown}`; make one");
        let unread = |what: &str| (Some(format!("`{shown}/guard` {what}")), GuardFile::default());
        let (mut what, file) = match GuardFile::parse(&text.unwrap_or_default()) {
            Ok(file) => (file.point.is_none().then_some(none), file),
            Err(_) if unborn => (Some(none), GuardFile::default()),
            Err(Unreadable::Damaged) => unread("is missing or damaged; write it anew"),
            Err(Unreadable::Later) => unread("is of a later version; update the build-dependency, then"),
        };
        // A workspace that is missing was moved, and its store with it.
        let recorded = Some(dir.join(&file.root)).filter(|root| root.exists() && !file.root.is_empty());
        let root = recorded.map_or_else(|| root.to_path_buf(), |root| real(&root));
        let is_anothers = !roots.contains(&root);
        if is_anothers {
            let root = root.display();
            what =
                Some(format!("the store `{shown}` is that of the workspace `{root}`; name this one's, or"));
        }
        let mut store = Store { dir, root, file, is_anothers, unknown: None };
        store.unknown = what.map(|what| format!("{what}: {}", store.cure("backup")));
        store
    }

    pub(super) fn holds(&self, package: &Path) -> bool {
        self.file.packages.iter().any(|held| real(&self.root.join(&held.directory)) == package)
    }

    pub(super) fn xtask_needs(&self, package: &Path) -> bool {
        self.file.xtask.iter().any(|directory| real(&self.root.join(directory)) == package)
    }

    /// Whether a rollback was begun and has not ended. Its journal says so, and of a script that replaces its journal
    /// its list of what it displaced does. `state` alone is written before anything is moved.
    pub(super) fn is_partly_rolled_back(&self) -> bool {
        let state = fs::read_to_string(self.dir.join("state")).unwrap_or_default();
        let id = state.trim_end().strip_prefix("rollback ").unwrap_or("-");
        let exists = |name: &str| self.dir.join("rollback").join(name).exists();
        let (list, closed) = (format!("displaced_{id}.list"), format!("rollback_{id}.journal"));
        !self.is_anothers && (exists("journal") || (exists(&list) && !exists(&closed)))
    }

    /// Where the plain files of the restore point are.
    pub(super) fn session(&self) -> PathBuf {
        let id = self.file.point.as_ref().and_then(|point| point.backup_id.rsplit("_backup_").next());
        self.dir.join(format!("session_{}", id.unwrap_or_default()))
    }

    /// The way to run backstop on this store that needs no build: the executable in it.
    pub(super) fn executable(&self) -> String {
        let kept = self.dir.join("scripts/backstop");
        let (path, before) = if kept.is_file() { (&kept, "") } else { (&self.dir, "backstop --store ") };
        let text = path.to_string_lossy();
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c));
        if plain { format!("{before}{text}") } else { format!("{before}'{}'", text.replace('\'', "'\\''")) }
    }

    /// The command that helps, by Cargo and without a build.
    pub(super) fn cure(&self, command: &str) -> String {
        format!("cargo xtask {command}, or without a build: {} {command}", self.executable())
    }

    /// What of the package is not in the restore point as it is now, one short text a path. An error says why that
    /// cannot be told.
    pub(super) fn uncovered(&self, package: &Path, never: &[PathBuf]) -> Result<Vec<String>, &str> {
        let held = self.file.packages.iter().find(|held| real(&self.root.join(&held.directory)) == package);
        let held = held.ok_or("it does not hold this package")?;
        let kept = self.session().join(&held.files);
        if !kept.is_dir() {
            return Err("its session directory is missing");
        }
        let (mut never, mut out) = (never.to_vec(), Vec::new());
        never.extend(held.left_out.iter().map(|path| package.join(path)));
        self.compare(&kept, package, &never, &mut out);
        let shown = |path: &Path| path.strip_prefix(package).unwrap_or(path).display().to_string();
        Ok(out.iter().map(|(path, what)| format!("{} {what}", shown(path))).collect())
    }

    /// Holds what is kept of a directory against what stands there now. Packages in it are others'. Of what is new
    /// only sources count: much else is what git ignores, or what an editor makes.
    fn compare(&self, kept: &Path, now: &Path, never: &[PathBuf], out: &mut Vec<(PathBuf, &'static str)>) {
        let entries = [kept, now].into_iter().flat_map(fs::read_dir).flatten().flatten();
        for name in entries.map(|entry| entry.file_name()).collect::<BTreeSet<_>>() {
            let (kept, now) = (kept.join(&name), now.join(&name));
            let is_source = now.extension().is_some_and(|ext| ext == "rs") || name == "Cargo.toml";
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let what = match (kept.symlink_metadata(), now.symlink_metadata()) {
                (Ok(old), _) if old.is_dir() && (self.holds(&now) || is_package(&kept)) => continue,
                (Ok(_), Err(_)) => "is missing",
                (Ok(old), Ok(new)) if old.file_type() != new.file_type() => "is another kind of file",
                (Ok(old), Ok(_)) if !old.is_dir() && same(&kept, &now) => continue,
                (Ok(old), Ok(_)) if !old.is_dir() => "changed",
                (Err(_), _) if hidden || never.contains(&now) || is_target(&now) => continue,
                (Err(_), _) if is_package(&now) => "is a new package",
                (_, Ok(new)) if new.is_dir() => {
                    self.compare(&kept, &now, never, out);
                    continue;
                }
                _ if is_source => "is new",
                _ => continue,
            };
            out.push((now, what));
        }
    }
}

/// Whether two files have the same bytes, or two links the same target.
fn same(kept: &Path, now: &Path) -> bool {
    let bytes = || fs::read(kept).is_ok_and(|kept| fs::read(now).is_ok_and(|now| kept == now));
    fs::read_link(kept).map_or_else(|_| bytes(), |kept| fs::read_link(now).is_ok_and(|now| kept == now))
}

/// The key `store` of `[workspace.metadata.backstop]`, on a line of its own.
fn setting(root: &Path) -> Option<PathBuf> {
    let text = manifest(root);
    let table = text.split_once("\n[workspace.metadata.backstop]")?.1;
    let mut lines = table.lines().skip(1).map(str::trim).take_while(|line| !line.starts_with('['));
    let value = lines.find_map(|line| line.strip_prefix("store")?.trim_start().strip_prefix('='))?.trim();
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
    value[1..].split(quote).next().filter(|text| !text.is_empty() && !text.contains('\\')).map(PathBuf::from)
}

fn manifest(dir: &Path) -> String {
    fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default()
}

pub(super) fn is_package(dir: &Path) -> bool {
    dir.join("Cargo.toml").is_file()
}

/// Whether a build tool's output lies there.
pub(super) fn is_target(dir: &Path) -> bool {
    dir.join("CACHEDIR.TAG").exists() || (dir.ends_with("target") && dir.join("../Cargo.toml").exists())
}

/// Whether Cargo unpacked the package (from a registry or git, vendored, or to verify what `cargo package` made):
/// nobody rolls that back. A merge or a patch may leave a `Cargo.toml.orig` too.
pub(super) fn is_unpacked(package: &Path) -> bool {
    let generated = manifest(package).contains("AUTOMATICALLY GENERATED BY CARGO");
    (generated && package.join("Cargo.toml.orig").exists())
        || package.join(".cargo-checksum.json").exists()
        || package.ancestors().any(|dir| dir.join(".cargo-ok").exists())
}

/// The path without links, as far as it exists; `..` counts by name below that.
#[expect(clippy::disallowed_methods, reason = "`crate::path` is the engine's, and no error is made of this")]
pub(super) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_path_buf(),
    })
}
