//! Protected by what the build read: real builds of small workspaces, and what a selection makes of their traces.

use std::path::PathBuf;

use backstop::explain::{Explanation, explain};
use backstop::manifest::Reason;
use backstop::path::RelPath;
use backstop::select::{InputGap, ProtectedSet, Reader};

use crate::cli::{backstop, program};
use crate::support::edit::{link, mkdir, remove, write};
use crate::support::{World, target_directory_is_elsewhere};

/// A package that takes in files which git ignores, which lie in no package, and which lie outside.
fn workspace() -> World {
    let world = World::new("virtual");
    let (root, above) = (&world.root, world.temp.path());
    program("git", root).args(["init", "-q"]).ends(0);
    write(root.join(".gitignore"), "/target\n*.gen.rs\n/crates/alpha/schema/\n/never/\n");
    write(root.join("crates/alpha/src/made.gen.rs"), "pub const MADE: u8 = 1;\n");
    write(root.join("shared/a b.txt"), "shared\n");
    write(above.join("aside/far.txt"), "far\n");
    write(root.join("crates/alpha/schema/deep/x.proto"), "proto\n");
    write(root.join("crates/alpha/schema/y.proto"), "proto\n");
    write(root.join("crates/alpha/old.txt"), "old\n");
    write(root.join("never/read.txt"), "no\n");
    link("old.txt", root.join("crates/alpha/link.txt"));
    write(
        root.join("crates/alpha/src/lib.rs"),
        "include!(\"made.gen.rs\");\npub mod util;\npub const A: &str = include_str!(\"../../../shared/a b.txt\");\n\
         pub const B: &str = include_str!(\"../../../../aside/far.txt\");\n\
         pub const G: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/g.txt\"));\n\
         pub const L: &str = include_str!(\"../link.txt\");\n",
    );
    write(
        root.join("crates/alpha/build.rs"),
        "fn main() {\n    println!(\"cargo::rerun-if-changed=schema\");\n    println!(\"cargo:rerun-if-changed=../../never/gone.txt\");\n    \
         println!(\"cargo:rerun-if-changed=.\");\n    \
         std::fs::write(format!(\"{}/g.txt\", std::env::var(\"OUT_DIR\").unwrap()), \"g\").unwrap();\n}\n",
    );
    write(root.join("crates/beta/src/main.rs"), "fn main() {}\n");
    write(
        root.join("crates/beta/Cargo.toml"),
        "[package]\nname = \"beta\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    world
}

fn build(world: &World) {
    let cargo = crate::support::cargo();
    program(cargo, &world.root).args(["check", "--offline", "--quiet"]).ends(0);
}

fn reasons(set: &ProtectedSet, path: &str) -> Vec<Reason> {
    let path = RelPath::new(path).unwrap();
    let found = set.entries.iter().find(|e| e.root.is_workspace() && e.path == path);
    found.map(|e| e.reasons.clone()).unwrap_or_default()
}

#[test]
fn what_rustc_and_build_scripts_read_is_protected_wherever_it_lies() {
    if target_directory_is_elsewhere() {
        return;
    }
    let world = workspace();
    let before = world.set();
    for path in ["crates/alpha/src/made.gen.rs", "shared/a b.txt", "crates/alpha/schema/y.proto"] {
        assert_eq!(reasons(&before, path), [], "{path}: nobody has read it yet");
    }
    build(&world);
    let set = world.set();
    assert_eq!(reasons(&set, "crates/alpha/src/made.gen.rs"), [Reason::CompilerRead]);
    assert_eq!(reasons(&set, "shared/a b.txt"), [Reason::CompilerRead]);
    for path in ["crates/alpha/schema/deep/x.proto", "crates/alpha/schema/y.proto"] {
        assert_eq!(reasons(&set, path), [Reason::BuildScriptRead], "{path}");
    }
    assert_eq!(reasons(&set, "crates/alpha/src/lib.rs"), [Reason::Member], "what is protected anyway");
    // What a build script says of its whole package brings nothing in that git ignores.
    assert_eq!(reasons(&set, "never/read.txt"), []);
    assert!(
        !set.entries.iter().any(|e| e.path.as_bytes().starts_with(b"target")),
        "nor is anything in target"
    );
    let outside: Vec<_> = set.unprotected_inputs.iter().filter(|i| i.reader == Reader::Compiler).collect();
    assert_eq!(outside.len(), 1, "{outside:?}");
    assert_eq!(outside[0].path, world.temp.path().join("aside/far.txt"));
    assert_eq!(outside[0].why, InputGap::Outside(Some(PathBuf::from("../aside"))));
}

#[test]
fn what_is_gone_or_excluded_is_not_brought_in_and_what_is_excluded_is_named() {
    if target_directory_is_elsewhere() {
        return;
    }
    let world = workspace();
    build(&world);
    remove(world.at("crates/alpha/src/made.gen.rs"));
    write(
        world.at("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n[workspace.metadata.backstop]\n\
         exclude = [\"shared\", \"**/*.proto\"]\noutside = [\"../aside\", \"../nowhere\"]\n",
    );
    let set = world.set();
    assert_eq!(reasons(&set, "crates/alpha/src/made.gen.rs"), []);
    assert_eq!(reasons(&set, "shared/a b.txt"), []);
    let gaps: Vec<_> = set.unprotected_inputs.iter().map(|i| (i.path.clone(), i.why.clone())).collect();
    assert!(gaps.contains(&(world.at("shared/a b.txt"), InputGap::Excluded("shared".into()))), "{gaps:?}");
    let proto = world.at("crates/alpha/schema/y.proto");
    assert!(gaps.contains(&(proto, InputGap::Excluded("**/*.proto".into()))), "{gaps:?}");
    // The setting makes the directory a root of its own.
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    let far =
        set.entries.iter().find(|e| e.root.as_str() == "aside" && e.path == RelPath::new("far.txt").unwrap());
    assert_eq!(far.unwrap().reasons, [Reason::Include("../aside".into()), Reason::CompilerRead]);
    assert!(set.notes.iter().any(|n| n.contains("`../nowhere`")), "{:?}", set.notes);
}

#[test]
fn a_configuration_file_above_the_workspace_is_named() {
    let world = World::new("virtual");
    write(world.temp.path().join(".cargo/config.toml"), "[build]\n");
    let set = world.set();
    let gaps: Vec<_> =
        set.unprotected_inputs.iter().filter(|i| i.path.starts_with(world.temp.path())).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].reader, Reader::Cargo);
    assert_eq!(gaps[0].why, InputGap::Outside(Some(PathBuf::from("../.cargo"))));
}

#[test]
fn files_that_look_like_secrets_are_protected_and_named() {
    let world = World::new("virtual");
    write(world.at("crates/alpha/.env"), "TOKEN=x\n");
    write(world.at("crates/alpha/.env.example"), "TOKEN=\n");
    let set = world.set();
    let named: Vec<_> = set.secrets.iter().map(|at| at.path.to_string()).collect();
    assert_eq!(named, ["crates/alpha/.env"]);
    assert_eq!(reasons(&set, "crates/alpha/.env"), [Reason::Member]);
}

fn explained(world: &World, path: &str) -> Explanation {
    let workspace = world.load();
    explain(&workspace, &world.set(), &[world.at(path)]).remove(0)
}

#[test]
fn each_path_is_explained_by_its_rule_with_file_and_line() {
    if target_directory_is_elsewhere() {
        return;
    }
    let world = workspace();
    build(&world);
    mkdir(world.at("crates/alpha/empty.gen.rs"));
    let member = "it lies in the member `alpha`";
    let manifest = "crates/alpha/Cargo.toml:2";
    for (path, exists, protected, text, place) in [
        ("crates/alpha/src/lib.rs", true, true, member, manifest),
        ("crates/alpha/src/nope.rs", false, true, member, manifest),
        ("crates/alpha/src/nope.gen.rs", false, false, "git ignores it: `*.gen.rs`", ".gitignore:2"),
        ("crates/alpha/src/made.gen.rs", true, true, "rustc read it in a build", ".d:"),
        ("crates/alpha/schema/y.proto", true, true, "a build script asked cargo to watch it", "/output:1"),
        ("never/read.txt", true, false, "git ignores it: `/never/`", ".gitignore:4"),
        (
            "target/debug/x",
            false,
            false,
            "it lies in a directory that is marked as a cache",
            "target/CACHEDIR.TAG:1",
        ),
        (".git/HEAD", true, false, "belongs to a version control system", ""),
        ("Cargo.toml", true, true, "it stands at the workspace root", ""),
        ("notes.txt", false, true, "it stands at the workspace root", ""),
        ("docs/x.md", false, false, "it lies in no package of the workspace", ""),
        ("../aside/far.txt", true, false, "it lies outside the workspace and every path dependency", ""),
        ("crates/../crates/alpha/./src/lib.rs", true, true, member, manifest),
    ] {
        let found = explained(&world, path);
        assert_eq!((found.exists, found.protected), (exists, protected), "{path}: {found:?}");
        assert!(found.rules[0].text.contains(text), "{path}: {found:?}");
        let rule = &found.rules[0];
        let said = rule.file.as_ref().map_or(String::new(), |file| {
            let file = file.strip_prefix(&world.root).unwrap_or(file).display().to_string();
            format!("{file}:{}", rule.line.map_or(String::new(), |l| l.to_string()))
        });
        assert!(said.contains(place) && said.is_empty() == place.is_empty(), "{path}: {said}");
    }
    // Where rustc read what is protected anyway, that is said behind the rule.
    let found = explained(&world, "crates/alpha/src/lib.rs");
    assert!(found.rules.iter().any(|r| r.text == "rustc read it in a build"), "{found:?}");
    assert_eq!(explained(&world, "docs/x.md").remedy.as_deref(), Some("include = [\"docs/**\"]"));
    let far = explained(&world, "../aside/far.txt");
    assert_eq!(far.remedy.as_deref(), Some("outside = [\"../aside\"] protects its directory"));
}

#[test]
fn the_settings_patterns_are_explained_by_their_lines() {
    let world = World::new("virtual");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "*.log\n");
    write(world.at("docs/a.log"), "");
    write(
        world.at("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n\n[workspace.metadata.backstop]\n\
         include = [\"docs/**\"]\nexclude = [\n  '**/*.tmp',\n]\n",
    );
    let found = explained(&world, "docs/a.log");
    assert_eq!((found.protected, found.rules[0].line), (true, Some(6)), "{found:?}");
    let found = explained(&world, "crates/alpha/x.tmp");
    assert_eq!((found.protected, found.rules[0].line), (false, Some(8)), "{found:?}");
    assert_eq!(found.rules[0].file.as_deref(), Some(&*world.at("Cargo.toml")));
}

/// A package whose build reads through links, by examples, and below a directory that holds another package.
#[test]
fn what_is_read_through_links_by_examples_and_around_packages_is_protected() {
    if target_directory_is_elsewhere() {
        return;
    }
    let world = World::new("virtual");
    let root = &world.root;
    program("git", root).args(["init", "-q"]).ends(0);
    write(root.join(".gitignore"), "/target\n*.gen\n");
    // `..` behind a directory that is a link.
    write(
        root.join("real/src/lib.rs"),
        "pub mod util;\npub const D: &str = include_str!(\"../data.gen\");\n",
    );
    write(root.join("real/src/util.rs"), "");
    write(root.join("real/data.gen"), "d");
    remove(root.join("crates/alpha/src"));
    link("../../real/src", root.join("crates/alpha/src"));
    // A chain of links, each of them ignored.
    write(root.join("end.gen"), "e");
    link("end.gen", root.join("middle.gen"));
    link("../../middle.gen", root.join("crates/alpha/start.gen"));
    write(
        root.join("crates/alpha/examples/show.rs"),
        "fn main() { println!(\"{}\", include_str!(\"../start.gen\")); }\n",
    );
    // A watched directory with a package in it, named with blanks around it.
    write(root.join("assets/picture.gen"), "p");
    write(root.join("assets/tool/ignored.gen"), "i");
    write(
        root.join("assets/tool/Cargo.toml"),
        "[package]\nname = \"tool\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    write(root.join("assets/tool/src/lib.rs"), "");
    write(
        root.join("crates/alpha/build.rs"),
        "fn main() {\n    println!(\"  cargo:rerun-if-changed=../../assets  \");\n    \
         println!(\"cargo::rerun-if-changed=late.gen\");\n    println!(\"cargo::rerun-if-changed=..\");\n}\n",
    );
    write(root.join("crates/beta/src/main.rs"), "fn main() {}\n");
    write(
        root.join("crates/beta/Cargo.toml"),
        "[package]\nname = \"beta\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    write(
        root.join("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\", \"assets/tool\"]\n",
    );
    write(root.join("crates/beside.gen"), "b");
    write(root.join("top.gen"), "t");
    let cargo = crate::support::cargo();
    program(cargo, root).args(["check", "--offline", "--quiet", "--workspace", "--examples"]).ends(0);
    let set = world.set();
    for path in ["real/data.gen", "end.gen", "middle.gen", "crates/alpha/start.gen"] {
        assert_eq!(reasons(&set, path), [Reason::CompilerRead], "{path}");
    }
    // Each says where that stands.
    for path in ["end.gen", "middle.gen", "real/data.gen"] {
        let said = explained(&world, path);
        assert!(said.rules[0].text == "rustc read it in a build" && said.rules[0].line.is_some(), "{said:?}");
    }
    assert_eq!(reasons(&set, "assets/picture.gen"), [Reason::BuildScriptRead]);
    assert_eq!(reasons(&set, "crates/beside.gen"), [Reason::BuildScriptRead], "in what the packages lie in");
    assert_eq!(reasons(&set, "top.gen"), [], "nobody watches the root");
    assert_eq!(
        reasons(&set, "assets/tool/ignored.gen"),
        [],
        "a package's own files are what the walk is for"
    );
    // What does not exist is judged by what would become of it.
    for (path, text) in [
        ("crates/alpha/late.gen", "a build script asked cargo to watch it"),
        (".cargo/config.toml", "its directory steers the build of the whole workspace"),
    ] {
        let said = explained(&world, path);
        assert!(said.protected && !said.exists && said.rules[0].text == text, "{path}: {said:?}");
    }
    // Without its build script, nobody asks for what it watched.
    remove(root.join("crates/alpha/build.rs"));
    assert_eq!(reasons(&world.set(), "assets/picture.gen"), []);
}

#[test]
fn no_setting_is_named_that_would_not_work_and_a_store_is_no_place_to_protect() {
    if target_directory_is_elsewhere() {
        return;
    }
    let world = World::new("virtual");
    let above = world.temp.path();
    write(above.join("beside.txt"), "b");
    write(above.join("a\"b/in.txt"), "i");
    write(
        world.at("crates/alpha/src/lib.rs"),
        "pub mod util;\npub const B: &str = include_str!(\"../../../../beside.txt\");\n\
         pub const Q: &str = include_str!(\"../../../../a\\\"b/in.txt\");\n",
    );
    write(world.at("odd/[1] \"x\".txt"), "o");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    write(world.at(".gitignore"), "/target\n/odd/\n");
    write(world.at("crates/beta/src/main.rs"), "fn main() {}\n");
    write(
        world.at("crates/beta/Cargo.toml"),
        "[package]\nname = \"beta\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    build(&world);
    let settings = |text: &str| {
        write(
            world.at("Cargo.toml"),
            format!(
                "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n[workspace.metadata.backstop]\n{text}\n"
            ),
        );
    };
    settings("");
    let run = backstop(&world.root).arg("backup").ends(0);
    // A directory that holds the workspace cannot be a root.
    assert!(run.out.contains("no setting reaches it"), "{}", run.out);
    let line =
        run.out.lines().find_map(|l| l.split_once("outside = ")).map(|(_, list)| format!("outside = {list}"));
    settings(&line.unwrap());
    let set = world.set();
    assert!(set.roots.iter().any(|r| r.directory == above.join("a\"b")), "{:?}", set.roots);
    let said = explained(&world, "../a\"b/new.txt");
    assert!(said.protected && said.rules[0].text.contains("the setting `outside` names"), "{said:?}");
    assert_eq!(said.rules[0].line, Some(5), "{said:?}");
    // What `explain` offers for an odd name brings it in, and stands in the settings' own table.
    let said = explained(&world, "odd/[1] \"x\".txt");
    let remedy = said.remedy.unwrap();
    settings(&remedy);
    let said = explained(&world, "odd/[1] \"x\".txt");
    assert!(said.protected && said.rules[0].line == Some(5), "{remedy}: {said:?}");
    // A store elsewhere is none of what `outside` protects.
    backstop(&world.root).args(["--store", "../points", "backup"]).ends(0);
    let said = explained(&world, "../points/store.json");
    assert!(!said.protected && said.remedy.is_none(), "{said:?}");
    assert!(said.rules[0].text.ends_with("is a store of restore points"), "{said:?}");
    settings("outside = [\"../points\"]");
    backstop(&world.root).arg("backup").ends(2).complains("is a store of restore points");
    settings("outside = [\"../points/archives\"]");
    backstop(&world.root).arg("backup").ends(2).complains("is a store of restore points");
}

#[test]
fn a_rule_is_found_in_its_own_table() {
    let world = World::new("virtual");
    write(
        world.at("crates/alpha/Cargo.toml"),
        "[[bin]]\nname = \"alpha\"\npath = \"src/main.rs\"\n[package]\nname = \"alpha\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
         description = \"see README.md\"\nreadme = \"../../docs/README.md\"\ninclude = [\"*.snap\"]\n\
         [package.metadata.backstop]\nexclude = [\"*.snap\"]\n",
    );
    write(world.at("crates/alpha/src/main.rs"), "fn main() {}\n");
    write(world.at("docs/README.md"), "");
    write(world.at("crates/alpha/x.snap"), "");
    for (path, line) in [("crates/alpha/src/lib.rs", 5), ("docs/README.md", 9), ("crates/alpha/x.snap", 12)] {
        let said = explained(&world, path);
        assert_eq!(said.rules[0].line, Some(line), "{path}: {said:?}");
    }
}
