//! What a damaged archive still gives, wherever the damage is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::member::{Section, Start, walk};
use super::survey::{MAGIC, measure, open, read_at};
use crate::error::{IoContext, Result};
use crate::event::Interrupt;
use crate::manifest::{Manifest, RootName};
use crate::order;
use crate::path::RelPath;

/// How many files a damaged archive still gives, wherever the damage is.
pub(crate) fn salvageable(path: &Path, manifest: &Manifest, interrupt: &Interrupt) -> Result<u64> {
    let file = open(path)?;
    let size = file.metadata().during("look at", path)?.len();
    let (mut found, mut at) = (order::Set::new(), 0);
    while let Some(start) = next_start(&file, at, size).during("read", path)? {
        interrupt.check()?;
        let section = Section::new(&file, start, size - start);
        salvage_member(BufReader::new(section), manifest, &mut found);
        at = start + 1;
    }
    Ok(found.len() as u64)
}

/// Adds the files that one gzip member gives before it ends or breaks.
fn salvage_member(stream: impl BufRead, manifest: &Manifest, found: &mut order::Set<usize>) {
    let entries = &manifest.entries;
    let mut visit = |index: usize, content: Option<&mut dyn Read>| {
        let Some(content) = content else { return Ok(()) };
        if Some(measure(content)?.0) == entries[index].sha256() {
            found.insert(index);
        }
        Ok::<_, io::Error>(())
    };
    let first = |name: &[u8]| position(manifest, name);
    // What follows the damage is another member's.
    let _ = walk(&mut GzDecoder::new(stream), entries, &Start::Find(&first), 64 * 1024, &mut visit);
}

/// The index of the entry that an archive calls so.
fn position(manifest: &Manifest, stored: &[u8]) -> Option<usize> {
    let stored = stored.strip_suffix(b"/").unwrap_or(stored);
    let (root, path) = match stored.strip_prefix(b"files/") {
        Some(path) => (RootName::Workspace, path),
        None => {
            let rest = stored.strip_prefix(b"outside/")?;
            let end = rest.iter().position(|b| *b == b'/')?;
            (std::str::from_utf8(&rest[..end]).ok()?.into(), &rest[end + 1..])
        }
    };
    manifest.index_of(&root, &RelPath::from_bytes(path).ok()?)
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
