//! The command line on systems that are not Unix: each command says that backstop does not run there, and ends with
//! exit code 3. It is here so that a workspace whose xtask embeds backstop compiles for everybody who works on it.

pub use clap;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, FromArgMatches, Subcommand};

/// The commands that an xtask hands on. On Unix the parser itself knows them.
const NAMES: &[&str] = &[
    "backup",
    "checkpoint",
    "completions",
    "diff",
    "explain",
    "init",
    "list",
    "man",
    "pin",
    "preflight",
    "prune",
    "recover",
    "rollback",
    "show",
    "status",
    "unpin",
    "validate",
];

/// Says that backstop does not run on this system: exit code 3.
pub fn main() -> ExitCode {
    let text = "error: backstop runs on Linux and macOS only; nothing was changed\n\
                help: run it where the workspace lies on such a system, for example in WSL\n";
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(3)
}

/// As [`main`]: the command line makes no difference.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args;
    main()
}

/// `None`: no store is made here that the executable could have been copied into.
pub fn run_if_copied() -> Option<ExitCode> {
    None
}

/// As [`main`] if the first argument is one of backstop's commands; `None` if it is the xtask's own.
pub fn run_if_asked() -> Option<ExitCode> {
    let first = std::env::args().nth(1)?;
    NAMES.contains(&first.as_str()).then(main)
}

/// All of backstop's commands, for an xtask that has commands of its own.
#[derive(Debug)]
pub struct Command(());

impl Command {
    /// As [`main`].
    pub fn run(self) -> ExitCode {
        main()
    }
}

impl FromArgMatches for Command {
    fn from_arg_matches(_: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Command(()))
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

impl Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        let args =
            || Arg::new("args").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true).hide(true);
        NAMES.iter().fold(command, |command, name| {
            command.subcommand(clap::Command::new(*name).disable_help_flag(true).arg(args()))
        })
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        NAMES.contains(&name)
    }
}

/// Backstop's commands. Checkpoints in Rust are registered on Unix alone: an xtask that has some puts that call behind
/// `cfg(unix)`.
#[derive(Debug, Default)]
pub struct App(());

impl App {
    /// The commands.
    pub fn new() -> Self {
        App(())
    }

    /// As [`main`].
    pub fn main(self) -> ExitCode {
        main()
    }

    /// As [`run`].
    pub fn run(self, args: impl IntoIterator<Item = OsString>) -> ExitCode {
        run(args)
    }

    /// As [`run_if_asked`].
    pub fn run_if_asked(self) -> Option<ExitCode> {
        run_if_asked()
    }

    /// As [`Command::run`].
    pub fn run_command(self, command: Command) -> ExitCode {
        command.run()
    }
}
