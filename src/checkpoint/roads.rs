//! CP002: each road back is missing to its end, in a scratch copy. The newest restore point is restored there, its store
//! is put beside it, files are changed and removed, and the executable, the bash script and the Python script each
//! bring them back; then the copy is held against the manifest.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Checked, Surroundings};
use crate::digest::Digest;
use crate::digest::digest_of;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::fsx::Fs;
use crate::job::Job;
use crate::manifest::{Entry, Kind, Manifest, Mode};
use crate::path::show_path;
use crate::rollback::{Likeness, RollbackOptions, extract};
use crate::store::{EXECUTABLE, Layout, Listed, SCRIPTS, Selector, Store, Trial, write_private};

/// Every so many files are changed, and as many removed.
const EVERY: usize = 7;
/// No rollback of a copy takes so long.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Restores a scratch copy by all three roads. Counts the roads that brought it back exactly.
pub(super) fn restore_by_all(at: &Surroundings<'_>) -> Result<Checked> {
    let catalogue = at.store.catalogue()?;
    let listed = catalogue.select(&Selector::Latest)?;
    let manifest = at.store.manifest(listed)?;
    let mut checked = Checked::counted(0, "roads");
    let store_dir = at.store.layout().dir();
    let scratch = Scratch::prepare(at, listed, &manifest)?;
    for road in roads(at, &mut checked) {
        at.context.interrupt.check()?;
        match scratch.go(&road, at, listed, &manifest)? {
            Ok(_files) => checked.checked += 1,
            Err(problem) => checked.find(format!("scripts/{}", road.name), problem),
        }
    }
    scratch.clear()?;
    let remedy = format!(
        "the next `backup` writes `{}` anew where it is altered; roll back by one of the others until then",
        show_path(&store_dir.join("scripts"))
    );
    Ok(checked.with_remedy(remedy))
}

/// One way to bring a workspace back.
struct Road {
    name: &'static str,
    interpreter: Option<&'static str>,
}

/// The roads that this machine can go. What is missing or altered is found, and not run.
fn roads(at: &Surroundings<'_>, checked: &mut Checked) -> Vec<Road> {
    let scripts = at.store.layout().scripts();
    let mut out = Vec::new();
    let found = |path: &Path| std::fs::read(path).map(|bytes| Digest::of(&bytes));
    let running = at.executable.and_then(|path| found(path).ok());
    // Another build of this program, or a version's script, is as good as this one; it is only not run here.
    let info = at.store.info().ok();
    let is_recorded = |name: &str, digest: Digest| {
        info.as_ref().is_some_and(|info| info.scripts.get(name) == Some(&digest))
    };
    let other = |name: &str| {
        format!("scripts/{name} was not tried: it is another build's; the next `backup` replaces it")
    };
    match found(&scripts.join(EXECUTABLE)) {
        Ok(digest) if Some(digest) == running => out.push(Road { name: EXECUTABLE, interpreter: None }),
        Ok(digest) if is_recorded(EXECUTABLE, digest) => checked.notes.push(other(EXECUTABLE)),
        Ok(_) => checked.find(format!("scripts/{EXECUTABLE}"), "is not the program that runs now"),
        Err(e) => checked.find(format!("scripts/{EXECUTABLE}"), format!("cannot be read: {e}")),
    }
    for script in SCRIPTS {
        match found(&scripts.join(script.name)) {
            Ok(digest) if digest != script.digest() && is_recorded(script.name, digest) => {
                checked.notes.push(other(script.name));
            }
            Ok(digest) if digest != script.digest() => {
                checked.find(format!("scripts/{}", script.name), "is not the script of this program");
            }
            Err(e) => checked.find(format!("scripts/{}", script.name), format!("cannot be read: {e}")),
            Ok(_) => match script.read(at.store, &scripts.join(script.name)) {
                Trial::Proven => out.push(Road { name: script.name, interpreter: Some(script.interpreter) }),
                Trial::Untried(why) => {
                    checked.notes.push(format!("scripts/{} was not tried: {why}", script.name));
                }
                Trial::Failed(problem) => checked.find(format!("scripts/{}", script.name), problem),
            },
        }
    }
    out
}

/// A copy of the workspace, with a store of one restore point in it.
struct Scratch {
    fs: Fs,
    base: Removed,
    workspace: PathBuf,
    store: Layout,
}

impl Scratch {
    fn prepare(at: &Surroundings<'_>, listed: &Listed, manifest: &Manifest) -> Result<Self> {
        let fs = at.store.fs().clone();
        let scratch = crate::drill::outside_all(at.scratch, at.store, manifest)?;
        let prefix = format!("roads-{}-", at.store.info()?.store_id);
        sweep(&fs, &scratch, &prefix)?;
        let base = scratch.join(format!("{prefix}{}", std::process::id()));
        // From here on it is removed whatever happens.
        let base = Removed { fs: fs.clone(), path: base };
        fs.create_dir_all(&base.path, 0o700).during("create directory", &base.path)?;
        let workspace = base.path.join("workspace");
        let options = RollbackOptions::default();
        extract(at.store, listed, &workspace, &options, Likeness::Exact, at.context)?;
        let dir = workspace.join(STORE);
        let (store, _) = Store::open_or_create(&dir, &workspace, &fs)?;
        let out = Scratch { fs, base, workspace, store: store.layout().clone() };
        out.copy_point(at.store.layout(), &store, listed, manifest)?;
        Ok(out)
    }

    /// Copies what belongs to one restore point, and the scripts. Copies, no links: a rollback that went wrong must
    /// not reach the store that it was to prove.
    fn copy_point(&self, from: &Layout, store: &Store, listed: &Listed, manifest: &Manifest) -> Result<()> {
        let (label, id) = (&listed.label, &listed.id);
        let to = &self.store;
        for (from, to) in [
            (from.metadata(label, id), to.metadata(label, id)),
            (from.checksums(label, id), to.checksums(label, id)),
            (from.archive(label, id), to.archive(label, id)),
        ] {
            self.copy(&from, &to, 0o400)?;
        }
        for name in SCRIPTS.iter().map(|s| s.name).chain([EXECUTABLE]) {
            let (from, to) = (from.scripts().join(name), to.scripts().join(name));
            if from.exists() {
                self.copy(&from, &to, 0o500)?;
            }
        }
        let (from, to) = (from.session(id), to.session(id));
        self.fs.create_dir(&to, 0o700).during("create directory", &to)?;
        self.copy(
            &from.join(crate::manifest::MANIFEST_FILE),
            &to.join(crate::manifest::MANIFEST_FILE),
            0o400,
        )?;
        for entry in manifest.entries.iter().filter(|e| e.is_file()) {
            let (from, to) = (from.join(entry.stored_path()), to.join(entry.stored_path()));
            if let Some(parent) = to.parent() {
                self.fs.create_dir_all(parent, 0o700).during("create directory", parent)?;
            }
            self.copy(&from, &to, 0o400)?;
        }
        // Not copied: it says where the workspace lies.
        write_private(&self.fs, &self.store.list(label, id), &store.script_list(manifest)?)
    }

    fn copy(&self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        let mut source = std::fs::File::open(from).during("open", from)?;
        let mut file = self.fs.create_file(to).during("create", to)?;
        std::io::copy(&mut source, &mut file).during("write", to)?;
        file.set_mode(Mode::new(mode)).during("change the mode of", to)
    }

    /// Goes one road to its end. `Err` inside: it did not bring the copy back.
    fn go(
        &self,
        road: &Road,
        at: &Surroundings<'_>,
        listed: &Listed,
        manifest: &Manifest,
    ) -> Result<Result<u64, String>> {
        let broken = self.break_some(manifest)?;
        let path = self.store.scripts().join(road.name);
        let mut args: Vec<OsString> = Vec::new();
        let program = match road.interpreter {
            Some(interpreter) => {
                args.push(path.clone().into());
                OsString::from(interpreter)
            }
            None => path.clone().into(),
        };
        args.extend(["rollback"].iter().filter(|_| road.interpreter.is_none()).map(OsString::from));
        args.extend(["-t", listed.id.as_str(), "--force"].map(OsString::from));
        let env = [("BACKSTOP_STORE", "")].map(|(k, v)| (OsString::from(k), OsString::from(v))).into();
        let job = Job {
            program: &program,
            args: &args,
            directory: OsStr::new("/").as_ref(),
            env: &env,
            without: &[],
            time_limit: Some(TIME_LIMIT),
            progress: |_| None,
        };
        let ended = job.run(at.context.interrupt, at.context.observer, |_| {})?;
        if !ended.ok {
            let said = ended.stderr.into_iter().find(|l| !l.trim().is_empty()).unwrap_or_default();
            return Ok(Err(format!("fails: {}: {}", ended.how, crate::path::show_text(&said))));
        }
        let wrong = self.differing(manifest)?;
        Ok(match wrong.first() {
            None => Ok(broken),
            Some(first) => Err(format!(
                "brought back another tree: {} differ, {first} first",
                crate::event::plural(wrong.len() as u64, "file", "files")
            )),
        })
    }

    /// Changes some files and removes others. Gives how many.
    fn break_some(&self, manifest: &Manifest) -> Result<u64> {
        let files = manifest.entries.iter().filter(|e| e.is_file() && e.root.is_workspace());
        let mut broken = 0;
        for (index, entry) in files.enumerate() {
            let path = self.workspace.join(&entry.path);
            match index % EVERY {
                0 => self.fs.replace_file(&path, b"<<<<<<< broken\n", 0o600).during("write", &path)?,
                1 => self.fs.remove_file(&path).during("remove", &path)?,
                _ => continue,
            }
            broken += 1;
        }
        if broken == 0 {
            return Err(Error::new(ErrorKind::NoRestorePoint, "the newest restore point holds no file"));
        }
        Ok(broken)
    }

    /// The files that are not what the manifest says.
    fn differing(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let entries: Vec<&Entry> = manifest.entries.iter().filter(|e| e.root.is_workspace()).collect();
        let wrong = crate::parallel::map(entries.len(), |i| {
            let (entry, path) = (entries[i], self.workspace.join(&entries[i].path));
            let right = match (path.symlink_metadata(), &entry.kind) {
                (Err(_), _) => false,
                (Ok(meta), Kind::File { size, sha256, .. }) => {
                    use std::os::unix::fs::MetadataExt;
                    let content = std::fs::File::open(&path).and_then(|mut f| digest_of(&mut f, *size));
                    meta.is_file()
                        && Mode::new(meta.mode()) == entry.mode()
                        && content.during("read", &path)? == Some(*sha256)
                }
                (Ok(meta), Kind::Directory) => meta.is_dir(),
                (Ok(_), Kind::Symlink { target }) => {
                    std::fs::read_link(&path).is_ok_and(|t| t.as_os_str() == target.as_os_str())
                }
            };
            Ok((!right).then(|| entry.shown()))
        })?;
        Ok(wrong.into_iter().flatten().collect())
    }

    fn clear(self) -> Result<()> {
        self.fs.remove_tree(&self.base.path).during("remove", &self.base.path)
    }
}

/// A directory that goes when this does.
struct Removed {
    fs: Fs,
    path: PathBuf,
}

impl Drop for Removed {
    fn drop(&mut self) {
        // The error that counts is the one that led here.
        let _ = self.fs.remove_tree(&self.path);
    }
}

/// Removes what processes that are missing have left: a kill leaves a copy.
fn sweep(fs: &Fs, scratch: &Path, prefix: &str) -> Result<()> {
    for entry in std::fs::read_dir(scratch).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse::<i32>().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
        let gone = rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        if gone || pid == rustix::process::getpid() {
            fs.remove_tree(&entry.path()).during("remove", entry.path())?;
        }
    }
    Ok(())
}

/// The store's name in the copy. No package has a directory of that name.
const STORE: &str = ".backstop-store";
