//! The copied executable brings a workspace back whatever broke in it, wherever it is started, and asks no cargo.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Cli, backstop, copied, path_with, program, spoil};
use crate::support::edit::{self, chmod, is_root, mkdir, remove, write};
use crate::support::tree::{assert_same, copy_tree};
use crate::support::{Picture, World};

/// A workspace with everything that may break.
fn workspace() -> World {
    let world = World::new("virtual");
    write(world.at("Cargo.toml"), "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\", \"xtask\"]\n");
    write(
        world.at("xtask/Cargo.toml"),
        "[package]\nname = \"xtask\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    write(world.at("xtask/src/main.rs"), "fn main() {}\n");
    write(world.at(".cargo/config.toml"), "[alias]\nxtask = \"run --package xtask --\"\n");
    write(world.at("rust-toolchain.toml"), "[toolchain]\nprofile = \"minimal\"\n");
    write(world.at("Cargo.lock"), "version = 4\n");
    world
}

fn kept() -> World {
    let world = workspace();
    backstop(&world.root).arg("backup").ends(0);
    world
}

const BACK: [&str; 4] = ["rollback", "-t", "latest", "-f"];

/// A directory with a `cargo`, `rustc` and `rustup` that leave a mark when somebody calls them.
fn traps(world: &World) -> (PathBuf, PathBuf) {
    let (dir, mark) = (world.temp.path().join("traps"), world.temp.path().join("mark"));
    for name in ["cargo", "rustc", "rustup"] {
        edit::program(
            dir.join(name),
            format!("#!/bin/sh\necho {name} \"$@\" >> '{}'\nexit 1\n", mark.display()),
        );
    }
    (dir, mark)
}

fn trapped(cli: Cli, traps: &Path) -> Cli {
    cli.env("PATH", path_with(traps)).without("CARGO").without("RUSTUP_TOOLCHAIN")
}

#[test]
fn whatever_broke_the_copied_executable_brings_it_back_exactly_and_never_calls_cargo() {
    type Breakage = (&'static str, fn(&Path));
    let breakages: &[Breakage] = &[
        ("the root manifest interrupted", |r| write(r.join("Cargo.toml"), "[workspace]\nmemb")),
        ("the root manifest empty", |r| write(r.join("Cargo.toml"), "")),
        ("the root manifest gone", |r| remove(r.join("Cargo.toml"))),
        ("the root manifest a directory", |r| {
            remove(r.join("Cargo.toml"));
            mkdir(r.join("Cargo.toml"));
        }),
        ("xtask gone", |r| remove(r.join("xtask"))),
        ("xtask's source broken", |r| write(r.join("xtask/src/main.rs"), "fn main( {")),
        (".cargo/config.toml broken", |r| write(r.join(".cargo/config.toml"), "[build\n")),
        (".cargo with flags that rustc refuses", |r| {
            write(r.join(".cargo/config.toml"), "[build]\nrustflags = [\"--frobnicate\"]\n");
        }),
        (".cargo gone", |r| remove(r.join(".cargo"))),
        ("a toolchain that is not there", |r| {
            write(r.join("rust-toolchain.toml"), "[toolchain]\nchannel = \"nightly-1999-01-01\"\n");
        }),
        ("an old toolchain file beside the new", |r| write(r.join("rust-toolchain"), "nightly-1999-01-01\n")),
        ("Cargo.lock full of merge markers", |r| {
            write(r.join("Cargo.lock"), "<<<<<<< HEAD\nversion = 4\n=======\nversion = 3\n>>>>>>> theirs\n");
        }),
        ("a member deleted", |r| remove(r.join("crates/alpha"))),
        ("all members deleted", |r| remove(r.join("crates"))),
        ("a member's manifest broken", |r| {
            write(r.join("crates/alpha/Cargo.toml"), "[package]\nname = \"beta\"\n")
        }),
        ("a directory that became a file", |r| {
            remove(r.join("crates/alpha/src"));
            write(r.join("crates/alpha/src"), "a file\n");
        }),
        ("a file that became a directory", |r| {
            remove(r.join("crates/alpha/src/util.rs"));
            write(r.join("crates/alpha/src/util.rs/mod.rs"), "a directory\n");
        }),
        ("a file that became a link to itself", |r| {
            remove(r.join("crates/alpha/src/util.rs"));
            crate::support::edit::link("util.rs", r.join("crates/alpha/src/util.rs"));
        }),
        ("a member that became a link elsewhere", |r| {
            fs::rename(r.join("crates/alpha"), r.join("crates/alpha2")).unwrap();
            crate::support::edit::link("alpha2", r.join("crates/alpha"));
        }),
        ("files nobody may read or write", |r| {
            chmod(r.join("crates/alpha/src/lib.rs"), 0);
            chmod(r.join("crates/alpha/src"), 0o555);
        }),
        ("a bit of everything", spoil),
        ("everything gone but the store", |r| {
            for entry in fs::read_dir(r).unwrap().map(|e| e.unwrap()).filter(|e| e.file_name() != "backup") {
                remove(entry.path());
            }
        }),
    ];
    let world = kept();
    let (traps, mark) = traps(&world);
    let good = world.picture();
    let mut places = [world.root.clone(), PathBuf::from("/"), world.dir.join("scripts"), world.dir.clone()]
        .into_iter()
        .cycle();
    for (name, break_it) in breakages {
        break_it(&world.root);
        assert!(world.picture() != good, "{name}: nothing broke");
        let cli = copied(&world.dir).args(BACK).at(places.next().unwrap());
        let run = trapped(cli, &traps).run();
        assert!(run.code == Some(0), "{name}: {run:?}");
        assert_same(&world.picture(), &good, name);
        assert!(!mark.exists(), "{name}: it called {}", fs::read_to_string(&mark).unwrap());
    }
    // The traps do catch: a backup calls cargo.
    trapped(backstop(&world.root).arg("backup"), &traps).ends(0);
    assert!(mark.exists());
}

#[test]
fn every_reading_command_works_in_a_broken_workspace_and_never_calls_cargo() {
    let world = kept();
    let (traps, mark) = traps(&world);
    write(world.at("Cargo.toml"), "[workspace\n");
    remove(world.at("xtask"));
    write(world.at(".cargo/config.toml"), "[\n");
    for args in
        [&["list"][..], &["show", "-v"], &["validate", "--all"], &["rollback", "-t", "latest", "--dry-run"]]
    {
        trapped(copied(&world.dir).args(args), &traps).ends(0);
        trapped(backstop(&world.root).args(args), &traps).ends(0);
        trapped(backstop("/").args(args).arg("--manifest-path").arg(world.at("Cargo.toml")), &traps).ends(0);
    }
    trapped(copied(&world.dir).args(BACK), &traps).ends(0);
    trapped(copied(&world.dir).args(["rollback", "--undo", "-f"]), &traps).ends(0);
    trapped(copied(&world.dir).args(["rollback", "--resume"]), &traps).ends(0);
    assert!(!mark.exists(), "it called {}", fs::read_to_string(&mark).unwrap());
}

#[test]
fn what_nobody_may_read_is_brought_back_and_what_nobody_may_enter_is_named() {
    let world = kept();
    if is_root() {
        // Root may read and enter everything: somebody else works here.
        own(world.temp.path(), 65534);
    }
    let good = world.picture();
    let rollback = || {
        copied(&world.dir).args(BACK).with(|c| {
            if is_root() {
                c.uid(65534).gid(65534);
            }
        })
    };
    write(world.at("xtask/src/main.rs"), "changed\n");
    chmod(world.at("xtask/src/main.rs"), 0);
    chmod(world.at("crates/beta/src/main.rs"), 0);
    chmod(world.at("crates/beta/src"), 0o500);
    let run = rollback().ends(0);
    assert!(run.out.contains("crates/beta/src/main.rs"), "{}", run.out);
    assert_same(&world.picture(), &good, "after files that nobody may read");
    // What a closed directory holds, nobody can plan for.
    for mode in [0, 0o600] {
        chmod(world.at("crates/alpha/src"), mode);
        chmod(world.at("crates"), mode);
        let before = crate::support::tree::Picture::take(&world.root, &[&world.at("crates"), &world.dir]);
        rollback().ends(3).complains(&format!("`chmod u+rwx {}`", world.at("crates").display()));
        assert_same(
            &crate::support::tree::Picture::take(&world.root, &[&world.at("crates"), &world.dir]),
            &before,
            "refused",
        );
        // The remedy that it names is one, and leads to the next.
        chmod(world.at("crates"), 0o700);
        rollback().ends(3).complains(&format!("chmod u+rwx {}`", world.at("crates/alpha/src").display()));
        chmod(world.at("crates/alpha/src"), 0o700);
        rollback().ends(0);
        chmod(world.at("crates"), 0o755);
        assert_same(&world.picture(), &good, "after closed directories");
    }
}

fn own(path: &Path, who: u32) {
    std::os::unix::fs::lchown(path, Some(who), Some(who)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        fs::read_dir(path).unwrap().for_each(|e| own(&e.unwrap().path(), who));
    }
}

#[test]
fn it_works_from_the_root_from_below_from_the_top_and_from_a_deleted_directory() {
    let world = kept();
    let good = world.picture();
    let shell = |text: &str| program("/bin/sh", &world.root).args(["-c", text]);
    let absolute = world.dir.join("scripts/backstop");
    let gone = world.temp.path().join("gone");
    for text in [
        "backup/scripts/backstop rollback -t latest -f",
        "cd crates/alpha && ../../backup/scripts/backstop rollback -t latest -f",
        "cd crates/alpha/src && rm -r ../../alpha && $B rollback -t latest -f",
        "cd / && $B rollback -t latest -f",
        "mkdir $G && cd $G && rmdir $G && $B rollback -t latest -f",
        "cd backup/scripts && ./backstop rollback -t latest -f",
        "cd backup && PATH=$PWD/scripts:$PATH && backstop rollback -t latest -f",
    ] {
        spoil(&world.root);
        let run = shell(text).env("B", &absolute).env("G", &gone).run();
        assert!(run.code == Some(0), "{text}: {run:?}");
        assert_same(&world.picture(), &good, text);
    }
}

#[test]
fn the_built_executable_finds_the_store_upwards_also_where_the_directory_is_gone() {
    let world = kept();
    let good = world.picture();
    for dir in ["", "crates/alpha/src", "backup/session_x"] {
        mkdir(world.at(dir));
        spoil(&world.root);
        backstop(world.at(dir)).args(BACK).ends(0);
        remove(world.at("backup/session_x"));
        assert_same(&world.picture(), &good, dir);
    }
    spoil(&world.root);
    let text = "mkdir crates/gone && cd crates/gone && rmdir ../gone && exec \"$B\" rollback -t latest -f";
    program("/bin/sh", &world.root).args(["-c", text]).env("B", super::executable()).ends(0);
    assert_same(&world.picture(), &good, "from a directory that is missing");
    backstop("/").args(BACK).ends(3).complains("no store");
}

#[test]
fn a_moved_workspace_takes_its_store_along() {
    let world = kept();
    let good = world.picture();
    spoil(&world.root);
    let moved = world.temp.path().join("far/away/moved");
    mkdir(moved.parent().unwrap());
    fs::rename(&world.root, &moved).unwrap();
    copied(moved.join("backup")).args(BACK).ends(0);
    assert_same(&Picture::take(&moved, &[&moved.join("backup")]), &good, "after the move");
    backstop(&moved).arg("backup").ends(0);
    backstop(&moved).args(["validate", "--all"]).ends(0);
    assert!(!world.root.exists(), "something was written at the old place");
}

#[test]
fn a_copied_workspace_is_a_workspace_of_its_own() {
    let world = kept();
    let good = world.picture();
    spoil(&world.root);
    let spoilt = (world.picture(), Picture::with_times(&world.dir, &[]));
    let copy = world.temp.path().join("copy");
    copy_tree(&world.root, &copy);
    copied(copy.join("backup")).args(BACK).ends(0);
    assert_same(&Picture::take(&copy, &[&copy.join("backup")]), &good, "the copy");
    assert_same(&world.picture(), &spoilt.0, "the original");
    assert_same(&Picture::with_times(&world.dir, &[]), &spoilt.1, "the original's store");
}

#[test]
fn it_works_without_git_and_cargo_on_the_path() {
    let world = kept();
    let good = world.picture();
    spoil(&world.root);
    for path in ["/nowhere", ""] {
        copied(&world.dir).args(["list"]).env("PATH", path).without("CARGO").without("HOME").ends(0);
        copied(&world.dir).args(BACK).env("PATH", path).without("CARGO").without("HOME").ends(0);
        assert_same(&world.picture(), &good, path);
        spoil(&world.root);
    }
    copied(&world.dir)
        .args(BACK)
        .with(|c| {
            c.env_clear();
        })
        .ends(0);
    assert_same(&world.picture(), &good, "without any environment");
}

#[test]
fn without_git_what_git_would_have_to_judge_stays_and_is_named() {
    let world = workspace();
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "*.secret\n");
    backstop(&world.root).arg("backup").ends(0);
    let good = world.picture();
    write(world.at("crates/alpha/src/lib.rs"), "broken");
    write(world.at("crates/alpha/src/added.rs"), "added\n");
    write(world.at("crates/alpha/my.secret"), "secret\n");
    let run = copied(&world.dir).args(BACK).env("PATH", "/nowhere").ends(0);
    assert!(
        run.out.contains("crates/alpha/src/added.rs") && run.out.contains("crates/alpha/my.secret"),
        "{}",
        run.out
    );
    assert!(world.at("crates/alpha/src/added.rs").exists() && world.at("crates/alpha/my.secret").exists());
    let now = world.picture();
    let lines = good.diff(&now);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    // With git again, what it does not ignore is displaced, and what it ignores stays.
    copied(&world.dir).args(BACK).ends(0);
    remove(world.at("crates/alpha/my.secret"));
    assert_same(&world.picture(), &good, "with git");
}

#[test]
fn a_path_with_spaces_a_quote_and_a_newline_is_a_path() {
    let world = workspace();
    let root = world.temp.path().join("my work\n'it'");
    fs::rename(&world.root, &root).unwrap();
    let report = backstop(&root).arg("backup").ends(0);
    let store = root.join("backup");
    let good = Picture::take(&root, &[&store]);
    spoil(&root);
    for cli in [copied(&store), backstop(root.join("crates")), backstop("/").arg("--store").arg(&store)] {
        cli.args(BACK).ends(0);
        assert_same(&Picture::take(&root, &[&store]), &good, "after the rollback");
        spoil(&root);
    }
    // From elsewhere the printed command is one word for the shell, newline and all.
    copied(&store).args(BACK).ends(0);
    let report2 = backstop("/").arg("backup").arg("--manifest-path").arg(root.join("Cargo.toml")).run();
    spoil(&root);
    for (report, dir) in [(report, root.as_path()), (report2, Path::new("/"))] {
        if report.code == Some(0) {
            program("bash", dir).args(["-c", &format!("{} -f", report.field("Bring it back"))]).ends(0);
        }
    }
    assert_same(&Picture::take(&root, &[&store]), &good, "after the printed commands");
}

#[test]
fn a_workspace_reached_through_a_link_is_the_workspace() {
    let world = kept();
    let good = world.picture();
    let link = world.temp.path().join("link");
    crate::support::edit::link(&world.root, &link);
    let manifest = link.join("Cargo.toml");
    for cli in [
        copied(link.join("backup")),
        backstop(&link),
        backstop(link.join("crates/alpha")),
        backstop("/").arg("--manifest-path").arg(&manifest),
        backstop("/").arg("--store").arg(link.join("backup")),
        backstop("/").env("BACKSTOP_STORE", link.join("backup")),
        backstop("/").arg("--store").arg(link.join("backup")).arg("--manifest-path").arg(&manifest),
    ] {
        spoil(&world.root);
        cli.args(BACK).ends(0);
        assert_same(&world.picture(), &good, "through a link");
    }
    backstop(&link).arg("backup").ends(0);
    assert_eq!(world.listed().iter().filter(|l| !l.is_pre_rollback()).count(), 2);
    backstop(&link).args(["validate", "--all"]).ends(0);
}

#[test]
fn a_store_that_is_itself_a_link_is_used_and_stays_one() {
    let world = workspace();
    let real = world.temp.path().join("disk/points");
    mkdir(&real);
    crate::support::edit::link(&real, &world.dir);
    backstop(&world.root).arg("backup").ends(0);
    assert!(real.join("store.json").exists() && world.dir.is_symlink());
    let good = Picture::take(&world.root, &[]);
    for cli in [copied(&world.dir), copied(&real), backstop(&world.root), backstop(&real)] {
        spoil(&world.root);
        cli.args(BACK).ends(0);
        assert_same(&Picture::take(&world.root, &[]), &good, "with a link to the store");
    }
}

// ---- which store

#[test]
fn a_store_elsewhere_is_found_by_flag_by_variable_by_its_executable_and_from_inside() {
    let world = workspace();
    let store = world.temp.path().join("elsewhere/points");
    backstop(&world.root).args(["backup", "--store"]).arg(&store).ends(0);
    assert!(!world.dir.exists(), "a store was made at the default place too");
    let good = world.picture();
    let relative = "../elsewhere/points";
    for cli in [
        backstop("/").arg("--store").arg(&store),
        backstop(&world.root).args(["--store", relative]),
        backstop("/").env("BACKSTOP_STORE", &store),
        backstop(&world.root).env("BACKSTOP_STORE", relative),
        copied(&store),
        backstop(&store),
        backstop(store.join("logs")),
    ] {
        spoil(&world.root);
        cli.args(BACK).ends(0);
        assert_same(&world.picture(), &good, "from a store elsewhere");
    }
    // Nothing points there from the workspace.
    backstop(&world.root).arg("list").ends(3).complains("--store");
    // What the copied executable backs up is the workspace that the store belongs to.
    copied(&store).arg("backup").ends(0);
    backstop("/").args(["list", "--store"]).arg(&store).ends(0).prints("2 restore points");
    // The workspace moved away: it has to be named, and then it works.
    let moved = world.temp.path().join("moved");
    spoil(&world.root);
    fs::rename(&world.root, &moved).unwrap();
    copied(&store).args(BACK).ends(3).complains("--manifest-path");
    copied(&store).args(BACK).arg("--manifest-path").arg(moved.join("Cargo.toml")).ends(0);
    assert_same(&Picture::take(&moved, &[]), &good, "the moved workspace");
    assert!(!world.root.exists());
}

#[test]
fn a_store_of_another_name_in_the_settings_is_found_without_reading_them() {
    let world = workspace();
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(
        world.at("Cargo.toml"),
        format!("{manifest}\n[workspace.metadata.backstop]\nstore = \"restore points\"\n"),
    );
    write(world.at("backup/precious.txt"), "not a store\n");
    backstop(&world.root).arg("backup").ends(0);
    let store = world.at("restore points");
    assert!(store.join("store.json").exists());
    let good = Picture::take(&world.root, &[&store]);
    for cli in [
        backstop(&world.root),
        backstop(world.at("crates/alpha")),
        backstop("/").arg("--manifest-path").arg(world.at("Cargo.toml")),
        backstop("/").arg("--manifest-path").arg(&world.root),
        copied(&store),
    ] {
        spoil(&world.root);
        write(world.at("Cargo.toml"), "[workspace\n");
        cli.args(BACK).ends(0);
        assert_same(&Picture::take(&world.root, &[&store]), &good, "from a store of another name");
    }
}

#[test]
fn the_flag_beats_the_variable_that_beats_the_manifest_that_beats_the_executables_place_that_beats_the_directory()
 {
    let worlds: Vec<World> = (0..5)
        .map(|i| {
            let world = workspace();
            backstop(&world.root).args(["backup", "-l", &format!("number{i}")]).ends(0);
            world
        })
        .collect();
    let [flag, variable, manifest, executable, directory] = worlds.as_slice() else { unreachable!() };
    for ways in 0..4 {
        let mut cli = copied(&executable.dir).at(&directory.root);
        if ways < 3 {
            cli = cli.arg("--manifest-path").arg(manifest.at("Cargo.toml"));
        }
        if ways < 2 {
            cli = cli.env("BACKSTOP_STORE", &variable.dir);
        }
        if ways < 1 {
            cli = cli.arg("--store").arg(&flag.dir);
        }
        let json = cli.args(["list", "--format", "json"]).ends(0).json();
        assert_eq!(json["restore_points"][0]["label"], json!(format!("number{ways}")));
    }
    let json = backstop(&directory.root).args(["list", "--format", "json"]).ends(0).json();
    assert_eq!(json["restore_points"][0]["label"], json!("number4"));
}
