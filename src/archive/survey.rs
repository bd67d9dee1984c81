//! Reading an archive that nothing describes but itself: its last gzip member holds the manifest, and everything
//! before it is held against that. **What the archive says is believed only where the bytes bear it out**, and work
//! and memory are bounded by its own size before they are bounded by its manifest.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::member::{Section, Start, Stop, walk};
use crate::digest::{Digest, Hasher, Measure};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::event::Interrupt;
use crate::manifest::{
    self, ArchiveInfo, Entry, FORMAT, Kind, MANIFEST_FILE, Manifest, Member, archive_name,
};
use crate::path::{RelPath, show_bytes, show_path, show_text};

/// How every gzip member begins: no name, no time.
pub(super) const MAGIC: [u8; 8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
/// Compressed data looks like that once in 16 EiB: more than so many are an attempt to waste time.
const MOST_STARTS: u32 = 64;
/// A manifest of so many bytes may be packed however well; beyond, a ratio that no manifest reaches ends the reading.
const MANIFEST_FREE: u64 = 8 << 20;
const MANIFEST_RATIO: u64 = 16;
/// No manifest is larger: that of a million files is not.
const MANIFEST_MOST: u64 = 256 << 20;
/// Deflate packs no better than this.
const DEFLATE_RATIO: u64 = 1032;

/// What is wrong with an archive.
#[derive(Debug)]
pub(crate) struct Flaw {
    /// What, and where: the end of a sentence that begins with the archive.
    pub(crate) text: String,
    /// The manifest, where it at least is sound.
    pub(crate) manifest: Option<Box<Manifest>>,
}

impl Flaw {
    fn new(text: impl Into<String>) -> Self {
        Flaw { text: text.into(), manifest: None }
    }
}

/// Reads the whole archive at `path` and gives its manifest, with the `archive` object as the backup wrote it: every
/// entry was found in its place, with the content that the manifest says. More than `room` bytes of content are not
/// unpacked.
///
/// # Errors
/// `Io` where it cannot be read, `Interrupted`. What is wrong with it is the inner error.
pub(crate) fn survey(path: &Path, room: u64, interrupt: &Interrupt) -> Result<Result<Manifest, Flaw>> {
    let file = open(path)?;
    let size = file.metadata().during("look at", path)?.len();
    let (at, manifest) = match last_member(&file, size, room) {
        Ok(found) => found,
        Err(text) => return Ok(Err(Flaw::new(text))),
    };
    interrupt.check()?;
    let mut reading = Reading { manifest: &manifest, next: 0, members: Vec::new() };
    let mut whole = Hasher::new();
    let mut stream = Consumed {
        inner: BufReader::with_capacity(64 * 1024, Section::new(&file, 0, at)),
        whole: &mut whole,
        member: Hasher::new(),
        size: 0,
    };
    let mut offset = 0;
    while offset < at {
        interrupt.check()?;
        if let Err(text) = reading.member(&mut stream, offset) {
            return Ok(Err(Flaw { text, manifest: Some(Box::new(manifest)) }));
        }
        offset += stream.size;
    }
    if let Some(entry) = manifest.entries.get(reading.next) {
        let text = format!("does not hold {}", entry.shown());
        return Ok(Err(Flaw { text, manifest: Some(Box::new(manifest)) }));
    }
    let mut members = reading.members;
    let mut last = Section::new(&file, at, size - at).hashed();
    io::copy(&mut Tee(&mut last, &mut whole), &mut io::sink()).during("read", path)?;
    members.push(Member {
        offset: at,
        size: size - at,
        sha256: last.finish().during("read", path)?,
        first: manifest.entries.len(),
        entries: 0,
    });
    let name = archive_name(&manifest.label, &manifest.id);
    let archive = Some(ArchiveInfo { name, size, sha256: whole.finish(), members });
    Ok(Ok(Manifest { archive, ..manifest }))
}

/// Opens an archive; what is no plain file is not waited for.
pub(super) fn open(path: &Path) -> Result<File> {
    let meta = std::fs::metadata(path).during("open", path)?;
    if !meta.is_file() {
        return Err(Error::new(ErrorKind::Usage, format!("`{}` is no file", show_path(path))));
    }
    File::open(path).during("open", path)
}

/// Fills the buffer as far as the file goes.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match file.read_at(&mut buffer[n..], at + n as u64)? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

/// Where the last member starts, and the manifest in it. It is looked for from the end.
fn last_member(file: &File, size: u64, room: u64) -> Result<(u64, Manifest), String> {
    const NONE: &str =
        "does not end in a gzip member that holds the manifest: it is truncated, or is none of backstop's";
    let (mut end, mut starts, mut block) = (size, 0, vec![0; 64 * 1024]);
    while end > 0 {
        // A magic may lie across two blocks.
        let start = end.saturating_sub((block.len() - MAGIC.len()) as u64);
        let most = usize::try_from((end - start) + MAGIC.len() as u64 - 1).unwrap_or(block.len());
        let n = read_at(file, &mut block[..most], start).map_err(|e| format!("cannot be read: {e}"))?;
        let found: Vec<usize> = block[..n]
            .windows(MAGIC.len())
            .enumerate()
            .filter(|(_, w)| *w == MAGIC)
            .map(|(i, _)| i)
            .collect();
        for i in found.into_iter().rev() {
            let at = start + i as u64;
            starts += 1;
            if starts > MOST_STARTS {
                return Err(NONE.into());
            }
            if let Some(json) = manifest_member(file, at, size)? {
                return Ok((at, judge(&json, size, room)?));
            }
        }
        end = start;
    }
    Err(NONE.into())
}

/// The JSON in the gzip member from `at` to the end. `None` where what stands there is no whole gzip member.
fn manifest_member(file: &File, at: u64, size: u64) -> Result<Option<Vec<u8>>, String> {
    const NONE: &str = "does not end in a gzip member that holds the manifest";
    let section = Section::new(file, at, size - at);
    let mut plain = Vec::new();
    {
        let mut decoder = GzDecoder::new(BufReader::with_capacity(64 * 1024, section));
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let n = match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(_) => return Ok(None),
            };
            plain.extend_from_slice(&buffer[..n]);
            if plain.len() >= 512 && plain.len() - n < 512 {
                let named = tar::Header::from_byte_slice(&plain[..512]).path_bytes();
                if named.as_ref() != MANIFEST_FILE.as_bytes() {
                    return Err(NONE.into());
                }
            }
            let (packed, unpacked) = (decoder.get_ref().get_ref().position() - at, plain.len() as u64);
            if unpacked > MANIFEST_MOST || unpacked > MANIFEST_FREE.max(packed.saturating_mul(MANIFEST_RATIO))
            {
                return Err(format!(
                    "is a bomb: {packed} bytes of its manifest unpack to more than {unpacked}"
                ));
            }
        }
        let mut rest = decoder.into_inner();
        if !rest.fill_buf().map_err(|e| format!("cannot be read: {e}"))?.is_empty() {
            return Ok(None);
        }
    }
    let mut tar = tar::Archive::new(&plain[..]);
    let mut entries = tar.entries().map_err(|e| e.to_string())?;
    let mut entry = entries.next().ok_or(NONE)?.map_err(|_| NONE)?;
    if entry.path_bytes().as_ref() != MANIFEST_FILE.as_bytes() || !entry.header().entry_type().is_file() {
        return Err(NONE.into());
    }
    let mut json = Vec::new();
    entry.read_to_end(&mut json).map_err(|_| NONE)?;
    let end = entry.raw_file_position() + entry.size().next_multiple_of(512);
    let tail = usize::try_from(end).ok().and_then(|end| plain.get(end..));
    if json.len() as u64 != entry.size() || tail.is_none_or(|t| t.len() != 1024 || t.iter().any(|b| *b != 0))
    {
        return Err("has something else behind its manifest".into());
    }
    Ok(Some(json))
}

/// Reads the manifest, and believes none of it before it is judged.
fn judge(json: &[u8], size: u64, room: u64) -> Result<Manifest, String> {
    let manifest: Manifest = serde_json::from_slice(json).map_err(|e| match unsafe_path(json) {
        Some(text) => text,
        None => format!("holds a manifest that does not parse: {}", show_text(&e.to_string())),
    })?;
    if manifest.format > FORMAT {
        return Err(format!("has format {}; this version reads {FORMAT}", manifest.format));
    }
    if manifest.archive.is_some() || manifest.to_json() != json {
        return Err("holds a manifest that is not as backstop writes it".into());
    }
    if let Some(fault) = manifest::fault(&manifest, &manifest.id) {
        return Err(format!("holds a manifest that {fault}"));
    }
    // More than any compression packs into so many bytes.
    if manifest.totals.bytes > size.saturating_mul(DEFLATE_RATIO) {
        return Err(format!("has {size} bytes and says that it holds {}", manifest.totals.bytes));
    }
    if manifest.totals.bytes > room {
        return Err(format!("holds {} bytes, and the store has room for {room}", manifest.totals.bytes));
    }
    Ok(manifest)
}

/// Where a manifest does not parse for a path in it: which.
fn unsafe_path(json: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Lenient<'a> {
        #[serde(borrow)]
        entries: Vec<Path<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Path<'a> {
        #[serde(borrow)]
        path: std::borrow::Cow<'a, str>,
    }
    let lenient: Lenient<'_> = serde_json::from_slice(json).ok()?;
    lenient.entries.iter().find_map(|e| {
        let fault = RelPath::from_json_text(&e.path).err()?;
        Some(format!("holds a manifest with an unsafe path, `{}`: {fault}", show_text(&e.path)))
    })
}

/// Reads member after member, and holds each entry against the manifest.
struct Reading<'m> {
    manifest: &'m Manifest,
    next: usize,
    members: Vec<Member>,
}

impl Reading<'_> {
    /// Reads the member at `offset`, where the stream stands.
    fn member<R: BufRead>(&mut self, stream: &mut Consumed<'_, R>, offset: u64) -> Result<(), String> {
        let first = self.next;
        stream.start();
        let wrong = |text: String| format!("is damaged in the part at byte {offset}: {}", show_text(&text));
        let entries = &self.manifest.entries;
        let place = |i: usize| entries.get(i).map_or_else(|| "its end".into(), Entry::shown);
        let mut visit = |index: usize, content: Option<&mut dyn Read>| {
            let (Some(content), Kind::File { size, lines, sha256 }) = (content, &entries[index].kind) else {
                return Ok(());
            };
            let shown = entries[index].shown();
            let measured = measure(content).map_err(|e| wrong(format!("{e}, at {shown}")))?;
            if measured == (*sha256, *size, *lines) {
                Ok(())
            } else {
                Err(format!("holds {shown} with other content than its manifest says"))
            }
        };
        let walked = walk(&mut GzDecoder::new(&mut *stream), entries, &Start::At(first), 1024, &mut visit)
            .map_err(|stop| match stop {
                Stop::Read(index, e) => wrong(format!("{e}, at {}", place(index))),
                Stop::Entry(index, text) => {
                    format!("does not hold {} as its manifest says: {text}", entries[index].shown())
                }
                Stop::Extra(name) => {
                    format!("holds `{}`, which its manifest does not have", show_bytes(&name))
                }
                Stop::Visit(text) => text,
            })?;
        self.next = walked.next;
        if walked.read != walked.end {
            return Err(wrong("something stands behind its last entry".into()));
        }
        if self.next == first {
            return Err(wrong("it holds nothing".into()));
        }
        let sha256 = std::mem::take(&mut stream.member).finish();
        self.members.push(Member { offset, size: stream.size, sha256, first, entries: self.next - first });
        Ok(())
    }
}

/// Digest, size and lines of a file in an archive.
pub(super) fn measure(content: &mut dyn Read) -> io::Result<(Digest, u64, u64)> {
    let (mut measure, mut buffer) = (Measure::new(), vec![0; 64 * 1024]);
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(measure.finish()),
            n => measure.update(&buffer[..n]),
        }
    }
}

/// What was read of a stream, to the byte: the decoder takes no more than its member has.
struct Consumed<'w, R> {
    inner: R,
    whole: &'w mut Hasher,
    member: Hasher,
    size: u64,
}

impl<R> Consumed<'_, R> {
    fn start(&mut self) {
        (self.member, self.size) = (Hasher::new(), 0);
    }
}

impl<R: BufRead> Read for Consumed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Consumed<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        // What was just shown.
        if let Ok(shown) = self.inner.fill_buf() {
            let taken = &shown[..n.min(shown.len())];
            self.whole.update(taken);
            self.member.update(taken);
        }
        self.size += n as u64;
        self.inner.consume(n);
    }
}

/// Hashes what is read on the way.
struct Tee<'a, R>(&'a mut R, &'a mut Hasher);

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.update(&buffer[..n]);
        Ok(n)
    }
}
