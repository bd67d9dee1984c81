//! The levels of a drill: for the library and, without any dependency, for the build's guard.

use std::fmt;
use std::str::FromStr;

/// How far a drill came: each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrillLevel {
    /// Every byte was read from the archive and is right.
    Bytes,
    /// What was extracted is what the manifest says.
    Manifest,
    /// cargo resolves the extracted workspace, offline and locked.
    Resolves,
    /// All its targets compile.
    Compiles,
    /// Its tests pass.
    Tests,
}

impl DrillLevel {
    /// All of them, the lowest first.
    pub const ALL: [DrillLevel; 5] = [
        DrillLevel::Bytes,
        DrillLevel::Manifest,
        DrillLevel::Resolves,
        DrillLevel::Compiles,
        DrillLevel::Tests,
    ];

    /// Its name, in reports and on disk.
    pub fn name(self) -> &'static str {
        match self {
            DrillLevel::Bytes => "bytes",
            DrillLevel::Manifest => "manifest",
            DrillLevel::Resolves => "resolves",
            DrillLevel::Compiles => "compiles",
            DrillLevel::Tests => "tests",
        }
    }
}

impl fmt::Display for DrillLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no level of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidLevel;

impl fmt::Display for InvalidLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not one of bytes, manifest, resolves, compiles, tests")
    }
}

impl std::error::Error for InvalidLevel {}

impl FromStr for DrillLevel {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        DrillLevel::ALL.into_iter().find(|level| level.name() == text).ok_or(InvalidLevel)
    }
}
