//! Files that make a repository, and variables that steer git: nothing that they name is run or written.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Run, backed_up, backstop, copied, program, spoil};
use crate::roads::{bash, python};
use crate::support::World;
use crate::support::edit::{self, remove, write};

fn git(dir: &Path, args: &[&str]) -> Run {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
    program("git", dir).args(identity).args(args).run()
}

/// Makes the workspace a repository that lacks a blob which git needs to say what is ignored, and that names a
/// program to fetch it with. Gives the file that the program writes.
fn trap(world: &World) -> PathBuf {
    let (root, mark) = (&world.root, world.temp.path().join("mark"));
    let program = world.temp.path().join("uploadpack");
    edit::program(&program, format!("#!/bin/sh\necho \"$0 $@\" >> '{}'\nexit 1\n", mark.display()));
    let done = |args: &[&str]| git(root, args).ended(0);
    done(&["init", "-q"]);
    write(root.join("crates/alpha/.gitignore"), "*.log\n");
    done(&["add", "-A"]);
    done(&["commit", "-qm", "first"]);
    let blob = done(&["rev-parse", ":crates/alpha/.gitignore"]).out;
    done(&["update-index", "--skip-worktree", "crates/alpha/.gitignore"]);
    remove(root.join("crates/alpha/.gitignore"));
    let (two, rest) = blob.trim().split_at(2);
    remove(root.join(".git/objects").join(two).join(rest));
    let named = program.to_str().unwrap();
    for (key, value) in [
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", root.to_str().unwrap()),
        ("remote.origin.uploadpack", named),
        ("protocol.allow", "always"),
        ("protocol.file.allow", "always"),
        ("core.fsmonitor", named),
        ("core.pager", named),
        ("pager.ls-files", named),
        ("core.alternateRefsCommand", named),
        ("core.gitProxy", named),
        ("core.sshCommand", named),
        ("core.askPass", named),
        ("credential.helper", named),
        ("diff.external", named),
    ] {
        done(&["config", key, value]);
    }
    mark
}

/// Asks everything that asks git, and every way back.
fn everything(world: &World) {
    let run = |args: &[&str]| {
        let run = backstop(&world.root).args(args).run();
        assert!(matches!(run.code, Some(0 | 1)), "{args:?}: {run:?}");
    };
    write(world.at("crates/alpha/x.log"), "");
    run(&["backup"]);
    run(&["explain", "crates/alpha/x.log"]);
    spoil(&world.root);
    run(&["status"]);
    run(&["diff"]);
    run(&["validate"]);
    run(&["rollback", "-t", "latest", "-f"]);
    copied(&world.dir).args(["rollback", "--undo", "-f"]).ends(0);
    for (interpreter, script) in [(bash(), "rollback.sh"), (python(), "rollback.py")] {
        let Some(interpreter) = interpreter else { continue };
        let script = world.dir.join("scripts").join(script);
        let run = |args: &[&str]| program(&interpreter, "/").arg(&script).args(args).run();
        // What git does not judge stays, and cargo takes it for a member.
        let back = run(&["-t", "latest", "-f"]);
        assert!(matches!(back.code, Some(0 | 1)), "{back:?}");
        run(&["--undo", "-f"]).ended(0);
    }
}

#[track_caller]
fn assert_unsprung(mark: &Path, root: &Path) {
    assert!(!mark.exists(), "{}", fs::read_to_string(mark).unwrap());
    // The trap does catch.
    let _ = git(root, &["ls-files", "-o", "--exclude-standard"]);
    assert!(mark.exists(), "nothing would have been seen");
}

#[test]
fn a_bare_repository_in_a_workspace_is_no_repository_of_ours() {
    let world = World::new("virtual");
    let mark = trap(&world);
    // The clone is the directory above, and the workspace brings a repository's files along as it brings others.
    for entry in fs::read_dir(world.at(".git")).unwrap().flatten() {
        fs::rename(entry.path(), world.at(entry.file_name())).unwrap();
    }
    remove(world.at(".git"));
    git(&world.root, &["config", "-f", "config", "core.worktree", "."]);
    git(world.temp.path(), &["init", "-q"]).ended(0);
    everything(&world);
    assert_unsprung(&mark, &world.root);
}

#[test]
fn variables_of_gits_that_name_programs_reach_no_git() {
    let world = backed_up();
    let mark = world.temp.path().join("mark");
    git(&world.root, &["init", "-q"]).ended(0);
    for command in [&["status"][..], &["rollback", "-t", "latest", "--dry-run"]] {
        backstop(&world.root)
            .args(command)
            .env("GIT_TRACE", &mark)
            .env("GIT_TRACE2_EVENT", &mark)
            .env("GIT_TRACE_SETUP", &mark)
            .ends(0);
    }
    assert!(!mark.exists(), "{}", fs::read_to_string(&mark).unwrap());
    program("git", &world.root).args(["status"]).env("GIT_TRACE", &mark).ends(0);
    assert!(mark.exists(), "nothing would have been seen");
}
