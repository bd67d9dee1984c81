//! The file `guard` of a store: what the build's guard knows of it. The engine writes it and the guard reads it,
//! without any dependency. Lines of words; `FORMAT.md` describes them.

use crate::level::DrillLevel;

/// What the file says. Paths are relative to the workspace root, unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GuardFile {
    /// The workspace root, relative to the store.
    pub(crate) root: String,
    /// The store.
    pub(crate) store: String,
    /// The newest restore point that no rollback made.
    pub(crate) point: Option<Point>,
    /// The packages that it holds.
    pub(crate) packages: Vec<Held>,
    /// The directories of the packages that the xtask is built from.
    pub(crate) xtask: Vec<String>,
}

/// A restore point. Instants are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Point {
    /// `LABEL_backup_TIMESTAMP`.
    pub(crate) backup_id: String,
    pub(crate) made: u64,
    /// Whether its last validation passed, and when that was.
    pub(crate) validated: Option<(bool, u64)>,
    /// How far its last drill came (`None` where it failed at the first level), and when that was.
    pub(crate) drilled: Option<(Option<DrillLevel>, u64)>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Held {
    pub(crate) directory: String,
    /// Where its files are, below the session's directory.
    pub(crate) files: String,
    /// What of it the restore point does not hold, relative to its directory.
    pub(crate) left_out: Vec<String>,
}

/// Why a file says nothing.
#[cfg(any(test, feature = "build-script"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is damaged.
    Damaged,
    /// It has a format that is not known here.
    Later,
}

/// How the first line begins; the format follows.
pub(crate) const HEAD: &str = "backstop-guard ";
/// The format that this version writes and reads.
///
/// 1: the first.
pub(crate) const FORMAT: &str = "1";

#[cfg(any(test, feature = "build-script"))]
impl GuardFile {
    /// Reads the file's text. Lines that a later version adds are passed over.
    pub(crate) fn parse(text: &str) -> Result<Self, Unreadable> {
        match text.lines().next().and_then(|line| line.strip_prefix(HEAD)) {
            Some(FORMAT) => GuardFile::body(text).ok_or(Unreadable::Damaged),
            Some(other) if !other.is_empty() => Err(Unreadable::Later),
            _ => Err(Unreadable::Damaged),
        }
    }

    fn body(text: &str) -> Option<Self> {
        let mut file = GuardFile::default();
        for line in text.strip_suffix("\nend\n")?.lines().skip(1) {
            let words = line.split(' ').map(unescape).collect::<Option<Vec<String>>>()?;
            let at = |word: &str| word.parse::<u64>().ok();
            match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["root", way] => file.root = way.into(),
                ["store", way] => file.store = way.into(),
                ["point", id, made] => {
                    file.point = Some(Point { backup_id: id.into(), made: at(made)?, ..Point::default() });
                }
                ["validated", how, when] => {
                    file.point.as_mut()?.validated = Some((how == "passed", at(when)?))
                }
                ["drilled", level, when] => {
                    file.point.as_mut()?.drilled = Some((level.parse().ok(), at(when)?))
                }
                ["package", directory, files] => {
                    file.packages.push(Held {
                        directory: directory.into(),
                        files: files.into(),
                        left_out: Vec::new(),
                    });
                }
                ["left-out", path] => file.packages.last_mut()?.left_out.push(path.into()),
                ["xtask", directory] => file.xtask.push(directory.into()),
                _ => {}
            }
        }
        Some(file)
    }
}

/// Blanks, control characters and backslashes are written `\xHH`, so that each value is one word of one line.
#[cfg(any(test, feature = "build-script"))]
fn unescape(word: &str) -> Option<String> {
    let mut parts = word.split("\\x");
    let mut out = parts.next()?.to_owned();
    for part in parts {
        out.push(char::from(u8::from_str_radix(part.get(..2)?, 16).ok()?));
        out.push_str(&part[2..]);
    }
    Some(out)
}
