//! The next build after a rollback is of the restore point: who may have read a changed file is built anew, and what
//! changed is newer than the last build, whatever that is dated.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop::fsx::{Fs, Op, Probe, Verdict};
use backstop::rollback::RollbackOptions;

use crate::cli::program;
use crate::ours::{package, workspace};
use crate::support::edit::{remove, write};
use crate::support::{World, target_directory_is_elsewhere};

fn touched(world: &World) -> Vec<String> {
    world.plan(&RollbackOptions::default()).touch.iter().map(|at| at.path.to_string()).collect()
}

/// Two members, and a file of each kind that something may read.
fn readers() -> World {
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
    let world = readers();
    program(crate::support::cargo(), &world.root).args(["check", "--offline", "--quiet"]).ends(0);
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
    // What was added and goes, and what is missing.
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

/// Refuses to change the times of cargo's marks.
#[derive(Debug)]
struct Unchangeable;

impl Probe for Unchangeable {
    fn before(&self, op: &Op<'_>) -> Verdict {
        match op {
            Op::SetMtime { path } if path.components().any(|part| part.as_os_str() == "target") => {
                Verdict::Fail(std::io::ErrorKind::PermissionDenied.into())
            }
            _ => Verdict::Proceed,
        }
    }
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
        let newer = |than: &Path| mtime(&file) > mtime(than) && mtime(&data) > mtime(than);
        // One that is not ahead stays as it is.
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let other = profile.join(".fingerprint/beta-0123456789abcdef/dep-lib-beta");
        dated(&other, past);
        world.rollback(&RollbackOptions::default());
        assert!(newer(&world.at(mark)), "{mark}");
        assert!(
            mtime(&file) <= world.clock.peek() && mtime(&other) == past,
            "{mark}: dated back, once for all"
        );
        dated(&world.at(mark), ahead);
        world.undo();
        assert!(newer(&world.at(mark)), "{mark}: undo");
        // Where marks cannot be dated back, what changes is dated after them.
        dated(&world.at(mark), ahead);
        let plan = world.plan(&RollbackOptions::default());
        let outcome = world.apply_with(plan, &Fs::probed(Arc::new(Unchangeable))).unwrap();
        assert!(mtime(&world.at(mark)) == ahead && newer(&world.at(mark)), "{mark}");
        assert_eq!(outcome.findings.len(), 0, "{mark}");
    }
}

#[test]
fn a_build_in_a_target_directory_that_was_set_since_counts() {
    let mark = "debug/.fingerprint/alpha-0123456789abcdef/dep-lib-alpha";
    // One in the workspace would go out, and its setting with it.
    let by_configuration =
        |text: &'static str| move |w: &mut World| write(w.at("../.cargo/config.toml"), text);
    type Set = Box<dyn Fn(&mut World)>;
    let cases: [(&str, Set); 4] = [
        (
            "../by/home",
            Box::new(|w| {
                w.cargo.home = Some(w.at("../home"));
                write(w.at("../home/config.toml"), "[build]\ntarget-dir = \"by/home\"\n");
            }),
        ),
        ("elsewhere", Box::new(|w| w.cargo.target_directories.push(w.at("elsewhere")))),
        ("../by/config", Box::new(by_configuration("[build]\ntarget-dir = \"by/config\"\n"))),
        ("builds", Box::new(by_configuration("build.build-dir = \"{workspace-root}/builds\"\n"))),
    ];
    for (directory, set) in cases {
        let mut world = World::new("virtual");
        world.backup();
        set(&mut world);
        let mark = world.at(directory).join(mark);
        write(world.at(directory).join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55");
        write(world.at(directory).join("debug/deps/x"), "");
        dated(&mark, SystemTime::now() + Duration::from_secs(40_000_000));
        let file = world.at("crates/alpha/src/lib.rs");
        write(&file, "pub fn new() {}\n");
        world.rollback(&RollbackOptions::default());
        assert!(mtime(&file) > mtime(&mark), "{directory}");
    }
}

#[test]
fn the_marks_of_a_package_outside_are_dated_back_where_it_may_have_read_what_changed() {
    let world = workspace("ws", "[workspace]\nresolver = \"2\"\nmembers = [\"app\"]\n", &[]);
    package(&world, "app", "[dependencies]\nout = { path = \"../../out\" }\n");
    package(&world, "../out", "");
    write(world.at("data"), "old");
    world.backup();
    write(world.at("target/debug/deps/x"), "");
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let marks = [".fingerprint/out-0123456789abcdef/dep-lib-out", "build/out-0123456789abcdef/output"];
    let other = world.at("target/debug/.fingerprint/outer-0123456789abcdef/dep-lib-outer");
    let reset = || {
        marks.iter().for_each(|mark| dated(&world.at("target/debug").join(mark), past));
        dated(&other, past);
    };
    let is_old = |mark: &&str| mtime(&world.at("target/debug").join(mark)) < past;
    // A module cargo sees by itself.
    reset();
    write(world.at("app/src/lib.rs"), "// edited\n");
    world.rollback(&RollbackOptions::default());
    assert!(!marks.iter().any(&is_old));
    write(world.at("data"), "new");
    world.rollback(&RollbackOptions::default());
    assert!(marks.iter().all(&is_old) && mtime(&other) == past);
    reset();
    world.undo();
    assert!(marks.iter().all(&is_old), "undone");
    reset();
    let plan = world.plan(&RollbackOptions::default());
    let outcome = world.apply_with(plan, &Fs::probed(Arc::new(Unchangeable))).unwrap();
    let found: Vec<String> = outcome.findings.iter().map(|f| format!("{} {}", f.place, f.problem)).collect();
    assert!(found.len() == 1 && found[0].contains("run `cargo clean -p out`"), "{found:?}");
    // What the rollback writes to, it touches.
    write(world.at("data"), "new");
    reset();
    let outside = RollbackOptions { outside: true, ..RollbackOptions::default() };
    world.rollback(&outside);
    assert!(!marks.iter().any(is_old));
}

#[test]
#[ignore = "part of torture: builds"]
fn a_package_outside_that_may_have_read_what_changed_is_built_anew() {
    if target_directory_is_elsewhere() {
        return;
    }
    let world = workspace("ws", "[workspace]\nresolver = \"2\"\nmembers = [\"app\"]\n", &[]);
    package(&world, "app", "[dependencies]\nout = { path = \"../../out\" }\n");
    write(world.at("app/src/main.rs"), "fn main() {\n    print!(\"{} {}\", out::MACRO, out::SCRIPT);\n}\n");
    package(&world, "../out", "[dependencies]\nread = { path = \"../read\" }\n");
    let out = "pub const MACRO: &str = read::read!();\npub const SCRIPT: &str = env!(\"READ\");\n";
    write(world.at("../out/src/lib.rs"), out);
    let script = "fn main() {\n    println!(\"cargo::rerun-if-changed=build.rs\");\n    let text = std::fs::read_to_string(\"../ws/data\");\n    \
                  println!(\"cargo::rustc-env=READ={}\", text.unwrap());\n}\n";
    write(world.at("../out/build.rs"), script);
    package(&world, "../read", "[lib]\nproc-macro = true\n");
    let macros = "#[proc_macro]\npub fn read(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n    let dir = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap();\n    \
                  format!(\"{:?}\", std::fs::read_to_string(dir + \"/../ws/data\").unwrap()).parse().unwrap()\n}\n";
    write(world.at("../read/src/lib.rs"), macros);
    let run =
        || program(crate::support::cargo(), &world.root).args(["run", "--offline", "--quiet"]).ends(0).out;
    write(world.at("data"), "old");
    // The real clock, for cargo's own marks.
    world.clock.set(SystemTime::now());
    world.backup();
    for (fs, cured) in [(Fs::real(), true), (Fs::probed(Arc::new(Unchangeable)), false)] {
        write(world.at("data"), "new");
        remove(world.at("target"));
        assert_eq!(run(), "new new");
        let outcome = world.apply_with(world.plan(&RollbackOptions::default()), &fs).unwrap();
        let places: Vec<&str> = outcome.findings.iter().map(|f| f.place.as_str()).collect();
        assert_eq!(places, if cured { &[][..] } else { &["out", "read"] });
        if !cured {
            assert!(
                outcome.findings[0].problem.contains("run `cargo clean -p out`"),
                "{:?}",
                outcome.findings
            );
            program(crate::support::cargo(), &world.root)
                .args(["clean", "--offline", "--quiet", "-p", "out"])
                .ends(0);
        }
        assert_eq!(run(), "old old", "cured: {cured}");
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
