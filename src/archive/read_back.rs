//! Reading an archive back after it was written.

use std::io::Read;
use std::path::Path;

use super::reader::{Fault, Reader};
use crate::digest::digest_of;
use crate::error::{Error, ErrorKind, IoContext, Result, miswritten};
use crate::event::Context;
use crate::manifest::{Entry, Manifest};

/// Reads back an archive as it was written at `path`, every entry of it.
pub(crate) fn read_back(path: &Path, manifest: &Manifest, context: &Context<'_>) -> Result<()> {
    let Some(reader) = Reader::open(path, manifest).during("open", path)? else { return Ok(()) };
    let visit = |index: usize, content: Option<&mut dyn Read>| {
        let entry: &Entry = &manifest.entries[index];
        match (content, entry.sha256()) {
            (Some(content), Some(expected)) => {
                let found = digest_of(content, entry.size()).during("read back", path)?;
                if found == Some(expected) { Ok(()) } else { Err(miswritten(&entry.shown())) }
            }
            _ => Ok(()),
        }
    };
    reader.all(context, &visit, &|_, fault| {
        Err(match fault {
            Fault::Visit(e) => e,
            Fault::Member(text) => Error::new(ErrorKind::Damaged, format!("the archive as written {text}")),
            Fault::Entry(index, text) => miswritten(&manifest.entries[index].shown()).with_details([text]),
        })
    })
}
