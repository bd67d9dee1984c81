//! What the copy of a drill has around it, and that it never reaches the workspace itself: what a build asks of git,
//! configurations above the root, toolchains by directory, and absolute paths that lead back.

use std::fs;
use std::path::Path;

use backstop::ErrorKind;
use backstop::drill::{Cause, DrillOptions, DrillReport, drill};
use backstop::rollback::{RollbackOptions, restore_to};
use backstop::store::DrillLevel;

use crate::cli::{backstop, path_with, program};
use crate::drill::{found, options, run};
use crate::support::edit::{is_root, link, mkdir, program as script, remove, write};
use crate::support::{TempDir, World, cargo};

/// A workspace of one package without a dependency, two directories below its own place.
fn workspace(build: &str, lib: &str) -> World {
    let temp = TempDir::new();
    let root = temp.path().join("place/inner/ws");
    let world = World::opened(temp, root);
    write(
        world.at("Cargo.toml"),
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    );
    write(world.at("src/lib.rs"), lib);
    write(world.at(".gitignore"), "/target\n/backup\n");
    if !build.is_empty() {
        write(world.at("build.rs"), build);
    }
    program(cargo(), &world.root).args(["generate-lockfile", "--offline"]).ends(0);
    world
}

fn git(dir: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
    program("git", dir).args(identity).args(args).ends(0).out.trim().to_owned()
}

fn commit(dir: &Path) {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "-m", "state"]);
}

/// A build script that writes what `git ARGS` says into `file`, and fails where git does.
fn asks_git(file: &Path, args: &str) -> String {
    format!(
        "fn main() {{\n    let out = std::process::Command::new(\"git\").args({args}).output().unwrap();\n    \
         assert!(out.status.success(), \"git says: {{}}\", String::from_utf8_lossy(&out.stderr));\n    \
         std::fs::write(r\"{}\", out.stdout).unwrap();\n}}\n",
        file.display()
    )
}

#[track_caller]
fn passes(world: &World) -> DrillReport {
    let report = run(world, DrillLevel::Compiles);
    assert!(report.passed(), "{}", found(&report));
    report
}

#[test]
fn a_build_that_asks_git_is_told_the_recorded_head_in_a_worktree_too() {
    let world = workspace("", "");
    let said = world.temp.path().join("said");
    write(world.at("build.rs"), asks_git(&said, "[\"describe\", \"--tags\", \"--dirty\"]"));
    let place = world.root.parent().unwrap();
    git(place, &["init", "-q"]);
    commit(place);
    git(place, &["tag", "v1"]);
    world.backup();
    let status = git(place, &["status", "--porcelain"]);
    // The workspace goes on: the copy does not.
    write(world.at("src/lib.rs"), "pub fn two() {}\n");
    commit(place);
    passes(&world);
    assert_eq!(fs::read_to_string(&said).unwrap().trim(), "v1");
    assert_eq!(git(place, &["status", "--porcelain"]), status);
    // The same in a linked worktree on a branch of its own, which has one commit more.
    let other = world.temp.path().join("place/other");
    git(place, &["worktree", "add", "-q", "-b", "feature", other.to_str().unwrap()]);
    let tree = World::opened(TempDir::new(), other.join("ws"));
    tree.backup();
    passes(&tree);
    assert!(fs::read_to_string(&said).unwrap().starts_with("v1-1-g"), "{:?}", fs::read_to_string(&said));
}

#[test]
fn what_stands_above_the_scratch_directory_counts_neither_for_cargo_nor_for_git() {
    let world = workspace("", "");
    let said = world.temp.path().join("said");
    write(world.at("build.rs"), asks_git(&said, "[\"rev-parse\", \"--show-toplevel\"]"));
    world.backup();
    let stranger = world.temp.path().join("scratch");
    write(stranger.join(".cargo/config.toml"), "[build]\nrustflags = [\"--no-such-flag\"]\n");
    write(stranger.join("Cargo.toml"), "[workspace]\nmembers = [\"nothing\"]\n");
    mkdir(&stranger);
    git(&stranger, &["init", "-q"]);
    let report = run(&world, DrillLevel::Compiles);
    assert!(found(&report).contains("not a git repository"), "{}", found(&report));
    // Where nothing is asked of git, nothing of all that is noticed.
    remove(world.at("build.rs"));
    world.backup();
    passes(&world);
}

#[test]
fn configurations_above_the_root_count_with_what_they_name_and_include() {
    let world = workspace("", "#[cfg(not(all(outer, included)))]\ncompile_error!(\"not configured\");\n");
    write(
        world.at("Cargo.toml"),
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n[dependencies]\ndep = \"0.1\"\n\
         [lints.rust]\nunexpected_cfgs = \"allow\"\n",
    );
    let place = world.temp.path().join("place");
    write(
        place.join(".cargo/config.toml"),
        "include = [\"more.toml\"]\n[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"third-party/vendor\"\n\
         [build]\nrustflags = [\"--cfg\", \"outer\"]\n",
    );
    write(place.join(".cargo/more.toml"), "[build]\nrustflags = [\"--cfg\", \"included\"]\n");
    let dep = place.join("third-party/vendor/dep");
    write(dep.join("Cargo.toml"), "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    write(dep.join("src/lib.rs"), "");
    write(dep.join(".cargo-checksum.json"), "{\"files\":{},\"package\":null}");
    program(cargo(), &world.root).args(["generate-lockfile", "--offline"]).ends(0);
    world.backup();
    passes(&world);
    // Cargo's own directory counts everywhere by itself: taken twice, its flags would come twice.
    write(world.at("src/lib.rs"), "#[cfg(outer)]\ncompile_error!(\"configured\");\n");
    world.backup();
    let options = DrillOptions { cargo_home: place.join(".cargo"), ..options(&world, DrillLevel::Compiles) };
    let report = drill(&world.store(), &world.latest(), &options, &world.context()).unwrap();
    assert!(!found(&report).contains("configured"), "{}", found(&report));
}

#[test]
fn a_toolchain_that_counts_for_the_workspaces_directory_counts_in_the_copy() {
    let world = workspace("", "");
    backstop(&world.root).arg("backup").ends(0);
    // What rustup does for a directory override: both programs ask where they are, or the variable.
    let bin = world.temp.path().join("bin");
    let real = world.temp.path().join("toolchains/special");
    mkdir(&real);
    let proxy = |name: &str, then: &str| {
        let text = format!(
            "#!/bin/sh\ncase \"$RUSTUP_TOOLCHAIN$(pwd -P)\" in special*|*/place/*) {then} ;; esac\n\
             echo 'error: no default toolchain is configured' >&2\nexit 1\n"
        );
        script(bin.join(name), text);
    };
    proxy(
        "rustc",
        &format!(
            "[ \"$1\" = --print ] && {{ echo '{}'; exit; }}; exec \"$REAL_RUSTC\" \"$@\"",
            real.display()
        ),
    );
    proxy("cargo", "exec \"$REAL_CARGO\" \"$@\"");
    let toolchain = program("rustc", "/").args(["--print", "sysroot"]).ends(0).out;
    let real = |name: &str| Path::new(toolchain.trim()).join("bin").join(name);
    let scratch = world.temp.path().join("scratch");
    let validate = |level: &str| {
        backstop(&world.root)
            .args(["validate", level, "--scratch"])
            .args([&scratch])
            .without("CARGO")
            .without("RUSTUP_TOOLCHAIN")
            .env("PATH", path_with(&bin))
            .env("RUSTC", real("rustc"))
            .env("REAL_CARGO", real("cargo"))
            .env("REAL_RUSTC", real("rustc"))
    };
    validate("--drill").ends(0).prints("drill: compiles in");
    // Where it cannot be found out, cargo's own words are shown, and the restore point is not blamed.
    script(bin.join("rustc"), "#!/bin/sh\nexit 1\n");
    let run = validate("--drill")
        .ends(1)
        .prints("no default toolchain is configured")
        .prints("rust-toolchain.toml");
    assert!(!run.out.contains("lacks"), "{}", run.out);
}

#[test]
fn a_build_by_an_absolute_path_into_the_workspace_proves_nothing() {
    let world = workspace("", "");
    let shared = world.at("shared.txt");
    write(&shared, "x");
    let ways = [
        ("src/lib.rs", format!("pub const X: &str = include_str!(r\"{}\");\n", shared.display())),
        (
            "build.rs",
            format!(
                "fn main() {{ println!(\"cargo::rerun-if-changed={0}\"); std::fs::read(r\"{0}\").unwrap(); }}\n",
                shared.display()
            ),
        ),
    ];
    for (file, text) in ways {
        let before = fs::read(world.at(file)).ok();
        write(world.at(file), text);
        world.backup();
        let report = run(&world, DrillLevel::Compiles);
        assert!(
            found(&report).contains("shared.txt: the copy is built with this file"),
            "{}",
            found(&report)
        );
        assert_eq!(report.cause, Some(Cause::Original));
        match before {
            Some(bytes) => write(world.at(file), bytes),
            None => remove(world.at(file)),
        }
    }
    // A path dependency is found before anything is compiled.
    write(world.at("dep/Cargo.toml"), "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    write(world.at("dep/src/lib.rs"), "");
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    let absolute =
        format!("{manifest}[dependencies]\ndep = {{ path = \"{}\" }}\n", world.at("dep").display());
    write(world.at("Cargo.toml"), &absolute);
    program(cargo(), &world.root).args(["generate-lockfile", "--offline"]).ends(0);
    world.backup();
    let report = run(&world, DrillLevel::Resolves);
    assert!(
        found(&report).contains("dep/Cargo.toml: the copy is built with this file"),
        "{}",
        found(&report)
    );
    // A copy elsewhere says so too, and ends with 1: nothing in a manifest is changed.
    let to = world.temp.path().join("elsewhere");
    let context = world.context();
    let report =
        restore_to(&world.store(), &world.latest(), &to, &RollbackOptions::default(), &context).unwrap();
    assert_eq!(report.naming.len(), 1, "{:?}", report.naming);
    assert_eq!(fs::read_to_string(to.join("Cargo.toml")).unwrap(), absolute);
    remove(&to);
    backstop(&world.root)
        .args(["rollback", "-t", "latest", "--to"])
        .args([&to])
        .ends(1)
        .prints("Cargo.toml names");
}

#[test]
fn links_of_a_copy_lead_into_the_copy() {
    let world = workspace("", "pub mod part;\npub mod lost;\n");
    write(world.at("shared/part.rs"), "");
    write(world.at("shared/lost.rs"), "");
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), manifest + "[package.metadata.backstop]\nexclude = [\"shared/lost.rs\"]\n");
    link(world.at("shared/part.rs"), world.at("src/part.rs"));
    // One that leaves the workspace and comes back by its name, and one that leads by way of another link.
    let way = world.temp.path().join("way");
    link(&world.root, &way);
    link("../../ws/shared", world.at("src/shared"));
    link(way.join("shared/lost.rs"), world.at("src/lost.rs"));
    link("/etc/hostname", world.at("src/foreign"));
    link("lib.rs", world.at("src/plain"));
    world.backup();
    let report = run(&world, DrillLevel::Compiles);
    assert_eq!(report.reached(), Some(DrillLevel::Resolves));
    assert!(found(&report).contains("file not found for module `lost`"), "{}", found(&report));
    assert_eq!(report.cause, Some(Cause::Lacks(vec!["shared/lost.rs".into()])));
    assert!(report.rungs[1].notes.iter().any(|note| note.starts_with("src/lost.rs: the link leads to")));
    // Beside the workspace itself, a link that comes back by its name reaches it just as well.
    for to in [world.root.with_file_name("copy"), world.temp.path().join("elsewhere")] {
        let report =
            restore_to(&world.store(), &world.latest(), &to, &RollbackOptions::default(), &world.context());
        let read = |name: &str| fs::read_link(to.join("src").join(name)).unwrap();
        for (name, expected) in [("part.rs", "../shared/part.rs"), ("lost.rs", "../shared/lost.rs")] {
            assert_eq!(read(name), Path::new(expected), "{name}");
        }
        for (name, expected) in [("foreign", "/etc/hostname"), ("plain", "lib.rs")] {
            assert_eq!(read(name), Path::new(expected), "{name}");
        }
        let beside = to.parent() == world.root.parent();
        assert_eq!(read("shared"), Path::new(if beside { "../shared" } else { "../../ws/shared" }));
        assert_eq!(report.unwrap().turned.len(), if beside { 3 } else { 2 });
    }
}

#[test]
fn a_restore_point_is_blamed_only_for_what_the_workspace_has_beside_it() {
    let world = workspace("", "pub const X: &str = include_str!(\"../data/x.txt\");\n");
    write(world.at("data/x.txt"), "x");
    write(world.at("data/y.txt"), "y");
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), manifest + "[package.metadata.backstop]\nexclude = [\"data/**\"]\n");
    world.backup();
    let report = run(&world, DrillLevel::Compiles);
    assert_eq!(report.cause, Some(Cause::Lacks(vec!["data/x.txt".into(), "data/y.txt".into()])));
    write(world.at("src/lib.rs"), "");
    write(world.at("build.rs"), "fn main() { panic!(\"needs {} of this machine\", \"something\") }\n");
    world.backup();
    let report = run(&world, DrillLevel::Compiles);
    assert_eq!(report.cause, Some(Cause::NotTheFiles));
    assert!(found(&report).contains("needs something of this machine"), "{}", found(&report));
}

#[test]
fn a_place_of_another_user_is_left_alone() {
    if !is_root() {
        return;
    }
    let world = workspace("", "");
    world.backup();
    let id = world.store().info().unwrap().store_id;
    let scratch = world.temp.path().join("scratch");
    write(scratch.join(&id).join("lock"), "");
    program("chown", "/").args(["-R", "1001:1001"]).args([&scratch.join(&id)]).ends(0);
    let report = run(&world, DrillLevel::Manifest);
    assert!(report.passed(), "{}", found(&report));
    assert!(scratch.join(format!("{id}-0")).is_dir());
    program("chown", "/").args(["-R", "1001:1001"]).args([&scratch.join(format!("{id}-0"))]).ends(0);
    let options = options(&world, DrillLevel::Manifest);
    let error = drill(&world.store(), &world.latest(), &options, &world.context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.help().is_some_and(|help| help.contains("--scratch DIR")), "{error}");
}
