//! From words to a command, and what is said where that fails.

use std::ffi::OsString;
use std::path::Path;

use clap::{CommandFactory, FromArgMatches};

use super::args::Cli;

/// Reads a command line. The usage calls an xtask what a person calls it.
pub(super) fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let xtask = args.first().and_then(|name| Path::new(name).file_stem()).is_some_and(|name| name == "xtask");
    let mut command = definition(if xtask { "cargo xtask" } else { "backstop" });
    let matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// All commands, called by what people call the program.
pub(super) fn definition(name: &'static str) -> clap::Command {
    Cli::command().bin_name(name)
}

/// Prints what is wrong with a command line. The arguments that it quotes are escaped as all names are.
pub(super) fn complain(args: &[OsString], error: clap::Error) {
    let shown: Vec<OsString> = args.iter().map(|arg| crate::path::show_path(Path::new(arg)).into()).collect();
    let error = parse(&shown).err().filter(|e| e.kind() == error.kind()).unwrap_or(error);
    let text: String = error.to_string().lines().map(|l| crate::path::show_text(l) + "\n").collect();
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes());
}
