//! CP005: whether what a backup, a rollback and a build need is there.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::Surroundings;
use crate::check::Check;
use crate::compile::Cargo;
use crate::error::Result;
use crate::path::show_path;
use crate::store::Store;

/// So many times the size of the newest restore point has to be free: a rollback keeps a restore point of the
/// present, its archive and what it displaces.
const COPIES: u64 = 3;

pub(super) fn look(at: &Surroundings<'_>) -> Result<Check> {
    let mut checked = Check::counted(0, "conditions");
    let mut ask = |problem: Option<(String, String)>| {
        checked.checked += 1;
        if let Some((place, problem)) = problem {
            checked.find(place, problem);
        }
    };
    let version = rustc(at);
    ask(toolchain(at, version.as_ref()));
    for answer in lockfile(at, version.as_ref())? {
        ask(answer);
    }
    ask(space(at.store)?);
    ask(writable(at.store));
    let git = Git::of(at.store);
    ask(git.tracked());
    checked.notes.extend(git.swept());
    Ok(checked.with_remedy("fix what is named; `checkpoint --only CP005` looks again"))
}

/// What `rustc -vV` says.
struct Rustc {
    version: String,
    host: String,
}

fn rustc(at: &Surroundings<'_>) -> Option<Rustc> {
    let cargo = Path::new(at.cargo);
    let beside = cargo.with_file_name("rustc");
    let program =
        if cargo.is_absolute() && beside.is_file() { beside.into() } else { OsString::from("rustc") };
    let answer = crate::process::tool(&program, &at.workspace.root, &[OsStr::new("-vV")]).ok()?;
    let text = String::from_utf8(answer.stdout).ok().filter(|_| answer.ok)?;
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
    Some(Rustc { version: field("release:")?, host: field("host:")? })
}

/// The toolchain is there, and not older than any package asks for.
fn toolchain(at: &Surroundings<'_>, rustc: Option<&Rustc>) -> Option<(String, String)> {
    let Some(rustc) = rustc else {
        return Some(("rustc".into(), "does not say its version: is the toolchain installed?".into()));
    };
    let numbers = |text: &str| -> Vec<u64> {
        let text = text.split(['-', '+']).next().unwrap_or_default();
        text.split('.').map(|n| n.trim().parse().unwrap_or(0)).chain([0, 0, 0]).take(3).collect()
    };
    let wanted = at.workspace.packages.iter().filter_map(|p| Some((p, p.rust_version.as_ref()?)));
    let newest = wanted.max_by_key(|(_, version)| numbers(version))?;
    (numbers(newest.1) > numbers(&rustc.version)).then(|| {
        let place = show_path(&newest.0.directory.join("Cargo.toml"));
        (place, format!("asks for rustc {}, and this is {}", newest.1, rustc.version))
    })
}

/// `Cargo.lock` is in step with the manifests, and all that it names for this machine is there without a network.
fn lockfile(at: &Surroundings<'_>, rustc: Option<&Rustc>) -> Result<Vec<Option<(String, String)>>> {
    if !at.workspace.root.join("Cargo.lock").exists() {
        return Ok(vec![Some((
            "Cargo.lock".into(),
            "is missing: `cargo generate-lockfile` makes it".into(),
        ))]);
    }
    let cargo = Cargo {
        program: at.cargo,
        directory: &at.workspace.root,
        target: None,
        locked: true,
        offline: true,
        time_limit: None,
        env: &[],
    };
    let said = |answer: crate::compile::Answer| answer.findings.into_iter().next().map(|f| f.problem);
    let step = said(cargo.resolve(at.context)?).map(|problem| ("Cargo.lock".to_owned(), problem));
    if step.is_some() {
        return Ok(vec![step]);
    }
    let host = rustc.map(|r| r.host.as_str());
    let there = said(cargo.fetch(host, at.context)?).map(|problem| {
        (
            "dependencies".to_owned(),
            format!("are not all on this machine (`cargo fetch --locked`): {problem}"),
        )
    });
    Ok(vec![None, there])
}

fn space(store: &Store) -> Result<Option<(String, String)>> {
    let catalogue = store.catalogue()?;
    let Some(listed) = catalogue.latest() else { return Ok(None) };
    let Ok(manifest) = store.manifest(listed) else { return Ok(None) };
    let archive = manifest.archive.as_ref().map_or(0, |a| a.size);
    let wanted = (manifest.totals.bytes + archive).saturating_mul(COPIES);
    let dir = store.layout().dir();
    let Ok(stat) = rustix::fs::statvfs(dir) else { return Ok(None) };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    Ok((free < wanted).then(|| {
        let text = format!("{} free, and a rollback may need {}", mebibytes(free), mebibytes(wanted));
        (show_path(dir), text)
    }))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn writable(store: &Store) -> Option<(String, String)> {
    let layout = store.layout();
    let dirs = [layout.dir().to_path_buf(), layout.rollback_dir(), layout.metadata_dir()];
    let closed =
        dirs.iter().find(|dir| rustix::fs::access(dir.as_path(), rustix::fs::Access::WRITE_OK).is_err())?;
    Some((show_path(closed), "cannot be written to".into()))
}

/// What git thinks of the store.
struct Git {
    dir: String,
    inside: bool,
    /// Whether it is ignored; the reason where git does not say.
    ignored: std::result::Result<bool, String>,
}

impl Git {
    fn of(store: &Store) -> Self {
        let dir = store.layout().dir();
        let inside = dir.ancestors().skip(1).any(|d| d.join(".git").symlink_metadata().is_ok());
        let ignored = dir.parent().zip(dir.file_name()).map_or(Ok(false), |(parent, name)| {
            // A file in the store: the store's own rule ignores what is in it, not the directory.
            crate::select::git::is_ignored(parent, &Path::new(name).join("store.json"))
        });
        Git { dir: show_path(dir), inside, ignored }
    }

    fn tracked(&self) -> Option<(String, String)> {
        let problem = match &self.ignored {
            Ok(true) => return None,
            Ok(false) => "is not ignored by git: `git add` would take it".into(),
            Err(why) => format!("git does not say whether it is ignored: {why}"),
        };
        self.inside.then(|| (self.dir.clone(), problem))
    }

    fn swept(&self) -> Option<String> {
        self.inside.then(|| {
            "the store lies in a git working tree: `git clean -ffdx`, and a CI checkout's default clean, delete it; \
             `--store DIR` keeps it elsewhere"
                .to_owned()
        })
    }
}
