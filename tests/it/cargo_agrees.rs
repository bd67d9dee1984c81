//! Random changes to a random workspace, and random parts of it rolled back: what a plan says of cargo is what cargo says.

use std::fs;
use std::path::{Path, PathBuf};

use backstop::fsx::Fs;
use backstop::live_tree::Asked;
use backstop::rollback::RollbackOptions;
use proptest::prelude::*;

use crate::ours::{commit, package, read, workspace};
use crate::support::World;
use crate::support::edit::{link, mkdir, remove, write};
use crate::support::tree::{assert_same, copy_tree};
use crate::verdict::cargo;

/// One thing that somebody does to packages. What is impossible where it is tried does nothing.
#[derive(Debug, Clone)]
enum Change {
    Move(PathBuf, PathBuf),
    Copy(PathBuf, PathBuf),
    Remove(PathBuf),
    Rename(PathBuf),
    Empty(PathBuf),
    Ignored(PathBuf),
    Born(PathBuf, usize),
    Link(PathBuf, PathBuf),
    /// In any of the manifests.
    Edit(&'static str, &'static str),
}

const EDITS: [(&str, &str); 7] = [
    ("\"crates/a\"", "\"libs/a\""),
    ("members = [", "members = [\"libs/x\", "),
    ("exclude = [\"crates/out\"]", "exclude = [\"crates/x\"]"),
    ("a = { path = \"crates/a\" }\n", ""),
    ("a.workspace = true", "a = { path = \"../x\" }"),
    ("b = { path = \"../../crates/b\" }", "x = { path = \"../../crates/b\" }"),
    ("[package]", "[workspace]\n[package]"),
];

fn directory() -> impl Strategy<Value = PathBuf> {
    let name = prop::sample::select(vec!["a", "b", "c", "x", "out"]);
    (prop::sample::select(vec!["crates", "libs"]), name).prop_map(|(dir, name)| Path::new(dir).join(name))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (directory(), directory()).prop_map(|(a, b)| Change::Move(a, b)),
        1 => (directory(), directory()).prop_map(|(a, b)| Change::Copy(a, b)),
        2 => directory().prop_map(Change::Remove),
        2 => prop_oneof![directory().prop_map(|d| d.join("src")), directory().prop_map(|d| d.join("Cargo.toml"))]
            .prop_map(Change::Remove),
        2 => directory().prop_map(Change::Rename),
        2 => directory().prop_map(Change::Empty),
        2 => directory().prop_map(Change::Ignored),
        2 => (directory(), 0..3_usize).prop_map(|(d, more)| Change::Born(d, more)),
        1 => (directory(), directory()).prop_map(|(a, b)| Change::Link(a, b)),
        3 => prop::sample::select(EDITS.to_vec()).prop_map(|(from, to)| Change::Edit(from, to)),
    ]
}

fn perform(world: &World, change: &Change) {
    let there = |path: &PathBuf| world.at(path).exists();
    match change {
        Change::Move(from, to) if there(from) && !there(to) => {
            mkdir(world.at(to).parent().unwrap());
            fs::rename(world.at(from), world.at(to)).unwrap();
        }
        Change::Copy(from, to) if there(from) && !there(to) => copy_tree(&world.at(from), &world.at(to)),
        Change::Remove(path) => remove(world.at(path)),
        Change::Rename(dir) if there(&dir.join("Cargo.toml")) => {
            let file = world.at(dir).join("Cargo.toml");
            write(&file, read(&file).replacen("name = \"", "name = \"q", 1));
        }
        Change::Empty(dir) if !there(dir) => mkdir(world.at(dir)),
        Change::Ignored(dir) if !there(dir) || world.at(dir).is_dir() => {
            write(world.at(dir).join(".env"), "x")
        }
        Change::Born(dir, more) if !there(dir) => {
            let more = ["", "[dependencies]\na.workspace = true\n", "[workspace]\n"][*more];
            package(world, dir.to_str().unwrap(), more);
        }
        Change::Link(to, at) if there(to) && !there(at) => link(world.at(to), world.at(at)),
        Change::Edit(from, to) => {
            for dir in ["", "crates/a", "crates/b", "libs/c"] {
                let file = world.at(dir).join("Cargo.toml");
                let text = read(&file);
                if text.contains(from) {
                    write(&file, text.replacen(from, to, 1));
                }
            }
        }
        _ => {}
    }
}

const MEMBERS: [&str; 4] = [
    "\"crates/*\", \"libs/*\"",
    "\"crates/a\", \"crates/b\", \"libs/c\"",
    "\"crates/[a-z]*\", \"libs/**/c\"",
    "\"c*/*\", \"libs/?\"",
];

const PARTS: [&[&str]; 6] = [&[], &[], &["crates"], &["Cargo.toml"], &["crates/a"], &["libs", "Cargo.toml"]];

proptest! {
    #![proptest_config(crate::property::cases())]

    #[test]
    #[ignore = "part of torture: random"]
    fn what_a_plan_says_of_cargo_is_what_cargo_says(
        members in prop::sample::select(MEMBERS.to_vec()),
        default in any::<bool>(),
        changes in prop::collection::vec(change(), 1..6),
        only in prop::sample::select(PARTS.to_vec()),
        keep_new in prop::bool::weighted(0.2),
    ) {
        let root = format!(
            "[workspace]\nresolver = \"2\"\nmembers = [{members}]\nexclude = [\"crates/out\"]\n{}\
             [workspace.dependencies]\na = {{ path = \"crates/a\" }}\n",
            if default { "default-members = [\"crates/a\"]\n" } else { "" }
        );
        let world = workspace("ws", &root, &["crates/a"]);
        package(&world, "crates/b", "[dependencies]\na.workspace = true\n");
        package(&world, "libs/c", "[dev-dependencies]\nb = { path = \"../../crates/b\" }\n");
        write(world.at(".gitignore"), ".env\n/backup/\n");
        cargo(&world).unwrap();
        commit(&world.root);
        world.backup();
        changes.iter().for_each(|change| perform(&world, change));
        let before = world.picture();
        let only = only.iter().map(PathBuf::from).collect();
        let asked = Asked { only, ..Asked::default() };
        let plan = world.plan(&RollbackOptions { asked, keep_new, ..RollbackOptions::default() });
        let findings = plan.findings.clone();
        let changed = !plan.is_empty();
        if changed {
            world.apply_with(plan, &Fs::real()).unwrap();
        }
        let lock = fs::read(world.at("Cargo.lock")).ok();
        let said = cargo(&world);
        // Only a new member is no reason for cargo to refuse.
        let refuses = findings.iter().any(|f| !f.problem.contains("came since the restore point"));
        prop_assert_eq!(said.is_err(), refuses, "{:?} {:?}", said, findings);
        if changed {
            lock.map_or_else(|| remove(world.at("Cargo.lock")), |lock| write(world.at("Cargo.lock"), lock));
            world.undo();
            assert_same(&world.picture(), &before, "undone");
        }
    }
}
