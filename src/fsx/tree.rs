//! Files below an open directory. Every component of a path is opened in turn without following symbolic links,
//! so that nothing is read or written outside, also where somebody swaps a directory for a link meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode as RawMode, OFlags, RawMode as Bits, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::{Fs, Op, timestamps};
use crate::clock::Mtime;
use crate::manifest::{Attributes, Mode};
use crate::order;
use crate::path::{LinkTarget, RelPath};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory whose files are read and changed by relative path.
#[derive(Debug, Clone)]
pub struct Tree {
    root: Arc<OwnedFd>,
    path: PathBuf,
    fs: Fs,
}

impl Tree {
    /// Opens `root`, which may itself be reached through links.
    pub fn open(root: &Path, fs: &Fs) -> io::Result<Tree> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, RawMode::empty())?;
        Ok(Tree { root: Arc::new(fd), path: root.into(), fs: fs.clone() })
    }

    /// The directory's path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A reader that is fast for paths in sorted order.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { tree: self, last: None }
    }

    fn directory(&self, dir: Option<&RelPath>) -> io::Result<OwnedFd> {
        let mut fd = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        for name in dir.iter().flat_map(|d| d.components()) {
            fd = rustix::fs::openat(&fd, name, DIRECTORY, RawMode::empty())?;
        }
        Ok(fd)
    }

    pub(super) fn parent<'a>(&self, path: &'a RelPath) -> io::Result<(OwnedFd, &'a OsStr)> {
        Ok((self.directory(path.parent().as_ref())?, path.file_name()))
    }

    fn full(&self, path: &RelPath) -> PathBuf {
        self.path.join(path)
    }

    /// What stands at `path`; `None` where nothing does, or where a component above is no directory.
    pub fn stat(&self, path: &RelPath) -> io::Result<Option<Stat>> {
        self.cursor().stat(path)
    }

    /// Moves what stands at `path` out of the tree, to the absolute path `to`, where nothing may stand.
    pub fn move_out(&self, path: &RelPath, to: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::Rename { from: self.full(path).into(), to: to.into() })?;
        self.rename_without_replacing(dir.as_fd(), name, CWD, to.as_os_str())
    }

    /// Moves the absolute path `from` to `path` in the tree, where nothing may stand.
    pub fn move_in(&self, from: &Path, path: &RelPath) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::Rename { from: from.into(), to: self.full(path).into() })?;
        self.rename_without_replacing(CWD, from.as_os_str(), dir.as_fd(), name)
    }

    fn rename_without_replacing(
        &self,
        from_dir: impl AsFd + Copy,
        from: &OsStr,
        to_dir: impl AsFd + Copy,
        to: &OsStr,
    ) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        if !self.fs.portable {
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(from_dir, from, to_dir, to, flags) {
                // Some file systems (NFS, FUSE) know no flags.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                other => return Ok(other?),
            }
        }
        match rustix::fs::statat(to_dir, to, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(rustix::fs::renameat(from_dir, from, to_dir, to)?),
            Err(e) => Err(e.into()),
            Ok(_) => Err(Errno::EXIST.into()),
        }
    }

    /// Makes a directory; its parent has to exist.
    pub fn create_dir(&self, path: &RelPath, mode: Mode) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::CreateDir { path: self.full(path).into() })?;
        Ok(rustix::fs::mkdirat(dir, name, RawMode::from_raw_mode(mode.bits() as Bits))?)
    }

    /// Makes a new file with `bytes` beside others: for file systems that the store does not share.
    pub fn create_file(&self, path: &RelPath) -> io::Result<super::FileWriter> {
        let (dir, name) = self.parent(path)?;
        let full = self.full(path);
        self.fs.gate(&Op::CreateFile { path: (&full).into() })?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, name, flags, RawMode::from_raw_mode(0o600))?;
        Ok(super::FileWriter { file: File::from(fd), path: full, fs: self.fs.clone() })
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, target: &LinkTarget, path: &RelPath) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::Symlink { link: self.full(path).into() })?;
        Ok(rustix::fs::symlinkat(target.as_os_str(), dir, name)?)
    }

    /// Renames within the tree; nothing may stand at `to`.
    pub fn rename(&self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        let ((a, from_name), (b, to_name)) = (self.parent(from)?, self.parent(to)?);
        self.fs.gate(&Op::Rename { from: self.full(from).into(), to: self.full(to).into() })?;
        self.rename_without_replacing(a.as_fd(), from_name, b.as_fd(), to_name)
    }

    /// Removes a file or symbolic link.
    pub fn remove_file(&self, path: &RelPath) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::Remove { path: self.full(path).into() })?;
        Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, path: &RelPath) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::RemoveDir { path: self.full(path).into() })?;
        Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
    }

    /// Changes the permission bits of a file or directory, never of what a link points at.
    pub fn set_mode(&self, path: &RelPath, mode: Mode) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::SetMode { path: self.full(path).into(), mode })?;
        let bits = RawMode::from_raw_mode(mode.bits() as Bits);
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&dir, name, flags | OFlags::RDONLY, RawMode::empty())
            .or_else(|_| rustix::fs::openat(&dir, name, flags | OFlags::WRONLY, RawMode::empty()));
        match opened {
            Ok(fd) => Ok(rustix::fs::fchmod(fd, bits)?),
            // Neither readable nor writable by its owner: a link is still refused, by a look just before.
            Err(Errno::ACCESS) => {
                let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
                    return Err(Errno::LOOP.into());
                }
                Ok(rustix::fs::chmodat(&dir, name, bits, AtFlags::empty())?)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Gives a file all that it has beside its content.
    pub fn set_attributes(&self, path: &RelPath, attributes: &Attributes) -> io::Result<()> {
        self.set_mode(path, attributes.mode)
    }

    /// Changes the modification time of a file, a directory or a link itself.
    pub fn set_mtime(&self, path: &RelPath, mtime: Mtime) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::SetMtime { path: self.full(path).into() })?;
        Ok(rustix::fs::utimensat(dir, name, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Gives a file the modification time `mtime`; the present, which needs no more than permission to write, where the
    /// file belongs to another user. The time is read back: where the file system keeps a coarser one, the file gets the
    /// next that it keeps, so that it is never older than was asked for.
    pub fn touch(&self, path: &RelPath, mtime: Mtime) -> io::Result<()> {
        self.set_mtime_or_now(path, mtime)?;
        // ext4 with small inodes keeps whole seconds, FAT every other one.
        for later in [1, 2] {
            if self.stat(path)?.is_none_or(|stat| super::mtime_of(&stat) >= mtime) {
                break;
            }
            self.set_mtime_or_now(path, Mtime { seconds: mtime.seconds + later, nanos: 0 })?;
        }
        Ok(())
    }

    fn set_mtime_or_now(&self, path: &RelPath, mtime: Mtime) -> io::Result<()> {
        match self.set_mtime(path, mtime) {
            Err(e) if Errno::from_io_error(&e) == Some(Errno::PERM) => {
                let (dir, name) = self.parent(path)?;
                let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
                let times = Timestamps { last_access: now, last_modification: now };
                Ok(rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            other => other,
        }
    }

    /// Gives a file or link to another group, as far as this process may.
    pub fn try_set_group(&self, path: &RelPath, gid: u32) -> io::Result<bool> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::SetOwner { path: self.full(path).into() })?;
        let gid = rustix::fs::Gid::from_raw(gid);
        match rustix::fs::chownat(dir, name, None, Some(gid), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::PERM | Errno::INVAL) => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    /// Gives a file or link to another owner.
    pub fn set_owner(&self, path: &RelPath, uid: u32, gid: u32) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.fs.gate(&Op::SetOwner { path: self.full(path).into() })?;
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        Ok(rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes everything in the tree's file system durable.
    pub fn barrier(&self, changed: &[RelPath]) -> io::Result<()> {
        self.fs.gate(&Op::Sync { path: (&self.path).into() })?;
        #[cfg(target_os = "linux")]
        if !self.fs.portable {
            return Ok(rustix::fs::syncfs(&*self.root)?);
        }
        // The files that changed, and the directories that hold them.
        let mut directories = order::Set::new();
        for path in changed {
            directories.extend(path.ancestors());
            let (dir, name) = match self.parent(path) {
                Ok(found) => found,
                Err(e) if is_gone(&e) => continue,
                Err(e) => return Err(e),
            };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            if let Ok(fd) = rustix::fs::openat(dir, name, flags, RawMode::empty()) {
                rustix::fs::fsync(fd)?;
            }
        }
        for dir in directories {
            match self.directory(Some(&dir)) {
                Ok(fd) => rustix::fs::fsync(fd)?,
                Err(e) if is_gone(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(rustix::fs::fsync(&*self.root)?)
    }
}

/// Whether nothing stands at a path, or a component above is no directory. A link in place of a directory answers
/// ELOOP, or ENOTDIR: what lies behind it is not ours.
pub(super) fn is_gone(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

/// Reads a tree's files, and remembers the directory it was in last.
#[derive(Debug)]
pub struct Cursor<'a> {
    tree: &'a Tree,
    last: Option<(Option<RelPath>, OwnedFd)>,
}

impl Cursor<'_> {
    fn parent(&mut self, path: &RelPath) -> io::Result<&OwnedFd> {
        let parent = path.parent();
        if self.last.as_ref().is_none_or(|(dir, _)| *dir != parent) {
            self.last = None;
            let fd = self.tree.directory(parent.as_ref())?;
            self.last = Some((parent, fd));
        }
        // Just set where it was not.
        Ok(&self.last.as_ref().ok_or(Errno::BADF)?.1)
    }

    /// See [`Tree::stat`].
    pub fn stat(&mut self, path: &RelPath) -> io::Result<Option<Stat>> {
        let name = path.file_name();
        let found = match self.parent(path) {
            Ok(dir) => rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from),
            Err(e) => Err(e),
        };
        match found {
            Ok(stat) => Ok(Some(stat)),
            Err(e) if is_gone(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// [`Cursor::stat`], with what the file has beside its content.
    pub fn look(&mut self, path: &RelPath) -> io::Result<Option<(Stat, Attributes)>> {
        Ok(self.stat(path)?.map(|stat| (stat, super::mode_of(&stat).into())))
    }

    /// Opens a regular file for reading; a link is refused, a pipe does not block.
    pub fn open(&mut self, path: &RelPath) -> io::Result<File> {
        let name = path.file_name();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(self.parent(path)?, name, flags, RawMode::empty())?))
    }

    /// What a symbolic link points at.
    pub fn read_link(&mut self, path: &RelPath) -> io::Result<LinkTarget> {
        let name = path.file_name();
        let target = rustix::fs::readlinkat(self.parent(path)?, name, Vec::new())?;
        Ok(LinkTarget::new(OsString::from_vec(target.into_bytes())))
    }
}
