//! What a file has beside its content.

use serde::{Deserialize, Serialize};

use super::Mode;

/// What a file has beside its content, and gets back. It is read by [`Cursor::look`], given by
/// [`FileWriter::finish`] and [`Tree::set_attributes`], and written down by the manifest, its root hash and the journal;
/// everything else hands it on and compares it as a whole.
///
/// [`Cursor::look`]: crate::fsx::Cursor::look
/// [`FileWriter::finish`]: crate::fsx::FileWriter::finish
/// [`Tree::set_attributes`]: crate::fsx::Tree::set_attributes
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The permission bits in the workspace; 0777 for a symbolic link.
    pub mode: Mode,
}

impl From<Mode> for Attributes {
    fn from(mode: Mode) -> Self {
        Attributes { mode }
    }
}
