//! What a terminal shows, and what the program is called there.

use std::path::Path;
use std::process::Command;

use super::{backed_up, executable, program};
use crate::support::World;
use crate::support::edit;

/// What a terminal of so many columns shows of a line of shell; `None`, and a word on it, if there is none to be had.
fn on_a_terminal(dir: &Path, columns: usize, line: &str) -> Option<String> {
    let present = |name: &str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    if !present("script") || !present("stty") {
        eprintln!("skipped: no `script` of util-linux or no `stty` here");
        return None;
    }
    let line = format!("stty cols {columns}; {line}");
    let run = program("script", dir).args(["-qec", &line, "/dev/null"]).env("BACKSTOP", executable());
    Some(run.env("TERM", "xterm").env("SHELL", "/bin/sh").ends(0).out.replace('\r', ""))
}

#[test]
fn a_report_has_the_width_of_where_it_goes() {
    let world = backed_up();
    let message = "word ".repeat(60);
    super::backstop(&world.root).args(["backup", "-m", message.trim()]).ends(0);
    let list = "\"$BACKSTOP\" list --color never";
    for (columns, line, widest) in [
        (120, list.to_owned(), 120),
        (70, format!("{list} 2>/dev/null"), 70),
        // Standard error is the terminal there, and no report goes to it.
        (120, format!("{list} | cat"), 80),
        (0, list.to_owned(), 80),
    ] {
        let Some(text) = on_a_terminal(&world.root, columns, &line) else { return };
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert_eq!(longest, Some(widest), "{columns} columns, {line}:\n{text}");
    }
}

#[test]
fn reports_call_the_program_what_people_type() {
    for (name, typed) in
        [("xtask", "cargo xtask"), ("cargo-backstop", "cargo backstop"), ("other", "backstop")]
    {
        let world = World::new("virtual");
        let path = world.temp.path().join(name);
        edit::copy_program(executable(), &path);
        let run = |args: &[&str]| program(&path, &world.root).args(args);
        run(&["status", "--check"]).ends(1).prints(&format!("Next  {typed} backup\n"));
        let backup = run(&["backup"]).ends(0);
        let typed = if typed == "backstop" { "backup/scripts/backstop" } else { typed };
        backup.prints(&format!("Bring it back: {typed} rollback -t "));
    }
}
