//! Mending the archive from a session that is whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Hand;
use super::manifest::Proven;
use crate::archive::{MemberWriter, Section, member_is_right, read_back};
use crate::backup::archive_file::{ArchiveFile, manifest_member};
use crate::digest::digest_of;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{ArchiveInfo, Entry, Kind, Manifest, Member};
use crate::store::Listed;

/// What is wrong with the archive at `path`; nothing where every byte is as recorded.
fn fault(path: &Path, info: &ArchiveInfo) -> Option<&'static str> {
    let Ok(meta) = path.symlink_metadata() else { return Some("was lost") };
    if !meta.is_file() {
        return Some("was no file");
    }
    let right = meta.len() == info.size
        && File::open(path)
            .and_then(|mut file| digest_of(&mut file, info.size))
            .is_ok_and(|found| found == Some(info.sha256));
    (!right).then_some("was damaged")
}

impl Hand<'_> {
    /// Repairs the archive; the session is whole. Where the new one has other bytes, `proven` names it.
    pub(super) fn archive(&mut self, listed: &Listed, proven: &mut Proven) -> Result<()> {
        let path = self.layout().archive(&listed.label, &listed.id);
        self.readable(&path)?;
        let Some(recorded) = proven.manifest.archive.clone() else {
            self.could_not(&path, "is not described in the manifest");
            return Ok(());
        };
        let Some(fault) = fault(&path, &recorded) else { return Ok(()) };
        let old = path.symlink_metadata().ok().filter(|m| m.is_file()).and_then(|_| File::open(&path).ok());
        let mut new = ArchiveFile::create(self.store_handle(), &listed.label, &listed.id)?;
        let content = recorded.members.len().saturating_sub(1);
        for member in &recorded.members[..content] {
            self.context.interrupt.check()?;
            match old.as_ref().filter(|file| member_is_right(file, member)) {
                Some(file) => new.member(Section::of(file, member), member.entries)?,
                None => new.member(&self.packed(listed, &proven.manifest, member)?[..], member.entries)?,
            }
        }
        let last = manifest_member(&proven.manifest).during("write", &path)?;
        let written = new.finish_with(&last)?;
        let info = written.info.clone();
        let manifest = Manifest { archive: Some(info.clone()), ..proven.manifest.clone() };
        if let Err(e) = read_back(written.place_for_now(), &manifest, self.context) {
            written.discard()?;
            return Err(e);
        }
        if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
            self.set_aside(&path)?;
        }
        let fs = self.fs();
        fs.sync(written.place_for_now()).during("sync", written.place_for_now())?;
        written.place()?;
        let how =
            if info == recorded { "with the bytes that it had" } else { "compressed anew, in other bytes" };
        self.did(&path, format!("{fault} and is made again from the session, {how}"));
        if info != recorded {
            proven.bytes = manifest.to_json();
            proven.manifest = manifest;
        }
        Ok(())
    }

    /// Says what is wrong with an archive that cannot be repaired: the session is not whole.
    pub(super) fn judge_archive(&mut self, listed: &Listed, proven: &Proven) -> Result<()> {
        let path = self.layout().archive(&listed.label, &listed.id);
        self.readable(&path)?;
        if let Some(fault) = proven.manifest.archive.as_ref().and_then(|info| fault(&path, info)) {
            self.could_not(
                &path,
                format!("{fault}, and the session that it could be made from is not whole"),
            );
        }
        Ok(())
    }

    /// One member, packed again from the session's files.
    fn packed(&self, listed: &Listed, manifest: &Manifest, member: &Member) -> Result<Vec<u8>> {
        let session = self.layout().session(&listed.id);
        let mut writer = MemberWriter::new(Vec::new());
        for entry in &manifest.entries[member.first..member.first.saturating_add(member.entries)] {
            pack(&mut writer, &session, entry)
                .map_err(|e| Error::io("pack", &session.join(entry.stored_path()), e))?;
        }
        writer.finish(false).map_err(|e| Error::new(ErrorKind::Io, "failed to compress").with_source(e))
    }
}

fn pack(writer: &mut MemberWriter<Vec<u8>>, session: &Path, entry: &Entry) -> io::Result<()> {
    let stored = entry.stored_path();
    match &entry.kind {
        Kind::Directory => writer.directory(&stored, entry.mode(), entry.mtime),
        Kind::Symlink { target } => writer.symlink(&stored, target, entry.mtime),
        Kind::File { size, .. } => {
            let file = File::open(session.join(&stored))?;
            writer.file(&stored, entry.mode(), entry.mtime, *size, file.take(*size))
        }
    }
}
