//! Rows: which restore point, which part of it, and with which flags; undo, resume and abort where there is nothing
//! to do so to.

use std::time::Duration;

use super::row::{BACK, Row, SHORT, Tree, row};
use crate::cli::spoil;
use crate::support::World;
use crate::support::edit::{remove, write};

const LIB: &str = "crates/alpha/src/lib.rs";
const UNDO: &[&str] = &["--undo", "-f"];

fn change(world: &World) {
    spoil(&world.root);
}

const NAME: &str = "crates/alpha/name.txt";

/// Two restore points, and one that a rollback made.
fn three_points(world: &World) {
    write(world.at(NAME), "first\n");
    world.backup();
    write(world.at(NAME), "second\n");
    world.clock.set(world.clock.peek() + Duration::from_secs(3600));
    world.backup();
    write(world.at(NAME), "between\n");
    world.clock.set(world.clock.peek() + Duration::from_secs(3600));
    world.rollback(&Default::default());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = which();
    rows.extend(parts());
    rows.extend(ways());
    rows.extend(undoing());
    rows
}

fn which() -> Vec<Row> {
    vec![
        row("a whole id", change).runs(&["-t", "20261123_054000", "-f"], 0),
        row("the start of an id", change).runs(&["-t", "20261123_05", "-f"], 0),
        row("a backup id", change).runs(&["-t", "it_backup_20261123_054000", "-f"], 0),
        row("long flags", change).runs(&["--timestamp", "latest", "--force"], 0),
        row("a long flag with its value beside it", change).runs(&["--timestamp=latest", "--force"], 0),
        row("a wrong id", change)
            .runs(&["-t", "20200101_000000", "-f"], 2)
            .refused(2)
            .says("no restore point"),
        row("an id with odd characters", change)
            .runs(&["-t", "../../etc\n*\x1b[31m$(id)", "-f"], 2)
            .refused(2)
            .says("no restore point"),
        row("an empty id", change).runs(&["-t", "", "-f"], 2).refused(2),
        row("an ambiguous prefix", change)
            .with(three_points)
            .runs(&["-t", "2026", "-f"], 2)
            .refused(2)
            .says("names 3 restore points"),
        row("latest passes over what a rollback made", |_| {}).with(three_points).says("Nothing to do"),
        row("an older restore point", |_| {})
            .with(three_points)
            .runs(&["-t", "20261123_05", "-f"], 0)
            .leaves(Tree::With(&[(NAME, "first\n")])),
        row("what a rollback made is reached by its id", |_| {})
            .with(three_points)
            .runs(&["-t", "pre_rollback", "-f"], 0)
            .leaves(Tree::With(&[(NAME, "between\n")])),
        row("no backup at all", |w| {
            for dir in ["metadata", "archives", "checksums", "rollback"] {
                for entry in std::fs::read_dir(w.dir.join(dir)).unwrap().flatten() {
                    remove(entry.path());
                }
            }
            remove(w.dir.join("session_20261123_054000"));
            change(w);
        })
        .refused(3)
        .says("holds no restore point"),
    ]
}

fn parts() -> Vec<Row> {
    vec![
        row("only one file", change)
            .runs(&["-t", "latest", "-f", "--only", LIB], 1)
            .leaves(Tree::UntouchedBut(&[LIB])),
        row("only a directory", change)
            .runs(&["-t", "latest", "-f", "--only", "crates/alpha/src"], 1)
            .leaves(Tree::UntouchedBut(&["crates/alpha/src"])),
        row("only a directory with a slash at its end", change)
            .runs(&["-t", "latest", "-f", "--only=crates/alpha/src/"], 1)
            .leaves(Tree::UntouchedBut(&["crates/alpha/src"])),
        row("only several", change)
            .runs(&["-t", "latest", "-f", "--only", LIB, "--only", "crates/beta", "--only", LIB], 0)
            .leaves(Tree::UntouchedBut(&[LIB, "crates/beta"])),
        row("only a file that was added", change)
            .runs(&["-t", "latest", "-f", "--only", "crates/alpha/src/added.rs"], 1)
            .leaves(Tree::UntouchedBut(&["crates/alpha/src/added.rs"])),
        row("only all of it", change).runs(&["-t", "latest", "-f", "--only", "."], 0),
        row("only an unknown path", change)
            .runs(&["-t", "latest", "-f", "--only", "crates/omega"], 2)
            .refused(2),
        row("only the start of a name", change)
            .runs(&["-t", "latest", "-f", "--only", "crates/alph"], 2)
            .refused(2),
        row("only nothing", change).runs(&["-t", "latest", "-f", "--only", ""], 2).refused(2),
        row("only a path that leads out", change)
            .runs(&["-t", "latest", "-f", "--only", "../place/crates"], 2)
            .refused(2),
        row("what is new is kept", change)
            .runs(&["-t", "latest", "-f", "--keep-new"], 0)
            .leaves(Tree::BackBut(&["crates/alpha/src/added.rs", "crates/gamma"]))
            .says("3 left alone"),
        row("from the session", change).runs(&["-t", "latest", "-f", "--from", "session"], 0),
        row("from the archive", change).runs(&["-t", "latest", "-f", "--from", "archive"], 0),
        row("from somewhere else", change)
            .runs(&["-t", "latest", "-f", "--from", "elsewhere"], 2)
            .refused(2)
            .in_its_own_words(),
    ]
}

fn ways() -> Vec<Row> {
    vec![
        row("a dry run", change)
            .runs(&["-t", "latest", "--dry-run"], 0)
            .leaves(Tree::Untouched)
            .says("Dry run, nothing was changed."),
        row("a dry run with force", change)
            .runs(&["-t", "latest", "-f", "--dry-run"], 0)
            .leaves(Tree::Untouched),
        row("a dry run where nothing happened", |_| {}).runs(&["-t", "latest", "--dry-run"], 0),
        row("nobody to ask", change).runs(&["-t", "latest"], 3).refused(3).says("stdin is not a terminal"),
        row("nobody to ask, and nothing to do", |_| {}).runs(&["-t", "latest"], 0).says("Nothing to do"),
        row("an answer through a pipe is none", change)
            .runs(&["-t", "latest"], 3)
            .refused(3)
            .started(|cli, _| cli.input("y\n")),
        row("no flag at all", change).runs(&[], 2).refused(2).in_its_own_words(),
        row("an unknown flag", change)
            .runs(&["-t", "latest", "-f", "--frobnicate"], 2)
            .refused(2)
            .in_its_own_words(),
        row("an argument that nothing takes", change)
            .runs(&["latest", "more", "-f"], 2)
            .refused(2)
            .in_its_own_words(),
        row("a flag without its value", change).runs(&["-f", "-t"], 2).refused(2).in_its_own_words(),
        row("an undo and an id at once", change)
            .runs(&["-t", "latest", "--undo", "-f"], 2)
            .refused(2)
            .in_its_own_words(),
        row("an undo of a part", change)
            .runs(&["--undo", "--only", LIB, "-f"], 2)
            .refused(2)
            .in_its_own_words(),
        row("a dry run of a resume", change)
            .runs(&["--resume", "--dry-run"], 2)
            .refused(2)
            .in_its_own_words(),
        row("help", |_| {}).runs(&["--help"], 0).in_its_own_words().says("--undo").says("--only"),
    ]
}

fn undoing() -> Vec<Row> {
    vec![
        row("nothing to undo", change).runs(UNDO, 3).refused(3).says("no rollback was made here"),
        row("nothing to resume", change)
            .runs(&["--resume"], 0)
            .leaves(Tree::Untouched)
            .says("Nothing to resume: no rollback was interrupted."),
        row("nothing to abort", change)
            .runs(&["--abort"], 0)
            .leaves(Tree::Untouched)
            .says("Nothing to abort: no rollback was interrupted."),
        row("an undo", change).then(UNDO, 0).leaves(Tree::Untouched),
        row("an undo of an undo", change).then(UNDO, 0).then(UNDO, 0),
        row("an undo of an undo of an undo", change)
            .then(UNDO, 0)
            .then(UNDO, 0)
            .then(UNDO, 0)
            .leaves(Tree::Untouched),
        row("a second rollback has nothing to do", change).then(BACK, 0).says("Nothing to do"),
        row("an undo's dry run", change).then(&["--undo", "--dry-run"], 0),
        row("an undo with nobody to ask", change).then(&["--undo"], 3),
        row("an undo of what only one file got", change)
            .runs(&["-t", "latest", "-f", "--only", LIB], 1)
            .then(UNDO, 0)
            .leaves(Tree::Untouched)
            .without(SHORT),
        row("an undo of links, modes, directories and kinds", |w| {
            spoil(&w.root);
            remove(w.at("crates/alpha/src/util.rs"));
            write(w.at("crates/alpha/src/util.rs/inside"), "a directory now\n");
            remove(w.at("crates/alpha/link"));
            write(w.at("crates/alpha/link"), "a file now\n");
        })
        .with(|w| crate::support::edit::link("nowhere", w.at("crates/alpha/link")))
        .then(UNDO, 0)
        .leaves(Tree::Untouched),
        row("an undo whose displaced files are missing", change)
            .then(UNDO, 3)
            .started(|cli, w| {
                for entry in std::fs::read_dir(w.dir.join("rollback")).unwrap().flatten() {
                    if entry.file_name().to_string_lossy().starts_with("displaced_") {
                        remove(entry.path());
                    }
                }
                cli
            })
            .says("displaced; nothing was changed"),
    ]
}
