//! The file-system layer: the only code that changes files. `clippy.toml` holds the rest of the crate to that.
//!
//! - [`Fs`] changes files by absolute path; it is for the store, which belongs to us alone.
//! - [`Tree`] changes files below an open directory and follows no symbolic link on the way; it is for the
//!   workspace, which others change at the same time.
//! - A [`Probe`] sees each mutating call before it is made and may refuse it: so tests record, fail and interrupted
//!   every operation at every call. Without a probe that costs one comparison.
//!
//! **Durability.** Nothing here syncs by itself. An operation writes what it has to write and then calls
//! [`Fs::barrier`] once. A sync that failed is never tried again: the kernel has dropped the pages by then.

mod lock;
mod obstacle;
mod probe;
mod tree;

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

pub use lock::LockFile;
pub use obstacle::Change;
pub use probe::{Op, Probe, Verdict};
pub use tree::{Cursor, Tree};

use crate::clock::Mtime;
use crate::manifest::{Attributes, Mode};

/// Changes files by path. Cheap to clone.
#[derive(Clone, Default)]
pub struct Fs {
    probe: Option<Arc<dyn Probe>>,
    portable: bool,
}

impl std::fmt::Debug for Fs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fs {{ probed: {}, portable: {} }}", self.probe.is_some(), self.portable)
    }
}

impl Fs {
    /// The real file system.
    pub fn real() -> Self {
        Fs::default()
    }

    /// The real file system behind a probe.
    pub fn probed(probe: Arc<dyn Probe>) -> Self {
        Fs { probe: Some(probe), portable: false }
    }

    /// Leaves out every call that only Linux has, so that the fallbacks can be tested there.
    #[must_use]
    pub fn portable(mut self) -> Self {
        self.portable = true;
        self
    }

    /// Asks the probe, if there is one. The operation is only built then.
    fn gate(&self, op: &Op<'_>) -> io::Result<()> {
        match &self.probe {
            None => Ok(()),
            Some(probe) => match probe.before(op) {
                Verdict::Proceed => Ok(()),
                Verdict::Fail(error) | Verdict::Short(_, error) => Err(error),
            },
        }
    }

    /// Makes a directory; its parent has to exist.
    pub fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.gate(&Op::CreateDir { path: path.into() })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        std::fs::DirBuilder::new().mode(mode).create(path)
    }

    /// Makes a directory and those above it that are missing.
    pub fn create_dir_all(&self, path: &Path, mode: u32) -> io::Result<()> {
        match self.create_dir(path, mode) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let Some(parent) = path.parent() else { return Err(e) };
                self.create_dir_all(parent, mode)?;
                match self.create_dir(path, mode) {
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                    other => other,
                }
            }
            Err(e) => Err(e),
        }
    }

    /// Makes a new file for writing; it must not exist. Mode 0600 until `FileWriter::finish`.
    pub fn create_file(&self, path: &Path) -> io::Result<FileWriter> {
        self.gate(&Op::CreateFile { path: path.into() })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(FileWriter { file, path: path.into(), fs: self.clone() })
    }

    /// Opens a file to add to its end; makes it, with mode 0600, where it is missing. Follows no link.
    pub fn append(&self, path: &Path) -> io::Result<FileWriter> {
        if !path.exists() {
            self.gate(&Op::CreateFile { path: path.into() })?;
        }
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        let file = File::options().append(true).create(true).mode(0o600).custom_flags(NOFOLLOW).open(path)?;
        Ok(FileWriter { file, path: path.into(), fs: self.clone() })
    }

    /// Opens a file that carries a lock, makes it where it is missing. Its content means nothing. Follows no link.
    pub fn lock_file(&self, path: &Path) -> io::Result<LockFile> {
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        Ok(LockFile::new(options.custom_flags(NOFOLLOW).open(path)?))
    }

    /// Opens a file that carries a lock and is there already, for who may not write to it. Follows no link.
    pub fn existing_lock_file(&self, path: &Path) -> io::Result<LockFile> {
        Ok(LockFile::new(open_plain(path)?))
    }

    /// Puts `bytes` in place of the file at `path`, old or new at every instant: a sibling is written, synced
    /// and renamed over it. The directory is not synced.
    pub fn replace_file(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let sibling = temporary_sibling(path);
        self.remove_file_if_there(&sibling)?;
        let mut file = self.create_file(&sibling)?;
        file.write_all(bytes)?;
        file.set_mode(Mode::new(mode))?;
        file.sync()?;
        drop(file);
        self.rename(&sibling, path)
    }

    /// Renames a file or directory, over a file that is there.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate(&Op::Rename { from: from.into(), to: to.into() })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        std::fs::rename(from, to)
    }

    /// Makes a hard link. Only ever between files of the store.
    pub fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        self.gate(&Op::HardLink { original: original.into(), link: link.into() })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        std::fs::hard_link(original, link)
    }

    /// Makes a symbolic link; there must be nothing at `link`.
    pub fn symlink(&self, target: impl AsRef<Path>, link: &Path) -> io::Result<()> {
        self.gate(&Op::Symlink { link: link.into() })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        std::os::unix::fs::symlink(target.as_ref(), link)
    }

    /// Removes a file or symbolic link.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        if std::fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.gate(&Op::Remove { path: path.into() })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        std::fs::remove_file(path)
    }

    /// Removes a file or symbolic link; what does not exist is no error.
    pub fn remove_file_if_there(&self, path: &Path) -> io::Result<()> {
        match self.remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.gate(&Op::RemoveDir { path: path.into() })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        std::fs::remove_dir(path)
    }

    /// Removes a directory of the store with all that is in it, read-only or not. Follows no links.
    /// What does not exist is no error.
    pub fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let meta = match std::fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        if !meta.is_dir() {
            return self.remove_file(path);
        }
        if meta.mode() & 0o700 != 0o700 {
            self.set_mode(path, Mode::new(0o700))?;
        }
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.remove_tree(&entry.path())?;
            } else {
                self.remove_file(&entry.path())?;
            }
        }
        self.remove_dir(path)
    }

    /// Removes the empty directories at and below `path`, and those that become empty by it. Files stay.
    pub fn remove_empty_directories(&self, path: &Path) -> io::Result<()> {
        let Some(entries) = entries_if_there(path)? else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.remove_empty_directories(&entry.path())?;
            }
        }
        match self.remove_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            other => other,
        }
    }

    /// Gives the directory `path` and all below it the same permission bits, the deepest first. Files keep theirs;
    /// what does not exist is no error.
    pub fn set_directory_modes(&self, path: &Path, mode: Mode) -> io::Result<()> {
        let Some(entries) = entries_if_there(path)? else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.set_directory_modes(&entry.path(), mode)?;
            }
        }
        if std::fs::symlink_metadata(path)?.mode() & 0o7777 == mode.bits() {
            return Ok(());
        }
        self.set_mode(path, mode)
    }

    /// Changes the permission bits of a file or directory.
    pub fn set_mode(&self, path: &Path, mode: Mode) -> io::Result<()> {
        self.gate(&Op::SetMode { path: path.into(), mode })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        std::fs::set_permissions(path, Permissions::from_mode(mode.bits()))
    }

    /// Changes the modification time of a file or of a symbolic link itself.
    pub fn set_mtime(&self, path: &Path, mtime: Mtime) -> io::Result<()> {
        self.gate(&Op::SetMtime { path: path.into() })?;
        Ok(rustix::fs::utimensat(CWD, path, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Gives a file or link to another owner.
    pub fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        self.gate(&Op::SetOwner { path: path.into() })?;
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        Ok(rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes everything that was written below `directory` durable before it returns: one `syncfs` where the
    /// system has it, otherwise a sync of every file and directory below. An error is final.
    pub fn barrier(&self, directory: &Path) -> io::Result<()> {
        self.gate(&Op::Sync { path: directory.into() })?;
        #[cfg(target_os = "linux")]
        if !self.portable {
            return Ok(rustix::fs::syncfs(File::open(directory)?)?);
        }
        sync_below(directory)
    }

    /// Makes one file or directory durable.
    pub fn sync(&self, path: &Path) -> io::Result<()> {
        self.gate(&Op::Sync { path: path.into() })?;
        File::open(path)?.sync_all()
    }
}

#[expect(clippy::cast_possible_wrap, reason = "a flag, in the type that the system takes")]
const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Opens a regular file for reading: no link is followed, and no pipe is waited for.
///
/// # Errors
/// Kind `InvalidInput` where something else stands there.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    // Looking first keeps a pipe or a device from being opened; the flag keeps a link from being followed after that.
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(other());
    }
    #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
    let file = File::options().read(true).custom_flags(NOFOLLOW).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
}

/// All bytes of a regular file; see [`open_plain`].
///
/// # Errors
/// As [`open_plain`].
pub(crate) fn read_plain(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_plain(path.as_ref())?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where [`Fs::replace_file`] writes first: a hidden name beside `path`.
pub(crate) fn temporary_sibling(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// What is in a directory; `None` where there is none.
fn entries_if_there(path: &Path) -> io::Result<Option<std::fs::ReadDir>> {
    match std::fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn timestamps(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
    }
}

fn sync_below(path: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_below(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()
}

/// A file of the store that is being written.
#[derive(Debug)]
pub struct FileWriter {
    file: File,
    path: PathBuf,
    fs: Fs,
}

impl FileWriter {
    /// Sets the permission bits through the open file, whatever the umask.
    pub fn set_mode(&self, mode: Mode) -> io::Result<()> {
        self.fs.gate(&Op::SetMode { path: (&self.path).into(), mode })?;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        self.file.set_permissions(Permissions::from_mode(mode.bits()))
    }

    /// Gives the file all that it has beside its content. The permission bits come last: they may forbid the rest.
    pub(crate) fn set_attributes(&self, attributes: &Attributes) -> io::Result<()> {
        self.set_mode(attributes.mode)
    }

    /// Gives the file its final attributes and modification time.
    pub(crate) fn finish(self, attributes: &Attributes, mtime: Mtime) -> io::Result<()> {
        self.set_attributes(attributes)?;
        self.fs.gate(&Op::SetMtime { path: (&self.path).into() })?;
        Ok(rustix::fs::futimens(&self.file, &timestamps(mtime))?)
    }

    /// Makes the file's content durable.
    pub fn sync(&self) -> io::Result<()> {
        self.fs.gate(&Op::Sync { path: (&self.path).into() })?;
        self.file.sync_all()
    }

    /// Makes the file longer instead of writing zeros behind its end, so that a file of holes takes no room. `false`
    /// where they have to be written.
    fn leave_hole(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() < SMALLEST_HOLE || bytes.iter().any(|byte| *byte != 0) {
            return false;
        }
        let (Ok(at), Ok(meta)) = (self.file.stream_position(), self.file.metadata()) else { return false };
        let end = at + bytes.len() as u64;
        #[expect(clippy::disallowed_methods, reason = "this is the file-system layer")]
        let longer = at == meta.len() && self.file.set_len(end).is_ok();
        longer && self.file.seek(io::SeekFrom::Start(end)).is_ok()
    }
}

/// Fewer zeros take no block of their own.
const SMALLEST_HOLE: usize = 4096;

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(probe) = &self.fs.probe {
            match probe.before(&Op::Write { path: (&self.path).into(), bytes: bytes.len() }) {
                Verdict::Proceed => {}
                Verdict::Fail(error) => return Err(error),
                Verdict::Short(n, error) => {
                    self.file.write_all(&bytes[..n.min(bytes.len())])?;
                    return Err(error);
                }
            }
        }
        if self.leave_hole(bytes) { Ok(bytes.len()) } else { self.file.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Whether the process runs as root, and so may give files to other owners.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The modification time in a `stat`.
#[allow(
    clippy::useless_conversion,
    clippy::unnecessary_fallible_conversions,
    reason = "types differ by platform"
)]
pub(crate) fn mtime_of(stat: &rustix::fs::Stat) -> Mtime {
    Mtime { seconds: stat.st_mtime.into(), nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) }
}

/// When the inode last changed, by a `stat`: whole seconds since 1970.
#[allow(clippy::useless_conversion, reason = "types differ by platform")]
pub(crate) fn ctime_seconds_of(stat: &rustix::fs::Stat) -> i64 {
    stat.st_ctime.into()
}

/// The permission bits in a `stat`.
#[allow(clippy::useless_conversion, reason = "types differ by platform")]
pub(crate) fn mode_of(stat: &rustix::fs::Stat) -> Mode {
    Mode::new(stat.st_mode.into())
}
