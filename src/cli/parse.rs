//! From words to a command, and what is said where that fails.

use std::ffi::OsString;
use std::path::Path;

use clap::FromArgMatches;

use super::commands::Cli;
use super::env::{Env, PLUGIN, PROGRAM, called};
use super::exit;
use super::render::{ErrorReport, error_json};
use super::term::{Color, Term};
use crate::error::ErrorKind;

/// The arguments as backstop takes them: `cargo backstop list` starts `cargo-backstop backstop list`.
pub(super) fn arguments(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if let [program, second, ..] = args.as_slice()
        && second == PROGRAM
        && called(Path::new(program)) == PLUGIN
    {
        args.remove(1);
    }
    args
}

/// Reads a command line. The usage and the examples call the program what the person called it.
pub(super) fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let name = args.first().map_or(PROGRAM, |program| called(Path::new(program)));
    let mut command = Cli::definition(name);
    let matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// Prints what is wrong with a command line, in the form that it asks for. The arguments that it quotes are escaped as all
/// names are.
pub(super) fn complain(args: &[OsString], error: clap::Error) -> u8 {
    let shown: Vec<OsString> = args.iter().map(|arg| crate::path::show_path(Path::new(arg)).into()).collect();
    let error = parse(&shown).err().filter(|e| e.kind() == error.kind()).unwrap_or(error);
    let text: String = error.to_string().lines().map(|l| crate::path::show_text(l) + "\n").collect();
    let words: Vec<String> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let words = words.split(|word| word == "--").next().unwrap_or_default();
    let json = words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|pair| pair == ["--format", "json"]);
    if json {
        let term = Term::new(Color::Never, false, &Env::read());
        term.report(&usage_json(command_of(words).as_deref(), &text));
    } else {
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes());
    }
    exit::USAGE
}

/// The command of a line that makes no sense otherwise: its first word that is no flag and no value of one.
fn command_of(words: &[String]) -> Option<String> {
    let known = Cli::definition(PROGRAM);
    let takes_value = |word: &String| {
        let mut flags = known.get_arguments().filter(|flag| flag.get_action().takes_values());
        flags.any(|flag| flag.get_long().is_some() && flag.get_long() == word.strip_prefix("--"))
    };
    let is_value = |i: usize| i > 0 && takes_value(&words[i - 1]);
    let first = (0..words.len()).find(|i| !words[*i].starts_with('-') && !is_value(*i))?;
    known.find_subcommand(&words[first]).map(|command| command.get_name().to_owned())
}

/// Clap's text taken apart: what is wrong, the arguments that it lists, and what else it says.
fn usage_json(command: Option<&str>, text: &str) -> String {
    let (first, rest) = text.trim().split_once("\n\n").unwrap_or((text.trim(), ""));
    let mut lines = first.lines().map(str::trim);
    let message = lines.next().unwrap_or_default();
    let help: Vec<&str> = rest.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let help = help.join("\n");
    let error = ErrorReport {
        kind: ErrorKind::Usage,
        message: message.strip_prefix("error: ").unwrap_or(message).trim_end_matches(':').to_owned(),
        details: lines.collect(),
        causes: Vec::new(),
        help: Some(help.as_str()).filter(|help| !help.is_empty()),
    };
    error_json(command, exit::USAGE, error)
}
