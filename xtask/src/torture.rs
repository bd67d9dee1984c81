//! `cargo xtask torture [PART]… [--full] [--list]`: the long tests that `cargo test` leaves out: cuts at each call,
//! damage of each copy, every row of the scenario table.
//!
//! A test belongs to a part by its attribute alone, `#[ignore = "part of torture: PART"]`; the names are read from
//! the sources, so that no second list can fall behind, and a part whose tests did not all run is wrong.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::say;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What each part tries.
const PARTS: &[(&str, &str)] = &[
    ("cuts", "backup, rollback, undo, resume, abort, init and repair cut at each call, and each call failed"),
    ("roads", "every row of the scenario table by the executable and both scripts"),
    ("crossed", "what one rollback tool began or did, ended or undone by another"),
    ("kills", "commands that are killed at any time, and many at once"),
    ("damage", "flipped bits of manifests and checksum lists, and each copy lost or damaged"),
    ("random", "random edits and random damage against a naive copy"),
    ("scale", "three hundred restore points, a large file, an archive that unpacks to far more"),
    (
        "builds",
        "the guard in real builds, builds after rollbacks, preflight, less common kinds of workspaces",
    ),
    ("embedding", "xtasks of other people, built and run"),
];

/// What is asked in full: every cut, every bit, and random cases by the thousand.
const FULL: [(&str, &str); 3] =
    [("BACKSTOP_TEST_ALL_CUTS", "1"), ("BACKSTOP_TEST_ALL_BITS", "1"), ("PROPTEST_CASES", "2000")];

/// Runs the parts that `args` name, all of them if it names none, and says whether nothing was wrong.
pub(crate) fn run(args: &[&str]) -> Result<bool> {
    let (flags, mut wanted): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with('-'));
    if let Some(flag) = flags.iter().find(|flag| !["--full", "--list"].contains(*flag)) {
        bail!("unknown option `{flag}`; usage: cargo xtask torture [PART]… [--full] [--list]");
    }
    let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
    if let Some(part) = wanted.iter().find(|part| !names.contains(part)) {
        bail!("there is no part `{part}`; the parts are {}", names.join(", "));
    }
    if wanted.is_empty() {
        wanted = names;
    }
    let tests = tests()?;
    let mut wrong = Vec::new();
    for (part, what) in PARTS.iter().filter(|(part, _)| wanted.contains(part)) {
        let tests: Vec<&str> = tests.iter().filter(|(of, _)| of == part).map(|(_, test)| &**test).collect();
        say(&format!("{part}: {what} ({} tests)", tests.len()));
        if flags.contains(&"--list") {
            tests.iter().for_each(|test| say(&format!("    {test}")));
        } else if !run_part(part, &tests, flags.contains(&"--full"))? {
            wrong.push(*part);
        }
    }
    if !wrong.is_empty() {
        say(&format!("wrong: {}", wrong.join(", ")));
    }
    Ok(wrong.is_empty())
}

/// Runs one part, prints what its tests counted and what was wrong, and says whether all of them ran and passed.
fn run_part(part: &str, tests: &[&str], full: bool) -> Result<bool> {
    let shell = Shell::new()?;
    shell.change_dir(ROOT);
    // In full it takes long enough for an optimised build to pay.
    let profile: &[&str] = if full { &["--release"] } else { &[] };
    let cargo =
        || cmd!(shell, "cargo test --quiet --workspace --all-features --test it {profile...}").quiet();
    cargo().arg("--no-run").run()?;
    let mut command = cargo().args(["--", "--ignored", "--exact", "--show-output"]).args(tests);
    if full {
        // And on a disk.
        command = command.envs(FULL).env("TMPDIR", std::env::temp_dir());
    }
    let start = Instant::now();
    let output = command.ignore_status().output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        say(&format!("    {line}"));
    }
    let passed = passed(&text);
    let right = output.status.success() && passed == Some(tests.len());
    if !right {
        say(&format!("    {}", String::from_utf8_lossy(&output.stderr).trim_end().replace('\n', "\n    ")));
    }
    let skipped = text.lines().filter(|line| line.starts_with("skipped")).count();
    say(&format!(
        "{part}: {} of {} tests passed in {:.0} s{}",
        passed.unwrap_or(0),
        tests.len(),
        start.elapsed().as_secs_f64(),
        if skipped > 0 { format!("; {skipped} things were skipped, see above") } else { String::new() }
    ));
    Ok(right)
}

/// How many tests passed, as libtest's last line says.
fn passed(output: &str) -> Option<usize> {
    let line = output.lines().rev().find(|line| line.starts_with("test result: "))?;
    line.split(". ").nth(1)?.split(' ').next()?.parse().ok()
}

/// Each test of a part, with the part, from the sources.
fn tests() -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    read_dir(&Path::new(ROOT).join("tests/it"), "", &mut out)?;
    out.sort();
    Ok(out)
}

fn read_dir(dir: &Path, module: &str, out: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).context("a test file has an odd name")?;
        if path.is_dir() {
            read_dir(&path, &format!("{module}{stem}::"), out)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module =
                if ["main", "mod"].contains(&stem) { module.into() } else { format!("{module}{stem}::") };
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            for (part, name) in marked(&text).with_context(|| format!("in {}", path.display()))? {
                out.push((part, format!("{module}{name}")));
            }
        }
    }
    Ok(())
}

/// The tests of one file that are left out of the quick run: part and function.
fn marked(text: &str) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(attribute) = line.strip_prefix("#[ignore") else { continue };
        let reason = attribute.strip_prefix(" = \"").and_then(|rest| rest.strip_suffix("\"]"));
        let reason = reason.with_context(|| format!("`{line}` gives no reason"))?;
        // Not a test but a tool: it writes what other tests read.
        if reason.starts_with("writes ") {
            continue;
        }
        let part = reason.strip_prefix("part of torture: ");
        let part = part.with_context(|| format!("`{line}` names no part of torture"))?;
        let function = lines.find_map(|line| line.strip_prefix("fn ")?.split(['(', '<']).next());
        let function = function.with_context(|| format!("no function follows `{line}`"))?;
        ensure!(PARTS.iter().any(|(name, _)| *name == part), "`{function}` is of an unknown part `{part}`");
        out.push((part.to_owned(), function.to_owned()));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ignored_test_is_of_a_part_and_every_part_has_tests() {
        let tests = tests().unwrap_or_else(|e| panic!("{e:#}"));
        for (part, _) in PARTS {
            assert!(tests.iter().any(|(of, _)| of == part), "{part} has no test");
        }
    }

    #[test]
    fn an_ignored_test_without_a_part_is_refused() {
        assert!(marked("#[test]\n#[ignore]\nfn a() {}\n").is_err());
        assert!(marked("#[test]\n#[ignore = \"slow\"]\nfn a() {}\n").is_err());
        assert!(marked("#[test]\n#[ignore = \"part of torture: nothing\"]\nfn a() {}\n").is_err());
        let found = marked("    #[ignore = \"part of torture: cuts\"]\n    #[cfg(unix)]\n    fn a(\n");
        assert_eq!(found.ok(), Some(vec![("cuts".to_owned(), "a".to_owned())]));
    }

    #[test]
    fn the_last_line_of_a_run_says_how_many_passed() {
        let line = "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 370 filtered out\n";
        assert_eq!(passed(&format!("running 7 tests\n{line}")), Some(7));
        assert_eq!(passed("error: could not compile\n"), None);
    }
}
