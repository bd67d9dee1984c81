//! Git is asked as the user's own call would be: where it answers because of the user's configuration, in a file or in
//! the environment, it answers backstop; where it refuses, that is no "no", and its own advice is passed on.

use std::fs;

use crate::cli::{Cli, backstop, program};
use crate::support::World;
use crate::support::edit::write;

fn repository() -> World {
    let world = World::new("single");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "/target\n/backup\n.env\n");
    write(world.at(".env"), "TOKEN=0\n");
    world
}

/// A repository of another user, which git refuses to read; `None` where nobody can give it away.
fn of_another_user() -> Option<World> {
    let world = repository();
    std::os::unix::fs::chown(world.at(".git"), Some(12345), None).ok()?;
    program("git", &world.root).args(["status"]).ends(128);
    Some(world)
}

/// One setting by the environment: by its list of settings, and as `git -c` hands it on to what it starts.
const SPELLINGS: [fn(Cli, &str, &str) -> Cli; 2] = [
    |cli, key, value| {
        cli.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", key).env("GIT_CONFIG_VALUE_0", value)
    },
    |cli, key, value| cli.env("GIT_CONFIG_PARAMETERS", format!("'{key}={value}'")),
];

fn holds(world: &World, path: &str) -> bool {
    let files = fs::read_dir(&world.dir).unwrap().flatten().map(|e| e.path().join("files").join(path));
    files.into_iter().any(|file| file.exists())
}

#[test]
fn an_owner_that_the_environment_calls_safe_is_safe() {
    for set in SPELLINGS {
        let Some(world) = of_another_user() else { return };
        let safe = |cli| set(cli, "safe.directory", "*");
        let run = safe(backstop(&world.root).arg("backup")).ends(0);
        assert!(!run.err.contains("git cannot judge"), "{}", run.err);
        assert!(!run.out.contains("git cannot judge"), "{}", run.out);
        assert!(holds(&world, "src/lib.rs") && !holds(&world, ".env"), "git ignores .env");
        write(world.at("src/new.rs"), "pub fn new() {}\n");
        safe(backstop(&world.root).args(["rollback", "-t", "latest", "-f"])).ends(0);
        assert!(!world.at("src/new.rs").exists(), "git says that it is not ignored");
    }
}

#[test]
fn what_the_environment_excludes_is_ignored() {
    for set in SPELLINGS {
        let world = repository();
        write(world.at("notes.local"), "mine\n");
        let rules = world.root.with_extension("rules");
        write(&rules, "*.local\n");
        let excludes = |cli| set(cli, "core.excludesFile", rules.to_str().unwrap());
        excludes(backstop(&world.root).arg("backup")).ends(0);
        assert!(!holds(&world, "notes.local"));
        write(world.at("src/more.local"), "mine too\n");
        excludes(backstop(&world.root).args(["rollback", "-t", "latest", "-f"])).ends(0);
        assert!(world.at("src/more.local").exists());
    }
}

#[test]
fn how_far_up_a_repository_is_searched_for_is_the_users_to_say() {
    let world = World::new("single");
    // A home directory that is a repository, and ignores everything.
    program("git", world.temp.path()).args(["init", "-q"]).ends(0);
    write(world.temp.path().join(".gitignore"), "*\n");
    write(world.at("src/.gitignore"), "/made.rs\n");
    let ceiling = |cli: Cli| cli.env("GIT_CEILING_DIRECTORIES", world.temp.path());
    let run = ceiling(backstop(&world.root).arg("backup")).ends(0);
    assert!(!(run.out + &run.err).contains("git ignores the manifest"));
}

#[test]
fn a_refusal_is_no_answer_and_names_what_git_advises() {
    let Some(world) = of_another_user() else { return };
    let asks = |args: &[&str]| {
        let run = backstop(&world.root).args(args).run();
        let all = run.out + &run.err;
        assert!(all.contains("safe.directory") && !all.contains("is not ignored by git"), "{args:?}: {all}");
    };
    asks(&["backup"]);
    write(world.at("src/new.rs"), "pub fn new() {}\n");
    asks(&["rollback", "-t", "latest", "-f"]);
    assert!(world.at("src/new.rs").exists());
    asks(&["checkpoint", "--only", "CP005"]);
}

#[test]
fn no_program_that_the_environment_names_is_started() {
    for set in SPELLINGS {
        let world = repository();
        let mark = world.root.with_extension("mark");
        let program = world.root.with_extension("sh");
        write(&program, format!("#!/bin/sh\ntouch '{}'\n", mark.display()));
        crate::support::edit::chmod(&program, 0o755);
        let bait = |cli| set(cli, "core.fsmonitor", program.to_str().unwrap());
        bait(crate::cli::program("git", &world.root).args(["ls-files", "-o"])).ends(0);
        assert!(mark.exists(), "git as a person runs it starts the program");
        fs::remove_file(&mark).unwrap();
        bait(backstop(&world.root).arg("backup")).ends(0);
        bait(backstop(&world.root).arg("diff")).ends(0);
        assert!(!mark.exists());
    }
}

#[test]
fn a_cargo_that_is_gone_from_where_the_environment_names_it_is_the_one_on_the_path() {
    let world = repository();
    write(world.at("tools/cargo"), "no program\n");
    for gone in ["/nonexistent", "no-such-cargo", "tools/no-cargo", "tools/cargo", "tools"] {
        backstop(&world.root).arg("backup").env("CARGO", gone).ends(0);
    }
    // One that is there is asked.
    crate::support::edit::program(world.at("tools/own"), "#!/bin/sh\necho 'asked' >&2\nexit 7\n");
    let run = backstop(&world.root).arg("backup").env("CARGO", "tools/own").ends(0);
    assert!(run.err.contains("note: asked"), "{}", run.err);
}
