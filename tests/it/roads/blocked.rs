//! What keeps a script from carrying out its plan is told with the plan, also by a dry run: exit code 3, nothing changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::road::{NOBODY, Road, install};
use super::run::own;
use crate::cli::{executable, program};
use crate::support::edit::{chmod, is_root, link, mkdir, overwrite, remove, write};
use crate::support::tree::{What, assert_same};
use crate::support::{Picture, World};

fn ran(command: &str, args: &[&str]) -> bool {
    Command::new(command).args(args).output().is_ok_and(|out| out.status.success())
}

fn edited(store: &str) -> World {
    furnished(store, |_| {})
}

fn furnished(store: &str, furnish: fn(&World)) -> World {
    let mut world = World::new("virtual");
    world.dir = world.at(store);
    furnish(&world);
    world.backup();
    install(&world.dir, executable());
    write(world.at("Cargo.toml"), "broken\n");
    write(world.temp.path().join("other/file"), "other\n");
    world
}

/// Runs each script in a mount namespace of its own, in which `setup` was done; `W` stands for the workspace, `O` for a
/// directory beside it. It refuses because of `at`, whether it is a dry run or not.
#[track_caller]
fn assert_refused(world: &World, setup: &str, at: &str, why: &str) {
    let store = || Picture::take(&world.dir, &[]);
    let (tree, kept, other) =
        (world.picture(), store(), Picture::take(&world.temp.path().join("other"), &[]));
    for road in scripts() {
        for more in if setup == "true" { &["--dry-run", "-f"][..] } else { &["-f"] } {
            let words = road.start(&world.dir).args(["-t", "latest", more]).words();
            let script = format!("set -e; cd \"$W\"; {setup}; exec \"$@\"");
            let run = program("unshare", &world.root).args(["-m", "sh", "-c", &script, "sh"]).args(words);
            let run = run.env("W", &world.root).env("O", world.temp.path().join("other")).run();
            assert_eq!(run.code, Some(3), "{road:?} {more} {setup}: {run:?}");
            for text in [at, why, "nothing was changed"] {
                assert!(run.err.contains(text), "{road:?} {more} {setup}: no {text:?} in {run:?}");
            }
            assert_same(&world.picture(), &tree, setup);
            assert_same(&store(), &kept, setup);
            assert_same(&Picture::take(&world.temp.path().join("other"), &[]), &other, setup);
        }
    }
}

#[test]
fn a_mount_point_in_the_way_is_refused_before_anything_moves() {
    if !is_root() || !ran("unshare", &["-m", "true"]) {
        return eprintln!("skipped: mount points take root");
    }
    let world = edited("backup");
    let lib = "crates/alpha/src/lib.rs";
    assert_refused(&world, &format!("mount --bind \"$O/file\" {lib}"), lib, "is a mount point");
    let bind = "mount --bind \"$O\" crates/alpha/src";
    assert_refused(&world, bind, "crates/alpha/src", "is a mount point");
    // What lies behind a mount point in a package that came since is not the workspace's.
    mkdir(world.at("crates/born/my data"));
    write(world.at("crates/born/Cargo.toml"), "[package]\nname = \"born\"\n");
    let born = "crates/born/my data";
    assert_refused(&world, &format!("mount --bind \"$O\" '{born}'"), born, "is a mount point");
    let tmpfs = format!("mount -t tmpfs none '{born}'; echo x > '{born}/x'");
    assert_refused(&world, &tmpfs, born, "");
    // The one of a store, though its device is the same, rollback.py goes across.
    if let Some(bash) = scripts().find(|road| *road == Road::Bash) {
        let words = bash.start(&world.dir).args(["-t", "latest", "--dry-run"]).words();
        let script = "mount --bind backup backup; exec \"$@\"";
        let run = program("unshare", &world.root).args(["-m", "sh", "-c", script, "sh"]).args(words).ends(3);
        run.complains("the store on the file system of the workspace");
    }
    let world = edited("../store");
    let read_only = "mount --bind . .; cd \"$W\"; mount -o remount,bind,ro .";
    assert_refused(&world, read_only, "", "");
}

#[test]
fn what_the_file_system_holds_as_it_is_is_refused_before_anything_moves() {
    let world = edited("backup");
    let lib = world.at("crates/alpha/src/lib.rs");
    write(&lib, "edited\n");
    if !is_root() || !ran("chattr", &["+i", lib.to_str().unwrap()]) {
        return eprintln!("skipped: immutable files take root, chattr, and a file system that has them");
    }
    assert!(ran("chattr", &["-i", lib.to_str().unwrap()]));
    for (flag, at) in
        [("i", "crates/alpha/src/lib.rs"), ("a", "crates/alpha/src/lib.rs"), ("i", "crates/alpha/src")]
    {
        let full = world.at(at);
        assert!(ran("chattr", &[&format!("+{flag}"), full.to_str().unwrap()]));
        let refused = std::panic::catch_unwind(|| {
            assert_refused(
                &world,
                "true",
                at,
                if flag == "i" && at.ends_with("src") { "" } else { "immutable" },
            )
        });
        assert!(ran("chattr", &[&format!("-{flag}"), full.to_str().unwrap()]));
        refused.unwrap();
    }
}

/// Both scripts that can be tested here.
fn scripts() -> impl Iterator<Item = Road> {
    [Road::Bash, Road::Python].into_iter().filter(|road| Road::here().contains(road))
}

#[test]
fn root_does_not_write_into_a_users_store_by_a_script() {
    if !is_root() {
        return eprintln!("skipped: this takes root");
    }
    let world = edited("backup");
    assert!(ran("chown", &["-R", "1000:1000", world.dir.to_str().unwrap()]));
    for (road, more) in scripts().flat_map(|road| [(road, "--dry-run"), (road, "-f")]) {
        let before = (world.picture(), Picture::take(&world.dir, &[]));
        let run = road.start(&world.dir).args(["-t", "latest", more]).ends(3);
        run.complains("root does not write into a user's store").complains("sudo -u '#1000'");
        assert_same(&world.picture(), &before.0, "the workspace");
        assert_same(&Picture::take(&world.dir, &[]), &before.1, "the store");
    }
}

#[test]
fn a_script_follows_no_link_in_a_store() {
    for name in ["rollback", "state", "archives", "rollback/journal"] {
        let world = edited("backup");
        let (inside, away) = (world.dir.join(name), world.temp.path().join("away"));
        match inside.exists() {
            true => fs::rename(&inside, &away).unwrap(),
            false => write(&away, "x"),
        }
        link(&away, &inside);
        for (road, more) in scripts().flat_map(|road| [(road, "--dry-run"), (road, "-f")]) {
            let before = (world.picture(), Picture::take(world.temp.path(), &[]));
            let run = road.start(&world.dir).args(["-t", "latest", more]).ends(3);
            run.complains("link").complains("nothing was changed");
            assert_same(&Picture::take(world.temp.path(), &[]), &before.1, name);
        }
    }
}

#[test]
fn what_an_include_pattern_may_bring_in_is_named_by_the_bash_script() {
    if !Road::here().contains(&Road::Bash) {
        return;
    }
    let world = World::new("virtual");
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(
        world.at("Cargo.toml"),
        manifest + "\n[workspace.metadata.backstop]\ninclude = [\"assets/*.json\"]\n",
    );
    write(world.at("assets/a.json"), "then\n");
    world.backup();
    install(&world.dir, executable());
    write(world.at("assets/b.json"), "since\n");
    write(world.at("assets/b.txt"), "since\n");
    let run = Road::Bash.start(&world.dir).args(["-t", "latest", "-f"]).ends(1);
    let run = run.prints("assets/b.json").prints("an `include` of the settings may bring it in");
    assert!(!run.out.contains("b.txt"), "{run:?}");
}

#[test]
fn a_full_store_on_another_file_system_is_seen_before_anything_moves() {
    if !is_root() || !ran("unshare", &["-m", "true"]) || !Road::here().contains(&Road::Python) {
        return eprintln!("skipped: this takes root, mount namespaces and Python");
    }
    let mut world = World::new("virtual");
    world.dir = world.temp.path().join("points");
    world.backup();
    install(&world.dir, executable());
    remove(world.dir.join("scripts/backstop"));
    write(world.at("crates/alpha/src/lib.rs"), vec![b'x'; 3 << 20]);
    let before = world.picture();
    let setup = "cp -a points spare; mount -t tmpfs -o size=2m none points; cp -a spare/. points";
    let script = format!("set -e; cd \"$W/..\"; {setup}; \"$@\" || code=$?; cat points/state; exit $code");
    let words = Road::Python.start(&world.dir).args(["-t", "latest", "-f"]).words();
    let run = program("unshare", &world.root).args(["-m", "sh", "-c", &script, "sh"]).args(words);
    run.env("W", &world.root).ends(3).prints("idle").complains("lacks");
    assert_same(&world.picture(), &before, "the workspace");
}

#[test]
fn holes_of_a_file_stay_holes_by_each_script() {
    let world = World::new("virtual");
    let at = world.at("crates/alpha/holes.bin");
    write(&at, "begins");
    fs::File::options().write(true).open(&at).unwrap().set_len(8 << 20).unwrap();
    world.backup();
    install(&world.dir, executable());
    for (road, from) in scripts().flat_map(|road| [(road, "session"), (road, "archive")]) {
        remove(&at);
        road.start(&world.dir).args(["-t", "latest", "-f", "--from", from]).ends(0);
        let meta = at.metadata().unwrap();
        assert_eq!(meta.len(), 8 << 20);
        assert!(meta.blocks() * 512 < 1 << 20, "{road:?} from {from}: {} blocks", meta.blocks());
    }
}

#[test]
fn a_script_undoes_nothing_through_a_link_that_came_since() {
    for road in scripts() {
        let world = edited("backup");
        write(world.at("crates/alpha/src/lib.rs"), "edited\n");
        road.start(&world.dir).args(["-t", "latest", "-f"]).ends(0);
        let away = world.temp.path().join("away");
        fs::rename(world.at("crates/alpha"), &away).unwrap();
        link(&away, world.at("crates/alpha"));
        for more in ["--dry-run", "-f"] {
            let before = (world.picture(), Picture::take(&away, &[]));
            let run = road.start(&world.dir).args(["--undo", more]).ends(3);
            run.complains("link").complains("nothing was changed");
            assert_same(&world.picture(), &before.0, "the workspace");
            assert_same(&Picture::take(&away, &[]), &before.1, "behind the link");
            assert_eq!(fs::read_to_string(world.dir.join("state")).unwrap(), "idle\n");
        }
    }
}

#[test]
fn a_colleagues_file_in_a_directory_that_does_not_let_it_go_is_refused_before_anything_moves() {
    const COLLEAGUE: u32 = 12345;
    if !is_root() {
        return eprintln!("skipped: only root can run a script as one user on the files of another");
    }
    let modes: [fn(&World); 2] = [
        |world| chmod(world.at("crates/alpha/src"), 0o1777),
        |world| chmod(world.at("crates/alpha/src"), 0o755),
    ];
    let roads = scripts().filter(|road| road.runs_for(NOBODY));
    for (road, furnish) in roads.flat_map(|road| modes.map(|mode| (road, mode))) {
        let world = furnished("backup", furnish);
        let (src, lib) = (world.at("crates/alpha/src"), world.at("crates/alpha/src/lib.rs"));
        write(&lib, "edited\n");
        own(world.temp.path());
        for path in [&src, &lib] {
            std::os::unix::fs::chown(path, Some(COLLEAGUE), None).unwrap();
        }
        let before = world.picture();
        for more in ["--dry-run", "-f"] {
            let cli = road.start(&world.dir).args(["-t", "latest", more]);
            let as_nobody = |command: &mut Command| {
                command.uid(NOBODY).gid(NOBODY);
            };
            cli.with(as_nobody).ends(3).complains("crates/alpha/src").complains("nothing was changed");
            assert_same(&world.picture(), &before, "refused");
        }
    }
}

/// What somebody writes where the script is about to put a file: a `mv` that does so first.
#[test]
fn the_bash_script_puts_nothing_over_what_appears_while_it_moves() {
    if !Road::here().contains(&Road::Bash) {
        return;
    }
    let world = edited("backup");
    let lib = world.at("crates/alpha/src/lib.rs");
    write(&lib, "edited\n");
    let stub = "#!/bin/sh\nPATH=${PATH#*:}\ncase $* in -nT*lib.rs) echo meanwhile > crates/alpha/src/lib.rs ;; esac\nexec mv \"$@\"\n";
    let dir = world.temp.path().join("stubs");
    crate::support::edit::program(dir.join("mv"), stub);
    let run = || Road::Bash.start(&world.dir).args(["-t", "latest", "-f"]);
    run().env("PATH", crate::cli::path_with(&dir)).ends(4).complains("give the same command again");
    assert_eq!(fs::read_to_string(&lib).unwrap(), "meanwhile\n");
    run().ends(0);
    assert_ne!(fs::read_to_string(&lib).unwrap(), "meanwhile\n");
    let kept: Vec<_> =
        Picture::take(&world.dir.join("rollback"), &[]).0.into_values().map(|node| node.what).collect();
    for text in ["meanwhile\n", "edited\n"] {
        assert!(kept.contains(&What::File(text.into())), "{text:?} is lost");
    }
}

#[test]
fn a_list_that_reads_well_and_is_not_what_was_sealed_is_refused_by_each_script() {
    let world = edited("backup");
    overwrite(world.dir.join("rollback/it_backup_20261123_054000.list"), |bytes| {
        let at = bytes.windows(6).position(|w| w == b"\x000644\0").unwrap();
        bytes[at + 4] = b'6';
    });
    let before = world.picture();
    for road in scripts() {
        road.start(&world.dir).args(["-t", "latest", "-f"]).ends(3).complains("damaged");
        assert_same(&world.picture(), &before, "refused");
    }
}
