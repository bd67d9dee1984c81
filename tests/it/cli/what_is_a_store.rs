//! What counts as a store: unreadable is not absent, what a sweep left is taken up again, `cargo clean` takes none, root
//! writes into nobody's, and no link in one is followed.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Cli, backed_up, backstop, executable, newest, program};
use crate::support::edit::{chmod, copy_program, is_root, link, mkdir, opened, remove, write};
use crate::support::tree::{assert_same, copy_tree};
use crate::support::{Picture, TempDir, World};

/// Takes what `git clean -fdx` takes of a store for a plain user: everything but the sessions, which are read-only.
fn sweep(store: &Path) {
    for entry in fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("session_") {
            remove(path);
        }
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=n", "-c", "user.email=e@x"]).args(args).current_dir(dir);
    let output = git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_sweep_left_of_a_store_is_taken_up_by_a_backup_and_out_of_git() {
    let world = World::new("single");
    git(&world.root, &["init", "-q"]);
    git(&world.root, &["add", "-A"]);
    git(&world.root, &["commit", "-qm", "x"]);
    backstop(&world.root).arg("backup").ends(0);
    let (old, before) = (newest(&world), world.picture());
    sweep(&world.dir);
    write(world.at("src/lib.rs"), "// since\n");
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(3);
    run.complains("was swept").complains("recover");
    backstop(&world.root).arg("backup").ends(0).complains("took up again");
    assert_eq!(git(&world.root, &["status", "--short", "--", "backup"]), "");
    assert!(newest(&world) > old, "ids only rise");
    backstop(&world.root).args(["rollback", "-t", &old, "-f"]).ends(0);
    assert_same(&world.picture(), &before, "after the rollback");
}

#[test]
fn recover_makes_swept_restore_points_whole_and_needs_no_cargo() {
    let world = World::new("virtual");
    backstop(&world.root).arg("backup").ends(0);
    write(world.at("crates/alpha/src/lib.rs"), "// two\n");
    backstop(&world.root).arg("backup").ends(0);
    sweep(&world.dir);
    let inner = world.at("crates/alpha");
    backstop(inner).arg("recover").env("CARGO", "/nowhere").ends(0).prints("2/2 restore points recovered");
    backstop(&world.root).args(["validate", "--all"]).ends(0).prints("2/2 restore points passed");
    // The same with a damaged session: nothing else vouches for it.
    sweep(&world.dir);
    let damaged = world.listed()[0].id.clone();
    let file = world.dir.join(format!("session_{damaged}/files/crates/alpha/src/lib.rs"));
    opened(file.parent().unwrap(), || {
        remove(&file);
        write(&file, "// another\n");
    });
    let run = backstop(&world.root).arg("recover").ends(1);
    assert!(run.out.contains("1/2 restore points recovered"), "{}", run.out);
}

#[test]
fn a_sweep_that_was_stopped_on_its_way_leaves_a_store_that_mends_itself() {
    let world = backed_up();
    for name in [".gitignore", "archives", "checkpoints"] {
        remove(world.dir.join(name));
    }
    backstop(&world.root).arg("backup").ends(0);
    assert_eq!(fs::read_to_string(world.dir.join(".gitignore")).unwrap(), "*\n");
    backstop(&world.root).arg("validate").ends(0);
}

#[test]
fn sessions_among_somebodys_own_files_are_no_store() {
    let world = backed_up();
    sweep(&world.dir);
    write(world.dir.join("notes.txt"), "mine");
    backstop(&world.root).arg("backup").ends(2).complains("not empty");
    assert!(!world.dir.join(".gitignore").exists());
    remove(world.dir.join("notes.txt"));
    // Nor is one without any manifest.
    let id = fs::read_dir(&world.dir).unwrap().next().unwrap().unwrap().path();
    opened(&id, || remove(id.join("backup_manifest.json")));
    backstop(&world.root).arg("backup").ends(2).complains("not empty");
}

/// The executable as a user to whom the permission bits apply; `place` is opened to that user.
fn as_user(place: &Path) -> Option<Cli> {
    if !is_root() {
        return Some(program(executable(), place));
    }
    let copy = place.join("for-a-user");
    copy_program(executable(), &copy);
    chmod(place, 0o755);
    let plain = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let cli = program("setpriv", place).args(plain).arg(&copy);
    let runs = Command::new("setpriv").args(plain).arg(&copy).arg("--version").output();
    runs.is_ok_and(|output| output.status.success()).then_some(cli)
}

#[test]
fn a_store_that_cannot_be_read_is_called_that_and_not_absent() {
    let world = backed_up();
    let place = world.temp.path().to_path_buf();
    if as_user(&place).is_none() {
        eprintln!("skipped: there is no way to run as another user");
        return;
    }
    let closed = |mode| chmod(&world.dir, if is_root() { 0o700 } else { mode });
    closed(0);
    for args in [&["list"][..], &["status", "--check"], &["rollback", "-t", "latest", "-f"], &["recover"]] {
        let run = as_user(&place).unwrap().args(args).at(&world.root).ends(3);
        run.complains("cannot be read");
    }
    let named = as_user(&place).unwrap().args(["list", "--store"]).arg(&world.dir).ends(3);
    let named = named.complains("cannot be read");
    if is_root() {
        named.complains("it belongs to user 0, and this is user 65534").complains("sudo chown -R 65534");
    }
    // A directory of another name that is closed is nobody's business.
    closed(0o700);
    let other = world.temp.path().join("other");
    mkdir(other.join("closed"));
    chmod(other.join("closed"), 0);
    write(other.join("Cargo.toml"), "");
    as_user(&place).unwrap().arg("list").at(&other).ends(3).complains("there is no store");
    chmod(other.join("closed"), 0o700);
}

#[test]
fn a_store_that_cargo_clean_would_take_is_refused() {
    let temp = TempDir::new();
    let root = temp.path().join("ws");
    let manifest = |store: &str| {
        let head =
            "[package]\nname = \"ws\"\nversion = \"0.1.0\"\n[workspace]\n[workspace.metadata.backstop]\n";
        write(root.join("Cargo.toml"), format!("{head}store = \"{store}\"\n"));
    };
    write(root.join("src/lib.rs"), "");
    write(temp.path().join("tagged/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n");
    mkdir(temp.path().join("tagged/inner"));
    mkdir(root.join("target"));
    link("target/points", root.join("way"));
    mkdir(root.join("target/points"));
    for store in ["target/points", "target", "way", "../tagged/inner/points"] {
        manifest(store);
        let run = backstop(&root).args(["backup"]).ends(2);
        run.complains("target directory").complains("cargo clean");
    }
    // Where the target directory lies elsewhere, cargo says where.
    manifest("out/points");
    let run = backstop(&root).arg("backup").env("CARGO_TARGET_DIR", root.join("out")).ends(2);
    run.complains("target directory");
    assert!(!root.join("out").exists() && fs::read_dir(root.join("target/points")).unwrap().next().is_none());
    // Cleaning what holds the whole workspace is another matter.
    let inside = temp.path().join("tagged/inner/ws");
    manifest("points");
    copy_tree(&root, &inside);
    backstop(&inside).arg("backup").ends(0);
}

#[test]
fn root_writes_nothing_into_the_store_of_a_user() {
    if !is_root() {
        eprintln!("skipped: only root can give a store to another user");
        return;
    }
    let world = backed_up();
    write(world.at("crates/alpha/src/lib.rs"), "// since\n");
    let give = |path: &Path| std::os::unix::fs::lchown(path, Some(65534), Some(65534)).unwrap();
    for entry in Picture::take(&world.dir, &[]).0.keys() {
        give(&world.dir.join(entry));
    }
    give(&world.dir);
    remove(world.dir.join("lock"));
    let before = Picture::take(&world.dir, &[]);
    for args in [&["backup"][..], &["rollback", "-t", "latest", "-f"], &["pin"], &["prune"], &["recover"]] {
        let run = backstop(&world.root).args(args).args(["--store", "backup"]).ends(3);
        run.complains("belongs to user 65534").complains("sudo -u '#65534'");
    }
    backstop(&world.root).args(["diff", "--store", "backup"]).ends(1);
    assert_same(&Picture::take(&world.dir, &[]), &before, "after root was refused");
    chown(&world.dir, Some(0), None).unwrap();
    backstop(&world.root).args(["backup", "--store", "backup"]).ends(0);
}

#[test]
fn no_link_in_place_of_a_stores_directory_is_followed() {
    let origin = backed_up();
    for name in ["metadata", "rollback", "scripts", "logs", "cache", "archives", "checkpoints", "trash"] {
        let world = origin.copied();
        let elsewhere = world.temp.path().join("elsewhere");
        let place = world.dir.join(name);
        if place.exists() {
            fs::rename(&place, &elsewhere).unwrap();
        } else {
            mkdir(&elsewhere);
        }
        link(&elsewhere, &place);
        let before = Picture::take(&elsewhere, &[]);
        let all = [&["backup"][..], &["rollback", "-t", "latest", "-f"], &["prune"], &["list"]];
        for args in all.iter().take(if name == "metadata" { 4 } else { 2 }) {
            let run = backstop(&world.root).args(*args).ends(3);
            run.complains("is a link").complains("validate --repair");
        }
        let run = backstop(&world.root).args(["validate", "--repair"]).run();
        assert!(matches!(run.code, Some(0 | 1)), "{name}: {run:?}");
        assert_same(&Picture::take(&elsewhere, &[]), &before, name);
        backstop(&world.root).arg("backup").ends(0);
        assert_same(&Picture::take(&elsewhere, &[]), &before, name);
    }
}

#[test]
fn files_behind_a_link_in_a_session_are_not_the_sessions() {
    let world = backed_up();
    write(world.at("crates/alpha/src/lib.rs"), "// since\n");
    let session: PathBuf = world.dir.join(format!("session_{}", newest(&world)));
    let (files, elsewhere) = (session.join("files/crates/alpha"), world.temp.path().join("elsewhere"));
    copy_tree(&files, &elsewhere);
    opened(files.parent().unwrap(), || {
        remove(&files);
        link(&elsewhere, &files);
    });
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f", "--from", "session"]).ends(3);
    run.complains("damaged");
    backstop(&world.root)
        .args(["rollback", "-t", "latest", "-f"])
        .ends(0)
        .complains("taken from the archive");
    // Nor is a session that is a link itself, or a lock.
    let whole = newest(&world);
    for (name, says) in [(format!("session_{whole}"), "damaged"), ("lock".into(), "symbolic links")] {
        let (place, away) = (world.dir.join(&name), world.temp.path().join(format!("away-{name}")));
        fs::rename(&place, &away).unwrap();
        link(&away, &place);
        write(world.at("crates/alpha/src/lib.rs"), "// since\n");
        let road = ["rollback", "-t", &whole, "-f", "--from", "session"];
        backstop(&world.root).args(road).ends(3).complains(says);
        remove(&place);
        fs::rename(&away, &place).unwrap();
    }
}

#[test]
fn a_store_in_gits_own_directory_is_refused_before_anything_is_made() {
    let world = World::new("single");
    git(&world.root, &["init", "-q"]);
    let dir = world.at(".git/restore-points");
    let run = backstop(&world.root).args(["backup", "--store"]).arg(&dir).ends(2);
    run.complains("lies in the git directory").complains("--store DIR");
    assert!(!dir.exists());
}

#[test]
fn where_it_cannot_be_read_whether_a_rollback_was_interrupted_nothing_is_said_and_the_help_works() {
    let world = backed_up();
    let place = world.temp.path().to_path_buf();
    if as_user(&place).is_none() {
        eprintln!("skipped: there is no way to run as another user");
        return;
    }
    let cli = |args: &[&str]| as_user(&place).unwrap().args(args).args(["--store", "backup"]).at(&world.root);
    let own = |path: &Path| {
        if is_root() {
            std::os::unix::fs::lchown(path, Some(65534), Some(65534)).unwrap();
        }
    };
    let owned: Vec<PathBuf> = Picture::take(&world.dir, &[]).0.keys().map(|e| world.dir.join(e)).collect();
    owned.iter().chain([&world.dir]).for_each(|path| own(path));
    cli(&["list"]).ends(0);
    for name in ["rollback", "state"] {
        chmod(world.dir.join(name), 0);
        let commands = [&["list"][..], &["status"], &["rollback", "-t", "latest", "--dry-run"]];
        let runs = commands.map(|args| cli(args).ends(3).complains("chmod u+rwX"));
        let help = runs[0].err.split_whitespace().collect::<Vec<_>>().join(" ");
        let command = help.split('`').find(|part| part.starts_with("chmod")).unwrap();
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
        cli(&["list"]).ends(0);
    }
}
