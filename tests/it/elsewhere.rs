//! What stands in the place of the command line where the system is not Unix. It is compiled into this test.

use std::process::ExitCode;

use backstop::cli::clap::{self, FromArgMatches, Subcommand};

#[path = "../../src/elsewhere.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is the public face of another build of the library")]
mod stub;

fn names<C: Subcommand>() -> Vec<String> {
    let mut names: Vec<String> = C::augment_subcommands(clap::Command::new("xtask"))
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn it_knows_every_command_that_an_xtask_hands_on() {
    assert_eq!(names::<stub::Command>(), names::<backstop::cli::Command>());
}

#[test]
fn every_command_line_ends_with_3_there() {
    let parser = stub::Command::augment_subcommands(clap::Command::new("xtask"));
    for line in
        [&["xtask", "rollback", "-t", "latest", "-f"][..], &["xtask", "status"], &["xtask", "list", "--help"]]
    {
        let matches = parser.clone().try_get_matches_from(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        assert_eq!(stub::Command::from_arg_matches(&matches).unwrap().run(), ExitCode::from(3), "{line:?}");
    }
    assert_eq!(stub::App::new().run(["backstop".into(), "--version".into()]), ExitCode::from(3));
    assert_eq!(stub::run_if_copied(), None);
}
