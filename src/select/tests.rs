//! Small workspaces on disk, and what of them is protected.
#![allow(clippy::disallowed_methods, reason = "the fixtures are real files and repositories")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::{Error, ErrorKind};
use crate::manifest::{Pattern, Place};
use crate::workspace::{LoadOptions, load};

/// A scratch directory that no repository holds; gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("backstop-select-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir.canonicalize().unwrap())
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        // Checked, so that no test can write outside its scratch directory.
        let path = self.0.join(RelPath::new(path).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn dir(&self, path: &str) -> &Self {
        fs::create_dir_all(self.0.join(RelPath::new(path).unwrap())).unwrap();
        self
    }

    /// A package with a library; `more` is added to its manifest.
    fn package(&self, path: &str, name: &str, more: &str) -> &Self {
        let head = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}\n");
        self.write(&below(path, "Cargo.toml"), &head).write(&below(path, "src/lib.rs"), "")
    }

    fn workspace(&self, path: &str, members: &str, more: &str) -> &Self {
        let text = format!("[workspace]\nresolver = \"2\"\nmembers = [{members}]\n{more}\n");
        self.write(&below(path, "Cargo.toml"), &text)
    }

    fn git(&self, path: &str, args: &[&str]) -> &Self {
        let done = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
            .args(args)
            .current_dir(self.0.join(path))
            .output()
            .unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        self
    }

    fn load(&self, path: &str) -> Result<Workspace> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        load(&LoadOptions { manifest_path: None, directory: self.0.join(path), cargo })
    }

    fn try_select(&self, path: &str) -> Result<ProtectedSet> {
        let workspace = self.load(path)?;
        select(&workspace, &workspace.root.join("backup"))
    }

    fn select(&self, path: &str) -> ProtectedSet {
        let set = self.try_select(path).unwrap_or_else(|e| panic!("{e}\n{}", e.details().join("\n")));
        check(&set);
        set
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}/{name}") }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What holds of every protected set.
fn check(set: &ProtectedSet) {
    let keys: Vec<_> = set.entries.iter().map(|e| (&e.root, &e.path)).collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
    for entry in &set.entries {
        assert!(!entry.reasons.is_empty(), "{}", entry.path);
        assert!(entry.reasons.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", entry.reasons);
        for parent in entry.path.ancestors() {
            let kind = find(set, &entry.root, &parent).map(|e| e.kind);
            assert_eq!(kind, Some(CandidateKind::Directory), "{parent} above {}", entry.path);
        }
    }
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn find<'s>(set: &'s ProtectedSet, root: &str, path: &RelPath) -> Option<&'s Candidate> {
    set.entries.iter().find(|e| e.root == root && e.path == *path)
}

fn has(set: &ProtectedSet, path: &str) -> bool {
    find(set, "", &rel(path)).is_some()
}

fn reasons(set: &ProtectedSet, root: &str, path: &str) -> Vec<Reason> {
    find(set, root, &rel(path)).unwrap_or_else(|| panic!("{path} is not protected")).reasons.clone()
}

/// The files of a root, not the directories.
fn files(set: &ProtectedSet, root: &str) -> Vec<String> {
    let files = set.entries.iter().filter(|e| e.root == root && e.kind != CandidateKind::Directory);
    files.map(|e| e.path.to_string()).collect()
}

fn why(set: &ProtectedSet, path: &str) -> Option<SkipReason> {
    set.skipped.iter().find(|s| s.root.is_empty() && s.path == rel(path)).map(|s| s.why.clone())
}

fn place(path: &str) -> Place {
    Place { root: String::new(), path: Some(rel(path)) }
}

fn noted(set: &ProtectedSet, part: &str) -> bool {
    set.notes.iter().any(|note| note.contains(part))
}

const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# cargo\n";

#[test]
fn a_virtual_workspace_protects_its_members_and_the_files_at_its_root() {
    let s = Scratch::new();
    s.workspace("", "\"crates/*\"", "exclude = [\"crates/foreign\"]").package("crates/a", "a", "");
    s.package("crates/foreign", "foreign", "").dir("crates/a/empty");
    s.write("rustfmt.toml", "").write(".cargo/config.toml", "").write(".config/nextest.toml", "");
    s.write("docs/a/b.md", "").write("docs/c.md", "").write("other/x", "").git("", &["init", "-q"]);
    let set = s.select("");
    assert_eq!(
        files(&set, ""),
        [
            ".cargo/config.toml",
            ".config/nextest.toml",
            "Cargo.toml",
            "crates/a/Cargo.toml",
            "crates/a/src/lib.rs",
            "rustfmt.toml"
        ]
    );
    assert_eq!(reasons(&set, "", "crates"), [Reason::Parent]);
    assert_eq!(reasons(&set, "", "crates/a/src/lib.rs"), [Reason::Member]);
    assert_eq!(reasons(&set, "", "rustfmt.toml"), [Reason::WorkspaceFile]);
    assert!(has(&set, "crates/a/empty"), "an empty directory of a package");
    assert_eq!(find(&set, "", &rel("crates/a/src/lib.rs")).unwrap().package.as_deref(), Some("a"));
    let unprotected: Vec<_> = set.unprotected.iter().map(|u| (u.path.to_string(), u.files)).collect();
    assert_eq!(unprotected, [("crates/foreign".into(), 2), ("docs".into(), 2), ("other".into(), 1)]);
    assert_eq!(set.scope.directories, [place(".cargo"), place(".config"), place("crates/a")]);
    assert_eq!(set.scope.foreign_packages, [place("crates/foreign")]);
    assert!(set.scope.unprotected_directories.contains(&rel("docs/a")));
    assert!(set.scope.root_entries.contains(&rel(".git")) && set.scope.git);
    assert_eq!(set.git, Some(GitState { head: None, branch: Some("main".into()), dirty: None }));
    assert_eq!(why(&set, ".git"), Some(SkipReason::VersionControl));
    assert!(set.tools.contains_key("cargo") && set.tools.contains_key("backstop"));
    assert_eq!(set.packages[0].crate_roots, [rel("crates/a/src/lib.rs")]);
}

#[test]
fn a_single_package_protects_all_of_its_directory_but_its_target() {
    let s = Scratch::new();
    s.package("", "one", "").write("docs/x.md", "").write("target/debug/one", "").write("Cargo.lock", "");
    s.package("nested", "nested", "[workspace]")
        .write("nested/target/x", "")
        .write("nested/deep/target/x", "");
    let set = s.select("");
    assert_eq!(
        files(&set, ""),
        [
            "Cargo.lock",
            "Cargo.toml",
            "docs/x.md",
            "nested/Cargo.toml",
            "nested/deep/target/x",
            "nested/src/lib.rs",
            "src/lib.rs"
        ],
        "a `target` is one beside a Cargo.toml only"
    );
    assert_eq!(why(&set, "target"), Some(SkipReason::TargetDirectory));
    assert_eq!(why(&set, "nested/target"), Some(SkipReason::TargetDirectory));
    assert!(noted(&set, "no git repository") && !set.scope.git && set.git.is_none());
    assert_eq!(set.scope.directories, [Place { root: String::new(), path: None }]);
    assert!(set.unprotected.is_empty());
}

#[test]
fn path_dependencies_are_followed_out_of_the_workspace_and_on() {
    let s = Scratch::new();
    s.workspace("ws", "\"a\"", "exclude = [\"in\"]");
    s.package("ws/a", "a", "[dependencies]\nb = { path = \"../../out/b\" }\nin = { path = \"../in\" }");
    s.package("ws/in", "in", "");
    s.package("out/b", "b", "[dependencies]\nc = { path = \"../../other/b\", package = \"c\" }");
    // A cycle through a development dependency.
    s.package("other/b", "c", "[dev-dependencies]\nb = { path = \"../../out/b\" }");
    s.write("other/b/target/junk", "").write("out/b/sub/x", "");
    let set = s.select("ws");
    let roots: Vec<_> = set.roots.iter().map(|r| (r.root.name.as_str(), r.root.path.as_str())).collect();
    assert_eq!(roots, [("", "."), ("b", "../other/b"), ("b-2", "../out/b")]);
    assert_eq!(files(&set, "b"), ["Cargo.toml", "src/lib.rs"]);
    assert_eq!(files(&set, "b-2"), ["Cargo.toml", "src/lib.rs", "sub/x"]);
    assert_eq!(reasons(&set, "b", "src/lib.rs"), [Reason::PathDependency]);
    assert_eq!(reasons(&set, "", "in/src/lib.rs"), [Reason::PathDependency]);
    let packages: Vec<_> = set.packages.iter().map(|p| (p.name.as_str(), p.root.as_str())).collect();
    assert_eq!(packages, [("a", ""), ("in", ""), ("c", "b"), ("b", "b-2")]);
}

#[test]
fn a_path_dependency_above_the_workspace_does_not_take_the_workspace_twice() {
    let s = Scratch::new();
    s.package("lib", "up", "[workspace]").write("lib/data", "");
    s.package("lib/fuzz", "fuzz", "[dependencies]\nup = { path = \"..\" }\n[workspace]");
    let set = s.select("lib/fuzz");
    assert_eq!(files(&set, ""), ["Cargo.toml", "src/lib.rs"]);
    assert_eq!(files(&set, "lib"), ["Cargo.toml", "data", "src/lib.rs"]);
    assert_eq!(set.roots[1].root.path, "..");
    let skipped = Skipped { root: "lib".into(), path: rel("fuzz"), why: SkipReason::OtherRoot };
    assert!(set.skipped.contains(&skipped));
}

#[test]
fn a_missing_path_dependency_names_who_asks_for_it() {
    let s = Scratch::new();
    s.package("a", "a", "[dependencies]\nb = { path = \"../gone\" }");
    let error = s.try_select("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Workspace);
    let all = format!("{error} {:?}", error.details());
    assert!(all.contains("gone") && all.contains("`a`"), "{all}");
}

#[test]
fn a_broken_manifest_gives_cargos_own_words() {
    let s = Scratch::new();
    s.write("Cargo.toml", "[package\n");
    let error = s.try_select("").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Workspace);
    assert_eq!(error.to_string(), format!("cargo metadata fails in `{}`", s.0.display()));
    assert!(!error.details().is_empty() && error.help().is_some());
}

#[test]
fn packages_of_a_patch_table_are_protected() {
    let s = Scratch::new();
    s.package(
        "ws",
        "a",
        "[dependencies]\nbackstop-no-such = \"1\"\n[patch.crates-io]\n\
        backstop-no-such = { path = \"../patched\" }",
    );
    s.package("patched", "backstop-no-such", "");
    let set = s.select("ws");
    assert_eq!(files(&set, "patched"), ["Cargo.toml", "src/lib.rs"]);
    assert!(noted(&set, "[patch]"), "{:?}", set.notes);
}

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
fn target_directories_are_known_by_tag_and_by_metadata() {
    let s = Scratch::new();
    s.package("", "one", "").write("built/x", "").write("built/sub/y", "").write("a/CACHEDIR.TAG", SIGNATURE);
    s.write("a/x", "").write("not/CACHEDIR.TAG", "Signature: another").write("not/x", "");
    let mut workspace = s.load("").unwrap();
    assert!(!workspace.target_directories.is_empty());
    // Where the tests run, CARGO_TARGET_DIR may beat what a configuration says.
    workspace.target_directories.push(s.0.join("built"));
    let set = select(&workspace, &s.0.join("backup")).unwrap();
    for dir in ["built", "a"] {
        assert_eq!(why(&set, dir), Some(SkipReason::TargetDirectory), "{dir}");
        assert!(!has(&set, &format!("{dir}/x")));
    }
    assert!(has(&set, "not/x"));
}

#[test]
fn no_store_is_ever_protected() {
    let s = Scratch::new();
    s.package(
        "",
        "one",
        "[package.metadata.backstop]\ninclude = [\"**/*.json\", \"backup/x\"]\nscope = \"workspace\"",
    );
    s.write("backup/x", "").write("old/store.json", "{\n \"backstop_store\": 1 }").write("old/x", "");
    s.write("shop/store.json", "{ \"open\": true }");
    let set = s.select("");
    assert_eq!(files(&set, ""), ["Cargo.toml", "shop/store.json", "src/lib.rs"]);
    assert_eq!(why(&set, "backup"), Some(SkipReason::Store));
    assert_eq!(why(&set, "old"), Some(SkipReason::Store));
    assert!(noted(&set, "`backup/x` names nothing"));
}

#[test]
fn a_pipe_is_passed_over_by_name() {
    let s = Scratch::new();
    s.package("", "one", "");
    assert!(Command::new("mkfifo").arg(s.0.join("pipe")).status().unwrap().success());
    let set = s.select("");
    assert!(!has(&set, "pipe"));
    assert_eq!(why(&set, "pipe"), Some(SkipReason::Special("named pipe")));
}

#[test]
fn embedded_repositories_and_submodules_are_entered_with_their_own_rules() {
    let s = Scratch::new();
    s.package("", "one", "").git("", &["init", "-q"]).write(".gitignore", "*.outer\n");
    s.write("emb/.gitignore", "*.inner\n")
        .write("emb/x.inner", "")
        .write("emb/x.outer", "")
        .write("emb/f", "");
    s.git("emb", &["init", "-q"]).write("x.inner", "");
    // As in a submodule: `.git` is a file that leads elsewhere.
    s.write("sub/f", "").write("sub/.gitignore", "g\n").write("sub/g", "").git("sub", &["init", "-q"]);
    fs::rename(s.0.join("sub/.git"), s.0.join(".git/modules")).unwrap();
    s.write("sub/.git", "gitdir: ../.git/modules\n");
    s.write("torn/.git", "gitdir: ../nowhere\n").write("torn/f", "");
    let set = s.select("");
    for path in ["emb/f", "emb/x.outer", "x.inner", "sub/f", "torn/f"] {
        assert!(has(&set, path), "{path}");
    }
    for path in ["emb/x.inner", "sub/g", "sub/.git", "emb/.git", "torn/.git"] {
        assert!(!has(&set, path), "{path}");
    }
    assert!(set.scope.ignored.contains(&place("emb/x.inner")));
    assert!(noted(&set, "torn"), "{:?}", set.notes);
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

#[test]
fn odd_names_survive_and_links_are_not_followed() {
    let s = Scratch::new();
    s.package("my ws", "one", "").write("my ws/a b/c\nd", "").write("far/secret", "");
    let odd = s.0.join("my ws").join(OsStr::from_bytes(b"caf\xe9.log"));
    fs::write(&odd, "").unwrap();
    fs::write(s.0.join("my ws").join(OsStr::from_bytes(b"ign\xe9")), "").unwrap();
    fs::write(s.0.join("my ws/.gitignore"), b"ign\xe9\n").unwrap();
    symlink("../far", s.0.join("my ws/link")).unwrap();
    symlink("nowhere", s.0.join("my ws/dangling")).unwrap();
    s.git("my ws", &["init", "-q"]);
    let set = s.select("my ws");
    let odd = RelPath::from_bytes(b"caf\xe9.log").unwrap();
    assert_eq!(find(&set, "", &odd).unwrap().kind, CandidateKind::File);
    assert!(find(&set, "", &RelPath::from_bytes(b"ign\xe9").unwrap()).is_none());
    assert!(has(&set, "a b/c\nd") && !has(&set, "link/secret"));
    for link in ["link", "dangling"] {
        assert_eq!(find(&set, "", &rel(link)).unwrap().kind, CandidateKind::Symlink);
    }
}

#[test]
fn a_workspace_reached_through_a_link_is_the_same_workspace() {
    let s = Scratch::new();
    s.workspace("real", "\"a\"", "").package("real/a", "a", "");
    symlink("real", s.0.join("link")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let options =
        LoadOptions { manifest_path: Some("link/Cargo.toml".into()), directory: s.0.clone(), cargo };
    let workspace = load(&options).unwrap();
    assert_eq!(workspace.root, s.0.join("real"));
    let set = select(&workspace, &s.0.join("link/backup")).unwrap();
    check(&set);
    assert_eq!(files(&set, ""), ["Cargo.toml", "a/Cargo.toml", "a/src/lib.rs"]);
    assert_eq!(set.roots.len(), 1);
}

#[test]
fn a_package_behind_a_link_is_an_outside_root_and_the_link_is_kept() {
    let s = Scratch::new();
    s.workspace("ws", "\"a\"", "exclude = [\"lib\"]");
    s.package("ws/a", "a", "[dependencies]\nb = { path = \"../lib/b\" }").package(
        "far/b",
        "b",
        "[workspace]",
    );
    s.dir("ws/lib");
    symlink("../../far/b", s.0.join("ws/lib/b")).unwrap();
    let set = s.select("ws");
    assert_eq!(files(&set, ""), ["Cargo.toml", "a/Cargo.toml", "a/src/lib.rs", "lib/b"]);
    assert_eq!(reasons(&set, "", "lib/b"), [Reason::Parent]);
    assert_eq!(files(&set, "b"), ["Cargo.toml", "src/lib.rs"]);
}

#[test]
fn include_adds_and_exclude_beats_every_reason() {
    let s = Scratch::new();
    let table = "[workspace.metadata.backstop]\ninclude = [\"assets/**\", \"secret.env\", \"none/*\"]\n\
        exclude = [\"assets/big\", \"**/*.snap\", \"unused\"]\n";
    s.workspace("", "\"a\"", table).write(".gitignore", "secret.env\nassets/own/\n");
    s.package("a", "a", "[package.metadata.backstop]\ninclude = [\"fixtures/*.bin\"]\nexclude = [\"no\"]");
    s.write("a/.gitignore", "*.bin\n").write("a/fixtures/x.bin", "").write("a/fixtures/y.txt", "");
    s.write("a/no/x", "").write("a/t.snap", "").write("secret.env", "").write("assets/p.png", "");
    s.write("assets/own/q", "").write("assets/big/x", "").write("assets/.git/x", "").write("no/x", "");
    s.write("a/other.bin", "").write("unused/x", "").git("", &["init", "-q"]);
    let set = s.select("");
    assert_eq!(
        files(&set, ""),
        [
            ".gitignore",
            "Cargo.toml",
            "a/.gitignore",
            "a/Cargo.toml",
            "a/fixtures/x.bin",
            "a/fixtures/y.txt",
            "a/src/lib.rs",
            "assets/own/q",
            "assets/p.png",
            "secret.env"
        ]
    );
    let include = |glob: &str| Reason::Include(glob.into());
    assert_eq!(reasons(&set, "", "assets/own/q"), [include("assets/**")]);
    assert_eq!(reasons(&set, "", "a/fixtures/x.bin"), [include("fixtures/*.bin")]);
    assert_eq!(why(&set, "assets/big"), Some(SkipReason::Excluded("assets/big".into())));
    assert_eq!(why(&set, "a/no"), Some(SkipReason::Excluded("no".into())));
    assert_eq!(why(&set, "a/no/x"), None, "its directory stands for it");
    assert_eq!(why(&set, "a/t.snap"), Some(SkipReason::Excluded("**/*.snap".into())));
    assert!(noted(&set, "`none/*`"));
    let base = Place { root: String::new(), path: None };
    assert_eq!(set.scope.excluded[0], Pattern { base, glob: "assets/big".into() });
    assert_eq!(set.scope.excluded[3].base, place("a"));
    assert_eq!(set.unprotected.iter().map(|u| u.path.to_string()).collect::<Vec<_>>(), ["no"]);
}

#[test]
fn the_whole_workspace_is_protected_where_the_settings_say_so() {
    let s = Scratch::new();
    s.workspace("", "\"a\"", "[workspace.metadata.backstop]\nscope = \"workspace\"").package("a", "a", "");
    s.write("docs/x.md", "").write("x.log", "").write(".gitignore", "*.log\n").git("", &["init", "-q"]);
    let set = s.select("");
    assert_eq!(reasons(&set, "", "docs/x.md"), [Reason::Scope]);
    assert_eq!(reasons(&set, "", "a/src/lib.rs"), [Reason::Member, Reason::Scope]);
    assert!(!has(&set, "x.log") && set.unprotected.is_empty() && set.scope.whole_workspace);
    assert!(set.scope.directories.contains(&Place { root: String::new(), path: None }));
}

#[test]
fn files_that_a_manifest_names_elsewhere_are_protected() {
    let s = Scratch::new();
    s.workspace("ws", "\"a\"", "");
    let keys = "readme = \"../docs/R.md\"\nlicense-file = \"../../L\"\n[[bin]]\nname = \"x\"\npath = \"../shared/x.rs\"";
    s.package("ws/a", "a", keys)
        .write("ws/docs/R.md", "")
        .write("L", "")
        .write("ws/shared/x.rs", "fn main() {}");
    let set = s.select("ws");
    assert_eq!(reasons(&set, "", "docs/R.md"), [Reason::PackageFile]);
    assert_eq!(reasons(&set, "", "shared/x.rs"), [Reason::PackageFile]);
    assert!(noted(&set, "/L`"), "{:?}", set.notes);
    assert!(set.packages[0].crate_roots.contains(&rel("shared/x.rs")));
}

#[test]
fn settings_errors_come_through_with_their_manifest() {
    let fails = |more: &str| -> Error {
        let s = Scratch::new();
        s.workspace("", "\"a\"", "").package("a", "a", more);
        s.try_select("").unwrap_err()
    };
    let error = fails("[package.metadata.backstop]\ninlcude = []");
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert_eq!(error.to_string(), "unknown key `inlcude` in `[package.metadata.backstop]`");
    assert_eq!(error.help(), Some("did you mean `include`?"));
    assert!(error.details()[0].contains("a/Cargo.toml"));
    assert!(
        fails("[package.metadata.backstop]\nlabel = \"x\"").help().unwrap().contains("workspace.metadata")
    );
}

#[test]
fn the_root_package_speaks_for_the_workspace_where_nobody_else_does() {
    let s = Scratch::new();
    s.package("", "one", "[package.metadata.backstop]\nlabel = \"opt\"");
    assert_eq!(s.load("").unwrap().settings.label.as_deref(), Some("opt"));
}

#[test]
fn a_workspace_of_which_nothing_is_left_is_an_error() {
    let s = Scratch::new();
    s.package("", "one", "[package.metadata.backstop]\nexclude = [\"**\"]");
    let error = s.try_select("").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Workspace);
    assert!(error.to_string().starts_with("nothing to protect") && error.help().is_some());
}

#[test]
fn a_walk_needs_no_cargo_and_can_start_below_its_root() {
    let s = Scratch::new();
    s.write("a/x", "").write("a/target/y", "").write("b/z", "").write("a/hg/.hg/store", "");
    let skip = [(s.0.join("a/hg"), SkipReason::Store)];
    let walk = walk::Walk { root: &s.0, skip: &skip, ask_embedded: true };
    let walked = walk.run(Some(&rel("a")), git::Rules::none());
    let found: Vec<_> = walked.found.iter().map(|f| f.path.to_string()).collect();
    assert_eq!(found, ["a", "a/target", "a/target/y", "a/x"]);
    assert_eq!(walked.pruned, [(rel("a/hg"), SkipReason::Store)]);
    assert!(walk.run(Some(&rel("gone")), git::Rules::none()).found.is_empty());
    let _: &Path = &s.0;
}
