//! What git ignores, as far as `.gitignore` files and `.git/info/exclude` say it: enough to keep what tools write
//! into a package out of the watch. A build script starts no process, so git itself is not asked.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::index::Index;

/// One line of an ignore file.
#[derive(Debug)]
struct Rule {
    base: PathBuf,
    glob: String,
    negated: bool,
    directories_only: bool,
}

/// The rules from the repository's root down to where a walk has come; the last that matches decides.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    rules: Vec<Rule>,
    top: Option<PathBuf>,
    /// Read where something is ignored at all.
    index: OnceCell<Index>,
}

impl Ignored {
    /// The rules that hold at `package`, those of its own `.gitignore` excepted. None where there is no repository.
    pub(super) fn above(package: &Path) -> Self {
        let mut rules = Ignored::default();
        let Some(top) = package.ancestors().find(|dir| dir.join(".git").exists()) else { return rules };
        rules.top = Some(top.to_path_buf());
        rules.read(&super::index::common(top).join("info/exclude"), top);
        let mut between: Vec<&Path> =
            package.ancestors().skip(1).take_while(|dir| dir.starts_with(top)).collect();
        between.reverse();
        for dir in between {
            rules.enter(dir);
        }
        // A repository that ignores the package altogether, such as one of a home directory, was not meant for it.
        let ignored = package.ancestors().take_while(|dir| *dir != top).any(|dir| rules.ignores(dir, true))
            || rules.ignores(&package.join("Cargo.toml"), false);
        if ignored && !rules.tracks(&package.join("Cargo.toml"), false) {
            return Ignored::default();
        }
        rules
    }

    /// Adds a directory's own rules; gives what [`Ignored::leave`] takes.
    pub(super) fn enter(&mut self, dir: &Path) -> usize {
        let before = self.rules.len();
        self.read(&dir.join(".gitignore"), dir);
        before
    }

    pub(super) fn leave(&mut self, before: usize) {
        self.rules.truncate(before);
    }

    fn read(&mut self, file: &Path, base: &Path) {
        let bytes = fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        self.rules.extend(text.lines().filter_map(|line| rule(line, base)));
    }

    /// Whether git tracks the file, or anything in the directory.
    pub(super) fn tracks(&self, path: &Path, is_directory: bool) -> bool {
        let Some(top) = &self.top else { return false };
        self.index.get_or_init(|| Index::read(top)).tracks(path, is_directory)
    }

    /// Whether the path is ignored by its name; what lies in an ignored directory is so whatever its own.
    pub(super) fn ignores(&self, path: &Path, is_directory: bool) -> bool {
        let fits = |rule: &&Rule| {
            (is_directory || !rule.directories_only)
                && path
                    .strip_prefix(&rule.base)
                    .is_ok_and(|rest| matches(&rule.glob, &rest.to_string_lossy().replace('\\', "/")))
        };
        self.rules.iter().rev().find(fits).is_some_and(|rule| !rule.negated)
    }
}

fn rule(line: &str, base: &Path) -> Option<Rule> {
    let line = line.trim_end_matches('\r');
    let trimmed = line.trim_end_matches(' ');
    // A space at the end counts where a backslash stands before it.
    let line = if trimmed.ends_with('\\') && trimmed.len() < line.len() { line } else { trimmed };
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (negated, line) = match line.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (directories_only, line) = match line.strip_suffix('/') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let glob = match line.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None if line.contains('/') => line.to_owned(),
        None => format!("**/{line}"),
    };
    // Git has no alternatives: a brace is a brace.
    let glob = glob.replace('{', "\\{");
    Some(Rule { base: base.to_path_buf(), glob, negated, directories_only })
}

/// Whether a glob matches a path: `**` any directories, `*` and `?` within a name, `[…]`, `{a,b}`, `\` before what
/// is meant literally.
pub(super) fn matches(glob: &str, path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    alternatives(&glob.chars().collect::<Vec<_>>())
        .iter()
        .any(|glob| Match { failed: BTreeSet::new() }.here(glob, &path))
}

/// A glob with `{a,b}` as one glob for each way to choose.
fn alternatives(glob: &[char]) -> Vec<Vec<char>> {
    let mut at = 0;
    while at < glob.len() {
        match glob[at] {
            '\\' => at += 1,
            '{' => {
                let Some(length) = glob[at..].iter().position(|c| *c == '}') else { break };
                let (start, end) = (&glob[..at], at + length);
                let rests = alternatives(&glob[end + 1..]);
                let ways = glob[at + 1..end].split(|c| *c == ',');
                return ways
                    .flat_map(|way| rests.iter().map(move |rest| [start, way, rest].concat()))
                    .collect();
            }
            _ => {}
        }
        at += 1;
    }
    vec![glob.to_vec()]
}

/// One match. What failed from where is known, so that no glob takes longer than its length times the path's.
struct Match {
    failed: BTreeSet<(usize, usize)>,
}

impl Match {
    fn here(&mut self, glob: &[char], path: &[char]) -> bool {
        if self.failed.contains(&(glob.len(), path.len())) {
            return false;
        }
        let fits = self.first(glob, path);
        if !fits {
            self.failed.insert((glob.len(), path.len()));
        }
        fits
    }

    fn first(&mut self, glob: &[char], path: &[char]) -> bool {
        match glob {
            [] => path.is_empty(),
            ['*', '*', '/', rest @ ..] => {
                self.here(rest, path)
                    || (0..path.len()).any(|i| path[i] == '/' && self.here(rest, &path[i + 1..]))
            }
            ['*', '*'] => true,
            ['*', '*', rest @ ..] => (0..=path.len()).any(|i| self.here(rest, &path[i..])),
            ['*', rest @ ..] => {
                let name = path.iter().position(|c| *c == '/').unwrap_or(path.len());
                (0..=name).any(|i| self.here(rest, &path[i..]))
            }
            ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && self.here(rest, &path[1..]),
            ['[', rest @ ..] => match (class(rest), path) {
                (Some((set, negated, rest)), [c, tail @ ..]) => {
                    *c != '/' && holds(set, *c) != negated && self.here(rest, tail)
                }
                (Some(_), []) => false,
                (None, _) => path.first() == Some(&'[') && self.here(rest, &path[1..]),
            },
            ['\\', c, rest @ ..] | [c, rest @ ..] => path.first() == Some(c) && self.here(rest, &path[1..]),
        }
    }
}

/// What stands in brackets, whether it is negated, and what follows.
fn class(glob: &[char]) -> Option<(&[char], bool, &[char])> {
    let negated = matches!(glob.first(), Some('!' | '^'));
    let glob = if negated { &glob[1..] } else { glob };
    // A bracket in the first place is one of the set.
    let end = glob.iter().skip(1).position(|c| *c == ']')? + 1;
    Some((&glob[..end], negated, &glob[end + 1..]))
}

fn holds(set: &[char], c: char) -> bool {
    match set {
        [] => false,
        [from, '-', to, rest @ ..] => (*from..=*to).contains(&c) || holds(rest, c),
        [one, rest @ ..] => *one == c || holds(rest, c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_mean_what_they_mean_to_git() {
        let base = Path::new("/r");
        let mut rules = Ignored::default();
        let lines =
            "*.log\n!keep.log\n/top\ngen/\na/**/z\nb/*.rs\n# no\n\\#yes\nx[0-9].txt\ny[!a]\n*.{txt,dat}\n";
        rules.rules.extend(lines.lines().filter_map(|l| rule(l, base)));
        for (path, directory, ignored) in [
            ("e.log", false, true),
            ("d/e.log", false, true),
            ("d/keep.log", false, false),
            ("top", false, true),
            ("d/top", false, false),
            ("d/gen", true, true),
            ("d/gen", false, false),
            ("a/z", false, true),
            ("a/b/c/z", false, true),
            ("b/m.rs", false, true),
            ("b/c/m.rs", false, false),
            ("c/b/m.rs", false, false),
            ("# no", false, false),
            ("#yes", false, true),
            ("x7.txt", false, true),
            ("xa.txt", false, false),
            ("yb", false, true),
            ("ya", false, false),
            ("d/data.txt", false, false),
            ("d/data.{txt,dat}", false, true),
        ] {
            assert_eq!(rules.ignores(&base.join(path), directory), ignored, "{path}");
        }
        let many = format!("{}b", "*a".repeat(20));
        assert!(!matches(&many, &"a".repeat(60)), "in no time");
        assert!(matches("**/*.{rs,toml}", "a/Cargo.toml") && !matches("**/*.{rs,toml}", "a/b.txt"));
    }
}
