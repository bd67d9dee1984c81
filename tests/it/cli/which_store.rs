//! Which store is meant, and whose: what is found by looking around is held to more than what is named.

use std::fs;

use super::exit_codes::cut_off;
use super::output::at_a_terminal;
use super::{backed_up, backstop, copied, spoil};
use crate::support::edit::{is_root, write};
use crate::support::tree::{assert_same, copy_tree};
use crate::support::{Picture, TempDir, World};

/// A package without a store of its own, in `temp`.
fn package(temp: &TempDir, name: &str) -> std::path::PathBuf {
    let dir = temp.path().join(name);
    write(dir.join("Cargo.toml"), format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n"));
    write(dir.join("Cargo.lock"), "version = 4\n");
    write(dir.join("src/lib.rs"), format!("// {name}\n"));
    dir
}

#[test]
fn the_store_of_a_neighbour_is_not_found() {
    let temp = TempDir::new();
    let (a, b) = (package(&temp, "a"), package(&temp, "b"));
    backstop(&a).args(["backup", "--store", "../a-store"]).ends(0);
    write(a.join("src/lib.rs"), "precious\n");
    for here in [&b, &temp.path().to_path_buf()] {
        backstop(here).args(["rollback", "-t", "latest", "-f"]).ends(3).complains("there is no store");
    }
    assert_eq!(fs::read_to_string(a.join("src/lib.rs")).unwrap(), "precious\n");
}

#[test]
fn a_workspace_within_another_does_not_take_its_store() {
    let world = backed_up();
    let inner = world.at("crates/alpha/inner");
    write(inner.join("Cargo.toml"), "[workspace]\n\n[package]\nname = \"inner\"\nversion = \"0.1.0\"\n");
    write(inner.join("Cargo.lock"), "version = 4\n");
    let before = world.picture();
    let run = backstop(&inner).args(["rollback", "-t", "latest", "-f"]).ends(3);
    run.complains("a workspace of its own").complains("--manifest-path");
    assert_same(&world.picture(), &before, "after the refusal");
}

#[test]
fn two_stores_at_one_root_are_named_and_neither_is_taken() {
    let world = backed_up();
    copy_tree(&world.dir, &world.at("old-points"));
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(2);
    run.complains("backup").complains("old-points").complains("--store");
    backstop(&world.root).args(["list", "--store", "old-points"]).ends(0);
}

#[test]
fn a_store_elsewhere_serves_one_workspace_and_follows_it_when_it_moves() {
    let temp = TempDir::new();
    let a = package(&temp, "a");
    backstop(&a).args(["backup", "--store", "../points"]).ends(0);
    let clone = temp.path().join("clone");
    copy_tree(&a, &clone);
    let run = backstop(&clone).args(["backup", "--store", "../points"]).ends(2);
    run.complains("is that of the workspace").complains("/a`");
    let moved = temp.path().join("moved");
    fs::rename(&a, &moved).unwrap();
    backstop(&moved).args(["backup", "--store", "../points"]).ends(0);
    write(moved.join("src/lib.rs"), "spoilt\n");
    copied(temp.path().join("points")).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_eq!(fs::read_to_string(moved.join("src/lib.rs")).unwrap(), "// a\n");
}

#[test]
fn the_store_of_another_user_is_used_only_where_it_is_named() {
    if !is_root() {
        eprintln!("skipped: only root can give a store to another user");
        return;
    }
    let world = backed_up();
    std::os::unix::fs::chown(&world.dir, Some(65534), None).unwrap();
    backstop(&world.root).arg("list").ends(3).complains("another user").complains("--store");
    backstop(&world.root).args(["list", "--store", "backup"]).ends(0);
}

#[test]
fn validate_runs_no_program_of_a_store_but_its_own() {
    let world = backed_up();
    let marker = world.temp.path().join("ran");
    let planted = world.dir.join("scripts/backstop");
    fs::remove_file(&planted).unwrap();
    write(&planted, format!("#!/bin/sh\ntouch {}\n", marker.display()));
    crate::support::edit::chmod(&planted, 0o500);
    let digest = backstop::digest::Digest::of(&fs::read(&planted).unwrap()).to_string();
    let mut info: serde_json::Value =
        serde_json::from_slice(&fs::read(world.dir.join("store.json")).unwrap()).unwrap();
    info["scripts"]["backstop"] = digest.into();
    write(world.dir.join("store.json"), info.to_string());
    backstop(&world.root).arg("validate").ends(0).prints("no dry run");
    assert!(!marker.exists(), "a program from the store was run");
}

#[test]
fn a_damaged_journal_is_a_cut_off_rollback_and_the_help_is_a_way_out() {
    let (world, old, new) = cut_off();
    let journal = world.dir.join("rollback/journal");
    let whole = fs::read(&journal).unwrap();
    write(&journal, &whole[..whole.len() / 2]);
    for way in ["--resume", "--abort"] {
        backstop(&world.root).args(["rollback", way]).ends(4).complains("damaged").complains("move `");
    }
    fs::rename(&journal, world.temp.path().join("journal")).unwrap();
    backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_same(&world.picture(), &new, "after a new rollback");
    assert!(old != new);
}

#[test]
fn what_changed_while_it_was_asked_about_is_not_done() {
    let world = backed_up();
    write(world.at("crates/alpha/src/lib.rs"), "spoilt\n");
    // Another file comes before the answer, which the plan on the screen does not name.
    let late = world.at("crates/alpha/src/late.rs");
    let meanwhile = format!("echo late > '{}'", late.display());
    let Some(run) = at_a_terminal(&world, &["rollback", "-t", "latest"], "y\n", &meanwhile, true) else {
        return;
    };
    run.ended(3).prints("changed after the plan was shown").prints("late.rs");
    assert_eq!(fs::read_to_string(world.at("crates/alpha/src/lib.rs")).unwrap(), "spoilt\n");
    assert!(late.exists());
}

#[test]
fn the_label_of_rollbacks_is_not_for_people() {
    let world = World::new("virtual");
    backstop(&world.root).args(["backup", "-l", "pre_rollback"]).ends(2).complains("pre_rollback");
    let named = world.temp.path().join("pre_rollback");
    fs::rename(&world.root, &named).unwrap();
    backstop(&named).arg("backup").ends(0).prints("Backup ID: _pre_rollback_backup_");
}

#[test]
fn a_package_outside_is_not_asked_for_by_its_name_alone() {
    let world = World::new("outside");
    backstop(&world.root).arg("backup").ends(0);
    let manifest = backstop::store::Store::manifest(&world.store(), &world.latest()).unwrap();
    let outside = manifest.packages.iter().find(|p| !p.root.is_workspace()).unwrap();
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f", "-p", &outside.name]).ends(2);
    run.complains("--outside");
}

#[test]
fn an_undo_refuses_what_was_changed_after_it_was_moved_out() {
    let world = backed_up();
    spoil(&world.root);
    backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    let before: Picture = world.picture();
    let rollback = fs::read_dir(world.dir.join("rollback")).unwrap().flatten();
    let displaced = rollback.map(|e| e.path()).find(|p| p.to_string_lossy().contains("displaced_")).unwrap();
    crate::support::edit::overwrite(displaced.join("files/crates/alpha/src/lib.rs"), |b| b[0] ^= 1);
    let run = backstop(&world.root).args(["rollback", "--undo", "-f"]).ends(3);
    run.complains("crates/alpha/src/lib.rs: was changed after it was displaced");
    assert_same(&world.picture(), &before, "after the refusal");
}
