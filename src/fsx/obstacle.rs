//! What would keep this process from a change, looked at before the change.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use super::Tree;
use crate::path::RelPath;

/// What is to be done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// What stands there moves away, or something comes where nothing stands, or both.
    Move,
    /// Its mode changes.
    Mode,
    /// Its modification time becomes the present.
    Touch,
}

impl Tree {
    /// Why a change at `path` would fail, if that can be seen. What stands in a directory that is not there yet meets
    /// no obstacle of its own.
    pub fn obstacle(&self, path: &RelPath, change: Change) -> io::Result<Option<&'static str>> {
        let (dir, name) = match self.parent(path) {
            Ok(found) => found,
            Err(e) if super::tree::is_gone(&e) => return Ok(None),
            Err(e) => return Err(e),
        };
        let user = rustix::process::geteuid();
        let above = rustix::fs::fstat(&dir)?;
        let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(e) => return Err(e.into()),
        };
        let is_owner = |uid: u32| user.is_root() || uid == user.as_raw();
        let owned = stat.is_none_or(|stat| is_owner(stat.st_uid));
        if let Some(why) = flagged(&dir, name).filter(|_| stat.is_some()) {
            return Ok(Some(why));
        }
        Ok(match change {
            Change::Mode if !owned => Some("belongs to another user, and only its owner may change its mode"),
            Change::Touch if !owned && !may(&dir, name, Access::WRITE_OK) => {
                Some("belongs to another user and may not be written to")
            }
            Change::Mode | Change::Touch => None,
            Change::Move => {
                match rustix::fs::accessat(&dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
                    Err(Errno::ROFS) => Some("lies in a file system that is mounted read-only"),
                    // What its owner forbids to himself is opened for a while.
                    Err(_) if !is_owner(above.st_uid) => {
                        Some("lies in another user's directory, which may not be written to")
                    }
                    _ if flagged(&dir, ".").is_some_and(|why| why != MOUNTED) => {
                        Some("lies in an immutable directory")
                    }
                    _ if above.st_mode & 0o1000 != 0 && !owned && !is_owner(above.st_uid) => {
                        Some("belongs to another user, in a directory with the sticky bit")
                    }
                    _ => None,
                }
            }
        })
    }
}

fn may(dir: impl AsFd, name: &std::ffi::OsStr, access: Access) -> bool {
    rustix::fs::accessat(dir, name, access, AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

const MOUNTED: &str = "is a mount point";

/// What the file system says of it that no mode tells.
#[cfg(target_os = "linux")]
fn flagged(dir: impl AsFd, name: impl rustix::path::Arg) -> Option<&'static str> {
    use rustix::fs::{StatxAttributes, StatxFlags};
    let stat = rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE).ok()?;
    let says = |attribute| stat.stx_attributes.contains(attribute);
    if says(StatxAttributes::MOUNT_ROOT) {
        Some(MOUNTED)
    } else if says(StatxAttributes::IMMUTABLE) {
        Some("is immutable (`lsattr` shows it, `chattr -i` ends it)")
    } else if says(StatxAttributes::APPEND) {
        Some("can only be appended to (`lsattr` shows it, `chattr -a` ends it)")
    } else {
        None
    }
}

#[cfg(not(target_os = "linux"))]
fn flagged(_dir: impl AsFd, _name: impl rustix::path::Arg) -> Option<&'static str> {
    None
}
