//! The three roads: how each is put into a store and started.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::cli::{Cli, program};
use crate::support::edit::{chmod, copy_program, is_root, mkdir, remove};

/// Somebody who is not root.
pub(super) const NOBODY: u32 = 65534;

/// One way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Road {
    Executable,
    Bash,
    Python,
}

impl Road {
    pub(super) const ALL: [Road; 3] = [Road::Executable, Road::Bash, Road::Python];

    /// Those that can be tested here. What cannot is said aloud, once.
    pub(super) fn here() -> &'static [Road] {
        static HERE: OnceLock<Vec<Road>> = OnceLock::new();
        HERE.get_or_init(|| {
            Road::ALL
                .into_iter()
                .filter(|road| match road.missing() {
                    None => true,
                    Some(what) => {
                        eprintln!("skipped: the road {road:?}: {what}");
                        false
                    }
                })
                .collect()
        })
    }

    fn missing(self) -> Option<String> {
        match self {
            Road::Executable => None,
            Road::Bash => {
                missing_script("rollback.sh").or_else(|| bash().is_none().then(|| "no bash".into()))
            }
            Road::Python => missing_script("rollback.py")
                .or_else(|| python().is_none().then(|| "no Python 3.8 or later".into())),
        }
    }

    /// Whether another user can run its interpreter.
    pub(super) fn runs_for(self, user: u32) -> bool {
        let interpreter = match self {
            Road::Executable => return true,
            Road::Bash => bash(),
            Road::Python => python(),
        };
        interpreter.is_some_and(|path| runs_for(&path, user))
    }

    /// Its name in `scripts/`.
    pub(super) fn file(self) -> &'static str {
        match self {
            Road::Executable => "backstop",
            Road::Bash => "rollback.sh",
            Road::Python => "rollback.py",
        }
    }

    /// Whether it takes the flags of the executable, writes a report and a log, and says the same words. What a script
    /// of few flags leaves is held against the row, the tree and the actions of the executable.
    pub(super) fn has_all_flags(self) -> bool {
        self == Road::Executable
    }

    /// The road that lies in a store. The executable gets its command's name: the scripts know no other.
    pub(super) fn start(self, store: &Path) -> Cli {
        let file = store.join("scripts").join(self.file());
        let by = |interpreter: Option<PathBuf>| {
            program(interpreter.unwrap_or_else(|| "no-interpreter".into()), "/").arg(&file)
        };
        match self {
            Road::Executable => program(&file, "/").arg("rollback"),
            Road::Bash => by(bash()),
            Road::Python => by(python()),
        }
    }
}

/// Puts all three into a store, whatever a backup left there. `program` is the executable, or a copy of it that lies
/// on the store's file system.
pub(super) fn install(store: &Path, program: &Path) {
    let scripts = store.join("scripts");
    let place = |from: &Path, name: &str| {
        let to = scripts.join(name);
        remove(&to);
        // One inode for all stores, where the file system has that.
        if fs::hard_link(from, &to).is_err() {
            copy_program(from, &to);
        }
    };
    mkdir(&scripts);
    place(program, "backstop");
    for name in ["rollback.sh", "rollback.py"] {
        let source = script(name);
        remove(scripts.join(name));
        if source.exists() {
            fs::copy(&source, scripts.join(name)).unwrap();
            chmod(scripts.join(name), 0o500);
        }
    }
}

/// A script's source: this project's, or the one that `BACKSTOP_TEST_ROLLBACK_SH` or `_PY` names.
pub(super) fn script(name: &str) -> PathBuf {
    let variable =
        if name.ends_with(".sh") { "BACKSTOP_TEST_ROLLBACK_SH" } else { "BACKSTOP_TEST_ROLLBACK_PY" };
    std::env::var_os(variable)
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rollback").join(name))
}

fn missing_script(name: &str) -> Option<String> {
    let path = script(name);
    (!path.exists()).then(|| format!("there is no {}", path.display()))
}

pub(crate) fn bash() -> Option<PathBuf> {
    static BASH: OnceLock<Option<PathBuf>> = OnceLock::new();
    BASH.get_or_init(|| answer(Command::new("bash").args(["-c", "type -P bash"]))).clone()
}

/// The interpreter itself: what is called `python3` may be a script that picks one. One that others than root can run
/// too is preferred.
pub(crate) fn python() -> Option<PathBuf> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let text = "import sys; print(sys.executable if sys.version_info >= (3, 8) else '')";
    let find = || {
        let ask = |name: &str| answer(Command::new(name).args(["-I", "-c", text]));
        let found: Vec<PathBuf> = ["python3", "/usr/bin/python3"].into_iter().filter_map(ask).collect();
        let open = found.iter().find(|path| !is_root() || runs_for(path, NOBODY));
        open.or(found.first()).cloned()
    };
    PYTHON.get_or_init(find).clone()
}

fn runs_for(interpreter: &Path, user: u32) -> bool {
    let status =
        Command::new(interpreter).args(["-c", ""]).uid(user).gid(user).stderr(Stdio::null()).status();
    status.is_ok_and(|s| s.success())
}

fn answer(command: &mut Command) -> Option<PathBuf> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim())).filter(|path| path.is_file())
}

/// A directory with every program of `PATH` but those whose names begin so.
pub(super) fn tools_without(dir: &Path, without: &[&str]) -> PathBuf {
    let tools = dir.join("tools");
    if tools.exists() {
        return tools;
    }
    mkdir(&tools);
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in std::env::split_paths(&path).filter_map(|d| fs::read_dir(d).ok()).flatten().flatten() {
        let name = program.file_name();
        if !without.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            // The first one of a name wins, as it does on `PATH`.
            let _ = std::os::unix::fs::symlink(program.path(), tools.join(name));
        }
    }
    tools
}
