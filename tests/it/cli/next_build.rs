//! The build after a rollback makes the program of the restore point, and rebuilds no more than it must.
//!
//! Cargo believes in modification times: a file that is put back with its old one is not looked at again. The last
//! tests prove that, so that the others can fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::{Cli, backstop, copied, program};
use crate::support::edit::{remove, write};
use crate::support::{TempDir, World};

/// A program that prints one word for each way in which Cargo takes a file in.
fn workspace() -> World {
    let temp = TempDir::new();
    let world = World::on(temp, "single");
    let root = &world.root;
    remove(root.join("src"));
    let package = |name: &str, more: &str| {
        write(
            root.join(name).join("Cargo.toml"),
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}"),
        );
    };
    write(root.join("Cargo.toml"), "[workspace]\nresolver = \"2\"\nmembers = [\"app\", \"built\"]\n");
    package(
        "app",
        "[dependencies]\npathlib = { path = \"../pathlib\" }\nmacros = { path = \"../macros\" }\nbuilt = { path = \"../built\" }\n",
    );
    write(
        root.join("app/src/main.rs"),
        "mod member;\nmod optional { include!(\"optional.rs\"); }\nfn main() {\n    \
         println!(\"{} {} {} {} {} {} {}\", member::WORD, pathlib::WORD, macros::word!(), built::SCRIPT, built::INPUT,\n        \
         include_str!(\"../word.txt\").trim(), optional::WORD);\n}\n",
    );
    write(root.join("app/src/member.rs"), "pub const WORD: &str = \"member-OLD\";\n");
    write(root.join("app/src/optional.rs"), "pub const WORD: &str = \"included-OLD\";\n");
    write(root.join("app/word.txt"), "text-OLD\n");
    package("pathlib", "");
    write(root.join("pathlib/src/lib.rs"), "pub const WORD: &str = \"pathlib-OLD\";\n");
    package("macros", "[lib]\nproc-macro = true\n");
    write(
        root.join("macros/src/lib.rs"),
        "#[proc_macro]\npub fn word(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n    \"\\\"macro-OLD\\\"\".parse().unwrap()\n}\n",
    );
    package("built", "");
    write(
        root.join("built/build.rs"),
        "fn main() {\n    println!(\"cargo:rerun-if-changed=input.txt\");\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    \
         println!(\"cargo:rustc-env=SCRIPT=script-OLD\");\n    \
         println!(\"cargo:rustc-env=INPUT={}\", std::fs::read_to_string(\"input.txt\").unwrap().trim());\n}\n",
    );
    write(root.join("built/input.txt"), "input-OLD\n");
    write(
        root.join("built/src/lib.rs"),
        "pub const SCRIPT: &str = env!(\"SCRIPT\");\npub const INPUT: &str = env!(\"INPUT\");\n",
    );
    write(root.join(".gitignore"), "/target\n");
    world
}

/// Every file that has a word in it.
const FILES: [&str; 7] = [
    "app/src/member.rs",
    "app/src/optional.rs",
    "app/word.txt",
    "pathlib/src/lib.rs",
    "macros/src/lib.rs",
    "built/build.rs",
    "built/input.txt",
];
const WORDS: &str = "member-X pathlib-X macro-X script-X input-X text-X included-X";

fn cargo(world: &World, args: &[&str]) -> Cli {
    let cargo = crate::support::cargo();
    let cli = program(cargo, &world.root).args(args).args(["--offline", "--quiet", "--workspace"]);
    cli.env("CARGO_INCREMENTAL", "0")
        .env("RUSTFLAGS", "-Awarnings -Ccodegen-units=1 -Cdebuginfo=0")
        .env("CARGO_TERM_COLOR", "never")
}

#[derive(Clone, Copy, Debug)]
struct Profile(&'static [&'static str], &'static str);
const DEV: Profile = Profile(&[], "debug");
const RELEASE: Profile = Profile(&["--release"], "release");

/// Builds, and tells which packages were compiled.
#[track_caller]
fn build(world: &World, profile: Profile) -> Vec<String> {
    let run = cargo(world, &["build", "--message-format", "json"]).args(profile.0).ends(0);
    let messages = run.out.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let artifacts: Vec<Value> = messages.filter(|m| m["reason"] == "compiler-artifact").collect();
    assert!(artifacts.len() >= 5, "{artifacts:?}");
    let compiled = artifacts.iter().filter(|m| m["fresh"] == false);
    let mut names: Vec<String> =
        compiled.map(|m| m["target"]["name"].as_str().unwrap().replace('_', "-")).collect();
    names.sort();
    names.dedup();
    names
}

#[track_caller]
fn prints(world: &World, profile: Profile) -> String {
    program(world.at("target").join(profile.1).join("app"), &world.root).ends(0).out.trim().to_owned()
}

/// Writes the files anew and makes sure that their time is a later one.
fn edit(world: &World, files: &[&str], from: &str, to: &str) {
    for file in files {
        let path = world.at(file);
        let (text, before) = (fs::read_to_string(&path).unwrap(), mtime(&path));
        assert!(text.contains(from), "{file}: {text}");
        while mtime(&path) <= before {
            write(&path, text.replace(from, to));
        }
    }
}

fn mtime(path: &Path) -> SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

fn backup(world: &World) {
    backstop(&world.root).arg("backup").ends(0);
}

fn rollback(world: &World) {
    copied(&world.dir).args(["rollback", "-t", "latest", "-f"]).ends(0);
}

fn all(word: &str) -> String {
    WORDS.replace('X', word)
}

fn after_everything_changed(profile: Profile) {
    let world = workspace();
    build(&world, profile);
    assert_eq!(prints(&world, profile), all("OLD"));
    backup(&world);
    edit(&world, &FILES, "OLD", "NEW");
    build(&world, profile);
    assert_eq!(prints(&world, profile), all("NEW"));
    rollback(&world);
    let compiled = build(&world, profile);
    assert_eq!(prints(&world, profile), all("OLD"), "after the rollback");
    assert!(compiled.contains(&"app".to_owned()), "{compiled:?}");
    assert_eq!(build(&world, profile), Vec::<String>::new(), "the second build has nothing to do");
    copied(&world.dir).args(["rollback", "--undo", "-f"]).ends(0);
    build(&world, profile);
    assert_eq!(prints(&world, profile), all("NEW"), "after the undo");
    assert_eq!(build(&world, profile), Vec::<String>::new(), "the second build has nothing to do");
    rollback(&world);
    build(&world, profile);
    assert_eq!(prints(&world, profile), all("OLD"), "after the second rollback");
}

#[test]
fn after_a_rollback_a_dev_build_is_of_the_restore_point_and_after_an_undo_of_the_edit() {
    after_everything_changed(DEV);
}

#[test]
#[ignore = "part of torture: builds"]
fn after_a_rollback_a_release_build_is_of_the_restore_point_and_after_an_undo_of_the_edit() {
    after_everything_changed(RELEASE);
}

#[test]
#[ignore = "part of torture: builds"]
fn each_way_of_taking_a_file_in_is_rebuilt_alone_and_with_no_more_than_its_dependents() {
    let world = workspace();
    build(&world, DEV);
    backup(&world);
    for (file, word, rebuilt) in [
        ("app/src/member.rs", "member", &["app"][..]),
        ("app/word.txt", "text", &["app"]),
        ("pathlib/src/lib.rs", "pathlib", &["app", "pathlib"]),
        ("macros/src/lib.rs", "macro", &["app", "macros"]),
        ("built/build.rs", "script", &["app", "build-script-build", "built"]),
        ("built/input.txt", "input", &["app", "build-script-build", "built"]),
    ] {
        edit(&world, &[file], "OLD", "NEW");
        build(&world, DEV);
        let new = all("OLD").replace(&format!("{word}-OLD"), &format!("{word}-NEW"));
        assert_eq!(prints(&world, DEV), new, "{file}: the edit");
        rollback(&world);
        let compiled = build(&world, DEV);
        assert_eq!(prints(&world, DEV), all("OLD"), "{file}: the rollback");
        let extra: Vec<&String> = compiled.iter().filter(|c| !rebuilt.contains(&c.as_str())).collect();
        assert!(extra.is_empty(), "{file}: {extra:?} did not have to be compiled");
        assert!(compiled.contains(&"app".to_owned()), "{file}: {compiled:?}");
    }
}

#[test]
fn files_that_the_edit_added_are_not_compiled_in_any_more() {
    let world = workspace();
    build(&world, DEV);
    backup(&world);
    write(world.at("app/src/bin/extra.rs"), "fn main() {}\n");
    write(world.at("app/src/extra.rs"), "pub const WORD: &str = \"member-EXTRA\";\n");
    write(world.at("app/src/member.rs"), "pub use crate::extra::WORD;\n");
    edit(&world, &["app/src/main.rs"], "mod member;", "mod extra;\nmod member;");
    build(&world, DEV);
    assert!(prints(&world, DEV).starts_with("member-EXTRA "));
    assert!(world.at("target/debug/extra").exists());
    remove(world.at("target/debug/extra"));
    rollback(&world);
    build(&world, DEV);
    assert_eq!(prints(&world, DEV), all("OLD"));
    assert!(!world.at("target/debug/extra").exists(), "the added program was built again");
}

#[test]
fn a_file_that_the_edit_removed_is_compiled_in_again() {
    let world = workspace();
    // A build script that watches a whole directory.
    edit(&world, &["built/build.rs"], "rerun-if-changed=input.txt", "rerun-if-changed=inputs");
    edit(
        &world,
        &["built/build.rs"],
        "std::fs::read_to_string(\"input.txt\").unwrap().trim()",
        "std::fs::read_dir(\"inputs\").unwrap().count()",
    );
    for name in ["one", "two", "three"] {
        write(world.at("built/inputs").join(name), name);
    }
    build(&world, DEV);
    assert!(prints(&world, DEV).contains(" 3 "), "{}", prints(&world, DEV));
    backup(&world);
    remove(world.at("built/inputs/two"));
    build(&world, DEV);
    assert!(prints(&world, DEV).contains(" 2 "), "{}", prints(&world, DEV));
    rollback(&world);
    build(&world, DEV);
    assert!(prints(&world, DEV).contains(" 3 "), "after the rollback: {}", prints(&world, DEV));
}

/// Cargo knows nothing of what a macro reads by itself: the crate that uses it has to be looked at again.
#[test]
fn what_a_macro_reads_by_itself_is_read_again() {
    let world = workspace();
    let reads = "#[proc_macro]\npub fn word(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n    \
        let dir = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap();\n    \
        format!(\"{:?}\", std::fs::read_to_string(dir + \"/data.txt\").unwrap().trim()).parse().unwrap()\n}\n";
    write(world.at("macros/src/lib.rs"), reads);
    write(world.at("app/data.txt"), "data-OLD\n");
    build(&world, DEV);
    backup(&world);
    edit(&world, &["app/data.txt"], "OLD", "NEW");
    assert_eq!(build(&world, DEV), Vec::<String>::new(), "Cargo knows what a macro reads after all");
    let root = fs::File::options().append(true).open(world.at("app/src/main.rs")).unwrap();
    root.set_modified(SystemTime::now()).unwrap();
    build(&world, DEV);
    assert!(prints(&world, DEV).contains("data-NEW"));
    rollback(&world);
    build(&world, DEV);
    assert!(prints(&world, DEV).contains("data-OLD"), "after the rollback: {}", prints(&world, DEV));
}

#[test]
fn a_change_of_mode_alone_or_no_change_at_all_compiles_nothing() {
    let world = workspace();
    build(&world, DEV);
    backup(&world);
    let times: Vec<SystemTime> = FILES.iter().map(|f| mtime(&world.at(f))).collect();
    for file in FILES {
        crate::support::edit::chmod(world.at(file), 0o600);
    }
    rollback(&world);
    assert_eq!(FILES.map(|f| mtime(&world.at(f))).to_vec(), times);
    assert_eq!(build(&world, DEV), Vec::<String>::new());
}

/// What the tests above defend against: the old content with its old time.
#[test]
fn a_restore_with_old_times_would_leave_the_new_program_in_place() {
    let world = workspace();
    build(&world, DEV);
    let kept: Vec<(PathBuf, Vec<u8>, SystemTime)> =
        FILES.iter().map(|f| world.at(f)).map(|p| (p.clone(), fs::read(&p).unwrap(), mtime(&p))).collect();
    edit(&world, &FILES, "OLD", "NEW");
    build(&world, DEV);
    for (path, bytes, time) in kept {
        write(&path, bytes);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }
    assert_eq!(build(&world, DEV), Vec::<String>::new());
    assert_eq!(prints(&world, DEV), all("NEW"), "Cargo no longer goes by times alone");
}
