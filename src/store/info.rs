//! `store.json`: what a store knows of itself. Restore points do not depend on it: where it is damaged or lost they
//! are read all the same, and the next writer makes it anew.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Layout;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::fsx::Fs;
use crate::manifest::{FORMAT, Id};
use crate::path::show_path;

/// `store.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreInfo {
    /// The format's version; its name is what marks a store.
    pub backstop_store: u32,
    /// A random number that tells stores apart, 32 hexadecimal digits.
    pub store_id: String,
    /// The newest id that was ever given; survives a prune.
    pub last_id: Option<Id>,
    /// The id of a restore point that is being made. One that stands here while nobody holds the store was cut
    /// off; the next writer completes or sweeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Id>,
    /// The workspace root, relative to the store; escaped as a path is.
    pub root: String,
    /// The digests of what stands in `scripts/`, by name.
    pub scripts: BTreeMap<String, Digest>,
}

impl StoreInfo {
    /// That of a new store, or of one whose `store.json` is lost: `root` is empty where it is not known.
    pub(super) fn new(root: String) -> Result<Self> {
        Ok(StoreInfo {
            backstop_store: FORMAT,
            store_id: random_id()?,
            last_id: None,
            pending: None,
            root,
            scripts: BTreeMap::new(),
        })
    }
}

/// Whether the store at `dir` is that of the workspace at `root`. `None` where its `store.json` cannot say.
pub fn serves(dir: &Path, root: &Path) -> Option<bool> {
    let recorded = recorded_root(&Layout::new(dir))?;
    Some(crate::path::canonical(root).is_ok_and(|root| root == recorded))
}

/// The workspace root that a store records, where it exists.
pub(super) fn recorded_root(layout: &Layout) -> Option<std::path::PathBuf> {
    let info = read_strict(layout).ok()?;
    let way = crate::path::path_from_text(&info.root).ok()?;
    let dir = crate::path::canonical(layout.dir()).ok()?;
    crate::path::canonical(&dir.join(way)).ok()
}

/// What no other directory has side by side.
pub(super) fn looks_like_store(layout: &Layout) -> bool {
    layout.metadata_dir().is_dir() && layout.rollback_dir().is_dir() && layout.state().is_file()
}

/// `store.json`, or what can be said without it.
pub(super) fn read(layout: &Layout) -> Result<StoreInfo> {
    match read_strict(layout) {
        Err((Unreadable::Lost, _)) if looks_like_store(layout) => StoreInfo::new(String::new()),
        other => other.map_err(|(_, e)| e),
    }
}

/// Why `store.json` is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is missing or damaged.
    Lost,
    /// It is whole, and not for this version, or no store's.
    Foreign,
    /// It may be there, and this user may not look, or the system cannot.
    Closed,
}

/// `store.json` itself.
pub(crate) fn read_strict(layout: &Layout) -> Result<StoreInfo, (Unreadable, Error)> {
    let path = layout.store_file();
    let none = |text: String| Error::new(ErrorKind::NoStore, text);
    let lost = |e: Error| {
        let help = "the restore points are plain files all the same: session_*/files/, and archives/*.tar.gz for tar";
        (Unreadable::Lost, e.with_help(help))
    };
    let bytes = crate::fsx::read_plain(&path).map_err(|e| match e.kind() {
        // InvalidInput: something else stands there.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            lost(none(format!("there is no store at `{}`", show_path(layout.dir()))).with_source(e))
        }
        _ => (Unreadable::Closed, closed(layout.dir(), e)),
    })?;
    let value: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|e| lost(none(format!("`{}` does not parse", show_path(&path))).with_source(e)))?;
    match value.get("backstop_store").and_then(serde_json::Value::as_u64) {
        None => return Err((Unreadable::Foreign, none(format!("`{}` is not backstop's", show_path(&path))))),
        Some(v) if v > u64::from(FORMAT) => {
            let e = none(format!("`{}` has format {v}; this version reads {FORMAT}", show_path(&path)))
                .with_help("use the executable in the store's scripts/, or a newer backstop");
            return Err((Unreadable::Foreign, e));
        }
        Some(_) => {}
    }
    serde_json::from_value(value)
        .map_err(|e| lost(none(format!("`{}` is malformed", show_path(&path))).with_source(e)))
}

/// A place that cannot be looked at is called that, and not empty.
fn closed(dir: &Path, cause: io::Error) -> Error {
    let error = Error::new(
        ErrorKind::Io,
        format!("`{}` cannot be read; whether it is a store is not known", show_path(dir)),
    );
    let owner = dir.symlink_metadata().map(|meta| meta.uid()).ok();
    let own = rustix::process::geteuid().as_raw();
    match owner.filter(|owner| cause.kind() == io::ErrorKind::PermissionDenied && *owner != own) {
        Some(owner) => {
            let dir = crate::quote::shell_word(dir.as_os_str());
            error
                .with_details([format!("it belongs to user {owner}, and this is user {own}")])
                .with_help(format!("run this as its owner, or make it yours: sudo chown -R {own} {dir}"))
        }
        None => error,
    }
    .with_source(cause)
}

/// Whether a file is the `store.json` of a store that never held anything, or the torn start of one.
pub(super) fn is_start_of_new(path: &Path) -> bool {
    const START: &[u8] = b"{\n  \"backstop_store\": ";
    let Ok(bytes) = crate::fsx::read_plain(path) else { return false };
    match serde_json::from_slice::<StoreInfo>(&bytes) {
        Ok(info) => info.last_id.is_none() && info.pending.is_none(),
        Err(e) => e.is_eof() && (bytes.starts_with(START) || START.starts_with(&bytes)),
    }
}

/// Replaces `store.json`.
pub(crate) fn write(fs: &Fs, layout: &Layout, info: &StoreInfo) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(info)
        .map_err(|e| Error::new(ErrorKind::Io, "failed to write `store.json`").with_source(e))?;
    bytes.push(b'\n');
    let path = layout.store_file();
    fs.replace_file(&path, &bytes, 0o600).during("write", &path)
}

fn random_id() -> Result<String> {
    use std::io::Read;
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut bytes)).during("read", path)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
