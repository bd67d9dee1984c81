//! What the copy gets of what stands around the workspace: cargo's configuration above it with what that names, a
//! repository whose `HEAD` is the recorded one, and the toolchain. And nothing else: what stands above the scratch
//! directory counts neither for cargo nor for git.
//!
//! **Invariants.** Nothing is written outside the copy, and nothing through a link. The user's repository is read
//! alone: the copy's has a `.git` of its own, which borrows the objects.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::fsx::Fs;
use crate::manifest::GitState;
use crate::path::{RelPath, clean, resolved};
use crate::process;
use crate::workspace::configuration;

/// The variable that ends cargo's search for configurations and manifests above a directory.
const CARGO_STOPS_AT: &str = "__CARGO_TEST_ROOT";
/// The same for git, which does not look into the directory itself.
const GIT_STOPS_AT: &str = "GIT_CEILING_DIRECTORIES";
/// What chooses the toolchain, before every file and setting of rustup's.
const TOOLCHAIN: &str = "RUSTUP_TOOLCHAIN";

/// What counts for the workspace and lies above it.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// Configuration files, and those that they include.
    configurations: Vec<PathBuf>,
    /// What they name by relative paths.
    named: Vec<PathBuf>,
    /// The top of the repository's working tree, and its directory.
    repository: Option<(PathBuf, PathBuf)>,
}

impl Around {
    /// Looks around the workspace at `root`. `cargo_home` holds a configuration that counts everywhere.
    pub(super) fn look(root: &Path, cargo_home: &Path, git: Option<&GitState>) -> Around {
        let mut around = Around::default();
        for file in configuration::files_above(root, cargo_home) {
            let named = file.names_relatively(root).into_iter();
            around.named.extend(named.filter(|path| !path.starts_with(root) && !root.starts_with(path)));
            around.configurations.push(file.path);
        }
        crate::order::sort(&mut around.named);
        around.repository = git.and_then(|_| repository(root));
        around
    }

    /// How many directories above `root` the copy needs, so that all of this stands in it at its place.
    pub(super) fn depth(&self, root: &Path) -> usize {
        let places = self.configurations.iter().filter_map(|file| file.parent()?.parent());
        let named = self.named.iter().filter_map(|path| path.parent());
        let tops = places.chain(named).chain(self.repository.iter().map(|(top, _)| top.as_path()));
        let above = |top: &Path| root.ancestors().take_while(|dir| !top.starts_with(dir)).count();
        tops.map(above).max().unwrap_or(0)
    }

    /// Puts all of it around the copy. `place` says where a path above the workspace stands in the copy; nothing is
    /// put where `occupied` says that a restored root is.
    pub(super) fn put(
        &self,
        fs: &Fs,
        git: Option<&GitState>,
        place: impl Fn(&Path) -> Option<PathBuf>,
        occupied: impl Fn(&Path) -> bool,
    ) -> Result<()> {
        for file in &self.configurations {
            let Some(to) = place(file).filter(|to| !occupied(to)) else { continue };
            let bytes = std::fs::read(file).during("read", file)?;
            write(fs, &to, &bytes)?;
        }
        let mut last: Option<&Path> = None;
        for named in &self.named {
            // Sorted: what lies in a directory that is linked already comes after it.
            let Some(to) = place(named).filter(|to| !occupied(to)) else { continue };
            if last.is_some_and(|last| named.starts_with(last)) || to.symlink_metadata().is_ok() {
                continue;
            }
            make_parent(fs, &to)?;
            fs.symlink(resolved(named), &to).during("create", &to)?;
            last = Some(named);
        }
        match (&self.repository, git) {
            (Some((top, directory)), Some(state)) => match place(top) {
                Some(to) => borrow_repository(fs, top, directory, state, &to),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// The variables by which cargo and git see nothing above `copy`, the directory that holds the whole copy.
pub(super) fn shut_off(copy: &Path) -> Vec<(OsString, OsString)> {
    let above = copy.parent().unwrap_or(copy);
    vec![(CARGO_STOPS_AT.into(), copy.into()), (GIT_STOPS_AT.into(), above.into())]
}

/// The variable that gives the copy the toolchain which counts in the workspace, where another or none counts there.
/// A toolchain file that was restored counts by itself.
pub(super) fn toolchain(workspace: &Path, copy: &Path) -> Option<(OsString, OsString)> {
    let has_file =
        |dir: &Path| ["rust-toolchain.toml", "rust-toolchain"].iter().any(|name| dir.join(name).is_file());
    if has_file(copy) {
        return None;
    }
    // One that the workspace got since is not the restore point's.
    let around = if has_file(workspace) { workspace.parent()? } else { workspace };
    let sysroot = |dir: &Path| {
        let answer = process::tool(OsStr::new("rustc"), dir, &["--print", "sysroot"].map(OsStr::new)).ok()?;
        let line = answer.stdout.split(|b| *b == b'\n').next().filter(|_| answer.ok)?;
        Some(PathBuf::from(OsStr::from_bytes(line)))
    };
    let wanted = sysroot(around).filter(|wanted| sysroot(copy).as_ref() != Some(wanted))?;
    // Its name, which every rustup takes, or its path.
    let named = wanted.parent().is_some_and(|dir| dir.ends_with("toolchains"));
    let name =
        wanted.file_name().filter(|_| named).map_or_else(|| wanted.clone().into(), OsStr::to_os_string);
    Some((TOOLCHAIN.into(), name))
}

/// The top of the working tree that `root` lies in, and the repository's directory.
fn repository(root: &Path) -> Option<(PathBuf, PathBuf)> {
    let lines = asked(root, &["rev-parse", "--show-toplevel", "--absolute-git-dir"])?;
    let mut lines = lines.split(|b| *b == b'\n').map(|line| PathBuf::from(OsStr::from_bytes(line)));
    let (top, directory) = (lines.next()?, lines.next()?);
    root.starts_with(&top).then_some((top, directory))
}

fn asked(dir: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    process::git(dir, &args, None).ok().filter(|answer| answer.ok).map(|answer| answer.stdout)
}

/// Makes a repository in `copy` that stands where the recorded one stood: it has all refs, the recorded `HEAD` and
/// an index, and takes the objects from the repository itself.
fn borrow_repository(fs: &Fs, top: &Path, directory: &Path, state: &GitState, copy: &Path) -> Result<()> {
    let common = match std::fs::read(directory.join("commondir")) {
        Ok(bytes) => clean(&directory.join(OsStr::from_bytes(bytes.trim_ascii_end()))),
        Err(_) => directory.to_path_buf(),
    };
    let git = copy.join(".git");
    if git.symlink_metadata().is_ok() {
        return Ok(());
    }
    let put = |name: &str, bytes: &[u8]| write(fs, &git.join(name), bytes);
    put("objects/info/alternates", &[common.join("objects").as_os_str().as_bytes(), b"\n"].concat())?;
    let (version, format) = match state.head.as_ref().is_some_and(|head| head.len() == 64) {
        true => (1, "[extensions]\n\tobjectformat = sha256\n"),
        false => (0, ""),
    };
    let quoted = |path: &Path| path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    let (config, worktree) = (quoted(&common.join("config")), quoted(copy));
    put(
        "config",
        format!(
            "[include]\n\tpath = \"{config}\"\n[core]\n\trepositoryformatversion = {version}\n\tbare = false\n\
             \tworktree = \"{worktree}\"\n{format}"
        )
        .as_bytes(),
    )?;
    // Both list the refs in one order.
    let digests = asked(top, &["rev-parse", "--all"]).unwrap_or_default();
    let names = asked(top, &["rev-parse", "--symbolic-full-name", "--all"]).unwrap_or_default();
    let lines = |bytes: &[u8]| bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let refs = lines(&digests).into_iter().zip(lines(&names)).filter(|(digest, _)| !digest.is_empty());
    let refs: Vec<u8> = refs.flat_map(|(digest, name)| [&digest[..], b" ", &name, b"\n"].concat()).collect();
    put("packed-refs", &refs)?;
    // What the manifest says is not trusted: a branch's name is a path.
    let branch = state.branch.as_ref().and_then(|name| RelPath::new(format!("refs/heads/{name}")).ok());
    let line = |text: &str| format!("{text}\n").into_bytes();
    let commit = state.head.as_deref().filter(|head| head.bytes().all(|b| b.is_ascii_hexdigit()));
    let head = branch.as_ref().map_or_else(
        || line(commit.unwrap_or("ref: refs/heads/main")),
        |name| [b"ref: ", name.as_bytes(), b"\n"].concat(),
    );
    put("HEAD", &head)?;
    put("refs/heads/.keep", b"")?;
    if let (Some(commit), Some(branch)) = (commit, &branch) {
        write(fs, &git.join(branch), &line(commit))?;
    }
    let shared = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let shared = shared.filter_map(|name| name.into_string().ok().filter(|n| n.starts_with("sharedindex.")));
    let own = shared.chain(["index".to_owned()]).map(|name| (directory, name));
    for (from, name) in own.chain(["shallow", "info/exclude"].map(|name| (common.as_path(), name.to_owned())))
    {
        if let Ok(bytes) = std::fs::read(from.join(&name)) {
            put(&name, &bytes)?;
        }
    }
    // Today's index fits where `HEAD` did not move; else it is that of the recorded commit, made in the copy alone.
    if asked(top, &["rev-parse", "HEAD"])
        .is_none_or(|now| now.trim_ascii_end() != commit.unwrap_or_default().as_bytes())
        && let Some(commit) = commit
    {
        let _ = asked(copy, &["read-tree", commit]);
    }
    Ok(())
}

fn make_parent(fs: &Fs, path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), |dir| fs.create_dir_all(dir, 0o700).during("create directory", dir))
}

/// Writes a new file of the copy. One that is there already stays.
fn write(fs: &Fs, path: &Path, bytes: &[u8]) -> Result<()> {
    make_parent(fs, path)?;
    match fs.create_file(path) {
        Ok(mut file) => file.write_all(bytes).during("write", path),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io("create", path, e)),
    }
}
