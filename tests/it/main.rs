//! The library from outside: whole small workspaces on disk, taken through backup, damage, cuts and rollback.
#![allow(clippy::disallowed_methods, reason = "tests make the files, the damage and the races themselves")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "what cannot be tested here is said aloud")]

mod architecture;
mod backup;
mod checkpoints;
mod cli;
mod cuts;
mod diff;
mod drill;
mod git_starts_nothing;
mod golden;
mod guard;
mod hostile;
mod init;
mod inputs;
mod kinds;
mod lists;
mod preflight;
mod property;
mod readme;
mod repair;
mod restore_text;
mod retention;
mod roads;
mod rollback;
mod support;
mod validate;

/// A test file that nobody compiles passes for ever.
#[test]
fn every_file_beside_this_one_is_a_module_of_it() {
    let text = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let forgotten: Vec<String> = names
        .filter(|name| name != "main.rs")
        .filter(|name| !text.contains(&format!("\nmod {};", name.trim_end_matches(".rs"))))
        .collect();
    assert!(forgotten.is_empty(), "add a `mod` line for {forgotten:?}");
}
