//! backstop put into workspaces of each shape; nothing but what is added changes, and all of it or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstop::ErrorKind;
use backstop::event::Interrupt;
use backstop::fsx::Fs;
use backstop::init::{Ci, Dependency, InitOptions, InitPlan, apply, plan};
use backstop::workspace::LoadOptions;

use crate::support::edit::{chmod, link, mkdir, remove, write};
use crate::support::probe::{Cutter, Failer};
use crate::support::tree::{assert_same, copy_tree};
use crate::support::{Picture, TempDir};

const LIB: &str = "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
const OURS: &str = "run --profile xtask --package xtask --";

/// A workspace of the given files, and what `init` does to it.
struct Place {
    _temp: TempDir,
    root: PathBuf,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let temp = TempDir::new();
        let root = temp.path().join("place");
        files.iter().for_each(|(path, text)| write(root.join(path), text));
        Place { _temp: temp, root }
    }

    /// A package at the root, and whatever else.
    fn with_manifest(manifest: &str, files: &[(&str, &str)]) -> Self {
        let place = Place::new(files);
        write(place.root.join("Cargo.toml"), manifest);
        if manifest.contains("[package]") {
            write(place.root.join("src/lib.rs"), "");
        }
        place
    }

    fn options() -> InitOptions {
        InitOptions { dependency: Some(Dependency::Version("0.1".into())), ci: Vec::new() }
    }

    fn plan_with(&self, options: &InitOptions) -> backstop::Result<InitPlan> {
        let cargo = crate::support::cargo();
        plan(
            options,
            &LoadOptions {
                manifest_path: None,
                directory: self.root.clone(),
                cargo,
                env: Default::default(),
            },
        )
    }

    #[track_caller]
    fn plan(&self) -> InitPlan {
        self.plan_with(&Self::options()).unwrap_or_else(|e| panic!("{e}: {:?} {:?}", e.details(), e.help()))
    }

    /// Plans and applies; a second time there is nothing to do.
    #[track_caller]
    fn init_with(&self, options: &InitOptions) -> InitPlan {
        fn fail<T>(e: backstop::Error) -> T {
            panic!("{e}: {:?} {:?}", e.details(), e.help())
        }
        let first = self.plan_with(options).unwrap_or_else(fail);
        apply(&first, &Fs::real(), &Interrupt::default()).unwrap_or_else(fail);
        let after = Picture::with_times(&self.root, &[]);
        let again = self.plan_with(options).unwrap_or_else(fail);
        assert_eq!(again.changes, [], "a second time");
        apply(&again, &Fs::real(), &Interrupt::default()).unwrap_or_else(fail);
        assert_same(&Picture::with_times(&self.root, &[]), &after, "a second time");
        first
    }

    #[track_caller]
    fn init(&self) -> InitPlan {
        self.init_with(&Self::options())
    }

    #[track_caller]
    /// The text of a file; of the root manifest without the retention rule at its end.
    fn text(&self, path: &str) -> String {
        let text = self.whole_text(path);
        match text.find("[workspace.metadata.backstop.keep]").filter(|_| path == "Cargo.toml") {
            Some(at) => text[..at].strip_suffix("\r\n").or(text[..at].strip_suffix('\n')).unwrap().to_owned(),
            None => text,
        }
    }

    fn whole_text(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// The names of the members, as cargo says.
    #[track_caller]
    fn members(&self) -> Vec<String> {
        let cargo = crate::support::cargo();
        let args = ["metadata", "--no-deps", "--format-version", "1"];
        let output = std::process::Command::new(cargo).args(args).current_dir(&self.root).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let packages = value["packages"].as_array().unwrap();
        let mut names: Vec<String> = packages.iter().map(|p| p["name"].as_str().unwrap().into()).collect();
        names.sort();
        names
    }
}

fn changed(plan: &InitPlan) -> Vec<&str> {
    plan.changes.iter().map(|c| c.path.to_str().unwrap()).collect()
}

// ---- shapes of workspaces

#[test]
fn a_virtual_workspace_gets_a_member_an_alias_and_a_profile() {
    let place = Place::with_manifest(
        "[workspace]\nresolver = \"2\"\nmembers = [\n    \"a\", # the first\n]\n",
        &[("a/Cargo.toml", LIB), ("a/src/lib.rs", "")],
    );
    let plan = place.init();
    assert_eq!(changed(&plan), [".cargo/config.toml", "xtask/src/main.rs", "xtask/Cargo.toml", "Cargo.toml"]);
    assert_eq!(plan.by_hand, []);
    assert_eq!(place.members(), ["a", "xtask"]);
    assert_eq!(
        place.text("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\n    \"a\", # the first\n    \"xtask\",\n]\n"
    );
    assert_eq!(
        place.text("xtask/Cargo.toml"),
        "[package]\nname = \"xtask\"\nversion = \"0.0.0\"\nedition = \"2021\"\npublish = false\n\n\
         [dependencies]\nbackstop = { version = \"0.1\", features = [\"cli\"] }\n"
    );
    assert_eq!(place.text(".cargo/config.toml"), include_str!("../../.cargo/config.toml"));
    assert!(plan.notes.iter().any(|n| n.contains("default-members")), "{:?}", plan.notes);
}

#[test]
fn a_single_package_becomes_a_workspace_and_the_packages_below_it_stay_their_own() {
    let place = Place::with_manifest(
        LIB,
        &[
            ("fuzz/Cargo.toml", "[package]\nname = \"fuzz\"\n\n[workspace]\n"),
            ("fuzz/src/main.rs", "fn main() {}\n"),
            ("examples/own/Cargo.toml", "[package]\nname = \"own\"\n"),
            ("examples/own/src/main.rs", "fn main() {}\n"),
            ("vendor/x/Cargo.toml", "[package]\nname = \"x\"\n"),
            ("vendor/x/.cargo-checksum.json", "{}"),
            ("vendor/y/Cargo.toml", "[package]\nname = \"y\"\n"),
            ("vendor/y/.cargo-checksum.json", "{}"),
            ("target/z/Cargo.toml", "[package]\nname = \"z\"\n"),
        ],
    );
    place.init();
    assert_eq!(place.members(), ["a", "xtask"]);
    assert_eq!(
        place.text("Cargo.toml"),
        format!("{LIB}\n[workspace]\nmembers = [\"xtask\"]\nexclude = [\"examples/own\", \"vendor\"]\n")
    );
    // What was a package for itself can still be built where it stands.
    for own in ["examples/own", "fuzz"] {
        let inner = Place { _temp: TempDir::new(), root: place.root.join(own) };
        assert_eq!(inner.members().len(), 1, "{own}");
    }
}

#[test]
fn a_path_dependency_below_a_single_package_stays_a_package_of_its_own() {
    let manifest = format!("{LIB}\n[dependencies]\nderive = {{ path = \"derive\" }}\n");
    let derive = [("derive/Cargo.toml", "[package]\nname = \"derive\"\n"), ("derive/src/lib.rs", "")];
    let place = Place::with_manifest(&manifest, &derive);
    place.init();
    assert!(place.text("Cargo.toml").ends_with("members = [\"xtask\"]\nexclude = [\"derive\"]\n"));
    assert_eq!(place.members(), ["a", "xtask"]);
    let inner = Place { _temp: TempDir::new(), root: place.root.join("derive") };
    assert_eq!(inner.members(), ["derive"]);
}

#[test]
fn a_package_that_is_a_workspace_keeps_what_it_has() {
    for (table, after) in [
        ("[workspace]\n", "[workspace]\nmembers = [\"xtask\"]\n"),
        ("[workspace]\nmembers = []\n", "[workspace]\nmembers = [\"xtask\"]\n"),
        (
            "[workspace.metadata.x]\ny = 1\n",
            "[workspace.metadata.x]\ny = 1\n\n[workspace]\nmembers = [\"xtask\"]\n",
        ),
    ] {
        let place = Place::with_manifest(&format!("{LIB}\n{table}"), &[]);
        place.init();
        assert_eq!(place.text("Cargo.toml"), format!("{LIB}\n{after}"));
        assert_eq!(place.members(), ["a", "xtask"]);
    }
    let inline = format!("workspace = {{ members = [] }}\n{LIB}");
    let place = Place::with_manifest(&inline, &[]);
    place.init();
    assert_eq!(place.text("Cargo.toml"), format!("workspace = {{ members = [\"xtask\"] }}\n{LIB}"));
}

#[test]
fn a_glob_that_takes_every_directory_takes_the_xtask_and_not_the_store() {
    let place = Place::with_manifest(
        "[workspace]\nresolver = \"2\"\nmembers = [\"*\"]\n",
        &[("a/Cargo.toml", LIB), ("a/src/lib.rs", "")],
    );
    let options = InitOptions { ci: vec![Ci::Github], ..Place::options() };
    let plan = place.init_with(&options);
    assert_eq!(changed(&plan)[0], "Cargo.toml", "cargo must not see .cargo as a member for an instant");
    assert_eq!(place.members(), ["a", "xtask"]);
    mkdir(place.root.join("backup"));
    assert_eq!(place.members(), ["a", "xtask"]);
    let manifest = place.text("Cargo.toml");
    assert!(
        manifest.ends_with("members = [\"*\"]\nexclude = [\".cargo\", \".github\", \"backup\"]\n"),
        "{manifest}"
    );
}

#[test]
fn globs_that_take_neither_are_left_alone_and_an_excluded_xtask_is_named() {
    let crates = [("crates/a/Cargo.toml", LIB), ("crates/a/src/lib.rs", "")];
    let place = Place::with_manifest("[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n", &crates);
    place.init();
    assert!(place.text("Cargo.toml").ends_with("members = [\"crates/*\", \"xtask\"]\n"));
    let place = Place::with_manifest(
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\", \"x*\"]\nexclude = [\"xtask\"]\n",
        &[&crates[..], &[("xb/Cargo.toml", "[package]\nname = \"xb\"\n"), ("xb/src/lib.rs", "")]].concat(),
    );
    place.init();
    assert_eq!(place.members(), ["a", "xb", "xtask"]);
}

#[test]
fn the_xtask_inherits_what_the_workspace_gives_and_its_lints() {
    let place = Place::with_manifest(
        "[workspace]\nmembers = [\"a\"]\nresolver = \"3\"\n[workspace.package]\nedition = \"2024\"\nlicense = \"MIT\"\n\
         rust-version = \"1.90\"\n[workspace.lints.rust]\nmissing_docs = \"deny\"\n\
         [workspace.dependencies]\nbackstop = \"0.1\"\n",
        &[("a/Cargo.toml", LIB), ("a/src/lib.rs", "")],
    );
    // The workspace names backstop, so that nobody else has to.
    place.init_with(&InitOptions::default());
    assert_eq!(
        place.text("xtask/Cargo.toml"),
        "[package]\nname = \"xtask\"\nversion = \"0.0.0\"\nedition.workspace = true\nlicense.workspace = true\n\
         publish = false\n\n[dependencies]\nbackstop = { workspace = true, features = [\"cli\"] }\n\n\
         [lints]\nworkspace = true\n"
    );
    let old = LIB.replace("2021", "2015");
    let place = Place::with_manifest(&old, &[]);
    place.init();
    assert!(place.text("xtask/Cargo.toml").contains("edition = \"2021\"\n"));
}

#[test]
fn line_ends_and_a_byte_order_mark_stay() {
    let windows = format!("\u{feff}{LIB}\n[workspace]\nmembers = [\n  \"b\",\n]\n").replace('\n', "\r\n");
    let place = Place::with_manifest(
        &windows,
        &[("b/Cargo.toml", &LIB.replace("\"a\"", "\"b\"")), ("b/src/lib.rs", "")],
    );
    write(place.root.join(".cargo/config.toml"), "[build]\r\njobs = 2\r\n");
    place.init();
    assert_eq!(place.text("Cargo.toml"), windows.replace("\"b\",\r\n", "\"b\",\r\n  \"xtask\",\r\n"));
    let config = place.text(".cargo/config.toml");
    assert_eq!(config.matches('\n').count(), config.matches("\r\n").count());
    assert!(config.starts_with("[build]\r\njobs = 2\r\n\r\n[alias]\r\nxtask = "), "{config}");
    assert_eq!(place.members(), ["a", "b", "xtask"]);
}

// ---- the configuration

#[test]
fn the_configuration_is_added_to_where_its_tables_are() {
    let alias = format!("xtask = \"{OURS}\"");
    for (before, after) in [
        (
            "[alias]\nb = \"build\" # mine\n\n[build]\njobs = 2\n",
            format!("[alias]\nb = \"build\" # mine\n{alias}\n\n[build]\njobs = 2\n"),
        ),
        ("[alias]\n", format!("[alias]\n{alias}\n")),
        ("alias.b = \"build\"\n", format!("alias.b = \"build\"\nalias.{alias}\n")),
        ("alias = { b = \"build\" }\n", format!("alias = {{ b = \"build\", {alias} }}\n")),
        ("# nothing yet\n", format!("# nothing yet\n\n[alias]\n{alias}\n")),
        ("[profile.dev]\ndebug = 1\n", format!("[profile.dev]\ndebug = 1\n\n[alias]\n{alias}\n")),
    ] {
        let place = Place::with_manifest(LIB, &[(".cargo/config.toml", before)]);
        let plan = place.init();
        let config = place.text(".cargo/config.toml");
        let rest = config.strip_prefix(after.as_str()).unwrap_or_else(|| panic!("{config}\nis not\n{after}"));
        assert!(
            rest.starts_with("\n# The xtask's own profile") && rest.contains("\n[profile.xtask.package]\n"),
            "{rest}"
        );
        assert_eq!(plan.by_hand, []);
    }
}

#[test]
fn an_alias_and_a_profile_that_are_there_are_kept() {
    for (alias, noted) in [
        ("\"run --package xtask --\"", true),
        ("[\"run\", \"--release\", \"-p\", \"xtask\", \"--\"]", false),
        ("\"run --profile fast -p=xtask --\"", false),
    ] {
        let config = format!("[alias]\nxtask = {alias}\n\n[profile.xtask]\ninherits = \"release\"\n");
        let place = Place::with_manifest(LIB, &[(".cargo/config.toml", &config)]);
        let plan = place.init();
        assert_eq!(place.text(".cargo/config.toml"), config);
        assert_eq!(plan.notes.iter().any(|n| n.contains("--profile xtask")), noted, "{:?}", plan.notes);
    }
    // The root manifest may have the profile.
    let place = Place::with_manifest(&format!("{LIB}\n[profile.xtask]\ninherits = \"dev\"\n"), &[]);
    place.init();
    assert_eq!(place.text(".cargo/config.toml"), format!("[alias]\nxtask = \"{OURS}\"\n"));
}

#[test]
fn the_configurations_old_name_is_respected() {
    let place = Place::with_manifest(LIB, &[(".cargo/config", "[build]\njobs = 2\n")]);
    place.init();
    assert!(place.text(".cargo/config").contains(OURS));
    assert!(!place.root.join(".cargo/config.toml").exists());
}

#[test]
fn a_profile_table_that_cannot_be_added_to_is_left_to_a_person() {
    let config = "profile = { dev = { debug = 1 } }\n";
    let place = Place::with_manifest(LIB, &[(".cargo/config.toml", config)]);
    let plan = place.init();
    assert_eq!(plan.by_hand.len(), 1);
    assert!(plan.by_hand[0].lines.contains("[profile.xtask]"), "{:?}", plan.by_hand);
    assert!(place.text(".cargo/config.toml").starts_with(config));
}

// ---- an xtask that is there

fn with_xtask(manifest: &str, main: &str) -> Place {
    let own = [("xtask/Cargo.toml", manifest), ("xtask/src/main.rs", main)];
    Place::with_manifest(&format!("{LIB}\n[workspace]\nmembers = [\"xtask\"]\n"), &own)
}

const FOREIGN: &str = "[package]\nname = \"xtask\"\nedition = \"2021\"\n\n[dependencies]\n";

#[test]
fn an_xtask_of_somebodys_own_is_shown_the_lines_and_not_changed() {
    let place = with_xtask(FOREIGN, "fn main() { println!(\"mine\"); }\n");
    let before = Picture::with_times(&place.root.join("xtask"), &[]);
    let manifest = place.text("Cargo.toml");
    let plan = place.init();
    assert_same(&Picture::with_times(&place.root.join("xtask"), &[]), &before, "the xtask");
    assert_eq!(place.text("Cargo.toml"), manifest);
    let paths: Vec<&Path> = plan.by_hand.iter().map(|l| l.path.as_path()).collect();
    assert_eq!(paths, [Path::new("xtask/Cargo.toml"), Path::new("xtask/src/main.rs")]);
    // The alias and the profile are not code.
    assert_eq!(changed(&plan), [".cargo/config.toml"]);
    // Where the lines were added, nothing is left to do.
    write(place.root.join("xtask/Cargo.toml"), format!("{FOREIGN}{}", plan.by_hand[0].lines));
    assert_eq!(place.plan().by_hand.len(), 1);
    write(place.root.join("xtask/src/main.rs"), &plan.by_hand[1].lines);
    let after = place.plan_with(&InitOptions::default()).unwrap();
    assert_eq!((after.by_hand, after.changes), (vec![], vec![]));
}

#[test]
fn the_store_is_kept_out_of_the_members_beside_an_xtask_of_somebodys_own_too() {
    let place = Place::with_manifest(
        "[workspace]\nresolver = \"2\"\nmembers = [\"*\"]\nexclude = [\".cargo\"]\n\n\
         [workspace.metadata.backstop]\nstore = \"points\"\n",
        &[("xtask/Cargo.toml", FOREIGN), ("xtask/src/main.rs", "fn main() {}\n"), (".cargo/config.toml", "")],
    );
    let plan = place.init();
    assert_eq!(plan.by_hand.len(), 2);
    assert!(place.text("Cargo.toml").contains("exclude = [\".cargo\", \"points\"]\n"));
    mkdir(place.root.join("points"));
    assert_eq!(place.members(), ["xtask"]);
}

#[test]
fn the_package_that_the_alias_runs_is_the_xtask_whatever_its_name() {
    let place = Place::with_manifest(
        &format!("{LIB}\n[workspace]\nmembers = [\"tools/dev\"]\n"),
        &[
            (".cargo/config.toml", "[alias]\nxtask = \"run --package dev --\"\n"),
            ("tools/dev/Cargo.toml", "[package]\nname = \"dev\"\n"),
            ("tools/dev/src/main.rs", "fn main() {}\n"),
        ],
    );
    let plan = place.plan();
    assert_eq!(plan.by_hand[0].path, Path::new("tools/dev/Cargo.toml"));
    assert!(!changed(&plan).iter().any(|p| p.starts_with("xtask")), "{:?}", changed(&plan));
    let path = place.plan_with(&InitOptions {
        dependency: Some(Dependency::Path(env!("CARGO_MANIFEST_DIR").into())),
        ci: vec![],
    });
    assert!(path.unwrap().by_hand[0].lines.contains(env!("CARGO_MANIFEST_DIR")));
    write(place.root.join(".cargo/config.toml"), "[alias]\nxtask = \"run --package gone --\"\n");
    let error = place.plan_with(&Place::options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Settings);
}

#[test]
fn an_xtask_that_is_a_workspace_of_its_own_is_shown_the_lines() {
    let own = [
        ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n\n[workspace]\n"),
        ("xtask/src/main.rs", "fn main() {}\n"),
    ];
    let place = Place::with_manifest(LIB, &own);
    let plan = place.init();
    assert_eq!(plan.by_hand.len(), 3);
    assert!(
        plan.by_hand.iter().any(|l| l.lines.contains("--manifest-path xtask/Cargo.toml")),
        "{:?}",
        plan.by_hand
    );
    assert_eq!(place.text("Cargo.toml"), LIB);
}

#[test]
fn what_stands_in_the_way_is_named_and_left() {
    for (path, text) in [("xtask", "a file"), ("xtask/src/main.rs", "fn main() {}\n")] {
        let place = Place::with_manifest(LIB, &[(path, text)]);
        let before = Picture::with_times(&place.root, &[]);
        let error = place.plan_with(&Place::options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Workspace, "{error}");
        assert_same(&Picture::with_times(&place.root, &[]), &before, path);
    }
    // A directory without code is none of an xtask's.
    let place = Place::with_manifest(LIB, &[("xtask/notes.txt", "mine\n")]);
    place.init();
    assert_eq!(place.text("xtask/notes.txt"), "mine\n");
}

// ---- where backstop comes from

#[test]
fn the_dependency_has_to_be_known_and_to_be_backstop() {
    let place = Place::with_manifest(LIB, &[("elsewhere/Cargo.toml", "[package]\nname = \"other\"\n")]);
    let plan = |dependency: Option<Dependency>| place.plan_with(&InitOptions { dependency, ci: vec![] });
    let error = plan(None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.help().unwrap().contains("--path DIR"), "{error:?}");
    for wrong in ["elsewhere", "nowhere", "src"] {
        let error = plan(Some(Dependency::Path(wrong.into()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{wrong}: {error}");
    }
    let manifest = |plan: &InitPlan| {
        plan.changes.iter().find(|c| c.path.ends_with("xtask/Cargo.toml")).unwrap().after.clone()
    };
    // A fake, so that it lies at a known place: beside the workspace, and in it with a workspace of its own.
    let fake = "[package]\nname = \"backstop\"\nedition = \"2021\"\n[features]\ncli = []\n[workspace]\n";
    for (at, given, written) in [
        ("../fake", "../fake", "path = \"../../fake\""),
        ("third/fake", "third/fake", "path = \"../third/fake\""),
    ] {
        write(place.root.join(at).join("Cargo.toml"), fake);
        write(place.root.join(at).join("src/lib.rs"), "pub mod cli {}\n");
        let plan = plan(Some(Dependency::Path(given.into()))).unwrap();
        assert!(manifest(&plan).contains(written), "{}", manifest(&plan));
    }
    let options =
        InitOptions { dependency: Some(Dependency::Path(place.root.join("third/fake"))), ci: vec![] };
    place.init_with(&options);
    assert!(place.text("xtask/Cargo.toml").contains("path = \"../third/fake\""));
    assert!(place.text("Cargo.toml").contains("\"third/fake\""), "{}", place.text("Cargo.toml"));
    assert_eq!(place.members(), ["a", "xtask"]);
}

// ---- CI

#[test]
fn a_job_file_is_made_on_request_and_never_replaced() {
    let place = Place::with_manifest(LIB, &[(".gitlab-ci.yml", "test:\n  script: cargo test\n")]);
    let plan = place.init_with(&InitOptions { ci: vec![Ci::Github, Ci::Gitlab], ..Place::options() });
    assert_eq!(place.text(".gitlab-ci.yml"), "test:\n  script: cargo test\n");
    assert_eq!(plan.by_hand.len(), 1);
    assert!(plan.by_hand[0].lines.contains("cargo xtask backup"));
    let job = place.text(".github/workflows/backstop.yml");
    assert!(job.contains("backup/archives/") && job.contains("BACKSTOP_STORE: backup\n"), "{job}");
}

// ---- all or nothing

#[test]
fn what_cargo_does_not_take_is_taken_back() {
    // A member that is named and missing is not seen by the plan: it comes between plan and outcome.
    let place = Place::with_manifest(LIB, &[]);
    let before = Picture::with_times(&place.root, &[]);
    let plan = place.plan();
    let times = std::fs::metadata(&place.root).unwrap().modified().unwrap();
    write(place.root.join("src/bin/b/broken"), "");
    remove(place.root.join("src/lib.rs"));
    let error = apply(&plan, &Fs::real(), &Interrupt::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Workspace, "{error}");
    assert!(!error.details().is_empty(), "cargo's words are missing");
    write(place.root.join("src/lib.rs"), "");
    remove(place.root.join("src/bin"));
    assert!(std::fs::metadata(&place.root).unwrap().modified().unwrap() >= times);
    let without_times = |p: &Picture| p.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(without_times(&Picture::with_times(&place.root, &[])), without_times(&before));
    assert_eq!(place.text("Cargo.toml"), LIB);
}

#[test]
fn what_changed_since_the_plan_is_not_written_over() {
    let place = Place::with_manifest(LIB, &[]);
    let plan = place.plan();
    write(place.root.join("xtask/Cargo.toml"), "mine");
    let before = Picture::with_times(&place.root, &[]);
    let error = apply(&plan, &Fs::real(), &Interrupt::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    remove(place.root.join("xtask"));
    write(place.root.join("Cargo.toml"), format!("{LIB}# more\n"));
    let error = apply(&plan, &Fs::real(), &Interrupt::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert!(before.0.contains_key(Path::new("xtask/Cargo.toml")) && !place.root.join(".cargo").exists());
}

#[test]
fn a_read_only_file_and_one_that_lies_outside_are_not_changed() {
    let place = Place::with_manifest(LIB, &[]);
    chmod(place.root.join("Cargo.toml"), 0o444);
    let before = Picture::with_times(&place.root, &[]);
    let plan = place.plan();
    let error = apply(&plan, &Fs::real(), &Interrupt::default()).unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    assert_same(&Picture::with_times(&place.root, &[]), &before, "read-only");
    chmod(place.root.join("Cargo.toml"), 0o644);
    // A link within the workspace is followed, and stays one.
    write(place.root.join("conf/cargo.toml"), "[build]\njobs = 2\n");
    mkdir(place.root.join(".cargo"));
    link("../conf/cargo.toml", place.root.join(".cargo/config.toml"));
    place.init();
    assert!(place.root.join(".cargo/config.toml").is_symlink());
    assert!(place.text("conf/cargo.toml").contains(OURS));
    let other = Place::with_manifest(LIB, &[("../outside.toml", "")]);
    mkdir(other.root.join(".cargo"));
    link("../../outside.toml", other.root.join(".cargo/config.toml"));
    let error = apply(&other.plan(), &Fs::real(), &Interrupt::default()).unwrap_err();
    assert!(error.to_string().contains("outside the workspace"), "{error}");
    assert!(!other.root.join("xtask").exists());
}

#[test]
fn new_files_are_as_open_as_the_root_manifest() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::with_manifest(LIB, &[]);
    chmod(place.root.join("Cargo.toml"), 0o640);
    place.init();
    for path in ["Cargo.toml", "xtask/Cargo.toml", "xtask/src/main.rs", ".cargo/config.toml"] {
        assert_eq!(std::fs::metadata(place.root.join(path)).unwrap().mode() & 0o777, 0o640, "{path}");
    }
}

/// The two shapes that differ in their order: the members named, and taken by a glob.
fn to_cut() -> [Place; 2] {
    let named = Place::with_manifest(LIB, &[(".cargo/config.toml", "[build]\njobs = 2\n")]);
    let glob = Place::with_manifest(
        "[workspace]\nresolver = \"2\"\nmembers = [\"*\"]\n",
        &[("a/Cargo.toml", LIB), ("a/src/lib.rs", "")],
    );
    [named, glob]
}

#[test]
fn a_step_that_fails_takes_back_those_before_it() {
    for place in to_cut() {
        let options = InitOptions { ci: vec![Ci::Github], ..Place::options() };
        let before = Picture::take(&place.root, &[]);
        let mut failures = 0;
        for call in 0.. {
            let failer = Arc::new(Failer::at(call, rustix::io::Errno::NOSPC.raw_os_error()));
            let plan = place.plan_with(&options).unwrap();
            let result = apply(&plan, &Fs::probed(failer.clone()), &Interrupt::default());
            let Some(failed) = failer.failed() else {
                result.unwrap();
                break;
            };
            let error = result.expect_err(&failed);
            assert_eq!(error.kind(), ErrorKind::Io, "{failed}: {error}");
            assert_same(&Picture::take(&place.root, &[]), &before, &failed);
            failures += 1;
        }
        assert!(failures > 20, "only {failures} calls were failed");
        assert!(place.members().contains(&"xtask".to_owned()));
    }
}

#[test]
#[ignore = "part of torture: cuts"]
fn a_cut_anywhere_leaves_a_workspace_that_cargo_takes_and_init_completes() {
    let options = InitOptions { ci: vec![Ci::Github], ..Place::options() };
    for place in to_cut() {
        let whole = Place { _temp: TempDir::new(), root: place.root.with_file_name("whole") };
        copy_tree(&place.root, &whole.root);
        whole.init_with(&options);
        let new = Picture::take(&whole.root, &[]);
        let mut cuts = 0;
        for calls in 0.. {
            let cut = Place { _temp: TempDir::new(), root: place.root.with_file_name(format!("cut{calls}")) };
            copy_tree(&place.root, &cut.root);
            let cutter = Arc::new(Cutter::after(calls));
            let result =
                apply(&cut.plan_with(&options).unwrap(), &Fs::probed(cutter.clone()), &Interrupt::default());
            if cutter.refused() == 0 {
                result.unwrap();
                break;
            }
            cuts += 1;
            let when = format!("cut after {calls} calls at {}", cutter.at());
            let plan = cut.plan_with(&options).unwrap_or_else(|e| panic!("{when}: {e}: {:?}", e.details()));
            apply(&plan, &Fs::real(), &Interrupt::default()).unwrap_or_else(|e| panic!("{when}: {e}"));
            assert_same(&Picture::take(&cut.root, &[]), &new, &when);
            remove(&cut.root);
        }
        assert!(cuts > 20, "only {cuts} cuts");
    }
}

#[test]
fn what_somebody_keeps_under_a_temporary_name_is_refused_and_stays() {
    for kept in [".cargo/.xtask.new/notes", ".cargo/.xtask.new", ".Cargo.toml.new", ".cargo/.config.toml.new"]
    {
        let place = Place::with_manifest(LIB, &[(".cargo/config.toml", "[build]\njobs = 2\n")]);
        write(place.root.join(kept), "mine\n");
        let before = Picture::with_times(&place.root, &[]);
        let error = apply(&place.plan(), &Fs::real(), &Interrupt::default()).expect_err(kept);
        assert_eq!(error.kind(), ErrorKind::Workspace, "{error}");
        assert!(error.to_string().contains(".new"), "{error}");
        assert_same(&Picture::with_times(&place.root, &[]), &before, kept);
    }
    // What an earlier run wrote is the start of what is written now.
    let place = Place::with_manifest(LIB, &[]);
    let plan = place.plan();
    write(place.root.join(".Cargo.toml.new"), "[");
    apply(&plan, &Fs::real(), &Interrupt::default()).unwrap();
}

#[test]
fn a_retention_rule_is_written_where_none_is_and_a_backup_goes_by_it() {
    let place = Place::with_manifest(LIB, &[]);
    let changes = place.plan_with(&Place::options()).unwrap().changes;
    let manifest = &changes.iter().find(|change| change.path == Path::new("Cargo.toml")).unwrap().after;
    let rule = "\n[workspace.metadata.backstop.keep] # the rest goes to the trash\nlast = 10\n";
    assert!(manifest.contains(rule), "{manifest}");
    // The rule is the one that a prune has without any, and the settings take it.
    write(
        place.root.join("Cargo.toml"),
        format!("{LIB}[workspace]\n{}", &manifest[manifest.find("[workspace.m").unwrap()..]),
    );
    let cargo = crate::support::cargo();
    let loaded = backstop::workspace::load(&LoadOptions {
        manifest_path: None,
        directory: place.root.clone(),
        cargo,
        env: Default::default(),
    });
    let keep = loaded.unwrap().settings.keep.unwrap();
    assert_eq!(backstop::retention::Rule::from_setting(&keep).unwrap(), backstop::retention::DEFAULT);
    for own in [
        "[workspace.metadata.backstop]\nkeep = { last = 2 }\n",
        "[package.metadata.backstop]\nlabel = \"x\"\n",
    ] {
        let place = Place::with_manifest(&format!("{LIB}{own}"), &[]);
        let changes = place.plan_with(&Place::options()).unwrap().changes;
        assert!(changes.iter().all(|change| !change.after.contains("backstop.keep]")), "{own}");
    }
}
