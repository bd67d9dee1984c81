//! `cargo xtask sweep`: the tests that CI samples, in full: every cut point of every operation, and random edits by
//! the thousand. Takes a while.

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

pub(crate) fn run() -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let test = cmd!(shell, "cargo test --release --workspace --test it -- --nocapture");
    let full = test.env("BACKSTOP_TEST_ALL_CUTS", "1").env("PROPTEST_CASES", "2000");
    ensure!(full.run().is_ok(), "the sweep failed");
    Ok(())
}
