//! What differs between restore points and the workspace.

use std::fs;

use backstop::diff::{ChangeKind, Diff, diff_live, diff_points};

use crate::cli::program;
use crate::support::World;
use crate::support::edit::{chmod, link, mkdir, remove, write};

fn live(world: &World) -> Diff {
    diff_live(&world.store(), &world.latest(), &world.context()).unwrap()
}

fn told(diff: &Diff) -> Vec<String> {
    diff.changes.iter().map(|c| format!("{:?} {}", c.kind, c.shown())).collect()
}

/// One change of each kind.
fn change(world: &World) {
    write(world.at("crates/alpha/src/util.rs"), "pub fn greet(x: &str) -> String { x.into() }\n");
    chmod(world.at("crates/alpha/name.txt"), 0o600);
    remove(world.at("crates/alpha/README.md"));
    write(world.at("crates/alpha/src/deep/new.rs"), "\n");
    mkdir(world.at("crates/alpha/src/empty"));
    remove(world.at("crates/beta/src/main.rs"));
    mkdir(world.at("crates/beta/src/main.rs"));
    remove(world.at("crates/beta/link"));
    link("elsewhere", world.at("crates/beta/link"));
}

const CHANGES: [&str; 7] = [
    "Removed crates/alpha/README.md",
    "Mode crates/alpha/name.txt",
    "Added crates/alpha/src/deep/new.rs",
    "Added crates/alpha/src/empty",
    "Content crates/alpha/src/util.rs",
    "Content crates/beta/link",
    "Type crates/beta/src/main.rs",
];

#[test]
fn each_kind_of_change_is_told_against_the_live_tree_and_between_points() {
    let world = World::new("virtual");
    link("src", world.at("crates/beta/link"));
    world.backup();
    let same = live(&world);
    assert!(same.is_empty() && same.unchanged > 5, "{same:?}");
    let first = world.latest();
    change(&world);
    let diff = live(&world);
    assert_eq!(told(&diff), CHANGES);
    assert_eq!(diff.changes[0].package.as_deref(), Some("alpha"));
    assert_eq!(diff.count(ChangeKind::Added), 2);
    fs::create_dir_all(world.at("crates/beta/src/bin")).unwrap();
    write(world.at("crates/beta/src/bin/b.rs"), "fn main() {}\n");
    remove(world.at("crates/beta/src/bin"));
    write(world.at("crates/beta/src/lib.rs"), "");
    world.backup();
    remove(world.at("crates/beta/src/lib.rs"));
    let store = world.store();
    let between = diff_points(&store, &first, &world.latest()).unwrap();
    let mut expected: Vec<String> = CHANGES.map(str::to_owned).to_vec();
    expected.insert(6, "Added crates/beta/src/lib.rs".into());
    assert_eq!(told(&between), expected);
    // The other way round, what was added was removed.
    let back = diff_points(&store, &world.latest(), &first).unwrap();
    assert_eq!((back.count(ChangeKind::Added), back.count(ChangeKind::Removed)), (1, 3));
}

#[test]
fn what_is_out_of_scope_is_not_compared_and_what_cannot_be_judged_is_named() {
    let world = World::new("virtual");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "*.log\n");
    world.backup();
    write(world.at("crates/alpha/x.log"), "");
    write(world.at("elsewhere/notes.txt"), "");
    let diff = live(&world);
    assert!(diff.is_empty(), "{diff:?}");
    assert_eq!(diff.left_alone.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), ["crates/alpha/x.log"]);
    write(world.at(".git/HEAD"), "broken");
    write(world.at("crates/alpha/y.rs"), "");
    assert!(live(&world).left_alone.iter().any(|(p, _)| p == "crates/alpha/y.rs"), "{:?}", live(&world));
}

#[test]
fn roots_outside_are_compared_and_one_that_is_gone_is_named() {
    let world = World::new("outside");
    world.backup();
    let neighbour = world.root.parent().unwrap().join("neighbour");
    write(neighbour.join("src/lib.rs"), "// changed\n");
    assert_eq!(told(&live(&world)), ["Content neighbour:src/lib.rs"]);
    remove(&neighbour);
    let diff = live(&world);
    assert_eq!((diff.missing_roots, diff.changes.len()), (vec!["neighbour".to_owned()], 0));
}
