//! Rows: what git ignores, what the settings exclude, what was never protected, and git that does not work.

use std::path::Path;

use super::road::{Road, tools_without};
use super::row::{BACK, Row, Tree, row};
use crate::cli::program;
use crate::support::World;
use crate::support::edit::{self, mkdir, remove, write};

const LIB: &str = "crates/alpha/src/lib.rs";

fn git(dir: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
    program("git", dir).args(identity).args(args).ends(0);
}

fn repository(world: &World) {
    git(&world.root, &["init", "-q"]);
    write(world.at(".gitignore"), "*.log\n/crates/alpha/generated/\n");
    git(&world.root, &["add", "-A"]);
    git(&world.root, &["commit", "-qm", "first"]);
    write(world.at("crates/alpha/then.log"), "ignored then\n");
}

fn change(world: &World) {
    write(world.at(LIB), "modified\n");
    write(world.at("crates/alpha/src/added.rs"), "added\n");
    write(world.at("crates/alpha/now.log"), "ignored\n");
    write(world.at("crates/alpha/generated/code.rs"), "generated\n");
}

/// What stays in every one of these.
const IGNORED: &[&str] = &["crates/alpha/now.log", "crates/alpha/generated", "crates/alpha/then.log"];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        row("what git ignores stays", change).with(repository).leaves(Tree::BackBut(IGNORED)),
        row("what git ignores stays, and so does the directory that it is in", |w| {
            write(w.at("crates/alpha/fresh/file"), "added\n");
            write(w.at("crates/alpha/fresh/now.log"), "ignored\n");
        })
        .with(repository)
        .leaves(Tree::UntouchedBut(&["crates/alpha/fresh/file"])),
        row("what git ignored then stays, also where it no longer does", |w| {
            change(w);
            write(w.at(".gitignore"), "\n");
        })
        .with(repository)
        .leaves(Tree::BackBut(&["crates/alpha/then.log"])),
        row("a rule that came since", |w| {
            change(w);
            write(w.at("crates/alpha/src/.gitignore"), "added.rs\n");
            write(w.at("crates/alpha/src/other.rs"), "added\n");
        })
        .with(repository)
        .leaves(Tree::BackBut(&[
            "crates/alpha/now.log",
            "crates/alpha/generated",
            "crates/alpha/src/added.rs",
        ])),
        row("what git tracks though it ignores it is displaced", |w| {
            write(w.at("crates/alpha/tracked.log"), "tracked\n");
            git(&w.root, &["add", "-f", "crates/alpha/tracked.log"]);
        })
        .with(repository)
        .leaves(Tree::Back),
        row("another branch checked out, other commits made", |w| {
            git(&w.root, &["checkout", "-qb", "other"]);
            change(w);
            git(&w.root, &["add", "-A"]);
            git(&w.root, &["commit", "-qm", "second"]);
        })
        .with(repository)
        .leaves(Tree::BackBut(IGNORED)),
        row("an index full of conflicts", |w| {
            change(w);
            write(w.at(".git/MERGE_HEAD"), "0000000000000000000000000000000000000000\n");
        })
        .with(repository)
        .leaves(Tree::BackBut(IGNORED)),
    ];
    rows.extend(broken());
    rows.extend(repositories());
    rows.extend(settings());
    rows
}

/// What was added stays wherever git would have to judge and cannot.
fn broken() -> Vec<Row> {
    const UNJUDGED: Tree = Tree::BackBut(&[
        "crates/alpha/now.log",
        "crates/alpha/generated",
        "crates/alpha/then.log",
        "crates/alpha/src/added.rs",
    ]);
    vec![
        row("git is not on PATH", change)
            .with(repository)
            .leaves(UNJUDGED)
            .started(|cli, w| cli.env("PATH", tools_without(w.temp.path(), &["git"])))
            .says("cannot be judged"),
        row("git does not work", change).with(repository).leaves(UNJUDGED).started(|cli, w| {
            let dir = w.temp.path().join("broken-git");
            edit::program(dir.join("git"), "#!/bin/sh\necho broken >&2\nexit 128\n");
            cli.env("PATH", crate::cli::path_with(&dir))
        }),
        row("the repository is missing", |w| {
            change(w);
            remove(w.at(".git"));
        })
        .with(repository)
        .leaves(UNJUDGED),
        row("the repository is damaged", |w| {
            change(w);
            remove(w.at(".git/HEAD"));
        })
        .with(repository)
        .leaves(UNJUDGED),
        row("there never was a repository, and git is not on PATH", |w| {
            write(w.at(LIB), "modified\n");
            write(w.at("crates/alpha/src/added.rs"), "added\n");
        })
        .started(|cli, w| cli.env("PATH", tools_without(w.temp.path(), &["git"]))),
        row("variables that would lead git elsewhere", change)
            .with(repository)
            .leaves(Tree::BackBut(IGNORED))
            .started(|cli, w| {
                cli.env("GIT_DIR", w.temp.path().join("nowhere"))
                    .env("GIT_WORK_TREE", "/")
                    .env("GIT_INDEX_FILE", "/nowhere")
                    .env("GIT_LITERAL_PATHSPECS", "1")
            }),
        row("a repository that would run programs", |w| {
            change(w);
            let hook = w.temp.path().join("place/hook");
            edit::program(&hook, format!("#!/bin/sh\ntouch '{}'\n", w.at("hacked").display()));
            let hook = hook.to_str().unwrap();
            git(&w.root, &["config", "core.fsmonitor", hook]);
            git(&w.root, &["config", "core.pager", hook]);
            git(&w.root, &["config", "filter.bad.clean", hook]);
            git(&w.root, &["config", "filter.bad.smudge", hook]);
            write(w.at(".git/info/attributes"), "* filter=bad\n");
        })
        .with(repository)
        .leaves(Tree::BackBut(IGNORED)),
        row("an embedded repository in a package", |w| {
            git(&w.at("crates/alpha/embedded"), &["init", "-q"]);
            write(w.at("crates/alpha/embedded/.gitignore"), "*.tmp\n");
            write(w.at("crates/alpha/embedded/x.tmp"), "ignored\n");
            write(w.at("crates/alpha/embedded/added"), "added\n");
            write(w.at("crates/alpha/embedded/kept"), "modified\n");
        })
        .with(|w| {
            repository(w);
            write(w.at("crates/alpha/embedded/kept"), "kept\n");
        })
        .runs(BACK, 1)
        .leaves(Tree::BackBut(&["crates/alpha/embedded", "crates/alpha/then.log"]))
        .says("crates/alpha/embedded"),
    ]
}

const TREES: &str = "crates/alpha/trees";

/// Working trees of every system, a linked worktree whose repository was pruned, and none beside them.
fn working_trees(world: &World) {
    let marks = [
        ".git/HEAD",
        ".svn/wc.db",
        ".bzr/format",
        ".pijul/db",
        "_darcs/format",
        ".fslckout",
        "_FOSSIL_",
        "CVS/Entries",
        ".hg/requires",
        ".jj/repo/x",
        ".sl/requires",
    ];
    for (i, mark) in marks.into_iter().enumerate() {
        write(world.at(TREES).join(i.to_string()).join(mark), "x");
        write(world.at(TREES).join(i.to_string()).join("sub/theirs"), "theirs\n");
    }
    write(world.at(TREES).join("pruned/.git"), "gitdir: /nowhere/.git/worktrees/pruned\n");
    write(world.at(TREES).join("pruned/theirs"), "theirs\n");
    write(world.at(TREES).join("plain/.hg/store"), "x");
    write(world.at("crates/alpha/added/CVS/mod.rs"), "added\n");
    write(world.at(LIB), "modified\n");
}

fn repositories() -> Vec<Row> {
    vec![
        row("other repositories' working trees, in no repository", working_trees)
            .leaves(Tree::BackBut(&[TREES]))
            .says("crates/alpha/trees/pruned")
            .says("crates/alpha/trees/5"),
        row("other repositories' working trees, in a repository", working_trees)
            .with(repository)
            .leaves(Tree::BackBut(&[TREES, "crates/alpha/then.log"]))
            .says("crates/alpha/trees/pruned"),
        row("other repositories' working trees, and a list of an older version", |w| {
            let list = w.dir.join("rollback/it_backup_20261123_054000.list");
            edit::overwrite(list, crate::lists::without_last_fields);
            working_trees(w);
        })
        .leaves(Tree::BackBut(&[TREES])),
        row("a directory that is another system's working tree since", |w| {
            write(w.at("crates/alpha/data/.hg/requires"), "x");
            write(w.at("crates/alpha/data/kept"), "theirs\n");
            write(w.at("crates/alpha/data/added"), "theirs\n");
            write(w.at(LIB), "modified\n");
        })
        .with(|w| write(w.at("crates/alpha/data/kept"), "kept\n"))
        .runs(BACK, 1)
        .leaves(Tree::UntouchedBut(&[LIB]))
        .says("crates/alpha/data"),
        row("modules that are named as version control's own", |w| {
            write(w.at("crates/alpha/src/cvs/mod.rs"), "modified\n");
            write(w.at("crates/alpha/src/CVS/added.rs"), "added\n");
        })
        .with(|w| {
            write(w.at("crates/alpha/src/cvs/mod.rs"), "then\n");
            write(w.at("crates/alpha/src/CVS/mod.rs"), "then\n");
        }),
    ]
}

const INNER: &str = "[package]\nname = \"inner\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n";

fn settings() -> Vec<Row> {
    vec![
        row("what the settings exclude stays", |w| {
            write(w.at("crates/alpha/tests/new.snap.new"), "excluded\n");
            write(w.at("crates/alpha/big/blob.bin"), "excluded\n");
            write(w.at("crates/alpha/tests/new.snap"), "added\n");
        })
        .with(|w| {
            let manifest = std::fs::read_to_string(w.at("Cargo.toml")).unwrap();
            let settings =
                "\n[workspace.metadata.backstop]\nexclude = [\"**/*.snap.new\", \"crates/alpha/{big,huge}/*.b?n\"]\n";
            write(w.at("Cargo.toml"), manifest + settings);
        })
        .leaves(Tree::UntouchedBut(&["crates/alpha/tests/new.snap"])),
        row("the whole workspace as the scope", |w| {
            write(w.at("assets/new.svg"), "added\n");
            write(w.at("assets/old.svg"), "modified\n");
            mkdir(w.at("elsewhere/deep"));
        })
        .with(|w| {
            let manifest = std::fs::read_to_string(w.at("Cargo.toml")).unwrap();
            write(w.at("Cargo.toml"), manifest + "\n[workspace.metadata.backstop]\nscope = \"workspace\"\n");
            write(w.at("assets/old.svg"), "old\n");
        }).left_by_bash(&["elsewhere/deep"]),
        row("a package in a package", |w| {
            write(w.at("crates/alpha/inner/added.rs"), "added\n");
            write(w.at("crates/alpha/inner/src/lib.rs"), "modified\n");
        })
        .with(|w| {
            write(w.at("crates/alpha/inner/Cargo.toml"), INNER);
            write(w.at("crates/alpha/inner/src/lib.rs"), "");
        }),
        row("a package that was there and not protected", |w| {
            write(w.at("elsewhere/src/added.rs"), "added\n");
            write(w.at("elsewhere/Cargo.toml"), "modified\n");
        })
        .with(|w| {
            write(w.at("elsewhere/Cargo.toml"), INNER);
            write(w.at("elsewhere/src/lib.rs"), "");
        })
        .leaves(Tree::Untouched),
        row("a target directory and what it holds", |w| {
            write(w.at("target/debug/thing"), "built\n");
            write(w.at("crates/alpha/target/debug/thing"), "built\n");
            write(w.at("crates/alpha/build-dir/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n");
            write(w.at("crates/alpha/build-dir/thing"), "built\n");
            write(w.at(LIB), "modified\n");
        })
        .leaves(Tree::UntouchedBut(&[LIB])),
        row("a link in place of a target directory", |w| {
            edit::link("/tmp", w.at("crates/alpha/target"));
            write(w.at(LIB), "modified\n");
        })
        .leaves(Tree::UntouchedBut(&[LIB])),
        row("cargo's own state, and its configuration", |w| {
            for state in ["registry/x", "bin/x", "credentials.toml", "env"] {
                write(w.at(".cargo").join(state), "state\n");
            }
            write(w.at("crates/alpha/home/.package-cache"), "");
            write(w.at("crates/alpha/home/registry/x"), "state\n");
            write(w.at(".cargo/config.toml"), "");
        })
        .leaves(Tree::UntouchedBut(&[".cargo/config.toml"])),
        row("what an include pattern brings in is an addition", |w| {
            write(w.at("assets/new/b.json"), "added\n");
            write(w.at("assets/new/b.txt"), "not ours\n");
        })
        .with(|w| {
            let manifest = std::fs::read_to_string(w.at("Cargo.toml")).unwrap();
            let settings = "\n[workspace.metadata.backstop]\ninclude = [\"assets/**/*.json\"]\n";
            write(w.at("Cargo.toml"), manifest + settings);
            write(w.at("assets/a.json"), "then\n");
        })
        .leaves(Tree::UntouchedBut(&["assets/new/b.json"]))
        // It reads patterns less exactly: see `what_an_include_pattern_may_bring_in_is_named_by_the_bash_script`.
        .without(&[Road::Bash]),
        row("a new Cargo.toml in a directory that was there and was no package", |w| {
            write(w.at("tools/Cargo.toml"), "[package]\nname = \"tools\"\n");
            write(w.at("tools/new.sh"), "added\n");
        })
        .with(|w| write(w.at("tools/old.sh"), "old\n"))
        .leaves(Tree::UntouchedBut(&["tools/Cargo.toml"])),
        row("other version control's directories", |w| {
            write(w.at("crates/alpha/.hg/store"), "mercurial\n");
            write(w.at(".jj/repo"), "jujutsu\n");
            write(w.at(LIB), "modified\n");
        })
        .leaves(Tree::UntouchedBut(&[LIB])),
    ]
}
