//! `init`, `completions` and `man`, as people run them.

use std::fs;

use super::{backstop, program};
use crate::support::edit::{mkdir, remove, write};
use crate::support::tree::assert_same;
use crate::support::{Picture, World};

const VERSION: [&str; 3] = ["init", "--version", "0.1"];

fn repository(fixture: &str) -> World {
    let world = World::new(fixture);
    program("git", &world.root).args(["init", "-q", "-b", "main"]).ends(0);
    world
}

#[test]
fn init_says_what_it_made_and_the_second_time_that_there_is_nothing_to_do() {
    let world = repository("virtual");
    let run = backstop(&world.root).args(VERSION).ends(0);
    assert_eq!(run.err, "");
    run.prints("     Created  xtask/Cargo.toml\n")
        .prints("     Changed  Cargo.toml\n")
        .prints("Done: 3 files created, 1 file changed\n")
        .prints("Try it: `cargo xtask backup`");
    let after = Picture::with_times(&world.root, &[]);
    let again = backstop(&world.root).args(VERSION).ends(0);
    again.prints("Nothing to do: backstop is in the workspace");
    // Then nobody has to say where backstop comes from.
    backstop(&world.root).arg("init").ends(0).prints("Nothing to do");
    assert_same(&Picture::with_times(&world.root, &[]), &after, "the second time");
    let quiet = backstop(&world.root).args(VERSION).arg("-q").ends(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
}

#[test]
fn a_dry_run_shows_each_line_and_changes_nothing() {
    let world = repository("virtual");
    let before = Picture::with_times(&world.root, &[]);
    let run = backstop(&world.root).args(VERSION).args(["--dry-run", "--ci", "github"]).ends(0);
    run.prints("      create  xtask/Cargo.toml\n  + [package]\n  + name = \"xtask\"\n")
        .prints("      change  Cargo.toml\n")
        .prints("      create  .github/workflows/backstop.yml\n")
        .prints("Dry run, nothing was changed. It would be: 4 files created, 1 file changed");
    assert_same(&Picture::with_times(&world.root, &[]), &before, "after the dry run");
}

#[test]
fn init_works_from_a_members_directory_and_by_a_manifest() {
    for manifest in [false, true] {
        let world = repository("virtual");
        let run = if manifest {
            let path = world.at("crates/beta/Cargo.toml");
            backstop("/").args(VERSION).arg("--manifest-path").arg(path).ends(0)
        } else {
            backstop(world.at("crates/alpha/src")).args(VERSION).ends(0)
        };
        run.prints("xtask/src/main.rs");
        assert!(world.at("xtask/src/main.rs").is_file() && world.at(".cargo/config.toml").is_file());
        assert!(!world.at("crates/alpha/xtask").exists());
    }
}

#[test]
fn an_xtask_with_code_of_its_own_ends_with_1_and_the_lines() {
    let world = repository("single");
    write(world.at("xtask/Cargo.toml"), "[package]\nname = \"xtask\"\nversion = \"0.1.0\"\n");
    write(world.at("xtask/src/main.rs"), "fn main() {}\n");
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), format!("{manifest}\n[workspace]\nmembers = [\"xtask\"]\n"));
    let run = backstop(&world.root).args(VERSION).ends(1);
    run.prints("Add to xtask/Cargo.toml, under [dependencies]:\n    backstop = { version")
        .prints("        if let Some(code) = backstop::cli::run_if_asked() {\n");
    assert_eq!(fs::read_to_string(world.at("xtask/src/main.rs")).unwrap(), "fn main() {}\n");
    let json = backstop(&world.root).args(VERSION).args(["--format", "json"]).ends(1).json();
    assert_eq!(json["by_hand"].as_array().unwrap().len(), 2);
}

#[test]
fn what_init_is_told_has_to_make_sense() {
    let world = repository("virtual");
    let before = Picture::with_times(&world.root, &[]);
    for (args, word) in [
        (&[][..], "--path DIR, --git URL or --version V"),
        (&["--path", "x", "--version", "1"], "--version"),
        (&["--rev", "x"], "--git"),
        (&["--git", "u", "--rev", "x", "--tag", "y"], "--tag"),
        (&["--version", "one"], "`one` is no version requirement"),
        (&["--path", "nowhere"], "no package in `nowhere`"),
        (&["--version", "1", "--ci", "jenkins"], "jenkins"),
    ] {
        backstop(&world.root).arg("init").args(args).ends(2).complains(word);
    }
    assert_same(&Picture::with_times(&world.root, &[]), &before, "after wrong command lines");
    mkdir(world.temp.path().join("empty"));
    backstop(world.temp.path().join("empty")).args(VERSION).ends(3).complains("could not find `Cargo.toml`");
    write(world.at("Cargo.toml"), "[workspace\n");
    backstop(&world.root).args(VERSION).ends(3).complains("cargo metadata fails");
}

#[test]
fn a_git_dependency_is_written_with_its_reference() {
    let world = repository("virtual");
    let url = "https://example.org/backstop.git";
    backstop(&world.root).args(["init", "--git", url, "--tag", "v1"]).ends(0);
    let manifest = fs::read_to_string(world.at("xtask/Cargo.toml")).unwrap();
    let line = format!("backstop = {{ git = \"{url}\", tag = \"v1\", features = [\"cli\"] }}\n");
    assert!(manifest.contains(&line), "{manifest}");
}

#[test]
fn without_git_and_where_git_ignores_it_init_says_so() {
    let world = World::new("virtual");
    let run = backstop(&world.root).args(VERSION).args(["--format", "json"]).ends(0);
    let notes = run.json()["notes"].to_string();
    assert!(notes.contains("no git") && notes.contains("`backup/`"), "{notes}");
    let world = repository("virtual");
    write(world.at(".gitignore"), ".cargo\n");
    let notes =
        backstop(&world.root).args(VERSION).args(["--format", "json"]).ends(0).json()["notes"].to_string();
    assert!(notes.contains("git ignores `.cargo/config.toml`"), "{notes}");
}

#[test]
fn the_report_of_init_is_as_the_schema_says() {
    let world = repository("virtual");
    let json = |args: &[&str]| {
        backstop(&world.root).args(VERSION).args(args).args(["--format", "json"]).ends(0).json()
    };
    let dry = json(&["--dry-run"]);
    assert_eq!(dry["dry_run"], true);
    assert_eq!(dry["changes"].as_array().unwrap().len(), 4);
    let done = json(&[]);
    assert_eq!(done["changes"], dry["changes"]);
    let again = json(&[]);
    assert_eq!(again["changes"].as_array().unwrap().len(), 0);
    assert!(!again["in_place"].as_array().unwrap().is_empty());
    let error = backstop(&world.root).args(["init", "--path", "nowhere", "--format", "json"]);
    remove(world.at("xtask"));
    remove(world.at("Cargo.toml"));
    error.ends(3).envelope();
}

#[test]
fn what_init_prints_fits_80_columns() {
    let world = World::new("virtual");
    write(world.at("Cargo.toml"), "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n");
    write(world.at(".cargo/config.toml"), "[alias]\nxtask = \"run --package xtask --\"\n");
    for args in [&["--dry-run", "--ci", "github", "--ci", "gitlab"][..], &[]] {
        let run = backstop(&world.root).args(VERSION).args(args).ends(0);
        for line in run.out.lines().chain(run.err.lines()) {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
    }
}

#[test]
fn completions_and_the_man_page_name_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = backstop("/").args(["completions", shell]).ends(0);
        run.prints("backstop").prints("rollback").prints("keep-new").prints("init");
    }
    backstop("/").args(["completions", "tcsh"]).ends(2).complains("tcsh");
    let page = backstop("/").arg("man").ends(0);
    for word in [".TH backstop 1", ".SH ROLLBACK", "keep\\-new", "manifest\\-path", "Exit codes", ".SH INIT"]
    {
        assert!(page.out.contains(word), "no {word:?} in\n{}", page.out);
    }
    assert_eq!(
        page.out.matches("manifest\\-path").count(),
        2,
        "flags of every command stand once, and in the synopsis"
    );
    for args in [&["completions", "bash"][..], &["man"]] {
        let text = backstop("/").args(args).args(["--format", "json"]).ends(0).json();
        assert!(text["text"].as_str().unwrap().contains("rollback"));
    }
}
