//! What git ignores and tracks, in repositories of every shape.

use super::*;

#[test]
fn what_git_ignores_is_out_and_what_it_tracks_is_in() {
    let s = Scratch::new();
    s.package("", "one", "").write(".gitignore", "*.log\ngen/\nCargo.lock\nlinked\n").write("Cargo.lock", "");
    s.write("a.log", "").write("kept.log", "").write("gen/tracked", "").write("gen/untracked", "");
    s.write("gen/sub/x", "")
        .write("neg/.gitignore", "!in.log\n")
        .write("neg/in.log", "")
        .write("cache/x.log", "");
    s.write("cache/deep/y.log", "");
    s.write("target/CACHEDIR.TAG", SIGNATURE).write("target/tracked", "").write("target/junk", "");
    s.write("new.rs", "").write("private", "").write("dir/cut.me", "");
    s.write("globs", "*.me\n");
    s.git("", &["init", "-q"]).write(".git/info/exclude", "private\n");
    s.git("", &["config", "core.excludesFile", s.0.join("globs").to_str().unwrap()]);
    s.git("", &["add", "-f", "kept.log", "gen/tracked", "target/tracked", "src", "Cargo.toml"]);
    s.git("", &["commit", "-qm", "x"]).write("src/gone.rs", "").git("", &["add", "src"]);
    fs::remove_file(s.0.join("src/gone.rs")).unwrap();
    let set = s.select("");
    assert_eq!(
        files(&set, ""),
        [
            ".gitignore",
            "Cargo.lock",
            "Cargo.toml",
            "gen/tracked",
            "globs",
            "kept.log",
            "neg/.gitignore",
            "neg/in.log",
            "new.rs",
            "src/lib.rs",
            "target/tracked"
        ]
    );
    assert_eq!(reasons(&set, "", "kept.log"), [Reason::Member, Reason::WorkspaceFile, Reason::Tracked]);
    assert_eq!(reasons(&set, "", "target/tracked"), [Reason::Member, Reason::Tracked]);
    assert_eq!(reasons(&set, "", "gen/tracked"), [Reason::Member, Reason::Tracked]);
    assert_eq!(reasons(&set, "", "Cargo.lock"), [Reason::WorkspaceFile], "it decides what is built");
    assert_eq!(why(&set, "target"), Some(SkipReason::TargetDirectory), "the rest of it is out");
    assert_eq!(why(&set, "gen/sub"), Some(SkipReason::Ignored));
    assert_eq!(why(&set, "cache/x.log"), Some(SkipReason::Ignored));
    assert!(!has(&set, "cache"), "a directory of ignored files only comes and goes with them");
    assert!(has(&set, "dir/cut.me") || why(&set, "dir/cut.me") == Some(SkipReason::Ignored));
    assert!(!has(&set, "dir/cut.me") && !has(&set, "private"));
    for ignored in ["a.log", "cache/x.log", "gen/sub", "gen/untracked", "private"] {
        assert!(set.scope.ignored.contains(&place(ignored)), "{ignored}: {:?}", set.scope.ignored);
    }
    assert!(!set.scope.ignored.contains(&place("cache")) && !set.scope.ignored.contains(&place("gen")));
    let git = set.git.unwrap();
    assert_eq!((git.head.map(|h| h.len()), git.branch.as_deref()), (Some(40), Some("main")));
}

#[test]
fn a_star_above_the_workspace_does_not_empty_it() {
    let s = Scratch::new();
    s.write(".gitignore", "*\n").git("", &["init", "-q"]);
    s.workspace("ws", "\"a\"", "")
        .package("ws/a", "a", "")
        .write("ws/a/x.log", "")
        .write("ws/a/target/x", "");
    let set = s.select("ws");
    assert_eq!(files(&set, ""), ["Cargo.toml", "a/Cargo.toml", "a/src/lib.rs", "a/x.log"]);
    assert!(noted(&set, "set aside") && !set.scope.git);
    // One tracked file, and git no longer says that it ignores the directory as a whole.
    s.git("", &["add", "-f", "ws/a/src/lib.rs", "ws/Cargo.toml"]);
    let set = s.select("ws");
    assert!(has(&set, "a/Cargo.toml") && has(&set, "a/x.log") && noted(&set, "ws/a") && set.scope.git);
    // The same below a directory that is ignored: git itself fails there with an internal error.
    let deep = Scratch::new();
    deep.write(".gitignore", "/up/\n").git("", &["init", "-q"]).package("up/ws", "a", "");
    let set = deep.select("up/ws");
    assert_eq!(files(&set, ""), ["Cargo.toml", "src/lib.rs"]);
    assert!(noted(&set, "set aside"));
}

#[test]
fn an_ignored_member_is_protected_as_a_whole() {
    let s = Scratch::new();
    s.workspace("", "\"a\", \"gen/b\"", "").package("a", "a", "").package("gen/b", "b", "");
    s.write("gen/junk", "")
        .write("gen/b/x.log", "")
        .write("a/x.log", "")
        .write(".gitignore", "gen/\n*.log\n");
    s.git("", &["init", "-q"]);
    let set = s.select("");
    assert!(has(&set, "gen/b/src/lib.rs") && has(&set, "gen/b/x.log"));
    assert!(!has(&set, "gen/junk") && !has(&set, "a/x.log"));
    assert!(noted(&set, "gen/b") && set.scope.git);
    assert_eq!(why(&set, "gen/b"), None);
}

#[test]
fn a_member_that_is_a_repository_of_its_own_in_an_ignored_directory_keeps_its_rules() {
    let s = Scratch::new();
    s.workspace("", "\"repos/b\"", "").package("repos/b", "b", "").write(".gitignore", "repos/\n");
    s.write("repos/b/.gitignore", "*.log\n").write("repos/b/x.log", "").git("", &["init", "-q"]);
    s.git("repos/b", &["init", "-q"]);
    let set = s.select("");
    assert!(has(&set, "repos/b/src/lib.rs") && !has(&set, "repos/b/x.log"));
    assert!(!noted(&set, "set aside"));
}

#[test]
fn submodules_are_entered_with_their_own_rules() {
    let s = Scratch::new();
    s.package("", "one", "").git("", &["init", "-q"]).write(".gitignore", "*.outer\n");
    s.write("emb/.gitignore", "*.inner\n")
        .write("emb/x.inner", "")
        .write("emb/x.outer", "")
        .write("emb/f", "");
    s.git("emb", &["init", "-q"]).write("x.inner", "");
    // As in a submodule that git made: `.git` is a file that leads elsewhere.
    s.write("sub/f", "").write("sub/.gitignore", "g\n").write("sub/g", "").git("sub", &["init", "-q"]);
    for sub in ["emb", "sub"] {
        s.git(sub, &["commit", "-q", "--allow-empty", "-m", "x"]).git("", &["add", sub]);
    }
    fs::rename(s.0.join("sub/.git"), s.0.join(".git/modules")).unwrap();
    s.write("sub/.git", "gitdir: ../.git/modules\n");
    s.write("torn/.git", "gitdir: ../nowhere\n").write("torn/f", "");
    s.dir("empty/.git").write("empty/f", "");
    let set = s.select("");
    for path in ["emb/f", "emb/x.outer", "x.inner", "sub/f", "torn/f", "empty/f"] {
        assert!(has(&set, path), "{path}");
    }
    for path in ["emb/x.inner", "sub/g", "sub/.git", "emb/.git", "torn/.git"] {
        assert!(!has(&set, path), "{path}");
    }
    assert!(set.scope.ignored.contains(&place("emb/x.inner")));
    assert!(noted(&set, "torn"), "{:?}", set.notes);
}

#[test]
fn working_trees_of_other_repositories_are_out_and_named_whatever_the_scope() {
    for setting in ["", "scope = \"workspace\"\ninclude = [\"**/f\", \"trees/b/*\"]"] {
        let s = Scratch::new();
        s.package("", "one", &format!("[package.metadata.backstop]\n{setting}"));
        s.write(".gitignore", "/trees/\n").git("", &["init", "-q"]).git("", &["add", "."]);
        s.git("", &["commit", "-qm", "x"]);
        s.git("", &["worktree", "add", "-q", "tree", "-b", "t"]);
        s.git("", &["worktree", "add", "-q", "trees/b", "-b", "b"]);
        s.write("tree/f", "").write("trees/b/f", "").write("clone/f", "").git("clone", &["init", "-q"]);
        s.write("jj/.jj/repo", "").write("jj/f", "");
        let set = s.select("");
        for tree in ["tree", "clone", "jj"] {
            assert_eq!(why(&set, tree), Some(SkipReason::OtherCheckout), "{tree}, {setting}");
        }
        let of_others =
            |p: &String| ["tree", "trees", "clone", "jj"].iter().any(|t| p.starts_with(&format!("{t}/")));
        assert!(!files(&set, "").iter().any(of_others), "{:?}", files(&set, ""));
        assert!(set.scope.unprotected_directories.is_empty(), "{:?}", set.scope.unprotected_directories);
    }
}

#[test]
fn a_clone_is_ours_as_far_as_the_packages_in_it_go() {
    let s = Scratch::new();
    s.workspace("", "\"clone\", \"repo/a\"", "[workspace.metadata.backstop]\nscope = \"workspace\"");
    s.package("clone", "b", "").package("repo/a", "a", "readme = \"../README\"").write("repo/README", "");
    s.write("repo/other/f", "").write("repo/a/deep/f", "").write("repo/a/clone/f", "").write("clone/f", "");
    for repository in ["", "clone", "repo", "repo/a/clone"] {
        s.git(repository, &["init", "-q"]);
    }
    let set = s.select("");
    for path in ["clone/f", "repo/a/deep/f", "repo/a/src/lib.rs", "repo/README"] {
        assert!(has(&set, path), "{path}");
    }
    for path in ["repo/other", "repo/a/clone"] {
        assert!(!has(&set, path) && why(&set, path) == Some(SkipReason::OtherCheckout), "{path}");
    }
}

#[test]
fn a_workspace_in_a_subdirectory_follows_the_rules_of_the_repository_above() {
    let s = Scratch::new();
    s.write(".gitignore", "*.log\n/repo-only\n").git("", &["init", "-q"]);
    s.package("a/ws", "one", "").write("a/ws/x.log", "").write("a/ws/repo-only", "").write("a/other", "");
    let set = s.select("a/ws");
    assert_eq!(files(&set, ""), ["Cargo.toml", "repo-only", "src/lib.rs"]);
    assert!(set.scope.git && set.scope.ignored == [place("x.log")]);
}

#[test]
fn a_broken_repository_is_named_and_everything_is_protected() {
    let s = Scratch::new();
    s.package("", "one", "").write(".git", "garbage").write(".gitignore", "*.log\n").write("x.log", "");
    let set = s.select("");
    assert!(has(&set, "x.log") && !has(&set, ".git"));
    assert!(noted(&set, "git cannot judge") && !set.scope.git && set.git.is_none());
    assert!(matches!(git::Rules::ask(&s.0).answer, git::GitAnswer::Broken(_)));
}
