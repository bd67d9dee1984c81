//! backstop's commands as a part of another program's, where that is made with clap too.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Subcommand};

use super::commands::Cli;
use super::complaint::print_error;
use super::env::Env;
use super::global::Global;
use super::parse::{arguments, complain, parse};
use super::term::Term;
use super::{commands, exit};
use crate::checkpoint::{CheckError, Checked, Checkpoints, Surroundings};

/// All of backstop's commands, for an xtask that has commands of its own. Each brings the flags `--store`,
/// `--format`, … along; they stand behind its name.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use backstop::cli::clap::{self, Parser};
///
/// #[derive(Parser)]
/// enum Xtask {
///     #[command(flatten)]
///     Backstop(backstop::cli::Command),
///     /// Writes the generated code anew
///     Codegen,
/// }
///
/// fn main() -> ExitCode {
///     if let Some(code) = backstop::cli::run_if_copied() {
///         return code;
///     }
///     match Xtask::parse() {
///         Xtask::Backstop(command) => command.run(),
///         Xtask::Codegen => ExitCode::SUCCESS,
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Command(Cli);

/// Backstop's commands together with what a program adds to them: checkpoints of its own, in Rust.
///
/// ```no_run
/// use backstop::checkpoint::Checked;
/// use backstop::cli::App;
///
/// fn main() -> std::process::ExitCode {
///     App::new()
///         .checkpoint("CP010", "Every package has a readme", |at| {
///             let mut checked = Checked::counted(0, "packages");
///             for package in at.workspace.packages.iter().filter(|p| p.member) {
///                 checked.checked += 1;
///                 if !package.directory.join("README.md").exists() {
///                     checked.find(package.name.clone(), "has no README.md");
///                 }
///             }
///             Ok(checked)
///         })
///         .main()
/// }
/// ```
///
/// A program with a parser of its own asks [`App::run_if_asked`] first, one that flattens [`Command`] hands it to
/// [`App::run_command`].
#[derive(Debug, Default)]
pub struct App {
    checkpoints: Checkpoints,
    wrong: Option<crate::Error>,
}

impl App {
    /// The commands as they are.
    pub fn new() -> Self {
        App::default()
    }

    /// Adds a checkpoint. One with a wrong or taken id is told when a command runs: exit code 2.
    #[must_use]
    pub fn checkpoint(
        mut self,
        id: &str,
        name: &str,
        run: impl Fn(&Surroundings<'_>) -> Result<Checked, CheckError> + Send + Sync + 'static,
    ) -> Self {
        if let Err(e) = self.checkpoints.register(id, name, run) {
            self.wrong.get_or_insert(e);
        }
        self
    }

    /// As [`cli::main`](super::main).
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// As [`cli::run`](super::run).
    pub fn run(self, args: impl IntoIterator<Item = OsString>) -> ExitCode {
        let args = arguments(args);
        match parse(&args) {
            Ok(cli) => self.run_command(Command(cli)),
            // Help and version go to standard output and are no failure.
            Err(e) if !e.use_stderr() => {
                let written = e.print().and_then(|()| std::io::Write::flush(&mut std::io::stdout()));
                let failed = written.is_err_and(|e| e.kind() != std::io::ErrorKind::BrokenPipe);
                ExitCode::from(if failed { exit::NOT_DONE } else { exit::DONE })
            }
            Err(e) => ExitCode::from(complain(&args, e)),
        }
    }

    /// As [`cli::run_if_asked`](super::run_if_asked).
    pub fn run_if_asked(self) -> Option<ExitCode> {
        let first = std::env::args().nth(1);
        let asked = first.is_some_and(|name| Cli::command().find_subcommand(name).is_some());
        if asked { Some(self.main()) } else { Env::read().copied_into().map(|_| App::new().main()) }
    }

    /// Runs a command that another parser took apart.
    pub fn run_command(self, command: Command) -> ExitCode {
        let mut env = Env::read();
        if let Some(e) = &self.wrong {
            let global = &command.0.global;
            let term = Term::new(global.color, global.quiet, &env);
            return ExitCode::from(print_error(&term, global.format, command.0.command.name(), e));
        }
        ExitCode::from(commands::dispatch(&command.0, &mut env, &self.checkpoints))
    }
}

impl Command {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        App::new().run_command(self)
    }

    fn with_flags(
        command: clap::Command,
        add: impl Fn(clap::Command) -> clap::Command,
        flags: impl Fn(clap::Command) -> clap::Command,
    ) -> clap::Command {
        let own = commands::Command::augment_subcommands(clap::Command::new("backstop"));
        let names: Vec<String> = own.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        names.into_iter().fold(add(command), |command, name| command.mut_subcommand(name, &flags))
    }
}

impl FromArgMatches for Command {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Some((_, below)) = matches.subcommand() else {
            return Err(clap::Error::raw(ErrorKind::MissingSubcommand, "a command is missing\n"));
        };
        Ok(Command(Cli {
            global: Global::from_arg_matches(below)?,
            command: commands::Command::from_arg_matches(matches)?,
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        Self::with_flags(command, commands::Command::augment_subcommands, Global::augment_args)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::with_flags(
            command,
            commands::Command::augment_subcommands_for_update,
            Global::augment_args_for_update,
        )
    }

    fn has_subcommand(name: &str) -> bool {
        commands::Command::has_subcommand(name)
    }
}
