//! Drills of small workspaces with real cargo: what they prove, what they refuse to call proven, and that they leave
//! the workspace's own builds alone.

use std::fs;
use std::path::{Path, PathBuf};

use backstop::check::Obstacle;
use backstop::drill::{DrillOptions, DrillReport, drill, record};
use backstop::store::{DrillLevel, Wait};

use crate::cli::{backstop, program};
use crate::support::edit::{link, overwrite, remove, write};
use crate::support::{Picture, World, cargo};

pub(crate) fn options(world: &World, level: DrillLevel) -> DrillOptions {
    DrillOptions {
        level,
        scratch: world.temp.path().join("scratch"),
        seeds: vec![world.at("target")],
        cargo: cargo(),
        cargo_home: world.temp.path().join("no-cargo-home"),
    }
}

#[track_caller]
pub(crate) fn run(world: &World, level: DrillLevel) -> DrillReport {
    let report = drill(&world.store(), &world.latest(), &options(world, level), &world.context());
    report.unwrap_or_else(|e| panic!("{e}: {:?}", e.details()))
}

/// The findings of the rung that failed, one a line.
pub(crate) fn found(report: &DrillReport) -> String {
    let (level, rung) = report.failed().expect("a rung failed");
    let lines = rung.findings.iter().map(|f| format!("{level} {}: {}", f.place, f.problem));
    lines.collect::<Vec<_>>().join("\n")
}

/// A program that prints a word, with a dependency from the registry that this project's own lockfile has.
fn workspace() -> World {
    let world = World::new("single");
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let version =
        lock.split("name = \"itoa\"\nversion = \"").nth(1).and_then(|t| t.split('"').next()).unwrap();
    write(
        world.at("Cargo.toml"),
        format!(
            "[package]\nname = \"word\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nitoa = \"={version}\"\n[workspace]\n"
        ),
    );
    remove(world.at("src"));
    write(
        world.at("src/main.rs"),
        "fn main() { println!(\"{}{}\", include_str!(\"../word.txt\").trim(), itoa::Buffer::new().format(1u8)); }\n\
         #[test]\nfn counts() { assert_eq!(1 + 1, 2); }\n",
    );
    write(world.at("word.txt"), "right\n");
    write(world.at(".gitignore"), "/target\n");
    program(cargo(), &world.root).args(["generate-lockfile", "--offline"]).ends(0);
    world
}

fn says(world: &World) -> String {
    let ran = program(cargo(), &world.root).args(["run", "--offline", "--quiet"]).ends(0);
    ran.out.trim().to_owned()
}

#[test]
fn a_drill_climbs_to_the_tests_and_leaves_the_workspaces_own_build_alone() {
    let world = workspace();
    assert_eq!(says(&world), "right1");
    world.backup();
    let target = world.at("target");
    let before = Picture::with_times(&target, &[]);
    let tree = Picture::with_times(&world.root, &[&world.dir]);
    let first = run(&world, DrillLevel::Tests);
    assert!(first.passed(), "{}", found(&first));
    let counted: Vec<_> = first.rungs.iter().map(|r| (r.id.as_str(), r.checked > 0)).collect();
    assert_eq!(counted, DrillLevel::ALL.map(|level| (level.name(), true)));
    assert_eq!(first.rungs[4].checked, 1, "one test passed");
    assert!(
        first.rungs[3].notes.iter().any(|n| n.starts_with("1 compiled dependency")),
        "{:?}",
        first.rungs[3]
    );
    assert_eq!(before.diff(&Picture::with_times(&target, &[])), "", "the target directory");
    assert_eq!(tree.diff(&Picture::with_times(&world.root, &[&world.dir])), "", "the workspace");
    let built = program(cargo(), &world.root).args(["build", "--offline", "-v"]).ends(0);
    assert!(built.err.contains("Fresh word") && !built.err.contains("Compiling"), "{}", built.err);
    assert_eq!(says(&world), "right1");
    // A later drill has its own target directory to begin with, and compiles what was restored all the same.
    let second = run(&world, DrillLevel::Compiles);
    assert!(second.passed() && second.rungs[3].checked > 0, "{:?}", second.rungs[3]);
    assert!(
        !world
            .temp
            .path()
            .join("scratch")
            .read_dir()
            .unwrap()
            .any(|store| { store.unwrap().path().join("copy").exists() }),
        "the copy is cleared"
    );
}

#[test]
fn a_restore_point_that_lacks_what_the_build_reads_fails_where_it_is_read() {
    let world = workspace();
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), manifest + "[package.metadata.backstop]\nexclude = [\"word.txt\"]\n");
    says(&world);
    world.backup();
    let report = run(&world, DrillLevel::Compiles);
    assert_eq!(report.reached(), Some(DrillLevel::Resolves));
    assert!(
        found(&report).contains("compiles src/main.rs:1: couldn't read `src/../word.txt`"),
        "{}",
        found(&report)
    );
}

#[test]
fn a_broken_copy_is_not_taken_for_the_workspaces_own_fresh_build() {
    let world = workspace();
    let good = fs::read_to_string(world.at("src/main.rs")).unwrap();
    write(world.at("src/main.rs"), "fn main() { broken }\n");
    world.backup();
    // The same package, at the same version, compiles in the workspace by now.
    write(world.at("src/main.rs"), good);
    says(&world);
    let report = run(&world, DrillLevel::Compiles);
    assert_eq!(report.reached(), Some(DrillLevel::Resolves));
    assert!(found(&report).contains("src/main.rs:1: cannot find value `broken`"), "{}", found(&report));
    assert_eq!(says(&world), "right1");
    // And the other way round: what went wrong since is not the restore point's.
    world.backup();
    write(world.at("src/main.rs"), "fn main() { broken }\n");
    let report = run(&world, DrillLevel::Compiles);
    assert!(report.passed(), "{}", found(&report));
}

#[test]
fn a_damaged_archive_fails_at_the_first_rung_and_names_the_file() {
    let world = workspace();
    let report = world.backup();
    let archive = world.store().layout().archive(&report.manifest.label, &report.manifest.id);
    overwrite(archive, |bytes| bytes[40] ^= 1);
    let report = run(&world, DrillLevel::Compiles);
    assert_eq!(report.reached(), None);
    assert!(found(&report).starts_with("bytes "), "{}", found(&report));
    // The session is whole, and is no way out: a drill is of the archive alone.
    assert!(
        world
            .findings(&world.latest())
            .iter()
            .all(|f| f.starts_with("ARCHIVE") || f.starts_with("BACKUP_MANIFEST"))
    );
}

#[test]
fn what_lies_outside_stands_at_the_same_relative_place() {
    let world = World::new("outside");
    write(world.at("crates/inner/src/lib.rs"), "pub use neighbour::*;\n");
    program(cargo(), &world.root).args(["generate-lockfile", "--offline"]).ends(0);
    world.backup();
    let report = run(&world, DrillLevel::Compiles);
    assert!(report.passed(), "{}", found(&report));
    // Nothing is left beside the scratch directory's own.
    let names: Vec<PathBuf> = world.temp.path().read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_lockfile_out_of_step_does_not_resolve() {
    let world = workspace();
    let lock = fs::read_to_string(world.at("Cargo.lock")).unwrap();
    write(world.at("Cargo.lock"), lock.replace("name = \"word\"", "name = \"other\""));
    world.backup();
    let report = run(&world, DrillLevel::Compiles);
    assert_eq!(report.reached(), Some(DrillLevel::Manifest));
    assert!(found(&report).contains("--locked"), "{}", found(&report));
    assert_eq!(report.failed().unwrap().1.obstacle, Some(Obstacle::Lockfile));
}

#[test]
fn tests_that_fail_are_named_and_a_workspace_without_tests_proves_nothing_by_them() {
    let world = workspace();
    write(world.at("src/main.rs"), "fn main() {}\n#[test]\nfn sums() { assert_eq!(1 + 1, 3); }\n");
    world.backup();
    let report = run(&world, DrillLevel::Tests);
    assert_eq!(report.reached(), Some(DrillLevel::Compiles));
    assert!(found(&report).contains("tests sums: the test fails"), "{}", found(&report));
    write(world.at("src/main.rs"), "fn main() {}\n");
    world.backup();
    let report = run(&world, DrillLevel::Tests);
    assert!(found(&report).contains("0 tests, which proves nothing"), "{}", found(&report));
}

#[test]
fn the_settings_that_were_backed_up_say_what_has_to_compile() {
    let world = workspace();
    write(world.at("benches/slow.rs"), "#![feature(no_such_feature)]\nfn main() {}\n");
    world.backup();
    assert_eq!(run(&world, DrillLevel::Compiles).reached(), Some(DrillLevel::Resolves));
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), manifest + "[package.metadata.backstop]\ncheck = [\"--bins\"]\n");
    world.backup();
    // Those of the present do not count.
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), manifest.replace("\"--bins\"", "\"--benches\""));
    let report = run(&world, DrillLevel::Compiles);
    assert!(report.passed(), "{}", found(&report));
}

#[test]
fn how_far_a_drill_came_is_recorded_and_a_shorter_climb_takes_nothing_away() {
    let world = workspace();
    world.backup();
    let recorded = |report: &DrillReport| {
        let store = world.store();
        let context = world.context();
        let lock = store.lock(Wait::Yes, context.interrupt, context.observer).unwrap();
        record(&lock, report, &context).unwrap();
        store.status(&world.latest()).drilled.unwrap().level
    };
    assert_eq!(recorded(&run(&world, DrillLevel::Resolves)), Some(DrillLevel::Resolves));
    assert_eq!(recorded(&run(&world, DrillLevel::Manifest)), Some(DrillLevel::Resolves));
    let archive = world.store().layout().archive(&world.latest().label, &world.latest().id);
    overwrite(archive, |bytes| bytes[40] ^= 1);
    assert_eq!(recorded(&run(&world, DrillLevel::Manifest)), None, "one that failed does");
}

#[test]
fn a_scratch_directory_in_the_workspace_is_refused_also_through_a_link() {
    let world = workspace();
    world.backup();
    let link_to_root = world.temp.path().join("link");
    link(&world.root, &link_to_root);
    for scratch in [world.at("scratch"), link_to_root.join("scratch")] {
        let options = DrillOptions { scratch, ..options(&world, DrillLevel::Manifest) };
        let error = drill(&world.store(), &world.latest(), &options, &world.context()).unwrap_err();
        assert_eq!(error.kind(), backstop::ErrorKind::Usage, "{error}");
    }
}

#[test]
fn the_command_prints_each_rung_and_ends_with_1_where_one_fails() {
    let world = workspace();
    let scratch: &Path = &world.temp.path().join("scratch");
    backstop(&world.root).arg("backup").ends(0);
    let validate = |level: &str| backstop(&world.root).args(["validate", level, "--scratch"]).args([scratch]);
    validate("--drill=manifest").ends(0).prints("drill: manifest in");
    validate("--drill").ends(0).prints("units compiled").prints("drill: compiles in");
    validate("--drill=deep").ends(2);
    write(world.at("src/main.rs"), "fn main() { broken }\n");
    backstop(&world.root).arg("backup").ends(0);
    validate("--drill")
        .ends(1)
        .prints("compiles   FAILED")
        .prints("src/main.rs:1: cannot find value `broken`")
        .prints("drill: resolves, short of compiles");
}

/// A cargo that asks the real one but when it compiles, and then ends as `instead` does.
fn cargo_that(world: &World, instead: &str) -> std::ffi::OsString {
    let path = world.temp.path().join("cargo");
    let real = cargo();
    let text =
        format!("#!/bin/sh\ncase $1 in check) {instead} ;; *) exec '{}' \"$@\" ;; esac\n", real.display());
    write(&path, text);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path.into()
}

#[test]
fn a_full_scratch_disk_says_nothing_of_the_restore_point() {
    let world = workspace();
    world.backup();
    let says = "echo 'error: failed to write x: No space left on device (os error 28)' >&2; exit 101";
    let options = DrillOptions { cargo: cargo_that(&world, says), ..options(&world, DrillLevel::Compiles) };
    let error = drill(&world.store(), &world.latest(), &options, &world.context()).unwrap_err();
    assert_eq!(error.kind(), backstop::ErrorKind::Io, "{error}");
    assert!(error.help().unwrap().contains("--scratch"), "{error}");
}
