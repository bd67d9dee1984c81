//! Entries ⇄ a deterministic `.tar.gz`.
//!
//! The tar stream is cut at entry boundaries into groups of about 256 KiB, and each group is a gzip member
//! of its own: any tar reads the whole, and one file is read without the rest. The last member holds the manifest.

mod member;
mod read_back;
mod reader;
mod salvage;
mod survey;
mod write;

pub(crate) use member::Section;
pub(crate) use read_back::read_back;
pub(crate) use reader::{Fault, Reader, member_is_right};
pub(crate) use salvage::salvageable;
pub(crate) use survey::{Flaw, survey};
pub(crate) use write::{MemberWriter, groups};
