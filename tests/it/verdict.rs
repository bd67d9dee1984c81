//! What cargo says after a rollback: it takes the workspace as it took it when the restore point was made, or the rollback
//! names what stands in the way.

use std::path::PathBuf;
use std::process::Command;

use backstop::check::Finding;
use backstop::fsx::Fs;
use backstop::live_tree::Asked;
use backstop::rollback::{RollbackOptions, RollbackPlan};

use crate::cli::{backstop, cut};
use crate::ours::{VIRTUAL, commit, git, package, read, workspace};
use crate::support::edit::{chmod, link, mkdir, remove, write};
use crate::support::tree::assert_same;
use crate::support::{Picture, World};

/// Whether cargo takes the workspace; what it says where it does not.
pub(crate) fn cargo(world: &World) -> Result<(), String> {
    let done = Command::new(crate::support::cargo())
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(&world.root)
        .output()
        .unwrap();
    done.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

fn part(only: &[&str], packages: &[&str]) -> RollbackOptions {
    let only = only.iter().map(PathBuf::from).collect();
    let packages = packages.iter().map(|p| (*p).to_owned()).collect();
    RollbackOptions { asked: Asked { only, packages, here: None }, ..RollbackOptions::default() }
}

fn keep_new() -> RollbackOptions {
    RollbackOptions { keep_new: true, ..RollbackOptions::default() }
}

/// Places and problems of a plan.
fn found(plan: &RollbackPlan) -> Vec<String> {
    plan.findings.iter().map(|f| format!("{} {}", f.place, f.problem)).collect()
}

/// Something that happens to a workspace after its restore point was made.
type Since = fn(&World);

/// Rolls back after something happened, and undoes it. Where nothing is `named`, cargo works; else each of those words
/// stands in a finding.
#[track_caller]
fn case(what: &str, root: &str, since: Since, options: &RollbackOptions, named: &[&str]) {
    let world = workspace("ws", root, &["crates/a", "libs/b"]);
    write(world.at(".gitignore"), "target/\n.env\n/backup/\n/crates/ignored/\n");
    write(world.at("Cargo.lock"), "version = 4\n");
    commit(&world.root);
    cargo(&world).unwrap();
    world.backup();
    let then = ["crates", "libs"].map(|dir| Picture::take(&world.at(dir), &[]));
    since(&world);
    let before = world.picture();
    let plan = world.plan(options);
    let planned = found(&plan);
    let outcome = if plan.is_empty() { None } else { Some(world.apply_with(plan, &Fs::real()).unwrap()) };
    if let Some(outcome) = &outcome {
        assert_eq!(
            outcome.findings.len(),
            planned.len(),
            "{what}: what the plan says is what is said after it"
        );
    }
    match cargo(&world) {
        Ok(()) => assert!(planned.is_empty() || !named.is_empty(), "{what}: cargo works, and {planned:?}"),
        Err(said) => assert!(!planned.is_empty(), "{what}: nothing is named, and cargo says {said}"),
    }
    for word in named {
        assert!(planned.iter().any(|finding| finding.contains(word)), "{what}: {word} is not in {planned:?}");
    }
    assert!(!named.is_empty() || planned.is_empty(), "{what}: {planned:?}");
    if named.is_empty() && !options.keep_new {
        for (dir, then) in ["crates", "libs"].iter().zip(&then) {
            assert_same(&Picture::take(&world.at(dir), &[]), then, what);
        }
    }
    if outcome.is_some() {
        let undone = world.undo();
        assert_same(&world.picture(), &before, what);
        // What stood in the way before and after, nobody wrote down.
        assert!(undone.findings.is_empty() || !planned.is_empty(), "{what}: {:?}", undone.findings);
    }
}

const BOTH: &str = "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\", \"libs/b\"]\n";

#[test]
fn what_came_since_and_cargo_would_take_for_a_member_goes_out_whole() {
    let cases: &[(&str, Since)] = &[
        ("an empty directory", |w| mkdir(w.at("crates/empty"))),
        ("one with empty directories", |w| mkdir(w.at("crates/empty/src/deep"))),
        ("an ignored file in a package", |w| {
            package(w, "crates/c", "");
            write(w.at("crates/c/.env"), "x");
        }),
        ("its own target directory", |w| {
            package(w, "crates/c", "");
            write(w.at("crates/c/target/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55");
            write(w.at("crates/c/target/debug/x"), "x");
        }),
        ("notes, without a package", |w| write(w.at("crates/daemon/README.md"), "x")),
        ("ignored files and nothing else", |w| write(w.at("crates/c/.env"), "x")),
        ("a package that is ignored itself", |w| package(w, "crates/ignored", "")),
        ("a hidden directory", |w| write(w.at("crates/.idea/.env"), "x")),
        ("a link to a member", |w| link("a", w.at("crates/alias"))),
        ("a member moved within the glob, and its .env with it", |w| {
            git(&w.root, &["mv", "crates/a", "crates/c"]);
            write(w.at("crates/c/.env"), "x");
        }),
        ("two, one in the other", |w| {
            package(w, "crates/c", "");
            package(w, "crates/c/inner", "");
            write(w.at("crates/c/inner/.env"), "x");
        }),
    ];
    for (what, since) in cases {
        case(what, BOTH, *since, &RollbackOptions::default(), &[]);
    }
    let deep = "[workspace]\nmembers = [\"crates/**/a\", \"l?bs/[bc]*\"]\n";
    case(
        "deeper globs, and directories above that are left empty",
        deep,
        |w| {
            write(w.at("libs/c/.env"), "x");
            package(w, "crates/deep/a", "");
            write(w.at("crates/deep/a/.env"), "x");
        },
        &RollbackOptions::default(),
        &[],
    );
}

#[test]
fn a_directory_that_forbids_writing_is_opened_for_what_goes_out_of_it() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    write(world.at(".gitignore"), "out/\n/backup/\n");
    commit(&world.root);
    world.backup();
    package(&world, "crates/c", "");
    let closed = world.at("crates/c/out/closed");
    write(closed.join("file"), "x");
    chmod(&closed, 0o555);
    let before = world.picture();
    let plan = world.plan(&RollbackOptions::default());
    assert!(
        plan.unlock.iter().any(|(at, _)| at.path.as_bytes() == b"crates/c/out/closed"),
        "{:?}",
        plan.unlock
    );
    world.rollback(&RollbackOptions::default());
    assert!(!world.at("crates/c").exists());
    world.undo();
    assert_same(&world.picture(), &before, "undone");
}

#[test]
fn what_the_workspace_excludes_stays() {
    let root = format!("{BOTH}exclude = [\"crates/out\"]\n");
    let world = workspace("ws", &root, &["crates/a", "libs/b"]);
    world.backup();
    mkdir(world.at("crates/out/empty"));
    let plan = world.plan(&RollbackOptions::default());
    assert!(plan.is_empty() && plan.findings.is_empty(), "{:?} {:?}", plan.actions, plan.findings);
}

#[test]
fn what_cannot_go_out_is_named_with_what_cargo_will_say() {
    let excluding = format!("{BOTH}[workspace.metadata.backstop]\nexclude = [\"**/*.new\"]\n");
    let all = RollbackOptions::default();
    let cases: &[(&str, &str, Since, &RollbackOptions, &[&str])] = &[
        (
            "an excluded file",
            &excluding,
            |w| {
                package(w, "crates/c", "");
                write(w.at("crates/c/a.new"), "x");
            },
            &all,
            &["crates/c", "failed to load manifest for workspace member", "crates/c/a.new"],
        ),
        (
            "an excluded file in what git ignores",
            &excluding,
            |w| {
                package(w, "crates/c", "");
                write(w.at("crates/c/target/a.new"), "x");
            },
            &all,
            &["crates/c/target/a.new"],
        ),
        (
            "a clone in what git ignores",
            BOTH,
            |w| {
                package(w, "crates/c", "");
                mkdir(w.at("crates/c/target/clone"));
                git(w.at("crates/c/target/clone"), &["init", "-q"]);
            },
            &all,
            &["crates/c/target/clone"],
        ),
        (
            "a pipe in what git ignores",
            BOTH,
            |w| {
                mkdir(w.at("crates/c/target"));
                assert!(Command::new("mkfifo").arg(w.at("crates/c/target/pipe")).status().unwrap().success());
            },
            &all,
            &["crates/c/target/pipe"],
        ),
        (
            "a git that broke",
            BOTH,
            |w| {
                package(w, "crates/c", "");
                write(w.at(".git/HEAD"), "broken");
            },
            &all,
            &["crates/c matches `crates/*`", "git does not work here"],
        ),
        (
            "a repository that `cargo new` made where none is above",
            BOTH,
            |w| {
                package(w, "crates/c", "");
                git(w.at("crates/c"), &["init", "-q"]);
            },
            &all,
            &["crates/c matches `crates/*`", "another repository"],
        ),
        (
            "a package of one name, kept",
            BOTH,
            |w| {
                package(w, "crates/c", "");
                write(w.at("crates/c/Cargo.toml"), read(w.at("crates/a/Cargo.toml")));
            },
            &keep_new(),
            &["two packages named `a`", "crates/a"],
        ),
        (
            "a worktree in a directory of its own",
            BOTH,
            |w| git(&w.root, &["worktree", "add", "-q", "crates/trees/other", "-b", "other"]),
            &all,
            &["crates/trees matches `crates/*`", "crates/trees/other"],
        ),
        (
            "a configuration that git ignores",
            &format!("{BOTH}exclude = [\"crates/ignored\"]\n"),
            |w| {
                write(w.at(".git/info/exclude"), ".cargo/\n");
                write(w.at(".cargo/config.toml"), "[build]\nrustflags = [\"--cfg\", \"x\"]\n");
            },
            &all,
            &[".cargo came since the restore point and stays (git ignores it)"],
        ),
        ("a new package that cargo takes, kept", BOTH, |w| package(w, "crates/c", ""), &keep_new(), &[]),
        (
            "a new package that needs what the root manifest had, kept",
            BOTH,
            |w| {
                write(w.at("Cargo.toml"), format!("{BOTH}[workspace.package]\nversion = \"0.1.0\"\n"));
                write(
                    w.at("crates/c/Cargo.toml"),
                    "[package]\nname = \"c\"\nedition = \"2021\"\nversion.workspace = true\n",
                );
                write(w.at("crates/c/src/lib.rs"), "");
            },
            &keep_new(),
            &["crates/c/Cargo.toml inherits `workspace.package.version`"],
        ),
        (
            "an empty directory beside the part",
            BOTH,
            |w| {
                mkdir(w.at("crates/c"));
                write(w.at("libs/b/src/lib.rs"), "//\n");
            },
            &part(&["libs/b"], &[]),
            &["crates/c matches"],
        ),
        (
            "the manifest alone, when a member moved",
            BOTH,
            |w| {
                git(&w.root, &["mv", "libs", "other"]);
                write(w.at("Cargo.toml"), "[workspace]\nmembers = [\"crates/*\", \"other/b\"]\n");
            },
            &part(&["Cargo.toml"], &[]),
            &["libs/b is listed as `libs/b`"],
        ),
        (
            "a package that depends on one that is missing",
            BOTH,
            |w| {
                remove(w.at("libs"));
                write(w.at("Cargo.toml"), "[workspace]\nmembers = [\"crates/*\"]\n");
                write(w.at("crates/a/src/lib.rs"), "//\n");
                package(w, "crates/c", "[dependencies]\nb = { path = \"../../libs/b\" }\n");
            },
            &part(&["crates/a/src"], &[]),
            &["names the dependency `b` in `libs/b`"],
        ),
        (
            "a dependency of another name",
            BOTH,
            |w| {
                package(w, "crates/c", "[dependencies]\nx = { path = \"../a\" }\n");
            },
            &keep_new(),
            &["the package there is `a`"],
        ),
        (
            "two packages that need each other",
            BOTH,
            |w| {
                let needing =
                    |name: &str, path: &str| format!("[dependencies]\n{name} = {{ path = \"{path}\" }}\n");
                package(w, "crates/c", &needing("d", "../d"));
                package(w, "crates/d", &needing("c", "../c"));
            },
            &keep_new(),
            &["cyclic package dependency"],
        ),
        (
            "a workspace in a member",
            BOTH,
            |w| package(w, "crates/c", "[workspace]\n"),
            &keep_new(),
            &["multiple workspace roots"],
        ),
        (
            "a package without a source",
            BOTH,
            |w| {
                package(w, "crates/c", "");
                remove(w.at("crates/c/src"));
            },
            &keep_new(),
            &["no targets"],
        ),
        (
            "a manifest that is none",
            BOTH,
            |w| write(w.at("crates/c/Cargo.toml"), "[workspace"),
            &keep_new(),
            &["no TOML"],
        ),
        (
            "a glob in default-members",
            &format!("{BOTH}default-members = [\"libs/*\"]\n"),
            |w| {
                mkdir(w.at("libs/c"));
            },
            &keep_new(),
            &["libs/c is named by `libs/*` of `default-members`"],
        ),
        (
            "a patch that is missing",
            &format!("{BOTH}[patch.crates-io]\nb = {{ path = \"libs/b\" }}\n"),
            |w| {
                remove(w.at("libs"));
            },
            &part(&["Cargo.toml", "crates"], &[]),
            &["`[patch]`"],
        ),
    ];
    for (what, root, since, options, named) in cases {
        case(what, root, *since, options, named);
    }
}

#[test]
fn what_a_part_leaves_in_the_way_goes_with_the_path_that_is_told() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    backstop(&world.root).arg("backup").ends(0);
    mkdir(world.at("crates/empty"));
    write(world.at("crates/a/src/lib.rs"), "//\n");
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f", "--only", "crates/a"]).ends(1);
    run.prints("add `--only crates/empty` to move it out");
    backstop(&world.root).args(["rollback", "-t", "latest", "-f", "--only", "crates/empty"]).ends(0);
    cargo(&world).unwrap();
}

#[test]
fn what_a_restore_point_of_a_present_holds_did_not_come_since() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    world.backup();
    package(&world, "crates/c", "");
    write(world.at("crates/c/more"), "x");
    let before = world.rollback(&RollbackOptions::default()).pre_rollback.unwrap();
    let listed = world.listed().into_iter().find(|l| l.id == before).unwrap();
    let plan = world.plan_with(&listed, &RollbackOptions::default(), &Fs::real()).unwrap();
    assert_eq!(found(&plan), [""; 0]);
    world.apply_with(plan, &Fs::real()).unwrap();
    assert!(world.at("crates/c/more").exists());
}

#[test]
fn a_workspace_above_that_came_since_is_named() {
    let world = workspace("above/ws", "", &[]);
    package(&world, "../ws", "");
    world.backup();
    for (above, named) in [
        ("[workspace]\nmembers = []\n", true),
        ("[workspace]\nexclude = [\"ws\"]\n", false),
        ("[package]\nname = \"above\"\nversion = \"0.1.0\"\nedition = \"2021\"\n", false),
    ] {
        write(world.at("../Cargo.toml"), above);
        write(world.at("../src/lib.rs"), "");
        let found = found(&world.plan(&RollbackOptions::default()));
        assert_eq!(cargo(&world).is_err(), named, "{above}");
        assert_eq!(!found.is_empty(), named, "{above}: {found:?}");
    }
}

#[test]
fn a_plan_that_is_otherwise_empty_still_says_what_cargo_will_say() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    world.backup();
    git(&world.root, &["init", "-q", "crates/c"]);
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(1);
    run.prints("Nothing to do").prints("crates/c").prints("failed to load manifest for workspace member");
    let json =
        backstop(&world.root).args(["rollback", "-t", "latest", "-f", "--format", "json"]).ends(1).json();
    assert_eq!(json["plan"]["findings"][0]["place"], "crates/c");
}

#[test]
fn after_a_cut_the_findings_are_those_of_the_way_out_that_is_taken() {
    for abort in [false, true] {
        let world = workspace("ws", VIRTUAL, &["crates/a"]);
        write(world.at("crates/a/one"), "x");
        world.backup();
        for file in ["crates/a/Cargo.toml", "crates/a/one", "crates/a/src/lib.rs"] {
            remove(world.at(file));
        }
        mkdir(world.at("crates/before"));
        cut(&world, world.plan(&RollbackOptions::default()));
        mkdir(world.at("crates/since"));
        let since =
            |findings: &[Finding]| -> Vec<String> { findings.iter().map(|f| f.place.clone()).collect() };
        let found = match abort {
            true => since(&world.abort_with(&Fs::real()).unwrap().unwrap().findings),
            false => since(&world.resume_with(&Fs::real()).unwrap().unwrap().findings),
        };
        assert_eq!(found, ["crates/since"], "abort: {abort}");
        assert_eq!(world.at("crates/before").exists(), abort);
    }
}

#[test]
fn what_came_between_a_rollback_and_its_undo_is_named() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    world.backup();
    mkdir(world.at("crates/before"));
    world.rollback(&RollbackOptions::default());
    mkdir(world.at("crates/since"));
    let places: Vec<_> = world.undo().findings.iter().map(|f| f.place.clone()).collect();
    assert_eq!(places, ["crates/since"]);
}

// ---- a package is more than its old directory

/// Rolls `-p a` back after something happened. Where that is refused, nothing was changed, `named` is told, and the command
/// of the help works. In the end cargo works, and has `a` in `crates/a` alone.
#[track_caller]
fn package_case(what: &str, root: &str, since: Since, refused: Option<&str>) {
    let world = workspace("ws", root, &["crates/a", "crates/c", "libs/b"]);
    write(
        world.at("crates/c/Cargo.toml"),
        read(world.at("crates/c/Cargo.toml")) + "[dependencies]\na = { path = \"../a\" }\n",
    );
    write(world.at(".gitignore"), "/backup/\n");
    cargo(&world).unwrap();
    commit(&world.root);
    let then = read(world.at("crates/a/src/lib.rs"));
    backstop(&world.root).arg("backup").ends(0);
    since(&world);
    cargo(&world).unwrap_or_else(|said| panic!("{what}: {said}"));
    let before = world.picture();
    let mut command: Vec<String> = ["rollback", "-t", "latest", "-p", "a"].map(str::to_owned).into();
    if let Some(named) = refused {
        let run = backstop(&world.root).args(&command).arg("-f").ends(2).complains(named);
        assert_same(&world.picture(), &before, what);
        let help = run.err.split('`').find(|part| part.starts_with("rollback -t")).unwrap_or_default();
        assert!(help.contains(" -p a ") && help.contains("--only"), "{what}: {}", run.err);
        command = help.split(' ').map(str::to_owned).collect();
    }
    backstop(&world.root).args(&command).arg("-f").ends(0);
    let lock = read(world.at("Cargo.lock"));
    cargo(&world).unwrap_or_else(|said| panic!("{what}: {said}"));
    assert_eq!(read(world.at("crates/a/src/lib.rs")), then, "{what}");
    let tree = Command::new(crate::support::cargo())
        .args(["pkgid", "--offline", "-p", "a"])
        .current_dir(&world.root)
        .output()
        .unwrap();
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    assert!(tree.contains("crates/a"), "{what}: {tree}");
    write(world.at("Cargo.lock"), lock);
    backstop(&world.root).args(["rollback", "--undo", "-f"]).ends(0);
    assert_same(&world.picture(), &before, what);
}

const GLOBS: &str = "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\", \"libs/*\"]\n";
const LISTED: &str = "[workspace]\nresolver = \"2\"\nmembers = [\"crates/a\", \"crates/c\", \"libs/b\"]\n";

#[test]
fn a_package_goes_back_from_where_it_is_now() {
    fn depend(world: &World, from: &str, to: &str) {
        for file in ["Cargo.toml", "crates/c/Cargo.toml"] {
            let text = read(world.at(file)).replace(from, to);
            if !text.is_empty() {
                write(world.at(file), text);
            }
        }
    }
    let stay: &[(&str, &str, Since, Option<&str>)] = &[
        ("only edited", GLOBS, |w| write(w.at("crates/a/src/lib.rs"), "//\n"), None),
        (
            "moved, and nobody depends on it",
            GLOBS,
            |w| {
                depend(w, "[dependencies]\na = { path = \"../a\" }\n", "");
                git(&w.root, &["mv", "crates/a", "libs/a"]);
            },
            None,
        ),
        (
            "moved, by a glob, with who depends on it",
            GLOBS,
            |w| {
                git(&w.root, &["mv", "crates/a", "libs/a"]);
                depend(w, "../a", "../../libs/a");
            },
            Some("crates/c/Cargo.toml"),
        ),
        (
            "moved, listed",
            LISTED,
            |w| {
                git(&w.root, &["mv", "crates/a", "libs/a"]);
                depend(w, "crates/a", "libs/a");
                depend(w, "../a", "../../libs/a");
            },
            Some("libs/a"),
        ),
        (
            "merged into another, listed",
            LISTED,
            |w| {
                remove(w.at("crates/a"));
                depend(w, "\"crates/a\", ", "");
                depend(w, "[dependencies]\na = { path = \"../a\" }\n", "");
            },
            Some("`crates/a`"),
        ),
        (
            "merged, and so was who depended on it",
            LISTED,
            |w| {
                remove(w.at("crates"));
                depend(w, "\"crates/a\", \"crates/c\", ", "");
            },
            Some("`crates/a`"),
        ),
        (
            "renamed where it is",
            GLOBS,
            |w| {
                write(
                    w.at("crates/a/Cargo.toml"),
                    read(w.at("crates/a/Cargo.toml")).replace("\"a\"", "\"z\""),
                );
                depend(w, "a = {", "z = {");
            },
            Some("the package there is `a`"),
        ),
        (
            "taken out of the members, its directory left",
            LISTED,
            |w| {
                depend(w, "members = [\"crates/a\", ", "exclude = [\"crates/a\"]\nmembers = [");
                depend(w, "[dependencies]\na = { path = \"../a\" }\n", "");
            },
            Some("`crates/a`"),
        ),
    ];
    for (what, root, since, refused) in stay {
        package_case(what, root, *since, *refused);
    }
}

#[test]
fn a_package_goes_back_in_a_workspace_that_cargo_refuses_for_another_reason() {
    let world = workspace("ws", LISTED, &["crates/a", "crates/c", "libs/b"]);
    backstop(&world.root).arg("backup").ends(0);
    write(world.at("crates/c/Cargo.toml"), "[package");
    write(world.at("crates/a/src/lib.rs"), "//\n");
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f", "-p", "a"]).ends(1);
    run.prints("crates/c/Cargo.toml").prints("no TOML");
    // Of its own it would add a reason: that is refused, and the help leaves the other one alone.
    remove(world.at("libs"));
    write(world.at("Cargo.toml"), LISTED.replace(", \"libs/b\"", ""));
    let run = backstop(&world.root).args(["rollback", "-t", "latest", "-f", "-p", "b"]).ends(2);
    run.complains("-p b --only Cargo.toml`");
    let args = ["rollback", "-t", "latest", "-f", "-p", "b", "--only", "Cargo.toml"];
    backstop(&world.root).args(args).ends(1).prints("no TOML");
    assert!(world.at("libs/b/src/lib.rs").exists());
}

#[test]
fn a_package_that_the_restore_point_does_not_know_is_told_with_where_it_stands() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    backstop(&world.root).arg("backup").ends(0);
    package(&world, "crates/c", "");
    write(world.at("crates/a/Cargo.toml"), read(world.at("crates/a/Cargo.toml")).replace("\"a\"", "\"z\""));
    let refused =
        |name: &str| backstop(&world.root).args(["rollback", "-t", "latest", "-f", "-p", name]).ends(2);
    refused("z").complains("it stands in `crates/a`").complains("-p a");
    refused("c").complains("`--only crates/c` moves it out");
    backstop(&world.root).args(["rollback", "-t", "latest", "-f", "-p", "a", "--only", "crates/c"]).ends(0);
    assert!(!world.at("crates/c").exists());
}
