//! What people see: complete, true, clean, and in its place.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use backstop::fsx::{Fs, Op, Probe, Verdict};
use backstop::rollback::{RollbackOptions, restore_to};

use super::{Cli, Run, backed_up, backstop, copied, newest, program, spoil, wait_until};
use crate::support::edit::{self, chmod, mkdir, overwrite, remove, write};
use crate::support::tree::assert_same;
use crate::support::{Picture, World};

/// A repository, so that there is nothing to remark on.
fn quiet_world() -> World {
    let world = World::new("virtual");
    program("git", &world.root).args(["init", "-q", "-b", "main"]).ends(0);
    world
}

// ---- backup

#[test]
fn a_backup_says_all_that_it_has_to_say() {
    let world = quiet_world();
    write(world.at("notes/todo.txt"), "todo\n");
    write(world.at("crates/alpha/target/x"), "x\n");
    let run = backstop(&world.root).args(["backup", "-l", "before"]).ends(0);
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines.contains(&"ALL FILES VERIFIED SUCCESSFULLY"), "{}", run.out);
    let id = newest(&world);
    assert_eq!(run.field("Backup ID"), format!("before_backup_{id}"));
    assert_eq!(run.field("Total files"), "9");
    assert_eq!(run.field("Successful backups"), "9/9");
    let manifest = world.store().manifest(&world.latest()).unwrap();
    assert_eq!(run.field("Root hash"), manifest.root_hash.to_string());
    assert!(run.field("Time taken").ends_with(" s"), "{}", run.out);
    run.prints("9 files · 28 lines · 465 B · 2 packages")
        .prints("Not protected notes/ (1 file)")
        .prints("include = [\"notes/**\"]")
        .prints("target directories: crates/alpha/target");
}

#[test]
fn the_command_that_a_backup_prints_brings_the_state_back() {
    let world = quiet_world();
    let below = world.at("crates/alpha");
    for (dir, args) in [
        (world.root.as_path(), vec!["backup"]),
        (below.as_path(), vec!["backup"]),
        (Path::new("/"), vec!["backup", "--manifest-path", world.at("Cargo.toml").to_str().unwrap()]),
        (world.root.as_path(), vec!["backup", "--store", "../else where"]),
    ] {
        let good = world.picture();
        let printed = backstop(dir).args(&args).ends(0).field("Bring it back").to_owned();
        spoil(&world.root);
        let run = program("/bin/sh", dir).args(["-c", &format!("{printed} -f")]).run();
        assert!(run.code == Some(0), "{printed}: {run:?}");
        assert_same(&world.picture(), &good, &printed);
        let undo = run.field("Undo this").to_owned();
        program("/bin/sh", dir).args(["-c", &format!("{undo} -f")]).ends(0);
        assert!(world.picture() != good, "{undo} undid nothing");
        program("/bin/sh", dir).args(["-c", &format!("{printed} -f")]).ends(0);
        let unchanged = backstop(dir).args(&args).arg("--skip-unchanged").ends(0);
        assert_eq!(unchanged.field("Bring it back"), printed);
        unchanged.prints("Nothing changed since").prints("no restore point was made");
    }
}

#[test]
fn an_xtask_is_told_to_use_cargo_and_the_way_without_it() {
    let world = quiet_world();
    let xtask = world.temp.path().join("xtask");
    edit::copy_program(super::executable(), &xtask);
    let run = program(&xtask, &world.root).arg("backup").ends(0);
    let id = newest(&world);
    assert_eq!(run.field("Bring it back"), format!("cargo xtask rollback -t {id}"));
    assert_eq!(run.field("Without cargo"), format!("backup/scripts/backstop rollback -t {id}"));
}

#[test]
fn verbose_names_each_file_once_and_quiet_says_nothing() {
    let world = quiet_world();
    let files: Vec<String> =
        world.set().entries.iter().map(|e| e.path.to_string()).filter(|p| world.at(p).is_file()).collect();
    assert_eq!(files.len(), 9);
    let plain = backstop(&world.root).arg("backup").ends(0);
    assert_eq!(plain.err, "");
    let verbose = backstop(&world.root).args(["backup", "-v"]).ends(0);
    for file in &files {
        let named = verbose.err.lines().filter(|l| l.ends_with(&format!(" {file}"))).count();
        assert_eq!(named, 1, "{file} in {}", verbose.err);
        assert!(!plain.out.contains(file.as_str()));
    }
    for args in
        [&["backup"][..], &["validate"], &["list"], &["show"], &["rollback", "-t", "latest", "--dry-run"]]
    {
        let run = backstop(&world.root).args(args).arg("-q").ends(0);
        assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""), "{args:?}");
    }
    spoil(&world.root);
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f", "--quiet"]).ends(0);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""));
    let verbose = backstop(&world.root).args(["rollback", "--undo", "-f", "-v"]).ends(0);
    assert!(verbose.err.contains("crates/alpha/name.txt"), "{}", verbose.err);
}

#[test]
fn only_reports_go_to_standard_output_and_no_bar_is_drawn_into_a_pipe() {
    let world = quiet_world();
    for i in 0..400 {
        write(world.at(format!("crates/alpha/data/{i}")), vec![b'x'; 20_000]);
    }
    for args in
        [&["backup"][..], &["validate", "--all"], &["rollback", "-t", "latest", "--dry-run"], &["list"]]
    {
        let run = backstop(&world.root).args(args).ends(0);
        assert_eq!(run.err, "", "{args:?}");
        assert!(!run.out.contains('\r') && !run.out.contains('\u{1b}'), "{args:?}: {}", run.out);
    }
    // What is no report does not come there: notes and the wait.
    remove(world.at(".git"));
    let run = backstop(&world.root).arg("backup").ends(0).complains("note: ");
    assert!(!run.out.contains("note: "), "{}", run.out);
}

#[test]
fn a_backup_of_nothing_is_no_success() {
    let world = quiet_world();
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(
        world.at("Cargo.toml"),
        format!("{manifest}\n[workspace.metadata.backstop]\nexclude = [\"**\", \"*\"]\n"),
    );
    let run = backstop(&world.root).arg("backup").run();
    assert!(matches!(run.code, Some(1..)), "{run:?}");
    assert!(!run.out.contains("VERIFIED"), "{run:?}");
}

#[test]
fn a_validation_that_can_check_nothing_fails() {
    let world = backed_up();
    let listed = world.latest();
    for dir in ["archives", "checksums"] {
        remove(world.dir.join(dir));
        mkdir(world.dir.join(dir));
    }
    remove(world.dir.join(format!("session_{}", listed.id)));
    remove(world.dir.join("scripts/backstop"));
    let run = backstop(&world.root).arg("validate").ends(1);
    for name in ["BACKUP_STRUCTURE", "FILE_INTEGRITY", "CHECKSUMS", "ARCHIVE_INTEGRITY", "ROLLBACK_SCRIPTS"] {
        let line = run.out.lines().find(|l| l.contains(name)).unwrap();
        assert!(line.contains("FAILED"), "{line}");
    }
}

// ---- width and wording

/// No line is wider than 80 columns, but for one that names a path of the world's or a file of the store, or that lists
/// what a command takes.
#[track_caller]
fn assert_narrow(world: &World, text: &str) {
    let place = world.temp.path().display().to_string();
    for line in
        text.lines().filter(|l| !l.contains(&place) && !l.contains("session_") && !l.starts_with("Usage: "))
    {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn nothing_that_is_printed_is_wider_than_80_columns() {
    let world = quiet_world();
    for i in 0..20 {
        write(world.at(format!("notes_{i}/todo.txt")), "todo\n");
        write(world.at(format!("crates/alpha/a_directory_{i}/target/x")), "x\n");
        write(world.at(format!("crates/alpha/src/.git_{i}")), "x\n");
    }
    let message = "before all of the parsers are merged into one, and their tests with them, at long last";
    let run = |args: &[&str]| {
        let run = backstop(&world.root).args(args).run();
        assert_narrow(&world, &run.out);
        assert_narrow(&world, &run.err);
        run
    };
    for command in ["backup", "validate", "checkpoint", "rollback", "list", "show", "diff", "explain"] {
        run(&[command, "--help"]).ended(0);
        run(&[command, "-h"]).ended(0);
    }
    run(&["--help"]).ended(0);
    let made = run(&["backup", "-m", message]).ended(0);
    assert!(made.out.contains("\n              notes_"), "the list does not hang: {}", made.out);
    run(&["show"]).ended(0);
    let listed = backstop(&world.root).arg("list").ends(0);
    let short = listed.out.lines().find(|l| l.contains("before all")).unwrap();
    assert!(short.ends_with('…') && short.chars().count() == 80, "{short}");
    run(&["validate"]).ended(0);
    run(&["rollback", "-t", "latest", "--dry-run"]).ended(0).prints("Nothing to do: ");
    spoil(&world.root);
    let plan = run(&["rollback", "-t", "latest", "--dry-run"]).ended(0);
    plan.prints(
        "It would be:\n  2 created, 1 replaced, 1 mode changed, 3 displaced\n  Directories: 1 created, 2 removed\n",
    );
    run(&["rollback", "-t", "latest"]).ended(3);
    let done = run(&["rollback", "-t", "latest", "-f"]).ended(0);
    done.prints("3 displaced\nDirectories: 1 created, 2 removed\n");
    run(&["rollback", "--undo", "-f"]).ended(0).prints("Undone: ");
    run(&["rollback", "--resume"]).ended(0);
    run(&["rollback", "-t", "1", "-f"]).ended(2);
    run(&["rollback", "-t", "latest", "--only", "nowhere"]).ended(2);
    overwrite(world.dir.join(format!("session_{}/files/Cargo.toml", newest(&world))), |b| b.push(b'x'));
    run(&["validate"]).ended(1).prints("help: ");
    remove(world.dir.join("scripts/backstop"));
    run(&["validate"]).ended(1);
}

#[test]
fn an_xtasks_usage_says_what_a_person_types() {
    let world = quiet_world();
    let xtask = world.temp.path().join("xtask");
    edit::copy_program(super::executable(), &xtask);
    program(&xtask, &world.root).arg("--help").ends(0).prints("Usage: cargo xtask [OPTIONS] <COMMAND>");
    program(&xtask, &world.root).arg("rollback").ends(2).complains("Usage: cargo xtask rollback ");
    backstop(&world.root).args(["show", "--help"]).ends(0).prints("Usage: backstop show ");
}

#[test]
fn an_undo_that_was_cut_off_and_is_finished_says_undone() {
    let world = backed_up();
    spoil(&world.root);
    backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    world.clock.set(later);
    super::exit_codes::cut(&world, world.plan_undo().unwrap());
    let both = "take it back:\n        ";
    copied(&world.dir).args(["rollback", "-t", "latest", "-f"]).ends(4).complains(both);
    copied(&world.dir).args(["rollback", "--resume", "-v"]).ends(0).prints("Undone: ");
}

#[test]
fn a_restore_elsewhere_names_where_each_root_went_and_what_a_failure_left() {
    let world = World::new("outside");
    backstop(&world.root).arg("backup").ends(0);
    let to = world.temp.path().join("new/workspace");
    let args = ["rollback", "-t", "latest", "--outside", "--to"];
    let run = backstop(&world.root).args(args).arg(&to).ends(0);
    let neighbour = world.temp.path().join("new/neighbour");
    assert_eq!(run.field("To"), to.to_str().unwrap());
    assert_eq!(run.field("Outside"), format!("neighbour to {}", neighbour.display()));
    // The last file cannot be written.
    struct Full(std::path::PathBuf);
    impl Probe for Full {
        fn before(&self, op: &Op<'_>) -> Verdict {
            match op {
                Op::CreateFile { path } if path.starts_with(&self.0) && path.ends_with("lib.rs") => {
                    Verdict::Fail(std::io::Error::other("full"))
                }
                _ => Verdict::Proceed,
            }
        }
    }
    let to = world.temp.path().join("other/workspace");
    let full = Fs::probed(std::sync::Arc::new(Full(to.clone())));
    let store = world.store_with(&full).unwrap();
    let error = restore_to(&store, &world.latest(), &to, &RollbackOptions::default(), &world.context());
    let error = error.unwrap_err();
    let help = format!("`{}` holds a partial copy, which can be deleted", to.display());
    assert_eq!(error.help(), Some(help.as_str()));
}

// ---- colours

#[test]
fn colours_come_when_asked_for_and_not_into_a_pipe() {
    let world = quiet_world();
    backstop(&world.root).arg("backup").ends(0);
    spoil(&world.root);
    let plan = ["rollback", "-t", "latest", "--dry-run"];
    for (more, coloured) in [(&["--color", "always"][..], true), (&["--color", "never"], false), (&[], false)]
    {
        for args in [&plan[..], &["validate"], &["list"]] {
            let run = backstop(&world.root).args(args).args(more).ends(0);
            assert_eq!(run.out.contains("\u{1b}["), coloured, "{args:?} {more:?}: {}", run.out);
            assert_eq!(run.out.matches("\u{1b}[0m").count() > 0, coloured);
        }
        let run = backstop("/").arg("list").args(more).ends(3);
        assert_eq!(run.err.contains("\u{1b}["), coloured, "{more:?}: {}", run.err);
    }
    let json = backstop(&world.root).args(plan).args(["--format", "json", "--color", "always"]).ends(0);
    assert!(!json.out.contains('\u{1b}'));
    json.json();
}

// ---- control bytes

const ODD: [&[u8]; 9] = [
    b"esc\x1b[31mred",
    b"new\nline",
    b"return\rover",
    b"bell\x07",
    b"delete\x7f",
    "c1\u{9b}31m".as_bytes(),
    b"raw\x9b31m",
    "rtl\u{202e}txt.exe".as_bytes(),
    b"tab\tback\x08space",
];

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
    let found = text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert!(found.is_none(), "{what}: {found:?} in {text:?}");
    // A newline of a name would start a line of its own.
    assert!(
        !text.lines().any(|l| l.trim_start().starts_with("line")),
        "{what}: a name broke a line: {text:?}"
    );
}

#[test]
fn no_control_byte_of_a_name_or_a_message_reaches_the_terminal_or_a_log() {
    let world = quiet_world();
    let place = world.at("crates/alpha");
    let odd =
        |dir: &Path, text: &str| ODD.iter().for_each(|name| write(dir.join(OsStr::from_bytes(name)), text));
    odd(&place, "old");
    odd(&world.at("unprotected"), "x");
    odd(&place.join("target"), "x");
    mkdir(place.join(OsStr::from_bytes(ODD[0])).with_extension("d"));
    for name in ODD {
        crate::support::edit::link(
            OsStr::from_bytes(name),
            place.join("links").with_extension(OsStr::from_bytes(&name[..3])),
        );
    }
    let check = |cli: Cli| {
        let run = cli.run();
        assert_clean("standard output", run.out.as_bytes());
        assert_clean("standard error", run.err.as_bytes());
        run
    };
    let message = "why\u{1b}]0;title\u{7} \u{9b}31m\nline";
    check(backstop(&world.root).args(["backup", "-v", "-m", message, "-l", "la\u{1b}bel"])).ended(0);
    let named = check(backstop(&world.root).args(["show", "-v"])).ended(0);
    assert!(
        named.out.contains("esc\\x1b[31mred")
            && named.out.contains("new\\nline")
            && named.out.contains("raw\\x9b"),
        "{}",
        named.out
    );
    odd(&place, "new");
    odd(&place.join("added"), "added");
    for args in [
        &["list"][..],
        &["validate", "--all"],
        &["rollback", "-t", "latest", "--dry-run", "-v"],
        &["rollback", "-t", "latest", "-f", "-v"],
        &["rollback", "--undo", "-f", "-v"],
        &["backup", "--format", "json", "-m", message],
        &["show", "--format", "json"],
        &["rollback", "-t", "latest", "--dry-run", "--format", "json"],
        &["list", "--format", "json"],
    ] {
        check(backstop(&world.root).args(args)).ended(0);
    }
    // Findings and errors name files, too.
    let id = newest(&world);
    for name in ODD {
        overwrite(
            world.dir.join(format!("session_{id}/files/crates/alpha")).join(OsStr::from_bytes(name)),
            |b| b.push(b'x'),
        );
    }
    check(backstop(&world.root).args(["validate"])).ended(1);
    check(backstop(&world.root).args(["validate", "--format", "json"])).ended(1);
    odd(&place, "newer");
    check(backstop(&world.root).args(["rollback", "-t", "latest", "-f", "--from", "session"])).ended(3);
    for name in ODD {
        let name = OsStr::from_bytes(name);
        check(backstop(&world.root).args(["rollback", "-t", "latest", "-f", "--only"]).arg(name));
        check(backstop(&world.root).args(["rollback", "-t"]).arg(name).arg("-f"));
        check(backstop(&world.root).args(["rollback", "-t", "latest", "-f", "-p"]).arg(name));
        check(backstop(&world.root).args(["list", "--store"]).arg(name)).ended(3);
        check(
            backstop(&world.root)
                .args(["list", "--manifest-path"])
                .arg(Path::new("nowhere").join(name).join("Cargo.toml")),
        )
        .ended(3);
        check(backstop(&world.root).arg(name)).ended(2);
        // Here cargo complains in its own lines.
        let run = backstop(&world.root).arg("backup").arg("--manifest-path").arg(name).ends(3);
        assert_clean("standard error", run.err.replace("\n  line", "\n  …").as_bytes());
    }
    let mut logs = 0;
    for entry in fs::read_dir(world.dir.join("logs")).unwrap() {
        let path = entry.unwrap().path();
        assert_clean(&path.display().to_string(), &fs::read(&path).unwrap());
        logs += 1;
    }
    assert!(logs > 5, "{logs} logs");
}

#[test]
fn no_control_byte_of_the_workspaces_own_path_reaches_the_terminal() {
    let world = quiet_world();
    // No bracket: cargo takes it for a pattern.
    let root = world.temp.path().join("a\u{1b}c\u{9b}31m\nline");
    fs::rename(&world.root, &root).unwrap();
    for args in
        [&["backup"][..], &["list"], &["show"], &["validate"], &["rollback", "-t", "latest", "--dry-run"]]
    {
        let run = backstop(&root).args(args).ends(0);
        assert_clean("standard output", run.out.as_bytes());
        assert_clean("standard error", run.err.as_bytes());
    }
    spoil(&root);
    let run = backstop(&root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_clean("standard output", run.out.as_bytes());
    // Cargo's own complaint names the path.
    write(root.join("Cargo.toml"), "[workspace\n");
    let run = backstop(&root).arg("backup").ends(0);
    assert_clean("standard error", run.err.replace("\n      line", "\n      …").as_bytes());
}

// ---- plans

#[test]
fn a_plan_names_each_change_below_200_and_counts_them_above() {
    let world = quiet_world();
    let files = |n: std::ops::Range<usize>| n.map(|i| world.at(format!("crates/alpha/data/{i:03}")));
    files(0..250).for_each(|f| write(f, "old\n"));
    backstop(&world.root).arg("backup").ends(0);
    let plan = |more: &[&str]| {
        backstop(&world.root).args(["rollback", "-t", "latest", "--dry-run"]).args(more).ends(0)
    };
    let named = |run: &Run| run.out.lines().filter(|l| l.trim_start().starts_with("replace ")).count();
    files(0..199).for_each(|f| write(f, "new\n"));
    let run = plan(&[]);
    assert_eq!(named(&run), 199);
    run.prints("199 replaced").prints("Dry run, nothing was changed");
    files(199..250).for_each(|f| write(f, "new\n"));
    let run = plan(&[]);
    assert_eq!(named(&run), 0);
    run.prints("250 changes: -v names each").prints("250 replaced");
    assert_eq!(named(&plan(&["-v"])), 250);
}

#[test]
fn a_plan_says_where_git_stood_and_stands_and_what_stays() {
    let world = quiet_world();
    let git = |args: &[&str]| {
        program("git", &world.root).args(["-c", "user.name=a", "-c", "user.email=a"]).args(args).ends(0)
    };
    write(world.at(".gitignore"), "*.secret\n");
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "one"]);
    let then = git(&["rev-parse", "HEAD"]).out;
    backstop(&world.root).args(["backup", "-m", "before the merge"]).ends(0);
    git(&["checkout", "-q", "-b", "refactor"]);
    git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    let now = git(&["rev-parse", "HEAD"]).out;
    spoil(&world.root);
    write(world.at("crates/alpha/my.secret"), "x\n");
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "--dry-run"]).ends(0);
    run.prints(&format!("then main {}, now refactor {}", &then[..9], &now[..9]))
        .prints("\"before the merge\"")
        .prints("leave alone  crates/alpha/my.secret  (git ignores it)")
        .prints("replace  crates/alpha/src/lib.rs")
        .prints("create  crates/alpha/name.txt")
        .prints("displace  crates/alpha/src/added.rs")
        .prints("change mode  crates/alpha/README.md  0600 -> 0644")
        .prints("create dir  crates/beta/src")
        .prints("remove dir  crates/gamma");
}

#[test]
fn a_dry_run_changes_nothing_at_all() {
    let world = quiet_world();
    backstop(&world.root).arg("backup").ends(0);
    spoil(&world.root);
    let look = || Picture::with_times(&world.root, &[]);
    let before = look();
    // What goes back in part leaves the package without a source that cargo refuses.
    for (more, code) in [
        (&[][..], 0),
        (&["--keep-new"], 0),
        (&["--only", "crates/alpha"], 1),
        (&["-p", "beta"], 0),
        (&["--from", "archive"], 0),
        (&["-f"], 0),
    ] {
        backstop(&world.root).args(["rollback", "-t", "latest", "--dry-run"]).args(more).ends(code);
    }
    backstop(&world.root).arg("list").ends(0);
    backstop(&world.root).arg("show").ends(0);
    assert_same(&look(), &before, "after dry runs");
}

// ---- readers that go away, and signals

#[test]
#[ignore = "part of torture: kills"]
fn a_reader_that_goes_away_is_no_panic() {
    let world = quiet_world();
    for i in 0..3000 {
        write(
            world.at(format!("crates/alpha/a_directory_with_a_long_name/a_file_with_a_long_name_{i}")),
            "x",
        );
    }
    backstop(&world.root).arg("backup").ends(0);
    for args in [
        &["show", "-v"][..],
        &["show", "--format", "json"],
        &["list"],
        &["--help"],
        &["rollback", "-t", "latest", "--dry-run"],
    ] {
        let mut running = backstop(&world.root).args(args).spawn();
        drop(running.child.stdout.take());
        let run = running.end();
        assert!(matches!(run.code, Some(0)) && !run.err.contains("panicked"), "{args:?}: {run:?}");
        // The way that a person does it.
        let text = format!("\"$B\" {} | head -1", args.join(" "));
        let run = program("/bin/sh", &world.root).args(["-c", &text]).env("B", super::executable()).ends(0);
        assert_eq!((run.out.lines().count(), run.err.as_str()), (1, ""), "{text}");
    }
    // An operation is carried out to its end whoever listens.
    spoil(&world.root);
    let mut running = backstop(&world.root).args(["rollback", "-t", "latest", "-f", "-v"]).spawn();
    drop((running.child.stdout.take(), running.child.stderr.take()));
    running.end().ended(0);
    assert!(world.at("crates/alpha/name.txt").exists());
}

#[test]
fn a_signal_during_the_wait_for_the_store_ends_with_3() {
    let world = backed_up();
    spoil(&world.root);
    let lock = fs::File::open(world.dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let before = (world.picture(), fs::read(world.dir.join("store.json")).unwrap());
    for (args, signal) in [
        (&["rollback", "-t", "latest", "-f"][..], "INT"),
        (&["validate"], "TERM"),
        (&["rollback", "--resume"], "HUP"),
        (&["rollback", "-t", "latest", "--to", "x"], "INT"),
    ] {
        let log = world.temp.path().join("err");
        let file = fs::File::create(&log).unwrap();
        let mut running = backstop(&world.root).args(args).spawn_with_errors_in(file);
        wait_until("it waits", || fs::read_to_string(&log).unwrap().contains("waiting"));
        assert!(running.is_running());
        running.signal(signal);
        let run = running.end();
        let said = fs::read_to_string(&log).unwrap();
        assert_eq!(run.code, Some(3), "{args:?}: {run:?} {said}");
        assert!(said.contains("interrupted") || said.contains("stopped"), "{said}");
    }
    assert_same(&world.picture(), &before.0, "after the signals");
    assert_eq!(fs::read(world.dir.join("store.json")).unwrap(), before.1);
}

// ---- at a terminal

const TERMINAL: &str = r#"
import os, pty, select, signal, subprocess, sys, time
answer, meanwhile, command = sys.argv[1], sys.argv[2], sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    # Whoever runs the tests in the background has it ignored, and a shell cannot take that back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(command[0], command)
seen, answered, end, again = b"", False, time.time() + 60, 0
while time.time() < end:
    if select.select([fd], [], [], 0.1)[0]:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
    if b"[y/N]" in seen and not answered:
        answered = True
        subprocess.run(["/bin/sh", "-c", meanwhile], check=True)
        os.write(fd, answer.encode())
        again = time.time() + 1
    # A shell misses a Ctrl-C between its prompt and its read: a person presses it once more.
    if answered and answer == "\x03" and time.time() > again:
        again = time.time() + 1
        os.write(fd, answer.encode())
else:
    os.kill(pid, 9)
sys.stdout.buffer.write(seen)
sys.stdout.flush()
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"#;

/// Runs a command at a terminal, and answers its question; `None` where there is no terminal to be had.
pub(super) fn at_a_terminal(
    world: &World,
    args: &[&str],
    answer: &str,
    meanwhile: &str,
    no_color: bool,
) -> Option<Run> {
    let command: Vec<OsString> =
        [super::executable().into()].into_iter().chain(args.iter().map(OsString::from)).collect();
    asked(&world.root, &command, answer, meanwhile, no_color)
}

/// The same for any command, in `dir`.
pub(crate) fn asked(
    dir: &Path,
    command: &[OsString],
    answer: &str,
    meanwhile: &str,
    no_color: bool,
) -> Option<Run> {
    if std::process::Command::new("python3").args(["-c", "import pty"]).status().is_ok_and(|s| s.success()) {
        let cli = program("python3", dir).args(["-c", TERMINAL, answer, meanwhile]).args(command);
        let cli = cli.env("TERM", "xterm");
        return Some(if no_color { cli.env("NO_COLOR", "1") } else { cli }.run());
    }
    eprintln!("skipped: no python3 that makes a terminal");
    None
}

#[test]
fn at_a_terminal_a_rollback_asks_and_does_what_is_answered() {
    let world = quiet_world();
    backstop(&world.root).arg("backup").ends(0);
    let good = world.picture();
    spoil(&world.root);
    let spoilt = world.picture();
    let store = || Picture::with_times(&world.dir, &[&world.dir.join("lock")]);
    let before = store();
    for answer in ["n\n", "\n", "maybe\n", "\u{4}", "\u{3}", "yesterday\n"] {
        let Some(run) = at_a_terminal(&world, &["rollback", "-t", "latest"], answer, "", false) else {
            return;
        };
        let run = run.ended(3).prints("Do this? [y/N]").prints("crates/alpha/name.txt");
        assert_eq!(run.out.contains("nothing was changed"), answer != "\u{3}", "{answer:?}: {}", run.out);
        assert_same(&world.picture(), &spoilt, answer);
        assert_same(&store(), &before, answer);
    }
    for answer in ["y\n", "YES\n"] {
        let run = at_a_terminal(&world, &["rollback", "-t", "latest"], answer, "", false).unwrap().ended(0);
        assert!(run.out.contains("\u{1b}["), "no colours at a terminal");
        run.prints("Rolled back:");
        assert_same(&world.picture(), &good, answer);
        let run = at_a_terminal(&world, &["rollback", "--undo"], answer, "", true).unwrap().ended(0);
        assert!(!run.out.contains("\u{1b}[1"), "colours in spite of NO_COLOR: {:?}", run.out);
        run.prints("Undone:");
        assert_same(&world.picture(), &spoilt, "after the undo");
    }
    // Where there is nothing to do, nothing is asked.
    backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    at_a_terminal(&world, &["rollback", "-t", "latest"], "", "", false)
        .unwrap()
        .ended(0)
        .prints("Nothing to do");
}

#[test]
fn what_changes_while_the_question_stands_is_named_and_nothing_is_done() {
    let world = quiet_world();
    backstop(&world.root).arg("backup").ends(0);
    spoil(&world.root);
    let meanwhile = "echo edited meanwhile > crates/alpha/src/lib.rs";
    let Some(run) = at_a_terminal(&world, &["rollback", "-t", "latest"], "y\n", meanwhile, false) else {
        return;
    };
    run.ended(3).prints("crates/alpha/src/lib.rs");
    assert_eq!(fs::read_to_string(world.at("crates/alpha/src/lib.rs")).unwrap(), "edited meanwhile\n");
    assert!(!world.at("crates/alpha/name.txt").exists(), "half a rollback");
    backstop(&world.root).args(["rollback", "--abort"]).ends(0).prints("Nothing to abort");
    chmod(world.at("crates/alpha/README.md"), 0o600);
    copied(&world.dir).args(["rollback", "-t", "latest", "-f"]).ends(0);
}
