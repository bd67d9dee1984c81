//! The archive of a restore point while it is written.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::archive::MemberWriter;
use crate::digest::Hasher;
use crate::error::{Error, IoContext, Result};
use crate::manifest::{ArchiveInfo, Id, Label, MANIFEST_FILE, Manifest, Member, Mode, archive_name};
use crate::path::RelPath;
use crate::store::Store;

/// The archive while it is written, under a hidden name until it is whole.
pub(crate) struct ArchiveFile<'a> {
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
    pub(crate) fn create(store: &'a Store, label: &Label, id: &Id) -> Result<Self> {
        let path = store.layout().archive(label, id);
        let new = crate::fsx::temporary_sibling(&path);
        store.fs().remove_file_if_there(&new).during("remove", &new)?;
        let file = store.fs().create_file(&new).during("create", &new)?;
        Ok(ArchiveFile {
            store,
            out: std::io::BufWriter::with_capacity(1 << 20, file),
            path,
            new,
            hasher: Hasher::new(),
            size: 0,
            members: Vec::new(),
            name: archive_name(label, id),
            entries: 0,
        })
    }

    /// Adds a finished gzip member that holds the next `entries` entries.
    pub(crate) fn member(&mut self, mut bytes: impl std::io::Read, entries: usize) -> Result<()> {
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
    pub(crate) fn finish(self, manifest: &Manifest) -> Result<ArchiveInfo> {
        let last = manifest_member(manifest).during("write", &self.new)?;
        self.finish_with(&last)?.place()
    }

    /// Adds the last member as it is given.
    pub(crate) fn finish_with(mut self, last: &[u8]) -> Result<Written<'a>> {
        self.member(last, 0)?;
        let file = self.out.into_inner().map_err(|e| Error::io("write", &self.new, e.into_error()))?;
        file.set_mode(Mode::new(0o400)).during("change the mode of", &self.new)?;
        let info = ArchiveInfo {
            name: self.name,
            size: self.size,
            sha256: self.hasher.finish(),
            members: self.members,
        };
        Ok(Written { store: self.store, path: self.path, new: self.new, info })
    }
}

/// A whole archive that has not got its name yet.
pub(crate) struct Written<'a> {
    store: &'a Store,
    path: PathBuf,
    new: PathBuf,
    pub(crate) info: ArchiveInfo,
}

impl Written<'_> {
    /// Where it stands.
    pub(crate) fn place_for_now(&self) -> &Path {
        &self.new
    }

    /// Gives it its name, in place of what has it.
    pub(crate) fn place(self) -> Result<ArchiveInfo> {
        self.store.fs().rename(&self.new, &self.path).during("rename into place", &self.path)?;
        Ok(self.info)
    }

    /// Takes it away again.
    pub(crate) fn discard(self) -> Result<()> {
        self.store.fs().remove_file(&self.new).during("remove", &self.new)
    }
}

/// The gzip member that ends an archive: the manifest without its `archive`.
pub(crate) fn manifest_member(manifest: &Manifest) -> std::io::Result<Vec<u8>> {
    let json = Manifest { archive: None, ..manifest.clone() }.to_json();
    let mut last = MemberWriter::new(Vec::new());
    let mtime = crate::clock::Mtime { seconds: 0, nanos: 0 };
    let path = RelPath::new(MANIFEST_FILE).map_err(std::io::Error::other)?;
    last.file(&path, Mode::new(0o400), mtime, json.len() as u64, &json[..])?;
    last.finish(true)
}
