//! Whose a file is: what a restore point and a rollback never touch, wherever it lies and whenever it was made.

use std::fs;
use std::path::Path;
use std::process::Command;

use backstop::diff::diff_live;
use backstop::live_tree::{LeftAlone, Look};
use backstop::rollback::{RollbackOptions, RollbackPlan};

use crate::support::edit::{link, mkdir, remove, write};
use crate::support::tree::assert_same;
use crate::support::{Picture, TempDir, World};

/// A workspace at `ws` whose root manifest is `root`, with packages in the directories named.
pub(crate) fn workspace(ws: &str, root: &str, packages: &[&str]) -> World {
    let temp = TempDir::new();
    let at = temp.path().join(ws);
    mkdir(&at);
    let world = World::opened(temp, at.canonicalize().unwrap());
    write(world.at("Cargo.toml"), root);
    packages.iter().for_each(|dir| package(&world, dir, ""));
    world
}

/// A package in a directory, of that directory's name.
pub(crate) fn package(world: &World, dir: &str, more: &str) {
    let name = Path::new(dir).file_name().unwrap().to_str().unwrap();
    let text = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}");
    write(world.at(dir).join("Cargo.toml"), text);
    write(world.at(dir).join("src/lib.rs"), "pub fn one() {}\n");
}

pub(crate) fn git(dir: impl AsRef<Path>, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

pub(crate) fn commit(dir: impl AsRef<Path>) {
    git(&dir, &["init", "-q"]);
    git(&dir, &["add", "-A"]);
    git(&dir, &["commit", "-qm", "x"]);
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[track_caller]
fn changes(world: &World) -> Vec<String> {
    let diff = diff_live(&world.store(), &world.latest(), Look::Whole, &world.context()).unwrap();
    diff.changes.iter().map(backstop::diff::Change::shown).collect()
}

fn left(plan: &RollbackPlan) -> Vec<&str> {
    plan.left_alone.iter().map(|(path, _)| path.as_str()).collect()
}

pub(crate) const VIRTUAL: &str = "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n";

#[test]
fn working_trees_of_other_repositories_stay_as_they_are_and_are_named() {
    for scope in ["packages", "workspace"] {
        let root = format!("{VIRTUAL}[workspace.metadata.backstop]\nscope = \"{scope}\"\n");
        let world = workspace("ws", &root, &["crates/a"]);
        write(world.at(".gitignore"), "/backup/\n/ignored/\n");
        commit(&world.root);
        let add = |at: &str| git(&world.root, &["worktree", "add", "-q", at, "-b", &at.replace('/', "-")]);
        let clone = |at: &str| git(&world.root, &["clone", "-q", ".", at]);
        let then = ["crates/a/tree", "ignored/tree", "clone", "crates/a/hosts"];
        let since = ["crates/a/other", "trees/other", "crates/a/src/copy", "copy"];
        add(then[0]);
        add(then[1]);
        clone(then[2]);
        add(then[3]);
        // As a container sees it that has the repository at another path.
        write(world.at(then[3]).join(".git"), "gitdir: /nowhere/ws/.git/worktrees/hosts\n");
        world.backup();
        add(since[0]);
        add(since[1]);
        clone(since[2]);
        clone(since[3]);
        assert_eq!(changes(&world), [""; 0], "{scope}");
        let trees = then.iter().chain(&since);
        for tree in trees.clone() {
            write(world.at(tree).join("crates/a/src/lib.rs"), "another branch\n");
            write(world.at(tree).join("crates/a/src/new.rs"), "new\n");
        }
        write(world.at("crates/a/src/lib.rs"), "mine\n");
        let plan = world.plan(&RollbackOptions::default());
        for tree in trees.clone().filter(|tree| !tree.starts_with("ignored")) {
            assert!(
                plan.left_alone.contains(&((*tree).to_owned(), LeftAlone::OtherCheckout)),
                "{tree}: {:?}",
                plan.left_alone
            );
        }
        world.rollback(&RollbackOptions::default());
        assert_eq!(read(world.at("crates/a/src/lib.rs")), "pub fn one() {}\n");
        for tree in trees {
            assert_eq!(
                read(world.at(tree).join("crates/a/src/lib.rs")),
                "another branch\n",
                "{tree}, {scope}"
            );
            assert_eq!(read(world.at(tree).join("crates/a/src/new.rs")), "new\n", "{tree}, {scope}");
        }
    }
}

/// A workspace in git, and a repository beside it, for submodules and clones.
fn beside_a_repository() -> (World, String) {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    write(world.at(".gitignore"), "/backup/\n");
    let origin = world.temp.path().join("origin");
    write(origin.join("data"), "then\n");
    commit(&origin);
    commit(&world.root);
    let origin = origin.to_str().unwrap().to_owned();
    (world, origin)
}

#[test]
fn submodules_go_back_and_one_initialised_since_stays_whole() {
    let (world, origin) = beside_a_repository();
    for at in ["crates/a/then", "crates/a/since"] {
        git(&world.root, &["submodule", "--quiet", "add", &origin, at]);
    }
    git(&world.root, &["submodule", "--quiet", "deinit", "-f", "crates/a/since"]);
    world.backup();
    git(&world.root, &["submodule", "--quiet", "update", "--init"]);
    write(world.at("crates/a/then/data"), "now\n");
    write(world.at("crates/a/then/new"), "new\n");
    write(world.at("crates/a/since/new"), "new\n");
    assert_eq!(left(&world.plan(&RollbackOptions::default())), ["crates/a/since"]);
    world.rollback(&RollbackOptions::default());
    assert_eq!(read(world.at("crates/a/then/data")), "then\n");
    assert!(!world.at("crates/a/then/new").exists());
    assert!(world.at("crates/a/since/new").exists() && world.at("crates/a/since/data").exists());
}

#[test]
fn a_clone_goes_back_as_far_as_the_packages_in_it_go() {
    let root = "[workspace]\nmembers = [\"repos/own\", \"repos/shared/a\"]\n[workspace.metadata.backstop]\n\
                scope = \"workspace\"\n";
    let world = workspace("ws", root, &["repos/own", "repos/shared/a"]);
    write(world.at("repos/shared/notes"), "then\n");
    for repository in ["repos/own", "repos/shared"] {
        commit(world.at(repository));
    }
    write(world.at(".gitignore"), "/repos/\n/backup/\n");
    commit(&world.root);
    world.backup();
    for file in ["repos/own/src/lib.rs", "repos/own/new", "repos/shared/a/src/lib.rs", "repos/shared/a/new"] {
        write(world.at(file), "now\n");
    }
    for file in ["repos/shared/notes", "repos/shared/new", "repos/shared/b/new"] {
        write(world.at(file), "now\n");
    }
    world.rollback(&RollbackOptions::default());
    for package in ["repos/own", "repos/shared/a"] {
        assert_eq!(read(world.at(package).join("src/lib.rs")), "pub fn one() {}\n", "{package}");
        assert!(!world.at(package).join("new").exists(), "{package}");
    }
    for file in ["repos/shared/notes", "repos/shared/new", "repos/shared/b/new"] {
        assert_eq!(read(world.at(file)), "now\n", "{file}");
    }
}

#[test]
fn a_workspace_in_the_package_that_it_depends_on_is_a_root_of_its_own() {
    let more = "[workspace]\n[dependencies]\nouter = { path = \"..\" }\n";
    let world = workspace("outer/fuzz", "", &[]);
    package(&world, "../../outer", "[workspace]\n");
    package(&world, "../fuzz", more);
    commit(world.at(".."));
    world.backup();
    assert_eq!(changes(&world), [""; 0]);
    write(world.at("../src/lib.rs"), "changed\n");
    let outside = RollbackOptions { outside: true, ..RollbackOptions::default() };
    assert_eq!(world.plan(&outside).actions.len(), 1, "{:?}", world.plan(&outside).actions);
    world.rollback(&outside);
    assert_eq!(read(world.at("../src/lib.rs")), "pub fn one() {}\n");
    assert!(world.at("Cargo.toml").exists());
}

#[test]
fn members_beside_the_root_go_back_like_any_other() {
    let root = "[workspace]\nmembers = [\"../a\"]\n";
    let world = workspace("mono/build", root, &[]);
    let dependency = "workspace = \"../build\"\n[dependencies]\nd = { path = \"../../d\" }\n";
    package(&world, "../a", dependency);
    package(&world, "../../d", "[workspace]\n");
    world.backup();
    for dir in ["../a", "../../d"] {
        write(world.at(dir).join("src/lib.rs"), "changed\n");
        write(world.at(dir).join("src/new.rs"), "new\n");
    }
    let plan = world.plan(&RollbackOptions::default());
    assert_eq!(plan.outside_differences, ["d:src/lib.rs", "d:src/new.rs"]);
    world.rollback(&RollbackOptions::default());
    assert_eq!(read(world.at("../a/src/lib.rs")), "pub fn one() {}\n");
    assert!(!world.at("../a/src/new.rs").exists());
    assert_eq!(read(world.at("../../d/src/lib.rs")), "changed\n", "nobody asked for what is no member");
    world.undo();
    assert_eq!(read(world.at("../a/src/lib.rs")), "changed\n");
    fs::remove_dir_all(world.at("../a")).unwrap();
    let options = RollbackOptions::default();
    let error = world.plan_with(&world.latest(), &options, &backstop::fsx::Fs::real()).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    // What the help says works.
    mkdir(world.at("../a"));
    world.rollback(&options);
    assert_eq!(read(world.at("../a/src/lib.rs")), "pub fn one() {}\n");
}

#[test]
fn a_configuration_born_since_is_an_addition() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    world.backup();
    write(world.at(".cargo/config.toml"), "[build]\nrustflags = [\"--cfg\", \"other\"]\n");
    write(world.at(".config/nextest.toml"), "");
    assert_eq!(changes(&world), [".cargo/config.toml", ".config/nextest.toml"]);
    world.rollback(&RollbackOptions::default());
    assert!(!world.at(".cargo").exists() && !world.at(".config").exists());
    world.undo();
    assert!(world.at(".cargo/config.toml").exists());
}

#[test]
fn a_target_of_any_shape_is_neither_kept_nor_moved() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    write(world.at(".gitignore"), "target/\n/backup/\n");
    commit(&world.root);
    let disk = world.temp.path().join("disk");
    write(disk.join("debug/x"), "built\n");
    let make = |shape: &str, at: &Path| match shape {
        "link" => link(&disk, at),
        "directory" => write(at.join("debug/x"), "built\n"),
        "file" => write(at, "../disk\n"),
        _ => {}
    };
    let shapes = ["nothing", "link", "directory", "file"];
    for at in ["target", "crates/a/target"] {
        for then in shapes {
            remove(world.at(at));
            make(then, &world.at(at));
            world.backup();
            let held = |e: &backstop::manifest::Entry| e.path.as_path().starts_with(at);
            assert!(!world.backup().manifest.entries.iter().any(held), "{at}: {then}");
            for now in shapes {
                remove(world.at(at));
                make(now, &world.at(at));
                let kind = || world.at(at).symlink_metadata().ok().map(|meta| meta.file_type());
                let before = kind();
                write(world.at("crates/a/src/lib.rs"), "changed\n");
                world.rollback(&RollbackOptions::default());
                assert_eq!(read(world.at("crates/a/src/lib.rs")), "pub fn one() {}\n", "{then}, then {now}");
                assert_eq!(kind(), before, "{at}: {then}, then {now}");
            }
        }
    }
}

#[test]
fn of_a_cargo_home_only_the_configuration_is_the_workspaces() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    let machines = [
        ".cargo/credentials.toml",
        ".cargo/.crates.toml",
        ".cargo/.crates2.json",
        ".cargo/.global-cache",
        ".cargo/.package-cache",
        ".cargo/env",
        ".cargo/bin/tool",
        ".cargo/registry/index/x",
        "crates/a/home/.package-cache",
        "crates/a/home/config.toml",
        "crates/a/home/bin/tool",
    ];
    let ours = [".cargo/config.toml", ".cargo/audit.toml", "crates/a/.cargo/config"];
    for file in machines.iter().chain(&ours) {
        write(world.at(file), "then\n");
    }
    write(world.at(".cargo/config.toml"), "[alias]\nb = \"build\"\n");
    write(world.at(".cargo/run.sh"), "then\n");
    git(&world.root, &["init", "-q"]);
    git(&world.root, &["add", ".cargo/run.sh"]);
    let held = world.backup().manifest;
    let held = |file: &str| held.entries.iter().any(|e| e.path.as_bytes() == file.as_bytes());
    assert!(held(".cargo/run.sh"), "git tracks it");
    for file in ours {
        assert!(held(file), "{file}");
        write(world.at(file), "# now\n");
    }
    for file in machines {
        assert!(!held(file), "{file}");
        write(world.at(file), "now\n");
    }
    write(world.at(".cargo/bin/other"), "since\n");
    assert_eq!(changes(&world), [".cargo/audit.toml", ".cargo/config.toml", "crates/a/.cargo/config"]);
    world.rollback(&RollbackOptions::default());
    for file in machines {
        assert_eq!(read(world.at(file)), "now\n", "{file}");
    }
    assert!(world.at(".cargo/bin/other").exists());
    assert_eq!(read(world.at(".cargo/audit.toml")), "then\n");
}

#[test]
fn what_a_pattern_or_a_watched_directory_would_bring_in_is_an_addition() {
    let root = "[workspace]\nmembers = [\"a\"]\n[workspace.metadata.backstop]\ninclude = [\"queries/**\", \"*.d/x/*.json\"]\n\
                exclude = [\"**/*.big\"]\n";
    let world = workspace("ws", root, &["a"]);
    write(world.at(".gitignore"), "/target/\n/backup/\n");
    for file in ["queries/q.json", "z.d/x/1.json", "z.d/other", "proto/a.proto"] {
        write(world.at(file), "then\n");
    }
    commit(&world.root);
    write(world.at("target/debug/build/a-0123456789abcdef/output"), "cargo:rerun-if-changed=../proto\n");
    write(world.at("a/build.rs"), "fn main() {}\n");
    world.backup();
    let added = [
        "proto/b.proto",
        "proto/deep/c.proto",
        "queries/deep/new.json",
        "queries/new.json",
        "y.d/x/1.json",
        "z.d/x/2.json",
    ];
    let stays = ["queries/new.big", "y.d/other", "z.d/since", "z.d/x/2.txt"];
    added.iter().chain(&stays).for_each(|file| write(world.at(file), "since\n"));
    assert_eq!(changes(&world), added);
    let before = world.picture();
    let plan = world.plan(&RollbackOptions::default());
    assert_eq!(left(&plan), ["queries/new.big"]);
    assert!(plan.touch.iter().any(|at| at.path.as_bytes() == b"a/src/lib.rs"), "{:?}", plan.touch);
    world.rollback(&RollbackOptions::default());
    added.iter().for_each(|file| assert!(!world.at(file).exists(), "{file}"));
    stays.iter().for_each(|file| assert!(world.at(file).exists(), "{file}"));
    assert!(
        !world.at("proto/deep").exists() && !world.at("queries/deep").exists() && !world.at("y.d/x").exists()
    );
    world.undo();
    crate::support::tree::assert_same(&world.picture(), &before, "undone");
}

/// The places of a plan's findings.
fn places(plan: &RollbackPlan) -> Vec<&str> {
    plan.findings.iter().map(|f| f.place.as_str()).collect()
}

#[test]
fn a_directory_that_is_another_repositorys_working_tree_since_stays_whole_and_is_named() {
    type Since = fn(&World, &str);
    let cases: &[(&str, Since)] = &[
        ("a submodule", |w, origin| {
            git(&w.root, &["rm", "-rqf", "crates/b"]);
            git(&w.root, &["submodule", "--quiet", "add", origin, "crates/b"]);
        }),
        ("a clone that the index does not know of", |w, origin| {
            remove(w.at("crates/b"));
            git(&w.root, &["clone", "-q", origin, "crates/b"]);
        }),
        ("a repository that was made there", |w, _| commit(w.at("crates/b"))),
        ("a linked worktree", |w, _| {
            remove(w.at("crates/b"));
            git(&w.root, &["worktree", "add", "-q", "crates/b", "-b", "other"]);
        }),
        ("a Fossil checkout", |w, _| write(w.at("crates/b/.fslckout"), "x")),
        ("a Subversion working copy", |w, _| write(w.at("crates/b/.svn/wc.db"), "x")),
    ];
    for (scope, cases) in [("packages", cases), ("workspace", &cases[..1])] {
        for (what, since) in cases {
            let root = format!("{VIRTUAL}[workspace.metadata.backstop]\nscope = \"{scope}\"\n");
            let world = workspace("ws", &root, &["crates/a", "crates/b"]);
            write(world.at(".gitignore"), "/backup/\n");
            let origin = world.temp.path().join("origin");
            package(&world, "../origin", "");
            write(origin.join("src/more.rs"), "theirs\n");
            commit(&origin);
            commit(&world.root);
            world.backup();
            since(&world, origin.to_str().unwrap());
            write(world.at("crates/b/src/lib.rs"), "theirs\n");
            write(world.at("crates/b/src/new.rs"), "theirs\n");
            write(world.at("crates/a/src/lib.rs"), "mine\n");
            let before = Picture::take(&world.at("crates/b"), &[]);
            let plan = world.plan(&RollbackOptions::default());
            assert!(left(&plan).contains(&"crates/b"), "{what}: {:?}", plan.left_alone);
            assert!(places(&plan).contains(&"crates/b"), "{what}: {:?}", plan.findings);
            world.rollback(&RollbackOptions::default());
            assert_same(&Picture::take(&world.at("crates/b"), &[]), &before, what);
            assert_eq!(read(world.at("crates/a/src/lib.rs")), "pub fn one() {}\n", "{what}");
            let asked = backstop::live_tree::Asked { packages: vec!["b".into()], ..Default::default() };
            let alone = world.plan(&RollbackOptions { asked, ..RollbackOptions::default() });
            assert!(places(&alone).contains(&"crates/b"), "{what}: {:?}", alone.findings);
            // What the finding says works.
            fs::rename(world.at("crates/b"), world.temp.path().join("away")).unwrap();
            assert_eq!(places(&world.plan(&RollbackOptions::default())), [""; 0], "{what}");
            world.rollback(&RollbackOptions::default());
            assert_eq!(read(world.at("crates/b/src/lib.rs")), "pub fn one() {}\n", "{what}");
        }
    }
}

#[test]
fn a_clone_in_the_place_of_a_submodule_stays_whole() {
    let (world, origin) = beside_a_repository();
    git(&world.root, &["submodule", "--quiet", "add", &origin, "crates/a/sub"]);
    world.backup();
    remove(world.at("crates/a/sub"));
    git(&world.root, &["clone", "-q", &origin, "crates/a/sub"]);
    write(world.at("crates/a/sub/data"), "theirs\n");
    write(world.at("crates/a/sub/new"), "theirs\n");
    let plan = world.plan(&RollbackOptions::default());
    assert_eq!((places(&plan), plan.actions.len()), (vec!["crates/a/sub"], 0), "{:?}", plan.actions);
}

#[test]
fn a_hidden_package_that_became_a_clone_stays_whole() {
    let world = workspace("ws", "[workspace]\nmembers = [\"repos/own\"]\n", &["repos/own"]);
    write(world.at(".gitignore"), "/repos/\n/backup/\n");
    commit(&world.root);
    world.backup();
    commit(world.at("repos/own"));
    write(world.at("repos/own/new"), "theirs\n");
    write(world.at("repos/own/src/lib.rs"), "theirs\n");
    let plan = world.plan(&RollbackOptions::default());
    assert_eq!((places(&plan), plan.actions.len()), (vec!["repos/own"], 0), "{:?}", plan.actions);
}

#[test]
fn working_trees_of_every_version_control_system_are_anothers() {
    let marks = [
        "x/.svn/wc.db",
        "x/.bzr/checkout/format",
        "x/.pijul/pristine/db",
        "x/_darcs/format",
        "x/.fslckout",
        "x/_FOSSIL_",
        "x/CVS/Entries",
        "x/.hg/requires",
        "x/.jj/repo/x",
        "x/.sl/requires",
    ];
    for (scope, marks) in [("packages", &marks[..]), ("workspace", &marks[..1])] {
        for mark in marks {
            let root = format!("{VIRTUAL}[workspace.metadata.backstop]\nscope = \"{scope}\"\n");
            let world = workspace("ws", &root, &["crates/a"]);
            let tree = |at: &str| {
                write(world.at(at).join(mark), "x");
                write(world.at(at).join("x/sources/file"), "theirs\n");
            };
            tree("crates/a/then");
            let report = world.backup();
            let held = |e: &backstop::manifest::Entry| e.path.as_path().starts_with("crates/a/then/x");
            assert!(!report.manifest.entries.iter().any(held), "{mark}: kept");
            tree("crates/a/since");
            let before = world.picture();
            let plan = world.plan(&RollbackOptions::default());
            assert_eq!(left(&plan), ["crates/a/since/x", "crates/a/then/x"], "{mark}");
            assert!(plan.actions.is_empty(), "{mark}: {:?}", plan.actions);
            assert_same(&world.picture(), &before, mark);
        }
    }
}

#[test]
fn a_workspace_that_is_a_working_copy_itself_is_protected_without_its_systems_own_files() {
    for mark in [".svn/entries", "CVS/Entries", "_darcs/format", ".fslckout"] {
        let world = workspace("ws", "", &[]);
        package(&world, "../ws", "");
        // Old Subversion and CVS have theirs in every directory.
        for dir in ["", "src", "src/deep"] {
            write(world.at(dir).join(mark), "x");
        }
        write(world.at("src/deep/mod.rs"), "then\n");
        write(world.at("src/cvs/mod.rs"), "a module\n");
        if !mark.contains('/') || mark.starts_with('_') {
            remove(world.at("src").join(mark.split('/').next().unwrap()));
            remove(world.at("src/deep").join(mark.split('/').next().unwrap()));
        }
        let held: Vec<String> = world.backup().manifest.entries.iter().map(|e| e.path.to_string()).collect();
        assert!(
            ["src/deep/mod.rs", "src/cvs/mod.rs"].iter().all(|f| held.iter().any(|h| h == f)),
            "{held:?}"
        );
        let own = mark.split('/').next().unwrap();
        assert!(!held.iter().any(|path| path.split('/').any(|part| part == own)), "{held:?}");
    }
}

#[test]
fn a_directory_where_a_link_or_a_file_stood_makes_way_with_all_that_is_in_it() {
    for outside in [false, true] {
        let world = workspace("ws", VIRTUAL, &["crates/a"]);
        let real = if outside { "../real/b" } else { "real/b" };
        package(&world, real, "");
        link(format!("../{real}"), world.at("crates/b"));
        write(world.at("crates/a/data"), "a file");
        write(world.at(".gitignore"), "/backup/\n.env\ntarget/\n");
        commit(&world.root);
        let then = world.picture();
        world.backup();
        remove(world.at("crates/b"));
        fs::rename(world.at(real), world.at("crates/b")).unwrap();
        remove(world.at("crates/a/data"));
        for file in ["crates/b/.env", "crates/b/target/x", "crates/a/data/deep/x"] {
            write(world.at(file), "since");
        }
        if outside {
            mkdir(world.at(real));
        }
        let now = world.picture();
        let options = RollbackOptions { outside: true, ..RollbackOptions::default() };
        world.rollback(&options);
        assert_same(&world.picture(), &then, "rolled back");
        world.undo();
        assert_same(&world.picture(), &now, "undone");
        // What is another's stays, and the rollback says so before it begins.
        commit(world.at("crates/b"));
        let error = world.plan_with(&world.latest(), &options, &backstop::fsx::Fs::real()).unwrap_err();
        assert!(error.details().iter().any(|line| line.contains("another repository")), "{error:?}");
    }
}

#[test]
fn what_editors_keep_while_somebody_has_a_file_open_is_nobodys_source() {
    let world = workspace("ws", VIRTUAL, &["crates/a"]);
    write(world.at(".gitignore"), "/backup/\n");
    let lock = |dir: &str| {
        link("user@host.example.4711:1700000000", world.at(dir).join(".#lib.rs"));
        write(world.at(dir).join(".lib.rs.swp"), "b0VIM 9.1\0");
        write(world.at(dir).join(".~lock.notes.odt#"), ",user,host,;");
    };
    // What only looks like it, and what git tracks, is kept.
    link("lib.rs", world.at("crates/a/src/.#link.rs"));
    let ours = ["crates/a/src/.#link.rs", "crates/a/src/.data.swp", "crates/a/src/.tracked.swp"];
    write(world.at(ours[1]), "data");
    write(world.at(ours[2]), "b0VIM");
    write(world.at(ours[2]), "b0VIM tracked");
    commit(&world.root);
    lock("crates/a/src");
    let manifest = world.backup().manifest;
    let held: Vec<String> = manifest.entries.iter().map(|e| e.path.to_string()).collect();
    assert!(
        !held.iter().any(|path| path.contains(".#lib") || path.contains(".lib.rs") || path.contains("~")),
        "{held:?}"
    );
    assert!(ours.iter().all(|ours| held.iter().any(|path| path == ours)), "{held:?}");
    // Since then one was closed, and another opened.
    for name in [".#lib.rs", ".lib.rs.swp", ".~lock.notes.odt#"] {
        remove(world.at("crates/a/src").join(name));
    }
    lock("crates/a");
    write(world.at("crates/a/src/lib.rs"), "edited\n");
    assert_eq!(changes(&world), ["crates/a/src/lib.rs"]);
    world.rollback(&RollbackOptions::default());
    assert!(world.at("crates/a/.#lib.rs").is_symlink() && world.at("crates/a/.lib.rs.swp").exists());
    assert!(
        !world.at("crates/a/src/.#lib.rs").is_symlink() && !world.at("crates/a/src/.lib.rs.swp").exists()
    );
    // A package that came since goes whole, whoever has it open.
    package(&world, "crates/b", "");
    lock("crates/b/src");
    let plan = world.plan(&RollbackOptions::default());
    assert_eq!(places(&plan), [""; 0]);
    world.rollback(&RollbackOptions::default());
    assert!(!world.at("crates/b").exists());
}
