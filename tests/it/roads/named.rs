//! Rows: names that a shell, a terminal or a parser could stumble over.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::row::{Row, Tree, row};
use crate::support::World;
use crate::support::edit::{chmod, link, mkdir, remove, write};

/// One row a name: a file modified, one deleted, one added, a directory deleted, links, all of that name.
macro_rules! odd_name {
    ($title:literal, $name:expr) => {
        row(concat!("a name with ", $title), |w| spoil(w, $name)).with(|w| furnish(w, $name))
    };
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        odd_name!("a space", b" a  b "),
        odd_name!("a newline", b"new\nline\n"),
        odd_name!("quotes", b"it's \"so\" `id`"),
        odd_name!("a backslash", b"back\\slash\\n\\"),
        odd_name!("a leading dash", b"-rf"),
        odd_name!("an option's name", b"--help"),
        odd_name!("a star", b"*"),
        odd_name!("glob characters", b"[a-z]?{b,c}!(x)"),
        odd_name!("a command substitution", b"$(touch hacked) ${HOME} ;&|<>"),
        odd_name!("arithmetic", b"a[$(touch hacked)]"),
        odd_name!("bytes that are not UTF-8", b"latin-\xe9\xff"),
        odd_name!("control bytes", b"\x01\x1b[31m\x7f\r\t"),
        odd_name!("letters beyond ASCII", "ü\u{202e}\u{1f600}".as_bytes()),
        odd_name!("a field's name", b"end"),
        odd_name!("a tilde and a hash", b"~root#%20"),
        odd_name!("dots", b"..."),
        odd_name!("an equals sign", b"IFS=x"),
    ];
    rows.push(
        row("names as long as names can be", |w| {
            write(w.at("crates/alpha").join("x".repeat(255)), "modified\n");
            remove(w.at("crates/alpha").join("y".repeat(255)));
            write(w.at("crates/alpha").join("z".repeat(255)), "added\n");
        })
        .with(|w| {
            write(w.at("crates/alpha").join("x".repeat(255)), "long\n");
            write(w.at("crates/alpha").join("y".repeat(255)), "long\n");
        }),
    );
    rows.push(
        row("a path of many levels", |w| remove(w.at("crates/alpha/level-0")))
            .with(|w| write(w.at("crates/alpha").join(deep()).join("file"), "deep\n")),
    );
    rows.push(
        row("two names that differ in case", |w| {
            write(w.at("crates/alpha/Name"), "swapped\n");
            remove(w.at("crates/alpha/name"));
        })
        .with(|w| {
            write(w.at("crates/alpha/Name"), "upper\n");
            write(w.at("crates/alpha/name"), "lower\n");
        }),
    );
    rows.push(
        row("a path that --only names as it is shown", |w| {
            write(w.at("crates/alpha/with space*/in it"), "modified\n");
            write(w.at("crates/alpha/src/lib.rs"), "modified\n");
        })
        .with(|w| write(w.at("crates/alpha/with space*/in it"), "before\n"))
        .runs(&["-t", "latest", "-f", "--only", "crates/alpha/with space*"], 0)
        .leaves(Tree::UntouchedBut(&["crates/alpha/with space*"])),
    );
    rows
}

fn deep() -> PathBuf {
    (0..40).map(|i| format!("level-{i}")).collect()
}

fn at(world: &World, dir: &str, name: &[u8]) -> PathBuf {
    world.at("crates/alpha").join(dir).join(OsStr::from_bytes(name))
}

fn furnish(world: &World, name: &[u8]) {
    for dir in ["modified", "deleted", "mode"] {
        write(at(world, dir, name), "before\n");
    }
    write(at(world, "directory", name).join(OsStr::from_bytes(name)), "before\n");
    mkdir(world.at("crates/alpha/links"));
    link(OsStr::from_bytes(name), at(world, "links", name));
    mkdir(world.at("crates/alpha/added"));
}

fn spoil(world: &World, name: &[u8]) {
    write(at(world, "modified", name), "after\n");
    remove(at(world, "deleted", name));
    chmod(at(world, "mode", name), 0o700);
    remove(at(world, "directory", name));
    remove(at(world, "links", name));
    write(at(world, "added", name), "added\n");
    write(at(world, "fresh", name).join(OsStr::from_bytes(name)), "added\n");
}
