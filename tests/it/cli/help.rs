//! What the program says of itself: each summary fits on a screen, each example works, and the README lists the commands.

use std::path::Path;

use super::{backed_up, backstop, program};
use crate::support::TempDir;

/// Each command and what it is for.
pub(crate) fn commands() -> Vec<(String, String)> {
    let help = backstop("/").arg("-h").ends(0).out;
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    let rows = list.lines().map(|line| line.trim().split_once(' ').unwrap());
    rows.filter(|(name, _)| *name != "help").map(|(name, about)| (name.into(), about.trim().into())).collect()
}

/// The examples of a command's help, without what they are for.
fn examples(name: &str) -> Vec<Vec<String>> {
    let help = backstop("/").args([name, "--help"]).ends(0).out;
    let text = help
        .split("Examples:\n")
        .nth(1)
        .unwrap_or_else(|| panic!("{name} --help has no examples"))
        .to_owned();
    let lines = text.lines().filter_map(|line| line.strip_prefix("  backstop "));
    let words = |line: &str| {
        let command = line.split("   ").next().unwrap().to_owned();
        let mut words = Vec::new();
        for (i, part) in command.split('"').enumerate() {
            if i % 2 == 1 {
                words.push(part.to_owned())
            } else {
                words.extend(part.split_whitespace().map(str::to_owned))
            }
        }
        words
    };
    lines.map(words).collect()
}

#[test]
fn a_summary_fits_on_a_screen() {
    let mut names: Vec<String> = commands().into_iter().map(|(name, _)| name).collect();
    assert!(names.len() >= 17, "{names:?}");
    names.push(String::new());
    for name in names {
        let help = backstop("/").args(Some(&name).filter(|name| !name.is_empty())).arg("-h").ends(0).out;
        assert!(help.lines().count() <= 45, "{name}: {} lines", help.lines().count());
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{name}:\n{help}");
    }
}

#[test]
fn each_example_works() {
    let world = backed_up();
    let mut tried = 0;
    for (name, _) in commands() {
        let examples = examples(&name);
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            // What takes long is tried by tests of its own; here it is only understood.
            let long = ["preflight", "init"].contains(&name.as_str())
                || example.iter().any(|word| word.contains("drill"));
            let elsewhere = TempDir::new();
            let place = if long { elsewhere.path() } else { &world.root };
            let run = backstop(place).args(&example).run();
            let allowed: &[i32] = match name.as_str() {
                _ if long => &[3],
                // They ask, and nobody is there to answer.
                "rollback" => &[0, 3],
                // Its checkpoints may not pass in so small a workspace.
                "checkpoint" => &[0, 1],
                _ => &[0],
            };
            assert!(run.code.is_some_and(|code| allowed.contains(&code)), "{example:?}: {run:?}");
            tried += 1;
        }
    }
    assert!(tried >= 25, "{tried}");
}

#[test]
fn the_readme_lists_the_commands() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let wanted: Vec<String> =
        commands().iter().map(|(name, about)| format!("| `{name}` | {about} |")).collect();
    assert_eq!(rows, wanted, "the README's table should be:\n{}", wanted.join("\n"));
}

#[test]
fn it_is_a_subcommand_of_cargo() {
    let plugin =
        |args: &[&str]| program(env!("CARGO_BIN_EXE_cargo-backstop"), "/").arg("backstop").args(args);
    plugin(&["rollback", "-h"]).ends(0).prints("Usage: cargo backstop rollback");
    plugin(&["rollback", "--help"]).ends(0).prints("  cargo backstop rollback --undo");
    plugin(&["frobnicate"]).ends(2).complains("frobnicate");
    let wrong = plugin(&["rollback", "--format", "json"]).ends(2);
    assert!(wrong.out.contains("\"command\": \"rollback\""), "{}", wrong.out);
    program(env!("CARGO_BIN_EXE_cargo-backstop"), "/").arg("-h").ends(0).prints("Usage: cargo backstop ");
    let world = backed_up();
    let run = program(env!("CARGO_BIN_EXE_cargo-backstop"), &world.root).args(["backstop", "list"]).ends(0);
    assert_eq!(run.out, backstop(&world.root).arg("list").ends(0).out);
}

#[test]
fn a_restore_point_is_named_with_and_without_a_flag_and_by_the_start_of_its_id() {
    let world = backed_up();
    let id = world.latest().id.to_string();
    let (id, start) = (id.as_str(), &id[..11]);
    for args in [
        &["rollback", start, "--dry-run"][..],
        &["rollback", "-t", start, "--dry-run"],
        &["validate", start],
        &["validate", id, "--drill", "bytes"],
        &["validate", "--drill=bytes", id],
        &["show", start],
        &["pin", start],
        &["unpin", start],
        &["diff", start],
    ] {
        backstop(&world.root).args(args).ends(0);
    }
    for args in [&["rollback", id, "-t", id][..], &["validate", id, "--all"], &["rollback", id, "--undo"]] {
        backstop(&world.root).args(args).ends(2).complains("cannot be used with");
    }
}
