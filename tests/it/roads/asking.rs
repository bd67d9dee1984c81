//! At a terminal each road asks, and does what is answered.

use super::road::Road;
use super::row::row;
use super::run::Ground;
use crate::cli::{asked, spoil};
use crate::support::Picture;
use crate::support::tree::assert_same;

#[test]
#[ignore = "part of torture: roads"]
fn at_a_terminal_each_road_asks_and_does_what_is_answered() {
    let Some(ground) = Ground::new(&row("asked", |_| {})) else { return };
    let world = &ground.world;
    for road in Road::here() {
        ground.load();
        super::road::install(&world.dir, crate::cli::executable());
        spoil(&world.root);
        let spoilt = world.picture();
        let store = || Picture::with_times(&world.dir, &[&world.dir.join("lock")]);
        let before = store();
        let ask = |args: &[&str], answer: &str, meanwhile: &str| {
            let command = road.start(&world.dir).args(args).words();
            asked(&world.root, &command, answer, meanwhile, true)
        };
        for answer in ["n\n", "\n", "maybe\n", "\u{4}", "\u{3}"] {
            let Some(run) = ask(&["-t", "latest"], answer, "") else { return };
            let run = run.ended(3).prints("Do this? [y/N]").prints("crates/alpha/name.txt");
            assert!(!run.out.contains("Traceback"), "{road:?} {answer:?}: {}", run.out);
            assert_same(&world.picture(), &spoilt, &format!("{road:?} {answer:?}"));
            assert_same(&store(), &before, &format!("{road:?} {answer:?}"));
        }
        for answer in ["y\n", "YES\n"] {
            ask(&["-t", "latest"], answer, "").unwrap().ended(0).prints("Rolled back: ");
            assert_same(&world.picture(), &ground.good, &format!("{road:?} {answer:?}"));
            ask(&["--undo"], answer, "").unwrap().ended(0).prints("Undone:");
            assert_same(&world.picture(), &spoilt, &format!("{road:?} undone"));
        }
        let meanwhile = "echo edited meanwhile > crates/alpha/src/lib.rs";
        ask(&["-t", "latest"], "y\n", meanwhile).unwrap().ended(3).prints("crates/alpha/src/lib.rs");
        let text = std::fs::read_to_string(world.at("crates/alpha/src/lib.rs")).unwrap();
        assert_eq!(text, "edited meanwhile\n", "{road:?}");
    }
}
