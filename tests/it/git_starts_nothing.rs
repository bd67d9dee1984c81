//! A plain clone whose own configuration names programs: none of them is started, whatever is asked of git.

use std::fs;
use std::path::Path;

use crate::cli::{Cli, backed_up, backstop, program};
use crate::support::World;
use crate::support::edit::write;

fn git(dir: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
    program("git", dir).args(identity).args(args).ends(0).out
}

/// Makes `dir` a repository that lacks the object of one file, and whose configuration says how to fetch it: by a
/// program that leaves a mark.
fn lacks_an_object(dir: &Path, file: &str, mark: &Path) {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-qm", "first"]);
    let object = git(dir, &["rev-parse", &format!("HEAD:{file}")]);
    let object = object.trim();
    fs::remove_file(dir.join(".git/objects").join(&object[..2]).join(&object[2..])).unwrap();
    git(dir, &["update-index", "--skip-worktree", file]);
    fs::remove_file(dir.join(file)).unwrap();
    let fetches = format!("touch '{}'; false", mark.display());
    git(dir, &["config", "core.repositoryFormatVersion", "1"]);
    git(dir, &["config", "extensions.partialClone", "evil"]);
    git(dir, &["config", "remote.evil.url", "."]);
    git(dir, &["config", "remote.evil.promisor", "true"]);
    git(dir, &["config", "remote.evil.uploadpack", &fetches]);
    git(dir, &["config", "protocol.file.allow", "always"]);
}

#[test]
fn a_missing_object_is_not_fetched_by_the_program_that_the_repository_names() {
    let world: World = backed_up();
    let mark = world.root.with_extension("mark");
    write(world.at("crates/alpha/.gitignore"), "*.log\n");
    git(&world.root, &["init", "-q"]);
    lacks_an_object(&world.root, "crates/alpha/.gitignore", &mark);
    // That the bait works at all: git as a person runs it starts the program.
    program("git", &world.root).args(["ls-files", "-co", "--exclude-standard"]).run();
    assert!(mark.exists(), "git fetches what is missing");
    fs::remove_file(&mark).unwrap();

    let silent = |what: &str, command: Cli| {
        command.run();
        assert!(!mark.exists(), "{what} started a program that the repository names");
    };
    let newest = ["-t", "latest"];
    for command in ["backup", "status", "diff", "validate"] {
        silent(command, backstop(&world.root).arg(command));
    }
    silent("explain", backstop(&world.root).args(["explain", "crates/alpha/src/lib.rs"]));
    for script in ["rollback.sh", "rollback.py"] {
        write(world.at("crates/alpha/src/lib.rs"), "changed\n");
        let path = world.dir.join("scripts").join(script);
        silent(script, program(path, &world.root).args(newest).arg("-f"));
    }
    write(world.at("crates/alpha/src/lib.rs"), "changed again\n");
    silent("rollback", backstop(&world.root).arg("rollback").args(newest).arg("-f"));
}
