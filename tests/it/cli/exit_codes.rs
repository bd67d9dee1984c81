//! Each exit code, reached for real.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use backstop::fsx::{Fs, Op, Probe, Verdict};
use backstop::rollback::{RollbackOptions, RollbackPlan};

use super::{Run, backed_up, backstop, copied, newest, spoil};
use crate::support::edit::{chmod, is_root, mkdir, overwrite, remove, write};
use crate::support::tree::assert_same;
use crate::support::{Picture, TempDir, World};

// ---- 2: the command line or the settings are wrong

#[test]
fn a_wrong_command_line_ends_with_2_and_says_which_word_is_wrong() {
    let world = World::new("virtual");
    for (args, word) in [
        (&["backup", "--frobnicate"][..], "--frobnicate"),
        (&["frobnicate"], "frobnicate"),
        (&["rollback"], "--timestamp"),
        (&["rollback", "-t", "latest", "--undo"], "--undo"),
        (&["rollback", "--resume", "--abort"], "--abort"),
        (&["rollback", "--resume", "--dry-run"], "--dry-run"),
        (&["rollback", "--abort", "--dry-run"], "--dry-run"),
        (&["rollback", "--undo", "--only", "x"], "--only"),
        (&["rollback", "-t", "latest", "--to", "x", "--dry-run"], "--dry-run"),
        (&["rollback", "-t", "latest", "--from", "memory"], "memory"),
        (&["validate", "--all", "-t", "latest"], "--all"),
        (&["--format", "xml", "list"], "xml"),
        (&[], "Usage"),
    ] {
        let run = backstop(&world.root).args(args).ends(2).complains(word);
        assert_eq!(run.out, "", "{args:?}");
    }
    assert!(!world.dir.exists(), "a wrong command line made a store");
}

#[test]
fn help_and_version_end_with_0_on_standard_output() {
    let world = World::new("virtual");
    for (args, word) in [
        (&["--help"][..], "Exit codes:"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["rollback", "--help"], "--dry-run"),
        (&["help", "backup"], "--skip-unchanged"),
    ] {
        let run = backstop(&world.root).args(args).ends(0).prints(word);
        assert_eq!(run.err, "", "{args:?}");
    }
}

#[test]
fn an_unknown_settings_key_ends_with_2_and_names_the_nearest() {
    let world = World::new("virtual");
    let manifest = world.at("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    write(&manifest, format!("{text}\n[workspace.metadata.backstop]\nexlude = [\"x\"]\n"));
    backstop(&world.root)
        .arg("backup")
        .ends(2)
        .complains("`exlude`")
        .complains("`exclude`")
        .complains("Cargo.toml");
    assert!(!world.dir.exists(), "wrong settings made a store");
}

#[test]
fn an_ambiguous_start_of_an_id_ends_with_2_and_names_the_candidates() {
    let world = backed_up();
    let first = newest(&world);
    backstop(&world.root).arg("backup").ends(0);
    let second = newest(&world);
    for command in [&["rollback", "--dry-run", "-t"][..], &["validate", "-t"], &["show"]] {
        backstop(&world.root).args(command).arg("2").ends(2).complains(&first).complains(&second);
    }
}

#[test]
fn a_directory_backup_that_is_no_store_ends_with_2_and_is_left_alone() {
    let world = World::new("virtual");
    write(world.dir.join("photo.jpg"), "holiday");
    let before = Picture::with_times(&world.dir, &[]);
    backstop(&world.root)
        .arg("backup")
        .ends(2)
        .complains("not empty")
        .complains("store = ")
        .complains("--store");
    assert_same(&Picture::with_times(&world.dir, &[]), &before, "after the refusal");
    // An empty one is taken.
    remove(world.dir.join("photo.jpg"));
    backstop(&world.root).arg("backup").ends(0);
}

#[test]
fn a_file_in_the_stores_place_ends_with_2_and_is_left_alone() {
    let world = World::new("virtual");
    write(&world.dir, "a file");
    backstop(&world.root).arg("backup").ends(2).complains("is a file").complains("help: ");
    for args in [&["list"][..], &["validate"], &["rollback", "-t", "latest", "-f"]] {
        let run = backstop(&world.root).args(args).arg("--store").arg(&world.dir).ends(2);
        run.complains("is a file").complains("--store DIR");
    }
    assert_eq!(fs::read_to_string(&world.dir).unwrap(), "a file");
}

#[test]
fn a_store_that_cargo_takes_for_a_member_ends_with_2_and_is_taken_away_again() {
    let world = World::new("virtual");
    for name in ["alpha", "beta"] {
        fs::rename(world.at(format!("crates/{name}")), world.at(name)).unwrap();
    }
    remove(world.at("crates"));
    write(world.at("Cargo.toml"), "[workspace]\nresolver = \"2\"\nmembers = [\"*\"]\n");
    let before = world.picture();
    backstop(&world.root).arg("backup").ends(2).complains("exclude = [\"backup\"]");
    assert!(!world.dir.exists(), "the store was not taken away");
    assert_same(&world.picture(), &before, "after the refusal");
    // The remedy that it names is one.
    write(
        world.at("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"*\"]\nexclude = [\"backup\"]\n",
    );
    backstop(&world.root).arg("backup").ends(0);
}

#[test]
fn a_path_that_names_nothing_ends_with_2() {
    let world = backed_up();
    spoil(&world.root);
    let before = world.picture();
    let base = ["rollback", "-f", "-t", "latest"];
    backstop(&world.root).args(base).args(["--only", "crates/nowhere"]).ends(2).complains("crates/nowhere");
    backstop(&world.root).args(base).args(["-p", "nobody"]).ends(2).complains("nobody");
    assert_same(&world.picture(), &before, "after the refusals");
}

#[test]
fn an_empty_id_or_path_that_a_script_forgot_to_fill_in_ends_with_2_and_widens_nothing() {
    let world = backed_up();
    spoil(&world.root);
    let before = world.picture();
    for args in [
        &["rollback", "-f", "-t", ""][..],
        &["show", ""],
        &["validate", "-t", ""],
        &["rollback", "-f", "-t", "latest", "--only", ""],
        &["rollback", "-f", "-t", "latest", "--only", "/"],
        &["rollback", "-f", "-t", "latest", "-p", ""],
    ] {
        backstop(&world.root).args(args).ends(2);
        assert_same(&world.picture(), &before, &format!("{args:?}"));
    }
    // All of it has a name, and the workspace's own path is one.
    for all in [".", "./", world.root.to_str().unwrap()] {
        let plan =
            backstop(&world.root).args(["rollback", "--dry-run", "-t", "latest", "--only", all]).ends(0);
        plan.prints("crates/beta/src/main.rs");
    }
}

#[test]
fn a_restore_into_a_directory_that_is_in_use_or_in_the_store_ends_with_2() {
    let world = backed_up();
    let before = (world.picture(), Picture::take(&world.dir, &[&world.dir.join("logs")]));
    let to = |dir: &std::path::Path| {
        backstop(&world.root).args(["rollback", "-t", "latest", "--to"]).arg(dir).ends(2);
        assert_same(&world.picture(), &before.0, "the workspace");
        assert_same(&Picture::take(&world.dir, &[&world.dir.join("logs")]), &before.1, "the store");
    };
    to(&world.root);
    to(&world.at("crates"));
    to(&world.dir);
    to(&world.dir.join("new"));
    to(&world.dir.join("cache/new/deeper"));
    crate::support::edit::link(&world.dir, world.temp.path().join("link"));
    to(&world.temp.path().join("link/new"));
    // No directory at all.
    to(&world.at("Cargo.toml"));
    crate::support::edit::link("nowhere", world.temp.path().join("dangling"));
    to(&world.temp.path().join("dangling"));
    assert!(!world.temp.path().join("nowhere").exists());
}

// ---- 3: could not be done

#[test]
fn without_a_store_every_reading_command_ends_with_3_and_says_how_to_name_one() {
    let world = World::new("virtual");
    for args in [
        &["list"][..],
        &["show"],
        &["validate"],
        &["rollback", "-f", "-t", "latest"],
        &["rollback", "--resume"],
    ] {
        backstop(&world.root).args(args).ends(3).complains("no store").complains("--store");
        backstop(&world.root).args(args).args(["--store", "nowhere"]).ends(3).complains("nowhere");
        backstop("/")
            .args(args)
            .arg("--manifest-path")
            .arg(world.at("Cargo.toml"))
            .ends(3)
            .complains("no store");
    }
    assert!(!world.dir.exists(), "looking for a store made one");
}

#[test]
fn an_unknown_id_ends_with_2_names_the_nearest_and_changes_nothing() {
    let world = backed_up();
    spoil(&world.root);
    let before = world.picture();
    let known = world.latest().id.to_string();
    let unknown = format!("{}{}", &known[..10], "99999");
    for args in [
        &["rollback", "-f", "-t"][..],
        &["rollback", "-f"],
        &["validate", "-t"],
        &["validate"],
        &["show"],
        &["pin"],
    ] {
        let said = format!("the nearest are {known}");
        backstop(&world.root).args(args).arg(&unknown).ends(2).complains(&unknown).complains(&said);
    }
    assert_same(&world.picture(), &before, "after the refusals");
}

#[test]
fn a_store_without_restore_points_ends_with_3() {
    let world = backed_up();
    for dir in ["metadata", "archives", "checksums"] {
        remove(world.dir.join(dir));
        mkdir(world.dir.join(dir));
    }
    let session = world.dir.join(format!(
        "session_{}",
        fs::read_dir(&world.dir)
            .unwrap()
            .find_map(|e| { Some(e.unwrap().file_name().to_str()?.strip_prefix("session_")?.to_owned()) })
            .unwrap()
    ));
    remove(session);
    for args in [
        &["show"][..],
        &["validate"],
        &["validate", "--all"],
        &["rollback", "-t", "latest", "-f"],
        &["rollback", "--undo", "-f"],
    ] {
        backstop(&world.root).args(args).ends(3);
    }
    backstop(&world.root).arg("list").ends(0).prints("0 restore points");
}

#[test]
fn a_rollback_that_nobody_can_confirm_ends_with_3_and_changes_nothing() {
    let world = backed_up();
    spoil(&world.root);
    let before = (world.picture(), Picture::with_times(&world.dir, &[&world.dir.join("lock")]));
    // An answer that comes through a pipe is no terminal's.
    for input in ["", "y\n"] {
        backstop(&world.root)
            .args(["rollback", "-t", "latest"])
            .input(input)
            .ends(3)
            .complains("--force")
            .complains("--dry-run")
            .prints("replace  crates/alpha/src/lib.rs");
    }
    backstop(&world.root).args(["rollback", "-t", "latest", "--format", "json"]).ends(3).envelope();
    assert_same(&world.picture(), &before.0, "the workspace after the refusals");
    assert_same(
        &Picture::with_times(&world.dir, &[&world.dir.join("lock")]),
        &before.1,
        "the store after the refusals",
    );
}

#[test]
fn a_file_that_cannot_be_read_ends_a_backup_with_3_and_is_named() {
    if is_root() {
        eprintln!("skipped: root reads everything");
        return;
    }
    let world = World::new("virtual");
    chmod(world.at("crates/alpha/name.txt"), 0);
    backstop(&world.root).arg("backup").ends(3).complains("crates/alpha/name.txt");
    chmod(world.at("crates/alpha/name.txt"), 0o644);
    backstop(&world.root).arg("list").run().prints("0 restore points");
}

#[test]
fn a_workspace_that_cargo_cannot_read_ends_a_backup_with_3_and_leaves_no_store() {
    let world = World::new("virtual");
    write(world.at("Cargo.toml"), "[workspace\n");
    backstop(&world.root).arg("backup").ends(3).complains("Cargo.toml");
    assert!(!world.dir.exists());
    let empty = TempDir::new();
    backstop(empty.path()).arg("backup").ends(3).complains("Cargo.toml");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_store_whose_own_file_is_damaged_or_lost_needs_the_workspaces_name_and_no_more() {
    for lose in [|path: &Path| write(path, "garbage"), |path: &Path| fs::remove_file(path).unwrap()] {
        let world = backed_up();
        let good = world.picture();
        lose(&world.dir.join("store.json"));
        spoil(&world.root);
        for args in [&["list"][..], &["rollback", "-t", "latest", "-f"], &["validate"]] {
            copied(&world.dir).args(args).ends(3).complains("store.json").complains("--manifest-path");
        }
        let manifest = world.at("Cargo.toml");
        let named = |args: &[&str]| copied(&world.dir).args(args).arg("--manifest-path").arg(&manifest);
        named(&["list"]).ends(0);
        named(&["rollback", "-t", "latest", "-f"]).ends(0);
        assert_same(&world.picture(), &good, "after a rollback without store.json");
        // The rollback wrote it anew; what it says of the scripts, the next backup does.
        backstop(&world.root).arg("backup").ends(0);
        backstop(&world.root).arg("validate").ends(0);
    }
}

/// Damages the one file in both copies.
#[test]
fn what_a_validation_said_stands_in_the_restore_points_status() {
    let world = backed_up();
    let status = || {
        let names = fs::read_dir(world.dir.join("metadata")).unwrap().map(|e| e.unwrap().path());
        let found = names.into_iter().find(|p| p.extension().is_some_and(|e| e == "status"));
        found.map(|path| fs::read_to_string(path).unwrap()).unwrap_or_default()
    };
    assert_eq!(status(), "", "nobody has validated it");
    backstop(&world.root).arg("validate").ends(0);
    assert!(status().lines().any(|l| l.starts_with("validated ") && l.ends_with(" passed")), "{}", status());
    damage(&world);
    backstop(&world.root).arg("validate").ends(1);
    assert!(status().lines().any(|l| l.starts_with("validated ") && l.ends_with(" failed")), "{}", status());
}

fn damage(world: &World) {
    let id = newest(world);
    overwrite(world.dir.join(format!("session_{id}/files/crates/alpha/src/lib.rs")), |b| b[0] ^= 1);
    let archive = fs::read_dir(world.dir.join("archives")).unwrap().next().unwrap().unwrap().path();
    overwrite(archive, |b| {
        let half = b.len() / 2;
        b[..half].fill(0);
    });
}

#[test]
fn what_is_damaged_in_both_copies_ends_with_3_and_nothing_is_changed() {
    let world = backed_up();
    damage(&world);
    spoil(&world.root);
    let before = world.picture();
    for more in [&[][..], &["--from", "session"], &["--from", "archive"], &["--dry-run"]] {
        backstop(&world.root)
            .args(["rollback", "-t", "latest", "-f"])
            .args(more)
            .ends(3)
            .complains("crates/alpha/src/lib.rs");
        assert_same(&world.picture(), &before, "after the refusal");
    }
    let elsewhere = world.temp.path().join("elsewhere");
    backstop(&world.root).args(["rollback", "-t", "latest", "--to"]).arg(&elsewhere).ends(3);
    assert!(!elsewhere.exists(), "a restore that failed left its directory");
    // What does not need the damaged bytes can still be had.
    backstop(&world.root)
        .args(["rollback", "-t", "latest", "-f", "--only", "crates/beta", "--from", "session"])
        .ends(0);
    assert!(world.at("crates/beta/src/main.rs").exists());
}

// ---- 1: a check found problems

#[test]
fn findings_end_a_validation_with_1_and_name_the_file() {
    let world = backed_up();
    backstop(&world.root).arg("validate").ends(0).prints("6/6 validations passed");
    damage(&world);
    let run =
        backstop(&world.root).arg("validate").ends(1).prints("FAILED").prints("crates/alpha/src/lib.rs");
    assert!(!run.out.contains("6/6"), "{}", run.out);
    backstop(&world.root).arg("backup").ends(0);
    // The newest is whole, one of all is not.
    backstop(&world.root).arg("validate").ends(0);
    backstop(&world.root).args(["validate", "--all"]).ends(1).prints("1/2 restore points passed");
}

// ---- 4: a rollback was interrupted

/// Refuses every call from a move in the workspace on: a process that was killed partly rolled back.
struct CutAtMove {
    root: std::path::PathBuf,
    store: std::path::PathBuf,
    left: AtomicU64,
    cut: AtomicBool,
}

impl Probe for CutAtMove {
    fn before(&self, op: &Op<'_>) -> Verdict {
        if let Op::Rename { to, .. } = op
            && to.starts_with(&self.root)
            && !to.starts_with(&self.store)
            && self.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.cut.store(true, Ordering::SeqCst);
        }
        if self.cut.load(Ordering::SeqCst) {
            return Verdict::Fail(std::io::Error::other("interrupted"));
        }
        Verdict::Proceed
    }
}

/// Carries a plan out as far as the second move.
pub(crate) fn cut(world: &World, plan: RollbackPlan) {
    let probe = CutAtMove {
        root: world.root.clone(),
        store: world.dir.clone(),
        left: AtomicU64::new(2),
        cut: AtomicBool::new(false),
    };
    let error = world.apply_with(plan, &Fs::probed(Arc::new(probe))).unwrap_err();
    assert_eq!(error.kind(), backstop::ErrorKind::CutOff, "{error}");
}

/// A workspace in which a rollback to the newest restore point was interrupted in its middle; and the states before
/// and after it.
pub(crate) fn cut_off() -> (World, Picture, Picture) {
    let world = backed_up();
    let new = world.picture();
    spoil(&world.root);
    let old = world.picture();
    world.clock.set(SystemTime::now() + Duration::from_secs(1));
    cut(&world, world.plan(&RollbackOptions::default()));
    let between = world.picture();
    assert!(between != old && between != new, "the cut was not partly rolled back");
    (world, old, new)
}

#[track_caller]
fn names_both_ways_out(run: Run, world: &World) {
    let executable = world.dir.join("scripts/backstop");
    run.complains(&format!("{} rollback --resume", executable.display()))
        .complains(&format!("{} rollback --abort", executable.display()));
}

#[test]
fn after_a_cut_what_writes_ends_with_4_and_what_reads_says_so() {
    let (world, ..) = cut_off();
    let between = world.picture();
    for args in [
        &["backup"][..],
        &["backup", "--skip-unchanged"],
        &["rollback", "-t", "latest", "-f"],
        &["rollback", "-t", "latest", "--dry-run"],
        &["rollback", "--undo", "-f"],
    ] {
        names_both_ways_out(backstop(&world.root).args(args).ends(4), &world);
        names_both_ways_out(copied(&world.dir).args(args).ends(4), &world);
    }
    assert_same(&world.picture(), &between, "after the refusals");
    backstop(&world.root).arg("list").ends(0).prints("interrupted").prints("--resume").prints("--abort");
    backstop(&world.root)
        .args(["validate", "--all"])
        .ends(0)
        .prints("no dry run")
        .prints("rollback --resume");
    backstop(&world.root).arg("show").ends(0).prints("Backup ID");
}

#[test]
fn resume_brings_the_new_state_and_nothing_is_left_to_resume() {
    let (world, _, new) = cut_off();
    copied(&world.dir).args(["rollback", "--resume"]).ends(0).prints("Rolled back");
    assert_same(&world.picture(), &new, "after --resume");
    backstop(&world.root).args(["rollback", "--resume"]).ends(0).prints("Nothing to resume");
    backstop(&world.root).args(["rollback", "--abort"]).ends(0).prints("Nothing to abort");
    backstop(&world.root).args(["validate", "--all"]).ends(0);
    backstop(&world.root).arg("backup").ends(0);
}

#[test]
fn abort_brings_the_old_state_and_nothing_is_left_to_abort() {
    let (world, old, new) = cut_off();
    copied(&world.dir).args(["rollback", "--abort"]).ends(0).prints("Taken back");
    assert_same(&world.picture(), &old, "after --abort");
    backstop(&world.root).args(["rollback", "--abort"]).ends(0).prints("Nothing to abort");
    backstop(&world.root).args(["rollback", "--resume"]).ends(0).prints("Nothing to resume");
    backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_same(&world.picture(), &new, "after the second attempt");
}

// ---- 5: another run holds the store

#[test]
fn a_store_that_is_held_ends_with_5_where_nobody_wants_to_wait() {
    let world = backed_up();
    write(world.at("crates/alpha/src/lib.rs"), "changed\n");
    let before = world.picture();
    let lock = fs::File::open(world.dir.join("lock")).unwrap();
    lock.lock().unwrap();
    for args in [
        &["backup"][..],
        &["rollback", "-t", "latest", "-f"],
        &["rollback", "--resume"],
        &["rollback", "--abort"],
        &["validate"],
        &["rollback", "-t", "latest", "--to", "x"],
    ] {
        backstop(&world.root).args(args).arg("--no-wait").ends(5).complains("another run holds the store");
    }
    // Nothing is changed by these, and they wait for nobody.
    backstop(&world.root).arg("list").ends(0);
    backstop(&world.root).arg("show").ends(0);
    backstop(&world.root).args(["rollback", "-t", "latest", "--dry-run", "--no-wait"]).ends(0);
    assert_same(&world.picture(), &before, "after the refusals");
    drop(lock);
    backstop(&world.root).args(["backup", "--no-wait"]).ends(0);
}

#[test]
fn a_store_that_is_held_is_waited_for() {
    let world = backed_up();
    let lock = fs::File::open(world.dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut waiting = backstop(&world.root).arg("backup").spawn();
    std::thread::sleep(Duration::from_millis(600));
    assert!(waiting.is_running(), "it did not wait");
    assert_eq!(world.listed().len(), 1);
    lock.unlock().unwrap();
    waiting.end().ended(0).complains("waiting for another run that holds the store");
    assert_eq!(world.listed().len(), 2);
}

#[test]
fn those_who_only_read_do_not_keep_each_other_out() {
    let world = backed_up();
    let lock = fs::File::open(world.dir.join("lock")).unwrap();
    lock.lock_shared().unwrap();
    backstop(&world.root).args(["validate", "--no-wait"]).ends(0);
    backstop(&world.root).args(["backup", "--no-wait"]).ends(5);
}
