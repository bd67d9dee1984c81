//! `cargo xtask`: backstop's own commands, and this project's chores.

mod bench;
mod torture;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = backstop::cli::run_if_copied() {
        return code;
    }
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let chore = match args.iter().map(|a| a.to_str()).collect::<Vec<_>>().as_slice() {
        [Some("bench"), Some(workspace)] => bench::run(workspace).map(|()| true),
        [Some("torture"), rest @ ..] => {
            torture::run(&rest.iter().map(|arg| arg.unwrap_or("?")).collect::<Vec<_>>())
        }
        _ => return backstop::cli::main(),
    };
    match chore {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            say(&format!("error: {e:#}"));
            ExitCode::from(3)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the one place of the chores that prints")]
fn say(line: &str) {
    println!("{line}");
}
