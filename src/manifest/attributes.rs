//! What a file has beside its content.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Mode;

/// What a file has beside its content, and gets back. It is read by [`Cursor::look`], given by
/// `FileWriter::finish` and [`Tree::set_attributes`]. The manifest has its fields, the root hash and the journal have it
/// as one text. Everything else hands it on and compares it as a whole.
///
/// [`Cursor::look`]: crate::fsx::Cursor::look
/// [`Tree::set_attributes`]: crate::fsx::Tree::set_attributes
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Attributes {
    /// The permission bits in the workspace; 0777 for a symbolic link.
    pub mode: Mode,
}

impl From<Mode> for Attributes {
    fn from(mode: Mode) -> Self {
        Attributes { mode }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.mode, f)
    }
}

impl FromStr for Attributes {
    type Err = <Mode as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Mode>().map(Self::from)
    }
}
