//! `RESTORE.txt`: what it tells a person to type works.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::cli::{backed_up, newest, program, spoil};
use crate::support::edit::{mkdir, overwrite};

/// The lines to type that begin so.
fn lines(text: &str, starts: &[&str]) -> Vec<String> {
    let typed = text.lines().filter_map(|line| line.strip_prefix("    "));
    typed.filter(|line| starts.iter().any(|start| line.starts_with(start))).map(str::to_owned).collect()
}

#[test]
fn the_lines_for_tar_and_cp_bring_every_file_back() {
    let world = backed_up();
    let (path, home) = (world.dir.join("RESTORE.txt"), world.temp.path().join("home"));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o400);
    let text = fs::read_to_string(&path).unwrap();
    mkdir(&home);
    let typed = lines(&text, &["mkdir ", "tar ", "cp ", "chmod ", "(cd "]);
    assert_eq!(typed.len(), 6, "{typed:?}");
    let script = format!("set -e\nTS={}\n{}\n", newest(&world), typed.join("\n"));
    program("sh", &world.dir).args(["-c", &script]).env("HOME", &home).ends(0);
    let manifest = world.store().manifest(&world.latest()).unwrap();
    let files: Vec<_> = manifest.entries.iter().filter(|e| e.is_file()).collect();
    assert!(files.len() > 5);
    for entry in files {
        let there = fs::read(world.at(&entry.path)).unwrap();
        for copy in ["restored/files", "copied"] {
            assert_eq!(
                fs::read(home.join(copy).join(&entry.path)).unwrap(),
                there,
                "{copy}: {}",
                entry.shown()
            );
        }
    }
    spoil(&world.root);
    for line in lines(&text, &["scripts/backstop rollback -t", "bash ", "python3 "]) {
        program("sh", &world.dir).args(["-c", &format!("{line} --dry-run")]).ends(0);
    }
}

#[test]
fn it_is_written_again_by_the_next_backup() {
    let world = backed_up();
    let path = world.dir.join("RESTORE.txt");
    let text = fs::read(&path).unwrap();
    overwrite(&path, Vec::clear);
    world.backup();
    assert_eq!(fs::read(&path).unwrap(), text);
}
