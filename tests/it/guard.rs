//! The build's guard, in workspaces that real cargo builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use backstop::rollback::RollbackOptions;

use crate::cli::{Cli, Run, backstop, copied, cut, program};
use crate::support::edit::{link, mkdir, overwrite, remove, write};
use crate::support::tree::copy_tree;
use crate::support::{TempDir, World};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// A guarded package `app`, an unguarded one, and no git.
fn workspace(guard: &str) -> World {
    let world = World::new("single");
    let root = &world.root;
    remove(root.join("src"));
    write(root.join("Cargo.toml"), "[workspace]\nresolver = \"2\"\nmembers = [\"app\", \"plain\"]\n");
    guarded(&root.join("app"), "app", guard);
    package(&root.join("plain"), "plain", "");
    ["a.txt", "b.txt"].iter().for_each(|name| write(root.join("plain").join(name), "as it was\n"));
    give_compiled_guard(&world);
    world
}

/// The guarded package alone, at the root.
fn single(guard: &str) -> World {
    let world = World::new("single");
    guarded(&world.root, "app", guard);
    give_compiled_guard(&world);
    world
}

/// The guard's library compiled, as cargo left it in a workspace of its own: so it is not compiled anew in each.
fn give_compiled_guard(world: &World) {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    let compile = || {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guard");
        package(&place, "seed", &format!("{}\n[workspace]\n", dependency()));
        build_script(&place, "");
        let seed = World::opened(TempDir::new(), place.clone());
        check(&seed).ends(0);
        place.join("target")
    };
    copy_tree(TARGET.get_or_init(compile), &world.at("target"));
}

/// The build-dependency as the guard's page has it, with this repository for its address.
fn dependency() -> String {
    let page = fs::read_to_string(Path::new(REPOSITORY).join("src/build_script/GUARD.md")).unwrap();
    let block = page.split("[build-dependencies]\n").nth(1).unwrap().split("```").next().unwrap();
    let here = block.replace("git = \"…\"", &format!("path = {REPOSITORY:?}"));
    assert_ne!(here, block);
    format!("[build-dependencies]\n{here}")
}

fn package(dir: &Path, name: &str, more: &str) {
    let head = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}");
    write(dir.join("Cargo.toml"), head);
    write(dir.join("src/lib.rs"), "");
}

/// A package whose build script counts its runs, so that nothing depends on what cargo prints.
fn guarded(dir: &Path, name: &str, guard: &str) {
    package(dir, name, &dependency());
    build_script(dir, guard);
    write(dir.join("data/words.txt"), "one\n");
}

fn build_script(dir: &Path, guard: &str) {
    let text = format!(
        "use backstop::build_script::*;\nfn main() {{\n    let runs = std::path::Path::new(&std::env::var(\"OUT_DIR\").unwrap()).join(\"runs\");\n    \
         let n: u32 = std::fs::read_to_string(&runs).map_or(0, |t| t.parse().unwrap());\n    \
         std::fs::write(&runs, (n + 1).to_string()).unwrap();\n    let _ = (DrillLevel::Tests, Policy::Off);\n    \
         Guard::new(){guard}.check();\n}}\n"
    );
    write(dir.join("build.rs"), text);
}

fn cargo(world: &World) -> Cli {
    let cargo = crate::support::cargo();
    program(cargo, &world.root)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TERM_COLOR", "never")
        .env("RUSTFLAGS", "-Cdebuginfo=0")
}

fn check(world: &World) -> Cli {
    cargo(world).args(["check", "--offline", "--workspace"])
}

/// How often the build script of a package ran, all its output directories together.
fn runs(world: &World, package: &str) -> u32 {
    let build = world.at("target/debug/build");
    let dirs = fs::read_dir(build).unwrap().map(|e| e.unwrap().path());
    let own = dirs.filter(|d| {
        d.file_name().unwrap().to_str().unwrap().rsplit_once('-').is_some_and(|(name, _)| name == package)
    });
    own.filter_map(|d| fs::read_to_string(d.join("out/runs")).ok()).map(|t| t.parse::<u32>().unwrap()).sum()
}

/// Builds well, and gives how often the guard ran for it.
#[track_caller]
fn built(world: &World) -> u32 {
    let before = if world.at("target/debug/build").exists() { runs(world, "app") } else { 0 };
    check(world).ends(0);
    runs(world, "app") - before
}

/// What cargo says on lines that begin so.
fn lines(run: &Run, start: &str) -> Vec<String> {
    run.err.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

/// The one error that the guard gives.
#[track_caller]
fn refused(run: Run) -> String {
    let run = run.ended(101);
    let found = lines(&run, "error: app@0.1.0: ");
    assert_eq!(found.len(), 1, "{}", run.err);
    found[0].clone()
}

#[track_caller]
fn backup(world: &World) {
    backstop(&world.root).arg("backup").ends(0);
}

/// Cuts a rollback to the newest restore point off in its middle, after an edit of what cargo never reads.
fn cut_off(world: &World) {
    for name in ["a.txt", "b.txt"] {
        write(world.at("plain").join(name), "edited\n");
    }
    let edited = world.picture();
    world.clock.set(SystemTime::now());
    cut(world, world.plan(&RollbackOptions::default()));
    assert!(world.picture() != edited, "the cut was not partly rolled back");
}

#[test]
fn a_tree_that_is_half_rolled_back_is_not_built_and_is_once_the_rollback_ended() {
    for (policy, end) in [("", "--resume"), (".policy(Policy::Warn)", "--abort")] {
        let world = workspace(policy);
        backup(&world);
        check(&world).ends(0);
        cut_off(&world);
        let executable = world.dir.join("scripts/backstop");
        for _ in 0..2 {
            let text = refused(check(&world).run());
            eprintln!("{text}");
            for way in ["resume", "abort"] {
                assert!(text.contains(&format!("`{} rollback --{way}`", executable.display())), "{text}");
            }
        }
        copied(&world.dir).args(["rollback", end]).ends(0);
        check(&world).ends(0);
        assert_eq!(built(&world), 0, "the build after that");
    }
}

#[test]
fn the_journal_alone_says_that_a_rollback_was_cut_off_and_off_does_not_ask() {
    let world = workspace("");
    world.backup();
    let state = world.dir.join("state");
    // The mark that is watched is written before the journal: nothing was moved yet.
    write(&state, "rollback 20300101_000000\n");
    check(&world).ends(0);
    write(world.dir.join("rollback/journal"), "");
    write(&state, "rollback 20300101_000000\n");
    assert!(refused(check(&world).run()).contains("partly rolled back"));
    check(&world).env("BACKSTOP_GUARD", "off").ends(0);
    refused(check(&world).env("BACKSTOP_GUARD", "warn").run());
    remove(world.dir.join("rollback/journal"));
    write(&state, "idle\n");
    check(&world).ends(0);
}

/// Leaves the marks of a rollback that was interrupted.
fn mark_cut(store: &Path) {
    write(store.join("rollback/journal"), "");
    write(store.join("state"), "rollback 20300101_000000\n");
}

#[test]
#[ignore = "part of torture: builds"]
fn two_builds_in_a_row_and_one_after_a_backup_run_nothing() {
    for world in [workspace(""), single("")] {
        assert_eq!(built(&world), 1);
        assert_eq!(built(&world), 0, "the second build, without a store");
        backup(&world);
        assert_eq!(built(&world), 0, "after the birth of the store");
        write(world.at("Cargo.toml"), fs::read(world.at("Cargo.toml")).unwrap());
        build_script(
            if world.at("app").exists() { world.at("app") } else { world.root.clone() }.as_path(),
            "",
        );
        assert_eq!(built(&world), 1, "now with a store");
        assert_eq!(built(&world), 0);
        backup(&world);
        backstop(&world.root).arg("validate").ends(0);
        let run = check(&world).arg("-v").ends(0);
        assert!(run.err.contains("Fresh app v0.1.0"), "{}", run.err);
        assert!(!run.err.contains("Dirty"), "{}", run.err);
    }
}

#[test]
#[ignore = "part of torture: builds"]
fn a_rollback_in_a_store_that_was_born_after_the_last_build_is_noticed() {
    for store in ["backup", "kept/elsewhere"] {
        let world = workspace(&format!(".store({store:?})"));
        assert_eq!(built(&world), 1);
        assert_eq!(built(&world), 0);
        backstop(&world.root).args(["--store", store, "backup"]).ends(0);
        assert_eq!(built(&world), 0, "the birth alone makes nothing run");
        let world = World { dir: world.at(store), ..world };
        cut_off(&world);
        refused(check(&world).run());
        copied(&world.dir).args(["rollback", "--abort"]).ends(0);
        check(&world).ends(0);
        assert_eq!(built(&world), 0);
    }
}

#[test]
fn what_is_asked_for_is_said_in_one_line_and_denied_warned_of_or_left_alone() {
    let world = workspace(".restore_point().validated().drilled(DrillLevel::Compiles)");
    // Before the first backup it is not known what the xtask is built from.
    let run = check(&world).ends(0);
    let found = lines(&run, "warning: app@0.1.0: ");
    assert_eq!(found.len(), 1, "{}", run.err);
    let text = refused(check(&world).env("BACKSTOP_GUARD", "deny").run());
    let ways = format!(
        "make one: cargo xtask backup, or without a build: backstop --store {} backup",
        world.dir.display()
    );
    assert!(text.contains("no restore point") && text.ends_with(&ways), "{text}");
    assert_eq!(found[0].trim_start_matches("warning: "), text.trim_start_matches("error: "));
    check(&world).env("BACKSTOP_GUARD", "off").ends(0);
    let warned = check(&world).env("BACKSTOP_GUARD", "warn").ends(0);
    assert_eq!(lines(&warned, "warning: app@0.1.0: ").len(), 1, "{}", warned.err);
    let again = check(&world).env("BACKSTOP_GUARD", "warn").ends(0);
    assert_eq!(lines(&again, "warning: app@0.1.0: ").len(), 1, "a warning is said again");

    backup(&world);
    let cured = check(&world).env("BACKSTOP_GUARD", "warn").ends(0);
    let warnings = lines(&cured, "warning: app@0.1.0: ");
    assert_eq!(warnings.len(), 2, "what the backup cured is not said any more: {}", cured.err);
    assert!(warnings[0].contains("never validated") && warnings[1].contains("never drilled"), "{warnings:?}");
    backstop(&world.root).arg("validate").ends(0);
    let text = refused(check(&world).run());
    assert!(text.contains("was never drilled, and `compiles` is asked for"), "{text}");
    let without = format!(
        "without a build: {} validate --drill=compiles",
        world.dir.join("scripts/backstop").display()
    );
    assert!(
        text.contains("do: cargo xtask validate --drill=compiles, or ") && text.ends_with(&without),
        "{text}"
    );
    backstop(&world.root).args(["validate", "--drill=manifest"]).ends(0);
    assert!(refused(check(&world).run()).contains("drilled to `manifest` only"));
    // The store writes it at the end of its own drills. One that compiles takes long, and fails here: the package is
    // built from this repository by an absolute path.
    let guard = fs::read_to_string(world.dir.join("guard")).unwrap();
    assert!(guard.contains("\ndrilled manifest "), "{guard}");
    write(world.dir.join("guard"), guard.replace("\ndrilled manifest ", "\ndrilled tests "));
    check(&world).ends(0);
    write(world.dir.join("guard"), guard.replace("\nvalidated passed ", "\nvalidated failed "));
    write(world.at("app/data/words.txt"), "again\n");
    let run = check(&world).env("BACKSTOP_GUARD", "warn").ends(0);
    assert!(run.err.contains("failed its last validation; see: cargo xtask validate, or "), "{}", run.err);
    write(world.dir.join("guard"), guard.replace("\ndrilled manifest ", "\ndrilled tests "));
    check(&world).ends(0);
    assert_eq!(built(&world), 0);
    let unknown = refused(check(&world).env("BACKSTOP_GUARD", "denyy").run());
    assert!(
        unknown.ends_with("BACKSTOP_GUARD is `denyy`, and has to be one of off, warn, deny"),
        "{unknown}"
    );
}

#[test]
fn an_age_is_held_against_the_newest_restore_point_that_no_rollback_made() {
    let world = workspace(".max_age(std::time::Duration::from_secs(7 * 86400))");
    world.clock.set(SystemTime::now() - std::time::Duration::from_secs(9 * 86400));
    world.backup();
    // A newer one of a rollback counts for nothing.
    write(world.at("plain/a.txt"), "edited\n");
    backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_eq!(fs::read_dir(world.dir.join("metadata")).unwrap().count(), 2);
    let text = refused(check(&world).run());
    assert!(text.contains("is 9 days old, and at most 7 days are asked for"), "{text}");
    world.clock.set(SystemTime::now());
    world.backup();
    check(&world).ends(0);
}

#[test]
fn a_package_that_embeds_the_backup_id_is_built_again_after_a_backup_and_others_are_not() {
    let world = workspace(".embed_backup_id()");
    guarded(&world.at("plain"), "plain", "");
    let source =
        "pub const ID: &str = env!(\"BACKSTOP_BACKUP_ID\");\nconst _: () = assert!(ID.len() WANTED);\n";
    write(world.at("app/src/lib.rs"), source.replace("WANTED", "== 0"));
    assert_eq!(built(&world), 1);
    assert_eq!(built(&world), 0);
    backup(&world);
    let plain = runs(&world, "plain");
    check(&world).run().ended(101).complains("evaluation panicked");
    write(world.at("app/src/lib.rs"), source.replace("WANTED", "> 20"));
    check(&world).ends(0);
    assert_eq!(built(&world), 0);
    backup(&world);
    assert_eq!(built(&world), 1);
    assert_eq!(built(&world), 0);
    assert_eq!(runs(&world, "plain"), plain);
    let output =
        fs::read_dir(world.at("target/debug/build")).unwrap().map(|e| e.unwrap().path().join("output"));
    let id = world.latest().backup_id();
    let found = output.filter_map(|p| fs::read_to_string(p).ok()).any(|t| t.contains(&id));
    assert!(found, "{id} is in no output of a build script");
}

#[test]
fn the_files_of_the_package_are_watched_without_hidden_directories_and_other_packages() {
    let world = workspace("");
    write(world.at("app/.hidden/state"), "1");
    package(&world.at("app/tests/fixture"), "fixture", "[workspace]\n");
    assert_eq!(built(&world), 1);
    for (path, ran, why) in [
        ("app/data/words.txt", 1, "a data file that was edited"),
        ("app/data/new.txt", 1, "a new file in a directory"),
        ("app/src/new.rs", 1, "a new file of the source"),
        ("app/Cargo.lock", 0, "a new file beside what stays out"),
        ("app/.hidden/state", 0, "what is hidden"),
        ("app/tests/fixture/src/lib.rs", 0, "a package in the package"),
        ("plain/src/lib.rs", 0, "another package"),
    ] {
        write(world.at(path), format!("// {why}\n"));
        assert_eq!(built(&world), ran, "{why}");
        assert_eq!(built(&world), 0, "{why}: the build after that");
    }
    // Without anything in it that stays out, new files straight in the package's directory are seen too.
    for path in ["app/.hidden", "app/tests"] {
        fs::remove_dir_all(world.at(path)).unwrap();
    }
    write(world.at("app/data/words.txt"), "two\n");
    assert_eq!(built(&world), 1);
    assert_eq!(built(&world), 0);
    write(world.at("app/top.txt"), "new");
    assert_eq!(built(&world), 1, "a new file at the top");
    build_script(&world.at("app"), ".watch_package(false)");
    assert_eq!(built(&world), 1);
    write(world.at("app/data/words.txt"), "three");
    assert_eq!(built(&world), 0, "nobody watches the package");
}

#[test]
#[ignore = "part of torture: builds"]
fn at_the_root_store_target_links_and_other_packages_stay_out_of_the_watch() {
    let world = single("");
    package(&world.at("nested"), "nested", "");
    write(
        world.at("Cargo.toml"),
        fs::read_to_string(world.at("Cargo.toml")).unwrap() + "[workspace]\nmembers = [\"nested\"]\n",
    );
    link("..", world.at("src/up"));
    link("nowhere", world.at("src/gone"));
    backup(&world);
    assert_eq!(built(&world), 1);
    assert_eq!(built(&world), 0);
    backup(&world);
    write(world.at("nested/src/lib.rs"), "// edited\n");
    write(world.at("target/debug/something"), "");
    assert_eq!(built(&world), 0);
    write(world.at("data/words.txt"), "two\n");
    assert_eq!(built(&world), 1);
    write(world.at("data/more.txt"), "new\n");
    assert_eq!(built(&world), 1);
}

#[test]
#[ignore = "part of torture: builds"]
fn a_restore_point_that_does_not_hold_the_package_as_it_is_is_named_with_what_differs() {
    let world = workspace(".covers_package()");
    write(world.at(".gitignore"), "*.tmp\n/app/src/made.rs\n/app/out/\ntarget\n");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    // A source that git ignores is no addition, if it was there when the restore point was made.
    write(world.at("app/src/made.rs"), "// made\n");
    write(world.at("app/out/more.rs"), "// made\n");
    // The lockfile and what Cargo makes are there before the backup.
    check(&world).env("BACKSTOP_GUARD", "off").ends(0);
    let run = backstop(&world.root).arg("backup").ends(0);
    let guard = fs::read_to_string(world.dir.join("guard")).unwrap();
    assert!(guard.contains("\nleft-out out\nleft-out src/made.rs\n"), "{guard}{}", run.err);
    check(&world).ends(0);
    assert_eq!(built(&world), 0);
    write(world.at("plain/src/lib.rs"), "// another package's\n");
    write(world.at("app/scratch.tmp"), "ignored");
    write(world.at("app/new.txt"), "no source");
    write(world.at("app/out/new.rs"), "// made\n");
    check(&world).ends(0);
    let words = world.at("app/data/words.txt");
    write(&words, "one\n");
    assert_eq!(built(&world), 1, "the same bytes with another time");
    // Where only the archive is left, there is nothing to compare with; without that, no restore point.
    let session = world.dir.join(format!("session_{}", world.latest().id));
    let (aside, archives) = (world.temp.path().join("aside"), world.temp.path().join("archives"));
    fs::rename(&session, &aside).unwrap();
    write(&words, "one\n");
    assert!(refused(check(&world).run()).contains("its session directory is missing; make a new one"));
    fs::rename(world.dir.join("archives"), &archives).unwrap();
    build_script(&world.at("app"), ".restore_point()");
    assert!(refused(check(&world).run()).contains(" is missing from `"));
    build_script(&world.at("app"), ".covers_package()");
    fs::rename(&archives, world.dir.join("archives")).unwrap();
    fs::rename(&aside, &session).unwrap();
    backup(&world);
    // What size and time hide, as `touch -r` does.
    write(&words, "one\n");
    backup(&world);
    check(&world).ends(0);
    overwrite(&words, |bytes| bytes.copy_from_slice(b"two\n"));
    write(world.at("app/src/lib.rs"), "");
    assert!(refused(check(&world).run()).contains("data/words.txt changed"));
    write(world.at("app/src/new.rs"), "");
    let text = refused(check(&world).run());
    assert!(
        text.contains("does not hold `app` as it is now: data/words.txt changed, src/new.rs is new;"),
        "{text}"
    );
    remove(&words);
    assert!(refused(check(&world).run()).contains("data/words.txt is missing"));
    backup(&world);
    check(&world).ends(0);
    guarded(&world.at("plain"), "plain", "");
    guarded(&world.at("late"), "late", ".covers_package()");
    write(
        world.at("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"app\", \"plain\", \"late\"]\n",
    );
    check(&world).run().ended(101).complains("it does not hold this package");
}

#[test]
fn a_workspace_that_was_moved_has_nothing_to_rebuild_and_is_guarded() {
    let world = workspace(".restore_point()");
    backup(&world);
    assert_eq!(built(&world), 1);
    let root = world.temp.path().join("moved");
    fs::rename(&world.root, &root).unwrap();
    let world = World { dir: root.join("backup"), root, ..world };
    assert_eq!(built(&world), 0);
    cut_off(&world);
    refused(check(&world).run());
}

#[test]
#[ignore = "part of torture: builds"]
fn a_store_elsewhere_is_found_by_the_environment_the_script_and_the_manifest() {
    let world = workspace(".restore_point()");
    let elsewhere = world.temp.path().join("elsewhere");
    backstop(&world.root).arg("--store").arg(&elsewhere).arg("backup").ends(0);
    refused(check(&world).env("BACKSTOP_GUARD", "deny").run());
    check(&world).env("BACKSTOP_STORE", &elsewhere).env("BACKSTOP_GUARD", "deny").ends(0);
    refused(check(&world).env("BACKSTOP_GUARD", "deny").run());
    build_script(&world.at("app"), &format!(".restore_point().store({elsewhere:?})"));
    assert_eq!(built(&world), 1);
    assert_eq!(built(&world), 0);
    build_script(&world.at("app"), ".restore_point()");
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    let setting = format!("{manifest}\n[workspace.metadata.backstop]\nstore = {elsewhere:?}\n");
    write(world.at("Cargo.toml"), setting);
    check(&world).env("BACKSTOP_GUARD", "deny").ends(0);
    backup(&world);
    let world = World { dir: elsewhere, ..world };
    cut_off(&world);
    refused(check(&world).run());
}

/// Cargo's own copies of a package: nobody rolls them back, and there is no store for them.
#[test]
fn it_does_nothing_in_what_cargo_unpacked() {
    let world = workspace(".restore_point().embed_backup_id()");
    write(world.at("app/src/lib.rs"), "pub const ID: &str = env!(\"BACKSTOP_BACKUP_ID\");\n");
    refused(check(&world).env("BACKSTOP_GUARD", "deny").run());
    // A registry that has backstop: what a published package would find.
    let vendored = world.at("vendored/backstop");
    mkdir(&vendored);
    let listed = program("cp", REPOSITORY).args(["-r", "src"]).arg(&vendored).run();
    listed.ended(0);
    write(
        vendored.join("Cargo.toml"),
        "[package]\nname = \"backstop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\nbuild-script = []\n",
    );
    write(vendored.join(".cargo-checksum.json"), "{\"files\":{}}");
    let source = "[source.crates-io]\nreplace-with = \"here\"\n[source.here]\ndirectory = \"vendored\"\n";
    write(world.at(".cargo/config.toml"), source);
    let run = cargo(&world)
        .args(["package", "--offline", "--allow-dirty", "-p", "app"])
        .env("BACKSTOP_GUARD", "deny")
        .ends(0);
    assert!(run.err.contains("Verifying app"), "{}", run.err);
    // As a dependency that was vendored.
    let app = world.at("vendored/app");
    program("cp", &world.root).args(["-r", "app"]).arg(&app).run().ended(0);
    write(app.join(".cargo-checksum.json"), "{\"files\":{}}");
    package(&world.at("plain"), "plain", "[dependencies]\napp = \"0.1\"\n");
    write(world.at("Cargo.toml"), "[workspace]\nresolver = \"2\"\nmembers = [\"plain\"]\n");
    check(&world).env("BACKSTOP_GUARD", "deny").ends(0);
}

#[test]
#[ignore = "part of torture: builds"]
fn a_path_dependency_beside_the_workspace_is_guarded_by_the_workspace_that_builds_it() {
    let world = workspace("");
    guarded(&world.temp.path().join("beside"), "beside", ".restore_point()");
    package(&world.at("plain"), "plain", "[dependencies]\nbeside = { path = \"../../beside\" }\n");
    let run = check(&world).env("BACKSTOP_GUARD", "deny").run().ended(101);
    assert!(run.err.contains("error: beside@0.1.0: there is no restore point in"), "{}", run.err);
    backup(&world);
    check(&world).ends(0);
    cut_off(&world);
    let run = check(&world).arg("--keep-going").run().ended(101);
    assert!(run.err.contains("error: beside@0.1.0: a rollback was interrupted"), "{}", run.err);
}

#[test]
#[ignore = "part of torture: builds"]
fn it_refuses_to_work_in_an_xtask_and_what_that_depends_on_and_never_stands_in_the_cures_way() {
    for (xtask, alias) in [("xtask", false), ("chores", true)] {
        let world = workspace(".restore_point()");
        guarded(&world.at("tool"), xtask, ".restore_point()");
        let manifest = fs::read_to_string(world.at("tool/Cargo.toml")).unwrap();
        write(world.at("tool/Cargo.toml"), manifest + "[dependencies]\nplain = { path = \"../plain\" }\n");
        package(&world.at("plain"), "plain", "[dependencies]\napp = { path = \"../app\" }\n");
        write(
            world.at("Cargo.toml"),
            "[workspace]\nresolver = \"2\"\nmembers = [\"app\", \"plain\", \"tool\"]\n",
        );
        if alias {
            write(world.at(".cargo/config.toml"), format!("[alias]\nxtask = \"run --package {xtask} --\"\n"));
        }
        check(&world).ends(0);
        backup(&world);
        let guard = fs::read_to_string(world.dir.join("guard")).unwrap();
        for directory in ["app", "plain", "tool"] {
            assert!(guard.contains(&format!("\nxtask {directory}\n")), "{guard}");
        }
        let run = check(&world).ends(0);
        assert_eq!(built(&world), 0);
        assert!(lines(&run, "warning").is_empty(), "{}", run.err);
        cut_off(&world);
        check(&world).ends(0);
        // A wrong word in the environment is no reason either.
        check(&world).env("BACKSTOP_GUARD", "Warn").ends(0);
        check(&world).env("BACKSTOP_GUARD", "deny").ends(0);
        check(&world).ends(0);
        copied(&world.dir).args(["rollback", "--abort"]).ends(0);
        assert_eq!(built(&world), 1);
        // Out of the xtask's way it works again, from the next backup on.
        package(&world.at("plain"), "plain", "");
        backup(&world);
        mark_cut(&world.dir);
        let run = check(&world).run().ended(101);
        assert_eq!(lines(&run, "error: app@0.1.0: a rollback was interrupted").len(), 1, "{}", run.err);
        assert_eq!(lines(&run, &format!("error: {xtask}@0.1.0")).len(), 0, "{}", run.err);
        // Wherever it is known for certain that the way back is being built.
        write(
            world.at(".cargo/config.toml"),
            format!("[alias]\nxtask = \"run --package {xtask} --\"\n[profile.xtask]\ninherits = \"dev\"\n"),
        );
        check(&world).args(["--profile", "xtask"]).ends(0);
    }
}

#[test]
fn without_knowledge_of_the_xtask_a_store_of_an_older_version_is_warned_of_once_and_nothing_refused() {
    let world = workspace(".restore_point().validated().max_age(std::time::Duration::ZERO)");
    backup(&world);
    let path = world.dir.join("guard");
    let whole = fs::read_to_string(&path).unwrap();
    let later = whole.replace("backstop-guard 1", "backstop-guard 2");
    for (text, said) in [
        (None, "is missing or damaged; write it anew: cargo xtask backup, or without a build: "),
        (Some(&whole[..whole.len() - 1]), "is missing or damaged; write it anew"),
        (Some(&whole[..whole.len() / 2]), "is missing or damaged; write it anew"),
        (Some(&later), "is of a later version; update the build-dependency"),
    ] {
        match text {
            None => remove(&path),
            Some(text) => write(&path, text),
        }
        let touch = || write(world.at("app/data/words.txt"), "one\n");
        touch();
        let run = check(&world).ends(0);
        let found = lines(&run, "warning: app@0.1.0: ");
        assert!(found.len() == 1 && found[0].contains(said), "{}", run.err);
        assert!(refused(check(&world).env("BACKSTOP_GUARD", "deny").run()).contains(said));
        mark_cut(&world.dir);
        touch();
        let run = check(&world).ends(0);
        let found = lines(&run, "warning: app@0.1.0: ");
        assert!(found.len() == 1 && found[0].contains("partly rolled back"), "{}", run.err);
        assert!(refused(check(&world).env("BACKSTOP_GUARD", "deny").run()).contains("partly rolled back"));
        remove(world.dir.join("rollback/journal"));
        write(world.dir.join("state"), "idle\n");
    }
    // The next backup writes it anew.
    backup(&world);
    let run = check(&world).run().ended(101);
    assert_eq!(lines(&run, "error: app@0.1.0: ").len(), 2, "{}", run.err);
}

#[test]
fn whatever_changes_what_is_known_of_the_newest_restore_point_writes_it_for_the_guard() {
    let world = workspace("");
    backup(&world);
    backup(&world);
    let path = world.dir.join("guard");
    let whole = fs::read_to_string(&path).unwrap();
    let id = world.latest().backup_id();
    assert!(whole.contains(&format!("\npoint {id} ")) && whole.ends_with("\nend\n"), "{whole}");
    // A plan, a look and a rollback have no business there.
    remove(&path);
    write(world.at("plain/a.txt"), "edited\n");
    for command in [&["rollback", "-t", "latest", "-f"][..], &["list"], &["status"]] {
        backstop(&world.root).args(command.iter().copied()).ends(0);
        assert!(!path.exists(), "{command:?}");
    }
    for command in [
        &["prune", "--keep-last", "1"][..],
        &["recover"],
        &["validate", "--repair"],
        &["validate"],
        &["validate", "--drill=bytes"],
        &["backup"],
    ] {
        backstop(&world.root).args(command.iter().copied()).ends(0);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let without_status = |text: &str| {
            let lines =
                text.lines().filter(|line| !line.starts_with("validated") && !line.starts_with("drilled"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        if command != ["backup"] {
            assert_eq!(without_status(&text), without_status(&whole), "{command:?}");
        }
        assert_eq!(
            text.contains("\nvalidated passed "),
            ["--repair", "validate", "--drill=bytes"].contains(command.last().unwrap()),
            "{text}"
        );
        assert_eq!(text.contains("\ndrilled bytes "), command.contains(&"--drill=bytes"), "{text}");
        remove(&path);
    }
    // The newest is lost, and what is left is said; it comes back, and is the newest again.
    backup(&world);
    let lost = world.latest().backup_id();
    let metadata = world.dir.join(format!("metadata/{lost}.json"));
    let session = world.dir.join(format!("session_{}", world.latest().id));
    fs::rename(&session, world.temp.path().join("lost")).unwrap();
    remove(&metadata);
    write(&path, whole);
    backstop(&world.root).arg("recover").ends(0);
    assert!(fs::read_to_string(&path).unwrap().contains(&format!("\npoint {lost} ")));
}

#[test]
fn a_script_between_two_journals_has_a_rollback_under_way() {
    let world = workspace("");
    backup(&world);
    write(world.dir.join("state"), "rollback 20300101_000000\n");
    check(&world).ends(0);
    write(world.dir.join("rollback/displaced_20300101_000000.list"), "");
    write(world.dir.join("state"), "rollback 20300101_000000\n");
    assert!(refused(check(&world).run()).contains("partly rolled back"));
    write(world.dir.join("rollback/rollback_20300101_000000.journal"), "");
    check(&world).ends(0);
}

#[test]
fn a_package_that_is_built_from_backstop_is_an_xtask_and_may_be_built_from_what_is_patched() {
    let world = workspace("");
    let xtasks = || {
        backup(&world);
        let guard = fs::read_to_string(world.dir.join("guard")).unwrap();
        guard.lines().filter_map(|line| line.strip_prefix("xtask ").map(str::to_owned)).collect::<Vec<_>>()
    };
    let members = |more: &str| {
        let head = "[workspace]\nresolver = \"2\"\nmembers = [\"app\", \"plain\", \"runner\"]\n";
        write(world.at("Cargo.toml"), format!("{head}{more}"));
    };
    let runner = |kind: &str| {
        package(
            &world.at("runner"),
            "runner",
            &format!("[{kind}]\nbackstop = {{ path = {REPOSITORY:?} }}\n"),
        );
    };
    // The guard itself is a build-dependency.
    runner("build-dependencies");
    members("");
    assert!(xtasks().is_empty());
    runner("dependencies");
    let found = xtasks();
    assert!(found.contains(&"runner".to_owned()) && !found.contains(&"plain".to_owned()), "{found:?}");
    // What lies between, in a registry, is not known here.
    members("[patch.crates-io]\nplain = { path = \"plain\" }\n");
    let found = xtasks();
    assert!(found.contains(&"runner".to_owned()) && found.contains(&"plain".to_owned()), "{found:?}");
    assert!(!found.contains(&"app".to_owned()), "{found:?}");
}

#[test]
#[ignore = "part of torture: builds"]
fn an_xtask_that_is_a_workspace_of_its_own_builds_whatever_happens() {
    for (config, target) in [
        ("[alias]\nxtask = \"run --manifest-path tool/Cargo.toml --\"\n", "tool/target"),
        // Found by where the build writes to.
        ("", "tool/target"),
        ("[alias]\nxtask = [\n    \"run\", \"--manifest-path=./tool/Cargo.toml\",\n]\n", "target"),
    ] {
        let world = workspace("");
        write(
            world.at("Cargo.toml"),
            "[workspace]\nresolver = \"2\"\nmembers = [\"app\", \"plain\"]\nexclude = [\"tool\"]\n",
        );
        let name = if config.is_empty() { "xtask" } else { "chores" };
        package(&world.at("tool"), name, "[workspace]\n[dependencies]\napp = { path = \"../app\" }\n");
        write(world.at("tool/src/main.rs"), "fn main() {}\n");
        write(world.at(".cargo/config.toml"), config);
        let xtask = || {
            cargo(&world)
                .args(["run", "--offline", "--manifest-path", "tool/Cargo.toml"])
                .env("CARGO_TARGET_DIR", world.at(target))
        };
        xtask().ends(0);
        backup(&world);
        cut_off(&world);
        xtask().ends(0);
        let guard = fs::read_to_string(world.dir.join("guard")).unwrap();
        assert!(guard.contains("\nxtask app\nxtask tool\n"), "{guard}");
        // Somebody else's build is refused, if it has nothing to do with the xtask.
        guarded(&world.at("plain"), "plain", "");
        backstop(&world.root).args(["rollback", "--abort", "-f"]).ends(0);
        backup(&world);
        mark_cut(&world.dir);
        assert_eq!(lines(&check(&world).run().ended(101), "error: plain@0.1.0: ").len(), 1);
        xtask().ends(0);
    }
}

#[test]
fn below_rust_1_77_it_speaks_the_old_syntax() {
    let world = workspace(".restore_point().embed_backup_id()");
    let manifest = fs::read_to_string(world.at("app/Cargo.toml")).unwrap();
    write(world.at("app/Cargo.toml"), manifest.replace("edition =", "rust-version = \"1.70\"\nedition ="));
    write(world.at("app/src/lib.rs"), "pub const ID: &str = env!(\"BACKSTOP_BACKUP_ID\");\n");
    check(&world).env("BACKSTOP_GUARD", "deny").run().ended(101).complains("there is no restore point in");
    backup(&world);
    check(&world).ends(0);
    assert_eq!(built(&world), 0);
}

#[test]
fn it_writes_in_its_output_directory_alone() {
    let world = workspace(".policy(Policy::Warn).restore_point().embed_backup_id()");
    check(&world).ends(0);
    let without = [world.at("target")];
    let picture =
        || crate::support::Picture::with_times(&world.root, &without.each_ref().map(PathBuf::as_path));
    let before = picture();
    write(world.at("app/data/words.txt"), "one\n");
    let times = picture();
    check(&world).ends(0);
    assert_eq!(picture(), times);
    assert!(before != times, "the picture sees times");
}

#[test]
#[ignore = "part of torture: builds"]
fn what_happens_in_the_store_of_another_workspace_is_none_of_its_business() {
    let (one, other) = (workspace(".restore_point()"), workspace(""));
    backup(&other);
    cut_off(&other);
    let text = refused(check(&one).env("BACKSTOP_STORE", &other.dir).env("BACKSTOP_GUARD", "deny").run());
    assert!(text.contains("is that of the workspace"), "{text}");
    // What the xtask of this one is built from does not stand there.
    let run = check(&one).env("BACKSTOP_STORE", &other.dir).ends(0);
    assert!(lines(&run, "warning: app@0.1.0: ")[0].contains("is that of the workspace"), "{}", run.err);
}

#[test]
#[ignore = "part of torture: builds"]
fn the_root_and_its_store_are_those_that_cargo_means() {
    // A file that a merge left beside the manifest unpacks nothing.
    let world = workspace("");
    backup(&world);
    write(world.at("app/Cargo.toml.orig"), "");
    mark_cut(&world.dir);
    refused(check(&world).run());

    // A package that the workspace above leaves out is a root of its own.
    let world = workspace(".restore_point()");
    write(
        world.at("Cargo.toml"),
        "\u{feff}[workspace]\nresolver = \"2\"\nmembers = [\"app\"] # one\nexclude = [\n    \"other\", # and\n    \"plain\",\n]\n",
    );
    guarded(&world.at("plain"), "app", ".restore_point()");
    let plain = World::opened(TempDir::new(), world.at("plain"));
    assert!(refused(check(&plain).env("BACKSTOP_GUARD", "deny").run()).contains("plain/backup"));
    backstop(&plain.root).arg("backup").ends(0);
    check(&plain).ends(0);
    mark_cut(&plain.root.join("backup"));
    refused(check(&plain).run());
    let text = refused(check(&world).env("BACKSTOP_GUARD", "deny").run());
    assert!(text.contains("place/backup"), "the one above is not its root: {text}");

    // A store whose path no line can hold is watched all the same.
    let world = workspace("");
    let store = world.temp.path().join("a\nb");
    let build = || check(&world).env("BACKSTOP_STORE", &store);
    backstop(&world.root).arg("--store").arg(&store).arg("backup").ends(0);
    build().ends(0);
    mark_cut(&store);
    refused(build().run());

    // The id of another workspace's restore point is not embedded.
    let other = workspace("");
    backup(&other);
    let world = workspace(".embed_backup_id()");
    write(world.at("app/src/lib.rs"), "const _: () = assert!(env!(\"BACKSTOP_BACKUP_ID\").len() == 0);\n");
    check(&world).env("BACKSTOP_STORE", &other.dir).ends(0);
}

#[test]
#[ignore = "part of torture: builds"]
fn a_path_dependency_that_is_a_root_of_its_own_is_guarded_by_who_builds_it_too() {
    let world = workspace("");
    let beside = world.temp.path().join("beside");
    guarded(&beside, "beside", "");
    let manifest = fs::read_to_string(beside.join("Cargo.toml")).unwrap();
    write(beside.join("Cargo.toml"), manifest + "[workspace]\n");
    package(&world.at("plain"), "plain", "[dependencies]\nbeside = { path = \"../../beside\" }\n");
    write(world.at("Cargo.toml"), "[workspace]\nresolver = \"2\"\nmembers = [\"plain\"]\n");
    check(&world).ends(0);
    backup(&world);
    mark_cut(&world.dir);
    let run = check(&world).run().ended(101);
    assert_eq!(lines(&run, "error: beside@0.1.0: a rollback was interrupted").len(), 1, "{}", run.err);
}

#[test]
#[ignore = "part of torture: builds"]
fn what_a_restore_point_covers_is_what_cargo_takes_for_the_package() {
    use std::os::unix::ffi::OsStrExt;
    let world = workspace(".covers_package()");
    package(&world.at("app/tests/fixture"), "fixture", "[workspace]\n");
    write(world.at("app/src").join(std::ffi::OsStr::from_bytes(b"odd\xff")), "");
    check(&world).env("BACKSTOP_GUARD", "off").ends(0);
    backup(&world);
    check(&world).ends(0);
    // Neither watched nor compared: a package of its own.
    write(world.at("app/tests/fixture/src/lib.rs"), "// edited\n");
    build_script(&world.at("app"), ".covers_package() ");
    backup(&world);
    write(world.at("app/tests/fixture/src/lib.rs"), "// again\n");
    check(&world).ends(0);
    link("nowhere", world.at("app/src/dangling.rs"));
    package(&world.at("app/tests/other"), "other", "[workspace]\n");
    build_script(&world.at("app"), ".covers_package()  ");
    let text = refused(check(&world).run());
    assert!(text.contains("src/dangling.rs is new, tests/other is a new package;"), "{text}");
    assert!(!text.contains("fixture") && !text.contains("odd"), "{text}");
}
