//! The executable in `scripts/`: a rollback that needs no Cargo, no xtask and no toolchain.

use std::ffi::OsStr;
use std::path::Path;

use super::scripts::Trial;
use super::{EXECUTABLE, Store, StoreLock};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{Id, Mode};
use crate::path::show_text;

/// Runs `executable` for a dry run of a rollback to `id`. Where that fails and it shows the restore point all the same,
/// it works: what stands in the workspace today is no fault of the restore point or of the executable.
pub(crate) fn prove_executable(store: &Store, executable: &Path, id: &Id) -> Trial {
    match ask(store, executable, &["rollback", "-t", id.as_str(), "--dry-run"], "a dry run") {
        Ok(()) => Trial::Proven,
        Err(problem) => match ask(store, executable, &["show", id.as_str()], "showing a restore point") {
            Ok(()) => Trial::Untried(format!("it {problem}")),
            Err(problem) => Trial::Failed(problem),
        },
    }
}

/// Runs `executable` on this store, for `what`. The error is a sentence's end.
fn ask(store: &Store, executable: &Path, command: &[&str], what: &str) -> Result<(), String> {
    let dir = store.layout().dir();
    let root = store.root().join("Cargo.toml");
    let mut args: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
    args.extend(["--quiet", "--store"].map(OsStr::new));
    args.extend([dir.as_os_str(), OsStr::new("--manifest-path"), root.as_os_str()]);
    match crate::process::tool(executable.as_os_str(), dir, &args) {
        Ok(answer) if answer.ok => Ok(()),
        Ok(answer) => {
            let first = answer.stderr.lines().next().unwrap_or("it says nothing").to_owned();
            Err(format!("fails at {what}: {}", show_text(&first)))
        }
        Err(e) => {
            let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
            Err(format!("does not run: {}", show_text(&cause)))
        }
    }
}

impl StoreLock<'_> {
    /// Copies the running executable to `scripts/`, where it is not there already. The copy has to show restore point
    /// `id` before it takes the place of the last good one; a dry run is for who validates. Says whether it was
    /// copied.
    ///
    /// # Errors
    /// Kind `Io` where it cannot be copied or does not prove itself; the last good one then stays.
    pub fn keep_executable(&self, running: &Path, id: &Id) -> Result<bool> {
        let store = self.store();
        let (layout, fs) = (store.layout(), store.fs());
        let bytes = std::fs::read(running).during("read", running)?;
        let digest = Digest::of(&bytes);
        let path = layout.executable();
        let recorded = store.info()?.scripts.get(EXECUTABLE).copied();
        if recorded == Some(digest) && crate::fsx::read_plain(&path).is_ok_and(|found| found == bytes) {
            if !super::is_executable(&path) {
                fs.set_mode(&path, Mode::new(0o500)).during("change the mode of", &path)?;
            }
            return Ok(false);
        }
        let prove = |new: &Path| {
            ask(store, new, &["show", id.as_str()], "showing a restore point").map_err(|problem| {
                Error::new(ErrorKind::Io, format!("the copy of this executable {problem}")).with_help(
                    "is the store on a file system mounted `noexec`? keep it elsewhere: --store DIR",
                )
            })
        };
        self.keep_in_scripts(EXECUTABLE, &bytes, digest, prove)?;
        Ok(true)
    }

    /// Puts a new file into `scripts/`, once it has proven itself under another name, and records its digest.
    pub(super) fn keep_in_scripts(
        &self,
        name: &str,
        bytes: &[u8],
        digest: Digest,
        prove: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let (layout, fs) = (self.store().layout(), self.store().fs());
        let path = layout.scripts().join(name);
        let new = crate::fsx::temporary_sibling(&path);
        let good = super::write_private(fs, &new, bytes)
            .and_then(|()| fs.set_mode(&new, Mode::new(0o500)).during("change the mode of", &new))
            .and_then(|()| prove(&new));
        if let Err(e) = good {
            let _ = fs.remove_file(&new);
            return Err(e);
        }
        fs.sync(&new).during("sync", &new)?;
        fs.rename(&new, &path).during("rename into place", &path)?;
        fs.sync(&layout.scripts()).during("sync", layout.scripts())?;
        self.update_info(|info| {
            info.scripts.insert(name.into(), digest);
        })
    }
}
