//! In the middle of a change a workspace is often one that cargo cannot load. `backup` and `checkpoint` go on then, by what
//! the newest restore point knows; what is made so is marked, and `latest` passes over it.

use std::fs;

use crate::cli::{backed_up, backstop, copied, newest, path_with, program};
use crate::roads::{bash, python};
use crate::support::World;
use crate::support::edit::{self, remove, write};

/// A backup that has to be made, marked, and passed over by `latest` everywhere.
#[track_caller]
fn assert_made_and_passed_over(world: &World, before: &str, why: &str) {
    let value = backstop(&world.root).args(["backup", "--format", "json"]).ends(0).json();
    assert_eq!(value["origin"], "broken_manifest", "{why}");
    let id = value["id"].as_str().unwrap().to_owned();
    assert!(world.latest().id.to_string() == before && id != before, "{why}");
    let shown = backstop(&world.root).args(["show", "latest"]).ends(0);
    assert!(shown.out.contains(before) && shown.err.contains(&id), "{why}: {shown:?}");
    let plan = backstop(&world.root).args(["rollback", "-t", "latest", "--dry-run"]).ends(0);
    assert!(plan.out.contains(before) && plan.err.contains(&id), "{why}: {plan:?}");
    // It is what stands there, and its id still names it; what cargo would say of it may be told.
    let same = backstop(&world.root).args(["rollback", "-t", &id, "--dry-run"]).run();
    assert!(same.out.contains("Nothing to do") && same.code < Some(2), "{why}: {same:?}");
    backstop(&world.root).args(["validate", "-t", &id]).ends(0);
}

#[test]
fn a_backup_of_what_cargo_cannot_load_is_made_marked_and_passed_over() {
    type Break = (&'static str, fn(&World));
    let breaks: [Break; 5] = [
        ("the root manifest", |w| write(w.at("Cargo.toml"), "[workspace\n")),
        ("no root manifest", |w| remove(w.at("Cargo.toml"))),
        ("a member's manifest", |w| write(w.at("crates/alpha/Cargo.toml"), "broken = \n")),
        ("a conflict", |w| write(w.at("crates/alpha/Cargo.toml"), "<<<<<<< ours\n=======\n>>>>>>> theirs\n")),
        ("a member that is missing", |w| {
            write(
                w.at("Cargo.toml"),
                "[workspace]\nresolver = \"2\"\nmembers = [\"crates/alpha\", \"crates/none\"]\n",
            );
        }),
    ];
    let origin = backed_up();
    for (why, spoil) in breaks {
        let world = origin.copied();
        let before = newest(&world);
        spoil(&world);
        write(world.at("crates/alpha/src/since.rs"), "// since\n");
        write(world.at("crates/born/Cargo.toml"), "[package]\nname = \"born\"\n");
        assert_made_and_passed_over(&world, &before, why);
        let all = backstop(&world.root).args(["list", "--format", "json"]).ends(0).json();
        let points = all["restore_points"].as_array().unwrap();
        assert_eq!(
            points.iter().map(|p| p["origin"].as_str().unwrap()).collect::<Vec<_>>(),
            ["backup", "broken_manifest"]
        );
        let files = world.dir.join(format!("session_{}/files", points[1]["id"].as_str().unwrap()));
        assert!(
            files.join("crates/alpha/src/since.rs").exists() && files.join("crates/born/Cargo.toml").exists(),
            "{why}"
        );
    }
}

#[test]
fn a_missing_cargo_does_not_keep_the_copied_executable_from_making_one() {
    let world = backed_up();
    let stubs = world.temp.path().join("stubs");
    edit::program(stubs.join("cargo"), "#!/bin/sh\nexit 127\n");
    let run = copied(&world.dir).arg("backup").env("PATH", path_with(&stubs)).without("CARGO").ends(0);
    assert!(run.out.contains("ALL FILES VERIFIED SUCCESSFULLY") && run.err.contains("cargo"), "{run:?}");
}

#[test]
fn the_scripts_pass_over_it_too() {
    let world = backed_up();
    let before = newest(&world);
    write(world.at("Cargo.toml"), "[workspace\n");
    backstop(&world.root).arg("backup").ends(0);
    for (interpreter, name) in [(bash(), "rollback.sh"), (python(), "rollback.py")] {
        let Some(interpreter) = interpreter else {
            eprintln!("skipped: nothing runs {name} here");
            continue;
        };
        let script = world.dir.join("scripts").join(name);
        let run = program(interpreter, "/").arg(script).args(["-t", "latest", "--dry-run"]).ends(0);
        assert!(run.out.contains(&before), "{run:?}");
    }
}

#[test]
fn without_an_earlier_restore_point_what_cargo_says_is_the_error() {
    let world = World::new("virtual");
    write(world.at("Cargo.toml"), "[workspace\n");
    backstop(&world.root).arg("backup").ends(3).complains("cargo metadata fails");
    assert!(!world.dir.exists());
}

#[test]
fn a_manifest_path_that_is_none_is_no_broken_workspace() {
    let world = backed_up();
    backstop(&world.root).args(["backup", "--manifest-path", "nope"]).ends(3);
    assert_eq!(world.listed().len(), 1);
}

#[test]
fn it_never_makes_the_newest_good_one_prunable() {
    let world = backed_up();
    let before = newest(&world);
    write(world.at("Cargo.toml"), "[workspace\n");
    backstop(&world.root).arg("backup").ends(0);
    backstop(&world.root).args(["prune", "--keep-last", "1"]).ends(0);
    assert_eq!(newest(&world), before);
    assert!(fs::read_to_string(world.dir.join("guard")).unwrap().contains(&before), "the guard's newest");
}

#[test]
fn checkpoints_go_on_in_a_workspace_that_cargo_cannot_load() {
    let world = backed_up();
    write(world.at("crates/alpha/Cargo.toml"), "broken = \n");
    let value = backstop(&world.root).args(["checkpoint", "--format", "json"]).ends(1).json();
    let passed = |id: &str| {
        let all = value["checkpoints"].as_array().unwrap();
        all.iter().find(|c| c["id"] == id).unwrap()["passed"].as_bool().unwrap()
    };
    assert_eq!(["CP001", "CP002", "CP003", "CP004"].map(passed), [true, true, false, false]);
}

#[test]
fn what_a_backup_of_a_broken_workspace_does_not_hold_is_named_as_always() {
    let world = backed_up();
    for file in ["notes/a.md", "notes/deep/b.md", "crates/loose.txt", "old/Cargo.toml", "old/src/lib.rs"] {
        write(world.at(file), "x\n");
    }
    let named = |origin: &str| {
        let value = backstop(&world.root).args(["backup", "--format", "json"]).ends(0).json();
        assert_eq!(value["origin"], origin);
        value["unprotected"].clone()
    };
    let whole = named("backup");
    write(world.at("Cargo.toml"), "[workspace\n");
    assert_eq!(named("broken_manifest"), whole);
    assert!(whole.to_string().contains("notes") && whole.to_string().contains("crates/loose.txt"), "{whole}");
    // And what came since.
    write(world.at("since/x"), "x\n");
    assert!(named("broken_manifest").to_string().contains("since"));
}
