//! The flags of every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::term::Color;

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(super) struct Global {
    /// The workspace's Cargo.toml, which may be missing
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) manifest_path: Option<PathBuf>,
    /// The store [env: BACKSTOP_STORE] [default: backup]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) store: Option<PathBuf>,
    /// The report's format: human, json, junit or github
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    pub(super) format: Format,
    /// Colours: auto, always or never [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    pub(super) color: Color,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Human,
    Json,
    /// For `checkpoint` and `preflight`: a test report that CI systems read.
    Junit,
    /// For `checkpoint` and `preflight`: annotations for GitHub's CI.
    Github,
}
