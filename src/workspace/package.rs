//! A package whose sources are local.

use std::path::PathBuf;

/// A package whose sources are local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPackage {
    /// Its name in its manifest.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The oldest toolchain that it is for, as its manifest says.
    pub rust_version: Option<String>,
    /// Its directory, without symbolic links.
    pub directory: PathBuf,
    /// Its directory as cargo names it: maybe through links.
    pub listed: PathBuf,
    /// The source files that its targets start at, absolute.
    pub crate_roots: Vec<PathBuf>,
    /// The names of its targets, as cargo gives them.
    pub targets: Vec<String>,
    /// Its readme and licence file, absolute; maybe outside its directory, maybe missing.
    pub files: Vec<PathBuf>,
    /// Whether it is a member of the workspace; otherwise a path dependency.
    pub member: bool,
}

impl LocalPackage {
    /// Whether it has a build script: cargo calls that target `build-script-NAME`.
    pub(crate) fn has_build_script(&self) -> bool {
        self.targets.iter().any(|name| name.starts_with("build-script-"))
    }
}
