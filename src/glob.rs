//! The patterns of the settings, in one meaning for selection and rollback: a pattern matches a path below its
//! base, and a directory that it matches stands for all that is in it.

use fast_glob::glob_match;

use crate::manifest::{Pattern, RootName};
use crate::path::RelPath;

/// Says what is wrong with a pattern, if anything is.
pub(crate) fn check(glob: &str) -> Result<(), String> {
    if glob.is_empty() {
        return Err("it is empty".into());
    }
    if glob.starts_with('/') {
        return Err("it is absolute; patterns count from the manifest's directory".into());
    }
    if glob.starts_with('!') {
        return Err("it starts with `!`; use `exclude` for what is to stay out".into());
    }
    if glob.split('/').any(|part| part == ".." || part == ".") {
        return Err("it has a component `.` or `..`; patterns count from the manifest's directory".into());
    }
    if glob.contains('\0') {
        return Err("it has a NUL byte".into());
    }
    fast_glob::validate(glob).map_err(|e| e.to_string())
}

/// The pattern that matches a path and nothing else.
pub(crate) fn literal(path: &str) -> String {
    let special = |c: &char| matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!');
    path.chars().flat_map(|c| special(&c).then_some('\\').into_iter().chain([c])).collect()
}

/// The pattern's start up to its first component with a wildcard, and whether that is all of it.
pub(crate) fn literal_prefix(glob: &str) -> (Vec<&str>, bool) {
    let mut prefix = Vec::new();
    for part in glob.split('/').filter(|part| !part.is_empty()) {
        if part.contains(['*', '?', '[', ']', '{', '}', '\\', '!']) {
            return (prefix, false);
        }
        prefix.push(part);
    }
    (prefix, true)
}

/// Whether the pattern matches `path` of root `root`, or a directory above it.
pub(crate) fn matches(pattern: &Pattern, root: &RootName, path: &RelPath) -> bool {
    if pattern.base.root != *root {
        return false;
    }
    let rest = match &pattern.base.path {
        None => path.as_bytes(),
        Some(base) if path != base && path.is_in(base) => &path.as_bytes()[base.as_bytes().len() + 1..],
        Some(_) => return false,
    };
    let glob = pattern.glob.trim_end_matches('/');
    let ends = rest.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i);
    ends.chain([rest.len()]).any(|end| glob_match(glob, &rest[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Place;

    #[test]
    fn a_pattern_counts_from_its_base_and_takes_whole_directories() {
        let pattern = |base: Option<&str>, glob: &str| Pattern {
            base: Place { root: RootName::Workspace, path: base.map(|b| RelPath::new(b).unwrap()) },
            glob: glob.into(),
        };
        let hit = |p: &Pattern, path: &str| matches(p, &RootName::Workspace, &RelPath::new(path).unwrap());
        let p = pattern(Some("a"), "*.o");
        assert!(hit(&p, "a/x.o"));
        assert!(!hit(&p, "x.o") && !hit(&p, "a/b/x.o") && !hit(&p, "ab/x.o") && !hit(&p, "a"));
        assert!(hit(&pattern(None, "data"), "data/deep/x") && hit(&pattern(None, "data/"), "data"));
        assert!(hit(&pattern(None, "**/*.new"), "x.new") && hit(&pattern(None, "**/*.new"), "a/b/x.new"));
        assert!(!matches(&pattern(None, "**"), &"other".into(), &RelPath::new("x").unwrap()));
        let odd = RelPath::from_bytes(b"d/\xff.bin").unwrap();
        assert!(matches(&pattern(None, "d/*.bin"), &RootName::Workspace, &odd));
    }

    #[test]
    fn the_literal_prefix_ends_at_the_first_wildcard() {
        assert_eq!(literal_prefix("a/b/*.x"), (vec!["a", "b"], false));
        assert_eq!(literal_prefix("a/b"), (vec!["a", "b"], true));
        assert_eq!(literal_prefix("**/x"), (vec![], false));
    }
}
