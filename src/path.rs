//! Paths that cannot be wrong, and paths made fit to be shown.
//!
//! **Invariant:** a [`RelPath`] never leaves the directory it is joined to: it is not absolute, not empty, and
//! has no empty, `.` or `..` component and no NUL byte.

use std::borrow::{Borrow, Cow};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{IoContext, Result};
pub use crate::text::{show_bytes, show_path, show_text};

/// A relative path below a root, as raw bytes with `/` between the components.
///
/// In JSON it is a string: bytes that are not UTF-8 are written `\xHH` and a backslash `\\`, so that every name
/// that a file system allows survives.
///
/// ```
/// use backstop::path::RelPath;
///
/// assert!(RelPath::new("src/lib.rs").is_ok());
/// assert!(RelPath::new("../outside").is_err());
/// assert!(RelPath::new("/etc/passwd").is_err());
/// assert_eq!(RelPath::from_bytes(b"caf\xe9").unwrap().to_json_text(), r"caf\xe9");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Box<[u8]>);

/// Why some bytes are no [`RelPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPath {
    /// The path has no bytes, or an empty component (`a//b`, a trailing `/`).
    #[error("path has an empty component")]
    Empty,
    /// The path starts at the root directory.
    #[error("path is absolute")]
    Absolute,
    /// The path has a component `.` or `..`.
    #[error("path has a component `.` or `..`")]
    Dots,
    /// The path has a NUL byte.
    #[error("path has a NUL byte")]
    Nul,
    /// The escapes in the path's JSON form are malformed.
    #[error("path has a malformed escape")]
    Escape,
}

impl RelPath {
    /// Checks `path`, which must be relative.
    ///
    /// # Errors
    /// The reason why it could leave its root, or names nothing.
    pub fn new(path: impl AsRef<OsStr>) -> Result<Self, InvalidPath> {
        Self::from_bytes(path.as_ref().as_bytes())
    }

    /// Checks raw bytes, as a file system or a tar archive gives them.
    ///
    /// # Errors
    /// As [`RelPath::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidPath> {
        if bytes.first() == Some(&b'/') {
            return Err(InvalidPath::Absolute);
        }
        if bytes.contains(&0) {
            return Err(InvalidPath::Nul);
        }
        for component in bytes.split(|b| *b == b'/') {
            match component {
                b"" => return Err(InvalidPath::Empty),
                b"." | b".." => return Err(InvalidPath::Dots),
                _ => {}
            }
        }
        Ok(RelPath(bytes.into()))
    }

    /// The path below `root`, if it lies there. `None` for `root` itself.
    pub fn strip(root: &Path, path: &Path) -> Option<Self> {
        Self::new(path.strip_prefix(root).ok()?).ok()
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for calls to the operating system; relative.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The last component.
    pub fn file_name(&self) -> &OsStr {
        let at = self.0.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
        OsStr::from_bytes(&self.0[at..])
    }

    /// The path without its last component; `None` at the top.
    pub fn parent(&self) -> Option<RelPath> {
        let at = self.0.iter().rposition(|b| *b == b'/')?;
        Some(RelPath(self.0[..at].into()))
    }

    /// The components from the top.
    pub fn components(&self) -> impl Iterator<Item = &OsStr> {
        self.0.split(|b| *b == b'/').map(OsStr::from_bytes)
    }

    /// Every directory above the path, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = RelPath> + use<> {
        std::iter::successors(self.parent(), RelPath::parent)
    }

    /// This path with `name` below it.
    ///
    /// # Errors
    /// Where `name` is no valid component.
    pub fn join(&self, name: impl AsRef<OsStr>) -> Result<RelPath, InvalidPath> {
        let mut bytes = self.0.to_vec();
        bytes.push(b'/');
        bytes.extend_from_slice(name.as_ref().as_bytes());
        RelPath::from_bytes(&bytes)
    }

    /// Whether this is `dir` or lies below it.
    pub fn is_in(&self, dir: &RelPath) -> bool {
        self.0.starts_with(&dir.0) && matches!(self.0.get(dir.0.len()), None | Some(b'/'))
    }

    /// The lossless text form that the manifest uses; see the type's description.
    pub fn to_json_text(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '\\' {
                    out.push('\\');
                }
                out.push(c);
            }
            for byte in chunk.invalid() {
                out.push_str(&format!("\\x{byte:02x}"));
            }
        }
        out
    }

    /// Reads the text form that [`RelPath::to_json_text`] writes.
    ///
    /// # Errors
    /// A malformed escape, or as [`RelPath::new`].
    pub fn from_json_text(text: &str) -> Result<Self, InvalidPath> {
        Self::from_bytes(&unescape(text)?)
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, InvalidPath> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'\\') {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match (bytes[i], bytes.get(i + 1)) {
            (b'\\', Some(b'\\')) => {
                out.push(b'\\');
                i += 2;
            }
            (b'\\', Some(b'x')) => {
                let digits = text.get(i + 2..i + 4).ok_or(InvalidPath::Escape)?;
                out.push(u8::from_str_radix(digits, 16).map_err(|_| InvalidPath::Escape)?);
                i += 4;
            }
            (b'\\', _) => return Err(InvalidPath::Escape),
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    Ok(out)
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_bytes(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl AsRef<Path> for RelPath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for RelPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_json_text())
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        RelPath::from_json_text(&text).map_err(serde::de::Error::custom)
    }
}

/// Whether a path leads to where a version control system runs programs from, on any file system: what names one is
/// refused, whoever made it.
pub(crate) fn runs_programs(path: &RelPath) -> bool {
    let names = |name: &OsStr| [".git", ".jj", ".hg"].iter().any(|v| name.eq_ignore_ascii_case(v));
    path.components().any(names)
}

/// What a symbolic link points at: any bytes but NUL, written in JSON as a [`RelPath`] is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkTarget(OsString);

impl LinkTarget {
    /// The target as `readlink` gives it.
    pub fn new(target: impl Into<OsString>) -> Self {
        LinkTarget(target.into())
    }

    /// The target for `symlink`.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

impl fmt::Debug for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", show_bytes(self.0.as_bytes()))
    }
}

impl Serialize for LinkTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&RelPath(self.0.as_bytes().into()).to_json_text())
    }
}

impl<'de> Deserialize<'de> for LinkTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = unescape(&text).map_err(serde::de::Error::custom)?;
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(serde::de::Error::custom("link target is empty or has a NUL byte"));
        }
        Ok(LinkTarget(OsString::from_vec(bytes)))
    }
}

/// Any path, `..` included, in the lossless text form of a [`RelPath`]: for the place of a root.
pub(crate) fn path_to_text(path: &Path) -> String {
    RelPath(path.as_os_str().as_bytes().into()).to_json_text()
}

/// Reads what [`path_to_text`] wrote.
///
/// # Errors
/// A malformed escape, a NUL byte, or no path at all.
pub(crate) fn path_from_text(text: &str) -> Result<PathBuf, InvalidPath> {
    let bytes = unescape(text)?;
    match (bytes.is_empty(), bytes.contains(&0)) {
        (true, _) => Err(InvalidPath::Empty),
        (_, true) => Err(InvalidPath::Nul),
        _ => Ok(PathBuf::from(OsString::from_vec(bytes))),
    }
}

/// The path without symbolic links, as far as it exists.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    match (canonical(path), path.parent(), path.file_name()) {
        (Ok(path), ..) => path,
        (Err(_), Some(parent), Some(name)) => resolved(parent).join(name),
        (Err(_), ..) => path.to_path_buf(),
    }
}

/// The absolute path without symbolic links.
///
/// # Errors
/// Where the path does not exist or cannot be searched.
pub fn canonical(path: &Path) -> Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that the lint points to")]
    std::fs::canonicalize(path).during("find", path)
}

/// Resolves `.` and `..` by name, of an absolute path without links.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// The way from directory `from` to `to`, both absolute and without `.` and `..`, as a relative path.
///
/// ```
/// use std::path::Path;
/// let way = backstop::path::relative(Path::new("/a/store"), Path::new("/a/b"));
/// assert_eq!(way, Path::new("../b"));
/// ```
pub fn relative(from: &Path, to: &Path) -> PathBuf {
    let (a, b): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let mut out = PathBuf::new();
    for _ in common..a.len() {
        out.push("..");
    }
    out.extend(&b[common..]);
    if out.as_os_str().is_empty() {
        out.push(".");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_their_root_are_refused() {
        for (bytes, why) in [
            (&b""[..], InvalidPath::Empty),
            (b"/a", InvalidPath::Absolute),
            (b"a//b", InvalidPath::Empty),
            (b"a/", InvalidPath::Empty),
            (b"./a", InvalidPath::Dots),
            (b"a/../b", InvalidPath::Dots),
            (b"..", InvalidPath::Dots),
            (b"a\0b", InvalidPath::Nul),
        ] {
            assert_eq!(RelPath::from_bytes(bytes), Err(why), "{bytes:?}");
        }
        assert!(RelPath::from_bytes(b"..a/...").is_ok());
    }

    #[test]
    fn every_name_survives_its_json_form() {
        for bytes in
            [&b"plain"[..], b"\xff\xfe", b"back\\slash", b"\\x41", b"new\nline", "h\u{e9}".as_bytes()]
        {
            let path = RelPath::from_bytes(bytes).unwrap();
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<RelPath>(&json).unwrap(), path, "{json}");
        }
        for bad in [r"a\", r"a\q", r"a\x4", r"a\xzz", r"a\x4é"] {
            assert_eq!(RelPath::from_json_text(bad), Err(InvalidPath::Escape), "{bad}");
        }
        assert_eq!(RelPath::from_json_text(r"a\x2f\x2e\x2e"), Err(InvalidPath::Dots));
    }

    #[test]
    fn the_place_of_a_root_survives_its_text_form() {
        for bytes in [&b"../a\xff/b"[..], b".", b"../back\\slash"] {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!(path_from_text(&path_to_text(path)).unwrap(), path);
        }
        assert_eq!(path_from_text(""), Err(InvalidPath::Empty));
    }

    #[test]
    fn a_path_is_in_itself_and_in_its_parents_only() {
        let path = RelPath::new("a/bc/d").unwrap();
        assert!(path.is_in(&RelPath::new("a/bc").unwrap()));
        assert!(path.is_in(&path));
        assert!(!path.is_in(&RelPath::new("a/b").unwrap()));
        assert_eq!(path.ancestors().map(|p| p.to_string()).collect::<Vec<_>>(), ["a/bc", "a"]);
    }
}
