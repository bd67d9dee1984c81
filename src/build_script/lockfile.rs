//! What `Cargo.lock` says of who depends on whom. It names no kinds of dependency: one for tests counts too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Whether the lockfile in a directory has a local package of that name.
pub(super) fn names(dir: &Path, package: &str) -> bool {
    read(dir).contains_key(package)
}

/// The xtask that depends on the package, or is it. An xtask is the package named `xtask`, and the one that the
/// alias `xtask` of `.cargo/config.toml` runs.
pub(super) fn xtask_above(root: &Path, package: &str) -> Option<String> {
    let local = read(root);
    let xtasks = std::iter::once("xtask".to_owned()).chain(aliased(root));
    xtasks.filter(|xtask| local.contains_key(xtask.as_str())).find(|xtask| {
        let mut seen = BTreeSet::new();
        let mut todo = vec![xtask.as_str()];
        while let Some(name) = todo.pop() {
            if seen.insert(name) {
                todo.extend(local.get(name).into_iter().flatten().map(String::as_str));
            }
        }
        seen.contains(package)
    })
}

/// The packages without a source, each with the names of what it depends on.
fn read(root: &Path) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for block in text.split("[[package]]").skip(1) {
        let mut name = None;
        let mut dependencies = Vec::new();
        let mut inside = false;
        let mut local = true;
        for line in block.lines().map(str::trim) {
            match line {
                "dependencies = [" => inside = true,
                "]" => inside = false,
                _ if inside => {
                    // A name, and where several versions have it, the version and the source behind it.
                    let one = line.trim_matches(['"', ',']);
                    dependencies.push(one.split(' ').next().unwrap_or(one).to_owned());
                }
                _ if line.starts_with("source = ") => local = false,
                _ => {
                    let value = line.strip_prefix("name = ").map(|value| value.trim_matches('"').to_owned());
                    name = name.or(value);
                }
            }
        }
        if let Some(name) = name.filter(|_| local) {
            out.entry(name).or_default().append(&mut dependencies);
        }
    }
    out
}

/// The package that `cargo xtask` runs.
fn aliased(root: &Path) -> Option<String> {
    let text = ["config.toml", "config"]
        .iter()
        .find_map(|name| fs::read_to_string(root.join(".cargo").join(name)).ok())?;
    let line =
        text.lines().find_map(|line| line.trim().strip_prefix("xtask")?.trim_start().strip_prefix('='))?;
    let words: Vec<&str> =
        line.split([' ', '=', '"', '\'', ',', '[', ']']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| ["--package", "-p"].contains(&pair[0])).map(|pair| pair[1].to_owned())
}
