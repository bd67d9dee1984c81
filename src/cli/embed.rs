//! backstop's commands as a part of another program's, where that is made with clap too.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};

use super::args::{self, Cli, Global};
use super::{Env, commands};

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

impl Command {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        ExitCode::from(commands::dispatch(&self.0, &mut Env::read()))
    }

    fn with_flags(
        command: clap::Command,
        add: impl Fn(clap::Command) -> clap::Command,
        flags: impl Fn(clap::Command) -> clap::Command,
    ) -> clap::Command {
        let own = args::Command::augment_subcommands(clap::Command::new("backstop"));
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
            command: args::Command::from_arg_matches(matches)?,
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        Self::with_flags(command, args::Command::augment_subcommands, Global::augment_args)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::with_flags(
            command,
            args::Command::augment_subcommands_for_update,
            Global::augment_args_for_update,
        )
    }

    fn has_subcommand(name: &str) -> bool {
        args::Command::has_subcommand(name)
    }
}
