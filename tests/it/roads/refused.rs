//! What `rollback.sh` does not do: it ends with exit code 3, nothing changed, and names the two others.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use backstop::store::ROLLBACK_SH;

use super::road::{NOBODY, Road, install, tools_without};
use super::run::own;
use crate::cli::path_with;
use crate::support::edit::{self, chmod, is_root, overwrite, write};
use crate::support::tree::assert_same;
use crate::support::{Picture, TempDir, World};

/// A workspace with a restore point, and edited since.
fn edited(temp: TempDir, fixture: &str, store: Option<PathBuf>) -> World {
    let mut world = World::on(temp, fixture);
    if let Some(store) = store {
        world.dir = store;
    }
    world.backup();
    install(&world.dir, crate::cli::executable());
    write(world.at("Cargo.toml"), "broken\n");
    world
}

/// Runs the script, as somebody whom permissions bind if `bound`, and with `PATH` as given.
#[track_caller]
fn assert_refused(world: &World, why: &str, path: Option<PathBuf>, bound: bool) {
    let (tree, store) = (world.picture(), Picture::take(&world.dir.join("rollback"), &[]));
    let cli = Road::Bash.start(&world.dir).args(["-t", "latest", "-f"]);
    let cli = match path {
        Some(path) => cli.env("PATH", path),
        None => cli,
    };
    let run = cli.with(|command| {
        if bound && is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
    });
    let run = run.run();
    assert_eq!(run.code, Some(3), "{run:?}");
    for text in [why, "nothing was changed", "scripts/rollback.py", "scripts/backstop"] {
        assert!(run.err.contains(text), "{why}: no {text:?} in {run:?}");
    }
    assert_same(&world.picture(), &tree, why);
    assert_same(&Picture::take(&world.dir.join("rollback"), &[]), &store, why);
    assert_eq!(fs::read_to_string(world.dir.join("state")).unwrap(), "idle\n", "{why}");
}

#[test]
fn what_the_bash_script_does_not_do_it_refuses_and_names_the_others() {
    if !Road::here().contains(&Road::Bash) {
        return;
    }
    let plain = || edited(TempDir::new(), "virtual", None);
    match TempDir::apart() {
        None => eprintln!("skipped: there is only one file system to write to"),
        Some((other, temp)) => {
            let world = edited(temp, "virtual", Some(other.path().join("points")));
            assert_refused(&world, "the store on the file system of the workspace", None, false);
        }
    }
    let world = edited(TempDir::new(), "outside", None);
    assert_refused(&world, "a restore point without directories outside the workspace", None, false);
    if is_root() && !Road::Bash.runs_for(NOBODY) {
        eprintln!("skipped: nobody but root can run bash");
    } else {
        let world = plain();
        write(world.at("crates/alpha/src/lib.rs"), "edited\n");
        if is_root() {
            own(world.temp.path());
        }
        chmod(world.at("crates/alpha/src"), 0o555);
        assert_refused(&world, "the right to write to directory ./crates/alpha/src", None, true);
        chmod(world.at("crates/alpha/src"), 0o755);
        chmod(world.at("crates"), 0);
        assert_refused(&world, "the right to read directory ./crates", None, true);
        chmod(world.at("crates"), 0o755);
    }
    let world = plain();
    let tools = tools_without(world.temp.path(), &["flock"]);
    assert_refused(&world, "needs `flock`", Some(tools), false);
    for tool in ["mv", "find", "tar"] {
        let world = plain();
        let dir = world.temp.path().join("stubs");
        edit::program(dir.join(tool), "#!/bin/sh\necho 'BusyBox v1.37.0'\n");
        assert_refused(&world, &format!("GNU's `{tool}`"), Some(path_with(&dir).into()), false);
    }
    // No old bash is at hand: one that is asked for what no bash has yet.
    let world = plain();
    overwrite(world.dir.join("scripts").join(ROLLBACK_SH), |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(">= 404))"));
        *bytes = text.replace(">= 404))", ">= 9904))").into_bytes();
    });
    assert_refused(&world, "bash 4.4 or later", None, false);
}

/// Who may write to a file but does not own it may give it new content and the present as its time, and no mode.
#[test]
fn a_colleagues_files_come_back_by_a_script_and_a_mode_that_is_the_colleagues_to_change_is_refused() {
    const COLLEAGUE: u32 = 12345;
    if !is_root() {
        return eprintln!("skipped: only root can run a script as one user on the files of another");
    }
    for road in [Road::Bash, Road::Python].into_iter().filter(|road| Road::here().contains(road)) {
        if !road.runs_for(NOBODY) {
            eprintln!("skipped: nobody but root can run {road:?}");
            continue;
        }
        let world = World::new("virtual");
        chmod(world.temp.path(), 0o755);
        open_to_all(&world.root, COLLEAGUE);
        world.backup();
        install(&world.dir, crate::cli::executable());
        own(&world.dir);
        let run = || {
            let cli = road.start(&world.dir).args(["-t", "latest", "-f"]);
            let as_nobody = |command: &mut std::process::Command| {
                command.uid(NOBODY).gid(NOBODY);
            };
            cli.with(as_nobody).run()
        };
        let new = world.picture();
        fs::write(world.at("crates/alpha/README.md"), "edited\n").unwrap();
        let done = run();
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(world.picture().0.keys().collect::<Vec<_>>(), new.0.keys().collect::<Vec<_>>());
        assert_ne!(fs::read_to_string(world.at("crates/alpha/README.md")).unwrap(), "edited\n");
        chmod(world.at("crates/alpha/src/lib.rs"), 0o606);
        let (before, refused) = (world.picture(), run());
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(refused.err.contains("crates/alpha/src/lib.rs"), "{refused:?}");
        assert_same(&world.picture(), &before, "refused");
    }
}

/// Gives everything to a user, and lets everybody write to it.
fn open_to_all(path: &std::path::Path, owner: u32) {
    std::os::unix::fs::lchown(path, Some(owner), Some(owner)).unwrap();
    let meta = path.symlink_metadata().unwrap();
    if meta.is_dir() {
        chmod(path, 0o777);
        fs::read_dir(path).unwrap().for_each(|e| open_to_all(&e.unwrap().path(), owner));
    } else if meta.is_file() {
        chmod(path, 0o666);
    }
}
