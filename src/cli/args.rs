//! The command line's arguments. Their help texts are the commands' documentation.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "install")]
use super::commands::InitArgs;
use super::commands::{
    CheckpointArgs, DiffArgs, ExplainArgs, ListArgs, PinArgs, PreflightArgs, PruneArgs, RecoverArgs,
    ShowArgs, StatusArgs, UnpinArgs,
};
use super::global::Global;
use crate::store::DrillLevel;

/// Verified restore points for Cargo workspaces.
///
/// Before a change that may go wrong: `backup`. When it went wrong: `rollback`.
#[derive(Debug, Parser)]
#[command(name = "backstop", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes:
  0  done
  1  done, and a check found problems
  2  wrong command line or settings
  3  could not be done; nothing was changed
  4  a rollback was cut off: --resume or --abort
  5  another run holds the store")]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a verified restore point of the workspace
    Backup(Backup),
    /// Checks that a restore point is complete and right
    Validate(Validate),
    /// Asks whether the workspace is ready for a change
    Checkpoint(CheckpointArgs),
    /// Brings the workspace back to a restore point, or undoes that
    Rollback(Rollback),
    /// Rebuilds lost restore points from their archives
    Recover(RecoverArgs),
    /// Lists the restore points
    List(ListArgs),
    /// Shows what a restore point holds
    Show(ShowArgs),
    /// Tells what differs between restore points, or from one to now
    Diff(DiffArgs),
    /// Moves old restore points to the trash, by a rule
    Prune(PruneArgs),
    /// Keeps a restore point whatever the rule says
    Pin(PinArgs),
    /// Takes a pin off
    Unpin(UnpinArgs),
    /// Asks all that has to hold before a change, in one run
    Preflight(PreflightArgs),
    /// Tells where things stand, in one screen
    Status(StatusArgs),
    /// Says why a path is protected or not, and where the rule stands
    Explain(ExplainArgs),
    /// Puts backstop into a workspace: an xtask and its alias
    #[cfg(feature = "install")]
    Init(InitArgs),
    /// Prints what a shell completes commands with
    #[cfg(feature = "install")]
    Completions(CompletionsArgs),
    /// Prints the man page
    #[cfg(feature = "install")]
    Man,
}

impl Command {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Command::Backup(_) => "backup",
            Command::Validate(_) => "validate",
            Command::Checkpoint(_) => "checkpoint",
            Command::Rollback(_) => "rollback",
            Command::Recover(_) => "recover",
            Command::List(_) => "list",
            Command::Show(_) => "show",
            Command::Diff(_) => "diff",
            Command::Prune(_) => "prune",
            Command::Pin(_) => "pin",
            Command::Unpin(_) => "unpin",
            Command::Preflight(_) => "preflight",
            Command::Status(_) => "status",
            Command::Explain(_) => "explain",
            #[cfg(feature = "install")]
            Command::Init(_) => "init",
            #[cfg(feature = "install")]
            Command::Completions(_) => "completions",
            #[cfg(feature = "install")]
            Command::Man => "man",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The label [default: the settings' or directory's name]
    #[arg(short, long)]
    pub(super) label: Option<String>,
    /// What this restore point is for
    #[arg(short, long, value_name = "TEXT")]
    pub(super) message: Option<String>,
    /// Makes none where the newest holds the same content
    #[arg(long)]
    pub(super) skip_unchanged: bool,
    /// Exit code 5 where another run holds the store
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Names each file
    #[arg(short, long)]
    pub(super) verbose: bool,
}

#[derive(Debug, Args)]
pub(super) struct Validate {
    /// An id, the start of one, or `latest`
    #[arg(short, long, value_name = "TS", default_value = "latest", conflicts_with = "all")]
    pub(super) timestamp: String,
    /// Every restore point
    #[arg(long)]
    pub(super) all: bool,
    /// Mends what is damaged from the copy that is whole
    #[arg(long)]
    pub(super) repair: bool,
    /// Drills as well, up to a level [default: compiles]
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "compiles")]
    pub(super) drill: Option<DrillLevel>,
    /// Where drills work [default: the user's cache]
    #[arg(long, value_name = "DIR", requires = "drill")]
    pub(super) scratch: Option<PathBuf>,
    /// Exit code 5 where another run holds the store
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["timestamp", "undo", "resume", "abort"]))]
#[command(group = clap::ArgGroup::new("other").args(["undo", "resume", "abort"]).multiple(false)
    .conflicts_with_all(["only", "package", "keep_new", "from", "to", "outside"]))]
pub(super) struct Rollback {
    /// Goes back to an id, the start of one, or `latest`
    #[arg(short, long, value_name = "TS")]
    pub(super) timestamp: Option<String>,
    /// Undoes the last rollback; can itself be undone
    #[arg(long)]
    pub(super) undo: bool,
    /// Finishes a rollback that was cut off
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) resume: bool,
    /// Takes back a rollback that was cut off
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) abort: bool,
    /// Does not ask
    #[arg(short, long)]
    pub(super) force: bool,
    /// Shows the plan and stops
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Only this path; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(super) only: Vec<OsString>,
    /// Only this package; may be repeated
    #[arg(short, long, value_name = "PKG")]
    pub(super) package: Vec<String>,
    /// Leaves in place what was added since
    #[arg(long)]
    pub(super) keep_new: bool,
    /// Takes from: auto, session or archive [default: auto]
    #[arg(long, value_enum, value_name = "COPY", default_value_t = Copy::Auto)]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    pub(super) from: Copy,
    /// Restores into a new directory, touches nothing else
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dry_run", "keep_new"])]
    pub(super) to: Option<PathBuf>,
    /// Writes path dependencies outside the workspace too
    #[arg(long)]
    pub(super) outside: bool,
    /// Exit code 5 where another run holds the store
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Names each change
    #[arg(short, long)]
    pub(super) verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Copy {
    Auto,
    Session,
    Archive,
}

#[cfg(feature = "install")]
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub(super) shell: clap_complete::Shell,
}
