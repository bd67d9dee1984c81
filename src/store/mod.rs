//! The store: a directory of restore points. Its format is described in [`FORMAT.md`](mod@format).
//!
//! **Invariants.** What `metadata/` names is complete and was synced before it was named. Only the holder of a
//! [`StoreLock`] changes anything, logs and the cache apart. The lock is the operating system's own: a holder
//! that is killed blocks nobody.

mod catalogue;
mod checksums;
mod executable;
mod guard;
mod info;
mod layout;
mod list;
mod lock;
mod log;
pub(crate) mod nul;
mod scripts;
mod staging;
mod stand;
mod status;
mod summary;
mod trash;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use catalogue::read_manifest;
pub use catalogue::{Catalogue, Listed, Selector};
pub(crate) use checksums::{checksum_list, parse_checksum_list};
pub(crate) use executable::prove_executable;
pub(crate) use info::read_strict;
pub use info::{StoreInfo, serves};
pub(crate) use layout::DIRECTORIES;
pub use layout::{EXECUTABLE, Layout, ROLLBACK_PY, ROLLBACK_SH, STORE_FILE};
pub use lock::{SharedLock, StoreLock, Wait};
pub(crate) use log::Log;
pub(crate) use scripts::{SCRIPTS, Script, Trial};
pub(crate) use staging::{Staging, frame, keep_restore_text, link_newest};
pub(crate) use stand::{Standing, is_store, refuse_cleaned, standing};
pub use status::{Compiled, Drilled, Pin, PointStatus, Validated};
pub use summary::{Head, Summary};
pub use trash::Trashed;

pub use crate::level::{DrillLevel, InvalidLevel};

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::fsx::Fs;
use crate::path::{canonical, clean, path_from_text, path_to_text, relative, show_path};

#[doc = include_str!("FORMAT.md")]
pub mod format {}

/// What `state` says while no rollback is under way.
pub(crate) const STATE_IDLE: &str = "idle\n";

/// An open store.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Layout,
    fs: Fs,
    root: PathBuf,
}

impl Store {
    /// Opens the store at `dir`. The workspace is where the store says, unless `root` says otherwise.
    ///
    /// # Errors
    /// Kind `NoStore` where `dir` is none or is newer than this version; `Io` where it cannot be read.
    pub fn open(dir: &Path, root: Option<&Path>, fs: &Fs) -> Result<Store> {
        let layout = Layout::new(canonical(dir).map_err(|e| {
            match e.io_error().map(io::Error::kind) {
                Some(io::ErrorKind::PermissionDenied) => e,
                _ => Error::new(ErrorKind::NoStore, format!("there is no store at `{}`", show_path(dir)))
                    .with_source(e)
                    .with_help(
                        "make a restore point with `backup`, or name the store's directory: --store DIR",
                    ),
            }
        })?);
        if !layout.dir().is_dir() {
            return Err(no_directory(dir));
        }
        let info = info::read(&layout)?;
        let root = match root {
            Some(root) => canonical(root)?,
            None if info.root.is_empty() => {
                return Err(Error::new(
                    ErrorKind::NoStore,
                    format!(
                        "`{}` is damaged or lost, and only it says where the workspace is",
                        show_path(&layout.store_file())
                    ),
                )
                .with_help(
                    "name the workspace with --manifest-path DIR/Cargo.toml; the file need not exist",
                ));
            }
            None => {
                let recorded = unescape_root(&info.root)?;
                let joined = layout.dir().join(&recorded);
                // The workspace itself may have been moved away from an outside store; rollback then says so.
                canonical(&joined).map_err(|e| {
                    e.with_kind(ErrorKind::Workspace).with_help(
                        "name the workspace with --manifest-path DIR/Cargo.toml; the file need not exist",
                    )
                })?
            }
        };
        let store = Store { layout, fs: fs.clone(), root };
        store.refuse_unknown_state()?;
        Ok(store)
    }

    /// Whether a rollback was interrupted has to be known before anything is said of the store.
    fn refuse_unknown_state(&self) -> Result<()> {
        for path in [self.layout.journal(), self.layout.state()] {
            let Err(e) = crate::fsx::open_plain(&path) else { continue };
            if e.kind() == io::ErrorKind::PermissionDenied {
                // Either the file itself is closed or the directory that it lies in.
                let closed =
                    if path.symlink_metadata().is_ok() { path.clone() } else { self.layout.rollback_dir() };
                let command = format!("chmod u+rwX {}", crate::quote::shell_word(closed.as_os_str()));
                return Err(Error::io("read", &path, e).with_help(format!(
                    "whether a rollback was interrupted is told there; make it readable: `{command}`"
                )));
            }
        }
        Ok(())
    }

    /// Opens the store at `dir`, or makes it where there is nothing or an empty directory. What a sweep left of one
    /// is made a store again. Says whether it made a new one.
    ///
    /// # Errors
    /// Kind `Usage` where something stands there that is no store, or in a directory that `cargo clean` removes; `Io`
    /// where it cannot be looked at.
    pub fn open_or_create(dir: &Path, root: &Path, fs: &Fs) -> Result<(Store, bool)> {
        let layout = Layout::new(dir);
        refuse_cleaned(dir, root, &[])?;
        let is_store = match standing(dir) {
            Standing::Closed(e) => return Err(e),
            Standing::Swept => {
                let dir = canonical(dir)?;
                build(&dir, &dir, root, fs)?;
                return Ok((Store::open(&dir, Some(root), fs)?, false));
            }
            Standing::Store => true,
            Standing::Other => layout.store_file().exists(),
        };
        if is_store {
            refuse_anothers(&layout, root)?;
            return Ok((Store::open(dir, Some(root), fs)?, false));
        }
        match std::fs::read_dir(dir) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(Error::new(
                        ErrorKind::Usage,
                        format!("`{}` is no store of restore points, and not empty", show_path(dir)),
                    )
                    .with_help(
                        "keep the store elsewhere: `store = \"restore-points\"` in [workspace.metadata.backstop], \
                         or --store DIR",
                    ));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Err(no_directory(dir)),
            Err(e) => return Err(Error::io("read directory", dir, e)),
        }
        // An empty directory that a link leads to is filled where it is.
        let real = if dir.is_symlink() { Some(canonical(dir)?) } else { None };
        let dir = real.as_deref().unwrap_or(dir);
        let parent = dir.parent().unwrap_or(Path::new("/"));
        fs.create_dir_all(parent, 0o700).during("create directory", parent)?;
        let parent = canonical(parent)?;
        let dir = parent.join(dir.file_name().unwrap_or_default());
        let created = create(&parent, &dir, root, fs)?;
        Ok((Store::open(&dir, Some(root), fs)?, created))
    }

    /// Takes away a store that holds nothing yet.
    ///
    /// # Errors
    /// Kind `Io`.
    pub fn remove_new(self) -> Result<()> {
        self.fs.remove_tree(self.layout.dir()).during("remove", self.layout.dir())
    }

    /// Where everything stands.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The workspace root, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file-system layer.
    pub fn fs(&self) -> &Fs {
        &self.fs
    }

    /// `store.json` as it is now.
    ///
    /// # Errors
    /// Kind `NoStore` where it is not readable as one.
    pub fn info(&self) -> Result<StoreInfo> {
        let mut info = info::read(&self.layout)?;
        // Lost, or the workspace was moved and named anew.
        if info.root.is_empty() || info::recorded_root(&self.layout).is_none() {
            info.root = path_to_text(&relative(self.layout.dir(), &self.root));
        }
        Ok(info)
    }

    /// The directory where a root of a manifest lies now.
    ///
    /// # Errors
    /// Kind `Damaged` where the manifest's text for it is malformed.
    pub fn root_directory(&self, root: &crate::manifest::Root) -> Result<PathBuf> {
        if root.name.is_workspace() {
            return Ok(self.root.clone());
        }
        Ok(clean(&self.root.join(unescape_root(&root.path)?)))
    }

    /// An error of kind `CutOff` where a rollback was begun and has not ended.
    ///
    /// # Errors
    /// Just that one.
    pub fn refuse_cut_off(&self) -> Result<()> {
        if !self.is_cut_off() {
            return Ok(());
        }
        let executable = self.layout.executable();
        Err(Error::new(
            ErrorKind::CutOff,
            "a rollback was interrupted, and the workspace is partly rolled back",
        )
        .with_help(format!(
            "finish it, or take it back:\n        {exe} rollback --resume\n        {exe} rollback --abort",
            exe = show_path(&executable)
        )))
    }

    /// Whether a rollback was begun and has not ended.
    pub fn is_cut_off(&self) -> bool {
        self.layout.journal().exists()
    }
}

/// A store outside serves one workspace: two clones that share one would roll each other back. One whose workspace
/// is missing was moved along with it, or away from it.
fn refuse_anothers(layout: &Layout, root: &Path) -> Result<()> {
    match info::recorded_root(layout) {
        Some(recorded) if recorded != root => Err(Error::new(
            ErrorKind::Usage,
            format!("the store `{}` is that of the workspace `{}`", show_path(layout.dir()), show_path(&recorded)),
        )
        .with_help("give this workspace a store of its own: --store DIR, or `store` in [workspace.metadata.backstop]")),
        _ => Ok(()),
    }
}

fn no_directory(dir: &Path) -> Error {
    Error::new(ErrorKind::Usage, format!("`{}` is a file; a store is a directory", show_path(dir)))
        .with_help("name another place: `store = \"…\"` in [workspace.metadata.backstop], or --store DIR")
}

/// Reads the recorded path of a root.
pub(crate) fn unescape_root(text: &str) -> Result<PathBuf> {
    path_from_text(text).map_err(|e| {
        Error::new(ErrorKind::Damaged, "the recorded path of a root is malformed").with_source(e)
    })
}

/// Builds a store beside its place and renames it there, so that a cut leaves no half store. Gives `false` where
/// somebody else was faster.
fn create(parent: &Path, dir: &Path, root: &Path, fs: &Fs) -> Result<bool> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let prefix = format!(".{name}.new.");
    let building = new_sibling(parent, &prefix, fs)?;
    let built = build(&building, dir, root, fs)
        .and_then(|()| fs.rename(&building, dir).during("create directory", dir));
    let created = match built {
        Ok(()) => true,
        // Another run was faster: it has made the store, and maybe swept this attempt.
        Err(_) if Layout::new(dir).store_file().exists() => {
            let _ = fs.remove_tree(&building);
            false
        }
        Err(e) => {
            let _ = fs.remove_tree(&building);
            return Err(e);
        }
    };
    // What a killed run left of its own attempt. A run that is still at it finds the store made.
    for entry in std::fs::read_dir(parent).during("read directory", parent)?.flatten() {
        let name = entry.file_name();
        let attempt = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        if attempt.is_some_and(is_attempt) && is_unfinished_store(&entry.path()) {
            let _ = fs.remove_tree(&entry.path());
        }
    }
    fs.barrier(dir).during("sync", dir)?;
    Ok(created)
}

/// Makes a directory `PREFIX PID.N` that nothing had the name of: what stands there already is somebody's own.
fn new_sibling(parent: &Path, prefix: &str, fs: &Fs) -> Result<PathBuf> {
    static ATTEMPT: AtomicU32 = AtomicU32::new(0);
    loop {
        let attempt = ATTEMPT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{prefix}{}.{attempt}", std::process::id()));
        match fs.create_dir(&path, 0o700) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.during("create directory", &path).map(|()| path),
        }
    }
}

/// Whether the end of a name is what [`new_sibling`] gives: two numbers.
fn is_attempt(end: &str) -> bool {
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    end.split_once('.').is_some_and(|(pid, attempt)| is_number(pid) && is_number(attempt))
}

/// Whether a directory holds nothing but what [`build`] puts there: empty directories of a store, and its first files
/// as they are written.
fn is_unfinished_store(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    !dir.is_symlink()
        && entries.into_iter().all(|entry| {
            let Ok(entry) = entry else { return false };
            let Ok(kind) = entry.file_type() else { return false };
            let name = entry.file_name();
            let Some(name) = name.to_str() else { return false };
            if kind.is_dir() {
                let is_empty = || std::fs::read_dir(entry.path()).is_ok_and(|mut e| e.next().is_none());
                return DIRECTORIES.contains(&name) && is_empty();
            }
            let file = name.strip_prefix('.').and_then(|n| n.strip_suffix(".new")).unwrap_or(name);
            let is_start_of = |whole: &[u8]| std::fs::read(entry.path()).is_ok_and(|b| whole.starts_with(&b));
            kind.is_file()
                && match file {
                    ".gitignore" => is_start_of(IGNORE_ALL),
                    "state" => is_start_of(STATE_IDLE.as_bytes()),
                    STORE_FILE => info::is_start_of_new(&entry.path()),
                    _ => false,
                }
        })
}

/// A store's `.gitignore`.
const IGNORE_ALL: &[u8] = b"*\n";

/// Makes what every store has in a directory that is new or was swept, and that will stand at `dir`. Nothing is
/// visible to git before it is ignored.
fn build(building: &Path, dir: &Path, root: &Path, fs: &Fs) -> Result<()> {
    let layout = Layout::new(building);
    keep_frame(&layout, fs)?;
    fs.replace_file(&layout.state(), STATE_IDLE.as_bytes(), 0o600).during("write", layout.state())?;
    let info = StoreInfo::new(path_to_text(&relative(dir, root)))?;
    info::write(fs, &layout, &info)?;
    fs.barrier(building).during("sync", building)
}

/// Makes the store's `.gitignore` and its directories where they are missing.
fn keep_frame(layout: &Layout, fs: &Fs) -> Result<()> {
    let ignore = layout.dir().join(".gitignore");
    if ignore.symlink_metadata().is_err() {
        fs.replace_file(&ignore, IGNORE_ALL, 0o600).during("write", &ignore)?;
    }
    for path in DIRECTORIES.map(|name| layout.dir().join(name)) {
        if path.symlink_metadata().is_err() {
            fs.create_dir(&path, 0o700).during("create directory", &path)?;
        }
    }
    stand::refuse_links(layout)
}

/// Writes a new read-only file of the store, in place of one that a run left behind.
pub(crate) fn write_private(fs: &Fs, path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    fs.remove_file_if_there(path).during("remove", path)?;
    let mut file = fs.create_file(path).during("create", path)?;
    file.write_all(bytes).during("write", path)?;
    file.set_mode(crate::manifest::Mode::new(0o400)).during("change the mode of", path)
}

/// Where a repair writes a new file before it gets its place.
pub(crate) fn temporary_place(store: &Store, name: &str) -> Result<PathBuf> {
    let dir = store.layout().repairing();
    store.fs().create_dir_all(&dir, 0o700).during("create directory", &dir)?;
    Ok(dir.join(name))
}

/// Bytes that the store's file system has room for; no limit where that cannot be said.
pub(crate) fn room(store: &Store) -> u64 {
    rustix::fs::statvfs(store.layout().dir())
        .map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether a file may be executed by somebody.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|m| crate::manifest::Mode::new(m.mode()).is_executable())
}
