//! backstop as an executable of its own, for workspaces without an xtask.

use std::process::ExitCode;

fn main() -> ExitCode {
    backstop::cli::main()
}
