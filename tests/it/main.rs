//! The library from outside: whole small workspaces on disk, taken through backup, damage, cuts and rollback.
#![allow(clippy::disallowed_methods, reason = "tests make the files, the damage and the races themselves")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "what cannot be tested here is said aloud")]

mod architecture;
mod backup;
mod cargo_agrees;
mod cargo_reads;
mod checkpoints;
mod cli;
mod cuts;
mod diff;
mod drill;
mod drill_around;
mod elsewhere;
mod git_starts_nothing;
mod golden;
mod guard;
mod hostile;
mod init;
mod inputs;
mod kinds;
mod lists;
mod newer;
mod obstacles;
mod ours;
mod preflight;
mod progress;
mod property;
mod readme;
mod repair;
mod restore_text;
mod retention;
mod roads;
mod rollback;
mod sources;
mod support;
mod unloaded;
mod users_own;
mod validate;
mod vendored;
mod verdict;
mod voice;

/// A test file that nobody compiles passes for ever.
#[test]
fn every_file_beside_and_below_this_one_is_a_module() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let (mut forgotten, mut seen) = (Vec::new(), 0);
    let mut dirs = vec![top.clone()];
    while let Some(dir) = dirs.pop() {
        let own = dir.join(if dir == top { "main.rs" } else { "mod.rs" });
        let text = std::fs::read_to_string(&own).unwrap_or_default();
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let module = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
            if path == own || !module {
                continue;
            }
            seen += 1;
            let end = format!("mod {};", path.file_stem().unwrap().to_str().unwrap());
            if !text.lines().any(|line| line == end || line.strip_prefix("pub(crate) ") == Some(&end)) {
                forgotten.push(path.clone());
            }
            dirs.extend(path.is_dir().then_some(path));
        }
    }
    assert!(forgotten.is_empty(), "no `mod` line beside it names {forgotten:?}");
    assert!(seen > 30, "only {seen} files were seen");
}
