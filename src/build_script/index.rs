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
    /// not read here (SHA-256 names).
    pub(super) fn read(top: &Path) -> Self {
        let bytes = fs::read(git_dir(top).join("index")).unwrap_or_default();
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

/// The repository of a working tree; that of a linked one or a submodule lies elsewhere.
fn git_dir(top: &Path) -> PathBuf {
    let git = top.join(".git");
    let linked = fs::read_to_string(&git).ok();
    let to = linked.as_deref().and_then(|text| text.strip_prefix("gitdir: "));
    to.map_or(git, |to| top.join(to.trim_end()))
}

/// What all working trees of a repository share.
pub(super) fn common(top: &Path) -> PathBuf {
    let dir = git_dir(top);
    match fs::read_to_string(dir.join("commondir")) {
        Ok(to) => dir.join(to.trim_end()),
        Err(_) => dir,
    }
}

/// The header, then an entry of 62 bytes, its name and 1 to 8 NUL bytes a path. In version 4 a name says how many
/// bytes of the one before it are not its own, and has one NUL byte behind it.
fn parse(bytes: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if !bytes.starts_with(b"DIRC") || !matches!(number(4)?, 2..=4) {
        return None;
    }
    let compressed = number(4)? == 4;
    let mut paths = BTreeSet::new();
    let mut before: Vec<u8> = Vec::new();
    let mut at = 12;
    for _ in 0..number(8)? {
        let extended = bytes.get(at + 60)? & 0x40 != 0;
        let fixed = if extended { 64 } else { 62 };
        if compressed {
            let (drop, taken) = varint(bytes.get(at + fixed..)?)?;
            before.truncate(before.len().checked_sub(drop)?);
            let rest = bytes.get(at + fixed + taken..)?;
            let length = rest.iter().position(|b| *b == 0)?;
            before.extend_from_slice(&rest[..length]);
            paths.insert(before.clone());
            at += fixed + taken + length + 1;
            continue;
        }
        let rest = bytes.get(at + fixed..)?;
        let length = rest.iter().position(|b| *b == 0)?;
        paths.insert(rest[..length].to_vec());
        at += (fixed + length + 8) & !7;
    }
    Some(paths)
}

/// A number in seven bits a byte, the highest first, each but the last one more than it says; and its length.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        value = (value << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
        value += 1;
    }
    None
}
