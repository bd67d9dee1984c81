//! The executable from outside, as a person or a CI job runs it.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod broken;
mod concurrency;
mod embedding;
mod exit_codes;
mod foreign_clone;
pub(crate) mod help;
mod honest_ends;
mod init;
mod kinds_of_workspaces;
mod next_build;
mod output;
mod schema;
mod terminal;
mod what_is_a_store;
mod which_store;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) use exit_codes::{cut, cut_off};
pub(crate) use output::asked;

use crate::support::edit::{chmod, link, remove, write};
use crate::support::{World, cargo, toolchain};

/// The built executable without its debug information, where `strip` is at hand: each store gets a copy of it.
pub(crate) fn executable() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_backstop"));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (kept, new) = (dir.join("backstop"), dir.join(format!("backstop-{}", std::process::id())));
        let made = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
        if made(&kept).is_some_and(|kept| Some(kept) > made(&built)) {
            return kept;
        }
        let strip = Command::new("strip").arg("-o").args([&new, &built]).stderr(Stdio::null()).status();
        match strip {
            Ok(status) if status.success() => {
                std::fs::rename(&new, &kept).unwrap();
                kept
            }
            _ => built,
        }
    })
}

/// No run takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command line that is put together and then run.
#[must_use]
pub(crate) struct Cli {
    command: Command,
    input: Option<Vec<u8>>,
}

/// The built executable, in `dir`.
pub(crate) fn backstop(dir: impl AsRef<Path>) -> Cli {
    program(executable(), dir)
}

/// The executable that a backup left in the store, run at `/`.
pub(crate) fn copied(store: impl AsRef<Path>) -> Cli {
    program(store.as_ref().join("scripts/backstop"), "/")
}

/// Any program, with an environment that is the same wherever the tests run.
pub(crate) fn program(program: impl AsRef<OsStr>, dir: impl AsRef<Path>) -> Cli {
    let mut command = Command::new(program);
    command.env_clear().current_dir(dir.as_ref()).stdin(Stdio::null());
    command.env("PATH", path());
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("CARGO", cargo());
    command.env("LC_ALL", "C").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    Cli { command, input: None }
}

impl Cli {
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn at(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Standard input, through a pipe.
    pub(crate) fn input(mut self, text: &str) -> Self {
        self.input = Some(text.as_bytes().to_vec());
        self
    }

    /// The command itself, for what has no name here.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// The program and its arguments, to be started by another.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let args = self.command.get_args().map(OsStr::to_os_string);
        std::iter::once(self.command.get_program().to_os_string()).chain(args).collect()
    }

    #[track_caller]
    pub(crate) fn spawn(mut self) -> Running {
        let shown = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("{:?}: {e}", self.command));
        if let (Some(bytes), Some(mut stdin)) = (self.input, child.stdin.take()) {
            let _ = std::io::Write::write_all(&mut stdin, &bytes);
        }
        Running { child, shown }
    }

    /// Starts with standard error in a file, which can be read while it runs.
    #[track_caller]
    pub(crate) fn spawn_with_errors_in(mut self, file: std::fs::File) -> Running {
        let shown = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        self.command.stdout(Stdio::piped()).stderr(file);
        Running { child: self.command.spawn().unwrap(), shown }
    }

    /// Runs to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Run {
        self.spawn().end()
    }

    /// Runs, and has to end with this exit code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Run {
        self.run().ended(code)
    }
}

/// A process.
pub(crate) struct Running {
    pub(crate) child: Child,
    shown: String,
}

impl Running {
    #[track_caller]
    pub(crate) fn end(self) -> Run {
        let Running { child, shown } = self;
        // A run that never ends fails its test, and not all of them.
        let (done, ended) = std::sync::mpsc::channel::<()>();
        let id = child.id().to_string();
        let watch = std::thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-s", "KILL", &id]).status();
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(done);
        watch.join().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_else(|e| panic!("{shown}: {e}"));
        Run {
            code: output.status.code(),
            signal: output.status.signal(),
            out: text(output.stdout),
            err: text(output.stderr),
            shown,
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    shown: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "{} ended with {:?} (signal {:?}) and not with {code}\n--- out\n{}--- err\n{}",
            self.shown,
            self.code,
            self.signal,
            self.out,
            self.err
        );
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{}: no {text:?} in\n{}--- err\n{}", self.shown, self.out, self.err);
        self
    }

    /// Standard error has this text, wherever its lines are broken.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        let unbroken = self.err.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = self.err.contains(text) || unbroken.contains(text);
        assert!(found, "{}: no {text:?} in\n{}--- out\n{}", self.shown, self.err, self.out);
        self
    }

    /// The report in the envelope of `--format json`.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut value = self.envelope();
        assert!(value.get("report").is_some(), "{}: {value:#}", self.shown);
        value["report"].take()
    }

    /// What `--format json` prints, which has to be as the schema says, and alone.
    #[track_caller]
    pub(crate) fn envelope(&self) -> serde_json::Value {
        let value: serde_json::Value = serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{}: {e} in\n{}--- err\n{}", self.shown, self.out, self.err));
        schema::assert_valid(&value);
        assert_eq!(value["exit_code"].as_i64(), self.code.map(i64::from), "{}: {value:#}", self.shown);
        value
    }

    /// What stands behind `name: ` in the report.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        let found = self.out.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no {name:?} in\n{}", self.out))
    }
}

/// A copy of the fixture with a restore point of it.
#[track_caller]
pub(crate) fn backed_up() -> World {
    let world = World::new("virtual");
    backstop(&world.root).arg("backup").ends(0);
    world
}

/// A change of each usual sort: a file edited, one gone, one added, a mode, a directory gone, a package born.
pub(crate) fn spoil(root: &Path) {
    let alpha = root.join("crates/alpha");
    write(alpha.join("src/lib.rs"), "compile_error!(\"spoilt\");\n");
    remove(alpha.join("name.txt"));
    write(alpha.join("src/added.rs"), "added\n");
    chmod(alpha.join("README.md"), 0o600);
    remove(root.join("crates/beta/src"));
    write(root.join("crates/gamma/Cargo.toml"), "[package]\nname = \"gamma\"\nversion = \"0.1.0\"\n");
    write(root.join("crates/gamma/src/lib.rs"), "");
}

/// The newest restore point's id.
#[track_caller]
pub(crate) fn newest(world: &World) -> String {
    world.latest().id.to_string()
}

/// Waits for something to become true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The tests' `PATH`, with the real interpreter first: what is called `python3` may be a script that starts thirty
/// processes to pick one.
fn path() -> OsString {
    static PATH: OnceLock<OsString> = OnceLock::new();
    let find = || {
        let mut whole = std::env::var_os("PATH").unwrap_or_default();
        if let Some(toolchain) = toolchain::directory() {
            whole = before(toolchain, &whole);
        }
        let Some(python) = crate::roads::python() else { return whole };
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interpreters");
        std::fs::create_dir_all(&dir).unwrap();
        let part = dir.join(format!("{}", std::process::id()));
        link(&python, &part);
        std::fs::rename(part, dir.join("python3")).unwrap();
        before(&dir, &whole)
    };
    PATH.get_or_init(find).clone()
}

/// A `PATH` that begins with `dir`.
pub(crate) fn path_with(dir: &Path) -> OsString {
    before(dir, &path())
}

fn before(dir: &Path, rest: &OsStr) -> OsString {
    let parts = std::iter::once(dir.to_path_buf()).chain(std::env::split_paths(&rest));
    std::env::join_paths(parts).unwrap()
}
