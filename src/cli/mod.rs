//! The command line: arguments, the environment, dispatch, rendering, exit codes. Everything that the library
//! takes as a value comes from here.

mod args;
mod commands;
mod embed;
mod exit;
mod find;
mod progress;
mod render;
mod term;

/// The parser that the commands are made with: an xtask that derives its own from it needs no other, and none that is
/// of another version.
pub use clap;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::error::Error;
use crate::store::is_store;
use args::{Cli, Format};
pub use embed::{App, Command};
use term::{CYAN, RED, Term, sentences};

/// Runs the command that the process was started with: the whole `main` of an xtask.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     backstop::cli::main()
/// }
/// ```
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs a command line, the program's name first.
///
/// ```
/// let code = backstop::cli::run(["backstop".into(), "--version".into()]);
/// assert_eq!(code, std::process::ExitCode::SUCCESS);
/// ```
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    App::new().run(args)
}

/// Reads a command line. The usage calls an xtask what a person calls it.
fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let xtask = args.first().and_then(|name| Path::new(name).file_stem()).is_some_and(|name| name == "xtask");
    let mut command = definition(if xtask { "cargo xtask" } else { "backstop" });
    let matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// All commands, called by what people call the program.
fn definition(name: &'static str) -> clap::Command {
    Cli::command().bin_name(name)
}

/// Prints what is wrong with a command line. The arguments that it quotes are escaped as all names are.
fn complain(args: &[OsString], error: clap::Error) {
    let shown: Vec<OsString> = args.iter().map(|arg| crate::path::show_path(Path::new(arg)).into()).collect();
    let error = parse(&shown).err().filter(|e| e.kind() == error.kind()).unwrap_or(error);
    let text: String = error.to_string().lines().map(|l| crate::path::show_text(l) + "\n").collect();
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes());
}

/// The first line of a `main` that has commands of its own: an executable that lies in a store's `scripts/` is
/// backstop, whatever xtask it was copied from. `None` where it does not lie there.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     if let Some(code) = backstop::cli::run_if_copied() {
///         return code;
///     }
///     // … the xtask's own commands
///     std::process::ExitCode::SUCCESS
/// }
/// ```
pub fn run_if_copied() -> Option<ExitCode> {
    Env::read().copied_into().map(|_| main())
}

/// The first lines of a `main` that has a parser of its own: where the executable was copied into a store, or its
/// first argument is one of backstop's commands, backstop runs. `None` where the command line is the xtask's own.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     if let Some(code) = backstop::cli::run_if_asked() {
///         return code;
///     }
///     // … the xtask's own commands, with whatever parser
///     std::process::ExitCode::SUCCESS
/// }
/// ```
pub fn run_if_asked() -> Option<ExitCode> {
    App::new().run_if_asked()
}

/// What the process was given by its surroundings.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    /// The current directory; where it was deleted, what it was called.
    pub(crate) directory: Option<PathBuf>,
    /// The running executable.
    pub(crate) executable: Option<PathBuf>,
    /// `BACKSTOP_STORE`.
    pub(crate) store: Option<PathBuf>,
    /// `CARGO`, or `cargo`.
    pub(crate) cargo: OsString,
    /// Where caches belong: `XDG_CACHE_HOME`, or what the system has in its place.
    pub(crate) cache: PathBuf,
    /// `GITHUB_WORKSPACE`: where GitHub checked the repository out.
    pub(crate) repository: Option<PathBuf>,
    /// `NO_COLOR` is set.
    pub(crate) no_color: bool,
    /// `BACKSTOP_PORTABLE` is set: the fallbacks for calls that only Linux has are used, for tests of them.
    pub(crate) portable: bool,
}

impl Env {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    fn read() -> Env {
        let given = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        // In a deleted directory the shell still knows its name; what is above it may be there.
        let directory = std::env::current_dir().ok();
        if directory.is_none() {
            // Processes cannot be started from a directory that is gone.
            let _ = std::env::set_current_dir("/");
        }
        Env {
            directory: directory.or_else(|| given("PWD").map(PathBuf::from)),
            executable: std::env::current_exe().ok(),
            store: given("BACKSTOP_STORE").map(PathBuf::from),
            cargo: given("CARGO").unwrap_or_else(|| "cargo".into()),
            cache: given("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute()).unwrap_or_else(
                || {
                    let below = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
                    given("HOME").map_or_else(std::env::temp_dir, |home| PathBuf::from(home).join(below))
                },
            ),
            repository: given("GITHUB_WORKSPACE").map(PathBuf::from),
            no_color: given("NO_COLOR").is_some(),
            portable: given("BACKSTOP_PORTABLE").is_some(),
        }
    }

    /// A path of the command line as an absolute one.
    fn absolute(&self, path: &Path) -> PathBuf {
        match &self.directory {
            Some(dir) if path.is_relative() => dir.join(path),
            _ => path.to_path_buf(),
        }
    }

    /// The store whose `scripts/` the executable lies in.
    fn copied_into(&self) -> Option<PathBuf> {
        let scripts = self.executable.as_ref()?.parent()?;
        let store = scripts.parent()?;
        (scripts.file_name()? == "scripts" && is_store(store)).then(|| store.to_path_buf())
    }
}

/// Prints an error: what failed, where, why, and what to do next.
fn print_error(term: &Term, format: Format, command: &str, error: &Error) -> u8 {
    let code = exit::code(error.kind());
    if format == Format::Json {
        term.report(&render::error_json(command, error, code));
        return code;
    }
    const SHOWN: usize = 40;
    term.say(&format!("{} {}", term.err(RED, "error:"), sentences(7, &error.to_string())));
    for detail in error.details().iter().take(SHOWN) {
        term.say(&format!("  {detail}"));
    }
    if error.details().len() > SHOWN {
        term.say(&format!("  … and {} more", error.details().len() - SHOWN));
    }
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        term.say(&format!("  caused by: {}", crate::path::show_text(&e.to_string())));
        cause = e.source();
    }
    if let Some(help) = error.help() {
        term.say(&format!("{} {}", term.err(CYAN, "help:"), sentences(6, help)));
    }
    code
}
