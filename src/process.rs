//! The processes that the library starts: `cargo metadata`, version queries, git's read-only commands, and the copies
//! in a store's `scripts/` that are this very program's. Nothing else is ever run, and nothing of the workspace's
//! choosing by a rollback.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::error::{Error, ErrorKind, Result};

/// What a process answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) ok: bool,
    /// The exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

fn shell(dir: &Path) -> Result<Shell> {
    let shell = Shell::new()
        .map_err(|e| Error::new(ErrorKind::Io, "failed to find the current directory").with_source(e))?;
    shell.change_dir(dir);
    Ok(shell)
}

fn run(command: xshell::Cmd<'_>) -> Result<Answer> {
    let shown = command.to_string();
    let output =
        command.quiet().ignore_status().output().map_err(|e| {
            Error::new(ErrorKind::Workspace, format!("failed to run `{shown}`")).with_source(e)
        })?;
    Ok(Answer {
        ok: output.status.success(),
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs cargo, or rustc, in `dir`.
pub(crate) fn tool(program: &OsStr, dir: &Path, args: &[&OsStr]) -> Result<Answer> {
    let shell = shell(dir)?;
    run(cmd!(shell, "{program} {args...}"))
}

/// Tells a rollback script that it is only tried: what it needs and this machine lacks, it says by [`UNABLE`] then.
const TRIAL: &str = "BACKSTOP_TRIAL";
/// The exit code of a script that is tried where it cannot run. A person gets 3, as for all that could not be done.
pub(crate) const UNABLE: i32 = 7;

/// Runs a script's interpreter in `dir` for a trial, without what would make it load other code first.
pub(crate) fn interpreter(program: &str, dir: &Path, args: &[&OsStr]) -> Result<Answer> {
    let shell = shell(dir)?;
    let mut command = cmd!(shell, "{program} {args...}").env(TRIAL, "1");
    for name in [
        "BASH_ENV",
        "ENV",
        "SHELLOPTS",
        "BASHOPTS",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "BACKSTOP_STORE",
    ] {
        command = command.env_remove(name);
    }
    run(command)
}

/// The variables of git's that are kept: the user's own configuration, whether it lies in a file or in the variables
/// themselves (`GIT_CONFIG_COUNT`, `GIT_CONFIG_PARAMETERS`: `safe.directory`, `core.excludesFile`), and how far up a
/// repository is searched for. What [`GIT_OPTIONS`] sets comes after it and wins.
fn is_users_own(name: &[u8]) -> bool {
    name.starts_with(b"GIT_CONFIG_")
        || matches!(name, b"GIT_CEILING_DIRECTORIES" | b"GIT_DISCOVERY_ACROSS_FILESYSTEM")
}

/// A repository's configuration belongs to whoever wrote it, and names programs: so git fetches no missing object
/// (`remote.X.uploadpack`, also by the ways of older versions that know no `GIT_NO_LAZY_FETCH`), and writes nothing.
const GIT_ENVIRONMENT: [(&str, &str); 8] = [
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    // The variables are unset; these put out what the user's configuration would trace to standard error, or a file.
    ("GIT_TRACE2", "0"),
    ("GIT_TRACE2_EVENT", "0"),
    ("GIT_TRACE2_PERF", "0"),
    ("LC_ALL", "C"),
];

/// For the same reason: no monitor, no hook, no pager, and no repository that is not called `.git`. The commands
/// that are asked run no filter, no `textconv`, no editor and no credential helper, and no alias hides them.
const GIT_OPTIONS: [&str; 7] = [
    "--no-pager",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "safe.bareRepository=explicit",
];

/// The version line of git, asked outside every repository.
pub(crate) fn git_version() -> Result<Answer> {
    git(Path::new("/"), &[OsStr::new("--version")], None)
}

/// Runs git in `dir`, shut off from everything that could make it write, run a program or look elsewhere. No other
/// function starts git.
pub(crate) fn git(dir: &Path, args: &[&OsStr], stdin: Option<Vec<u8>>) -> Result<Answer> {
    let shell = shell(dir)?;
    let mut command = cmd!(shell, "git {GIT_OPTIONS...} {args...}");
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"GIT_") && !is_users_own(name.as_bytes()) {
            command = command.env_remove(name);
        }
    }
    for (name, value) in GIT_ENVIRONMENT {
        command = command.env(name, value);
    }
    if let Some(bytes) = stdin {
        command = command.stdin(bytes);
    }
    run(command)
}

/// The program that a name stands for, without links.
pub(crate) fn on_path(program: impl AsRef<Path>) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the search that starting a process makes, made in advance"
    )]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .find_map(|dir| dir.join(&program).canonicalize().ok().filter(|p| p.is_file()))
}
