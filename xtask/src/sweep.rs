//! `cargo xtask sweep`: the tests that CI samples, in full: every cut point, every flipped bit, and random edits by
//! the thousand. Takes a while.

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

pub(crate) fn run() -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let test = cmd!(shell, "cargo test --release --workspace --test it -- --nocapture");
    let all = test.env("BACKSTOP_TEST_ALL_CUTS", "1").env("BACKSTOP_TEST_ALL_BITS", "1");
    let full = all.env("PROPTEST_CASES", "2000");
    ensure!(full.run().is_ok(), "the sweep failed");
    Ok(())
}
