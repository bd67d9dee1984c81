//! Reading an archive back after it was written.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Fault, read_member};
use crate::digest::digest_of;
use crate::error::{Error, ErrorKind, IoContext, Result, miswritten};
use crate::event::Context;
use crate::manifest::Manifest;

/// Reads back an archive as it was written at `path`, every entry of it.
pub(crate) fn read_back(path: &Path, manifest: &Manifest, context: &Context<'_>) -> Result<()> {
    let Some(info) = &manifest.archive else { return Ok(()) };
    let file = File::open(path).during("open", path)?;
    let members = &info.members[..info.members.len().saturating_sub(1)];
    crate::parallel::each(members.len(), |i| {
        context.interrupt.check()?;
        let mut visit = |index: usize, content: Option<&mut dyn Read>| {
            let entry = &manifest.entries[index];
            match (content, entry.sha256()) {
                (Some(content), Some(expected)) => {
                    let found = digest_of(content, entry.size()).during("read back", path)?;
                    if found == Some(expected) { Ok(()) } else { Err(miswritten(&entry.shown())) }
                }
                _ => Ok(()),
            }
        };
        read_member(&file, &members[i], &manifest.entries, &mut visit).map_err(|fault| match fault {
            Fault::Visit(e) => e,
            Fault::Member(text) => Error::new(ErrorKind::Damaged, format!("the archive as written {text}")),
            Fault::Entry(index, text) => miswritten(&manifest.entries[index].shown()).with_details([text]),
        })
    })
}
