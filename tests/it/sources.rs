//! What a build takes of a workspace that was rolled back, without being told: sources that came since and that git ignores,
//! modules that stand twice, and packages that no longer fit each other.

use std::path::PathBuf;
use std::process::Command;

use backstop::fsx::Fs;
use backstop::live_tree::Asked;
use backstop::rollback::{RollbackOptions, RollbackPlan};

use crate::ours::{VIRTUAL, commit, package, read, workspace};
use crate::support::World;
use crate::support::edit::{remove, write};
use crate::support::tree::assert_same;
use crate::verdict::cargo;

fn found(plan: &RollbackPlan) -> Vec<String> {
    plan.findings.iter().map(|f| format!("{} {}", f.place, f.problem)).collect()
}

fn only(paths: &[&str]) -> RollbackOptions {
    let only = paths.iter().map(PathBuf::from).collect();
    RollbackOptions { asked: Asked { only, ..Asked::default() }, ..RollbackOptions::default() }
}

fn keep_new() -> RollbackOptions {
    RollbackOptions { keep_new: true, ..RollbackOptions::default() }
}

/// A workspace whose git ignores whatever lies below a directory `mine` or is called `mine.*`.
fn ignoring(more: &str) -> World {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    package(&world, "crates/a", more);
    write(
        world.at(".gitignore"),
        "/backup/\n/target/\nmine/\nmine.*\nbuild.rs\nmain.rs\n/crates/a/benches/\n",
    );
    commit(&world.root);
    world
}

#[test]
fn an_ignored_source_that_came_since_and_that_a_build_would_take_goes_out() {
    let sources = [
        "build.rs",
        "src/main.rs",
        "src/bin/mine.rs",
        "src/bin/mine/main.rs",
        "examples/mine.rs",
        "tests/mine/main.rs",
        "benches/x.rs",
    ];
    for source in sources {
        let world = ignoring("");
        world.backup();
        let path = world.at("crates/a").join(source);
        write(&path, "fn main() {}\n");
        write(world.at("crates/a/src/lib.rs"), "//\n");
        let before = world.picture();
        let plan = world.plan(&RollbackOptions::default());
        assert_eq!(found(&plan), [""; 0], "{source}");
        world.rollback(&RollbackOptions::default());
        assert!(!path.exists(), "{source}");
        world.undo();
        assert_same(&world.picture(), &before, source);
        // What is to be kept, or was not asked for, is meant.
        let kept = world.plan(&keep_new());
        assert!(found(&kept).is_empty() && kept.actions.len() == 1, "{source}: {:?}", found(&kept));
        let part = world.plan(&only(&["crates/a/src/lib.rs"]));
        assert!(found(&part).is_empty() && part.actions.len() == 1, "{source}: {:?}", found(&part));
    }
}

#[test]
fn an_ignored_source_that_was_there_or_that_no_build_takes_stays() {
    for (source, then, more) in [
        ("src/bin/mine.rs", true, ""),
        ("benches/x.rs", true, ""),
        ("src/mine.rs", false, ""),
        ("src/bin/mine.txt.rs/x", false, ""),
        ("src/bin/mine.rs", false, "autobins = false\n"),
        ("build.rs", false, "build = false\n"),
        ("tests/mine/other.rs", false, ""),
    ] {
        let world = ignoring(more);
        let path = world.at("crates/a").join(source);
        if then {
            write(&path, "fn main() {}\n");
        }
        world.backup();
        write(&path, "fn main() { }\n");
        let plan = world.plan(&RollbackOptions::default());
        assert!(plan.actions.is_empty() && plan.findings.is_empty(), "{source}: {:?}", plan.actions);
    }
}

#[test]
fn an_excluded_source_that_came_since_is_named() {
    let root = format!("{VIRTUAL}[workspace.metadata.backstop]\nexclude = [\"**/gen.rs\"]\n");
    let world = workspace("ws", &root, &["crates/a"]);
    world.backup();
    write(world.at("crates/a/src/bin/gen.rs"), "fn main() {}\n");
    let plan = world.plan(&RollbackOptions::default());
    let found = found(&plan);
    assert!(found.len() == 1 && found[0].contains("crates/a/src/bin/gen.rs came since"), "{found:?}");
    assert!(found[0].contains("cargo builds it as the program `gen`"), "{found:?}");
}

#[test]
fn a_module_that_would_stand_twice_goes_out_or_is_named() {
    fn rustc(world: &World) -> bool {
        let args = ["check", "--quiet", "--offline", "--workspace"];
        let run = Command::new(crate::support::cargo()).args(args).current_dir(&world.root).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.success(), !said.contains("found at both"), "{said}");
        run.status.success()
    }
    let moved = [("src/one.rs", "src/one/mod.rs"), ("src/one/mod.rs", "src/one.rs")];
    for (then, now) in moved {
        let make = || {
            let world = ignoring("");
            write(world.at("crates/a/src/lib.rs"), "pub mod one;\n");
            write(world.at("crates/a").join(then), "");
            // Roots of their own look as if they stood twice, and do not.
            write(world.at("crates/a/tests/common.rs"), "mod common;\n");
            write(world.at("crates/a/tests/common/mod.rs"), "");
            world.backup();
            remove(world.at("crates/a").join(then));
            write(world.at("crates/a").join(now), "");
            world
        };
        let world = make();
        assert_eq!(found(&world.plan(&RollbackOptions::default())), [""; 0], "{now}");
        let planned = found(&world.plan(&keep_new()));
        assert!(planned.len() == 1 && planned[0].contains("found at both"), "{now}: {planned:?}");
        world.rollback(&keep_new());
        assert!(!rustc(&world), "{now}");
        let world = make();
        let then = format!("crates/a/{then}");
        let planned = found(&world.plan(&only(&[&then])));
        assert!(
            planned.len() == 1 && planned[0].contains(&format!("add `--only crates/a/{now}`")),
            "{planned:?}"
        );
        world.rollback(&only(&[&then, &format!("crates/a/{now}")]));
        assert!(rustc(&world), "{now}");
        // Ignored, it goes out all the same.
        let world = make();
        write(world.at(".gitignore"), read(world.at(".gitignore")) + &format!("/crates/a/{now}\n"));
        let plan = world.plan(&RollbackOptions::default());
        assert_eq!(found(&plan), [""; 0], "{now}");
        world.apply_with(plan, &Fs::real()).unwrap();
        assert!(rustc(&world), "{now}");
    }
}

const A: &str = "crates/a/Cargo.toml";
const B: &str = "crates/b/Cargo.toml";

fn append(world: &World, file: &str, text: &str) {
    write(world.at(file), read(world.at(file)) + text);
}

fn replace(world: &World, file: &str, from: &str, to: &str) {
    let text = read(world.at(file));
    assert!(text.contains(from), "{file}: {text}");
    write(world.at(file), text.replace(from, to));
}

/// `a` depends on `away`, which lies outside, inherits from its own workspace, and depends on `deep`.
fn outside(world: &World) {
    package(world, "../deep", "");
    package(world, "../away", "[dependencies]\ndeep = { path = \"../deep\" }\n");
    replace(world, "../away/Cargo.toml", "version = \"0.1.0\"", "version.workspace = true");
    let above = "[workspace]\nmembers = [\"away\", \"deep\"]\nexclude = [\"ws\"]\n[workspace.package]\nversion = \"0.1.0\"\n";
    write(world.at("../Cargo.toml"), above);
    append(world, A, "[dependencies]\naway = { path = \"../../../away\" }\n");
}

#[test]
fn packages_that_no_longer_fit_each_other_are_named_as_cargo_names_them() {
    type Step = fn(&World);
    let cases: [(&str, Step, Step, &str); 7] = [
        (
            "a program that is named without its place",
            |w| {
                append(w, A, "[[bin]]\nname = \"z\"\n[[bin]]\nname = \"y\"\n");
                write(w.at("crates/a/src/bin/z.rs"), "fn main() {}\n");
                write(w.at("crates/a/src/bin/y/main.rs"), "fn main() {}\n");
            },
            |w| {
                replace(w, A, "[[bin]]\nname = \"z\"\n", "");
                remove(w.at("crates/a/src/bin/z.rs"));
            },
            "names `crates/a/src/bin/z.rs` as a program",
        ),
        (
            "a version",
            |w| append(w, A, "[dependencies]\nb = { path = \"../b\", version = \"0.1\" }\n"),
            |w| {
                replace(w, A, ", version = \"0.1\"", "");
                replace(w, B, "0.1.0", "0.2.0");
            },
            "failed to select a version",
        ),
        (
            "a feature",
            |w| {
                append(w, A, "[dependencies]\nb = { path = \"../b\", features = [\"x\"] }\n");
                append(w, B, "[features]\nx = []\n");
            },
            |w| {
                replace(w, A, ", features = [\"x\"]", "");
                replace(w, B, "[features]\nx = []\n", "");
            },
            "does not have that feature",
        ),
        (
            "an optional dependency that a feature names",
            |w| {
                append(w, A, "[features]\ny = [\"b/a\"]\n[dependencies]\nb = { path = \"../b\" }\n");
                package(w, "crates/c", "");
                append(w, B, "[dependencies]\na = { package = \"c\", path = \"../c\", optional = true }\n");
            },
            |w| {
                replace(w, A, "b/a", "");
                replace(w, A, "y = [\"\"]", "y = []");
                replace(w, B, "optional = true", "optional = false");
            },
            "does not have that feature",
        ),
        (
            "a source that is named",
            |w| {
                append(w, A, "[[bin]]\nname = \"z\"\npath = \"src/z.rs\"\n");
                write(w.at("crates/a/src/z.rs"), "fn main() {}\n");
            },
            |w| {
                replace(w, A, "[[bin]]\nname = \"z\"\npath = \"src/z.rs\"\n", "");
                remove(w.at("crates/a/src/z.rs"));
            },
            "can't find",
        ),
        (
            "what a dependency outside depends on",
            outside,
            |w| {
                replace(w, A, "away = { path = \"../../../away\" }\n", "");
                remove(w.at("../deep"));
            },
            "names the dependency `deep`",
        ),
        (
            "what a dependency outside inherits",
            outside,
            |w| {
                replace(w, A, "away = { path = \"../../../away\" }\n", "");
                replace(w, "../Cargo.toml", "version = \"0.1.0\"\n", "");
            },
            "inherits `workspace.package.version`",
        ),
    ];
    for (what, before, since, named) in cases {
        let world = workspace("above/ws", VIRTUAL, &["crates/a", "crates/b"]);
        before(&world);
        cargo(&world).unwrap_or_else(|said| panic!("{what}: {said}"));
        world.backup();
        assert_eq!(found(&world.plan(&RollbackOptions::default())), [""; 0], "{what}");
        since(&world);
        let plan = world.plan(&only(&[A]));
        let planned = found(&plan);
        assert!(planned.iter().any(|f| f.contains(named)), "{what}: {planned:?}");
        world.apply_with(plan, &Fs::real()).unwrap();
        let check = ["check", "--offline", "--quiet"];
        let done =
            Command::new(crate::support::cargo()).args(check).current_dir(&world.root).output().unwrap();
        assert!(!done.status.success(), "{what}: cargo works");
    }
}
