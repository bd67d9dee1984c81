//! What differs between restore points and the workspace.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use backstop::diff::{ChangeKind, Diff, diff_live, diff_points};
use backstop::live_tree::Look;

use crate::cli::{backstop, program};
use crate::support::World;
use crate::support::edit::{chmod, link, mkdir, overwrite, remove, write};

fn live(world: &World) -> Diff {
    diff_live(&world.store(), &world.latest(), Look::Whole, &world.context()).unwrap()
}

fn told(diff: &Diff) -> Vec<String> {
    diff.changes.iter().map(|c| format!("{:?} {}", c.kind, c.shown())).collect()
}

/// One change of each kind.
fn change(world: &World) {
    write(world.at("crates/alpha/src/util.rs"), "pub fn greet(x: &str) -> String { x.into() }\n");
    chmod(world.at("crates/alpha/name.txt"), 0o600);
    remove(world.at("crates/alpha/README.md"));
    write(world.at("crates/alpha/src/deep/new.rs"), "\n");
    mkdir(world.at("crates/alpha/src/empty"));
    remove(world.at("crates/beta/src/main.rs"));
    mkdir(world.at("crates/beta/src/main.rs"));
    remove(world.at("crates/beta/link"));
    link("elsewhere", world.at("crates/beta/link"));
}

const CHANGES: [&str; 7] = [
    "Removed crates/alpha/README.md",
    "Mode crates/alpha/name.txt",
    "Added crates/alpha/src/deep/new.rs",
    "Added crates/alpha/src/empty",
    "Content crates/alpha/src/util.rs",
    "Content crates/beta/link",
    "Type crates/beta/src/main.rs",
];

#[test]
fn each_kind_of_change_is_told_against_the_live_tree_and_between_points() {
    let world = World::new("virtual");
    link("src", world.at("crates/beta/link"));
    world.backup();
    let same = live(&world);
    assert!(same.is_empty() && same.unchanged > 5, "{same:?}");
    let first = world.latest();
    change(&world);
    let diff = live(&world);
    assert_eq!(told(&diff), CHANGES);
    assert_eq!(diff.changes[0].package.as_deref(), Some("alpha"));
    assert_eq!(diff.count(ChangeKind::Added), 2);
    fs::create_dir_all(world.at("crates/beta/src/bin")).unwrap();
    write(world.at("crates/beta/src/bin/b.rs"), "fn main() {}\n");
    remove(world.at("crates/beta/src/bin"));
    write(world.at("crates/beta/src/lib.rs"), "");
    world.backup();
    remove(world.at("crates/beta/src/lib.rs"));
    let store = world.store();
    let between = diff_points(&store, &first, &world.latest()).unwrap();
    let mut expected: Vec<String> = CHANGES.map(str::to_owned).to_vec();
    expected.insert(6, "Added crates/beta/src/lib.rs".into());
    assert_eq!(told(&between), expected);
    // The other way round, what was added was removed.
    let back = diff_points(&store, &world.latest(), &first).unwrap();
    assert_eq!((back.count(ChangeKind::Added), back.count(ChangeKind::Removed)), (1, 3));
}

#[test]
fn what_is_out_of_scope_is_not_compared_and_what_cannot_be_judged_is_named() {
    let world = World::new("virtual");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "*.log\n");
    world.backup();
    write(world.at("crates/alpha/x.log"), "");
    write(world.at("elsewhere/notes.txt"), "");
    let diff = live(&world);
    assert!(diff.is_empty(), "{diff:?}");
    assert_eq!(diff.left_alone.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), ["crates/alpha/x.log"]);
    write(world.at(".git/HEAD"), "broken");
    write(world.at("crates/alpha/y.rs"), "");
    assert!(live(&world).left_alone.iter().any(|(p, _)| p == "crates/alpha/y.rs"), "{:?}", live(&world));
}

#[test]
fn roots_outside_are_compared_and_one_that_is_gone_is_named() {
    let world = World::new("outside");
    world.backup();
    let neighbour = world.root.parent().unwrap().join("neighbour");
    write(neighbour.join("src/lib.rs"), "// changed\n");
    assert_eq!(told(&live(&world)), ["Content neighbour:src/lib.rs"]);
    remove(&neighbour);
    let diff = live(&world);
    assert_eq!((diff.missing_roots, diff.changes.len()), (vec!["neighbour".into()], 0));
    backstop(&world.root).args(["diff", "--only", "neighbour:"]).ends(1).prints("0 paths are the same");
}

#[test]
fn the_command_ends_with_1_where_the_sides_differ_and_names_each_path() {
    let world = World::new("virtual");
    link("src", world.at("crates/beta/link"));
    backstop(&world.root).arg("backup").ends(0);
    let first = world.latest().id.to_string();
    backstop(&world.root).arg("diff").ends(0).prints("paths are the same");
    change(&world);
    backstop(&world.root)
        .arg("diff")
        .ends(1)
        .prints("alpha\n  D crates/alpha/README.md\n  P crates/alpha/name.txt  0644 → 0600\n")
        .prints("  A crates/alpha/src/empty  (directory)\n")
        .prints("  T crates/beta/src/main.rs  file → directory\n")
        .prints("2 changed, 2 added, 1 removed, 1 mode changed, 1 type changed · ")
        .prints("diff -u ");
    let back = backstop(&world.root).args(["diff", "live", "latest"]).ends(1);
    assert!(back.out.contains("  A crates/alpha/README.md"), "{}", back.out);
    let names = backstop(&world.root).args(["diff", "--name-only", "-p", "beta"]).ends(1);
    assert_eq!(names.out, "crates/beta/link\ncrates/beta/src/main.rs\n");
    let only = backstop(&world.root).args(["diff", "--name-only", "--only", "crates/alpha/src/"]).ends(1);
    assert_eq!(only.out.lines().count(), 3, "{}", only.out);
    backstop(&world.root).args(["diff", "--only", "crates/alpha/Cargo.toml"]).ends(0);
    backstop(&world.root)
        .args(["diff", "--stat"])
        .ends(1)
        .prints("  alpha                     2 added, 1 removed, ");
    remove(world.at("crates/beta/src/main.rs"));
    write(world.at("crates/beta/src/main.rs"), "fn main() {}\n");
    backstop(&world.root).arg("backup").ends(0);
    backstop(&world.root).args(["diff", &first, "latest"]).ends(1).prints("From ");
    backstop(&world.root).args(["diff", "live", "live"]).ends(2);
    // A mistyped name must not look like a tree that is the same.
    backstop(&world.root).args(["diff", "-p", "nosuch"]).ends(2).complains("neither side has a package");
    backstop(&world.root).args(["diff", "--only", ""]).ends(2);
    backstop(&world.root)
        .args(["diff", "--only", "nosuch/typo"])
        .ends(2)
        .complains("neither side holds such a path");
    backstop(&world.root).args(["diff", "20000101"]).ends(2);
    // The command that is printed works.
    let told = backstop(&world.root).args(["diff", &first]).ends(1).out;
    let command = told.lines().last().unwrap().trim().to_owned();
    program("sh", "/").args(["-c", &command]).ends(1);
}

#[test]
fn a_list_tells_what_is_known_of_each_and_fits_its_columns() {
    let world = World::new("virtual");
    let long = "a message that never ends, 漢字漢字漢字 and \u{1b}[31mred, ".repeat(4);
    backstop(&world.root).args(["backup", "-m", &long, "-l", &"x".repeat(64)]).ends(0);
    backstop(&world.root).arg("validate").ends(0);
    write(world.at("crates/alpha/src/lib.rs"), "// more\n");
    backstop(&world.root).arg("backup").ends(0);
    let list = backstop(&world.root).arg("list").ends(0);
    assert!(
        list.out.contains("validated") && list.out.contains("…") && !list.out.contains('\u{1b}'),
        "{}",
        list.out
    );
    for line in list.out.lines().filter(|l| !l.contains(&*world.dir.to_string_lossy())) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(list.out.contains(" on disk in all"), "{}", list.out);
    let one = backstop(&world.root).args(["list", "-n", "1"]).ends(0);
    assert!(one.out.contains("1 restore point, 1 older not shown, in "), "{}", one.out);
    // What two share is freed by neither; the second's archive and what changed is its own.
    let freed: Vec<u64> = world.store().summaries(None).unwrap().iter().map(|s| s.freed).collect();
    let alone =
        fs::metadata(world.store().layout().archive(&world.latest().label, &world.latest().id)).unwrap();
    assert!(freed.iter().all(|f| *f >= alone.len()), "{freed:?}");
    let show = backstop(&world.root).arg("show").ends(0);
    assert!(show.out.contains("not since it was made") && show.out.contains("member "), "{}", show.out);
    let entry = backstop(&world.root).args(["show", "latest", "crates/alpha/src/lib.rs"]).ends(0);
    assert!(entry.out.contains("SHA-256  ") && entry.out.contains("Because  member"), "{}", entry.out);
    backstop(&world.root).args(["show", "latest", "crates/nope"]).ends(2).complains("holds no `crates/nope`");
}

/// `status` does not read what the times say is as it was, and the times are not taken on trust: the inode's own has
/// to be older than the restore point.
#[test]
fn a_glance_reads_what_may_have_changed_and_nothing_else() {
    let glance = |world: &World| {
        diff_live(&world.store(), &world.latest(), Look::Glance, &world.context()).unwrap().changes.len()
    };
    let forged = |world: &World| overwrite(world.at("crates/alpha/src/util.rs"), |b| b[0] ^= 1);
    let now = std::time::SystemTime::now();
    let world = World::new("virtual");
    world.clock.set(now);
    world.backup();
    assert_eq!(glance(&world), 0);
    // Size and modification time stay, as `touch -r` leaves them.
    forged(&world);
    assert_eq!((glance(&world), live(&world).changes.len()), (1, 1));

    // A restore point from the next hour: what was written since looks older than it is, and only a reader sees it.
    let world = World::new("virtual");
    world.clock.set(now + std::time::Duration::from_secs(3600));
    world.backup();
    forged(&world);
    assert_eq!((glance(&world), live(&world).changes.len()), (0, 1));
    chmod(world.at("crates/alpha/src/util.rs"), 0o600);
    write(world.at("crates/alpha/src/lib.rs"), "// longer than it was\n");
    assert_eq!(glance(&world), 2, "a mode and a size are seen in any case");
}

#[test]
fn only_means_the_same_to_diff_and_to_rollback() {
    let world = World::new("virtual");
    // One name is what the other looks like where it is shown.
    let (raw, escaped) = (OsStr::from_bytes(b"crates/alpha/src/x\x01"), "crates/alpha/src/x\\x01");
    write(world.at(raw), "as it is\n");
    write(world.at(escaped), "as it is shown\n");
    backstop(&world.root).arg("backup").ends(0);
    for path in [raw, OsStr::new(escaped), OsStr::new("crates/beta/src/main.rs")] {
        write(world.at(path), "changed\n");
    }
    let sub = world.at("crates/alpha");
    let named = |dir: &Path, only: &OsStr, names: &str| {
        let diff = backstop(dir).args(["diff", "--name-only", "--only"]).arg(only).ends(1);
        assert_eq!(diff.out, names, "{only:?}");
        let plan = ["rollback", "-t", "latest", "--dry-run", "-v", "--only"];
        let plan = backstop(dir).args(plan).arg(only).ends(0);
        for line in ["crates/alpha/src/x\\x01", "crates/beta/src/main.rs"] {
            let wanted = names.lines().filter(|name| *name == line).count();
            let told = plan.out.lines().filter(|told| told.split_whitespace().any(|word| word == line));
            assert_eq!(told.count(), wanted, "{only:?}: {line} in {}", plan.out);
        }
    };
    for name in [raw, OsStr::new(escaped)] {
        named(&world.root, name, "crates/alpha/src/x\\x01\n");
    }
    // From a subdirectory a path counts from there; an absolute one and `..` do what they always do.
    named(&sub, OsStr::new("../beta"), "crates/beta/src/main.rs\n");
    named(&sub, world.at("crates/beta").as_os_str(), "crates/beta/src/main.rs\n");
    let both = backstop(&sub).args(["diff", "--name-only", "--only", "."]).ends(1).out;
    assert_eq!(both.lines().count(), 2, "{both}");
    for dir in [&world.root, &sub] {
        for nothing in ["", "/", "//"] {
            backstop(dir).args(["diff", "--only", nothing]).ends(2).complains("names no path");
        }
        for nothing in ["", "/", "//", "crates/omega", "../../../..", "/elsewhere"] {
            backstop(dir).args(["diff", "--only", nothing]).ends(2);
            backstop(dir).args(["rollback", "-t", "latest", "-f", "--only", nothing]).ends(2);
        }
    }
    backstop(&sub)
        .args(["diff", "--only", "crates/beta"])
        .ends(2)
        .complains("--only crates/alpha/crates/beta");
    // In the store they count from the workspace root: nothing in it is protected.
    named(&world.dir, OsStr::new("crates/beta"), "crates/beta/src/main.rs\n");
}
