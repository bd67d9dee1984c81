//! `preflight` and `status`: the whole checklist in one run, and where things stand.

use std::fs;

use crate::cli::{Cli, backstop, program};
use crate::support::World;
use crate::support::edit::{overwrite, write};

fn world() -> World {
    let world = World::new("virtual");
    write(world.at(".gitignore"), "/target\n");
    write(world.at("crates/alpha/tests/t.rs"), "#[test]\nfn works() {}\n");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    let cargo = crate::support::cargo();
    program(cargo, &world.root).args(["generate-lockfile", "--offline"]).ends(0);
    world
}

fn preflight(world: &World) -> Cli {
    backstop(&world.root).args(["preflight", "--scratch"]).args([world.temp.path().join("scratch")])
}

#[test]
fn a_workspace_in_order_is_safe_to_change_and_the_figures_are_true() {
    let world = world();
    let run = preflight(&world).args(["-m", "before the merge"]).ends(0);
    let files = world.store().manifest(&world.latest()).unwrap().totals.files;
    let sums = run.out.split("Restore point: ").nth(1).unwrap().replace('\n', " ");
    for part in [
        format!("{files}/{files} files backed up · 5/5 checkpoints · 6/6 validations · "),
        "/3 rollback tools · drill: compiles".to_owned(),
        "Safe to proceed".to_owned(),
    ] {
        assert!(sums.contains(&part), "no {part:?} in {sums}");
    }
    // Nothing changed: no second restore point is made.
    preflight(&world).arg("--drill=manifest").ends(0).prints("drill: manifest");
    assert_eq!(world.listed().len(), 1);
    let json = preflight(&world).args(["--drill=tests", "--format", "json"]).ends(0).json();
    assert_eq!((&json["safe"], &json["drill"]["reached"]), (&true.into(), &"tests".into()));
    assert!(world.store().status(&world.latest()).drilled.is_some());
}

#[test]
#[ignore = "part of torture: builds"]
fn what_does_not_hold_is_named_and_ends_with_1_in_every_form() {
    let world = world();
    write(world.at("crates/alpha/src/lib.rs"), "broken\n");
    let run = preflight(&world).ends(1);
    assert!(run.out.contains("CP004  System functionality      FAILED"), "{}", run.out);
    assert!(run.out.contains("4/5 checkpoints") && run.out.contains("drill: resolves"), "{}", run.out);
    assert!(run.out.contains("Not safe to proceed"), "{}", run.out);
    // It is the tree that is broken, and not the restore point.
    assert!(run.out.replace("\n        ", " ").contains("a faithful copy of a broken tree"), "{}", run.out);
    let json = preflight(&world).args(["--format", "json"]).ends(1).json();
    assert_eq!(json["drill"]["workspace_compiled"], false);
    let junit = preflight(&world).args(["--format", "junit"]).ends(1);
    assert!(junit.out.contains("help: the workspace itself did not compile"), "{}", junit.out);
    assert!(
        junit.out.contains("classname=\"drill\" name=\"compiles\"") && junit.out.contains("failures=\"2\""),
        "{}",
        junit.out
    );
    let github = preflight(&world).args(["--format", "github"]).ends(1);
    assert!(github.out.contains("::error file=crates/alpha/src/lib.rs,line=1,title=CP004"), "{}", github.out);
}

#[test]
fn status_says_where_things_stand_and_what_to_do_next() {
    let world = world();
    backstop(&world.root).arg("status").ends(3);
    backstop(&world.root).args(["status", "--check"]).ends(1).prints("there is no restore point");
    let json = backstop(&world.root).args(["status", "--check", "--format", "json"]).ends(1).json();
    assert!(json["newest"].is_null());
    backstop(&world.root).args(["backup", "-m", "before"]).ends(0);
    backstop(&world.root).args(["status", "--check"]).ends(0).prints("no change: ").prints("not drilled");
    write(world.at("crates/alpha/src/util.rs"), "// other\n");
    write(world.at("crates/beta/src/new.rs"), "\n");
    let run = backstop(&world.root).args(["status", "--check"]).ends(1);
    assert!(run.out.contains("2 paths differ") && run.out.contains("alpha 1, beta 1"), "{}", run.out);
    backstop(&world.root).arg("status").ends(0);
    let json = backstop(&world.root).args(["status", "--format", "json"]).ends(0).json();
    assert_eq!(json["drift"]["changed"], 2);
    // It needs no cargo.
    write(world.at("Cargo.toml"), "<<<<<<<");
    backstop(&world.root).arg("status").ends(0).prints("paths differ");
    let session = world.store().layout().session(&world.latest().id);
    overwrite(session.join("files/Cargo.toml"), |b| b.push(b'x'));
    backstop(&world.root).arg("validate").ends(1);
    backstop(&world.root).arg("status").ends(0).prints("validation failed");
    let (cut, _, _) = crate::cli::cut_off();
    backstop(&cut.root).arg("status").ends(0).prints("was interrupted").prints("rollback --abort");
    backstop(&cut.root).args(["status", "--check"]).ends(4);
    backstop(&cut.root).arg("preflight").ends(4);
    backstop(&cut.root).args(["checkpoint", "--only", "CP001"]).ends(4).complains("rollback --resume");
    assert!(fs::read_dir(cut.dir.join("logs")).is_ok());
}

#[test]
fn a_ci_system_gets_its_report_also_where_nothing_can_be_asked() {
    let world = world();
    write(world.at("crates/alpha/Cargo.toml"), "[[[");
    for command in ["preflight", "checkpoint"] {
        let junit = backstop(&world.root).args([command, "--format", "junit"]).ends(3);
        assert!(junit.out.starts_with("<?xml") && junit.out.contains("failures=\"1\""), "{}", junit.out);
        let github = backstop(&world.root).args([command, "--format", "github"]).ends(3);
        assert!(github.out.starts_with("::error title=can be asked::backstop: "), "{}", github.out);
    }
}

#[test]
#[ignore = "part of torture: builds"]
fn what_stands_in_the_way_is_called_by_its_name() {
    let world = world();
    preflight(&world).arg("--drill=manifest").ends(0);
    // A file of the restore point that is damaged is none that is backed up.
    let files = world.store().manifest(&world.latest()).unwrap().totals.files;
    let session = world.store().layout().session(&world.latest().id);
    overwrite(session.join("files/Cargo.toml"), |b| b.push(b'x'));
    let run = preflight(&world).arg("--drill=manifest").ends(1);
    assert!(run.out.contains(&format!("{}/{files} files backed up", files - 1)), "{}", run.out);
    // A lockfile out of step is not a dependency that is missing.
    let lockfile = fs::read_to_string(world.at("Cargo.lock")).unwrap();
    write(world.at("Cargo.lock"), lockfile.replace("name = \"beta\"", "name = \"gone\""));
    let run = preflight(&world).ends(1);
    assert!(
        run.out.replace("\n        ", " ").contains("Cargo.lock is not in step with the manifests"),
        "{}",
        run.out
    );
}
