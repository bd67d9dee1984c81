//! What the settings add, keep out, or get wrong.

use super::*;

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
    let base = Place { root: RootName::Workspace, path: None };
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
    assert!(set.scope.directories.contains(&Place { root: RootName::Workspace, path: None }));
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
