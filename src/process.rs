//! The processes that the library starts: `cargo metadata`, version queries, git's read-only commands, and the copies
//! in a store's `scripts/` that are this very program's. Nothing else is ever run, and nothing of the workspace's
//! choosing by a rollback.

use std::ffi::OsStr;
use std::path::Path;

use xshell::{Shell, cmd};

use crate::error::{Error, ErrorKind, Result};

/// What a process answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) ok: bool,
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
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs cargo, or rustc, in `dir`.
pub(crate) fn tool(program: &OsStr, dir: &Path, args: &[&OsStr]) -> Result<Answer> {
    let shell = shell(dir)?;
    run(cmd!(shell, "{program} {args...}"))
}

/// Runs a script's interpreter in `dir`, without what would make it load other code first.
pub(crate) fn interpreter(program: &str, dir: &Path, args: &[&OsStr]) -> Result<Answer> {
    let shell = shell(dir)?;
    let mut command = cmd!(shell, "{program} {args...}");
    for name in ["BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"] {
        command = command.env_remove(name);
    }
    run(command)
}

/// Settings that stand above those of any repository.
const GIT_SETTINGS: [&str; 6] =
    ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.bareRepository=explicit"];

/// Runs git in `dir`, shut off from everything that could make it write, run a program or look elsewhere.
///
/// A repository's own configuration names programs: hooks, a file-system monitor, and the one that fetches an object
/// that a partial clone lacks, which git starts on its own, for `ls-files` too (`remote.X.promisor`,
/// `remote.X.uploadpack`). A bare repository that lies in the workspace as files has a configuration of its own.
/// `GIT_NO_LAZY_FETCH` is known since git 2.45; for older ones no transport is allowed at all.
pub(crate) fn git(dir: &Path, args: &[&OsStr], stdin: Option<Vec<u8>>) -> Result<Answer> {
    let shell = shell(dir)?;
    let mut command = cmd!(shell, "git {GIT_SETTINGS...} {args...}");
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
        "GIT_CEILING_DIRECTORIES",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_COUNT",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
        "GIT_TRACE",
    ] {
        command = command.env_remove(name);
    }
    command = command.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
    command = command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
    if let Some(bytes) = stdin {
        command = command.stdin(bytes);
    }
    run(command)
}

/// Whether an interpreter is on PATH and works.
pub(crate) fn is_there(program: &str) -> bool {
    interpreter(program, Path::new("/"), &[OsStr::new("--version")]).is_ok_and(|answer| answer.ok)
}
