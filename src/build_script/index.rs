//! What git tracks, as its index says: a file that was added in spite of a `.gitignore` is one of the package's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The tracked paths of a repository.
#[derive(Debug)]
pub(super) struct Index {
    top: PathBuf,
    paths: BTreeSet<Vec<u8>>,
}

impl Index {
    /// Reads the index of the repository at `top`; nothing is tracked where there is none, or one of a form that is
    /// not read here (version 4, or SHA-256 names).
    pub(super) fn read(top: &Path) -> Self {
        let git = top.join(".git");
        let linked = fs::read_to_string(&git).ok();
        let dir = linked
            .as_deref()
            .and_then(|text| text.strip_prefix("gitdir: "))
            .map(|to| top.join(to.trim_end()));
        let bytes = fs::read(dir.unwrap_or(git).join("index")).unwrap_or_default();
        Index { top: top.to_path_buf(), paths: parse(&bytes).unwrap_or_default() }
    }

    /// Whether the file is tracked, or anything in the directory.
    pub(super) fn tracks(&self, path: &Path, is_directory: bool) -> bool {
        let Some(path) = path.strip_prefix(&self.top).ok().and_then(Path::to_str) else { return false };
        if !is_directory {
            return self.paths.contains(path.as_bytes());
        }
        let start = format!("{path}/").into_bytes();
        self.paths.range(start.clone()..).next().is_some_and(|first| first.starts_with(&start))
    }
}

/// The header, then an entry of 62 bytes, its name and 1 to 8 NUL bytes a path.
fn parse(bytes: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if !bytes.starts_with(b"DIRC") || !matches!(number(4)?, 2 | 3) {
        return None;
    }
    let mut paths = BTreeSet::new();
    let mut at = 12;
    for _ in 0..number(8)? {
        let extended = bytes.get(at + 60)? & 0x40 != 0;
        let fixed = if extended { 64 } else { 62 };
        let rest = bytes.get(at + fixed..)?;
        let length = rest.iter().position(|b| *b == 0)?;
        paths.insert(rest[..length].to_vec());
        at += (fixed + length + 8) & !7;
    }
    Some(paths)
}
