//! The manifest: what a restore point holds. Values only; the format is described in `src/store/FORMAT.md`.

mod attributes;
mod fault;
mod lines;
mod members;
mod names;
mod rooted;
mod scope;
mod sums;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::Mtime;
use crate::digest::Digest;
use crate::order;
use crate::path::{LinkTarget, RelPath, path_from_text};
pub use attributes::Attributes;
pub(crate) use fault::fault;
use lines::LineFormatter;
pub use members::MemberGlobs;
pub use names::{Id, InvalidId, Label, Mode, PRE_ROLLBACK};
pub(crate) use rooted::shown;
pub use rooted::{RootName, RootedPath};
pub use scope::{Checkout, Origin, Pattern, Place, Repository, Scope};
pub(crate) use sums::kind_fields;
pub use sums::{root_hash, totals};

/// The version of the on-disk format that this library writes, and the newest that it reads.
///
/// 1: the first.
pub const FORMAT: u32 = 1;

/// The manifest's name in a session directory and in the archive.
pub const MANIFEST_FILE: &str = "backup_manifest.json";

/// A directory whose files a restore point holds: the workspace, or a package outside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Root {
    /// Empty for the workspace; otherwise the name below `outside/`, made of the directory's.
    pub name: RootName,
    /// Where it lies, relative to the workspace root (`.` for the workspace); escaped as a path is.
    pub path: String,
}

/// A package of the workspace, or a path dependency outside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Package {
    /// Its name in its manifest.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The root that it lies in.
    #[serde(default, skip_serializing_if = "RootName::is_workspace")]
    pub root: RootName,
    /// Its directory below the root; absent where it is the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<RelPath>,
    /// The source files that its targets start at, `build.rs` among them, below the root.
    #[serde(default)]
    pub crate_roots: Vec<RelPath>,
}

/// Why a file is protected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Reason {
    /// It lies in the directory of a workspace member.
    Member,
    /// It lies in the directory of a path dependency that is no member.
    PathDependency,
    /// It stands at the workspace root and steers the build, or is a plain file there.
    WorkspaceFile,
    /// The settings' `scope = "workspace"` takes all that git does not ignore.
    Scope,
    /// Git tracks it, although a rule ignores it or it lies in a target directory.
    Tracked,
    /// An `include` pattern of the settings names it.
    Include(String),
    /// A package's `readme` or `license-file` names it.
    PackageFile,
    /// rustc read it, as a dep-info file of a target directory says.
    CompilerRead,
    /// A build script read it, as its `rerun-if-changed` says.
    BuildScriptRead,
    /// It is a directory above a protected file, or a link that leads to a package.
    Parent,
    /// A rollback found it in its scope and kept it in the restore point of the present.
    Present,
}

/// What stands at a path, without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; never followed.
    Symlink,
}

/// What kind of thing an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Kind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Lines, as [`crate::digest::Measure::finish`] counts them.
        lines: u64,
        /// The content's digest.
        sha256: Digest,
    },
    /// A directory.
    Directory,
    /// A symbolic link; never followed.
    Symlink {
        /// What it points at.
        target: LinkTarget,
    },
}

impl Kind {
    /// Without what it holds.
    pub fn file_kind(&self) -> FileKind {
        match self {
            Kind::File { .. } => FileKind::File,
            Kind::Directory => FileKind::Directory,
            Kind::Symlink { .. } => FileKind::Symlink,
        }
    }
}

/// One protected file, directory or symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Entry {
    /// The root that it lies in.
    #[serde(default, skip_serializing_if = "RootName::is_workspace")]
    pub root: RootName,
    /// Where it lies below its root.
    pub path: RelPath,
    /// What it is, and what it holds.
    #[serde(flatten)]
    pub kind: Kind,
    /// What it has beside that.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// Its modification time in the workspace; kept as data, and given back only to restores elsewhere.
    pub mtime: Mtime,
    /// The package that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Why it is protected.
    pub reasons: Vec<Reason>,
}

impl Entry {
    /// How it stands to `path` of `root` in the order of entries: by root, then by path, bytewise.
    pub fn cmp_place(&self, root: &RootName, path: &RelPath) -> Ordering {
        self.root.cmp(root).then_with(|| self.path.cmp(path))
    }

    /// Where it lies.
    pub fn place(&self) -> RootedPath {
        RootedPath::new(&self.root, &self.path)
    }

    /// Its permission bits in the workspace. 0777 for a symbolic link.
    pub fn mode(&self) -> Mode {
        self.attributes.mode
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }

    /// Size in bytes; 0 for what is not a regular file.
    pub fn size(&self) -> u64 {
        if let Kind::File { size, .. } = self.kind { size } else { 0 }
    }

    /// The content's digest, of a regular file.
    pub fn sha256(&self) -> Option<Digest> {
        if let Kind::File { sha256, .. } = self.kind { Some(sha256) } else { None }
    }

    /// The path below a session directory and in the archive: `files/…`, or `outside/ROOT/…`.
    pub fn stored_path(&self) -> RelPath {
        stored_path(&self.root, &self.path)
    }

    /// The path as it is shown: below the workspace root, or `ROOT:path` outside it.
    pub fn shown(&self) -> String {
        shown(&self.root, &self.path)
    }
}

/// See [`Entry::stored_path`].
pub(crate) fn stored_path(root: &RootName, path: &RelPath) -> RelPath {
    let mut bytes =
        if root.is_workspace() { b"files/".to_vec() } else { format!("outside/{root}/").into_bytes() };
    bytes.extend_from_slice(path.as_bytes());
    RelPath::from_bytes(&bytes).unwrap_or_else(|_| path.clone())
}

/// Sums over the entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Lines in them.
    pub lines: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Packages.
    pub packages: u64,
}

/// Where git stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GitState {
    /// The commit; absent before the first.
    pub head: Option<String>,
    /// The branch; absent on a detached head.
    pub branch: Option<String>,
    /// Whether tracked files differed from the commit; absent where it was not found out.
    pub dirty: Option<bool>,
}

/// The archive of a restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ArchiveInfo {
    /// Its file name below `archives/`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Its gzip members in order. The last holds the manifest itself.
    pub members: Vec<Member>,
}

/// One gzip member of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Member {
    /// Where its compressed bytes start in the archive.
    pub offset: u64,
    /// How many compressed bytes it has.
    pub size: u64,
    /// The digest of its compressed bytes.
    pub sha256: Digest,
    /// The index of its first entry in the manifest's `entries`.
    pub first: usize,
    /// How many entries it holds.
    pub entries: usize,
}

/// What a restore point holds, and how it came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Manifest {
    /// The format's version: [`FORMAT`].
    pub format: u32,
    /// `LABEL_backup_TIMESTAMP`.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::BackupId"))]
    pub backup_id: String,
    /// The timestamp alone.
    pub id: Id,
    /// The label alone.
    pub label: Label,
    /// The exact instant, RFC 3339 with nanoseconds.
    #[cfg_attr(test, schemars(with = "crate::cli::schema::Instant"))]
    pub created: String,
    /// What the user said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The restore point that unchanged files were linked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Id>,
    /// Versions of the tools: `backstop`, `cargo`, `rustc`, `git`.
    pub tools: BTreeMap<String, String>,
    /// Where git stood; absent without git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitState>,
    /// The hash over all entries: see [`root_hash`].
    pub root_hash: Digest,
    /// Sums.
    pub totals: Totals,
    /// The directories that the files come from; the workspace first.
    pub roots: Vec<Root>,
    /// The packages.
    pub packages: Vec<Package>,
    /// The directories of the xtask and of the local packages that it is built from, relative to the workspace root and
    /// escaped as a path is; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xtask: Option<Vec<String>>,
    /// What a rollback may touch.
    pub scope: Scope,
    /// How it came about; absent in older ones, which have no [`Manifest::members`] and target directories either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The patterns by which cargo finds members; absent where the root manifest could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<MemberGlobs>,
    /// Where cargo builds: relative to the workspace root, or absolute where that lies outside it; escaped as a
    /// path is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_directories: Vec<String>,
    /// Everything protected, in the order of [`Entry::cmp_place`].
    pub entries: Vec<Entry>,
    /// The archive; absent in the copy that the archive itself holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveInfo>,
}

impl Manifest {
    /// Where cargo builds the workspace at `root`.
    pub(crate) fn target_directories_of(&self, root: &Path) -> impl Iterator<Item = PathBuf> {
        self.target_directories.iter().filter_map(move |text| Some(root.join(path_from_text(text).ok()?)))
    }

    /// When it was begun, in whole seconds since 1970; `None` where [`Manifest::created`] is no instant.
    pub(crate) fn made_at(&self) -> Option<i64> {
        Some(crate::clock::Mtime::from_system(crate::clock::parse_rfc3339(&self.created)?).seconds)
    }

    /// The entry at `path` of `root`.
    pub fn find(&self, root: &RootName, path: &RelPath) -> Option<&Entry> {
        self.index_of(root, path).map(|i| &self.entries[i])
    }

    /// The index in `entries` of what stands at `path` of `root`.
    pub fn index_of(&self, root: &RootName, path: &RelPath) -> Option<usize> {
        self.entries.binary_search_by(|e| e.cmp_place(root, path)).ok()
    }

    /// The workspace, and the roots outside it that hold members: these are the workspace's own as well.
    pub(crate) fn own_roots(&self) -> order::Set<RootName> {
        let members = self.entries.iter().filter(|e| e.reasons.contains(&Reason::Member));
        order::gather(members.map(|e| e.root.clone()).chain([RootName::Workspace]))
    }

    /// Whether anything below directory `path` of `root` is an entry.
    pub(crate) fn holds_below(&self, root: &RootName, path: &RelPath) -> bool {
        let prefix = [path.as_bytes(), b"/"].concat();
        let from = self.entries.partition_point(|e| (&e.root, e.path.as_bytes()) < (root, &prefix));
        self.entries.get(from).is_some_and(|e| e.root == *root && e.path.as_bytes().starts_with(&prefix))
    }

    /// The JSON text, one entry a line, with a newline at its end.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.entries.len() * 256);
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, LineFormatter::default());
        // Writing to memory cannot fail, and no map of the manifest has keys that are not strings.
        let _ = self.serialize(&mut serializer);
        out.push(b'\n');
        out
    }

    /// Whether a rollback made it of the present; `latest` passes over those.
    pub fn is_pre_rollback(&self) -> bool {
        self.label.as_str() == PRE_ROLLBACK
    }
}

/// `LABEL_backup_TIMESTAMP`.
pub fn backup_id(label: &Label, id: &Id) -> String {
    format!("{label}_backup_{id}")
}

/// The name of an archive below `archives/`.
pub(crate) fn archive_name(label: &Label, id: &Id) -> String {
    format!("{}.tar.gz", backup_id(label, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_content_kind_mode_or_place_changes_the_root_hash() {
        let entry = |root: &str, path: &str, mode: u32, text: &str| Entry {
            root: root.into(),
            path: RelPath::new(path).unwrap(),
            kind: Kind::File { size: text.len() as u64, lines: 0, sha256: Digest::of(text.as_bytes()) },
            attributes: Mode::new(mode).into(),
            mtime: Mtime { seconds: 1, nanos: 0 },
            package: None,
            reasons: vec![Reason::Member],
        };
        let base = root_hash(&[entry("", "a", 0o644, "x")]);
        let touched = Entry { mtime: Mtime { seconds: 2, nanos: 0 }, ..entry("", "a", 0o644, "x") };
        assert_eq!(root_hash(&[touched]), base);
        let link =
            Entry { kind: Kind::Symlink { target: LinkTarget::new("x") }, ..entry("", "a", 0o644, "x") };
        for other in [
            entry("", "a", 0o755, "x"),
            entry("", "a", 0o644, "y"),
            entry("", "b", 0o644, "x"),
            entry("o", "a", 0o644, "x"),
            link,
        ] {
            assert_ne!(root_hash(std::slice::from_ref(&other)), base, "{other:?}");
        }
    }
}
