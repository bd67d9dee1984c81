//! The `[patch]` and `[replace]` tables.

use std::path::{Path, PathBuf};

/// The directories that the `[patch]` and `[replace]` tables of the root manifest and its configuration name.
///
/// This reads lines, not TOML: a path that it misses costs a package that cargo uses in another one's stead, and
/// the full `cargo metadata` alone knows better.
pub(super) fn paths(root: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for name in ["Cargo.toml", ".cargo/config.toml", ".cargo/config"] {
        let text = std::fs::read(root.join(name)).unwrap_or_default();
        out.extend(lines(&String::from_utf8_lossy(&text)).map(|path| root.join(path)));
    }
    out
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(move |line| {
        if line.starts_with('[') {
            inside = line.starts_with("[patch") || line.starts_with("[replace");
        }
        if !inside {
            return None;
        }
        let at = line.match_indices("path").find_map(|(at, word)| {
            let starts_word = !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-".contains(c));
            let value = line[at + word.len()..].trim_start().strip_prefix('=')?.trim_start();
            starts_word.then_some(value)
        })?;
        let quote = at.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        at[1..].split(quote).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_patch_tables_are_read_from_their_lines() {
        let text = "[dependencies]\na = { path = \"no\" }\n[patch.crates-io]\n# b = { path = 'no' }\n\
                    c = { version = \"1\", path = \"../c\" }\n[patch.crates-io.d]\npath='d'\nsubpath = 'no'\n\
                    path = 3\n[profile.dev]\npath = 'no'\n";
        assert_eq!(lines(text).collect::<Vec<_>>(), ["../c", "d"]);
    }
}
