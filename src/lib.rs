//! Verified restore points for Cargo workspaces.

#[cfg(feature = "engine")]
mod archive;
#[cfg(feature = "engine")]
pub mod backup;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "engine")]
pub mod clock;
#[cfg(feature = "engine")]
pub mod digest;
#[cfg(feature = "engine")]
mod error;
#[cfg(feature = "engine")]
pub mod event;
#[cfg(feature = "engine")]
pub mod fsx;
#[cfg(feature = "engine")]
pub mod manifest;
#[cfg(feature = "engine")]
mod parallel;
#[cfg(feature = "engine")]
pub mod path;
#[cfg(feature = "engine")]
mod process;
#[cfg(feature = "engine")]
pub mod rollback;
#[cfg(feature = "engine")]
pub mod select;
#[cfg(feature = "engine")]
pub mod store;
#[cfg(feature = "engine")]
pub mod validate;
#[cfg(feature = "engine")]
pub mod workspace;

#[cfg(feature = "engine")]
pub use error::{Error, ErrorKind, Result};
