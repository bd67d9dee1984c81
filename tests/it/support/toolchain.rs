//! The cargo and rustc that the tests use: the real ones, but for what never changes. Some two thousand times the tests
//! would make them say their version and what they can do, for tens of milliseconds each.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use super::edit::program;

/// The directory of both; none if the tests were not started by cargo.
pub(crate) fn directory() -> Option<&'static Path> {
    static DIRECTORY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let cargo = PathBuf::from(std::env::var_os("CARGO")?);
        let rustc = cargo.with_file_name("rustc");
        // Another toolchain in the same place has another time.
        let made = fs::metadata(&rustc).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("toolchain-{}", made.as_nanos()));
        for (name, real) in [("cargo", &cargo), ("rustc", &rustc)] {
            let place = directory.join(name);
            let text = script(&directory, name, real.to_str()?);
            if fs::read_to_string(&place).ok().as_ref() != Some(&text) {
                let new = directory.join(format!("{name}-{}", std::process::id()));
                program(&new, text);
                fs::rename(new, place).unwrap();
            }
        }
        Some(directory)
    };
    DIRECTORY.get_or_init(find).as_deref()
}

/// Answers by itself what it was asked before, if it is of this toolchain alone. `- --crate-name ___` is how cargo asks
/// for cfgs and file names.
fn script(directory: &Path, name: &str, real: &str) -> String {
    let directory = directory.to_str().unwrap();
    format!(
        r#"#!/bin/sh
real='{real}'
case $* in
--version | -vV | '- --crate-name ___ '*)
    key=$(printf %s "$*" | cksum)
    kept='{directory}'/{name}-${{key%% *}}
    if ! test -e "$kept"; then
        "$real" "$@" >"$kept.$$" </dev/null || {{ code=$?; rm -f "$kept.$$"; exit $code; }}
        mv -f "$kept.$$" "$kept"
    fi
    exec cat "$kept" ;;
esac
PATH='{directory}':$PATH exec "$real" "$@"
"#
    )
}

/// The cargo to start, and to give to what starts cargo.
pub(crate) fn cargo() -> OsString {
    directory().map_or_else(|| "cargo".into(), |directory| directory.join("cargo").into())
}
