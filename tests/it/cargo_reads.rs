//! What cargo accepts, a backup accepts; and what only cargo's configuration knows is protected, and goes back.

use std::fs;

use backstop::rollback::RollbackOptions;
use backstop::select::{InputGap, Reader};

use crate::cli::{backstop, program};
use crate::support::World;
use crate::support::edit::{chmod, mkdir, remove, write};

const PACKAGE: &str = "[package]\nversion = \"0.1.0\"\nedition = \"2021\"\n";

fn package(world: &World, dir: &str, name: &str, more: &str) {
    let dir = world.at(dir);
    write(dir.join("Cargo.toml"), format!("{PACKAGE}name = \"{name}\"\n{more}"));
    write(dir.join("src/lib.rs"), format!("pub fn of_{name}() {{}}\n"));
}

/// A package that depends on `../other/dep`, whose own workspace lies around that.
fn with_dependency() -> World {
    let world = World::new("single");
    remove(world.at("src"));
    package(&world, ".", "app", "[workspace]\n[dependencies]\ndep = { path = \"../other/dep\" }\n");
    package(&world, "../other/dep", "dep", "");
    world
}

fn cargo(world: &World, args: &[&str]) -> Option<i32> {
    program(crate::support::cargo(), &world.root).args(args).args(["--offline", "--quiet"]).run().code
}

fn paths(world: &World) -> Vec<String> {
    world.set().entries.iter().map(|e| format!("{}:{}", e.root, e.path)).collect()
}

#[test]
fn a_dependency_whose_own_workspace_is_not_whole_is_protected_with_and_without_a_lockfile() {
    let tricks: [fn(&World); 4] = [
        |world| write(world.at("../other/Cargo.toml"), "[workspace]\nmembers = [\"gone\", \"dep\"]\n"),
        |world| write(world.at("../other/Cargo.toml"), "[workspace]\nmembers = []\n"),
        |world| package(world, "../other/dep", "dep", "workspace = \"../gone\"\n"),
        |world| {
            package(
                world,
                "../other/dep",
                "dep",
                "[workspace]\n[dev-dependencies]\nkit = { path = \"../kit\" }\n",
            )
        },
    ];
    for (i, trick) in tricks.iter().enumerate() {
        let world = with_dependency();
        trick(&world);
        for lockfile in [false, true] {
            if lockfile {
                assert_eq!(cargo(&world, &["generate-lockfile"]), Some(0), "{i}: cargo accepts it");
            } else {
                let _ = fs::remove_file(world.at("Cargo.lock"));
            }
            let found = paths(&world);
            assert!(found.contains(&"dep:src/lib.rs".to_owned()), "{i} {lockfile}: {found:?}");
        }
    }
}

#[test]
fn what_cargo_refuses_is_refused_by_name() {
    let world = with_dependency();
    remove(world.at("../other/dep"));
    backstop(&world.root).arg("backup").ends(3);
    mkdir(world.at("../other/dep"));
    backstop(&world.root).arg("backup").ends(3);
}

#[test]
fn a_manifest_that_a_dependency_inherits_from_is_named_or_protected() {
    let world = with_dependency();
    let inherits = "[package]\nname = \"dep\"\nversion.workspace = true\nedition = \"2021\"\n";
    write(world.at("../other/dep/Cargo.toml"), inherits);
    let above = "[workspace]\nmembers = [\"dep\"]\n[workspace.package]\nversion = \"1.0.0\"\n";
    write(world.at("../other/Cargo.toml"), above);
    let gaps = world.set().unprotected_inputs;
    let gap = gaps.iter().find(|gap| gap.path.ends_with("other/Cargo.toml")).unwrap();
    assert_eq!((gap.reader, &gap.why), (Reader::Cargo, &InputGap::Outside(Some("../other".into()))));
    // The setting works.
    let root = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), root + "[workspace.metadata.backstop]\noutside = [\"../other\"]\n");
    assert!(paths(&world).contains(&"other:Cargo.toml".to_owned()));
}

#[test]
fn what_the_configuration_includes_and_names_in_the_workspace_is_protected() {
    let world = World::new("virtual");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "/vendor\n/target\n");
    write(
        world.at(".cargo/config.toml"),
        "include = [{ path = \"../ci/common.toml\", optional = true }]\n[build]\nrustc-wrapper = \"tools/wrap\"\n\
         target = \"targets/own.json\"\ntarget-dir = \"tools/target\"\n\
         [target.'cfg(unix)']\nrunner = [\"sh\", \"tools/run\"]\nlinker = \"tools/link\"\n\
         rustflags = \"-Clink-arg=-Tlayout/memory.x\"\n[alias]\nx = \"run --manifest-path tools/other.toml\"\n\
         [source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"vendor\"\n\
         [env]\nQUERIES = { value = \"queries\", relative = true }\nHERE = { value = \"\", relative = true }\n\
         NAME = \"tools/none\"\n",
    );
    write(world.at("ci/common.toml"), "include = [\"more.toml\"]\n");
    write(world.at("ci/more.toml"), "[build]\nrustdoc = \"ci/doc\"\n");
    let named = [
        "ci/common.toml",
        "ci/more.toml",
        "ci/doc",
        "tools/wrap",
        "tools/run",
        "tools/link",
        "targets/own.json",
        "layout/memory.x",
        "queries/a.sql",
        "vendor/dep/src/lib.rs",
        "vendor/dep/.cargo-checksum.json",
    ];
    let not_named = ["tools/other.toml", "tools/none", "tools/beside", "target/debug/x", "aside/x"];
    for path in
        named.into_iter().chain(not_named).filter(|path| !path.starts_with("ci/") || *path == "ci/doc")
    {
        write(world.at(path), "x\n");
    }
    let set = world.set();
    let found: Vec<String> = set.entries.iter().map(|e| e.path.to_string()).collect();
    for path in named {
        assert!(found.iter().any(|f| f == path), "{path}: {found:?}");
    }
    for path in not_named {
        assert!(!found.iter().any(|f| f == path), "{path}");
    }
    let scope: Vec<String> =
        set.scope.directories.iter().filter_map(|p| Some(p.path.as_ref()?.to_string())).collect();
    assert!(["queries", "vendor"].iter().all(|dir| scope.iter().any(|d| d == dir)), "{scope:?}");
}

#[test]
fn what_the_configuration_names_outside_the_workspace_is_named() {
    let world = World::new("virtual");
    let above = world.temp.path();
    write(
        above.join(".cargo/config.toml"),
        "[source.v]\ndirectory = \"vendor\"\n[target.x]\nlinker = \"bin/link\"\n",
    );
    write(above.join("vendor/dep/Cargo.toml"), "[package]\nname = \"dep\"\n");
    write(above.join("bin/link"), "x\n");
    write(above.join("rust-toolchain.toml"), "[toolchain]\n");
    let gaps = world.set().unprotected_inputs;
    let find = |end: &str| gaps.iter().find(|gap| gap.path == above.join(end)).map(|gap| gap.why.clone());
    for (end, setting) in [
        (".cargo/config.toml", Some("../.cargo")),
        ("vendor", Some("../vendor")),
        ("bin/link", Some("../bin")),
        // No setting may name what holds the workspace.
        ("rust-toolchain.toml", None),
    ] {
        assert_eq!(find(end), Some(InputGap::Outside(setting.map(Into::into))), "{end}: {gaps:?}");
    }
}

#[test]
fn patched_packages_are_protected_in_each_spelling() {
    for (manifest, configuration) in [
        ("[patch.crates-io]\ndep = { path = \"../fork\" }\n", ""),
        ("[patch]\ncrates-io = { dep = { version = \"*\", path = '../fork' } }\n", ""),
        ("[\"patch\" . \"https://example.org/x\".dep]\n\"path\" = \"\"\"\\\n  ../fork\"\"\"\n", ""),
        ("", "paths = [\n  \"../fork\", # a comment\n]\n"),
        ("", "patch.crates-io.dep.path = \"../fork\"\n"),
    ] {
        let world = World::new("single");
        let text = fs::read_to_string(world.at("Cargo.toml")).unwrap();
        write(world.at("Cargo.toml"), text + manifest);
        write(world.at(".cargo/config.toml"), configuration);
        package(&world, "../fork", "dep", "[workspace]\n");
        assert!(paths(&world).contains(&"fork:src/lib.rs".to_owned()), "{manifest}{configuration}");
    }
}

#[test]
fn vendored_sources_and_programs_go_back_with_what_names_them() {
    let world = World::new("virtual");
    write(
        world.at(".cargo/config.toml"),
        "[source.v]\ndirectory = \"vendor\"\n[build]\nrustc-wrapper = \"tools/wrap\"\n",
    );
    write(world.at("tools/wrap"), "#!/bin/sh\nexec \"$@\"\n");
    chmod(world.at("tools/wrap"), 0o755);
    write(world.at("vendor/dep/src/lib.rs"), "old\n");
    world.backup();
    write(world.at("vendor/dep/src/lib.rs"), "new\n");
    write(world.at("vendor/dep/src/added.rs"), "new\n");
    write(world.at("tools/wrap"), "#!/bin/sh\nexit 1\n");
    world.rollback(&RollbackOptions::default());
    assert_eq!(fs::read_to_string(world.at("vendor/dep/src/lib.rs")).unwrap(), "old\n");
    assert!(!world.at("vendor/dep/src/added.rs").exists());
    assert!(fs::read_to_string(world.at("tools/wrap")).unwrap().contains("exec"));
}

#[test]
fn both_layouts_of_the_build_directory_are_read_and_one_without_traces_is_told() {
    for new in [false, true] {
        let world = World::new("single");
        program("git", &world.root).args(["init", "-q"]).ends(0);
        write(world.at(".gitignore"), "/target\n/gen\n");
        write(world.at("gen/x.txt"), "x\n");
        write(world.at("gen/y.txt"), "y\n");
        write(world.at("build.rs"), "fn main() { println!(\"cargo::rerun-if-changed=gen/y.txt\"); }\n");
        write(world.at("src/lib.rs"), "pub const X: &str = include_str!(\"../gen/x.txt\");\n");
        let args: &[&str] = if new { &["-Zbuild-dir-new-layout"] } else { &[] };
        let run = program(crate::support::cargo(), &world.root).env("RUSTC_BOOTSTRAP", "1").args(args);
        run.args(["check", "--offline", "--quiet"]).ends(0);
        let found = paths(&world);
        for path in [":gen/x.txt", ":gen/y.txt"] {
            assert!(found.iter().any(|f| f.ends_with(path)), "{new}: {path} {found:?}");
        }
        let told = || world.set().notes.iter().any(|note| note.contains("no dep-info"));
        assert!(!told());
        remove(world.at("target/debug"));
        assert!(told());
    }
}

#[test]
fn directories_that_the_linker_searches_are_protected_and_go_back() {
    let world = World::new("virtual");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "/target/\n/backup/\n*.a\n");
    write(
        world.at(".cargo/config.toml"),
        "[build]\nrustflags = [\"-L\", \"native=libs\", \"-Lmore/libs\", \"-Ctarget-cpu=native\"]\n\
         [target.x86_64-unknown-linux-gnu]\nrustflags = \"-C opt-level=1 -L all=third\"\n",
    );
    write(world.at("crates/alpha/build.rs"), "fn main() {}\n");
    write(
        world.at("target/debug/build/alpha-0123456789abcdef/output"),
        format!(
            "cargo:rustc-link-search=native={}\ncargo:rustc-link-search=prebuilt\ncargo:rustc-link-search={}\n",
            world.at("by-script").display(),
            world.at("target/debug/build/alpha-0123456789abcdef/out").display()
        ),
    );
    let held = ["libs/libx.a", "more/libs/liby.a", "third/z.a", "by-script/s.a", "crates/alpha/prebuilt/p.a"];
    let not_held = ["native/n.a", "target/debug/build/alpha-0123456789abcdef/out/o.a"];
    held.iter().chain(&not_held).for_each(|file| write(world.at(file), "old\n"));
    let found = paths(&world);
    for file in held {
        assert!(found.contains(&format!(":{file}")), "{file}: {found:?}");
    }
    assert!(!not_held.iter().any(|file| found.contains(&format!(":{file}"))), "{found:?}");
    world.backup();
    held.iter().for_each(|file| write(world.at(file), "new\n"));
    world.rollback(&RollbackOptions::default());
    held.iter().for_each(|file| assert_eq!(fs::read_to_string(world.at(file)).unwrap(), "old\n", "{file}"));
}

#[test]
fn what_cargos_own_directory_and_the_environment_name_counts_too() {
    let world = World::new("virtual");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "/backup/\n*.a\n/vendor/\n");
    let home = world.temp.path().join("home");
    let by_home = format!(
        "[source.v]\ndirectory = \"{}\"\n[build]\nrustc-wrapper = \"{}\"\n",
        world.at("vendor").display(),
        home.join("wrap").display()
    );
    write(home.join("config.toml"), by_home);
    write(home.join("wrap"), "x\n");
    let held = ["vendor/dep/src/target/x.rs", "tools/wrap", "tools/link", "tools/layout.x", "libs/x.a"];
    held.iter().for_each(|file| write(world.at(file), "x\n"));
    let run = backstop(&world.root)
        .args(["backup", "--format", "json"])
        .env("CARGO_HOME", &home)
        .env("RUSTC_WORKSPACE_WRAPPER", "tools/wrap")
        .env("CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER", world.at("tools/link"))
        .env("CARGO_ENCODED_RUSTFLAGS", "-Clink-arg=-Ttools/layout.x\u{1f}-L\u{1f}libs")
        .ends(0)
        .json();
    let files = world.dir.join(format!("session_{}/files", run["id"].as_str().unwrap()));
    held.iter().for_each(|file| assert!(files.join(file).is_file(), "{file}"));
    // What lies in cargo's own directory is named.
    let gaps = run["unprotected_inputs"].to_string();
    assert!(gaps.contains("home/config.toml") && gaps.contains("home/wrap"), "{gaps}");
}
