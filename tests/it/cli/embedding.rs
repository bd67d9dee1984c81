//! backstop in other people's xtasks, each way, built and run. The dependencies are compiled once, in a directory of
//! this project's target directory, without the network; where that is not possible, the tests say so and skip.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{backstop, copied, program};
use crate::support::World;
use crate::support::edit::{self, remove, write};
use crate::support::tree::assert_same;

/// One workspace, at a place that is the same in every run, so that cargo knows what it built.
struct Embedded {
    world: World,
    place: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Drop for Embedded {
    fn drop(&mut self) {
        remove(&self.place);
    }
}

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

impl Embedded {
    fn new(name: &str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hasher = DefaultHasher::new();
        REPOSITORY.hash(&mut hasher);
        let place = std::env::temp_dir().join(format!("backstop-{name}-{:016x}", hasher.finish()));
        remove(&place);
        let mut world = World::new(&format!("embedding/{name}"));
        fs::rename(&world.root, &place).unwrap();
        world.root = place.canonicalize().unwrap();
        world.dir = world.root.join("backup");
        fs::copy(Path::new(REPOSITORY).join("Cargo.lock"), world.at("Cargo.lock")).unwrap();
        let manifest = world.at("xtask/Cargo.toml");
        if let Ok(text) = fs::read_to_string(&manifest) {
            write(&manifest, text.replace("BACKSTOP", REPOSITORY));
        }
        program("git", &world.root).args(["init", "-q", "-b", "main"]).ends(0);
        Embedded { world, place, _alone: alone }
    }

    /// Builds the xtask; `None`, and a word on it, where there is no network and something is missing.
    #[track_caller]
    fn xtask(&self) -> Option<PathBuf> {
        // At the place of an older one, with times older than its build, cargo would take that for this one.
        fs::File::open(self.world.at("xtask/src/main.rs")).unwrap().set_modified(SystemTime::now()).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedding");
        let cargo = crate::support::cargo();
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--offline", "--package", "xtask"]).current_dir(&self.world.root);
        command
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() && (said.contains("offline") || said.contains("failed to download")) {
            eprintln!("skipped: the xtask cannot be built without the network: {said}");
            return None;
        }
        assert!(output.status.success() && said.is_empty(), "{said}");
        let here = self.world.temp.path().join("xtask");
        edit::copy_program(&target.join("debug/xtask"), &here);
        Some(here)
    }

    /// A restore point, damage, and the way back, by the xtask and by the copy that it left.
    #[track_caller]
    fn brings_back(&self, xtask: &Path, before: &[&str]) {
        let world = &self.world;
        let good = world.picture();
        let ask = |args: &[&str]| program(xtask, &world.root).args(before).args(args);
        ask(&["backup", "-m", "good"]).ends(0).prints("ALL FILES VERIFIED SUCCESSFULLY");
        ask(&["validate"]).ends(0).prints("6/6 validations passed");
        write(world.at("app/src/main.rs"), "broken");
        ask(&["rollback", "-t", "latest", "-f"]).ends(0);
        assert_same(&world.picture(), &good, "by the xtask");
        write(world.at("Cargo.toml"), "<<<<<<<");
        remove(world.at("xtask/src"));
        copied(&world.dir).args(["rollback", "-t", "latest", "--force"]).ends(0);
        assert_same(&world.picture(), &good, "by the copy");
    }
}

#[test]
#[ignore = "part of torture: embedding"]
fn an_xtask_that_init_made_is_backstop_and_clean_under_strict_lints() {
    let made = Embedded::new("made");
    backstop(&made.world.root).args(["init", "--path", REPOSITORY]).ends(0);
    let manifest = fs::read_to_string(made.world.at("xtask/Cargo.toml")).unwrap();
    assert!(manifest.contains("[lints]\nworkspace = true\n"), "{manifest}");
    let Some(xtask) = made.xtask() else { return };
    made.brings_back(&xtask, &[]);
}

#[test]
#[ignore = "part of torture: embedding"]
fn an_xtask_with_commands_of_its_own_flattens_backstops_into_them() {
    let flattened = Embedded::new("flattened");
    let Some(xtask) = flattened.xtask() else { return };
    let root = &flattened.world.root;
    program(&xtask, root).args(["codegen", "--check"]).ends(0).prints("generated, check: true");
    let help = program(&xtask, root).arg("--help").ends(0);
    help.prints("codegen").prints("backup").prints("rollback");
    program(&xtask, root).args(["codegen", "--store", "x"]).ends(2).complains("--store");
    flattened.brings_back(&xtask, &[]);
    // The flags of every command came along.
    let list = program(&xtask, root).args(["list", "--format", "json", "--store", "backup"]).ends(0);
    assert_eq!(list.json()["restore_points"].as_array().unwrap().len(), 3);
    program(&xtask, "/").args(["show", "-q", "--manifest-path"]).arg(root.join("Cargo.toml")).ends(0);
    program(&xtask, root).args(["rollback"]).ends(2).complains("--timestamp");
    copied(&flattened.world.dir).arg("codegen").ends(2).complains("codegen");
}

#[test]
#[ignore = "part of torture: embedding"]
fn an_xtask_with_any_other_parser_hands_arguments_on() {
    let nested = Embedded::new("nested");
    let Some(xtask) = nested.xtask() else { return };
    program(&xtask, &nested.world.root).arg("codegen").ends(0).prints("generated");
    nested.brings_back(&xtask, &["restore"]);
    copied(&nested.world.dir).arg("list").ends(0).prints("restore point");
}

#[test]
#[ignore = "part of torture: embedding"]
fn the_lines_that_init_shows_for_an_xtask_of_somebodys_own_work_as_they_are() {
    let foreign = Embedded::new("foreign");
    let world = &foreign.world;
    let shown = backstop(&world.root).args(["init", "--path", REPOSITORY, "--format", "json"]).ends(1).json();
    let lines = |i: usize| shown["by_hand"][i]["lines"].as_str().unwrap();
    let (manifest, main) = (world.at("xtask/Cargo.toml"), world.at("xtask/src/main.rs"));
    write(&manifest, fs::read_to_string(&manifest).unwrap() + lines(0));
    let own = fs::read_to_string(&main).unwrap().replace("fn main()", "fn xtask_main()");
    write(&main, format!("{own}\n{}", lines(1)));
    backstop(&world.root).arg("init").ends(0).prints("Nothing to do");
    let Some(xtask) = foreign.xtask() else { return };
    program(&xtask, &world.root).arg("codegen").ends(0).prints("generated");
    program(&xtask, &world.root).arg("other").ends(1).complains("no command");
    foreign.brings_back(&xtask, &[]);
    program(&xtask, &world.root).args(["list", "-q"]).ends(0);
}
