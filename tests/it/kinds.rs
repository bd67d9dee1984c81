//! Every kind of thing that a file system holds, under every name that it allows.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use backstop::live_tree::LeftAlone;
use backstop::rollback::{RollbackOptions, restore_to};
use backstop::select::SkipReason;
use backstop::validate::From;

use crate::support::edit::{chmod, link, mkdir, opened, remove, set_mtime, write};
use crate::support::tree::{What, assert_same};
use crate::support::{Picture, World};

fn odd_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        &b"with space"[..],
        b" leading",
        b"trailing ",
        b"new\nline",
        b"carriage\rreturn",
        b"tab\there",
        b"quote'quote\"quote`",
        b"$HOME $(touch x) ;&|<>",
        b"-rf",
        b"--help",
        b"back\\slash\\n",
        b"esc\x1b[31mred",
        b"star*?[a]{b,c}",
        b"latin-\xe9\xff",
        "\u{202e}reversed \u{1f600}".as_bytes(),
        b"...",
        b"#hash%20",
        b"a:b",
    ]
    .iter()
    .map(|n| n.to_vec())
    .collect();
    names.push(vec![b'x'; 255]);
    // 255 bytes of letters with two bytes each, and one with one.
    names.push([&b"y"[..], "é".repeat(127).as_bytes()].concat());
    names
}

fn odd(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(name))
}

/// A workspace with one of each.
fn full() -> World {
    let world = World::new("single");
    let dir = world.at("odd");
    mkdir(&dir);
    for (i, name) in odd_names().iter().enumerate() {
        write(odd(&dir, name), format!("content {i}\n"));
        set_mtime(odd(&dir, name), 1_600_000_000 + i as u64);
    }
    for name in odd_names().iter().take(12) {
        let below = odd(&world.at("dirs"), name);
        write(below.join("file"), "in an odd directory");
        link(OsStr::from_bytes(name), odd(&world.at("dirs"), &[&b"to "[..], name].concat()));
    }
    write(world.at("kinds/empty"), "");
    write(world.at("kinds/run"), "#!/bin/sh\nexit 0\n");
    chmod(world.at("kinds/run"), 0o755);
    write(world.at("kinds/private"), "mine\n");
    chmod(world.at("kinds/private"), 0o600);
    write(world.at("kinds/read-only"), "read\n");
    chmod(world.at("kinds/read-only"), 0o444);
    write(world.at("kinds/binary"), [0, 159, 146, 150, 0, 255]);
    mkdir(world.at("kinds/empty-directory"));
    link("nowhere/at all", world.at("kinds/dangling"));
    link("empty-directory", world.at("kinds/to-directory"));
    link("/etc/hostname", world.at("kinds/absolute"));
    link("../../..", world.at("kinds/upwards"));
    link("itself", world.at("kinds/itself"));
    write(world.at("kinds/locked/file"), "in a read-only directory\n");
    chmod(world.at("kinds/locked/file"), 0o400);
    mkdir(world.at("kinds/locked/empty"));
    chmod(world.at("kinds/locked"), 0o555);
    chmod(world.at("src"), 0o750);
    let deep: PathBuf = (0..40).map(|i| format!("level-{i}")).collect();
    write(world.at("kinds").join(deep).join("file"), "deep");
    world
}

fn vandalise(world: &World) {
    for (i, name) in odd_names().iter().enumerate() {
        let path = odd(&world.at("odd"), name);
        match i % 4 {
            0 => write(&path, "overwritten"),
            1 => remove(&path),
            2 => chmod(&path, 0o640),
            _ => {
                remove(&path);
                mkdir(&path);
            }
        }
    }
    remove(world.at("dirs"));
    for path in ["empty", "run", "private", "empty-directory", "dangling", "absolute", "upwards", "itself"] {
        remove(world.at("kinds").join(path));
    }
    remove(world.at("kinds/to-directory"));
    write(world.at("kinds/to-directory/file"), "a directory now");
    opened(world.at("kinds/locked"), || {
        remove(world.at("kinds/locked/file"));
        remove(world.at("kinds/locked/empty"));
        write(world.at("kinds/locked/added"), "added");
    });
    chmod(world.at("kinds/locked"), 0o755);
    remove(world.at("kinds/level-0"));
    write(world.at("kinds/level-0"), "a file now");
    chmod(world.at("src"), 0o755);
}

#[test]
fn every_kind_under_every_name_comes_back_exactly_from_both_copies() {
    for from in [From::Session, From::Archive] {
        let world = full();
        let before = world.picture();
        let report = world.backup();
        assert_eq!(report.verified, report.manifest.totals.files);
        assert_eq!(world.findings(&world.latest()), [""; 0]);
        vandalise(&world);
        let broken = world.picture();
        assert_ne!(broken, before);
        world.rollback(&RollbackOptions { from, ..RollbackOptions::default() });
        assert_same(&world.picture(), &before, &format!("{from:?}"));
        world.undo();
        assert_same(&world.picture(), &broken, &format!("undone, {from:?}"));
        for listed in world.listed() {
            assert_eq!(world.findings(&listed), [""; 0], "{}", listed.backup_id());
        }
    }
}

#[test]
fn every_kind_is_restored_elsewhere_with_its_times() {
    let world = full();
    world.backup();
    for (from, name) in [(From::Session, "session"), (From::Archive, "archive")] {
        let to = world.temp.path().join(name);
        let options = RollbackOptions { from, ..RollbackOptions::default() };
        let report = restore_to(&world.store(), &world.latest(), &to, &options, &world.context()).unwrap();
        let (found, expected) =
            (Picture::with_times(&to, &[]), Picture::with_times(&world.root, &[&world.dir]));
        assert_same(&found, &expected, name);
        assert_eq!(
            report.files,
            expected.0.values().filter(|n| matches!(n.what, What::File(_))).count() as u64
        );
    }
}

/// Whether a program can be run here; says so where it cannot.
fn present(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("skipped: there is no `{program}` to ask");
    }
    there
}

#[test]
fn the_systems_tar_unpacks_the_archive_to_the_same_tree() {
    if !present("tar") {
        return;
    }
    let world = full();
    world.backup();
    let to = world.temp.path().join("unpacked");
    mkdir(&to);
    let listed = world.latest();
    let archive = world.store().layout().archive(&listed.label, &listed.id);
    let done = Command::new("tar").arg("-xzpf").arg(archive).current_dir(&to).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(to.join("backup_manifest.json").is_file());
    assert_same(&Picture::take(&to.join("files"), &[]), &world.picture(), "unpacked");
    for name in odd_names() {
        let seconds = |dir: &Path| odd(dir, &name).metadata().unwrap().mtime();
        assert_eq!(seconds(&to.join("files/odd")), seconds(&world.at("odd")));
    }
}

#[test]
fn sha256sum_accepts_the_list_of_odd_names_and_finds_a_flipped_bit() {
    if !present("sha256sum") {
        return;
    }
    let world = full();
    world.backup();
    let (listed, store) = (world.latest(), world.store());
    let session = store.layout().session(&listed.id);
    let ask = || {
        let list = store.layout().checksums(&listed.label, &listed.id);
        Command::new("sha256sum").args(["-c", "--strict"]).arg(list).current_dir(&session).output().unwrap()
    };
    let done = ask();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let files = world.backup().manifest.totals.files as usize;
    let names = done.stdout.split(|b| *b == b'\n').filter(|l| l.ends_with(b": OK")).count();
    assert_eq!(names, files + 1, "every file, and the manifest");
    let victim = odd(&session.join("files/odd"), b"new\nline");
    crate::support::edit::overwrite(victim, |bytes| bytes[0] ^= 1);
    assert!(!ask().status.success());
}

#[test]
fn pipes_and_sockets_are_passed_over_by_name_and_stay_where_they_are() {
    let world = World::new("single");
    let made = Command::new("mkfifo").arg(world.at("src/pipe")).status();
    if !made.is_ok_and(|s| s.success()) {
        eprintln!("skipped: there is no `mkfifo`");
        return;
    }
    let socket = std::os::unix::net::UnixListener::bind(world.at("src/socket")).unwrap();
    let set = world.set();
    for name in ["src/pipe", "src/socket"] {
        let skipped = set.skipped.iter().find(|s| s.path.to_string() == name);
        assert!(skipped.is_some_and(|s| matches!(s.why, SkipReason::Special(_))), "{name}: {skipped:?}");
    }
    let before = world.picture();
    world.backup();
    write(world.at("src/lib.rs"), "broken");
    let plan = world.plan(&RollbackOptions::default());
    let left: Vec<_> = plan.left_alone.iter().map(|(path, why)| (path.as_str(), why.clone())).collect();
    assert_eq!(left, [("src/pipe", LeftAlone::Special), ("src/socket", LeftAlone::Special)]);
    world.rollback(&RollbackOptions::default());
    assert_same(&world.picture(), &before, "rolled back");
    drop(socket);
}

#[test]
fn a_pipe_in_place_of_a_file_makes_way_and_comes_back_with_an_undo() {
    let world = World::new("single");
    let before = world.picture();
    world.backup();
    remove(world.at("src/lib.rs"));
    if !Command::new("mkfifo").arg(world.at("src/lib.rs")).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: there is no `mkfifo`");
        return;
    }
    let outcome = world.rollback(&RollbackOptions::default());
    assert_same(&world.picture(), &before, "rolled back");
    let displaced = outcome.displaced.unwrap().join("files/src/lib.rs");
    assert!(!fs::symlink_metadata(displaced).unwrap().is_file(), "the pipe is kept");
    let plan = world.plan_undo().unwrap();
    assert_eq!(plan.left_alone, [("src/lib.rs".to_owned(), LeftAlone::Special)]);
}

#[test]
fn names_of_255_bytes_go_across_file_systems() {
    let Some((workspace, store)) = crate::support::TempDir::apart() else {
        eprintln!("skipped: there is only one file system to write to");
        return;
    };
    let mut world = World::on(workspace, "single");
    world.dir = store.path().join("store");
    let path = world.at("src").join("z".repeat(255));
    write(&path, "before\n");
    let before = world.picture();
    world.backup();
    write(&path, "after\n");
    write(world.at("src").join("n".repeat(255)), "new\n");
    let broken = world.picture();
    world.rollback(&RollbackOptions::default());
    assert_same(&world.picture(), &before, "rolled back");
    world.undo();
    assert_same(&world.picture(), &broken, "undone");
}

#[test]
fn a_file_of_holes_takes_no_room_in_the_store_nor_when_it_is_back() {
    use std::os::unix::fs::FileExt;
    const SIZE: u64 = 32 * 1024 * 1024;
    let world = World::new("single");
    let path = world.at("disk.img");
    let file = fs::File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    file.write_at(b"data", SIZE / 3).unwrap();
    let blocks = |path: &std::path::Path| path.metadata().unwrap().blocks() * 512;
    let content = fs::read(&path).unwrap();
    let report = world.backup();
    let stored = world.store().layout().session(&report.manifest.id).join("files/disk.img");
    fs::write(&path, "").unwrap();
    world.rollback(&RollbackOptions::default());
    assert!(fs::read(&path).unwrap() == content && fs::read(&stored).unwrap() == content);
    for place in [&stored, &path] {
        assert!(blocks(place) < SIZE / 8, "{} takes {} bytes", place.display(), blocks(place));
    }
}
