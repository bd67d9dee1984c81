//! Vendored sources, held against their digests by cargo itself; and the lockfile that asks for them.

use std::path::Path;

use backstop::digest::Digest;
use backstop::rollback::RollbackOptions;

use crate::cli::program;
use crate::ours::{package, workspace};
use crate::support::World;
use crate::support::edit::{link, remove, write};
use crate::support::tree::assert_same;

const ROOT: &str = "[workspace]\nresolver = \"2\"\nmembers = [\"app\"]\n";

/// Writes a vendored package: its files, and what cargo holds them against.
fn vendor(dir: &Path, name: &str, version: &str, files: &[(&str, &str)]) {
    remove(dir);
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n");
    let all = files.iter().copied().chain([("Cargo.toml", manifest.as_str())]);
    let mut digests = Vec::new();
    for (path, text) in all {
        write(dir.join(path), text);
        digests.push(format!("\"{path}\":\"{}\"", Digest::of(text.as_bytes())));
    }
    let digest = Digest::of(version.as_bytes());
    let json = format!("{{\"files\":{{{}}},\"package\":\"{digest}\"}}", digests.join(","));
    write(dir.join(".cargo-checksum.json"), json);
}

/// Everything that looks as if a build, cargo or a person had left it there.
const LOOKS_MADE: [(&str, &str); 8] = [
    ("src/lib.rs", "mod target;\nmod foo;\npub use foo::NAME;\n"),
    ("src/foo/mod.rs", "pub const NAME: &str = \"old\";\n"),
    ("src/target/mod.rs", ""),
    ("target/debug/x", "x"),
    ("tests/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n"),
    ("tests/home/.package-cache", ""),
    (".cargo/env", "x"),
    ("lib/x.o", "x"),
];

/// A workspace that builds with vendored sources in `vendor`, which its repository leaves out or takes in part.
fn vendored(ignore: &str, dir: &str) -> World {
    let world = workspace("ws", ROOT, &[]);
    package(&world, "app", "[dependencies]\ndep = \"1\"\n");
    write(world.at("app/src/main.rs"), "fn main() {\n    print!(\"{}\", dep::NAME);\n}\n");
    let config = format!("[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"{dir}\"\n");
    write(world.at(".cargo/config.toml"), config);
    vendor(&world.at(dir).join("dep"), "dep", "1.0.0", &LOOKS_MADE);
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), format!("/backup/\n/target/\n{ignore}"));
    cargo(&world, &["metadata"]).unwrap();
    world
}

fn cargo(world: &World, args: &[&str]) -> Result<String, String> {
    let run = program(crate::support::cargo(), &world.root).args(args).args(["--offline", "--quiet"]).run();
    if run.code == Some(0) { Ok(run.out) } else { Err(run.err) }
}

fn text_of(world: &World, file: &str) -> String {
    std::fs::read_to_string(world.at(file)).unwrap_or_default()
}

#[test]
fn vendored_sources_are_taken_whole_and_go_back_whole() {
    for ignore in ["", "/vendor/\n", "target\n*.o\n.cargo\n"] {
        let world = vendored(ignore, "vendor");
        let vendor_dir = world.at("vendor");
        let lock = text_of(&world, "Cargo.lock");
        let then = crate::support::Picture::take(&vendor_dir, &[]);
        world.backup();
        // Cargo calls a vendored package by its name alone: the next version takes its place.
        let next = [
            ("src/lib.rs", "mod foo;\npub use foo::NAME;\n"),
            ("src/foo.rs", "pub const NAME: &str = \"new\";\n"),
            ("build.rs", "fn main() { panic!() }\n"),
            ("more.o", "x"),
        ];
        vendor(&vendor_dir.join("dep"), "dep", "1.0.1", &next);
        vendor(&vendor_dir.join("more"), "more", "1.0.0", &[("src/lib.rs", ""), ("target/x", "")]);
        remove(world.at("Cargo.lock"));
        cargo(&world, &["metadata"]).unwrap();
        let plan = world.plan(&RollbackOptions::default());
        assert!(plan.findings.is_empty(), "{ignore:?}: {:?}", plan.findings);
        world.rollback(&RollbackOptions::default());
        assert_eq!(text_of(&world, "Cargo.lock"), lock, "{ignore:?}");
        assert_same(&crate::support::Picture::take(&vendor_dir, &[]), &then, ignore);
        let found = cargo(&world, &["metadata", "--locked"]).unwrap();
        assert!(found.contains("dep@1.0.0"), "{ignore:?}");
    }
}

#[test]
#[ignore = "part of torture: builds"]
fn what_was_vendored_builds_after_a_rollback() {
    let world = vendored("/vendor/\n", "vendor");
    assert_eq!(cargo(&world, &["run"]).unwrap(), "old");
    world.clock.set(std::time::SystemTime::now());
    world.backup();
    let next = [
        ("src/lib.rs", "mod foo;\npub use foo::NAME;\n"),
        ("src/foo.rs", "pub const NAME: &str = \"new\";\n"),
    ];
    vendor(&world.at("vendor/dep"), "dep", "1.0.1", &next);
    remove(world.at("Cargo.lock"));
    assert_eq!(cargo(&world, &["run"]).unwrap(), "new");
    world.rollback(&RollbackOptions::default());
    assert_eq!(cargo(&world, &["run"]).unwrap(), "old");
    remove(world.at("target"));
    assert_eq!(cargo(&world, &["run"]).unwrap(), "old");
}

#[test]
fn manifests_and_a_lockfile_that_are_links_go_back_with_what_they_lead_to() {
    let world = workspace("ws", ROOT, &["app"]);
    let held = ["real/root.toml", "real/lock", "real/app.toml"];
    for (at, to) in ["Cargo.toml", "Cargo.lock", "app/Cargo.toml"].iter().zip(held) {
        let text = text_of(&world, at);
        remove(world.at(at));
        write(world.at(to), if text.is_empty() { "version = 4\n".into() } else { text });
        link(if at.contains('/') { format!("../{to}") } else { to.to_owned() }, world.at(at));
    }
    let before = world.picture();
    world.backup();
    held.iter().for_each(|file| write(world.at(file), "# edited\n"));
    world.rollback(&RollbackOptions::default());
    assert_same(&world.picture(), &before, "rolled back");
}

#[test]
fn a_lockfile_that_goes_back_without_its_vendored_sources_is_told() {
    let next = |world: &World, dir: &str| {
        vendor(
            &world.at(dir).join("dep"),
            "dep",
            "1.0.1",
            &[("src/lib.rs", "pub const NAME: &str = \"new\";\n")],
        );
        remove(world.at("Cargo.lock"));
        cargo(world, &["metadata"]).unwrap();
    };
    let found = |plan: &backstop::rollback::RollbackPlan| -> Vec<String> {
        plan.findings.iter().map(|f| format!("{} {}", f.place, f.problem)).collect()
    };
    let only = |path: &str| {
        let asked = backstop::live_tree::Asked { only: vec![path.into()], ..Default::default() };
        RollbackOptions { asked, ..RollbackOptions::default() }
    };
    let world = vendored("", "../vendor");
    world.backup();
    next(&world, "../vendor");
    let plan = world.plan(&RollbackOptions::default());
    let told = found(&plan);
    assert!(told.len() == 1 && told[0].starts_with("Cargo.lock asks for `dep` 1.0.0, which"), "{told:?}");
    assert!(told[0].contains("`../vendor`"), "{told:?}");
    world.rollback(&RollbackOptions::default());
    let _ = cargo(&world, &["metadata", "--locked"]).unwrap_err();
    // With them it is as it was.
    vendor(&world.at("../vendor/dep"), "dep", "1.0.0", &LOOKS_MADE);
    cargo(&world, &["metadata", "--locked"]).unwrap();
    assert_eq!(found(&world.plan(&RollbackOptions::default())), [""; 0]);
    // They lie in it, and were not asked for.
    let world = vendored("", "vendor");
    world.backup();
    next(&world, "vendor");
    assert_eq!(found(&world.plan(&only("Cargo.lock"))).len(), 1);
    assert_eq!(found(&world.plan(&only("vendor"))).len(), 1, "nor the sources without the lockfile");
    assert_eq!(found(&world.plan(&RollbackOptions::default())), [""; 0]);
}
