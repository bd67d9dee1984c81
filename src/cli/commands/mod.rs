//! Each command: its arguments, what it does, and its report. [`Command`] lists them.

mod backup;
mod checkpoint;
mod drill;
mod explain;
#[cfg(feature = "install")]
mod init;
#[cfg(feature = "install")]
mod install;
mod look;
mod preflight;
mod prune;
mod recover;
mod rollback;
mod validate;

use clap::{CommandFactory, Parser, Subcommand};
use signal_hook::consts::SIGXFSZ;

use super::complaint::print_error;
use super::env::Env;
use super::exit;
use super::global::{Format, Global};
use super::progress::Progress;
use super::session::Session;
use super::term::{Term, report_failed};
use crate::checkpoint::Checkpoints;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Interrupt;
use crate::fsx::Fs;

/// Verified restore points for Cargo workspaces.
///
/// Before a change that may go wrong: `backup`. After it went wrong: `rollback`.
#[derive(Debug, Parser)]
#[command(name = "backstop", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes:
  0  done
  1  done, and a check found problems
  2  wrong command line or settings
  3  could not be done; nothing was changed
  4  a rollback was interrupted: --resume or --abort
  5  another run holds the store")]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Cli {
    /// All commands, called by what people call the program, in the examples too.
    pub(super) fn definition(name: &'static str) -> clap::Command {
        Cli::command().bin_name(name).mut_subcommands(|command| match command.get_after_long_help() {
            Some(examples) => {
                let examples = examples.to_string().replace("cargo xtask", name);
                command.after_long_help(examples)
            }
            None => command,
        })
    }
}

/// Makes the list of commands: for each the method of [`Session`] that carries it out, whose name is the command's, its
/// arguments, whether it may change something, what it is for, and examples. Help, completions, man page and the
/// README's table follow from it.
macro_rules! commands {
    ($($(#[$only:meta])? $name:ident $variant:ident($args:ty), $changes:literal, $about:literal, $examples:literal;)*) => {
        #[derive(Debug, Subcommand)]
        pub(super) enum Command {
            $($(#[$only])? #[command(about = $about, after_long_help = $examples)] $variant($args),)*
        }

        impl Command {
            pub(super) fn name(&self) -> &'static str {
                match self { $($(#[$only])? Command::$variant(_) => stringify!($name),)* }
            }

            /// Whether it may change something.
            fn changes(&self) -> bool {
                match self { $($(#[$only])? Command::$variant(_) => $changes,)* }
            }

            fn run(&self, session: &Session<'_>) -> Result<u8> {
                match self { $($(#[$only])? Command::$variant(args) => session.$name(args),)* }
            }
        }
    };
}

commands! {
    backup Backup(backup::BackupArgs), true, "Create a verified restore point of the workspace", "\
Examples:
  cargo xtask backup -m \"before merging the parsers\"
  cargo xtask backup --skip-unchanged --label nightly";
    validate Validate(validate::ValidateArgs), true, "Check that a restore point is complete and right", "\
Examples:
  cargo xtask validate                        the newest restore point
  cargo xtask validate --all                  every restore point
  cargo xtask validate --drill=compiles       restore it elsewhere and compile it
  cargo xtask validate --repair               repair what is damaged";
    checkpoint Checkpoint(checkpoint::CheckpointArgs), true, "Check that the workspace is ready for a change", "\
Examples:
  cargo xtask checkpoint --list               name the checkpoints and run none
  cargo xtask checkpoint --only CP001         run one";
    rollback Rollback(rollback::RollbackArgs), true, "Roll the workspace back to a restore point, or undo that", "\
Examples:
  cargo xtask rollback latest --dry-run       show the plan and stop
  cargo xtask rollback latest                 show the plan, ask, roll back
  cargo xtask rollback latest --only Cargo.toml --force
  cargo xtask rollback --undo --force         undo the last rollback
If cargo cannot start, the store's own executable does the same:
  backup/scripts/backstop rollback latest";
    recover Recover(recover::RecoverArgs), true, "Rebuild lost restore points from their archives", "\
Examples:
  cargo xtask recover                         all that the store's archives hold";
    list List(look::ListArgs), false, "List the restore points", "\
Examples:
  cargo xtask list -n 5                       the newest five";
    show Show(look::ShowArgs), false, "Show what a restore point holds", "\
Examples:
  cargo xtask show                            the newest restore point
  cargo xtask show latest Cargo.toml          one file: digest, times, reasons";
    diff Diff(look::DiffArgs), false, "Show what differs between restore points, or from one to now", "\
Examples:
  cargo xtask diff                            from the newest restore point to now
  cargo xtask diff latest live --stat         counts by package
Exits with code 1 if something differs.";
    prune Prune(prune::PruneArgs), true, "Move old restore points to the trash by a retention rule", "\
Examples:
  cargo xtask prune --dry-run                 show what would go, and why
  cargo xtask prune --keep-last 5 --keep-within 28d
  cargo xtask prune --empty-trash --force";
    pin Pin(prune::PinArgs), true, "Keep a restore point whatever the retention rule says", "\
Examples:
  cargo xtask pin latest -m \"the release\"";
    unpin Unpin(prune::UnpinArgs), true, "Remove a pin", "\
Examples:
  cargo xtask unpin latest";
    preflight Preflight(preflight::PreflightArgs), true, "Run every pre-change check, a backup and a drill among them", "\
Examples:
  cargo xtask preflight -m \"before merging the parsers\"
  cargo xtask preflight --drill bytes";
    status Status(preflight::StatusArgs), false, "Show what changed since the newest restore point, and what to do", "\
Examples:
  cargo xtask status
  cargo xtask status --check                  read every file; exit with code 1 if something changed";
    explain Explain(explain::ExplainArgs), false, "Explain why a path is protected or not", "\
Examples:
  cargo xtask explain Cargo.lock src/lib.rs";
    #[cfg(feature = "install")]
    init Init(init::InitArgs), true, "Add backstop to a workspace: an xtask and its alias", "\
Examples:
  backstop init --path ../backstop --dry-run
  backstop init --path ../backstop --ci github";
    #[cfg(feature = "install")]
    completions Completions(install::CompletionsArgs), false, "Print a shell's completions", "\
Examples:
  backstop completions bash";
    #[cfg(feature = "install")]
    man Man(install::ManArgs), false, "Print the man page", "\
Examples:
  backstop man";
}

pub(super) fn dispatch(cli: &Cli, env: &mut Env, registered: &Checkpoints) -> u8 {
    let term = Term::new(cli.global.color, cli.global.quiet, env);
    let verbose = match &cli.command {
        Command::Backup(args) => args.verbose,
        Command::Rollback(args) => args.verbose,
        _ => false,
    };
    let fs = if env.portable { Fs::real().portable() } else { Fs::real() };
    let session = Session {
        global: &cli.global,
        command: cli.command.name(),
        env,
        term,
        fs,
        interrupt: Interrupt::default(),
        progress: Progress::new(term, verbose),
        registered,
        #[cfg(feature = "install")]
        definition: Cli::definition,
    };
    // A file that may grow no larger is then an error of that write, and no end of the process in the middle.
    if let Err(e) = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default()) {
        session.context().note(format!("a limit on file sizes will end the program at once: {e}"));
    }
    if let Err(e) = form(cli) {
        return print_error(&term, Format::Human, cli.command.name(), &e);
    }
    let result = cli.command.run(&session);
    session.progress.clear();
    let code = match result {
        Ok(code) => code,
        Err(e) => print_error(&term, cli.global.format, cli.command.name(), &e),
    };
    if report_failed() { exit::unreported(code, cli.command.changes()) } else { code }
}

/// Test reports and annotations are for checks.
fn form(cli: &Cli) -> Result<()> {
    let checks = matches!(cli.command, Command::Checkpoint(_) | Command::Preflight(_));
    if checks || matches!(cli.global.format, Format::Human | Format::Json) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, format!("`{}` has no such report", cli.command.name()))
        .with_help("--format human or --format json; junit and github are for `checkpoint` and `preflight`"))
}
