//! Seeing, failing and cutting off every mutating call.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use crate::manifest::Mode;

/// One mutating call, as it is about to be made.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what the variants' descriptions name")]
pub enum Op<'a> {
    /// Makes a directory.
    CreateDir { path: Cow<'a, Path> },
    /// Makes a file.
    CreateFile { path: Cow<'a, Path> },
    /// Writes some bytes to a file.
    Write { path: Cow<'a, Path>, bytes: usize },
    /// Renames a file or directory.
    Rename { from: Cow<'a, Path>, to: Cow<'a, Path> },
    /// Makes a hard link.
    HardLink { original: Cow<'a, Path>, link: Cow<'a, Path> },
    /// Makes a symbolic link.
    Symlink { link: Cow<'a, Path> },
    /// Removes a file or link.
    Remove { path: Cow<'a, Path> },
    /// Removes an empty directory.
    RemoveDir { path: Cow<'a, Path> },
    /// Changes permission bits.
    SetMode { path: Cow<'a, Path>, mode: Mode },
    /// Changes a modification time.
    SetMtime { path: Cow<'a, Path> },
    /// Changes owner and group.
    SetOwner { path: Cow<'a, Path> },
    /// Makes a file, a directory or a file system durable.
    Sync { path: Cow<'a, Path> },
}

/// What is to become of a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It is made.
    Proceed,
    /// It is not made, and gives this error.
    Fail(io::Error),
    /// A write puts that many bytes down and then gives this error; any other call is not made.
    Short(usize, io::Error),
}

/// Sees each mutating call before it is made. Called from several threads at once.
pub trait Probe: Send + Sync {
    /// Says what is to become of the call.
    fn before(&self, op: &Op<'_>) -> Verdict;
}
