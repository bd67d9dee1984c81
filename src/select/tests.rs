//! Small workspaces on disk, and what of them is protected.
#![allow(clippy::disallowed_methods, reason = "the fixtures are real files and repositories")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::{Error, ErrorKind};
use crate::manifest::{FileKind, GitState, Pattern, Place, Reason, RootName};
use crate::path::RelPath;
use crate::workspace::{LoadOptions, load};

mod git_rules;
mod settings;

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
        load(&LoadOptions {
            manifest_path: None,
            directory: self.0.join(path),
            cargo,
            env: Default::default(),
        })
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
            let kind = find(set, entry.root.as_str(), &parent).map(|e| e.kind);
            assert_eq!(kind, Some(FileKind::Directory), "{parent} above {}", entry.path);
        }
    }
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn find<'s>(set: &'s ProtectedSet, root: &str, path: &RelPath) -> Option<&'s Candidate> {
    set.entries.iter().find(|e| e.root.as_str() == root && e.path == *path)
}

fn has(set: &ProtectedSet, path: &str) -> bool {
    find(set, "", &rel(path)).is_some()
}

fn reasons(set: &ProtectedSet, root: &str, path: &str) -> Vec<Reason> {
    find(set, root, &rel(path)).unwrap_or_else(|| panic!("{path} is not protected")).reasons.clone()
}

/// The files of a root, not the directories.
fn files(set: &ProtectedSet, root: &str) -> Vec<String> {
    let files = set.entries.iter().filter(|e| e.root.as_str() == root && e.kind != FileKind::Directory);
    files.map(|e| e.path.to_string()).collect()
}

fn why(set: &ProtectedSet, path: &str) -> Option<SkipReason> {
    set.skipped.iter().find(|s| s.root.is_workspace() && s.path == rel(path)).map(|s| s.why.clone())
}

fn place(path: &str) -> Place {
    Place { root: RootName::Workspace, path: Some(rel(path)) }
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
    let all = Place { root: RootName::Workspace, path: None };
    assert_eq!(set.scope.directories, [all, place(".cargo"), place(".config")]);
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
    assert_eq!(find(&set, "", &odd).unwrap().kind, FileKind::File);
    assert!(find(&set, "", &RelPath::from_bytes(b"ign\xe9").unwrap()).is_none());
    assert!(has(&set, "a b/c\nd") && !has(&set, "link/secret"));
    for link in ["link", "dangling"] {
        assert_eq!(find(&set, "", &rel(link)).unwrap().kind, FileKind::Symlink);
    }
}

#[test]
fn a_workspace_reached_through_a_link_is_the_same_workspace() {
    let s = Scratch::new();
    s.workspace("real", "\"a\"", "").package("real/a", "a", "");
    symlink("real", s.0.join("link")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let options = LoadOptions {
        manifest_path: Some("link/Cargo.toml".into()),
        directory: s.0.clone(),
        cargo,
        env: Default::default(),
    };
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
    let walk = walk::Walk { ask_embedded: true, ..walk::Walk::new(&s.0, &skip) };
    let walked = walk.run(Some(&rel("a")), git::Rules::none());
    let found: Vec<_> = walked.found.iter().map(|f| f.path.to_string()).collect();
    assert_eq!(found, ["a", "a/target", "a/target/y", "a/x"]);
    assert_eq!(walked.pruned, [(rel("a/hg"), SkipReason::Store)]);
    assert!(walk.run(Some(&rel("gone")), git::Rules::none()).found.is_empty());
    let _: &Path = &s.0;
}
