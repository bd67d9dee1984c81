//! The next build after a rollback is of the restore point: who may have read a changed file is built anew, and what
//! changed is newer than the last build, whatever that is dated.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use backstop::rollback::RollbackOptions;

use crate::cli::program;
use crate::support::World;
use crate::support::edit::{remove, write};

fn touched(world: &World) -> Vec<String> {
    world.plan(&RollbackOptions::default()).touch.iter().map(|at| at.path.to_string()).collect()
}

/// Two members, and a file of each kind that something may read.
fn workspace() -> World {
    let world = World::new("virtual");
    write(
        world.at("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n[workspace.metadata.backstop]\ninclude = [\"queries/**\"]\n",
    );
    let package = "[package]\nname = \"beta\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    write(world.at("crates/beta/Cargo.toml"), package);
    write(world.at("crates/beta/src/main.rs"), "fn main() {}\n");
    write(world.at("crates/alpha/src/lib.rs"), "pub const T: &str = include_str!(\"../told.txt\");\n");
    let sources = ["crates/beta/templates/page.rs"];
    for file in ["crates/alpha/told.txt", "crates/alpha/untold.txt", "queries/q.json"].iter().chain(&sources)
    {
        write(world.at(file), "old\n");
    }
    world
}

#[test]
fn whoever_may_have_read_a_changed_file_is_built_anew() {
    let world = workspace();
    program("cargo", &world.root).args(["check", "--offline", "--quiet"]).ends(0);
    world.backup();
    let all = ["crates/alpha/src/lib.rs", "crates/beta/src/main.rs"];
    for (file, wanted) in [
        ("queries/q.json", &all[..]),
        ("crates/alpha/untold.txt", &all),
        // Cargo watches this one for the crate that included it; a macro of another may have read it too.
        ("crates/alpha/told.txt", &all),
        // Macros read tables of manifests, and sources that are no modules.
        ("crates/beta/Cargo.toml", &all),
        ("crates/beta/templates/page.rs", &all),
        ("crates/beta/src/main.rs", &[]),
    ] {
        let old = fs::read(world.at(file)).unwrap();
        write(world.at(file), "new\n");
        let found = touched(&world);
        assert!(wanted.iter().all(|root| found.iter().any(|f| f == root)), "{file}: {found:?}");
        assert_eq!(found.is_empty(), wanted.is_empty(), "{file}: {found:?}");
        fs::write(world.at(file), old).unwrap();
    }
    // A source that comes or goes, for a macro that lists its package's: it names what it found at the last build.
    write(world.at("crates/beta/src/more/added.rs"), "");
    assert_eq!(touched(&world), all);
    remove(world.at("crates/beta/src/more"));
    let text = fs::read(world.at("crates/alpha/src/util.rs")).unwrap();
    remove(world.at("crates/alpha/src/util.rs"));
    assert_eq!(touched(&world), all);
    // The last of its directory, for a macro that counts directories.
    std::fs::create_dir_all(world.at("crates/alpha/migrations/2")).unwrap();
    write(world.at("crates/alpha/src/util.rs"), text);
    assert_eq!(touched(&world), all, "an empty directory came");
    remove(world.at("crates/alpha/migrations"));
    // What was added and goes, and what is gone.
    write(world.at("crates/alpha/added.json"), "new\n");
    assert_eq!(touched(&world).len(), 2);
    remove(world.at("crates/alpha/added.json"));
    remove(world.at("queries/q.json"));
    assert_eq!(touched(&world).len(), 2);
}

fn dated(path: &Path, time: SystemTime) {
    write(path, "");
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn mtime(path: &Path) -> SystemTime {
    path.symlink_metadata().unwrap().modified().unwrap()
}

#[test]
fn what_a_rollback_and_its_undo_change_is_newer_than_a_build_that_is_dated_ahead() {
    for mark in [
        "target/debug/.fingerprint/alpha-0123456789abcdef/dep-lib-alpha",
        "target/x86_64-unknown-linux-gnu/release/.fingerprint/alpha-0123456789abcdef/dep-lib-alpha",
        "target/debug/build/alpha-0123456789abcdef/output",
        "target/debug/build/alpha/0123456789abcdef/fingerprint/dep-lib-alpha",
        "target/debug/build/alpha/0123456789abcdef/run/stdout",
    ] {
        let world = World::new("virtual");
        let ahead = SystemTime::now() + Duration::from_secs(40_000_000);
        let profile = world.at(mark.split_once("/.fingerprint").or(mark.split_once("/build")).unwrap().0);
        write(profile.join("deps/x"), "");
        dated(&world.at(mark), ahead);
        let (file, data) = (world.at("crates/alpha/src/lib.rs"), world.at("crates/alpha/data.txt"));
        write(&data, "old\n");
        world.backup();
        write(&file, "pub fn new() {}\n");
        write(&data, "new\n");
        world.rollback(&RollbackOptions::default());
        assert!(mtime(&file) > ahead && mtime(&data) > ahead, "{mark}");
        let later = ahead + Duration::from_secs(100);
        dated(&world.at(mark), later);
        world.undo();
        assert!(mtime(&file) > later && mtime(&data) > later, "{mark}: undo");
    }
}

#[test]
fn without_such_a_build_what_changes_has_the_present_as_its_time() {
    let world = World::new("virtual");
    let file = world.at("crates/alpha/src/lib.rs");
    dated(
        &world.at("target/debug/.fingerprint/a/dep-lib-a"),
        SystemTime::UNIX_EPOCH + Duration::from_secs(9),
    );
    write(world.at("target/debug/deps/x"), "");
    world.backup();
    write(&file, "pub fn new() {}\n");
    world.rollback(&RollbackOptions::default());
    let clock = world.clock.peek();
    assert!(mtime(&file) <= clock, "{:?} {clock:?}", mtime(&file));
}
