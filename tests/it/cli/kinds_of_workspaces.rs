//! Whatever kind of workspace it is: backup, changes, rollback, and git none the wiser.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Cli, backstop, copied, program, spoil};
use crate::support::edit::{self, mkdir, remove, write};
use crate::support::tree::assert_same;
use crate::support::{Picture, TempDir, World};

fn git(dir: impl AsRef<Path>) -> Cli {
    let who = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a",
        "-c",
        "protocol.file.allow=always",
        "-c",
        "init.defaultBranch=main",
    ];
    program("git", dir).args(who)
}

fn commit_all(dir: impl AsRef<Path>) {
    git(&dir).args(["add", "-A"]).ends(0);
    git(&dir).args(["commit", "-q", "-m", "all"]).ends(0);
}

fn package(dir: impl AsRef<Path>, name: &str, more: &str) {
    let dir = dir.as_ref();
    write(
        dir.join("Cargo.toml"),
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}"),
    );
    write(dir.join("src/lib.rs"), format!("pub const NAME: &str = \"{name}\";\n"));
}

/// What git knows and shows, as bytes.
fn git_state(dir: &Path) -> (String, Vec<u8>, Picture) {
    let status =
        git(dir).args(["status", "--porcelain=v2", "--branch"]).env("GIT_OPTIONAL_LOCKS", "0").ends(0).out;
    let dot_git = git(dir).args(["rev-parse", "--absolute-git-dir"]).ends(0).out;
    let dot_git = PathBuf::from(dot_git.trim_end());
    (status, fs::read(dot_git.join("index")).unwrap_or_default(), Picture::with_times(&dot_git, &[]))
}

/// Backup, changes in each of the given files and a new one beside it, the dry run, rollback, undo and rollback
/// again; then everything is as it was.
#[track_caller]
fn there_and_back(root: &Path, files: &[&str]) {
    let store = root.join("backup");
    let watched = git(root).args(["rev-parse", "--git-dir"]).run().code == Some(0);
    let state = || watched.then(|| git_state(root));
    let start = state();
    let unchanged = |what: &str, since: &Option<(String, Vec<u8>, Picture)>| {
        let now = state();
        if let (Some(now), Some(since)) = (now, since) {
            assert_eq!(now.0, since.0, "{what}: git status");
            assert!(now.1 == since.1, "{what}: the index");
            assert_same(&now.2, &since.2, &format!("{what}: .git"));
        }
    };
    backstop(root).arg("backup").ends(0).prints("ALL FILES VERIFIED SUCCESSFULLY");
    unchanged("backup", &start);
    backstop(root).arg("validate").ends(0);
    unchanged("validate", &start);
    let look = || Picture::take(root, &[&store]);
    let good = look();
    for file in files {
        let path = root.join(file);
        assert!(path.is_file(), "{file} is no file");
        write(&path, "changed\n");
        write(path.with_file_name("added.rs"), "added\n");
    }
    let bad = look();
    let changed = state();
    backstop(root).args(["rollback", "-t", "latest", "--dry-run"]).ends(0);
    unchanged("the dry run", &changed);
    assert_same(&look(), &bad, "after the dry run");
    copied(&store).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_same(&look(), &good, "after the rollback");
    // Git looks at the files again by itself; what it says and keeps is the same.
    let status =
        git(root).args(["status", "--porcelain=v2", "--branch"]).env("GIT_OPTIONAL_LOCKS", "0").run();
    assert_eq!(start.as_ref().map(|s| &s.0), watched.then_some(&status.out), "git status after the rollback");
    if let (Some(start), Some(now)) = (&start, state()) {
        assert!(now.1 == start.1, "the index after the rollback");
        assert_same(&now.2, &start.2, ".git after the rollback");
    }
    copied(&store).args(["rollback", "--undo", "-f"]).ends(0);
    assert_same(&look(), &bad, "after the undo");
    copied(&store).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_same(&look(), &good, "after the second rollback");
    backstop(root).args(["validate", "--all"]).ends(0);
}

const VIRTUAL: [&str; 3] = ["crates/alpha/src/lib.rs", "crates/beta/src/main.rs", "crates/alpha/Cargo.toml"];

#[test]
fn a_virtual_workspace_in_git() {
    let world = World::new("virtual");
    git(&world.root).args(["init", "-q"]).ends(0);
    commit_all(&world.root);
    // Something staged, something changed, something new: git's view stays.
    write(world.at("crates/alpha/name.txt"), "staged\n");
    git(&world.root).args(["add", "."]).ends(0);
    write(world.at("crates/alpha/README.md"), "# changed\n");
    write(world.at("crates/beta/untracked.txt"), "new\n");
    there_and_back(&world.root, &VIRTUAL);
}

#[test]
fn a_virtual_workspace_without_git() {
    let world = World::new("virtual");
    there_and_back(&world.root, &VIRTUAL);
}

#[test]
fn a_single_package() {
    let world = World::new("single");
    git(&world.root).args(["init", "-q"]).ends(0);
    commit_all(&world.root);
    there_and_back(&world.root, &["src/lib.rs", "Cargo.toml"]);
}

#[test]
#[ignore = "part of torture: builds"]
fn packages_within_packages() {
    let world = World::new("single");
    write(
        world.at("Cargo.toml"),
        "[workspace]\nmembers = [\"inner/deep\", \"inner\"]\n[package]\nname = \"single\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    package(world.at("inner"), "inner", "");
    package(world.at("inner/deep"), "deep", "");
    there_and_back(&world.root, &["src/lib.rs", "inner/src/lib.rs", "inner/deep/src/lib.rs"]);
}

#[test]
#[ignore = "part of torture: builds"]
fn a_workspace_within_a_workspace() {
    let world = World::new("virtual");
    write(
        world.at("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\nexclude = [\"nested\"]\n",
    );
    package(world.at("nested"), "nested", "[workspace]\nmembers = [\"member\"]\n");
    package(world.at("nested/member"), "member", "");
    git(&world.root).args(["init", "-q"]).ends(0);
    commit_all(&world.root);
    let outer = Picture::take(&world.root, &[&world.dir]);
    // The outer one, and the inner one as a workspace of its own with a store of its own.
    there_and_back(&world.root, &VIRTUAL);
    remove(&world.dir);
    there_and_back(&world.at("nested"), &["src/lib.rs", "member/src/lib.rs"]);
    remove(world.at("nested/backup"));
    assert_same(&Picture::take(&world.root, &[]), &outer, "the outer workspace");
}

#[test]
fn what_lies_in_the_inner_workspace_is_not_the_outer_rollbacks_to_move() {
    let world = World::new("virtual");
    write(
        world.at("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\nexclude = [\"nested\"]\n",
    );
    package(world.at("nested"), "nested", "[workspace]\n");
    backstop(&world.root).arg("backup").ends(0);
    spoil(&world.root);
    write(world.at("nested/src/lib.rs"), "worked on\n");
    write(world.at("nested/src/more.rs"), "more\n");
    let nested = Picture::take(&world.at("nested"), &[]);
    copied(&world.dir).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_same(&Picture::take(&world.at("nested"), &[]), &nested, "the inner workspace");
}

#[test]
#[ignore = "part of torture: builds"]
fn an_embedded_repository_and_a_submodule() {
    let temp = TempDir::new();
    let source = temp.path().join("source");
    package(&source, "sub", "");
    write(source.join(".gitignore"), "*.log\n");
    git(&source).args(["init", "-q"]).ends(0);
    commit_all(&source);
    let world = World::on(temp, "virtual");
    git(&world.root).args(["init", "-q"]).ends(0);
    git(&world.root).args(["submodule", "--quiet", "add"]).arg(&source).arg("crates/sub").ends(0);
    commit_all(&world.root);
    package(world.at("crates/embedded"), "embedded", "");
    git(world.at("crates/embedded")).args(["init", "-q"]).ends(0);
    commit_all(world.at("crates/embedded"));
    write(world.at("crates/sub/ignored.log"), "ignored by the submodule\n");
    let inner = [world.at("crates/sub"), world.at("crates/embedded")].map(|dir| git_state(&dir));
    there_and_back(
        &world.root,
        &["crates/sub/src/lib.rs", "crates/embedded/src/lib.rs", "crates/alpha/src/lib.rs"],
    );
    for (dir, before) in [world.at("crates/sub"), world.at("crates/embedded")].iter().zip(inner) {
        let now = git_state(dir);
        assert_eq!(now.0, before.0);
        assert!(now.1 == before.1, "the index of {}", dir.display());
        assert_same(&now.2, &before.2, ".git of an inner repository");
    }
    assert!(world.at("crates/sub/ignored.log").exists());
}

#[test]
#[ignore = "part of torture: builds"]
fn a_workspace_in_a_subdirectory_of_a_larger_repository() {
    let temp = TempDir::new();
    let top = temp.path().join("mono");
    mkdir(&top);
    let world = World::on(temp, "virtual");
    let root = top.join("rust");
    fs::rename(&world.root, &root).unwrap();
    write(top.join(".gitignore"), "*.secret\nrust/crates/alpha/gen/\n");
    write(top.join("web/index.js"), "1\n");
    git(&top).args(["init", "-q"]).ends(0);
    commit_all(&top);
    write(root.join("crates/alpha/my.secret"), "secret\n");
    write(root.join("crates/alpha/gen/out.rs"), "generated\n");
    write(top.join("web/new.js"), "2\n");
    let beside = Picture::take(&top, &[&root]);
    there_and_back(&root, &VIRTUAL);
    assert_same(&Picture::take(&top, &[&root]), &beside, "what lies beside the workspace");
    // What the repository ignores is in no restore point.
    let show = backstop(&root).args(["show", "-v"]).ends(0);
    assert!(!show.out.contains("my.secret") && !show.out.contains("out.rs"), "{}", show.out);
}

#[test]
fn a_workspace_whose_git_is_broken() {
    let world = World::new("virtual");
    git(&world.root).args(["init", "-q"]).ends(0);
    commit_all(&world.root);
    write(world.at(".git/HEAD"), "nonsense\n");
    let dot_git = Picture::with_times(&world.at(".git"), &[]);
    // Nobody can say what is ignored, and that is said.
    let run = backstop(&world.root).arg("backup").ends(0);
    assert!(run.err.contains("git"), "{}", run.err);
    let good = world.picture();
    for file in VIRTUAL {
        write(world.at(file), "changed\n");
    }
    write(world.at("crates/alpha/added.rs"), "added\n");
    copied(&world.dir).args(["rollback", "-t", "latest", "-f"]).ends(0).prints("crates/alpha/added.rs");
    let left = good.diff(&world.picture());
    assert!(left.lines().count() <= 1 && left.lines().all(|l| l.contains("added.rs")), "{left}");
    assert_same(&Picture::with_times(&world.at(".git"), &[]), &dot_git, ".git");
}

#[test]
fn a_git_that_breaks_after_the_backup_leaves_what_was_added_in_place() {
    let world = World::new("virtual");
    git(&world.root).args(["init", "-q"]).ends(0);
    commit_all(&world.root);
    backstop(&world.root).arg("backup").ends(0);
    let good = world.picture();
    write(world.at(".git/HEAD"), "nonsense\n");
    write(world.at("crates/alpha/src/lib.rs"), "changed\n");
    write(world.at("crates/alpha/added.rs"), "added\n");
    let run = copied(&world.dir).args(["rollback", "-t", "latest", "-f"]).ends(0);
    run.prints("leave alone  crates/alpha/added.rs");
    let left = good.diff(&world.picture());
    assert!(left.lines().count() == 1 && left.contains("added.rs"), "{left}");
}

#[test]
#[ignore = "part of torture: builds"]
fn a_repository_above_that_ignores_the_whole_workspace() {
    let temp = TempDir::new();
    let top = temp.path().join("dotfiles");
    mkdir(&top);
    let world = World::on(temp, "virtual");
    let root = top.join("work");
    fs::rename(&world.root, &root).unwrap();
    write(top.join(".gitignore"), "*\n");
    git(&top).args(["init", "-q"]).ends(0);
    let run = backstop(&root).args(["backup", "--format", "json"]).ends(0).json();
    assert_eq!(run["totals"]["files"], 9, "{run:#}");
    remove(root.join("backup"));
    there_and_back(&root, &VIRTUAL);
}

#[test]
fn ignored_files_stay_and_tracked_ones_are_kept_though_ignored() {
    let world = World::new("virtual");
    write(world.at(".gitignore"), "*.log\n/target\n");
    git(&world.root).args(["init", "-q"]).ends(0);
    write(world.at("crates/alpha/kept.log"), "tracked\n");
    git(&world.root).args(["add", "-f", "crates/alpha/kept.log"]).ends(0);
    commit_all(&world.root);
    write(world.at("crates/alpha/old.log"), "old\n");
    write(world.at("target/debug/x"), "x\n");
    there_and_back(&world.root, &["crates/alpha/kept.log", "crates/alpha/src/lib.rs"]);
    write(world.at("crates/alpha/old.log"), "changed\n");
    write(world.at("crates/alpha/new.log"), "new\n");
    remove(world.at("crates/alpha/kept.log"));
    copied(&world.dir).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_eq!(fs::read_to_string(world.at("crates/alpha/kept.log")).unwrap(), "tracked\n");
    assert_eq!(fs::read_to_string(world.at("crates/alpha/old.log")).unwrap(), "changed\n");
    assert_eq!(fs::read_to_string(world.at("crates/alpha/new.log")).unwrap(), "new\n");
    assert!(world.at("target/debug/x").exists());
}

#[test]
#[ignore = "part of torture: builds"]
fn a_path_with_spaces_in_git() {
    let world = World::new("virtual");
    let root = world.temp.path().join("my own work");
    fs::rename(&world.root, &root).unwrap();
    fs::rename(root.join("crates/alpha"), root.join("crates/al pha")).unwrap();
    let manifest = fs::read_to_string(root.join("crates/beta/Cargo.toml")).unwrap();
    write(root.join("crates/beta/Cargo.toml"), manifest.replace("../alpha", "../al pha"));
    write(root.join("crates/al pha/a b.txt"), "x\n");
    git(&root).args(["init", "-q"]).ends(0);
    commit_all(&root);
    there_and_back(&root, &["crates/al pha/src/lib.rs", "crates/al pha/a b.txt"]);
}

#[test]
fn a_linked_worktree_of_git() {
    let world = World::new("virtual");
    git(&world.root).args(["init", "-q"]).ends(0);
    commit_all(&world.root);
    let tree = world.temp.path().join("tree");
    git(&world.root).args(["worktree", "add", "-q", "-b", "side"]).arg(&tree).ends(0);
    assert!(tree.join(".git").is_file());
    there_and_back(&tree, &VIRTUAL);
}

#[test]
fn a_path_dependency_outside_is_kept_compared_and_written_only_when_asked() {
    let world = World::new("outside");
    backstop(&world.root).arg("backup").ends(0);
    let neighbour = world.root.parent().unwrap().join("neighbour");
    let good = (world.picture(), Picture::take(&neighbour, &[]));
    let change = || {
        write(world.at("crates/inner/src/lib.rs"), "changed\n");
        write(neighbour.join("src/lib.rs"), "changed\n");
        write(neighbour.join("src/added.rs"), "added\n");
    };
    change();
    let bad = Picture::take(&neighbour, &[]);
    let run = copied(&world.dir).args(["rollback", "-t", "latest", "-f"]).ends(0);
    run.prints("2 paths differ outside the workspace; --outside writes them").prints("neighbour:src/lib.rs");
    assert_same(&world.picture(), &good.0, "the workspace");
    assert_same(&Picture::take(&neighbour, &[]), &bad, "outside, unasked");
    change();
    copied(&world.dir).args(["rollback", "-t", "latest", "-f", "--outside"]).ends(0);
    assert_same(&world.picture(), &good.0, "the workspace");
    assert_same(&Picture::take(&neighbour, &[]), &good.1, "outside, asked");
    copied(&world.dir).args(["rollback", "--undo", "-f"]).ends(0);
    assert_same(&Picture::take(&neighbour, &[]), &bad, "outside, undone");
}

#[test]
fn hooks_filters_and_a_monitor_of_the_repository_are_never_run() {
    let world = World::new("virtual");
    let mark = world.temp.path().join("mark");
    let trap = world.temp.path().join("trap");
    edit::program(&trap, format!("#!/bin/sh\necho \"$0 $@\" >> '{}'\ncat\n", mark.display()));
    git(&world.root).args(["init", "-q"]).ends(0);
    commit_all(&world.root);
    for key in [
        "core.fsmonitor",
        "filter.trap.clean",
        "filter.trap.smudge",
        "filter.trap.process",
        "diff.external",
        "core.pager",
        "core.sshCommand",
    ] {
        git(&world.root).args(["config", key]).arg(&trap).ends(0);
    }
    write(world.at(".gitattributes"), "* filter=trap\n");
    for hook in ["post-index-change", "post-checkout", "pre-commit", "reference-transaction"] {
        fs::copy(&trap, world.at(".git/hooks").join(hook)).unwrap();
    }
    let index = fs::read(world.at(".git/index")).unwrap();
    backstop(&world.root).arg("backup").ends(0);
    spoil(&world.root);
    for args in [
        &["rollback", "-t", "latest", "-f"][..],
        &["rollback", "--undo", "-f"],
        &["validate", "--all"],
        &["list"],
    ] {
        backstop(&world.root).args(args).ends(0);
    }
    assert!(!mark.exists(), "{}", fs::read_to_string(&mark).unwrap());
    assert!(fs::read(world.at(".git/index")).unwrap() == index);
    // The traps do catch.
    git(&world.root).args(["status"]).run();
    assert!(mark.exists(), "nothing would have been seen");
}
