//! What cargo is asked, and how.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::error::{Error, ErrorKind, Result};
use crate::event::CargoEnv;
use crate::order;
use crate::path::{show_path, show_text};
use crate::process;

/// What [`load`](super::load) needs to know from outside.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// A manifest of the workspace; `None` searches upwards from `directory`.
    pub manifest_path: Option<PathBuf>,
    /// The current directory.
    pub directory: PathBuf,
    /// The cargo to ask: the value of `CARGO`, or `cargo`.
    pub cargo: OsString,
    /// What the environment says of cargo.
    pub env: CargoEnv,
}

pub(super) fn directory_of(package: &cargo_metadata::Package) -> PathBuf {
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
            .with_help("fix what cargo names; a rollback needs no cargo and works all the same")
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
pub(super) fn tool_versions(options: &LoadOptions) -> BTreeMap<String, String> {
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
