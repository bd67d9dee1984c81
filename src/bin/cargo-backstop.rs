//! backstop as a subcommand of cargo: `cargo backstop …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    backstop::cli::main()
}
