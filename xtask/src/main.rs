//! `cargo xtask`: backstop's own commands, and this project's chores.

mod bench;
mod sweep;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = backstop::cli::run_if_copied() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let chore = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bench", workspace] => bench::run(workspace),
        ["sweep"] => sweep::run(),
        _ => return backstop::cli::main(),
    };
    match chore {
        Ok(()) => ExitCode::SUCCESS,
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
