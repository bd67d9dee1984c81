//! The archive of a restore point while it is written.

use std::io::Write;
use std::path::PathBuf;

use crate::archive::MemberWriter;
use crate::digest::Hasher;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{ArchiveInfo, Id, Label, Manifest, Member, Mode};
use crate::path::RelPath;
use crate::store::{Layout, MANIFEST_FILE, Store};

/// The archive while it is written, under a hidden name until it is whole.
pub(super) struct ArchiveFile<'a> {
    store: &'a Store,
    out: std::io::BufWriter<crate::fsx::FileWriter>,
    path: PathBuf,
    new: PathBuf,
    hasher: Hasher,
    size: u64,
    members: Vec<Member>,
    name: String,
    entries: usize,
}

impl<'a> ArchiveFile<'a> {
    pub(super) fn create(store: &'a Store, label: &Label, id: &Id) -> Result<Self> {
        let path = store.layout().archive(label, id);
        let new = crate::fsx::temporary_sibling(&path);
        let file = store.fs().create_file(&new).during("create", &new)?;
        Ok(ArchiveFile {
            store,
            out: std::io::BufWriter::with_capacity(1 << 20, file),
            path,
            new,
            hasher: Hasher::new(),
            size: 0,
            members: Vec::new(),
            name: Layout::archive_name(label, id),
            entries: 0,
        })
    }

    /// Adds a finished gzip member that holds the next `entries` entries.
    pub(super) fn member(&mut self, mut bytes: impl std::io::Read, entries: usize) -> Result<()> {
        let mut hasher = Hasher::new();
        let offset = self.size;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = bytes.read(&mut buffer).during("read back a part of", &self.new)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            self.hasher.update(&buffer[..n]);
            self.out.write_all(&buffer[..n]).during("write", &self.new)?;
            self.size += n as u64;
        }
        let size = self.size - offset;
        self.members.push(Member { offset, size, sha256: hasher.finish(), first: self.entries, entries });
        self.entries += entries;
        Ok(())
    }

    /// Adds the manifest as the last member and gives the archive its name.
    pub(super) fn finish(mut self, manifest: &Manifest) -> Result<ArchiveInfo> {
        let json = manifest.to_json();
        let mut last = MemberWriter::new(Vec::new());
        let mtime = crate::clock::Mtime { seconds: 0, nanos: 0 };
        let path = RelPath::new(MANIFEST_FILE)
            .map_err(|e| Error::new(ErrorKind::Io, "failed to name the manifest").with_source(e))?;
        let added = last.file(&path, Mode::new(0o400), mtime, json.len() as u64, &json[..]);
        let bytes = added.and_then(|()| last.finish(true)).during("write", &self.new)?;
        self.member(&bytes[..], 0)?;
        let file = self.out.into_inner().map_err(|e| Error::io("write", &self.new, e.into_error()))?;
        file.set_mode(Mode::new(0o400)).during("change the mode of", &self.new)?;
        drop(file);
        self.store.fs().rename(&self.new, &self.path).during("rename into place", &self.path)?;
        Ok(ArchiveInfo {
            name: self.name,
            size: self.size,
            sha256: self.hasher.finish(),
            members: self.members,
        })
    }
}
