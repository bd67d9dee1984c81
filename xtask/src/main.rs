//! `cargo xtask`: the workspace's own chores. Here they are backstop's commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    backstop::cli::main()
}
