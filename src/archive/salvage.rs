//! What a damaged archive still gives, wherever the damage is.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::GzDecoder;

use super::survey::{MAGIC, Rationed, measure, open, read_at};
use super::{Section, entry_limit, header_fault};
use crate::digest::Hasher;
use crate::error::{IoContext, Result};
use crate::event::Interrupt;
use crate::manifest::Manifest;
use crate::path::RelPath;

/// How many files a damaged archive still gives, wherever the damage is.
pub(crate) fn salvageable(path: &Path, manifest: &Manifest, interrupt: &Interrupt) -> Result<u64> {
    let file = open(path)?;
    let size = file.metadata().during("look at", path)?.len();
    let (mut found, mut at) = (std::collections::BTreeSet::new(), 0);
    while let Some(start) = next_start(&file, at, size).during("read", path)? {
        interrupt.check()?;
        let section = Section { file: &file, at: start, left: size - start, hasher: Hasher::new() };
        salvage_member(BufReader::new(section), manifest, &mut found);
        at = start + 1;
    }
    Ok(found.len() as u64)
}

/// Adds the files that one gzip member gives before it ends or breaks.
fn salvage_member(
    stream: impl BufRead,
    manifest: &Manifest,
    found: &mut std::collections::BTreeSet<usize>,
) -> Option<()> {
    let allowance = Rc::new(Cell::new(64 * 1024));
    let mut tar =
        tar::Archive::new(Rationed { inner: GzDecoder::new(stream), left: allowance.clone(), read: 0 });
    let mut next: Option<usize> = None;
    for tarred in tar.entries().ok()? {
        let mut tarred = tarred.ok()?;
        let index = match next {
            Some(index) => index,
            None => position(manifest, &tarred.path_bytes())?,
        };
        let entry = manifest.entries.get(index)?;
        if header_fault(&tarred, entry).is_some() {
            return None;
        }
        allowance.set(entry_limit(entry) + 64 * 1024);
        if entry.is_file() {
            let measured = measure(&mut tarred).ok()?;
            if Some(measured.0) == entry.sha256() {
                found.insert(index);
            }
        }
        next = Some(index + 1);
    }
    None
}

/// The index of the entry that an archive calls so.
fn position(manifest: &Manifest, stored: &[u8]) -> Option<usize> {
    let stored = stored.strip_suffix(b"/").unwrap_or(stored);
    let (root, path) = match stored.strip_prefix(b"files/") {
        Some(path) => ("", path),
        None => {
            let rest = stored.strip_prefix(b"outside/")?;
            let end = rest.iter().position(|b| *b == b'/')?;
            (std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 1..])
        }
    };
    manifest.index_of(root, &RelPath::from_bytes(path).ok()?)
}

/// The first place from `at` on where a gzip member may begin.
fn next_start(file: &File, mut at: u64, size: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; 64 * 1024];
    while at < size {
        let n = read_at(file, &mut block, at)?;
        if let Some(found) = block[..n].windows(MAGIC.len()).position(|w| w == MAGIC) {
            return Ok(Some(at + found as u64));
        }
        if n < block.len() {
            return Ok(None);
        }
        at += (n - (MAGIC.len() - 1)) as u64;
    }
    Ok(None)
}
