//! The command line: arguments, the environment, dispatch, rendering, exit codes. Everything that the library
//! takes as a value comes from here.

mod args;
mod commands;
mod complaint;
mod embed;
mod env;
mod exit;
mod find;
mod global;
mod parse;
mod progress;
mod render;
#[cfg(test)]
pub(crate) mod schema;
mod session;
mod term;

/// The parser that the commands are made with: an xtask that derives its own from it needs no other, and none that is
/// of another version.
pub use clap;

use std::ffi::OsString;
use std::process::ExitCode;

pub use embed::{App, Command};
use env::Env;

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
