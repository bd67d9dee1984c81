//! What stands in the way of a rollback is told with its plan: mount points, immutable files, other owners. And what
//! another owner's checkout allows is done.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{executable, program};
use crate::support::World;
use crate::support::edit::{chmod, copy_program, is_root, write};

/// A user who is in the checkout's group, and is not its owner.
const OTHER: [&str; 6] = ["--reuid", "1001", "--regid", "1001", "--groups", "2000"];

fn ran(command: &str, args: &[&str]) -> bool {
    Command::new(command).args(args).output().is_ok_and(|out| out.status.success())
}

/// A backed-up checkout of user 1000 and group 2000, which may write to all of it; the store is user 1001's.
/// `None` if this is not root.
fn shared_checkout() -> Option<(World, PathBuf, PathBuf)> {
    if !is_root() || !ran("setpriv", &["--version"]) {
        eprintln!("note: other owners are not tried: that takes root and setpriv");
        return None;
    }
    let world = World::new("virtual");
    let (store, bs) = (world.temp.path().join("store"), world.temp.path().join("bs"));
    copy_program(executable(), &bs);
    write(world.at("crates/alpha/data.txt"), "1\n");
    let all =
        |command: &str, what: &str, at: &Path| assert!(ran(command, &["-R", what, at.to_str().unwrap()]));
    let root = world.root.to_str().unwrap();
    let setgid = || assert!(ran("find", &[root, "-type", "d", "-exec", "chmod", "2775", "{}", "+"]));
    all("chmod", "g+w", &world.root);
    setgid();
    program(&bs, &world.root).args(["backup", "--store"]).args([&store]).ends(0);
    all("chown", "1000:2000", &world.root);
    setgid();
    all("chown", "1001:1001", &store);
    chmod(world.temp.path(), 0o755);
    Some((world, store, bs))
}

fn as_other(world: &World, store: &Path, bs: &Path, args: &[&str]) -> crate::cli::Cli {
    let user = program("setpriv", &world.root).args(OTHER).arg(bs).args(["rollback", "--store"]).arg(store);
    user.args(args)
}

#[test]
fn in_a_checkout_that_the_group_may_write_to_contents_go_back_and_keep_their_group() {
    let Some((world, store, bs)) = shared_checkout() else { return };
    let data = world.at("crates/alpha/data.txt");
    fs::write(&data, "2\n").unwrap();
    as_other(&world, &store, &bs, &["-t", "latest", "-f"]).ends(0);
    assert_eq!(fs::read_to_string(&data).unwrap(), "1\n");
    assert_eq!(data.metadata().unwrap().gid(), 2000, "the group of what was there, and of the directory");
    as_other(&world, &store, &bs, &["--undo", "-f"]).ends(0);
    assert_eq!(fs::read_to_string(&data).unwrap(), "2\n");
}

#[test]
fn a_mode_that_only_another_user_may_set_is_named_before_anything_moves() {
    let Some((world, store, bs)) = shared_checkout() else { return };
    let data = world.at("crates/alpha/data.txt");
    chmod(&data, 0o777);
    let before = world.picture();
    for args in [&["-t", "latest", "--dry-run"][..], &["-t", "latest", "-f"]] {
        let run = as_other(&world, &store, &bs, args).ends(3);
        run.complains("data.txt: belongs to another user").complains("nothing was changed");
    }
    assert_eq!(before.diff(&world.picture()), "");
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o777);
}

#[test]
fn another_users_directory_that_may_not_be_written_to_is_named_before_anything_moves() {
    let Some((world, store, bs)) = shared_checkout() else { return };
    write(world.at("crates/beta/src/main.rs"), "fn main() { broken }\n");
    chmod(world.at("crates/beta/src"), 0o755);
    let only = ["-t", "latest", "--dry-run", "--only", "crates/beta/src/main.rs"];
    as_other(&world, &store, &bs, &only).ends(3).complains("lies in another user's directory");
}

#[test]
fn a_mount_point_and_an_immutable_file_are_named_before_anything_moves() {
    if !is_root() || !ran("unshare", &["-m", "true"]) {
        eprintln!("note: mount points are not tried: that takes root");
        return;
    }
    let world = World::new("virtual");
    let bs = executable().to_str().unwrap();
    program(bs, &world.root).arg("backup").ends(0);
    write(world.at("crates/alpha/src/lib.rs"), "broken\n");
    let (file, other) = (world.at("crates/alpha/src/util.rs"), world.temp.path().join("other"));
    write(&other, "other\n");
    let before = world.picture();
    for more in ["--dry-run", "-f"] {
        let script = format!(
            "mount --bind '{}' '{}' && exec '{bs}' rollback -t latest {more}",
            other.display(),
            file.display()
        );
        let run = program("unshare", &world.root).args(["-m", "sh", "-c", &script]).ends(3);
        run.complains("util.rs: is a mount point");
    }
    assert_eq!(before.diff(&world.picture()), "");
    let lib = world.at("crates/alpha/src/lib.rs");
    if !ran("chattr", &["+i", lib.to_str().unwrap()]) {
        eprintln!("note: immutable files are not tried: this file system has none");
        return;
    }
    let run = program(bs, &world.root).args(["rollback", "-t", "latest", "--dry-run"]).run();
    assert!(ran("chattr", &["-i", lib.to_str().unwrap()]));
    run.ended(3).complains("lib.rs: is immutable");
}

#[test]
fn a_mount_point_in_a_package_born_since_leaves_it_and_says_what_cargo_will_say() {
    if !is_root() || !ran("unshare", &["-m", "true"]) {
        eprintln!("note: mount points are not tried: that takes root");
        return;
    }
    let world = World::new("virtual");
    let bs = executable().to_str().unwrap();
    write(world.at(".gitignore"), "/backup/\n/target/\n/crates/*/target/\n");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    program(bs, &world.root).arg("backup").ends(0);
    write(
        world.at("crates/born/Cargo.toml"),
        "[package]\nname = \"born\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    write(world.at("crates/born/src/lib.rs"), "");
    let target = world.at("crates/born/target");
    write(target.join("debug/x"), "built\n");
    let script = format!("mount -t tmpfs none '{}' && exec '{bs}' rollback -t latest -f", target.display());
    let run = program("unshare", &world.root).args(["-m", "sh", "-c", &script]).ends(1);
    run.prints("failed to load manifest for workspace member").prints("crates/born/target");
    assert!(target.join("debug/x").exists() && !world.at("crates/born/src").exists());
}
